//! The JSON that two Atelier processes exchange, and the names around it.
//!
//! One module a topic; every public type is re-exported, so callers write `atelier_wire::Register`.
//! Nothing here opens a socket or knows Kubernetes.
//!
//! Two rules hold for every type. Unknown fields are ignored on the way in, because agents that are in
//! use today send more than we read. A field that such agents leave out, or send as `null`, takes the
//! default that says least; a field without which the call makes no sense is required.

pub mod a2a;
pub mod contract;
pub mod control_plane;
mod liveness;
mod lookup;
pub mod paths;
mod registration;

pub use a2a::{AgentCapabilities, AgentCard, AgentSkill};
pub use liveness::{Boot, BootStage, Exit, Heartbeat, UnknownBootStage};
pub use lookup::{CheckAccess, CheckAccessReply, DiscoverReply, Peer, PeerStatus, WorkspaceView};
pub use registration::{ErrorReply, Register, StatusReply, StatusWord, UpdateCard};

use serde::{Deserialize, Deserializer};

/// Longest body of a registry call, in bytes.
pub const BODY_MAX_BYTES: usize = 65_536;
/// Longest agent card that is kept, in bytes of its JSON.
pub const CARD_MAX_BYTES: usize = 8_192;
/// Longest log tail that travels in an exit or in the detail of a failed boot stage, in bytes.
pub const LOG_TAIL_MAX_BYTES: usize = 2_048;

/// Reads `null` as the type's default. Python agents write a missing text as `null`.
fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}
