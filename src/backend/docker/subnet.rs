//! Ranges of IPv4 addresses, and the choice of a free one.

use std::fmt;
use std::net::Ipv4Addr;

/// A range in CIDR notation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Subnet {
    first: u32,
    prefix: u8,
}

impl Subnet {
    /// Reads `10.201.0.0/16`. Bits behind the prefix do not count; other than IPv4 is `None`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/')?;
        let address: Ipv4Addr = address.parse().ok()?;
        let prefix: u8 = prefix.parse().ok().filter(|p| *p <= 32)?;
        let mask = u32::MAX.checked_shl(u32::from(32 - prefix)).unwrap_or(0);
        Some(Self { first: u32::from(address) & mask, prefix })
    }

    fn last(self) -> u32 {
        self.first | u32::MAX.checked_shr(u32::from(self.prefix)).unwrap_or(0)
    }

    fn overlaps(self, other: Self) -> bool {
        self.first <= other.last() && other.first <= self.last()
    }

    /// The first range of this prefix length in the pool that overlaps none of the taken ones.
    pub(super) fn first_free(self, prefix: u8, taken: &[Subnet]) -> Option<Self> {
        if prefix < self.prefix || prefix > 32 {
            return None;
        }
        let mut candidate = Self { first: self.first, prefix };
        loop {
            // Behind the last of those in the way, so that a full pool is passed in few steps.
            let Some(blocked) = taken.iter().filter(|t| t.overlaps(candidate)).map(|t| t.last()).max() else {
                return Some(candidate);
            };
            let next = blocked.max(candidate.last()).checked_add(1)?;
            let step = candidate.last() - candidate.first;
            candidate.first = next.checked_add(step)? & !step;
            if candidate.last() > self.last() {
                return None;
            }
        }
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.first), self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn net(text: &str) -> Subnet {
        Subnet::parse(text).expect(text)
    }

    fn free(pool: &str, prefix: u8, taken: &[&str]) -> Option<String> {
        let taken: Vec<_> = taken.iter().map(|t| net(t)).collect();
        net(pool).first_free(prefix, &taken).map(|s| s.to_string())
    }

    #[test]
    fn only_ipv4_ranges_are_read() {
        assert_eq!(net("10.201.7.9/16").to_string(), "10.201.0.0/16");
        assert_eq!(net("0.0.0.0/0").to_string(), "0.0.0.0/0");
        for bad in ["10.0.0.0", "10.0.0.0/33", "fd00::/64", "10.0.0/8", "x/8", ""] {
            assert_eq!(Subnet::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_first_free_range_is_taken() {
        let pool = "10.201.0.0/16";
        assert_eq!(free(pool, 26, &[]).as_deref(), Some("10.201.0.0/26"));
        assert_eq!(free(pool, 26, &["10.201.0.0/26"]).as_deref(), Some("10.201.0.64/26"));
        assert_eq!(free(pool, 26, &["10.201.0.64/26"]).as_deref(), Some("10.201.0.0/26"));
        assert_eq!(free(pool, 26, &["172.17.0.0/16", "10.201.0.0/24"]).as_deref(), Some("10.201.1.0/26"));
        assert_eq!(free(pool, 24, &["10.201.0.128/29"]).as_deref(), Some("10.201.1.0/24"));
    }

    #[test]
    fn a_full_pool_has_none() {
        assert_eq!(free("10.0.0.0/24", 25, &["10.0.0.0/25", "10.0.0.200/32"]), None);
        assert_eq!(free("10.0.0.0/24", 26, &["10.0.0.0/8"]), None);
        assert_eq!(free("10.0.0.0/24", 16, &[]), None);
        assert_eq!(free("255.255.255.0/24", 24, &["255.255.255.255/32"]), None);
    }

    proptest! {
        #[test]
        fn what_is_free_overlaps_nothing_and_lies_in_the_pool(
            taken in prop::collection::vec((0u32..1 << 16, 20u8..=32), 0..40),
            prefix in 18u8..=29,
        ) {
            let pool = net("10.201.0.0/16");
            let taken: Vec<_> = taken
                .into_iter()
                .map(|(offset, prefix)| net(&format!("{}/{prefix}", Ipv4Addr::from(pool.first + offset))))
                .collect();
            let brute = (0..1u32 << (prefix - 16))
                .map(|n| Subnet { first: pool.first + (n << (32 - prefix)), prefix })
                .find(|s| !taken.iter().any(|t| t.overlaps(*s)));
            prop_assert_eq!(pool.first_free(prefix, &taken), brute);
        }
    }
}
