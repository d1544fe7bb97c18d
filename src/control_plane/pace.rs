//! When a call may go out: first come, first served, at the rate that AWS publishes.
//!
//! A lane an action. Waiting is in the lane's queue, before anything is sent; nothing is held while a call is
//! under way. Who leaves while waiting gives up the place.

use super::action::{Action, Rate};
use super::bucket::Bucket;
use super::faults::Fault;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How far ahead a caller that is sent away can be told to come back.
const LAP_SECONDS: f64 = 600.0;

/// The lanes of all actions.
#[derive(Debug)]
pub struct Pace {
    lanes: HashMap<Action, Lane>,
    start: Instant,
    stopping: CancellationToken,
}

#[derive(Debug)]
struct Lane {
    /// Held by the caller whose turn it is, until it has its tokens. It is fair.
    turn: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    requests: Bucket,
    instances: Option<Bucket>,
    /// How many calls wait, and for how many instances.
    queued: f64,
    queued_instances: f64,
    /// When the last of those that were sent away will have its turn, if all come back when told.
    promised: f64,
}

impl State {
    fn wait(&mut self, requests: f64, instances: f64, now: f64) -> f64 {
        let requests = self.requests.wait(requests, now);
        self.instances.as_mut().map_or(requests, |bucket| bucket.wait(instances, now).max(requests))
    }

    fn take(&mut self, instances: f64, now: f64) {
        self.requests.take(1.0, now);
        if let Some(bucket) = &mut self.instances {
            bucket.take(instances, now);
        }
    }

    /// How many instances one call may take tokens for.
    fn full(&self) -> f64 {
        self.instances.as_ref().map_or(f64::MAX, Bucket::burst)
    }

    /// After how many seconds a caller that cannot wait should come back: half of what it may wait before its
    /// turn, so that the queue never runs dry, and each at another time, so that they do not come as a crowd.
    fn come_back(&mut self, queue: f64, may_wait: f64, now: f64) -> f64 {
        let end = now + queue;
        if self.promised < end || self.promised - now > LAP_SECONDS {
            self.promised = end;
        }
        self.promised += 1.0 / self.requests.per_second();
        (self.promised - now - may_wait / 2.0).max(1.0)
    }
}

/// A place in the queue of a lane, given up when dropped.
struct Place<'a> {
    lane: &'a Lane,
    instances: f64,
}

impl<'a> Place<'a> {
    fn take(lane: &'a Lane, state: &mut State, instances: f64) -> Self {
        state.queued += 1.0;
        state.queued_instances += instances;
        Self { lane, instances }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.lane.state();
        state.queued -= 1.0;
        state.queued_instances -= self.instances;
    }
}

impl Lane {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pace {
    /// Lanes at the published rates times `scale`, which is below one where several processes share an account.
    /// From `stopping` on nobody gets a turn.
    pub fn new(scale: f64, stopping: CancellationToken) -> Self {
        let scaled = |rate: Rate| {
            // One is left in AWS's bucket: two calls that leave evenly may arrive a little closer to each other.
            let burst = rate.burst * scale - 1.0;
            Bucket::new(Rate { burst, per_second: rate.per_second * scale }, 0.0)
        };
        let lane = |action: Action| {
            let state = State {
                requests: scaled(action.requests()),
                instances: action.instances().map(scaled),
                queued: 0.0,
                queued_instances: 0.0,
                promised: 0.0,
            };
            (action, Lane { turn: tokio::sync::Mutex::new(()), state: Mutex::new(state) })
        };
        Self { lanes: Action::ALL.into_iter().map(lane).collect(), start: Instant::now(), stopping }
    }

    fn now(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }

    fn lane(&self, action: Action) -> &Lane {
        // `new` makes a lane for every action, and a test holds `Action::ALL` to be complete.
        &self.lanes[&action]
    }

    /// How many instances one call of this action may be about.
    pub fn instances_max(&self, action: Action) -> usize {
        let burst = self.lane(action).state().instances.as_ref().map_or(1_000.0, Bucket::burst);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 1,000")]
        let whole = burst.clamp(1.0, 1_000.0) as usize;
        whole
    }

    /// Waits for the turn of one call about so many instances.
    ///
    /// # Errors
    /// At once when it would take longer than `may_wait`, and later when it did; says when to come back. Also
    /// when the process is about to stop. Nothing was sent.
    pub async fn turn(&self, action: Action, instances: u32, may_wait: Duration) -> Result<(), Fault> {
        let lane = self.lane(action);
        let instances = f64::from(instances);
        let place = {
            let mut state = lane.state();
            let now = self.now();
            let (ahead, about) = (state.queued, state.queued_instances);
            let queue = state.wait(ahead + 1.0, about + instances, now);
            if queue > may_wait.as_secs_f64() {
                let seconds = state.come_back(queue, may_wait.as_secs_f64(), now);
                return Err(Fault::rate_limited(action, seconds));
            }
            Place::take(lane, &mut state, instances)
        };
        let turn = async {
            let _turn = lane.turn.lock().await;
            loop {
                let wait = {
                    let mut state = lane.state();
                    let now = self.now();
                    let about = instances.min(state.full());
                    let wait = state.wait(1.0, about, now);
                    if wait <= 0.0 {
                        state.take(instances, now);
                        return;
                    }
                    wait
                };
                // Rounded up, or a timer that counts in milliseconds would spin.
                tokio::time::sleep(Duration::from_secs_f64(wait) + Duration::from_millis(1)).await;
            }
        };
        let limited = tokio::time::timeout(may_wait, turn);
        let result = tokio::select! {
            biased;
            () = self.stopping.cancelled() => Err(Fault::stopping(action)),
            done = limited => done.map_err(|_| {
                let mut state = lane.state();
                let now = self.now();
                let (queued, about) = (state.queued, state.queued_instances);
                let queue = state.wait(queued, about, now);
                Fault::rate_limited(action, state.come_back(queue, may_wait.as_secs_f64(), now))
            }),
        };
        drop(place);
        result
    }

    /// AWS said of a call of this action that it came too fast. Only this action slows down.
    pub fn throttled(&self, action: Action) {
        let now = self.now();
        let mut state = self.lane(action).state();
        state.requests.throttled(now);
        if let Some(bucket) = &mut state.instances {
            bucket.slow_down(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cmp::Reverse;
    use std::collections::{BinaryHeap, VecDeque};

    fn state(scale: f64) -> State {
        let pace = Pace::new(scale, CancellationToken::new());
        let mut lanes = pace.lanes;
        lanes.remove(&Action::RunInstances).unwrap().state.into_inner().unwrap()
    }

    /// So many launches asked for at once, by clients that come back when they are told to. After how many seconds
    /// the last was sent, and how often was asked.
    fn all_at_once(count: u32, may_wait: f64) -> (f64, usize) {
        let mut state = state(1.0);
        let mut coming: BinaryHeap<Reverse<u64>> = (0..count).map(|_| Reverse(0)).collect();
        let mut waiting = VecDeque::new();
        let (mut sent, mut asked) = (0, 0);
        for tick in 0_u32.. {
            let now = f64::from(tick) / 100.0;
            while coming.peek().is_some_and(|Reverse(at)| *at <= u64::from(tick)) {
                coming.pop();
                asked += 1;
                let queue = state.wait(state.queued + 1.0, state.queued_instances + 1.0, now);
                if queue > may_wait {
                    let fault =
                        Fault::rate_limited(Action::RunInstances, state.come_back(queue, may_wait, now));
                    coming.push(Reverse(u64::from(tick) + fault.retry_after.unwrap() * 100));
                } else {
                    waiting.push_back(now);
                    state.queued += 1.0;
                    state.queued_instances += 1.0;
                }
            }
            while let Some(since) = waiting.front()
                && state.wait(1.0, 1.0, now) <= 0.0
            {
                assert!(now - since <= may_wait + 0.1, "whoever was let in waited {} s", now - since);
                waiting.pop_front();
                state.take(1.0, now);
                state.queued -= 1.0;
                state.queued_instances -= 1.0;
                sent += 1;
            }
            if sent == count {
                return (now, asked);
            }
        }
        unreachable!("an endless loop ends by its return")
    }

    #[test]
    fn a_thousand_launches_at_once_take_hardly_longer_than_the_buckets_allow() {
        for (count, may_wait) in [(1_000, 30.0), (100, 30.0), (3_000, 30.0), (200, 1.0)] {
            let least = f64::from(count - 5) / 2.0;
            let (took, asked) = all_at_once(count, may_wait);
            assert!(took <= least * 1.1, "{count} launches took {took} s instead of {least} s");
            assert!(asked <= count as usize * 8, "{count} launches were asked for {asked} times");
        }
    }

    #[tokio::test]
    async fn who_gives_up_leaves_the_place_to_the_next() {
        let pace = Pace::new(0.2, CancellationToken::new());
        let turn = || pace.turn(Action::RunInstances, 1, Duration::from_secs(30));
        turn().await.unwrap();
        let mut first = Box::pin(turn());
        let mut second = Box::pin(turn());
        assert!(futures::poll!(&mut first).is_pending() && futures::poll!(&mut second).is_pending());
        let queued = || pace.lane(Action::RunInstances).state().queued;
        assert!((queued() - 2.0).abs() < 0.1);
        drop(first);
        assert!((queued() - 1.0).abs() < 0.1);
        second.await.unwrap();
        assert!(queued().abs() < 0.1);
    }

    #[tokio::test]
    async fn one_action_never_waits_for_another() {
        let pace = Pace::new(0.001, CancellationToken::new());
        let run = || pace.turn(Action::RunInstances, 1, Duration::from_secs(3_000));
        run().await.unwrap();
        let mut waits = Box::pin(run());
        assert!(futures::poll!(&mut waits).is_pending());
        pace.turn(Action::TerminateInstances, 1, Duration::from_millis(1)).await.unwrap();
    }

    #[tokio::test]
    async fn a_throttle_halves_what_is_let_through() {
        let pace = Pace::new(1.0, CancellationToken::new());
        pace.throttled(Action::RunInstances);
        let fault = pace.turn(Action::RunInstances, 1, Duration::from_millis(700)).await.unwrap_err();
        assert!(fault.is("RateLimited"), "one second for a launch, and not half of one");
        pace.turn(Action::DescribeInstances, 0, Duration::from_millis(1)).await.unwrap();
    }

    #[test]
    fn a_batch_is_no_larger_than_what_the_bucket_holds() {
        let max = |scale, action| Pace::new(scale, CancellationToken::new()).instances_max(action);
        assert_eq!(max(1.0, Action::TerminateInstances), 999);
        assert_eq!(max(0.1, Action::TerminateInstances), 99);
        assert_eq!(max(0.0001, Action::TerminateInstances), 1);
        assert_eq!(max(50.0, Action::TerminateInstances), 1_000);
    }
}
