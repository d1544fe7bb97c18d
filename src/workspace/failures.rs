//! The last failure of each Workspace's effects, in memory: what it was, and when to try again.

use super::seen::Failure;
use crate::backend::{BackendError, Class};
use crate::reconcile::Backoff;
use k8s_openapi::jiff::Timestamp;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long a failure that a person must mend is left alone, unless spec or config change before.
const SLOW: Duration = Duration::from_secs(300);
/// How soon a backend is asked again that is busy.
const BUSY: Duration = Duration::from_millis(500);
/// How soon a backend is asked again that does not answer as a whole.
const AWAY: Duration = Duration::from_secs(2);

/// The failures that stand.
#[derive(Debug)]
pub struct Failures {
    backoff: Backoff,
    known: Mutex<HashMap<String, (String, Failure)>>,
}

impl Failures {
    /// None yet.
    pub fn new(backoff: Backoff) -> Self {
        Self { backoff, known: Mutex::default() }
    }

    /// An effect failed. `of` names what was tried: the failure stands only while the same is wanted.
    pub fn add(&self, uid: &str, of: String, error: BackendError, now: Timestamp) {
        let pause = match error.class() {
            _ if error.is_about_backend() => AWAY,
            Class::Waiting => BUSY,
            Class::Retryable => self.backoff.next(uid),
            Class::Terminal if error.kind == crate::backend::ErrorKind::ImageNotFound => {
                self.backoff.next(uid)
            }
            Class::Terminal => SLOW,
        };
        let not_before = now.saturating_add(pause).unwrap_or(Timestamp::MAX);
        self.lock().insert(uid.to_owned(), (of, Failure { error, not_before }));
    }

    /// The failure that stands for what is wanted now.
    pub fn get(&self, uid: &str, of: &str) -> Option<Failure> {
        self.lock().get(uid).filter(|(what, _)| what == of).map(|(_, failure)| failure.clone())
    }

    /// How long it is until the failure that stands lets an effect be tried again.
    pub fn pause(&self, uid: &str, now: Timestamp) -> Option<Duration> {
        let not_before = self.lock().get(uid).map(|(_, failure)| failure.not_before)?;
        Duration::try_from(not_before.duration_since(now)).ok()
    }

    /// An effect succeeded, or the Workspace is gone.
    pub fn clear(&self, uid: &str) {
        self.lock().remove(uid);
        self.backoff.reset(uid);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, (String, Failure)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
