//! Volumes: created once for a token, attached to one instance at a time, kept when it ends.

use super::launch::mismatch;
use super::model::{Attachment, State, Volume, VolumeState};
use super::reply::Reply;
use super::settings::later;
use super::{Disk, Done, Due, Effect, World};
use crate::error::ApiError;
use crate::ids::Kind;
use crate::request::Request;
use crate::request::volume::{Attach, Detach, NewVolume};
use jiff::Timestamp;

/// What a token stands for.
pub(super) struct Ordered {
    fingerprint: String,
    /// As it was made; what became of it is in the list of volumes, while it is there.
    volume: Volume,
}

impl World {
    /// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateVolume.html>
    pub(super) fn create_volume(
        &mut self,
        order: &NewVolume,
        request: &Request,
        now: Timestamp,
    ) -> Result<Done, ApiError> {
        self.catalog.zone(&order.zone)?;
        let key = order.client_token.clone().map(|token| (order.zone.clone(), token));
        if let Some(ordered) = key.as_ref().and_then(|key| self.volume_orders.get(key)) {
            if ordered.fingerprint != request.fingerprint {
                return Err(mismatch());
            }
            let gone = Volume { state: VolumeState::Deleting, ..ordered.volume.clone() };
            let volume = self.volumes.get(&gone.id).cloned().unwrap_or(gone);
            let results = vec![volume.id.clone()];
            let reply = Reply::Volume(Box::new(volume));
            return Ok(Done { reply, results, committed: false, replayed: true });
        }
        let next = later(now, self.settings.volume_ms);
        let volume = Volume {
            id: self.ids.next("vol"),
            shape: order.shape.clone(),
            zone: order.zone.clone(),
            state: VolumeState::Creating,
            attachment: None,
            tags: order.tags.clone(),
            created_at: now,
            visible_at: later(now, self.settings.lag_ms),
            next: Some(next),
        };
        self.agenda.insert((next, Due::Volume(volume.id.clone())));
        if let Some(key) = key {
            let ordered = Ordered { fingerprint: request.fingerprint.clone(), volume: volume.clone() };
            self.volume_orders.insert(key, ordered);
        }
        self.volumes.insert(volume.id.clone(), volume.clone());
        let results = vec![volume.id.clone()];
        Ok(Done::wrote(Reply::Volume(Box::new(volume)), results))
    }

    /// Attaches an available volume to a running or stopped instance of the same zone.
    ///
    /// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AttachVolume.html>
    /// <https://docs.aws.amazon.com/ebs/latest/userguide/ebs-attaching-volume.html>
    pub(super) fn attach(&mut self, attach: &Attach, now: Timestamp) -> Result<Done, ApiError> {
        self.volume_seen(&attach.volume, now)?;
        self.all_seen(std::slice::from_ref(&attach.instance), now)?;
        let (Some(volume), Some(instance)) =
            (self.volumes.get_mut(&attach.volume), self.instances.get_mut(&attach.instance))
        else {
            return Err(Kind::Volume.not_found(&[&attach.volume]));
        };
        if let Some(attachment) = &volume.attachment {
            let text = if attachment.instance == attach.instance {
                format!("{} is already attached to an instance", volume.id)
            } else {
                format!("{} is already attached to {}", volume.id, attachment.instance)
            };
            return Err(ApiError::new("VolumeInUse", text));
        }
        if volume.state != VolumeState::Available {
            return Err(ApiError::new("IncorrectState", format!("{} is not 'available'.", volume.id)));
        }
        if !matches!(instance.state, State::Running | State::Stopped) {
            return Err(ApiError::new(
                "IncorrectState",
                format!("Instance '{}' is not 'running'.", instance.id),
            ));
        }
        if volume.zone != instance.zone {
            return Err(ApiError::new(
                "InvalidVolume.ZoneMismatch",
                format!(
                    "The volume '{}' is not in the same availability zone as instance '{}'",
                    volume.id, instance.id
                ),
            ));
        }
        if instance.devices.contains_key(&attach.device) {
            return Err(ApiError::value(format!(
                "Invalid value '{0}' for unixDevice. Attachment point {0} is already in use",
                attach.device
            )));
        }
        let attachment = Attachment {
            instance: instance.id.clone(),
            device: attach.device.clone(),
            state: "attaching",
            at: now,
            delete_on_termination: false,
        };
        instance.devices.insert(attach.device.clone(), volume.id.clone());
        volume.attachment = Some(attachment.clone());
        volume.state = VolumeState::InUse;
        self.volume_next(&attach.volume, now);
        let results = vec![attach.volume.clone(), attach.instance.clone()];
        Ok(Done::wrote(Reply::Attachment(attach.volume.clone(), attachment), results))
    }

    /// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DetachVolume.html>
    pub(super) fn detach(&mut self, detach: &Detach, now: Timestamp) -> Result<Done, ApiError> {
        self.volume_seen(&detach.volume, now)?;
        let Some(volume) = self.volumes.get_mut(&detach.volume) else {
            return Err(Kind::Volume.not_found(&[&detach.volume]));
        };
        let Some(attachment) = &mut volume.attachment else {
            return Err(ApiError::new(
                "IncorrectState",
                format!("Volume '{}' is in the '{}' state.", volume.id, volume.state.word()),
            ));
        };
        let other = detach.instance.as_ref().is_some_and(|id| *id != attachment.instance)
            || detach.device.as_ref().is_some_and(|device| *device != attachment.device);
        if other {
            return Err(ApiError::new(
                "InvalidAttachment.NotFound",
                format!("The volume '{}' is not attached as given", volume.id),
            ));
        }
        if let Some(instance) = self.instances.get(&attachment.instance)
            && instance.root_device == attachment.device
            && instance.state != State::Stopped
        {
            return Err(ApiError::new(
                "OperationNotPermitted",
                format!("Unable to detach root volume '{}' from instance '{}'", volume.id, instance.id),
            ));
        }
        let committed = attachment.state != "detaching";
        attachment.state = "detaching";
        let shown = attachment.clone();
        if committed {
            self.effects
                .push(Effect::Detach { instance: shown.instance.clone(), volume: detach.volume.clone() });
            self.volume_next(&detach.volume, now);
        }
        let results = vec![detach.volume.clone(), shown.instance.clone()];
        Ok(Done { committed, ..Done::wrote(Reply::Attachment(detach.volume.clone(), shown), results) })
    }

    /// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteVolume.html>
    pub(super) fn delete_volume(&mut self, id: &str, now: Timestamp) -> Result<Done, ApiError> {
        self.volume_seen(id, now)?;
        let Some(volume) = self.volumes.get_mut(id) else { return Err(Kind::Volume.not_found(&[id])) };
        if let Some(attachment) = &volume.attachment {
            return Err(ApiError::new(
                "VolumeInUse",
                format!("Volume {id} is currently attached to {}", attachment.instance),
            ));
        }
        if volume.state == VolumeState::Creating {
            return Err(ApiError::new("IncorrectState", format!("The volume '{id}' is 'creating'.")));
        }
        let committed = volume.state != VolumeState::Deleting;
        volume.state = VolumeState::Deleting;
        if committed {
            self.volume_next(id, now);
        }
        Ok(Done { committed, ..Done::wrote(Reply::Success, vec![id.to_owned()]) })
    }

    /// The next state of a volume, or its disappearance.
    pub(super) fn volume_due(&mut self, id: &str, at: Timestamp) {
        let Some(volume) = self.volumes.get_mut(id).filter(|volume| volume.next == Some(at)) else { return };
        volume.next = None;
        match (&mut volume.attachment, volume.state) {
            (_, VolumeState::Creating) => volume.state = VolumeState::Available,
            (_, VolumeState::Deleting) => {
                self.volumes.remove(id);
                self.effects.push(Effect::EraseVolume { volume: id.to_owned() });
            }
            (Some(attachment), _) if attachment.state == "attaching" => {
                attachment.state = "attached";
                let instance = attachment.instance.clone();
                let disk = Disk { volume: id.to_owned(), gib: volume.shape.size };
                self.effects.push(Effect::Attach { instance, disk });
            }
            (Some(attachment), _) if attachment.state == "detaching" => {
                let (instance, device) = (attachment.instance.clone(), attachment.device.clone());
                volume.attachment = None;
                volume.state = VolumeState::Available;
                if let Some(instance) = self.instances.get_mut(&instance) {
                    instance.devices.remove(&device);
                }
            }
            _ => {}
        }
    }

    /// The instance of a volume is terminated: it goes, or is free again.
    pub(super) fn leave_instance(&mut self, id: &str) {
        let Some(volume) = self.volumes.get_mut(id) else { return };
        volume.next = None;
        match volume.attachment.take() {
            Some(attachment) if attachment.delete_on_termination => {
                self.volumes.remove(id);
                self.effects.push(Effect::EraseVolume { volume: id.to_owned() });
            }
            _ => volume.state = VolumeState::Available,
        }
    }

    fn volume_next(&mut self, id: &str, now: Timestamp) {
        let at = later(now, self.settings.volume_ms);
        if let Some(volume) = self.volumes.get_mut(id) {
            volume.next = Some(at);
            self.agenda.insert((at, Due::Volume(id.to_owned())));
        }
    }

    fn volume_seen(&self, id: &str, now: Timestamp) -> Result<(), ApiError> {
        if self.volumes.get(id).is_some_and(|volume| volume.visible_at <= now) {
            Ok(())
        } else {
            Err(Kind::Volume.not_found(&[id]))
        }
    }
}
