//! The cluster's id as it was stored at first start: where it differs, what is not found proves nothing.
//!
//! A cluster that was restored or replaced under a running or reinstalled operator has another id, or none; its
//! Workspaces are not those that the boxes were made for.

use super::owners::ask;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use std::collections::BTreeMap;

/// The key in the `ConfigMap`.
const KEY: &str = "id";

/// Where the id is stored.
pub struct Identity {
    api: Api<ConfigMap>,
    name: String,
    id: String,
    was_stored: bool,
}

/// What a look at it came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored {
    /// It is this cluster's.
    Same,
    /// It is another's, or it was removed: says what to do.
    Differs(String),
    /// The API server refused: says what it said.
    Refused(String),
}

impl Identity {
    /// For the installation of this name, in the operator's own namespace.
    pub fn new(api: Api<ConfigMap>, controller: &str, id: &str) -> Self {
        Self { api, name: format!("{controller}-cluster-id"), id: id.to_owned(), was_stored: false }
    }

    /// Reads the stored id, and stores it where this process has never seen one.
    ///
    /// # Errors
    /// Why the API server is not well.
    pub async fn check(&mut self) -> Result<Stored, String> {
        let name = &self.name;
        let stored = match ask(self.api.get(name)).await? {
            Ok(map) => map,
            Err(status) if status.code == 404 && self.was_stored => {
                let why = format!(
                    "the ConfigMap {name} with the cluster's id is gone: restart the operator if this is the cluster that it was"
                );
                return Ok(Stored::Differs(why));
            }
            Err(status) if status.code == 404 => {
                match ask(self.api.create(&PostParams::default(), &self.map())).await? {
                    Ok(map) => map,
                    Err(status) => return Ok(Stored::Refused(status.message.clone())),
                }
            }
            Err(status) => return Ok(Stored::Refused(status.message.clone())),
        };
        self.was_stored = true;
        Ok(self.judged(stored))
    }

    /// Reads the stored id and stores none: for whoever only wants to know.
    ///
    /// # Errors
    /// Why the API server is not well.
    pub async fn compare(&self) -> Result<Stored, String> {
        Ok(match ask(self.api.get(&self.name)).await? {
            Ok(map) => self.judged(map),
            Err(status) if status.code == 404 => Stored::Differs(format!(
                "there is no ConfigMap {} with the cluster's id: the replica that leads stores it when it starts",
                self.name
            )),
            Err(status) => Stored::Refused(status.message.clone()),
        })
    }

    fn judged(&self, stored: ConfigMap) -> Stored {
        let found = stored.data.unwrap_or_default().remove(KEY).unwrap_or_default();
        if found == self.id {
            return Stored::Same;
        }
        Stored::Differs(format!(
            "the ConfigMap {} holds the cluster id {found:?}, and this cluster's is {:?}: name the former with \
             --cluster-id, or delete the ConfigMap if nothing of the former is to be looked after here",
            self.name, self.id
        ))
    }

    fn map(&self) -> ConfigMap {
        ConfigMap {
            metadata: ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() },
            data: Some(BTreeMap::from([(KEY.to_owned(), self.id.clone())])),
            immutable: Some(true),
            ..ConfigMap::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::testing::api_server;
    use serde_json::{Value, json};

    fn identity(code: u16, reply: Value) -> Identity {
        let (client, _) = api_server(code, reply);
        Identity::new(Api::namespaced(client, "ns"), "atelier", "c1")
    }

    fn map(id: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "n"}, "data": {"id": id}})
    }

    fn failure(code: u16) -> Value {
        json!({"kind": "Status", "status": "Failure", "code": code, "reason": "r", "message": "m"})
    }

    #[tokio::test]
    async fn only_the_same_id_is_good_enough() {
        assert_eq!(identity(200, map("c1")).check().await, Ok(Stored::Same));
        assert!(matches!(identity(200, map("c2")).check().await, Ok(Stored::Differs(_))));
        assert_eq!(identity(403, failure(403)).check().await, Ok(Stored::Refused("m".into())));
        assert!(identity(500, failure(500)).check().await.is_err());
    }

    #[tokio::test]
    async fn who_only_compares_stores_nothing() {
        assert_eq!(identity(200, map("c1")).compare().await, Ok(Stored::Same));
        assert!(matches!(identity(200, map("c2")).compare().await, Ok(Stored::Differs(_))));
        assert_eq!(identity(403, failure(403)).compare().await, Ok(Stored::Refused("m".into())));
        assert!(identity(500, failure(500)).compare().await.is_err());
        let (client, calls) = api_server(404, failure(404));
        let identity = Identity::new(Api::namespaced(client, "ns"), "atelier", "c1");
        assert!(matches!(identity.compare().await, Ok(Stored::Differs(_))));
        assert!(calls.lock().unwrap().iter().all(|call| call.method == "GET"));
    }

    #[tokio::test]
    async fn what_was_stored_and_is_gone_is_not_stored_anew() {
        let mut identity = identity(404, failure(404));
        assert_eq!(identity.check().await, Ok(Stored::Refused("m".into())), "it tried to store it");
        identity.was_stored = true;
        assert!(matches!(identity.check().await, Ok(Stored::Differs(_))));
    }
}
