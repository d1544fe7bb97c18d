//! The parameters of `CreateVolume`, `AttachVolume` and `DetachVolume`.

use super::tags::{self, Tags};
use crate::error::ApiError;
use crate::ids::{self, Kind};
use crate::query::Query;

/// The types of volume that are known.
pub const TYPES: [&str; 7] = ["gp3", "gp2", "io1", "io2", "st1", "sc1", "standard"];
/// Largest volume of any type, in GiB.
///
/// <https://docs.aws.amazon.com/ebs/latest/userguide/ebs-volume-types.html>
pub const SIZE_MAX_GIB: u32 = 65_536;

/// What a volume is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeShape {
    /// Its size, in GiB.
    pub size: u32,
    /// Its type, such as `gp3`.
    pub kind: String,
    /// Whether it is encrypted.
    pub encrypted: bool,
    /// The KMS key.
    pub kms_key: Option<String>,
    /// Operations a second.
    pub iops: Option<u32>,
    /// MiB a second.
    pub throughput: Option<u32>,
    /// What it was made from.
    pub snapshot: Option<String>,
}

impl VolumeShape {
    /// Reads the shape of a volume that stands alone.
    fn parse_alone(query: &mut Query) -> Result<Self, ApiError> {
        let size = query.number("Size")?.ok_or_else(|| ApiError::missing("Size"))?;
        Self::parse(query, size)
    }

    /// Reads the shape of a volume of a launch. A size of 0 stands for that of the image.
    pub(super) fn parse_for_image(query: &mut Query) -> Result<Self, ApiError> {
        match query.number("VolumeSize")? {
            None => Self::parse(query, 1).map(|shape| Self { size: 0, ..shape }),
            Some(size) => Self::parse(query, size),
        }
    }

    fn parse(query: &mut Query, size: u32) -> Result<Self, ApiError> {
        if size == 0 || size > SIZE_MAX_GIB {
            return Err(ApiError::value(format!(
                "Volume of {size}GiB is invalid. Expecting 1 to {SIZE_MAX_GIB}GiB"
            )));
        }
        let shape = Self {
            size,
            kind: query.word("VolumeType", &TYPES)?.unwrap_or_else(|| "gp2".into()),
            encrypted: query.flag("Encrypted")?.unwrap_or_default(),
            kms_key: query.text("KmsKeyId"),
            iops: query.number("Iops")?,
            throughput: query.number("Throughput")?,
            snapshot: query.text("SnapshotId"),
        };
        if shape.kms_key.is_some() && !shape.encrypted {
            return Err(ApiError::new(
                "InvalidParameterDependency",
                "The parameter KmsKeyId requires the parameter Encrypted to be set.",
            ));
        }
        Ok(shape)
    }
}

/// `CreateVolume`
///
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateVolume.html>
#[derive(Clone, Debug)]
pub struct NewVolume {
    /// In which zone.
    pub zone: String,
    /// What to make.
    pub shape: VolumeShape,
    /// What makes two calls the same call.
    pub client_token: Option<String>,
    /// Its tags.
    pub tags: Tags,
}

impl NewVolume {
    pub(super) fn parse(query: &mut Query) -> Result<Self, ApiError> {
        Ok(Self {
            zone: query.required("AvailabilityZone")?,
            shape: VolumeShape::parse_alone(query)?,
            client_token: super::client_token(query)?,
            tags: tags::parse_specifications(query, &["volume"])?.remove("volume").unwrap_or_default(),
        })
    }
}

/// `AttachVolume`
///
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AttachVolume.html>
#[derive(Clone, Debug)]
pub struct Attach {
    /// Which volume.
    pub volume: String,
    /// To which instance.
    pub instance: String,
    /// Under which name.
    pub device: String,
}

impl Attach {
    pub(super) fn parse(query: &mut Query) -> Result<Self, ApiError> {
        let attach = Self {
            volume: query.required("VolumeId")?,
            instance: query.required("InstanceId")?,
            device: query.required("Device")?,
        };
        ids::check(Kind::Volume, &attach.volume)?;
        ids::check(Kind::Instance, &attach.instance)?;
        if is_device(&attach.device) {
            Ok(attach)
        } else {
            Err(ApiError::value(format!(
                "Value ({}) for parameter device is invalid. {} is not a valid EBS device name.",
                attach.device, attach.device
            )))
        }
    }
}

/// `DetachVolume`
///
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DetachVolume.html>
#[derive(Clone, Debug)]
pub struct Detach {
    /// Which volume.
    pub volume: String,
    /// Only if it is attached to this instance.
    pub instance: Option<String>,
    /// Only if it is attached under this name.
    pub device: Option<String>,
}

impl Detach {
    pub(super) fn parse(query: &mut Query) -> Result<Self, ApiError> {
        // Detaching is never refused by the guest here, so force changes nothing.
        query.flag("Force")?;
        let detach = Self {
            volume: query.required("VolumeId")?,
            instance: query.text("InstanceId"),
            device: query.text("Device"),
        };
        ids::check(Kind::Volume, &detach.volume)?;
        Ok(detach)
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/device_naming.html>
pub(super) fn is_device(name: &str) -> bool {
    let short = name.strip_prefix("/dev/").unwrap_or(name);
    let letters = short.strip_prefix("sd").or_else(|| short.strip_prefix("xvd"));
    letters.is_some_and(|rest| {
        !rest.is_empty()
            && rest.len() <= 4
            && rest.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_names_are_those_of_ec2() {
        for good in ["/dev/sdf", "/dev/sda1", "/dev/xvda", "/dev/xvdaa", "xvdf"] {
            assert!(is_device(good), "{good}");
        }
        for bad in ["", "/dev/", "/dev/nvme1n1", "/dev/sd", "disk", "/dev/sd/../x"] {
            assert!(!is_device(bad), "{bad}");
        }
    }

    #[test]
    fn a_volume_has_a_size_and_a_key_only_when_encrypted() {
        let parse = |form: &str| NewVolume::parse(&mut Query::parse(form.as_bytes()));
        assert_eq!(parse("AvailabilityZone=z").unwrap_err().code, "MissingParameter");
        assert_eq!(parse("AvailabilityZone=z&Size=0").unwrap_err().code, "InvalidParameterValue");
        let key = parse("AvailabilityZone=z&Size=1&KmsKeyId=k").unwrap_err();
        assert_eq!(key.code, "InvalidParameterDependency");
        assert!(parse("AvailabilityZone=z&Size=1&KmsKeyId=k&Encrypted=true").unwrap().shape.encrypted);
    }
}
