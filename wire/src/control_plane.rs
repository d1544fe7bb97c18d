//! What the controller and `atelier control-plane` say to each other.
//!
//! The format extends one that clients without our extensions use today: they send a [`Provision`] without
//! `idempotency_key`, read only `instance_id`, `private_ip` and `state` of the answer, and take any answer but
//! 201 as a failure. Times are RFC 3339 in UTC.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Longest body of a provision call, in bytes.
pub const PROVISION_MAX_BYTES: usize = 512 * 1024;
/// Longest user-data that EC2 takes, in bytes before base64.
pub const USER_DATA_MAX_BYTES: usize = 16 * 1024;
/// Longest console output that is answered, in bytes.
pub const CONSOLE_MAX_BYTES: usize = 256 * 1024;
/// The value of the tag `atelier.dev/controller` on what a client without our extensions asked for: no
/// collector touches it.
pub const NO_CONTROLLER: &str = "none";

/// POST `/cp/workspaces/provision`: one instance for one attempt of one Workspace.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Provision {
    /// The organisation; informative.
    #[serde(default, deserialize_with = "crate::null_as_default", skip_serializing_if = "String::is_empty")]
    pub org_id: String,
    /// The Workspace's uid.
    pub workspace_id: String,
    /// The runtime's name; informative.
    #[serde(default, deserialize_with = "crate::null_as_default")]
    pub runtime: String,
    /// The tier as a number; 0 where the client does not know.
    #[serde(default, deserialize_with = "crate::null_as_default")]
    pub tier: i64,
    /// Where the box reaches the registry.
    #[serde(default, deserialize_with = "crate::null_as_default")]
    pub platform_url: String,
    /// Environment of the agent, as clients without our extensions send it. Atelier never does: it would have
    /// to travel in user-data.
    #[serde(
        default,
        deserialize_with = "crate::null_as_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub env: BTreeMap<String, String>,
    /// What makes two calls the same launch: EC2's client token. Absent from clients without our extensions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// The launch attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<i64>,
    /// The request is not sent to EC2 after this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<String>,
    /// The caller's cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
    /// What to launch: frozen when the attempt was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launch: Option<LaunchSpec>,
    /// The script that the instance runs at its first boot, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_data: Option<String>,
}

impl fmt::Debug for Provision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Provision({}, attempt {:?})", self.workspace_id, self.attempt)
    }
}

/// What to launch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchSpec {
    /// The image of the machine, `ami-…`.
    pub ami_id: String,
    /// The instance type, such as `t3.medium`.
    pub instance_type: String,
    /// The subnet, `subnet-…`: it decides the zone.
    pub subnet_id: String,
    /// The security groups, `sg-…`.
    #[serde(default)]
    pub security_group_ids: Vec<String>,
    /// The instance profile, by name; none: the instance has no AWS credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_profile_name: Option<String>,
    /// The root volume.
    pub root_volume: VolumeSpec,
    /// Tags of the instance, its volumes and its network interface. The control plane adds the cluster's.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// A volume to be made. It is always encrypted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeSpec {
    /// Its size, in GiB.
    pub size_gib: i32,
    /// Its type, such as `gp3`.
    pub volume_type: String,
    /// The KMS key; none: the account's default key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_key_id: Option<String>,
}

impl Default for VolumeSpec {
    fn default() -> Self {
        Self { size_gib: 30, volume_type: "gp3".into(), kms_key_id: None }
    }
}

/// The answer to a provision call, with status 201.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provisioned {
    /// The instance's id, `i-…`.
    pub instance_id: String,
    /// Its private address; empty while EC2 has not given it one.
    #[serde(default, deserialize_with = "crate::null_as_default")]
    pub private_ip: String,
    /// EC2's word: pending, running, …
    pub state: String,
    /// The zone that it is in.
    #[serde(default, deserialize_with = "crate::null_as_default")]
    pub zone: String,
    /// The account that it is in.
    #[serde(default, deserialize_with = "crate::null_as_default")]
    pub account_id: String,
    /// The region that it is in.
    #[serde(default, deserialize_with = "crate::null_as_default")]
    pub region: String,
}

/// An instance, as EC2 shows it: an item of GET `/cp/workspaces`, and the answer of GET
/// `/cp/workspaces/:id/status`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceView {
    /// EC2's word: pending, running, stopping, stopped, shutting-down, terminated. `terminated` with
    /// `observed: false` means no more than that EC2 does not know it.
    pub state: String,
    /// The instance's id.
    pub instance_id: String,
    /// Its private address; empty when it has none.
    #[serde(default)]
    pub private_ip: String,
    /// Why it is in this state, where EC2 says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_reason: Option<StateReason>,
    /// Whether EC2 itself shows it.
    pub observed: bool,
    /// When it was last started, by EC2's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launched_at: Option<String>,
    /// The zone that it is in.
    #[serde(default)]
    pub zone: String,
    /// Its subnet.
    #[serde(default)]
    pub subnet_id: String,
    /// Its type.
    #[serde(default)]
    pub instance_type: String,
    /// The image of the machine.
    #[serde(default)]
    pub ami_id: String,
    /// The token that it was launched with.
    #[serde(default)]
    pub client_token: String,
    /// The volumes that are attached to it.
    #[serde(default)]
    pub volume_ids: Vec<String>,
    /// Its tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// Why an instance is in its state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateReason {
    /// EC2's code, such as `Client.VolumeLimitExceeded`.
    pub code: String,
    /// EC2's message.
    #[serde(default)]
    pub message: String,
}

/// One page of GET `/cp/workspaces?cluster_id=…&page=…`: every instance of a cluster that EC2 still shows,
/// terminated ones included.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstancePage {
    /// The instances of this page.
    pub instances: Vec<InstanceView>,
    /// What to ask for next; absent: this was the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_page: Option<String>,
    /// When EC2 was asked, by the control plane's clock.
    pub observed_at: String,
    /// The account that was asked.
    pub account_id: String,
    /// The region that was asked.
    pub region: String,
}

/// The answer to DELETE `/cp/workspaces/:id` and DELETE of a volume or a network interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deleted {
    /// Whether EC2 itself shows it as ending or ended.
    pub observed: bool,
    /// EC2's word for its state now.
    #[serde(default)]
    pub state: String,
}

/// The answer to GET `/cp/admin/workspaces/:id/console`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Console {
    /// The last lines of the machine's console, redacted.
    pub output: String,
}

/// POST `/cp/workspaces/:id/volume`: create the data volume of a Workspace, or find it by its token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeOrder {
    /// The caller's cluster.
    pub cluster_id: String,
    /// EC2's client token of the call.
    pub idempotency_key: String,
    /// The zone that it must be in.
    pub zone: String,
    /// What to make.
    pub volume: VolumeSpec,
    /// Its tags. The control plane adds the cluster's.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// POST `/cp/workspaces/:id/volume/attach`: attach a volume to a running instance. Done already: success.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachOrder {
    /// The caller's cluster.
    pub cluster_id: String,
    /// The volume.
    pub volume_id: String,
    /// The instance.
    pub instance_id: String,
}

/// A volume, as EC2 shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeView {
    /// Its id, `vol-…`.
    pub volume_id: String,
    /// EC2's word: creating, available, in-use, deleting, …
    pub state: String,
    /// The zone that it is in.
    #[serde(default)]
    pub zone: String,
    /// The instance that it is attached to; empty when none.
    #[serde(default)]
    pub instance_id: String,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// Its tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// A network interface, as EC2 shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkInterfaceView {
    /// Its id, `eni-…`.
    pub network_interface_id: String,
    /// EC2's word: available, in-use, …
    pub state: String,
    /// The instance that it is attached to; empty when none.
    #[serde(default)]
    pub instance_id: String,
    /// Its tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// GET `/cp/resources?cluster_id=…`: volumes and network interfaces of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// The volumes.
    pub volumes: Vec<VolumeView>,
    /// The network interfaces.
    pub network_interfaces: Vec<NetworkInterfaceView>,
    /// When EC2 was asked, by the control plane's clock.
    pub observed_at: String,
    /// The account that was asked.
    pub account_id: String,
    /// The region that was asked.
    pub region: String,
}

/// POST `/cp/preflight`: would this launch be allowed?
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreflightOrder {
    /// The caller's cluster.
    pub cluster_id: String,
    /// What would be launched: one request for each combination that a platform's settings name.
    pub launches: Vec<LaunchSpec>,
}

/// The answer to a preflight: 200 also where something is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreflightReply {
    /// The account that launches go to.
    pub account_id: String,
    /// The region that launches go to.
    pub region: String,
    /// The control plane's version.
    #[serde(default)]
    pub version: String,
    /// The control plane's clock when it answered.
    pub now: String,
    /// The zone of each subnet that was named.
    #[serde(default)]
    pub zones: BTreeMap<String, String>,
    /// What is wrong; empty: a launch would be taken.
    #[serde(default)]
    pub problems: Vec<ErrorBody>,
}

/// The body of every answer that is no success.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What went wrong, for people. Never the raw answer of an upstream.
    pub error: String,
    /// EC2's own code, or one of ours from [`codes`].
    #[serde(default)]
    pub code: String,
    /// What happens next.
    #[serde(default)]
    pub class: FaultClass,
    /// Finds the call in the control plane's log.
    #[serde(default)]
    pub request_id: String,
    /// How long to wait before another try, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u64>,
}

/// What happens next after an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FaultClass {
    /// Not an error: look again soon.
    Waiting,
    /// A person must change something.
    Terminal,
    /// Try again with growing pauses. Also what a class that we do not know comes to.
    #[default]
    #[serde(other)]
    Retryable,
}

/// Codes of errors that are the control plane's own and not EC2's.
pub mod codes {
    /// No secret, or a wrong one.
    pub const UNAUTHENTICATED: &str = "Unauthenticated";
    /// The secret is not good for this cluster, or the instance is another's.
    pub const FORBIDDEN: &str = "Forbidden";
    /// The body or a parameter cannot be read; the error names the field.
    pub const INVALID_BODY: &str = "InvalidBody";
    /// The control plane's own settings do not allow this AMI, type, subnet, group or profile.
    pub const NOT_ALLOWED: &str = "NotAllowed";
    /// `not_after` was over before the request was sent: it was not sent.
    pub const EXPIRED: &str = "Expired";
    /// A launch would have to wait too long for the rate limit: it was not sent.
    pub const RATE_LIMITED: &str = "RateLimited";
    /// This process launched it moments ago, and EC2 does not show it yet.
    pub const NOT_VISIBLE_YET: &str = "NotVisibleYet";
    /// More than one live instance matches where exactly one must.
    pub const AMBIGUOUS: &str = "Ambiguous";
    /// EC2 did not answer in time, or its answer was lost: whether the call had an effect is not known.
    pub const UNKNOWN_OUTCOME: &str = "UnknownOutcome";
    /// No such path or resource.
    pub const NOT_FOUND: &str = "NotFound";
    /// The control plane has no AWS credentials, or EC2 cannot be reached: nothing was sent.
    pub const UPSTREAM_UNREACHABLE: &str = "UpstreamUnreachable";
}
