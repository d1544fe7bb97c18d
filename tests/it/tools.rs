//! What other tools read: kubectl's columns, explanations and waiting, and kstatus.

use crate::support::kstatus::{Verdict, fault, verdict};
use crate::support::scene::Scene;
use crate::support::script::run;
use crate::support::world;
use crate::team::team;
use atelier::api::{Team, Workspace};
use kube::ResourceExt;
use serde_json::json;
use std::process::Command;

trials![
    kubectl_waits_for_ready_and_for_stalled,
    kubectl_shows_what_matters,
    kubectl_explains_the_fields,
    the_definitions_are_small,
    what_nobody_looked_at_is_in_progress,
];

/// Said of all statuses of the run, so it comes last.
pub fn last() -> Vec<libtest_mimic::Trial> {
    let body = || Box::pin(every_status_has_its_verdict()) as _;
    vec![crate::support::trial(module_path!(), "every_status_has_its_verdict", body)]
}

async fn every_status_has_its_verdict() {
    let statuses = world::world().await.statuses.distinct();
    let faults: Vec<_> = statuses
        .iter()
        .filter_map(|object| {
            let (kind, name) = (&object["kind"], &object["metadata"]["name"]);
            let namespace = &object["metadata"]["namespace"];
            fault(object).map(|fault| format!("{kind} {name} in {namespace}: {fault}\n{}", object["status"]))
        })
        .collect();
    assert!(faults.is_empty(), "of {} distinct statuses:\n{}", statuses.len(), faults.join("\n"));
    println!("{} distinct statuses have the verdict that is meant", statuses.len());
}

async fn kubectl_waits_for_ready_and_for_stalled() {
    let (scene, _operator) = Scene::running("waits").await;
    let wait = |what: &str, name: &str| {
        let condition = format!("--for=condition={what}");
        run(scene.kubectl().args(["wait", &condition, "--timeout=60s", &format!("team/{name}")]))
    };
    scene.apply_team("good", team(2)).await;
    wait("Ready", "good").unwrap();
    let mut broken = team(2);
    broken["members"][1]["reportsTo"] = json!("nobody");
    scene.apply_team("broken", broken).await;
    wait("Stalled", "broken").unwrap();
    // Deleting with a foreground wait ends when all is gone.
    run(scene.kubectl().args(["delete", "team", "good", "--cascade=foreground", "--timeout=60s"])).unwrap();
    assert_eq!(scene.containers(), []);
}

async fn kubectl_shows_what_matters() {
    let (scene, _operator) = Scene::running("columns").await;
    scene.apply_team("studio", team(2)).await;
    scene.until_team_ready("studio").await;
    let shown = run(scene.kubectl().args(["get", "team,ws"])).unwrap();
    let ws = scene.workspace("studio-director").await;
    let id = ws.status.unwrap().instance_id.unwrap();
    let short = &id[..12];
    for words in [
        "READY", "REASON", "BACKEND", "INSTANCE", "RUNTIME", "TEAM", "2/2", "Docker", "echo", "studio", short,
    ] {
        assert!(shown.contains(words), "no {words:?} in:\n{shown}");
    }
    assert!(!shown.contains(&id), "the lines are as wide as a whole id:\n{shown}");
    let wide = run(scene.kubectl().args(["get", "ws", "--output", "wide"])).unwrap();
    assert!(
        wide.contains("ADDRESS")
            && wide.contains("ATTEMPT")
            && wide.contains(&id)
            && wide.contains("127.0.0.1:"),
        "{wide}"
    );
    let atelier = run(scene.kubectl().args(["get", "atelier"])).unwrap();
    for words in
        ["team.atelier.dev/studio", "workspace.atelier.dev/studio-director", "backendconfig.atelier.dev"]
    {
        assert!(atelier.contains(words), "no {words:?} in:\n{atelier}");
    }
}

async fn kubectl_explains_the_fields() {
    let scene = Scene::new("explain").await;
    // Line breaks are kubectl's.
    let explain = |field: &str| {
        let text = run(scene.kubectl().args(["explain", field])).unwrap();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let members = explain("team.spec.members");
    for words in [
        "The members. Their order means nothing.",
        "reportsTo <string> The member of this Team that this one reports to. Default: none, a root.",
        "name <string> -required- The member's name within the Team.",
        "tier <string> enum: T1, T2, T3, T4",
    ] {
        assert!(members.contains(words), "no {words:?} in: {members}");
    }
    assert!(explain("workspace.spec.restartedAt").contains("restarts the box in place"));
    assert!(explain("backendconfig.spec.runtimes.bootTimeoutSeconds").contains("in seconds. Default 600."));
    assert!(explain("ws.status.diagnosis.hint").contains("What a person can do."));
}

async fn the_definitions_are_small() {
    let printed = run(Command::new(env!("CARGO_BIN_EXE_atelier")).arg("crds")).unwrap();
    assert!(printed.contains("kind: CustomResourceDefinition"));
    assert!(printed.len() < 150_000, "{} bytes", printed.len());
}

async fn what_nobody_looked_at_is_in_progress() {
    let scene = Scene::new("unseen").await;
    let ws = scene.apply_workspace("w", json!({"runtime": "echo"})).await;
    let team = scene.apply_team("studio", team(1)).await;
    let verdicts = [
        verdict(&serde_json::to_value::<Workspace>(ws).unwrap()),
        verdict(&serde_json::to_value::<Team>(team.clone()).unwrap()),
    ];
    assert_eq!(verdicts, [Verdict::InProgress; 2], "{}", team.name_any());
}
