//! The settings' periods and deadlines.

use crate::process::times;
use serde::{Deserialize, Deserializer};
use std::time::Duration;

/// Periods and deadlines, as `500ms`, `30s`, `5m` or `1h`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Periods {
    /// How long a new instance may be missing from what EC2 shows.
    #[serde(deserialize_with = "time")]
    pub visibility_window: Duration,
    /// The longest that a call may wait for AWS's rate limit.
    #[serde(deserialize_with = "time")]
    pub wait_max: Duration,
    /// How long a call of EC2 may take.
    #[serde(deserialize_with = "time")]
    pub call_deadline: Duration,
    /// How long a launch may take, from its turn to EC2's answer.
    #[serde(deserialize_with = "time")]
    pub launch_deadline: Duration,
    /// For how long calls for single instances are gathered into one.
    #[serde(deserialize_with = "time")]
    pub batch_window: Duration,
    /// How often the files of secrets and certificates are read again.
    #[serde(deserialize_with = "time")]
    pub reload: Duration,
    /// For how long a preflight that found nothing wrong is not made again.
    #[serde(deserialize_with = "time")]
    pub preflight_good_for: Duration,
    /// For how long a preflight that found something wrong is not made again.
    #[serde(deserialize_with = "time")]
    pub preflight_bad_for: Duration,
    /// For how long an answer about readiness is not asked for again.
    #[serde(deserialize_with = "time")]
    pub ready_for: Duration,
}

impl Default for Periods {
    fn default() -> Self {
        Self {
            visibility_window: Duration::from_secs(60),
            wait_max: Duration::from_secs(30),
            call_deadline: Duration::from_secs(15),
            launch_deadline: Duration::from_secs(30),
            batch_window: Duration::from_millis(20),
            reload: Duration::from_secs(10),
            preflight_good_for: Duration::from_secs(300),
            preflight_bad_for: Duration::from_secs(25),
            ready_for: Duration::from_secs(10),
        }
    }
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    times::duration(&text).map_err(serde::de::Error::custom)
}
