//! What has no owner outside the cluster is removed, and nothing else is.

use crate::support::cloud::SECRET;
use crate::support::on_ec2::Cloud;
use crate::support::operator::Operator;
use crate::support::scene::Scene;
use crate::support::wait::LATER;
use atelier::api::{BackendConfig, Workspace, names};
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace};
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use std::collections::BTreeSet;

trials![
    on_docker_only_what_has_no_owner_is_removed,
    what_is_younger_than_the_window_is_not_touched,
    a_dry_run_tells_and_removes_nothing,
    a_stored_id_of_another_cluster_stops_collection,
    on_ec2_only_what_has_no_owner_is_removed,
];

/// The uid of a Workspace that is gone.
pub const DEAD: &str = "11111111-2222-4333-8444-555555555555";

/// Sweeps and windows that a test can wait for.
const OFTEN: [&str; 2] = ["--collect-period=500ms", "--visibility-window=2s"];

/// The labels of something that a controller of this name made for a Workspace `name` of this scene.
async fn labels(scene: &Scene, controller: &str, uid: &str, name: &str) -> Vec<String> {
    let cluster = cluster_id(scene).await;
    [
        (names::CLUSTER, cluster.as_str()),
        (names::CONTROLLER, controller),
        (names::UID, uid),
        (names::NAMESPACE, &scene.name),
        (names::NAME, name),
    ]
    .iter()
    .flat_map(|(key, value)| ["--label".to_owned(), format!("{key}={value}")])
    .collect()
}

async fn cluster_id(scene: &Scene) -> String {
    let namespaces: Api<Namespace> = Api::all(scene.client.clone());
    namespaces.get("kube-system").await.unwrap().uid().unwrap()
}

fn docker(scene: &Scene, words: &[&str], labels: &[String], last: &[&str]) -> String {
    let labels = labels.iter().map(String::as_str);
    let all: Vec<_> = words.iter().copied().chain(labels).chain(last.iter().copied()).collect();
    scene.engine().docker(&all).unwrap().trim().to_owned()
}

/// A container that runs nothing.
pub async fn plant_box(scene: &Scene, controller: &str, uid: &str, name: &str, attempt: &str) -> String {
    let labels = labels(scene, controller, uid, name).await;
    let attempt = format!("{}={attempt}", names::ATTEMPT);
    docker(scene, &["create", "--label", &attempt], &labels, &[crate::support::engine::IMAGE])
}

/// A volume of that Workspace.
pub async fn plant_volume(scene: &Scene, name: &str, more: &[&str]) -> String {
    let labels = labels(scene, &scene.name, DEAD, "gone").await;
    docker(scene, &[&["volume", "create"], more].concat(), &labels, &[&format!("{}-{name}", scene.name)])
}

async fn plant_network(scene: &Scene, name: &str, of: &str) -> String {
    let labels = labels(scene, &scene.name, "", "").await;
    let of = format!("{}={of}", names::NETWORK_OF);
    let name = format!("{}-{name}", scene.name);
    docker(scene, &["network", "create", "--internal", "--label", &of], &labels, &[&name]);
    name
}

/// All ids and names of what this scene's controller, or one of this name, has on the engine.
fn standing(scene: &Scene, controller: &str) -> BTreeSet<String> {
    let label = format!("{}={controller}", names::CONTROLLER);
    let engine = scene.engine();
    let boxes = engine.containers(&label).into_iter().map(|container| container.id);
    boxes.chain(engine.volumes(&label)).chain(engine.networks(&label)).collect()
}

async fn notes(scene: &Scene) -> Vec<String> {
    let events: Api<Event> = Api::all(scene.client.clone());
    let about = format!("reason=OrphanRemoved,involvedObject.name={}", scene.name);
    let found = events.list(&ListParams::default().fields(&about)).await.unwrap();
    found.into_iter().filter_map(|event| event.message).collect()
}

async fn sweeps(operator: &Operator, end: &str) -> f64 {
    operator.metric("atelier_collector_sweeps_total", &[end]).await
}

/// Waits until so many more sweeps have ended so.
async fn until_swept(scene: &Scene, operator: &Operator, end: &str, more: f64) {
    let before = sweeps(operator, end).await;
    scene
        .soon("more sweeps have ended", async || {
            let now = sweeps(operator, end).await;
            if now >= before + more { Ok(()) } else { Err(format!("{now} {end}, {before} before")) }
        })
        .await;
}

async fn on_docker_only_what_has_no_owner_is_removed() {
    let scene = Scene::new("collect").await;
    scene.apply_config(scene.config()).await;
    let operator = scene.operator(&OFTEN).await;
    scene.apply_workspace("one", json!({"runtime": "echo"})).await;
    let one = scene.until_ready("one").await;
    let owned = standing(&scene, &scene.name);

    let foreign = format!("{}-2", scene.name);
    let theirs = plant_box(&scene, &foreign, DEAD, "gone", "1").await;
    let retained = plant_volume(&scene, "retained", &["--label", "atelier.dev/retain=true"]).await;
    let used = plant_network(&scene, "used", DEAD).await;
    let nameless = plant_box(&scene, &scene.name, DEAD, "", "1").await;
    let kept: BTreeSet<_> = owned.into_iter().chain([retained, used.clone(), nameless]).collect();
    // A container of nobody's is on this network.
    let guest = format!("{}-guest", scene.name);
    let command = ["run", "--detach", "--name", &guest, "--network", &used, crate::support::engine::IMAGE];
    scene.engine().docker(&[&command[..], &["misbehave", "silent"]].concat()).unwrap();

    let orphans = [
        plant_box(&scene, &scene.name, DEAD, "gone", "1").await,
        // The same name, another uid.
        plant_box(&scene, &scene.name, DEAD, "one", "1").await,
        plant_volume(&scene, "files", &[]).await,
        plant_network(&scene, "empty", "99999999-2222-4333-8444-555555555555").await,
    ];
    scene
        .within(LATER, "what has no owner is gone", async || {
            let now = standing(&scene, &scene.name);
            let left: Vec<_> = orphans.iter().filter(|orphan| now.contains(*orphan)).collect();
            if left.is_empty() { Ok(()) } else { Err(format!("{left:?}\n{}", operator.log_tail())) }
        })
        .await;
    until_swept(&scene, &operator, "", 8.0).await;
    assert_eq!(standing(&scene, &scene.name), kept);
    assert!(standing(&scene, &foreign).contains(&theirs), "another controller's box");
    let told = scene
        .soon("each removal is told", async || {
            let told = notes(&scene).await;
            if told.len() >= orphans.len() { Ok(told) } else { Err(format!("{told:?}")) }
        })
        .await;
    assert_eq!(told.len(), orphans.len(), "{told:#?}");
    let after = scene.workspace("one").await;
    assert_eq!(after.status.unwrap().instance_id, one.status.unwrap().instance_id);
    scene.engine().docker(&["rm", "--force", &guest, &theirs]).unwrap();
}

async fn what_is_younger_than_the_window_is_not_touched() {
    let scene = Scene::new("collect-young").await;
    scene.apply_config(scene.config()).await;
    let operator = scene.operator(&["--collect-period=300ms", "--visibility-window=1h"]).await;
    let planted: BTreeSet<_> = [
        plant_box(&scene, &scene.name, DEAD, "gone", "1").await,
        plant_volume(&scene, "files", &[]).await,
        plant_network(&scene, "empty", DEAD).await,
    ]
    .into();
    until_swept(&scene, &operator, "Complete", 5.0).await;
    assert_eq!(standing(&scene, &scene.name), planted);
    assert!(operator.metric("atelier_orphans", &[]).await < 0.5, "nothing is even suspected");
}

async fn a_dry_run_tells_and_removes_nothing() {
    let scene = Scene::new("collect-dry").await;
    scene.apply_config(scene.config()).await;
    let operator = scene.operator(&[&OFTEN[..], &["--collect-dry-run"]].concat()).await;
    let orphan = plant_box(&scene, &scene.name, DEAD, "gone", "1").await;
    scene
        .soon("the orphan is told", async || {
            let count = operator.metric("atelier_collected_total", &["DryRun"]).await;
            if count >= 2.0 { Ok(()) } else { Err(format!("{count}")) }
        })
        .await;
    assert_eq!(standing(&scene, &scene.name), BTreeSet::from([orphan.clone()]));
    let log = std::fs::read_to_string(&operator.log).unwrap();
    let lines = log.lines().filter(|line| line.contains("would remove") && line.contains(&orphan)).count();
    assert_eq!(lines, 1, "once, not at each sweep");
    assert_eq!(notes(&scene).await, Vec::<String>::new());
}

async fn a_stored_id_of_another_cluster_stops_collection() {
    let scene = Scene::new("collect-other").await;
    let maps: Api<ConfigMap> = Api::namespaced(scene.client.clone(), &scene.system());
    let name = format!("{}-cluster-id", scene.name);
    let other = json!({"metadata": {"name": name}, "data": {"id": DEAD}});
    maps.create(&PostParams::default(), &serde_json::from_value(other).unwrap()).await.unwrap();
    scene.apply_config(scene.config()).await;
    let operator = scene.operator(&OFTEN).await;
    let orphan = plant_box(&scene, &scene.name, DEAD, "gone", "1").await;
    until_swept(&scene, &operator, "WrongCluster", 3.0).await;
    assert_eq!(standing(&scene, &scene.name), BTreeSet::from([orphan.clone()]));
    let own = json!({"data": {"id": cluster_id(&scene).await}});
    maps.patch(&name, &PatchParams::default(), &Patch::Merge(own)).await.unwrap();
    scene
        .soon("the orphan is gone", async || {
            let left = standing(&scene, &scene.name);
            if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
        })
        .await;
}

/// Launches an instance as a controller of this name would have for a Workspace.
async fn launch(cloud: &Cloud, controller: &str, uid: &str, name: &str, attempt: i64) -> String {
    let simulator = &cloud.simulator;
    let body = json!({
        "workspace_id": uid,
        "idempotency_key": format!("{controller}-{name}-{attempt}-{}", &uid[..8]),
        "attempt": attempt,
        "cluster_id": cluster_id(&cloud.scene).await,
        "not_after": "2100-01-01T00:00:00Z",
        "user_data": "#!/bin/sh\n",
        "launch": {
            "ami_id": simulator.ids("images")[0],
            "instance_type": "t3.small",
            "subnet_id": simulator.ids("subnets")[0],
            "security_group_ids": [simulator.ids("securityGroups")[0]],
            "root_volume": {"size_gib": 10, "volume_type": "gp3"},
            "tags": {
                names::CONTROLLER: controller,
                names::NAMESPACE: cloud.scene.name,
                names::NAME: name,
                names::ATTEMPT: attempt.to_string(),
            },
        },
    });
    let made = call(cloud, "cp/workspaces/provision", &body).await;
    made["instance_id"].as_str().unwrap().to_owned()
}

/// Makes a data volume as a controller would have for a Workspace.
async fn make_volume(cloud: &Cloud, zone: &str, uid: &str, name: &str, retain: bool) -> String {
    let mut tags = json!({
        names::CONTROLLER: cloud.scene.name,
        names::NAMESPACE: cloud.scene.name,
        names::NAME: name,
    });
    if retain {
        tags[names::RETAIN] = json!("true");
    }
    let body = json!({
        "cluster_id": cluster_id(&cloud.scene).await,
        "idempotency_key": format!("volume-{name}-{retain}"),
        "zone": zone,
        "volume": {"size_gib": 10, "volume_type": "gp3"},
        "tags": tags,
    });
    let made = call(cloud, &format!("cp/workspaces/{uid}/volume"), &body).await;
    made["volume_id"].as_str().unwrap().to_owned()
}

async fn call(cloud: &Cloud, path: &str, body: &Value) -> Value {
    let url = format!("{}/{path}", cloud.control_plane.url());
    let answer = reqwest::Client::new().post(url).bearer_auth(SECRET).json(body).send().await.unwrap();
    let (status, text) = (answer.status(), answer.text().await.unwrap());
    assert!(status.is_success(), "{status} {text}");
    serde_json::from_str(&text).unwrap()
}

async fn on_ec2_only_what_has_no_owner_is_removed() {
    let cloud = Cloud::start_with("collect-ec2", &["--lag-ms", "500"], &OFTEN).await;
    let scene = &cloud.scene;
    scene.apply_workspace("one", json!({"runtime": "echo"})).await;
    let one = scene.until_ready("one").await;
    let status = one.status.clone().unwrap();
    let (own, data) = (status.instance_id.unwrap(), status.storage.unwrap());
    let foreign = format!("{}-2", scene.name);
    let theirs = launch(&cloud, &foreign, DEAD, "gone", 1).await;
    let retained = make_volume(&cloud, &data.zone, DEAD, "kept", true).await;
    let loose = make_volume(&cloud, &data.zone, DEAD, "loose", false).await;
    let orphans = [
        launch(&cloud, &scene.name, DEAD, "gone", 1).await,
        // The same name, another uid.
        launch(&cloud, &scene.name, "22222222-2222-4333-8444-555555555555", "one", 1).await,
    ];
    scene
        .within(LATER, "what has no owner is gone", async || {
            let live = cloud.simulator.live().await;
            let live: Vec<_> = live.iter().map(|one| one["instanceId"].as_str().unwrap()).collect();
            let volumes = cloud.simulator.get("volumes").await.to_string();
            let is_left = orphans.iter().any(|orphan| live.contains(&orphan.as_str()));
            if is_left || volumes.contains(&loose) {
                return Err(format!("{live:?}, {volumes}\n{}", cloud.operator.log_tail()));
            }
            Ok(())
        })
        .await;
    until_swept(scene, &cloud.operator, "", 8.0).await;
    let live: BTreeSet<_> = cloud
        .simulator
        .live()
        .await
        .iter()
        .map(|one| one["instanceId"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(live, BTreeSet::from([own.clone(), theirs]));
    let volumes = cloud.simulator.get("volumes").await.to_string();
    assert!(volumes.contains(&retained) && volumes.contains(&data.volume_id), "{volumes}");
    let told = scene
        .soon("each removal is told", async || {
            let told = notes(scene).await;
            if told.len() >= 3 { Ok(told) } else { Err(format!("{told:?}")) }
        })
        .await;
    assert!(told.iter().any(|note| note.contains(&orphans[0])) && told.len() == 3, "{told:#?}");
    assert_eq!(scene.api::<Workspace>().get("one").await.unwrap().status.unwrap().instance_id, Some(own));
    assert!(Api::<BackendConfig>::all(scene.client.clone()).get(&scene.name).await.is_ok());
}
