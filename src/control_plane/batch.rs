//! Many questions about single things, asked in one call.

use futures::future::BoxFuture;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

type Run<K, V> = dyn Fn(Vec<K>) -> BoxFuture<'static, HashMap<K, V>> + Send + Sync;

/// Gathers questions for a short time, then asks them together. Clones gather together.
pub struct Batch<K, V> {
    shared: Arc<Shared<K, V>>,
}

struct Shared<K, V> {
    window: Duration,
    max: usize,
    run: Box<Run<K, V>>,
    waiting: Mutex<Vec<(K, oneshot::Sender<V>)>>,
}

impl<K, V> Clone for Batch<K, V> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<K, V> Batch<K, V>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + 'static,
{
    /// At most `max` different questions a call. `run` answers all that it is given.
    pub fn new(
        window: Duration,
        max: usize,
        run: impl Fn(Vec<K>) -> BoxFuture<'static, HashMap<K, V>> + Send + Sync + 'static,
    ) -> Self {
        let shared = Shared { window, max: max.max(1), run: Box::new(run), waiting: Mutex::default() };
        Self { shared: Arc::new(shared) }
    }

    /// Asks about one thing. `None` when the answer did not come, which is when the process ends.
    pub async fn ask(&self, about: K) -> Option<V> {
        let (send, answer) = oneshot::channel();
        let first = {
            let mut waiting = self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.push((about, send));
            waiting.len() == 1
        };
        if first {
            tokio::spawn(gather(self.shared.clone()));
        }
        answer.await.ok()
    }
}

async fn gather<K, V>(shared: Arc<Shared<K, V>>)
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + 'static,
{
    tokio::time::sleep(shared.window).await;
    let waiting = std::mem::take(&mut *shared.waiting.lock().unwrap_or_else(PoisonError::into_inner));
    let mut askers: HashMap<K, Vec<oneshot::Sender<V>>> = HashMap::new();
    for (about, asker) in waiting {
        // Who has left is not asked for.
        if !asker.is_closed() {
            askers.entry(about).or_default().push(asker);
        }
    }
    let all: Vec<_> = askers.into_iter().collect();
    let mut all = all.into_iter().peekable();
    while all.peek().is_some() {
        let some: HashMap<_, _> = all.by_ref().take(shared.max).collect();
        tokio::spawn(ask(shared.clone(), some));
    }
}

async fn ask<K, V>(shared: Arc<Shared<K, V>>, askers: HashMap<K, Vec<oneshot::Sender<V>>>)
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + 'static,
{
    let answers = (shared.run)(askers.keys().cloned().collect()).await;
    for (about, askers) in askers {
        for asker in askers {
            if let Some(answer) = answers.get(&about) {
                // Who has left meanwhile needs no answer.
                let _ = asker.send(answer.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use futures::future::join_all;

    type Calls = Arc<Mutex<Vec<usize>>>;

    fn doubling(max: usize) -> (Batch<u32, u32>, Calls) {
        let calls = Calls::default();
        let seen = calls.clone();
        let batch = Batch::new(Duration::from_millis(5), max, move |about: Vec<u32>| {
            seen.lock().unwrap().push(about.len());
            async move { about.into_iter().map(|n| (n, n * 2)).collect() }.boxed()
        });
        (batch, calls)
    }

    #[tokio::test]
    async fn questions_of_one_moment_are_one_call_and_the_same_one_is_asked_once() {
        let (batch, calls) = doubling(1_000);
        let answers = join_all((0..300).map(|n| batch.ask(n % 150))).await;
        assert!(answers.into_iter().enumerate().all(|(n, a)| a == Some(u32::try_from(n).unwrap() % 150 * 2)));
        assert_eq!(*calls.lock().unwrap(), [150]);
        assert_eq!(batch.ask(4).await, Some(8));
        assert_eq!(*calls.lock().unwrap(), [150, 1]);
    }

    #[tokio::test]
    async fn no_call_asks_for_more_than_it_may() {
        let (batch, calls) = doubling(100);
        join_all((0..250).map(|n| batch.ask(n))).await;
        let mut sizes = calls.lock().unwrap().clone();
        sizes.sort_unstable();
        assert_eq!(sizes, [50, 100, 100]);
    }

    #[tokio::test]
    async fn who_has_left_is_not_asked_for() {
        let (batch, calls) = doubling(100);
        let mut gone = Box::pin(batch.ask(1));
        assert!(futures::poll!(&mut gone).is_pending());
        drop(gone);
        assert_eq!(batch.ask(2).await, Some(4));
        assert_eq!(*calls.lock().unwrap(), [1]);
    }
}
