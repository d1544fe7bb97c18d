//! Resource ids: made, and checked for their form.

use crate::error::ApiError;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Makes ids. The same seed makes the same ids.
pub struct Ids(StdRng);

impl Ids {
    /// Ids from this seed.
    pub fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    /// A new id of this kind, with 17 hexadecimal digits.
    ///
    /// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/resource-ids.html>
    pub fn next(&mut self, kind: &str) -> String {
        format!("{kind}-0{:016x}", self.0.next_u64())
    }
}

/// Refuses what cannot be an id of this kind.
///
/// <https://docs.aws.amazon.com/ec2/latest/devguide/errors-overview.html>
pub fn check(kind: Kind, id: &str) -> Result<(), ApiError> {
    let digits = id.strip_prefix(kind.prefix()).and_then(|rest| rest.strip_prefix('-'));
    let well_formed = digits.is_some_and(|digits| {
        matches!(digits.len(), 8 | 17) && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    });
    if well_formed {
        Ok(())
    } else {
        Err(ApiError::new(
            format!("{}.Malformed", kind.error()),
            format!("Invalid id: \"{id}\" (expecting \"{}-...\")", kind.prefix()),
        ))
    }
}

/// The kinds of resource that are imitated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `i-…`
    Instance,
    /// `vol-…`
    Volume,
    /// `eni-…`
    NetworkInterface,
    /// `subnet-…`
    Subnet,
    /// `ami-…`
    Image,
}

impl Kind {
    /// The kind of an id, by what it begins with.
    pub fn of(id: &str) -> Option<Self> {
        [Self::Instance, Self::Volume, Self::NetworkInterface]
            .into_iter()
            .find(|kind| id.strip_prefix(kind.prefix()).is_some_and(|rest| rest.starts_with('-')))
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::Instance => "i",
            Self::Volume => "vol",
            Self::NetworkInterface => "eni",
            Self::Subnet => "subnet",
            Self::Image => "ami",
        }
    }

    fn error(self) -> &'static str {
        match self {
            Self::Instance => "InvalidInstanceID",
            Self::Volume => "InvalidVolume",
            Self::NetworkInterface => "InvalidNetworkInterfaceID",
            Self::Subnet => "InvalidSubnetID",
            Self::Image => "InvalidAMIID",
        }
    }

    /// The error that names what does not exist, or not yet.
    pub fn not_found(self, missing: &[&str]) -> ApiError {
        let list = missing.join(", ");
        let message = match (self, missing.len()) {
            (Self::Instance, 1) => format!("The instance ID '{list}' does not exist"),
            (Self::Instance, _) => format!("The instance IDs '{list}' do not exist"),
            (Self::Volume, _) => format!("The volume '{list}' does not exist."),
            (Self::NetworkInterface, _) => format!("The networkInterface ID '{list}' does not exist"),
            (Self::Subnet, _) => format!("The subnet ID '{list}' does not exist"),
            (Self::Image, _) => format!("The image id '[{list}]' does not exist"),
        };
        ApiError::new(format!("{}.NotFound", self.error()), message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_well_formed_and_repeatable() {
        let id = Ids::new(1).next("i");
        check(Kind::Instance, &id).unwrap();
        assert_eq!(id, Ids::new(1).next("i"));
        assert_ne!(id, Ids::new(2).next("i"));
    }

    #[test]
    fn a_malformed_id_is_another_error_than_one_that_is_not_there() {
        for bad in ["i-xyz", "vol-0123456789abcdef0", "i-0123456789ABCDEF0", "", "i-0123"] {
            assert_eq!(check(Kind::Instance, bad).unwrap_err().code, "InvalidInstanceID.Malformed", "{bad}");
        }
        assert_eq!(Kind::Instance.not_found(&["i-1"]).code, "InvalidInstanceID.NotFound");
    }
}
