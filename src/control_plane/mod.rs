//! What `atelier control-plane` runs: a small HTTP service, the only holder of AWS credentials.
//!
//! It keeps nothing: what there is, and whose it is, is in EC2's own tags. It launches within its settings alone,
//! touches only what is tagged as the caller's, and calls EC2 no faster than AWS allows.
//!
//! ```text
//! args  settings  periods  secrets       what it is told
//! server  routes  body  parse  auth      from HTTP to a call that is understood and allowed to be made
//! provision  resolve  lifecycle          instances
//! sweep  volumes  preflight  account     lists; storage; what is wrong before it is tried
//! allow  launch  ownership  faults       pure rules
//! state  images  recent
//! flight  batch  terminate               many calls as one
//! pace  bucket  action                   when a call may go out
//! ec2/                                   the SDK, one method an action
//! ```

mod account;
pub(crate) mod action;
mod allow;
pub mod args;
mod auth;
mod batch;
mod body;
mod bucket;
mod ec2;
mod faults;
#[cfg(test)]
mod fixtures;
mod flight;
mod images;
mod launch;
mod lifecycle;
pub(crate) mod metrics;
mod ownership;
mod pace;
mod parse;
mod periods;
mod plane;
mod preflight;
mod provision;
mod recent;
mod resolve;
mod routes;
mod secrets;
mod server;
mod settings;
mod state;
mod sweep;
mod terminate;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod volumes;

use crate::process::serving::{self, Serving, TlsPaths};
use crate::process::{logs, signals};
use args::ControlPlaneArgs;
use plane::ControlPlane;
use secrets::SecretStore;
use settings::{Settings, SettingsError};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tracing::{info, warn};

/// How long calls of EC2 that are under way may take once the process is asked to stop.
const GRACE: Duration = Duration::from_secs(20);
/// How long a connection may wait for its next call.
const IDLE_MAX: Duration = Duration::from_secs(75);

/// Why the process ends other than on a signal.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The log cannot be set up.
    #[error(transparent)]
    Logs(#[from] logs::LogError),
    /// The settings cannot be used.
    #[error("the control plane's settings cannot be used: {0}")]
    Settings(#[from] SettingsError),
    /// The address cannot be served.
    #[error("--bind {address} cannot be served: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The system does not let signals be heard.
    #[error("signals cannot be heard: {0}")]
    Signals(#[source] std::io::Error),
    /// The socket failed, or the certificate cannot be used.
    #[error("calls cannot be served: {0}")]
    Serve(#[source] std::io::Error),
}

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot begin, or the socket fails.
pub async fn run(args: ControlPlaneArgs) -> Result<(), RunError> {
    let ControlPlaneArgs { settings, bind, tls_cert, tls_key, logs } = args;
    logs::init(&logs)?;
    let stop = signals::stop().map_err(RunError::Signals)?;
    let settings = Arc::new(Settings::read(&settings)?);
    let secrets = SecretStore::open(settings.clone())?;
    let refused = |source| RunError::Bind { address: bind, source };
    let listener = TcpListener::bind(bind).map_err(refused)?;
    listener.set_nonblocking(true).map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    let tls = tls_cert.zip(tls_key).map(|(certificate, key)| TlsPaths { certificate, key });
    if tls.is_none() && !bind.ip().is_loopback() {
        warn!(
            "calls and their secrets travel in plain text: give --tls-cert and --tls-key, or put a mesh in front"
        );
    }
    let reload = settings.periods.reload;
    let plane = Arc::new(ControlPlane::new(settings.clone(), secrets.clone(), stop.clone()).await);
    let serving = Serving { tls, tls_reload: reload, idle_max: IDLE_MAX, grace: GRACE };
    let listening = || {
        info!(
            version = env!("CARGO_PKG_VERSION"),
            %address,
            region = settings.region,
            endpoint = settings.endpoint,
            "serving"
        );
    };
    let served = serving::serve(listener, serving, server::router(&plane), listening, stop.cancelled_owned());
    let result = tokio::select! {
        result = served => result.map_err(RunError::Serve),
        () = secrets.keep_reading(reload) => Ok(()),
    };
    info!("stopped");
    result
}
