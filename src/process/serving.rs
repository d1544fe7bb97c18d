//! A socket that serves HTTP, plain or with TLS; certificates are read again when they change.

use axum::Router;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use axum_server::{Handle, Server};
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

/// How long the first call of a connection may take to arrive.
const FIRST_CALL_DEADLINE: Duration = Duration::from_secs(10);

/// The files of a certificate, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsPaths {
    /// The certificate and what leads up to its authority.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// How a socket is served.
#[derive(Clone, Debug)]
pub struct Serving {
    /// With TLS, and with which certificate.
    pub tls: Option<TlsPaths>,
    /// How often certificate files are read again.
    pub tls_reload: Duration,
    /// How long a connection may wait for its next call.
    pub idle_max: Duration,
    /// How long calls under way may take once the process is asked to stop.
    pub grace: Duration,
}

/// Serves until `shutdown` ends and calls under way are answered, or the grace is over. `listening` is told
/// once calls are taken. Source addresses are attached to the connections.
///
/// # Errors
/// When the certificate files cannot be used at the start, or the socket fails.
pub async fn serve(
    listener: TcpListener,
    serving: Serving,
    router: Router,
    listening: impl FnOnce(),
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let handle = Handle::new();
    let app = router.into_make_service_with_connect_info::<SocketAddr>();
    let server = prepared(listener, handle.clone(), serving.idle_max)?;
    let stop = stopped(&handle, serving.grace, shutdown);
    let told = async {
        if handle.listening().await.is_some() {
            listening();
        }
        std::future::pending().await
    };
    let Some(paths) = serving.tls else {
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
        never = reload(config, paths, files, serving.tls_reload) => never,
    }
}

/// A server that waits only so long for calls.
pub(super) fn prepared(
    listener: TcpListener,
    handle: Handle<SocketAddr>,
    idle_max: Duration,
) -> io::Result<Server<SocketAddr>> {
    let mut server =
        axum_server::from_tcp(listener)?.handle(handle).first_request_timeout(FIRST_CALL_DEADLINE);
    server.http_builder().http1().header_read_timeout(idle_max);
    Ok(server)
}

/// Has a server end when it is asked to; never ends itself.
pub(super) async fn stopped<T>(
    handle: &Handle<SocketAddr>,
    grace: Duration,
    shutdown: impl Future<Output = ()>,
) -> T {
    shutdown.await;
    handle.graceful_shutdown(Some(grace));
    std::future::pending().await
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
