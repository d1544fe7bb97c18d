//! What is frozen for one launch attempt on EC2, and what follows from it alone.

use super::offering::Offering;
use crate::api::backend_config::{Ec2Spec, VolumeSettings};
use crate::api::names;
use crate::backend::{BackendError, BoxOrder, ContainerPlan, ErrorKind};
use atelier_wire::control_plane::{LaunchSpec, VolumeSpec};
use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The frozen request of one attempt. It is what is sent for this attempt, whatever the platform's settings
/// have become.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ec2Request {
    /// The container that the instance runs.
    pub container: ContainerPlan,
    /// What is asked of EC2.
    pub launch: LaunchSpec,
    /// The volume of the Workspace's data, should it have to be made.
    pub data_volume: VolumeSpec,
    /// The version of the user-data template.
    pub user_data_version: u32,
    /// The certificates that the box trusts for the registry besides the public ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<String>,
}

impl Ec2Request {
    /// The request for an order, on this offering.
    pub fn new(order: &BoxOrder<'_>, spec: &Ec2Spec, offering: &Offering, user_data_version: u32) -> Self {
        // The bundle itself is frozen below.
        let container = ContainerPlan { ca_bundle_hash: None, ..ContainerPlan::new(order) };
        let ami = order.runtime.ami_id.as_ref().or(spec.ami_id.as_ref());
        let launch = LaunchSpec {
            ami_id: ami.cloned().unwrap_or_default(),
            instance_type: offering.instance_type.clone(),
            subnet_id: offering.subnet_id.clone(),
            security_group_ids: spec.security_group_ids.clone(),
            instance_profile_name: spec.instance_profile_name.clone(),
            root_volume: volume(&spec.root_volume),
            tags: container.labels.clone(),
        };
        Self {
            container,
            launch,
            data_volume: volume(&spec.data_volume),
            user_data_version,
            ca_bundle: order.ca_bundle.map(str::to_owned),
        }
    }

    /// Reads a request that was frozen in `status.launch.request`.
    pub fn parse(request: &str) -> Result<Self, BackendError> {
        serde_json::from_str(request).map_err(|error| {
            let detail = format!("the recorded request of this launch cannot be read: {error}");
            BackendError::new(ErrorKind::Invalid, detail)
        })
    }

    /// As it stands in `status.launch.request`.
    pub fn to_json(&self) -> String {
        // A struct of texts and numbers always serialises.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Where it is to be launched.
    pub fn offering(&self) -> Offering {
        Offering {
            instance_type: self.launch.instance_type.clone(),
            subnet_id: self.launch.subnet_id.clone(),
        }
    }

    /// The Workspace's uid.
    pub fn uid(&self) -> &str {
        self.container.labels.get(names::UID).map(String::as_str).unwrap_or_default()
    }

    /// The attempt.
    pub fn attempt(&self) -> i64 {
        self.container.labels.get(names::ATTEMPT).and_then(|a| a.parse().ok()).unwrap_or_default()
    }
}

pub fn volume(settings: &VolumeSettings) -> VolumeSpec {
    VolumeSpec {
        size_gib: settings.size_gib,
        volume_type: settings.volume_type.clone(),
        kms_key_id: settings.kms_key_id.clone(),
    }
}

/// What makes two launch calls the same launch to EC2: at most 64 ASCII characters, see
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html>.
pub fn client_token(cluster: &str, uid: &str, attempt: i64) -> String {
    token(&format!("{cluster}\n{uid}\n{attempt}"))
}

/// The same for the call that makes the volume of a Workspace's data. The zone is a part of it: if the reply was
/// lost, and the next instance is in another zone, a volume is needed there. The first, which nothing was ever
/// written to, goes with its Workspace.
pub fn volume_token(cluster: &str, uid: &str, zone: &str) -> String {
    token(&format!("{cluster}\n{uid}\nvolume\n{zone}"))
}

fn token(of: &str) -> String {
    BASE32_NOPAD.encode(&Sha256::digest(of.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_launch_s_own_and_always_the_same() {
        let token = client_token("c", "u", 1);
        assert_eq!(token, client_token("c", "u", 1));
        assert_eq!(token.len(), 52);
        for other in [client_token("d", "u", 1), client_token("c", "v", 1), client_token("c", "u", 2)] {
            assert_ne!(token, other);
        }
        assert_ne!(volume_token("c", "u", "z"), volume_token("c", "v", "z"));
        assert_ne!(volume_token("c", "u", "z"), volume_token("c", "u", "y"));
        // Pinned: a release that computed another one would launch a second time after an upgrade.
        assert_eq!(token, "SLGA5SYU4HZ5BNNHIZ2RE5Z7Q4D6BVLGFFDJBNKPUWQQ6QMZJBAA");
    }
}
