//! The cluster: a client, the operator's own namespace, and the cluster's id.

use super::args::ClusterArgs;
use crate::api::{GROUP, names};
use k8s_openapi::api::core::v1::Namespace;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, ResourceExt};
use std::time::Duration;

/// How long a single question at start may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Where the operator lives if neither flag, pod nor context says so.
const DEFAULT_NAMESPACE: &str = "atelier-system";

/// What is known of the cluster once and for all.
pub struct Cluster {
    /// A client that sends nothing twice by itself: a write whose outcome is unknown must not be sent again
    /// before it was looked at.
    pub client: Client,
    /// Its id.
    pub id: String,
    /// The operator's own namespace.
    pub operator_namespace: String,
}

/// Why the operator cannot work with this cluster.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// No kubeconfig and no pod, or one that cannot be read.
    #[error(
        "there is no way to a cluster: {0}; name a kubeconfig with --kubeconfig, or its context with --context"
    )]
    NoConfig(String),
    /// A client cannot be made from it.
    #[error("the kubeconfig cannot be used: {0}")]
    BadConfig(#[source] kube::Error),
    /// The API server does not answer, or refuses.
    #[error("the API server at {url} was asked for {what}: {why}")]
    Unanswered {
        /// Where it was looked for.
        url: String,
        /// What was asked.
        what: &'static str,
        /// What came of it.
        why: String,
    },
    /// The CRDs are missing.
    #[error(
        "the custom resources of {GROUP} are not installed: run `atelier crds | kubectl apply --server-side -f -`"
    )]
    NoCrds,
    /// The operator's namespace is missing.
    #[error(
        "the operator's namespace {0:?} does not exist: create it, or name another with --operator-namespace"
    )]
    NoNamespace(String),
}

/// Finds the cluster and looks whether the operator can work there.
///
/// # Errors
/// When it cannot; the error says what a person can do.
pub async fn connect(args: &ClusterArgs) -> Result<Cluster, ClusterError> {
    let mut config = config(args).await?;
    config.default_retry = false;
    let url = config.cluster_url.to_string();
    // A context without a namespace says "default", which is nowhere for an operator to live.
    let named = Some(config.default_namespace.clone()).filter(|namespace| namespace != "default");
    let operator_namespace =
        args.operator_namespace.clone().or(named).unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
    let client = Client::try_from(config).map_err(ClusterError::BadConfig)?;

    let version = format!("{GROUP}/v1alpha1");
    let served = ask(&url, "its custom resources", client.list_api_group_resources(&version)).await?;
    served.ok_or(ClusterError::NoCrds)?;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let own = ask(&url, "the operator's namespace", namespaces.get(&operator_namespace)).await?;
    own.ok_or_else(|| ClusterError::NoNamespace(operator_namespace.clone()))?;
    let id = if let Some(id) = &args.cluster_id {
        id.clone()
    } else {
        let system = ask(&url, "the namespace kube-system", namespaces.get("kube-system")).await?;
        system.and_then(|namespace| namespace.uid()).ok_or_else(|| ClusterError::Unanswered {
            url,
            what: "the namespace kube-system, whose uid is the cluster's id",
            why: format!("there is none; name an id with --cluster-id, for the label {}", names::CLUSTER),
        })?
    };
    Ok(Cluster { client, id, operator_namespace })
}

async fn config(args: &ClusterArgs) -> Result<Config, ClusterError> {
    let no_config = |error: &dyn std::fmt::Display| ClusterError::NoConfig(error.to_string());
    if args.kubeconfig.is_none() && args.context.is_none() {
        return Config::infer().await.map_err(|error| no_config(&error));
    }
    let kubeconfig = match &args.kubeconfig {
        Some(file) => Kubeconfig::read_from(file),
        None => Kubeconfig::read(),
    }
    .map_err(|error| no_config(&error))?;
    let options = KubeConfigOptions { context: args.context.clone(), ..KubeConfigOptions::default() };
    Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| no_config(&error))
}

/// Asks one thing; `None` is "there is no such thing".
async fn ask<T>(
    url: &str,
    what: &'static str,
    question: impl Future<Output = Result<T, kube::Error>>,
) -> Result<Option<T>, ClusterError> {
    let why = match tokio::time::timeout(PATIENCE, question).await {
        Ok(Ok(answer)) => return Ok(Some(answer)),
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => return Ok(None),
        Ok(Err(kube::Error::Api(status))) => status.message,
        Ok(Err(error)) => innermost(&error),
        Err(_) => format!("no answer within {} s", PATIENCE.as_secs()),
    };
    Err(ClusterError::Unanswered { url: url.to_owned(), what, why })
}

/// The words that say what went wrong: those of the cause of causes.
fn innermost(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), innermost)
}
