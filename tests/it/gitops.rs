//! GitOps: Flux's real controller applies an imported Team, waits for it, prunes, and sees it fail.

use crate::argocd::health;
use crate::import::{imported, studio};
use crate::support::flux::{Flux, PLATFORM, TEAM};
use crate::support::kstatus::{Verdict, verdict};
use crate::support::scene::{Scene, conditions, is_true};
use crate::support::script::{root, run};
use crate::support::wait::LATER;
use atelier::api::{ConditionType, Team, Workspace};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::api::ListParams;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

trials![
    flux_applies_an_imported_team_waits_for_it_and_prunes_a_removed_member,
    flux_sees_a_broken_team_fail_and_a_suspended_one_rest,
    flux_brings_the_platform_before_the_agents_and_sees_no_drift_in_either,
];

/// A working copy: an org template, and the folder that its import is committed from.
struct Checkout {
    template: PathBuf,
    repository: PathBuf,
}

impl Checkout {
    fn new(scene: &Scene) -> Self {
        let checkout =
            Self { template: scene.dir().join("template"), repository: scene.dir().join("repository") };
        fs::create_dir_all(&checkout.repository).unwrap();
        checkout
    }

    /// Imports the template as the Team that the example applies, and commits that.
    async fn push(&self, flux: &Flux) -> String {
        let to = self.repository.join("teams/design-studio");
        let template = self.template.to_str().unwrap();
        imported(&["--strict", "--name", "design-studio", "--output-dir", to.to_str().unwrap(), template]);
        flux.push(&self.repository).await
    }

    /// Changes a file of the template.
    fn edit(&self, file: &str, change: impl FnOnce(String) -> String) {
        let path = self.template.join(file);
        let text = fs::read_to_string(&path).unwrap();
        let changed = change(text.clone());
        assert_ne!(changed, text, "{file} has nothing of what was to be changed");
        fs::write(path, changed).unwrap();
    }
}

/// uid, generation and box of each Workspace.
async fn workspaces(scene: &Scene) -> BTreeMap<String, (Option<String>, Option<i64>, Option<String>)> {
    let facts = |ws: &Workspace| {
        let id = ws.status.as_ref().and_then(|status| status.instance_id.clone());
        (ws.name_any(), (ws.uid(), ws.metadata.generation, id))
    };
    scene.workspaces().await.iter().map(facts).collect()
}

/// resourceVersion of everything that Flux looks after, or that follows from it.
async fn versions(scene: &Scene) -> BTreeMap<String, Option<String>> {
    let all = ListParams::default();
    let team = scene.api::<Team>().get("design-studio").await.unwrap();
    let maps = scene.api::<ConfigMap>().list(&all).await.unwrap();
    let workspaces = scene.workspaces().await;
    let maps = maps.items.iter().map(|map| (map.name_any(), map.resource_version()));
    let workspaces = workspaces.iter().map(|ws| (format!("ws/{}", ws.name_any()), ws.resource_version()));
    maps.chain(workspaces).chain([("team".to_owned(), team.resource_version())]).collect()
}

async fn flux_applies_an_imported_team_waits_for_it_and_prunes_a_removed_member() {
    let (scene, _operator) = studio("flux").await;
    let flux = Flux::start(&scene).await;
    let checkout = Checkout::new(&scene);
    run(Command::new("cp").arg("-r").arg(root().join("examples/org/design-studio")).arg(&checkout.template))
        .unwrap();

    // It says Ready only when the agents are connected.
    let revision = checkout.push(&flux).await;
    flux.until_ready(&scene, TEAM, &revision).await;
    let team: Team = scene.api().get("design-studio").await.unwrap();
    assert_eq!(team.status.as_ref().unwrap().ready_summary.as_deref(), Some("7/7"));
    let made = workspaces(&scene).await;
    assert_eq!(made.len(), 7);
    for ws in scene.workspaces().await {
        let labels: Vec<_> = ws.labels().keys().filter(|label| label.contains("fluxcd")).collect();
        assert!(labels.is_empty(), "Flux would take {} for its own: {labels:?}", ws.name_any());
    }

    // Nothing that the operator writes is drift, and Flux has nothing to write.
    scene
        .within(LATER, "nothing moves while Flux compares", async || {
            let before = versions(&scene).await;
            let applied = flux.reconcile(&scene, TEAM).await;
            let objects = applied.as_object().unwrap();
            assert!(objects.values().all(|action| action == "unchanged"), "{applied:#}");
            let after = versions(&scene).await;
            if before == after { Ok(()) } else { Err(format!("{before:#?}, then {after:#?}")) }
        })
        .await;

    // What somebody changes by hand is drift, and Flux takes it back.
    let by_hand = r#"{"spec": {"description": "by hand", "maxConcurrentLaunches": 3}}"#;
    run(scene.kubectl().args(["patch", "team", "design-studio", "--type=merge", "--patch", by_hand]))
        .unwrap();
    let applied = flux.reconcile(&scene, TEAM).await;
    let of_team = applied.as_object().unwrap().iter().find(|(object, _)| object.starts_with("Team/"));
    assert_eq!(of_team.unwrap().1, "configured", "{applied:#}");
    let restored: Team = scene.api().get("design-studio").await.unwrap();
    assert_eq!(restored.spec, team.spec);

    // A change goes to whom it concerns.
    checkout
        .edit("org.yaml", |text| text.replace("Says what sets the offer apart", "Says what the offer is"));
    let revision = checkout.push(&flux).await;
    flux.until_ready(&scene, TEAM, &revision).await;
    let changed = workspaces(&scene).await;
    let differ: Vec<&String> = made.keys().filter(|name| made[*name].1 != changed[*name].1).collect();
    assert_eq!(differ, ["design-studio-brand-strategist"]);

    // A member that is no longer there goes with its box, and nobody else is touched.
    checkout.edit("org.yaml", |text| {
        let (kept, _) = text.split_once("  - name: Accessibility Auditor").unwrap();
        kept.to_owned()
    });
    let revision = checkout.push(&flux).await;
    flux.until_ready(&scene, TEAM, &revision).await;
    let gone = "design-studio-accessibility-auditor";
    let mut kept = changed;
    assert!(kept.remove(gone).is_some());
    scene
        .soon("the member is gone with its box", async || {
            let (left, boxes) = (workspaces(&scene).await, scene.containers().len());
            if left == kept && boxes == 6 { Ok(()) } else { Err(format!("{boxes} boxes, {left:#?}")) }
        })
        .await;
    assert!(scene.api::<ConfigMap>().get_opt(gone).await.unwrap().is_none(), "Flux prunes what it applied");

    flux.delete(TEAM).await;
    scene.until_nothing_is_left().await;
    assert!(scene.api::<Team>().get_opt("design-studio").await.unwrap().is_none());
}

async fn flux_sees_a_broken_team_fail_and_a_suspended_one_rest() {
    let (scene, _operator) = studio("flux-broken").await;
    let flux = Flux::start(&scene).await;
    let checkout = Checkout::new(&scene);
    fs::create_dir_all(&checkout.template).unwrap();
    let org = "name: Studio\ndefaults: {runtime: demo, tier: 1}\nworkspaces:\n- {name: a}\n- {name: b, runtime: nowhere}\n";
    fs::write(checkout.template.join("org.yaml"), org).unwrap();

    // The example allows fifteen minutes: what only a person can mend is told at once.
    let revision = checkout.push(&flux).await;
    let why = flux.until_failed(&scene, TEAM, &revision).await;
    assert!(why.contains("Team") && why.contains("design-studio") && why.contains("Failed"), "{why}");

    checkout.edit("org.yaml", |text| text.replace(", runtime: nowhere", ""));
    let revision = checkout.push(&flux).await;
    flux.until_ready(&scene, TEAM, &revision).await;

    // Suspended is where it was sent, and Flux goes on.
    let manifest = checkout.repository.join("teams/design-studio/team-design-studio.yaml");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("\nspec:\n", "\nspec:\n  suspend: true\n")).unwrap();
    let revision = flux.push(&checkout.repository).await;
    flux.until_ready(&scene, TEAM, &revision).await;
    let team = serde_json::to_value(scene.api::<Team>().get("design-studio").await.unwrap()).unwrap();
    assert_eq!(health(std::slice::from_ref(&team)), ["Suspended"], "{team:#}");
    assert_eq!(verdict(&team), Verdict::InProgress, "which is why the example has healthCheckExprs");
}

async fn flux_brings_the_platform_before_the_agents_and_sees_no_drift_in_either() {
    let scene = Scene::new("flux-platform").await;
    let _operator = scene.operator(&[]).await;
    let flux = Flux::start(&scene).await;
    flux.patch(TEAM, json!({"spec": {"dependsOn": [{"name": PLATFORM}]}})).await;
    let repository = scene.dir().join("repository");
    let write = |file: &str, kind: &str, name: &str, spec: &Value| {
        let path = repository.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let version = "atelier.dev/v1alpha1";
        let object = json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec});
        fs::write(path, object.to_string()).unwrap();
    };
    // As short as can be, so that the schema has many defaults to fill in.
    write("teams/design-studio/workspace.yaml", "Workspace", "scout", &json!({"runtime": "echo"}));
    let good = scene.config();
    let mut bad = good.clone();
    bad["docker"]["hosts"][0]["address"] = json!("unix:///nonexistent/docker.sock");
    write("platform/backend-config.yaml", "BackendConfig", &scene.name, &bad);
    flux.push(&repository).await;
    flux.create(&scene, "platform.yaml").await;
    scene
        .soon("the agents wait for the platform", async || {
            let (platform, agents) = (flux.said(PLATFORM).await, flux.said(TEAM).await);
            let is_applied = platform["inventory"].to_string().contains("BackendConfig");
            let waits = agents["conditions"].to_string().contains("DependencyNotReady");
            if is_applied && waits { Ok(()) } else { Err(format!("{platform}, {agents}")) }
        })
        .await;
    assert!(scene.workspaces().await.is_empty(), "applied before its platform is ready");

    write("platform/backend-config.yaml", "BackendConfig", &scene.name, &good);
    let revision = flux.push(&repository).await;
    flux.until_ready(&scene, PLATFORM, &revision).await;
    flux.until_ready(&scene, TEAM, &revision).await;
    let scout = scene.workspace("scout").await;
    assert!(is_true(conditions(&scout), ConditionType::Ready), "Flux was content too early");
    assert_eq!(scout.metadata.generation, Some(1));
    for kustomization in [PLATFORM, TEAM] {
        let applied = flux.reconcile(&scene, kustomization).await;
        let objects = applied.as_object().unwrap();
        assert!(!objects.is_empty() && objects.values().all(|action| action == "unchanged"), "{applied:#}");
    }
}
