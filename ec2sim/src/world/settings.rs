//! Delays, lag and limits, which can be changed while the simulator runs.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How slow and how strict the simulated EC2 is. Times are in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Settings {
    /// How long nobody but the launch itself sees a new resource.
    pub lag_ms: u64,
    /// From pending to running.
    pub pending_ms: u64,
    /// From stopping to stopped.
    pub stopping_ms: u64,
    /// From shutting-down to terminated.
    pub shutting_down_ms: u64,
    /// From creating to available, attaching to attached, detaching to detached, deleting to gone.
    pub volume_ms: u64,
    /// How long a terminated instance stays visible.
    pub terminated_visible_ms: u64,
    /// How late console output is posted, for those who do not ask for the latest.
    pub console_delay_ms: u64,
    /// Whether the rate limits hold.
    pub limits: bool,
    /// What burst and refill of the rate limits are multiplied with.
    pub limits_scale: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lag_ms: 0,
            pending_ms: 500,
            stopping_ms: 500,
            shutting_down_ms: 500,
            volume_ms: 200,
            terminated_visible_ms: 3_600_000,
            console_delay_ms: 0,
            limits: true,
            limits_scale: 1.0,
        }
    }
}

/// The time so many milliseconds later.
pub fn later(at: Timestamp, ms: u64) -> Timestamp {
    let span = SignedDuration::from_millis(i64::try_from(ms).unwrap_or(i64::MAX));
    at.checked_add(span).unwrap_or(Timestamp::MAX)
}
