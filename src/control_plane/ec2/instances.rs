//! RunInstances, and what changes instances.

use super::client::Ec2;
use super::convert;
use super::fence::Fence;
use super::lists::Found;
use crate::control_plane::action::Action;
use crate::control_plane::faults::Fault;
use crate::control_plane::launch::RunOrder;
use aws_sdk_ec2::operation::run_instances::builders::RunInstancesFluentBuilder;
use aws_sdk_ec2::types::{
    BlockDeviceMapping, EbsBlockDevice, HttpTokensState, IamInstanceProfileSpecification,
    InstanceMetadataEndpointState, InstanceMetadataOptionsRequest, InstanceType, ResourceType,
    ShutdownBehavior, Tag, TagSpecification, VolumeType,
};
use data_encoding::BASE64;
use k8s_openapi::jiff::Timestamp;
use std::collections::HashMap;

/// What a dry run answers that would have succeeded.
const DRY_RUN_OK: &str = "DryRunOperation";

pub(super) fn sdk_tags<'a>(tags: impl IntoIterator<Item = (&'a String, &'a String)>) -> Vec<Tag> {
    tags.into_iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

/// Fills in a request: what the order says, and the defaults of every launch.
fn filled(call: RunInstancesFluentBuilder, order: &RunOrder, dry_run: bool) -> RunInstancesFluentBuilder {
    let RunOrder {
        client_token,
        ami_id,
        image,
        instance_type,
        subnet_id,
        security_group_ids,
        instance_profile_name,
        root_volume: (size_gib, volume_type, kms_key_id),
        tags,
        user_data,
    } = order;
    let root = EbsBlockDevice::builder()
        .volume_size(*size_gib)
        .volume_type(VolumeType::from(volume_type.as_str()))
        .set_kms_key_id(kms_key_id.clone())
        .encrypted(true)
        .delete_on_termination(true);
    let root = BlockDeviceMapping::builder().device_name(&image.root_device).ebs(root.build()).build();
    let other = |name: &String| {
        let ebs = EbsBlockDevice::builder().encrypted(true).delete_on_termination(true).build();
        BlockDeviceMapping::builder().device_name(name).ebs(ebs).build()
    };
    let devices = std::iter::once(root).chain(image.other_devices.iter().map(other)).collect();
    let tagged = |resource| {
        let tags = sdk_tags(tags.iter().map(|(key, value)| (key, value)));
        TagSpecification::builder().resource_type(resource).set_tags(Some(tags)).build()
    };
    // A container on a bridge is one hop further away than the machine itself: it gets no answer.
    let metadata = InstanceMetadataOptionsRequest::builder()
        .http_tokens(HttpTokensState::Required)
        .http_put_response_hop_limit(1)
        .http_endpoint(InstanceMetadataEndpointState::Enabled)
        .build();
    call.client_token(client_token)
        .image_id(ami_id)
        .instance_type(InstanceType::from(instance_type.as_str()))
        .min_count(1)
        .max_count(1)
        .subnet_id(subnet_id)
        .set_security_group_ids(Some(security_group_ids.clone()))
        .set_iam_instance_profile(
            instance_profile_name
                .as_ref()
                .map(|name| IamInstanceProfileSpecification::builder().name(name).build()),
        )
        .set_block_device_mappings(Some(devices))
        .metadata_options(metadata)
        // A shutdown from within must destroy nothing: whoever looks after the instance sees it stopped, and why.
        .instance_initiated_shutdown_behavior(ShutdownBehavior::Stop)
        .tag_specifications(tagged(ResourceType::Instance))
        .tag_specifications(tagged(ResourceType::Volume))
        .tag_specifications(tagged(ResourceType::NetworkInterface))
        .set_user_data((!user_data.is_empty()).then(|| BASE64.encode(user_data.as_bytes())))
        .set_dry_run(dry_run.then_some(true))
}

impl Ec2 {
    /// Launches one instance, or answers the one that this token launched, unless `not_after` is over.
    pub async fn run(&self, order: &RunOrder, not_after: Option<Timestamp>) -> Result<Found, Fault> {
        let fence = Fence::new(not_after);
        let call = filled(self.client().run_instances(), order, false);
        let call = call.customize().interceptor(fence.clone()).send();
        let output = self.call(Action::RunInstances, 1, &fence, call).await?;
        let instance = output.instances().first().map(convert::instance);
        let view = instance.filter(|instance| !instance.instance_id.is_empty());
        let view = view.ok_or_else(|| Fault::unknown_outcome(Action::RunInstances))?;
        Ok(Found { view, account_id: output.owner_id().unwrap_or_default().to_owned() })
    }

    /// Whether a launch would be taken. Launches nothing.
    pub async fn dry_run(&self, order: &RunOrder) -> Result<(), Fault> {
        let fence = Fence::new(None);
        let call = filled(self.client().run_instances(), order, true);
        let call = call.customize().interceptor(fence.clone()).send();
        match self.call(Action::RunInstances, 1, &fence, call).await {
            Ok(_) => Ok(()),
            Err(fault) if fault.is(DRY_RUN_OK) => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    /// Terminates instances: all, or on an error none. The states that they are in now, by id.
    pub async fn terminate(&self, ids: Vec<String>) -> Result<HashMap<String, String>, Fault> {
        let fence = Fence::new(None);
        let count = u32::try_from(ids.len()).unwrap_or(u32::MAX);
        let call = self
            .client()
            .terminate_instances()
            .set_instance_ids(Some(ids))
            .customize()
            .interceptor(fence.clone())
            .send();
        let output = self.call(Action::TerminateInstances, count, &fence, call).await?;
        Ok(output.terminating_instances().iter().map(convert::change).collect())
    }

    /// Stops an instance. The state that it is in now.
    pub async fn stop(&self, id: &str) -> Result<String, Fault> {
        let fence = Fence::new(None);
        let call =
            self.client().stop_instances().instance_ids(id).customize().interceptor(fence.clone()).send();
        let output = self.call(Action::StopInstances, 1, &fence, call).await?;
        Ok(output
            .stopping_instances()
            .first()
            .map(convert::change)
            .map(|(_, state)| state)
            .unwrap_or_default())
    }

    /// Starts a stopped instance. The state that it is in now.
    pub async fn start(&self, id: &str) -> Result<String, Fault> {
        let fence = Fence::new(None);
        let call =
            self.client().start_instances().instance_ids(id).customize().interceptor(fence.clone()).send();
        let output = self.call(Action::StartInstances, 1, &fence, call).await?;
        Ok(output
            .starting_instances()
            .first()
            .map(convert::change)
            .map(|(_, state)| state)
            .unwrap_or_default())
    }

    /// What a machine wrote to its console, as EC2 last saw it.
    pub async fn console(&self, id: &str) -> Result<String, Fault> {
        let output = match self.console_output(id, true).await {
            // Machines that are not of the Nitro kind have no latest output, only that of the last boot.
            Err(fault) if fault.is("UnsupportedOperation") => self.console_output(id, false).await?,
            other => other?,
        };
        let bytes = BASE64.decode(output.as_bytes()).unwrap_or_default();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    async fn console_output(&self, id: &str, latest: bool) -> Result<String, Fault> {
        let fence = Fence::new(None);
        let call = self
            .client()
            .get_console_output()
            .instance_id(id)
            .set_latest(latest.then_some(true))
            .customize()
            .interceptor(fence.clone())
            .send();
        let output = self.call(Action::GetConsoleOutput, 0, &fence, call).await?;
        let text = output.output().unwrap_or_default();
        Ok(text.chars().filter(|c| !c.is_whitespace()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control_plane::launch::Image;
    use crate::control_plane::testing;
    use aws_sdk_ec2::operation::run_instances::RunInstancesInput;

    async fn request(order: &RunOrder, dry_run: bool) -> RunInstancesInput {
        let ec2 = testing::ec2("http://127.0.0.1:9").await;
        filled(ec2.client().run_instances(), order, dry_run).as_input().clone().build().unwrap()
    }

    fn order() -> RunOrder {
        RunOrder {
            client_token: "k".into(),
            ami_id: "ami-1".into(),
            image: Image { root_device: "/dev/xvda".into(), other_devices: vec!["/dev/xvdb".into()] },
            instance_type: "t3.small".into(),
            subnet_id: "subnet-1".into(),
            security_group_ids: vec!["sg-1".into()],
            instance_profile_name: None,
            root_volume: (30, "gp3".into(), None),
            tags: vec![("a".into(), "b".into())],
            user_data: "#!/bin/sh\n".into(),
        }
    }

    #[tokio::test]
    async fn every_launch_has_the_secure_defaults() {
        let input = request(&order(), false).await;
        let metadata = input.metadata_options().unwrap();
        assert_eq!(metadata.http_tokens(), Some(&HttpTokensState::Required));
        assert_eq!(metadata.http_put_response_hop_limit(), Some(1));
        assert_eq!(input.key_name(), None);
        assert_eq!(input.instance_initiated_shutdown_behavior(), Some(&ShutdownBehavior::Stop));
        assert_eq!(input.block_device_mappings().len(), 2);
        for device in input.block_device_mappings() {
            let ebs = device.ebs().unwrap();
            assert_eq!((ebs.encrypted(), ebs.delete_on_termination()), (Some(true), Some(true)));
        }
        assert_eq!((input.min_count(), input.max_count()), (Some(1), Some(1)));
    }

    #[tokio::test]
    async fn the_tags_are_on_the_instance_its_volumes_and_its_interface() {
        let input = request(&order(), false).await;
        let kinds: Vec<_> = input.tag_specifications().iter().filter_map(|s| s.resource_type()).collect();
        assert_eq!(kinds, [&ResourceType::Instance, &ResourceType::Volume, &ResourceType::NetworkInterface]);
        assert!(input.tag_specifications().iter().all(|s| s.tags().len() == 1));
    }

    #[tokio::test]
    async fn what_the_order_says_is_sent() {
        let order = RunOrder { instance_profile_name: Some("box".into()), ..order() };
        let input = request(&order, true).await;
        assert_eq!((input.client_token(), input.dry_run()), (Some("k"), Some(true)));
        assert_eq!((input.image_id(), input.subnet_id()), (Some("ami-1"), Some("subnet-1")));
        assert_eq!(input.instance_type().map(InstanceType::as_str), Some("t3.small"));
        assert_eq!(input.security_group_ids(), ["sg-1"]);
        assert_eq!(input.iam_instance_profile().unwrap().name(), Some("box"));
        assert_eq!(input.user_data(), Some("IyEvYmluL3NoCg=="));
        let root = input.block_device_mappings()[0].ebs().unwrap();
        assert_eq!((root.volume_size(), root.volume_type().map(VolumeType::as_str)), (Some(30), Some("gp3")));
    }
}
