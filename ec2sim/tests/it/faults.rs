//! Faults: what the caller sees, and what was really done.

use crate::sim::{RUN, Sim, until};
use serde_json::json;
use std::time::Duration;

fn token(name: &str) -> String {
    format!("{RUN}&ClientToken={name}")
}

#[tokio::test]
async fn a_lost_answer_has_launched_and_the_token_finds_it() {
    let sim = Sim::start(&["--no-limits"]);
    for effect in ["commit-then-drop", "garbage"] {
        sim.post("faults", json!({"action": "RunInstances", "effect": effect, "count": 1})).await;
        match sim.try_call(&token(effect)).await {
            Err(error) => assert_eq!(effect, "commit-then-drop", "{error}"),
            Ok(answer) => assert!(effect == "garbage" && !answer.text.contains("instanceId"), "{effect}"),
        }
    }
    assert_eq!(sim.count().await, 2);
    assert_eq!(sim.call(&token("commit-then-drop")).await.status, 200);
    assert_eq!(sim.count().await, 2);
}

#[tokio::test]
async fn a_call_that_is_dropped_before_it_was_done_has_done_nothing() {
    let sim = Sim::start(&["--no-limits"]);
    sim.post("faults", json!({"effect": "drop-before-commit", "count": 1})).await;
    assert!(sim.try_call(&token("a")).await.is_err());
    assert_eq!(sim.count().await, 0);
}

#[tokio::test]
async fn a_call_that_hangs_is_done_and_one_that_is_late_is_done_after_its_caller_left() {
    let sim = Sim::start(&["--no-limits"]);
    let leaving =
        async |form: String| tokio::time::timeout(Duration::from_millis(100), sim.try_call(&form)).await;
    sim.post("faults", json!({"effect": "commit-then-hang", "count": 1})).await;
    assert!(leaving(token("a")).await.is_err(), "no answer");
    until("the one that hangs", async || sim.count().await == 1).await;
    sim.post("faults", json!({"effect": "delay", "delayMs": 3000, "count": 1})).await;
    assert!(leaving(token("b")).await.is_err(), "no answer yet");
    assert_eq!(sim.count().await, 1);
    until("the one that is late", async || sim.count().await == 2).await;
}

#[tokio::test]
async fn an_error_has_its_code_message_and_status() {
    let sim = Sim::start(&["--no-limits"]);
    for (code, status) in [
        ("InsufficientInstanceCapacity", 500),
        ("VcpuLimitExceeded", 400),
        ("UnauthorizedOperation", 403),
        ("RequestLimitExceeded", 503),
        ("InternalError", 500),
    ] {
        let order = json!({"action": "RunInstances", "effect": "error", "code": code, "message": "as told", "count": 1});
        sim.post("faults", order).await;
        let answer = sim.call(&token("a")).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code(), answer.element("Message")),
            (status, code.into(), "as told".into())
        );
    }
    assert_eq!(sim.count().await, 0);
    assert_eq!(sim.call(&token("a")).await.status, 200);
}

#[tokio::test]
async fn capacity_is_short_by_type_and_zone_and_never_for_a_replay() {
    let sim = Sim::start(&["--no-limits"]);
    sim.run("ClientToken=a").await;
    let target = json!({"instanceType": "t3.medium", "zone": "us-east-1a"});
    sim.post("faults", json!({"target": target, "effect": "error", "code": "InsufficientInstanceCapacity"}))
        .await;
    assert_eq!(sim.call(&token("a")).await.status, 200, "a replay needs no room");
    assert_eq!(sim.call(&token("b")).await.code(), "InsufficientInstanceCapacity");
    for (from, to) in [("t3.medium", "t3.large"), ("subnet-0a7e11e7000000001", "subnet-0a7e11e7000000002")] {
        assert_eq!(sim.call(&token("c").replace(from, to)).await.status, 200, "{to}");
    }
}

#[tokio::test]
async fn a_fault_that_makes_no_sense_is_refused_and_faults_can_be_listed_and_cleared() {
    let sim = Sim::start(&[]);
    for order in [
        json!({"effect": "error"}),
        json!({"effect": "delay", "colour": "red"}),
        json!({"effect": "delay", "target": {"colour": "red"}}),
        json!({"action": "Dance", "effect": "delay"}),
        json!("x"),
    ] {
        let (status, text) = sim.admin("faults", order).await;
        assert_eq!(status, 400);
        assert!(text.contains("error"), "{text}");
    }
    sim.post("faults", json!([{"effect": "delay"}, {"effect": "garbage"}])).await;
    assert_eq!(sim.json("faults").await.as_array().unwrap().len(), 2);
    sim.post("reset", json!(null)).await;
    assert_eq!(sim.json("faults").await, json!([]));
}

#[tokio::test]
async fn a_scenario_sets_the_stage() {
    let path = std::env::temp_dir().join(format!("ec2sim-scenario-{}.yaml", std::process::id()));
    let yaml = "world: {account: '111122223333'}\nsettings: {limits: false}\n\
                faults:\n- {action: RunInstances, nth: 2, effect: error, code: InternalError}\n";
    std::fs::write(&path, yaml).unwrap();
    let sim = Sim::start(&["--scenario", path.to_str().unwrap()]);
    std::fs::remove_file(&path).unwrap();
    let first = sim.call(RUN).await;
    assert_eq!(first.element("ownerId"), "111122223333");
    assert_eq!(sim.call(RUN).await.code(), "InternalError");
    assert_eq!(sim.call(RUN).await.status, 200);
}
