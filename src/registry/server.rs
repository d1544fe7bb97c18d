//! The registry's socket: plain or TLS, with certificates that are read again when they change.

use super::Registry;
use axum_server::Handle;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use k8s_openapi::jiff::Timestamp;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How long calls under way may take once the process is asked to stop.
const GRACE: Duration = Duration::from_secs(5);
/// How long the first call of a connection may take to arrive.
const FIRST_CALL_DEADLINE: Duration = Duration::from_secs(10);
/// How long a connection may wait for its next call. Longer than the pause between two heartbeats, so that an
/// agent does not send one into a connection that is just being closed.
const IDLE_MAX: Duration = Duration::from_secs(75);

/// The files of the registry's certificate, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsPaths {
    /// The certificate and what leads up to its authority.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

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
    let handle = Handle::new();
    let app = registry.router().into_make_service_with_connect_info::<SocketAddr>();
    let mut server =
        axum_server::from_tcp(listener)?.handle(handle.clone()).first_request_timeout(FIRST_CALL_DEADLINE);
    server.http_builder().http1().header_read_timeout(IDLE_MAX);
    let stop = async {
        shutdown.await;
        handle.graceful_shutdown(Some(GRACE));
        std::future::pending().await
    };
    let told = async {
        if handle.listening().await.is_some() {
            registry.liveness.serve(Timestamp::now());
        }
        std::future::pending().await
    };
    let Some(paths) = tls else {
        return tokio::select! {
            ended = server.serve(app) => ended,
            never = stop => never,
            never = told => never,
        };
    };
    let files = Files::read(&paths).await?;
    let config = RustlsConfig::from_pem(files.certificate.clone(), files.key.clone()).await?;
    let server = server.acceptor(RustlsAcceptor::new(config.clone()));
    tokio::select! {
        ended = server.serve(app) => ended,
        never = stop => never,
        never = told => never,
        never = reload(config, paths, files, registry.settings.tls_reload) => never,
    }
}

#[derive(PartialEq)]
struct Files {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Files {
    async fn read(paths: &TlsPaths) -> io::Result<Self> {
        let paths = paths.clone();
        let read = tokio::task::spawn_blocking(move || {
            Ok(Self { certificate: read(&paths.certificate)?, key: read(&paths.key)? })
        });
        read.await.map_err(io::Error::other)?
    }
}

fn read(path: &PathBuf) -> io::Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

/// Takes new certificates into use. By content, not by time: a mounted Secret is swapped by a link.
async fn reload<T>(
    config: RustlsConfig,
    paths: TlsPaths,
    mut current: Files,
    every: Duration,
) -> io::Result<T> {
    let mut failed = None;
    loop {
        tokio::time::sleep(every).await;
        let error = match Files::read(&paths).await {
            Ok(files) if files == current => continue,
            Ok(files) => match config.reload_from_pem(files.certificate.clone(), files.key.clone()).await {
                Ok(()) => {
                    tracing::info!("took a new certificate into use");
                    current = files;
                    failed = None;
                    continue;
                }
                Err(error) => error.to_string(),
            },
            Err(error) => error.to_string(),
        };
        // Half-written files are whole a moment later; what lasts is said once.
        if failed.as_ref() != Some(&error) {
            tracing::warn!(error, "the new certificate cannot be used; the former one stays");
            failed = Some(error);
        }
    }
}
