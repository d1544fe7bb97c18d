//! How a Workspace stands in the eyes of its peers: one word, one url, one card.

use super::directory::attempt;
use crate::api::workspace::Agent;
use crate::api::{ConditionType, Reason, Workspace, condition, names};
use crate::backend::A2A_PORT;
use crate::liveness::{Standing, Voice};
use atelier_wire::{AgentCard, PeerStatus};
use kube::ResourceExt;

/// Whether it can be talked to: by what was heard, where this process hears agents, else by what is recorded.
pub fn status(workspace: &Workspace, voice: Option<&Voice>) -> PeerStatus {
    let conditions = workspace.status.as_ref().map(|s| s.conditions.as_slice()).unwrap_or_default();
    if workspace.spec.suspend || condition::is_true(conditions, ConditionType::Suspended) {
        return PeerStatus::Paused;
    }
    if workspace.metadata.deletion_timestamp.is_some() {
        return PeerStatus::Offline;
    }
    match voice.map(|voice| voice.standing) {
        Some(Standing::Well) => return PeerStatus::Online,
        Some(Standing::Wedged) => return PeerStatus::Degraded,
        Some(Standing::Lost) => return PeerStatus::Offline,
        None => {}
    }
    if condition::is_true(conditions, ConditionType::AgentConnected) {
        return PeerStatus::Online;
    }
    let said = condition::find(conditions, ConditionType::AgentConnected);
    match said.and_then(|said| Reason::parse(&said.reason)) {
        Some(Reason::AgentWedged) => PeerStatus::Degraded,
        Some(Reason::HeartbeatLost) => PeerStatus::Offline,
        _ if condition::is_true(conditions, ConditionType::Stalled) => PeerStatus::Failed,
        _ => PeerStatus::Provisioning,
    }
}

/// Whether messages can be sent to one of this status.
pub fn is_connected(status: PeerStatus) -> bool {
    matches!(status, PeerStatus::Online | PeerStatus::Degraded)
}

/// Where it listens, as it registered; for one that never did, where its box was planned to listen.
pub fn url(workspace: &Workspace, voice: Option<&Voice>) -> String {
    let heard = voice.and_then(|voice| voice.registration.as_ref()).map(|registration| &registration.url);
    let recorded = || agent(workspace).and_then(|agent| agent.url.as_ref());
    heard.or_else(recorded).cloned().unwrap_or_else(|| planned_url(workspace))
}

/// Where the box was planned to listen.
pub fn planned_url(workspace: &Workspace) -> String {
    format!("http://{}:{A2A_PORT}", names::host(&workspace.uid().unwrap_or_default()))
}

/// The card that it registered; for a connected one that never did, one made of its name and role: directors
/// leave peers without a card out of their prompt.
pub fn card(workspace: &Workspace, voice: Option<&Voice>, url: &str) -> Option<AgentCard> {
    if let Some(registration) = voice.and_then(|voice| voice.registration.as_ref()) {
        return Some(registration.card.clone());
    }
    is_connected(status(workspace, voice)).then(|| AgentCard {
        name: display_name(workspace),
        description: role(workspace),
        version: agent(workspace).and_then(|agent| agent.version.clone()).unwrap_or_default(),
        url: url.to_owned(),
        ..AgentCard::default()
    })
}

/// The name to show.
pub fn display_name(workspace: &Workspace) -> String {
    workspace.spec.display_name.clone().unwrap_or_else(|| workspace.name_any())
}

/// What it is there for.
pub fn role(workspace: &Workspace) -> String {
    workspace.spec.role.clone().unwrap_or_default()
}

/// The agent as it is recorded of the current attempt.
fn agent(workspace: &Workspace) -> Option<&Agent> {
    let agent = workspace.status.as_ref()?.agent.as_ref()?;
    Some(agent).filter(|agent| Some(agent.attempt) == attempt(workspace))
}
