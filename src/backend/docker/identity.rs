//! Who an engine is: so that "not found" is believed only of the engine that the box was launched on.

use super::engine::{CALL, Engine};
use super::error::Refusal;
use crate::api::workspace::{Backend, DockerWorld, PlacementRecord};
use crate::backend::{BackendError, ErrorKind, Preflight};
use bollard::models::SystemInfo;
use k8s_openapi::jiff::Timestamp;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is known of who answers at an endpoint.
#[derive(Debug, Default)]
pub(super) struct Identity(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    world: Option<DockerWorld>,
    /// A call got no answer since: another engine may have taken its place.
    doubted: bool,
    /// Why the last preflight failed, if it did and nobody heard from the engine since.
    failed: Option<BackendError>,
}

impl Identity {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The engine's id must be read again before it is believed.
    pub(super) fn doubt(&self) {
        self.known().doubted = true;
    }

    fn met(&self, world: DockerWorld) {
        *self.known() = Known { world: Some(world), doubted: false, failed: None };
    }

    /// The world with this network id, as far as it needs no second look.
    fn recall(&self, network_id: &str) -> Option<DockerWorld> {
        let known = self.known();
        if known.doubted {
            return None;
        }
        known.world.clone().filter(|world| world.network_id == network_id)
    }
}

impl Engine {
    /// The world that new boxes would be recorded with.
    ///
    /// # Errors
    /// Why the last preflight failed, or that there was none yet.
    pub(crate) fn world(&self) -> Result<DockerWorld, BackendError> {
        let known = self.identity().known();
        if let Some(error) = &known.failed {
            return Err(error.clone());
        }
        known.world.clone().ok_or_else(|| {
            let detail = format!("the Docker engine at {} was not asked yet", self.endpoint().address);
            BackendError::new(ErrorKind::Unreachable, detail)
        })
    }

    /// Asks the engine who it is.
    pub(crate) async fn preflight(&self) -> Result<Preflight, BackendError> {
        let looked = async {
            let network_id = self.none_network().await?;
            self.introduce(network_id).await
        };
        let looked = looked.await.map_err(|refusal| {
            let error = BackendError::from(refusal);
            self.identity().known().failed = Some(error.clone());
            error
        });
        let (world, info) = looked?;
        let version = info.server_version.unwrap_or_default();
        let record = PlacementRecord { backend: Backend::Docker, docker: Some(world), ec2: None };
        Ok(Preflight { version, record })
    }

    /// Fails unless the engine is the recorded one. One cheap call while nothing has happened in between.
    pub(super) async fn check(&self, record: &PlacementRecord) -> Result<(), BackendError> {
        let network_id = self.none_network().await?;
        let world = match self.identity().recall(&network_id) {
            Some(world) => world,
            None => self.introduce(network_id).await?.0,
        };
        same_world(&self.endpoint().address, &world, record)
    }

    /// The id of the built-in network `none`: random, and it lives and dies with the engine's data.
    async fn none_network(&self) -> Result<String, Refusal> {
        let what = "inspect network none";
        let network = self.call(what, CALL, self.client()?.inspect_network("none", None)).await?;
        network.id.ok_or_else(|| self.nameless(what))
    }

    /// Who it is now, and what its clock says.
    pub(super) async fn time(&self) -> Result<(PlacementRecord, Timestamp), BackendError> {
        let network_id = self.none_network().await?;
        let (world, info) = self.introduce(network_id).await?;
        let now = info.system_time.and_then(|time| time.parse().ok()).ok_or_else(|| {
            let detail = format!("the Docker engine at {} does not tell the time", self.endpoint().address);
            BackendError::new(ErrorKind::Failed, detail)
        })?;
        Ok((PlacementRecord { backend: Backend::Docker, docker: Some(world), ec2: None }, now))
    }

    /// Who it is, and what else it says of itself.
    async fn introduce(&self, network_id: String) -> Result<(DockerWorld, SystemInfo), Refusal> {
        let what = "tell who it is";
        let info = self.call(what, CALL, self.client()?.info()).await?;
        let engine_id = info.id.clone().filter(|id| !id.is_empty()).ok_or_else(|| self.nameless(what))?;
        let world = DockerWorld { host: self.endpoint().name.clone(), engine_id, network_id };
        self.identity().met(world.clone());
        Ok((world, info))
    }

    fn nameless(&self, what: &str) -> Refusal {
        let detail = format!("the Docker engine at {} gave no id, asked to {what}", self.endpoint().address);
        BackendError::new(ErrorKind::Failed, detail).into()
    }
}

fn same_world(address: &str, world: &DockerWorld, record: &PlacementRecord) -> Result<(), BackendError> {
    let recorded = record.docker.as_ref();
    if recorded.is_some_and(|r| r.engine_id == world.engine_id && r.network_id == world.network_id) {
        return Ok(());
    }
    let name = |engine: &str, network: &str| format!("{engine} (network none: {})", short(network));
    let recorded = recorded.map_or("no engine".to_owned(), |r| name(&r.engine_id, &r.network_id));
    let detail = format!(
        "the engine that answers at {address} is {}, and the box was launched on {recorded}",
        name(&world.engine_id, &world.network_id),
    );
    Err(BackendError::new(ErrorKind::WrongBackend, detail))
}

/// The first digits of an id, as Docker's own tools show it.
fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world(engine: &str, network: &str) -> DockerWorld {
        DockerWorld { host: "local".into(), engine_id: engine.into(), network_id: network.into() }
    }

    #[test]
    fn both_ids_must_agree() {
        let record = PlacementRecord { backend: Backend::Docker, docker: Some(world("E1", "N1")), ec2: None };
        assert_eq!(same_world("unix:///x", &world("E1", "N1"), &record), Ok(()));
        for other in [world("E2", "N1"), world("E1", "N2")] {
            let error = same_world("unix:///x", &other, &record).expect_err("another engine");
            assert_eq!(error.kind, ErrorKind::WrongBackend);
            for id in ["E1", "N1", &other.engine_id, &other.network_id] {
                assert!(error.detail.contains(id), "{}", error.detail);
            }
        }
        let none = PlacementRecord { backend: Backend::Docker, docker: None, ec2: None };
        assert!(same_world("unix:///x", &world("E1", "N1"), &none).is_err());
    }

    #[test]
    fn a_doubted_engine_is_not_recalled() {
        let identity = Identity::default();
        assert_eq!(identity.recall("N1"), None);
        identity.met(world("E1", "N1"));
        assert_eq!(identity.recall("N1"), Some(world("E1", "N1")));
        assert_eq!(identity.recall("N2"), None);
        identity.doubt();
        assert_eq!(identity.recall("N1"), None);
    }
}
