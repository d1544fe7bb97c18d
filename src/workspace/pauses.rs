//! When a plan looks again, and what it waits for until then.

use super::plan::Planner;
use super::step::Next;
use crate::api::workspace::Launch;
use crate::api::{ConditionType, Reason, condition};
use crate::backend::{Class, ErrorKind, ImageState};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use std::time::Duration;

/// How soon to look again while a backend is busy.
pub(super) const SOON: Duration = Duration::from_millis(500);
/// How soon to look again for an object that is missing.
const POLL_REFERENCE: Duration = Duration::from_secs(2);

impl Planner<'_> {
    /// The failures in a row with this one counted: one only if the box was healthy for long before.
    pub(super) fn failures(&self, launch: &Launch) -> i32 {
        let healthy_since = condition::find(&self.status.conditions, ConditionType::Ready)
            .filter(|c| c.status == "True")
            .map(|c| c.last_transition_time.0);
        match healthy_since {
            Some(since) if self.now.duration_since(since).unsigned_abs() >= self.seen.periods.healthy => 1,
            _ => launch.failures.saturating_add(1),
        }
    }

    pub(super) fn after(&self, failures: i32) -> Time {
        let pause = self.seen.periods.pauses.after(failures, self.seen.jitter);
        Time(self.now.saturating_add(pause).unwrap_or(Timestamp::MAX))
    }

    /// How long it is until a time; `None` when it is over.
    pub(super) fn until(&self, time: Option<&Time>) -> Option<Duration> {
        time.and_then(|t| Duration::try_from(t.0.duration_since(self.now)).ok()).filter(|d| !d.is_zero())
    }

    pub(super) fn must_wait(&self) -> bool {
        self.seen
            .failure
            .as_ref()
            .is_some_and(|f| f.not_before > self.now && f.error.kind != ErrorKind::ImageNotFound)
            || self.image_must_wait()
    }

    /// A pull that failed is tried again after its pause.
    fn image_must_wait(&self) -> bool {
        let failed = matches!(self.seen.image, Some(Ok(ImageState::Failed(..))));
        failed && self.seen.failure.as_ref().is_some_and(|f| f.not_before > self.now)
    }

    /// When to look again after an effect failed.
    pub(super) fn retry(&self) -> Next {
        match &self.seen.failure {
            Some(failure) if failure.error.class() == Class::Waiting => Next::After(SOON),
            Some(failure) => {
                let pause = self.until(Some(&Time(failure.not_before))).unwrap_or(SOON);
                Next::After(pause)
            }
            None => Next::After(Duration::from_secs(2)),
        }
    }

    /// When to look again while something is missing that another object brings, or nothing is wrong.
    pub(super) fn poll(&self) -> Next {
        match &self.seen.desired {
            Err(problem)
                if matches!(problem.reason, Reason::ReferenceNotFound | Reason::ReferenceUnreadable) =>
            {
                Next::After(POLL_REFERENCE)
            }
            _ => Next::Resync,
        }
    }
}
