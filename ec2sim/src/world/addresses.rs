//! Private addresses: handed out from the subnets, and taken back.

use crate::error::ApiError;
use crate::world::catalog::Subnet;
use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;

/// The first four and the last address of a subnet are not handed out.
///
/// <https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html>
const RESERVED: u32 = 5;

/// Which addresses are in use.
#[derive(Default)]
pub struct Addresses(HashMap<String, Used>);

#[derive(Default)]
struct Used {
    taken: HashSet<Ipv4Addr>,
    /// How many were ever handed out: an address that came back is not the next one to go.
    turn: u32,
}

impl Addresses {
    /// An address of this subnet.
    pub fn take(&mut self, subnet: &Subnet) -> Result<Ipv4Addr, ApiError> {
        let used = self.0.entry(subnet.id.clone()).or_default();
        let room = subnet.cidr.size() - RESERVED;
        for _ in 0..room {
            let address = subnet.cidr.at(4 + used.turn % room);
            used.turn = (used.turn + 1) % room;
            if used.taken.insert(address) {
                return Ok(address);
            }
        }
        Err(ApiError::new(
            "InsufficientFreeAddressesInSubnet",
            format!("There are not enough free addresses in subnet '{}' to satisfy the request", subnet.id),
        ))
    }

    /// Gives one back.
    pub fn give_back(&mut self, subnet: &str, address: Ipv4Addr) {
        if let Some(used) = self.0.get_mut(subnet) {
            used.taken.remove(&address);
        }
    }

    /// How many are left.
    pub fn free(&self, subnet: &Subnet) -> u32 {
        let taken = self.0.get(&subnet.id).map_or(0, |used| used.taken.len());
        (subnet.cidr.size() - RESERVED).saturating_sub(u32::try_from(taken).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subnet_has_five_addresses_less_than_its_size() {
        let subnet = Subnet { id: "s".into(), zone: "z".into(), cidr: "127.64.0.16/28".parse().unwrap() };
        let mut addresses = Addresses::default();
        let all: Vec<_> = (0..11).map(|_| addresses.take(&subnet).unwrap()).collect();
        assert_eq!(all[0], Ipv4Addr::new(127, 64, 0, 20));
        assert_eq!(all[10], Ipv4Addr::new(127, 64, 0, 30));
        assert_eq!(addresses.free(&subnet), 0);
        assert_eq!(addresses.take(&subnet).unwrap_err().code, "InsufficientFreeAddressesInSubnet");
        addresses.give_back("s", all[3]);
        assert_eq!(addresses.take(&subnet).unwrap(), all[3]);
    }

    #[test]
    fn an_address_that_came_back_rests_first() {
        let subnet = Subnet { id: "s".into(), zone: "z".into(), cidr: "127.64.0.0/24".parse().unwrap() };
        let mut addresses = Addresses::default();
        let first = addresses.take(&subnet).unwrap();
        addresses.give_back("s", first);
        assert_ne!(addresses.take(&subnet).unwrap(), first);
    }
}
