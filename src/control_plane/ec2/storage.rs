//! Data volumes and network interfaces.

use super::client::Ec2;
use super::fence::Fence;
use super::instances::sdk_tags;
use crate::control_plane::action::Action;
use crate::control_plane::faults::Fault;
use crate::control_plane::ownership::Tags;
use atelier_wire::control_plane::VolumeSpec;
use aws_sdk_ec2::types::{ResourceType, TagSpecification, VolumeType};

impl Ec2 {
    /// Creates an encrypted volume, or answers the one that this token created. Its id and state.
    pub async fn create_volume(
        &self,
        token: &str,
        zone: &str,
        volume: &VolumeSpec,
        tags: &Tags,
    ) -> Result<(String, String), Fault> {
        let VolumeSpec { size_gib, volume_type, kms_key_id } = volume;
        let tags =
            TagSpecification::builder().resource_type(ResourceType::Volume).set_tags(Some(sdk_tags(tags)));
        let fence = Fence::new(None);
        let call = self
            .client()
            .create_volume()
            .client_token(token)
            .availability_zone(zone)
            .size(*size_gib)
            .volume_type(VolumeType::from(volume_type.as_str()))
            .set_kms_key_id(kms_key_id.clone())
            .encrypted(true)
            .tag_specifications(tags.build())
            .customize()
            .interceptor(fence.clone())
            .send();
        let output = self.call(Action::CreateVolume, 0, &fence, call).await?;
        let id = output.volume_id().filter(|id| !id.is_empty());
        let id = id.ok_or_else(|| Fault::unknown_outcome(Action::CreateVolume))?;
        let state = output.state().map(|state| state.as_str().to_owned()).unwrap_or_default();
        Ok((id.to_owned(), state))
    }

    /// Attaches a volume under this device name.
    pub async fn attach_volume(&self, volume: &str, instance: &str, device: &str) -> Result<(), Fault> {
        let fence = Fence::new(None);
        let call = self
            .client()
            .attach_volume()
            .volume_id(volume)
            .instance_id(instance)
            .device(device)
            .customize()
            .interceptor(fence.clone())
            .send();
        self.call(Action::AttachVolume, 0, &fence, call).await.map(drop)
    }

    /// Deletes a volume that is attached to nothing.
    pub async fn delete_volume(&self, id: &str) -> Result<(), Fault> {
        let fence = Fence::new(None);
        let call = self.client().delete_volume().volume_id(id).customize().interceptor(fence.clone()).send();
        self.call(Action::DeleteVolume, 0, &fence, call).await.map(drop)
    }

    /// Deletes a network interface that is attached to nothing.
    pub async fn delete_network_interface(&self, id: &str) -> Result<(), Fault> {
        let fence = Fence::new(None);
        let call = self
            .client()
            .delete_network_interface()
            .network_interface_id(id)
            .customize()
            .interceptor(fence.clone())
            .send();
        self.call(Action::DeleteNetworkInterface, 0, &fence, call).await.map(drop)
    }

    /// Puts tags on something, over those that it has.
    pub async fn create_tags(&self, id: &str, tags: &Tags) -> Result<(), Fault> {
        let fence = Fence::new(None);
        let call = self
            .client()
            .create_tags()
            .resources(id)
            .set_tags(Some(sdk_tags(tags)))
            .customize()
            .interceptor(fence.clone())
            .send();
        self.call(Action::CreateTags, 0, &fence, call).await.map(drop)
    }
}
