//! The operator is killed, frozen and raced, at any time: each Workspace has one box all the same.

use crate::support::front::Front;
use crate::support::operator::{Operator, QUICK, SHORT_LEASE};
use crate::support::scene::Scene;
use crate::support::wait::LATER;
use crate::team::{team, traces};
use atelier::api::{Team, Workspace};
use kube::ResourceExt;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

trials![
    killed_in_a_burst_it_makes_each_box_once,
    a_leader_that_freezes_in_a_burst_doubles_nothing,
    a_team_deleted_in_a_burst_leaves_nothing,
];

/// Fails unless each Workspace has exactly one box, which runs, and which is the recorded one.
pub async fn assert_one_box_each(scene: &Scene, count: usize) {
    let workspaces = scene.workspaces().await;
    assert_eq!(workspaces.len(), count);
    let containers = scene.containers();
    let mut boxes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for container in containers.iter().filter(|c| c.runs()) {
        boxes.entry(container.workspace().to_owned()).or_default().push(container.id.clone());
    }
    assert_eq!(containers.len(), count, "containers: {containers:?}");
    for ws in workspaces {
        let recorded = ws.status.as_ref().and_then(|status| status.instance_id.clone());
        let found = boxes.remove(&ws.name_any()).unwrap_or_default();
        assert_eq!(found, recorded.into_iter().collect::<Vec<_>>(), "boxes of {}", ws.name_any());
    }
}

/// How far a burst has come.
#[derive(Debug)]
pub struct Progress {
    pub recorded: usize,
    pub containers: usize,
    pub ready: usize,
}

/// Whether a burst has come so far.
type Point = fn(&Progress) -> bool;

pub async fn progress(scene: &Scene) -> Progress {
    let workspaces = scene.workspaces().await;
    let recorded = |ws: &&Workspace| ws.status.as_ref().is_some_and(|status| status.launch.is_some());
    let ready = |ws: &&Workspace| {
        crate::support::scene::says(ws, atelier::api::ConditionType::Ready, "True", "Ready")
    };
    Progress {
        recorded: workspaces.iter().filter(recorded).count(),
        ready: workspaces.iter().filter(ready).count(),
        containers: scene.containers().len(),
    }
}

async fn killed_in_a_burst_it_makes_each_box_once() {
    let scene = Scene::new("kills").await;
    scene.apply_config(scene.config()).await;
    let mut operator: Operator = scene.operator(&[]).await;
    scene.apply_team("studio", team(7)).await;
    // Each kill comes at a further point of the burst.
    let points: [(&str, Point); 4] = [
        ("a launch is on record", |p| p.recorded >= 1),
        ("the first box is made", |p| p.containers >= 1),
        ("half of the boxes are made", |p| p.containers >= 4),
        ("an agent is connected", |p| p.ready >= 1),
    ];
    for (what, reached) in points {
        scene
            .within(LATER, what, async || {
                let seen = progress(&scene).await;
                if reached(&seen) { Ok(()) } else { Err(format!("{seen:?}")) }
            })
            .await;
        operator.restart();
    }
    scene.until_team_ready("studio").await;
    assert_one_box_each(&scene, 7).await;
    for ws in scene.workspaces().await {
        let launch = ws.status.as_ref().unwrap().launch.as_ref().unwrap();
        assert_eq!(launch.attempt, 1, "{}: a kill is no reason for another attempt", ws.name_any());
    }
}

async fn a_team_deleted_in_a_burst_leaves_nothing() {
    let (scene, _operator) = Scene::running("burst-goes").await;
    let mut spec = team(7);
    spec["defaults"]["storage"] = json!({"retain": false});
    scene.apply_team("studio", spec).await;
    scene
        .within(LATER, "the first box is made", async || {
            let seen = progress(&scene).await;
            if seen.containers >= 1 { Ok(()) } else { Err(format!("{seen:?}")) }
        })
        .await;
    scene.delete::<Team>("studio").await;
    scene.until_nothing_is_left().await;
    assert!(scene.api::<Team>().get_opt("studio").await.unwrap().is_none(), "the Team is still there");
}

async fn a_leader_that_freezes_in_a_burst_doubles_nothing() {
    let scene = Scene::new("frozen").await;
    scene.apply_config(scene.config()).await;
    let (mut first, second, front) = scene.two_operators(&[&QUICK[..], &SHORT_LEASE].concat()).await;
    frozen_and_thawed(&scene, &mut first, &second, &front, 7, Duration::ZERO).await;
}

/// How often what an agent says is written, by the shortened periods.
const AGENT_WRITE_PERIOD: Duration = Duration::from_secs(2);

/// Stops the leader while it makes boxes, lets the other finish, and lets the first go on after so long.
pub async fn frozen_and_thawed(
    scene: &Scene,
    first: &mut Operator,
    second: &Operator,
    front: &Front,
    members: usize,
    at_least: Duration,
) {
    scene.apply_team("studio", team(members)).await;
    scene
        .within(LATER, "the first box is made", async || {
            let seen = progress(scene).await;
            if seen.containers >= 1 { Ok(()) } else { Err(format!("{seen:?}")) }
        })
        .await;
    first.signal("STOP");
    let thaw_at = Instant::now() + at_least;
    front.point_at(second.registry());
    second.until_it_leads().await;
    scene.until_team_ready("studio").await;
    assert_one_box_each(scene, members).await;
    tokio::time::sleep_until(thaw_at.into()).await;
    // An agent whose registration went to the frozen one is known by its heartbeat, and registers again.
    scene
        .within(LATER, "the leader has nothing more to tell", async || {
            let told = scene.writes().len();
            tokio::time::sleep(AGENT_WRITE_PERIOD * 2).await;
            let now = scene.writes().len();
            if told == now { Ok(()) } else { Err(format!("{told}, then {now} writes")) }
        })
        .await;
    let before = traces(scene).await;
    let written = scene.writes().len();
    first.signal("CONT");
    let status = first.ended().await;
    assert!(!status.success(), "it lost the lease, and ended as if all were well");
    scene.until_team_ready("studio").await;
    assert_one_box_each(scene, members).await;
    let written = format!("the one that came back has changed something: {:#?}", &scene.writes()[written..]);
    scene.assert_same(&traces(scene).await, &before, &written).await;
}
