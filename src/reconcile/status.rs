//! Writes that cannot erase what they have not seen: each carries the uid and the resourceVersion that the
//! plan was made from, and has a deadline of its own.

use crate::metrics::Outcome;
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::object::HasStatus;
use kube::core::{Request, Resource};
use kube::{Api, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fmt::Debug;
use std::time::Duration;

/// How long one write may take. After it the outcome counts as unknown.
pub const WRITE_DEADLINE: Duration = Duration::from_secs(10);

/// Why a write did not succeed, by what happens next.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The object changed since it was seen. Discard the plan and look again.
    #[error("the object changed since it was read; it is looked at again")]
    Conflict,
    /// There is no such object any more.
    #[error("the object is gone")]
    Gone,
    /// Nobody knows whether it was written. Read the object live before any effect.
    #[error("whether the API server carried out the write is not known: {0}")]
    Unknown(#[source] kube::Error),
    /// It was not written, and would not be if it were sent again as it is.
    #[error("the API server refused the write: {0}")]
    Refused(#[source] kube::Error),
}

impl WriteError {
    /// Whether the store must not be trusted for this object until it was read live.
    pub fn casts_doubt(&self) -> bool {
        matches!(self, Self::Conflict | Self::Unknown(_))
    }
}

/// How a write ended, for metrics.
pub fn outcome<T>(written: &Result<T, WriteError>) -> Outcome {
    match written {
        Ok(_) => Outcome::Ok,
        Err(WriteError::Conflict) => Outcome::Conflict,
        Err(_) => Outcome::Error,
    }
}

impl From<kube::Error> for WriteError {
    fn from(error: kube::Error) -> Self {
        match &error {
            kube::Error::Api(status) => match status.code {
                404 => Self::Gone,
                409 => Self::Conflict,
                400..=499 if status.code != 408 => Self::Refused(error),
                _ => Self::Unknown(error),
            },
            // These happen before anything is sent.
            kube::Error::BuildRequest(_) | kube::Error::Auth(_) | kube::Error::HttpError(_) => {
                Self::Refused(error)
            }
            _ => Self::Unknown(error),
        }
    }
}

/// Replaces the status of the very object that was seen; answers the object as the server has it then.
///
/// # Errors
/// [`WriteError`]: nothing was written, except perhaps after `Unknown`.
pub async fn replace_status<K>(api: &Api<K>, seen: &K, status: &K::Status) -> Result<K, WriteError>
where
    K: Resource<DynamicType = ()> + HasStatus + Clone + DeserializeOwned + Debug,
    K::Status: Serialize,
{
    let meta = seen.meta();
    // Without the spec: the server ignores it here, and it may be large.
    let body = json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": {
            "name": meta.name,
            "namespace": meta.namespace,
            "uid": meta.uid,
            "resourceVersion": meta.resource_version,
        },
        "status": status,
    });
    let body = serde_json::to_vec(&body).map_err(kube::Error::SerdeError).map_err(WriteError::Refused)?;
    let request = Request::new(api.resource_url())
        .replace_subresource("status", &seen.name_any(), &PostParams::default(), body)
        .map_err(kube::Error::BuildRequest)?;
    let client = api.clone().into_client();
    within(WRITE_DEADLINE, client.request::<K>(request)).await
}

/// What to do with the finalizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinalizerChange {
    /// Add it.
    Add,
    /// Remove it.
    Remove,
}

/// Adds or removes one finalizer of the very object that was seen; answers the object as the server has it
/// then. Others' finalizers stay.
///
/// # Errors
/// [`WriteError`]: nothing was written, except perhaps after `Unknown`.
pub async fn set_finalizer<K>(
    api: &Api<K>,
    seen: &K,
    finalizer: &str,
    change: FinalizerChange,
) -> Result<K, WriteError>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let mut finalizers = seen.finalizers().to_vec();
    finalizers.retain(|f| f != finalizer);
    if change == FinalizerChange::Add {
        finalizers.push(finalizer.to_owned());
    }
    let patch = json!({
        "metadata": {
            "uid": seen.uid(),
            "resourceVersion": seen.resource_version(),
            "finalizers": finalizers,
        }
    });
    let name = seen.name_any();
    within(WRITE_DEADLINE, api.patch(&name, &PatchParams::default(), &Patch::Merge(patch))).await
}

async fn within<K: Resource>(
    deadline: Duration,
    write: impl Future<Output = Result<K, kube::Error>>,
) -> Result<K, WriteError> {
    match tokio::time::timeout(deadline, write).await {
        Ok(Ok(mut reply)) => {
            reply.meta_mut().managed_fields = None;
            Ok(reply)
        }
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(WriteError::Unknown(kube::Error::Service(
            format!("no answer within {} s", deadline.as_secs()).into(),
        ))),
    }
}

/// Whether two statuses say the same. The times of conditions do not count, nor what the pointers name: a
/// status that differs only there is not worth a write. A pointer is `/a/b`; `*` stands for every entry of a
/// list.
pub fn same<S: Serialize>(before: Option<&S>, now: &S, but_for: &[&str]) -> bool {
    let plain = |status: &S| {
        let mut value = serde_json::to_value(status).ok()?;
        for pointer in [&["/conditions/*/lastTransitionTime"], but_for].concat() {
            let path: Vec<&str> = pointer.split('/').skip(1).collect();
            remove(&mut value, &path);
        }
        Some(value)
    };
    // What cannot be compared counts as different: one write too many is better than one too few.
    before.and_then(plain).is_some_and(|before| plain(now) == Some(before))
}

fn remove(value: &mut Value, path: &[&str]) {
    match (path, value) {
        (["*", rest @ ..], Value::Array(entries)) => entries.iter_mut().for_each(|e| remove(e, rest)),
        ([last], Value::Object(fields)) => {
            fields.remove(*last);
        }
        ([first, rest @ ..], Value::Object(fields)) => {
            if let Some(next) = fields.get_mut(*first) {
                remove(next, rest);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::condition::{ConditionType, Conditions, Reason, Status};
    use crate::api::{Workspace, WorkspaceStatus};
    use crate::reconcile::testing::{Recorded, api_server};
    use k8s_openapi::jiff::Timestamp;

    fn status(at: i64, message: &str) -> WorkspaceStatus {
        let mut conditions = Conditions::new(&[], 1, Timestamp::from_second(at).unwrap());
        conditions.set(ConditionType::Ready, Status::False, Reason::Booting, message);
        WorkspaceStatus { observed_generation: 1, conditions: conditions.finish(), ..Default::default() }
    }

    #[test]
    fn a_status_that_differs_only_in_times_is_the_same() {
        assert!(same(Some(&status(1, "boots")), &status(2, "boots"), &[]));
        assert!(!same(Some(&status(1, "boots")), &status(2, "is up"), &[]));
        assert!(!same(None, &status(1, "boots"), &[]));
    }

    #[test]
    fn what_a_pointer_names_does_not_count() {
        let a = json!({"diagnosis": {"observedAt": 1, "cause": "x"}, "list": [{"t": 1}, {"t": 2}]});
        let b = json!({"diagnosis": {"observedAt": 2, "cause": "x"}, "list": [{"t": 1}, {"t": 3}]});
        assert!(!same(Some(&a), &b, &["/diagnosis/observedAt"]));
        assert!(same(Some(&a), &b, &["/diagnosis/observedAt", "/list/*/t"]));
        assert!(same(Some(&a), &a, &["/none/such"]));
    }

    fn seen() -> Workspace {
        serde_json::from_value(json!({
            "apiVersion": "atelier.dev/v1alpha1", "kind": "Workspace",
            "metadata": {"name": "w", "namespace": "ns", "uid": "u-1", "resourceVersion": "41",
                         "finalizers": ["other/one"]},
            "spec": {"runtime": "r", "role": "a long text"},
        }))
        .unwrap()
    }

    #[tokio::test]
    async fn a_status_write_carries_what_was_seen_and_no_spec() {
        let reply = json!({"apiVersion": "atelier.dev/v1alpha1", "kind": "Workspace",
            "metadata": {"name": "w", "resourceVersion": "42", "managedFields": [{}]}, "spec": {"runtime": "r"}});
        let (client, calls) = api_server(200, reply);
        let api = Api::namespaced(client, "ns");
        let written = replace_status(&api, &seen(), &status(1, "boots")).await.unwrap();
        assert_eq!(written.resource_version().as_deref(), Some("42"));
        assert!(written.metadata.managed_fields.is_none());
        let Recorded { method, path, body } = calls.lock().unwrap().remove(0);
        assert_eq!(
            (method.as_str(), path.as_str()),
            ("PUT", "/apis/atelier.dev/v1alpha1/namespaces/ns/workspaces/w/status")
        );
        assert_eq!(body["metadata"]["uid"], "u-1");
        assert_eq!(body["metadata"]["resourceVersion"], "41");
        assert_eq!(body["status"]["observedGeneration"], 1);
        assert!(body.get("spec").is_none());
    }

    #[tokio::test]
    async fn a_finalizer_patch_carries_what_was_seen_and_keeps_others() {
        let (client, calls) = api_server(200, serde_json::to_value(seen()).unwrap());
        let api: Api<Workspace> = Api::namespaced(client, "ns");
        set_finalizer(&api, &seen(), "ours", FinalizerChange::Add).await.unwrap();
        set_finalizer(&api, &seen(), "other/one", FinalizerChange::Remove).await.unwrap();
        let calls = calls.lock().unwrap();
        for call in calls.iter() {
            assert_eq!(call.body["metadata"]["uid"], "u-1");
            assert_eq!(call.body["metadata"]["resourceVersion"], "41");
        }
        assert_eq!(calls[0].body["metadata"]["finalizers"], json!(["other/one", "ours"]));
        assert_eq!(calls[1].body["metadata"]["finalizers"], json!([]));
    }

    #[tokio::test]
    async fn answers_are_told_apart_by_what_happens_next() {
        let kind = |code: u16| async move {
            let failure =
                json!({"kind": "Status", "status": "Failure", "code": code, "message": "m", "reason": "r"});
            let (client, _) = api_server(code, failure);
            let api: Api<Workspace> = Api::namespaced(client, "ns");
            match replace_status(&api, &seen(), &status(1, "")).await {
                Ok(_) => "written",
                Err(WriteError::Conflict) => "conflict",
                Err(WriteError::Gone) => "gone",
                Err(WriteError::Unknown(_)) => "unknown",
                Err(WriteError::Refused(_)) => "refused",
            }
        };
        for (code, expected) in [
            (409, "conflict"),
            (404, "gone"),
            (422, "refused"),
            (403, "refused"),
            (429, "refused"),
            (500, "unknown"),
            (503, "unknown"),
            (504, "unknown"),
        ] {
            assert_eq!(kind(code).await, expected, "{code}");
        }
    }

    #[tokio::test]
    async fn no_answer_is_an_unknown_outcome() {
        let silence = std::future::pending::<Result<Workspace, kube::Error>>();
        let result = within(Duration::from_millis(1), silence).await;
        assert!(matches!(result, Err(WriteError::Unknown(_))), "{result:?}");
    }
}
