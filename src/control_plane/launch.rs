//! From what a caller asks for to what is sent to EC2. Pure.

use super::faults::Fault;
use super::ownership::Tags;
use super::parse::Ask;
use crate::api::names;
use atelier_wire::control_plane::{LaunchSpec, NO_CONTROLLER, VolumeSpec};
use data_encoding::BASE32_NOPAD;
use sha2::{Digest, Sha256};
use std::fmt;

/// The most tags that EC2 takes.
const TAGS_MAX: usize = 50;
/// The longest key and value of a tag, in characters.
const TAG_KEY_MAX: usize = 128;
const TAG_VALUE_MAX: usize = 256;

/// The block devices that a machine image brings with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Image {
    /// The name of its root device, such as `/dev/xvda`.
    pub root_device: String,
    /// The names of its other EBS volumes.
    pub other_devices: Vec<String>,
}

/// One instance to be launched: everything that is not the same for all.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RunOrder {
    /// What makes two calls one launch.
    pub client_token: String,
    /// The machine image.
    pub ami_id: String,
    /// The devices of that image.
    pub image: Image,
    /// The instance type.
    pub instance_type: String,
    /// The subnet.
    pub subnet_id: String,
    /// The security groups.
    pub security_group_ids: Vec<String>,
    /// The instance profile, by name.
    pub instance_profile_name: Option<String>,
    /// The root volume's size in GiB, type and KMS key.
    pub root_volume: (i32, String, Option<String>),
    /// Tags of the instance, its volumes and its network interface.
    pub tags: Vec<(String, String)>,
    /// What runs at the first boot, as text.
    pub user_data: String,
}

impl fmt::Debug for RunOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RunOrder({} in {})", self.instance_type, self.subnet_id)
    }
}

impl RunOrder {
    /// What is sent for a launch.
    pub fn new(client_token: &str, launch: &LaunchSpec, image: Image, tags: Tags, user_data: &str) -> Self {
        let VolumeSpec { size_gib, volume_type, kms_key_id } = launch.root_volume.clone();
        Self {
            client_token: client_token.to_owned(),
            ami_id: launch.ami_id.clone(),
            image,
            instance_type: launch.instance_type.clone(),
            subnet_id: launch.subnet_id.clone(),
            security_group_ids: launch.security_group_ids.clone(),
            instance_profile_name: launch.instance_profile_name.clone(),
            root_volume: (size_gib, volume_type, kms_key_id),
            tags: tags.into_iter().collect(),
            user_data: user_data.to_owned(),
        }
    }
}

/// What something is tagged with: the caller's tags, and ours, which nobody else sets.
///
/// # Errors
/// When a tag claims something else than the call does, or EC2 would not take it.
pub fn tags(given: &Tags, ours: &[(&str, &str)]) -> Result<Tags, Fault> {
    let mut tags = given.clone();
    for (key, value) in ours {
        if let Some(claimed) = tags.insert((*key).to_owned(), (*value).to_owned())
            && claimed != *value
        {
            return Err(Fault::invalid("tags", &format!("{key} says something else than the call")));
        }
    }
    for (key, value) in &tags {
        if key.is_empty() || key.chars().count() > TAG_KEY_MAX {
            return Err(Fault::invalid("tags", &format!("a key has 1 to {TAG_KEY_MAX} characters")));
        }
        if value.chars().count() > TAG_VALUE_MAX {
            let why = format!("the value of {key} has more than {TAG_VALUE_MAX} characters");
            return Err(Fault::invalid("tags", &why));
        }
        if key.to_ascii_lowercase().starts_with("aws:") {
            return Err(Fault::invalid("tags", "keys that begin with aws: belong to AWS"));
        }
    }
    if tags.len() > TAGS_MAX {
        return Err(Fault::invalid("tags", &format!("EC2 takes {TAGS_MAX} tags, with ours")));
    }
    Ok(tags)
}

/// The tags of an instance.
///
/// # Errors
/// When those that were given claim something else than the call does.
pub fn instance_tags(ask: &Ask, attempt: i64) -> Result<Tags, Fault> {
    let attempt = attempt.to_string();
    let mut ours =
        vec![(names::CLUSTER, &*ask.cluster), (names::UID, &*ask.workspace), (names::ATTEMPT, &*attempt)];
    // Nothing collects what has no name of a controller, so only who keeps records of its own may have one.
    if ask.keyed.is_none() || !ask.launch.tags.contains_key(names::CONTROLLER) {
        ours.push((names::CONTROLLER, NO_CONTROLLER));
    }
    tags(&ask.launch.tags, &ours)
}

/// The token of a launch for a client that sends none: the same for every call until that instance has ended.
pub fn token_of_unkeyed(cluster: &str, workspace: &str, attempt: i64) -> String {
    let mut hash = Sha256::new();
    // No id holds a line end.
    hash.update(format!("unkeyed\n{cluster}\n{workspace}\n{attempt}"));
    BASE32_NOPAD.encode(&hash.finalize()).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{caller, provision, settings};
    use super::*;
    use atelier_wire::control_plane::Provision;

    fn ask(provision: Provision) -> Ask {
        Ask::new(provision, &caller(&["c1"]), &settings()).unwrap()
    }

    #[test]
    fn every_instance_says_whose_it_is() {
        let tags = instance_tags(&ask(provision()), 3).unwrap();
        let expected = [
            (names::ATTEMPT, "3"),
            (names::CLUSTER, "c1"),
            (names::CONTROLLER, "atelier"),
            (names::UID, "w1"),
        ];
        assert_eq!(tags.iter().map(|(k, v)| (&**k, &**v)).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_has_no_record_is_no_controllers() {
        let mut unkeyed = ask(provision());
        unkeyed.keyed = None;
        unkeyed.launch.tags.clear();
        assert_eq!(instance_tags(&unkeyed, 1).unwrap()[names::CONTROLLER], NO_CONTROLLER);
        let mut nameless = ask(provision());
        nameless.launch.tags.clear();
        assert_eq!(instance_tags(&nameless, 1).unwrap()[names::CONTROLLER], NO_CONTROLLER);
    }

    #[test]
    fn tags_cannot_claim_another_cluster_workspace_or_attempt() {
        for (key, value) in [(names::CLUSTER, "c2"), (names::UID, "w2"), (names::ATTEMPT, "2")] {
            let mut ask = ask(provision());
            ask.launch.tags.insert(key.into(), value.into());
            let fault = instance_tags(&ask, 1).unwrap_err();
            assert!(fault.status == 400 && fault.error.contains(key), "{}", fault.error);
        }
        let mut same = ask(provision());
        same.launch.tags.insert(names::CLUSTER.into(), "c1".into());
        assert!(instance_tags(&same, 1).is_ok());
    }

    #[test]
    fn what_ec2_would_not_take_is_said_before_it_is_sent() {
        let given = |key: &str, value: &str| [(key.to_owned(), value.to_owned())].into();
        for bad in [
            given("", "x"),
            given(&"k".repeat(129), "x"),
            given("k", &"v".repeat(257)),
            given("aws:x", "y"),
            given("AWS:x", "y"),
            (0..50).map(|n| (format!("k{n}"), String::new())).collect(),
        ] {
            assert_eq!(tags(&bad, &[("a", "b")]).unwrap_err().status, 400, "{bad:?}");
        }
        assert!(tags(&given(&"ä".repeat(128), &"ö".repeat(256)), &[]).is_ok(), "characters, not bytes");
    }

    #[test]
    fn a_token_is_made_of_cluster_workspace_and_attempt() {
        let token = token_of_unkeyed("c", "w", 1);
        assert_eq!((token.len(), &token), (52, &token_of_unkeyed("c", "w", 1)));
        for other in
            [token_of_unkeyed("d", "w", 1), token_of_unkeyed("c", "v", 1), token_of_unkeyed("c", "w", 2)]
        {
            assert_ne!(token, other);
        }
    }

    #[test]
    fn nothing_that_may_be_secret_is_printed() {
        let ask = ask(Provision { user_data: Some("hush".into()), ..provision() });
        let order = RunOrder::new("t", &ask.launch, Image::default(), Tags::new(), &ask.user_data);
        assert!(!format!("{order:?}").contains("hush"));
    }
}
