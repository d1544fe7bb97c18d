//! Without a usable backend everything says so at once, and goes on by itself when there is one.

use crate::support::scene::{Scene, conditions, message, says, words};
use crate::support::wait::SOON;
use crate::team::team;
use atelier::api::ConditionType::{Accepted, BackendReady, Reachable, Ready};
use atelier::api::{BackendConfig, Workspace, condition};
use kube::{Api, ResourceExt};
use serde_json::json;

trials![
    no_backend_immediate_failure,
    a_missing_socket_is_named_at_once,
    a_config_that_is_deleted_waits_for_its_workspaces,
    an_engine_in_use_cannot_be_swapped,
];

/// How long after its creation a Workspace said this of its backend, in whole seconds as objects have them.
fn said_after(ws: &Workspace) -> i64 {
    let said = condition::find(conditions(ws), BackendReady).unwrap();
    let made = ws.creation_timestamp().unwrap();
    said.last_transition_time.0.duration_since(made.0).as_secs()
}

async fn no_backend_immediate_failure() {
    let scene = Scene::new("no-backend").await;
    let _operator = scene.operator(&[]).await;
    scene.apply_team("studio", team(7)).await;
    let told = scene.soon("seven Workspaces say that there is no backend", async || {
        let all = scene.workspaces().await;
        let told = all.iter().filter(|ws| says(ws, BackendReady, "False", "NoBackend")).count();
        if told == 7 { Ok(all) } else { Err(format!("{told} of {} do", all.len())) }
    });
    for ws in told.await {
        let name = ws.name_any();
        assert!(said_after(&ws) <= 2, "{name} said so after {} s", said_after(&ws));
        let said = message(&ws, BackendReady);
        assert!(said.contains(&scene.name) && said.contains("create it"), "{name} names no fix: {said}");
        assert!(says(&ws, Ready, "False", "NoBackend"), "{name}: {:?}", conditions(&ws));
        assert!(says(&ws, Accepted, "Unknown", "NoBackend"), "{name}: {:?}", conditions(&ws));
        assert_eq!(ws.status.unwrap().launch, None, "{name} was launched without a backend");
    }
    assert_eq!(scene.containers(), []);

    scene.apply_config(scene.config()).await;
    let team = scene.until_team_ready("studio").await;
    assert_eq!(team.status.unwrap().ready_summary.as_deref(), Some("7/7"));
    assert_eq!(team.metadata.generation, Some(1), "the Team was touched");
}

async fn a_missing_socket_is_named_at_once() {
    let scene = Scene::new("no-socket").await;
    let socket = "unix:///nonexistent/docker.sock";
    let mut config = scene.config();
    config["docker"]["hosts"][0]["address"] = json!(socket);
    scene.apply_config(config).await;
    let _operator = scene.operator(&[]).await;
    scene.apply_workspace("w", json!({"runtime": "echo", "tier": "T1"})).await;

    let ws = scene.until_condition("w", BackendReady, "False", "DockerUnreachable").await;
    assert!(said_after(&ws) <= 2, "said so after {} s", said_after(&ws));
    let said = message(&ws, BackendReady);
    assert!(said.contains("/nonexistent/docker.sock"), "the socket is not named: {said}");
    assert!(says(&ws, Ready, "False", "DockerUnreachable"), "{:?}", conditions(&ws));
    assert_eq!(ws.status.unwrap().launch, None, "launched on an engine that does not answer");
    let configs: Api<BackendConfig> = Api::all(scene.client.clone());
    // It is written by another hand than the Workspace's status.
    let reachable = scene
        .soon("the BackendConfig says so too", async || {
            let said = configs.get(&scene.name).await.unwrap().status.unwrap_or_default().conditions;
            condition::find(&said, Reachable).cloned().ok_or_else(|| words(&said))
        })
        .await;
    assert_eq!((reachable.status.as_str(), reachable.reason.as_str()), ("False", "DockerUnreachable"));
    assert!(reachable.message.contains("/nonexistent/docker.sock"), "{}", reachable.message);

    scene.apply_config(scene.config()).await;
    scene.until_ready("w").await;
}

async fn a_config_that_is_deleted_waits_for_its_workspaces() {
    let (scene, _operator) = Scene::running("config-goes").await;
    scene.apply_workspace("w", json!({"runtime": "echo", "tier": "T1"})).await;
    scene.until_ready("w").await;
    let configs: Api<BackendConfig> = Api::all(scene.client.clone());
    configs.delete(&scene.name, &kube::api::DeleteParams::default()).await.unwrap();
    scene
        .soon("the BackendConfig says that it waits for Workspaces", async || {
            let config = configs.get(&scene.name).await.map_err(|error| error.to_string())?;
            let said = config.status.map(|status| status.conditions).unwrap_or_default();
            let waits = said.iter().any(|c| c.reason == "WaitingForWorkspaces");
            if waits { Ok(()) } else { Err(format!("{said:?}")) }
        })
        .await;
    assert_eq!(scene.containers().len(), 1, "the box went with the config");
    scene.delete::<Workspace>("w").await;
    scene.until_nothing_is_left().await;
    scene
        .soon("the BackendConfig goes", async || match configs.get_opt(&scene.name).await.unwrap() {
            None => Ok(()),
            Some(config) => Err(format!("{:?}", config.metadata)),
        })
        .await;
}

async fn an_engine_in_use_cannot_be_swapped() {
    let (scene, _operator) = Scene::running("in-use").await;
    scene.apply_workspace("w", json!({"runtime": "echo", "tier": "T1"})).await;
    scene.until_ready("w").await;
    let mut other = scene.config();
    other["docker"]["hosts"][0]["address"] = json!("unix:///nonexistent/docker.sock");
    scene.apply_config(other).await;
    let configs: Api<BackendConfig> = Api::all(scene.client.clone());
    scene
        .within(SOON, "the change is refused", async || {
            let config = configs.get(&scene.name).await.unwrap();
            let said = config.status.map(|status| status.conditions).unwrap_or_default();
            let refused =
                condition::find(&said, Accepted).is_some_and(|c| c.status == "False" && c.reason == "InUse");
            if refused { Ok(()) } else { Err(format!("{said:?}")) }
        })
        .await;
    // The former engine serves: what runs is still ours to stop.
    scene.patch::<Workspace>("w", json!({"spec": {"suspend": true}})).await;
    scene.until_condition("w", Ready, "False", "Suspended").await;
    assert_eq!(scene.container("w").state, "exited");
    scene.apply_config(scene.config()).await;
    scene.patch::<Workspace>("w", json!({"spec": {"suspend": false}})).await;
    scene.until_ready("w").await;
    scene.delete::<Workspace>("w").await;
    scene.until_nothing_is_left().await;
}
