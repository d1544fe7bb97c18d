//! Report: a Team's status from what was found. No client.

use super::plan::{Plan, Trouble};
use super::rollup::{Rollup, Severity};
use super::validate::Invalid;
use crate::api::condition::{ConditionType, Conditions, Progress, Reason, Status};
use crate::api::team::{Team, TeamStatus};
use k8s_openapi::jiff::Timestamp;

/// So many of the worst are named in a message.
const NAMED: usize = 3;

/// What one pass found of a Team.
#[derive(Debug)]
pub struct Findings<'a> {
    /// Whether the spec can be carried out.
    pub accepted: &'a Result<(), Invalid>,
    /// What is left to do because a person said hands off; none when nobody did.
    pub held_back: Option<&'a Plan>,
    /// Children that are not as the Team wants them.
    pub troubles: &'a [Trouble],
    /// Workspaces of removed members that are on their way out.
    pub leaving: &'a [String],
    /// How the members do.
    pub members: &'a Rollup,
}

/// A condition to be: status, reason, message.
type Word = (Status, Reason, String);

/// The status of a Team that is not being deleted.
pub fn status(team: &Team, found: &Findings<'_>, now: Timestamp) -> TeamStatus {
    let words = [
        (ConditionType::Accepted, accepted(found)),
        (ConditionType::Expanded, expanded(found)),
        (ConditionType::MembersReady, members_ready(found.members)),
    ];
    let mut conditions = conditions(team, now);
    for (type_, (status, reason, message)) in &words {
        conditions.set(*type_, *status, *reason, message);
    }
    let of = |wanted: Status| words.iter().map(|(_, word)| word).find(move |word| word.0 == wanted);
    let cause = of(Status::False).or_else(|| of(Status::Unknown));
    match cause {
        None => {
            let message = format!("all of {} members are ready", found.members.total);
            conditions.set(ConditionType::Ready, Status::True, Reason::Ready, message);
        }
        Some((_, reason, message)) => {
            conditions.set(ConditionType::Ready, Status::False, *reason, message);
            let stalled = words.iter().map(|(_, word)| word).find(|(status, reason, _)| {
                *status == Status::False && reason.progress() == Progress::Stalled
            });
            if *reason == Reason::Suspended {
                conditions.set(ConditionType::Suspended, Status::True, *reason, message);
            } else if let Some((_, reason, message)) = stalled {
                conditions.set(ConditionType::Stalled, Status::True, *reason, message);
            } else {
                conditions.set(ConditionType::Reconciling, Status::True, *reason, message);
            }
        }
    }
    TeamStatus {
        observed_generation: generation(team),
        ready_summary: Some(found.members.summary()),
        members: Some(found.members.to_status()),
        conditions: conditions.finish(),
    }
}

/// The status of a Team that waits for its Workspaces to go.
pub fn deleting(team: &Team, now: Timestamp) -> TeamStatus {
    let message = "the Team is being deleted; its Workspaces go first";
    let mut conditions = conditions(team, now);
    conditions.set(ConditionType::Ready, Status::False, Reason::Deleting, message);
    for type_ in [ConditionType::Deleting, ConditionType::Reconciling] {
        conditions.set(type_, Status::True, Reason::Deleting, message);
    }
    TeamStatus {
        observed_generation: generation(team),
        ready_summary: None,
        members: None,
        conditions: conditions.finish(),
    }
}

fn generation(team: &Team) -> i64 {
    team.metadata.generation.unwrap_or_default()
}

fn conditions(team: &Team, now: Timestamp) -> Conditions<'_> {
    let previous = team.status.as_ref().map_or(&[][..], |status| &status.conditions);
    Conditions::new(previous, generation(team), now)
}

fn accepted(found: &Findings<'_>) -> Word {
    match found.accepted {
        Ok(()) => (Status::True, Reason::Accepted, "the spec can be carried out".into()),
        Err(invalid) => (Status::False, invalid.reason, invalid.message.clone()),
    }
}

fn expanded(found: &Findings<'_>) -> Word {
    if let Err(invalid) = found.accepted {
        let message = "nothing is made or removed until the spec is accepted";
        return (Status::Unknown, invalid.reason, message.into());
    }
    if let Some(plan) = found.held_back {
        let applies: usize = plan.applies.iter().map(Vec::len).sum();
        let message = format!(
            "the annotation atelier.dev/paused is \"true\": {applies} Workspaces to apply and {} to delete wait until it is removed",
            plan.prunes.len()
        );
        return (Status::False, Reason::Paused, message);
    }
    // Of several, the one that only a person can mend.
    let stalls = |trouble: &&Trouble| trouble.reason.progress() == Progress::Stalled;
    let worst = found.troubles.iter().find(stalls).or(found.troubles.first());
    if let Some(worst) = worst {
        let first = found.troubles.iter().filter(stalls);
        let rest = found.troubles.iter().filter(|trouble| !stalls(trouble));
        let messages: Vec<&str> = first.chain(rest).map(|trouble| trouble.message.as_str()).collect();
        return (Status::False, worst.reason, some_of(&messages));
    }
    let mut message = format!("{} Workspaces match the spec", found.members.total);
    if !found.leaving.is_empty() {
        let leaving: Vec<&str> = found.leaving.iter().map(String::as_str).collect();
        message = format!("{message}; of removed members, still on the way out: {}", some_of(&leaving));
    }
    (Status::True, Reason::Expanded, message)
}

fn members_ready(members: &Rollup) -> Word {
    let counts = format!("{} of {} members are ready", members.ready, members.total);
    let suspended = match members.suspended.as_slice() {
        [] => String::new(),
        all if all.len() == members.total => "; all are suspended".into(),
        some => format!("; suspended: {}", some_of(&some.iter().map(String::as_str).collect::<Vec<_>>())),
    };
    if let Some(worst) = members.not_ready.first() {
        let reason = match worst.severity {
            Severity::Stalled => Reason::MembersStalled,
            Severity::Troubled | Severity::OnTheWay => Reason::MembersNotReady,
        };
        let sentences: Vec<String> = members.not_ready.iter().map(super::rollup::Laggard::sentence).collect();
        let sentences: Vec<&str> = sentences.iter().map(String::as_str).collect();
        let hint = hint(members);
        return (Status::False, reason, format!("{counts}{suspended}. {}{hint}", some_of(&sentences)));
    }
    if !members.suspended.is_empty() {
        return (Status::False, Reason::Suspended, format!("{counts}{suspended}"));
    }
    (Status::True, Reason::AllReady, counts)
}

/// What a person can do about the members that are named; each thing is said once.
fn hint(members: &Rollup) -> String {
    let mut fixes: Vec<&str> = Vec::new();
    for laggard in members.not_ready.iter().take(NAMED).filter(|l| l.severity != Severity::OnTheWay) {
        let fix = Reason::parse(&laggard.reason).and_then(|reason| reason.fix_beyond(&laggard.message));
        fixes.extend(fix.filter(|fix| !fixes.contains(fix)));
    }
    if fixes.is_empty() { String::new() } else { format!(". Hint: {}", fixes.join(" ")) }
}

/// The first three, and how many more there are.
fn some_of(texts: &[&str]) -> String {
    let named = texts.iter().take(NAMED).copied().collect::<Vec<_>>().join("; ");
    match texts.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named}; and {more} more"),
    }
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
