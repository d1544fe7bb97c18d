//! A Team comes up, is changed, and goes.

use crate::crash::progress;
use crate::support::engine::Container;
use crate::support::scene::{Scene, conditions, says, team_conditions};
use crate::support::wait::LATER;
use atelier::api::ConditionType::{Expanded, InstanceLaunched, Ready, Stalled};
use atelier::api::{Team, Workspace, condition};
use kube::ResourceExt;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

trials![
    seven_come_up_and_reach_each_other,
    applying_it_again_changes_nothing,
    a_changed_reports_to_changes_one_workspace,
    a_removed_member_removes_one_workspace,
    a_name_that_is_taken_is_not_taken_over,
    no_more_launch_at_once_than_allowed,
    members_that_report_in_a_circle_are_named,
    a_stranger_to_report_to_is_named,
    the_worst_members_are_named,
    a_suspended_team_stops_all_its_boxes,
    a_person_restarts_one_member,
];

/// The spec of a Team with so many members: a director and those who report to it.
pub fn team(members: usize) -> Value {
    let member = |n: usize| match n {
        0 => json!({"name": "director", "role": "Sets the direction."}),
        n => json!({"name": format!("specialist-{n}"), "reportsTo": "director"}),
    };
    json!({
        "defaults": {
            "runtime": "echo", "tier": "T1",
            "env": [{"name": "ATELIER_HEARTBEAT_SECONDS", "value": "1"}],
        },
        "members": (0..members).map(member).collect::<Vec<_>>(),
    })
}

/// What would show that anything was touched: resourceVersions of the Workspaces, starts of their boxes.
pub async fn traces(scene: &Scene) -> BTreeMap<String, String> {
    let versions =
        scene.workspaces().await.into_iter().map(|ws| (ws.name_any(), ws.resource_version().unwrap()));
    let starts = scene.containers().into_iter().map(|c| (c.id, c.started_at));
    versions.chain(starts).collect()
}

/// Waits until the operator has looked at this generation of a Team.
async fn until_looked_at(scene: &Scene, applied: &Team) -> Team {
    let name = applied.name_any();
    let is_it = |team: &Team| {
        team.status.as_ref().map(|status| status.observed_generation) == applied.metadata.generation
    };
    scene.until_team(&name, "looked at", is_it).await
}

async fn seven_come_up_and_reach_each_other() {
    let (scene, _operator) = Scene::running("seven").await;
    let mut spec = team(7);
    // The tier that a Workspace has unless it says otherwise.
    spec["defaults"].as_object_mut().unwrap().remove("tier");
    scene.apply_team("studio", spec).await;
    let ready = scene.until_team_ready("studio").await;
    assert_eq!(ready.status.unwrap().ready_summary.as_deref(), Some("7/7"));

    let containers = scene.containers();
    assert_eq!(containers.len(), 7);
    assert_eq!(scene.engine().networks(&scene.label()).len(), 1, "one network a Team");
    let url = |ws: &Workspace| ws.status.as_ref()?.agent.as_ref()?.url.clone();
    let workspaces = scene.workspaces().await;
    for container in &containers {
        for ws in &workspaces {
            let url = url(ws).expect("a Ready agent that registered has a url");
            let card = format!("{url}{}", atelier_wire::contract::AGENT_CARD_PATH);
            let answer = scene.engine().docker(&["exec", &container.id, "/atelier-agent", "get", &card]);
            let answer =
                answer.unwrap_or_else(|why| panic!("{} does not reach {url}: {why}", container.name));
            assert!(answer.contains(url.as_str()), "{url} answers with another's card: {answer}");
        }
        // The director sees its six, each of them the director and five siblings.
        let peers = scene.engine().docker(&["exec", &container.id, "/atelier-agent", "peers"]).unwrap();
        assert_eq!(peers.matches("online").count(), 6, "{} sees: {peers}", container.workspace());
    }
}

async fn applying_it_again_changes_nothing() {
    let (scene, _operator) = Scene::running("again").await;
    scene.apply_team("studio", team(3)).await;
    scene.until_team_ready("studio").await;
    let before = traces(&scene).await;
    let writes = scene.writes().len();

    let mut reordered = team(3);
    reordered["members"].as_array_mut().unwrap().reverse();
    for spec in [team(3), reordered] {
        let applied = scene.apply_team("studio", spec).await;
        until_looked_at(&scene, &applied).await;
    }
    assert_eq!(traces(&scene).await, before);
    let written = scene.writes().split_off(writes);
    let to_workspaces: Vec<_> =
        written.iter().filter(|write| write.resource.starts_with("workspaces")).collect();
    assert!(to_workspaces.is_empty(), "{to_workspaces:?}");
}

async fn a_changed_reports_to_changes_one_workspace() {
    let (scene, _operator) = Scene::running("reports-to").await;
    scene.apply_team("studio", team(4)).await;
    scene.until_team_ready("studio").await;
    let before = traces(&scene).await;

    let mut changed = team(4);
    changed["members"][3]["reportsTo"] = json!("specialist-1");
    scene.apply_team("studio", changed).await;
    scene
        .until(LATER, "studio-specialist-3", "reports to specialist-1", |ws| {
            let parent = ws.spec.parent_ref.as_ref().map(|parent| parent.name.as_str());
            let looked_at =
                ws.status.as_ref().map(|status| status.observed_generation) == ws.metadata.generation;
            parent == Some("studio-specialist-1") && looked_at
        })
        .await;
    // Its box may be another one now: it is told its parent when it is made.
    scene
        .within(LATER, "four boxes, all of them connected", async || {
            let seen = progress(&scene).await;
            if (seen.ready, seen.containers) == (4, 4) { Ok(()) } else { Err(format!("{seen:?}")) }
        })
        .await;
    let after = traces(&scene).await;
    let ids: BTreeSet<_> =
        scene.workspaces().await.iter().filter_map(|ws| ws.status.clone()?.instance_id).collect();
    let own = scene.container("studio-specialist-3").id;
    let others = |traces: &BTreeMap<String, String>| {
        let mut others = traces.clone();
        others.retain(|name, _| {
            name.starts_with("studio-") && name != "studio-specialist-3" || ids.contains(name) && *name != own
        });
        others
    };
    assert_eq!(others(&after), others(&before), "others were touched");
    assert_eq!(others(&after).len(), 6, "three Workspaces and their boxes");
}

async fn a_removed_member_removes_one_workspace() {
    let (scene, _operator) = Scene::running("prune").await;
    scene.apply_team("studio", team(4)).await;
    scene.until_team_ready("studio").await;
    let before = traces(&scene).await;
    let gone = scene.container("studio-specialist-3");

    scene.apply_team("studio", team(3)).await;
    scene
        .within(LATER, "the member's Workspace and box are gone", async || {
            let left = (scene.workspaces().await.len(), scene.containers().len());
            if left == (3, 3) { Ok(()) } else { Err(format!("{left:?}")) }
        })
        .await;
    let team = scene.until_team("studio", "3/3", |team| {
        team.status.as_ref().and_then(|status| status.ready_summary.as_deref()) == Some("3/3")
    });
    team.await;
    let mut expected = before;
    expected.remove("studio-specialist-3");
    expected.remove(&gone.id);
    assert_eq!(traces(&scene).await, expected);
}

async fn a_name_that_is_taken_is_not_taken_over() {
    let (scene, _operator) = Scene::running("conflict").await;
    // `a` with `b-c` and `a-b` with `c` meet at `a-b-c`.
    let member =
        |name: &str| json!({"defaults": {"runtime": "echo", "tier": "T1"}, "members": [{"name": name}]});
    scene.apply_team("a", member("b-c")).await;
    scene.until_team_ready("a").await;
    let before = traces(&scene).await;
    scene.apply_team("a-b", member("c")).await;
    let team = scene.until_team("a-b", "NameConflict", |team| {
        condition::find(team_conditions(team), Expanded).is_some_and(|c| c.reason == "NameConflict")
    });
    let team = team.await;
    let said = &condition::find(team_conditions(&team), Expanded).unwrap().message;
    assert!(said.contains("a-b-c"), "{said}");
    assert!(condition::is_true(team_conditions(&team), Stalled), "{:?}", team_conditions(&team));
    assert_eq!(traces(&scene).await, before, "the other's Workspace was touched");

    scene.delete::<Team>("a").await;
    scene.until_team_ready("a-b").await;
}

async fn no_more_launch_at_once_than_allowed() {
    use futures::TryStreamExt;
    use kube::runtime::watcher::{self, Event, watcher};
    use std::pin::pin;
    let (scene, _operator) = Scene::running("slots").await;
    let mut spec = team(5);
    spec["maxConcurrentLaunches"] = json!(1);
    let mut events = pin!(watcher(scene.api::<Workspace>(), watcher::Config::default()));
    scene.apply_team("studio", spec).await;
    // Whoever has a launch on record and no box that runs is launching.
    let mut launching = BTreeMap::new();
    let mut waited = false;
    while launching.len() < 5 || launching.values().any(|&step| step != Some(false)) {
        let event = tokio::time::timeout(LATER, events.try_next()).await;
        let event = event.unwrap_or_else(|_| panic!("no end of launches: {launching:?}")).unwrap().unwrap();
        let (Event::Apply(ws) | Event::InitApply(ws)) = event else { continue };
        let launch = ws.status.as_ref().and_then(|status| status.launch.as_ref());
        let runs = says(&ws, InstanceLaunched, "True", "Running");
        waited |= says(&ws, InstanceLaunched, "False", "WaitingForSlot");
        launching.insert(ws.name_any(), launch.map(|_| !runs));
        let now: Vec<_> = launching.iter().filter(|(_, step)| **step == Some(true)).collect();
        assert!(now.len() <= 1, "launching at once: {now:?}");
    }
    assert!(waited, "nobody said that it waits for a slot");
    scene.until_team_ready("studio").await;
}

async fn refused(topic: &str, reason: &str, words: &[&str], change: impl FnOnce(&mut Value)) {
    let (scene, _operator) = Scene::running(topic).await;
    let mut spec = team(3);
    change(&mut spec);
    scene.apply_team("studio", spec).await;
    let team = scene
        .until_team("studio", reason, |team| {
            condition::find(team_conditions(team), Stalled)
                .is_some_and(|c| c.status == "True" && c.reason == reason)
        })
        .await;
    let said = &condition::find(team_conditions(&team), Ready).unwrap().message;
    for word in words {
        assert!(said.contains(word), "no word of {word:?}: {said}");
    }
    assert!(scene.workspaces().await.is_empty(), "a Team that makes no sense was expanded");

    scene.apply_team("studio", self::team(3)).await;
    scene.until_team_ready("studio").await;
}

async fn members_that_report_in_a_circle_are_named() {
    refused("cycle", "ReportingCycle", &["specialist-1", "specialist-2"], |spec| {
        spec["members"][1]["reportsTo"] = json!("specialist-2");
        spec["members"][2]["reportsTo"] = json!("specialist-1");
    })
    .await;
}

async fn a_stranger_to_report_to_is_named() {
    refused("stranger", "UnknownReportsTo", &["specialist-1", "nobody"], |spec| {
        spec["members"][1]["reportsTo"] = json!("nobody");
    })
    .await;
}

async fn the_worst_members_are_named() {
    let (scene, _operator) = Scene::running("worst").await;
    let mut spec = team(4);
    spec["members"][1]["runtime"] = json!("nope");
    spec["members"][2]["runtime"] = json!("boot-only");
    scene.apply_team("studio", spec).await;
    let team = scene
        .until_team("studio", "MembersStalled, 2/4", |team| {
            let summary = team.status.as_ref().and_then(|status| status.ready_summary.as_deref());
            let stalled = condition::find(team_conditions(team), Stalled);
            let all = team
                .status
                .as_ref()
                .and_then(|s| s.members.as_ref())
                .is_some_and(|m| m.not_ready.iter().any(|p| p.reason == "NeverRegistered"));
            summary == Some("2/4") && all && stalled.is_some_and(|c| c.reason == "MembersStalled")
        })
        .await;
    let said = &condition::find(team_conditions(&team), Ready).unwrap().message;
    for word in ["specialist-1", "UnknownRuntime", "specialist-2", "NeverRegistered"] {
        assert!(said.contains(word), "no word of {word:?}: {said}");
    }
    let rollup = team.status.unwrap().members.unwrap();
    assert_eq!((rollup.total, rollup.ready, rollup.not_ready.len()), (4, 2, 2));
}

async fn a_suspended_team_stops_all_its_boxes() {
    let (scene, _operator) = Scene::running("team-suspend").await;
    scene.apply_team("studio", team(3)).await;
    scene.until_team_ready("studio").await;
    let before: Vec<_> = scene.containers().into_iter().map(|c| c.id).collect();
    let mut spec = team(3);
    spec["suspend"] = json!(true);
    scene.apply_team("studio", spec).await;
    scene
        .within(LATER, "all boxes are stopped", async || {
            let running = scene.containers().into_iter().filter(Container::runs).count();
            let said =
                scene.workspaces().await.iter().filter(|ws| says(ws, Ready, "False", "Suspended")).count();
            if (running, said) == (0, 3) {
                Ok(())
            } else {
                Err(format!("{running} run, {said} say Suspended"))
            }
        })
        .await;
    scene.apply_team("studio", team(3)).await;
    scene.until_team_ready("studio").await;
    let after: Vec<_> = scene.containers().into_iter().map(|c| c.id).collect();
    assert_eq!(after, before, "resumed in place");
}

async fn a_person_restarts_one_member() {
    let (scene, _operator) = Scene::running("one-member").await;
    scene.apply_team("studio", team(3)).await;
    scene.until_team_ready("studio").await;
    let before = scene.containers();
    let name = "studio-specialist-1";
    scene.patch::<Workspace>(name, json!({"spec": {"restartedAt": "now"}})).await;
    scene
        .until(LATER, name, "restarted and Ready", |ws| {
            let done = ws.status.as_ref().is_some_and(|status| status.restarted_at.as_deref() == Some("now"));
            done && condition::is_true(conditions(ws), Ready)
        })
        .await;
    // The Team does not set restartedAt, so it leaves a person's value alone.
    let applied = scene.apply_team("studio", team(3)).await;
    until_looked_at(&scene, &applied).await;
    assert_eq!(scene.workspace(name).await.spec.restarted_at.as_deref(), Some("now"));
    for (then, now) in before.iter().zip(scene.containers()) {
        assert_eq!(then.id, now.id);
        assert_eq!(then.started_at == now.started_at, now.workspace() != name, "{}", now.workspace());
    }
}
