//! Teams and Workspaces to test with.

use super::child::Body;
use super::merge::{Child, children};
use crate::api::condition::{ConditionType, Conditions, Status};
use crate::api::team::{Member, MemberTemplate, TeamSpec};
use crate::api::{Reason, Team, Workspace};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use serde_json::json;

/// A Team `studio` of a director `a` and whoever reports to it.
pub fn team(members: &[&str]) -> Team {
    let member = |name: &&str| Member {
        name: (*name).into(),
        reports_to: (*name != "a").then(|| "a".into()),
        ..Member::default()
    };
    let defaults = MemberTemplate { runtime: Some("demo".into()), ..MemberTemplate::default() };
    team_of(TeamSpec {
        defaults: Some(defaults),
        members: members.iter().map(member).collect(),
        ..TeamSpec::default()
    })
}

pub fn team_of(spec: TeamSpec) -> Team {
    let mut team = Team::new("studio", spec);
    team.metadata.namespace = Some("ns".into());
    team.metadata.uid = Some("uid-of-studio".into());
    team.metadata.generation = Some(3);
    team
}

pub fn wanted(team: &Team) -> Vec<Child> {
    children("studio", &team.spec)
}

/// The Workspace as the API server has it after an apply to nothing.
pub fn made(body: &Body) -> Workspace {
    let mut ws: Workspace = serde_json::from_value(body.json.clone()).unwrap();
    let name = ws.metadata.name.clone().unwrap();
    ws.metadata.namespace = Some("ns".into());
    ws.metadata.uid = Some(format!("uid-of-{name}"));
    ws.metadata.resource_version = Some("100".into());
    ws.metadata.generation = Some(1);
    ws
}

/// A Workspace of somebody else: its controller as JSON, or none.
pub fn foreign(name: &str, kind: &str, owner: &str, uid: &str) -> Workspace {
    let version = if kind == "Team" { "atelier.dev/v1alpha1" } else { "example.com/v1" };
    serde_json::from_value(json!({
        "apiVersion": "atelier.dev/v1alpha1", "kind": "Workspace",
        "metadata": {
            "name": name, "namespace": "ns", "uid": format!("foreign-{name}"), "generation": 1,
            "ownerReferences": [
                {"apiVersion": version, "kind": kind, "name": owner, "uid": uid, "controller": true},
            ],
        },
        "spec": {"runtime": "other"},
    }))
    .unwrap()
}

pub fn terminating(mut ws: Workspace) -> Workspace {
    ws.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
    ws
}

/// A Workspace whose reconcile has said these conditions of its present generation.
pub fn says(mut ws: Workspace, words: &[(ConditionType, Status, Reason, &str)]) -> Workspace {
    let generation = ws.metadata.generation.unwrap();
    let mut conditions = Conditions::new(&[], generation, Timestamp::UNIX_EPOCH);
    for (type_, status, reason, message) in words {
        conditions.set(*type_, *status, *reason, *message);
    }
    let status = ws.status.get_or_insert_default();
    status.observed_generation = generation;
    status.conditions = conditions.finish();
    ws
}
