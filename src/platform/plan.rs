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
mod tests {
    use super::*;
    use crate::api::workspace::PlacementRecord;
    use crate::backend::ErrorKind;
    use crate::platform::settle::settle;
    use crate::platform::testing::{config, endpoint, workspace};

    const STALLED_AFTER: SignedDuration = SignedDuration::from_secs(120);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn preflight() -> Preflight {
        let world = DockerWorld { host: "local".into(), engine_id: "E".into(), network_id: "N".into() };
        let record = PlacementRecord { backend: Backend::Docker, docker: Some(world), ec2: None };
        Preflight { version: "20.10".into(), record }
    }

    fn seen(config: &BackendConfig, uses: Uses) -> Seen {
        Seen {
            settled: settle(config, &uses),
            uses,
            certificates: Certificates::Good,
            preflight: Some(Ok(preflight())),
            remarks: Vec::new(),
            keys: KeyState::Good { current: "k".into() },
            holders: Holders::default(),
            too_many_silent: false,
        }
    }

    fn said(config: &BackendConfig, seen: &Seen, now: Timestamp) -> BackendConfigStatus {
        match plan(config, seen, STALLED_AFTER, now).step {
            Step::WriteStatus(status) => *status,
            other => panic!("{other:?}"),
        }
    }

    /// `type=status/reason` of every condition.
    fn words(status: &BackendConfigStatus) -> Vec<String> {
        status.conditions.iter().map(|c| format!("{}={}/{}", c.type_, c.status, c.reason)).collect()
    }

    #[test]
    fn a_config_whose_engine_answers_is_ready_and_says_so_once() {
        let mut config = config();
        let seen = seen(&config, Uses::default());
        let status = said(&config, &seen, at(100));
        assert_eq!(
            words(&status),
            [
                "Accepted=True/Accepted",
                "Reachable=True/Reachable",
                "RegistryHealthy=True/Healthy",
                "Ready=True/Ready"
            ]
        );
        assert_eq!((status.version.as_deref(), status.workspaces), (Some("20.10"), Some(0)));
        assert_eq!(status.endpoints[0].engine_id, "E");
        config.status = Some(status);
        assert_eq!(
            plan(&config, &seen, STALLED_AFTER, at(9_999)).step,
            Step::Nothing,
            "nothing is written at rest"
        );
    }

    #[test]
    fn the_finalizer_comes_before_everything_and_goes_when_nobody_needs_it() {
        let mut config = config();
        config.metadata.finalizers = None;
        let step =
            |config: &BackendConfig, uses| plan(config, &seen(config, uses), STALLED_AFTER, at(0)).step;
        let used = || Uses::of(&[workspace("w", Some("local"))]);
        assert_eq!(step(&config, used()), Step::AddFinalizer);
        config.metadata.deletion_timestamp = Some(Time(at(0)));
        assert_eq!(step(&config, used()), Step::Nothing, "nothing is added to what is on its way out");
        config.metadata.finalizers = Some(vec![names::FINALIZER.into()]);
        assert_eq!(step(&config, Uses::default()), Step::ReleaseFinalizer);
        let status = said(&config, &seen(&config, used()), at(1));
        let waits = ["Ready=False", "Deleting=True", "Reconciling=True"];
        assert_eq!(words(&status)[3..].to_vec(), waits.map(|w| format!("{w}/WaitingForWorkspaces")));
        assert!(status.conditions[3].message.contains("ns/w"));
    }

    #[test]
    fn an_engine_that_does_not_answer_is_reconciling_and_a_refusal_is_stalled() {
        let config = config();
        for (kind, reason, progress) in [
            (ErrorKind::Unreachable, "DockerUnreachable", "Reconciling"),
            (ErrorKind::Unauthorized, "Unauthorized", "Stalled"),
        ] {
            let mut seen = seen(&config, Uses::default());
            seen.preflight = Some(Err(BackendError::new(kind, "nobody at unix:///a")));
            let status = said(&config, &seen, at(0));
            assert_eq!(
                words(&status),
                [
                    "Accepted=True/Accepted".to_owned(),
                    format!("Reachable=False/{reason}"),
                    "RegistryHealthy=True/Healthy".to_owned(),
                    format!("Ready=False/{reason}"),
                    format!("{progress}=True/{reason}"),
                ]
            );
            assert!(
                status.conditions[3].message.contains("unix:///a"),
                "a person must see where it was looked for"
            );
        }
    }

    #[test]
    fn what_is_missing_may_arrive_for_two_minutes() {
        let mut config = config();
        let mut seen = seen(&config, Uses::default());
        seen.certificates =
            Certificates::Refused(Refusal { reason: Reason::ReferenceNotFound, message: "no Secret".into() });
        seen.preflight = None;
        let first = plan(&config, &seen, STALLED_AFTER, at(0));
        assert_eq!(first.look_again, Some(Duration::from_secs(120)));
        let status = said(&config, &seen, at(0));
        assert_eq!(words(&status)[1], "Reachable=Unknown/BackendNotReady");
        assert_eq!(
            words(&status)[3..],
            ["Ready=False/ReferenceNotFound", "Reconciling=True/ReferenceNotFound"]
        );
        config.status = Some(status);
        assert_eq!(
            plan(&config, &seen, STALLED_AFTER, at(60)),
            Plan { step: Step::Nothing, look_again: Some(Duration::from_secs(60)) }
        );
        let status = said(&config, &seen, at(120));
        assert_eq!(words(&status)[4], "Stalled=True/ReferenceNotFound");
    }

    #[test]
    fn a_refused_endpoint_leaves_the_former_one_recorded() {
        let mut config = config();
        config.status.get_or_insert_default().endpoints = vec![endpoint("local", "unix:///old")];
        let seen = seen(&config, Uses::of(&[workspace("w", Some("local"))]));
        let status = said(&config, &seen, at(0));
        assert_eq!(words(&status)[0], "Accepted=False/InUse");
        assert_eq!(words(&status)[1], "Reachable=True/Reachable", "it still serves");
        assert_eq!(words(&status)[3..], ["Ready=False/InUse", "Stalled=True/InUse"]);
        assert_eq!(
            status.endpoints,
            [endpoint("local", "unix:///old")],
            "with the time since when it is in use"
        );
    }

    #[test]
    fn an_endpoint_stays_recorded_while_its_engine_is_down() {
        let mut config = config();
        config.status.get_or_insert_default().endpoints = vec![endpoint("local", "unix:///a")];
        let mut seen = seen(&config, Uses::default());
        seen.preflight = Some(Err(BackendError::new(ErrorKind::Unreachable, "down")));
        assert_eq!(said(&config, &seen, at(0)).endpoints, [endpoint("local", "unix:///a")]);
    }

    #[test]
    fn keys_that_are_lost_and_agents_that_are_not_heard_are_told_apart() {
        let config = config();
        let mut seen = seen(&config, Uses::default());
        seen.too_many_silent = true;
        assert_eq!(words(&said(&config, &seen, at(0)))[2], "RegistryHealthy=False/TooManySilent");
        for keys in [KeyState::Missing, KeyState::Bad { why: "short".into() }] {
            seen.keys = keys;
            let status = said(&config, &seen, at(0));
            assert_eq!(words(&status)[2], "RegistryHealthy=False/TokenKeyMissing");
            assert_eq!(words(&status)[4], "Stalled=True/TokenKeyMissing");
        }
    }

    #[test]
    fn a_rotation_says_what_it_waits_for() {
        let config = config();
        let mut seen = seen(&config, Uses::default());
        let held = |id: &str| [(id.to_owned(), vec!["ns/w".to_owned()])].into();
        seen.holders = Holders { older: held("old"), ..Holders::default() };
        let status = said(&config, &seen, at(0));
        assert_eq!(words(&status)[2], "RegistryHealthy=True/Healthy");
        assert!(
            status.conditions[2].message.contains("key-old must stay"),
            "{}",
            status.conditions[2].message
        );
        seen.holders = Holders { lost: held("old"), ..Holders::default() };
        let status = said(&config, &seen, at(0));
        assert_eq!(words(&status)[2], "RegistryHealthy=False/TokenKeyMissing");
        assert!(
            status.conditions[2].message.contains("key-old (held by ns/w)"),
            "{}",
            status.conditions[2].message
        );
    }

    /// Every kind of status that a BackendConfig has.
    #[test]
    fn each_status_of_a_backend_config_has_its_health() {
        use crate::api::gitops::Health::{self, Degraded, Healthy, Progressing};
        use crate::api::gitops::{Case, assert_committed};
        let case = |name: &str, health: Health, config: &BackendConfig, change: &dyn Fn(&mut Seen), now| {
            let mut seen = seen(config, Uses::of(&[workspace("w", Some("local"))]));
            change(&mut seen);
            let status = Some(said(config, &seen, at(now)));
            Case::new(name, health, &BackendConfig { status, ..config.clone() })
        };
        let now =
            |name: &str, health: Health, change: &dyn Fn(&mut Seen)| case(name, health, &config(), change, 0);
        let answers = |kind: ErrorKind, health: Health| {
            let error = BackendError::new(kind, "the backend's own words");
            let name = format!("its backend answers {kind:?}");
            now(&name, health, &|seen| seen.preflight = Some(Err(error.clone())))
        };
        let no_certificates = |seen: &mut Seen| {
            let message = "there is no Secret \"tls\": create it".to_owned();
            seen.certificates = Certificates::Refused(Refusal { reason: Reason::ReferenceNotFound, message });
            seen.preflight = None;
        };
        let mut awaiting = config();
        let mut first = seen(&awaiting, Uses::default());
        no_certificates(&mut first);
        awaiting.status = Some(said(&awaiting, &first, at(0)));
        let mut deleted = config();
        deleted.metadata.deletion_timestamp = Some(Time(at(0)));
        let mut moved = config();
        moved.status.get_or_insert_default().endpoints = vec![endpoint("local", "unix:///old")];
        let mut untouched = config();
        untouched.status = Some(BackendConfigStatus { observed_generation: -1, ..Default::default() });
        let cases = [
            Case::new("nobody has looked at it", Progressing, &untouched),
            now("Workspaces can be placed", Healthy, &|_| {}),
            answers(ErrorKind::Unreachable, Progressing),
            answers(ErrorKind::ControlPlaneUnreachable, Progressing),
            answers(ErrorKind::Unauthorized, Degraded),
            answers(ErrorKind::WrongBackend, Degraded),
            answers(ErrorKind::Failed, Progressing),
            now("certificates are missing, since a moment", Progressing, &no_certificates),
            case("certificates are missing, for two minutes", Degraded, &awaiting, &no_certificates, 120),
            now("certificates could not be read", Progressing, &|seen| {
                seen.certificates = Certificates::Unread("no answer".into());
            }),
            case("its endpoint is another and boxes run on the former", Degraded, &moved, &|_| {}, 0),
            now("too many agents fell silent", Progressing, &|seen| seen.too_many_silent = true),
            now("the keys of agents' tokens are gone", Degraded, &|seen| seen.keys = KeyState::Missing),
            now("the keys of agents' tokens were not read yet", Progressing, &|seen| {
                seen.keys = KeyState::Unread;
            }),
            case("it is deleted and Workspaces use it", Progressing, &deleted, &|_| {}, 0),
        ];
        assert_committed("BackendConfig", &cases);
    }

    #[test]
    fn one_of_reconciling_and_stalled_is_there_exactly_while_it_is_not_ready() {
        let config = config();
        let errors =
            [None, Some(ErrorKind::Unreachable), Some(ErrorKind::WrongBackend), Some(ErrorKind::Failed)];
        for (error, silent, unread) in errors.iter().flat_map(|e| {
            [(e, false, false), (e, true, false), (e, false, true), (e, true, true)].into_iter()
        }) {
            let mut seen = seen(&config, Uses::default());
            if let Some(kind) = error {
                seen.preflight = Some(Err(BackendError::new(*kind, "e")));
            }
            seen.too_many_silent = silent;
            if unread {
                seen.certificates = Certificates::Unread("slow".into());
                seen.keys = KeyState::Unread;
            }
            let status = said(&config, &seen, at(0));
            let is = |type_| condition::is_true(&status.conditions, type_);
            let abnormal = i32::from(is(ConditionType::Reconciling)) + i32::from(is(ConditionType::Stalled));
            assert_eq!(abnormal, i32::from(!is(ConditionType::Ready)), "{:?}", words(&status));
        }
    }
}
