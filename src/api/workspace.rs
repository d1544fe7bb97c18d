//! `Workspace`: one agent and the machine that it needs.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, MicroTime, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One agent and the machine that it needs: runtime, prompts, files and plugins. Where it runs is the
/// platform's decision (BackendConfig), so there is no field for it.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "atelier.dev",
    version = "v1alpha1",
    kind = "Workspace",
    namespaced,
    shortname = "ws",
    category = "atelier",
    status = "WorkspaceStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "One agent and the machine that it needs. Where it runs is decided by the cluster's BackendConfig.",
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#, description = "Whether the agent is up and connected"),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#, description = "Why it is or is not ready"),
    printcolumn(name = "Backend", type_ = "string", json_path = ".status.placement.backend", description = "Where it was launched"),
    printcolumn(name = "Instance", type_ = "string", json_path = ".status.instanceID", description = "The id of its box"),
    printcolumn(name = "Runtime", type_ = "string", json_path = ".spec.runtime", description = "The runtime it asks for"),
    printcolumn(name = "Team", type_ = "string", json_path = r#".metadata.labels.atelier\.dev/team"#, description = "The Team it belongs to"),
    printcolumn(name = "Address", type_ = "string", json_path = ".status.instance.address", description = "Where the controller reaches the agent", priority = "1"),
    printcolumn(name = "Attempt", type_ = "integer", json_path = ".status.launch.attempt", description = "The number of the current launch attempt", priority = "1"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = kube::core::Rule::new("size(self.metadata.name) <= 63")
        .message("a Workspace's name is used as a label value: at most 63 characters; shorten it")
)]
#[serde(rename_all = "camelCase")]
pub struct WorkspaceSpec {
    /// The runtime to start: the name of an entry of `runtimes` in the cluster's BackendConfig.
    #[schemars(length(min = 1, max = 63))]
    pub runtime: String,

    /// How much machine the agent gets, T1 (smallest) to T4; the platform caps it. Default T2.
    #[serde(default)]
    pub tier: Tier,

    /// The model that the runtime is told to use. Default: the runtime's own choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub model: Option<String>,

    /// A name for people, free text. Never used as a key. Default: the object's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub display_name: Option<String>,

    /// What this agent is for, in its own team's words; shown to its peers. Default: empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8192))]
    pub role: Option<String>,

    /// The Workspace in the same namespace that this one reports to. Default: none, a root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_ref: Option<LocalRef>,

    /// What the agent is told: at all times, at its start, and when it has nothing to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompts: Option<Prompts>,

    /// Files to put under `/configs` before the agent starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["path".into()]))]
    #[schemars(length(max = 512))]
    pub files: Vec<File>,

    /// ConfigMaps whose every key becomes a file under `/configs`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub files_from: Vec<FilesFrom>,

    /// Plugins to install under `/configs/plugins/<name>/`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["name".into()]))]
    #[schemars(length(max = 128))]
    pub plugins: Vec<Plugin>,

    /// Environment variables of the agent. They cannot replace the ones that Atelier sets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["name".into()]))]
    #[schemars(length(max = 256))]
    pub env: Vec<EnvVar>,

    /// Secrets and ConfigMaps whose every key becomes an environment variable. A later entry wins over
    /// an earlier one, `env` over both.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub env_from: Vec<EnvFrom>,

    /// Variables that must be there before a box is launched; each entry is met by any one of its names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub required_env: Vec<RequiredEnv>,

    /// How many tasks the agent may work on at once; told to the runtime in `config.yaml`. Default 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_concurrent_tasks: i32,

    /// What happens to the agent's data volume, `/workspace`. Cannot be changed later.
    #[serde(default)]
    #[x_kube(validation = kube::core::Rule::new("self == oldSelf").message("storage cannot be changed: delete the Workspace and make it again with the storage you want"))]
    pub storage: Storage,

    /// Stop the box and keep its volumes until this is false again. Default false.
    #[serde(default)]
    pub suspend: bool,

    /// Any new value (a time, by custom) restarts the box in place, like `kubectl rollout restart`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub restarted_at: Option<String>,
}

fn one() -> i32 {
    1
}

/// How much machine the agent gets, T1 (smallest) to T4; the platform caps it. Default T2.
#[derive(
    Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema,
)]
pub enum Tier {
    /// 256 MiB, half a CPU, read-only root file system.
    T1,
    /// 512 MiB, one CPU.
    #[default]
    T2,
    /// 2 GiB, two CPUs; needs an entry in the platform's policy.
    T3,
    /// 4 GiB, four CPUs; needs an entry in the platform's policy.
    T4,
}

impl Tier {
    /// The tier as runtimes read it in `config.yaml` and over the registry: a plain number.
    pub fn number(self) -> u8 {
        match self {
            Tier::T1 => 1,
            Tier::T2 => 2,
            Tier::T3 => 3,
            Tier::T4 => 4,
        }
    }
}

/// An object in the same namespace.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, Hash, JsonSchema)]
pub struct LocalRef {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// A key of a Secret or ConfigMap in the same namespace.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, Hash, JsonSchema)]
pub struct KeyRef {
    /// The name of the Secret or ConfigMap.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key within it.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// A key of a ConfigMap in the same namespace.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TextFrom {
    /// The ConfigMap and the key that hold the text.
    pub config_map_key_ref: KeyRef,
}

/// What the agent is told.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = kube::core::Rule::new("!(has(self.system) && has(self.systemFrom))").message("give either prompts.system or prompts.systemFrom, not both"),
    validation = kube::core::Rule::new("!(has(self.initial) && has(self.initialFrom))").message("give either prompts.initial or prompts.initialFrom, not both"),
)]
pub struct Prompts {
    /// The system prompt, inline; it becomes `/configs/system-prompt.md`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 262_144))]
    pub system: Option<String>,
    /// The system prompt, from a ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_from: Option<TextFrom>,
    /// The first message that the agent gets, inline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65_536))]
    pub initial: Option<String>,
    /// The first message that the agent gets, from a ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_from: Option<TextFrom>,
    /// What the agent is told when it has had nothing to do for a while. Default: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<IdlePrompt>,
}

/// What an idle agent is told, and how often.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IdlePrompt {
    /// The message.
    #[schemars(length(min = 1, max = 65_536))]
    pub prompt: String,
    /// How long the agent must have been idle, in seconds. Default 300.
    #[serde(default = "five_minutes")]
    #[schemars(range(min = 10, max = 86_400))]
    pub interval_seconds: i32,
}

fn five_minutes() -> i32 {
    300
}

/// One file under `/configs`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = kube::core::Rule::new("[has(self.content), has(self.configMapKeyRef), has(self.secretKeyRef)].filter(given, given).size() == 1")
    .message("give exactly one of content, configMapKeyRef and secretKeyRef"))]
pub struct File {
    /// Where it goes, relative to `/configs`, such as `skills/review/SKILL.md`. Not absolute, no `..`.
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(
        validation = kube::core::Rule::new("!self.startsWith('/')").message("path must be relative to /configs: drop the leading slash"),
        validation = kube::core::Rule::new("self != '..' && !self.startsWith('../') && !self.contains('/../') && !self.endsWith('/..')").message("path must stay inside /configs: '..' is not allowed"),
    )]
    pub path: String,
    /// The text, inline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 262_144))]
    pub content: Option<String>,
    /// The content, from a ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<KeyRef>,
    /// The content, from a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<KeyRef>,
}

/// A ConfigMap whose keys become files.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct FilesFrom {
    /// The ConfigMap.
    pub config_map_ref: LocalRef,
    /// A folder under `/configs` to put the files in. Default: `/configs` itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(
        validation = kube::core::Rule::new("!self.startsWith('/')").message("prefix must be relative to /configs: drop the leading slash"),
        validation = kube::core::Rule::new("self != '..' && !self.startsWith('../') && !self.contains('/../') && !self.endsWith('/..')").message("prefix must stay inside /configs: '..' is not allowed"),
    )]
    pub prefix: Option<String>,
    /// Go on without it when the ConfigMap does not exist. Default false.
    #[serde(default)]
    pub optional: bool,
}

/// A plugin: a name that the runtime knows, or a ConfigMap that holds its files.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Plugin {
    /// The plugin's name.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"))]
    pub name: String,
    /// A ConfigMap whose keys become the files of `plugins/<name>/`. Default: none, the runtime brings it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_ref: Option<LocalRef>,
}

/// One environment variable.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = kube::core::Rule::new("!(has(self.value) && has(self.valueFrom))").message("give either value or valueFrom, not both"))]
pub struct EnvVar {
    /// Its name.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub name: String,
    /// Its value, inline. Default: empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65_536))]
    pub value: Option<String>,
    /// Its value, from a Secret or ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<EnvValueFrom>,
}

/// Where the value of a variable comes from.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = kube::core::Rule::new("has(self.secretKeyRef) != has(self.configMapKeyRef)").message("give exactly one of secretKeyRef and configMapKeyRef"))]
pub struct EnvValueFrom {
    /// A key of a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<KeyRef>,
    /// A key of a ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<KeyRef>,
}

/// A Secret or ConfigMap whose keys become variables.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = kube::core::Rule::new("has(self.secretRef) != has(self.configMapRef)").message("give exactly one of secretRef and configMapRef"))]
pub struct EnvFrom {
    /// A Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalRef>,
    /// A ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_ref: Option<LocalRef>,
}

/// A requirement on the environment.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequiredEnv {
    /// Met when any one of these variables is set and not empty.
    #[schemars(length(min = 1, max = 16))]
    pub any_of: Vec<String>,
}

/// The agent's data volume.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Storage {
    /// Keep the volume when the Workspace is deleted. Default false.
    #[serde(default)]
    pub retain: bool,
}

/// What the operator observed and did.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = kube::core::Rule::new("!has(oldSelf.launch) || has(self.launch)").message("launch cannot be removed once it is recorded"),
)]
pub struct WorkspaceStatus {
    /// The generation of the spec that this status speaks of; -1 until the operator has looked.
    #[serde(default = "not_looked_at")]
    pub observed_generation: i64,
    /// The id of the box: a container id or an EC2 instance id.
    #[serde(rename = "instanceID", default, skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
    /// Where the box was launched, and the identity of that world. Everything later goes there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement: Option<PlacementRecord>,
    /// The current launch attempt, recorded before its first call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launch: Option<Launch>,
    /// The last five attempts, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Attempt>,
    /// The box as it was last observed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<Instance>,
    /// The agent as it last registered; written on transitions only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Agent>,
    /// The last value of `spec.restartedAt` that was carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restarted_at: Option<String>,
    /// What is wrong, with the evidence; absent when nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diagnosis: Option<Diagnosis>,
    /// The conditions, one of each type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// The `observedGeneration` of an object that nobody looked at yet.
pub fn not_looked_at() -> i64 {
    -1
}

/// Which backend a box was launched on.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash, JsonSchema)]
pub enum Backend {
    /// Containers of a Docker engine.
    Docker,
}

impl Backend {
    /// The word that stands in specs and columns.
    pub fn as_str(self) -> &'static str {
        match self {
            Backend::Docker => "Docker",
        }
    }
}

/// Where a box was launched, and the identity of that world.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
pub struct PlacementRecord {
    /// The backend that was chosen at launch.
    pub backend: Backend,
    /// The Docker engine, when the backend is Docker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker: Option<DockerWorld>,
}

/// The identity of a Docker engine: both ids, because on some versions the engine's own id belongs to the
/// machine and survives a wiped data root, while the built-in network's id is random and does not.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DockerWorld {
    /// The name of the host in the BackendConfig.
    pub host: String,
    /// The engine's id.
    #[serde(rename = "engineID")]
    pub engine_id: String,
    /// The id of the engine's built-in network `none`.
    #[serde(rename = "networkID")]
    pub network_id: String,
}

/// One launch attempt.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = kube::core::Rule::new("self.attempt >= oldSelf.attempt").message("attempt cannot fall"))]
pub struct Launch {
    /// The number of the attempt; it never falls and is never used twice.
    #[schemars(range(min = 1))]
    pub attempt: i64,
    /// How it went so far.
    pub outcome: Outcome,
    /// An HMAC over the resolved Workspace that this box was made from.
    pub spec_hash: String,
    /// The id of the key that tokens and hash of this attempt were made with.
    #[serde(rename = "keyID")]
    pub key_id: String,
    /// The request that is sent for this attempt, frozen: canonical JSON. Holds names of secrets, never values.
    pub request: String,
    /// When the attempt was recorded.
    pub started_at: Time,
    /// How often in a row a box of this Workspace failed; zero again after ten healthy minutes.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failures: i32,
    /// When the run ended whose failure was counted last, by the backend's clock: none is counted twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failed_at: Option<MicroTime>,
    /// No box is started before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Time>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
fn is_zero(n: &i32) -> bool {
    *n == 0
}

/// How a launch attempt went.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum Outcome {
    /// Recorded; whether a box exists is not known yet.
    Pending,
    /// The backend definitely made no box.
    Refused,
    /// The box exists, and its id is recorded.
    Launched,
    /// The box existed and is no more.
    Gone,
}

/// An ended or running attempt, for people.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// Its number.
    pub attempt: i64,
    /// How it went.
    pub outcome: Outcome,
    /// Why it ended, in one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The id of its box, if it had one.
    #[serde(rename = "instanceID", default, skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
    /// When that was recorded.
    pub at: Time,
}

/// The box as it was last observed.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Instance {
    /// The backend's own word: created, running, exited, …
    pub state: String,
    /// Why it is in that state, in the backend's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_reason: Option<String>,
    /// Where the controller reaches the agent: `host:port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The addresses of the box itself, as its peers see them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// The image it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// When it was last started, by the backend's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<MicroTime>,
}

/// The agent, as it registered.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Agent {
    /// Where its peers reach it; absent when it only sent heartbeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The name on its card, as the agent says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The version on its card, as the agent says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// When it connected.
    pub connected_at: Time,
    /// The attempt whose token it used.
    pub attempt: i64,
}

/// What is wrong, with the evidence.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Diagnosis {
    /// The reason of the condition that is not True.
    pub cause: String,
    /// The condition that is not True.
    pub stage: String,
    /// What was observed, in one sentence.
    pub summary: String,
    /// What a person can do.
    pub hint: String,
    /// The steps on the way to Ready, in order, up to the first that failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<DiagnosisStep>,
    /// The last lines of the box's output, at most 2 KiB: what the box says, not what the operator says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_tail: Option<String>,
    /// When this was observed.
    pub observed_at: Time,
}

/// One step on the way to Ready.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiagnosisStep {
    /// The step's name.
    pub name: String,
    /// Whether it was seen to succeed.
    pub ok: bool,
    /// What was observed.
    pub detail: String,
    /// How long it took, in seconds, where that was observed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_seconds: Option<i64>,
}
