//! A socket that serves HTTPS to callers who may show a certificate, and says which one they showed.
//!
//! Whose certificate is good changes while the process runs, and who shows none is to get an answer in words. So
//! the handshake asks for a certificate, has the caller prove that it holds the key, and judges no further: that
//! is for whoever answers the call.

use super::serving::{prepared, stopped};
use axum::Router;
use axum_server::Handle;
pub use axum_server::tls::TlsInfo;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme};
use std::future::Future;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

/// So many headers a call may have: the API server passes each group of its user on in one of its own, and some
/// directories put people into hundreds.
const HEADERS_MAX: usize = 2_000;

/// The certificate that is served. Clones are the same.
#[derive(Clone)]
pub struct Certificate(RustlsConfig);

impl Certificate {
    /// From a chain and its key, PEM.
    ///
    /// # Errors
    /// When they cannot be read, or do not belong together.
    pub fn new(chain: &str, key: &str) -> Result<Self, String> {
        Ok(Self(RustlsConfig::from_config(Arc::new(config(chain, key)?))))
    }

    /// Serves another one from now on, on new connections.
    ///
    /// # Errors
    /// When it cannot be used; the former one stays.
    pub fn replace(&self, chain: &str, key: &str) -> Result<(), String> {
        self.0.reload_from_config(Arc::new(config(chain, key)?));
        Ok(())
    }
}

/// Serves until `shutdown` ends and calls under way are answered, or the grace is over. A connection may wait for
/// its next call for `idle_max`. What the caller showed is attached to each call, as [`TlsInfo`].
///
/// # Errors
/// When the socket fails.
pub async fn serve(
    listener: TcpListener,
    certificate: Certificate,
    idle_max: Duration,
    grace: Duration,
    router: Router,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let handle = Handle::new();
    let mut server = prepared(listener, handle.clone(), idle_max)?;
    server.http_builder().http1().max_headers(HEADERS_MAX);
    let server = server.acceptor(RustlsAcceptor::new(certificate.0));
    tokio::select! {
        ended = server.serve(router.into_make_service()) => ended,
        never = stopped(&handle, grace, shutdown) => never,
    }
}

fn config(chain: &str, key: &str) -> Result<ServerConfig, String> {
    let chain = CertificateDer::pem_slice_iter(chain.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("the certificate cannot be read: {error}"))?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
        .map_err(|error| format!("the key cannot be read: {error}"))?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_client_cert_verifier(Arc::new(Asked(provider)))
        .with_single_cert(chain, key)
        .map_err(|error| format!("the certificate cannot be used: {error}"))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Asks for a certificate, and has the caller prove that the key is its own.
#[derive(Debug)]
struct Asked(Arc<CryptoProvider>);

impl ClientCertVerifier for Asked {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
