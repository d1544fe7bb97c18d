//! The API server's audit log: what was asked, whether it was accepted or not, and by whom.

use serde::Deserialize;
use std::path::Path;

/// The verbs that change something.
const WRITES: [&str; 5] = ["create", "update", "patch", "delete", "deletecollection"];

/// One call, also one that was refused or that changed nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// By whom.
    pub user: String,
    /// As in a rule of RBAC.
    pub verb: String,
    /// The API group; empty for that of Kubernetes' core.
    pub group: String,
    /// The namespace; empty where there is none.
    pub namespace: String,
    /// The resource, with its subresource: `workspaces/status`.
    pub resource: String,
    /// The object's name; for an event, its Workspace's or Team's with a suffix.
    pub name: String,
    /// The answer's status code.
    pub code: u16,
}

impl Call {
    /// Whether it made an object.
    pub fn creates(&self) -> bool {
        self.code == 201 && !self.resource.contains('/')
    }

    /// Whether it is an event about an object.
    pub fn is_event_about(&self, name: &str) -> bool {
        self.resource == "events" && self.name.rsplit_once('.').is_some_and(|(about, _)| about == name)
    }

    /// Whether it is about the election, which is never at rest.
    pub fn is_lease(&self) -> bool {
        self.resource == "leases"
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    verb: String,
    user: User,
    object_ref: Option<ObjectRef>,
    response_status: Option<ResponseStatus>,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ObjectRef {
    resource: String,
    api_group: Option<String>,
    namespace: Option<String>,
    subresource: Option<String>,
    name: Option<String>,
}

#[derive(Deserialize)]
struct ResponseStatus {
    code: u16,
}

/// All writes of a user so far, in order.
pub fn writes(log: &Path, user: &str) -> Vec<Call> {
    let mut found = calls(log, |line| line.contains(user));
    found.retain(|call| call.user == user && WRITES.contains(&call.verb.as_str()));
    found
}

/// All calls so far, in order, of the lines that are `wanted`. A watch is there once it has ended.
pub fn calls(log: &Path, wanted: impl Fn(&str) -> bool) -> Vec<Call> {
    let text = std::fs::read_to_string(log).unwrap();
    let mut found = Vec::new();
    for line in text.lines().filter(|line| wanted(line)) {
        // The last line may be half written.
        let Ok(line) = serde_json::from_str::<Line>(line) else { continue };
        let Some(object) = line.object_ref else { continue };
        found.push(Call {
            user: line.user.username,
            verb: line.verb,
            group: object.api_group.unwrap_or_default(),
            namespace: object.namespace.unwrap_or_default(),
            resource: match object.subresource {
                Some(sub) => format!("{}/{sub}", object.resource),
                None => object.resource,
            },
            name: object.name.unwrap_or_default(),
            code: line.response_status.map_or(0, |status| status.code),
        });
    }
    found
}
