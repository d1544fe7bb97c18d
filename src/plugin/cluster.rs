//! Cluster: the way to the API server that the kubeconfig names, and what may go wrong on it.

use clap::Args;
use k8s_openapi::api::core::v1::Event;
use kube::api::{Api, ListParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::NamespaceResourceScope;
use kube::{Client, Config, Resource};
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::path::PathBuf;
use std::time::Duration;

/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Which cluster, as with kubectl.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Cluster")]
pub struct ClusterFlags {
    /// The kubeconfig file [default: as kubectl finds it]
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig [default: its current one]
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// The namespace [default: that of the context]
    #[arg(long, short, global = true, value_name = "NAME")]
    pub namespace: Option<String>,
}

/// Why a question was not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no way to the cluster.
    #[error("{0}")]
    NoCluster(String),
    /// The user may not ask; in the API server's words.
    #[error("{0}")]
    Forbidden(String),
    /// There is no such object or path; in the API server's words.
    #[error("{0}")]
    Missing(String),
    /// The API server answered with something else.
    #[error("the API server refused it: {0}")]
    Refused(String),
}

/// An answer or why there is none.
pub type Answer<T> = Result<T, Refusal>;

/// The way to the API server.
#[derive(Clone)]
pub struct Cluster {
    /// The client.
    pub client: Client,
    /// Where the API server is.
    pub url: String,
    /// The namespace that is meant where none is named.
    pub namespace: String,
}

impl Cluster {
    /// Reads the kubeconfig and makes a client; asks nothing yet.
    ///
    /// # Errors
    /// When there is no kubeconfig that can be used.
    pub async fn open(flags: &ClusterFlags) -> Answer<Self> {
        let no_cluster = |error: &dyn std::fmt::Display| {
            Refusal::NoCluster(format!(
                "there is no way to a cluster: {error}; name a kubeconfig with --kubeconfig or KUBECONFIG"
            ))
        };
        let mut config = if flags.kubeconfig.is_none() && flags.context.is_none() {
            Config::infer().await.map_err(|error| no_cluster(&error))?
        } else {
            let read = match &flags.kubeconfig {
                Some(file) => Kubeconfig::read_from(file),
                None => Kubeconfig::read(),
            };
            let read = read.map_err(|error| no_cluster(&error))?;
            let options =
                KubeConfigOptions { context: flags.context.clone(), ..KubeConfigOptions::default() };
            Config::from_custom_kubeconfig(read, &options).await.map_err(|error| no_cluster(&error))?
        };
        // Who waits at a prompt is better told at once.
        config.default_retry = false;
        let url = config.cluster_url.to_string();
        let namespace = flags.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config).map_err(|error| no_cluster(&error))?;
        Ok(Self { client, url, namespace })
    }

    /// The objects of a kind in a namespace, or in all.
    pub fn api<K>(&self, namespace: Option<&str>) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        match namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        }
    }

    /// Asks one thing.
    ///
    /// # Errors
    /// When it was not answered, in words for a person.
    pub async fn ask<T>(&self, question: impl Future<Output = Result<T, kube::Error>>) -> Answer<T> {
        match tokio::time::timeout(PATIENCE, question).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.refusal(&error)),
            Err(_) => Err(self.silent(&format!("no answer within {} s", PATIENCE.as_secs()))),
        }
    }

    /// What a failed call is to a person.
    pub fn refusal(&self, error: &kube::Error) -> Refusal {
        match error {
            kube::Error::Api(status) => {
                let words = if status.message.is_empty() { &status.reason } else { &status.message };
                match status.code {
                    401 => Refusal::Forbidden(format!(
                        "the API server does not know you ({words}): renew the credentials of the kubeconfig"
                    )),
                    403 => Refusal::Forbidden(words.clone()),
                    404 => Refusal::Missing(words.clone()),
                    code => Refusal::Refused(format!("{words} (code {code})")),
                }
            }
            kube::Error::SerdeError(error) => {
                Refusal::Refused(format!("an answer that is not understood: {error}"))
            }
            error => self.silent(&innermost(error)),
        }
    }

    fn silent(&self, why: &str) -> Refusal {
        Refusal::NoCluster(format!("the API server at {} does not answer: {why}", self.url))
    }

    /// All objects of a kind in a namespace, or in all.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn list<K>(&self, namespace: Option<&str>) -> Answer<Vec<K>>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
    {
        self.list_of(&self.api(namespace), &ListParams::default()).await
    }

    /// Those objects of an API that parameters pick.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn list_of<K>(&self, api: &Api<K>, params: &ListParams) -> Answer<Vec<K>>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        match self.ask(api.list(params)).await {
            Ok(list) => Ok(list.items),
            // A list is never missing; a kind can be.
            Err(Refusal::Missing(_)) if K::group(&()) == crate::api::GROUP => Err(no_crds()),
            Err(other) => Err(other),
        }
    }

    /// One object of a namespace, if it is there.
    ///
    /// # Errors
    /// When it cannot be asked for.
    pub async fn get<K>(&self, namespace: &str, name: &str) -> Answer<Option<K>>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
    {
        match self.ask(self.api::<K>(Some(namespace)).get(name)).await {
            Ok(object) => Ok(Some(object)),
            Err(Refusal::Missing(words)) if words.contains("the server could not find") => Err(no_crds()),
            Err(Refusal::Missing(_)) => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// The events of an object, oldest first.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn events(&self, namespace: &str, uid: &str) -> Answer<Vec<Event>> {
        let of_it = ListParams::default().fields(&format!("involvedObject.uid={uid}"));
        self.list_of(&self.api(Some(namespace)), &of_it).await
    }
}

fn no_crds() -> Refusal {
    Refusal::Missing(
        "the custom resources of Atelier are not installed in this cluster: run `atelier crds | kubectl apply --server-side -f -`"
            .to_owned(),
    )
}

/// The words that say what went wrong: those of the cause of causes.
fn innermost(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), innermost)
}
