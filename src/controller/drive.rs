//! Runs the reconciles of one kind: each object by itself, so many objects at a time.

use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryFuture, stream};
use kube::Resource;
use kube::runtime::Controller;
use kube::runtime::controller::{Action, Config, Error as ControllerError};
use kube::runtime::reflector::{ObjectRef, Store};
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// What makes objects be looked at, besides their own requeues.
pub struct Wakes<K: Resource<DynamicType = ()>> {
    /// Each item wakes one.
    pub one: BoxStream<'static, ObjectRef<K>>,
    /// Each item wakes all.
    pub all: BoxStream<'static, ()>,
}

impl<K: Resource<DynamicType = ()> + Send + 'static> Wakes<K> {
    /// Wakes all once, at the beginning.
    pub fn at_first() -> Self {
        let all = stream::once(std::future::ready(())).chain(stream::pending()).boxed();
        Self { one: stream::pending().boxed(), all }
    }

    /// Wakes one at each item, too.
    #[must_use]
    pub fn one(self, on: impl Stream<Item = ObjectRef<K>> + Send + 'static) -> Self {
        Self { one: stream::select(self.one, on).boxed(), ..self }
    }

    /// Wakes all at each item, too.
    #[must_use]
    pub fn all(self, on: impl Stream<Item = ()> + Send + 'static) -> Self {
        Self { all: stream::select(self.all, on).boxed(), ..self }
    }
}

/// Reconciles until it is told to stop; then it takes nothing up any more, and ends when what it has in hand is
/// done.
pub async fn drive<K, Context, Reconcile, Pass>(
    store: Store<K>,
    wakes: Wakes<K>,
    concurrency: u16,
    stop: CancellationToken,
    reconcile: Reconcile,
    error_policy: impl Fn(Arc<K>, &Pass::Error, Arc<Context>) -> Action,
    context: Arc<Context>,
) where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    Reconcile: FnMut(Arc<K>, Arc<Context>) -> Pass,
    Pass: TryFuture<Ok = Action> + Send + 'static,
    Pass::Error: std::error::Error + Send + 'static,
{
    // Changes come from the caches, which tell more than a bare watch.
    Controller::for_stream(stream::pending(), store)
        .with_config(Config::default().concurrency(concurrency))
        .reconcile_on(wakes.one)
        .reconcile_all_on(wakes.all)
        .graceful_shutdown_on(stop.cancelled_owned())
        .run(reconcile, error_policy, context)
        .for_each(|pass| {
            match pass {
                // What it came to is logged, and counted, where it is known what it means.
                Ok(_) | Err(ControllerError::ReconcilerFailed(..)) => {}
                Err(ControllerError::ObjectNotFound(object)) => {
                    debug!(%object, "gone before it was looked at");
                }
                Err(error) => warn!(%error, kind = %K::kind(&()), "the work on this kind is disturbed"),
            }
            std::future::ready(())
        })
        .await;
}
