//! What a backend shows and takes: boxes as they were seen, and what goes into one.

use k8s_openapi::jiff::Timestamp;
use std::collections::BTreeMap;
use std::fmt;

/// One box, as the backend showed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoxSeen {
    /// The backend's id of it.
    pub id: String,
    /// The launch attempt on its label; `None` when the label is missing or no number.
    pub attempt: Option<i64>,
    /// The spec hash on its label.
    pub spec_hash: Option<String>,
    /// What it is doing.
    pub state: BoxState,
    /// When it was last started, by the backend's clock, to the microsecond: as much as a status keeps.
    pub started_at: Option<Timestamp>,
    /// Where the controller reaches its agent, `host:port`; known while it runs.
    pub address: Option<String>,
    /// Its own names and addresses, as its peers may use them.
    pub addresses: Vec<String>,
    /// The image that it was made from.
    pub image: String,
    /// What only an EC2 instance has.
    pub ec2: Option<Ec2Facts>,
}

/// What only an EC2 instance has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ec2Facts {
    /// Its type.
    pub instance_type: String,
    /// Its subnet.
    pub subnet_id: String,
    /// Its zone.
    pub zone: String,
    /// The volumes that are attached to it.
    pub volume_ids: Vec<String>,
}

/// A time to the microsecond: as much as a status keeps, so that what is stored compares equal to what is seen.
pub(super) fn to_microsecond(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at)
}

/// What a box is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BoxState {
    /// Made and never started: its files may be missing.
    Created,
    /// Runs.
    Running,
    /// Ran and stopped.
    Exited {
        /// The exit code of its first process.
        code: i64,
        /// Whether the kernel killed it for its memory.
        oom_killed: bool,
        /// When it stopped.
        finished_at: Option<Timestamp>,
        /// The backend's own error, if it could not be started.
        error: Option<String>,
    },
    /// On its way to running.
    Starting,
    /// Stopped, whoever stopped it; the backend's reason, if it gave one.
    Stopped {
        /// The backend's reason.
        reason: Option<String>,
    },
    /// On its way out.
    Removing,
    /// It ended for good, and the backend still shows that.
    Terminated {
        /// The backend's reason.
        reason: Option<String>,
    },
    /// It was made or is recorded, and the backend's lists do not show it, which is no proof yet that it is
    /// gone.
    Unlisted,
    /// Any other state, in the backend's word.
    Other(String),
}

impl BoxState {
    /// The word for `status.instance.state`.
    pub fn word(&self) -> &str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Exited { .. } => "exited",
            Self::Starting => "pending",
            Self::Stopped { .. } => "stopped",
            Self::Removing => "removing",
            Self::Terminated { .. } => "terminated",
            Self::Unlisted => "unlisted",
            Self::Other(word) => word,
        }
    }
}

/// Whether an image is at hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageState {
    /// It is.
    Present,
    /// It is not, and nothing has been tried.
    Missing,
    /// It is being pulled.
    Pulling {
        /// How far, once the registry has said anything of it.
        how_far: Option<String>,
        /// The engine's words of the pull before this one, if that failed.
        failed_before: Option<String>,
    },
    /// The last pull failed, in the engine's words, at this time.
    Failed(String, Timestamp),
}

/// Credentials for a registry of images.
#[derive(Clone, PartialEq, Eq)]
pub struct PullCredentials {
    /// The content of `.dockerconfigjson`.
    pub docker_config_json: Vec<u8>,
}

impl fmt::Debug for PullCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PullCredentials(…)")
    }
}

/// What goes into a box: resolved, with the values of secrets. Never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// The token that a box fetches the rest with, where it cannot be filled before its start.
    pub bootstrap_token: String,
    /// The whole environment of the agent.
    pub env: BTreeMap<String, String>,
    /// The files under `/configs`.
    pub files: Vec<BoxFile>,
}

impl fmt::Debug for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Contents({} variables, {} files)", self.env.len(), self.files.len())
    }
}

/// One file under `/configs`.
#[derive(Clone, PartialEq, Eq)]
pub struct BoxFile {
    /// Relative to `/configs`, normalised.
    pub path: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its mode, such as 0o600.
    pub mode: u32,
}
