//! What a Workspace's spec is made of; most of it a Team's members say too.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
