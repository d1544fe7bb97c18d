//! Data volumes, which outlive the machines that they are attached to; and network interfaces that were left over.

use super::action::Action;
use super::allow;
use super::auth::Caller;
use super::ec2::Filter;
use super::faults::Fault;
use super::launch;
use super::ownership::{self, Tags};
use super::parse;
use super::plane::ControlPlane;
use super::resolve::{Named, Which};
use super::state;
use crate::api::names;
use atelier_wire::control_plane::{AttachOrder, Deleted, VolumeOrder, VolumeView};

/// The device name of a data volume. A machine finds it by the volume's id, not by this.
const DEVICE: &str = "/dev/sdf";
/// The word for a volume that is not there any more.
const DELETED: &str = "deleted";

/// Creates the data volume of a workspace, or finds it by its token.
///
/// # Errors
/// When the order is wrong, when the token is another's, or when EC2 refuses.
pub async fn create(
    plane: &ControlPlane,
    caller: &Caller,
    workspace: &str,
    order: VolumeOrder,
) -> Result<VolumeView, Fault> {
    let VolumeOrder { cluster_id, idempotency_key, zone, volume, tags } = order;
    let workspace = parse::workspace_id(workspace)?;
    let cluster = parse::cluster(Some(&cluster_id), caller)?;
    let key = parse::key(&idempotency_key)?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    if zone.is_empty() || !zone.bytes().all(plain) {
        return Err(Fault::invalid("zone", "name the zone, such as eu-central-1a"));
    }
    allow::volume("volume", &volume, &plane.settings.allow)?;
    let ours = [(names::CLUSTER, cluster), (names::UID, workspace), (names::VOLUME_TOKEN, key)];
    let tags = launch::tags(&tags, &ours)?;
    match plane.ec2.create_volume(key, &zone, &volume, &tags).await {
        Ok((volume_id, state)) => {
            // A repeated call is answered with the volume as it was made: what it is now is asked for.
            let shown = find(plane, &volume_id).await.ok().flatten();
            Ok(shown.unwrap_or_else(|| VolumeView { volume_id, state, zone, tags, ..VolumeView::default() }))
        }
        Err(fault) if fault.is("IdempotentParameterMismatch") => found_again(plane, &ours, &zone).await,
        Err(fault) => Err(fault.about(&format!("a volume in {zone}"))),
    }
}

/// The volume that this token made with another request, if it says itself that it is the one.
async fn found_again(plane: &ControlPlane, ours: &[(&str, &str)], zone: &str) -> Result<VolumeView, Fault> {
    let filters = ours.iter().map(|(key, value)| Filter::tag(key, value)).collect();
    let all = plane.ec2.volumes(filters).await?;
    let is_it = |volume: &VolumeView| {
        volume.zone == zone
            && !matches!(&*volume.state, "deleting" | "deleted")
            && ours.iter().all(|(key, value)| ownership::has(&volume.tags, key, value))
    };
    let mut all = all.into_iter().filter(is_it);
    match (all.next(), all.next()) {
        (Some(volume), None) => Ok(volume),
        (Some(_), Some(_)) => Err(Fault::ambiguous()),
        (None, _) => Err(Fault::ec2(Action::CreateVolume, "IdempotentParameterMismatch")),
    }
}

/// Attaches a volume to an instance. Done already: success.
///
/// # Errors
/// When one of them is another's or is not there, when the volume is attached elsewhere, or when EC2 refuses.
pub async fn attach(
    plane: &ControlPlane,
    caller: &Caller,
    workspace: &str,
    order: AttachOrder,
) -> Result<VolumeView, Fault> {
    let AttachOrder { cluster_id, volume_id, instance_id } = order;
    let cluster_id = Some(parse::cluster(Some(&cluster_id), caller)?.to_owned());
    let instance = parse::resource_id("instance_id", "i-", &instance_id)?;
    let named = Named { instance_id: Some(instance.to_owned()), idempotency_key: None, cluster_id };
    let found = Which::new(caller, workspace, named)?.find(plane).await?;
    let missing = || Fault::not_found("EC2 shows no such instance");
    found.filter(|found| state::is_live(&found.view.state)).ok_or_else(missing)?;
    let missing = || Fault::not_found("EC2 shows no such volume");
    let mut volume = find(plane, &volume_id).await?.ok_or_else(missing)?;
    ownership::check_volume(&volume.tags, caller, workspace)?;
    if volume.instance_id == instance {
        return Ok(volume);
    }
    if !volume.instance_id.is_empty() {
        let fault = Fault::ec2(Action::AttachVolume, "VolumeInUse");
        return Err(fault.about(&format!("{volume_id} is attached to {}", volume.instance_id)));
    }
    plane.ec2.attach_volume(&volume_id, instance, DEVICE).await?;
    instance.clone_into(&mut volume.instance_id);
    "in-use".clone_into(&mut volume.state);
    Ok(volume)
}

/// Tags a volume as one to be kept.
///
/// # Errors
/// When it is another's or is not there, or EC2 refuses.
pub async fn retain(plane: &ControlPlane, caller: &Caller, id: &str) -> Result<VolumeView, Fault> {
    let missing = || Fault::not_found("EC2 shows no such volume");
    let mut volume = find(plane, id).await?.ok_or_else(missing)?;
    ownership::check(&volume.tags, caller, None)?;
    if !ownership::is_retained(&volume.tags) {
        let tags = Tags::from([(names::RETAIN.to_owned(), "true".to_owned())]);
        plane.ec2.create_tags(id, &tags).await?;
        volume.tags.extend(tags);
    }
    Ok(volume)
}

/// Deletes a volume that is not to be kept.
///
/// # Errors
/// When it is another's, to be kept, or attached, or EC2 refuses.
pub async fn delete(plane: &ControlPlane, caller: &Caller, id: &str) -> Result<Deleted, Fault> {
    let Some(volume) = find(plane, id).await? else {
        return Ok(Deleted { observed: false, state: DELETED.into() });
    };
    ownership::check(&volume.tags, caller, None)?;
    if ownership::is_retained(&volume.tags) {
        return Err(Fault::retained());
    }
    if matches!(&*volume.state, "deleting" | "deleted") {
        return Ok(Deleted { observed: true, state: volume.state });
    }
    match plane.ec2.delete_volume(id).await {
        Err(fault) if !fault.is("InvalidVolume.NotFound") => Err(fault),
        _ => Ok(Deleted { observed: true, state: "deleting".into() }),
    }
}

/// Deletes a network interface.
///
/// # Errors
/// When it is another's, or attached, or EC2 refuses.
pub async fn delete_interface(plane: &ControlPlane, caller: &Caller, id: &str) -> Result<Deleted, Fault> {
    parse::resource_id("network_interface_id", "eni-", id)?;
    let filters = vec![Filter::one_of("network-interface-id", vec![id.to_owned()])];
    let all = plane.ec2.network_interfaces(filters).await?;
    let Some(interface) = all.into_iter().find(|interface| interface.network_interface_id == id) else {
        return Ok(Deleted { observed: false, state: DELETED.into() });
    };
    ownership::check(&interface.tags, caller, None)?;
    match plane.ec2.delete_network_interface(id).await {
        Err(fault) if !fault.is("InvalidNetworkInterfaceID.NotFound") => Err(fault),
        _ => Ok(Deleted { observed: true, state: "deleting".into() }),
    }
}

async fn find(plane: &ControlPlane, id: &str) -> Result<Option<VolumeView>, Fault> {
    parse::resource_id("volume_id", "vol-", id)?;
    let all = plane.ec2.volumes(vec![Filter::one_of("volume-id", vec![id.to_owned()])]).await?;
    Ok(all.into_iter().find(|volume| volume.volume_id == id))
}
