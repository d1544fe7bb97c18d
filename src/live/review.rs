//! Whether a user may do it: the API server's own RBAC is asked, and its answer kept for a moment.

use super::front::User;
use super::status::Refusal;
use super::{GROUP, VERSION};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::Api;
use kube::api::PostParams;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long an answer is kept.
const KEPT: Duration = Duration::from_secs(10);
/// So many answers are kept at most.
const KEPT_MAX: usize = 1_024;
/// How long the API server may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is to be done, in the words of RBAC.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Deed {
    /// `get`, `list`, `create`.
    pub verb: &'static str,
    /// The resource.
    pub resource: &'static str,
    /// The part of it; empty where it is the whole.
    pub subresource: &'static str,
    /// The namespace; empty for what is in none.
    pub namespace: String,
    /// The name; empty where all are meant.
    pub name: String,
}

impl Deed {
    /// The resource with its part, as a rule of RBAC names it.
    fn of(&self) -> String {
        match self.subresource {
            "" => self.resource.to_owned(),
            part => format!("{}/{part}", self.resource),
        }
    }

    fn denied(&self, user: &User, why: &str) -> Refusal {
        let Self { verb, namespace, .. } = self;
        let of = self.of();
        let place = match namespace.as_str() {
            "" => "at the cluster scope".to_owned(),
            namespace => format!("in the namespace {namespace:?}"),
        };
        let role = if namespace.is_empty() { "ClusterRole" } else { "Role" };
        let why = if why.is_empty() { String::new() } else { format!(" ({why})") };
        Refusal::forbidden(format!(
            "User {:?} cannot {verb} resource {of:?} in API group {GROUP:?} {place}{why}: it takes a {role} with \
             apiGroups [{GROUP}], resources [{of}], verbs [{verb}]",
            user.name
        ))
    }
}

/// The question to the API server.
fn question(user: &User, deed: &Deed) -> SubjectAccessReview {
    let said = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: said(&user.name),
            uid: said(&user.uid),
            groups: Some(user.groups.clone()),
            extra: Some(user.extra.clone()),
            resource_attributes: Some(ResourceAttributes {
                group: said(GROUP),
                version: said(VERSION),
                resource: said(deed.resource),
                subresource: said(deed.subresource),
                verb: said(deed.verb),
                namespace: said(&deed.namespace),
                name: said(&deed.name),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    }
}

/// Yes, or why not.
type Answer = Result<(), String>;

/// Asks, and keeps answers.
pub struct Reviews {
    api: Api<SubjectAccessReview>,
    kept: Mutex<HashMap<(User, Deed), (Instant, Answer)>>,
}

impl Reviews {
    /// Nothing was asked yet.
    pub fn new(client: kube::Client) -> Self {
        Self { api: Api::all(client), kept: Mutex::default() }
    }

    /// Refuses what this user may not do.
    ///
    /// # Errors
    /// 403 where RBAC says no, 503 where the API server does not say.
    pub async fn check(&self, user: &User, deed: &Deed) -> Result<(), Refusal> {
        self.check_at(user, deed, Instant::now()).await
    }

    async fn check_at(&self, user: &User, deed: &Deed, now: Instant) -> Result<(), Refusal> {
        let key = (user.clone(), deed.clone());
        let answer = if let Some(kept) = self.kept(&key, now) {
            kept
        } else {
            let answer = self.ask(user, deed).await?;
            self.keep(key, answer.clone(), now);
            answer
        };
        answer.map_err(|why| deed.denied(user, &why))
    }

    async fn ask(&self, user: &User, deed: &Deed) -> Result<Answer, Refusal> {
        let unsaid = |why: String| {
            tracing::warn!(why, "the API server does not say what a user may do");
            Refusal::unavailable("the API server did not say whether you may do this: try again")
        };
        let (parameters, question) = (PostParams::default(), question(user, deed));
        let asked = self.api.create(&parameters, &question);
        let review = match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(review)) => review,
            Ok(Err(error)) => return Err(unsaid(error.to_string())),
            Err(_) => return Err(unsaid(format!("no answer within {} s", PATIENCE.as_secs()))),
        };
        let said = review.status.unwrap_or_default();
        if said.allowed {
            return Ok(Ok(()));
        }
        Ok(Err(said.reason.filter(|why| !why.is_empty()).or(said.evaluation_error).unwrap_or_default()))
    }

    fn kept(&self, key: &(User, Deed), now: Instant) -> Option<Answer> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, answer) = kept.get(key)?;
        (now.duration_since(*at) < KEPT).then(|| answer.clone())
    }

    fn keep(&self, key: (User, Deed), answer: Answer, now: Instant) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, (at, _)| now.duration_since(*at) < KEPT);
        if kept.len() < KEPT_MAX {
            kept.insert(key, (now, answer));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::testing::api_server;
    use axum::response::IntoResponse;
    use serde_json::{Value, json};

    fn user(name: &str) -> User {
        User {
            name: name.into(),
            groups: vec!["system:authenticated".into()],
            extra: [("k".to_owned(), vec!["v".to_owned()])].into(),
            ..User::default()
        }
    }

    fn log_of(name: &str) -> Deed {
        Deed {
            verb: "get",
            resource: "workspaces",
            subresource: "log",
            namespace: "demo".into(),
            name: name.into(),
        }
    }

    fn review(status: &Value) -> Value {
        json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": {}, "status": status})
    }

    #[tokio::test]
    async fn the_api_server_is_asked_in_its_words_and_its_answer_kept_for_ten_seconds() {
        let (client, calls) = api_server(201, review(&json!({"allowed": true})));
        let reviews = Reviews::new(client);
        let start = Instant::now();
        for _ in 0..3 {
            let almost = start + KEPT.checked_sub(Duration::from_millis(1)).unwrap();
            assert_eq!(reviews.check_at(&user("ann"), &log_of("w"), start).await, Ok(()));
            assert_eq!(reviews.check_at(&user("ann"), &log_of("w"), almost).await, Ok(()));
        }
        let asked = calls.lock().unwrap().clone();
        assert_eq!(asked.len(), 1, "once for all calls");
        assert_eq!(
            (asked[0].method.as_str(), asked[0].path.as_str()),
            ("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews")
        );
        assert_eq!(
            asked[0].body["spec"],
            json!({
                "user": "ann", "groups": ["system:authenticated"], "extra": {"k": ["v"]},
                "resourceAttributes": {
                    "group": "live.atelier.dev", "version": "v1alpha1", "resource": "workspaces",
                    "subresource": "log", "verb": "get", "namespace": "demo", "name": "w",
                },
            })
        );
        let count = || calls.lock().unwrap().len();
        assert_eq!(reviews.check(&user("ann"), &log_of("other")).await, Ok(()));
        assert_eq!(reviews.check(&user("bob"), &log_of("w")).await, Ok(()));
        assert_eq!(count(), 3, "of another object, and of another user");
        assert_eq!(reviews.check_at(&user("ann"), &log_of("w"), start + KEPT).await, Ok(()));
        assert_eq!(count(), 4);
    }

    #[tokio::test]
    async fn what_is_denied_says_what_it_takes() {
        let (client, _) = api_server(201, review(&json!({"allowed": false, "reason": "no rule"})));
        let reviews = Reviews::new(client);
        let refusal = reviews.check(&user("ann"), &log_of("w")).await.unwrap_err();
        assert_eq!(
            refusal,
            Refusal::forbidden(
                "User \"ann\" cannot get resource \"workspaces/log\" in API group \"live.atelier.dev\" in the \
                 namespace \"demo\" (no rule): it takes a Role with apiGroups [live.atelier.dev], resources \
                 [workspaces/log], verbs [get]"
            )
        );
        let all = Deed {
            verb: "list",
            resource: "orphans",
            subresource: "",
            namespace: String::new(),
            name: String::new(),
        };
        let refusal = reviews.check(&user("ann"), &all).await.unwrap_err();
        assert!(format!("{refusal:?}").contains("a ClusterRole with"), "{refusal:?}");
        assert_eq!(question(&user("ann"), &all).spec.resource_attributes.unwrap().namespace, None);
    }

    #[tokio::test]
    async fn an_api_server_that_does_not_say_is_no_yes_and_is_not_kept() {
        let status =
            json!({"kind": "Status", "status": "Failure", "code": 500, "reason": "r", "message": "m"});
        let (client, calls) = api_server(500, status);
        let reviews = Reviews::new(client);
        for asked in 1..3 {
            let refusal = reviews.check(&user("ann"), &log_of("w")).await.unwrap_err();
            assert_eq!(refusal.into_response().status(), 503);
            assert_eq!(calls.lock().unwrap().len(), asked);
        }
    }
}
