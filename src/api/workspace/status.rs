//! What the operator answers about a Workspace.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, MicroTime, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    /// The volume of the Workspace's data, where it is an EBS volume of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<StorageRecord>,
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
    /// EC2 instances, through Atelier's control plane.
    #[serde(rename = "EC2")]
    Ec2,
}

impl Backend {
    /// The word that stands in specs and columns.
    pub fn as_str(self) -> &'static str {
        match self {
            Backend::Docker => "Docker",
            Backend::Ec2 => "EC2",
        }
    }

    /// Whether a box fetches its files from the registry. Else the backend puts them into it before it starts.
    pub fn boxes_fetch_their_files(self) -> bool {
        match self {
            Backend::Docker => false,
            Backend::Ec2 => true,
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
    /// The AWS account and region, when the backend is EC2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ec2: Option<Ec2World>,
}

/// The identity of a world of EC2 instances: what another account or region does not show proves nothing.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, Hash, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ec2World {
    /// The AWS account's id.
    #[serde(rename = "accountID")]
    pub account_id: String,
    /// The region, such as us-east-2.
    pub region: String,
}

/// The volume of a Workspace's data.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StorageRecord {
    /// Its id, `vol-…`.
    #[serde(rename = "volumeID")]
    pub volume_id: String,
    /// The zone that it is in: from now on attempts stay there.
    pub zone: String,
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
    /// What makes two launch calls of this attempt the same launch to EC2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_token: Option<String>,
    /// The SHA-256 of the user-data that is sent with this attempt, in hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_data_hash: Option<String>,
    /// When the attempt was recorded.
    pub started_at: Time,
    /// When a launch call of this attempt was last about to be sent to EC2, rewritten at most hourly. After 12
    /// hours it is looked for and not sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_sent_at: Option<Time>,
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
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash, JsonSchema)]
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
    /// The same in the backend's words, shortened: with what was asked for, or what became of the box.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
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
    /// The id of the box as the backend's own tools show it in lists: a container's first twelve digits.
    #[serde(rename = "shortID", default, skip_serializing_if = "Option::is_none")]
    pub short_id: Option<String>,
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
    /// The EC2 instance type.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub instance_type: Option<String>,
    /// The EC2 subnet.
    #[serde(rename = "subnetID", default, skip_serializing_if = "Option::is_none")]
    pub subnet_id: Option<String>,
    /// The zone that the EC2 instance is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
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
    /// The steps on the way to Ready, in order, up to the stage.
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
    /// Whether it was seen to succeed or to fail; absent where neither was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ok: Option<bool>,
    /// What was observed.
    pub detail: String,
    /// How long it took, in seconds, where that was observed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_seconds: Option<i64>,
}
