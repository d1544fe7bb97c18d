//! Report: what is known of an object's health, as machines and people get it.

use crate::api::names;
use crate::api::workspace::{Attempt, DiagnosisStep};
use crate::plugin::standing::State;
use crate::plugin::target::Kind;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::Serialize;

/// Whether all is well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Verdict {
    /// It is.
    Healthy,
    /// It is not.
    NotHealthy,
    /// It could not be told.
    Unknown,
}

/// What is known of an object's health.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Whether all is well.
    pub verdict: Verdict,
    /// How it does, in one word.
    pub state: State,
    /// The verdict in a sentence.
    pub summary: String,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// The conditions on the way to Ready that hold.
    pub works: Vec<Word>,
    /// The first that does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fails: Option<Failure>,
    /// Those after it that do not hold or are not known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub beyond: Vec<Word>,
    /// What was seen.
    pub evidence: Evidence,
    /// What else bears on it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What to do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub todo: Vec<String>,
    /// Of a Team, the members that are not ready, the worst first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Report>,
}

impl Report {
    /// Whether there is nothing wrong but that it takes its time.
    pub fn is_on_its_way(&self) -> bool {
        matches!(self.state, State::Starting | State::NotSeen | State::Deleting)
    }
}

/// A condition and what it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Word {
    /// The condition.
    pub condition: String,
    /// Its status.
    pub status: String,
    /// What it says.
    pub message: String,
}

/// The first condition that does not hold.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// The condition.
    pub condition: String,
    /// Its status: False or Unknown.
    pub status: String,
    /// Its reason.
    pub reason: String,
    /// What the reason means.
    pub means: String,
    /// What was said with it.
    pub message: String,
    /// Since when its status is what it is.
    pub since: Time,
}

/// What was seen.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// The backend that has the box.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
    /// The id of the box.
    #[serde(rename = "instanceID", skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
    /// The box's state when it was last seen, with why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The image that it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The launch attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<i64>,
    /// How often in a row its boxes failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failures: Option<i32>,
    /// No box is started before this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Time>,
    /// The attempts that ended.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Attempt>,
    /// The steps on the way to Ready as the operator found them, with the stages of the boot.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<DiagnosisStep>,
    /// When the operator found that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_at: Option<Time>,
    /// The last events.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Told>,
    /// The last output of the box: what the box says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_tail: Option<String>,
}

impl Evidence {
    /// The id of the box as it is shown.
    pub fn shown_id(&self) -> Option<&str> {
        self.instance_id.as_deref().map(names::short_id)
    }
}

/// An event.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Told {
    /// When it was told last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// Its reason.
    pub reason: String,
    /// What it says.
    pub note: String,
}
