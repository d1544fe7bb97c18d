//! The flags of `atelier controller`. Each can also be given as an environment variable.

use crate::process::logs::LogArgs;
use crate::process::times::duration;
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Run the operator: keep every Workspace on a machine of its own, and answer the agents.
#[derive(Args, Clone, Debug)]
pub struct ControllerArgs {
    /// Which cluster, and what of it.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// What is served, and where.
    #[command(flatten)]
    pub serve: ServeArgs,
    /// Who leads.
    #[command(flatten)]
    pub election: ElectionArgs,
    /// How fast the work goes.
    #[command(flatten)]
    pub pace: PaceArgs,
    /// What becomes of things without an owner.
    #[command(flatten)]
    pub collect: CollectArgs,
    /// What is logged.
    #[command(flatten)]
    pub logs: LogArgs,
}

/// Which cluster, and what of it.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Cluster")]
pub struct ClusterArgs {
    /// The kubeconfig file [default: as kubectl finds it, else the service account of the pod]
    #[arg(long, env = "ATELIER_KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig [default: its current one]
    #[arg(long, env = "ATELIER_CONTEXT", value_name = "NAME")]
    pub context: Option<String>,
    /// The namespace whose Workspaces and Teams are looked after [default: all]
    #[arg(long, env = "ATELIER_NAMESPACE", value_name = "NAME")]
    pub namespace: Option<String>,
    /// The BackendConfig that says where Workspaces run
    #[arg(long, env = "ATELIER_BACKEND_CONFIG", value_name = "NAME", default_value = "cluster")]
    pub backend_config: String,
    /// The operator's own namespace: its lease, its token keys and the Secrets of the BackendConfig
    /// [default: that of the pod, else of the context, else atelier-system]
    #[arg(long, env = "ATELIER_OPERATOR_NAMESPACE", value_name = "NAME")]
    pub operator_namespace: Option<String>,
    /// The name of this installation: it stands on its lease and on everything that it makes
    #[arg(long, env = "ATELIER_CONTROLLER_NAME", value_name = "NAME", default_value = "atelier",
          value_parser = label_value)]
    pub controller_name: String,
    /// The id of the cluster, on everything that is made outside it [default: the uid of its namespace
    /// kube-system]
    #[arg(long, env = "ATELIER_CLUSTER_ID", value_name = "ID", value_parser = label_value)]
    pub cluster_id: Option<String>,
}

/// What is served, and where.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Serving")]
pub struct ServeArgs {
    /// Where agents reach the registry
    #[arg(long, env = "ATELIER_REGISTRY_BIND", value_name = "ADDRESS:PORT", default_value = "0.0.0.0:8090")]
    pub registry_bind: SocketAddr,
    /// The URL at which the other replicas reach this one's registry, when it leads [default: made from this
    /// host's name and the port of --registry-bind]
    #[arg(long, env = "ATELIER_REGISTRY_URL", value_name = "URL")]
    pub registry_url: Option<String>,
    /// The registry's certificate, PEM; read again when it changes
    #[arg(long, env = "ATELIER_REGISTRY_TLS_CERT", value_name = "FILE", requires = "registry_tls_key")]
    pub registry_tls_cert: Option<PathBuf>,
    /// The key of that certificate, PEM
    #[arg(long, env = "ATELIER_REGISTRY_TLS_KEY", value_name = "FILE", requires = "registry_tls_cert")]
    pub registry_tls_key: Option<PathBuf>,
    /// The certificates (PEM) to trust for the registry of the replica that leads [default: the system's]
    #[arg(long, env = "ATELIER_REGISTRY_LEADER_CA", value_name = "FILE")]
    pub registry_leader_ca: Option<PathBuf>,
    /// The name that the certificate of the replica that leads must be good for [default: the host of its
    /// --registry-url]
    #[arg(long, env = "ATELIER_REGISTRY_LEADER_NAME", value_name = "NAME")]
    pub registry_leader_name: Option<String>,
    /// Where /healthz, /readyz and /metrics are served
    #[arg(long, env = "ATELIER_METRICS_BIND", value_name = "ADDRESS:PORT", default_value = "0.0.0.0:8080")]
    pub metrics_bind: SocketAddr,
    /// Where the Kubernetes API server reaches the aggregated API live.atelier.dev; "none" turns it off
    #[arg(long, env = "ATELIER_LIVE_BIND", value_name = "ADDRESS:PORT", default_value = "0.0.0.0:8443",
          value_parser = bind_or_none)]
    pub live_bind: Bind,
    /// The Service, in the operator's namespace, that the APIService of live.atelier.dev points at
    #[arg(long, env = "ATELIER_LIVE_SERVICE", value_name = "NAME", default_value = "atelier-live",
          value_parser = label_value)]
    pub live_service: String,
}

/// An address to serve at, or none.
pub type Bind = Option<SocketAddr>;

/// Who leads.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Leader election")]
pub struct ElectionArgs {
    /// Elect one leader among the replicas. Without it this must be the only one
    #[arg(long, env = "ATELIER_LEADER_ELECTION", value_name = "BOOL", default_value_t = true,
          action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub leader_election: bool,
    /// A leader that is silent for so long may be replaced
    #[arg(long, env = "ATELIER_LEASE_DURATION", value_name = "TIME", default_value = "7s", value_parser = duration)]
    pub lease_duration: Duration,
    /// A leader that could not renew its lease for so long starts no effect; shorter than --lease-duration
    #[arg(long, env = "ATELIER_LEASE_RENEW_DEADLINE", value_name = "TIME", default_value = "5s",
          value_parser = duration)]
    pub lease_renew_deadline: Duration,
    /// How often a leader renews its lease
    #[arg(long, env = "ATELIER_LEASE_RENEW_PERIOD", value_name = "TIME", default_value = "2s",
          value_parser = duration)]
    pub lease_renew_period: Duration,
    /// How often the others look at the lease, and how soon a failed renewal is tried again
    #[arg(long, env = "ATELIER_LEASE_RETRY_PERIOD", value_name = "TIME", default_value = "1s",
          value_parser = duration)]
    pub lease_retry_period: Duration,
}

/// How fast the work goes.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Pace")]
pub struct PaceArgs {
    /// How many objects of a kind are worked on at a time
    #[arg(long, env = "ATELIER_CONCURRENCY", value_name = "COUNT", default_value_t = 16,
          value_parser = clap::value_parser!(u16).range(1..))]
    pub concurrency: u16,
    /// How often an object is looked at when nothing happens to it
    #[arg(long, env = "ATELIER_RESYNC", value_name = "TIME", default_value = "10m", value_parser = duration)]
    pub resync: Duration,
    /// How often the backend is asked whether it is there
    #[arg(long, env = "ATELIER_PREFLIGHT_PERIOD", value_name = "TIME", default_value = "30s",
          value_parser = duration)]
    pub preflight_period: Duration,
    /// The longest pause between two tries while the backend does not answer
    #[arg(long, env = "ATELIER_PREFLIGHT_RETRY_MAX", value_name = "TIME", default_value = "30s",
          value_parser = duration)]
    pub preflight_retry_max: Duration,
    /// How often every box is listed, in case a hint was lost
    #[arg(long, env = "ATELIER_LIST_PERIOD", value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub list_period: Duration,
    /// How often the Secrets and ConfigMaps that Workspaces refer to are read again
    #[arg(long, env = "ATELIER_REFERENCES_PERIOD", value_name = "TIME", default_value = "5m",
          value_parser = duration)]
    pub references_period: Duration,
    /// How often the keys of agents' tokens are read again
    #[arg(long, env = "ATELIER_KEYS_PERIOD", value_name = "TIME", default_value = "1m", value_parser = duration)]
    pub keys_period: Duration,
    /// The pause after a first failure; it doubles with each
    #[arg(long, env = "ATELIER_BACKOFF_MIN", value_name = "TIME", default_value = "1s", value_parser = duration)]
    pub backoff_min: Duration,
    /// The longest pause after a failure
    #[arg(long, env = "ATELIER_BACKOFF_MAX", value_name = "TIME", default_value = "5m", value_parser = duration)]
    pub backoff_max: Duration,
    /// A box that was healthy for so long has its failures forgiven
    #[arg(long, env = "ATELIER_HEALTHY_AFTER", value_name = "TIME", default_value = "10m",
          value_parser = duration)]
    pub healthy_after: Duration,
    /// How long something that is missing may take to arrive before it is called stalled
    #[arg(long, env = "ATELIER_STALLED_AFTER", value_name = "TIME", default_value = "2m",
          value_parser = duration)]
    pub stalled_after: Duration,
    /// How long the box of a last failed boot is kept for diagnosis
    #[arg(long, env = "ATELIER_KEEP_FAILED_BOX", value_name = "TIME", default_value = "1h",
          value_parser = duration)]
    pub keep_failed_box: Duration,
    /// One box causes at most one write in so long by what its agent says
    #[arg(long, env = "ATELIER_AGENT_WRITE_PERIOD", value_name = "TIME", default_value = "30s",
          value_parser = duration)]
    pub agent_write_period: Duration,
}

/// What becomes of things without an owner.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Collection of orphans")]
pub struct CollectArgs {
    /// How often boxes, volumes, networks and network interfaces are searched for those without an owner
    #[arg(long, env = "ATELIER_COLLECT_PERIOD", value_name = "TIME", default_value = "5m",
          value_parser = duration)]
    pub collect_period: Duration,
    /// Only tell what would be removed, in the log and the metrics
    #[arg(long, env = "ATELIER_COLLECT_DRY_RUN", value_name = "BOOL", default_value_t = false,
          action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub collect_dry_run: bool,
    /// So many are removed in one sweep at most
    #[arg(long, env = "ATELIER_COLLECT_MAX", value_name = "COUNT", default_value_t = 20,
          value_parser = clap::value_parser!(u16).range(1..))]
    pub collect_max: u16,
    /// What is younger is not touched: how long a backend's lists and ours may be behind
    #[arg(long, env = "ATELIER_VISIBILITY_WINDOW", value_name = "TIME", default_value = "60s",
          value_parser = duration)]
    pub visibility_window: Duration,
}

/// Reads an address; nothing, or "none", for not serving at all.
fn bind_or_none(text: &str) -> Result<Bind, String> {
    match text {
        "" | "none" => Ok(None),
        address => address.parse().map(Some).map_err(|_| "give ADDRESS:PORT, or none".into()),
    }
}

/// Reads what can stand in a label and be an object's name.
fn label_value(text: &str) -> Result<String, String> {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let edges = !text.starts_with('-') && !text.ends_with('-');
    if (1..=63).contains(&text.len()) && text.chars().all(inner) && edges {
        return Ok(text.to_owned());
    }
    Err("use 1 to 63 of a-z, 0-9 and -, with no - at either end".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, FromArgMatches, Parser};

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: ControllerArgs,
    }

    fn parse(args: &[&str]) -> Result<ControllerArgs, clap::Error> {
        let matches = Cli::command().try_get_matches_from([&["atelier"], args].concat())?;
        Ok(Cli::from_arg_matches(&matches)?.args)
    }

    #[test]
    fn the_flags_hold_together() {
        Cli::command().debug_assert();
        let args = parse(&[]).unwrap();
        assert!(args.election.leader_election);
        assert!(args.election.lease_renew_deadline < args.election.lease_duration);
        assert!(!parse(&["--leader-election=false"]).unwrap().election.leader_election);
        assert!(parse(&["--leader-election"]).unwrap().election.leader_election);
        assert!(parse(&["--registry-tls-cert", "x"]).is_err(), "a certificate is of no use without its key");
        assert!(parse(&["--controller-name", "A b"]).is_err());
        assert!(parse(&["--concurrency", "0"]).is_err());
        let live = |text: &str| parse(&["--live-bind", text]).map(|args| args.serve.live_bind.is_some()).ok();
        assert_eq!(
            (live("127.0.0.1:1"), live("none"), live(""), live("8443")),
            (Some(true), Some(false), Some(false), None)
        );
    }

    #[test]
    fn every_flag_is_documented_and_can_come_from_the_environment() {
        let command = Cli::command();
        for flag in command.get_arguments().filter(|a| !matches!(a.get_id().as_str(), "help" | "version")) {
            assert!(flag.get_help().is_some(), "--{} has no help", flag.get_id());
            assert!(flag.get_env().is_some(), "--{} has no variable", flag.get_id());
            assert!(flag.get_help_heading().is_some(), "--{} has no heading", flag.get_id());
        }
    }
}
