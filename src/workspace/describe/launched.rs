//! `InstanceLaunched`: what is known of the box.

use super::{CRASH_LOOP, Describer, Said, second};
use crate::api::condition;
use crate::api::workspace::{Launch, Outcome};
use crate::api::{ConditionType, Reason, Status};
use crate::backend::{BackendError, BoxSeen, BoxState, ContainerPlan, ErrorKind, ImageState};
use crate::workspace::plan::why_ended;
use crate::workspace::recorded::{is_paused, restart_wanted};
use crate::workspace::seen::Slot;

impl Describer<'_> {
    pub(super) fn instance_launched(&self) -> Said {
        let Some(launch) = &self.before.launch else { return self.not_launched() };
        if self.seen.place.is_err() || self.seen.boxes.is_err() {
            let (_, reason, _) = self.backend_ready();
            let reason = self.seen.boxes.as_ref().err().map_or(reason, BackendError::reason);
            let last = match (&self.before.instance_id, &self.before.instance) {
                (Some(id), Some(known)) => format!("{id} was last seen {}", known.state),
                (Some(id), None) => format!("{id} was launched"),
                _ => format!("attempt {} is recorded", launch.attempt),
            };
            return (Status::Unknown, reason, format!("{last}; the backend cannot be asked now"));
        }
        match self.mine {
            Some(mine) => self.with_box(launch, mine),
            None => self.without_box(launch),
        }
    }

    pub(super) fn not_launched(&self) -> Said {
        for (said, reason, _) in [self.accepted(), self.backend_ready()] {
            if said != Status::True {
                return (Status::False, reason, "no launch was sent".into());
            }
        }
        if self.ws.spec.suspend {
            return (Status::False, Reason::Suspended, "suspended before its first launch".into());
        }
        if let Slot::Taken(n) = self.seen.slot {
            return (Status::False, Reason::WaitingForSlot, waiting(n));
        }
        (Status::False, Reason::Launching, "no launch was sent yet".into())
    }

    pub(super) fn without_box(&self, launch: &Launch) -> Said {
        let attempt = launch.attempt;
        if self.ws.spec.suspend {
            return (Status::False, Reason::Suspended, "suspended; there is no box".into());
        }
        if self.deleting || matches!(launch.outcome, Outcome::Launched | Outcome::Gone) {
            return self.gone();
        }
        if launch.outcome == Outcome::Refused {
            return self.refused(launch);
        }
        let image = ContainerPlan::image_of(&launch.request);
        match &self.seen.image {
            // Until a retry brings news, what its forerunner met stands: Stalled would come and go with each.
            Some(Ok(
                ImageState::Failed(words, _)
                | ImageState::Pulling { how_far: None, failed_before: Some(words) },
            )) => {
                let message = if words.contains(&image) {
                    format!("the image is not on the engine, and {words}")
                } else {
                    format!("the image {image} is not on the engine, and pulling it failed: {words}")
                };
                return (Status::False, Reason::ImageNotFound, message);
            }
            Some(Ok(ImageState::Pulling { how_far, .. })) => {
                let how_far = how_far.as_deref().unwrap_or("asking the registry");
                return (Status::False, Reason::PullingImage, format!("{image}: {how_far}"));
            }
            _ => {}
        }
        if let Some(failure) = &self.seen.failure {
            let reason = match failure.error.kind {
                ErrorKind::ImageNotFound => Reason::PullingImage,
                _ => failure.error.reason(),
            };
            return (Status::False, reason, failure.error.detail.clone());
        }
        if let Some(ended) = self.before.attempts.last().filter(|a| a.attempt + 1 == attempt)
            && launch.not_before.as_ref().is_some_and(|t| t.0 > self.now)
        {
            let reason = ended.reason.as_deref().and_then(Reason::parse).unwrap_or(Reason::Launching);
            let at = launch.not_before.as_ref().map(|t| second(t.0)).unwrap_or_default();
            let id = ended.instance_id.as_deref().map(|id| format!(" ({id})")).unwrap_or_default();
            let words = ended.message.as_deref().map(|words| format!(": {words}")).unwrap_or_default();
            let message = format!(
                "attempt {}{id} ended: {reason}{words}; attempt {attempt} follows at {at}",
                ended.attempt
            );
            return (Status::False, reason, message);
        }
        if let Slot::Taken(n) = self.seen.slot {
            return (Status::False, Reason::WaitingForSlot, waiting(n));
        }
        (Status::False, Reason::Launching, format!("attempt {attempt} is recorded; its box is being made"))
    }

    fn gone(&self) -> Said {
        let id = self.before.instance_id.as_deref().unwrap_or("the box");
        let message = match self.ended.map(|ended| &ended.state) {
            Some(BoxState::Terminated { reason: Some(why) }) => format!("{id} was terminated: {why}"),
            Some(_) => format!("{id} was terminated"),
            None => format!("{id} is gone: a complete list of the backend does not show it"),
        };
        (Status::False, why_ended(self.ended), format!("{message}{}", self.successor()))
    }

    /// What follows on a box that is gone, or goes, while the Workspace is wanted.
    fn successor(&self) -> &'static str {
        let is_wanted = !self.deleting && !self.ws.spec.suspend && !is_paused(self.ws);
        if is_wanted && self.seen.desired.is_ok() { "; another follows" } else { "" }
    }

    /// What is said of an attempt that was refused: the backend's words, or, for a process that did not hear
    /// them, what was said then.
    fn refused(&self, launch: &Launch) -> Said {
        let attempt = launch.attempt;
        let failure = self.seen.failure.as_ref().filter(|f| f.error.closes_attempt().is_some());
        if let Some(failure) = failure {
            let at = launch.not_before.as_ref().map(|t| second(t.0)).unwrap_or_default();
            let detail = &failure.error.detail;
            let message = format!("{detail}; attempt {} follows at {at}", attempt.saturating_add(1));
            return (Status::False, failure.error.reason(), message);
        }
        let kept = condition::find(&self.before.conditions, ConditionType::InstanceLaunched);
        let kept = kept.and_then(|c| Some((Reason::parse(&c.reason)?, c.message.clone())));
        let (reason, message) =
            kept.unwrap_or((Reason::InvalidRequest, format!("attempt {attempt} was refused")));
        (Status::False, reason, message)
    }

    pub(super) fn with_box(&self, launch: &Launch, mine: &BoxSeen) -> Said {
        let id = &mine.id;
        match &mine.state {
            BoxState::Running => (Status::True, Reason::Running, format!("{id} runs")),
            BoxState::Created => match &self.seen.failure {
                Some(failure) => (Status::False, failure.error.reason(), format!("{id}: {}", failure.error)),
                None => (Status::False, Reason::Launching, format!("{id} is made and not started yet")),
            },
            BoxState::Starting => (Status::False, Reason::Launching, format!("{id} is pending")),
            BoxState::Unlisted => {
                let message = format!("{id} was launched, and the backend does not list it at the moment");
                (Status::Unknown, Reason::Launching, message)
            }
            BoxState::Terminated { .. } => self.gone(),
            BoxState::Stopped { .. } if self.ws.spec.suspend => {
                (Status::False, Reason::Suspended, format!("{id} is stopped, its volumes are kept"))
            }
            BoxState::Stopped { reason } => {
                let why = reason.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
                let again =
                    launch.not_before.as_ref().map(|t| format!("; will be started again at {}", second(t.0)));
                let message = format!("{id} is stopped{why}{}", again.unwrap_or_default());
                (Status::False, Reason::InstanceStopped, message)
            }
            BoxState::Removing => {
                (Status::False, Reason::InstanceGone, format!("{id} is being removed{}", self.successor()))
            }
            BoxState::Other(word) => (Status::False, Reason::InstanceStopped, format!("{id} is {word}")),
            BoxState::Exited { .. } if self.ws.spec.suspend => {
                (Status::False, Reason::Suspended, format!("{id} is stopped, its volumes are kept"))
            }
            BoxState::Exited { code, oom_killed, error, .. } => {
                if let Some(kept) = self.failed_boot() {
                    return (Status::False, Reason::BootTimeout, kept);
                }
                self.ended(launch, id, *code, *oom_killed, error.as_deref())
            }
        }
    }

    pub(super) fn ended(
        &self,
        launch: &Launch,
        id: &str,
        code: i64,
        oom_killed: bool,
        error: Option<&str>,
    ) -> Said {
        let how = match (oom_killed, error.filter(|e| !e.is_empty())) {
            (true, _) => {
                let limit = self.seen.desired.as_ref().map(|d| d.memory_mib).unwrap_or_default();
                format!("{id} was killed for its memory (exit code {code}, limit {limit} MiB)")
            }
            (false, Some(error)) => format!("{id} could not be started (exit code {code}): {error}"),
            (false, None) => format!("{id} exited with code {code}"),
        };
        let again = launch.not_before.as_ref().map(|t| format!("; will be started again at {}", second(t.0)));
        let times =
            if launch.failures > 1 { format!(", {} times in a row", launch.failures) } else { String::new() };
        let reason = match (oom_killed, launch.failures >= CRASH_LOOP) {
            (true, _) => Reason::OOMKilled,
            (false, true) => Reason::CrashLoop,
            (false, false) => Reason::ContainerExited,
        };
        (Status::False, reason, format!("{how}{times}{}", again.unwrap_or_default()))
    }

    /// The words for a box whose last boot timed out and that was stopped after its time of grace.
    pub(super) fn failed_boot(&self) -> Option<String> {
        condition::find(&self.before.conditions, ConditionType::Ready)
            .filter(|c| c.reason == Reason::BootTimeout.as_str() && !restart_wanted(self.ws, self.before))
            .map(|c| c.message.clone())
    }
}

fn waiting(launching: i32) -> String {
    format!("{launching} other members of the Team are launching, and maxConcurrentLaunches allows no more")
}
