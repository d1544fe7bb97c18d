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

/// The name of the `GitRepository` and of the Kustomization in the example.
const REPOSITORY: &str = "agents";
const KUSTOMIZATION: &str = "design-studio";

/// A Flux of one scene, with the example's objects in the scene's namespace. It is killed with the test.
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
    /// Starts it. Its repository is empty yet.
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
        for mut object in example() {
            object["metadata"]["namespace"] = json!(scene.name);
            let api = if object["kind"] == "Kustomization" {
                object["spec"]["targetNamespace"] = json!(scene.name);
                object["spec"]["retryInterval"] = json!("5s");
                &kustomizations
            } else {
                &repositories
            };
            api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
        }
        Self { child, pid_file, log, archives, url, server, repositories, kustomizations }
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
    pub async fn until_ready(&self, scene: &Scene, revision: &str) {
        scene
            .within(LATER, "Flux is content", async || {
                let said = self.said().await;
                let is_it = said["lastAppliedRevision"] == revision && ready(&said)["status"] == "True";
                if is_it { Ok(()) } else { Err(said.to_string()) }
            })
            .await;
    }

    /// Waits until Flux says that the health checks of this revision failed; answers its words.
    pub async fn until_failed(&self, scene: &Scene, revision: &str) -> String {
        scene
            .within(LATER, "Flux sees a failure", async || {
                let said = self.said().await;
                let ready = ready(&said);
                let is_it =
                    said["lastAttemptedRevision"] == revision && ready["reason"] == "HealthCheckFailed";
                if is_it { Ok(ready["message"].as_str().unwrap().to_owned()) } else { Err(said.to_string()) }
            })
            .await
    }

    /// Has Flux compare and apply everything once more; answers what it says it did to each object.
    pub async fn reconcile(&self, scene: &Scene) -> Value {
        let request = format!("request {}", number());
        let change = json!({"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": request}}});
        let before = self.applied().len();
        self.kustomizations
            .patch(KUSTOMIZATION, &PatchParams::default(), &Patch::Merge(change))
            .await
            .unwrap();
        scene
            .within(SOON, "Flux has done it once more", async || {
                let said = self.said().await;
                let done =
                    said["lastHandledReconcileAt"] == request.as_str() && ready(&said)["status"] == "True";
                if done { Ok(()) } else { Err(said.to_string()) }
            })
            .await;
        let applied = self.applied();
        assert!(applied.len() > before, "the log does not tell what was applied");
        applied.last().cloned().unwrap()
    }

    /// Deletes the Kustomization, and with it what it made.
    pub async fn delete(&self) {
        self.kustomizations.delete(KUSTOMIZATION, &kube::api::DeleteParams::default()).await.unwrap();
    }

    async fn said(&self) -> Value {
        let object = self.kustomizations.get(KUSTOMIZATION).await.unwrap();
        object.data["status"].clone()
    }

    /// What each apply did to each object, by the log.
    fn applied(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.log).unwrap();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines
            .filter(|line| line["msg"] == "server-side apply completed")
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

/// The objects of `gitops/flux/`.
fn example() -> Vec<Value> {
    let text = fs::read_to_string(root().join("gitops/flux/design-studio.yaml")).unwrap();
    text.split("\n---\n").map(|document| serde_saphyr::from_str(document).unwrap()).collect()
}

fn ready(status: &Value) -> Value {
    let conditions = status["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    conditions.iter().find(|c| c["type"] == "Ready").cloned().unwrap_or_default()
}
