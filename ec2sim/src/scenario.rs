//! A scenario: what is there at the start, how slow and strict it is, and what goes wrong.

use crate::boot::BootOrder;
use crate::faults::Order;
use crate::world::catalog::Catalog;
use crate::world::settings::Settings;
use serde::{Deserialize, Serialize};

/// A scenario file, in YAML. Every part may be left out.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Scenario {
    /// Account, zones, subnets, images, types.
    pub world: Catalog,
    /// Delays, lag and limits.
    pub settings: Settings,
    /// Faults of calls.
    pub faults: Vec<Order>,
    /// Faults of scripted boots.
    pub boot_faults: Vec<BootOrder>,
}

impl Scenario {
    /// Reads YAML.
    ///
    /// # Errors
    /// A text for people: the place in the file, or the fault that makes no sense.
    pub fn parse(yaml: &str) -> Result<Self, String> {
        let scenario: Self = serde_saphyr::from_str(yaml).map_err(|error| error.to_string())?;
        for (i, order) in scenario.faults.iter().enumerate() {
            order.check().map_err(|why| format!("faults[{i}]: {why}"))?;
        }
        for (i, order) in scenario.boot_faults.iter().enumerate() {
            order.check().map_err(|why| format!("bootFaults[{i}]: {why}"))?;
        }
        Ok(scenario)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_is_read_and_a_mistake_in_it_is_named() {
        let scenario = Scenario::parse(
            "settings: {lagMs: 1500, limits: false}\n\
             world: {region: eu-central-1, vpcCidr: 127.80.0.0/16}\n\
             faults:\n\
             - {action: RunInstances, target: {zone: eu-central-1a}, effect: error, code: InsufficientInstanceCapacity}\n\
             bootFaults:\n\
             - {effect: fail-at, stage: image-pulled, detail: no such image, count: 2}\n",
        )
        .unwrap();
        assert_eq!(scenario.settings.lag_ms, 1_500);
        assert_eq!(scenario.world.complete().unwrap().subnets[0].zone, "eu-central-1a");
        for (yaml, word) in [
            ("faults: [{effect: error}]", "faults[0]"),
            ("bootFaults: [{effect: fail-at}]", "bootFaults[0]"),
            ("setings: {}", "setings"),
            ("world: {vpcCidr: 1.2.3.4}", "1.2.3.4"),
        ] {
            let error = Scenario::parse(yaml).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }
}
