//! The real agent, as a process, against a tiny registry in this one.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on must fail")]

mod agent;
mod registry;

use agent::{Agent, TOKEN, WORKSPACE};
use atelier_wire::contract::{AGENT_CARD_PATH, AGENT_CARD_PATH_OLD};
use atelier_wire::paths::{BOOT, EXIT, HEARTBEAT, REGISTER};
use registry::{Registry, Reserved};
use serde_json::{Value, json};

#[tokio::test]
async fn an_agent_announces_itself_and_goes_on_beating() {
    let registry = Registry::start();
    let mut agent = Agent::start("announces", &registry.url, &["run"]);
    let calls = registry.until(|calls| count(calls, HEARTBEAT) >= 2).await;

    let order: Vec<_> = calls.iter().take(3).map(|call| call.path.as_str()).collect();
    assert_eq!(order, [BOOT, REGISTER, HEARTBEAT]);
    assert!(calls.iter().all(|call| call.authorization == format!("Bearer {TOKEN}")));
    assert_eq!(calls[0].body, json!({"stage": "agent-started", "ok": true}));
    assert_eq!(calls[1].body["id"], WORKSPACE);
    assert_eq!(calls[1].body["agent_card"]["name"], "Tester");
    assert_eq!(calls[2].body["workspace_id"], WORKSPACE);
    assert!(calls[2].body["uptime_seconds"].as_u64().unwrap() >= 1);

    assert_eq!(agent.stop().await, 0);
}

#[tokio::test]
async fn the_advertised_url_serves_card_health_and_echo() {
    let registry = Registry::start();
    let mut agent = Agent::start("serves", &registry.url, &["run"]);
    let calls = registry.until(|calls| count(calls, REGISTER) == 1).await;
    let register = &calls.iter().find(|call| call.path == REGISTER).unwrap().body;
    let url = register["url"].as_str().unwrap();

    for path in [AGENT_CARD_PATH, AGENT_CARD_PATH_OLD] {
        let (code, card) =
            Agent::start("card", &registry.url, &["get", &format!("{url}{path}")]).output().await;
        let card: Value = serde_json::from_str(&card).unwrap();
        assert_eq!((code, &card["name"], &card["skills"][0]["id"]), (0, &json!("Tester"), &json!("echo")));
        assert_eq!(card["url"], url);
    }
    let health = Agent::start("health", &registry.url, &["get", &format!("{url}/healthz")]).output().await;
    assert_eq!(health, (0, "ok\n".to_owned()));
    let missing = Agent::start("missing", &registry.url, &["get", &format!("{url}/missing")]).output().await;
    assert_eq!(missing.0, 1);

    let request = json!({"method": "message/send",
                         "params": {"message": {"parts": [{"kind": "text", "text": "hello"}]}}});
    let reply = registry::post(url, &request).await;
    assert_eq!(reply["result"]["parts"][0]["text"], "hello");
    assert_eq!(agent.stop().await, 0);
}

#[tokio::test]
async fn a_registry_that_comes_late_is_waited_for() {
    let port = Reserved::port();
    let mut agent = Agent::start("late", &port.url, &["run"]);
    let complaint = agent.until_stderr("next try in").await;
    assert!(complaint.contains("onnection refused"), "{complaint}");

    let registry = port.start();
    let calls = registry.until(|calls| count(calls, HEARTBEAT) >= 1).await;
    let order: Vec<_> = calls.iter().take(3).map(|call| call.path.as_str()).collect();
    assert_eq!(order, [BOOT, REGISTER, HEARTBEAT]);
    assert_eq!(agent.stop().await, 0);
    assert!(!agent.stderr().contains(TOKEN));
}

#[tokio::test]
async fn a_refused_registration_is_tried_again() {
    let registry = Registry::start();
    registry.fail_next(REGISTER, 401);
    let mut agent = Agent::start("refused", &registry.url, &["run"]);
    let calls = registry.until(|calls| count(calls, HEARTBEAT) >= 1).await;
    assert_eq!(count(&calls, REGISTER), 2);
    assert!(agent.until_stderr("next try in").await.contains("401 Unauthorized: as the test wants"));
    assert_eq!(agent.stop().await, 0);
    assert!(!agent.stderr().contains(TOKEN));
}

#[tokio::test]
async fn after_a_failed_heartbeat_the_agent_registers_again() {
    let registry = Registry::start();
    registry.fail_next(HEARTBEAT, 503);
    let mut agent = Agent::start("again", &registry.url, &["run"]);
    let calls = registry.until(|calls| count(calls, HEARTBEAT) >= 2).await;
    let order: Vec<_> = calls.iter().map(|call| call.path.as_str()).take(5).collect();
    assert_eq!(order, [BOOT, REGISTER, HEARTBEAT, REGISTER, HEARTBEAT]);
    assert_eq!(agent.stop().await, 0);
}

#[tokio::test]
async fn a_superseded_agent_goes_on_beating_and_does_not_register_again() {
    let registry = Registry::start();
    registry.fail_next(HEARTBEAT, 401);
    let mut agent = Agent::start("superseded", &registry.url, &["run"]);
    let calls = registry.until(|calls| count(calls, HEARTBEAT) >= 2).await;
    assert_eq!(count(&calls, REGISTER), 1);
    assert_eq!(agent.stop().await, 0);
}

#[tokio::test]
async fn the_exit_of_a_command_is_reported_with_code_and_output() {
    let registry = Registry::start();
    let script = "echo to-stdout; echo to-stderr >&2; exit 3";
    let mut agent = Agent::start("exit", &registry.url, &["run", "--", "sh", "-c", script]);
    let (code, stdout) = agent.output().await;
    assert_eq!((code, stdout.as_str()), (3, "to-stdout\n"));
    assert!(agent.stderr().contains("to-stderr\n"));

    let calls = registry.until(|calls| count(calls, EXIT) == 1).await;
    let exit = &calls.iter().find(|call| call.path == EXIT).unwrap().body;
    assert_eq!((&exit["exit_code"], &exit["signal"]), (&json!(3), &Value::Null));
    let tail = exit["log_tail"].as_str().unwrap();
    assert!(tail.contains("to-stdout\n") && tail.contains("to-stderr\n"), "{tail:?}");
}

#[tokio::test]
async fn of_long_output_the_last_two_kibibytes_are_reported() {
    let registry = Registry::start();
    let script = "i=0; while [ $i -lt 1000 ]; do echo line-$i; i=$((i+1)); done; kill -9 $$";
    let mut agent = Agent::start("long", &registry.url, &["run", "--", "sh", "-c", script]);
    let (code, stdout) = agent.output().await;
    assert_eq!((code, stdout.lines().count()), (137, 1000));

    let calls = registry.until(|calls| count(calls, EXIT) == 1).await;
    let exit = &calls.iter().find(|call| call.path == EXIT).unwrap().body;
    assert_eq!((&exit["exit_code"], &exit["signal"]), (&json!(137), &json!(9)));
    let tail = exit["log_tail"].as_str().unwrap();
    assert_eq!(tail.len(), 2048);
    assert!(stdout.ends_with(tail));
}

#[tokio::test]
async fn a_command_that_cannot_start_is_reported_too() {
    let registry = Registry::start();
    let (code, _) =
        Agent::start("unstartable", &registry.url, &["run", "--", "/no/such/file"]).output().await;
    assert_eq!(code, 127);
    let calls = registry.until(|calls| count(calls, EXIT) == 1).await;
    assert_eq!(calls[0].body["exit_code"], 127);
    assert!(calls[0].body["log_tail"].as_str().unwrap().contains("/no/such/file"));
}

#[tokio::test]
async fn a_supervised_command_is_kept_connected_and_is_told_to_stop() {
    let registry = Registry::start();
    let script = "trap 'echo stopping; exit 7' TERM; echo ready; while :; do sleep 0.05; done";
    let mut agent = Agent::start("forwards", &registry.url, &["run", "--", "sh", "-c", script]);
    agent.until_stdout("ready").await;
    let calls = registry.until(|calls| count(calls, HEARTBEAT) >= 1).await;
    let beat = &calls.iter().find(|call| call.path == HEARTBEAT).unwrap().body;
    assert_eq!(beat["uptime_seconds"], 0, "a supervisor must say nothing of health");

    assert_eq!(agent.stop().await, 7);
    assert!(agent.stdout().contains("stopping"));
    let calls = registry.until(|_| true).await;
    assert_eq!(count(&calls, EXIT), 0, "an exit that was asked for is no news");
}

#[tokio::test]
async fn a_stop_does_not_wait_for_the_registry() {
    let port = Reserved::port();
    let mut agent = Agent::start("unconnected", &port.url, &["run"]);
    agent.until_stderr("next try in").await;
    assert_eq!(agent.stop().await, 0);
}

#[tokio::test]
async fn a_stop_does_not_wait_for_the_report_of_an_exit() {
    let port = Reserved::port();
    let mut agent = Agent::start("unreported", &port.url, &["run", "--", "sh", "-c", "exit 3"]);
    agent.until_stderr("POST /registry/exit").await;
    assert_eq!(agent.stop().await, 3);
    assert!(!agent.stderr().contains("could not be reported"));
}

#[tokio::test]
async fn peers_are_printed() {
    let registry = Registry::start();
    let (code, table) = Agent::start("peers", &registry.url, &["peers"]).output().await;
    assert_eq!(code, 0);
    assert_eq!(table.lines().nth(1), Some("lead  online  http://ws-2:8000  u-2"));
}

#[tokio::test]
async fn boot_only_says_nothing_after_its_boot() {
    let registry = Registry::start();
    let mut agent = Agent::start("boot-only", &registry.url, &["misbehave", "boot-only"]);
    agent.until_stderr("no more heartbeats").await;
    assert_eq!(agent.stop().await, 0);
    let calls = registry.until(|_| true).await;
    assert_eq!(calls.iter().map(|call| call.path.as_str()).collect::<Vec<_>>(), [BOOT]);
}

#[tokio::test]
async fn heartbeat_only_never_registers() {
    let registry = Registry::start();
    let mut agent = Agent::start("heartbeat-only", &registry.url, &["misbehave", "heartbeat-only"]);
    let calls = registry.until(|calls| count(calls, HEARTBEAT) >= 2).await;
    assert_eq!(count(&calls, REGISTER), 0);
    assert_eq!(agent.stop().await, 0);
}

#[tokio::test]
async fn stop_heartbeat_goes_quiet_but_serves_on() {
    let registry = Registry::start();
    let arguments = ["misbehave", "stop-heartbeat", "--after", "2"];
    let mut agent = Agent::start("stop-heartbeat", &registry.url, &arguments);
    agent.until_stderr("no more heartbeats").await;
    let calls = registry.until(|_| true).await;
    let order: Vec<_> = calls.iter().map(|call| call.path.as_str()).collect();
    assert_eq!(order, [BOOT, REGISTER, HEARTBEAT, HEARTBEAT]);
    let health = format!("{}/healthz", calls[1].body["url"].as_str().unwrap());
    assert_eq!(Agent::start("quiet", &registry.url, &["get", &health]).output().await.0, 0);
    assert_eq!(agent.stop().await, 0);
}

#[tokio::test]
async fn waver_alternates_and_is_wedged_at_first() {
    let registry = Registry::start();
    let arguments = ["misbehave", "waver", "--low", "0.4", "--high", "0.6", "--wedged"];
    let mut agent = Agent::start("waver", &registry.url, &arguments);
    let calls = registry.until(|calls| count(calls, HEARTBEAT) >= 3).await;
    let beats = calls.iter().filter(|call| call.path == HEARTBEAT).take(3);
    let said: Vec<_> =
        beats.map(|call| (call.body["error_rate"].clone(), call.body["runtime_state"].clone())).collect();
    assert_eq!(said, [(json!(0.6), json!("wedged")), (json!(0.4), Value::Null), (json!(0.6), Value::Null)]);
    assert_eq!(agent.stop().await, 0);
}

#[tokio::test]
async fn exit_prints_and_exits_without_a_call() {
    let registry = Registry::start();
    let arguments = ["misbehave", "exit", "--code", "3", "--print", "no model key"];
    let outcome = Agent::start("misbehave-exit", &registry.url, &arguments).output().await;
    assert_eq!(outcome, (3, "no model key\n".to_owned()));
    assert!(registry.until(|_| true).await.is_empty());
}

#[tokio::test]
async fn a_box_that_lacks_something_says_what() {
    let registry = Registry::start();
    for (variable, hint) in [("WORKSPACE_ID", "the Workspace's uid"), ("PLATFORM_URL", "base URL")] {
        let mut agent = Agent::start_without("lacking", variable, &registry.url, &["run"]);
        assert_eq!(agent.output().await.0, 1);
        let stderr = agent.stderr();
        assert!(stderr.contains(variable) && stderr.contains(hint), "{stderr}");
    }
}

fn count(calls: &[registry::Call], path: &str) -> usize {
    calls.iter().filter(|call| call.path == path).count()
}
