//! The little of A2A that Atelier itself reads: the agent card and the envelope of a request.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// What an agent says that it is. Everything may be missing: agents in use differ widely here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentCard {
    /// Name to show.
    #[serde(default, deserialize_with = "crate::null_as_default")]
    pub name: String,
    /// What it is for.
    #[serde(default, deserialize_with = "crate::null_as_default")]
    pub description: String,
    /// Version of the agent, in its own scheme.
    #[serde(default, deserialize_with = "crate::null_as_default")]
    pub version: String,
    /// Where it listens.
    #[serde(default, deserialize_with = "crate::null_as_default")]
    pub url: String,
    /// What it can do.
    #[serde(default, deserialize_with = "crate::null_as_default")]
    pub skills: Vec<AgentSkill>,
    /// Which parts of the protocol it speaks.
    #[serde(default, deserialize_with = "crate::null_as_default")]
    pub capabilities: AgentCapabilities,
}

/// One thing that an agent can do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentSkill {
    /// Key of the skill within its card.
    #[serde(default, deserialize_with = "crate::null_as_default")]
    pub id: String,
    /// Name to show.
    #[serde(default, deserialize_with = "crate::null_as_default")]
    pub name: String,
    /// What it does.
    #[serde(default, deserialize_with = "crate::null_as_default")]
    pub description: String,
    /// Words to find it by.
    #[serde(default, deserialize_with = "crate::null_as_default")]
    pub tags: Vec<String>,
}

/// Which optional parts of A2A an agent speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentCapabilities {
    /// It answers `message/stream`.
    #[serde(default, deserialize_with = "crate::null_as_default")]
    pub streaming: bool,
    /// It can call back when a task changes.
    #[serde(default, deserialize_with = "crate::null_as_default")]
    pub push_notifications: bool,
}

/// The method that sends a message and waits for its answer.
pub const MESSAGE_SEND: &str = "message/send";

/// Fills in what agents leave out of a JSON-RPC request to themselves: `jsonrpc` and `id`.
/// What is there, whatever it is, stays.
pub fn complete_request(request: &mut Map<String, Value>, id: &str) {
    fill(request, "jsonrpc", "2.0");
    fill(request, "id", id);
}

fn fill(request: &mut Map<String, Value>, field: &str, value: &str) {
    let slot = request.entry(field).or_insert(Value::Null);
    if slot.is_null() {
        *slot = json!(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_card_is_a_card() {
        let card: AgentCard = serde_json::from_value(json!({"skills": null, "capabilities": {}})).unwrap();
        assert_eq!(card, AgentCard::default());
    }

    #[test]
    fn capabilities_keep_their_wire_names() {
        let capabilities = AgentCapabilities { streaming: false, push_notifications: true };
        let body = json!({"streaming": false, "pushNotifications": true});
        assert_eq!(serde_json::to_value(capabilities).unwrap(), body);
    }

    #[test]
    fn only_what_is_missing_is_filled_in() {
        let mut request = json!({"method": MESSAGE_SEND, "id": null}).as_object().unwrap().clone();
        complete_request(&mut request, "r-1");
        assert_eq!(Value::Object(request), json!({"jsonrpc": "2.0", "id": "r-1", "method": "message/send"}));

        let mut request = json!({"jsonrpc": "2.0", "id": 7}).as_object().unwrap().clone();
        complete_request(&mut request, "r-1");
        assert_eq!(request["id"], json!(7));
    }
}
