//! What runs in `atelier controller`: every replica keeps the caches and answers agents, the leader works.

pub mod args;
mod bundles;
mod cluster;
mod drive;
mod http;
mod leader;
mod wakes;
mod work;

use crate::api::{BackendConfig, Team, Workspace};
use crate::backend::{Backends, Maker};
use crate::collector::{Search, SearchParts};
use crate::keys::Keys;
use crate::live;
use crate::liveness::Liveness;
use crate::metrics::Metrics;
use crate::platform::{Current, TokenKeys};
use crate::process::serving::TlsPaths;
use crate::process::{logs, signals};
use crate::reconcile::{Cache, Events, Leadership};
use crate::registry::{self, Registry};
use args::{ClusterArgs, ControllerArgs, ServeArgs};
use bundles::Bundles;
use cluster::Cluster;
use http::Ready;
use k8s_openapi::api::core::v1::Secret;
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use leader::Candidate;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

/// How long the work in hand may take to end after a signal, and then the lease and the last events to go out.
const STOP_WORK: Duration = Duration::from_secs(7);
const SAY_GOODBYE: Duration = Duration::from_secs(2);

/// Why the process ends other than on a signal.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The flags contradict each other.
    #[error("{0}")]
    Flags(String),
    /// The log cannot be set up.
    #[error(transparent)]
    Logs(#[from] logs::LogError),
    /// The cluster cannot be worked with.
    #[error(transparent)]
    Cluster(#[from] cluster::ClusterError),
    /// An address cannot be served.
    #[error("{flag} {address} cannot be served: {source}")]
    Bind {
        /// The flag that names it.
        flag: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The system does not let signals be heard.
    #[error("signals cannot be heard: {0}")]
    Signals(#[source] std::io::Error),
    /// The registry cannot serve agents.
    #[error("the registry cannot serve: {0}")]
    Registry(String),
    /// Another process took the lead.
    #[error("another process took over the lease; this one ends, to begin anew as a follower")]
    LeaseLost,
}

/// What every replica shares.
struct Replica {
    cluster: Cluster,
    workspaces: Cache<Workspace>,
    teams: Cache<Team>,
    configs: Cache<BackendConfig>,
    backends: Backends,
    search: Search,
    current: Current,
    keys: Keys,
    token_keys: TokenKeys,
    liveness: Liveness,
    leadership: Leadership,
    events: Events,
    metrics: Metrics,
}

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot begin, or when another process took the lead.
pub async fn run(args: ControllerArgs) -> Result<(), RunError> {
    logs::init(&args.logs)?;
    check(&args)?;
    let stop = signals::stop().map_err(RunError::Signals)?;
    let metrics_listener = bind("--metrics-bind", args.serve.metrics_bind).await?;
    let registry_listener = bind("--registry-bind", args.serve.registry_bind).await?;
    let live_listener = match args.serve.live_bind {
        Some(address) => Some(bind("--live-bind", address).await?),
        None => None,
    };
    let cluster = cluster::connect(&args.cluster).await?;
    let identity = identity();
    info!(
        version = env!("CARGO_PKG_VERSION"),
        identity,
        cluster = cluster.id,
        operator_namespace = cluster.operator_namespace,
        "starting"
    );

    let metrics = Metrics::default();
    let ready = Ready::default();
    let served = CancellationToken::new();
    let server = http::serve(metrics_listener, metrics.clone(), ready.clone(), served.clone());
    tokio::spawn(server);

    let release = CancellationToken::new();
    let (leadership, election) = if args.election.leader_election {
        let (announcer, leadership) = Leadership::undecided();
        let candidate = candidate(&args, &cluster, &identity);
        (leadership, Some(tokio::spawn(candidate.run(announcer, release.clone()))))
    } else {
        (Leadership::always(), None)
    };
    let (liveness, heard) = Liveness::new(DEFAULT_TTL, args.pace.agent_write_period);
    let replica = replica(&args, cluster, metrics, leadership, liveness, &identity);

    let result = tokio::select! {
        result = serve_and_work(&args, &replica, &ready, heard, &stop) => result,
        result = agents(&args, &replica, registry_listener) => result,
        never = people(&args, &replica, &identity, live_listener) => never,
        () = replica.leadership.lost() => Err(RunError::LeaseLost),
    };
    if let Err(error) = &result {
        error!(%error, "ending");
    }
    // In this order: whoever takes the lease must find nothing of ours under way.
    release.cancel();
    let goodbye = async {
        if let Some(election) = election {
            // It only ends early by a panic, and then there is nothing to release.
            let _ = election.await;
        }
        replica.events.flush().await;
    };
    let _ = tokio::time::timeout(SAY_GOODBYE, goodbye).await;
    served.cancel();
    info!("stopped");
    result
}

/// How long an agent may be silent until the BackendConfig says so.
const DEFAULT_TTL: Duration = Duration::from_secs(180);

/// Serves the registry for as long as the process lives. Only from full caches: an agent that is not in them
/// would be refused.
async fn agents(args: &ControllerArgs, replica: &Replica, listener: TcpListener) -> Result<(), RunError> {
    replica.teams.synced().await;
    replica.workspaces.synced().await;
    replica.token_keys.read().await;
    let leader_ca = match &args.serve.registry_leader_ca {
        None => None,
        Some(file) => Some(std::fs::read(file).map_err(|error| {
            RunError::Registry(format!("--registry-leader-ca {} cannot be read: {error}", file.display()))
        })?),
    };
    let parts = registry::Parts {
        workspaces: replica.workspaces.store().clone(),
        client: replica.cluster.client.clone(),
        keys: replica.keys.clone(),
        liveness: replica.liveness.clone(),
        leadership: replica.leadership.clone(),
        bundles: Arc::new(Bundles::new(args, replica)),
        events: replica.events.clone(),
        leader_ca,
        leader_name: args.serve.registry_leader_name.clone(),
        settings: registry::Settings::default(),
    };
    let registry = Registry::new(parts).map_err(|error| RunError::Registry(error.to_string()))?;
    let files = (&args.serve.registry_tls_cert, &args.serve.registry_tls_key);
    let tls = match files {
        (Some(certificate), Some(key)) => {
            Some(TlsPaths { certificate: certificate.clone(), key: key.clone() })
        }
        _ => None,
    };
    let listener = listener.into_std().map_err(|error| RunError::Registry(error.to_string()))?;
    let never = std::future::pending();
    registry::serve(listener, tls, Arc::new(registry), never)
        .await
        .map_err(|error| RunError::Registry(error.to_string()))
}

/// Serves the aggregated API for as long as the process lives, from full caches: a Workspace that is not in them
/// would be called unknown. Whatever becomes of it, the rest goes on.
async fn people<T>(
    args: &ControllerArgs,
    replica: &Replica,
    identity: &str,
    listener: Option<TcpListener>,
) -> T {
    if let Some(listener) = listener {
        replica.configs.synced().await;
        replica.workspaces.synced().await;
        let parts = live::Parts {
            client: replica.cluster.client.clone(),
            workspaces: replica.workspaces.clone(),
            configs: replica.configs.clone(),
            backends: replica.backends.clone(),
            search: replica.search.clone(),
            leadership: replica.leadership.clone(),
            about: live::About {
                identity: identity.to_owned(),
                controller: args.cluster.controller_name.clone(),
                operator_namespace: replica.cluster.operator_namespace.clone(),
                config: args.cluster.backend_config.clone(),
            },
            service: args.serve.live_service.clone(),
        };
        let served = async {
            let listener = listener.into_std().map_err(|error| error.to_string())?;
            live::serve(listener, parts, std::future::pending()).await
        };
        if let Err(error) = served.await {
            error!(error, "the aggregated API is not served any more");
        }
    }
    std::future::pending().await
}

async fn serve_and_work(
    args: &ControllerArgs,
    replica: &Replica,
    ready: &Ready,
    heard: tokio::sync::mpsc::UnboundedReceiver<String>,
    stop: &CancellationToken,
) -> Result<(), RunError> {
    let synced = async {
        replica.configs.synced().await;
        replica.teams.synced().await;
        replica.workspaces.synced().await;
        ready.set();
        info!("the caches are synced");
    };
    tokio::select! {
        () = stop.cancelled() => return Ok(()),
        () = synced => {}
    }
    tokio::select! {
        () = stop.cancelled() => return Ok(()),
        () = replica.token_keys.keep_reading(args.pace.keys_period) => {}
        () = work::follow(args, replica), if args.serve.live_bind.is_some() => {}
        leads = replica.leadership.leads() => if !leads {
            return Err(RunError::LeaseLost);
        }
    }
    tokio::select! {
        () = replica.token_keys.keep_reading(args.pace.keys_period) => {}
        () = work::work(args, replica, heard, stop) => {}
    }
    Ok(())
}

fn check(args: &ControllerArgs) -> Result<(), RunError> {
    let election = &args.election;
    if election.lease_renew_deadline >= election.lease_duration {
        return Err(RunError::Flags(
            "--lease-renew-deadline must be shorter than --lease-duration: a leader must stop before another starts"
                .into(),
        ));
    }
    if election.lease_renew_period >= election.lease_renew_deadline {
        return Err(RunError::Flags(
            "--lease-renew-period must be shorter than --lease-renew-deadline, or every renewal comes too late".into(),
        ));
    }
    Ok(())
}

fn replica(
    args: &ControllerArgs,
    cluster: Cluster,
    metrics: Metrics,
    leadership: Leadership,
    liveness: Liveness,
    identity: &str,
) -> Replica {
    let client = cluster.client.clone();
    let maker = Maker { cluster: cluster.id.clone(), controller: args.cluster.controller_name.clone() };
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &cluster.operator_namespace);
    let keys = Keys::default();
    let workspaces: Cache<Workspace> = Cache::start(scoped(&client, &args.cluster));
    let teams: Cache<Team> = Cache::start(scoped(&client, &args.cluster));
    let backends =
        Backends::new(&args.cluster.backend_config, maker, metrics.clone()).fenced(leadership.clone());
    let search = Search::new(SearchParts {
        client: client.clone(),
        operator_namespace: cluster.operator_namespace.clone(),
        controller: args.cluster.controller_name.clone(),
        cluster: cluster.id.clone(),
        backends: backends.clone(),
        workspaces: workspaces.clone(),
        teams: teams.clone(),
        window: args.collect.visibility_window,
    });
    Replica {
        workspaces,
        teams,
        configs: Cache::start(Api::all(client.clone())),
        backends,
        search,
        current: Current::default(),
        token_keys: TokenKeys::new(secrets, keys.clone()),
        keys,
        liveness,
        leadership,
        events: Events::new(client, identity),
        metrics,
        cluster,
    }
}

/// The objects that this installation looks after.
fn scoped<K>(client: &Client, args: &ClusterArgs) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    match &args.namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

fn candidate(args: &ControllerArgs, cluster: &Cluster, identity: &str) -> Candidate {
    Candidate {
        api: Api::namespaced(cluster.client.clone(), &cluster.operator_namespace),
        name: args.cluster.controller_name.clone(),
        identity: identity.to_owned(),
        registry_url: registry_url(&args.serve),
        timing: args.election.clone(),
    }
}

/// Where the other replicas reach this one's registry.
fn registry_url(serve: &ServeArgs) -> String {
    if let Some(url) = &serve.registry_url {
        return url.clone();
    }
    let scheme = if serve.registry_tls_cert.is_some() { "https" } else { "http" };
    let bind = serve.registry_bind;
    let host = if bind.ip().is_unspecified() { host_name() } else { bind.ip().to_string() };
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    format!("{scheme}://{host}:{}", bind.port())
}

/// A name for this process that no other has: that of the host, and something random.
fn identity() -> String {
    format!("{}_{:08x}", host_name(), rand::random::<u32>())
}

fn host_name() -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty());
    let name = name.unwrap_or_else(|| kernel.trim().to_owned());
    if name.is_empty() { "localhost".to_owned() } else { name }
}

async fn bind(flag: &'static str, address: SocketAddr) -> Result<TcpListener, RunError> {
    TcpListener::bind(address).await.map_err(|source| RunError::Bind { flag, address, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serve(bind: &str, url: Option<&str>) -> ServeArgs {
        ServeArgs {
            registry_bind: bind.parse().unwrap(),
            registry_url: url.map(str::to_owned),
            registry_tls_cert: None,
            registry_tls_key: None,
            registry_leader_ca: None,
            registry_leader_name: None,
            metrics_bind: bind.parse().unwrap(),
            live_bind: None,
            live_service: String::new(),
        }
    }

    #[test]
    fn the_others_are_told_where_this_registry_is() {
        assert_eq!(registry_url(&serve("0.0.0.0:1", Some("https://pod.svc"))), "https://pod.svc");
        assert_eq!(registry_url(&serve("10.0.0.1:8090", None)), "http://10.0.0.1:8090");
        assert_eq!(registry_url(&serve("[::1]:8090", None)), "http://[::1]:8090");
        assert_eq!(registry_url(&serve("0.0.0.0:8090", None)), format!("http://{}:8090", host_name()));
    }

    #[test]
    fn no_two_processes_are_one() {
        assert_ne!(identity(), identity());
    }
}
