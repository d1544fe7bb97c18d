//! How one engine is reached.

use crate::api::backend_config::DockerNetwork;
use std::fmt;

/// How an engine is reached, and how boxes are made there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineEndpoint {
    /// The name of the host in the BackendConfig.
    pub name: String,
    /// `unix:///…` or `tcp://host:port`.
    pub address: String,
    /// Where ports are published and reached.
    pub publish_address: String,
    /// Certificates for TCP.
    pub tls: Option<TlsFiles>,
    /// The networks that boxes are attached to.
    pub network: DockerNetwork,
}

impl EngineEndpoint {
    /// The engine's socket on the engine's own host.
    pub(super) fn socket(&self) -> &str {
        self.address.strip_prefix("unix://").unwrap_or("/var/run/docker.sock")
    }
}

/// PEM texts for an engine over TCP.
#[derive(Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The authority that signed the engine's certificate.
    pub ca: Vec<u8>,
    /// Our certificate.
    pub certificate: Vec<u8>,
    /// Our key.
    pub key: Vec<u8>,
}

impl fmt::Debug for TlsFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsFiles(…)")
    }
}
