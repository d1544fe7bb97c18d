//! Faults of scripted boots: which machine they hit, and how far it comes.

use crate::faults::{Facts, Target};
use crate::world::Machine;
use atelier_wire::BootStage;
use serde::{Deserialize, Serialize};

/// A fault as it is ordered, in JSON or YAML.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BootOrder {
    /// What it is limited to.
    #[serde(default)]
    pub target: Target,
    /// What happens.
    pub effect: BootEffect,
    /// At which stage, for `fail-at` and `stop-at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<BootStage>,
    /// The last lines of the failed stage.
    #[serde(default)]
    pub detail: String,
    /// After how many heartbeats, for `silent-after`.
    #[serde(default)]
    pub beats: u64,
    /// For how many boots; default: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}

/// What a boot suffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BootEffect {
    /// The machine never calls.
    NeverCall,
    /// The stage is posted as failed, and nothing follows.
    FailAt,
    /// The stage is not reached, and nobody is told.
    StopAt,
    /// Heartbeats end; the instance runs on.
    SilentAfter,
}

impl BootOrder {
    /// Refuses an order that could not do what it says.
    pub fn check(&self) -> Result<(), String> {
        let staged = matches!(self.effect, BootEffect::FailAt | BootEffect::StopAt);
        if staged == self.stage.is_some() {
            Ok(())
        } else {
            Err("effects `fail-at` and `stop-at`, and no others, need a `stage`".into())
        }
    }
}

/// Faults in force, the first that matches wins.
#[derive(Default)]
pub struct BootFaults(Vec<BootFault>);

/// A fault in force.
#[derive(Serialize)]
pub struct BootFault {
    #[serde(flatten)]
    order: BootOrder,
    /// How many boots it hit.
    hit: u64,
}

impl BootFaults {
    /// Puts a fault in force.
    pub fn add(&mut self, order: BootOrder) {
        self.0.push(BootFault { order, hit: 0 });
    }

    /// Those in force.
    pub fn all(&self) -> &[BootFault] {
        &self.0
    }

    /// Puts all out of force.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// What this boot is to suffer, and counts it.
    pub fn pick(&mut self, machine: &Machine) -> Option<BootOrder> {
        let facts = Facts {
            instance_type: Some(machine.instance_type.clone()),
            subnet: Some(machine.subnet.clone()),
            zone: Some(machine.zone.clone()),
            tags: machine.tags.clone(),
        };
        let fault = self.0.iter_mut().find(|fault| {
            fault.order.count.is_none_or(|count| fault.hit < count) && fault.order.target.matches(&facts)
        })?;
        fault.hit += 1;
        Some(fault.order.clone())
    }
}
