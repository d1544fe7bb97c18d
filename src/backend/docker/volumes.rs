//! The volumes of a Workspace, and what is left when its boxes are gone.

use super::engine::{CALL, Engine};
use super::error::{Refusal, gone_is_fine};
use crate::api::names;
use crate::api::workspace::PlacementRecord;
use crate::backend::{BackendError, ContainerPlan, ErrorKind};
use bollard::models::{Volume, VolumeCreateRequest};
use bollard::query_parameters::{ListVolumesOptions, RemoveVolumeOptions};
use std::collections::BTreeMap;

impl Engine {
    /// Makes the two volumes of a box, or finds them.
    pub(super) async fn volumes(&self, plan: &ContainerPlan) -> Result<(), Refusal> {
        let mut data_labels = plan.labels.clone();
        // This one outlives the attempt.
        data_labels.remove(names::ATTEMPT);
        data_labels.remove(names::SPEC_HASH);
        if plan.retain {
            data_labels.insert(names::RETAIN.into(), "true".into());
        }
        tokio::try_join!(
            self.volume(&plan.configs_volume, &plan.labels, plan.uid()),
            self.volume(&plan.workspace_volume, &data_labels, plan.uid()),
        )?;
        Ok(())
    }

    async fn volume(&self, name: &str, labels: &BTreeMap<String, String>, uid: &str) -> Result<(), Refusal> {
        let request = VolumeCreateRequest {
            name: Some(name.to_owned()),
            labels: Some(self.signed(labels)),
            ..VolumeCreateRequest::default()
        };
        let what = format!("create volume {name}");
        // The engine answers with the volume of that name, also when it was there before.
        let volume = self.change(&what, CALL, self.client()?.create_volume(request)).await?;
        if self.is_ours(&volume.labels, uid) {
            return Ok(());
        }
        let detail = format!("a volume named {name} exists and is not this Workspace's: remove or rename it");
        Err(BackendError::new(ErrorKind::NameTaken, detail).into())
    }

    /// Removes the files of earlier attempts, which a crash between two removals may have left.
    pub(super) async fn remove_old_configs(&self, plan: &ContainerPlan) -> Result<(), Refusal> {
        for volume in self.volumes_of(plan.uid()).await? {
            if volume.labels.contains_key(names::ATTEMPT) && volume.name != plan.configs_volume {
                self.remove_volume(&volume.name).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn remove_volume(&self, name: &str) -> Result<(), Refusal> {
        let what = format!("remove volume {name}");
        let removed =
            self.change(&what, CALL, self.client()?.remove_volume(name, None::<RemoveVolumeOptions>));
        gone_is_fine(removed.await)
    }

    async fn volumes_of(&self, uid: &str) -> Result<Vec<Volume>, Refusal> {
        let options = ListVolumesOptions { filters: Some(self.ours(Some((names::UID, uid)))) };
        let listed = self.call("list volumes", CALL, self.client()?.list_volumes(Some(options))).await?;
        Ok(listed.volumes.unwrap_or_default())
    }

    /// Whether a Workspace without boxes has volumes, or a network, that would be removed.
    pub(crate) async fn leftovers(
        &self,
        record: &PlacementRecord,
        uid: &str,
        network_of: &str,
    ) -> Result<bool, BackendError> {
        self.check(record).await?;
        let volumes = self.volumes_of(uid).await?;
        Ok(volumes.iter().any(is_disposable) || !self.idle_networks(network_of).await?.is_empty())
    }

    /// Removes what [`Engine::leftovers`] finds.
    pub(crate) async fn clear(
        &self,
        record: &PlacementRecord,
        uid: &str,
        network_of: &str,
    ) -> Result<(), BackendError> {
        self.check(record).await?;
        for volume in self.volumes_of(uid).await?.iter().filter(|volume| is_disposable(volume)) {
            self.remove_volume(&volume.name).await?;
        }
        Ok(self.clear_networks(network_of).await?)
    }
}

fn is_disposable(volume: &Volume) -> bool {
    volume.labels.get(names::RETAIN).is_none_or(|retain| retain != "true")
}
