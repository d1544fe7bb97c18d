//! `CreateTags`, `DeleteTags` and `DeleteNetworkInterface`.

use super::reply::Reply;
use super::{Done, World};
use crate::error::ApiError;
use crate::ids::Kind;
use crate::request::tags::{self, TagEdit, Tags};
use jiff::Timestamp;

impl World {
    /// Adds or overwrites, on all resources or on none.
    ///
    /// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateTags.html>
    pub(super) fn create_tags(
        &mut self,
        resources: &[String],
        given: &Tags,
        now: Timestamp,
    ) -> Result<Done, ApiError> {
        if given.is_empty() {
            return Err(ApiError::missing("Tag"));
        }
        for id in resources {
            let had = self.tags_of(id, now)?;
            tags::room(had.len() + given.keys().filter(|key| !had.contains_key(*key)).count())?;
        }
        for id in resources {
            let had = self.tags_of(id, now)?;
            had.extend(given.iter().map(|(key, value)| (key.clone(), value.clone())));
        }
        Ok(Done::wrote(Reply::Success, resources.to_vec()))
    }

    /// Removes by key, where a value is given only with that value; without any tag named, all.
    ///
    /// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteTags.html>
    pub(super) fn delete_tags(
        &mut self,
        resources: &[String],
        edits: &[TagEdit],
        now: Timestamp,
    ) -> Result<Done, ApiError> {
        for id in resources {
            self.tags_of(id, now)?;
        }
        for id in resources {
            self.tags_of(id, now)?.retain(|key, value| {
                let named =
                    |edit: &TagEdit| edit.key == *key && edit.value.as_ref().is_none_or(|v| v == value);
                !edits.is_empty() && !edits.iter().any(named)
            });
        }
        Ok(Done::wrote(Reply::Success, resources.to_vec()))
    }

    /// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteNetworkInterface.html>
    pub(super) fn delete_interface(&mut self, id: &str, now: Timestamp) -> Result<Done, ApiError> {
        let interface = self.interfaces.get(id).filter(|interface| interface.visible_at <= now);
        let Some(interface) = interface else { return Err(Kind::NetworkInterface.not_found(&[id])) };
        if interface.instance.is_some() {
            return Err(ApiError::new(
                "InvalidNetworkInterface.InUse",
                format!("The interface '{id}' is in use."),
            ));
        }
        let (subnet, address) = (interface.subnet.clone(), interface.address);
        self.interfaces.remove(id);
        self.addresses.give_back(&subnet, address);
        Ok(Done::wrote(Reply::Success, vec![id.to_owned()]))
    }

    fn tags_of(&mut self, id: &str, now: Timestamp) -> Result<&mut Tags, ApiError> {
        let kind =
            Kind::of(id).ok_or_else(|| ApiError::new("InvalidID", format!("The ID '{id}' is not valid")))?;
        let found = match kind {
            Kind::Instance => self.instances.get_mut(id).map(|i| (&mut i.tags, i.visible_at)),
            Kind::Volume => self.volumes.get_mut(id).map(|v| (&mut v.tags, v.visible_at)),
            _ => self.interfaces.get_mut(id).map(|n| (&mut n.tags, n.visible_at)),
        };
        match found {
            Some((tags, visible_at)) if visible_at <= now => Ok(tags),
            _ => Err(kind.not_found(&[id])),
        }
    }
}
