//! A caller, settings and a launch for tests.

use super::auth::Caller;
use super::settings::{Allow, Defaults, Settings};
use atelier_wire::control_plane::{LaunchSpec, Provision, VolumeSpec};

pub fn caller(clusters: &[&str]) -> Caller {
    Caller::new("test", clusters.iter().map(|id| (*id).to_owned()))
}

pub fn allow() -> Allow {
    Allow {
        amis: vec!["ami-1".into()],
        instance_types: vec!["t3.small".into()],
        subnets: vec!["subnet-1".into()],
        security_groups: vec!["sg-1".into()],
        instance_profiles: vec!["box".into()],
        ..Allow::default()
    }
}

pub fn launch() -> LaunchSpec {
    LaunchSpec {
        ami_id: "ami-1".into(),
        instance_type: "t3.small".into(),
        subnet_id: "subnet-1".into(),
        security_group_ids: vec!["sg-1".into()],
        instance_profile_name: Some("box".into()),
        root_volume: VolumeSpec::default(),
        tags: [("atelier.dev/controller".to_owned(), "atelier".to_owned())].into(),
    }
}

pub fn settings() -> Settings {
    let text = "region: r\nsecrets: [{name: prod, file: /s, clusterIDs: [c1]}]\n";
    Settings { allow: allow(), ..Settings::parse(text).unwrap() }
}

pub fn defaults(user_data: &str) -> Defaults {
    let launch = launch();
    Defaults {
        ami_id: launch.ami_id,
        instance_type: launch.instance_type,
        subnet_id: launch.subnet_id,
        security_group_ids: launch.security_group_ids,
        instance_profile_name: None,
        root_volume_gib: 30,
        root_volume_type: "gp3".into(),
        root_volume_kms_key_id: None,
        tags: [("team".to_owned(), "a".to_owned())].into(),
        user_data_file: None,
        user_data: user_data.into(),
    }
}

pub fn provision() -> Provision {
    Provision {
        workspace_id: "w1".into(),
        idempotency_key: Some("k1".into()),
        attempt: Some(1),
        not_after: Some("2126-01-01T00:00:00Z".into()),
        cluster_id: Some("c1".into()),
        launch: Some(launch()),
        user_data: Some("#!/bin/sh\n".into()),
        ..Provision::default()
    }
}
