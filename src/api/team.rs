//! `Team`: a director and specialists, each of which becomes a `Workspace`.

use super::workspace::{
    EnvFrom, EnvVar, File, FilesFrom, Plugin, Prompts, RequiredEnv, Storage, Tier, not_looked_at,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Agents that work together: one Workspace each.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "atelier.dev",
    version = "v1alpha1",
    kind = "Team",
    namespaced,
    shortname = "team",
    category = "atelier",
    status = "TeamStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "Agents that work together: a director and specialists, each of which becomes a Workspace.",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.readySummary", description = "Members that are ready, of all"),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#, description = "Why it is or is not ready"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = kube::core::Rule::new("self.spec.members.all(m, size(self.metadata.name) + size(m.name) <= 62)")
        .message("metadata.name, spec.members[].name: a member's Workspace is named <team>-<member>, which may have at most 63 characters; shorten the Team's or the member's name")
)]
#[serde(rename_all = "camelCase")]
pub struct TeamSpec {
    /// What the Team is for, in a sentence or two. Default: empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8192))]
    pub description: Option<String>,

    /// Values for every member that does not say otherwise. Lists are joined: `plugins` is the union less
    /// the member's `excludePlugins`, `files` by path and `env` by name with the member's winning,
    /// `envFrom` and the other lists in order, defaults first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defaults: Option<MemberTemplate>,

    /// The members. Their order means nothing.
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["name".into()]))]
    #[schemars(length(min = 1, max = 256))]
    pub members: Vec<Member>,

    /// How many members may be launching at once; a launch ends when its box runs, was refused or waits to
    /// be tried again. Default 0: no limit.
    #[serde(default)]
    #[schemars(range(min = 0, max = 256))]
    pub max_concurrent_launches: i32,

    /// Stop every member's box and keep the volumes until this is false again. Default false.
    #[serde(default)]
    pub suspend: bool,
}

/// What a member and the Team's defaults may say of a Workspace.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MemberTemplate {
    /// The runtime to start: the name of an entry of `runtimes` in the cluster's BackendConfig. Needed in
    /// the member or in the defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub runtime: Option<String>,
    /// How much machine the agent gets, T1 (smallest) to T4. Default T2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<Tier>,
    /// The model that the runtime is told to use. Default: the runtime's own choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub model: Option<String>,
    /// A name for people, free text. Default: the member's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub display_name: Option<String>,
    /// What this agent is for; shown to its peers. Default: empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8192))]
    pub role: Option<String>,
    /// What the agent is told. Each prompt of the member wins over the same one of the defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompts: Option<Prompts>,
    /// Files to put under `/configs`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["path".into()]))]
    #[schemars(length(max = 128))]
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
    /// Environment variables of the agent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["name".into()]))]
    #[schemars(length(max = 256))]
    pub env: Vec<EnvVar>,
    /// Secrets and ConfigMaps whose every key becomes an environment variable.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub env_from: Vec<EnvFrom>,
    /// Variables that must be there before a box is launched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub required_env: Vec<RequiredEnv>,
    /// How many tasks the agent may work on at once. Default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_concurrent_tasks: Option<i32>,
    /// What happens to the agent's data volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,
    /// Stop this member's box and keep its volumes. The Team owns it only where it sets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
    /// Any new value restarts this member's box. The Team owns it only where it sets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub restarted_at: Option<String>,
}

/// One member of a Team.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// The member's name within the Team. Its Workspace is named `<team>-<member>`.
    #[schemars(length(min = 1, max = 61), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// The member of this Team that this one reports to. Default: none, a root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 61))]
    pub reports_to: Option<String>,
    /// Plugins of the defaults that this member does not get.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    pub exclude_plugins: Vec<String>,
    /// Everything else that a Workspace may say.
    #[serde(flatten)]
    pub template: MemberTemplate,
}

/// What the operator observed of the Team.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct TeamStatus {
    /// The generation of the spec that this status speaks of; -1 until the operator has looked.
    #[serde(default = "not_looked_at")]
    pub observed_generation: i64,
    /// Members that are ready, of all: `7/7`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_summary: Option<String>,
    /// The members in numbers, and those that are not ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<MemberRollup>,
    /// The conditions, one of each type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// The members in numbers.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemberRollup {
    /// How many the spec names.
    pub total: i32,
    /// How many are ready.
    pub ready: i32,
    /// How many are suspended.
    pub suspended: i32,
    /// The members that are not ready, worst first, at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_ready: Vec<MemberProblem>,
}

/// A member that is not ready.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemberProblem {
    /// The member's name.
    pub name: String,
    /// The reason of its Ready condition.
    pub reason: String,
    /// The message of its Ready condition, shortened.
    pub message: String,
    /// The id of its box, if it has one.
    #[serde(rename = "instanceID", default, skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
}
