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
        let calls = prunes.iter().cloned().map(|prune| self.prune_one(prune));
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
        // What was to be made is there already: the next look finds whose it is.
        409 if apply.existing.is_none() => Applied::Stale,
        409 if has_cause(status, |cause| cause.reason == "FieldManagerConflict") => reject(format!(
            "somebody else set a field that the Team sets too: {words}. Put the change into the Team, or give the Workspace's field the Team's value"
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::testing::api_server;
    use crate::team::child::body;
    use crate::team::fixtures::{made, team, wanted};
    use crate::team::plan::plan;
    use serde_json::{Value, json};
    use std::sync::Arc;

    /// What a Team of two does after the API server gave this answer to all, and the calls that it made.
    async fn answered(code: u16, answer: Value, leadership: Leadership) -> (Vec<String>, Vec<String>) {
        let (client, calls) = api_server(code, answer);
        let api = Api::namespaced(client, "ns");
        let metrics = Metrics::default();
        let reach = Reach { api: &api, leadership: &leadership, metrics: &metrics };
        let team = team(&["a", "b"]);
        let drifted = |child: &_| {
            let mut ws = made(&body(&team, child, None));
            ws.spec.runtime = "edited".into();
            Arc::new(ws)
        };
        let found: Vec<_> = wanted(&team).iter().map(drifted).collect();
        let levels = plan(&team, &wanted(&team), &found, |_| None).applies;
        let mut words: Vec<String> = reach
            .apply(levels)
            .await
            .into_iter()
            .map(|(_, result)| match result {
                Applied::Done(_) => "done".into(),
                Applied::Stale => "stale".into(),
                Applied::Rejected(trouble) | Applied::Failed(trouble) => {
                    format!("{}: {}", trouble.reason, trouble.message)
                }
            })
            .collect();
        let prunes = [Prune { name: "studio-c".into(), uid: "u".into() }];
        let failed = reach.prune(&prunes).await;
        words.extend(failed.into_iter().map(|trouble| format!("prune: {}", trouble.message)));
        let calls = calls.lock().unwrap();
        (words, calls.iter().map(|call| format!("{} {}", call.method, call.body)).collect())
    }

    fn refusal(code: u16, cause: &Value) -> Value {
        json!({
            "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": "r",
            "message": "its words", "details": {"causes": [cause]},
        })
    }

    #[tokio::test]
    async fn answers_are_told_apart_by_what_happens_next() {
        let none = json!({});
        let fields = json!({"reason": "FieldManagerConflict", "field": ".spec.model"});
        let uid = json!({"reason": "FieldValueInvalid", "field": "metadata.uid"});
        let spec = json!({"reason": "FieldValueInvalid", "field": "spec.tier"});
        for (code, cause, expected) in [
            (409, &fields, "ChildRejected"),
            (422, &spec, "ChildRejected"),
            (403, &none, "ChildRejected"),
            (409, &none, "stale"),
            (422, &uid, "stale"),
            (404, &none, "ApplyFailed"),
            (429, &none, "ApplyFailed"),
            (500, &none, "ApplyFailed"),
        ] {
            let (words, _) = answered(code, refusal(code, cause), Leadership::always()).await;
            assert!(words[0].starts_with(expected), "{code} {cause}: {words:?}");
            assert!(expected == "stale" || words[0].contains("its words"), "{words:?}");
            let pruned = !words.last().is_some_and(|word| word.starts_with("prune"));
            assert_eq!(pruned, matches!(code, 404 | 409), "{code}: {words:?}");
        }
    }

    #[tokio::test]
    async fn a_delete_names_the_very_object() {
        let (_, calls) = answered(404, refusal(404, &json!({})), Leadership::always()).await;
        let delete: Value = serde_json::from_str(calls[2].strip_prefix("DELETE ").unwrap()).unwrap();
        assert_eq!(delete["preconditions"], json!({"uid": "u"}));
    }

    #[tokio::test]
    async fn who_does_not_lead_calls_nobody() {
        let (_announcer, follows) = Leadership::undecided();
        let (words, calls) = answered(200, json!({}), follows).await;
        assert_eq!(calls, [""; 0]);
        assert_eq!(words[..2], ["stale", "stale"]);
        assert!(words[2].contains("does not lead"), "{words:?}");
    }
}
