//! Promises of volumes, interfaces and tags.

use super::testing::{Lab, RUN};

const ZONE: &str = "us-east-1a";

#[test]
fn a_token_makes_one_volume() {
    let mut lab = Lab::new();
    let form = format!("Action=CreateVolume&Size=1&AvailabilityZone={ZONE}&ClientToken=a");
    let first = lab.call(&form).unwrap();
    assert!(first.committed);
    let again = lab.call(&form).unwrap();
    assert!(again.replayed && again.results == first.results);
    assert_eq!(lab.refused(&form.replace("Size=1", "Size=2")), "IdempotentParameterMismatch");
    assert_eq!(lab.world.volumes().count(), 1);
}

#[test]
fn the_token_of_a_deleted_volume_makes_no_other() {
    let mut lab = Lab::new();
    let form = format!("Action=CreateVolume&Size=1&AvailabilityZone={ZONE}&ClientToken=a");
    let id = lab.call(&form).unwrap().results.remove(0);
    lab.wait(200);
    lab.call(&format!("Action=DeleteVolume&VolumeId={id}")).unwrap();
    lab.wait(200);
    assert!(lab.call(&form).unwrap().replayed);
    assert_eq!(lab.world.volumes().count(), 0);
}

#[test]
fn a_volume_is_attached_and_detached_in_steps() {
    let mut lab = Lab::new();
    let (instance, volume) = (lab.running(), lab.volume(ZONE));
    assert_eq!(lab.volume_state(&volume), ("available", None));
    let attach = format!("Action=AttachVolume&VolumeId={volume}&InstanceId={instance}&Device=/dev/sdf");
    lab.call(&attach).unwrap();
    assert_eq!(lab.volume_state(&volume), ("in-use", Some("attaching")));
    lab.wait(200);
    assert_eq!(lab.volume_state(&volume), ("in-use", Some("attached")));
    assert_eq!(lab.refused(&attach), "VolumeInUse");
    assert_eq!(lab.refused(&format!("Action=DeleteVolume&VolumeId={volume}")), "VolumeInUse");
    lab.call(&format!("Action=DetachVolume&VolumeId={volume}")).unwrap();
    assert_eq!(lab.volume_state(&volume), ("in-use", Some("detaching")));
    lab.wait(200);
    assert_eq!(lab.volume_state(&volume), ("available", None));
    lab.call(&format!("Action=DeleteVolume&VolumeId={volume}")).unwrap();
    lab.wait(200);
    assert_eq!(lab.refused(&format!("Action=DeleteVolume&VolumeId={volume}")), "InvalidVolume.NotFound");
}

#[test]
fn an_attachment_must_be_possible() {
    let mut lab = Lab::new();
    let (here, there) = (lab.volume(ZONE), lab.volume("us-east-1b"));
    let pending = lab.run("");
    let attach = |volume: &str, instance: &str, device: &str| {
        format!("Action=AttachVolume&VolumeId={volume}&InstanceId={instance}&Device={device}")
    };
    assert_eq!(lab.refused(&attach(&here, &pending, "/dev/sdf")), "IncorrectState");
    lab.wait(500);
    assert_eq!(lab.refused(&attach(&there, &pending, "/dev/sdf")), "InvalidVolume.ZoneMismatch");
    assert_eq!(lab.refused(&attach(&here, &pending, "/dev/xvda")), "InvalidParameterValue");
    assert_eq!(lab.refused(&attach(&here, "i-0123456789abcdef0", "/dev/sdf")), "InvalidInstanceID.NotFound");
    let other = lab.running();
    lab.call(&attach(&here, &pending, "/dev/sdf")).unwrap();
    assert_eq!(lab.refused(&attach(&here, &other, "/dev/sdf")), "VolumeInUse");
    assert_eq!(
        lab.refused(&format!("Action=DetachVolume&VolumeId={here}&InstanceId={other}")),
        "InvalidAttachment.NotFound"
    );
}

#[test]
fn the_root_volume_goes_and_a_data_volume_stays() {
    let mut lab = Lab::new();
    let (instance, data) = (lab.running(), lab.volume(ZONE));
    let root = lab.world.instance(&instance).unwrap().devices["/dev/xvda"].clone();
    lab.call(&format!("Action=AttachVolume&VolumeId={data}&InstanceId={instance}&Device=/dev/sdf")).unwrap();
    lab.wait(200);
    assert_eq!(lab.refused(&format!("Action=DetachVolume&VolumeId={root}")), "OperationNotPermitted");
    lab.call(&format!("Action=TerminateInstances&InstanceId.1={instance}")).unwrap();
    lab.wait(500);
    assert_eq!(lab.volume_state(&data), ("available", None));
    assert_eq!(lab.refused(&format!("Action=DescribeVolumes&VolumeId.1={root}")), "InvalidVolume.NotFound");
}

#[test]
fn a_volume_and_an_interface_can_be_told_to_outlive_their_instance() {
    let mut lab = Lab::new();
    let form = format!(
        "{}&BlockDeviceMapping.1.DeviceName=/dev/xvda&BlockDeviceMapping.1.Ebs.DeleteOnTermination=false&\
         NetworkInterface.1.DeviceIndex=0&NetworkInterface.1.SubnetId=subnet-0a7e11e7000000001&\
         NetworkInterface.1.DeleteOnTermination=false",
        RUN.replace("&SubnetId=subnet-0a7e11e7000000001", "")
    );
    let id = lab.call(&form).unwrap().results.remove(0);
    let interface = lab.world.instance(&id).unwrap().interface.clone();
    let delete = format!("Action=DeleteNetworkInterface&NetworkInterfaceId={interface}");
    assert_eq!(lab.refused(&delete), "InvalidNetworkInterface.InUse");
    lab.wait(500);
    lab.call(&format!("Action=TerminateInstances&InstanceId.1={id}")).unwrap();
    lab.wait(500);
    assert_eq!((lab.world.volumes().count(), lab.world.interfaces().count()), (1, 1));
    lab.call(&delete).unwrap();
    assert_eq!(lab.refused(&delete), "InvalidNetworkInterfaceID.NotFound");
}

#[test]
fn tags_of_the_launch_go_where_they_were_meant() {
    let mut lab = Lab::new();
    let tag = |n: u32, kind: &str| {
        format!(
            "TagSpecification.{n}.ResourceType={kind}&TagSpecification.{n}.Tag.1.Key=for&TagSpecification.{n}.Tag.1.Value={kind}"
        )
    };
    lab.run(&format!("{}&{}&{}", tag(1, "instance"), tag(2, "volume"), tag(3, "network-interface")));
    assert_eq!(lab.world.instances().next().unwrap().tags["for"], "instance");
    assert_eq!(lab.world.volumes().next().unwrap().tags["for"], "volume");
    assert_eq!(lab.world.interfaces().next().unwrap().tags["for"], "network-interface");
}

#[test]
fn tags_are_added_overwritten_and_removed() {
    let mut lab = Lab::new();
    let id = lab.run("TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.1.Key=a&TagSpecification.1.Tag.1.Value=1");
    let tags = |lab: &Lab| {
        let tags = &lab.world.instance(&id).unwrap().tags;
        tags.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
    };
    lab.call(&format!("Action=CreateTags&ResourceId.1={id}&Tag.1.Key=a&Tag.1.Value=2&Tag.2.Key=b")).unwrap();
    assert_eq!(tags(&lab), "a=2 b=");
    lab.call(&format!("Action=DeleteTags&ResourceId.1={id}&Tag.1.Key=a&Tag.1.Value=1")).unwrap();
    assert_eq!(tags(&lab), "a=2 b=", "another value");
    lab.call(&format!("Action=DeleteTags&ResourceId.1={id}&Tag.1.Key=a")).unwrap();
    assert_eq!(tags(&lab), "b=");
    let many = (1..=50)
        .fold(format!("Action=CreateTags&ResourceId.1={id}"), |form, i| format!("{form}&Tag.{i}.Key=k{i}"));
    assert_eq!(lab.refused(&many), "TagLimitExceeded", "50 and the one that is there");
    assert_eq!(tags(&lab), "b=");
    lab.call(&format!("Action=DeleteTags&ResourceId.1={id}")).unwrap();
    lab.call(&many).unwrap();
    assert_eq!(lab.world.instance(&id).unwrap().tags.len(), 50);
}
