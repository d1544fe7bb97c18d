//! Calls to the registry from an address of the machine's own.

use reqwest::{Client, Method, StatusCode};
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::Serialize;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Longest time for one call.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// What makes clients. Only the certificates of the given file are trusted.
#[derive(Clone)]
pub struct Http(ClientConfig);

/// Why a call did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// It may succeed later.
    #[error("{0}")]
    Unavailable(String),
    /// The registry refused it.
    #[error("{0}: {1}")]
    Refused(StatusCode, String),
}

impl Http {
    /// Clients that trust the authority in this file of PEM, and nobody else.
    ///
    /// # Errors
    /// A text for people where the file cannot be used.
    pub fn new(authority: Option<&Path>) -> Result<Self, String> {
        let mut roots = rustls::RootCertStore::empty();
        if let Some(path) = authority {
            let pem = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                let certificate = certificate.map_err(|error| format!("{}: {error:?}", path.display()))?;
                roots.add(certificate).map_err(|error| format!("{}: {error}", path.display()))?;
            }
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        Ok(Self(config.with_root_certificates(roots).with_no_client_auth()))
    }

    /// A call from this address. The client lives as long as the call: thousands of machines that keep one each
    /// would be mostly idle connections.
    pub async fn call(
        &self,
        from: Ipv4Addr,
        method: Method,
        url: &str,
        token: &str,
        body: Option<&(impl Serialize + Sync)>,
    ) -> Result<Vec<u8>, CallError> {
        let unavailable = |error: reqwest::Error| {
            let mut text = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(deeper) = source {
                text = format!("{text}: {deeper}");
                source = deeper.source();
            }
            CallError::Unavailable(text)
        };
        let client = Client::builder()
            .tls_backend_preconfigured(self.0.clone())
            .local_address(IpAddr::V4(from))
            .no_proxy()
            .pool_max_idle_per_host(0)
            .redirect(reqwest::redirect::Policy::none())
            .timeout(CALL_TIMEOUT)
            .build()
            .map_err(unavailable)?;
        let mut request = client.request(method, url).bearer_auth(token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(unavailable)?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(unavailable)?;
        if status.is_success() {
            Ok(bytes.to_vec())
        } else {
            Err(CallError::Refused(status, String::from_utf8_lossy(&bytes).into_owned()))
        }
    }
}
