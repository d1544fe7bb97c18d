//! The registry's socket.

use super::Registry;
use crate::process::serving::{self, Serving, TlsPaths};
use k8s_openapi::jiff::Timestamp;
use std::future::Future;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

/// How long calls under way may take once the process is asked to stop.
const GRACE: Duration = Duration::from_secs(5);
/// How long a connection may wait for its next call. Longer than the pause between two heartbeats, so that an
/// agent does not send one into a connection that is just being closed.
const IDLE_MAX: Duration = Duration::from_secs(75);

/// Serves until `shutdown` ends and calls under way are answered, or five seconds are over.
///
/// # Errors
/// When the certificate files cannot be used at the start, or the socket fails.
pub async fn serve(
    listener: TcpListener,
    tls: Option<TlsPaths>,
    registry: Arc<Registry>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let serving = Serving { tls, tls_reload: registry.settings.tls_reload, idle_max: IDLE_MAX, grace: GRACE };
    let listening = || registry.liveness.serve(Timestamp::now());
    serving::serve(listener, serving, registry.router(), listening, shutdown).await
}
