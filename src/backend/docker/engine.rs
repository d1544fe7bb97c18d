//! One Docker engine: the only file that names bollard's client.

use crate::api::backend_config::DockerNetwork;
use crate::api::workspace::PlacementRecord;
use crate::backend::{BackendError, BoxOrder, BoxSeen, ContainerPlan, Contents, ImageState, PullCredentials};

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

impl std::fmt::Debug for TlsFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsFiles(…)")
    }
}

/// A connection to one engine. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Engine {}

impl Engine {
    pub(crate) fn render(&self, order: &BoxOrder<'_>) -> String {
        todo!()
    }
    pub(crate) async fn boxes(
        &self,
        record: &PlacementRecord,
        uid: &str,
    ) -> Result<Vec<BoxSeen>, BackendError> {
        todo!()
    }
    pub(crate) async fn image(&self, request: &str) -> Result<ImageState, BackendError> {
        todo!()
    }
    pub(crate) async fn pull(
        &self,
        request: &str,
        credentials: Option<PullCredentials>,
    ) -> Result<(), BackendError> {
        todo!()
    }
    pub(crate) async fn create(&self, request: &str, contents: &Contents) -> Result<BoxSeen, BackendError> {
        todo!()
    }
    pub(crate) async fn start(&self, seen: &BoxSeen, contents: &Contents) -> Result<BoxSeen, BackendError> {
        todo!()
    }
    pub(crate) async fn stop(&self, id: &str) -> Result<(), BackendError> {
        todo!()
    }
    pub(crate) async fn destroy(&self, seen: &BoxSeen) -> Result<(), BackendError> {
        todo!()
    }
    pub(crate) async fn leftovers(
        &self,
        record: &PlacementRecord,
        uid: &str,
        network_of: &str,
    ) -> Result<bool, BackendError> {
        todo!()
    }
    pub(crate) async fn clear(
        &self,
        record: &PlacementRecord,
        uid: &str,
        network_of: &str,
    ) -> Result<(), BackendError> {
        todo!()
    }
    pub(crate) async fn log_tail(&self, id: &str) -> Result<String, BackendError> {
        todo!()
    }
}
