//! The decisions about a launch whose calls may be lost on their way, as on EC2: send again, close, or go on to
//! the next attempt. Pure; a part of [`plan`](super::plan).

use super::pauses::SOON;
use super::plan::{Planner, UNLISTED, now, wait};
use super::recorded::is_outdated;
use super::seen::Slot;
use super::step::{Next, Plan, Step};
use crate::api::Reason;
use crate::api::workspace::{Launch, Outcome};
use crate::backend::Recorder;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use std::time::Duration;

/// A launch call is not sent again after so long: EC2 may have forgotten its token.
const REPLAY_WITHIN: Duration = Duration::from_secs(12 * 3600);
/// How often it is noted that a call was sent again.
const NOTE_SENT: Duration = Duration::from_secs(3600);
/// The shortest pause after a launch that was refused: what a person must mend needs no hot calls.
const REFUSED: Duration = Duration::from_secs(60);

impl Planner<'_> {
    /// A launch was recorded, and its calls may be lost on their way: what they made is learnt by sending the
    /// same call again, which makes no second one.
    pub(super) fn sent(&self, launch: &Launch) -> Plan {
        if let Some(closed) = self.closed(launch) {
            return closed;
        }
        let is_open = self.is_open();
        if self.ws.spec.suspend && !is_open {
            return wait(Next::Resync);
        }
        let changed = self.spec_changed(launch) || is_outdated(self.status, self.seen);
        if changed && !is_open {
            let not_before = launch.not_before.clone();
            return self.relaunch(launch, Outcome::Refused, Reason::Launching, launch.failures, not_before);
        }
        self.send(launch, is_open)
    }

    /// While deleting: what is still to be done before nothing of this launch can show up any more; `None` where
    /// that is so.
    pub(super) fn unproven(&self, launch: &Launch) -> Option<Plan> {
        if !self.is_open() {
            return self.follows_open().then(|| wait(Next::After(UNLISTED)));
        }
        match launch.outcome {
            Outcome::Pending => Some(self.closed(launch).unwrap_or_else(|| self.send(launch, true))),
            Outcome::Refused => Some(wait(Next::After(UNLISTED))),
            // What was answered once is what every later call of its token answers.
            Outcome::Launched | Outcome::Gone => self.follows_open().then(|| wait(Next::After(UNLISTED))),
        }
    }

    /// Whether a call of the recorded launch may have made, or may yet make, what no list shows.
    fn is_open(&self) -> bool {
        self.seen.outlook.fence.is_some() || self.seen.outlook.unsettled
    }

    /// Whether a call of an attempt before the recorded one may have made, or may yet make, what no list shows. The
    /// token of one that was launched has had its instance; and it was launched when all before it was over.
    fn follows_open(&self) -> bool {
        let before = self.status.attempts.last();
        self.seen.outlook.earlier_unsettled && before.is_some_and(|a| a.outcome == Outcome::Refused)
    }

    /// Sends the recorded call, maybe again.
    fn send(&self, launch: &Launch, is_open: bool) -> Plan {
        let sent = launch.last_sent_at.as_ref().unwrap_or(&launch.started_at).0;
        let age = Duration::try_from(self.now.duration_since(sent)).unwrap_or_default();
        if age > REPLAY_WITHIN {
            // EC2 may have forgotten the token: it is looked for, and a complete list does not show it.
            return if is_open {
                wait(Next::After(UNLISTED))
            } else {
                self.close(launch, Outcome::Refused, launch.failures)
            };
        }
        if let Some(pause) = self.until(launch.not_before.as_ref()) {
            return wait(Next::After(pause));
        }
        // Another attempt's instance may be there, or come, and nothing is made beside it.
        if self.follows_open() {
            return wait(Next::After(UNLISTED));
        }
        if let Slot::Taken(_) = self.seen.slot {
            return wait(Next::After(SOON));
        }
        if self.must_wait() {
            return wait(self.retry());
        }
        // A process that has lost the lead may be about to write what it decided before, such as that the finalizer
        // goes. This write comes first, and makes a conflict of that one.
        if age > NOTE_SENT || self.seen.outlook.recorder == Recorder::Another {
            let noted = Launch { last_sent_at: Some(Time(self.now)), ..launch.clone() };
            return self.record(noted);
        }
        now(Step::Create)
    }

    /// What follows where the last call was answered in a way that ends the attempt.
    fn closed(&self, launch: &Launch) -> Option<Plan> {
        let error = &self.seen.failure.as_ref()?.error;
        let outcome = error.closes_attempt()?;
        if error.is_about_offering() && self.seen.outlook.short_until.is_none() && !self.is_deleting() {
            // Another offering may do, and is tried at once.
            return Some(self.after_refusal(launch, launch.failures));
        }
        Some(self.close(launch, outcome, launch.failures.saturating_add(1)))
    }

    /// Stores that the attempt has ended, and until when the next one waits.
    fn close(&self, launch: &Launch, outcome: Outcome, failures: i32) -> Plan {
        let after = self.after(failures).0.max(self.now.saturating_add(REFUSED).unwrap_or(Timestamp::MAX));
        let not_before = self.seen.outlook.short_until.map_or(after, |short| short.max(after));
        let closed = Launch { outcome, failures, not_before: Some(Time(not_before)), ..launch.clone() };
        self.record(closed)
    }

    /// The attempt after one that was refused. It waits until no call of that one can take effect any more.
    pub(super) fn after_refusal(&self, launch: &Launch, failures: i32) -> Plan {
        let why = self.seen.failure.as_ref().filter(|f| f.error.closes_attempt().is_some());
        let why = why.map(|f| f.error.reason()).or(self.reason_now()).unwrap_or(Reason::InvalidRequest);
        self.relaunch(launch, Outcome::Refused, why, failures, self.seen.outlook.fence.map(Time))
    }
}
