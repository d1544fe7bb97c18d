//! What the agent says of itself: its url, its card and its registration.

use atelier_wire::{AgentCapabilities, AgentCard, AgentSkill, Register};
use serde::Serialize;

use crate::settings::Settings;

/// The card as it is served: the shared part, and what A2A clients require besides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServedCard {
    #[serde(flatten)]
    card: AgentCard,
    protocol_version: &'static str,
    preferred_transport: &'static str,
    default_input_modes: [&'static str; 1],
    default_output_modes: [&'static str; 1],
}

impl From<AgentCard> for ServedCard {
    fn from(card: AgentCard) -> Self {
        Self {
            card,
            protocol_version: "0.3.0",
            preferred_transport: "JSONRPC",
            default_input_modes: ["text/plain"],
            default_output_modes: ["text/plain"],
        }
    }
}

/// The registration of an agent that listens on `port`.
pub(crate) fn registration(settings: &Settings, port: u16, skills: Vec<AgentSkill>) -> Register {
    let url = url(&settings.hostname, port);
    let config = &settings.config;
    Register {
        id: settings.workspace_id.clone(),
        agent_card: AgentCard {
            name: config.name.clone().unwrap_or_else(|| settings.hostname.clone()),
            description: config.description.clone().unwrap_or_default(),
            version: config.version.clone().unwrap_or_else(|| env!("CARGO_PKG_VERSION").to_owned()),
            url: url.clone(),
            skills,
            capabilities: AgentCapabilities::default(),
        },
        url,
    }
}

/// The one thing that the built-in endpoint can do.
pub(crate) fn echo_skill() -> AgentSkill {
    AgentSkill {
        id: "echo".to_owned(),
        name: "Echo".to_owned(),
        description: "Answers a message with its own text.".to_owned(),
        tags: vec!["echo".to_owned()],
    }
}

/// Where peers reach the agent. An IPv6 address stands in brackets.
fn url(host: &str, port: u16) -> String {
    if host.contains(':') { format!("http://[{host}]:{port}") } else { format!("http://{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use reqwest::header::HeaderValue;
    use serde_json::json;

    use super::*;
    use crate::settings::Config;

    fn settings(config: Config) -> Settings {
        Settings {
            workspace_id: "u-1".into(),
            platform_url: "http://registry".into(),
            hostname: "ws-1".into(),
            authorization: HeaderValue::from_static("Bearer t"),
            private_ca: None,
            heartbeat: Duration::from_secs(30),
            config,
        }
    }

    #[test]
    fn the_url_is_host_and_port() {
        assert_eq!(url("ws-1", 8000), "http://ws-1:8000");
        assert_eq!(url("10.0.0.7", 8000), "http://10.0.0.7:8000");
        assert_eq!(url("fd00::7", 8000), "http://[fd00::7]:8000");
    }

    #[test]
    fn the_served_card_is_a_whole_card() {
        let config = Config {
            name: Some("Researcher".into()),
            description: Some("Reads.".into()),
            version: Some("1.0.0".into()),
            ..Config::default()
        };
        let register = registration(&settings(config), 8000, vec![echo_skill()]);
        assert_eq!((register.id.as_str(), register.url.as_str()), ("u-1", "http://ws-1:8000"));
        let served = serde_json::to_value(ServedCard::from(register.agent_card)).unwrap();
        assert_eq!(
            served,
            json!({
                "name": "Researcher", "description": "Reads.", "version": "1.0.0",
                "url": "http://ws-1:8000",
                "skills": [{"id": "echo", "name": "Echo", "tags": ["echo"],
                            "description": "Answers a message with its own text."}],
                "capabilities": {"streaming": false, "pushNotifications": false},
                "protocolVersion": "0.3.0", "preferredTransport": "JSONRPC",
                "defaultInputModes": ["text/plain"], "defaultOutputModes": ["text/plain"],
            })
        );
    }

    #[test]
    fn a_box_without_a_config_goes_by_its_host_name() {
        let card = registration(&settings(Config::default()), 8000, Vec::new()).agent_card;
        assert_eq!((card.name.as_str(), card.version.as_str()), ("ws-1", env!("CARGO_PKG_VERSION")));
    }
}
