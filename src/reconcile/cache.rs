//! What this process knows of one kind: a store that a watch keeps, an index by uid, and word of each change.

use futures::{Stream, StreamExt, stream};
use kube::runtime::reflector::{ObjectRef, Store, store::Writer};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch_events};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::{broadcast, mpsc, oneshot};
use tracing::{debug, warn};

/// So many changes may wait for a listener; one that is slower hears [`Change::Missed`].
const WAITING: usize = 4096;

/// A change of an object, as the watch told it.
#[derive(Clone, Debug)]
pub enum Change<K> {
    /// It is new, or what is wanted of it changed: its spec, labels, annotations, owners, or its deletion.
    Wanted(Arc<K>),
    /// Nothing but its status or its finalizers changed.
    Status(Arc<K>),
    /// It is gone.
    Gone(Arc<K>),
    /// Changes were missed: look at every object.
    Missed,
}

/// The objects of one kind. Cheap to clone; clones share one watch, which ends with the last of them.
#[derive(Clone, Debug)]
pub struct Cache<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + 'static,
{
    store: Store<K>,
    uids: Uids<K>,
    changes: broadcast::Sender<Change<K>>,
    refresh: mpsc::Sender<oneshot::Sender<()>>,
}

type Uids<K> = Arc<RwLock<HashMap<String, ObjectRef<K>>>>;

impl<K> Cache<K>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    /// Starts to list and to watch.
    pub fn start(api: Api<K>) -> Self {
        let writer = Writer::<K>::new(());
        let (refresh, requests) = mpsc::channel(1);
        let cache = Self {
            store: writer.as_reader(),
            uids: Uids::default(),
            changes: broadcast::Sender::new(WAITING),
            refresh,
        };
        let keeper = Keeper { writer, uids: cache.uids.clone(), changes: cache.changes.clone() };
        tokio::spawn(keeper.run(api, requests));
        cache
    }

    /// The store, for reading.
    pub fn store(&self) -> &Store<K> {
        &self.store
    }

    /// The object of a uid.
    pub fn by_uid(&self, uid: &str) -> Option<Arc<K>> {
        self.store.get(&self.reference(uid)?)
    }

    /// Where the object of a uid is found.
    pub fn reference(&self, uid: &str) -> Option<ObjectRef<K>> {
        self.uids.read().unwrap_or_else(PoisonError::into_inner).get(uid).cloned()
    }

    /// Waits until everything was listed once.
    pub async fn synced(&self) {
        if self.store.wait_until_ready().await.is_err() {
            // The task that fills the store has died, which only a panic can cause.
            std::future::pending::<()>().await;
        }
    }

    /// Lists everything anew, and waits for it: what was there when this was called is in the store then.
    pub async fn refresh(&self) {
        let (done, refreshed) = oneshot::channel();
        if self.refresh.send(done).await.is_err() || refreshed.await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// The changes from now on.
    pub fn changes(&self) -> impl Stream<Item = Change<K>> + Send + 'static + use<K> {
        stream::unfold(self.changes.subscribe(), |mut changes| async {
            match changes.recv().await {
                Ok(change) => Some((change, changes)),
                Err(broadcast::error::RecvError::Lagged(_)) => Some((Change::Missed, changes)),
                Err(broadcast::error::RecvError::Closed) => None,
            }
        })
    }
}

/// The task that keeps the store.
struct Keeper<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + 'static,
{
    writer: Writer<K>,
    uids: Uids<K>,
    changes: broadcast::Sender<Change<K>>,
}

impl<K> Keeper<K>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    async fn run(mut self, api: Api<K>, mut requests: mpsc::Receiver<oneshot::Sender<()>>) {
        let mut waiting: Vec<oneshot::Sender<()>> = Vec::new();
        loop {
            let pruned = watch_events(api.clone(), watcher::Config::default()).default_backoff();
            let mut events = std::pin::pin!(pruned.modify(|object| object.managed_fields_mut().clear()));
            loop {
                tokio::select! {
                    event = events.next() => match event {
                        Some(Ok(event)) => {
                            let listed = matches!(event, Event::InitDone);
                            self.apply(&event);
                            if listed {
                                for done in waiting.drain(..) {
                                    // An error says that nobody waits any more.
                                    let _ = done.send(());
                                }
                            }
                        }
                        Some(Err(error)) => warn!(kind = %K::kind(&()), %error, "the watch failed; it is tried again"),
                        None => break,
                    },
                    request = requests.recv() => match request {
                        Some(done) => {
                            waiting.push(done);
                            break;
                        }
                        None => return,
                    },
                }
            }
        }
    }

    fn apply(&mut self, event: &Event<K>) {
        let changes = match event {
            Event::Apply(object) => {
                let reference = ObjectRef::from_obj(object);
                let before = self.writer.as_reader().get(&reference);
                self.writer.apply_watcher_event(event);
                self.index(before.as_deref(), Some(object));
                self.writer
                    .as_reader()
                    .get(&reference)
                    .and_then(|now| compare(before, now))
                    .into_iter()
                    .collect()
            }
            Event::Delete(object) => {
                self.writer.apply_watcher_event(event);
                self.index(Some(object), None);
                vec![Change::Gone(Arc::new(object.clone()))]
            }
            Event::Init | Event::InitApply(_) => {
                self.writer.apply_watcher_event(event);
                Vec::new()
            }
            Event::InitDone => self.relisted(event),
        };
        for change in changes {
            // An error says that nobody listens.
            let _ = self.changes.send(change);
        }
    }

    /// What a list shows that the watch had not told: the watch may have been away for long.
    fn relisted(&mut self, event: &Event<K>) -> Vec<Change<K>> {
        let by_ref = |objects: Vec<Arc<K>>| -> HashMap<ObjectRef<K>, Arc<K>> {
            objects.into_iter().map(|object| (ObjectRef::from_obj(&*object), object)).collect()
        };
        let mut before = by_ref(self.writer.as_reader().state());
        self.writer.apply_watcher_event(event);
        let now = by_ref(self.writer.as_reader().state());
        debug!(kind = %K::kind(&()), objects = now.len(), "listed");
        let uids = now.iter().filter_map(|(reference, object)| Some((object.uid()?, reference.clone())));
        *self.uids.write().unwrap_or_else(PoisonError::into_inner) = uids.collect();
        let mut changes: Vec<_> = now
            .into_iter()
            .filter_map(|(reference, object)| compare(before.remove(&reference), object))
            .collect();
        changes.extend(before.into_values().map(Change::Gone));
        changes
    }

    fn index(&self, before: Option<&K>, now: Option<&K>) {
        let mut uids = self.uids.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(uid) = before.and_then(K::uid) {
            uids.remove(&uid);
        }
        if let Some((object, uid)) = now.and_then(|object| Some((object, object.uid()?))) {
            uids.insert(uid, ObjectRef::from_obj(object));
        }
    }
}

/// What changed between two versions of an object; nothing if they are one and the same.
fn compare<K: Resource<DynamicType = ()>>(before: Option<Arc<K>>, now: Arc<K>) -> Option<Change<K>> {
    let Some(before) = before else { return Some(Change::Wanted(now)) };
    let (a, b) = (before.meta(), now.meta());
    if a.uid == b.uid && a.resource_version == b.resource_version {
        return None;
    }
    let wanted_alike = a.uid == b.uid
        && a.generation == b.generation
        && a.labels == b.labels
        && a.annotations == b.annotations
        && a.owner_references == b.owner_references
        && a.deletion_timestamp == b.deletion_timestamp;
    Some(if wanted_alike { Change::Status(now) } else { Change::Wanted(now) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Workspace;
    use serde_json::{Value, json};
    use tokio::sync::broadcast::error::TryRecvError;

    fn workspace(name: &str, uid: &str, meta: &Value) -> Workspace {
        let mut object = json!({
            "apiVersion": "atelier.dev/v1alpha1", "kind": "Workspace",
            "metadata": {"name": name, "namespace": "ns", "uid": uid, "resourceVersion": "1", "generation": 1},
            "spec": {"runtime": "r"},
        });
        object["metadata"].as_object_mut().unwrap().extend(meta.as_object().unwrap().clone());
        serde_json::from_value(object).unwrap()
    }

    struct World {
        keeper: Keeper<Workspace>,
        heard: broadcast::Receiver<Change<Workspace>>,
    }

    impl World {
        fn new() -> Self {
            let changes = broadcast::Sender::new(WAITING);
            let heard = changes.subscribe();
            Self { keeper: Keeper { writer: Writer::new(()), uids: Uids::default(), changes }, heard }
        }

        /// Applies an event; what was heard of it, in words.
        #[expect(clippy::needless_pass_by_value, reason = "reads better where it is called")]
        fn hears(&mut self, event: Event<Workspace>) -> Vec<String> {
            self.keeper.apply(&event);
            let mut words = Vec::new();
            loop {
                words.push(match self.heard.try_recv() {
                    Ok(Change::Wanted(object)) => format!("wanted {}", object.name_any()),
                    Ok(Change::Status(object)) => format!("status {}", object.name_any()),
                    Ok(Change::Gone(object)) => format!("gone {}", object.name_any()),
                    Ok(Change::Missed) => "missed".to_owned(),
                    Err(TryRecvError::Empty) => break,
                    Err(error) => panic!("{error}"),
                });
            }
            words.sort();
            words
        }

        fn knows(&self, uid: &str) -> bool {
            self.keeper.uids.read().unwrap().contains_key(uid)
        }
    }

    #[test]
    fn a_change_says_whether_it_is_more_than_status() {
        let mut world = World::new();
        let apply = |meta: Value| Event::Apply(workspace("a", "u", &meta));
        assert_eq!(world.hears(apply(json!({}))), ["wanted a"]);
        assert_eq!(world.hears(apply(json!({}))), [""; 0], "the same version again is no change");
        assert_eq!(world.hears(apply(json!({"resourceVersion": "2"}))), ["status a"]);
        assert_eq!(world.hears(apply(json!({"resourceVersion": "3", "finalizers": ["f"]}))), ["status a"]);
        for (version, meta) in [
            json!({"generation": 2}),
            json!({"annotations": {"a": "b"}}),
            json!({"labels": {"a": "b"}}),
            json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}),
        ]
        .into_iter()
        .enumerate()
        {
            let mut meta = meta;
            meta["resourceVersion"] = json!((version + 4).to_string());
            assert_eq!(world.hears(apply(meta.clone())), ["wanted a"], "{meta}");
        }
    }

    #[test]
    fn a_new_object_of_an_old_name_is_wanted_and_found_by_its_uid() {
        let mut world = World::new();
        world.hears(Event::Apply(workspace("a", "u1", &json!({}))));
        assert!(world.knows("u1"));
        assert_eq!(
            world.hears(Event::Apply(workspace("a", "u2", &json!({"resourceVersion": "1"})))),
            ["wanted a"]
        );
        assert!(world.knows("u2") && !world.knows("u1"));
        assert_eq!(world.hears(Event::Delete(workspace("a", "u2", &json!({})))), ["gone a"]);
        assert!(!world.knows("u2"));
    }

    #[test]
    fn a_list_tells_what_the_watch_had_missed() {
        let mut world = World::new();
        for (name, uid) in [("same", "u1"), ("changed", "u2"), ("gone", "u3")] {
            world.hears(Event::Apply(workspace(name, uid, &json!({}))));
        }
        world.hears(Event::Init);
        world.hears(Event::InitApply(workspace("same", "u1", &json!({}))));
        world.hears(Event::InitApply(workspace(
            "changed",
            "u2",
            &json!({"resourceVersion": "9", "generation": 2}),
        )));
        world.hears(Event::InitApply(workspace("new", "u4", &json!({}))));
        assert_eq!(world.hears(Event::InitDone), ["gone gone", "wanted changed", "wanted new"]);
        assert!(world.knows("u4") && !world.knows("u3"));
    }
}
