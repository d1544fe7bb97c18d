//! One Workspace through its life: stopped, restarted, replaced, repaired, forgotten, deleted.

use crate::support::engine::Container;
use crate::support::scene::{Scene, conditions, is_true, says};
use crate::support::wait::LATER;
use atelier::api::ConditionType::{InstanceLaunched, Ready, Stalled, Suspended};
use atelier::api::Workspace;
use atelier::api::names;
use serde_json::{Value, json};

trials![
    suspend_stops_the_box_and_resume_starts_it,
    a_restart_is_carried_out_in_place,
    a_changed_spec_replaces_the_box_and_keeps_its_data,
    a_box_that_was_removed_is_made_again,
    a_box_that_was_stopped_is_started_again,
    paused_means_hands_off,
    a_deleted_workspace_leaves_nothing,
    a_retained_volume_outlives_its_workspace,
    a_missing_reference_is_named_and_then_found,
    what_cannot_be_accepted_says_the_fix,
    required_environment_must_be_there,
];

fn echo() -> Value {
    json!({"runtime": "echo", "tier": "T1"})
}

/// A Workspace that is Ready, and its box.
async fn ready(scene: &Scene) -> (Workspace, Container) {
    scene.apply_workspace("w", echo()).await;
    let ws = scene.until_ready("w").await;
    let container = scene.container("w");
    assert_eq!(Some(&container.id), ws.status.as_ref().unwrap().instance_id.as_ref());
    (ws, container)
}

fn attempt(ws: &Workspace) -> i64 {
    ws.status.as_ref().unwrap().launch.as_ref().unwrap().attempt
}

/// The volume that is mounted there.
fn volume_at(scene: &Scene, container: &Container, path: &str) -> String {
    let seen = scene.engine().inspect(&container.id).unwrap();
    let mounts = seen["Mounts"].as_array().unwrap();
    let mount = mounts.iter().find(|mount| mount["Destination"] == path).expect("nothing is mounted there");
    mount["Name"].as_str().unwrap().to_owned()
}

async fn suspend_stops_the_box_and_resume_starts_it() {
    let (scene, _operator) = Scene::running("suspend").await;
    let (_, before) = ready(&scene).await;
    scene.patch::<Workspace>("w", json!({"spec": {"suspend": true}})).await;
    let ws = scene.until_condition("w", Ready, "False", "Suspended").await;
    assert!(is_true(conditions(&ws), Suspended), "{:?}", conditions(&ws));
    assert_eq!(ws.status.unwrap().diagnosis, None, "what was asked for is no trouble");
    let stopped = scene.container("w");
    assert_eq!((stopped.state.as_str(), &stopped.id), ("exited", &before.id));

    scene.patch::<Workspace>("w", json!({"spec": {"suspend": false}})).await;
    let ws = scene.until_ready("w").await;
    let resumed = scene.container("w");
    assert_eq!((&resumed.id, attempt(&ws)), (&before.id, 1), "resumed in place");
    assert_ne!(resumed.started_at, before.started_at);
    assert!(!is_true(conditions(&ws), Suspended), "{:?}", conditions(&ws));
    assert_eq!(ws.status.unwrap().launch.unwrap().failures, 0, "a stop on request is no failure");
}

async fn a_restart_is_carried_out_in_place() {
    let (scene, _operator) = Scene::running("restart").await;
    let (_, before) = ready(&scene).await;
    let stamp = "2026-01-01T00:00:00Z";
    scene.patch::<Workspace>("w", json!({"spec": {"restartedAt": stamp}})).await;
    let ws = scene
        .until(LATER, "w", "restarted and Ready", |ws| {
            let status = ws.status.as_ref();
            let done = status.is_some_and(|status| status.restarted_at.as_deref() == Some(stamp));
            done && is_true(conditions(ws), Ready) && scene.container("w").started_at != before.started_at
        })
        .await;
    let after = scene.container("w");
    assert_eq!((&after.id, attempt(&ws)), (&before.id, 1), "restarted in place");
    assert_eq!(ws.status.unwrap().launch.unwrap().failures, 0, "a restart on request is no failure");
}

async fn a_changed_spec_replaces_the_box_and_keeps_its_data() {
    let (scene, _operator) = Scene::running("replace").await;
    let (_, before) = ready(&scene).await;
    let data = volume_at(&scene, &before, "/workspace");
    let configs = volume_at(&scene, &before, "/configs");
    scene.patch::<Workspace>("w", json!({"spec": {"model": "another"}})).await;
    let ws = scene
        .until(LATER, "w", "attempt 2 Ready", |ws| attempt(ws) == 2 && is_true(conditions(ws), Ready))
        .await;
    let after = scene.container("w");
    assert_ne!(after.id, before.id);
    assert_eq!(Some(&after.id), ws.status.as_ref().unwrap().instance_id.as_ref());
    assert_eq!(volume_at(&scene, &after, "/workspace"), data, "the data volume stays");
    assert_ne!(volume_at(&scene, &after, "/configs"), configs, "files of an attempt are its own");
    assert!(!scene.engine().volumes(&scene.label()).contains(&configs), "{configs} is left over");
}

async fn a_box_that_was_removed_is_made_again() {
    let (scene, _operator) = Scene::running("removed").await;
    let (_, before) = ready(&scene).await;
    scene.engine().docker(&["rm", "--force", &before.id]).unwrap();
    let ws = scene
        .until(LATER, "w", "attempt 2 Ready", |ws| attempt(ws) == 2 && is_true(conditions(ws), Ready))
        .await;
    let after = scene.container("w");
    assert_ne!(after.id, before.id);
    let first = &ws.status.unwrap().attempts[0];
    assert_eq!(first.instance_id.as_ref(), Some(&before.id), "the attempt that ended is remembered");
}

async fn a_box_that_was_stopped_is_started_again() {
    let (scene, _operator) = Scene::running("stopped").await;
    let (_, before) = ready(&scene).await;
    scene.engine().docker(&["stop", &before.id]).unwrap();
    let ws = scene
        .until(LATER, "w", "Ready in a box that was started again", |ws| {
            is_true(conditions(ws), Ready) && scene.container("w").started_at != before.started_at
        })
        .await;
    assert_eq!((scene.container("w").id, attempt(&ws)), (before.id, 1), "started again in place");
}

async fn paused_means_hands_off() {
    let (scene, operator) = Scene::running("paused").await;
    let (_, before) = ready(&scene).await;
    scene.patch::<Workspace>("w", json!({"metadata": {"annotations": {names::PAUSED: "true"}}})).await;
    scene.engine().docker(&["stop", &before.id]).unwrap();
    let ws = scene.until(LATER, "w", "Stalled", |ws| is_true(conditions(ws), Stalled)).await;
    assert!(
        says(&ws, InstanceLaunched, "False", "InstanceStopped")
            || !is_true(conditions(&ws), InstanceLaunched)
    );
    // Two sweeps of the engine see the stopped box, and still nobody starts it.
    let sweeps = operator.metric("atelier_backend_call_seconds_count", &["Boxes"]).await;
    scene
        .soon("the engine was looked at again", async || {
            let now = operator.metric("atelier_backend_call_seconds_count", &["Boxes"]).await;
            if now >= sweeps + 2.0 { Ok(()) } else { Err(format!("{now} looks after {sweeps}")) }
        })
        .await;
    assert_eq!(scene.container("w").state, "exited", "paused, and started all the same");

    scene.patch::<Workspace>("w", json!({"metadata": {"annotations": {names::PAUSED: null}}})).await;
    scene.until_ready("w").await;
    assert_eq!(scene.container("w").id, before.id);
}

async fn a_deleted_workspace_leaves_nothing() {
    let (scene, _operator) = Scene::running("deleted").await;
    ready(&scene).await;
    assert_eq!(scene.engine().volumes(&scene.label()).len(), 2);
    assert_eq!(scene.engine().networks(&scene.label()).len(), 1);
    scene.delete::<Workspace>("w").await;
    scene.until_nothing_is_left().await;
}

async fn a_retained_volume_outlives_its_workspace() {
    let (scene, _operator) = Scene::running("retained").await;
    let mut spec = echo();
    spec["storage"] = json!({"retain": true});
    scene.apply_workspace("w", spec).await;
    scene.until_ready("w").await;
    let data = volume_at(&scene, &scene.container("w"), "/workspace");
    scene.delete::<Workspace>("w").await;
    scene
        .soon("all but the volume is gone", async || {
            let left = (scene.workspaces().await.len(), scene.containers().len());
            let volumes = scene.engine().volumes(&scene.label());
            if left == (0, 0) && volumes == [data.clone()] {
                Ok(())
            } else {
                Err(format!("{left:?} {volumes:?}"))
            }
        })
        .await;
    scene.engine().docker(&["volume", "rm", &data]).unwrap();
}

async fn a_missing_reference_is_named_and_then_found() {
    use k8s_openapi::api::core::v1::{ConfigMap, Secret};
    let (scene, _operator) = Scene::running("references").await;
    let spec = json!({
        "runtime": "echo", "tier": "T1",
        "envFrom": [{"secretRef": {"name": "model-keys"}}],
        "prompts": {"systemFrom": {"configMapKeyRef": {"name": "prompts", "key": "system.md"}}},
    });
    scene.apply_workspace("w", spec).await;
    let ws = scene.until_condition("w", Ready, "False", "ReferenceNotFound").await;
    let said = crate::support::scene::message(&ws, Ready).to_owned();
    assert!(said.contains("model-keys") || said.contains("prompts"), "nothing is named: {said}");
    // Long enough unmet, it is a person's to mend.
    scene.until(LATER, "w", "Stalled", |ws| is_true(conditions(ws), Stalled)).await;
    assert_eq!(scene.containers(), []);

    let create = kube::api::PostParams::default();
    let map: ConfigMap =
        serde_json::from_value(json!({"metadata": {"name": "prompts"}, "data": {"system.md": "Be brief."}}))
            .unwrap();
    scene.api().create(&create, &map).await.unwrap();
    let secret: Secret =
        serde_json::from_value(json!({"metadata": {"name": "model-keys"}, "stringData": {"KEY": "k"}}))
            .unwrap();
    scene.api().create(&create, &secret).await.unwrap();
    scene.until_ready("w").await;
    let seen = scene.engine().inspect(&scene.container("w").id).unwrap();
    let env: Vec<_> = seen["Config"]["Env"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(env.contains(&"KEY=k"), "{env:?}");
}

async fn what_cannot_be_accepted_says_the_fix() {
    let (scene, _operator) = Scene::running("refused").await;
    let table = [
        ("runtime", json!({"runtime": "nope"}), "UnknownRuntime", &["nope", "echo"][..]),
        ("tier", json!({"runtime": "echo", "tier": "T4"}), "TierNotAllowed", &["T4"][..]),
    ];
    for (name, spec, reason, words) in table {
        scene.apply_workspace(name, spec).await;
        let ws = scene.until_condition(name, Ready, "False", reason).await;
        let said = crate::support::scene::message(&ws, Ready).to_owned();
        for word in words {
            assert!(said.contains(word), "{name}: no word of {word:?}: {said}");
        }
        assert!(is_true(conditions(&ws), Stalled), "{name}: {:?}", conditions(&ws));
    }
    assert_eq!(scene.containers(), []);
}

async fn required_environment_must_be_there() {
    let (scene, _operator) = Scene::running("required").await;
    let mut spec = echo();
    spec["requiredEnv"] = json!([{"anyOf": ["ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN"]}]);
    scene.apply_workspace("w", spec.clone()).await;
    let ws = scene.until_condition("w", Ready, "False", "MissingEnv").await;
    let said = crate::support::scene::message(&ws, Ready).to_owned();
    assert!(said.contains("ANTHROPIC_API_KEY") && said.contains("CLAUDE_CODE_OAUTH_TOKEN"), "{said}");
    assert_eq!(scene.containers(), []);
    spec["env"] = json!([{"name": "CLAUDE_CODE_OAUTH_TOKEN", "value": "x"}]);
    scene.apply_workspace("w", spec).await;
    scene.until_ready("w").await;
}
