//! Change: what restart, suspend and resume write, and where. Pure.
//!
//! A Team owns a field of its members' Workspaces only where it sets it. Such a field is changed in the Team; any
//! other in the Workspace, so that no tool that keeps the Team as Git has it sees a difference. What is written to a
//! Workspace is applied under a name of its own and, where that does, given back: a field that stayed ours would be
//! in the Team's way later.

use super::target::{Kind, Target};
use crate::api::team::Member;
use crate::api::{Team, Workspace, names};
use kube::ResourceExt;
use serde_json::{Value, json};

/// What a person wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// The boxes started anew.
    Restart,
    /// The boxes stopped, the volumes kept.
    Suspend,
    /// The boxes started again.
    Resume,
}

/// One write.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// Fields of a Workspace's spec, applied by force under this name.
    Apply {
        /// The Workspace.
        name: String,
        /// Who applies.
        manager: &'static str,
        /// The object with the fields.
        body: Value,
    },
    /// A JSON patch of a Team.
    Patch {
        /// The Team.
        name: String,
        /// The operations.
        operations: Value,
    },
}

/// What is written, and what is said of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// In this order.
    pub writes: Vec<Write>,
    /// What happens next.
    pub said: String,
}

const OF_SUSPEND: &str = "kubectl-atelier-suspend";
const OF_RESTART: &str = "kubectl-atelier-restart";

/// Plans a change of a Workspace, which may be a member of a Team. `now` is the value that asks for a restart.
///
/// # Errors
/// When it cannot be done there; says where it can.
pub fn of_workspace(verb: Verb, ws: &Workspace, team: Option<&Team>, now: &str) -> Result<Change, String> {
    let target = Target::workspace(ws.name_any());
    let here = format!("-n {}", ws.namespace().unwrap_or_default());
    let member = team.and_then(|team| Some((team, place(team, ws)?)));
    let of_team = team.filter(|team| team.spec.suspend).map(ResourceExt::name_any);
    match (verb, of_team) {
        (Verb::Resume, Some(team)) => {
            return Err(format!(
                "{target} is suspended with its whole Team: `kubectl atelier resume team/{team} {here}` starts all of them"
            ));
        }
        (Verb::Suspend, _) if ws.spec.suspend => {
            return Ok(nothing(format!("{target} is suspended already")));
        }
        (Verb::Resume, None) if !ws.spec.suspend => {
            return Ok(nothing(format!("{target} is not suspended: nothing is changed")));
        }
        _ => {}
    }
    let writes = match member {
        Some((team, index)) if is_set_by(verb, team, &team.spec.members[index]) => {
            vec![in_team(team, &[index], verb, now)]
        }
        _ => in_workspace(verb, ws, now),
    };
    Ok(Change { writes, said: what_next(verb, &target, &here, ws.spec.suspend, team) })
}

/// Plans a change of a Team with all its members.
pub fn of_team(verb: Verb, team: &Team, workspaces: &[Workspace], now: &str) -> Change {
    let name = team.name_any();
    let target = Target::team(&name);
    let here = format!("-n {}", team.namespace().unwrap_or_default());
    let suspend = verb == Verb::Suspend;
    if verb != Verb::Restart {
        if team.spec.suspend == suspend {
            let state = if suspend { "is suspended already" } else { "is not suspended: nothing is changed" };
            return nothing(format!("{target} {state}"));
        }
        let operations = json!([{"op": "add", "path": "/spec/suspend", "value": suspend}]);
        let mut said = what_next(verb, &target, &here, false, Some(team));
        let alone: Vec<String> =
            workspaces.iter().filter(|ws| is_suspended_alone(ws)).map(ResourceExt::name_any).collect();
        if verb == Verb::Resume && !alone.is_empty() {
            said = format!("{said}\nsuspended on their own, and so still: {}", alone.join(", "));
        }
        return Change { writes: vec![Write::Patch { name, operations }], said };
    }
    let set = |member: &Member| is_set_by(verb, team, member);
    let in_spec: Vec<usize> =
        team.spec.members.iter().enumerate().filter(|(_, m)| set(m)).map(|(n, _)| n).collect();
    let mut writes = Vec::new();
    if !in_spec.is_empty() {
        writes.push(in_team(team, &in_spec, verb, now));
    }
    for ws in workspaces {
        if place(team, ws).is_some_and(|index| !in_spec.contains(&index)) {
            writes.extend(in_workspace(verb, ws, now));
        }
    }
    Change { writes, said: what_next(verb, &target, &here, team.spec.suspend, Some(team)) }
}

fn nothing(said: String) -> Change {
    Change { writes: Vec::new(), said }
}

/// Where a Team's spec has the member of a Workspace.
fn place(team: &Team, ws: &Workspace) -> Option<usize> {
    let name = ws.name_any();
    team.spec.members.iter().position(|member| names::child(&team.name_any(), &member.name) == name)
}

/// Whether the Team sets the field that is to be changed.
fn is_set_by(verb: Verb, team: &Team, member: &Member) -> bool {
    let defaults = team.spec.defaults.as_ref();
    match verb {
        Verb::Restart => {
            member.template.restarted_at.is_some() || defaults.is_some_and(|d| d.restarted_at.is_some())
        }
        Verb::Suspend | Verb::Resume => {
            member.template.suspend.is_some() || defaults.is_some_and(|d| d.suspend.is_some())
        }
    }
}

fn in_team(team: &Team, members: &[usize], verb: Verb, now: &str) -> Write {
    let mut operations = Vec::new();
    for index in members {
        let path = format!("/spec/members/{index}");
        // Whoever has put another in its place meanwhile must not have that one changed.
        let name = &team.spec.members[*index].name;
        operations.push(json!({"op": "test", "path": format!("{path}/name"), "value": name}));
        let (field, value) = match verb {
            Verb::Restart => ("restartedAt", json!(now)),
            Verb::Suspend => ("suspend", json!(true)),
            Verb::Resume => ("suspend", json!(false)),
        };
        operations.push(json!({"op": "add", "path": format!("{path}/{field}"), "value": value}));
    }
    Write::Patch { name: team.name_any(), operations: Value::Array(operations) }
}

fn in_workspace(verb: Verb, ws: &Workspace, now: &str) -> Vec<Write> {
    let apply = |manager, spec: Value| Write::Apply {
        name: ws.name_any(),
        manager,
        body: json!({
            "apiVersion": "atelier.dev/v1alpha1",
            "kind": "Workspace",
            // With the uid: an object that is gone is not made again.
            "metadata": {"name": ws.name_any(), "uid": ws.uid()},
            "spec": spec,
        }),
    };
    match verb {
        Verb::Restart => vec![apply(OF_RESTART, json!({"restartedAt": now}))],
        Verb::Suspend => vec![apply(OF_SUSPEND, json!({"suspend": true}))],
        // First whoever set it loses it to us, and then we give it back.
        Verb::Resume => {
            vec![apply(OF_SUSPEND, json!({"suspend": false})), apply(OF_SUSPEND, json!({}))]
        }
    }
}

/// Whether somebody else than its Team suspended a Workspace.
fn is_suspended_alone(ws: &Workspace) -> bool {
    let sets_it = |entry: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry| {
        let fields = entry.fields_v1.as_ref().map(|fields| &fields.0);
        fields.is_some_and(|fields| fields.pointer("/f:spec/f:suspend").is_some())
    };
    let mut managers = ws.metadata.managed_fields.iter().flatten().filter(|entry| sets_it(entry));
    ws.spec.suspend && managers.any(|entry| entry.manager.as_deref() != Some("atelier-team"))
}

fn what_next(verb: Verb, target: &Target, here: &str, suspended: bool, team: Option<&Team>) -> String {
    let (its, boxes) = match target.kind {
        Kind::Workspace => ("its", "box"),
        Kind::Team => ("its members'", "boxes"),
    };
    let next = match verb {
        Verb::Restart if suspended => {
            format!(
                "{target} is suspended: it takes effect when `kubectl atelier resume {target} {here}` starts it"
            )
        }
        Verb::Restart => format!(
            "{target}: the operator restarts {its} {boxes}; /workspace is kept\nto follow it: kubectl atelier wait {target} {here}"
        ),
        Verb::Suspend => format!(
            "{target}: the operator stops {its} {boxes} and keeps the volumes\nto go on: kubectl atelier resume {target} {here}"
        ),
        Verb::Resume => format!(
            "{target}: the operator starts {its} {boxes} again\nto follow it: kubectl atelier wait {target} {here}"
        ),
    };
    match team.filter(|_| target.kind == Kind::Team).and_then(kept_by) {
        Some(tool) => format!(
            "{next}\nnote: {tool} keeps this Team as Git has it: change it there as well, or it may be undone"
        ),
        None => next,
    }
}

/// The tool that keeps an object as a repository has it.
fn kept_by(team: &Team) -> Option<&'static str> {
    let flux = ["kustomize.toolkit.fluxcd.io/name", "helm.toolkit.fluxcd.io/name"];
    if flux.iter().any(|label| team.labels().contains_key(*label)) {
        return Some("Flux");
    }
    team.annotations().contains_key("argocd.argoproj.io/tracking-id").then_some("Argo CD")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::team::MemberTemplate;
    use crate::plugin::fixtures::{of_team as member, team, workspace};

    const PAIR: [(&str, Option<&str>); 2] = [("a", None), ("b", Some("a"))];

    fn written(change: &Change) -> Vec<String> {
        change
            .writes
            .iter()
            .map(|write| match write {
                Write::Apply { name, manager, body } => format!("{name} {manager} {}", body["spec"]),
                Write::Patch { name, operations } => format!("{name} {operations}"),
            })
            .collect()
    }

    #[test]
    fn a_member_is_changed_in_its_workspace_where_the_team_says_nothing() {
        let studio = team("studio", &PAIR);
        let mut ws = member(&studio, "b", workspace("w"));
        let plan = |verb, ws: &Workspace| written(&of_workspace(verb, ws, Some(&studio), "now").unwrap());
        assert_eq!(plan(Verb::Restart, &ws), [r#"studio-b kubectl-atelier-restart {"restartedAt":"now"}"#]);
        assert_eq!(plan(Verb::Suspend, &ws), [r#"studio-b kubectl-atelier-suspend {"suspend":true}"#]);
        assert_eq!(plan(Verb::Resume, &ws), [""; 0], "it is not suspended");
        ws.spec.suspend = true;
        assert_eq!(plan(Verb::Suspend, &ws), [""; 0]);
        assert_eq!(
            plan(Verb::Resume, &ws),
            [r#"studio-b kubectl-atelier-suspend {"suspend":false}"#, "studio-b kubectl-atelier-suspend {}",]
        );
    }

    #[test]
    fn a_field_that_the_team_sets_is_changed_in_the_team() {
        let mut studio = team("studio", &PAIR);
        let defaults = MemberTemplate {
            suspend: Some(false),
            restarted_at: Some("then".into()),
            ..MemberTemplate::default()
        };
        studio.spec.defaults = Some(defaults);
        let ws = member(&studio, "b", workspace("w"));
        let plan = |verb| written(&of_workspace(verb, &ws, Some(&studio), "now").unwrap());
        let test = r#"{"op":"test","path":"/spec/members/1/name","value":"b"}"#;
        assert_eq!(
            plan(Verb::Suspend),
            [format!(r#"studio [{test},{{"op":"add","path":"/spec/members/1/suspend","value":true}}]"#)]
        );
        assert_eq!(
            plan(Verb::Restart),
            [format!(r#"studio [{test},{{"op":"add","path":"/spec/members/1/restartedAt","value":"now"}}]"#)]
        );
    }

    #[test]
    fn one_alone_does_not_leave_a_suspended_team() {
        let mut studio = team("studio", &PAIR);
        studio.spec.suspend = true;
        let mut ws = member(&studio, "b", workspace("w"));
        ws.spec.suspend = true;
        let refused = of_workspace(Verb::Resume, &ws, Some(&studio), "now").unwrap_err();
        assert!(refused.contains("`kubectl atelier resume team/studio -n demo`"), "{refused}");
    }

    #[test]
    fn a_team_restarts_its_members_where_each_is_told_so() {
        let mut studio = team("studio", &PAIR);
        studio.spec.members[0].template.restarted_at = Some("then".into());
        let all = ["a", "b", "gone"].map(|name| member(&studio, name, workspace("w")));
        let change = of_team(Verb::Restart, &studio, &all, "now");
        assert_eq!(
            written(&change),
            [
                r#"studio [{"op":"test","path":"/spec/members/0/name","value":"a"},{"op":"add","path":"/spec/members/0/restartedAt","value":"now"}]"#,
                r#"studio-b kubectl-atelier-restart {"restartedAt":"now"}"#,
            ]
        );
        assert_eq!(
            change.said,
            "\
team/studio: the operator restarts its members' boxes; /workspace is kept
to follow it: kubectl atelier wait team/studio -n demo"
        );
    }

    #[test]
    fn a_team_is_suspended_and_resumed_as_one() {
        let mut studio = team("studio", &PAIR);
        studio.metadata.labels =
            Some([("kustomize.toolkit.fluxcd.io/name".to_owned(), "x".to_owned())].into());
        let change = of_team(Verb::Suspend, &studio, &[], "now");
        assert_eq!(written(&change), [r#"studio [{"op":"add","path":"/spec/suspend","value":true}]"#]);
        assert!(change.said.contains("note: Flux keeps this Team as Git has it"), "{}", change.said);
        assert_eq!(of_team(Verb::Resume, &studio, &[], "now").writes, []);
        studio.spec.suspend = true;
        assert_eq!(of_team(Verb::Suspend, &studio, &[], "now").writes, []);
        let mut alone = member(&studio, "b", workspace("w"));
        alone.spec.suspend = true;
        let fields = json!({"manager": "kubectl-atelier-suspend", "fieldsV1": {"f:spec": {"f:suspend": {}}}});
        alone.metadata.managed_fields = Some(vec![serde_json::from_value(fields).unwrap()]);
        let change = of_team(Verb::Resume, &studio, &[alone], "now");
        assert!(change.said.ends_with("suspended on their own, and so still: studio-b"), "{}", change.said);
    }
}
