//! `plan` over generated inputs: it is total, and keeps the rules about finalizers and creates.

use super::driver::{UID, workspace};
use crate::api::Reason;
use crate::api::names;
use crate::api::workspace::{Attempt, Launch, Outcome, Workspace, WorkspaceStatus};
use crate::backend::scripted::World;
use crate::backend::{BackendError, BoxSeen, BoxState, Contents, ErrorKind, ImageState, Outlook, Recorder};
use crate::liveness::{AgentView, Link};
use crate::workspace::describe::describe;
use crate::workspace::desired::{Desired, KeyedHash, NextLaunch, Problem};
use crate::workspace::plan::plan;
use crate::workspace::recorded::{is_forgotten, sort};
use crate::workspace::seen::{Failure, Periods, Seen, Slot, Unplaced, Volume};
use crate::workspace::step::{Release, Step};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn state() -> impl Strategy<Value = BoxState> {
    let exited = (any::<bool>(), 0..200i64, -100..100i64).prop_map(|(oom_killed, code, s)| {
        BoxState::Exited { code, oom_killed, finished_at: Some(at(s)), error: None }
    });
    prop_oneof![
        1 => Just(BoxState::Created),
        3 => Just(BoxState::Running),
        2 => exited,
        1 => Just(BoxState::Removing),
        1 => Just(BoxState::Starting),
        1 => Just(BoxState::Unlisted),
        1 => Just(BoxState::Stopped { reason: None }),
        2 => Just(BoxState::Terminated { reason: Some("Server.SpotInstanceTermination".into()) }),
        1 => Just(BoxState::Other("paused".into())),
        1 => Just(BoxState::Other("dead".into())),
    ]
}

fn a_box() -> impl Strategy<Value = BoxSeen> {
    (0..4u8, 0..4i64, state(), -2000..10i64).prop_map(|(id, attempt, state, started)| BoxSeen {
        id: format!("box{id}"),
        attempt: (attempt > 0).then_some(attempt),
        spec_hash: Some("h1-a".into()),
        state,
        started_at: Some(at(started)),
        address: None,
        addresses: Vec::new(),
        image: "demo:1".into(),
        ec2: None,
    })
}

fn boxes() -> impl Strategy<Value = Result<Vec<BoxSeen>, BackendError>> {
    let unique = prop::collection::vec(a_box(), 0..4).prop_map(|mut boxes| {
        boxes.sort_by(|a, b| a.id.cmp(&b.id));
        boxes.dedup_by(|a, b| a.id == b.id);
        Ok(boxes)
    });
    prop_oneof![5 => unique, 1 => error().prop_map(Err)]
}

fn error() -> impl Strategy<Value = BackendError> {
    use ErrorKind::{
        Busy, Denied, Ended, Failed, ImageNotFound, Invalid, NameTaken, NoCapacity, NotFound, Refused,
        Unauthorized, Unreachable, WrongBackend,
    };
    let kinds = [
        Unreachable,
        Unauthorized,
        WrongBackend,
        Busy,
        NotFound,
        NameTaken,
        ImageNotFound,
        Invalid,
        Failed,
        NoCapacity,
        Denied,
        Refused,
        Ended,
    ];
    prop::sample::select(kinds.to_vec()).prop_map(|kind| BackendError::new(kind, "said"))
}

fn launch() -> impl Strategy<Value = Option<Launch>> {
    let outcome =
        prop::sample::select(vec![Outcome::Pending, Outcome::Refused, Outcome::Launched, Outcome::Gone]);
    let launch = (1..4i64, outcome, any::<bool>(), 0..6i32, prop::option::of(-100..100i64), any::<bool>());
    let launch = launch.prop_map(|(attempt, outcome, same, failures, not_before, same_request)| Launch {
        attempt,
        outcome,
        spec_hash: if same { "h1-a" } else { "h1-b" }.into(),
        key_id: "k".into(),
        request: if same_request { "{}" } else { "{\"image\":1}" }.into(),
        client_token: None,
        user_data_hash: None,
        started_at: Time(at(-50)),
        last_sent_at: None,
        failures,
        last_failed_at: None,
        not_before: not_before.map(|s| Time(at(s))),
    });
    prop::option::weighted(0.85, launch)
}

fn status() -> impl Strategy<Value = WorkspaceStatus> {
    let attempts = prop::collection::vec((1..4i64, any::<bool>(), any::<bool>()), 0..5);
    (launch(), prop::option::of(0..4u8), attempts, any::<bool>()).prop_map(
        |(launch, id, attempts, placed)| {
            let attempts = attempts.into_iter().map(|(attempt, timed_out, refused)| Attempt {
                attempt,
                outcome: if refused { Outcome::Refused } else { Outcome::Gone },
                reason: timed_out.then(|| Reason::BootTimeout.as_str().into()),
                message: None,
                instance_id: None,
                at: Time(at(0)),
            });
            WorkspaceStatus {
                placement: (placed || launch.is_some()).then(|| World::new("one").record()),
                instance_id: launch.as_ref().and(id).map(|id| format!("box{id}")),
                attempts: attempts.collect(),
                launch,
                ..WorkspaceStatus::default()
            }
        },
    )
}

fn desired() -> impl Strategy<Value = Result<Desired, Problem>> {
    let problem =
        prop::sample::select(vec![Reason::ReferenceNotFound, Reason::UnknownRuntime, Reason::NoBackend]);
    let ok = any::<bool>().prop_map(|recorded| {
        Ok(Desired {
            contents: Contents::default(),
            hash: KeyedHash { key_id: "k".into(), hash: "h1-a".into() },
            hash_as_recorded: recorded.then(|| "h1-a".into()),
            next: Some(NextLaunch { request: "{}".into(), client_token: None, user_data_hash: None }),
            request_as_recorded: recorded.then(|| "{}".into()),
            boot_timeout_seconds: 60,
            memory_mib: 512,
        })
    });
    prop_oneof![4 => ok, 1 => problem.prop_map(|reason| Err(Problem::new(reason, "said")))]
}

fn link() -> impl Strategy<Value = Link> {
    prop_oneof![
        Just(Link::TooEarly),
        Just(Link::Silent),
        Just(Link::Connected { since: at(-1), card: None }),
        Just(Link::Wedged { since: at(-1), card: None, why: "said".into() }),
        Just(Link::Lost { last_heard: at(-1) }),
    ]
}

/// Half of the launches are where calls can be lost.
fn outlook() -> impl Strategy<Value = Outlook> {
    let times = (prop::option::of(1..200i64), prop::option::weighted(0.3, 1..200i64));
    let recorder = prop_oneof![2 => Just(Recorder::This), 1 => Just(Recorder::Another)];
    let lossy = (times, any::<bool>(), prop::bool::weighted(0.3), recorder);
    let lossy = lossy.prop_map(|((fence, short), unsettled, earlier_unsettled, recorder)| Outlook {
        absence_proves: false,
        fence: fence.map(at),
        short_until: short.map(at),
        unsettled: unsettled || fence.is_some(),
        earlier_unsettled,
        recorder,
    });
    prop_oneof![Just(Outlook::CERTAIN), lossy]
}

/// The boxes that may live.
fn live(seen: &Seen) -> Option<Vec<&BoxSeen>> {
    let boxes = seen.boxes.as_ref().ok()?;
    Some(boxes.iter().filter(|b| !matches!(b.state, BoxState::Terminated { .. })).collect())
}

/// Whether the recorded box is seen to have ended.
fn has_ended(status: &WorkspaceStatus, seen: &Seen) -> bool {
    seen.boxes.as_ref().is_ok_and(|boxes| sort(status, boxes).ended.is_some())
}

/// Whether calls of the attempt before may have made an instance that nobody knows.
fn follows_refused(status: &WorkspaceStatus) -> bool {
    status.attempts.last().is_some_and(|ended| ended.outcome == Outcome::Refused)
}

prop_compose! {
    fn seen()(
        desired in desired(),
        placed in any::<bool>(),
        boxes in boxes(),
        outlook in outlook(),
        volume in prop_oneof![
            3 => Just(Volume::Settled), 1 => Just(Volume::Missing { zone: "z".into() }),
            1 => Just(Volume::Detached { id: "vol-1".into() }),
        ],
        leftovers in prop_oneof![Just(Ok(true)), Just(Ok(false)), error().prop_map(Err)],
        image in prop::option::weighted(0.3, prop_oneof![
            Just(Ok(ImageState::Present)), Just(Ok(ImageState::Missing)),
            Just(Ok(ImageState::Pulling { how_far: Some("1 %".into()), failed_before: None })), Just(Ok(ImageState::Failed("no".into(), at(0)))),
            error().prop_map(Err),
        ]),
        link in link(),
        called in any::<bool>(),
        slot in prop_oneof![3 => Just(Slot::Free), 1 => Just(Slot::Taken(2))],
        may_roll in any::<bool>(),
        failure in prop::option::weighted(0.2, (error(), -10..10i64)),
        jitter in 0.0..1.0f64,
    ) -> Seen {
        let unplaced = Unplaced { reason: Reason::NoBackend, message: "said".into() };
        Seen {
            configured: true,
            desired,
            place: if placed { Ok(World::new("one").record()) } else { Err(unplaced) },
            boxes: if placed { boxes } else { Err(BackendError::new(ErrorKind::Unreachable, "said")) },
            outlook,
            volume,
            leftovers,
            image,
            pull_credentials: None,
            agent: AgentView {
                first_call: called.then(|| at(-1)), stages: Vec::new(), exit: None, rejected: None, link, ttl: SignedDuration::from_secs(180),
            },
            log_tail: None,
            slot,
            may_roll,
            failure: failure.map(|(error, s)| Failure { error, not_before: at(s) }),
            periods: Periods::default(),
            jitter,
        }
    }
}

prop_compose! {
    fn a_workspace()(
        status in status(),
        suspend in any::<bool>(),
        restarted in any::<bool>(),
        deleting in any::<bool>(),
        finalizer in any::<bool>(),
        word in prop_oneof![8 => Just(""), 1 => Just("box1"), 1 => Just("attempt-2")],
        paused in prop::bool::weighted(0.1),
    ) -> Workspace {
        let mut ws: Workspace = serde_json::from_value(workspace()).unwrap();
        ws.spec.suspend = suspend;
        ws.spec.restarted_at = restarted.then(|| "now".into());
        ws.metadata.deletion_timestamp = deleting.then(|| Time(at(0)));
        ws.metadata.finalizers = finalizer.then(|| vec![names::FINALIZER.into()]);
        let mut annotations = std::collections::BTreeMap::new();
        if !word.is_empty() { annotations.insert(names::FORGET_INSTANCE.into(), word.into()); }
        if paused { annotations.insert(names::PAUSED.into(), "true".into()); }
        ws.metadata.annotations = Some(annotations);
        ws.status = Some(status);
        ws
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, ..ProptestConfig::default() })]

    #[test]
    fn the_finalizer_goes_only_by_the_rule(ws in a_workspace(), seen in seen()) {
        let Step::ReleaseFinalizer(why) = plan(&ws, &seen, at(0)).step else { return Ok(()) };
        let status = ws.status.clone().unwrap();
        prop_assert!(ws.metadata.deletion_timestamp.is_some());
        match why {
            Release::NeverLaunched => prop_assert!(status.launch.is_none()),
            Release::Gone => {
                prop_assert!(seen.place.is_ok());
                prop_assert_eq!(live(&seen), Some(Vec::new()));
                prop_assert_eq!(&seen.leftovers, &Ok(false));
                let refused = seen.failure.as_ref().is_some_and(|f| f.error.closes_attempt().is_some());
                let may_be_there = matches!(seen.volume, Volume::Missing { .. }) && !refused;
                prop_assert!(!may_be_there, "a volume may have been made that nobody has recorded");
                if follows_refused(&status) && !has_ended(&status, &seen) {
                    prop_assert!(!seen.outlook.earlier_unsettled, "an earlier attempt may show up");
                }
                let outcome = status.launch.as_ref().map(|l| l.outcome);
                let was_answered = matches!(outcome, Some(Outcome::Launched | Outcome::Gone));
                if !seen.outlook.absence_proves && !was_answered && !has_ended(&status, &seen) {
                    prop_assert!(seen.outlook.fence.is_none(), "a call may still launch one");
                    prop_assert!(!seen.outlook.unsettled, "one may not be listed yet");
                }
            }
            Release::Forgotten => {
                let word = ws.metadata.annotations.as_ref().unwrap()[names::FORGET_INSTANCE].clone();
                let attempt = status.launch.map(|l| format!("attempt-{}", l.attempt));
                prop_assert!(status.instance_id == Some(word.clone()) || attempt == Some(word));
            }
        }
    }

    #[test]
    fn nothing_is_made_while_another_box_may_live(ws in a_workspace(), seen in seen()) {
        if plan(&ws, &seen, at(0)).step == Step::Create {
            let status = ws.status.clone().unwrap();
            prop_assert_eq!(live(&seen), Some(Vec::new()), "a box of {} is there", UID);
            prop_assert_eq!(seen.outlook.recorder, Recorder::This, "another may let the object go");
            let may_be_beside = seen.outlook.earlier_unsettled && follows_refused(&status);
            prop_assert!(!may_be_beside, "one of an earlier attempt may be there");
            prop_assert!(status.launch.is_some_and(|l| l.outcome == Outcome::Pending), "no intent is stored");
            // Where calls can be lost, one is sent again to learn what it made.
            let learns = seen.outlook.fence.is_some() || seen.outlook.unsettled;
            prop_assert!(ws.metadata.deletion_timestamp.is_none() || learns);
            prop_assert!(!ws.spec.suspend || learns);
        }
    }

    #[test]
    fn no_attempt_follows_a_refused_one_before_its_calls_are_over(ws in a_workspace(), seen in seen()) {
        let Step::Record(record) = plan(&ws, &seen, at(0)).step else { return Ok(()) };
        let Some(closed) = record.closed else { return Ok(()) };
        let forgotten = is_forgotten(&ws);
        if let Some(fence) = seen.outlook.fence.filter(|_| closed.outcome == Outcome::Refused && !forgotten) {
            let not_before = record.launch.not_before.map(|t| t.0);
            prop_assert!(not_before >= Some(fence), "{:?} is before {}", not_before, fence);
        }
    }

    #[test]
    fn what_was_sent_and_not_answered_is_sent_again_and_never_replaced(ws in a_workspace(), seen in seen()) {
        let status = ws.status.clone().unwrap();
        let Some(launch) = &status.launch else { return Ok(()) };
        let is_open = !seen.outlook.absence_proves && (seen.outlook.fence.is_some() || seen.outlook.unsettled);
        let is_closed = seen.failure.as_ref().is_some_and(|f| f.error.closes_attempt().is_some());
        if launch.outcome != Outcome::Pending || !is_open || is_closed || live(&seen) != Some(Vec::new()) {
            return Ok(());
        }
        let step = plan(&ws, &seen, at(0)).step;
        let is_next = matches!(&step, Step::Record(record) if record.launch.attempt != launch.attempt);
        prop_assert!(!is_next || is_forgotten(&ws) || has_ended(&status, &seen), "{:?}", step);
    }

    #[test]
    fn a_record_never_reuses_an_attempt_and_starts_the_next_one_pending(ws in a_workspace(), seen in seen()) {
        let Step::Record(record) = plan(&ws, &seen, at(0)).step else { return Ok(()) };
        let before = ws.status.clone().unwrap().launch;
        match before {
            None => prop_assert_eq!(record.launch.attempt, 1),
            Some(before) if before.attempt == record.launch.attempt => {
                let was_sent_again = record.launch.last_sent_at != before.last_sent_at;
                let is_too_old = record.launch.outcome == Outcome::Refused;
                prop_assert!(record.launch.failures > 0 || was_sent_again || is_too_old);
                prop_assert_eq!(record.launch.request, before.request, "what was frozen changed");
                prop_assert_eq!(record.launch.spec_hash, before.spec_hash, "what was frozen changed");
            }
            Some(before) => {
                prop_assert_eq!(record.launch.attempt, before.attempt + 1);
                prop_assert_eq!(record.launch.outcome, Outcome::Pending);
                prop_assert!(record.closed.is_some());
            }
        }
    }

    #[test]
    fn an_attempt_that_is_closed_keeps_the_id_of_its_box(ws in a_workspace(), seen in seen()) {
        let Step::Record(record) = plan(&ws, &seen, at(0)).step else { return Ok(()) };
        let Some(closed) = record.closed else { return Ok(()) };
        let status = ws.status.clone().unwrap();
        let boxes = seen.boxes.as_ref().ok().map(|boxes| sort(&status, boxes));
        let seen_now = boxes.and_then(|b| b.mine.or(b.ended)).map(|b| b.id.clone());
        prop_assert_eq!(closed.instance_id, status.instance_id.clone().or(seen_now));
    }

    #[test]
    fn boxes_are_addressed_by_an_id_that_was_seen(ws in a_workspace(), seen in seen()) {
        if let Step::Start(b) | Step::Stop(b) | Step::Destroy(b) = plan(&ws, &seen, at(0)).step {
            let boxes = seen.boxes.unwrap();
            prop_assert!(boxes.iter().any(|known| known.id == b.id));
        }
    }

    #[test]
    fn exactly_one_of_reconciling_and_stalled_while_not_ready(ws in a_workspace(), seen in seen()) {
        let said = describe(&ws, &ws.status.clone().unwrap(), &seen, at(0)).status.conditions;
        let is = |type_: &str| said.iter().any(|c| c.type_ == type_ && c.status == "True");
        let abnormal = usize::from(is("Reconciling")) + usize::from(is("Stalled"));
        if is("Ready") || is("Suspended") {
            prop_assert!(abnormal == 0 || ws.metadata.deletion_timestamp.is_some(), "{:#?}", said);
        } else {
            prop_assert_eq!(abnormal, 1, "{:#?}", said);
        }
    }

    #[test]
    fn a_status_stays_small(ws in a_workspace(), seen in seen()) {
        let said = describe(&ws, &ws.status.clone().unwrap(), &seen, at(0)).status;
        prop_assert!(serde_json::to_vec(&said).unwrap().len() < 24 * 1024);
    }

    #[test]
    fn saying_it_again_says_the_same(ws in a_workspace(), seen in seen()) {
        let once = describe(&ws, &ws.status.clone().unwrap(), &seen, at(0)).status;
        let twice = describe(&ws, &once, &seen, at(0)).status;
        prop_assert_eq!(serde_json::to_value(&once).unwrap(), serde_json::to_value(&twice).unwrap());
    }
}
