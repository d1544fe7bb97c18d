//! `Workspace`: one agent and the machine that it needs.

mod parts;
mod status;

pub use parts::*;
pub use status::*;

use kube::{CustomResource, KubeSchema};
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
    printcolumn(name = "Instance", type_ = "string", json_path = ".status.instance.shortID", description = "The id of its box, shortened"),
    printcolumn(name = "Instance-ID", type_ = "string", json_path = ".status.instanceID", description = "The id of its box", priority = "1"),
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
