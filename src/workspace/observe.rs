//! One look at the world: reads only. A read that fails is a value, never an early return.

use super::Context;
use super::desired::{Desired, KeyedHash, NextLaunch, Problem};
use super::judge::{Granted, census, judge};
use super::recorded::{expected, is_forgotten, is_outdated, sort};
use super::references::References;
use super::resolve::{Identity, contents, hashed_text, versioned};
use super::seen::{Seen, Slot, Unplaced, Volume};
use crate::api::backend_config::BackendConfigSpec;
use crate::api::condition::is_true;
use crate::api::workspace::{Launch, Outcome, WorkspaceStatus};
use crate::api::{ConditionType, Reason, Workspace};
use crate::backend::{
    BackendError, BoxOrder, BoxQuery, BoxSeen, BoxState, ContainerPlan, ErrorKind, ImageState, LaunchQuery,
    Outlook, Placement, PullCredentials, Remains,
};
use crate::keys::{Keyring, Purpose};
use crate::liveness::{Life, Recorded};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::jiff::Timestamp;
use kube::{Api, ResourceExt};
use std::collections::HashSet;

/// What was seen, and the place to act on.
pub struct Look {
    /// What was seen.
    pub seen: Seen,
    /// The backend to act on; there whenever `seen.place` is.
    pub placement: Option<Placement>,
}

/// Looks at everything that a plan may go by.
pub async fn observe(ws: &Workspace, ctx: &Context, now: Timestamp) -> Look {
    let status = ws.status.clone().unwrap_or_default();
    let uid = ws.uid().unwrap_or_default();
    let deleting = ws.metadata.deletion_timestamp.is_some();
    let recorded = status.placement.as_ref().filter(|_| deleting || !is_forgotten(ws));
    let keyring = ctx.keys.get();
    let placement = match ctx.backends.place(recorded) {
        Err(none) => Err(Unplaced { reason: none.reason(), message: none.to_string() }),
        // Without the key there is no token to give; what has one can still be deleted.
        Ok(_) if keyring.is_none() && !deleting => Err(Unplaced {
            reason: Reason::TokenKeyMissing,
            message: "the key for agents' tokens has not been read; see the conditions of the BackendConfig"
                .into(),
        }),
        Ok(placement) => Ok(placement),
    };
    let config = ctx.config();
    let desired =
        desired(ws, &status, ctx, config.as_deref(), placement.as_ref().ok(), keyring.as_deref()).await;
    let boxes = match (&placement, &status.launch) {
        (Ok(placement), Some(_)) => {
            let expected = expected(&status);
            placement.boxes(&BoxQuery { uid: &uid, expected: &expected }).await
        }
        (Err(unplaced), Some(_)) => Err(BackendError::new(ErrorKind::Unreachable, unplaced.message.clone())),
        // Before the first intent is stored there can be no box.
        (_, None) => Ok(Vec::new()),
    };
    let leftovers = match (&placement, &boxes) {
        (Ok(placement), Ok(boxes)) if deleting && status.launch.is_some() && is_empty(boxes) => {
            placement.leftovers(&remains(ws, &status, &uid, &network_of(ws))).await
        }
        _ => Ok(false),
    };
    let attempt = status.launch.as_ref().map_or(0, |l| l.attempt);
    let outlook = placement.as_ref().map_or(Outlook::CERTAIN, |placement| {
        let zone = status.storage.as_ref().map(|storage| storage.zone.as_str());
        placement.outlook(&LaunchQuery { uid: &uid, attempt, tier: ws.spec.tier, zone }, now)
    });
    let volume = volume(&status, &boxes, placement.as_ref().ok());
    let life = life(&status, &boxes);
    let recorded = Recorded::of(&status, life);
    let mut seen = Seen {
        configured: config.is_some(),
        desired,
        place: placement.as_ref().map(|p| p.record().clone()).map_err(Clone::clone),
        boxes,
        outlook,
        volume,
        leftovers,
        image: None,
        pull_credentials: None,
        agent: ctx.liveness.view(&uid, attempt, life, recorded, now),
        log_tail: None,
        slot: Slot::Free,
        may_roll: false,
        failure: None,
        periods: ctx.settings.periods,
        jitter: rand::random(),
    };
    seen.failure = ctx.failures.get(&uid, &wanted(ws, &seen));
    if let Ok(placement) = &placement {
        image(&mut seen, &status, placement, ctx, config.as_deref(), ws).await;
    }
    seen.slot = slot(ws, &status, &seen, ctx, now);
    seen.may_roll = may_roll(ws, &status, &seen, ctx, config.as_deref());
    Look { seen, placement: placement.ok() }
}

/// What the backend shows of the recorded box.
fn life(status: &WorkspaceStatus, boxes: &Result<Vec<BoxSeen>, BackendError>) -> Life {
    let Ok(boxes) = boxes else { return Life::Unknown };
    match sort(status, boxes).mine {
        Some(mine) if mine.state == BoxState::Running => Life::Running(mine.started_at),
        _ => Life::Stopped,
    }
}

/// Whether none of these may live.
fn is_empty(boxes: &[BoxSeen]) -> bool {
    boxes.iter().all(|b| matches!(b.state, BoxState::Terminated { .. }))
}

/// What may be left of a Workspace besides boxes.
pub fn remains<'a>(
    ws: &Workspace,
    status: &'a WorkspaceStatus,
    uid: &'a str,
    network_of: &'a str,
) -> Remains<'a> {
    Remains { uid, network_of, storage: status.storage.as_ref(), retain: ws.spec.storage.retain }
}

/// How it stands with the volume of the Workspace's data.
fn volume(
    status: &WorkspaceStatus,
    boxes: &Result<Vec<BoxSeen>, BackendError>,
    placement: Option<&Placement>,
) -> Volume {
    let (Some(placement), Ok(boxes)) = (placement, boxes) else { return Volume::Settled };
    // Where none is recorded, one may have been made all the same, in the zone of a box that has ended since.
    let newest = || boxes.iter().filter(|_| status.storage.is_none()).max_by_key(|b| b.attempt);
    let facts = sort(status, boxes).mine.or_else(newest).and_then(|b| b.ec2.as_ref());
    let Some(facts) = facts.filter(|_| placement.attaches_volumes()) else { return Volume::Settled };
    match &status.storage {
        None if facts.zone.is_empty() => Volume::Settled,
        None => Volume::Missing { zone: facts.zone.clone() },
        Some(storage) if facts.volume_ids.contains(&storage.volume_id) => Volume::Settled,
        Some(storage) => Volume::Detached { id: storage.volume_id.clone() },
    }
}

/// What is wanted of the backend now; a failure of something else says nothing any more.
pub fn wanted(ws: &Workspace, seen: &Seen) -> String {
    let request = seen.desired.as_ref().ok().and_then(|d| d.request_as_recorded.clone());
    format!("{:?} {:?} {request:?}", ws.metadata.generation, ws.metadata.deletion_timestamp)
}

/// The uid whose network a box joins: its Team's or, without one, the Workspace's own.
pub fn network_of(ws: &Workspace) -> String {
    let owner = ws.owner_references().iter().find(|o| o.controller == Some(true) && o.kind == "Team");
    owner.map(|o| o.uid.clone()).or_else(|| ws.uid()).unwrap_or_default()
}

async fn desired(
    ws: &Workspace,
    status: &WorkspaceStatus,
    ctx: &Context,
    config: Option<&BackendConfigSpec>,
    placement: Option<&Placement>,
    keyring: Option<&Keyring>,
) -> Result<Desired, Problem> {
    let Some(config) = config else {
        return Err(Problem::new(Reason::NoBackend, "there is no BackendConfig to judge the spec by"));
    };
    let limited = config.policy.max_workspaces.is_some()
        || config.policy.max_workspaces_per_namespace.is_some()
        || config.docker.as_ref().is_some_and(|d| d.hosts.iter().any(|h| h.max_workspaces.is_some()));
    let census = if limited {
        let all = ctx.workspaces.state();
        census(ws, all.iter().map(AsRef::as_ref))
    } else {
        super::judge::Census::default()
    };
    let granted = judge(ws, config, &ctx.settings.operator_namespace, census)?;
    let launched = status.launch.as_ref().is_some_and(|l| l.outcome != Outcome::Pending);
    let namespace = ws.namespace().unwrap_or_default();
    let refs = ctx.references.read(&namespace, &ws.spec, !launched).await;
    let Some(keyring) = keyring else {
        return Err(Problem::new(Reason::BackendNotReady, "the key for agents' tokens has not been read"));
    };
    resolve(ws, status, config, granted, &refs, placement, keyring)
}

fn resolve(
    ws: &Workspace,
    status: &WorkspaceStatus,
    config: &BackendConfigSpec,
    granted: Granted<'_>,
    refs: &References,
    placement: Option<&Placement>,
    keyring: &Keyring,
) -> Result<Desired, Problem> {
    let uid = ws.uid().unwrap_or_default();
    let name = ws.name_any();
    let identity = Identity {
        uid: &uid,
        name: &name,
        platform_url: &config.registry.advertise_url,
        ca_bundle: config.registry.ca_bundle.as_deref(),
    };
    let contents = contents(&ws.spec, refs, identity)?;
    let text = hashed_text(&ws.spec, refs);
    let key_id = keyring.current().to_owned();
    let hash = versioned(&keyring.hash(&key_id, &text).unwrap_or_default());
    let launch = status.launch.as_ref();
    let hash_as_recorded = launch.and_then(|l| keyring.hash(&l.key_id, &text)).map(|h| versioned(&h));
    let (namespace, network_of) = (ws.namespace().unwrap_or_default(), network_of(ws));
    let order = |attempt, spec_hash| BoxOrder {
        uid: &uid,
        namespace: &namespace,
        name: &name,
        attempt,
        spec_hash,
        network_of: &network_of,
        tier: ws.spec.tier,
        granted: granted.tier,
        runtime: granted.runtime,
        platform_url: &config.registry.advertise_url,
        ca_bundle: config.registry.ca_bundle.as_deref(),
        recorded: launch.filter(|l| l.attempt == attempt).map(|l| l.request.as_str()),
        zone: status.storage.as_ref().map(|storage| storage.zone.as_str()),
        retain: ws.spec.storage.retain,
    };
    let next_attempt = launch.map_or(1, |l: &Launch| l.attempt.saturating_add(1));
    let next = order(next_attempt, hash.as_str());
    let memory_mib = ContainerPlan::new(&next).memory_mib;
    let next = match placement {
        None => None,
        Some(placement) => {
            let token = keyring.token(&key_id, Purpose::Bootstrap, &uid, next_attempt).unwrap_or_default();
            Some(next_launch(placement, &next, &token).map_err(|error| problem(status, error))?)
        }
    };
    Ok(Desired {
        next,
        request_as_recorded: launch
            .and_then(|l| placement?.render(&order(l.attempt, l.spec_hash.as_str())).ok()),
        contents,
        hash: KeyedHash { key_id, hash },
        hash_as_recorded,
        boot_timeout_seconds: i64::from(granted.runtime.boot_timeout_seconds),
        memory_mib,
    })
}

/// What is recorded and sent for the next attempt.
fn next_launch(
    placement: &Placement,
    order: &BoxOrder<'_>,
    bootstrap_token: &str,
) -> Result<NextLaunch, BackendError> {
    let request = placement.render(order)?;
    let user_data_hash = placement.user_data_hash(&request, bootstrap_token)?;
    let client_token = placement.client_token(order.uid, order.attempt);
    Ok(NextLaunch { request, client_token, user_data_hash })
}

/// Why the platform has nothing for this Workspace.
fn problem(status: &WorkspaceStatus, error: BackendError) -> Problem {
    let reason = if status.storage.is_some() { Reason::StorageNotSupported } else { Reason::TierNotAllowed };
    Problem::new(reason, error.detail)
}

/// Looks at the image only after a create did not find it: it is there nearly always.
async fn image(
    seen: &mut Seen,
    status: &WorkspaceStatus,
    placement: &Placement,
    ctx: &Context,
    config: Option<&BackendConfigSpec>,
    ws: &Workspace,
) {
    let not_found = seen.failure.as_ref().is_some_and(|f| f.error.kind == ErrorKind::ImageNotFound);
    let pending = status.launch.as_ref().filter(|l| l.outcome == Outcome::Pending);
    let (true, Some(launch)) = (not_found, pending) else { return };
    let image = placement.image(&launch.request).await;
    if matches!(image, Ok(ImageState::Missing | ImageState::Failed(..))) {
        let runtime = config.and_then(|c| c.runtimes.iter().find(|r| r.name == ws.spec.runtime));
        if let Some(secret) = runtime.and_then(|r| r.image_pull_secret_ref.as_ref()) {
            match pull_credentials(ctx, &secret.name).await {
                Ok(credentials) => seen.pull_credentials = Some(credentials),
                Err(why) => {
                    seen.image = Some(Ok(ImageState::Failed(why, Timestamp::UNIX_EPOCH)));
                    return;
                }
            }
        }
    }
    seen.image = Some(image);
}

async fn pull_credentials(ctx: &Context, name: &str) -> Result<PullCredentials, String> {
    let namespace = &ctx.settings.operator_namespace;
    let secrets = Api::<Secret>::namespaced(ctx.client.clone(), namespace);
    let secret = match secrets.get_opt(name).await {
        Ok(Some(secret)) => secret,
        Ok(None) => {
            return Err(format!(
                "imagePullSecretRef: there is no Secret {name:?} in namespace {namespace:?}"
            ));
        }
        Err(error) => return Err(format!("imagePullSecretRef: Secret {name:?} could not be read: {error}")),
    };
    let json = secret.data.unwrap_or_default().remove(".dockerconfigjson");
    json.map(|json| PullCredentials { docker_config_json: json.0 })
        .ok_or_else(|| format!("imagePullSecretRef: Secret {name:?} has no key .dockerconfigjson"))
}

/// Whether a launch is under way: from the intent until the box runs, was refused or waits to be tried again.
fn is_launching(ws: &Workspace, now: Timestamp) -> bool {
    let Some(launch) = ws.status.as_ref().and_then(|s| s.launch.as_ref()) else { return false };
    let waits = launch.not_before.as_ref().is_some_and(|t| t.0 > now);
    launch.outcome == Outcome::Pending && !waits && ws.metadata.deletion_timestamp.is_none()
}

fn slot(ws: &Workspace, status: &WorkspaceStatus, seen: &Seen, ctx: &Context, now: Timestamp) -> Slot {
    let owner = ws.owner_references().iter().find(|o| o.controller == Some(true) && o.kind == "Team");
    let (Some(owner), Some(uid)) = (owner, ws.uid()) else { return Slot::Free };
    let namespace = ws.namespace().unwrap_or_default();
    let key = kube::runtime::reflector::ObjectRef::new(&owner.name).within(&namespace);
    let limit = ctx.teams.get(&key).filter(|t| t.uid().as_ref() == Some(&owner.uid));
    let limit = limit.and_then(|t| usize::try_from(t.spec.max_concurrent_launches).ok()).unwrap_or(0);
    let failed = seen.failure.as_ref().is_some_and(|f| f.not_before > now);
    let waits = status.launch.as_ref().and_then(|l| l.not_before.as_ref()).is_some_and(|t| t.0 > now);
    let launching = status.launch.as_ref().is_none_or(|l| l.outcome == Outcome::Pending);
    if limit == 0 || !launching || failed || waits || seen.desired.is_err() || seen.place.is_err() {
        ctx.slots.release(&owner.uid, &uid);
        return Slot::Free;
    }
    let siblings = ctx.workspaces.state();
    let siblings = siblings.iter().filter(|w| w.owner_references().iter().any(|o| o.uid == owner.uid));
    let holders: HashSet<String> =
        siblings.filter(|w| is_launching(w, now)).filter_map(|w| w.uid()).collect();
    match ctx.slots.take(&owner.uid, &uid, limit, &holders) {
        Ok(()) => Slot::Free,
        Err(others) => Slot::Taken(i32::try_from(others).unwrap_or(i32::MAX)),
    }
}

/// Whether the rollout policy lets this box be replaced now: so many may be unready at once, this one included.
fn may_roll(
    ws: &Workspace,
    status: &WorkspaceStatus,
    seen: &Seen,
    ctx: &Context,
    config: Option<&BackendConfigSpec>,
) -> bool {
    const GROUP: &str = "rollout";
    let limit = config.map_or(0, |c| c.policy.rollout.max_unavailable);
    let (Ok(limit), Some(uid)) = (usize::try_from(limit), ws.uid()) else { return false };
    let ready = is_true(&status.conditions, ConditionType::Ready);
    if limit == 0 || !is_outdated(status, seen) {
        if ready {
            ctx.slots.release(GROUP, &uid);
        }
        return false;
    }
    let all = ctx.workspaces.state();
    let unready = all.iter().filter(|w| {
        let status = w.status.as_ref();
        w.metadata.deletion_timestamp.is_none()
            && !w.spec.suspend
            && !status.is_some_and(|s| is_true(&s.conditions, ConditionType::Ready))
    });
    let holders: HashSet<String> = unready.filter_map(|w| w.uid()).collect();
    ctx.slots.take(GROUP, &uid, limit, &holders).is_ok()
}
