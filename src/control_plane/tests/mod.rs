//! The control plane over real HTTP, in front of a small EC2.

mod auth;
mod clients;
mod conformance;
mod ec2;
mod faults;
mod instances;
mod launches;
mod storage;

use super::plane::ControlPlane;
use super::secrets::SecretStore;
use super::server;
use super::settings::Settings;
use crate::api::names;
use ec2::{Ec2, Fault};
use reqwest::Method;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long anything in these tests may take before it counts as hanging.
const DEADLINE: Duration = Duration::from_secs(30);
const ONE: &str = "secret-of-cluster-one";
const TWO: &str = "secret-of-cluster-two";
const BOTH: &str = "secret-of-both-clusters";
const CONSOLE: &str = "secret-of-the-consoles";
const NEVER: &str = "2126-01-01T00:00:00Z";

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("atelier-control-plane-{:016x}", rand::random::<u64>()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A control plane and its EC2.
struct World {
    ec2: Ec2,
    url: String,
    folder: Folder,
    plane: Arc<ControlPlane>,
    stopping: CancellationToken,
    client: reqwest::Client,
}

impl World {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// With other settings.
    async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        // Fails only when an earlier test has done it.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let (ec2, folder) = (Ec2::start(), Folder::new());
        let (one, two) = (folder.write("one", ONE), folder.write("two", TWO));
        let (both, console) = (folder.write("both", BOTH), folder.write("console", CONSOLE));
        let settings = format!(
            r"
region: us-east-1
endpoint: {}
rateScale: 1000
secrets:
- {{name: one, file: {one}, clusterIDs: [c1]}}
- {{name: two, file: {two}, clusterIDs: [c2]}}
- {{name: both, file: {both}, clusterIDs: [c1, c2]}}
consoleSecrets:
- {{name: ops, file: {console}, clusterIDs: [c1]}}
allow:
  amis: [ami-1, ami-missing]
  instanceTypes: [t3.small, t3.large]
  subnets: [subnet-1, subnet-missing]
  securityGroups: [sg-1]
  instanceProfiles: [box]
defaults: {{amiID: ami-1, instanceType: t3.small, subnetID: subnet-1, securityGroupIDs: [sg-1]}}
periods: {{batchWindow: 2ms, reload: 10ms, readyFor: 1ms}}
",
            ec2.url
        );
        let mut settings = Settings::parse(&settings).unwrap();
        change(&mut settings);
        let settings = Arc::new(settings);
        let secrets = SecretStore::open(settings.clone()).unwrap();
        let rereading = secrets.clone();
        let every = settings.periods.reload;
        tokio::spawn(async move { rereading.keep_reading(every).await });
        let stopping = CancellationToken::new();
        let plane = Arc::new(ControlPlane::new(settings, secrets, stopping.clone()).await);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = server::router(&plane);
        tokio::spawn(axum_server::from_tcp(listener).unwrap().serve(router.into_make_service()));
        let client = reqwest::Client::builder().no_proxy().timeout(DEADLINE).build().unwrap();
        Self { ec2, url, folder, plane, stopping, client }
    }

    fn request(&self, secret: &str, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url)).bearer_auth(secret)
    }

    async fn send(&self, secret: &str, method: Method, path: &str, body: Option<&Value>) -> (u16, Value) {
        let mut request = self.request(secret, method, path);
        if let Some(body) = body {
            request = request.json(body);
        }
        answer(request).await
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.send(ONE, Method::GET, path, None).await
    }

    async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.send(ONE, Method::POST, path, Some(body)).await
    }

    async fn delete(&self, path: &str) -> (u16, Value) {
        self.send(ONE, Method::DELETE, path, None).await
    }

    async fn provision(&self, body: &Value) -> (u16, Value) {
        self.post("/cp/workspaces/provision", body).await
    }
}

/// Status and body. What is no success must be an error body with the request's id in it.
async fn answer(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.unwrap();
    assert!(!text.contains("hush"), "what nobody may see is in {text}");
    let body: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{status} is no JSON: {text}"));
    if status >= 400 {
        assert_eq!(body["request_id"], headers["x-request-id"].to_str().unwrap(), "{text}");
        assert!(body["error"].as_str().is_some_and(|error| !error.is_empty()), "{text}");
        assert!(body["code"].as_str().is_some_and(|code| !code.is_empty()), "{text}");
        let after = headers.get("retry-after").map(|value| value.to_str().unwrap().parse::<u64>().unwrap());
        assert_eq!(body["retry_after_seconds"].as_u64(), after, "{text}");
    }
    (status, body)
}

/// The first launch of a workspace.
fn order(workspace: &str) -> Value {
    json!({
        "org_id": "o", "workspace_id": workspace, "runtime": "r", "tier": 2, "platform_url": "http://x",
        "cluster_id": "c1", "idempotency_key": format!("key-{workspace}-1"), "attempt": 1, "not_after": NEVER,
        "user_data": "#!/bin/sh\necho hush\n",
        "launch": {
            "ami_id": "ami-1", "instance_type": "t3.small", "subnet_id": "subnet-1",
            "security_group_ids": ["sg-1"], "root_volume": {"size_gib": 20, "volume_type": "gp3"},
            "tags": {(names::CONTROLLER): "atelier", (names::NAME): workspace},
        },
    })
}

/// The same with another value at this path.
fn with(mut order: Value, pointer: &str, value: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    order.pointer_mut(parent).unwrap()[key] = value;
    order
}

fn owned<'a>(cluster: &'a str, workspace: &'a str) -> [(&'a str, &'a str); 2] {
    [(names::CLUSTER, cluster), (names::UID, workspace)]
}

/// Waits until something is so.
async fn eventually(what: &str, so: impl AsyncFn() -> bool) {
    let wait = async {
        while !so().await {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(DEADLINE, wait).await.is_ok(), "{what} did not come");
}
