//! Launching one instance, once.

use super::action::Action;
use super::allow;
use super::auth::Caller;
use super::ec2::{Filter, Found};
use super::faults::Fault;
use super::launch::{self, RunOrder};
use super::ownership::{self, Tags};
use super::parse::{Ask, Keyed};
use super::plane::ControlPlane;
use super::recent::Launched;
use super::state;
use crate::api::names;
use atelier_wire::control_plane::{Provision, Provisioned};
use futures::FutureExt;
use k8s_openapi::jiff::Timestamp;
use std::sync::Arc;
use std::time::Instant;
use tracing::{info, warn};

/// How many ended instances of one workspace are passed over in one call. More at a time are a loop somewhere.
const ENDED_MAX: i64 = 5;

/// Launches what is asked for, or answers what this launch made before.
///
/// # Errors
/// When the call is wrong or not allowed, when EC2 refuses, or when the outcome is not known.
pub async fn provision(
    plane: &Arc<ControlPlane>,
    caller: &Caller,
    provision: Provision,
) -> Result<Provisioned, Fault> {
    let ask = Ask::new(provision, caller, &plane.settings)?;
    allow::check(&ask.launch, &plane.settings.allow)?;
    let found = if let Some(Keyed { key, attempt, not_after }) = &ask.keyed {
        run(plane, &ask, key, *attempt, Some(*not_after)).await?
    } else {
        let (sharing, shared) = (plane.clone(), ask.clone());
        let key = (ask.cluster.clone(), ask.workspace.clone());
        plane.unkeyed.join(key, || async move { run_unkeyed(&sharing, &shared).await }.boxed()).await?
    };
    if let Err(fault) = plane.account.check(&found.account_id) {
        warn!(error = fault.error, "the account of a new instance is not the expected one");
    }
    Ok(Provisioned {
        instance_id: found.view.instance_id,
        private_ip: found.view.private_ip,
        state: found.view.state,
        zone: found.view.zone,
        account_id: plane.account.known().unwrap_or(found.account_id),
        region: plane.ec2.region().to_owned(),
    })
}

/// A launch for a client that sends no key. It has no record, so EC2's memory of tokens stands in for it: the token
/// is that of the workspace's next attempt, counted by what EC2 shows.
async fn run_unkeyed(plane: &Arc<ControlPlane>, ask: &Ask) -> Result<Found, Fault> {
    let filters = vec![Filter::tag(names::UID, &ask.workspace), Filter::tag(names::CLUSTER, &ask.cluster)];
    let all = plane.ec2.all_instances(filters).await?;
    let own = |found: &Found| is_of(&found.view.tags, ask);
    let mut live = all.iter().filter(|found| own(found) && state::is_live(&found.view.state));
    match (live.next(), live.next()) {
        (Some(found), None) => return Ok(found.clone()),
        (Some(_), Some(_)) => return Err(Fault::ambiguous()),
        (None, _) => {}
    }
    let attempt = |found: &Found| found.view.tags.get(names::ATTEMPT)?.parse::<i64>().ok();
    let next = all.iter().filter(|found| own(found)).filter_map(attempt).max().unwrap_or(0).saturating_add(1);
    for attempt in next..next.saturating_add(ENDED_MAX) {
        let token = launch::token_of_unkeyed(&ask.cluster, &ask.workspace, attempt);
        match run(plane, ask, &token, attempt, None).await {
            // Ended, and EC2 does not show it any more or not yet.
            Err(fault) if fault.is("IdempotentInstanceTerminated") => {}
            other => return other,
        }
    }
    Err(Fault::terminated())
}

fn is_of(tags: &Tags, ask: &Ask) -> bool {
    ownership::has(tags, names::CLUSTER, &ask.cluster) && ownership::has(tags, names::UID, &ask.workspace)
}

async fn run(
    plane: &Arc<ControlPlane>,
    ask: &Ask,
    token: &str,
    attempt: i64,
    not_after: Option<Timestamp>,
) -> Result<Found, Fault> {
    let tags = launch::instance_tags(ask, attempt)?;
    let image = plane.images.devices(&plane.ec2, &ask.launch.ami_id).await?;
    let order = RunOrder::new(token, &ask.launch, image, tags, &ask.user_data);
    let (launching, flight) = (plane.clone(), order.clone());
    let start = || async move { launching.ec2.run(&order, not_after).await }.boxed();
    let result = plane.launches.join(flight, start).await;
    let found = match result {
        Err(fault) if fault.is("IdempotentParameterMismatch") => adopt(plane, ask, token, attempt).await?,
        other => other.map_err(|fault| with_offering(fault, ask))?,
    };
    let launched = Launched {
        instance_id: found.view.instance_id.clone(),
        cluster: ask.cluster.clone(),
        workspace: ask.workspace.clone(),
        key: token.to_owned(),
    };
    plane.recent.note(launched, Instant::now());
    info!(
        workspace = ask.workspace,
        cluster = ask.cluster,
        attempt,
        instance = found.view.instance_id,
        "launched"
    );
    Ok(found)
}

/// The token was used before, with a request that was not the same. What it made is the caller's only if it says so
/// itself; and if it is not to be seen, that proves nothing.
async fn adopt(plane: &ControlPlane, ask: &Ask, token: &str, attempt: i64) -> Result<Found, Fault> {
    let filters = vec![Filter::one_of("client-token", vec![token.to_owned()])];
    let all = plane.ec2.all_instances(filters).await?;
    let same = |found: &&Found| found.view.client_token == token;
    let Some(found) = all.iter().find(same) else { return Err(Fault::unknown_launch()) };
    let attempt = attempt.to_string();
    if !(is_of(&found.view.tags, ask) && ownership::has(&found.view.tags, names::ATTEMPT, &attempt)) {
        return Err(Fault::ec2(Action::RunInstances, "IdempotentParameterMismatch"));
    }
    if !state::is_live(&found.view.state) {
        return Err(Fault::terminated());
    }
    Ok(found.clone())
}

/// Says which offering an error is about.
fn with_offering(fault: Fault, ask: &Ask) -> Fault {
    let offering = format!("{} in {}", ask.launch.instance_type, ask.launch.subnet_id);
    fault.about(&offering)
}
