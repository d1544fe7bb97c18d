//! How far a running box has come: booting, heard, connected, or out of time. Pure.

use super::seen::Seen;
use crate::api::workspace::WorkspaceStatus;
use crate::api::{ConditionType, condition};
use crate::backend::BoxSeen;
use crate::liveness::Link;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// What a box says of its boot waits so long for its connection, and is then told on its own: nearly every boot
/// costs one write less for it.
const SLOW_BOOT: SignedDuration = SignedDuration::from_secs(60);

/// How far a running box has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Boot {
    /// It runs and has not called.
    Booting {
        /// How long it may still take.
        left: Duration,
    },
    /// It has called, but neither registered nor sent a heartbeat.
    Called {
        /// How long it may still take.
        left: Duration,
    },
    /// It registered or sent a heartbeat, at some time since its start.
    Connected,
    /// It has called, but its time to register is over.
    NeverRegistered,
    /// Its time is over without any call.
    TimedOut {
        /// Since when.
        since: Timestamp,
    },
}

/// How far a running box has come. What is recorded of this very start counts as heard.
pub fn boot(status: &WorkspaceStatus, seen: &Seen, mine: &BoxSeen, now: Timestamp) -> Boot {
    let recorded = is_same_start(status, mine);
    let was = |type_| recorded && condition::is_true(&status.conditions, type_);
    let ever_connected = recorded && status.agent.as_ref().is_some_and(|a| is_of_attempt(status, a.attempt));
    let connected =
        matches!(seen.agent.link, Link::Connected { .. } | Link::Wedged { .. } | Link::Lost { .. });
    if connected || ever_connected {
        return Boot::Connected;
    }
    let timeout = seen.desired.as_ref().map_or(600, |d| d.boot_timeout_seconds);
    let started = mine.started_at.unwrap_or(now);
    let deadline = started.saturating_add(SignedDuration::from_secs(timeout)).unwrap_or(Timestamp::MAX);
    let left = Duration::try_from(deadline.duration_since(now)).ok().filter(|d| !d.is_zero());
    let called = seen.agent.first_call.is_some() || was(ConditionType::Bootstrapped);
    match (called, left) {
        (false, Some(left)) => Boot::Booting { left },
        (true, Some(left)) => Boot::Called { left },
        (false, None) if seen.agent.link == Link::TooEarly => Boot::Booting { left: Duration::from_secs(1) },
        (false, None) => Boot::TimedOut { since: deadline },
        (true, None) if seen.agent.link == Link::TooEarly => Boot::Called { left: Duration::from_secs(1) },
        (true, None) => Boot::NeverRegistered,
    }
}

/// How long it is until the boot of a box is told on its own; `None` when it is time.
pub fn until_slow(mine: &BoxSeen, now: Timestamp) -> Option<Duration> {
    let slow_at = mine.started_at.unwrap_or(now).saturating_add(SLOW_BOOT).unwrap_or(Timestamp::MAX);
    Duration::try_from(slow_at.duration_since(now)).ok().filter(|left| !left.is_zero())
}

/// Whether the status speaks of this very start of this very box.
pub fn is_same_start(status: &WorkspaceStatus, mine: &BoxSeen) -> bool {
    status.instance_id.as_deref() == Some(mine.id.as_str())
        && status
            .instance
            .as_ref()
            .is_some_and(|known| known.started_at.as_ref().map(|t| t.0) == mine.started_at)
}

fn is_of_attempt(status: &WorkspaceStatus, attempt: i64) -> bool {
    status.launch.as_ref().is_some_and(|l| l.attempt == attempt)
}
