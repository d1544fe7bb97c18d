//! `BackendConfig`: what a platform owner says about where Workspaces run.

use super::workspace::{LocalRef, Tier, not_looked_at};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use super::workspace::Backend;

/// Where the Workspaces of this cluster run, what each runtime is, and what is allowed.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "atelier.dev",
    version = "v1alpha1",
    kind = "BackendConfig",
    plural = "backendconfigs",
    shortname = "bc",
    category = "atelier",
    status = "BackendConfigStatus",
    derive = "PartialEq",
    doc = "Where the Workspaces of this cluster run, what each runtime is, and what is allowed. The operator reads the one named `cluster`, or the one that its flag --backend-config names.",
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#, description = "Whether Workspaces can be placed"),
    printcolumn(name = "Backend", type_ = "string", json_path = ".spec.backend", description = "Where new Workspaces go"),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#, description = "Why it is or is not ready"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = kube::core::Rule::new("self.spec.backend != 'Docker' || has(self.spec.docker)").message("backend is Docker: say which engine in spec.docker.hosts"),
    validation = kube::core::Rule::new("self.spec.backend != 'EC2' || has(self.spec.ec2)").message("backend is EC2: say where the control plane is, and what to launch, in spec.ec2"),
    validation = kube::core::Rule::new("self.spec.backend != 'EC2' || !has(self.spec.ec2) || has(self.spec.ec2.amiID) || self.spec.runtimes.all(r, has(r.amiID))").message("every runtime needs an AMI: give spec.ec2.amiID, or amiID to each runtime")
)]
#[serde(rename_all = "camelCase")]
pub struct BackendConfigSpec {
    /// Where new Workspaces are launched. Boxes that run already stay where they are.
    pub backend: Backend,
    /// The Docker engine, when Workspaces run in containers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker: Option<DockerSpec>,
    /// What to launch on EC2, when Workspaces run on instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ec2: Option<Ec2Spec>,
    /// The runtimes that a Workspace may name.
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["name".into()]))]
    #[schemars(length(min = 1, max = 64))]
    pub runtimes: Vec<Runtime>,
    /// How a box reaches the registry.
    pub registry: RegistrySpec,
    /// What is allowed.
    #[serde(default)]
    pub policy: Policy,
    /// When an agent that goes quiet is called lost.
    #[serde(default)]
    pub heartbeat: Heartbeat,
}

/// The Docker engine.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct DockerSpec {
    /// The engines. Exactly one for now.
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["name".into()]))]
    #[schemars(length(min = 1, max = 1))]
    pub hosts: Vec<DockerHost>,
    /// The networks that boxes are attached to.
    #[serde(default)]
    pub network: DockerNetwork,
}

/// One Docker engine.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = kube::core::Rule::new("!self.address.startsWith('tcp://') || has(self.publishAddress)")
        .message("a TCP host needs publishAddress: the address of that host at which the controller reaches published ports"),
    validation = kube::core::Rule::new("!self.address.startsWith('tcp://') || has(self.tlsSecretRef)")
        .message("a TCP host needs tlsSecretRef: a Secret with ca.crt, tls.crt and tls.key in the operator's namespace"),
)]
pub struct DockerHost {
    /// A name for this engine; it is recorded with every box.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// `unix:///var/run/docker.sock`, or `tcp://host:2376`.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = kube::core::Rule::new("self.startsWith('unix:///') || self.startsWith('tcp://')").message("address must start with unix:/// or tcp://"))]
    pub address: String,
    /// A Secret in the operator's namespace with `ca.crt`, `tls.crt` and `tls.key`. Needed for TCP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_secret_ref: Option<LocalRef>,
    /// The address on which the engine publishes agents' ports, and at which the controller reaches them.
    /// Default 127.0.0.1 for a socket; required for TCP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub publish_address: Option<String>,
    /// How many Workspaces may be placed here. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_workspaces: Option<i32>,
}

/// The networks that boxes are attached to.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = kube::core::Rule::new("!isCIDR(self.pool) || cidr(self.pool).ip().family() != 4 || cidr(self.pool).prefixLength() <= self.prefixLength")
    .message("no network of prefixLength fits into the pool: make prefixLength greater, or the pool larger"))]
pub struct DockerNetwork {
    /// One bridge network a Team (a Workspace without a Team has its own).
    #[serde(default)]
    pub mode: NetworkMode,
    /// The addresses that networks are cut from, in CIDR notation. Default 10.201.0.0/16.
    #[serde(default = "pool")]
    #[x_kube(validation = kube::core::Rule::new("isCIDR(self) && cidr(self).ip().family() == 4").message("pool must be an IPv4 range such as 10.201.0.0/16"))]
    #[schemars(length(min = 9, max = 18))]
    pub pool: String,
    /// The length of each network's prefix; it bounds the members of a Team. Default 26: 61 boxes.
    #[serde(default = "prefix_length")]
    #[schemars(range(min = 16, max = 29))]
    pub prefix_length: i32,
}

impl Default for DockerNetwork {
    fn default() -> Self {
        Self { mode: NetworkMode::default(), pool: pool(), prefix_length: prefix_length() }
    }
}

fn pool() -> String {
    "10.201.0.0/16".into()
}

fn prefix_length() -> i32 {
    26
}

/// How boxes are grouped into networks.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum NetworkMode {
    /// One network a Team.
    #[default]
    PerTeam,
}

/// EC2 instances, launched through Atelier's control plane.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = kube::core::Rule::new("!has(self.instanceProfileName) || !self.instanceTypes.exists(t, t.tier == 'T3')")
    .message("an instance profile reaches every T3 box, which may be privileged: leave out T3, or instanceProfileName"))]
pub struct Ec2Spec {
    /// The control plane, which alone holds AWS credentials.
    pub control_plane: ControlPlane,
    /// The region that the control plane must launch in, such as us-east-2: another one is not this backend.
    #[schemars(length(min = 1, max = 63))]
    pub region: String,
    /// The image of the machine, unless a runtime names its own.
    #[serde(rename = "amiID", default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = kube::core::Rule::new("self.startsWith('ami-')").message("amiID must start with ami-"))]
    #[schemars(length(max = 64))]
    pub ami_id: Option<String>,
    /// The subnets, in order of preference; where one has no capacity, the next is tried.
    #[serde(rename = "subnetIDs")]
    #[x_kube(validation = kube::core::Rule::new("self.all(s, s.startsWith('subnet-'))").message("each of subnetIDs must start with subnet-"))]
    #[schemars(length(min = 1, max = 16), inner(length(max = 64)))]
    pub subnet_ids: Vec<String>,
    /// The security groups of every instance.
    #[serde(rename = "securityGroupIDs", default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(validation = kube::core::Rule::new("self.all(s, s.startsWith('sg-'))").message("each of securityGroupIDs must start with sg-"))]
    #[schemars(length(max = 16), inner(length(max = 64)))]
    pub security_group_ids: Vec<String>,
    /// The instance profile of every instance, by name. Default: none, so that an agent has no AWS credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub instance_profile_name: Option<String>,
    /// The instance types of each tier, in order of preference.
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["tier".into()]))]
    #[x_kube(validation = kube::core::Rule::new("!self.exists(t, t.tier == 'T4')").message("T4 is not to be had on EC2: leave it out"))]
    #[schemars(length(min = 1, max = 4))]
    pub instance_types: Vec<InstanceTypes>,
    /// The root volume of every instance; it goes with the instance.
    #[serde(default)]
    pub root_volume: VolumeSettings,
    /// The volume of each Workspace's data; it outlives the instance.
    #[serde(default = "data_volume")]
    pub data_volume: VolumeSettings,
}

/// Where the control plane is.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase")]
pub struct ControlPlane {
    /// Its URL, such as `https://atelier-control-plane.atelier-system.svc:8443`.
    #[x_kube(validation = kube::core::Rule::new("isURL(self) && (self.startsWith('http://') || self.startsWith('https://'))").message("url must be an http:// or https:// URL"))]
    #[schemars(length(min = 1, max = 512))]
    pub url: String,
    /// The certificates (PEM) that it is known by. Default: the public ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65_536))]
    pub ca_bundle: Option<String>,
    /// The shared secret: a key of a Secret in the operator's namespace.
    pub token_secret_ref: SecretKey,
}

/// A key of a Secret in the operator's namespace.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, Hash, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKey {
    /// The name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key in it.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// The instance types of one tier.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstanceTypes {
    /// The tier.
    pub tier: Tier,
    /// The types, in order of preference; where one is not to be had, the next is tried.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 64)))]
    pub types: Vec<String>,
}

/// A volume that is made with an instance. It is always encrypted.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VolumeSettings {
    /// Its size, in whole GiB. Default 30 for the root volume, 20 for data.
    #[serde(rename = "sizeGiB", default = "root_gib")]
    #[schemars(range(min = 1, max = 16_384))]
    pub size_gib: i32,
    /// Its EBS type. Default gp3.
    #[serde(rename = "type", default = "gp3")]
    #[schemars(length(min = 1, max = 16))]
    pub volume_type: String,
    /// The KMS key that it is encrypted with. Default: the account's own for EBS.
    #[serde(rename = "kmsKeyID", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub kms_key_id: Option<String>,
}

impl Default for VolumeSettings {
    fn default() -> Self {
        Self { size_gib: root_gib(), volume_type: gp3(), kms_key_id: None }
    }
}

fn root_gib() -> i32 {
    30
}

fn gp3() -> String {
    "gp3".into()
}

fn data_volume() -> VolumeSettings {
    VolumeSettings { size_gib: 20, ..VolumeSettings::default() }
}

/// A runtime that a Workspace may name.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Runtime {
    /// The name that Workspaces use.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// The container image.
    #[schemars(length(min = 1, max = 512))]
    pub image: String,
    /// The image of the machine for this runtime on EC2. Default: `spec.ec2.amiID`.
    #[serde(rename = "amiID", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub ami_id: Option<String>,
    /// The command and its arguments. Default: the image's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub command: Vec<String>,
    /// How long a started box may take until its first authenticated call, in seconds. Default 600.
    #[serde(default = "ten_minutes")]
    #[schemars(range(min = 1, max = 86_400))]
    pub boot_timeout_seconds: i32,
    /// A Secret of type `kubernetes.io/dockerconfigjson` in the operator's namespace, to pull the image with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_secret_ref: Option<LocalRef>,
}

fn ten_minutes() -> i32 {
    600
}

/// How a box reaches the registry.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = kube::core::Rule::new("self.advertiseURL.startsWith('https://') || (has(self.allowPlaintext) && self.allowPlaintext) || self.advertiseURL.matches('^http://(host\\\\.docker\\\\.internal|localhost|127\\\\.[0-9.]+|172\\\\.(1[6-9]|2[0-9]|3[01])\\\\.[0-9.]+)(:[0-9]+)?/?$')")
    .message("advertiseURL is plain http and tokens would cross the network readable: use https, or say allowPlaintext: true"))]
pub struct RegistrySpec {
    /// The URL at which a box reaches the registry, such as `http://host.docker.internal:8090`.
    #[serde(rename = "advertiseURL")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = kube::core::Rule::new("isURL(self) && (self.startsWith('http://') || self.startsWith('https://'))").message("advertiseURL must be an http:// or https:// URL"))]
    pub advertise_url: String,
    /// The certificates (PEM) that a box trusts for the registry besides the public ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65_536))]
    pub ca_bundle: Option<String>,
    /// Let tokens cross a network in plain http. Default false; loopback and the engine's bridge need no leave.
    #[serde(default)]
    pub allow_plaintext: bool,
}

/// What is allowed.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    /// The tiers that may be used. Default: T1 and T2, everywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["tier".into()]))]
    #[schemars(length(max = 4))]
    pub tiers: Option<Vec<TierPolicy>>,
    /// The namespaces whose Workspaces are accepted. Default: all but the operator's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub allowed_namespaces: Option<Vec<String>>,
    /// How many Workspaces may have a box, in all. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_workspaces: Option<i32>,
    /// How many Workspaces of one namespace may have a box. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_workspaces_per_namespace: Option<i32>,
    /// How a change of images or other platform settings reaches running boxes.
    #[serde(default)]
    pub rollout: Rollout,
}

/// A tier that may be used.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = kube::core::Rule::new("!self.privileged || self.tier == 'T3' || self.tier == 'T4'").message("privileged is for T3 and T4 only"),
    validation = kube::core::Rule::new("!self.engineSocket || self.tier == 'T4'").message("engineSocket is for T4 only"),
)]
pub struct TierPolicy {
    /// The tier.
    pub tier: Tier,
    /// The namespaces that may use it. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub namespaces: Option<Vec<String>>,
    /// Run these boxes privileged: they own the machine. T3 and T4 only. Default false.
    #[serde(default)]
    pub privileged: bool,
    /// Give these boxes the engine's socket: they can read every box's secrets. T4 only. Default false.
    #[serde(default)]
    pub engine_socket: bool,
}

/// How a change of platform settings reaches running boxes.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    /// How many Workspaces may be unready at once while boxes are replaced. Default 0: boxes are not
    /// replaced; each takes the new settings at its next restart.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub max_unavailable: i32,
}

/// When an agent that goes quiet is called lost.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Heartbeat {
    /// How long an agent may be silent, in seconds. Agents send a heartbeat every 30 s: give at least 90.
    /// Default 180.
    #[serde(default = "three_minutes")]
    #[schemars(range(min = 1, max = 86_400))]
    pub ttl_seconds: i32,
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self { ttl_seconds: three_minutes() }
    }
}

fn three_minutes() -> i32 {
    180
}

/// What the operator observed of the backend.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct BackendConfigStatus {
    /// The generation of the spec that this status speaks of; -1 until the operator has looked.
    #[serde(default = "not_looked_at")]
    pub observed_generation: i64,
    /// The endpoints that boxes are launched on. One that has boxes cannot be removed or repointed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["name".into()]))]
    pub endpoints: Vec<Endpoint>,
    /// The control plane that instances are launched through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ec2: Option<Ec2InUse>,
    /// How many Workspaces have a box here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspaces: Option<i32>,
    /// The version of the engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The conditions, one of each type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// The control plane that instances are launched through.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ec2InUse {
    /// The URL of the control plane; it goes on serving when the spec does not name one any more.
    pub url: String,
    /// The certificates that it is known by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<String>,
    /// The shared secret.
    pub token_secret_ref: SecretKey,
    /// The AWS account that it launches in.
    #[serde(rename = "accountID")]
    pub account_id: String,
    /// The region that it launches in.
    pub region: String,
    /// Since when it is in use.
    pub since: Time,
}

/// An endpoint that boxes are launched on.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// The name of the host.
    pub name: String,
    /// Its address when it was taken into use; it goes on serving while the spec says otherwise.
    pub address: String,
    /// The address its ports are published on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish_address: Option<String>,
    /// Its TLS Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_secret_ref: Option<LocalRef>,
    /// The engine's id.
    #[serde(rename = "engineID")]
    pub engine_id: String,
    /// The id of the engine's built-in network `none`.
    #[serde(rename = "networkID")]
    pub network_id: String,
    /// Since when it is in use.
    pub since: Time,
}
