//! Which instance type in which subnet: the platform's order of preference, without what is short of capacity.

use crate::api::backend_config::Ec2Spec;
use crate::api::workspace::Tier;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, HashMap};

/// How long an offering is passed over, by all, after EC2 had no capacity for it.
const SHORT: SignedDuration = SignedDuration::from_mins(3);

/// An instance type in a subnet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Offering {
    /// The type.
    pub instance_type: String,
    /// The subnet.
    pub subnet_id: String,
}

/// The offerings for a tier, in order of preference: every type in the first subnet that suits, and so on. With
/// a zone, only the subnets that are in it: a volume cannot leave its zone.
pub fn offerings(
    spec: &Ec2Spec,
    zones: &BTreeMap<String, String>,
    tier: Tier,
    zone: Option<&str>,
) -> Vec<Offering> {
    let types = spec.instance_types.iter().find(|t| t.tier == tier).map_or(&[][..], |t| &t.types);
    let suits = |subnet: &&String| zone.is_none_or(|zone| zones.get(*subnet).is_some_and(|z| z == zone));
    let subnets = || spec.subnet_ids.iter().filter(suits);
    let of_type = |instance_type: &String| {
        let instance_type = instance_type.clone();
        subnets().map(move |subnet_id| Offering {
            instance_type: instance_type.clone(),
            subnet_id: subnet_id.clone(),
        })
    };
    types.iter().flat_map(of_type).collect()
}

/// The offerings that EC2 had no capacity for lately.
#[derive(Debug, Default)]
pub struct Shortages(HashMap<Offering, Timestamp>);

impl Shortages {
    /// EC2 had no capacity for it.
    pub fn note(&mut self, offering: Offering, now: Timestamp) {
        self.0.retain(|_, until| *until > now);
        self.0.insert(offering, now.saturating_add(SHORT).unwrap_or(Timestamp::MAX));
    }

    /// The first that is not short; where all are, the one that is tried again first.
    pub fn choose<'a>(&self, offerings: &'a [Offering], now: Timestamp) -> Option<&'a Offering> {
        let until = |o: &Offering| self.0.get(o).copied().filter(|until| *until > now);
        offerings.iter().find(|o| until(o).is_none()).or_else(|| offerings.iter().min_by_key(|o| until(o)))
    }

    /// Until when all of them are short; `None` while one is not, or where there is none.
    pub fn all_until(&self, offerings: &[Offering], now: Timestamp) -> Option<Timestamp> {
        let until = |o: &Offering| self.0.get(o).copied().filter(|until| *until > now);
        let all: Option<Vec<_>> = offerings.iter().map(until).collect();
        all?.into_iter().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn spec() -> Ec2Spec {
        serde_json::from_value(json!({
            "controlPlane": {"url": "https://cp", "tokenSecretRef": {"name": "s", "key": "k"}},
            "region": "r", "amiID": "ami-1", "subnetIDs": ["subnet-a", "subnet-b"],
            "instanceTypes": [{"tier": "T2", "types": ["big", "small"]}],
        }))
        .unwrap()
    }

    fn zones() -> BTreeMap<String, String> {
        [("subnet-a", "r-1"), ("subnet-b", "r-2")].map(|(s, z)| (s.to_owned(), z.to_owned())).into()
    }

    fn names(offerings: &[Offering]) -> Vec<String> {
        offerings.iter().map(|o| format!("{} {}", o.instance_type, o.subnet_id)).collect()
    }

    #[test]
    fn types_come_before_subnets_and_a_volume_s_zone_before_both() {
        let all = offerings(&spec(), &zones(), Tier::T2, None);
        assert_eq!(names(&all), ["big subnet-a", "big subnet-b", "small subnet-a", "small subnet-b"]);
        let pinned = offerings(&spec(), &zones(), Tier::T2, Some("r-2"));
        assert_eq!(names(&pinned), ["big subnet-b", "small subnet-b"]);
        assert!(offerings(&spec(), &zones(), Tier::T1, None).is_empty());
        assert!(offerings(&spec(), &zones(), Tier::T2, Some("r-3")).is_empty());
    }

    #[test]
    fn what_is_short_is_passed_over_for_three_minutes() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let all = offerings(&spec(), &zones(), Tier::T2, None);
        let mut shortages = Shortages::default();
        for (n, offering) in all.iter().enumerate() {
            assert_eq!(shortages.choose(&all, at(10)), Some(offering));
            assert_eq!(shortages.all_until(&all, at(10)), None);
            shortages.note(offering.clone(), at(i64::try_from(n).unwrap()));
        }
        assert_eq!(shortages.all_until(&all, at(10)), Some(at(180)));
        assert_eq!(shortages.choose(&all, at(10)), Some(&all[0]), "the one that is tried again first");
        assert_eq!(shortages.all_until(&all, at(181)), None);
        assert_eq!(shortages.choose(&all, at(181)), Some(&all[0]));
        assert_eq!(shortages.all_until(&[], at(10)), None);
    }
}
