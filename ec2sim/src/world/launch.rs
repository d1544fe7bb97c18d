//! `RunInstances`: one instance for one token.

use super::model::{Attachment, Instance, NetworkInterface, State, Volume, VolumeState};
use super::reply::{InstanceView, Reply};
use super::settings::later;
use super::{Done, Due, Gate, World};
use crate::error::ApiError;
use crate::request::launch::{Launch, Profile};
use crate::request::volume::VolumeShape;
use crate::request::{Request, sha256};
use crate::world::catalog::{Image, Subnet};
use crate::world::console::Console;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a token stands for.
pub(super) struct Made {
    /// The parameters that it was used with.
    fingerprint: String,
    /// The instance that it made.
    instance: String,
}

impl World {
    /// A launch, or the answer to an earlier one with the same token.
    ///
    /// A token is zonal where a subnet or zone is given, else regional; the same token with other parameters is
    /// refused, and so is one whose instance was terminated.
    /// <https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html>
    pub(super) fn run(
        &mut self,
        launch: &Launch,
        request: &Request,
        gate: Gate,
        now: Timestamp,
    ) -> Result<Done, ApiError> {
        let catalog = self.catalog.clone();
        let subnet = match (&launch.subnet, &launch.zone) {
            (Some(id), _) => Some(catalog.subnet(id)?),
            (None, Some(zone)) => {
                catalog.zone(zone)?;
                catalog.subnets.iter().find(|subnet| subnet.zone == *zone)
            }
            (None, None) => catalog.subnets.first(),
        };
        let subnet =
            subnet.ok_or_else(|| ApiError::new("MissingInput", "No subnets found for the default VPC"))?;
        if launch.zone.as_ref().is_some_and(|zone| *zone != subnet.zone) {
            return Err(ApiError::value(format!(
                "The subnet '{}' is not in the requested availability zone",
                subnet.id
            )));
        }
        let zonal = launch.subnet.is_some() || launch.zone.is_some();
        let key = launch.client_token.clone().map(|token| (zonal.then(|| subnet.zone.clone()), token));
        if !request.dry_run
            && let Some(made) = key.as_ref().and_then(|key| self.launches.get(key))
        {
            return self.replay(made, &request.fingerprint);
        }
        let image = self.check(launch)?;
        if request.dry_run {
            return Err(ApiError::dry_run());
        }
        if let Some(refused) = gate.refused {
            return Err(refused);
        }
        let id = self.make(launch, subnet, &image, now)?;
        if let Some(instance) = self.instances.get_mut(&id) {
            instance.dies_of = gate.dies_of;
        }
        if let Some(key) = key {
            self.launches
                .insert(key, Made { fingerprint: request.fingerprint.clone(), instance: id.clone() });
        }
        let view = self.instances.get(&id).map(|instance| self.view(instance));
        match view {
            Some(view) => Ok(Done::wrote(Reply::Launched(Box::new(view)), vec![id])),
            None => Err(ApiError::new("InternalError", "The instance is gone")),
        }
    }

    fn replay(&self, made: &Made, fingerprint: &str) -> Result<Done, ApiError> {
        if made.fingerprint != fingerprint {
            return Err(mismatch());
        }
        match self.instances.get(&made.instance) {
            Some(instance) if instance.state != State::Terminated => Ok(Done {
                reply: Reply::Launched(Box::new(self.view(instance))),
                results: vec![made.instance.clone()],
                committed: false,
                replayed: true,
            }),
            _ => Err(ApiError::new(
                "IdempotentInstanceTerminated",
                "The client token is that of a previous request for which the instance has been terminated.",
            )),
        }
    }

    /// Whether what the launch names is there and fits together.
    fn check(&self, launch: &Launch) -> Result<Image, ApiError> {
        let image = self.catalog.image(&launch.image)?.clone();
        let kind = self.catalog.instance_type(&launch.instance_type)?;
        if kind.architecture != image.architecture {
            return Err(ApiError::value(format!(
                "The architecture '{}' of the specified instance type does not match the architecture '{}' of \
                 the specified AMI.",
                kind.architecture, image.architecture
            )));
        }
        for group in &launch.groups {
            if !self.catalog.security_groups.contains(group) {
                return Err(ApiError::new(
                    "InvalidGroup.NotFound",
                    format!("The security group '{group}' does not exist"),
                ));
            }
        }
        if let Some(profile) = &launch.profile {
            let (text, name, kind) = match profile {
                Profile::Name(name) => (name, Some(name.as_str()), "name"),
                Profile::Arn(arn) => (arn, arn.rsplit_once('/').map(|(_, name)| name), "arn"),
            };
            let known = |name: &str| self.catalog.instance_profiles.iter().any(|one| one == name);
            if !name.is_some_and(known) {
                return Err(ApiError::value(format!(
                    "Value ({text}) for parameter iamInstanceProfile.{kind} is invalid. Invalid IAM Instance \
                     Profile {kind}"
                )));
            }
        }
        for device in &launch.devices {
            let root = device.name == image.root_device;
            match &device.shape {
                Some(shape) if root && shape.size > 0 && shape.size < image.root_gib => {
                    return Err(ApiError::new(
                        "InvalidBlockDeviceMapping",
                        format!(
                            "Volume of size {}GB is smaller than the image's, {}GB",
                            shape.size, image.root_gib
                        ),
                    ));
                }
                Some(shape) if !root && shape.size == 0 => {
                    return Err(ApiError::missing("Ebs.VolumeSize"));
                }
                None if !root => {
                    return Err(ApiError::new(
                        "InvalidBlockDeviceMapping",
                        format!("The device {} has no volume", device.name),
                    ));
                }
                _ => {}
            }
        }
        Ok(image)
    }

    fn make(
        &mut self,
        launch: &Launch,
        subnet: &Subnet,
        image: &Image,
        now: Timestamp,
    ) -> Result<String, ApiError> {
        let address = self.addresses.take(subnet)?;
        let (id, interface) = (self.ids.next("i"), self.ids.next("eni"));
        let (attachment, reservation) = (self.ids.next("eni-attach"), self.ids.next("r"));
        let visible_at = later(now, self.settings.lag_ms);
        let groups = if launch.groups.is_empty() {
            self.catalog.security_groups.iter().take(1).cloned().collect()
        } else {
            launch.groups.clone()
        };
        let interface = NetworkInterface {
            id: interface,
            attachment,
            instance: Some(id.clone()),
            delete_on_termination: launch.interface.delete_on_termination,
            description: launch.interface.description.clone(),
            subnet: subnet.id.clone(),
            zone: subnet.zone.clone(),
            groups: groups.clone(),
            address,
            tags: launch.tags_of("network-interface"),
            created_at: now,
            visible_at,
        };
        let next = later(now, self.settings.pending_ms);
        let instance = Instance {
            id: id.clone(),
            reservation,
            launch: Arc::new(launch.clone()),
            user_data: launch.user_data.as_ref().map(|data| (data.len(), sha256(data))),
            subnet: subnet.id.clone(),
            zone: subnet.zone.clone(),
            groups,
            address,
            interface: interface.id.clone(),
            root_device: image.root_device.clone(),
            devices: self.make_devices(launch, image, &id, &subnet.zone, now),
            tags: launch.tags_of("instance"),
            state: State::Pending,
            reason: Some(super::model::StateReason { code: "pending".into(), message: "pending".into() }),
            transition: String::new(),
            created_at: now,
            launched_at: now,
            visible_at,
            next: Some(next),
            dies_of: None,
            boots: 0,
            console: Console::default(),
        };
        self.interfaces.insert(interface.id.clone(), interface);
        self.agenda.insert((next, Due::Instance(id.clone())));
        self.instances.insert(id.clone(), instance);
        Ok(id)
    }

    /// The root volume, which goes with the instance unless told otherwise, and the others, which stay.
    ///
    /// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/preserving-volumes-on-termination.html>
    fn make_devices(
        &mut self,
        launch: &Launch,
        image: &Image,
        instance: &str,
        zone: &str,
        now: Timestamp,
    ) -> BTreeMap<String, String> {
        let plain = VolumeShape {
            size: image.root_gib,
            kind: "gp3".into(),
            encrypted: false,
            kms_key: None,
            iops: None,
            throughput: None,
            snapshot: None,
        };
        let root = launch.devices.iter().find(|device| device.name == image.root_device);
        let mut shape = root.and_then(|device| device.shape.clone()).unwrap_or_else(|| plain.clone());
        if shape.size == 0 {
            shape.size = image.root_gib;
        }
        let goes = root.and_then(|device| device.delete_on_termination).unwrap_or(true);
        let mut all = vec![(image.root_device.clone(), shape, goes)];
        for device in launch.devices.iter().filter(|device| device.name != image.root_device) {
            let shape = device.shape.clone().unwrap_or_else(|| plain.clone());
            all.push((device.name.clone(), shape, device.delete_on_termination.unwrap_or(false)));
        }
        let mut devices = BTreeMap::new();
        for (device, shape, delete_on_termination) in all {
            let id = self.ids.next("vol");
            devices.insert(device.clone(), id.clone());
            let attachment = Attachment {
                instance: instance.to_owned(),
                device,
                state: "attached",
                at: now,
                delete_on_termination,
            };
            self.volumes.insert(
                id.clone(),
                Volume {
                    id,
                    shape,
                    zone: zone.to_owned(),
                    state: VolumeState::InUse,
                    attachment: Some(attachment),
                    tags: launch.tags_of("volume"),
                    created_at: now,
                    visible_at: later(now, self.settings.lag_ms),
                    next: None,
                },
            );
        }
        devices
    }

    /// An instance with what hangs on it.
    pub(super) fn view(&self, instance: &Instance) -> InstanceView {
        let volumes = instance.devices.values().filter_map(|id| {
            let attachment = self.volumes.get(id)?.attachment.clone()?;
            Some((id.clone(), attachment))
        });
        let architecture = self.catalog.image(&instance.launch.image).map(|image| image.architecture.clone());
        InstanceView {
            architecture: architecture.unwrap_or_else(|_| "x86_64".into()),
            volumes: volumes.collect(),
            interface: self
                .interfaces
                .get(&instance.interface)
                .filter(|interface| interface.instance.as_deref() == Some(&instance.id))
                .cloned(),
            instance: instance.clone(),
        }
    }
}

/// A token that was used with other parameters.
pub(super) fn mismatch() -> ApiError {
    ApiError::new(
        "IdempotentParameterMismatch",
        "Arguments on this idempotent request are inconsistent with arguments used in previous request(s).",
    )
}
