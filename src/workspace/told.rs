//! Which diagnoses were told of late: what fails over and over is one event, not one at each failure. In memory,
//! for a write that only remembers an event would cost more than the event.

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// For so long a cause is not told again.
const QUIET: SignedDuration = SignedDuration::from_mins(10);

/// What was told, by uid.
#[derive(Debug, Default)]
pub struct Told(Mutex<HashMap<String, Notes>>);

#[derive(Debug)]
struct Notes {
    generation: Option<i64>,
    causes: HashMap<Cause, Timestamp>,
}

/// What is told at most once in a while.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cause {
    /// The reason.
    pub reason: String,
    /// Whether it is a person's to mend by now: that is news even after the cause was told.
    pub is_stalled: bool,
}

impl Told {
    /// Whether a cause is to be told now; it counts as told then. After a change of the spec everything is.
    pub fn is_news(&self, uid: &str, generation: Option<i64>, cause: Cause, now: Timestamp) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || Notes { generation, causes: HashMap::new() };
        let notes = told.entry(uid.to_owned()).or_insert_with(fresh);
        if notes.generation != generation {
            *notes = fresh();
        }
        let is_late = notes.causes.get(&cause).is_none_or(|at| now.duration_since(*at) >= QUIET);
        if is_late {
            notes.causes.insert(cause, now);
        }
        is_late
    }

    /// A Workspace is gone.
    pub fn forget(&self, uid: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once_in_ten_minutes_until_it_is_a_persons_or_the_spec_changes() {
        let told = Told::default();
        let cause = |reason: &str, is_stalled| Cause { reason: reason.into(), is_stalled };
        let at = |second| Timestamp::from_second(second).unwrap();
        let is_news = |generation, cause, second| told.is_news("u", Some(generation), cause, at(second));
        assert!(is_news(1, cause("OOMKilled", false), 0));
        assert!(!is_news(1, cause("OOMKilled", false), 599));
        assert!(is_news(1, cause("BootTimeout", false), 599), "another cause");
        assert!(is_news(1, cause("OOMKilled", true), 599), "a person's now");
        assert!(is_news(1, cause("OOMKilled", false), 600), "ten minutes later");
        assert!(!is_news(1, cause("OOMKilled", false), 1199), "counted from when it was told last");
        assert!(is_news(2, cause("OOMKilled", false), 1199), "another spec");
        told.forget("u");
        assert!(is_news(2, cause("OOMKilled", false), 1199));
    }
}
