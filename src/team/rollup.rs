//! Rollup: how each member does, the worst first.

use super::plan::Trouble;
use crate::api::condition::{ConditionType, Progress, find, is_true, truncate};
use crate::api::team::{MemberProblem, MemberRollup};
use crate::api::{Reason, Workspace, names};

/// So many members that are not ready stand in the status.
const LISTED: usize = 20;
/// So much of a member's message stands in the status, in bytes.
const MESSAGE_MAX_BYTES: usize = 256;

/// The members in numbers, and those that are not ready.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rollup {
    /// How many the spec names.
    pub total: usize,
    /// How many are ready.
    pub ready: usize,
    /// The names of those that are suspended, sorted.
    pub suspended: Vec<String>,
    /// Those that are not ready though they should be, the worst first.
    pub not_ready: Vec<Laggard>,
}

/// A member that is not ready.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Laggard {
    /// How bad it is.
    pub severity: Severity,
    /// What is said of it.
    pub name: String,
    /// The reason of its Ready condition.
    pub reason: String,
    /// The message of its Ready condition, shortened.
    pub message: String,
    /// The id of its box.
    pub instance_id: Option<String>,
}

/// How bad it is that a member is not ready; the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It cannot go on without a person.
    Stalled,
    /// Something went wrong, and the operator mends it.
    Troubled,
    /// It is on its way.
    OnTheWay,
}

enum Standing {
    Ready,
    Suspended,
    NotReady(Severity, String, String),
}

/// Sums up the members: each by its name, with its Workspace if there is one, and what kept it from being
/// applied if something did.
pub fn roll_up<'a>(
    members: impl Iterator<Item = (&'a str, Option<&'a Workspace>)>,
    troubles: &[Trouble],
) -> Rollup {
    let mut rollup = Rollup::default();
    for (name, workspace) in members {
        rollup.total += 1;
        let trouble = troubles.iter().find(|trouble| trouble.member == name);
        match standing(workspace, trouble) {
            Standing::Ready => rollup.ready += 1,
            Standing::Suspended => rollup.suspended.push(name.to_owned()),
            Standing::NotReady(severity, reason, message) => rollup.not_ready.push(Laggard {
                severity,
                name: name.to_owned(),
                reason,
                message: truncate(message, MESSAGE_MAX_BYTES),
                instance_id: workspace.and_then(|ws| ws.status.as_ref()?.instance_id.clone()),
            }),
        }
    }
    rollup.suspended.sort();
    rollup.not_ready.sort();
    rollup
}

fn standing(workspace: Option<&Workspace>, trouble: Option<&Trouble>) -> Standing {
    if let Some(trouble) = trouble {
        let severity = severity(trouble.reason);
        return Standing::NotReady(severity, trouble.reason.to_string(), trouble.message.clone());
    }
    let unseen = |words: &str| {
        Standing::NotReady(Severity::OnTheWay, Reason::NotYetSeen.to_string(), words.to_owned())
    };
    let Some(workspace) = workspace else { return unseen("its Workspace does not exist yet") };
    let status = workspace.status.clone().unwrap_or_default();
    let current = Some(status.observed_generation) >= workspace.metadata.generation;
    let conditions = &status.conditions;
    let Some(ready) = find(conditions, ConditionType::Ready) else {
        return unseen("the operator has not looked at its Workspace yet");
    };
    // What was wrong with an earlier generation may be what this one mends.
    if !current {
        return unseen("the operator has not looked at its change yet");
    }
    if is_true(conditions, ConditionType::Ready) {
        return Standing::Ready;
    }
    if is_true(conditions, ConditionType::Suspended) && workspace.spec.suspend {
        return Standing::Suspended;
    }
    let severity = if is_true(conditions, ConditionType::Stalled) {
        Severity::Stalled
    } else {
        Reason::parse(&ready.reason).map_or(Severity::Troubled, severity)
    };
    Standing::NotReady(severity, ready.reason.clone(), ready.message.clone())
}

/// How bad a reason is that no Stalled condition goes with. One that waits for another object counts as
/// trouble: only the Workspace itself knows when its time is up.
fn severity(reason: Reason) -> Severity {
    match reason {
        Reason::NotYetSeen
        | Reason::WaitingForSlot
        | Reason::PullingImage
        | Reason::Launching
        | Reason::Booting
        | Reason::Deleting
        | Reason::WaitingForTermination
        | Reason::Suspended => Severity::OnTheWay,
        _ if reason.progress() == Progress::Stalled => Severity::Stalled,
        _ => Severity::Troubled,
    }
}

impl Rollup {
    /// `6/7`.
    pub fn summary(&self) -> String {
        format!("{}/{}", self.ready, self.total)
    }

    /// Whether a member cannot go on without a person.
    pub fn stalled(&self) -> bool {
        self.not_ready.iter().any(|laggard| laggard.severity == Severity::Stalled)
    }

    /// The part of the status that lists them.
    pub fn to_status(&self) -> MemberRollup {
        let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
        let problem = |laggard: &Laggard| MemberProblem {
            name: laggard.name.clone(),
            reason: laggard.reason.clone(),
            message: laggard.message.clone(),
            instance_id: laggard.instance_id.clone(),
        };
        MemberRollup {
            total: number(self.total),
            ready: number(self.ready),
            suspended: number(self.suspended.len()),
            not_ready: self.not_ready.iter().take(LISTED).map(problem).collect(),
        }
    }
}

impl Laggard {
    /// `copywriter: ImageNotFound, box 0123456789ab: no such image`.
    pub fn sentence(&self) -> String {
        let instance = self.instance_id.as_deref().map(names::short_id).map(|id| format!(", box {id}"));
        format!("{}: {}{}: {}", self.name, self.reason, instance.unwrap_or_default(), self.message)
    }
}
