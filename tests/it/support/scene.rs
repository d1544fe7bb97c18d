//! One test's share of the world: namespaces, an identity, a BackendConfig and operators of its own.

mod waiting;

use super::audit::{self, Call};
use super::engine::{Container, Engine, IMAGE};
use super::front::Front;
use super::operator::{Operator, QUICK, SHORT_LEASE, Settings};
use super::roles::{self, Installation, RELEASE};
use super::world::{World, free_port, number, world};
use atelier::api::{BackendConfig, ConditionType, Team, Workspace, condition};
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::config::Kubeconfig;
use kube::core::NamespaceResourceScope;
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fmt::Debug;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

/// One test's share of the world.
pub struct Scene {
    world: &'static World,
    /// Where its Teams and Workspaces are; also the name of its BackendConfig and of its controller.
    pub name: String,
    /// The admin's client.
    pub client: Client,
    /// The port of the registry that boxes are told.
    pub registry_port: u16,
    number: usize,
    dir: PathBuf,
    private: Option<Engine>,
}

impl Scene {
    /// A scene on the shared engine: namespaces and an identity, no config and no operator yet.
    pub async fn new(topic: &str) -> Self {
        Self::on(world().await, topic, None, false).await
    }

    /// A scene on the shared engine, whose operators may look after its namespace and no other.
    pub async fn in_one_namespace(topic: &str) -> Self {
        Self::on(world().await, topic, None, true).await
    }

    /// A scene with an engine of its own, which it may stop.
    pub async fn with_own_engine(topic: &str) -> Self {
        let world = world().await;
        let dir = world.dir.join(format!("engine-{}", number()));
        let engine = Engine::start(&dir).unwrap();
        Self::on(world, topic, Some(engine), false).await
    }

    /// A scene with the usual config and an operator that is ready.
    pub async fn running(topic: &str) -> (Self, Operator) {
        let scene = Self::new(topic).await;
        scene.apply_config(scene.config()).await;
        let operator = scene.operator(&[]).await;
        (scene, operator)
    }

    async fn on(world: &'static World, topic: &str, private: Option<Engine>, is_narrow: bool) -> Self {
        let number = number();
        let name = format!("{topic}-{number}");
        let dir = world.dir.join("operators").join(&name);
        std::fs::create_dir_all(&dir).unwrap();
        let scene = Self {
            world,
            name,
            client: world.client.clone(),
            registry_port: free_port(),
            number,
            dir,
            private,
        };
        scene.make_identity(is_narrow).await;
        scene
    }

    /// The engine of this scene.
    pub fn engine(&self) -> &Engine {
        self.private.as_ref().unwrap_or(&self.world.engine)
    }

    /// The namespace of the operator.
    pub fn system(&self) -> String {
        format!("{}-system", self.name)
    }

    /// The operator as the API server's audit log names it.
    pub fn user(&self) -> String {
        format!("system:serviceaccount:{}:{RELEASE}", self.system())
    }

    /// Where this scene may put files.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The admin's kubeconfig.
    pub fn admin_kubeconfig(&self) -> &Path {
        &self.world.cluster.kubeconfig
    }

    fn kubeconfig(&self) -> PathBuf {
        self.dir.join("kubeconfig")
    }

    /// The operator gets an identity of its own, so that the audit log can tell its calls from others', with the
    /// roles of the chart.
    async fn make_identity(&self, is_narrow: bool) {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        for name in [&self.name, &self.system()] {
            create(&namespaces, json!({"metadata": {"name": name}})).await;
        }
        let installation = Installation {
            namespace: &self.system(),
            controller: &self.name,
            watched: is_narrow.then_some(self.name.as_str()),
        };
        roles::grant(&self.world.cluster, installation, &self.dir).unwrap();
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), &self.system());
        let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {"audiences": [], "expirationSeconds": 86_400}});
        let answer: TokenRequest =
            accounts.create_subresource("token", RELEASE, &PostParams::default(), &request).await.unwrap();
        let admin = Kubeconfig::read_from(&self.world.cluster.kubeconfig).unwrap();
        let mut kubeconfig = serde_json::to_value(admin).unwrap();
        kubeconfig["users"] = json!([{"name": "admin", "user": {"token": answer.status.unwrap().token}}]);
        std::fs::write(self.kubeconfig(), kubeconfig.to_string()).unwrap();
    }

    /// An operator of this scene that serves the registry where boxes look for it.
    pub fn unready_operator(&self, more: &[&str]) -> Operator {
        self.operator_at(self.registry(), more)
    }

    /// An operator of this scene that serves the registry elsewhere.
    pub fn operator_at(&self, registry: SocketAddr, more: &[&str]) -> Operator {
        let own = [
            "--namespace",
            &self.name,
            "--operator-namespace",
            &self.system(),
            "--backend-config",
            &self.name,
            "--controller-name",
            &self.name,
        ];
        let arguments = own.iter().chain(more).map(|&a| a.to_owned()).collect();
        Operator::start(Settings {
            kubeconfig: self.kubeconfig(),
            dir: self.dir.clone(),
            registry,
            arguments,
        })
    }

    /// An operator with shortened periods, once it is ready.
    pub async fn operator(&self, more: &[&str]) -> Operator {
        let mut operator = self.unready_operator(&[&QUICK[..], &SHORT_LEASE, more].concat());
        operator.ready().await;
        operator
    }

    /// Two operators, the first of which leads, and the address in front of them.
    pub async fn two_operators(&self, more: &[&str]) -> (Operator, Operator, Front) {
        let local = || SocketAddr::from(([127, 0, 0, 1], free_port()));
        let (first_at, second_at) = (local(), local());
        let front = Front::start(self.registry(), first_at).await;
        let start = |at: SocketAddr| {
            let own = ["--registry-url".to_owned(), format!("http://{at}")];
            self.operator_at(
                at,
                &own.iter().map(String::as_str).chain(more.iter().copied()).collect::<Vec<_>>(),
            )
        };
        let mut first = start(first_at);
        first.ready().await;
        first.until_it_leads().await;
        let mut second = start(second_at);
        second.ready().await;
        (first, second, front)
    }

    /// Where boxes look for the registry.
    pub fn registry(&self) -> SocketAddr {
        let gateway: IpAddr = self.engine().gateway.parse().unwrap();
        SocketAddr::from((gateway, self.registry_port))
    }

    /// What this scene's operators have written so far, but for their leases.
    pub fn writes(&self) -> Vec<Call> {
        let mut writes = audit::writes(&self.world.cluster.audit_log, &self.user());
        writes.retain(|write| !write.is_lease());
        writes
    }

    /// The usual `spec` of the BackendConfig: one runtime for each way of an agent to behave.
    pub fn config(&self) -> Value {
        let runtime = |name: &str, boot_timeout: i32, command: &[&str]| {
            let mut runtime = json!({"name": name, "image": IMAGE, "bootTimeoutSeconds": boot_timeout});
            if !command.is_empty() {
                runtime["command"] = json!([&["/atelier-agent", "misbehave"], command].concat());
            }
            runtime
        };
        json!({
            "backend": "Docker",
            "docker": {
                "hosts": [{"name": "local", "address": self.engine().host}],
                "network": {"pool": self.engine().pool(self.number), "prefixLength": 27},
            },
            "runtimes": [
                runtime("echo", 120, &[]),
                runtime("exits", 120, &["exit", "--code", "3", "--print", "no model key was given"]),
                runtime("hungry", 120, &["allocate", "--mebibytes", "1024"]),
                runtime("silent", 4, &["silent"]),
                runtime("boot-only", 15, &["boot-only"]),
                runtime("falls-silent", 120, &["stop-heartbeat", "--after", "3"]),
                runtime("wedged", 120, &["waver", "--wedged"]),
                {"name": "no-image", "image": "127.0.0.1:1/no/such:image", "bootTimeoutSeconds": 60},
            ],
            "registry": {"advertiseURL": format!("http://host.docker.internal:{}", self.registry_port)},
        })
    }

    /// Applies the BackendConfig.
    pub async fn apply_config(&self, spec: Value) {
        let api: Api<BackendConfig> = Api::all(self.client.clone());
        apply(&api, "BackendConfig", &self.name, spec).await;
    }

    /// Applies a Team as a user would.
    pub async fn apply_team(&self, name: &str, spec: Value) -> Team {
        apply(&self.api(), "Team", name, spec).await
    }

    /// Applies a Workspace as a user would.
    pub async fn apply_workspace(&self, name: &str, spec: Value) -> Workspace {
        apply(&self.api(), "Workspace", name, spec).await
    }

    /// Changes some fields of an object's spec as a user would.
    pub async fn patch<K>(&self, name: &str, change: Value) -> K
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        self.api::<K>().patch(name, &PatchParams::default(), &Patch::Merge(change)).await.unwrap()
    }

    /// Deletes an object.
    pub async fn delete<K>(&self, name: &str)
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        self.api::<K>().delete(name, &DeleteParams::background()).await.unwrap();
    }

    /// The API of a kind in this scene's namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.name)
    }

    /// All Workspaces, in the order of their names.
    pub async fn workspaces(&self) -> Vec<Workspace> {
        self.api().list(&ListParams::default()).await.unwrap().items
    }

    /// One Workspace.
    pub async fn workspace(&self, name: &str) -> Workspace {
        self.api().get(name).await.unwrap()
    }

    /// The containers that this scene's operators made.
    pub fn containers(&self) -> Vec<Container> {
        self.engine().containers(&self.label())
    }

    /// The one container of a Workspace.
    pub fn container(&self, workspace: &str) -> Container {
        let mut found = self.containers();
        found.retain(|container| container.workspace() == workspace);
        assert_eq!(found.len(), 1, "containers of {workspace}: {found:?}");
        found.remove(0)
    }

    /// The label of everything that this scene's operators make outside the cluster.
    pub fn label(&self) -> String {
        format!("{}={}", atelier::api::names::CONTROLLER, self.name)
    }

    /// `kubectl` in this scene's namespace.
    pub fn kubectl(&self) -> Command {
        let mut command = self.world.cluster.kubectl();
        command.args(["--namespace", &self.name]);
        command
    }
}

impl Drop for Scene {
    /// What the test has left takes no CPU from the others. The objects go with the cluster.
    fn drop(&mut self) {
        let left =
            self.engine().docker(&["ps", "--all", "--quiet", "--filter", &format!("label={}", self.label())]);
        let ids = left.unwrap_or_default();
        let ids: Vec<_> = ids.split_whitespace().collect();
        if !ids.is_empty() {
            let _ = self.engine().docker(&[&["rm", "--force", "--volumes"], &ids[..]].concat());
        }
    }
}

async fn create<K>(api: &Api<K>, object: Value)
where
    K: Resource + Clone + DeserializeOwned + serde::Serialize + Debug,
{
    api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
}

async fn apply<K>(api: &Api<K>, kind: &str, name: &str, spec: Value) -> K
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    let object = json!({
        "apiVersion": format!("{}/v1alpha1", atelier::api::GROUP), "kind": kind,
        "metadata": {"name": name}, "spec": spec,
    });
    api.patch(name, &PatchParams::apply("somebody").force(), &Patch::Apply(object)).await.unwrap()
}

/// The conditions of a Workspace.
pub fn conditions(ws: &Workspace) -> &[Condition] {
    ws.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default()
}

/// The conditions of a Team.
pub fn team_conditions(team: &Team) -> &[Condition] {
    team.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default()
}

/// Whether a condition is there and True.
pub fn is_true(conditions: &[Condition], type_: ConditionType) -> bool {
    condition::is_true(conditions, type_)
}

/// Whether a Workspace says this.
pub fn says(ws: &Workspace, type_: ConditionType, status: &str, reason: &str) -> bool {
    condition::find(conditions(ws), type_).is_some_and(|c| c.status == status && c.reason == reason)
}

/// What a Workspace says in a condition; empty where it is not there.
pub fn message(ws: &Workspace, type_: ConditionType) -> &str {
    condition::find(conditions(ws), type_).map_or("", |c| c.message.as_str())
}

/// Conditions in a line each.
pub fn words(conditions: &[Condition]) -> String {
    let line = |c: &Condition| format!("\n    {}={}/{}: {}", c.type_, c.status, c.reason, c.message);
    conditions.iter().map(line).collect()
}
