//! The engine stops, and comes back as it was or as another.

use crate::support::operator::Operator;
use crate::support::scene::{Scene, conditions, message, says};
use crate::support::wait::LATER;
use crate::team::team;
use atelier::api::ConditionType::{BackendReady, Deleting, InstanceLaunched, Ready};
use atelier::api::{Workspace, condition, names};
use kube::ResourceExt;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

trials![an_engine_that_stops_costs_no_box, a_wiped_engine_is_another_world];

/// The attempt and the box of each Workspace.
async fn records(scene: &Scene) -> BTreeMap<String, (i64, Option<String>)> {
    let record = |ws: Workspace| {
        let status = ws.status.clone().unwrap();
        (ws.name_any(), (status.launch.unwrap().attempt, status.instance_id))
    };
    scene.workspaces().await.into_iter().map(record).collect()
}

async fn an_engine_that_stops_costs_no_box() {
    let scene = Scene::with_own_engine("outage").await;
    scene.apply_config(scene.config()).await;
    let operator = scene.operator(&[]).await;
    outage(&scene, &operator, 3, Duration::ZERO).await;
}

/// Stops the engine under a Team and under a Workspace that is then deleted, and brings it back after so long.
pub async fn outage(scene: &Scene, operator: &Operator, members: usize, at_least: Duration) {
    scene.apply_workspace("doomed", json!({"runtime": "echo", "tier": "T1"})).await;
    scene.apply_team("studio", team(members)).await;
    scene.until_ready("doomed").await;
    scene.until_team_ready("studio").await;
    let mut before = records(scene).await;

    scene.engine().stop();
    let back_at = Instant::now() + at_least;
    scene.delete::<Workspace>("doomed").await;
    scene
        .within(
            LATER,
            "all say that the engine does not answer, and the deleted one that it waits",
            async || {
                let all = scene.workspaces().await;
                let unreachable =
                    all.iter().filter(|ws| says(ws, BackendReady, "False", "DockerUnreachable")).count();
                let waits = all.iter().filter(|ws| says(ws, Deleting, "True", "WaitingForBackend")).count();
                if (unreachable, waits) == (members + 1, 1) {
                    Ok(())
                } else {
                    Err(format!("{unreachable}, {waits}"))
                }
            },
        )
        .await;
    for ws in scene.workspaces().await {
        let name = ws.name_any();
        // What is known is said: the box was there, and nobody can ask for it now.
        let said = condition::find(conditions(&ws), InstanceLaunched).unwrap();
        assert_eq!(said.status, "Unknown", "{name}: {said:?}");
        let id = ws.status.as_ref().unwrap().instance_id.clone().unwrap();
        assert!(said.message.contains(&id), "{name}: {}", said.message);
        assert!(message(&ws, BackendReady).contains("docker.sock"), "{name}: {}", message(&ws, BackendReady));
        assert!(!says(&ws, Ready, "False", "HeartbeatLost"), "{name} is called lost for its engine");
    }
    // The backend is asked again and again meanwhile, and nothing is replaced for it.
    let asked = operator.metric("atelier_backend_call_seconds_count", &["Preflight"]).await;
    scene
        .within(LATER, "the engine was asked for again", async || {
            let now = operator.metric("atelier_backend_call_seconds_count", &["Preflight"]).await;
            if now >= asked + 2.0 { Ok(()) } else { Err(format!("{now} after {asked}")) }
        })
        .await;
    tokio::time::sleep_until(back_at.into()).await;
    assert_eq!(records(scene).await, before);

    scene.engine().resume();
    before.remove("doomed");
    scene
        .within(LATER, "the deleted one is gone", async || {
            let left: Vec<_> = scene.workspaces().await.iter().map(ResourceExt::name_any).collect();
            if left.iter().any(|name| name == "doomed") { Err(format!("{left:?}")) } else { Ok(()) }
        })
        .await;
    scene.until_team_ready("studio").await;
    assert_eq!(records(scene).await, before, "boxes are the same as before");
    crate::crash::assert_one_box_each(scene, members).await;
}

async fn a_wiped_engine_is_another_world() {
    let scene = Scene::with_own_engine("wiped").await;
    scene.apply_config(scene.config()).await;
    let _operator = scene.operator(&[]).await;
    for name in ["kept", "deleted"] {
        scene.apply_workspace(name, json!({"runtime": "echo", "tier": "T1"})).await;
    }
    let kept = scene.until_ready("kept").await;
    let deleted = scene.until_ready("deleted").await;
    let id = |ws: &Workspace| ws.status.as_ref().unwrap().instance_id.clone().unwrap();

    scene.engine().stop();
    scene.engine().wipe();
    scene.engine().resume();
    scene.engine().load_image();
    scene.delete::<Workspace>("deleted").await;
    for name in ["kept", "deleted"] {
        let ws = scene.until_condition(name, BackendReady, "False", "WrongBackend").await;
        assert_eq!(
            ws.status.as_ref().unwrap().launch.as_ref().unwrap().attempt,
            1,
            "another world proves nothing"
        );
    }
    assert_eq!(scene.containers(), []);

    // Only a person can know that the former world is gone for good.
    for (name, ws) in [("kept", &kept), ("deleted", &deleted)] {
        let forget = json!({"metadata": {"annotations": {names::FORGET_INSTANCE: id(ws)}}});
        scene.patch::<Workspace>(name, forget).await;
    }
    let again = scene
        .until(LATER, "kept", "Ready in another box", |ws| {
            let status = ws.status.as_ref().unwrap();
            condition::is_true(conditions(ws), Ready) && status.launch.as_ref().unwrap().attempt == 2
        })
        .await;
    assert_ne!(id(&again), id(&kept));
    scene
        .soon("the deleted one is gone", async || {
            let left = scene.workspaces().await.len();
            if left == 1 { Ok(()) } else { Err(left.to_string()) }
        })
        .await;
}
