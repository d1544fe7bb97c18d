//! From the SDK's types to ours. Pure.

use crate::control_plane::ownership::Tags;
use atelier_wire::control_plane::{InstanceView, NetworkInterfaceView, StateReason, VolumeView};
use aws_sdk_ec2::primitives::{DateTime, DateTimeFormat};
use aws_sdk_ec2::types::{Instance, InstanceStateChange, NetworkInterface, Tag, Volume, VolumeAttachment};

fn text(value: Option<&str>) -> String {
    value.unwrap_or_default().to_owned()
}

fn time(value: Option<&DateTime>) -> Option<String> {
    value.and_then(|time| time.fmt(DateTimeFormat::DateTime).ok())
}

pub(super) fn tags(tags: &[Tag]) -> Tags {
    tags.iter().map(|tag| (text(tag.key()), text(tag.value()))).collect()
}

pub(super) fn instance(instance: &Instance) -> InstanceView {
    let state = instance.state().and_then(|state| state.name()).map(|name| name.as_str().to_owned());
    let reason = instance
        .state_reason()
        .map(|reason| StateReason { code: text(reason.code()), message: text(reason.message()) });
    InstanceView {
        state: state.unwrap_or_default(),
        instance_id: text(instance.instance_id()),
        private_ip: text(instance.private_ip_address()),
        state_reason: reason.filter(|reason| !reason.code.is_empty()),
        observed: true,
        launched_at: time(instance.launch_time()),
        zone: text(instance.placement().and_then(|placement| placement.availability_zone())),
        subnet_id: text(instance.subnet_id()),
        instance_type: instance.instance_type().map(|t| t.as_str().to_owned()).unwrap_or_default(),
        ami_id: text(instance.image_id()),
        client_token: text(instance.client_token()),
        volume_ids: volume_ids(instance),
        tags: tags(instance.tags()),
    }
}

/// The volumes that are attached to it, or are about to be.
fn volume_ids(instance: &Instance) -> Vec<String> {
    let volumes = instance.block_device_mappings().iter().filter_map(|device| device.ebs());
    let attached = volumes.filter(|volume| {
        volume.status().is_none_or(|status| !matches!(status.as_str(), "detaching" | "detached"))
    });
    attached.map(|volume| text(volume.volume_id())).collect()
}

/// An instance's id and the state that it is in now.
pub(super) fn change(change: &InstanceStateChange) -> (String, String) {
    let state = change.current_state().and_then(|state| state.name());
    (text(change.instance_id()), state.map(|name| name.as_str().to_owned()).unwrap_or_default())
}

/// The instance that a volume is attached to, or is about to be.
pub(super) fn attached_to(attachments: &[VolumeAttachment]) -> String {
    let attached = attachments
        .iter()
        .find(|attachment| attachment.state().is_none_or(|state| !matches!(state.as_str(), "detached")));
    text(attached.and_then(VolumeAttachment::instance_id))
}

pub(super) fn volume(volume: &Volume) -> VolumeView {
    VolumeView {
        volume_id: text(volume.volume_id()),
        state: volume.state().map(|state| state.as_str().to_owned()).unwrap_or_default(),
        zone: text(volume.availability_zone()),
        instance_id: attached_to(volume.attachments()),
        created_at: time(volume.create_time()),
        tags: tags(volume.tags()),
    }
}

pub(super) fn network_interface(interface: &NetworkInterface) -> NetworkInterfaceView {
    NetworkInterfaceView {
        network_interface_id: text(interface.network_interface_id()),
        state: interface.status().map(|status| status.as_str().to_owned()).unwrap_or_default(),
        instance_id: text(interface.attachment().and_then(|attachment| attachment.instance_id())),
        tags: tags(interface.tag_set()),
    }
}
