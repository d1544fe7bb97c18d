//! One call for all who ask for the same at the same time.

use futures::future::{BoxFuture, FutureExt, Shared, WeakShared};
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

/// The calls under way. Each lives as long as somebody waits for it: when the last has left, it is dropped.
pub struct Flights<K, V: Clone> {
    under_way: Mutex<HashMap<K, WeakShared<BoxFuture<'static, V>>>>,
}

impl<K, V: Clone> Default for Flights<K, V> {
    fn default() -> Self {
        Self { under_way: Mutex::default() }
    }
}

impl<K: Clone + Eq + Hash, V: Clone> Flights<K, V> {
    /// Waits for the call under this key, which is started if there is none.
    pub async fn join(&self, key: K, start: impl FnOnce() -> BoxFuture<'static, V>) -> V {
        self.boarded(key, start).await
    }

    fn boarded(
        &self,
        key: K,
        start: impl FnOnce() -> BoxFuture<'static, V>,
    ) -> Shared<BoxFuture<'static, V>> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        // What has ended is no answer to who asks only now.
        let alive = |flight: &WeakShared<_>| {
            flight.upgrade().filter(|flight: &Shared<BoxFuture<'static, V>>| flight.peek().is_none())
        };
        if let Some(flight) = under_way.get(&key).and_then(alive) {
            return flight;
        }
        under_way.retain(|_, flight| alive(flight).is_some());
        let flight = start().shared();
        if let Some(weak) = flight.downgrade() {
            under_way.insert(key, weak);
        }
        flight
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn who_asks_for_the_same_at_the_same_time_shares_one_call() {
        let flights: Flights<&str, usize> = Flights::default();
        let calls = Arc::new(AtomicUsize::new(0));
        let (go, gone) = oneshot::channel::<()>();
        let count = |calls: &Arc<AtomicUsize>| calls.fetch_add(1, Ordering::SeqCst) + 1;
        let counted = calls.clone();
        let first = flights.join("a", || {
            async move {
                gone.await.unwrap();
                count(&counted)
            }
            .boxed()
        });
        let second = flights.join("a", || unreachable!("it is under way"));
        let other = flights.join("b", || async { 7 }.boxed());
        let ended = async { go.send(()).unwrap() };
        assert_eq!(tokio::join!(first, second, other, ended), (1, 1, 7, ()));
        let counted = calls.clone();
        let later = flights.join("a", || async move { count(&counted) }.boxed()).await;
        assert_eq!(later, 2, "who asks later gets an answer of its own");
        assert!(flights.under_way.lock().unwrap().len() <= 2);
    }

    #[tokio::test]
    async fn a_call_that_nobody_waits_for_any_more_is_dropped() {
        struct Told(Option<oneshot::Sender<()>>);
        impl Drop for Told {
            fn drop(&mut self) {
                let _ = self.0.take().unwrap().send(());
            }
        }
        let flights: Flights<&str, ()> = Flights::default();
        let (told, tell) = oneshot::channel();
        let told = Told(Some(told));
        let start = || {
            async move {
                let _told = told;
                std::future::pending::<()>().await;
            }
            .boxed()
        };
        let mut first = Box::pin(flights.join("a", start));
        let mut second = Box::pin(flights.join("a", || unreachable!()));
        assert!(futures::poll!(&mut first).is_pending() && futures::poll!(&mut second).is_pending());
        drop(first);
        assert!(futures::poll!(&mut second).is_pending(), "one still waits");
        drop(second);
        tell.await.unwrap();
    }
}
