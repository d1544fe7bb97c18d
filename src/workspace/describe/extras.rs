//! Conditions that are there only when they have something to say: kstatus's two, Suspended,
//! Deleting, `UpToDate`.

use super::Describer;
use crate::api::condition::{self, Progress};
use crate::api::workspace::Outcome;
use crate::api::{ConditionType, Conditions, Reason, Status};
use crate::backend::ContainerPlan;
use crate::workspace::plan::BOOT_ATTEMPTS;
use crate::workspace::recorded::{is_outdated, is_paused};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use std::time::Duration;

impl Describer<'_> {
    /// kstatus's two abnormal conditions: exactly one of them, but for a suspended Workspace.
    pub(super) fn progress(
        &self,
        conditions: &mut Conditions<'_>,
        type_: ConditionType,
        reason: Reason,
        message: &str,
    ) -> Option<Duration> {
        let stalled = |conditions: &mut Conditions<'_>, reason, message: &str| {
            conditions.set(ConditionType::Stalled, Status::True, reason, message);
            None
        };
        if self.deleting {
            conditions.set(ConditionType::Reconciling, Status::True, Reason::Deleting, "it is being deleted");
            return None;
        }
        if self.is_suspended() {
            return None;
        }
        if is_paused(self.ws) {
            return stalled(conditions, Reason::Paused, "the annotation atelier.dev/paused is \"true\"");
        }
        match reason.progress() {
            Progress::Stalled => return stalled(conditions, reason, message),
            Progress::Reconciling if reason == Reason::BootTimeout && self.boots_are_over() => {
                return stalled(conditions, reason, message);
            }
            Progress::Reconciling | Progress::Fine => {}
            Progress::Awaiting => {
                let since = conditions.get(type_).map_or(self.now, |c| c.last_transition_time.0);
                let waited = Duration::try_from(self.now.duration_since(since)).unwrap_or_default();
                match self.seen.periods.awaiting.checked_sub(waited).filter(|left| !left.is_zero()) {
                    None => return stalled(conditions, reason, message),
                    Some(left) => {
                        conditions.set(ConditionType::Reconciling, Status::True, reason, message);
                        return Some(left);
                    }
                }
            }
        }
        conditions.set(ConditionType::Reconciling, Status::True, reason, message);
        None
    }

    pub(super) fn boots_are_over(&self) -> bool {
        let timeouts = self.before.attempts.iter().rev();
        let timeouts = timeouts.take_while(|a| a.reason.as_deref() == Some(Reason::BootTimeout.as_str()));
        self.mine.is_some() && i32::try_from(timeouts.count()).unwrap_or(i32::MAX) + 1 >= BOOT_ATTEMPTS
    }

    /// The conditions that are there only when they have something to say.
    pub(super) fn extras(&self, conditions: &mut Conditions<'_>) {
        if self.is_suspended() {
            conditions.set(ConditionType::Suspended, Status::True, Reason::Suspended, "spec.suspend is true");
        }
        if self.deleting {
            if self.is_stuck() {
                let (_, _, why) = self.backend_ready();
                conditions.set(ConditionType::Deleting, Status::True, Reason::WaitingForBackend, why);
            } else {
                let said = "its box and volumes are being removed";
                conditions.set(ConditionType::Deleting, Status::True, Reason::Deleting, said);
            }
        }
        let launched = self.before.launch.as_ref().is_some_and(|l| l.outcome == Outcome::Launched);
        if !self.deleting && (self.mine.is_some() || launched) {
            self.up_to_date(conditions);
        }
    }

    /// Whether it is being deleted and the backend that has its box cannot be asked.
    pub(super) fn is_stuck(&self) -> bool {
        self.before.launch.is_some() && (self.seen.place.is_err() || self.seen.boxes.is_err())
    }

    fn up_to_date(&self, conditions: &mut Conditions<'_>) {
        let type_ = ConditionType::UpToDate;
        let (Ok(desired), Some(launch)) = (&self.seen.desired, &self.before.launch) else {
            if let Some(Condition { status, reason, message, .. }) =
                condition::find(&self.before.conditions, type_)
            {
                let said = if status == "True" { Status::True } else { Status::False };
                let reason = Reason::parse(reason).unwrap_or(Reason::UpToDate);
                conditions.set(type_, said, reason, message.clone());
            }
            return;
        };
        if !is_outdated(self.before, self.seen) {
            conditions.set(type_, Status::True, Reason::UpToDate, "made from the current platform settings");
            return;
        }
        let now = desired.request_as_recorded.as_deref().map(ContainerPlan::image_of).unwrap_or_default();
        let then = ContainerPlan::image_of(&launch.request);
        if now == then {
            let message =
                "platform settings changed since the box was made; it takes them at its next restart";
            conditions.set(type_, Status::False, Reason::PlatformChanged, message);
        } else {
            let message =
                format!("the box runs {then}, the runtime's image is {now}; it takes it at its next restart");
            conditions.set(type_, Status::False, Reason::ImageChanged, message);
        }
    }
}
