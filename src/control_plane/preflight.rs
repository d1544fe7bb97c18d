//! Whether launches would be taken, without launching.

use super::action::Action;
use super::allow;
use super::auth::Caller;
use super::faults::Fault;
use super::launch::{self, RunOrder};
use super::parse;
use super::plane::ControlPlane;
use crate::api::names;
use atelier_wire::control_plane::{LaunchSpec, PreflightOrder, PreflightReply, codes};
use futures::future::join_all;
use k8s_openapi::jiff::Timestamp;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The most launches of one preflight: each dry run takes from the same rate limit as a launch.
const LAUNCHES_MAX: usize = 40;
/// How many dry runs are remembered.
const REMEMBERED_MAX: usize = 1_000;
/// What stands in the tags of a dry run for the workspace that there is none of.
const NO_WORKSPACE: &str = "preflight";

/// When a dry run was made, and what it came to.
type Made = (Instant, Result<(), Fault>);

/// Dry runs that were made moments ago: preflights come often, and their answers change seldom.
#[derive(Debug)]
pub struct DryRuns {
    good_for: Duration,
    bad_for: Duration,
    made: Mutex<HashMap<RunOrder, Made>>,
}

impl DryRuns {
    /// None was made yet.
    pub fn new(good_for: Duration, bad_for: Duration) -> Self {
        Self { good_for, bad_for, made: Mutex::default() }
    }

    /// What a dry run came to, and whether that may still be believed.
    fn last(&self, order: &RunOrder, now: Instant) -> Option<(Result<(), Fault>, bool)> {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, result) = made.get(order)?;
        let limit = if result.is_ok() { self.good_for } else { self.bad_for };
        Some((result.clone(), now.saturating_duration_since(*at) < limit))
    }

    fn note(&self, order: RunOrder, result: Result<(), Fault>, now: Instant) {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if made.len() >= REMEMBERED_MAX {
            made.retain(|_, (at, _)| now.saturating_duration_since(*at) < self.good_for);
        }
        if made.len() < REMEMBERED_MAX {
            made.insert(order, (now, result));
        }
    }
}

/// Says what is wrong with these launches, and where they would go.
///
/// # Errors
/// When the order is wrong, or EC2 does not answer. What is wrong with a launch is no error but in the reply.
pub async fn preflight(
    plane: &ControlPlane,
    caller: &Caller,
    order: PreflightOrder,
    request_id: &str,
) -> Result<PreflightReply, Fault> {
    let PreflightOrder { cluster_id, launches } = order;
    let cluster = parse::cluster(Some(&cluster_id), caller)?;
    if launches.len() > LAUNCHES_MAX {
        let why = format!("at most {LAUNCHES_MAX} at a time: each takes from the rate limit of launches");
        return Err(Fault::invalid("launches", &why));
    }
    let account_id = plane.account.ask(&plane.ec2).await?;
    let mut faults = Vec::new();
    let mut allowed = Vec::new();
    for launch in &launches {
        match allow::check(launch, &plane.settings.allow) {
            Ok(()) => allowed.push(launch),
            Err(fault) => faults.push(of(launch, fault)),
        }
    }
    let zones = zones(plane, &allowed, &mut faults).await?;
    let known = allowed.into_iter().filter(|launch| zones.contains_key(&launch.subnet_id));
    let results = join_all(known.map(async |launch| (launch, dry_run(plane, cluster, launch).await))).await;
    faults.extend(results.into_iter().filter_map(|(launch, result)| Some(of(launch, result.err()?))));
    Ok(PreflightReply {
        account_id,
        region: plane.ec2.region().to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        now: Timestamp::now().to_string(),
        zones,
        problems: faults.iter().map(|fault| fault.body(request_id)).collect(),
    })
}

fn of(launch: &LaunchSpec, fault: Fault) -> Fault {
    fault.about(&format!("{} in {}", launch.instance_type, launch.subnet_id))
}

async fn zones(
    plane: &ControlPlane,
    launches: &[&LaunchSpec],
    faults: &mut Vec<Fault>,
) -> Result<BTreeMap<String, String>, Fault> {
    let mut subnets: Vec<_> = launches.iter().map(|launch| launch.subnet_id.clone()).collect();
    subnets.sort();
    subnets.dedup();
    if subnets.is_empty() {
        return Ok(BTreeMap::new());
    }
    let (mut zones, _) = plane.ec2.subnets(subnets.clone()).await?;
    zones.retain(|id, _| subnets.contains(id));
    for missing in subnets.iter().filter(|id| !zones.contains_key(*id)) {
        faults.push(Fault::ec2(Action::DescribeSubnets, "InvalidSubnetID.NotFound").about(missing));
    }
    Ok(zones)
}

async fn dry_run(plane: &ControlPlane, cluster: &str, launch: &LaunchSpec) -> Result<(), Fault> {
    let ours = [(names::CLUSTER, cluster), (names::UID, NO_WORKSPACE), (names::ATTEMPT, "0")];
    let mut given = launch.tags.clone();
    given.retain(|key, _| !ours.iter().any(|(own, _)| own == key));
    let tags = launch::tags(&given, &ours)?;
    let image = plane.images.devices(&plane.ec2, &launch.ami_id).await?;
    let order = RunOrder::new(NO_WORKSPACE, launch, image, tags, "");
    let last = plane.dry_runs.last(&order, Instant::now());
    if let Some((result, true)) = last {
        return result;
    }
    let result = plane.ec2.dry_run(&order).await;
    match &result {
        // That launches crowd each other out says nothing about whether one would be taken.
        Err(fault) if fault.is_throttle() || fault.is(codes::RATE_LIMITED) => {
            last.map_or(Ok(()), |(result, _)| result)
        }
        _ => {
            plane.dry_runs.note(order, result.clone(), Instant::now());
            result
        }
    }
}
