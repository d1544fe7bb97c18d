//! How long to wait after errors: doubling pauses with a spread, so that what failed together does not
//! come back together.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The range of the pauses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pauses {
    /// The pause after the first failure.
    pub first: Duration,
    /// No pause is longer, but for its spread.
    pub longest: Duration,
}

impl Default for Pauses {
    fn default() -> Self {
        Self { first: Duration::from_secs(1), longest: Duration::from_secs(300) }
    }
}

impl Pauses {
    /// The pause after so many failures in a row; none after none. `jitter` in 0..1 spreads it by ±20 %.
    pub fn after(&self, failures: i32, jitter: f64) -> Duration {
        if failures < 1 {
            return Duration::ZERO;
        }
        let doublings = failures.unsigned_abs().saturating_sub(1).min(30);
        let pause = self.first.saturating_mul(1 << doublings).min(self.longest);
        pause.mul_f64(0.8 + 0.4 * jitter.clamp(0.0, 1.0))
    }
}

/// [`Pauses::after`] with the default range: 1 s, doubling up to 300 s.
pub fn delay(failures: i32, jitter: f64) -> Duration {
    Pauses::default().after(failures, jitter)
}

/// The failures in a row of each object, for errors that cost nothing but time. What protects money is
/// counted in the object's status instead: this table does not outlive the process.
#[derive(Debug, Default)]
pub struct Backoff {
    pauses: Pauses,
    failures: Mutex<HashMap<String, i32>>,
}

impl Backoff {
    /// No failures yet.
    pub fn new(pauses: Pauses) -> Self {
        Self { pauses, failures: Mutex::default() }
    }

    /// Counts one more failure of the object of this uid; how long to wait now.
    pub fn next(&self, uid: &str) -> Duration {
        let mut table = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let failures = table.entry(uid.to_owned()).or_insert(0);
        *failures = failures.saturating_add(1);
        self.pauses.after(*failures, rand::random())
    }

    /// The object of this uid did well, or is gone.
    pub fn reset(&self, uid: &str) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_five_minutes() {
        let seconds: Vec<u64> = (0..=11).map(|failures| delay(failures, 0.5).as_secs()).collect();
        assert_eq!(seconds, [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(delay(i32::MAX, 0.5).as_secs(), 300);
        assert_eq!(delay(i32::MIN, 0.5), Duration::ZERO);
    }

    #[test]
    fn pauses_are_spread_by_a_fifth() {
        assert_eq!(delay(4, 0.0).as_millis(), 6_400);
        assert_eq!(delay(4, 1.0).as_millis(), 9_600);
    }

    #[test]
    fn each_object_has_its_own_count_until_it_does_well() {
        let backoff = Backoff::default();
        backoff.next("a");
        backoff.next("a");
        assert!(backoff.next("a") >= Duration::from_millis(3_200), "the third in a row is four seconds");
        assert!(backoff.next("b") <= Duration::from_millis(1_200), "another object starts anew");
        backoff.reset("a");
        assert!(backoff.next("a") <= Duration::from_millis(1_200), "and so does one that did well");
    }
}
