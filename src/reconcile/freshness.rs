//! After an own write a reconcile goes on with the server's reply, not with the store, until the watch has
//! caught up; after a write whose outcome is unknown it reads live first.

use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a live read may take.
const READ_DEADLINE: Duration = Duration::from_secs(10);

/// What this process knows better than its store, by uid.
#[derive(Debug)]
pub struct Fresh<K>(Mutex<HashMap<String, Known<K>>>);

#[derive(Debug)]
enum Known<K> {
    /// The server's reply to our last write, or to a live read.
    Reply(Arc<K>),
    /// A write whose outcome is unknown, or that met a conflict.
    Doubt,
    /// It is gone since then, whatever the store still shows.
    Gone(Instant),
}

/// How long the store may go on showing what is gone.
const STORE_LAG: Duration = Duration::from_secs(300);

impl<K> Default for Fresh<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

/// What a live read may say instead of the object.
#[derive(Debug, thiserror::Error)]
pub enum Gone {
    /// There is no such object, or another one of its name.
    #[error("the object is gone")]
    Gone,
    /// The API server did not answer; nothing may be done until it does.
    #[error("the object could not be read: {0}")]
    Unread(#[source] kube::Error),
}

impl<K> Fresh<K>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    /// Takes the server's reply to a write.
    pub fn remember(&self, reply: K) -> Arc<K> {
        let reply = Arc::new(reply);
        if let Some(uid) = reply.uid() {
            self.lock().insert(uid, Known::Reply(reply.clone()));
        }
        reply
    }

    /// A write of this object had an unknown outcome or met a conflict: the next look at it is a live read.
    pub fn doubt(&self, uid: &str) {
        self.lock().insert(uid.to_owned(), Known::Doubt);
    }

    /// An object is gone: what the store still shows of it is old, and nothing is to be done about it.
    pub fn gone(&self, uid: &str) {
        let mut known = self.lock();
        known.retain(|_, known| !matches!(known, Known::Gone(since) if since.elapsed() > STORE_LAG));
        known.insert(uid.to_owned(), Known::Gone(Instant::now()));
    }

    /// The newest version of the object that this process knows. Reads it live if a write left a doubt.
    ///
    /// # Errors
    /// When the live read finds another object or none, or gets no answer. The doubt stays then.
    pub async fn latest_or_get(&self, api: &Api<K>, from_store: Arc<K>) -> Result<Arc<K>, Gone> {
        if let Some(latest) = self.latest(&from_store)? {
            return Ok(latest);
        }
        let read = tokio::time::timeout(READ_DEADLINE, api.get_opt(&from_store.name_any())).await;
        match read {
            Ok(Ok(Some(mut live))) if live.uid() == from_store.uid() => {
                live.meta_mut().managed_fields = None;
                Ok(self.remember(live))
            }
            Ok(Ok(_)) => Err(Gone::Gone),
            Ok(Err(error)) => Err(Gone::Unread(error)),
            Err(_) => Err(Gone::Unread(kube::Error::Service("no answer within 10 s".into()))),
        }
    }

    /// The newer of the store's version and the remembered one; none if there is a doubt.
    fn latest(&self, from_store: &Arc<K>) -> Result<Option<Arc<K>>, Gone> {
        let Some(uid) = from_store.uid() else { return Ok(Some(from_store.clone())) };
        let mut known = self.lock();
        Ok(match known.get(&uid) {
            None => Some(from_store.clone()),
            Some(Known::Gone(_)) => return Err(Gone::Gone),
            Some(Known::Doubt) => None,
            Some(Known::Reply(reply)) if version(&**reply) > version(&**from_store) => Some(reply.clone()),
            Some(Known::Reply(_)) => {
                known.remove(&uid);
                Some(from_store.clone())
            }
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Known<K>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Resource versions are numbers that grow, for every kind that etcd stores; Kubernetes has said so since
/// 1.35. What is no number counts as oldest, so that the store wins and nothing is remembered for ever.
fn version<K: Resource>(object: &K) -> u64 {
    object.meta().resource_version.as_deref().and_then(|v| v.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Workspace;
    use crate::reconcile::testing::api_server;
    use serde_json::{Value, json};

    fn object(uid: &str, version: &str) -> Value {
        json!({
            "apiVersion": "atelier.dev/v1alpha1", "kind": "Workspace",
            "metadata": {"name": "w", "namespace": "ns", "uid": uid, "resourceVersion": version},
            "spec": {"runtime": "r"},
        })
    }

    fn workspace(uid: &str, version: &str) -> Arc<Workspace> {
        Arc::new(serde_json::from_value(object(uid, version)).unwrap())
    }

    fn version_of(workspace: &Workspace) -> &str {
        workspace.metadata.resource_version.as_deref().unwrap()
    }

    #[tokio::test]
    async fn the_reply_counts_until_the_watch_has_caught_up() {
        let (client, calls) = api_server(500, json!({}));
        let api = Api::namespaced(client, "ns");
        let fresh = Fresh::default();
        fresh.remember(Workspace::clone(&workspace("u", "10")));
        for (store, expected) in [("9", "10"), ("10", "10"), ("9", "9")] {
            let latest = fresh.latest_or_get(&api, workspace("u", store)).await.unwrap();
            assert_eq!(version_of(&latest), expected, "with {store} in the store");
        }
        assert!(calls.lock().unwrap().is_empty(), "nothing is read live without a doubt");
    }

    #[tokio::test]
    async fn versions_are_compared_as_numbers() {
        let (client, _) = api_server(500, json!({}));
        let fresh = Fresh::default();
        fresh.remember(Workspace::clone(&workspace("u", "100")));
        let latest = fresh.latest_or_get(&Api::namespaced(client, "ns"), workspace("u", "99")).await.unwrap();
        assert_eq!(version_of(&latest), "100");
    }

    #[tokio::test]
    async fn a_doubt_is_settled_by_a_live_read() {
        let (client, calls) = api_server(200, object("u", "12"));
        let api = Api::namespaced(client, "ns");
        let fresh = Fresh::default();
        fresh.doubt("u");
        for store in ["9", "11"] {
            let latest = fresh.latest_or_get(&api, workspace("u", store)).await.unwrap();
            assert_eq!(version_of(&latest), "12");
        }
        assert_eq!(calls.lock().unwrap().len(), 1, "once is enough");
    }

    #[tokio::test]
    async fn a_doubt_stays_while_the_server_does_not_answer() {
        let failure =
            json!({"kind": "Status", "status": "Failure", "code": 503, "message": "m", "reason": "r"});
        let (client, calls) = api_server(503, failure);
        let api = Api::namespaced(client, "ns");
        let fresh = Fresh::default();
        fresh.doubt("u");
        for _ in 0..2 {
            let read = fresh.latest_or_get(&api, workspace("u", "9")).await;
            assert!(matches!(read, Err(Gone::Unread(_))), "{read:?}");
        }
        assert_eq!(calls.lock().unwrap().len(), 2);
    }

    #[tokio::test]
    async fn what_is_gone_stays_gone_whatever_the_store_shows() {
        let (client, calls) = api_server(200, object("u", "12"));
        let api = Api::namespaced(client, "ns");
        let fresh = Fresh::default();
        fresh.remember(Workspace::clone(&workspace("u", "10")));
        fresh.gone("u");
        for store in ["9", "11"] {
            let read = fresh.latest_or_get(&api, workspace("u", store)).await;
            assert!(matches!(read, Err(Gone::Gone)), "{read:?}");
        }
        assert!(fresh.latest_or_get(&api, workspace("another", "9")).await.is_ok());
        assert!(calls.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn another_object_of_the_name_is_not_ours() {
        let (client, _) = api_server(200, object("another", "12"));
        let fresh = Fresh::default();
        fresh.doubt("u");
        let read = fresh.latest_or_get(&Api::namespaced(client, "ns"), workspace("u", "9")).await;
        assert!(matches!(read, Err(Gone::Gone)), "{read:?}");
    }
}
