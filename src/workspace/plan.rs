//! The decision: from a Workspace and one look at the world to at most one step. Pure and total.
//!
//! Assume that the process dies right after any step: the next pass decides from what it then sees.

use super::boot::{Boot, boot, until_slow};
use super::desired::{Desired, NextLaunch};
use super::pauses::SOON;
use super::recorded::{ended_at, is_forgotten, is_outdated, is_paused, restart_wanted, sort};
use super::seen::{Failure, Seen, Slot, Volume};
use super::step::{Next, Plan, Record, Release, Step};
use crate::api::names;
use crate::api::workspace::{Attempt, Launch, Outcome, Workspace, WorkspaceStatus};
use crate::api::{ConditionType, Reason, condition};
use crate::backend::{BoxSeen, BoxState, ErrorKind, ImageState};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use std::time::Duration;

/// How many boots in a row may time out before a person is asked.
pub const BOOT_ATTEMPTS: i32 = 3;
/// So much is kept of the words about an attempt, in characters: what is to be done stands in the diagnosis.
const LONGEST_WORDS: usize = 300;

/// How soon to look again for a box that no list shows, or that is on its way: a hint comes sooner.
pub(super) const UNLISTED: Duration = Duration::from_secs(5);

/// Decides what to do.
pub fn plan(ws: &Workspace, seen: &Seen, now: Timestamp) -> Plan {
    Planner { ws, seen, now, status: &ws.status.clone().unwrap_or_default() }.plan()
}

pub(super) struct Planner<'a> {
    pub(super) ws: &'a Workspace,
    pub(super) seen: &'a Seen,
    pub(super) now: Timestamp,
    pub(super) status: &'a WorkspaceStatus,
}

impl Planner<'_> {
    fn plan(&self) -> Plan {
        if is_paused(self.ws) {
            return wait(Next::Resync);
        }
        if self.ws.metadata.deletion_timestamp.is_some() {
            return self.deleting();
        }
        if self.seen.place.is_err() {
            return wait(self.poll());
        }
        let Some(launch) = &self.status.launch else { return self.first_launch() };
        if is_forgotten(self.ws) {
            return self.relaunch(launch, Outcome::Gone, Reason::InstanceGone, 0, None);
        }
        let Ok(boxes) = &self.seen.boxes else { return wait(self.retry()) };
        let boxes = sort(self.status, boxes);
        if let Some(other) = boxes.others.iter().find(|b| b.state != BoxState::Unlisted) {
            return self.destroy(other);
        }
        match boxes.mine {
            Some(mine) => self.with_box(launch, mine),
            // It may live, and nothing is made beside it.
            None if !boxes.others.is_empty() => wait(Next::After(UNLISTED)),
            None => self.without_box(launch, boxes.ended),
        }
    }

    fn deleting(&self) -> Plan {
        if !self.ws.finalizers().iter().any(|f| f == names::FINALIZER) {
            return wait(Next::Resync);
        }
        if is_forgotten(self.ws) {
            return now(Step::ReleaseFinalizer(Release::Forgotten));
        }
        if self.status.launch.is_none() {
            return now(Step::ReleaseFinalizer(Release::NeverLaunched));
        }
        let (Ok(_), Ok(boxes)) = (&self.seen.place, &self.seen.boxes) else { return wait(self.retry()) };
        let boxes = sort(self.status, boxes);
        let mut live = boxes.mine.into_iter().chain(boxes.others);
        if let Some(any) = live.clone().find(|b| b.state != BoxState::Unlisted) {
            return self.destroy(any);
        }
        if live.next().is_some() {
            return wait(Next::After(UNLISTED));
        }
        if let Some(launch) = &self.status.launch
            && boxes.ended.is_none()
            && let Some(unproven) = self.unproven(launch)
        {
            return unproven;
        }
        if let Volume::Missing { zone } = &self.seen.volume
            && !self.was_refused()
        {
            // A call for one may have been made whose answer was lost: the same call again says which it was.
            return if self.must_wait() {
                wait(self.retry())
            } else {
                now(Step::MakeVolume { zone: zone.clone() })
            };
        }
        match &self.seen.leftovers {
            Err(_) => wait(self.retry()),
            Ok(true) if self.must_wait() => wait(self.retry()),
            Ok(true) => now(Step::Clear),
            Ok(false) => now(Step::ReleaseFinalizer(Release::Gone)),
        }
    }

    /// Whether the last call was refused for good, so that it made nothing.
    fn was_refused(&self) -> bool {
        self.seen.failure.as_ref().is_some_and(|failure| failure.error.closes_attempt().is_some())
    }

    fn first_launch(&self) -> Plan {
        let (Ok(desired), Ok(place)) = (&self.seen.desired, &self.seen.place) else {
            return wait(self.poll());
        };
        if self.ws.spec.suspend {
            return wait(Next::Resync);
        }
        if !self.ws.finalizers().iter().any(|f| f == names::FINALIZER) {
            return now(Step::AddFinalizer);
        }
        if let Slot::Taken(_) = self.seen.slot {
            return wait(Next::After(SOON));
        }
        let Some(next) = &desired.next else { return wait(self.poll()) };
        now(Step::Record(Record {
            launch: self.pending(1, desired, next, 0, None),
            placement: place.clone(),
            closed: None,
            restarted_at: self.ws.spec.restarted_at.clone(),
        }))
    }

    /// No box of the recorded attempt is there, or it has ended for good.
    fn without_box(&self, launch: &Launch, ended: Option<&BoxSeen>) -> Plan {
        let gone = |failures, not_before| {
            self.relaunch(launch, Outcome::Gone, why_ended(ended), failures, not_before)
        };
        let again = || {
            let failures = self.failures(launch);
            gone(failures, Some(self.after(failures)))
        };
        if launch.outcome == Outcome::Pending && ended.is_none() && !self.seen.outlook.absence_proves {
            return self.sent(launch);
        }
        if self.ws.spec.suspend {
            return wait(Next::Resync);
        }
        let changed = self.spec_changed(launch) || is_outdated(self.status, self.seen);
        match launch.outcome {
            Outcome::Pending if ended.is_some() => again(),
            // On Docker a complete list without the box proves that a pending create made none.
            Outcome::Pending if changed => self.relaunch(
                launch,
                Outcome::Refused,
                Reason::Launching,
                launch.failures,
                launch.not_before.clone(),
            ),
            Outcome::Pending => self.create(launch),
            Outcome::Launched if changed => gone(0, None),
            Outcome::Refused => match self.until(launch.not_before.as_ref()).filter(|_| !changed) {
                Some(pause) => wait(Next::After(pause)),
                None => self.after_refusal(launch, launch.failures),
            },
            Outcome::Launched | Outcome::Gone => again(),
        }
    }

    pub(super) fn record(&self, launch: Launch) -> Plan {
        let Some(placement) = self.status.placement.clone() else { return wait(Next::Resync) };
        let restarted_at = self.status.restarted_at.clone();
        now(Step::Record(Record { launch, placement, closed: None, restarted_at }))
    }

    pub(super) fn is_deleting(&self) -> bool {
        self.ws.metadata.deletion_timestamp.is_some()
    }

    fn pending(
        &self,
        attempt: i64,
        desired: &Desired,
        next: &NextLaunch,
        failures: i32,
        not_before: Option<Time>,
    ) -> Launch {
        Launch {
            attempt,
            outcome: Outcome::Pending,
            spec_hash: desired.hash.hash.clone(),
            key_id: desired.hash.key_id.clone(),
            request: next.request.clone(),
            client_token: next.client_token.clone(),
            user_data_hash: next.user_data_hash.clone(),
            started_at: Time(self.now),
            last_sent_at: None,
            failures,
            last_failed_at: None,
            not_before,
        }
    }

    fn create(&self, launch: &Launch) -> Plan {
        if self.seen.desired.is_err() {
            return wait(self.poll());
        }
        if let Some(pause) = self.until(launch.not_before.as_ref()) {
            return wait(Next::After(pause));
        }
        if let Slot::Taken(_) = self.seen.slot {
            return wait(Next::After(SOON));
        }
        match &self.seen.image {
            Some(Err(_)) => wait(self.retry()),
            Some(Ok(ImageState::Pulling { .. })) => wait(Next::After(Duration::from_secs(5))),
            Some(Ok(ImageState::Missing)) => now(Step::Pull),
            Some(Ok(ImageState::Failed(..))) if self.must_wait() => wait(self.retry()),
            Some(Ok(ImageState::Failed(..))) => now(Step::Pull),
            Some(Ok(ImageState::Present)) => now(Step::Create),
            None if self.must_wait() => wait(self.retry()),
            None => now(Step::Create),
        }
    }

    /// The box of the recorded attempt is there.
    fn with_box(&self, launch: &Launch, mine: &BoxSeen) -> Plan {
        if self.must_wait() {
            return wait(self.retry());
        }
        if self.ws.spec.suspend {
            return match mine.state {
                BoxState::Running => now(Step::Stop(mine.clone())),
                BoxState::Starting => wait(Next::After(UNLISTED)),
                _ => wait(Next::Resync),
            };
        }
        if self.spec_changed(launch) {
            return self.relaunch(launch, Outcome::Gone, Reason::InstanceGone, 0, None);
        }
        let outdated = is_outdated(self.status, self.seen);
        if outdated && (restart_wanted(self.ws, self.status) || self.was_suspended() || self.seen.may_roll) {
            return self.relaunch(launch, Outcome::Gone, Reason::PlatformChanged, 0, None);
        }
        if matches!(mine.state, BoxState::Starting | BoxState::Running)
            && let Volume::Missing { zone } = &self.seen.volume
        {
            return now(Step::MakeVolume { zone: zone.clone() });
        }
        if mine.state == BoxState::Running
            && let Volume::Detached { id } = &self.seen.volume
        {
            return now(Step::AttachVolume { to: mine.clone(), volume_id: id.clone() });
        }
        match &mine.state {
            BoxState::Created if self.seen.desired.is_ok() => now(Step::Start(mine.clone())),
            BoxState::Created => wait(self.poll()),
            BoxState::Running if restart_wanted(self.ws, self.status) => now(Step::Stop(mine.clone())),
            BoxState::Running => self.running(launch, mine),
            BoxState::Exited { .. } | BoxState::Stopped { .. } => self.exited(launch, mine),
            BoxState::Starting | BoxState::Unlisted => wait(Next::After(UNLISTED)),
            BoxState::Removing | BoxState::Terminated { .. } => wait(Next::After(SOON)),
            BoxState::Other(word) if word == "dead" => self.destroy(mine),
            BoxState::Other(_) => wait(Next::After(Duration::from_secs(5))),
        }
    }

    fn running(&self, launch: &Launch, mine: &BoxSeen) -> Plan {
        match boot(self.status, self.seen, mine, self.now) {
            Boot::Connected => wait(self.poll()),
            Boot::Booting { left } | Boot::Called { left } => {
                wait(Next::After(until_slow(mine, self.now).map_or(left, |slow| slow.min(left))))
            }
            Boot::NeverRegistered => wait(self.poll()),
            Boot::TimedOut { .. } if self.boots_failed(launch) + 1 < BOOT_ATTEMPTS => {
                let failures = launch.failures + 1;
                self.relaunch(
                    launch,
                    Outcome::Gone,
                    Reason::BootTimeout,
                    failures,
                    Some(self.after(failures)),
                )
            }
            Boot::TimedOut { since } => {
                let kept_until =
                    since.saturating_add(self.seen.periods.keep_failed_boot).unwrap_or(Timestamp::MAX);
                match self.until(Some(&Time(kept_until))) {
                    Some(pause) => wait(Next::After(pause)),
                    None => now(Step::Stop(mine.clone())),
                }
            }
        }
    }

    fn exited(&self, launch: &Launch, mine: &BoxSeen) -> Plan {
        let resumes = self.was_suspended();
        if resumes || restart_wanted(self.ws, self.status) {
            return now(Step::Start(mine.clone()));
        }
        if self.boots_failed(launch) + 1 >= BOOT_ATTEMPTS && self.reason_now() == Some(Reason::BootTimeout) {
            return wait(Next::Resync);
        }
        let ended = Some(MicroTime(ended_at(mine)));
        if launch.last_failed_at != ended {
            let failures = self.failures(launch);
            let mut counted = launch.clone();
            counted.last_failed_at = ended;
            counted.failures = failures;
            counted.not_before = Some(self.after(failures));
            counted.outcome = Outcome::Launched;
            return self.record(counted);
        }
        match self.until(launch.not_before.as_ref()) {
            Some(pause) => wait(Next::After(pause)),
            None => now(Step::Start(mine.clone())),
        }
    }

    /// A new attempt in place of the recorded one. The old box, if any, becomes one of the others and is
    /// removed before the new one is made.
    pub(super) fn relaunch(
        &self,
        launch: &Launch,
        ended: Outcome,
        why: Reason,
        failures: i32,
        not_before: Option<Time>,
    ) -> Plan {
        let (Ok(desired), Ok(place)) = (&self.seen.desired, &self.seen.place) else {
            return wait(self.poll());
        };
        let Some(next) = &desired.next else { return wait(self.poll()) };
        // An id that is not recorded yet is recorded here: lists may not show the box to whoever takes over.
        let seen = self.seen.boxes.as_ref().ok().map(|boxes| sort(self.status, boxes));
        let seen = seen.and_then(|boxes| boxes.mine.or(boxes.ended));
        let closed = Attempt {
            attempt: launch.attempt,
            outcome: ended,
            reason: Some(why.as_str().to_owned()),
            message: self.words(why, seen),
            instance_id: self.status.instance_id.clone().or_else(|| seen.map(|seen| seen.id.clone())),
            at: Time(self.now),
        };
        now(Step::Record(Record {
            launch: self.pending(launch.attempt.saturating_add(1), desired, next, failures, not_before),
            placement: place.clone(),
            closed: Some(closed),
            restarted_at: self.ws.spec.restarted_at.clone(),
        }))
    }

    /// What is known of why an attempt ended, in the backend's own words.
    fn words(&self, why: Reason, seen: Option<&BoxSeen>) -> Option<String> {
        let refusal = self.seen.failure.as_ref().map(|f| &f.error).filter(|e| e.closes_attempt().is_some());
        let refusal = refusal.filter(|error| error.reason() == why).map(|error| error.detail.clone());
        let state = || match seen.map(|seen| &seen.state) {
            Some(BoxState::Terminated { reason }) => reason.clone(),
            _ => None,
        };
        let said = || {
            let ready = condition::find(&self.status.conditions, ConditionType::Ready)?;
            let message = ready.message.rsplit_once("; attempt ").map_or(&*ready.message, |(words, _)| words);
            (ready.reason == why.as_str()).then(|| message.to_owned())
        };
        let words = refusal.or_else(state).or_else(said)?;
        Some(words.chars().take(LONGEST_WORDS).collect())
    }

    fn destroy(&self, other: &BoxSeen) -> Plan {
        if self.must_wait() || other.state == BoxState::Removing {
            return wait(self.retry());
        }
        now(Step::Destroy(other.clone()))
    }

    pub(super) fn spec_changed(&self, launch: &Launch) -> bool {
        let Ok(desired) = &self.seen.desired else { return false };
        desired.hash_as_recorded.as_ref().is_some_and(|hash| *hash != launch.spec_hash)
    }

    /// How many boots in a row timed out before the recorded attempt.
    fn boots_failed(&self, launch: &Launch) -> i32 {
        let timeouts = self.status.attempts.iter().rev().take_while(|a| {
            a.attempt < launch.attempt && a.reason.as_deref() == Some(Reason::BootTimeout.as_str())
        });
        i32::try_from(timeouts.count()).unwrap_or(i32::MAX)
    }

    pub(super) fn reason_now(&self) -> Option<Reason> {
        condition::find(&self.status.conditions, ConditionType::Ready).and_then(|c| Reason::parse(&c.reason))
    }

    fn was_suspended(&self) -> bool {
        condition::is_true(&self.status.conditions, ConditionType::Suspended)
    }
}

/// Whether a failure is about nothing that is still to be done: what failed has come to be after all, or is no
/// longer wanted. A call whose answer was lost may well have had its effect. What refuses a launch closes its
/// attempt, and what is said of an image is said by the image.
pub fn is_moot(ws: &Workspace, seen: &Seen, now: Timestamp) -> bool {
    let Some(failure) = &seen.failure else { return false };
    if failure.error.closes_attempt().is_some() || failure.error.kind == ErrorKind::ImageNotFound {
        return false;
    }
    let due = Failure { not_before: now, ..failure.clone() };
    let seen = Seen { failure: Some(due), ..seen.clone() };
    seen.boxes.is_ok() && plan(ws, &seen, now).step == Step::Nothing
}

/// Why a box has ended for good.
pub fn why_ended(ended: Option<&BoxSeen>) -> Reason {
    match ended.map(|b| &b.state) {
        Some(BoxState::Terminated { reason: Some(reason) }) if reason.contains("Spot") => {
            Reason::SpotInterrupted
        }
        _ => Reason::InstanceGone,
    }
}

pub(super) fn wait(next: Next) -> Plan {
    Plan { step: Step::Nothing, next }
}

pub(super) fn now(step: Step) -> Plan {
    Plan { step, next: Next::Now }
}
