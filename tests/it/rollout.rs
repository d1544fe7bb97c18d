//! A change of the platform's settings does not replace the fleet.

use crate::support::engine::IMAGE;
use crate::support::scene::{Scene, conditions, message};
use crate::support::wait::LATER;
use crate::team::team;
use atelier::api::ConditionType::{Ready, UpToDate};
use atelier::api::{Workspace, condition};
use kube::ResourceExt;
use serde_json::{Value, json};

trials![a_new_image_waits_for_a_restart, a_new_image_is_rolled_out_where_the_policy_says_so];

/// The config with another image for the runtime `echo`.
fn with_image(scene: &Scene, image: &str) -> Value {
    let mut config = scene.config();
    config["runtimes"][0]["image"] = json!(image);
    config
}

/// Another name for the agent's image.
fn another_image(scene: &Scene) -> String {
    let image = format!("atelier-agent:{}", scene.name);
    scene.engine().docker(&["tag", IMAGE, &image]).unwrap();
    image
}

fn is_outdated(ws: &Workspace) -> bool {
    condition::find(conditions(ws), UpToDate)
        .is_some_and(|c| c.status == "False" && c.reason == "ImageChanged")
}

fn is_new(ws: &Workspace, image: &str) -> bool {
    let runs = ws.status.as_ref().and_then(|status| status.instance.as_ref()?.image.as_deref());
    runs == Some(image)
        && condition::is_true(conditions(ws), UpToDate)
        && condition::is_true(conditions(ws), Ready)
}

async fn a_new_image_waits_for_a_restart() {
    let (scene, _operator) = Scene::running("image").await;
    scene.apply_workspace("w", json!({"runtime": "echo", "tier": "T1"})).await;
    scene.until_ready("w").await;
    let before = scene.container("w");
    let image = another_image(&scene);
    scene.apply_config(with_image(&scene, &image)).await;
    let ws = scene.until(LATER, "w", "UpToDate=False/ImageChanged", is_outdated).await;
    assert!(message(&ws, UpToDate).contains(&image), "{}", message(&ws, UpToDate));
    assert!(condition::is_true(conditions(&ws), Ready), "an old image is no trouble: {:?}", conditions(&ws));
    assert_eq!(scene.container("w"), before, "the fleet was replaced");

    scene.patch::<Workspace>("w", json!({"spec": {"restartedAt": "now"}})).await;
    let ws = scene.until(LATER, "w", "Ready with the new image", |ws| is_new(ws, &image)).await;
    assert_eq!(ws.status.unwrap().launch.unwrap().attempt, 2, "another image needs another box");
    assert_ne!(scene.container("w").id, before.id);
}

async fn a_new_image_is_rolled_out_where_the_policy_says_so() {
    use futures::TryStreamExt;
    use kube::runtime::watcher::{self, Event, watcher};
    use std::collections::BTreeMap;
    let (scene, _operator) = Scene::running("rollout").await;
    scene.apply_team("studio", team(3)).await;
    scene.until_team_ready("studio").await;
    let image = another_image(&scene);
    let mut config = with_image(&scene, &image);
    config["policy"] = json!({"rollout": {"maxUnavailable": 1}});

    let mut events = std::pin::pin!(watcher(scene.api::<Workspace>(), watcher::Config::default()));
    scene.apply_config(config).await;
    let mut all = BTreeMap::new();
    while all.len() < 3 || !all.values().all(|ws| is_new(ws, &image)) {
        let event = tokio::time::timeout(LATER, events.try_next()).await;
        let event = event.unwrap_or_else(|_| panic!("the rollout has no end")).unwrap().unwrap();
        let (Event::Apply(ws) | Event::InitApply(ws)) = event else { continue };
        all.insert(ws.name_any(), ws);
        let unready: Vec<_> = all
            .values()
            .filter(|ws| !condition::is_true(conditions(ws), Ready))
            .map(ResourceExt::name_any)
            .collect();
        assert!(unready.len() <= 1, "unready at once: {unready:?}");
    }
}
