//! Objects for tests: data, and no more.

use crate::api::team::{Member, MemberTemplate, TeamSpec, TeamStatus};
use crate::api::workspace::{Backend, Instance, LocalRef, PlacementRecord, WorkspaceSpec, WorkspaceStatus};
use crate::api::{Team, Workspace, names};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, OwnerReference, Time};
use k8s_openapi::jiff::Timestamp;
use kube::api::ObjectMeta;
use std::collections::BTreeMap;

/// So many seconds after all began.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + seconds).unwrap()
}

/// `Ready=False/Booting: the message`.
pub fn condition(text: &str) -> Condition {
    let (head, message) = text.split_once(": ").unwrap_or((text, ""));
    let (type_, rest) = head.split_once('=').unwrap();
    let (status, reason) = rest.split_once('/').unwrap();
    Condition {
        type_: type_.into(),
        status: status.into(),
        reason: reason.into(),
        message: message.into(),
        observed_generation: Some(1),
        last_transition_time: Time(at(30)),
    }
}

/// The conditions of these texts.
pub fn conditions(texts: &[&str]) -> Vec<Condition> {
    texts.iter().map(|text| condition(text)).collect()
}

fn metadata(name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.into()),
        namespace: Some("demo".into()),
        uid: Some(format!("uid-of-{name}")),
        generation: Some(1),
        creation_timestamp: Some(Time(at(0))),
        ..ObjectMeta::default()
    }
}

/// A Workspace on Docker of which all is well.
pub fn workspace(name: &str) -> Workspace {
    let status = WorkspaceStatus {
        observed_generation: 1,
        instance_id: Some("0123456789abcdef".repeat(4)),
        placement: Some(PlacementRecord { backend: Backend::Docker, docker: None, ec2: None }),
        instance: Some(Instance { state: "running".into(), ..Instance::default() }),
        conditions: conditions(&[
            "Accepted=True/Accepted: runtime demo, tier T1",
            "BackendReady=True/Reachable: Docker answers (local)",
            "InstanceLaunched=True/Running: the box runs",
            "Bootstrapped=True/Bootstrapped: its agent has called",
            "AgentConnected=True/Connected: registered as \"w\"",
            "Ready=True/Ready: the agent is connected",
        ]),
        ..WorkspaceStatus::default()
    };
    let spec = WorkspaceSpec { runtime: "demo".into(), ..WorkspaceSpec::default() };
    Workspace { metadata: metadata(name), spec, status: Some(status) }
}

/// A Workspace whose image does not exist.
pub fn without_image(name: &str) -> Workspace {
    let mut ws = workspace(name);
    let status = ws.status.as_mut().unwrap();
    status.instance_id = None;
    status.instance = None;
    status.conditions = conditions(&[
        "Accepted=True/Accepted: runtime demo, tier T1",
        "BackendReady=True/Reachable: Docker answers (local)",
        "InstanceLaunched=False/ImageNotFound: the image x:1 is not on the engine, and pulling it failed: no such host",
        "Bootstrapped=Unknown/ImageNotFound: there is no box that is known to run",
        "AgentConnected=Unknown/ImageNotFound: there is no box that is known to run",
        "Ready=False/ImageNotFound: the image x:1 is not on the engine, and pulling it failed: no such host",
        "Stalled=True/ImageNotFound: the image x:1 is not on the engine, and pulling it failed: no such host",
    ]);
    ws
}

/// A Team, each member with whom it reports to.
pub fn team(name: &str, members: &[(&str, Option<&str>)]) -> Team {
    let member = |(name, reports_to): &(&str, Option<&str>)| Member {
        name: (*name).into(),
        reports_to: reports_to.map(str::to_owned),
        exclude_plugins: Vec::new(),
        template: MemberTemplate::default(),
    };
    let spec = TeamSpec { members: members.iter().map(member).collect(), ..TeamSpec::default() };
    let total = members.len();
    let status = TeamStatus {
        observed_generation: 1,
        ready_summary: Some(format!("{total}/{total}")),
        members: None,
        conditions: conditions(&[
            "Accepted=True/Accepted: the spec can be carried out",
            "Expanded=True/Expanded: the Workspaces match the spec",
            "MembersReady=True/AllReady: all are ready",
            "Ready=True/Ready: all members are ready",
        ]),
    };
    Team { metadata: metadata(name), spec, status: Some(status) }
}

/// A Team of which a member has no image.
pub fn troubled(name: &str, members: &[(&str, Option<&str>)]) -> Team {
    let mut team = team(name, members);
    let status = team.status.as_mut().unwrap();
    status.ready_summary = Some(format!("{}/{}", members.len() - 1, members.len()));
    status.conditions = conditions(&[
        "Accepted=True/Accepted: the spec can be carried out",
        "Expanded=True/Expanded: the Workspaces match the spec",
        "MembersReady=False/MembersStalled: a member has no image",
        "Ready=False/MembersStalled: a member has no image",
        "Stalled=True/MembersStalled: a member has no image",
    ]);
    team
}

/// A Workspace as a member's.
pub fn of_team(team: &Team, member: &str, mut ws: Workspace) -> Workspace {
    let name = team.metadata.name.clone().unwrap();
    ws.metadata.name = Some(names::child(&name, member));
    ws.metadata.owner_references = Some(vec![OwnerReference {
        api_version: "atelier.dev/v1alpha1".into(),
        kind: "Team".into(),
        name: name.clone(),
        uid: team.metadata.uid.clone().unwrap(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }]);
    let labels = [(names::TEAM, name.as_str()), (names::MEMBER, member)];
    ws.metadata.labels =
        Some(labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<BTreeMap<_, _>>());
    let above = team.spec.members.iter().find(|m| m.name == member).and_then(|m| m.reports_to.clone());
    ws.spec.parent_ref = above.map(|parent| LocalRef { name: names::child(&name, &parent) });
    ws
}
