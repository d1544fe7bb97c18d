//! What an agent asks about others: discover, peers, check-access, one workspace.

use serde::{Deserialize, Serialize};

use crate::AgentCard;

/// The 200 of GET `/registry/discover/:id`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiscoverReply {
    /// The target's workspace uid.
    pub id: String,
    /// Where the target listens.
    pub url: String,
    /// The target's display name.
    pub name: String,
}

/// One element of the answer to GET `/registry/:id/peers`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Peer {
    /// The peer's workspace uid.
    pub id: String,
    /// Its display name.
    pub name: String,
    /// What it is there for; may be empty.
    #[serde(default, deserialize_with = "crate::null_as_default")]
    pub role: String,
    /// Its tier as a number: 2 for T2.
    #[serde(default, deserialize_with = "crate::null_as_default")]
    pub tier: u8,
    /// Whether it can be talked to.
    pub status: PeerStatus,
    /// Where it listens; empty while it is not connected.
    #[serde(default, deserialize_with = "crate::null_as_default")]
    pub url: String,
    /// The uid of the workspace that it reports to; `null` for a root.
    #[serde(default)]
    pub parent_id: Option<String>,
    /// Tasks that it has under way.
    #[serde(default, deserialize_with = "crate::null_as_default")]
    pub active_tasks: u32,
    /// What it said of itself. A connected agent always has one here, made from its name and role if it
    /// never sent any: directors leave peers without a card out of their prompt.
    #[serde(default)]
    pub agent_card: Option<AgentCard>,
}

/// The state of a workspace in the words of the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PeerStatus {
    /// Its box is on the way.
    Provisioning,
    /// Connected and well.
    Online,
    /// Connected, but it says that it is wedged or that its calls fail.
    Degraded,
    /// It was connected and its heartbeats stopped.
    Offline,
    /// Suspended by a person.
    Paused,
    /// Stuck until a person changes something.
    Failed,
}

impl PeerStatus {
    /// Every status.
    pub const ALL: [Self; 6] =
        [Self::Provisioning, Self::Online, Self::Degraded, Self::Offline, Self::Paused, Self::Failed];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Provisioning => "provisioning",
            Self::Online => "online",
            Self::Degraded => "degraded",
            Self::Offline => "offline",
            Self::Paused => "paused",
            Self::Failed => "failed",
        }
    }
}

/// POST `/registry/check-access`: may the one talk to the other?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckAccess {
    /// The caller's workspace uid.
    pub caller_id: String,
    /// The target's workspace uid.
    pub target_id: String,
}

/// The 200 of check-access.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckAccessReply {
    /// Whether the target is within the caller's reach.
    pub allowed: bool,
}

/// The 200 of GET `/workspaces/:id`: agents look up their parent with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkspaceView {
    /// The workspace's uid.
    pub id: String,
    /// Its display name.
    pub name: String,
    /// What it is there for; may be empty.
    #[serde(default, deserialize_with = "crate::null_as_default")]
    pub role: String,
    /// Its tier as a number: 2 for T2.
    #[serde(default, deserialize_with = "crate::null_as_default")]
    pub tier: u8,
    /// Whether it can be talked to.
    pub status: PeerStatus,
    /// The uid of the workspace that it reports to; `null` for a root.
    #[serde(default)]
    pub parent_id: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json, to_value};

    #[test]
    fn a_peer_spells_out_what_it_lacks() {
        let peer = Peer {
            id: "u-2".into(),
            name: "Director".into(),
            role: String::new(),
            tier: 2,
            status: PeerStatus::Provisioning,
            url: String::new(),
            parent_id: None,
            active_tasks: 0,
            agent_card: None,
        };
        let body = json!({
            "id": "u-2", "name": "Director", "role": "", "tier": 2, "status": "provisioning",
            "url": "", "parent_id": null, "active_tasks": 0, "agent_card": null
        });
        assert_eq!(to_value(&peer).unwrap(), body);
        assert_eq!(from_value::<Peer>(body).unwrap(), peer);
    }

    #[test]
    fn a_status_has_one_name_everywhere() {
        for status in PeerStatus::ALL {
            assert_eq!(to_value(status).unwrap(), json!(status.as_str()));
        }
    }

    #[test]
    fn a_workspace_view_round_trips() {
        let view = WorkspaceView {
            id: "u-2".into(),
            name: "Director".into(),
            role: "Leads.".into(),
            tier: 1,
            status: PeerStatus::Online,
            parent_id: Some("u-1".into()),
        };
        assert_eq!(from_value::<WorkspaceView>(to_value(&view).unwrap()).unwrap(), view);
    }
}
