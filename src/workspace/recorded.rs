//! What the record and the object's own words say: which box is the recorded one, and what a person asked for.

use super::seen::Seen;
use crate::api::names;
use crate::api::workspace::{Attempt, Workspace, WorkspaceStatus};
use crate::backend::{BoxSeen, BoxState};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

/// How many ended attempts the status remembers.
const ATTEMPTS_KEPT: usize = 5;

/// The boxes of a Workspace, told apart by the record.
pub struct Boxes<'a> {
    /// The box of the recorded attempt and id.
    pub mine: Option<&'a BoxSeen>,
    /// Every other one: to be removed before anything is made.
    pub others: Vec<&'a BoxSeen>,
}

/// Tells the recorded box from all others.
pub fn sort<'a>(status: &WorkspaceStatus, boxes: &'a [BoxSeen]) -> Boxes<'a> {
    let attempt = status.launch.as_ref().map(|l| l.attempt);
    let recorded = status.instance_id.as_deref();
    let is_mine =
        |b: &BoxSeen| attempt.is_some() && b.attempt == attempt && recorded.is_none_or(|id| id == b.id);
    let mine = boxes.iter().find(|b| is_mine(b));
    let others = boxes.iter().filter(|b| mine.is_none_or(|m| m.id != b.id)).collect();
    Boxes { mine, others }
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
