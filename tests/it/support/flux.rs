//! Flux's real kustomize-controller, and what it takes for a Git repository: an archive on a local server, put
//! into the object's status as the source-controller would.

use super::scene::Scene;
use super::script::{hack, root, run};
use super::wait::{LATER, SOON};
use super::world::number;
use axum::Router;
use axum::extract::{Path as UrlPath, State};
use axum::http::StatusCode;
use axum::routing::get;
use data_encoding::HEXLOWER;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tokio::sync::OnceCell;
use tokio::task::AbortHandle;

/// The Kustomization of the Team.
pub const TEAM: &str = "design-studio";
/// The Kustomization of the `BackendConfig`.
pub const PLATFORM: &str = "agent-platform";
/// Where both are from.
const REPOSITORY: &str = "agents";

/// A Flux of one scene. It is killed with the test.
pub struct Flux {
    child: Child,
    pid_file: PathBuf,
    log: PathBuf,
    archives: PathBuf,
    url: String,
    server: AbortHandle,
    repositories: Api<DynamicObject>,
    kustomizations: Api<DynamicObject>,
}

impl Flux {
    /// Starts it, with the objects of the Team in the scene's namespace. The repository is empty yet.
    pub async fn start(scene: &Scene) -> Self {
        let folder = installed(scene).await;
        let dir = scene.dir().join("flux");
        let archives = dir.join("archives");
        fs::create_dir_all(&archives).unwrap();
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().route("/{name}", get(archive)).with_state(archives.clone());
        let server = tokio::spawn(async move { axum::serve(listener, router).await }).abort_handle();

        let name = format!("flux-{}", number());
        let (log, pid_file) =
            (scene.dir().join(format!("{name}.log")), scene.dir().join(format!("{name}.pid")));
        let out = File::create(&log).unwrap();
        let child = Command::new(folder.join("kustomize-controller"))
            .args([
                "--watch-all-namespaces=false",
                "--requeue-dependency=2s",
                // Or the commit that mends a backend waits until the checks of the one before time out.
                "--feature-gates=CancelHealthCheckOnNewRevision=true",
                "--metrics-addr=0",
                "--health-addr=0",
                "--log-encoding=json",
            ])
            .env("KUBECONFIG", scene.admin_kubeconfig())
            .env("RUNTIME_NAMESPACE", &scene.name)
            .env("TMPDIR", &dir)
            // By which hack/lib.sh knows the process again, should this one be killed.
            .env("ATELIER_PIDFILE", &pid_file)
            .stdin(Stdio::null())
            .stdout(out.try_clone().unwrap())
            .stderr(out)
            .spawn()
            .unwrap();
        fs::write(&pid_file, child.id().to_string()).unwrap();

        let api = |group: &str, kind: &str| {
            let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind));
            Api::namespaced_with(scene.client.clone(), &scene.name, &resource)
        };
        let repositories = api("source.toolkit.fluxcd.io", "GitRepository");
        let kustomizations = api("kustomize.toolkit.fluxcd.io", "Kustomization");
        let flux = Self { child, pid_file, log, archives, url, server, repositories, kustomizations };
        flux.create(scene, "design-studio.yaml").await;
        flux
    }

    /// Creates the objects of a file of `gitops/flux/` in the scene's namespace.
    pub async fn create(&self, scene: &Scene, file: &str) {
        let text = fs::read_to_string(root().join("gitops/flux").join(file)).unwrap();
        for document in text.split("\n---\n") {
            let mut object: Value = serde_saphyr::from_str(document).unwrap();
            object["metadata"]["namespace"] = json!(scene.name);
            let api = if object["kind"] == "Kustomization" {
                if object["spec"].get("targetNamespace").is_some() {
                    object["spec"]["targetNamespace"] = json!(scene.name);
                }
                object["spec"]["retryInterval"] = json!("5s");
                &self.kustomizations
            } else {
                &self.repositories
            };
            api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
        }
    }

    /// Changes a Kustomization.
    pub async fn patch(&self, kustomization: &str, change: Value) {
        let change = Patch::Merge(change);
        self.kustomizations.patch(kustomization, &PatchParams::default(), &change).await.unwrap();
    }

    /// A commit of this folder; answers its revision.
    pub async fn push(&self, folder: &Path) -> String {
        let packed = self.archives.join("packed");
        run(Command::new("tar")
            .arg("--create")
            .arg("--gzip")
            .arg("--file")
            .arg(&packed)
            .arg("--directory")
            .arg(folder)
            .arg("."))
        .unwrap();
        let digest = HEXLOWER.encode(&Sha256::digest(fs::read(&packed).unwrap()));
        let name = format!("{digest}.tar.gz");
        fs::rename(&packed, self.archives.join(&name)).unwrap();
        let revision = format!("main@sha1:{}", &digest[..40]);
        let artifact = json!({
            "digest": format!("sha256:{digest}"), "lastUpdateTime": "2026-01-01T00:00:00Z", "path": name,
            "revision": revision, "url": format!("{}/{name}", self.url),
        });
        let change = Patch::Merge(json!({"status": {"artifact": artifact}}));
        self.repositories.patch_status(REPOSITORY, &PatchParams::default(), &change).await.unwrap();
        revision
    }

    /// Waits until Flux says that this revision is there and healthy.
    pub async fn until_ready(&self, scene: &Scene, kustomization: &str, revision: &str) {
        scene
            .within(LATER, "Flux is content", async || {
                let said = self.said(kustomization).await;
                let is_it = said["lastAppliedRevision"] == revision && ready(&said)["status"] == "True";
                if is_it { Ok(()) } else { Err(said.to_string()) }
            })
            .await;
    }

    /// Waits until Flux says that the health checks of this revision failed; answers its words.
    pub async fn until_failed(&self, scene: &Scene, kustomization: &str, revision: &str) -> String {
        scene
            .within(LATER, "Flux sees a failure", async || {
                let said = self.said(kustomization).await;
                let ready = ready(&said);
                let is_it =
                    said["lastAttemptedRevision"] == revision && ready["reason"] == "HealthCheckFailed";
                if is_it { Ok(ready["message"].as_str().unwrap().to_owned()) } else { Err(said.to_string()) }
            })
            .await
    }

    /// Has Flux compare and apply everything once more; answers what it says it did to each object.
    pub async fn reconcile(&self, scene: &Scene, kustomization: &str) -> Value {
        let request = format!("request {}", number());
        let change = json!({"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": request}}});
        let before = self.applied(kustomization).len();
        self.patch(kustomization, change).await;
        scene
            .within(SOON, "Flux has done it once more", async || {
                let said = self.said(kustomization).await;
                let done =
                    said["lastHandledReconcileAt"] == request.as_str() && ready(&said)["status"] == "True";
                if done { Ok(()) } else { Err(said.to_string()) }
            })
            .await;
        let applied = self.applied(kustomization);
        assert!(applied.len() > before, "the log does not tell what was applied");
        applied.last().cloned().unwrap()
    }

    /// Deletes a Kustomization, and with it what it made.
    pub async fn delete(&self, kustomization: &str) {
        self.kustomizations.delete(kustomization, &kube::api::DeleteParams::default()).await.unwrap();
    }

    /// What Flux says of a Kustomization.
    pub async fn said(&self, kustomization: &str) -> Value {
        let object = self.kustomizations.get(kustomization).await.unwrap();
        object.data["status"].clone()
    }

    /// What each apply did to each object, by the log.
    fn applied(&self, kustomization: &str) -> Vec<Value> {
        let text = fs::read_to_string(&self.log).unwrap();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines
            .filter(|line| line["msg"] == "server-side apply completed" && line["name"] == kustomization)
            .map(|line| line["output"].clone())
            .collect()
    }
}

impl Drop for Flux {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.server.abort();
        let _ = fs::remove_file(&self.pid_file);
    }
}

async fn archive(
    State(folder): State<PathBuf>,
    UrlPath(name): UrlPath<String>,
) -> Result<Vec<u8>, StatusCode> {
    fs::read(folder.join(name)).map_err(|_| StatusCode::NOT_FOUND)
}

/// The folder with the controller, once its kinds are in the cluster.
async fn installed(scene: &Scene) -> PathBuf {
    static FOLDER: OnceCell<PathBuf> = OnceCell::const_new();
    let folder = FOLDER.get_or_init(async || {
        let folder = PathBuf::from(run(&mut hack("flux.sh")).unwrap().trim());
        run(scene.kubectl().arg("apply").arg("--filename").arg(folder.join("crds"))).unwrap();
        let wait = ["wait", "--for=condition=Established", "--timeout=30s", "--filename"];
        run(scene.kubectl().args(wait).arg(folder.join("crds"))).unwrap();
        folder
    });
    folder.await.clone()
}

fn ready(status: &Value) -> Value {
    let conditions = status["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    conditions.iter().find(|c| c["type"] == "Ready").cloned().unwrap_or_default()
}
