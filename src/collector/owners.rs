//! The owners of what was found: from the caches first, and live before anything is removed.

use super::judge::{Owner, Record};
use crate::api::{GROUP, Team, Workspace};
use crate::backend::Found;
use crate::metrics::Thing;
use crate::reconcile::Cache;
use kube::api::ListParams;
use kube::core::{NamespaceResourceScope, Status};
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Client, Error, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::fmt::Debug;
use std::time::Duration;

/// How long the API server may take to answer.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Looks owners up.
pub struct Owners {
    pub client: Client,
    pub workspaces: Cache<Workspace>,
    pub teams: Cache<Team>,
}

/// What was read in one sweep. Neither a uid that is gone nor an attempt that is over comes back, so one look
/// serves everything of one owner.
pub type Read = HashMap<(Thing, String, String), Owner>;

impl Owners {
    /// By the caches, which cost nothing and may be behind: "none" is a reason to ask, and no more.
    pub fn cached(&self, found: &Found) -> Owner {
        let record = if found.thing == Thing::Network {
            let is_there =
                self.workspaces.by_uid(&found.uid).is_some() || self.teams.by_uid(&found.uid).is_some();
            is_there.then(|| Record { uid: found.uid.clone(), ..Record::default() })
        } else {
            let name = ObjectRef::<Workspace>::new(&found.name).within(&found.namespace);
            self.workspaces.store().get(&name).map(|ws| Record::from(&*ws))
        };
        record.map_or(Owner::None, Owner::Lives)
    }

    /// As the API server has it now.
    ///
    /// # Errors
    /// Why the API server is not well.
    pub async fn live(&self, found: &Found, read: &mut Read) -> Result<Owner, String> {
        let object = if found.thing == Thing::Network { &found.uid } else { &found.name };
        // Of networks and of the rest apart: they have owners of other kinds.
        let kind = if found.thing == Thing::Network { Thing::Network } else { Thing::Box };
        let key = (kind, found.namespace.clone(), object.clone());
        if let Some(owner) = read.get(&key) {
            return Ok(owner.clone());
        }
        let owner = if kind == Thing::Network {
            self.of_network(&found.namespace, &found.uid).await?
        } else {
            let api: Api<Workspace> = Api::namespaced(self.client.clone(), &found.namespace);
            match ask(api.get(&found.name)).await? {
                Ok(ws) => Owner::Lives(Record::from(&ws)),
                Err(status) if is_absent(&status, &found.name) => Owner::None,
                Err(_) => Owner::Unknown,
            }
        };
        read.insert(key, owner.clone());
        Ok(owner)
    }

    /// A network names the uid of a Team or of a Workspace, so both lists of its namespace are asked.
    async fn of_network(&self, namespace: &str, uid: &str) -> Result<Owner, String> {
        let has = (self.lists::<Workspace>(namespace, uid).await?, self.lists::<Team>(namespace, uid).await?);
        Ok(match has {
            (Some(true), _) | (_, Some(true)) => {
                Owner::Lives(Record { uid: uid.to_owned(), ..Record::default() })
            }
            (Some(false), Some(false)) => Owner::None,
            _ => Owner::Unknown,
        })
    }

    /// Whether a complete list of a kind holds this uid; `None` where it cannot be had.
    async fn lists<K>(&self, namespace: &str, uid: &str) -> Result<Option<bool>, String>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        // Without a resourceVersion: not from a cache that may be behind.
        let parameters = ListParams::default();
        let listed = ask(api.list_metadata(&parameters)).await?;
        Ok(listed.ok().map(|list| list.items.iter().any(|item| item.uid().as_deref() == Some(uid))))
    }
}

/// Asks the API server: what it answered, also where it refused. No answer, and one that says that it is not
/// well, is an error.
///
/// # Errors
/// Why it is not well.
pub async fn ask<T>(
    question: impl Future<Output = Result<T, Error>>,
) -> Result<Result<T, Box<Status>>, String> {
    match tokio::time::timeout(PATIENCE, question).await {
        Ok(Ok(answer)) => Ok(Ok(answer)),
        Ok(Err(Error::Api(status))) if status.code >= 500 || status.code == 429 => {
            Err(format!("it answered {}: {}", status.code, status.message))
        }
        Ok(Err(Error::Api(status))) => Ok(Err(status)),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

/// Whether this is a 404 for that very Workspace, and not one for a kind that is not served.
fn is_absent(status: &Status, name: &str) -> bool {
    let about = status.details.as_ref();
    status.code == 404
        && status.reason == "NotFound"
        && about.is_some_and(|about| about.name == name && about.group == GROUP && about.kind == "workspaces")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::testing::api_server;
    use serde_json::{Value, json};

    fn found(thing: Thing) -> Found {
        Found {
            thing,
            id: "x".into(),
            uid: "u".into(),
            namespace: "ns".into(),
            name: "w".into(),
            attempt: None,
            made_at: None,
            is_retained: false,
            is_ending: false,
            is_in_use: false,
        }
    }

    async fn live(thing: Thing, code: u16, reply: Value) -> Result<Owner, String> {
        let (client, _) = api_server(code, reply);
        let owners = Owners {
            workspaces: Cache::start(Api::all(client.clone())),
            teams: Cache::start(Api::all(client.clone())),
            client,
        };
        owners.live(&found(thing), &mut Read::default()).await
    }

    fn failure(code: u16, reason: &str, details: &Value) -> Value {
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason,
               "message": "m", "details": details})
    }

    #[tokio::test]
    async fn only_a_404_for_the_named_workspace_means_that_there_is_none() {
        let named = json!({"name": "w", "group": GROUP, "kind": "workspaces"});
        for (code, reason, details, owner) in [
            (404, "NotFound", named.clone(), Ok(Owner::None)),
            (404, "NotFound", json!({}), Ok(Owner::Unknown)),
            (404, "NotFound", json!({"name": "v", "group": GROUP, "kind": "workspaces"}), Ok(Owner::Unknown)),
            (404, "NotFound", json!({"name": "w", "group": "", "kind": "namespaces"}), Ok(Owner::Unknown)),
            (404, "Other", named.clone(), Ok(Owner::Unknown)),
            (403, "Forbidden", named.clone(), Ok(Owner::Unknown)),
            (401, "Unauthorized", json!({}), Ok(Owner::Unknown)),
            (410, "Gone", named.clone(), Ok(Owner::Unknown)),
            (503, "ServiceUnavailable", json!({}), Err(())),
            (500, "InternalError", named.clone(), Err(())),
            (429, "TooManyRequests", json!({}), Err(())),
        ] {
            let answer = live(Thing::Box, code, failure(code, reason, &details)).await;
            assert_eq!(answer.map_err(drop), owner, "{code} {reason} {details}");
        }
        assert!(live(Thing::Box, 200, json!("no object")).await.is_err(), "an answer that cannot be read");
    }

    #[tokio::test]
    async fn a_workspace_that_is_there_is_told_with_its_record() {
        let ws = json!({"apiVersion": format!("{GROUP}/v1alpha1"), "kind": "Workspace",
            "metadata": {"name": "w", "namespace": "ns", "uid": "v"}, "spec": {"runtime": "echo"}});
        let record = Record { uid: "v".into(), ..Record::default() };
        assert_eq!(live(Thing::Box, 200, ws).await, Ok(Owner::Lives(record)));
    }

    #[tokio::test]
    async fn a_network_is_its_team_s_as_long_as_a_list_shows_its_uid() {
        let list = |uid: &str| {
            json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList", "metadata": {},
                "items": [{"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
                           "metadata": {"name": "t", "uid": uid}}]})
        };
        let lives = Record { uid: "u".into(), ..Record::default() };
        assert_eq!(live(Thing::Network, 200, list("u")).await, Ok(Owner::Lives(lives)));
        assert_eq!(live(Thing::Network, 200, list("v")).await, Ok(Owner::None));
        let unserved = failure(404, "NotFound", &json!({}));
        assert_eq!(live(Thing::Network, 404, unserved).await, Ok(Owner::Unknown));
    }
}
