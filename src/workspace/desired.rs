//! What a spec and its references come to: the contents of a box, its hash, and the request for it.

use crate::api::Reason;
use crate::backend::Contents;

/// What the spec and its references come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    /// What goes into the box, but for its token.
    pub contents: Contents,
    /// The hash for a new attempt, and the key that it was made with.
    pub hash: KeyedHash,
    /// The hash as it would be under the key of the recorded attempt; `None` where none is recorded or the
    /// key is not there any more.
    pub hash_as_recorded: Option<String>,
    /// What is recorded and sent for the next attempt; `None` where there is no place for it.
    pub next: Option<NextLaunch>,
    /// The request as the current platform settings would have it for the recorded attempt.
    pub request_as_recorded: Option<String>,
    /// How long a started box may take until its first call, in seconds.
    pub boot_timeout_seconds: i64,
    /// The most memory the box may use, in MiB.
    pub memory_mib: i64,
}

/// What is recorded and sent for one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextLaunch {
    /// The request.
    pub request: String,
    /// What makes its calls one launch, where the backend needs it.
    pub client_token: Option<String>,
    /// The hash of what the box is told at its first boot, where it is told anything.
    pub user_data_hash: Option<String>,
}

/// A hash and the key that made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyedHash {
    /// The id of the key.
    pub key_id: String,
    /// The hash, with its version.
    pub hash: String,
}

/// Why a spec comes to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The reason for `Accepted`.
    pub reason: Reason,
    /// What was found, naming the field and the fix.
    pub message: String,
}

impl Problem {
    /// A problem of a kind, with what was found.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}
