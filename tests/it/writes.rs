//! What the operator writes, by the API server's own audit log.

use crate::support::operator::Operator;
use crate::support::scene::{Scene, says};
use crate::support::wait::LATER;
use crate::team::team;
use atelier::api::ConditionType::AgentConnected;
use atelier::api::Team;
use kube::ResourceExt;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

trials![a_workspace_costs_few_writes, at_rest_nothing_is_written];

/// From its creation to Ready.
const TO_READY: usize = 4;
/// From its deletion on.
const TO_GONE: usize = 2;
/// Events in a life without trouble.
const EVENTS: usize = 3;

async fn a_workspace_costs_few_writes() {
    let (scene, _operator) = Scene::running("budget").await;
    scene.apply_team("studio", team(7)).await;
    scene.until_team_ready("studio").await;
    let names: Vec<_> = scene.workspaces().await.iter().map(ResourceExt::name_any).collect();
    assert_eq!(names.len(), 7);
    let to_ready = scene.writes();
    scene.delete::<Team>("studio").await;
    scene.until_nothing_is_left().await;
    // Events are sent when all else is done.
    let all = scene
        .soon("each life has had its events", async || {
            let all = scene.writes();
            let untold: Vec<_> = names
                .iter()
                .filter(|n| all.iter().filter(|w| w.is_event_about(n)).count() < EVENTS)
                .collect();
            if untold.is_empty() { Ok(all) } else { Err(format!("untold: {untold:?}")) }
        })
        .await;
    for name in &names {
        let of = |write: &&crate::support::audit::Call| {
            write.resource.starts_with("workspaces") && write.name == *name && !write.creates()
        };
        let first: Vec<_> = to_ready.iter().filter(of).collect();
        let last: Vec<_> = all[to_ready.len()..].iter().filter(of).collect();
        let events: Vec<_> = all.iter().filter(|write| write.is_event_about(name)).collect();
        assert!(first.len() <= TO_READY, "{name} to Ready: {first:#?}\n{}", scene.history(name));
        assert!(last.len() <= TO_GONE, "{name} to gone: {last:#?}\n{}", scene.history(name));
        assert!(events.len() <= EVENTS, "{name} has had: {events:#?}\n{}", scene.describe().await);
        assert!(
            !first.is_empty() && !last.is_empty(),
            "the log shows no writes of {name}: the test is blind"
        );
    }
}

async fn at_rest_nothing_is_written() {
    let scene = Scene::new("at-rest").await;
    let mut config = scene.config();
    config["heartbeat"] = json!({"ttlSeconds": 6});
    scene.apply_config(config).await;
    let operator = scene.operator(&[]).await;
    at_rest(&scene, &operator, Duration::from_secs(12)).await;
}

/// A Team of seven, of which one is wedged and wavers.
fn one_wavers() -> Value {
    let mut spec = team(7);
    spec["members"][6]["runtime"] = json!("wedged");
    spec
}

/// For at least so long, and until everything periodical has been done at least twice, nothing is written.
pub async fn at_rest(scene: &Scene, operator: &Operator, window: Duration) {
    scene.apply_team("studio", one_wavers()).await;
    scene
        .until_team("studio", "6/7", |team| {
            team.status.as_ref().and_then(|status| status.ready_summary.as_deref()) == Some("6/7")
        })
        .await;
    scene
        .until(LATER, "studio-specialist-6", "AgentWedged", |ws| {
            says(ws, AgentConnected, "False", "AgentWedged")
        })
        .await;
    // What the transitions to here have caused is written and told.
    let quiet = scene
        .within(LATER, "two looks at the log show the same", async || {
            let before = scene.writes().len();
            let done = periodical(operator).await;
            while !done.is_over(&periodical(operator).await) {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            let after = scene.writes().len();
            if before == after { Ok(after) } else { Err(format!("{before}, then {after} writes")) }
        })
        .await;

    let began = Instant::now();
    let start = periodical(operator).await;
    scene.apply_team("studio", one_wavers()).await;
    scene
        .within(window + LATER, "everything periodical is done", async || {
            let now = periodical(operator).await;
            let over = began.elapsed() >= window && start.is_over(&now);
            if over { Ok(()) } else { Err(format!("{start:?}, then {now:?}")) }
        })
        .await;
    let written = scene.writes().split_off(quiet);
    assert!(written.is_empty(), "at rest, these were written: {written:#?}");
}

/// How often was done what is done without cause.
#[derive(Debug, Clone, Copy)]
struct Periodical {
    preflights: f64,
    lists: f64,
    reconciles: f64,
}

impl Periodical {
    /// Whether each was done twice between this and then; of seven Workspaces, each.
    fn is_over(&self, then: &Self) -> bool {
        then.preflights >= self.preflights + 2.0
            && then.lists >= self.lists + 2.0
            && then.reconciles >= self.reconciles + 14.0
    }
}

async fn periodical(operator: &Operator) -> Periodical {
    let calls = "atelier_backend_call_seconds_count";
    Periodical {
        preflights: operator.metric(calls, &["Preflight"]).await,
        lists: operator.metric(calls, &["Boxes"]).await,
        reconciles: operator.metric("atelier_reconciles_total", &["Workspace"]).await,
    }
}
