//! A bucket of tokens that fills with time, at a rate that a throttle halves and that recovers.
//!
//! Pure: the time is passed in, in seconds since some start.

use super::action::Rate;

/// A throttle leaves at least this share of the published rate.
const SLOWEST: f64 = 1.0 / 16.0;
/// What share of the published rate comes back in a second.
const RECOVERY_PER_SECOND: f64 = 1.0 / 30.0;
/// Throttles that come within so many seconds are one: the calls were sent at the same rate.
const ONE_THROTTLE_SECONDS: f64 = 1.0;

/// A bucket.
#[derive(Clone, Debug)]
pub struct Bucket {
    rate: Rate,
    tokens: f64,
    /// What share of the rate is used now.
    share: f64,
    at: f64,
    throttled_at: Option<f64>,
}

impl Bucket {
    /// A full bucket. It always holds at least one token, or nothing could ever be taken.
    pub fn new(rate: Rate, now: f64) -> Self {
        let rate = Rate { burst: rate.burst.max(1.0), ..rate };
        Self { rate, tokens: rate.burst, share: 1.0, at: now, throttled_at: None }
    }

    /// How many tokens it can hold.
    pub fn burst(&self) -> f64 {
        self.rate.burst
    }

    /// How many tokens come in a second now.
    pub fn per_second(&self) -> f64 {
        self.rate.per_second * self.share
    }

    fn fill(&mut self, now: f64) {
        let passed = (now - self.at).max(0.0);
        self.at = self.at.max(now);
        // By the share at the start: a little too slow while it recovers.
        self.tokens = (self.tokens + passed * self.per_second()).min(self.rate.burst);
        self.share = (self.share + passed * RECOVERY_PER_SECOND).min(1.0);
    }

    /// In how many seconds `count` tokens will be there. More than the bucket holds are waited for as if it
    /// could hold them.
    pub fn wait(&mut self, count: f64, now: f64) -> f64 {
        self.fill(now);
        (count - self.tokens).max(0.0) / self.per_second()
    }

    /// Takes `count` tokens, at most all that it holds when full.
    pub fn take(&mut self, count: f64, now: f64) {
        self.fill(now);
        self.tokens -= count.min(self.rate.burst);
    }

    /// AWS said that it was too much.
    pub fn throttled(&mut self, now: f64) {
        self.slow_down(now);
        // Whatever we believed to have left, AWS sees none.
        self.tokens = self.tokens.min(0.0);
    }

    /// Halves the rate. What is left stays: AWS may have meant another bucket.
    pub fn slow_down(&mut self, now: f64) {
        self.fill(now);
        if self.throttled_at.is_none_or(|at| now - at >= ONE_THROTTLE_SECONDS) {
            self.share = (self.share / 2.0).max(SLOWEST);
            self.throttled_at = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { burst: 5.0, per_second: 2.0 };

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-6
    }

    #[test]
    fn it_empties_at_once_and_fills_with_time() {
        let mut bucket = Bucket::new(RATE, 0.0);
        for _ in 0..5 {
            assert!(near(bucket.wait(1.0, 0.0), 0.0));
            bucket.take(1.0, 0.0);
        }
        assert!(near(bucket.wait(1.0, 0.0), 0.5));
        assert!(near(bucket.wait(1.0, 0.5), 0.0));
        assert!(near(bucket.wait(6.0, 1_000.0), 0.5), "never more than the burst");
        assert!(near(bucket.wait(1.0, 10.0), 0.0), "a clock that goes back takes nothing away");
    }

    #[test]
    fn a_throttle_halves_the_rate_and_it_recovers() {
        let mut bucket = Bucket::new(RATE, 0.0);
        bucket.throttled(0.0);
        assert!(near(bucket.per_second(), 1.0));
        assert!(near(bucket.wait(1.0, 0.0), 1.0), "what was left is not believed any more");
        bucket.throttled(0.5);
        assert!(bucket.per_second() >= 1.0, "the same throttle");
        bucket.throttled(1.5);
        assert!(bucket.per_second() < 0.6);
        for second in 2..20 {
            bucket.throttled(f64::from(second));
        }
        assert!(bucket.per_second() >= 2.0 / 16.0, "never to a halt");
        bucket.wait(1.0, 60.0);
        assert!(near(bucket.per_second(), 2.0));
    }

    #[test]
    fn a_bucket_divided_among_many_still_holds_one() {
        let mut bucket = Bucket::new(Rate { burst: 0.5, per_second: 0.2 }, 0.0);
        assert!(near(bucket.wait(1.0, 0.0), 0.0));
        bucket.take(1.0, 0.0);
        assert!(near(bucket.wait(1.0, 0.0), 5.0));
    }
}
