//! Apply: the effects of a Team's plan on the API server.

use super::plan::{Apply, Prune, Trouble};
use crate::api::{Reason, Workspace};
use crate::metrics::{Effect, Metrics, Outcome};
use crate::reconcile::Leadership;
use crate::reconcile::status::WRITE_DEADLINE;
use futures::{StreamExt, stream};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::core::Status;
use kube::error::Error;

/// The field manager of everything that a Team says of its children.
pub const FIELD_MANAGER: &str = "atelier-team";
/// So many calls may be under way at once for one Team.
const AT_ONCE: usize = 8;

/// What became of one apply.
#[derive(Debug)]
pub enum Applied {
    /// The Workspace as the server has it now.
    Done(Box<Workspace>),
    /// The server would refuse it again: a person must change something.
    Rejected(Trouble),
    /// It may succeed when it is tried again.
    Failed(Trouble),
    /// The Workspace was made or deleted while we looked away: look again.
    Stale,
}

/// How far the effects reach: one namespace, and only while this process leads.
#[derive(Clone, Copy)]
pub struct Reach<'a> {
    /// The Workspaces of the Team's namespace.
    pub api: &'a Api<Workspace>,
    /// Whether an effect may be started.
    pub leadership: &'a Leadership,
    /// What is counted.
    pub metrics: &'a Metrics,
}

impl Reach<'_> {
    /// Applies all children: a level at once, one level after another. Never by force: what somebody else
    /// set stays, and the Team says so.
    pub async fn apply(self, levels: Vec<Vec<Apply>>) -> Vec<(Apply, Applied)> {
        let mut done = Vec::new();
        for level in levels {
            let calls = level.into_iter().map(|apply| self.apply_one(apply));
            done.extend(stream::iter(calls).buffer_unordered(AT_ONCE).collect::<Vec<_>>().await);
        }
        done
    }

    async fn apply_one(self, apply: Apply) -> (Apply, Applied) {
        if !self.leadership.may_act() {
            return (apply, Applied::Stale);
        }
        let params = PatchParams::apply(FIELD_MANAGER);
        let body = Patch::Apply(&apply.body.json);
        let call = self.api.patch(&apply.name, &params, &body);
        let result = match tokio::time::timeout(WRITE_DEADLINE, call).await {
            Ok(Ok(mut workspace)) => {
                workspace.metadata.managed_fields = None;
                Applied::Done(Box::new(workspace))
            }
            Ok(Err(error)) => refused(&apply, &error),
            Err(_) => failed(&apply, &format!("no answer within {} s", WRITE_DEADLINE.as_secs())),
        };
        let outcome = match &result {
            Applied::Done(_) => Outcome::Ok,
            Applied::Rejected(_) | Applied::Stale => Outcome::Conflict,
            Applied::Failed(_) => Outcome::Error,
        };
        self.metrics.effect(Effect::ApplyChild, outcome);
        (apply, result)
    }

    /// Deletes the Workspaces of removed members. Answers those that could not be deleted.
    pub async fn prune(self, prunes: &[Prune]) -> Vec<Trouble> {
        let calls = prunes.to_vec().into_iter().map(|prune| self.prune_one(prune));
        stream::iter(calls).buffer_unordered(AT_ONCE).filter_map(std::future::ready).collect().await
    }

    async fn prune_one(self, prune: Prune) -> Option<Trouble> {
        let params = DeleteParams {
            preconditions: Some(Preconditions { uid: Some(prune.uid.clone()), resource_version: None }),
            ..DeleteParams::default()
        };
        let call = tokio::time::timeout(WRITE_DEADLINE, self.api.delete(&prune.name, &params));
        let words = if self.leadership.may_act() {
            match call.await {
                Ok(Ok(_)) => None,
                // Gone already, or another object of the name: nothing of ours is left.
                Ok(Err(Error::Api(status))) if matches!(status.code, 404 | 409) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some(format!("no answer within {} s", WRITE_DEADLINE.as_secs())),
            }
        } else {
            Some("this process does not lead".to_owned())
        };
        self.metrics.effect(Effect::DeleteChild, if words.is_none() { Outcome::Ok } else { Outcome::Error });
        words.map(|words| Trouble {
            member: prune.name.clone(),
            reason: Reason::ApplyFailed,
            message: format!("Workspace {} could not be deleted and is tried again: {words}", prune.name),
        })
    }
}

fn refused(apply: &Apply, error: &Error) -> Applied {
    let Error::Api(status) = error else { return failed(apply, &error.to_string()) };
    let words = &status.message;
    let reject = |text: String| {
        Applied::Rejected(Trouble {
            member: apply.member.clone(),
            reason: Reason::ChildRejected,
            message: format!("Workspace {}: {text}", apply.name),
        })
    };
    match status.code {
        409 if has_cause(status, |cause| cause.reason == "FieldManagerConflict") => reject(format!(
            "somebody else set a field that the Team sets too: {words}. Put the change into the Team, or undo it on the Workspace"
        )),
        409 => Applied::Stale,
        // Another uid, or another controller beside ours.
        422 if has_cause(status, |cause| cause.field.starts_with("metadata.")) => Applied::Stale,
        400 | 403 | 413 | 422 => reject(format!("the API server refused it: {words}")),
        _ => failed(apply, words),
    }
}

fn has_cause(status: &Status, is: impl Fn(&kube::core::response::StatusCause) -> bool) -> bool {
    status.details.iter().flat_map(|details| &details.causes).any(is)
}

fn failed(apply: &Apply, words: &str) -> Applied {
    Applied::Failed(Trouble {
        member: apply.member.clone(),
        reason: Reason::ApplyFailed,
        message: format!("Workspace {} could not be applied and is tried again: {words}", apply.name),
    })
}
