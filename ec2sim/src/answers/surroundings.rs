//! Subnets, images, zones and types in XML.

use crate::world::catalog::{Catalog, Image, InstanceType, Subnet};
use crate::xml::Xml;

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Subnet.html>
pub(super) fn subnet(xml: &mut Xml, one: &Subnet, free: u32, catalog: &Catalog) {
    xml.text("subnetId", &one.id);
    xml.text(
        "subnetArn",
        format_args!("arn:aws:ec2:{}:{}:subnet/{}", catalog.region, catalog.account, one.id),
    );
    xml.text("state", "available");
    xml.text("ownerId", &catalog.account);
    xml.text("vpcId", &catalog.vpc);
    xml.text("cidrBlock", one.cidr);
    xml.text("availableIpAddressCount", free);
    xml.text("availabilityZone", &one.zone);
    xml.text("availabilityZoneId", catalog.zone_id(&one.zone));
    xml.text("defaultForAz", true);
    xml.text("mapPublicIpOnLaunch", false);
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Image.html>
pub(super) fn image(xml: &mut Xml, one: &Image, catalog: &Catalog) {
    xml.text("imageId", &one.id);
    xml.text("imageLocation", format_args!("{}/{}", catalog.account, one.name));
    xml.text("imageState", "available");
    xml.text("imageOwnerId", &catalog.account);
    xml.text("isPublic", false);
    xml.text("architecture", &one.architecture);
    xml.text("imageType", "machine");
    xml.text("name", &one.name);
    xml.text("rootDeviceType", "ebs");
    xml.text("rootDeviceName", &one.root_device);
    xml.items("blockDeviceMapping", [one], |xml, one| {
        xml.text("deviceName", &one.root_device);
        xml.node("ebs", |xml| {
            xml.text("volumeSize", one.root_gib);
            xml.text("volumeType", "gp3");
            xml.text("deleteOnTermination", true);
            xml.text("encrypted", false);
        });
    });
    xml.text("virtualizationType", "hvm");
    xml.text("hypervisor", "xen");
    xml.text("enaSupport", true);
    xml.text("platformDetails", "Linux/UNIX");
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AvailabilityZone.html>
pub(super) fn zone(xml: &mut Xml, name: &str, id: &str, catalog: &Catalog) {
    xml.text("zoneName", name);
    xml.text("zoneId", id);
    xml.text("zoneState", "available");
    xml.text("regionName", &catalog.region);
    xml.text("zoneType", "availability-zone");
    xml.text("optInStatus", "opt-in-not-required");
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_InstanceTypeInfo.html>
pub(super) fn instance_type(xml: &mut Xml, one: &InstanceType) {
    xml.text("instanceType", &one.name);
    xml.text("currentGeneration", true);
    xml.text("hypervisor", "nitro");
    xml.node("processorInfo", |xml| {
        xml.items("supportedArchitectures", [&one.architecture], |xml, text| {
            // A set of plain texts: the item is the text.
            xml.raw(text);
        });
    });
    xml.node("vCpuInfo", |xml| xml.text("defaultVCpus", one.vcpus));
    xml.node("memoryInfo", |xml| xml.text("sizeInMiB", one.memory_mib));
}
