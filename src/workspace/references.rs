//! Secrets, ConfigMaps and parents that a spec refers to: read one by one, remembered for a while.

use crate::api::Workspace;
use crate::api::names;
use crate::api::workspace::WorkspaceSpec;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, Client, ResourceExt};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long one read may take.
const READ_DEADLINE: Duration = Duration::from_secs(5);

/// What a spec refers to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reference {
    /// A Secret of the Workspace's namespace.
    Secret(String),
    /// A ConfigMap of the Workspace's namespace.
    ConfigMap(String),
    /// The Workspace that it reports to.
    Parent(String),
}

impl Reference {
    /// Its kind and name, for people.
    pub fn title(&self) -> String {
        match self {
            Self::Secret(name) => format!("Secret {name:?}"),
            Self::ConfigMap(name) => format!("ConfigMap {name:?}"),
            Self::Parent(name) => format!("Workspace {name:?}"),
        }
    }
}

/// What a reference came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The data of a Secret or ConfigMap.
    Data(Arc<BTreeMap<String, Vec<u8>>>),
    /// The uid of a Workspace.
    Uid(String),
    /// A Secret that no agent may be given, and why.
    Protected(&'static str),
    /// There is no such object.
    Missing,
    /// The API server's words: it could not be read.
    Unread(String),
}

/// All that a spec refers to.
pub type References = BTreeMap<Reference, Found>;

/// Every object that a spec refers to.
pub fn of(spec: &WorkspaceSpec) -> BTreeSet<Reference> {
    let from = || spec.env.iter().filter_map(|e| e.value_from.as_ref());
    let prompts = spec.prompts.iter().flat_map(|p| [&p.system_from, &p.initial_from]).flatten();
    let secrets = (spec.files.iter().filter_map(|f| f.secret_key_ref.as_ref()).map(|r| &r.name))
        .chain(from().filter_map(|f| f.secret_key_ref.as_ref()).map(|r| &r.name))
        .chain(spec.env_from.iter().filter_map(|f| f.secret_ref.as_ref()).map(|r| &r.name));
    let maps = (spec.files.iter().filter_map(|f| f.config_map_key_ref.as_ref()).map(|r| &r.name))
        .chain(from().filter_map(|f| f.config_map_key_ref.as_ref()).map(|r| &r.name))
        .chain(spec.env_from.iter().filter_map(|f| f.config_map_ref.as_ref()).map(|r| &r.name))
        .chain(spec.files_from.iter().map(|f| &f.config_map_ref.name))
        .chain(spec.plugins.iter().filter_map(|p| p.config_map_ref.as_ref()).map(|r| &r.name))
        .chain(prompts.map(|f| &f.config_map_key_ref.name));
    let mut all: BTreeSet<Reference> = secrets.cloned().map(Reference::Secret).collect();
    all.extend(maps.cloned().map(Reference::ConfigMap));
    all.extend(spec.parent_ref.as_ref().map(|p| Reference::Parent(p.name.clone())));
    all
}

/// By namespace and reference: when it was read, and what was found.
type Known = HashMap<(String, Reference), (Instant, Found)>;

/// Reads references, and remembers what it found for a while.
#[derive(Clone)]
pub struct Reader {
    client: Client,
    period: Duration,
    known: Arc<Mutex<Known>>,
}

impl Reader {
    /// Reads anew what was read more than a `period` ago.
    pub fn new(client: Client, period: Duration) -> Self {
        Self { client, period, known: Arc::default() }
    }

    /// Everything that a spec refers to. `fresh`: as it is now, for a box that is about to be made.
    pub async fn read(&self, namespace: &str, spec: &WorkspaceSpec, fresh: bool) -> References {
        let mut all = References::new();
        for reference in of(spec) {
            let found = match self.remembered(namespace, &reference).filter(|_| !fresh) {
                Some(found) => found,
                None => self.read_one(namespace, &reference).await,
            };
            all.insert(reference, found);
        }
        all
    }

    fn remembered(&self, namespace: &str, reference: &Reference) -> Option<Found> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, (at, _)| at.elapsed() < self.period);
        known.get(&(namespace.to_owned(), reference.clone())).map(|(_, found)| found.clone())
    }

    async fn read_one(&self, namespace: &str, reference: &Reference) -> Found {
        let read = async {
            match reference {
                Reference::Secret(name) => self.secret(namespace, name).await,
                Reference::ConfigMap(name) => self.config_map(namespace, name).await,
                Reference::Parent(name) => self.parent(namespace, name).await,
            }
        };
        let found = match tokio::time::timeout(READ_DEADLINE, read).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => return Found::Unread(error.to_string()),
            Err(_) => return Found::Unread(format!("no answer within {} s", READ_DEADLINE.as_secs())),
        };
        // What is missing is looked for again each time.
        if found != Found::Missing {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.insert((namespace.to_owned(), reference.clone()), (Instant::now(), found.clone()));
        }
        found
    }

    async fn secret(&self, namespace: &str, name: &str) -> Result<Found, kube::Error> {
        let secret = Api::<Secret>::namespaced(self.client.clone(), namespace).get_opt(name).await?;
        Ok(secret.map_or(Found::Missing, |secret| {
            if secret.type_.as_deref() == Some("kubernetes.io/service-account-token") {
                return Found::Protected("it is a service account's token");
            }
            if secret.labels().contains_key(names::PROTECTED) {
                return Found::Protected("it carries the label atelier.dev/protected");
            }
            let data = secret.data.unwrap_or_default();
            Found::Data(Arc::new(data.into_iter().map(|(key, value)| (key, value.0)).collect()))
        }))
    }

    async fn config_map(&self, namespace: &str, name: &str) -> Result<Found, kube::Error> {
        let map = Api::<ConfigMap>::namespaced(self.client.clone(), namespace).get_opt(name).await?;
        Ok(map.map_or(Found::Missing, |map| {
            let text = map.data.unwrap_or_default().into_iter().map(|(k, v)| (k, v.into_bytes()));
            let binary = map.binary_data.unwrap_or_default().into_iter().map(|(k, v)| (k, v.0));
            Found::Data(Arc::new(text.chain(binary).collect()))
        }))
    }

    async fn parent(&self, namespace: &str, name: &str) -> Result<Found, kube::Error> {
        let parent =
            Api::<Workspace>::namespaced(self.client.clone(), namespace).get_metadata_opt(name).await?;
        Ok(parent.and_then(|p| p.uid()).map_or(Found::Missing, Found::Uid))
    }
}
