//! The script, run for real by every shell of this machine, in a folder of its own, with an engine that takes
//! notes and a registry that answers as it is told.

mod container;
mod machine;
mod stages;
mod text;
mod volume;

use super::*;
use crate::api::backend_config::Runtime;
use crate::api::workspace::Tier;
use crate::backend::BoxOrder;
use machine::{Machine, Run};

const UID: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";
const TOKEN: &str = "v1.a.bootstrap.0f8fad5b-d9cb-469f-a165-70867728950e.2.c2VjcmV0LW1hYw";
const AGENT_TOKEN: &str = "v1.a.workspace.the-agents-own";

fn plan(tier: Tier, command: &[&str]) -> ContainerPlan {
    let runtime = Runtime {
        image: "agent:1".into(),
        command: command.iter().map(|word| (*word).to_owned()).collect(),
        ..Runtime::default()
    };
    ContainerPlan::new(&BoxOrder {
        uid: UID,
        namespace: "ns",
        name: "w",
        attempt: 2,
        spec_hash: "h",
        network_of: "t",
        tier,
        granted: None,
        runtime: &runtime,
        platform_url: "http://registry",
        ca_bundle: None,
        recorded: None,
        zone: None,
        retain: false,
    })
}

fn boot<'a>(container: &'a ContainerPlan, platform_url: &'a str) -> Boot<'a> {
    Boot { container, workspace_id: UID, attempt: 2, platform_url, bootstrap_token: TOKEN, ca_bundle: None }
}

/// Runs a machine as it is with a plain plan.
fn run(machine: &Machine) -> Run {
    let plan = plan(Tier::T2, &[]);
    machine.run(&render(&boot(&plan, machine.url())).unwrap())
}
