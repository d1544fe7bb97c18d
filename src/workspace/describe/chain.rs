//! The conditions on the way to Ready, but for the box's own.

use super::{CRASH_LOOP, Describer, Said, second};
use crate::api::condition;
use crate::api::{ConditionType, Reason, Status};
use crate::backend::BoxSeen;
use crate::liveness::Link;
use crate::workspace::boot::{Boot, boot, is_same_start, until_slow};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

impl Describer<'_> {
    pub(super) fn accepted(&self) -> Said {
        if !self.seen.configured {
            let why = "there is no BackendConfig to judge the spec by".to_owned();
            return (Status::Unknown, Reason::NoBackend, why);
        }
        match &self.seen.desired {
            Ok(_) => {
                let spec = &self.ws.spec;
                let what = format!("runtime {}, tier {:?}", spec.runtime, spec.tier);
                (Status::True, Reason::Accepted, what)
            }
            Err(problem) if problem.reason == Reason::ReferenceUnreadable => {
                (Status::Unknown, problem.reason, problem.message.clone())
            }
            Err(problem) => (Status::False, problem.reason, problem.message.clone()),
        }
    }

    pub(super) fn backend_ready(&self) -> Said {
        let place = match &self.seen.place {
            Err(unplaced) => {
                return (Status::False, unplaced.reason, with_fix(unplaced.reason, &unplaced.message));
            }
            Ok(place) => place,
        };
        let failed = self.seen.boxes.as_ref().err().or(self.seen.failure.as_ref().map(|f| &f.error));
        if let Some(error) = failed.filter(|e| e.is_about_backend()) {
            return (Status::False, error.reason(), with_fix(error.reason(), &error.detail));
        }
        let docker = place.docker.as_ref().map(|docker| docker.host.clone());
        let ec2 = place.ec2.as_ref().map(|ec2| format!("account {} in {}", ec2.account_id, ec2.region));
        let which = docker.or(ec2).unwrap_or_default();
        (Status::True, Reason::Reachable, format!("{} answers ({which})", place.backend.as_str()))
    }

    pub(super) fn bootstrapped(&self) -> Said {
        let Some(mine) = self.running() else { return self.no_running_box() };
        let id = &mine.id;
        if let Some(failed) = self.seen.agent.stages.iter().find(|s| !s.ok) {
            let detail = failed.detail.as_deref().unwrap_or("no detail was given");
            let message = format!("{id} reported that its boot stage {} failed: {detail}", failed.stage);
            return (Status::False, Reason::BootFailed, message);
        }
        match boot(self.before, self.seen, mine, self.now) {
            Boot::Booting { .. } => self.booting(mine),
            Boot::Called { .. } if self.rides_along(mine) => self.booting(mine),
            Boot::TimedOut { .. } => {
                let timeout = self.seen.desired.as_ref().map(|d| d.boot_timeout_seconds).unwrap_or_default();
                let started = mine.started_at.map(second).unwrap_or_default();
                let message =
                    format!("{id} runs since {started}, and no authenticated call came within {timeout} s");
                (Status::False, Reason::BootTimeout, message)
            }
            Boot::Called { .. } | Boot::Connected | Boot::NeverRegistered => {
                (Status::True, Reason::Bootstrapped, "its agent has called".into())
            }
        }
    }

    fn booting(&self, mine: &BoxSeen) -> Said {
        let id = &mine.id;
        let failures = self.before.launch.as_ref().map_or(0, |l| l.failures);
        // The cause of a loop stands while it goes round: what is said of memory would come and go with each run.
        let for_memory = condition::find(&self.before.conditions, ConditionType::Ready)
            .is_some_and(|ready| ready.reason == Reason::OOMKilled.as_str());
        let (reason, again) = match (failures >= CRASH_LOOP, for_memory) {
            (false, _) => (Reason::Booting, String::new()),
            (true, false) => (Reason::CrashLoop, format!(" again after {failures} failures in a row")),
            (true, true) => {
                let again = format!(" again after {failures} failures in a row, the last for its memory");
                (Reason::OOMKilled, again)
            }
        };
        let so_far = if until_slow(mine, self.now).is_some() {
            "its agent has not connected yet"
        } else {
            "no call came within the first minute"
        };
        (Status::False, reason, format!("{id} runs{again}; {so_far}"))
    }

    /// Whether the first call of this box is told together with its connection, which most often follows at
    /// once: one write less. A registration that was refused has nothing to wait for.
    fn rides_along(&self, mine: &BoxSeen) -> bool {
        let is_told = is_same_start(self.before, mine)
            && condition::is_true(&self.before.conditions, ConditionType::Bootstrapped);
        !is_told && until_slow(mine, self.now).is_some() && self.seen.agent.rejected.is_none()
    }

    pub(super) fn agent_connected(&self) -> Said {
        let type_ = ConditionType::AgentConnected;
        let is_told = self.seen.place.is_ok() && self.seen.boxes.is_ok();
        if self.running().is_none() && (is_told || self.before.launch.is_none()) {
            return self.no_running_box();
        }
        let kept = condition::find(&self.before.conditions, type_);
        let connected_before = self.before.agent.is_some();
        let same_start = self.mine.is_none_or(|mine| is_same_start(self.before, mine));
        match &self.seen.agent.link {
            Link::Connected { card: Some(card), .. } => {
                let message = format!("registered as {:?} at {}", card.name, card.url);
                (Status::True, Reason::Connected, message)
            }
            Link::Connected { card: None, .. } => match kept.filter(|c| c.status == "True" && same_start) {
                Some(kept) => (Status::True, Reason::Connected, kept.message.clone()),
                None => {
                    (Status::True, Reason::Connected, "sends heartbeats; it has not registered a card".into())
                }
            },
            // What an agent says of its trouble wavers with every beat: the first word stands.
            Link::Wedged { why, .. } => match kept.filter(|c| c.reason == Reason::AgentWedged.as_str()) {
                Some(kept) => (Status::False, Reason::AgentWedged, kept.message.clone()),
                None => (Status::False, Reason::AgentWedged, format!("the agent says: {why}")),
            },
            Link::Lost { last_heard } => self.lost(|id, ttl| {
                format!("{id}: its agent is silent since {}; {ttl} s are allowed", second(*last_heard))
            }),
            Link::TooEarly if connected_before && same_start => keep(kept),
            Link::Silent if connected_before && same_start => self.lost(|id, ttl| {
                format!("{id}: no heartbeat of its agent came within the {ttl} s that are allowed")
            }),
            Link::TooEarly | Link::Silent => self.unregistered(),
        }
    }

    /// What is said of an agent that fell silent, in words about the box's id and the seconds that it may be: the
    /// first word stands.
    fn lost(&self, words: impl FnOnce(&str, i64) -> String) -> Said {
        let kept = condition::find(&self.before.conditions, ConditionType::AgentConnected)
            .filter(|c| c.reason == Reason::HeartbeatLost.as_str())
            .map(|c| c.message.clone());
        let seen = self.mine.map(|mine| mine.id.as_str());
        let id = seen.or(self.before.instance_id.as_deref()).unwrap_or("its box");
        let message = kept.unwrap_or_else(|| words(id, self.seen.agent.ttl.as_secs()));
        (Status::False, Reason::HeartbeatLost, message)
    }

    pub(super) fn unregistered(&self) -> Said {
        if let Some(why) = &self.seen.agent.rejected {
            return (
                Status::False,
                Reason::RegistrationRejected,
                format!("its registration was refused: {why}"),
            );
        }
        let Some(mine) = self.running() else { return self.no_running_box() };
        match boot(self.before, self.seen, mine, self.now) {
            Boot::NeverRegistered => {
                let stages: Vec<_> = self.seen.agent.stages.iter().map(|s| s.stage.to_string()).collect();
                let said = match stages.as_slice() {
                    [] => "it made other calls".to_owned(),
                    [stage] => format!("it posted the boot stage {stage}"),
                    stages => format!("it posted the boot stages {}", stages.join(", ")),
                };
                let message = format!("{} runs and has called, but never registered: {said}", mine.id);
                (Status::False, Reason::NeverRegistered, message)
            }
            Boot::TimedOut { .. } => {
                (Status::Unknown, Reason::BootTimeout, "it has not registered, nor called at all".into())
            }
            Boot::Booting { .. } | Boot::Called { .. } | Boot::Connected => {
                (Status::Unknown, Reason::Booting, "it has not registered yet".into())
            }
        }
    }

    /// What is said of an agent whose box does not run: the box's own trouble.
    pub(super) fn no_running_box(&self) -> Said {
        let (said, reason, message) = self.instance_launched();
        let is_its_end = matches!(reason, Reason::ContainerExited | Reason::OOMKilled | Reason::CrashLoop);
        if said == Status::False && is_its_end {
            return (Status::False, reason, message);
        }
        (Status::Unknown, reason, "there is no box that is known to run".into())
    }
}

/// Of a backend as a whole nothing but this one sentence is shown in a table: it carries what to do.
fn with_fix(reason: Reason, message: &str) -> String {
    let is_about_all = matches!(
        reason,
        Reason::DockerUnreachable
            | Reason::ControlPlaneUnreachable
            | Reason::Unauthorized
            | Reason::WrongBackend
    );
    match reason.fix_beyond(message).filter(|_| is_about_all) {
        Some(fix) => format!("{message}. {fix}"),
        None => message.to_owned(),
    }
}

/// What is recorded stands: this process has not listened for long enough to say anything else.
fn keep(kept: Option<&Condition>) -> Said {
    let Some(kept) = kept else { return (Status::Unknown, Reason::Booting, "it was not heard yet".into()) };
    let said = match kept.status.as_str() {
        "True" => Status::True,
        "False" => Status::False,
        _ => Status::Unknown,
    };
    (said, Reason::parse(&kept.reason).unwrap_or(Reason::Booting), kept.message.clone())
}
