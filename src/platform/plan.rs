//! What to say of the BackendConfig, and the one thing to do. Pure.

use super::settle::{Refusal, Settled, Uses, named};
use super::token_keys::{self, Holders, KeyState};
use crate::api::backend_config::{
    Backend, BackendConfig, BackendConfigStatus, DockerHost, Ec2InUse, Endpoint,
};
use crate::api::condition::{self, Progress};
use crate::api::workspace::{DockerWorld, Ec2World};
use crate::api::{ConditionType, Conditions, Reason, Status, names};
use crate::backend::{BackendError, Preflight};
use crate::reconcile::same;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use std::time::Duration;

/// What one look showed.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The endpoint in effect.
    pub settled: Settled,
    /// The Workspaces that have a launch recorded.
    pub uses: Uses,
    /// Whether the endpoint's certificates were found.
    pub certificates: Certificates,
    /// What the backend answered; `None` where there was nothing to ask.
    pub preflight: Option<Result<Preflight, BackendError>>,
    /// What is to be said of images and pull Secrets besides, which keeps nobody from being placed.
    pub remarks: Vec<String>,
    /// How it stands with the keys of agents' tokens.
    pub keys: KeyState,
    /// The Workspaces whose boxes hold tokens of other keys than the current one.
    pub holders: Holders,
    /// Whether so many agents fell silent at once that the fault is likely ours.
    pub too_many_silent: bool,
}

/// Whether the endpoint's certificates were found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Certificates {
    /// They were, or none are needed.
    Good,
    /// They were not, or cannot be used.
    Refused(Refusal),
    /// The API server did not say.
    Unread(String),
}

/// The one thing to do, and when to look again though nothing happens.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// At most one write.
    pub step: Step,
    /// When time alone changes what is to be said.
    pub look_again: Option<Duration>,
}

/// A write.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// All is said and done.
    Nothing,
    /// Put our finalizer on, before there can be boxes that need this config.
    AddFinalizer,
    /// Nobody needs this config any more: let it go.
    ReleaseFinalizer,
    /// Say what changed.
    WriteStatus(Box<BackendConfigStatus>),
}

/// Decides what to do. What waits for another object is called stalled after `stalled_after`.
pub fn plan(config: &BackendConfig, seen: &Seen, stalled_after: SignedDuration, now: Timestamp) -> Plan {
    let ours = config.finalizers().iter().any(|f| f == names::FINALIZER);
    let deleting = config.metadata.deletion_timestamp.is_some();
    match (deleting, ours) {
        (false, false) => return Plan { step: Step::AddFinalizer, look_again: None },
        (true, true) if seen.uses.count() == 0 => {
            return Plan { step: Step::ReleaseFinalizer, look_again: None };
        }
        (true, false) => return Plan { step: Step::Nothing, look_again: None },
        (_, true) => {}
    }
    let (status, look_again) = describe(config, seen, stalled_after, now);
    let step = if same(config.status.as_ref(), &status, &[]) {
        Step::Nothing
    } else {
        Step::WriteStatus(Box::new(status))
    };
    Plan { step, look_again }
}

type Said = (Status, Reason, String);

fn describe(
    config: &BackendConfig,
    seen: &Seen,
    stalled_after: SignedDuration,
    now: Timestamp,
) -> (BackendConfigStatus, Option<Duration>) {
    let before = config.status.clone().unwrap_or_default();
    let generation = config.metadata.generation.unwrap_or_default();
    let mut conditions = Conditions::new(&before.conditions, generation, now);
    let chain = [
        (ConditionType::Accepted, accepted(seen)),
        (ConditionType::Reachable, reachable(seen)),
        (ConditionType::RegistryHealthy, registry_healthy(seen)),
    ];
    for (type_, (status, reason, message)) in chain.clone() {
        conditions.set(type_, status, reason, message);
    }
    let first = |wanted: Status| chain.iter().find(|(_, (status, ..))| *status == wanted);
    let mut look_again = None;
    if config.metadata.deletion_timestamp.is_some() {
        let message = format!(
            "waits for the {} Workspaces that have their boxes here, such as {}; they go on meanwhile",
            seen.uses.count(),
            seen.uses.named(),
        );
        let reason = Reason::WaitingForWorkspaces;
        conditions.set(ConditionType::Deleting, Status::True, reason, message.clone());
        conditions.set(ConditionType::Ready, Status::False, reason, message.clone());
        conditions.set(ConditionType::Reconciling, Status::True, reason, message);
    } else if let Some((type_, (_, reason, message))) =
        first(Status::False).or_else(|| first(Status::Unknown))
    {
        conditions.set(ConditionType::Ready, Status::False, *reason, message.clone());
        let since = conditions.get(*type_).map_or(now, |c| c.last_transition_time.0);
        let waited = now.duration_since(since);
        let stalled = match reason.progress() {
            Progress::Stalled => true,
            Progress::Awaiting => waited >= stalled_after,
            Progress::Reconciling | Progress::Fine => false,
        };
        if reason.progress() == Progress::Awaiting && !stalled {
            look_again = Duration::try_from(stalled_after - waited).ok();
        }
        let type_ = if stalled { ConditionType::Stalled } else { ConditionType::Reconciling };
        conditions.set(type_, Status::True, *reason, message.clone());
    } else {
        conditions.set(ConditionType::Ready, Status::True, Reason::Ready, "Workspaces can be placed");
    }
    let status = BackendConfigStatus {
        observed_generation: generation,
        endpoints: endpoints(&before, seen, now),
        ec2: ec2(&before, seen, now),
        workspaces: Some(i32::try_from(seen.uses.count()).unwrap_or(i32::MAX)),
        version: version(seen).or(before.version),
        conditions: conditions.finish(),
    };
    (status, look_again)
}

fn accepted(seen: &Seen) -> Said {
    if seen.settled.spec.backend == Backend::Ec2 && seen.certificates == Certificates::Good {
        return accepted_ec2(seen);
    }
    match (&seen.settled.refusal, &seen.certificates, &seen.settled.host) {
        (Some(refusal), ..) | (None, Certificates::Refused(refusal), _) => {
            (Status::False, refusal.reason, refusal.message.clone())
        }
        (None, Certificates::Unread(why), _) => {
            (Status::Unknown, Reason::BackendNotReady, format!("{why}; it is tried again"))
        }
        (None, Certificates::Good, None) => (
            Status::False,
            Reason::InvalidSpec,
            "spec.docker.hosts names no engine: say which one Workspaces run on".into(),
        ),
        (None, Certificates::Good, Some(host)) => {
            let message = format!("new Workspaces go to the Docker host {:?} at {}", host.name, host.address);
            (Status::True, Reason::Accepted, message)
        }
    }
}

fn accepted_ec2(seen: &Seen) -> Said {
    match (&seen.settled.refusal, &seen.settled.control_plane) {
        (Some(refusal), _) => (Status::False, refusal.reason, refusal.message.clone()),
        (None, None) => {
            let message = "spec.ec2 names no control plane: say where it is and what to launch".into();
            (Status::False, Reason::InvalidSpec, message)
        }
        (None, Some(control_plane)) => {
            let region = seen.settled.spec.ec2.as_ref().map(|ec2| ec2.region.as_str()).unwrap_or_default();
            let message = format!(
                "new Workspaces go to EC2 in {region}, through the control plane at {}",
                control_plane.url
            );
            (Status::True, Reason::Accepted, message)
        }
    }
}

fn reachable(seen: &Seen) -> Said {
    if let (Some(Ok(preflight)), Some(control_plane), Some(world)) =
        (&seen.preflight, &seen.settled.control_plane, world(seen))
    {
        let message = format!(
            "the control plane {} answers at {}, for account {} in {}",
            preflight.version, control_plane.url, world.account_id, world.region
        );
        return (Status::True, Reason::Reachable, message);
    }
    match (&seen.preflight, &seen.settled.host) {
        (Some(Ok(preflight)), Some(host)) => {
            let mut message = format!("Docker {} answers at {}", preflight.version, host.address);
            for remark in &seen.remarks {
                message.push_str("; ");
                message.push_str(remark);
            }
            (Status::True, Reason::Reachable, message)
        }
        (Some(Err(error)), _) => {
            let fix = error.reason().fix();
            let message = if fix.is_empty() { error.to_string() } else { format!("{error}. {fix}") };
            (Status::False, error.reason(), message)
        }
        (None, _) | (Some(Ok(_)), None) => {
            let message = "the backend is not asked before the spec is accepted".into();
            (Status::Unknown, Reason::BackendNotReady, message)
        }
    }
}

fn registry_healthy(seen: &Seen) -> Said {
    let secret = token_keys::SECRET;
    match &seen.keys {
        KeyState::Missing => (
            Status::False,
            Reason::TokenKeyMissing,
            format!(
                "the Secret {secret:?} of the operator's namespace is gone, and boxes hold tokens that were made with \
                 its keys: restore it; without it no box is launched and, after a restart of the operator, none is heard"
            ),
        ),
        KeyState::Bad { why } => (
            Status::False,
            Reason::TokenKeyMissing,
            format!("the Secret {secret:?} of the operator's namespace cannot be used: {why}; restore it"),
        ),
        KeyState::Unread => (
            Status::Unknown,
            Reason::BackendNotReady,
            format!(
                "the Secret {secret:?} of the operator's namespace could not be read yet; it is tried again"
            ),
        ),
        KeyState::Good { .. } if !seen.holders.lost.is_empty() => {
            let lost: Vec<String> = seen
                .holders
                .lost
                .iter()
                .map(|(id, holders)| format!("key-{id} (held by {})", named(holders.iter())))
                .collect();
            let message = format!(
                "the Secret {secret:?} of the operator's namespace lacks keys that boxes hold tokens of: {}; put them \
                 back, without them these boxes are not heard",
                lost.join(", "),
            );
            (Status::False, Reason::TokenKeyMissing, message)
        }
        KeyState::Good { .. } if seen.too_many_silent => {
            let reason = Reason::TooManySilent;
            (Status::False, reason, format!("{} {}", reason.meaning(), reason.fix()))
        }
        KeyState::Good { .. } => {
            let waits = seen.holders.older.iter().map(|(id, holders)| {
                format!(
                    "; key-{id} must stay in the Secret {secret:?}: {} boxes hold tokens of it until they are \
                     launched anew",
                    holders.len()
                )
            });
            let message = std::iter::once("agents are heard".to_owned()).chain(waits).collect();
            (Status::True, Reason::Healthy, message)
        }
    }
}

/// The world of EC2 that answered.
fn world(seen: &Seen) -> Option<&Ec2World> {
    seen.preflight.as_ref()?.as_ref().ok()?.record.ec2.as_ref()
}

/// The control plane in effect, as it answered; what answered before stays recorded while it does not.
fn ec2(before: &BackendConfigStatus, seen: &Seen, now: Timestamp) -> Option<Ec2InUse> {
    let Some(control_plane) = &seen.settled.control_plane else { return before.ec2.clone() };
    let known = before.ec2.clone();
    let Some(world) = world(seen) else { return known };
    let is_same = |known: &&Ec2InUse| known.account_id == world.account_id && known.region == world.region;
    let since = known.as_ref().filter(is_same).map_or(Time(now), |known| known.since.clone());
    Some(Ec2InUse {
        url: control_plane.url.clone(),
        ca_bundle: control_plane.ca_bundle.clone(),
        token_secret_ref: control_plane.token_secret_ref.clone(),
        account_id: world.account_id.clone(),
        region: world.region.clone(),
        since,
    })
}

/// The endpoint in effect, as it answered; what answered before stays recorded while it does not.
fn endpoints(before: &BackendConfigStatus, seen: &Seen, now: Timestamp) -> Vec<Endpoint> {
    let Some(host) = &seen.settled.host else { return before.endpoints.clone() };
    let known = before.endpoints.iter().find(|e| e.name == host.name && e.address == host.address);
    let answered = seen.preflight.as_ref().and_then(|answer| answer.as_ref().ok());
    match answered.and_then(|preflight| preflight.record.docker.as_ref()) {
        Some(world) => vec![endpoint(host, world, known, now)],
        None => known.cloned().into_iter().collect(),
    }
}

fn endpoint(host: &DockerHost, world: &DockerWorld, known: Option<&Endpoint>, now: Timestamp) -> Endpoint {
    let same_world =
        known.filter(|known| known.engine_id == world.engine_id && known.network_id == world.network_id);
    Endpoint {
        name: host.name.clone(),
        address: host.address.clone(),
        publish_address: host.publish_address.clone(),
        tls_secret_ref: host.tls_secret_ref.clone(),
        engine_id: world.engine_id.clone(),
        network_id: world.network_id.clone(),
        since: same_world.map_or(Time(now), |known| known.since.clone()),
    }
}

fn version(seen: &Seen) -> Option<String> {
    seen.preflight.as_ref()?.as_ref().ok().map(|preflight| preflight.version.clone())
}

/// Whether all that Workspaces depend on is well.
pub fn is_well(seen: &Seen) -> bool {
    seen.certificates == Certificates::Good && matches!(seen.preflight, Some(Ok(_)))
}

/// The conditions of a status that are not as they should be, for a log line.
pub fn in_words(status: &BackendConfigStatus) -> String {
    let ready = condition::find(&status.conditions, ConditionType::Ready);
    ready.map_or_else(String::new, |ready| {
        format!("Ready={} {}: {}", ready.status, ready.reason, ready.message)
    })
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
