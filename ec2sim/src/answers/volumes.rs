//! Volumes in XML.

use super::{tags, time};
use crate::world::model::{Attachment, Volume};
use crate::xml::Xml;

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Volume.html>
pub(super) fn volume(xml: &mut Xml, one: &Volume) {
    xml.text("volumeId", &one.id);
    xml.text("size", one.shape.size);
    xml.text("snapshotId", one.shape.snapshot.as_deref().unwrap_or_default());
    xml.text("availabilityZone", &one.zone);
    xml.text("status", one.state.word());
    xml.text("createTime", time(one.created_at));
    xml.items("attachmentSet", &one.attachment, |xml, held| attachment(xml, &one.id, held));
    xml.text("volumeType", &one.shape.kind);
    xml.text("encrypted", one.shape.encrypted);
    xml.maybe("kmsKeyId", one.shape.kms_key.as_deref());
    xml.maybe("iops", one.shape.iops.or((one.shape.kind == "gp3").then_some(3_000)));
    xml.maybe("throughput", one.shape.throughput.or((one.shape.kind == "gp3").then_some(125)));
    xml.text("multiAttachEnabled", false);
    tags(xml, &one.tags);
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_VolumeAttachment.html>
pub(super) fn attachment(xml: &mut Xml, id: &str, one: &Attachment) {
    xml.text("volumeId", id);
    xml.text("instanceId", &one.instance);
    xml.text("device", &one.device);
    xml.text("status", one.state);
    xml.text("attachTime", time(one.at));
    xml.text("deleteOnTermination", one.delete_on_termination);
}
