//! What this process heard from agents, in memory: written by the registry, read by the Workspace reconcile.

use atelier_wire::BootStage;
use k8s_openapi::jiff::Timestamp;

/// What is known of one agent, of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentView {
    /// The first authenticated call of this attempt that this process heard.
    pub first_call: Option<Timestamp>,
    /// The boot stages that it posted, in order.
    pub stages: Vec<StageSeen>,
    /// The exit of its child that it reported last.
    pub exit: Option<ExitSeen>,
    /// Why its last registration was refused, if it was.
    pub rejected: Option<String>,
    /// Its connection.
    pub link: Link,
}

/// A boot stage that an agent posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageSeen {
    /// Which.
    pub stage: BootStage,
    /// Whether it succeeded, as the box says.
    pub ok: bool,
    /// The box's words, cleaned and capped.
    pub detail: Option<String>,
    /// When it was heard.
    pub at: Timestamp,
}

/// The exit of an agent's child, as the agent says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExitSeen {
    /// The exit code.
    pub exit_code: i64,
    /// The signal, if one ended it.
    pub signal: Option<i64>,
    /// The last lines of its output, cleaned and capped.
    pub log_tail: String,
    /// When it was heard.
    pub at: Timestamp,
}

/// The connection of one agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// Not heard, and this process has not led and served for a whole TTL yet: what is recorded stands.
    TooEarly,
    /// Neither a registration nor a heartbeat was heard, for at least a whole TTL of listening.
    Silent,
    /// Registered, or its heartbeat was accepted, and fresh.
    Connected {
        /// Since when.
        since: Timestamp,
        /// What it registered; absent when it only sent heartbeats.
        card: Option<CardSeen>,
    },
    /// Fresh, and it says that it is wedged, or that its calls fail.
    Wedged {
        /// Since when.
        since: Timestamp,
        /// What it registered; absent when it only sent heartbeats.
        card: Option<CardSeen>,
        /// What it said, cleaned and capped.
        why: String,
    },
    /// It was connected and has been silent for longer than the TTL.
    Lost {
        /// When it was heard last.
        last_heard: Timestamp,
    },
}

/// What an agent registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardSeen {
    /// The url that it advertises.
    pub url: String,
    /// The name on its card.
    pub name: String,
    /// The version on its card.
    pub version: Option<String>,
}

/// What this process heard. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Liveness {}

impl Liveness {
    /// What is known of one agent, of one attempt.
    pub fn view(&self, uid: &str, attempt: i64, now: Timestamp) -> AgentView {
        todo!()
    }
    /// Forgets a Workspace that is gone.
    pub fn forget(&self, uid: &str) {
        todo!()
    }
}
