//! How often somebody may call: buckets of tokens that fill up with time, and a cap on calls under way.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// How many callers are remembered before those that have been quiet are forgotten.
const CALLERS_MAX: usize = 20_000;
/// How many messages to itself a Workspace may have under way.
const UNDER_WAY_MAX: usize = 8;

/// So many at once, and so many a second for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// At once.
    pub burst: u32,
    /// A second.
    pub per_second: u32,
}

/// The limits of the registry.
pub struct Limits {
    calls: Buckets<String>,
    refusals: Buckets<IpAddr>,
    under_way: Slots,
}

impl Limits {
    pub fn new(calls: Rate, refusals: Rate) -> Self {
        let under_way = Slots::new(UNDER_WAY_MAX, usize::MAX);
        Self { calls: Buckets::new(calls), refusals: Buckets::new(refusals), under_way }
    }

    /// Whether this Workspace may make one more call now.
    pub fn may_call(&self, uid: &str) -> bool {
        self.calls.take(uid.to_owned(), Instant::now())
    }

    /// Whether one more 401 may be answered to this source. Only refusals count for a source: behind a NAT all
    /// agents are one.
    pub fn may_be_refused(&self, source: IpAddr) -> bool {
        self.refusals.take(source, Instant::now())
    }

    /// A slot for one message of a Workspace to itself, until it is dropped.
    pub fn slot(&self, uid: &str) -> Option<Slot> {
        self.under_way.take(uid)
    }
}

/// A cap on calls under way: of one caller, and of all together.
pub struct Slots {
    each_max: usize,
    all_max: usize,
    taken: Arc<Mutex<HashMap<String, usize>>>,
}

impl Slots {
    /// None is taken.
    pub fn new(each_max: usize, all_max: usize) -> Self {
        Self { each_max, all_max, taken: Arc::default() }
    }

    /// One more for this caller, until it is dropped; none where there are too many.
    pub fn take(&self, caller: &str) -> Option<Slot> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.get(caller).copied().unwrap_or_default();
        let is_free = own < self.each_max && taken.values().sum::<usize>() < self.all_max;
        is_free.then(|| {
            taken.insert(caller.to_owned(), own + 1);
            Slot { caller: caller.to_owned(), taken: self.taken.clone() }
        })
    }
}

/// One call under way.
pub struct Slot {
    caller: String,
    taken: Arc<Mutex<HashMap<String, usize>>>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = taken.get_mut(&self.caller) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                taken.remove(&self.caller);
            }
        }
    }
}

/// One bucket a caller.
struct Buckets<K> {
    rate: Rate,
    buckets: Mutex<HashMap<K, Bucket>>,
}

#[derive(Clone, Copy)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl<K: Eq + Hash> Buckets<K> {
    fn new(rate: Rate) -> Self {
        Self { rate, buckets: Mutex::default() }
    }

    fn take(&self, caller: K, now: Instant) -> bool {
        let full = Bucket { left: f64::from(self.rate.burst), at: now };
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= CALLERS_MAX {
            // A bucket that is full again says nothing.
            buckets.retain(|_, bucket| bucket.filled(self.rate, now).left < full.left);
        }
        if buckets.len() >= CALLERS_MAX && !buckets.contains_key(&caller) {
            return false;
        }
        let bucket = buckets.entry(caller).or_insert(full);
        *bucket = bucket.filled(self.rate, now);
        let may = bucket.left >= 1.0;
        if may {
            bucket.left -= 1.0;
        }
        may
    }
}

impl Bucket {
    fn filled(self, rate: Rate, now: Instant) -> Self {
        let seconds = now.saturating_duration_since(self.at).as_secs_f64();
        let left = (self.left + seconds * f64::from(rate.per_second)).min(f64::from(rate.burst));
        Self { left, at: now }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_bucket_empties_at_once_and_fills_with_time() {
        let buckets = Buckets::new(Rate { burst: 3, per_second: 2 });
        let start = Instant::now();
        let taken = |n: u32, after: u64| {
            (0..n).filter(|_| buckets.take("a", start + Duration::from_millis(after))).count()
        };
        assert_eq!(taken(10, 0), 3);
        assert_eq!(taken(10, 499), 0);
        assert_eq!(taken(10, 1_000), 2);
        assert_eq!(taken(10, 600_000), 3, "never more than the burst");
        assert!(buckets.take("b", start), "another's bucket is another one");
        assert_eq!(taken(1, 0), 0, "a clock that stands still fills nothing");
    }

    #[test]
    fn the_memory_of_callers_is_bounded() {
        let buckets = Buckets::new(Rate { burst: 2, per_second: 1 });
        let start = Instant::now();
        for caller in 0..CALLERS_MAX {
            assert!(buckets.take(caller, start));
        }
        assert!(!buckets.take(CALLERS_MAX, start), "no room, and nobody to forget");
        assert!(buckets.take(0, start), "who is known is served");
        assert!(buckets.take(CALLERS_MAX, start + Duration::from_secs(2)));
        assert_eq!(buckets.buckets.lock().unwrap().len(), 1);
    }

    #[test]
    fn slots_come_back() {
        let rate = Rate { burst: 1, per_second: 1 };
        let limits = Limits::new(rate, rate);
        let slots: Vec<_> = (0..UNDER_WAY_MAX).map(|_| limits.slot("a").unwrap()).collect();
        assert!(limits.slot("a").is_none() && limits.slot("b").is_some());
        drop(slots);
        assert!(limits.under_way.taken.lock().unwrap().is_empty());
        assert!(limits.slot("a").is_some());
    }

    #[test]
    fn one_caller_cannot_take_all_slots_and_all_together_not_more_than_there_are() {
        let slots = Slots::new(2, 3);
        let mine = [slots.take("a").unwrap(), slots.take("a").unwrap()];
        assert!(slots.take("a").is_none());
        let other = slots.take("b").unwrap();
        assert!(slots.take("c").is_none(), "all are taken");
        drop(mine);
        assert!(slots.take("c").is_some());
        drop(other);
        assert!(slots.taken.lock().unwrap().is_empty());
    }
}
