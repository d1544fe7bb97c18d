//! Register and update-card, and the two shapes in which the registry answers.

use serde::{Deserialize, Serialize};

use crate::{AgentCard, PeerStatus};

/// POST `/registry/register`: an agent says where it listens and what it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Register {
    /// The caller's workspace uid.
    pub id: String,
    /// Where peers reach the agent; its host must be one of the box's own names or addresses.
    pub url: String,
    /// What the agent is and can do.
    #[serde(default, deserialize_with = "crate::null_as_default")]
    pub agent_card: AgentCard,
}

/// POST `/registry/update-card`: a new card for an agent that is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UpdateCard {
    /// The caller's workspace uid.
    pub workspace_id: String,
    /// Replaces the card that was known.
    pub agent_card: AgentCard,
}

/// The 200 of register, heartbeat and update-card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusReply {
    /// Which of the three was done.
    pub status: StatusWord,
}

/// What a call that only acknowledges says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StatusWord {
    /// The answer to register.
    Registered,
    /// The answer to a heartbeat.
    Ok,
    /// The answer to update-card.
    Updated,
}

/// Every answer that is not 2xx.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorReply {
    /// What is wrong, which field, and what to do.
    pub error: String,
    /// The target's state, where the call failed because the target is not connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<PeerStatus>,
}

impl ErrorReply {
    /// An error that is not about the state of a target.
    pub fn new(error: impl Into<String>) -> Self {
        Self { error: error.into(), status: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_register_of_a_current_agent_is_read() {
        let body = json!({
            "id": "u-1", "url": "http://ws-1:8000", "extra": 1,
            "agent_card": {
                "name": "Researcher", "description": "Reads.", "version": "1.0.0", "url": "http://ws-1:8000",
                "skills": [{"id": "s", "name": "S", "description": "d", "tags": ["t"], "examples": []}],
                "capabilities": {"streaming": true, "pushNotifications": true, "stateTransitionHistory": true},
                "protocolVersion": "0.3.0"
            }
        });
        let register: Register = serde_json::from_value(body).unwrap();
        assert_eq!(register.agent_card.skills[0].tags, ["t"]);
        assert!(register.agent_card.capabilities.push_notifications);
        let again: Register = serde_json::from_value(serde_json::to_value(&register).unwrap()).unwrap();
        assert_eq!(again, register);
    }

    #[test]
    fn a_register_without_a_url_names_the_field() {
        let error = serde_json::from_value::<Register>(json!({"id": "u-1"})).unwrap_err();
        assert!(error.to_string().contains("`url`"), "{error}");
    }

    #[test]
    fn a_null_card_is_an_empty_card() {
        let register: Register =
            serde_json::from_value(json!({"id": "u-1", "url": "http://a:8000", "agent_card": null})).unwrap();
        assert_eq!(register.agent_card, AgentCard::default());
    }

    #[test]
    fn replies_have_their_wire_form() {
        let registered = StatusReply { status: StatusWord::Registered };
        assert_eq!(serde_json::to_value(registered).unwrap(), json!({"status": "registered"}));
        assert_eq!(serde_json::to_value(ErrorReply::new("no")).unwrap(), json!({"error": "no"}));
        let offline = ErrorReply { status: Some(PeerStatus::Offline), ..ErrorReply::new("no") };
        assert_eq!(serde_json::to_value(offline).unwrap(), json!({"error": "no", "status": "offline"}));
    }
}
