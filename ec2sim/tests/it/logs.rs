//! The call log and the audit: what tests of others rely on.

use crate::sim::{RUN, Sim, until};
use base64::Engine;
use serde_json::{Value, json};

fn tagged(uid: &str, attempt: u32) -> String {
    format!(
        "TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.1.Key=atelier.dev/uid&\
         TagSpecification.1.Tag.1.Value={uid}&TagSpecification.1.Tag.2.Key=atelier.dev/attempt&\
         TagSpecification.1.Tag.2.Value={attempt}"
    )
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn the_log_tells_every_call_and_never_the_user_data() {
    let path = std::env::temp_dir().join(format!("ec2sim-calls-{}.jsonl", std::process::id()));
    let sim = Sim::start(&["--no-limits", "--call-log", path.to_str().unwrap()]);
    let encoded = base64::engine::general_purpose::STANDARD.encode("#!/bin/sh\nTOKEN='a-secret'\n");
    let encoded: String = form_urlencoded::byte_serialize(encoded.as_bytes()).collect();
    let more = format!("ClientToken=a&UserData={encoded}");
    let id = sim.run(&more).await;
    sim.run(&more).await;
    sim.call("Action=TerminateInstances&InstanceId.1=i-0123456789abcdef0").await;
    let text = sim.text("calls?action=RunInstances").await;
    let calls = lines(&text);
    assert_eq!(calls.len(), 2);
    assert_eq!((&calls[0]["committed"], &calls[0]["replayed"]), (&json!(true), &json!(false)));
    assert_eq!((&calls[1]["committed"], &calls[1]["replayed"]), (&json!(false), &json!(true)));
    assert!(
        calls.iter().all(|call| call["results"] == json!([id]) && call["params"]["UserData.Bytes"] == "27")
    );
    let refused = &lines(&sim.text("calls?action=TerminateInstances").await)[0];
    assert_eq!(refused["error"]["code"], "InvalidInstanceID.NotFound");

    let all = sim.text("calls").await;
    let numbers: Vec<u64> = lines(&all).iter().map(|line| line["seq"].as_u64().unwrap()).collect();
    assert!(numbers.iter().copied().eq(1..=numbers.len() as u64), "{numbers:?}");
    let file = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(file.starts_with(&all), "the file has what was answered, and maybe more");
    let truth = sim.text("instances").await;
    for shown in [&all, &truth] {
        assert!(!shown.contains("a-secret") && !shown.contains(&encoded), "{shown}");
    }
    assert_eq!(sim.json("instances").await[0]["userDataBytes"], 27);
}

#[tokio::test]
async fn the_audit_counts_who_lived_at_the_same_instant() {
    let sim = Sim::start(&["--no-limits"]);
    let first = sim.run(&tagged("u-1", 1)).await;
    sim.run(&tagged("u-2", 1)).await;
    sim.call(&format!("Action=TerminateInstances&InstanceId.1={first}")).await;
    sim.run(&tagged("u-1", 2)).await;
    let audit = sim.json("audit").await;
    assert_eq!((&audit["maxPerUid"], &audit["launched"], &audit["alive"]), (&json!(1), &json!(3), &json!(2)));
    assert!(audit["uids"]["u-1"]["instances"][0]["to"].is_string());
    sim.run(&tagged("u-1", 2)).await;
    let audit = sim.json("audit?uid=u-1").await;
    assert_eq!(
        (&audit["maxPerUid"], &audit["maxPerAttempt"], &audit["launched"]),
        (&json!(2), &json!(2), &json!(3))
    );
}

#[tokio::test]
async fn deaths_behind_our_back_are_real_and_show_their_reason() {
    let sim = Sim::start(&["--no-limits"]);
    let (killed, spot, stopped) = (sim.run("").await, sim.run("").await, sim.run("").await);
    for id in [&killed, &spot, &stopped] {
        sim.until_state(id, "running").await;
    }
    let own = json!({"code": "Server.HardwareFailure", "message": "the host died"});
    sim.post(&format!("instances/{killed}/kill"), own).await;
    sim.post(&format!("instances/{spot}/interrupt-spot"), json!(null)).await;
    sim.post(&format!("instances/{stopped}/stop"), json!(null)).await;
    sim.until_state(&killed, "terminated").await;
    sim.until_state(&spot, "terminated").await;
    sim.until_state(&stopped, "stopped").await;
    let text = sim.call(&format!("Action=DescribeInstances&InstanceId.1={killed}")).await.text;
    assert!(text.contains("<code>Server.HardwareFailure</code><message>the host died</message>"), "{text}");
    assert_eq!(sim.admin(&format!("instances/{killed}/kill"), json!(null)).await.0, 409);
    assert_eq!(sim.admin("instances/i-0/kill", json!(null)).await.0, 404);
    assert_eq!(sim.admin(&format!("instances/{killed}/dance"), json!(null)).await.0, 404);
}

#[tokio::test]
async fn a_reset_forgets_everything_but_reuses_no_id() {
    let sim = Sim::start(&["--no-limits", "--seed", "7"]);
    let before = sim.run("ClientToken=a").await;
    sim.post("settings", json!({"lagMs": 1000})).await;
    sim.post("reset", json!(null)).await;
    assert_eq!(sim.count().await, 0);
    assert_eq!(sim.json("volumes").await, json!([]));
    assert_eq!(sim.json("settings").await["lagMs"], 0);
    assert_ne!(sim.run("ClientToken=a").await, before);
    assert_eq!(sim.json("audit").await["launched"], 1);
}

#[tokio::test]
async fn settings_are_changed_by_name_and_mistakes_change_nothing() {
    let sim = Sim::start(&["--no-limits"]);
    sim.post("settings", json!({"pendingMs": 3_600_000})).await;
    for wrong in [json!({"pendingMs": "soon"}), json!({"colour": 1}), json!([1])] {
        assert_eq!(sim.admin("settings", wrong).await.0, 400);
    }
    let settings = sim.json("settings").await;
    assert_eq!((&settings["pendingMs"], &settings["limits"]), (&json!(3_600_000), &json!(false)));
    sim.run("").await;
    sim.post("settings", json!({"pendingMs": 0})).await;
    let second = sim.run("").await;
    sim.until_state(&second, "running").await;
    let states = sim.json("instances").await;
    assert!(
        states.as_array().unwrap().iter().any(|one| one["state"] == "pending"),
        "the first one still waits"
    );
}

#[tokio::test]
async fn it_says_that_it_is_well_and_what_it_offers() {
    let sim = Sim::start(&["--region", "eu-central-1", "--account", "111122223333"]);
    assert_eq!(sim.text("../healthz").await, "ok\n");
    let world = sim.json("world").await;
    assert_eq!((&world["region"], &world["account"]), (&json!("eu-central-1"), &json!("111122223333")));
    assert_eq!(world["subnets"][1]["zone"], "eu-central-1b");
    assert_eq!(sim.announced["subnets"], world["subnets"]);
}

#[tokio::test]
async fn an_instance_and_what_hangs_on_it_go_together() {
    let sim = Sim::start(&["--no-limits"]);
    let id = sim.call(RUN).await.element("instanceId");
    assert_eq!(sim.json("network-interfaces").await.as_array().unwrap().len(), 1);
    sim.call(&format!("Action=TerminateInstances&InstanceId.1={id}")).await;
    let gone =
        async || sim.json("network-interfaces").await == json!([]) && sim.json("volumes").await == json!([]);
    until("nothing left", gone).await;
}
