//! The aggregated API: what people get through the API server, and what they do not.

use crate::collect::{DEAD, plant_box, plant_volume};
use crate::support::engine::Engine;
use crate::support::operator::Operator;
use crate::support::scene::Scene;
use crate::support::script::{hack, run};
use crate::support::world::{free_port, world};
use atelier::api::names;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::Api;
use kube::api::PostParams;
use reqwest::{Certificate, Client, Identity, Method};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, Stdio};

trials![people_get_through_the_api_server_what_rbac_lets_them];

const API: &str = "/apis/live.atelier.dev/v1alpha1";

/// The one aggregated API of the cluster, as long as the test runs.
struct Announced<'a>(&'a Scene);

impl<'a> Announced<'a> {
    async fn at(scene: &'a Scene, address: SocketAddr) -> Self {
        let announced = Self(scene);
        let kubeconfig = &world().await.cluster.kubeconfig;
        let mut script = hack("live.sh");
        run(script.arg(address.to_string()).arg(scene.system()).env("KUBECONFIG", kubeconfig)).unwrap();
        announced
    }
}

impl Drop for Announced<'_> {
    /// One that nobody serves would be in the way of every namespace that goes.
    fn drop(&mut self) {
        let _ = run(self.0.kubectl().args(["delete", "apiservice", "v1alpha1.live.atelier.dev"]));
    }
}

/// A process that ends with the test.
struct Ending(Child);

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn of(scene: &Scene, workspace: &str, part: &str) -> String {
    format!("{API}/namespaces/{}/workspaces/{workspace}/{part}", scene.name)
}

/// `kubectl get --raw`, as somebody: what it printed, or how it failed.
fn get(scene: &Scene, user: Option<&str>, path: &str) -> Result<String, String> {
    let mut kubectl = scene.kubectl();
    kubectl.args(user.map(|user| format!("--as={user}"))).args(["get", "--raw", path]);
    run(&mut kubectl)
}

/// A message, as somebody.
fn send(scene: &Scene, user: Option<&str>, workspace: &str, text: &str) -> Result<Value, String> {
    let mut kubectl = scene.kubectl();
    kubectl.args(user.map(|user| format!("--as={user}")));
    kubectl.args(["create", "--raw", &of(scene, workspace, "message"), "-f", "-"]);
    let child = kubectl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.unwrap();
    child.stdin.take().unwrap().write_all(json!({"text": text}).to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    if output.status.success() {
        return Ok(serde_json::from_slice(&output.stdout).unwrap());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Calls a replica directly.
struct Direct {
    host: String,
    address: SocketAddr,
    authority: Vec<u8>,
}

impl Direct {
    async fn to(scene: &Scene, address: SocketAddr) -> Self {
        let secrets: Api<Secret> = Api::namespaced(scene.client.clone(), &scene.system());
        let secret = secrets.get(&format!("{}-live-tls", scene.name)).await.unwrap();
        let host = format!("atelier-live.{}.svc", scene.system());
        Self { host, address, authority: secret.data.unwrap()["ca.crt"].0.clone() }
    }

    /// What it answers to a call that names a user, with the front proxy's certificate or without.
    async fn get(&self, path: &str, user: &str, as_front_proxy: bool) -> (u16, Value) {
        let trusted = Certificate::from_pem_bundle(&self.authority).unwrap();
        let client = Client::builder().no_proxy().tls_certs_only(trusted).resolve(&self.host, self.address);
        let client = if as_front_proxy {
            let dir = world().await.cluster.kubeconfig.parent().unwrap().join("front-proxy");
            let read = |name: &str| std::fs::read(dir.join(name)).unwrap();
            client.identity(Identity::from_pem(&[read("client.crt"), read("client.key")].concat()).unwrap())
        } else {
            client
        };
        let url = format!("https://{}:{}{path}", self.host, self.address.port());
        let call = client.build().unwrap().request(Method::GET, url);
        let answer = call.header("X-Remote-User", user).send().await.unwrap();
        let (code, text) = (answer.status().as_u16(), answer.text().await.unwrap());
        (code, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }
}

/// Jane may read logs in the scene's namespace.
async fn let_jane_read_logs(scene: &Scene) {
    let role: Role = serde_json::from_value(json!({
        "metadata": {"name": "log-reader"},
        "rules": [{"apiGroups": ["live.atelier.dev"], "resources": ["workspaces/log"], "verbs": ["get"]}],
    }))
    .unwrap();
    let binding: RoleBinding = serde_json::from_value(json!({
        "metadata": {"name": "log-reader"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "log-reader"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane"}],
    }))
    .unwrap();
    scene.api::<Role>().create(&PostParams::default(), &role).await.unwrap();
    scene.api::<RoleBinding>().create(&PostParams::default(), &binding).await.unwrap();
}

fn address(engine: &Engine) -> SocketAddr {
    SocketAddr::new(engine.gateway.parse().unwrap(), free_port())
}

async fn people_get_through_the_api_server_what_rbac_lets_them() {
    let scene = Scene::new("live").await;
    scene.apply_config(scene.config()).await;
    let (leader_at, follower_at) = (address(scene.engine()), address(scene.engine()));
    let local = || SocketAddr::from(([127, 0, 0, 1], free_port()));
    // Sweeps are far apart: what has no owner is listed, and not gone before that.
    let start = |registry, live: SocketAddr| {
        let bind = format!("--live-bind={live}");
        scene.operator_at(registry, &[&bind, "--collect-period=1h", "--visibility-window=2s"])
    };
    let mut leader = start(scene.registry(), leader_at);
    leader.ready().await;
    leader.until_it_leads().await;
    let mut follower = start(local(), follower_at);
    follower.ready().await;
    let announced = Announced::at(&scene, leader_at).await;
    scene.apply_workspace("one", json!({"runtime": "echo"})).await;
    scene.apply_workspace("absent", json!({"runtime": "no-image"})).await;
    let one = scene.until_ready("one").await;
    let id = one.status.unwrap().instance_id.unwrap();

    logs(&scene, &id);
    messages(&scene);
    others(&scene, leader_at).await;
    replicas(&scene, leader_at, follower_at, &id).await;
    orphans(&scene, &leader).await;
    followed(&scene, &id).await;
    drop(announced);
}

fn logs(scene: &Scene, id: &str) {
    let printed = scene.engine().docker(&["logs", id]).unwrap();
    let log = get(scene, None, &of(scene, "one", "log")).unwrap();
    assert!(!log.trim().is_empty(), "the agent prints something: {printed}");
    let last = get(scene, None, &format!("{}?tailLines=1", of(scene, "one", "log"))).unwrap();
    assert_eq!(last.lines().count(), 1, "{last}");
    assert!(log.ends_with(&last), "{last}\n---\n{log}");
    let refused = get(scene, None, &of(scene, "no-such", "log")).unwrap_err();
    assert!(refused.contains("NotFound"), "{refused}");
    let refused = get(scene, None, &of(scene, "absent", "log")).unwrap_err();
    assert!(refused.contains("has no box now"), "{refused}");
}

fn messages(scene: &Scene) {
    let said = send(scene, None, "one", "hello").unwrap();
    assert_eq!((&said["kind"], &said["text"]), (&json!("Message"), &json!("hello")));
    let refused = send(scene, None, "absent", "hello").unwrap_err();
    assert!(refused.contains("is not up"), "{refused}");
}

async fn others(scene: &Scene, address: SocketAddr) {
    let log = of(scene, "one", "log");
    assert!(get(scene, Some("jane"), &log).unwrap_err().contains("Forbidden"));
    assert!(send(scene, Some("jane"), "one", "hello").unwrap_err().contains("Forbidden"));
    assert!(get(scene, Some("jane"), &format!("{API}/orphans")).unwrap_err().contains("Forbidden"));

    let direct = Direct::to(scene, address).await;
    let (code, status) = direct.get(&log, "admin", false).await;
    assert_eq!(
        (code, &status["reason"]),
        (401, &json!("Unauthorized")),
        "without the front proxy's certificate"
    );
    let (code, status) = direct.get(&log, "jane", true).await;
    assert_eq!((code, &status["reason"]), (403, &json!("Forbidden")), "it asks for itself as well");

    let_jane_read_logs(scene).await;
    scene.soon("jane reads the log", async || get(scene, Some("jane"), &log).map(drop)).await;
    assert!(
        send(scene, Some("jane"), "one", "hello").unwrap_err().contains("Forbidden"),
        "a log and no more"
    );
}

async fn replicas(scene: &Scene, leader: SocketAddr, follower: SocketAddr, id: &str) {
    let (leader, follower) = (Direct::to(scene, leader).await, Direct::to(scene, follower).await);
    let me = format!("{API}/controllers/self");
    let through: Value = serde_json::from_str(&get(scene, None, &me).unwrap()).unwrap();
    assert_eq!((&through["leader"], &through["controller"]), (&json!(true), &json!(scene.name)));
    assert_eq!(through["operatorNamespace"], json!(scene.system()));
    let advertised = scene.config()["registry"]["advertiseURL"].clone();
    assert_eq!(through["registry"]["advertiseURL"], advertised);
    // The front proxy is believed whom it names.
    let user = format!("admin-of-{}", scene.name);
    let for_user = format!("--user={user}");
    run(scene.kubectl().args([
        "create",
        "clusterrolebinding",
        &user,
        "--clusterrole=cluster-admin",
        &for_user,
    ]))
    .unwrap();
    assert_eq!(leader.get(&me, &user, true).await.1["identity"], through["identity"]);
    let (code, other) = follower.get(&me, &user, true).await;
    assert_eq!((code, &other["leader"]), (200, &json!(false)));
    assert_ne!(other["identity"], through["identity"]);
    let log = of(scene, "one", "log");
    scene
        .soon("a replica that does not lead reads a log", async || {
            match follower.get(&log, &user, true).await {
                (200, Value::String(text)) if !text.is_empty() => Ok(()),
                other => Err(format!("{other:?} of {id}")),
            }
        })
        .await;
}

async fn orphans(scene: &Scene, operator: &Operator) {
    let list = || -> Vec<Value> {
        let list = get(scene, None, &format!("{API}/orphans")).unwrap();
        let list: Value = serde_json::from_str(&list).unwrap();
        assert_eq!(list["kind"], json!("OrphanList"));
        list["items"].as_array().unwrap().clone()
    };
    assert_eq!(list(), Vec::<Value>::new(), "everything has an owner");
    let container = plant_box(scene, &scene.name, DEAD, "gone", "1").await;
    let volume = plant_volume(scene, "files", &[]).await;
    let items = scene
        .soon("both are listed", async || {
            let items = list();
            if items.len() >= 2 { Ok(items) } else { Err(format!("{items:?}\n{}", operator.log_tail())) }
        })
        .await;
    let told: Vec<_> =
        items.iter().map(|item| (item["thing"].clone(), item["metadata"]["name"].clone())).collect();
    assert_eq!(told, [(json!("Container"), json!(container)), (json!("Volume"), json!(volume))]);
    let first = &items[0];
    assert_eq!(
        (&first["backend"], &first["owner"]),
        (&json!("Docker"), &json!(format!("{}/gone", scene.name)))
    );
    assert!(first["reason"].as_str().unwrap().contains("is gone"), "{first}");
    assert!(first["since"].as_str().is_some_and(|since| since.ends_with('Z')), "{first}");
    // It was only asked for.
    let label = format!("{}={DEAD}", names::UID);
    assert!(scene.engine().containers(&label).iter().any(|one| one.id == container));
    assert!(scene.engine().volumes(&label).contains(&volume));
    scene.engine().docker(&["rm", &container]).unwrap();
    scene.engine().docker(&["volume", "rm", &volume]).unwrap();
}

/// A log that is followed shows what there was, stays open, and ends with its box.
async fn followed(scene: &Scene, id: &str) {
    let path = format!("{}?follow=true&tailLines=1", of(scene, "one", "log"));
    let mut kubectl = scene.kubectl();
    let child = kubectl.args(["get", "--raw", &path]).stdout(Stdio::piped()).spawn().unwrap();
    let mut following = Ending(child);
    let mut lines = BufReader::new(following.0.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    assert!(!first.is_empty());
    assert!(following.0.try_wait().unwrap().is_none(), "it goes on while the box runs");
    scene.engine().docker(&["kill", id]).unwrap();
    scene
        .soon("it ends with its box", async || match following.0.try_wait().unwrap() {
            Some(_) => Ok(()),
            None => Err("it goes on".into()),
        })
        .await;
}
