//! Promises of `RunInstances`.

use super::Gate;
use super::model::StateReason;
use super::settings::Settings;
use super::testing::{Lab, RUN};
use crate::error::ApiError;

#[test]
fn a_token_makes_one_instance_however_often_it_is_sent() {
    let mut lab = Lab::new();
    let first = lab.call(&format!("{RUN}&ClientToken=a")).unwrap();
    assert!(first.committed && !first.replayed);
    for _ in 0..3 {
        lab.wait(400);
        let again = lab.call(&format!("{RUN}&ClientToken=a")).unwrap();
        assert!(!again.committed && again.replayed);
        assert_eq!(again.results, first.results);
    }
    assert_eq!(lab.listed("").len(), 1);
}

#[test]
fn without_a_token_each_call_makes_one_more() {
    let mut lab = Lab::new();
    assert_ne!(lab.run(""), lab.run(""));
}

#[test]
fn another_parameter_with_the_same_token_is_a_mismatch_and_so_is_other_user_data() {
    let mut lab = Lab::new();
    lab.run("ClientToken=a&UserData=YQ%3D%3D");
    for other in ["", "&UserData=Yg%3D%3D", "&UserData=YQ%3D%3D&EbsOptimized=true"] {
        assert_eq!(lab.refused(&format!("{RUN}&ClientToken=a{other}")), "IdempotentParameterMismatch");
    }
    assert_eq!(lab.listed("").len(), 1);
}

#[test]
fn the_token_of_a_terminated_instance_never_launches_again() {
    let mut lab = Lab::new();
    let id = lab.run("ClientToken=a");
    lab.wait(500);
    lab.call(&format!("Action=TerminateInstances&InstanceId.1={id}")).unwrap();
    // On its way out it is still the original result.
    assert!(lab.call(&format!("{RUN}&ClientToken=a")).unwrap().replayed);
    lab.wait(500);
    assert_eq!(lab.refused(&format!("{RUN}&ClientToken=a")), "IdempotentInstanceTerminated");
    lab.wait(48 * 3_600_000);
    assert!(lab.listed("").is_empty());
    assert_eq!(lab.refused(&format!("{RUN}&ClientToken=a")), "IdempotentInstanceTerminated");
}

#[test]
fn a_token_is_good_in_one_zone_where_a_subnet_is_given() {
    let mut lab = Lab::new();
    let here = lab.run("ClientToken=a");
    let other = RUN.replace("subnet-0a7e11e7000000001", "subnet-0a7e11e7000000002");
    let there = lab.call(&format!("{other}&ClientToken=a")).unwrap();
    assert!(there.committed, "another zone, another launch");
    assert_ne!(there.results[0], here);
    let regional = RUN.replace("&SubnetId=subnet-0a7e11e7000000001", "");
    assert!(lab.call(&format!("{regional}&ClientToken=a")).unwrap().committed);
}

#[test]
fn a_token_tells_case_apart() {
    let mut lab = Lab::new();
    assert_ne!(lab.run("ClientToken=a"), lab.run("ClientToken=A"));
}

#[test]
fn a_refusal_for_want_of_capacity_leaves_the_token_free_and_spares_replays() {
    let mut lab = Lab::new();
    let gate = || Gate {
        refused: Some(ApiError::new("InsufficientInstanceCapacity", "none left")),
        ..Gate::default()
    };
    let form = format!("{RUN}&ClientToken=a");
    assert!(lab.gated(&form, gate()).is_err());
    assert!(lab.call(&form).unwrap().committed);
    assert!(lab.gated(&form, gate()).unwrap().replayed);
}

#[test]
fn a_new_instance_is_seen_by_nobody_for_the_lag_except_through_its_token() {
    let mut lab = Lab::with(Settings { lag_ms: 2_000, ..Settings::default() });
    let id = lab.run("ClientToken=a&TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.1.Key=k");
    let by_token = "Filter.1.Name=client-token&Filter.1.Value.1=a";
    lab.wait(1_999);
    assert!(lab.listed("").is_empty() && lab.listed(by_token).is_empty());
    for action in ["DescribeInstances", "TerminateInstances", "StopInstances", "StartInstances"] {
        assert_eq!(lab.refused(&format!("Action={action}&InstanceId.1={id}")), "InvalidInstanceID.NotFound");
    }
    assert_eq!(
        lab.refused(&format!("Action=GetConsoleOutput&InstanceId={id}")),
        "InvalidInstanceID.NotFound"
    );
    assert_eq!(
        lab.refused(&format!("Action=CreateTags&ResourceId.1={id}&Tag.1.Key=x")),
        "InvalidInstanceID.NotFound"
    );
    assert!(
        lab.call(&format!(
            "{RUN}&ClientToken=a&TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.1.Key=k"
        ))
        .unwrap()
        .replayed
    );
    lab.wait(1);
    assert_eq!(lab.listed(by_token), std::slice::from_ref(&id));
    assert_eq!(lab.state(&id), "running");
}

#[test]
fn a_dry_run_says_what_is_wrong_and_makes_nothing() {
    let mut lab = Lab::new();
    assert_eq!(lab.refused(&format!("{RUN}&DryRun=true&ClientToken=a")), "DryRunOperation");
    assert!(lab.listed("").is_empty());
    let wrong = RUN.replace("ami-0a7e11e7000000001", "ami-0a7e11e70000000ff");
    assert_eq!(lab.refused(&format!("{wrong}&DryRun=true")), "InvalidAMIID.NotFound");
    assert!(lab.call(&format!("{RUN}&ClientToken=a")).unwrap().committed, "the token was not used up");
}

#[test]
fn what_a_launch_names_must_be_there_and_fit() {
    let mut lab = Lab::new();
    for (from, to, code) in [
        ("ami-0a7e11e7000000001", "ami-0a7e11e70000000ff", "InvalidAMIID.NotFound"),
        ("ami-0a7e11e7000000001", "ami-x", "InvalidAMIID.Malformed"),
        ("ami-0a7e11e7000000001", "ami-0a7e11e7000000002", "InvalidParameterValue"),
        ("t3.medium", "t9.huge", "InvalidParameterValue"),
        ("subnet-0a7e11e7000000001", "subnet-0a7e11e70000000ff", "InvalidSubnetID.NotFound"),
    ] {
        assert_eq!(lab.refused(&RUN.replace(from, to)), code, "{to}");
    }
    for (more, code) in [
        ("SecurityGroupId.1=sg-0", "InvalidGroup.NotFound"),
        ("IamInstanceProfile.Name=nobody", "InvalidParameterValue"),
        ("Placement.AvailabilityZone=us-east-1b", "InvalidParameterValue"),
        (
            "BlockDeviceMapping.1.DeviceName=/dev/xvda&BlockDeviceMapping.1.Ebs.VolumeSize=1",
            "InvalidBlockDeviceMapping",
        ),
    ] {
        assert_eq!(lab.refused(&format!("{RUN}&{more}")), code, "{more}");
    }
    assert!(lab.listed("").is_empty());
    lab.run("SecurityGroupId.1=sg-0a7e11e7000000001&IamInstanceProfile.Name=atelier-agent");
}

#[test]
fn a_launch_that_fails_later_ends_with_its_reason() {
    let mut lab = Lab::new();
    let reason = StateReason::new("Client.InvalidKMSKey.InvalidState", "the key is disabled");
    let gate = Gate { dies_of: Some(reason.clone()), ..Gate::default() };
    let id = lab.gated(RUN, gate).unwrap().results.remove(0);
    assert_eq!(lab.state(&id), "pending");
    lab.wait(500);
    assert_eq!(lab.state(&id), "terminated");
    assert_eq!(lab.world.instance(&id).unwrap().reason, Some(reason));
    assert!(lab.world.take_effects().iter().all(|effect| !matches!(effect, super::Effect::Boot(_))));
}

#[test]
fn a_full_subnet_refuses() {
    let mut lab = Lab::new();
    let catalog = super::catalog::Catalog {
        vpc_cidr: "127.64.0.0/26".parse().unwrap(),
        ..super::catalog::Catalog::default()
    };
    lab.world = super::World::new(catalog.complete().unwrap().into(), Settings::default(), 1);
    for _ in 0..11 {
        lab.run("");
    }
    assert_eq!(lab.refused(RUN), "InsufficientFreeAddressesInSubnet");
}
