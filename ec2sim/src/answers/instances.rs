//! Instances and network interfaces in XML.

use super::{groups, tags, time};
use crate::request::launch::Profile;
use crate::world::catalog::Catalog;
use crate::world::model::{Instance, NetworkInterface, State};
use crate::world::reply::{InstanceView, StateChange};
use crate::xml::Xml;
use std::net::Ipv4Addr;

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Reservation.html>
pub(super) fn reservation(xml: &mut Xml, view: &InstanceView, catalog: &Catalog) {
    xml.text("reservationId", &view.instance.reservation);
    xml.text("ownerId", &catalog.account);
    xml.node("groupSet", |_| {});
    xml.items("instancesSet", [view], |xml, view| instance(xml, view, catalog));
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_InstanceStateChange.html>
pub(super) fn changes(xml: &mut Xml, changes: &[StateChange]) {
    xml.items("instancesSet", changes, |xml, change| {
        xml.text("instanceId", &change.id);
        state(xml, "currentState", change.current);
        state(xml, "previousState", change.previous);
    });
}

fn state(xml: &mut Xml, name: &str, state: State) {
    xml.node(name, |xml| {
        xml.text("code", state.code());
        xml.text("name", state.word());
    });
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Instance.html>
fn instance(xml: &mut Xml, view: &InstanceView, catalog: &Catalog) {
    let one = &view.instance;
    let has_network = one.state != State::Terminated;
    xml.text("instanceId", &one.id);
    xml.text("imageId", &one.launch.image);
    state(xml, "instanceState", one.state);
    xml.text("privateDnsName", if has_network { dns_name(one.address) } else { String::new() });
    xml.text("dnsName", "");
    xml.text("reason", &one.transition);
    xml.text("amiLaunchIndex", 0);
    xml.text("instanceType", &one.launch.instance_type);
    xml.text("launchTime", time(one.launched_at));
    xml.node("placement", |xml| {
        xml.text("availabilityZone", &one.zone);
        xml.text("availabilityZoneId", catalog.zone_id(&one.zone));
        xml.text("groupName", "");
        xml.text("tenancy", "default");
    });
    xml.node("monitoring", |xml| {
        xml.text("state", if one.launch.monitoring { "enabled" } else { "disabled" });
    });
    if has_network {
        xml.text("subnetId", &one.subnet);
        xml.text("vpcId", &catalog.vpc);
        xml.text("privateIpAddress", one.address);
        xml.text("sourceDestCheck", true);
        groups(xml, &one.groups);
    }
    if let Some(reason) = &one.reason {
        xml.node("stateReason", |xml| {
            xml.text("code", &reason.code);
            xml.text("message", &reason.message);
        });
    }
    xml.text("architecture", &view.architecture);
    xml.text("rootDeviceType", "ebs");
    xml.text("rootDeviceName", &one.root_device);
    devices(xml, view);
    xml.text("virtualizationType", "hvm");
    xml.text("hypervisor", "xen");
    xml.text("clientToken", one.launch.client_token.as_deref().unwrap_or_default());
    tags(xml, &one.tags);
    xml.items("networkInterfaceSet", &view.interface, |xml, interface| {
        instance_interface(xml, interface, one, catalog);
    });
    profile(xml, one, catalog);
    xml.text("ebsOptimized", one.launch.ebs_optimized);
    xml.text("enaSupport", true);
    metadata(xml, one);
    xml.text("platformDetails", "Linux/UNIX");
}

fn devices(xml: &mut Xml, view: &InstanceView) {
    xml.items("blockDeviceMapping", &view.volumes, |xml, (id, attachment)| {
        xml.text("deviceName", &attachment.device);
        xml.node("ebs", |xml| {
            xml.text("volumeId", id);
            xml.text("status", attachment.state);
            xml.text("attachTime", time(attachment.at));
            xml.text("deleteOnTermination", attachment.delete_on_termination);
        });
    });
}

fn profile(xml: &mut Xml, one: &Instance, catalog: &Catalog) {
    let arn = match &one.launch.profile {
        None => return,
        Some(Profile::Arn(arn)) => arn.clone(),
        Some(Profile::Name(name)) => format!("arn:aws:iam::{}:instance-profile/{name}", catalog.account),
    };
    xml.node("iamInstanceProfile", |xml| {
        xml.text("arn", arn);
        xml.text("id", "AIPAEC2SIMULATOR00000");
    });
}

fn metadata(xml: &mut Xml, one: &Instance) {
    let options = &one.launch.metadata;
    xml.node("metadataOptions", |xml| {
        xml.text("state", if one.state == State::Pending { "pending" } else { "applied" });
        xml.text("httpTokens", &options.tokens);
        xml.text("httpPutResponseHopLimit", options.hop_limit);
        xml.text("httpEndpoint", &options.endpoint);
        xml.text("httpProtocolIpv6", &options.ipv6);
        xml.text("instanceMetadataTags", &options.tags);
    });
}

fn instance_interface(xml: &mut Xml, interface: &NetworkInterface, one: &Instance, catalog: &Catalog) {
    xml.text("networkInterfaceId", &interface.id);
    xml.text("subnetId", &interface.subnet);
    xml.text("vpcId", &catalog.vpc);
    xml.text("description", &interface.description);
    xml.text("ownerId", &catalog.account);
    xml.text("status", interface.status());
    xml.text("macAddress", interface.mac());
    xml.text("privateIpAddress", interface.address);
    xml.text("privateDnsName", dns_name(interface.address));
    xml.text("sourceDestCheck", true);
    groups(xml, &interface.groups);
    xml.node("attachment", |xml| {
        xml.text("attachmentId", &interface.attachment);
        xml.text("deviceIndex", 0);
        xml.text("status", if one.state == State::Pending { "attaching" } else { "attached" });
        xml.text("attachTime", time(interface.created_at));
        xml.text("deleteOnTermination", interface.delete_on_termination);
        xml.text("networkCardIndex", 0);
    });
    addresses(xml, interface);
    xml.text("interfaceType", "interface");
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_NetworkInterface.html>
pub(super) fn interface(xml: &mut Xml, one: &NetworkInterface, catalog: &Catalog) {
    xml.text("networkInterfaceId", &one.id);
    xml.text("subnetId", &one.subnet);
    xml.text("vpcId", &catalog.vpc);
    xml.text("availabilityZone", &one.zone);
    xml.text("description", &one.description);
    xml.text("ownerId", &catalog.account);
    xml.text("requesterManaged", false);
    xml.text("status", one.status());
    xml.text("macAddress", one.mac());
    xml.text("privateIpAddress", one.address);
    xml.text("privateDnsName", dns_name(one.address));
    xml.text("sourceDestCheck", true);
    groups(xml, &one.groups);
    if let Some(instance) = &one.instance {
        xml.node("attachment", |xml| {
            xml.text("attachmentId", &one.attachment);
            xml.text("instanceId", instance);
            xml.text("instanceOwnerId", &catalog.account);
            xml.text("deviceIndex", 0);
            xml.text("networkCardIndex", 0);
            xml.text("status", "attached");
            xml.text("attachTime", time(one.created_at));
            xml.text("deleteOnTermination", one.delete_on_termination);
        });
    }
    tags(xml, &one.tags);
    addresses(xml, one);
    xml.text("interfaceType", "interface");
}

fn addresses(xml: &mut Xml, interface: &NetworkInterface) {
    xml.items("privateIpAddressesSet", [interface.address], |xml, address| {
        xml.text("privateIpAddress", address);
        xml.text("privateDnsName", dns_name(address));
        xml.text("primary", true);
    });
}

fn dns_name(address: Ipv4Addr) -> String {
    let [a, b, c, d] = address.octets();
    format!("ip-{a}-{b}-{c}-{d}.ec2.internal")
}
