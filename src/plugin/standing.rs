//! Standing: how an object does, in one word, by its own conditions. Pure.

use crate::api::condition::{self, ConditionType, Reason};
use crate::api::{BackendConfig, Team, Workspace, names};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ManagedFieldsEntry};
use k8s_openapi::jiff::Timestamp;
use kube::api::ObjectMeta;
use serde::Serialize;

/// How an object does; the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum State {
    /// It cannot go on without a person.
    Stalled,
    /// No controller has looked at it as it is now.
    NotSeen,
    /// Something went wrong, and the operator is at work on it.
    Repairing,
    /// It is on its way.
    Starting,
    /// It is being deleted.
    Deleting,
    /// It was stopped on request.
    Suspended,
    /// All is well.
    Ready,
}

impl State {
    /// The word that is shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stalled => "Stalled",
            Self::NotSeen => "NotSeen",
            Self::Repairing => "Repairing",
            Self::Starting => "Starting",
            Self::Deleting => "Deleting",
            Self::Suspended => "Suspended",
            Self::Ready => "Ready",
        }
    }
}

/// How an object does, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// In one word.
    pub state: State,
    /// The reason of its Ready condition; empty where nobody said one.
    pub reason: String,
    /// What was said with it.
    pub message: String,
    /// Since when.
    pub since: Option<Timestamp>,
}

impl Standing {
    /// The reason and the message, in one line; nothing where all is well.
    pub fn why(&self) -> String {
        match (self.state, self.shown_reason()) {
            (State::Ready, _) => String::new(),
            (_, "") => one_line(&self.message),
            (_, reason) => format!("{reason}: {}", one_line(&self.message)),
        }
    }

    /// The reason, where it says more than the state.
    pub fn shown_reason(&self) -> &str {
        match self.state {
            State::Ready | State::NotSeen => "",
            state if self.reason == state.as_str() => "",
            _ => &self.reason,
        }
    }

    /// How a Team does whose members do so: what went wrong with one of them is not just on its way.
    #[must_use]
    pub fn with_members(mut self, members: impl IntoIterator<Item = State>) -> Self {
        let is_wrong = |state| matches!(state, State::Stalled | State::Repairing);
        if self.state == State::Starting && members.into_iter().any(is_wrong) {
            self.state = State::Repairing;
        }
        self
    }
}

/// What of an object says how it does.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a> {
    /// Its metadata.
    pub metadata: &'a ObjectMeta,
    /// Its conditions.
    pub conditions: &'a [Condition],
    observed_generation: i64,
    suspend: bool,
    /// What the spec asks for and the status does not tell of yet.
    asked: Option<&'static str>,
}

impl<'a> From<&'a Workspace> for Said<'a> {
    fn from(ws: &'a Workspace) -> Self {
        let status = ws.status.as_ref();
        Self {
            metadata: &ws.metadata,
            conditions: status.map_or(&[], |status| &status.conditions),
            observed_generation: status.map_or(-1, |status| status.observed_generation),
            suspend: ws.spec.suspend,
            asked: match &ws.spec.restarted_at {
                _ if ws.spec.suspend => Some("spec.suspend"),
                Some(at) if status.and_then(|status| status.restarted_at.as_ref()) != Some(at) => {
                    Some("the restart that spec.restartedAt asks for")
                }
                _ => None,
            },
        }
    }
}

impl<'a> From<&'a Team> for Said<'a> {
    fn from(team: &'a Team) -> Self {
        let status = team.status.as_ref();
        Self {
            metadata: &team.metadata,
            conditions: status.map_or(&[], |status| &status.conditions),
            observed_generation: status.map_or(-1, |status| status.observed_generation),
            // Its members may be, one by one.
            suspend: true,
            asked: None,
        }
    }
}

impl<'a> From<&'a BackendConfig> for Said<'a> {
    fn from(config: &'a BackendConfig) -> Self {
        let status = config.status.as_ref();
        Self {
            metadata: &config.metadata,
            conditions: status.map_or(&[], |status| &status.conditions),
            observed_generation: status.map_or(-1, |status| status.observed_generation),
            suspend: false,
            asked: None,
        }
    }
}

/// How an object does.
pub fn standing<'a>(object: impl Into<Said<'a>>) -> Standing {
    let said: Said<'a> = object.into();
    let ready = condition::find(said.conditions, ConditionType::Ready);
    if let Some(deleted) = &said.metadata.deletion_timestamp {
        let (reason, message) = ready.filter(|c| c.status != "True").map_or_else(
            || (Reason::Deleting.to_string(), "it is being deleted".to_owned()),
            |c| (c.reason.clone(), c.message.clone()),
        );
        return Standing { state: State::Deleting, reason, message, since: Some(deleted.0) };
    }
    let not_seen = |message: &str, since| Standing {
        state: State::NotSeen,
        reason: Reason::NotYetSeen.to_string(),
        message: message.to_owned(),
        since,
    };
    let created = said.metadata.creation_timestamp.as_ref().map(|at| at.0);
    let Some(ready) = ready else {
        return not_seen("no controller has looked at it since it was made", created);
    };
    if said.metadata.generation.is_some_and(|generation| said.observed_generation < generation) {
        return not_seen("no controller has looked at its last change", changed(said.metadata).or(created));
    }
    let is_true = |type_| condition::is_true(said.conditions, type_);
    if ready.status == "True"
        && let Some(asked) = said.asked
    {
        let message = format!("{asked} is not carried out yet");
        return Standing { state: State::Starting, reason: String::new(), message, since: None };
    }
    let state = if ready.status == "True" {
        State::Ready
    } else if said.suspend && is_true(ConditionType::Suspended) {
        State::Suspended
    } else if is_true(ConditionType::Stalled) {
        State::Stalled
    } else if Reason::parse(&ready.reason).is_some_and(is_on_the_way) {
        State::Starting
    } else {
        State::Repairing
    };
    Standing {
        state,
        reason: ready.reason.clone(),
        message: ready.message.clone(),
        since: Some(ready.last_transition_time.0),
    }
}

/// Whether a reason is just the way things go.
fn is_on_the_way(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::NotYetSeen
            | Reason::WaitingForSlot
            | Reason::PullingImage
            | Reason::Launching
            | Reason::Booting
            | Reason::MembersNotReady
            | Reason::WaitingForTermination
    )
}

/// When something other than the status was last written.
fn changed(metadata: &ObjectMeta) -> Option<Timestamp> {
    let of_spec = |entry: &&ManagedFieldsEntry| entry.subresource.as_deref().unwrap_or_default().is_empty();
    let entries = metadata.managed_fields.iter().flatten().filter(of_spec);
    entries.filter_map(|entry| entry.time.as_ref()).map(|time| time.0).max()
}

/// A text for a line: without line breaks, without what a terminal would obey, and with ids of containers as short
/// as the engine's own tools show them.
pub fn one_line(text: &str) -> String {
    clean(text).split_whitespace().map(with_short_ids).collect::<Vec<_>>().join(" ")
}

/// A word with the ids of containers in it shortened. What follows a colon is a digest, which is of use only whole.
fn with_short_ids(word: &str) -> String {
    let mut text = String::new();
    for part in word.split_inclusive(|c: char| !c.is_ascii_hexdigit()) {
        let end = part.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(part.len());
        let (id, rest) = part.split_at(end);
        text.push_str(if text.ends_with(':') { id } else { names::short_id(id) });
        text.push_str(rest);
    }
    text
}

/// A text without what a terminal would obey: what comes from a box is not to be trusted.
pub fn clean(text: &str) -> String {
    let keep = |c: &char| !c.is_control() || matches!(c, '\n' | '\t');
    text.chars().filter(keep).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::fixtures::{at, condition, workspace};

    #[test]
    fn the_word_is_that_of_the_conditions() {
        let of = |conditions: &[&str]| {
            let mut ws = workspace("w");
            ws.status.as_mut().unwrap().conditions = conditions.iter().map(|c| condition(c)).collect();
            standing(&ws)
        };
        assert_eq!(of(&["Ready=True/Ready"]).state, State::Ready);
        assert_eq!(of(&["Ready=False/ImageNotFound", "Stalled=True/ImageNotFound"]).state, State::Stalled);
        assert_eq!(of(&["Ready=False/Booting", "Reconciling=True/Booting"]).state, State::Starting);
        assert_eq!(of(&["Ready=False/CrashLoop", "Reconciling=True/CrashLoop"]).state, State::Repairing);
        assert_eq!(of(&[]).state, State::NotSeen);
        assert_eq!(of(&[]).since, Some(at(0)), "since it was made");
        assert_eq!(of(&["Ready=False/Suspended", "Suspended=True/Suspended"]).state, State::Repairing);
    }

    #[test]
    fn a_state_is_not_said_twice() {
        let said = |state, reason: &str| Standing {
            state,
            reason: reason.into(),
            message: "why".into(),
            since: None,
        };
        assert_eq!(said(State::Suspended, "Suspended").why(), "why");
        assert_eq!(said(State::NotSeen, "NotYetSeen").why(), "why");
        assert_eq!(said(State::Deleting, "WaitingForTermination").why(), "WaitingForTermination: why");
    }

    #[test]
    fn a_team_is_not_just_on_its_way_where_a_member_fails() {
        let starting = Standing {
            state: State::Starting,
            reason: "MembersNotReady".into(),
            message: String::new(),
            since: None,
        };
        let of = |state| starting.clone().with_members([State::Ready, state]).state;
        assert_eq!(of(State::Starting), State::Starting);
        assert_eq!(of(State::Repairing), State::Repairing);
    }

    #[test]
    fn who_waits_for_a_restart_or_a_stop_is_not_ready() {
        let mut ws = workspace("w");
        ws.spec.restarted_at = Some("now".into());
        assert_eq!(standing(&ws).state, State::Starting);
        ws.status.as_mut().unwrap().restarted_at = Some("now".into());
        assert_eq!(standing(&ws).state, State::Ready);
        ws.spec.suspend = true;
        assert_eq!(standing(&ws).why(), "spec.suspend is not carried out yet");
    }

    #[test]
    fn a_status_of_an_earlier_spec_says_nothing_of_this_one() {
        let mut ws = workspace("w");
        ws.metadata.generation = Some(2);
        assert_eq!(standing(&ws).state, State::NotSeen);
        ws.status = None;
        assert_eq!(standing(&ws).state, State::NotSeen);
        ws.metadata.deletion_timestamp = ws.metadata.creation_timestamp.clone();
        assert_eq!(standing(&ws).state, State::Deleting);
    }

    #[test]
    fn what_a_terminal_would_obey_is_left_out() {
        assert_eq!(clean("a\u{1b}[31mb\r\nc\u{9b}"), "a[31mb\nc");
        assert_eq!(one_line(" a\n\tb "), "a b");
        let id = "0123456789abcdef".repeat(4);
        assert_eq!(one_line(&format!("{id} runs, {id}: yes")), "0123456789ab runs, 0123456789ab: yes");
        assert_eq!(one_line(&format!("attempt 1 ({id}) ended")), "attempt 1 (0123456789ab) ended");
        let image = format!("x@sha256:{id}");
        assert_eq!(one_line(&image), image, "a digest is of use only whole");
    }
}
