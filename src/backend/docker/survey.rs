//! Everything of this controller on one engine, and the removal of what has no owner.

use super::engine::{CALL, Engine};
use super::error::Refusal;
use crate::api::names;
use crate::api::workspace::PlacementRecord;
use crate::backend::{BackendError, ErrorKind, Found, Survey};
use crate::metrics::Thing;
use bollard::models::ContainerSummary;
use bollard::query_parameters::{ListContainersOptions, ListNetworksOptions, ListVolumesOptions};
use k8s_openapi::jiff::Timestamp;
use std::collections::{BTreeSet, HashMap};

impl Engine {
    /// Lists all containers, networks, and volumes that no container holds.
    pub(crate) async fn everything(&self) -> Result<Survey, BackendError> {
        let (record, now) = self.time().await?;
        // The containers last: what joins a network meanwhile is seen.
        let networks = self.all_networks().await?;
        let volumes = self.idle_volumes().await?;
        let containers = self.all_containers().await?;
        let used: BTreeSet<String> = containers
            .iter()
            .filter_map(|container| container.labels.as_ref()?.get(names::NETWORK_OF).cloned())
            .collect();
        let boxes = containers.into_iter().filter_map(|container| self.found_box(container));
        let volumes =
            volumes.into_iter().filter_map(|(name, labels)| self.read(Thing::Volume, &name, labels));
        let networks = networks.into_iter().filter_map(|(id, labels)| {
            let found = self.read(Thing::Network, &id, labels)?;
            Some(Found { is_in_use: used.contains(&found.uid), ..found })
        });
        // Their times are those of a folder or of a restored file: not a clock to go by.
        let found = boxes.chain(volumes).chain(networks).collect();
        Ok(Survey { record, now, found })
    }

    /// Removes one thing of such a list.
    pub(crate) async fn remove_found(
        &self,
        record: &PlacementRecord,
        found: &Found,
    ) -> Result<(), BackendError> {
        self.check(record).await?;
        match found.thing {
            Thing::Box => self.remove_container(&found.id, true).await,
            Thing::Volume => Ok(self.remove_volume(&found.id).await?),
            Thing::Network => self.remove_idle_network(found).await,
            Thing::NetworkInterface => Err(crate::backend::survey::no_such(found)),
        }
    }

    async fn remove_idle_network(&self, found: &Found) -> Result<(), BackendError> {
        self.clear_networks(&found.uid).await?;
        let left = self.networks_of(&found.uid).await?;
        if left.iter().any(|network| network.id.as_deref() == Some(&*found.id)) {
            let detail = format!("network {} is not removed: something is on it, or about to be", found.id);
            return Err(BackendError::new(ErrorKind::Busy, detail));
        }
        Ok(())
    }

    fn read(&self, thing: Thing, id: &str, labels: HashMap<String, String>) -> Option<Found> {
        Found::read(self.maker(), thing, id, &labels.into_iter().collect())
    }

    fn found_box(&self, container: ContainerSummary) -> Option<Found> {
        let found = self.read(Thing::Box, &container.id?, container.labels?)?;
        let made_at = container.created.and_then(|at| Timestamp::from_second(at).ok());
        let is_ending = container.state.is_some_and(|state| state.to_string() == "removing");
        Some(Found { made_at, is_ending, ..found })
    }

    async fn all_containers(&self) -> Result<Vec<ContainerSummary>, Refusal> {
        let filters = Some(self.ours(None));
        let options = ListContainersOptions { all: true, filters, ..ListContainersOptions::default() };
        self.call("list containers", CALL, self.client()?.list_containers(Some(options))).await
    }

    async fn idle_volumes(&self) -> Result<Vec<(String, HashMap<String, String>)>, Refusal> {
        let mut filters = self.ours(None);
        filters.insert("dangling".into(), vec!["true".into()]);
        let options = ListVolumesOptions { filters: Some(filters) };
        let listed = self.call("list volumes", CALL, self.client()?.list_volumes(Some(options))).await?;
        let volumes = listed.volumes.unwrap_or_default();
        Ok(volumes.into_iter().map(|volume| (volume.name, volume.labels)).collect())
    }

    async fn all_networks(&self) -> Result<Vec<(String, HashMap<String, String>)>, Refusal> {
        let options = ListNetworksOptions { filters: Some(self.ours(None)) };
        let listed = self.call("list networks", CALL, self.client()?.list_networks(Some(options))).await?;
        Ok(listed.into_iter().filter_map(|network| Some((network.id?, network.labels?))).collect())
    }
}
