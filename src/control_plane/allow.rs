//! What a launch may use: the settings' lists, and nothing else. An empty list allows nothing.

use super::faults::Fault;
use super::settings::Allow;
use atelier_wire::control_plane::{LaunchSpec, VolumeSpec};

/// Whether the lists allow this launch.
///
/// # Errors
/// Names the field, the value and the list.
pub fn check(launch: &LaunchSpec, allow: &Allow) -> Result<(), Fault> {
    let LaunchSpec {
        ami_id,
        instance_type,
        subnet_id,
        security_group_ids,
        instance_profile_name,
        root_volume,
        tags: _,
    } = launch;
    listed("launch.ami_id", ami_id, "amis", &allow.amis)?;
    listed("launch.instance_type", instance_type, "instanceTypes", &allow.instance_types)?;
    listed("launch.subnet_id", subnet_id, "subnets", &allow.subnets)?;
    if security_group_ids.is_empty() {
        // EC2 would take the VPC's default group, which nobody here allowed.
        return Err(Fault::invalid("launch.security_group_ids", "name at least one security group"));
    }
    for group in security_group_ids {
        listed("launch.security_group_ids", group, "securityGroups", &allow.security_groups)?;
    }
    if let Some(profile) = instance_profile_name {
        listed("launch.instance_profile_name", profile, "instanceProfiles", &allow.instance_profiles)?;
    }
    volume("launch.root_volume", root_volume, allow)
}

/// Whether the settings allow a volume.
///
/// # Errors
/// Names the field.
pub fn volume(field: &str, volume: &VolumeSpec, allow: &Allow) -> Result<(), Fault> {
    const TYPES: [&str; 6] = ["gp3", "gp2", "io1", "io2", "st1", "sc1"];
    let VolumeSpec { size_gib, volume_type, kms_key_id } = volume;
    let max = allow.volume_max_gib.0;
    if !(1..=max).contains(size_gib) {
        let why = format!("{size_gib} is not between 1 and {max}, the allow.volumeMaxGiB of the settings");
        return Err(Fault::invalid(&format!("{field}.size_gib"), &why));
    }
    if !TYPES.contains(&&**volume_type) {
        return Err(Fault::invalid(&format!("{field}.volume_type"), "use gp3, gp2, io1, io2, st1 or sc1"));
    }
    match kms_key_id {
        Some(key) => listed(&format!("{field}.kms_key_id"), key, "kmsKeys", &allow.kms_keys),
        None => Ok(()),
    }
}

fn listed(field: &str, value: &str, list: &str, allowed: &[String]) -> Result<(), Fault> {
    if allowed.iter().any(|entry| entry == value) {
        return Ok(());
    }
    Err(Fault::not_allowed(field, value, list))
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{allow, launch};
    use super::*;

    #[test]
    fn what_is_listed_may_be_used() {
        assert_eq!(check(&launch(), &allow()), Ok(()));
    }

    #[test]
    fn an_empty_list_denies() {
        for (list, empty) in [
            ("amis", Allow { amis: vec![], ..allow() }),
            ("instanceTypes", Allow { instance_types: vec![], ..allow() }),
            ("subnets", Allow { subnets: vec![], ..allow() }),
            ("securityGroups", Allow { security_groups: vec![], ..allow() }),
            ("instanceProfiles", Allow { instance_profiles: vec![], ..allow() }),
        ] {
            let fault = check(&launch(), &empty).unwrap_err();
            assert_eq!((fault.status, &*fault.code), (403, "NotAllowed"));
            assert!(fault.error.contains(&format!("allow.{list}")), "{}", fault.error);
        }
    }

    #[test]
    fn every_field_is_checked() {
        let root = |change: fn(&mut VolumeSpec)| {
            let mut launch = launch();
            change(&mut launch.root_volume);
            launch
        };
        for (field, bad) in [
            ("ami_id", LaunchSpec { ami_id: "ami-2".into(), ..launch() }),
            ("instance_type", LaunchSpec { instance_type: "t3.small ".into(), ..launch() }),
            ("subnet_id", LaunchSpec { subnet_id: String::new(), ..launch() }),
            ("security_group_ids", LaunchSpec { security_group_ids: vec![], ..launch() }),
            (
                "security_group_ids",
                LaunchSpec { security_group_ids: vec!["sg-1".into(), "sg-2".into()], ..launch() },
            ),
            ("instance_profile_name", LaunchSpec { instance_profile_name: Some("admin".into()), ..launch() }),
            ("root_volume.size_gib", root(|volume| volume.size_gib = 0)),
            ("root_volume.size_gib", root(|volume| volume.size_gib = 1_025)),
            ("root_volume.volume_type", root(|volume| volume.volume_type = "fast".into())),
            ("root_volume.kms_key_id", root(|volume| volume.kms_key_id = Some("alias/x".into()))),
        ] {
            let fault = check(&bad, &allow()).unwrap_err();
            assert!(fault.error.contains(&format!("launch.{field}")), "{field}: {}", fault.error);
        }
    }
}
