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
    let step = |config: &BackendConfig, uses| plan(config, &seen(config, uses), STALLED_AFTER, at(0)).step;
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
    assert_eq!(words(&status)[3..], ["Ready=False/ReferenceNotFound", "Reconciling=True/ReferenceNotFound"]);
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
    assert_eq!(status.endpoints, [endpoint("local", "unix:///old")], "with the time since when it is in use");
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
    assert!(status.conditions[2].message.contains("key-old must stay"), "{}", status.conditions[2].message);
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
    let errors = [None, Some(ErrorKind::Unreachable), Some(ErrorKind::WrongBackend), Some(ErrorKind::Failed)];
    for (error, silent, unread) in errors
        .iter()
        .flat_map(|e| [(e, false, false), (e, true, false), (e, false, true), (e, true, true)].into_iter())
    {
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
