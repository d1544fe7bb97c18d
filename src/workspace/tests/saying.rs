//! What a status says, word for word where a person acts on it.

use super::driver::Driver;
use crate::api::condition::{find, is_true};
use crate::api::{ConditionType, Reason};
use crate::backend::scripted::Fault;
use serde_json::json;

fn ready(driver: &Driver) -> (String, String) {
    let status = driver.status();
    let ready = find(&status.conditions, ConditionType::Ready).unwrap();
    (ready.reason.clone(), ready.message.clone())
}

#[tokio::test]
async fn a_suspended_workspace_is_neither_reconciling_nor_stalled() {
    let mut driver = Driver::new();
    driver.settle().await;
    driver.set_spec("suspend", json!(true));
    driver.settle().await;
    let conditions = driver.status().conditions;
    assert_eq!(ready(&driver).0, "Suspended");
    assert!(is_true(&conditions, ConditionType::Suspended));
    assert!(find(&conditions, ConditionType::Reconciling).is_none());
    assert!(find(&conditions, ConditionType::Stalled).is_none());
}

#[tokio::test]
async fn an_image_that_cannot_be_had_is_named() {
    let mut driver = Driver::new();
    driver.world.forget_image("demo:1");
    for _ in 0..8 {
        driver.pass().await;
    }
    let (reason, message) = ready(&driver);
    assert_eq!(reason, "ImageNotFound");
    assert!(message.contains("demo:1"), "{message}");
    assert!(is_true(&driver.status().conditions, ConditionType::Stalled));
}

#[tokio::test]
async fn a_missing_backend_is_awaited_for_two_minutes_then_a_person_is_asked() {
    let mut driver = Driver::new();
    driver.config = None;
    driver.pass().await;
    assert!(is_true(&driver.status().conditions, ConditionType::Reconciling));
    driver.now = driver.now.saturating_add(std::time::Duration::from_secs(121)).unwrap();
    driver.pass().await;
    assert!(is_true(&driver.status().conditions, ConditionType::Stalled));
}

#[tokio::test]
async fn what_is_said_of_a_missing_image_stays_while_it_is_asked_for_again() {
    let mut driver = Driver::new();
    driver.world.forget_image("demo:1");
    for _ in 0..8 {
        driver.pass().await;
    }
    let (said, writes) = (driver.status(), driver.api.writes());
    let pulls = |driver: &Driver| driver.world.effects().iter().filter(|e| e.starts_with("pull")).count();
    let asked = pulls(&driver);
    for last in [true, false, true, false] {
        driver.world.set_pulls_last(last);
        driver.now = driver.now.saturating_add(std::time::Duration::from_secs(400)).unwrap();
        driver.pass().await;
    }
    assert!(pulls(&driver) > asked, "it was not asked for again");
    assert_eq!(driver.status().conditions, said.conditions);
    assert_eq!(driver.api.writes(), writes);
}

/// What is said of the agent: status, reason and message.
fn agent(driver: &Driver) -> (String, String, String) {
    let conditions = driver.status().conditions;
    let said = find(&conditions, ConditionType::AgentConnected).unwrap();
    (said.status.clone(), said.reason.clone(), said.message.clone())
}

#[tokio::test]
async fn nothing_is_said_to_boot_where_there_is_no_box() {
    let mut no_config = Driver::new();
    no_config.config = None;
    let no_engine = Driver::new();
    no_engine.world.set_down(true);
    for (mut driver, reason) in [(no_config, "NoBackend"), (no_engine, "DockerUnreachable")] {
        driver.pass().await;
        let (status, why, message) = agent(&driver);
        assert_eq!((status.as_str(), why.as_str()), ("Unknown", reason));
        assert_eq!(message, "there is no box that is known to run");
    }
}

#[tokio::test]
async fn an_agent_whose_time_to_boot_is_over_is_not_said_to_boot() {
    let mut driver = Driver::new();
    driver.agent_speaks = false;
    driver.settle().await;
    assert_eq!(ready(&driver).0, "BootTimeout");
    assert!(is_true(&driver.status().conditions, ConditionType::Stalled));
    let (status, why, _) = agent(&driver);
    assert_eq!((status.as_str(), why.as_str()), ("Unknown", "BootTimeout"));
}

#[tokio::test]
async fn the_steps_of_a_diagnosis_end_with_its_stage_and_call_nothing_failed_that_was_not_seen() {
    let mut driver = Driver::new();
    driver.config = None;
    driver.pass().await;
    let diagnosis = driver.status().diagnosis.unwrap();
    assert_eq!(diagnosis.stage, "BackendReady");
    let steps: Vec<_> = diagnosis.steps.iter().map(|step| (step.name.as_str(), step.ok)).collect();
    assert_eq!(steps, [("Accepted", None), ("BackendReady", Some(false))]);
}

#[tokio::test]
async fn what_mends_a_backend_stands_in_the_table_and_once_in_the_diagnosis() {
    let mut driver = Driver::new();
    driver.world.set_down(true);
    driver.pass().await;
    let fix = Reason::DockerUnreachable.fix();
    let conditions = driver.status().conditions;
    let said = |type_| find(&conditions, type_).unwrap().message.clone();
    assert_eq!(said(ConditionType::BackendReady), format!("the scripted world is down. {fix}"));
    assert_eq!(ready(&driver).1, said(ConditionType::BackendReady));
    assert_eq!(said(ConditionType::Diagnosed).matches(fix).count(), 1, "{}", said(ConditionType::Diagnosed));
}

#[tokio::test]
async fn a_failing_backend_is_said_in_its_own_words() {
    let mut driver = Driver::new();
    driver.world.fault_after(0, Fault::Error);
    for _ in 0..3 {
        driver.pass().await;
    }
    let (reason, message) = ready(&driver);
    assert_eq!(reason, "LaunchFailed");
    assert!(message.contains("scripted failure of volumes"), "{message}");
}

#[tokio::test]
async fn an_engine_that_goes_away_is_not_called_the_loss_of_a_box() {
    let mut driver = Driver::new();
    driver.settle().await;
    let id = driver.status().instance_id.unwrap();
    driver.world.set_down(true);
    driver.pass().await;
    let status = driver.status();
    assert_eq!(ready(&driver).0, "DockerUnreachable");
    let launched = find(&status.conditions, ConditionType::InstanceLaunched).unwrap();
    assert_eq!(launched.status, "Unknown");
    assert!(
        launched.message.contains(&id) && launched.message.contains("last seen running"),
        "{}",
        launched.message
    );
    driver.world.set_down(false);
    driver.settle().await;
    driver.assert_one_box_runs();
    assert_eq!(driver.status().launch.unwrap().attempt, 1);
}

#[tokio::test]
async fn the_output_of_a_box_that_exited_stands_in_its_diagnosis() {
    let mut driver = Driver::new();
    driver.settle().await;
    driver.world.end_all(3);
    driver.pass().await;
    let diagnosis = driver.status().diagnosis.unwrap();
    assert_eq!(diagnosis.cause, "ContainerExited");
    assert!(diagnosis.summary.contains("code 3"), "{}", diagnosis.summary);
    assert_eq!(diagnosis.log_tail.as_deref(), Some("scripted output"));
    let said = find(&driver.status().conditions, ConditionType::Diagnosed).cloned().unwrap();
    assert!(said.message.contains("scripted output") && said.message.contains("Hint:"), "{}", said.message);
}

/// Everything that was said of the box: the reason of Ready, once for each time that it changed.
async fn reasons_of_a_loop(driver: &mut Driver, end: impl Fn(&Driver)) -> Vec<String> {
    let mut reasons = Vec::new();
    driver.agent_speaks = false;
    while driver.status().instance_id.is_none() {
        driver.pass().await;
    }
    while driver.status().launch.is_none_or(|launch| launch.failures < 6) {
        driver.pass().await;
        reasons.push(ready(driver).0);
        driver.now = driver.now.saturating_add(std::time::Duration::from_secs(5)).unwrap();
        end(driver);
    }
    reasons.dedup();
    reasons
}

#[tokio::test]
async fn a_box_that_is_killed_for_its_memory_again_and_again_is_called_so_while_it_runs() {
    let mut driver = Driver::new();
    let reasons = reasons_of_a_loop(&mut driver, |driver| driver.world.kill_all_for_memory()).await;
    assert_eq!(reasons.last().map(String::as_str), Some("OOMKilled"), "{reasons:?}");
    assert!(!reasons.contains(&"CrashLoop".to_owned()), "{reasons:?}");
    assert_eq!(reasons.iter().filter(|r| *r == "Booting").count(), 3, "the first three runs: {reasons:?}");
    let events = driver.events("Diagnosed").await;
    assert_eq!(events.len(), 1, "{events:#?}");
}

#[tokio::test]
async fn a_loop_of_exits_is_told_as_an_exit_and_as_a_loop() {
    let mut driver = Driver::new();
    let reasons = reasons_of_a_loop(&mut driver, |driver| driver.world.end_all(3)).await;
    assert_eq!(reasons.last().map(String::as_str), Some("CrashLoop"), "{reasons:?}");
    let events = driver.events("Diagnosed").await;
    assert_eq!(events.len(), 2, "{events:#?}");
    assert!(events[0].contains("will be started again at"), "{events:#?}");
}

#[tokio::test]
async fn a_lost_heartbeat_names_the_box_the_time_and_what_is_allowed() {
    let mut driver = Driver::new();
    driver.settle().await;
    driver.agent_speaks = false;
    driver.pass().await;
    driver.now = driver.now.saturating_add(std::time::Duration::from_secs(181)).unwrap();
    driver.tick();
    driver.pass().await;
    let (reason, message) = ready(&driver);
    assert_eq!(reason, "HeartbeatLost");
    let id = driver.status().instance_id.unwrap();
    assert!(message.starts_with(&format!("{id}: its agent is silent since 2026-")), "{message}");
    assert!(message.ends_with("; 180 s are allowed"), "{message}");
    let told = driver.events("Lost").await;
    assert_eq!(told, [format!("{message}. {}", Reason::HeartbeatLost.fix())]);
}

#[tokio::test]
async fn of_a_box_that_is_being_removed_it_is_said_that_another_follows() {
    let mut driver = Driver::new();
    driver.settle().await;
    driver.world.set_removing();
    driver.pass().await;
    let (reason, message) = ready(&driver);
    assert_eq!(reason, "InstanceGone");
    assert!(message.ends_with("is being removed; another follows"), "{message}");
    driver.set_spec("suspend", json!(true));
    driver.pass().await;
    assert!(!ready(&driver).1.contains("follows"), "{}", ready(&driver).1);
}

#[tokio::test]
async fn other_certificates_for_the_registry_show_in_up_to_date() {
    let mut driver = Driver::new();
    driver.settle().await;
    assert!(
        !driver.status().launch.unwrap().request.contains("caBundle"),
        "a request without any is as ever"
    );
    let up_to_date = |driver: &Driver| {
        let conditions = driver.status().conditions;
        find(&conditions, ConditionType::UpToDate)
            .map(|said| (said.status.clone(), said.reason.clone()))
            .unwrap()
    };
    assert_eq!(up_to_date(&driver), ("True".into(), "UpToDate".into()));
    driver.config.as_mut().unwrap().registry.ca_bundle = Some("certificates".into());
    driver.restart();
    driver.settle().await;
    assert_eq!(up_to_date(&driver), ("False".into(), "PlatformChanged".into()));
    assert_eq!(driver.status().launch.unwrap().attempt, 1, "it is not replaced for it");
    driver.set_spec("restartedAt", json!("now"));
    driver.settle().await;
    assert_eq!(up_to_date(&driver), ("True".into(), "UpToDate".into()));
    driver.config.as_mut().unwrap().registry.ca_bundle = Some("others".into());
    driver.restart();
    driver.settle().await;
    assert_eq!(up_to_date(&driver), ("False".into(), "PlatformChanged".into()));
}

#[tokio::test]
async fn a_box_that_goes_because_it_was_to_go_is_not_diagnosed() {
    let mut driver = Driver::new();
    driver.settle().await;
    driver.delete();
    driver.pass().await;
    let status = driver.status();
    assert!(is_true(&status.conditions, ConditionType::Deleting));
    assert!(status.diagnosis.is_none(), "{:?}", status.diagnosis);
    assert!(find(&status.conditions, ConditionType::Diagnosed).is_none());
}

#[tokio::test]
async fn a_first_call_is_told_with_the_connection_or_after_a_minute() {
    let mut driver = Driver::new();
    driver.config.as_mut().unwrap().runtimes[0].boot_timeout_seconds = 600;
    driver.agent_speaks = false;
    while driver.status().instance_id.is_none() {
        driver.pass().await;
    }
    driver.pass().await;
    let writes = driver.api.writes();
    driver.post_boot_stage();
    driver.pass().await;
    assert_eq!(driver.api.writes(), writes, "{:#?}", driver.status().conditions);
    assert_eq!(ready(&driver).0, "Booting");
    driver.now = driver.now.saturating_add(std::time::Duration::from_secs(59)).unwrap();
    driver.pass().await;
    assert_eq!(driver.api.writes(), writes, "{:#?}", driver.status().conditions);
    driver.now = driver.now.saturating_add(std::time::Duration::from_secs(2)).unwrap();
    driver.pass().await;
    assert!(is_true(&driver.status().conditions, ConditionType::Bootstrapped));
}
