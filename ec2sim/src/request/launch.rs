//! The parameters of `RunInstances`.

use super::tags::{self, Tags};
use super::volume::{VolumeShape, is_device};
use crate::error::ApiError;
use crate::ids::{self, Kind};
use crate::query::Query;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Longest user-data, in bytes before base64.
///
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/user-data.html>
pub const USER_DATA_MAX: usize = 16 * 1024;

/// What to launch.
///
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html>
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a parameter of EC2's")]
pub struct Launch {
    /// The image of the machine.
    pub image: String,
    /// The instance type.
    pub instance_type: String,
    /// The subnet; none: the default one of the zone.
    pub subnet: Option<String>,
    /// The zone; none: that of the subnet, or any.
    pub zone: Option<String>,
    /// Security groups by id.
    pub groups: Vec<String>,
    /// The instance profile.
    pub profile: Option<Profile>,
    /// What runs at the first boot.
    pub user_data: Option<Arc<[u8]>>,
    /// Whether a shutdown from inside ends the instance.
    pub terminates_on_shutdown: bool,
    /// Volumes that are made with the instance.
    pub devices: Vec<Device>,
    /// The network interface.
    pub interface: Interface,
    /// Options of the metadata service.
    pub metadata: Metadata,
    /// Tags by type of resource.
    pub tags: BTreeMap<String, Tags>,
    /// What makes two calls the same launch.
    pub client_token: Option<String>,
    /// Whether it is optimised for volumes.
    pub ebs_optimized: bool,
    /// Whether detailed monitoring is on.
    pub monitoring: bool,
    /// Whether `TerminateInstances` is refused.
    pub protected: bool,
}

/// An instance profile, by name or by ARN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Profile {
    /// By name.
    Name(String),
    /// By ARN.
    Arn(String),
}

/// A volume that is made with the instance.
#[derive(Clone, Debug)]
pub struct Device {
    /// Such as `/dev/xvda`.
    pub name: String,
    /// What to make; none: the image's own, as it is.
    pub shape: Option<VolumeShape>,
    /// Whether it goes with the instance; none: the image's word, or else no for a volume that is no root.
    pub delete_on_termination: Option<bool>,
}

/// What is said of the network interface.
#[derive(Clone, Debug)]
pub struct Interface {
    /// Whether it goes with the instance.
    pub delete_on_termination: bool,
    /// Its description.
    pub description: String,
}

/// Options of the metadata service.
///
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_InstanceMetadataOptionsRequest.html>
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// `required` or `optional`.
    pub tokens: String,
    /// How many hops a token may travel.
    pub hop_limit: u8,
    /// `enabled` or `disabled`.
    pub endpoint: String,
    /// `enabled` or `disabled`.
    pub tags: String,
    /// `enabled` or `disabled`.
    pub ipv6: String,
}

impl Launch {
    pub(super) fn parse(query: &mut Query) -> Result<Self, ApiError> {
        one_instance(query)?;
        let image = query.required("ImageId")?;
        ids::check(Kind::Image, &image)?;
        let (subnet, groups, interface) = network(query)?;
        let mut placement = query.group("Placement");
        let zone = placement.text("AvailabilityZone");
        placement.word("Tenancy", &["default"])?;
        placement.finish()?;
        let mut credits = query.group("CreditSpecification");
        credits.word("CpuCredits", &["standard", "unlimited"])?;
        credits.finish()?;
        let mut monitoring = query.group("Monitoring");
        let monitored = monitoring.flag("Enabled")?.unwrap_or_default();
        monitoring.finish()?;
        let shutdown = query.word("InstanceInitiatedShutdownBehavior", &["stop", "terminate"])?;
        Ok(Self {
            image,
            instance_type: query.required("InstanceType")?,
            subnet,
            zone,
            groups,
            profile: profile(query)?,
            user_data: user_data(query)?,
            terminates_on_shutdown: shutdown.as_deref() == Some("terminate"),
            devices: devices(query)?,
            interface,
            metadata: metadata(query)?,
            tags: tags::parse_specifications(query, &["instance", "volume", "network-interface"])?,
            client_token: super::client_token(query)?,
            ebs_optimized: query.flag("EbsOptimized")?.unwrap_or_default(),
            monitoring: monitored,
            protected: query.flag("DisableApiTermination")?.unwrap_or_default(),
        })
    }

    /// The tags of one type of resource.
    pub fn tags_of(&self, kind: &str) -> Tags {
        self.tags.get(kind).cloned().unwrap_or_default()
    }
}

/// User-data as it was before base64.
pub fn decode_user_data(encoded: &str) -> Result<Vec<u8>, ApiError> {
    STANDARD
        .decode(encoded)
        .map_err(|_| ApiError::new("InvalidUserData.Malformed", "Invalid BASE64 encoding of user data."))
}

/// Only launches of exactly one are imitated: a caller that asks for more would be told of one only.
fn one_instance(query: &mut Query) -> Result<(), ApiError> {
    let min: Option<u32> = query.number("MinCount")?;
    let max: Option<u32> = query.number("MaxCount")?;
    match (min, max) {
        (None, _) => Err(ApiError::missing("MinCount")),
        (_, None) => Err(ApiError::missing("MaxCount")),
        (Some(1), Some(1)) => Ok(()),
        (Some(min), Some(max)) if min == 0 || max < min => {
            Err(ApiError::value(format!("Value ({min}) for parameter minCount is invalid")))
        }
        _ => Err(ApiError::new(
            "UnsupportedOperation",
            "This simulator launches one instance a call: MinCount and MaxCount must be 1",
        )),
    }
}

fn network(query: &mut Query) -> Result<(Option<String>, Vec<String>, Interface), ApiError> {
    let mut subnet = query.text("SubnetId");
    let mut groups = query.list("SecurityGroupId");
    let mut interface = Interface { delete_on_termination: true, description: String::new() };
    let mut interfaces = query.structs("NetworkInterface");
    if interfaces.len() > 1 {
        return Err(ApiError::new(
            "UnsupportedOperation",
            "This simulator gives an instance one network interface",
        ));
    }
    if let Some(mut one) = interfaces.pop() {
        if subnet.is_some() || !groups.is_empty() {
            return Err(ApiError::combination(
                "Network interfaces and an instance-level subnet ID or security groups may not be specified \
                 on the same request",
            ));
        }
        if one.number::<u32>("DeviceIndex")?.unwrap_or_default() != 0 {
            return Err(ApiError::value("The first network interface must have device index 0"));
        }
        subnet = one.text("SubnetId");
        groups = one.list("SecurityGroupId");
        interface.delete_on_termination = one.flag("DeleteOnTermination")?.unwrap_or(true);
        interface.description = one.text("Description").unwrap_or_default();
        if one.flag("AssociatePublicIpAddress")?.unwrap_or_default() {
            return Err(ApiError::new("UnsupportedOperation", "This simulator has no public addresses"));
        }
        one.finish()?;
    }
    if let Some(subnet) = &subnet {
        ids::check(Kind::Subnet, subnet)?;
    }
    Ok((subnet, groups, interface))
}

fn profile(query: &mut Query) -> Result<Option<Profile>, ApiError> {
    let mut profile = query.group("IamInstanceProfile");
    let found = match (profile.text("Name"), profile.text("Arn")) {
        (Some(_), Some(_)) => {
            return Err(ApiError::combination(
                "The parameter 'iamInstanceProfile.name' may not be used in combination with \
                 'iamInstanceProfile.arn'",
            ));
        }
        (Some(name), None) => Some(Profile::Name(name)),
        (None, Some(arn)) => Some(Profile::Arn(arn)),
        (None, None) => None,
    };
    profile.finish()?;
    Ok(found)
}

fn user_data(query: &mut Query) -> Result<Option<Arc<[u8]>>, ApiError> {
    let Some(encoded) = query.text("UserData") else { return Ok(None) };
    let raw = decode_user_data(&encoded)?;
    if raw.len() <= USER_DATA_MAX {
        Ok(Some(raw.into()))
    } else {
        Err(ApiError::value(format!("User data is limited to {USER_DATA_MAX} bytes")))
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_BlockDeviceMapping.html>
fn devices(query: &mut Query) -> Result<Vec<Device>, ApiError> {
    let mut devices: Vec<Device> = Vec::new();
    for mut one in query.structs("BlockDeviceMapping") {
        let name = one.required("DeviceName")?;
        if !is_device(&name) {
            return Err(ApiError::new("InvalidBlockDeviceMapping", format!("Invalid device name {name}")));
        }
        if devices.iter().any(|device| device.name == name) {
            return Err(ApiError::new(
                "InvalidBlockDeviceMapping",
                format!("The device {name} is used in more than one block-device mapping"),
            ));
        }
        let mut ebs = one.group("Ebs");
        let delete_on_termination = ebs.flag("DeleteOnTermination")?;
        // The size may be left to the image; 0 stands for that until the image is known.
        let shape = if ebs.is_empty() { None } else { Some(VolumeShape::parse_for_image(&mut ebs)?) };
        ebs.finish()?;
        one.finish()?;
        devices.push(Device { name, shape, delete_on_termination });
    }
    Ok(devices)
}

fn metadata(query: &mut Query) -> Result<Metadata, ApiError> {
    const SWITCH: [&str; 2] = ["enabled", "disabled"];
    let mut given = query.group("MetadataOptions");
    let hop_limit = given.number::<u8>("HttpPutResponseHopLimit")?.unwrap_or(1);
    if !(1..=64).contains(&hop_limit) {
        return Err(ApiError::value("HttpPutResponseHopLimit must be between 1 and 64"));
    }
    let metadata = Metadata {
        tokens: given.word("HttpTokens", &["required", "optional"])?.unwrap_or_else(|| "optional".into()),
        hop_limit,
        endpoint: given.word("HttpEndpoint", &SWITCH)?.unwrap_or_else(|| "enabled".into()),
        tags: given.word("InstanceMetadataTags", &SWITCH)?.unwrap_or_else(|| "disabled".into()),
        ipv6: given.word("HttpProtocolIpv6", &SWITCH)?.unwrap_or_else(|| "disabled".into()),
    };
    given.finish()?;
    Ok(metadata)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = "ImageId=ami-0a7e11e7000000001&MinCount=1&MaxCount=1&InstanceType=t3.medium";

    fn parse(more: &str) -> Result<Launch, ApiError> {
        let mut query = Query::parse(format!("{LEAST}&{more}").as_bytes());
        let launch = Launch::parse(&mut query)?;
        query.finish()?;
        Ok(launch)
    }

    fn with_user_data(bytes: usize) -> Result<Launch, ApiError> {
        let text = STANDARD.encode(vec![b'#'; bytes]);
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("UserData", &text);
        parse(&form.finish())
    }

    #[test]
    fn user_data_has_at_most_sixteen_kilobytes_before_base64() {
        assert_eq!(with_user_data(16_384).unwrap().user_data.unwrap().len(), 16_384);
        assert_eq!(with_user_data(16_385).unwrap_err().code, "InvalidParameterValue");
        assert_eq!(parse("UserData=%21").unwrap_err().code, "InvalidUserData.Malformed");
    }

    #[test]
    fn an_interface_excludes_what_it_says_itself() {
        let launch = parse(
            "NetworkInterface.1.DeviceIndex=0&NetworkInterface.1.SubnetId=subnet-0a7e11e7000000001&\
             NetworkInterface.1.SecurityGroupId.1=sg-1",
        )
        .unwrap();
        assert_eq!(launch.subnet.as_deref(), Some("subnet-0a7e11e7000000001"));
        assert_eq!(launch.groups, ["sg-1"]);
        let both = parse("SecurityGroupId.1=sg-1&NetworkInterface.1.DeviceIndex=0").unwrap_err();
        assert_eq!(both.code, "InvalidParameterCombination");
    }

    #[test]
    fn what_is_not_imitated_is_refused_by_name() {
        for (more, code) in [
            ("KeyName=me", "UnknownParameter"),
            ("InstanceMarketOptions.MarketType=spot", "UnknownParameter"),
            ("NetworkInterface.1.AssociatePublicIpAddress=true", "UnsupportedOperation"),
            ("BlockDeviceMapping.1.DeviceName=/dev/nvme0n1", "InvalidBlockDeviceMapping"),
            ("MetadataOptions.HttpTokens=maybe", "InvalidParameterValue"),
        ] {
            assert_eq!(parse(more).unwrap_err().code, code, "{more}");
        }
    }

    #[test]
    fn the_metadata_service_is_as_asked_or_as_usual() {
        let asked = parse("MetadataOptions.HttpTokens=required&MetadataOptions.HttpPutResponseHopLimit=1");
        assert_eq!(asked.unwrap().metadata.tokens, "required");
        let usual = parse("").unwrap().metadata;
        assert_eq!((usual.tokens.as_str(), usual.endpoint.as_str()), ("optional", "enabled"));
    }
}
