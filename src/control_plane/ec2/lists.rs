//! What describes: always filtered or paged.

use super::client::Ec2;
use super::convert;
use super::fence::Fence;
use crate::control_plane::action::Action;
use crate::control_plane::faults::Fault;
use crate::control_plane::launch::Image;
use atelier_wire::control_plane::{InstanceView, NetworkInterfaceView, VolumeView};
use aws_sdk_ec2::types;
use std::collections::BTreeMap;

/// The most that EC2 puts on a page.
const PAGE: i32 = 1_000;
/// More pages than this are no list of ours: EC2 would be going round in circles.
const PAGES_MAX: usize = 1_000;

/// What a describe is limited to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    name: String,
    values: Vec<String>,
}

impl Filter {
    /// A tag with this value.
    pub fn tag(key: &str, value: &str) -> Self {
        Self { name: format!("tag:{key}"), values: vec![value.to_owned()] }
    }

    /// One of these values of a property.
    pub fn one_of(name: &str, values: Vec<String>) -> Self {
        Self { name: name.to_owned(), values }
    }

    fn sdk(self) -> types::Filter {
        types::Filter::builder().name(self.name).set_values(Some(self.values)).build()
    }
}

fn sdk(filters: Vec<Filter>) -> Vec<types::Filter> {
    filters.into_iter().map(Filter::sdk).collect()
}

/// An instance, and the account that it is in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The instance.
    pub view: InstanceView,
    /// The account.
    pub account_id: String,
}

/// One page of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// What is on it.
    pub found: Vec<Found>,
    /// What to ask for next, if there is more.
    pub next: Option<String>,
}

impl Ec2 {
    /// One page of the instances that match.
    pub async fn instances(&self, filters: Vec<Filter>, page: Option<String>) -> Result<Page, Fault> {
        let fence = Fence::new(None);
        let call = self
            .client()
            .describe_instances()
            .set_filters(Some(sdk(filters)))
            .max_results(PAGE)
            .set_next_token(page)
            .customize()
            .interceptor(fence.clone())
            .send();
        let output = self.call(Action::DescribeInstances, 0, &fence, call).await?;
        let of = |reservation: &types::Reservation| -> Vec<Found> {
            let account_id = reservation.owner_id().unwrap_or_default().to_owned();
            let found =
                |instance| Found { view: convert::instance(instance), account_id: account_id.clone() };
            reservation.instances().iter().map(found).collect()
        };
        Ok(Page {
            found: output.reservations().iter().flat_map(of).collect(),
            next: output.next_token().filter(|token| !token.is_empty()).map(str::to_owned),
        })
    }

    /// All instances that match.
    pub async fn all_instances(&self, filters: Vec<Filter>) -> Result<Vec<Found>, Fault> {
        let mut all = Vec::new();
        let mut page = None;
        for _ in 0..PAGES_MAX {
            let Page { found, next } = self.instances(filters.clone(), page).await?;
            all.extend(found);
            if next.is_none() {
                return Ok(all);
            }
            page = next;
        }
        Err(Fault::unreachable(Action::DescribeInstances, "the list had no end"))
    }

    /// All volumes that match.
    pub async fn volumes(&self, filters: Vec<Filter>) -> Result<Vec<VolumeView>, Fault> {
        let mut all = Vec::new();
        let mut page = None;
        for _ in 0..PAGES_MAX {
            let fence = Fence::new(None);
            let call = self
                .client()
                .describe_volumes()
                .set_filters(Some(sdk(filters.clone())))
                .max_results(PAGE)
                .set_next_token(page)
                .customize()
                .interceptor(fence.clone())
                .send();
            let output = self.call(Action::DescribeVolumes, 0, &fence, call).await?;
            all.extend(output.volumes().iter().map(convert::volume));
            match output.next_token().filter(|token| !token.is_empty()) {
                Some(next) => page = Some(next.to_owned()),
                None => return Ok(all),
            }
        }
        Err(Fault::unreachable(Action::DescribeVolumes, "the list had no end"))
    }

    /// All network interfaces that match.
    pub async fn network_interfaces(&self, filters: Vec<Filter>) -> Result<Vec<NetworkInterfaceView>, Fault> {
        let mut all = Vec::new();
        let mut page = None;
        for _ in 0..PAGES_MAX {
            let fence = Fence::new(None);
            let call = self
                .client()
                .describe_network_interfaces()
                .set_filters(Some(sdk(filters.clone())))
                .max_results(PAGE)
                .set_next_token(page)
                .customize()
                .interceptor(fence.clone())
                .send();
            let output = self.call(Action::DescribeNetworkInterfaces, 0, &fence, call).await?;
            all.extend(output.network_interfaces().iter().map(convert::network_interface));
            match output.next_token().filter(|token| !token.is_empty()) {
                Some(next) => page = Some(next.to_owned()),
                None => return Ok(all),
            }
        }
        Err(Fault::unreachable(Action::DescribeNetworkInterfaces, "the list had no end"))
    }

    /// The zone of each of these subnets that there is, and the account that they are in. Without a name: some
    /// subnets of the Region.
    pub async fn subnets(&self, ids: Vec<String>) -> Result<(BTreeMap<String, String>, String), Fault> {
        let filters = (!ids.is_empty()).then(|| vec![Filter::one_of("subnet-id", ids)]);
        let fence = Fence::new(None);
        let call = self
            .client()
            .describe_subnets()
            .set_filters(filters.map(sdk))
            .max_results(PAGE)
            .customize()
            .interceptor(fence.clone())
            .send();
        let output = self.call(Action::DescribeSubnets, 0, &fence, call).await?;
        let zone = |subnet: &types::Subnet| {
            let id = subnet.subnet_id().unwrap_or_default().to_owned();
            (id, subnet.availability_zone().unwrap_or_default().to_owned())
        };
        let account = output.subnets().iter().find_map(|subnet| subnet.owner_id());
        Ok((output.subnets().iter().map(zone).collect(), account.unwrap_or_default().to_owned()))
    }

    /// The devices of a machine image; `None` when EC2 does not know it.
    pub async fn image(&self, id: &str) -> Result<Option<Image>, Fault> {
        let fence = Fence::new(None);
        let call = self
            .client()
            .describe_images()
            .set_filters(Some(sdk(vec![Filter::one_of("image-id", vec![id.to_owned()])])))
            .customize()
            .interceptor(fence.clone())
            .send();
        let output = self.call(Action::DescribeImages, 0, &fence, call).await?;
        let image = output.images().iter().find(|image| image.image_id() == Some(id));
        Ok(image.and_then(|image| {
            let root_device = image.root_device_name()?.to_owned();
            let device = |mapping: &types::BlockDeviceMapping| {
                mapping.ebs()?;
                mapping.device_name().filter(|name| *name != root_device).map(str::to_owned)
            };
            let mut other_devices: Vec<_> = image.block_device_mappings().iter().filter_map(device).collect();
            other_devices.sort();
            Some(Image { root_device, other_devices })
        }))
    }
}
