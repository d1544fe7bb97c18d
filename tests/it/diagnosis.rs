//! What is wrong stands in `kubectl describe`: the cause, the box's id and what to do; and nothing that was not
//! seen.

use crate::support::operator::Operator;
use crate::support::scene::{Scene, conditions, is_true, message, says};
use crate::support::script::run;
use crate::support::wait::LATER;
use atelier::api::ConditionType::{
    AgentConnected, Bootstrapped, Diagnosed, InstanceLaunched, Ready, Stalled,
};
use atelier::api::Workspace;
use serde_json::{Value, json};

trials![
    an_image_that_is_missing_is_named,
    an_exit_is_shown_with_its_code_and_its_last_words,
    too_little_memory_is_called_so,
    a_box_that_never_calls_is_tried_three_times,
    a_box_that_calls_and_never_registers_is_kept,
    an_agent_that_falls_silent_is_lost_and_not_replaced,
    an_agent_that_is_wedged_says_why,
];

fn spec(runtime: &str) -> Value {
    json!({
        "runtime": runtime, "tier": "T1",
        "env": [{"name": "ATELIER_HEARTBEAT_SECONDS", "value": "0.5"}],
    })
}

/// A scene whose agents may be silent for three seconds.
async fn with_short_ttl(topic: &str) -> (Scene, Operator) {
    let scene = Scene::new(topic).await;
    let mut config = scene.config();
    config["heartbeat"] = json!({"ttlSeconds": 3});
    scene.apply_config(config).await;
    let operator = scene.operator(&[]).await;
    (scene, operator)
}

/// What a user reads.
fn described(scene: &Scene, name: &str) -> String {
    run(scene.kubectl().args(["describe", "workspace", name])).unwrap()
}

/// Fails unless `kubectl describe` has all of these words.
fn assert_described(scene: &Scene, name: &str, words: &[&str]) -> String {
    let text = described(scene, name);
    for words in words {
        assert!(text.contains(words), "{name}: no word of {words:?} in:\n{text}");
    }
    text
}

/// The diagnosis is attached, names this cause, and says what to do.
fn assert_diagnosed(ws: &Workspace, cause: &str) {
    let status = ws.status.as_ref().unwrap();
    let diagnosis = status.diagnosis.as_ref().expect("no diagnosis");
    assert_eq!(diagnosis.cause, cause);
    assert!(!diagnosis.hint.is_empty(), "{cause} has no hint");
    assert!(says(ws, Diagnosed, "True", cause), "{:?}", conditions(ws));
    assert!(message(ws, Diagnosed).contains(&diagnosis.hint), "{}", message(ws, Diagnosed));
    if let Some(id) = &status.instance_id {
        assert!(message(ws, Diagnosed).contains(id.as_str()), "no id in: {}", message(ws, Diagnosed));
    }
}

fn id(ws: &Workspace) -> String {
    ws.status.as_ref().and_then(|status| status.instance_id.clone()).expect("no box is recorded")
}

async fn an_image_that_is_missing_is_named() {
    let (scene, _operator) = Scene::running("no-image").await;
    scene.apply_workspace("w", spec("no-image")).await;
    let ws = scene.until_condition("w", InstanceLaunched, "False", "ImageNotFound").await;
    assert_diagnosed(&ws, "ImageNotFound");
    assert!(is_true(conditions(&ws), Stalled), "{:?}", conditions(&ws));
    assert_eq!(ws.status.as_ref().unwrap().instance_id, None, "a box is claimed that cannot be");
    assert_eq!(scene.containers(), []);
    let text = assert_described(&scene, "w", &["127.0.0.1:1/no/such:image", "Correct the runtime's image"]);
    for lie in ["registered", "no authenticated call", "heartbeat"] {
        assert!(!text.contains(lie), "speaks of {lie:?}, of a box that never was:\n{text}");
    }

    // The image arrives: the Workspace goes on by itself.
    scene.engine().docker(&["tag", crate::support::engine::IMAGE, "127.0.0.1:1/no/such:image"]).unwrap();
    let ready = scene.until(LATER, "w", "Ready", |ws| is_true(conditions(ws), Ready)).await;
    scene.engine().docker(&["rmi", "127.0.0.1:1/no/such:image"]).unwrap();
    assert_eq!(ready.status.unwrap().diagnosis, None, "a diagnosis is left over");
}

async fn an_exit_is_shown_with_its_code_and_its_last_words() {
    let (scene, _operator) = Scene::running("exits").await;
    scene.apply_workspace("w", spec("exits")).await;
    let is = |ws: &Workspace, reason: &str| says(ws, InstanceLaunched, "False", reason);
    let ws = scene
        .until(LATER, "w", "an exit that is diagnosed", |ws| {
            (is(ws, "ContainerExited") || is(ws, "CrashLoop"))
                && message(ws, Diagnosed).contains("last output")
        })
        .await;
    let box_id = id(&ws);
    assert_described(&scene, "w", &[&box_id, "code 3", "no model key was given", "log tail"]);

    // It keeps exiting: that is called a crash loop, in one and the same box.
    let ws = scene.until(LATER, "w", "a crash loop that is named", |ws| is(ws, "CrashLoop")).await;
    assert_diagnosed(&ws, "CrashLoop");
    let status = ws.status.as_ref().unwrap();
    let launch = status.launch.as_ref().unwrap();
    assert!(launch.failures >= 3, "a crash loop after {} failures", launch.failures);
    assert_eq!((launch.attempt, id(&ws)), (1, box_id), "an exited box is started again, not replaced");
    assert_described(&scene, "w", &["CrashLoop", "times in a row", "code 3", "no model key was given"]);
}

async fn too_little_memory_is_called_so() {
    let (scene, _operator) = Scene::running("hungry").await;
    scene.apply_workspace("w", spec("hungry")).await;
    let ws =
        scene.until(LATER, "w", "OOMKilled", |ws| says(ws, InstanceLaunched, "False", "OOMKilled")).await;
    assert_diagnosed(&ws, "OOMKilled");
    assert_described(&scene, "w", &[&id(&ws), "256 MiB", "larger tier"]);
}

async fn a_box_that_never_calls_is_tried_three_times() {
    let (scene, _operator) = with_short_ttl("silent").await;
    scene.apply_workspace("w", spec("silent")).await;
    let ws =
        scene.until(LATER, "w", "Stalled after three boots", |ws| is_true(conditions(ws), Stalled)).await;
    assert!(says(&ws, Bootstrapped, "False", "BootTimeout"), "{:?}", conditions(&ws));
    assert_diagnosed(&ws, "BootTimeout");
    let status = ws.status.as_ref().unwrap();
    assert_eq!(status.launch.as_ref().unwrap().attempt, 3);
    let ended: Vec<_> = status.attempts.iter().map(|a| (a.attempt, a.reason.as_deref())).collect();
    assert_eq!(ended, [(1, Some("BootTimeout")), (2, Some("BootTimeout"))]);
    let kept = scene.container("w");
    assert!(kept.runs(), "the last box is kept for diagnosis");
    assert_eq!(kept.id, id(&ws));
    let text =
        assert_described(&scene, "w", &[&kept.id, "no authenticated call came within 4 s", "runs an agent"]);
    assert!(
        !text.contains("NeverRegistered") && !text.contains("HeartbeatLost"),
        "says more than was seen:\n{text}"
    );
}

async fn a_box_that_calls_and_never_registers_is_kept() {
    let (scene, _operator) = with_short_ttl("boot-only").await;
    scene.apply_workspace("w", spec("boot-only")).await;
    let ws = scene.until_condition("w", AgentConnected, "False", "NeverRegistered").await;
    assert_diagnosed(&ws, "NeverRegistered");
    assert!(says(&ws, Bootstrapped, "True", "Bootstrapped"), "{:?}", conditions(&ws));
    assert!(is_true(conditions(&ws), Stalled), "{:?}", conditions(&ws));
    let kept = scene.container("w");
    assert!(kept.runs(), "the box is kept");
    assert_eq!(
        (kept.id.as_str(), ws.status.as_ref().unwrap().launch.as_ref().unwrap().attempt),
        (&*id(&ws), 1)
    );
    assert_described(&scene, "w", &[&kept.id, "agent-started", "its contract with the registry"]);
}

async fn an_agent_that_falls_silent_is_lost_and_not_replaced() {
    let (scene, _operator) = with_short_ttl("falls-silent").await;
    scene.apply_workspace("w", spec("falls-silent")).await;
    let connected = scene.until_ready("w").await;
    let ws = scene.until_condition("w", AgentConnected, "False", "HeartbeatLost").await;
    assert_diagnosed(&ws, "HeartbeatLost");
    assert_eq!(id(&ws), id(&connected));
    let kept = scene.container("w");
    assert!(kept.runs() && kept.id == id(&ws), "a lost heartbeat alone never replaces a box: {kept:?}");
    assert!(says(&ws, InstanceLaunched, "True", "Running"), "{:?}", conditions(&ws));
    assert_described(&scene, "w", &[&kept.id, "silent since", "restartedAt"]);
}

async fn an_agent_that_is_wedged_says_why() {
    let (scene, _operator) = Scene::running("wedged").await;
    scene.apply_workspace("w", spec("wedged")).await;
    let ws = scene.until_condition("w", AgentConnected, "False", "AgentWedged").await;
    assert_diagnosed(&ws, "AgentWedged");
    assert_described(&scene, "w", &[&id(&ws), "the agent says", "restartedAt"]);
}
