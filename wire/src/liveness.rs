//! What a box says of its own life: boot stages, heartbeats, the exit of its command.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// POST `/registry/heartbeat`: the agent is alive, and how it fares.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The caller's workspace uid.
    pub workspace_id: String,
    /// Share of recent calls that failed, 0 to 1.
    #[serde(default, deserialize_with = "crate::null_as_default")]
    pub error_rate: f64,
    /// One of the errors behind the rate; may be empty.
    #[serde(default, deserialize_with = "crate::null_as_default")]
    pub sample_error: String,
    /// Tasks under way.
    #[serde(default, deserialize_with = "crate::null_as_default")]
    pub active_tasks: u32,
    /// What the agent is doing, in its own words; may be empty.
    #[serde(default, deserialize_with = "crate::null_as_default")]
    pub current_task: String,
    /// Seconds since the agent started. 0, also by omission, marks a task note: see
    /// [`is_task_note`](Self::is_task_note).
    #[serde(default, deserialize_with = "whole_seconds")]
    pub uptime_seconds: u64,
    /// What the agent spent this month, in the unit of its runtime.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monthly_spend: Option<f64>,
    /// `wedged` when the runtime itself says that it cannot go on; absent or empty when it is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_state: Option<String>,
    /// What the runtime says of itself, such as `{"capabilities": {"status_mgmt": true}}`.
    #[serde(default, deserialize_with = "crate::null_as_default", skip_serializing_if = "Map::is_empty")]
    pub runtime_metadata: Map<String, Value>,
}

impl Heartbeat {
    /// The `runtime_state` of an agent that cannot go on.
    pub const WEDGED: &str = "wedged";

    /// A healthy, idle heartbeat of this workspace.
    pub fn healthy(workspace_id: impl Into<String>, uptime_seconds: u64) -> Self {
        Self {
            workspace_id: workspace_id.into(),
            error_rate: 0.0,
            sample_error: String::new(),
            active_tasks: 0,
            current_task: String::new(),
            uptime_seconds,
            monthly_spend: None,
            runtime_state: None,
            runtime_metadata: Map::new(),
        }
    }

    /// Whether this is the note that agents send at the start and end of a task, always with
    /// `error_rate` 0: it refreshes liveness and says nothing of health.
    pub fn is_task_note(&self) -> bool {
        self.uptime_seconds == 0
    }

    /// Whether the runtime itself says that it cannot go on.
    pub fn is_wedged(&self) -> bool {
        self.runtime_state.as_deref() == Some(Self::WEDGED)
    }

    /// Whether the runtime manages its own status, so that its error rate is not to be judged.
    pub fn manages_own_status(&self) -> bool {
        self.runtime_metadata
            .get("capabilities")
            .and_then(|capabilities| capabilities.get("status_mgmt"))
            .and_then(Value::as_bool)
            .unwrap_or(false)
    }
}

/// Reads an integer, a fraction (cut off) or `null` as whole seconds.
fn whole_seconds<'de, D>(deserializer: D) -> Result<u64, D::Error>
where
    D: serde::Deserializer<'de>,
{
    let seconds = Option::<f64>::deserialize(deserializer)?.unwrap_or_default();
    // `as` saturates: a negative or absurd uptime becomes the nearest bound, never an error.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturation is wanted")]
    Ok(seconds as u64)
}

/// POST `/registry/boot`: a step of the boot was reached, or failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// Which step.
    pub stage: BootStage,
    /// Whether it succeeded.
    pub ok: bool,
    /// The last lines of the step's output, where it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Tells one boot of a machine from the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<String>,
}

/// The steps of a boot, in their order. After the last, the agent registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BootStage {
    /// The box runs its first instruction.
    Started,
    /// A container engine answers inside the box (EC2).
    EngineReady,
    /// The runtime's image is there (EC2).
    ImagePulled,
    /// The box has its files and environment (EC2).
    BundleFetched,
    /// The agent's process runs.
    AgentStarted,
}

impl BootStage {
    /// Every stage, in order.
    pub const ALL: [Self; 5] =
        [Self::Started, Self::EngineReady, Self::ImagePulled, Self::BundleFetched, Self::AgentStarted];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::EngineReady => "engine-ready",
            Self::ImagePulled => "image-pulled",
            Self::BundleFetched => "bundle-fetched",
            Self::AgentStarted => "agent-started",
        }
    }
}

impl fmt::Display for BootStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is the wire name of no [`BootStage`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownBootStage(String);

impl fmt::Display for UnknownBootStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = BootStage::ALL.map(BootStage::as_str).join(", ");
        write!(f, "unknown boot stage `{}`; use one of {known}", self.0)
    }
}

impl std::error::Error for UnknownBootStage {}

impl FromStr for BootStage {
    type Err = UnknownBootStage;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|stage| stage.as_str() == text)
            .ok_or_else(|| UnknownBootStage(text.to_owned()))
    }
}

/// POST `/registry/exit`: the supervised command ended, before or after it registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// The command's exit code; 128 plus the signal's number where a signal ended it.
    pub exit_code: i32,
    /// Number of the signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// The end of its output, at most [`LOG_TAIL_MAX_BYTES`](crate::LOG_TAIL_MAX_BYTES).
    #[serde(default, deserialize_with = "crate::null_as_default")]
    pub log_tail: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json, to_value};

    #[test]
    fn a_heartbeat_needs_only_its_workspace() {
        let beat: Heartbeat = from_value(json!({"workspace_id": "u-1"})).unwrap();
        assert_eq!(beat, Heartbeat::healthy("u-1", 0));
        assert!(beat.is_task_note());
        let error = from_value::<Heartbeat>(json!({"error_rate": 0})).unwrap_err();
        assert!(error.to_string().contains("`workspace_id`"), "{error}");
    }

    #[test]
    fn nulls_and_fractions_of_current_agents_are_read() {
        let beat: Heartbeat = from_value(json!({
            "workspace_id": "u-1", "error_rate": 1, "sample_error": null, "active_tasks": null,
            "current_task": null, "uptime_seconds": 12.9, "monthly_spend": 3, "runtime_state": null,
            "runtime_metadata": null, "delegations": []
        }))
        .unwrap();
        assert_eq!(beat.uptime_seconds, 12);
        assert_eq!(beat.monthly_spend, Some(3.0));
        assert!(!beat.is_wedged() && !beat.is_task_note());
    }

    #[test]
    fn wedged_and_own_status_are_seen() {
        let mut beat: Heartbeat = from_value(json!({
            "workspace_id": "u-1", "uptime_seconds": 5, "runtime_state": "wedged",
            "runtime_metadata": {"capabilities": {"status_mgmt": true}}
        }))
        .unwrap();
        assert!(beat.is_wedged() && beat.manages_own_status());
        assert_eq!(from_value::<Heartbeat>(to_value(&beat).unwrap()).unwrap(), beat);
        beat.runtime_state = Some(String::new());
        beat.runtime_metadata = Map::new();
        assert!(!beat.is_wedged() && !beat.manages_own_status());
    }

    #[test]
    fn stages_have_one_name_everywhere_and_are_ordered() {
        for stage in BootStage::ALL {
            assert_eq!(to_value(stage).unwrap(), json!(stage.as_str()));
            assert_eq!(stage.as_str().parse(), Ok(stage));
        }
        assert!(BootStage::ALL.is_sorted());
        let error = "agent-ready".parse::<BootStage>().unwrap_err().to_string();
        assert!(error.contains("`agent-ready`") && error.contains("agent-started"), "{error}");
    }

    #[test]
    fn boot_and_exit_leave_out_what_is_not_known() {
        let boot = Boot { stage: BootStage::AgentStarted, ok: true, detail: None, boot_id: None };
        assert_eq!(to_value(&boot).unwrap(), json!({"stage": "agent-started", "ok": true}));
        let exit: Exit = from_value(json!({"exit_code": 3})).unwrap();
        assert_eq!(exit, Exit { exit_code: 3, signal: None, log_tail: String::new() });
        assert!(from_value::<Boot>(json!({"stage": "elsewhere", "ok": true})).is_err());
    }
}
