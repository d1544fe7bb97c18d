//! The volume of a Workspace's data: made once, in the zone of its first instance, and attached to each.

use super::cloud::Cloud;
use super::request::{Ec2Request, volume_token};
use crate::api::names;
use crate::api::workspace::{PlacementRecord, StorageRecord};
use crate::backend::{BackendError, BoxSeen, ErrorKind, Remains};
use atelier_wire::control_plane::{AttachOrder, VolumeOrder};
use k8s_openapi::jiff::Timestamp;

impl Cloud {
    /// Makes the volume of a Workspace's data in the zone of its instance, or finds the one that is there.
    pub(crate) async fn make_volume(
        &self,
        uid: &str,
        request: &str,
        zone: &str,
    ) -> Result<StorageRecord, BackendError> {
        self.may_act("making of the data volume")?;
        let request = Ec2Request::parse(request)?;
        let mut tags = request.launch.tags.clone();
        for key in [names::ATTEMPT, names::SPEC_HASH] {
            tags.remove(key);
        }
        tags.insert(names::CONTROLLER.into(), self.controller().to_owned());
        let order = VolumeOrder {
            cluster_id: self.cluster().to_owned(),
            idempotency_key: volume_token(self.cluster(), uid, zone),
            zone: zone.to_owned(),
            volume: request.data_volume,
            tags,
        };
        let made = self.client()?.volume(uid, &order).await?;
        Ok(StorageRecord { volume_id: made.volume_id, zone: zone.to_owned() })
    }

    /// Attaches the volume to the instance.
    pub(crate) async fn attach(
        &self,
        uid: &str,
        seen: &BoxSeen,
        volume_id: &str,
    ) -> Result<BoxSeen, BackendError> {
        self.may_act("attaching of the data volume")?;
        let order = AttachOrder {
            cluster_id: self.cluster().to_owned(),
            volume_id: volume_id.to_owned(),
            instance_id: seen.id.clone(),
        };
        self.client()?.attach(uid, &order).await?;
        let mut now_seen = seen.clone();
        now_seen.ec2.get_or_insert_default().volume_ids.push(volume_id.to_owned());
        self.state().known.answered(uid, now_seen.clone(), Timestamp::now());
        Ok(now_seen)
    }

    /// Whether the volume of a Workspace is still to be deleted or marked.
    pub(crate) fn leftovers(&self, remains: &Remains<'_>) -> bool {
        remains.storage.is_some_and(|storage| !self.state().known.is_cleared(&storage.volume_id))
    }

    /// Deletes the volume of a Workspace, or marks it as one to keep.
    pub(crate) async fn clear(
        &self,
        record: &PlacementRecord,
        remains: &Remains<'_>,
    ) -> Result<(), BackendError> {
        let Some(storage) = remains.storage else { return Ok(()) };
        Self::same_world(&self.state(), record)?;
        self.may_act("deletion of the data volume")?;
        let client = self.client()?;
        if remains.retain {
            client.retain_volume(&storage.volume_id, self.cluster()).await?;
        } else {
            let deleted = client.delete_volume(&storage.volume_id, self.cluster()).await?;
            // One that was made moments ago may not be shown yet: that is no proof that it is gone.
            if !deleted.observed && !self.state().known.has_missed(&storage.volume_id, Timestamp::now()) {
                let detail = format!("EC2 does not show {} at the moment", storage.volume_id);
                return Err(BackendError::new(ErrorKind::NotFound, detail));
            }
        }
        self.state().known.cleared(&storage.volume_id);
        Ok(())
    }
}
