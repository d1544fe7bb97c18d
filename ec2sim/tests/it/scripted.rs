//! Scripted boots: what a registry sees of them.

use crate::registry::Registry;
use crate::sim::{Sim, until};
use base64::Engine;
use serde_json::json;

const BOOT: [&str; 3] = ["started ok", "engine-ready ok", "image-pulled ok"];

fn start() -> Sim {
    Sim::start(&["--no-limits", "--boot", "scripted", "--stage-ms", "1", "--heartbeat-ms", "20"])
}

/// The parameter with the user-data of a box.
fn user_data(url: &str) -> String {
    let script = format!(
        "#!/bin/sh\nATELIER_PLATFORM_URL='{url}'\nATELIER_WORKSPACE_ID='u-1'\n\
         ATELIER_BOOTSTRAP_TOKEN='bootstrap-token'\nATELIER_IMAGE='agent:1'\nset -eu\nexit 1\n"
    );
    let encoded = base64::engine::general_purpose::STANDARD.encode(script);
    let encoded: String = form_urlencoded::byte_serialize(encoded.as_bytes()).collect();
    format!("UserData={encoded}")
}

#[tokio::test]
async fn a_box_boots_registers_and_beats_from_its_own_address() {
    let (sim, (registry, url)) = (start(), Registry::start(0).await);
    let id = sim.run(&user_data(&url)).await;
    until("two heartbeats", async || registry.count("POST /registry/heartbeat") >= 2).await;
    let mut expected = BOOT.to_vec();
    expected.extend([
        "GET /registry/bundle",
        "bundle-fetched ok",
        "agent-started ok",
        "POST /registry/register",
    ]);
    assert_eq!(registry.story()[..7], expected);
    let address = sim.json("instances").await[0]["privateIpAddress"].as_str().unwrap().to_owned();
    let seen = registry.seen();
    assert!(seen.iter().all(|call| call.from == address), "{seen:?}");
    assert!(seen[..5].iter().all(|call| call.token == "bootstrap-token"), "{seen:?}");
    assert!(seen[5..].iter().all(|call| call.token == "workspace-token"), "{seen:?}");
    assert_eq!(seen[6].body["id"], "u-1");
    assert_eq!(seen[6].body["url"], format!("http://{address}:8000"));
    assert!(seen[7].body["uptime_seconds"].as_u64() >= Some(1));
    let console = sim.call(&format!("Action=GetConsoleOutput&InstanceId={id}&Latest=true")).await;
    let text = base64::engine::general_purpose::STANDARD.decode(console.element("output")).unwrap();
    assert!(String::from_utf8(text).unwrap().contains("registered"));
}

#[tokio::test]
async fn a_second_boot_starts_the_agent_and_runs_no_user_data() {
    let (sim, (registry, url)) = (start(), Registry::start(0).await);
    let id = sim.run(&user_data(&url)).await;
    until("registered", async || registry.count("POST /registry/register") == 1).await;
    sim.call(&format!("Action=StopInstances&InstanceId.1={id}")).await;
    sim.until_state(&id, "stopped").await;
    let quiet = registry.seen().len();
    sim.call(&format!("Action=StartInstances&InstanceId.1={id}")).await;
    until("registered again", async || registry.count("POST /registry/register") == 2).await;
    assert_eq!(registry.story()[quiet..quiet + 2], ["agent-started ok", "POST /registry/register"]);
    assert_eq!(registry.count("started ok"), 1);
    assert_eq!(registry.count("GET /registry/bundle"), 1);
}

#[tokio::test]
async fn a_bundle_that_is_refused_is_asked_for_again() {
    let (sim, (registry, url)) = (start(), Registry::start(2).await);
    sim.run(&user_data(&url)).await;
    until("registered", async || registry.count("POST /registry/register") == 1).await;
    assert_eq!(registry.count("GET /registry/bundle"), 3);
}

#[tokio::test]
async fn a_terminated_box_says_no_more() {
    let (sim, (registry, url)) = (start(), Registry::start(0).await);
    let id = sim.run(&user_data(&url)).await;
    until("a heartbeat", async || registry.count("POST /registry/heartbeat") >= 1).await;
    sim.call(&format!("Action=TerminateInstances&InstanceId.1={id}")).await;
    sim.until_state(&id, "terminated").await;
    let (_, other) = (registry.clone(), sim.run(&user_data(&url)).await);
    let before = registry.seen().len();
    until("another box beats", async || registry.count("POST /registry/heartbeat") >= before + 5).await;
    let addresses = sim.json("instances").await;
    let address = addresses.as_array().unwrap().iter().find(|one| one["instanceId"] == other).unwrap()
        ["privateIpAddress"]
        .clone();
    assert!(registry.seen()[before..].iter().all(|call| call.from == address));
}

#[tokio::test]
async fn a_boot_can_be_told_to_fail() {
    let (sim, (registry, url)) = (start(), Registry::start(0).await);
    let order = json!([
        {"effect": "fail-at", "stage": "image-pulled", "detail": "no such image", "count": 1},
        {"effect": "stop-at", "stage": "engine-ready", "count": 1},
        {"effect": "never-call", "count": 1},
        {"effect": "silent-after", "beats": 3, "count": 1},
    ]);
    sim.post("boot-faults", order).await;
    let boots = async |n: u64| {
        let faults = sim.json("boot-faults").await;
        faults.as_array().unwrap().iter().map(|fault| fault["hit"].as_u64().unwrap()).sum::<u64>() == n
    };
    sim.run(&user_data(&url)).await;
    until("the failed stage", async || registry.count("image-pulled failed") == 1).await;
    assert_eq!(registry.seen()[2].body["detail"], "no such image");
    sim.run(&user_data(&url)).await;
    until("the second boot", async || registry.count("started ok") == 2).await;
    let silent = sim.run(&user_data(&url)).await;
    until("the third boot", async || boots(3).await).await;
    sim.run(&user_data(&url)).await;
    until("three heartbeats", async || registry.count("POST /registry/heartbeat") == 3).await;
    until("the fourth boot", async || boots(4).await).await;
    sim.run(&user_data(&url)).await;
    until("another box beats", async || registry.count("POST /registry/heartbeat") >= 10).await;
    let beats: Vec<String> = registry
        .seen()
        .into_iter()
        .filter(|call| call.what == "POST /registry/heartbeat")
        .map(|call| call.from)
        .collect();
    assert_eq!(beats.iter().filter(|address| **address == beats[0]).count(), 3, "silent after three");
    assert_eq!((registry.count("engine-ready ok"), registry.count("started ok")), (3, 4));
    let console = sim.call(&format!("Action=GetConsoleOutput&InstanceId={silent}&Latest=true")).await;
    let text = base64::engine::general_purpose::STANDARD.decode(console.element("output")).unwrap();
    assert_eq!(String::from_utf8(text).unwrap(), "this machine was told never to call\n");
    let (status, _) = sim.admin("boot-faults", json!({"effect": "fail-at"})).await;
    assert_eq!(status, 400);
}
