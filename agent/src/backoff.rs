//! How long to wait before the next try: exponential, capped, with jitter.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const CAP: Duration = Duration::from_secs(30);

/// The delays of one series of tries.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The delay after one more failure.
    pub(crate) fn next(&mut self) -> Duration {
        let delay = delay(self.failures, random_fraction());
        self.failures = self.failures.saturating_add(1);
        delay
    }
}

/// Between half of the doubled delay and all of it, so that agents which lost the registry together do
/// not come back together. `fraction` is in 0..=1.
fn delay(failures: u32, fraction: f64) -> Duration {
    let whole = FIRST.saturating_mul(2_u32.saturating_pow(failures)).min(CAP);
    whole.mul_f64(f64::midpoint(1.0, fraction))
}

/// A number in 0..=1. The standard library seeds its hash maps from the system's randomness; jitter needs
/// no more than that.
fn random_fraction() -> f64 {
    let bits = RandomState::new().build_hasher().finish();
    f64::from(u32::try_from(bits >> 32).unwrap_or(u32::MAX)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_cap() {
        let seconds: Vec<_> = (0..7).map(|failures| delay(failures, 1.0).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(delay(u32::MAX, 1.0), CAP);
    }

    #[test]
    fn jitter_takes_away_at_most_half() {
        assert_eq!(delay(2, 0.0), Duration::from_secs(2));
        assert_eq!(delay(2, 0.5), Duration::from_secs(3));
        for _ in 0..100 {
            assert!((0.0..=1.0).contains(&random_fraction()));
        }
    }

    #[test]
    fn every_failure_makes_the_next_delay_longer() {
        let mut backoff = Backoff::default();
        assert!(backoff.next() <= Duration::from_secs(1));
        backoff.next();
        assert!(backoff.next() >= Duration::from_secs(2));
    }
}
