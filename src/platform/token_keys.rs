//! The Secret with the keys of agents' tokens: made once, read again every minute, and never remade while
//! boxes hold tokens of the old keys.

use crate::api::workspace::Outcome;
use crate::api::{Workspace, names};
use crate::keys::{Keyring, Keys};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, ResourceExt};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::watch;
use tracing::{info, warn};

/// The name of the Secret, in the operator's namespace.
pub const SECRET: &str = "atelier-token-keys";
/// How long one call may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How it stands with the keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum KeyState {
    /// They were not looked for yet, or the API server did not answer: what was read before stands.
    #[default]
    Unread,
    /// They are there.
    Good {
        /// The id of the current one.
        current: String,
    },
    /// There is no such Secret.
    Missing,
    /// The Secret cannot be used.
    Bad {
        /// What is wrong with it.
        why: String,
    },
}

/// The Workspaces whose boxes hold a token that was not made with the current key, by the id of its key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holders {
    /// Of a key that is there still: it must stay until they were launched anew.
    pub older: BTreeMap<String, Vec<String>>,
    /// Of a key that is not there any more: they are not heard.
    pub lost: BTreeMap<String, Vec<String>>,
}

impl Holders {
    /// Looks through the Workspaces.
    pub fn of<'a>(workspaces: impl IntoIterator<Item = &'a Workspace>, ring: &Keyring) -> Self {
        let mut holders = Self::default();
        for workspace in workspaces {
            let launch = workspace.status.as_ref().and_then(|status| status.launch.as_ref());
            let Some(launch) = launch.filter(|l| matches!(l.outcome, Outcome::Pending | Outcome::Launched))
            else {
                continue;
            };
            let id = &launch.key_id;
            let list = match (id == ring.current(), ring.contains(id)) {
                (true, _) => continue,
                (false, true) => &mut holders.older,
                (false, false) => &mut holders.lost,
            };
            let namespace = workspace.namespace().unwrap_or_default();
            list.entry(id.clone()).or_default().push(format!("{namespace}/{}", workspace.name_any()));
        }
        holders
    }
}

/// Reads the Secret into [`Keys`]. Cheap to clone.
#[derive(Clone, Debug)]
pub struct TokenKeys {
    api: Api<Secret>,
    keys: Keys,
    state: watch::Sender<KeyState>,
}

impl TokenKeys {
    /// Keys that were not read yet, and the Secrets of the operator's namespace.
    pub fn new(api: Api<Secret>, keys: Keys) -> Self {
        Self { api, keys, state: watch::Sender::default() }
    }

    /// The keys in use.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// How it stands, and word of each change.
    pub fn state(&self) -> watch::Receiver<KeyState> {
        self.state.subscribe()
    }

    /// Reads the Secret once. Keys that were read before stay in use while it is missing or bad: agents hold
    /// tokens of them.
    pub async fn read(&self) {
        let state = match tokio::time::timeout(PATIENCE, self.api.get_opt(SECRET)).await {
            Ok(Ok(Some(secret))) => match Keyring::from_secret_data(&secret.data.unwrap_or_default()) {
                Ok(ring) => {
                    let current = ring.current().to_owned();
                    self.keys.set(Some(ring));
                    KeyState::Good { current }
                }
                Err(error) => KeyState::Bad { why: error.to_string() },
            },
            Ok(Ok(None)) => KeyState::Missing,
            Ok(Err(error)) => {
                warn!(secret = SECRET, %error, "the token keys could not be read; it is tried again");
                return;
            }
            Err(_) => {
                warn!(secret = SECRET, "the token keys could not be read in time; it is tried again");
                return;
            }
        };
        self.state.send_if_modified(|before| {
            let differs = *before != state;
            *before = state;
            differs
        });
    }

    /// Makes the Secret if there is none. To be called by the leader alone, and only while no Workspace has a
    /// launch recorded: a box that holds a token of lost keys could never be heard again.
    pub async fn make(&self) {
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(SECRET.into()),
                labels: Some(BTreeMap::from([(names::PROTECTED.to_owned(), "true".to_owned())])),
                ..ObjectMeta::default()
            },
            type_: Some("Opaque".into()),
            data: Some(Keyring::generate()),
            ..Secret::default()
        };
        let parameters = PostParams::default();
        match tokio::time::timeout(PATIENCE, self.api.create(&parameters, &secret)).await {
            Ok(Ok(_)) => info!(secret = SECRET, "made the keys for agents' tokens"),
            // It is there after all.
            Ok(Err(kube::Error::Api(status))) if status.code == 409 => {}
            Ok(Err(error)) => {
                warn!(secret = SECRET, %error, "the token keys could not be made; it is tried again");
            }
            Err(_) => warn!(secret = SECRET, "the token keys could not be made in time; it is tried again"),
        }
        self.read().await;
    }

    /// Reads the Secret every `period`, and more often until it was read for the first time.
    pub async fn keep_reading(&self, period: Duration) {
        loop {
            self.read().await;
            let pause = if self.keys.get().is_some() { period } else { period.min(Duration::from_secs(1)) };
            tokio::time::sleep(pause).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::testing::api_server;
    use serde_json::json;

    fn tended(code: u16, reply: serde_json::Value) -> (TokenKeys, Keys) {
        let (client, _) = api_server(code, reply);
        let keys = Keys::default();
        (TokenKeys::new(Api::namespaced(client, "ns"), keys.clone()), keys)
    }

    fn failure(code: u16) -> serde_json::Value {
        json!({"kind": "Status", "status": "Failure", "code": code, "message": "m",
               "reason": if code == 404 { "NotFound" } else { "ServiceUnavailable" }})
    }

    fn launched(name: &str, key_id: &str, outcome: &str) -> Workspace {
        serde_json::from_value(json!({
            "metadata": {"name": name, "namespace": "ns"},
            "spec": {"runtime": "r"},
            "status": {"launch": {"attempt": 1, "outcome": outcome, "specHash": "h", "keyID": key_id,
                                  "request": "{}", "startedAt": "2026-01-01T00:00:00Z"}},
        }))
        .unwrap()
    }

    #[test]
    fn a_key_is_needed_while_a_live_box_holds_its_token() {
        let data = [("current", b"new".to_vec()), ("key-new", vec![1; 32]), ("key-old", vec![2; 32])];
        let data = data.map(|(name, bytes)| (name.to_owned(), k8s_openapi::ByteString(bytes)));
        let ring = Keyring::from_secret_data(&data.into()).unwrap();
        let workspaces = [
            launched("a", "new", "Launched"),
            launched("b", "old", "Launched"),
            launched("c", "older", "Pending"),
            launched("d", "older", "Gone"),
            launched("e", "old", "Refused"),
        ];
        let expected = Holders {
            older: BTreeMap::from([("old".to_owned(), vec!["ns/b".to_owned()])]),
            lost: BTreeMap::from([("older".to_owned(), vec!["ns/c".to_owned()])]),
        };
        assert_eq!(Holders::of(&workspaces, &ring), expected);
    }

    #[tokio::test]
    async fn what_the_secret_holds_is_taken_into_use() {
        let data = serde_json::to_value(Keyring::generate()).unwrap();
        let (tended, keys) = tended(200, json!({"metadata": {"name": SECRET}, "data": data}));
        tended.read().await;
        let current = keys.get().unwrap().current().to_owned();
        assert_eq!(*tended.state().borrow(), KeyState::Good { current });
    }

    #[tokio::test]
    async fn keys_stay_in_use_when_their_secret_goes() {
        let (gone, keys) = tended(404, failure(404));
        keys.set(Some(Keyring::from_secret_data(&Keyring::generate()).unwrap()));
        gone.read().await;
        assert_eq!(*gone.state().borrow(), KeyState::Missing);
        assert!(keys.get().is_some());
    }

    #[tokio::test]
    async fn an_answer_that_does_not_come_says_nothing() {
        let (silent, _) = tended(503, failure(503));
        silent.read().await;
        assert_eq!(*silent.state().borrow(), KeyState::Unread);
        let (bad, keys) = tended(200, json!({"metadata": {"name": SECRET}, "data": {}}));
        bad.read().await;
        assert!(matches!(&*bad.state().borrow(), KeyState::Bad { why } if why.contains("current")));
        assert!(keys.get().is_none());
    }
}
