//! Every kind of status that a Workspace has, with the health that Argo CD is meant to see in it.

use super::driver::workspace;
use crate::api::Reason;
use crate::api::gitops::Health::{Degraded, Healthy, Progressing, Suspended};
use crate::api::gitops::{Case, Health, assert_committed};
use crate::api::names;
use crate::api::workspace::{Attempt, Launch, Outcome, Workspace};
use crate::backend::scripted::World;
use crate::backend::{BackendError, BoxSeen, BoxState, Contents, ErrorKind, ImageState, Outlook};
use crate::liveness::{AgentView, CardSeen, Link};
use crate::workspace::describe::describe;
use crate::workspace::desired::{Desired, KeyedHash, NextLaunch, Problem};
use crate::workspace::seen::{Failure, Periods, Seen, Slot, Unplaced, Volume};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::json;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

/// An object, and what one look shows of it.
#[derive(Clone)]
struct Look {
    ws: Workspace,
    seen: Seen,
}

impl Look {
    /// A Workspace that was just made, on a platform that is well.
    fn fresh() -> Self {
        let mut ws: Workspace = serde_json::from_value(workspace()).unwrap();
        ws.metadata.generation = Some(3);
        ws.status = Some(serde_json::from_value(json!({"observedGeneration": -1})).unwrap());
        let desired = Desired {
            contents: Contents::default(),
            hash: KeyedHash { key_id: "k".into(), hash: "h1-a".into() },
            hash_as_recorded: Some("h1-a".into()),
            next: Some(NextLaunch { request: "{}".into(), client_token: None, user_data_hash: None }),
            request_as_recorded: Some("{\"image\":\"demo:1\"}".into()),
            boot_timeout_seconds: 300,
            memory_mib: 512,
        };
        let agent = AgentView {
            first_call: None,
            stages: Vec::new(),
            exit: None,
            rejected: None,
            link: Link::TooEarly,
            ttl: SignedDuration::from_secs(180),
        };
        let seen = Seen {
            configured: true,
            desired: Ok(desired),
            place: Ok(World::new("one").record()),
            boxes: Ok(Vec::new()),
            outlook: Outlook::CERTAIN,
            volume: Volume::Settled,
            leftovers: Ok(false),
            image: None,
            pull_credentials: None,
            agent,
            log_tail: None,
            slot: Slot::Free,
            may_roll: false,
            failure: None,
            periods: Periods::default(),
            jitter: 0.0,
        };
        Self { ws, seen }
    }

    /// One with a launch on record and no box yet.
    fn pending() -> Self {
        let mut look = Self::fresh();
        let status = look.ws.status.as_mut().unwrap();
        status.placement = Some(World::new("one").record());
        status.launch = Some(Launch {
            attempt: 1,
            outcome: Outcome::Pending,
            spec_hash: "h1-a".into(),
            key_id: "k".into(),
            request: "{\"image\":\"demo:1\"}".into(),
            client_token: None,
            user_data_hash: None,
            started_at: Time(at(-10)),
            last_sent_at: None,
            failures: 0,
            last_failed_at: None,
            not_before: None,
        });
        look
    }

    /// One whose box runs, and whose agent was not heard yet.
    fn running() -> Self {
        let mut look = Self::pending();
        look.seen.boxes = Ok(vec![BoxSeen {
            id: "box1".into(),
            attempt: Some(1),
            spec_hash: Some("h1-a".into()),
            state: BoxState::Running,
            started_at: Some(at(0)),
            address: None,
            addresses: Vec::new(),
            image: "demo:1".into(),
            ec2: None,
        }]);
        look.then(0)
    }

    /// One that is ready.
    fn ready() -> Self {
        let mut look = Self::running();
        let card = CardSeen { url: "http://10.0.0.2:8000".into(), name: "a".into(), version: None };
        look.seen.agent.first_call = Some(at(5));
        look.seen.agent.link = Link::Connected { since: at(5), card: Some(card) };
        look.then(5)
    }

    /// The same after its status was written at this second.
    fn then(mut self, second: i64) -> Self {
        self.ws.status = Some(self.said(second));
        self
    }

    fn said(&self, second: i64) -> crate::api::WorkspaceStatus {
        describe(&self.ws, self.ws.status.as_ref().unwrap(), &self.seen, at(second)).status
    }

    fn set_box(&mut self, state: BoxState) {
        self.seen.boxes.as_mut().unwrap()[0].state = state;
    }

    fn launch(&mut self) -> &mut Launch {
        self.ws.status.as_mut().unwrap().launch.as_mut().unwrap()
    }

    fn annotate(&mut self, key: &str, value: &str) {
        self.ws.metadata.annotations.get_or_insert_default().insert(key.into(), value.into());
    }

    fn delete(&mut self) {
        self.ws.metadata.deletion_timestamp = Some(Time(at(10)));
    }

    /// What is said of it at this second, after a change.
    fn case(mut self, name: &str, health: Health, second: i64, change: impl FnOnce(&mut Self)) -> Case {
        change(&mut self);
        Case::new(name, health, &self.then(second).ws)
    }
}

fn spec_cases() -> Vec<Case> {
    let fresh = Look::fresh;
    let problem = |reason: Reason, health| {
        fresh().case(&format!("its spec is judged {reason}"), health, 1, |look| {
            look.seen.desired = Err(Problem::new(reason, "what was found and what to do"));
        })
    };
    let missing = |reason: Reason| {
        let mut look = fresh();
        if reason == Reason::ReferenceNotFound {
            look.seen.desired = Err(Problem::new(reason, "there is no Secret \"keys\": create it"));
        } else {
            look.seen.configured = reason != Reason::NoBackend;
            look.seen.place = Err(Unplaced { reason, message: "what is missing".into() });
        }
        [
            look.clone().case(&format!("{reason}, since a moment"), Progressing, 1, |_| {}),
            look.then(1).case(&format!("{reason}, for two minutes"), Degraded, 121, |_| {}),
        ]
    };
    let mut cases = vec![
        Case::new("nobody has looked at it", Progressing, &fresh().ws),
        fresh().case("it is about to be launched", Progressing, 1, |_| {}),
        fresh().case("it waits for a slot", Progressing, 1, |look| look.seen.slot = Slot::Taken(2)),
        fresh()
            .case("it is paused before its launch", Degraded, 1, |look| look.annotate(names::PAUSED, "true")),
        fresh().case("it is suspended before its launch", Suspended, 1, |look| look.ws.spec.suspend = true),
        fresh().case("the key of agents' tokens is gone", Degraded, 1, |look| {
            let message = "restore the Secret".to_owned();
            look.seen.place = Err(Unplaced { reason: Reason::TokenKeyMissing, message });
        }),
        problem(Reason::ReferenceUnreadable, Progressing),
    ];
    for reason in [
        Reason::UnknownRuntime,
        Reason::TierNotAllowed,
        Reason::NotAllowedHere,
        Reason::QuotaExceeded,
        Reason::MissingEnv,
        Reason::StorageNotSupported,
        Reason::InvalidSpec,
    ] {
        cases.push(problem(reason, Degraded));
    }
    for reason in [Reason::NoBackend, Reason::BackendNotReady, Reason::ReferenceNotFound] {
        cases.extend(missing(reason));
    }
    cases
}

fn launch_cases() -> Vec<Case> {
    let refused = |kind: ErrorKind, health| {
        Look::pending().case(&format!("its launch meets {kind:?}"), health, 1, |look| {
            let error = BackendError::new(kind, "the backend's own words");
            if error.closes_attempt() == Some(Outcome::Refused) {
                look.launch().outcome = Outcome::Refused;
            }
            look.seen.failure = Some(Failure { error, not_before: at(60) });
        })
    };
    let silent = |kind: ErrorKind, health| {
        Look::ready().case(&format!("its backend answers {kind:?}"), health, 9, |look| {
            look.seen.boxes = Err(BackendError::new(kind, "the backend's own words"));
        })
    };
    vec![
        Look::pending().case("its box is being made", Progressing, 1, |_| {}),
        Look::pending().case("its image is pulled", Progressing, 1, |look| {
            look.seen.image =
                Some(Ok(ImageState::Pulling { how_far: Some("40 %".into()), failed_before: None }));
        }),
        Look::pending().case("its image cannot be had", Degraded, 1, |look| {
            look.seen.image = Some(Ok(ImageState::Failed("no such image".into(), at(0))));
        }),
        refused(ErrorKind::NameTaken, Degraded),
        refused(ErrorKind::Invalid, Degraded),
        refused(ErrorKind::VcpuLimit, Degraded),
        refused(ErrorKind::Denied, Degraded),
        refused(ErrorKind::Refused, Degraded),
        refused(ErrorKind::Busy, Progressing),
        refused(ErrorKind::Failed, Progressing),
        refused(ErrorKind::Throttled, Progressing),
        refused(ErrorKind::NoCapacity, Progressing),
        refused(ErrorKind::SubnetFull, Progressing),
        silent(ErrorKind::Unreachable, Progressing),
        silent(ErrorKind::ControlPlaneUnreachable, Progressing),
        silent(ErrorKind::Unauthorized, Degraded),
        silent(ErrorKind::WrongBackend, Degraded),
    ]
}

fn boot_cases() -> Vec<Case> {
    let ends = |name: &str, oom_killed: bool, failures: i32| {
        Look::ready().case(name, Progressing, 9, |look| {
            look.launch().failures = failures;
            look.set_box(BoxState::Exited { code: 3, oom_killed, finished_at: Some(at(9)), error: None });
        })
    };
    let timed_out = |name: &str, health, before: i64| {
        Look::running().case(name, health, 301, |look| {
            look.seen.agent.link = Link::Silent;
            let attempt = |attempt| Attempt {
                attempt,
                outcome: Outcome::Gone,
                reason: Some(Reason::BootTimeout.as_str().into()),
                message: None,
                instance_id: None,
                at: Time(at(-1)),
            };
            look.ws.status.as_mut().unwrap().attempts = (1..=before).map(attempt).collect();
        })
    };
    vec![
        Look::running().case("it boots", Progressing, 1, |_| {}),
        Look::running().case("a stage of its boot failed", Progressing, 2, |look| {
            look.seen.agent.first_call = Some(at(1));
            let stage = crate::liveness::StageSeen {
                stage: serde_json::from_value(json!("agent-started")).unwrap(),
                ok: false,
                detail: Some("no space left".into()),
                at: at(1),
            };
            look.seen.agent.stages = vec![stage];
        }),
        timed_out("its first boot timed out", Progressing, 0),
        timed_out("its third boot timed out", Degraded, 2),
        Look::running().case("it called and never registered", Degraded, 301, |look| {
            look.seen.agent.first_call = Some(at(1));
            look.seen.agent.link = Link::Silent;
        }),
        Look::running().case("its registration was refused", Degraded, 2, |look| {
            look.seen.agent.first_call = Some(at(1));
            look.seen.agent.rejected = Some("the card has no url".into());
        }),
        ends("it exited", false, 1),
        ends("it keeps exiting", false, 3),
        ends("it was killed for its memory", true, 1),
        Look::ready().case("its box is gone", Progressing, 9, |look| look.seen.boxes = Ok(Vec::new())),
        Look::ready().case("its box was stopped from outside", Progressing, 9, |look| {
            look.set_box(BoxState::Stopped { reason: None });
        }),
        Look::ready().case("its spot instance was taken back", Progressing, 9, |look| {
            look.set_box(BoxState::Terminated { reason: Some("Server.SpotInstanceTermination".into()) });
        }),
        Look::ready().case("it was lost", Progressing, 200, |look| {
            look.seen.agent.link = Link::Lost { last_heard: at(6) };
        }),
        Look::ready().case("it is wedged", Progressing, 9, |look| {
            look.seen.agent.link = Link::Wedged { since: at(5), card: None, why: "no model".into() };
        }),
    ]
}

fn life_cases() -> Vec<Case> {
    let stopped = || BoxState::Exited { code: 0, oom_killed: false, finished_at: None, error: None };
    vec![
        Case::new("it is ready", Healthy, &Look::ready().ws),
        Look::ready().case("it is ready and paused", Healthy, 9, |look| look.annotate(names::PAUSED, "true")),
        Look::ready().case("its runtime has another image now", Healthy, 9, |look| {
            look.seen.desired.as_mut().unwrap().request_as_recorded = Some("{\"image\":\"demo:2\"}".into());
        }),
        Look::ready().case("the platform has other settings now", Healthy, 9, |look| {
            let other = "{\"image\":\"demo:1\",\"env\":[]}";
            look.seen.desired.as_mut().unwrap().request_as_recorded = Some(other.into());
        }),
        Look::ready().case("it is suspended", Suspended, 9, |look| {
            look.ws.spec.suspend = true;
            look.set_box(stopped());
        }),
        Look::ready().case("it is suspended and its spec cannot be carried out", Suspended, 9, |look| {
            look.ws.spec.suspend = true;
            look.set_box(stopped());
            look.seen.desired = Err(Problem::new(Reason::UnknownRuntime, "there is no such runtime"));
        }),
        Look::ready().case("it is deleted", Progressing, 11, Look::delete),
        Look::ready().case("it is deleted and its backend does not answer", Progressing, 11, |look| {
            look.delete();
            look.seen.boxes = Err(BackendError::new(ErrorKind::Unreachable, "nobody is there"));
        }),
    ]
}

#[test]
fn each_status_of_a_workspace_has_its_health() {
    let cases = [spec_cases(), launch_cases(), boot_cases(), life_cases()];
    assert_committed("Workspace", &cases.into_iter().flatten().collect::<Vec<_>>());
}
