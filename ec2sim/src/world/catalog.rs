//! What is there before anything is launched: account, zones, subnets, images, types.

use crate::error::ApiError;
use crate::ids::Kind;
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// The surroundings of the instances. Every part can be set in a scenario.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Catalog {
    /// The account's id.
    pub account: String,
    /// The region.
    pub region: String,
    /// The network's id.
    pub vpc: String,
    /// The network's addresses.
    pub vpc_cidr: Cidr,
    /// Its parts. Empty: three, one in each of the zones a, b and c.
    pub subnets: Vec<Subnet>,
    /// The images of machines.
    pub images: Vec<Image>,
    /// The types of instances.
    pub instance_types: Vec<InstanceType>,
    /// The security groups, by id.
    pub security_groups: Vec<String>,
    /// The instance profiles, by name.
    pub instance_profiles: Vec<String>,
}

/// A part of the network, in one zone.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Subnet {
    /// Its id.
    pub id: String,
    /// Its zone.
    pub zone: String,
    /// Its addresses.
    pub cidr: Cidr,
}

/// The image of a machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Image {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `x86_64` or `arm64`.
    pub architecture: String,
    /// The device of its root volume.
    pub root_device: String,
    /// The size of its root volume, in GiB.
    pub root_gib: u32,
}

/// A type of instance.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InstanceType {
    /// Its name.
    pub name: String,
    /// Its processors.
    pub vcpus: u32,
    /// Its memory, in MiB.
    pub memory_mib: u64,
    /// `x86_64` or `arm64`.
    pub architecture: String,
}

impl Default for Catalog {
    fn default() -> Self {
        let image = |id: &str, name: &str, architecture: &str| Image {
            id: id.into(),
            name: name.into(),
            architecture: architecture.into(),
            root_device: "/dev/xvda".into(),
            root_gib: 8,
        };
        let instance_type = |name: &str, vcpus, gib: u64, architecture: &str| InstanceType {
            name: name.into(),
            vcpus,
            memory_mib: gib * 1024,
            architecture: architecture.into(),
        };
        Self {
            account: "000000000000".into(),
            region: "us-east-1".into(),
            vpc: "vpc-0a7e11e7000000001".into(),
            vpc_cidr: Cidr { base: Ipv4Addr::new(127, 64, 0, 0), prefix: 16 },
            subnets: Vec::new(),
            images: vec![
                image("ami-0a7e11e7000000001", "atelier-x86_64", "x86_64"),
                image("ami-0a7e11e7000000002", "atelier-arm64", "arm64"),
            ],
            instance_types: vec![
                instance_type("t3.small", 2, 2, "x86_64"),
                instance_type("t3.medium", 2, 4, "x86_64"),
                instance_type("t3.large", 2, 8, "x86_64"),
                instance_type("m6i.large", 2, 8, "x86_64"),
                instance_type("m6i.xlarge", 4, 16, "x86_64"),
                instance_type("c6i.large", 2, 4, "x86_64"),
                instance_type("t4g.medium", 2, 4, "arm64"),
            ],
            security_groups: vec!["sg-0a7e11e7000000001".into(), "sg-0a7e11e7000000002".into()],
            instance_profiles: vec!["atelier-agent".into()],
        }
    }
}

impl Catalog {
    /// Fills in the three subnets where none was named, each a quarter of the network.
    ///
    /// # Errors
    /// A text for people where the parts do not fit together.
    pub fn complete(mut self) -> Result<Self, String> {
        if self.subnets.is_empty() {
            let cidrs = self.vpc_cidr.quarters()?;
            self.subnets = ["a", "b", "c"]
                .iter()
                .zip(cidrs)
                .enumerate()
                .map(|(i, (letter, cidr))| Subnet {
                    id: format!("subnet-0a7e11e700000000{}", i + 1),
                    zone: format!("{}{letter}", self.region),
                    cidr,
                })
                .collect();
        }
        for subnet in &self.subnets {
            if !self.vpc_cidr.contains(subnet.cidr) {
                return Err(format!("{} has {}, outside of {}", subnet.id, subnet.cidr, self.vpc_cidr));
            }
            if subnet.cidr.prefix > 28 {
                return Err(format!("{} is smaller than /28, the smallest that there is", subnet.id));
            }
        }
        Ok(self)
    }

    /// The subnet of this id.
    pub fn subnet(&self, id: &str) -> Result<&Subnet, ApiError> {
        self.subnets.iter().find(|subnet| subnet.id == id).ok_or_else(|| Kind::Subnet.not_found(&[id]))
    }

    /// The image of this id.
    pub fn image(&self, id: &str) -> Result<&Image, ApiError> {
        self.images.iter().find(|image| image.id == id).ok_or_else(|| Kind::Image.not_found(&[id]))
    }

    /// The type of this name.
    pub fn instance_type(&self, name: &str) -> Result<&InstanceType, ApiError> {
        self.instance_types
            .iter()
            .find(|one| one.name == name)
            .ok_or_else(|| ApiError::value(format!("Invalid value '{name}' for InstanceType.")))
    }

    /// Whether there is such a zone.
    pub fn zone(&self, name: &str) -> Result<(), ApiError> {
        if self.subnets.iter().any(|subnet| subnet.zone == name) {
            Ok(())
        } else {
            Err(ApiError::value(format!("Invalid availability zone: [{name}]")))
        }
    }

    /// Every zone once.
    pub fn zones(&self) -> Vec<&str> {
        let mut zones: Vec<&str> = self.subnets.iter().map(|subnet| subnet.zone.as_str()).collect();
        zones.sort_unstable();
        zones.dedup();
        zones
    }

    /// The number of a zone as its id, such as `use1-az1`.
    pub fn zone_id(&self, zone: &str) -> String {
        let number = self.zones().iter().position(|one| *one == zone).unwrap_or_default() + 1;
        let short: String = self
            .region
            .split('-')
            .map(|part| &part[..part.len().min(if part.len() == 2 { 2 } else { 1 })])
            .collect();
        format!("{short}-az{number}")
    }
}

/// A range of IPv4 addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    /// Its first address.
    pub base: Ipv4Addr,
    /// How many leading bits are fixed.
    pub prefix: u8,
}

impl Cidr {
    /// How many addresses are in it.
    pub fn size(self) -> u32 {
        u32::try_from(1_u64 << (32 - u32::from(self.prefix.min(32)))).unwrap_or(u32::MAX)
    }

    /// The address at this place in it.
    pub fn at(self, index: u32) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.base).wrapping_add(index))
    }

    /// Whether all of the other lies in it.
    pub fn contains(self, other: Self) -> bool {
        let shift = 32 - u32::from(self.prefix);
        let net = |address: Ipv4Addr| u32::from(address).checked_shr(shift).unwrap_or_default();
        other.prefix >= self.prefix && net(self.base) == net(other.base)
    }

    fn quarters(self) -> Result<[Self; 4], String> {
        if self.prefix > 26 {
            return Err(format!("{self} is too small for three subnets: /26 is the smallest"));
        }
        let part = self.size() / 4;
        Ok([0, 1, 2, 3].map(|i| Self { base: self.at(i * part), prefix: self.prefix + 2 }))
    }
}

impl std::fmt::Display for Cidr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

impl std::str::FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no range of addresses such as 127.64.0.0/16");
        let (base, prefix) = text.split_once('/').ok_or_else(wrong)?;
        let (base, prefix) =
            (base.parse::<Ipv4Addr>().map_err(|_| wrong())?, prefix.parse::<u8>().map_err(|_| wrong())?);
        if !(8..=28).contains(&prefix) {
            return Err(format!("`{text}`: the prefix must be between 8 and 28"));
        }
        let cidr = Self { base, prefix };
        match u32::from(base) % cidr.size() {
            0 => Ok(cidr),
            _ => Err(format!("`{text}` does not begin at a multiple of its size")),
        }
    }
}

impl Serialize for Cidr {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cidr {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_subnets_are_cut_from_the_network() {
        let catalog = Catalog::default().complete().unwrap();
        let cidrs: Vec<_> = catalog.subnets.iter().map(|s| s.cidr.to_string()).collect();
        assert_eq!(cidrs, ["127.64.0.0/18", "127.64.64.0/18", "127.64.128.0/18"]);
        assert_eq!(catalog.zones(), ["us-east-1a", "us-east-1b", "us-east-1c"]);
        assert_eq!(catalog.zone_id("us-east-1b"), "use1-az2");
    }

    #[test]
    fn a_subnet_outside_of_the_network_is_refused() {
        let cidr: Cidr = "10.0.0.0/24".parse().unwrap();
        let subnet = Subnet { id: "subnet-1".into(), zone: "z".into(), cidr };
        assert!(Catalog { subnets: vec![subnet], ..Catalog::default() }.complete().is_err());
        for bad in ["10.0.0.0", "10.0.0.1/24", "10.0.0.0/30", "x/8", "10.0.0.0/7"] {
            assert!(bad.parse::<Cidr>().is_err(), "{bad}");
        }
    }
}
