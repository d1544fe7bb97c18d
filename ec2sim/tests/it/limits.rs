//! Limits, lag and tokens, as a caller meets them.

use crate::sim::{RUN, Sim, until};
use serde_json::json;

#[tokio::test]
async fn the_sixth_launch_at_once_is_throttled_until_limits_are_off() {
    let sim = Sim::start(&[]);
    let mut codes = Vec::new();
    for _ in 0..40 {
        let answer = sim.call(RUN).await;
        if answer.status != 200 {
            assert_eq!(answer.status, 503);
            codes.push(answer.code());
        }
    }
    assert!(codes.len() >= 5 && codes.iter().all(|code| code == "RequestLimitExceeded"), "{codes:?}");
    sim.post("settings", json!({"limits": false})).await;
    for _ in 0..40 {
        assert_eq!(sim.call(RUN).await.status, 200);
    }
}

#[tokio::test]
async fn fifty_at_once_with_one_token_are_one_launch() {
    let sim = Sim::start(&["--no-limits"]);
    let form = format!("{RUN}&ClientToken=same");
    let answers = futures::future::join_all((0..50).map(|_| sim.call(&form))).await;
    let first = answers[0].element("instanceId");
    assert!(answers.iter().all(|answer| answer.element("instanceId") == first));
    assert_eq!(sim.count().await, 1);
}

#[tokio::test]
async fn the_lag_hides_a_launch_and_can_be_set() {
    let sim = Sim::start(&["--no-limits"]);
    sim.post("lag", json!({"ms": 3_600_000})).await;
    let id = sim.run("ClientToken=a").await;
    let describe = format!("Action=DescribeInstances&InstanceId.1={id}");
    assert_eq!(sim.call(&describe).await.code(), "InvalidInstanceID.NotFound");
    let list = "Action=DescribeInstances&Filter.1.Name=client-token&Filter.1.Value.1=a";
    assert!(!sim.call(list).await.text.contains(&id));
    assert_eq!(sim.count().await, 1);
    sim.post("lag", json!({"ms": 0})).await;
    let other = sim.run("").await;
    assert!(sim.call(&format!("Action=DescribeInstances&InstanceId.1={other}")).await.text.contains(&other));
}

#[tokio::test]
async fn time_passes_without_calls() {
    let sim = Sim::start(&["--no-limits"]);
    let id = sim.run("").await;
    let is_logged = async || {
        let lines = sim.text("calls").await;
        lines.lines().any(|line| line.contains(&id) && line.contains("\"state\":\"running\""))
    };
    until("it runs", is_logged).await;
}
