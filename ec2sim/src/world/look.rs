//! The `Describe…` actions and `GetConsoleOutput`.

use super::filters::{self, Filtered};
use super::pages::{self, Page};
use super::reply::Reply;
use super::{Done, World};
use crate::action::Action;
use crate::error::ApiError;
use crate::ids::Kind;
use crate::request::describe::Describe;
use crate::request::tags::Tags;
use crate::world::catalog::{Image, InstanceType, Subnet};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

impl World {
    pub(super) fn describe(
        &self,
        action: Action,
        describe: &Describe,
        now: Timestamp,
    ) -> Result<Done, ApiError> {
        let reply = match action {
            Action::DescribeVolumes => {
                let found = select(&self.volumes, describe, Some(Kind::Volume), |v| v.visible_at <= now)?;
                Reply::Volumes(found.items.into_iter().cloned().collect(), found.next_token)
            }
            Action::DescribeNetworkInterfaces => {
                let kind = Some(Kind::NetworkInterface);
                let found = select(&self.interfaces, describe, kind, |n| n.visible_at <= now)?;
                Reply::Interfaces(found.items.into_iter().cloned().collect(), found.next_token)
            }
            Action::DescribeSubnets => {
                let all = named(&self.catalog.subnets, |subnet| &subnet.id);
                let found = select(&all, describe, Some(Kind::Subnet), |_| true)?;
                let items = found.items.iter().map(|one| (one.0.clone(), self.addresses.free(&one.0)));
                Reply::Subnets(items.collect(), found.next_token)
            }
            Action::DescribeImages => {
                let all = named(&self.catalog.images, |image| &image.id);
                let found = select(&all, describe, Some(Kind::Image), |_| true)?;
                Reply::Images(found.items.iter().map(|one| one.0.clone()).collect(), found.next_token)
            }
            Action::DescribeInstanceTypes => {
                let all = named(&self.catalog.instance_types, |one| &one.name);
                let found = select(&all, describe, None, |_| true)?;
                Reply::Types(found.items.iter().map(|one| one.0.clone()).collect(), found.next_token)
            }
            Action::DescribeAvailabilityZones => self.zones(describe)?,
            _ => {
                let found = select(&self.instances, describe, Some(Kind::Instance), |i| i.visible_at <= now)?;
                let views = found.items.into_iter().map(|instance| self.view(instance)).collect();
                Reply::Instances(views, found.next_token)
            }
        };
        Ok(Done::read(reply))
    }

    /// What was posted; with `latest` also what is newer.
    ///
    /// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetConsoleOutput.html>
    pub(super) fn console(&self, id: &str, latest: bool, now: Timestamp) -> Result<Done, ApiError> {
        self.all_seen(&[id.to_owned()], now)?;
        let Some(instance) = self.instances.get(id) else { return Err(Kind::Instance.not_found(&[id])) };
        let delay = if latest { 0 } else { self.settings.console_delay_ms };
        let delay = SignedDuration::from_millis(i64::try_from(delay).unwrap_or(i64::MAX));
        let (text, at) = instance.console.read(now.checked_sub(delay).unwrap_or(Timestamp::MIN));
        Ok(Done::read(Reply::Console(id.to_owned(), text, at)))
    }

    fn zones(&self, describe: &Describe) -> Result<Reply, ApiError> {
        describe.ids.iter().try_for_each(|zone| self.catalog.zone(zone))?;
        let zones = self.catalog.zones().into_iter().map(|zone| Zone {
            name: zone.to_owned(),
            id: self.catalog.zone_id(zone),
            region: self.catalog.region.clone(),
            tags: Tags::new(),
        });
        let mut found = Vec::new();
        for zone in zones {
            let asked = describe.ids.is_empty() || describe.ids.contains(&zone.name);
            if asked && filters::matches(&describe.filters, &zone)? {
                found.push((zone.name, zone.id));
            }
        }
        Ok(Reply::Zones(found))
    }
}

/// Those that were named, which must all be there, or a page of all.
fn select<'a, T: Filtered>(
    all: &'a BTreeMap<String, T>,
    describe: &Describe,
    kind: Option<Kind>,
    visible: impl Fn(&T) -> bool,
) -> Result<Page<'a, T>, ApiError> {
    if describe.ids.is_empty() {
        return pages::page(all, describe, visible);
    }
    let seen = |id: &String| all.get(id).filter(|item| visible(item));
    let missing: Vec<&str> =
        describe.ids.iter().filter(|id| seen(id).is_none()).map(String::as_str).collect();
    if !missing.is_empty() {
        return Err(match kind {
            Some(kind) => kind.not_found(&missing),
            None => ApiError::new(
                "InvalidInstanceType",
                format!("The following supplied instance types do not exist: [{}]", missing.join(", ")),
            ),
        });
    }
    let mut ids: Vec<&String> = describe.ids.iter().collect();
    ids.sort_unstable();
    ids.dedup();
    let mut items = Vec::with_capacity(ids.len());
    for item in ids.into_iter().filter_map(seen) {
        if filters::matches(&describe.filters, item)? {
            items.push(item);
        }
    }
    Ok(Page { items, next_token: None })
}

/// A thing of the catalogue, which has no tags.
struct Named<T>(T, Tags);

fn named<T: Clone>(all: &[T], name: impl Fn(&T) -> &String) -> BTreeMap<String, Named<T>> {
    all.iter().map(|one| (name(one).clone(), Named(one.clone(), Tags::new()))).collect()
}

struct Zone {
    name: String,
    id: String,
    region: String,
    tags: Tags,
}

impl Filtered for Zone {
    fn tags(&self) -> &Tags {
        &self.tags
    }

    fn field(&self, name: &str) -> Option<Vec<String>> {
        match name {
            "zone-name" => Some(vec![self.name.clone()]),
            "zone-id" => Some(vec![self.id.clone()]),
            "region-name" => Some(vec![self.region.clone()]),
            "state" => Some(vec!["available".into()]),
            "zone-type" => Some(vec!["availability-zone".into()]),
            _ => None,
        }
    }
}

impl Filtered for Named<Subnet> {
    fn tags(&self) -> &Tags {
        &self.1
    }

    fn field(&self, name: &str) -> Option<Vec<String>> {
        match name {
            "subnet-id" => Some(vec![self.0.id.clone()]),
            "availability-zone" => Some(vec![self.0.zone.clone()]),
            "cidr-block" => Some(vec![self.0.cidr.to_string()]),
            "state" => Some(vec!["available".into()]),
            _ => None,
        }
    }
}

impl Filtered for Named<Image> {
    fn tags(&self) -> &Tags {
        &self.1
    }

    fn field(&self, name: &str) -> Option<Vec<String>> {
        match name {
            "image-id" => Some(vec![self.0.id.clone()]),
            "name" => Some(vec![self.0.name.clone()]),
            "architecture" => Some(vec![self.0.architecture.clone()]),
            "root-device-name" => Some(vec![self.0.root_device.clone()]),
            "state" => Some(vec!["available".into()]),
            _ => None,
        }
    }
}

impl Filtered for Named<InstanceType> {
    fn tags(&self) -> &Tags {
        &self.1
    }

    fn field(&self, name: &str) -> Option<Vec<String>> {
        match name {
            "instance-type" => Some(vec![self.0.name.clone()]),
            "processor-info.supported-architecture" => Some(vec![self.0.architecture.clone()]),
            _ => None,
        }
    }
}
