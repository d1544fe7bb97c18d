//! What there really is, in JSON: without lag, and with what the API does not show.

use crate::request::launch::Profile;
use crate::world::model::{Instance, NetworkInterface, Volume};
use serde_json::{Value, json};

/// An instance.
pub fn instance(one: &Instance) -> Value {
    let launch = &one.launch;
    let profile = launch.profile.as_ref().map(|profile| match profile {
        Profile::Name(text) | Profile::Arn(text) => text,
    });
    json!({
        "instanceId": one.id,
        "reservationId": one.reservation,
        "state": one.state,
        "stateReason": one.reason,
        "createdAt": one.created_at,
        "launchedAt": one.launched_at,
        "visibleAt": one.visible_at,
        "boots": one.boots,
        "imageId": launch.image,
        "instanceType": launch.instance_type,
        "subnetId": one.subnet,
        "zone": one.zone,
        "privateIpAddress": one.address,
        "securityGroupIds": one.groups,
        "instanceProfile": profile,
        "clientToken": launch.client_token,
        "userDataBytes": one.user_data.as_ref().map(|(bytes, _)| bytes),
        "userDataSha256": one.user_data.as_ref().map(|(_, sum)| sum),
        "shutdownBehavior": if launch.terminates_on_shutdown { "terminate" } else { "stop" },
        "httpTokens": launch.metadata.tokens,
        "httpPutResponseHopLimit": launch.metadata.hop_limit,
        "httpEndpoint": launch.metadata.endpoint,
        "networkInterfaceId": one.interface,
        "devices": one.devices,
        "tags": one.tags,
        "launchTags": launch.tags,
    })
}

/// A volume.
pub fn volume(one: &Volume) -> Value {
    json!({
        "volumeId": one.id,
        "state": one.state.word(),
        "zone": one.zone,
        "sizeGib": one.shape.size,
        "volumeType": one.shape.kind,
        "encrypted": one.shape.encrypted,
        "kmsKeyId": one.shape.kms_key,
        "createdAt": one.created_at,
        "instanceId": one.attachment.as_ref().map(|held| &held.instance),
        "device": one.attachment.as_ref().map(|held| &held.device),
        "deleteOnTermination": one.attachment.as_ref().map(|held| held.delete_on_termination),
        "tags": one.tags,
    })
}

/// A network interface.
pub fn interface(one: &NetworkInterface) -> Value {
    json!({
        "networkInterfaceId": one.id,
        "status": one.status(),
        "subnetId": one.subnet,
        "zone": one.zone,
        "privateIpAddress": one.address,
        "instanceId": one.instance,
        "createdAt": one.created_at,
        "tags": one.tags,
    })
}
