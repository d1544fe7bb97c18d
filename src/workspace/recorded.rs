//! What the record and the object's own words say: which box is the recorded one, and what a person asked for.

use super::seen::Seen;
use crate::api::names;
use crate::api::workspace::{Attempt, Outcome, Workspace, WorkspaceStatus};
use crate::backend::{BoxSeen, BoxState};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

/// How many ended attempts the status remembers.
const ATTEMPTS_KEPT: usize = 5;

/// The boxes of a Workspace, told apart by the record.
pub struct Boxes<'a> {
    /// The box of the recorded attempt and id.
    pub mine: Option<&'a BoxSeen>,
    /// That box, where it has ended for good.
    pub ended: Option<&'a BoxSeen>,
    /// Every other one that may live: to be removed before anything is made.
    pub others: Vec<&'a BoxSeen>,
}

/// Tells the recorded box from all others.
pub fn sort<'a>(status: &WorkspaceStatus, boxes: &'a [BoxSeen]) -> Boxes<'a> {
    let attempt = status.launch.as_ref().map(|l| l.attempt);
    let recorded = status.instance_id.as_deref();
    let is_mine =
        |b: &&BoxSeen| attempt.is_some() && b.attempt == attempt && recorded.is_none_or(|id| id == b.id);
    let has_ended = |b: &&BoxSeen| matches!(b.state, BoxState::Terminated { .. });
    let mine = boxes.iter().filter(|b| !has_ended(b)).find(is_mine);
    let ended = boxes.iter().filter(has_ended).find(is_mine);
    let others = boxes.iter().filter(|b| !has_ended(b) && mine.is_none_or(|m| m.id != b.id)).collect();
    Boxes { mine, ended, others }
}

/// The boxes that the backend must account for before anything is made in their place, with their attempts.
pub fn expected(status: &WorkspaceStatus) -> Vec<(String, i64)> {
    let Some(launch) = &status.launch else { return Vec::new() };
    let recorded = status.instance_id.iter().map(|id| (id.clone(), launch.attempt));
    let before = status.attempts.last().filter(|_| launch.outcome == Outcome::Pending);
    let before = before.and_then(|ended| Some((ended.instance_id.clone()?, ended.attempt)));
    recorded.chain(before).collect()
}

/// Whether a person declared the recorded box gone for good.
pub fn is_forgotten(ws: &Workspace) -> bool {
    let Some(word) = ws.annotations().get(names::FORGET_INSTANCE) else { return false };
    let Some(status) = &ws.status else { return false };
    match (&status.instance_id, &status.launch) {
        (Some(id), _) => word == id,
        (None, Some(launch)) => *word == format!("attempt-{}", launch.attempt),
        (None, None) => false,
    }
}

/// Whether the operator was told to keep its hands off.
pub fn is_paused(ws: &Workspace) -> bool {
    ws.annotations().get(names::PAUSED).is_some_and(|v| v == "true")
}

/// Whether `spec.restartedAt` asks for something that was not carried out yet.
pub fn restart_wanted(ws: &Workspace, status: &WorkspaceStatus) -> bool {
    ws.spec.restarted_at.is_some() && ws.spec.restarted_at != status.restarted_at
}

/// Whether the box was made from other platform settings than the current ones.
pub fn is_outdated(status: &WorkspaceStatus, seen: &Seen) -> bool {
    let (Some(launch), Ok(desired)) = (&status.launch, &seen.desired) else { return false };
    desired.request_as_recorded.as_ref().is_some_and(|r| *r != launch.request)
}

/// When a run ended, by the backend's clock.
pub fn ended_at(mine: &BoxSeen) -> Timestamp {
    match &mine.state {
        BoxState::Exited { finished_at: Some(at), .. } => *at,
        _ => mine.started_at.unwrap_or(Timestamp::UNIX_EPOCH),
    }
}

/// The last attempts with one more, as many as the status remembers.
pub fn remember(mut attempts: Vec<Attempt>, closed: Option<Attempt>) -> Vec<Attempt> {
    attempts.extend(closed);
    let surplus = attempts.len().saturating_sub(ATTEMPTS_KEPT);
    attempts.drain(..surplus);
    attempts
}
