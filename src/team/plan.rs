//! Plan: from what a Team wants and what there is, to what has to be done. No client, no clock.

use super::child::{Body, body, says};
use super::merge::Child;
use crate::api::team::Team;
use crate::api::{Reason, Workspace};
use kube::{Resource, ResourceExt};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What has to be done for a Team.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Children to apply, those that others report to first: a level may go at once, levels one by one.
    pub applies: Vec<Vec<Apply>>,
    /// Workspaces of members that were removed.
    pub prunes: Vec<Prune>,
    /// Children that cannot be applied now.
    pub troubles: Vec<Trouble>,
    /// Workspaces of removed members that are on their way out.
    pub leaving: Vec<String>,
}

impl Plan {
    /// Whether carrying it out would change anything.
    pub fn has_effects(&self) -> bool {
        !(self.applies.is_empty() && self.prunes.is_empty())
    }
}

/// A child to apply.
#[derive(Clone, Debug, PartialEq)]
pub struct Apply {
    /// The member's name.
    pub member: String,
    /// The Workspace's name.
    pub name: String,
    /// What to send.
    pub body: Body,
    /// The uid and generation of the Workspace that there is.
    pub existing: Option<(String, i64)>,
}

/// A Workspace to delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prune {
    /// Its name.
    pub name: String,
    /// Its uid: no other object of this name may go.
    pub uid: String,
}

/// Why a child is not as the Team wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The member's name.
    pub member: String,
    /// The reason.
    pub reason: Reason,
    /// What was observed and what to do.
    pub message: String,
}

/// Plans one pass. `found` holds at least every Workspace of the namespace that has a child's name or this
/// Team as its controller. `refused` knows the applies that the API server refused lately: sending the same
/// again would change nothing.
pub fn plan(
    team: &Team,
    wanted: &[Child],
    found: &[Arc<Workspace>],
    refused: impl Fn(&Apply) -> Option<Trouble>,
) -> Plan {
    let by_name: BTreeMap<String, &Workspace> = found.iter().map(|ws| (ws.name_any(), &**ws)).collect();
    let depths = depths(wanted);
    let mut levels: BTreeMap<usize, Vec<Apply>> = BTreeMap::new();
    let mut plan = Plan::default();
    for child in wanted {
        match step(team, child, by_name.get(&child.name).copied()) {
            Step::Keep => {}
            Step::Wait(reason, message) => {
                plan.troubles.push(Trouble { member: child.member.clone(), reason, message });
            }
            Step::Apply(apply) => match refused(&apply) {
                Some(trouble) => plan.troubles.push(trouble),
                None => levels.entry(depths[child.member.as_str()]).or_default().push(apply),
            },
        }
    }
    plan.applies = levels.into_values().collect();
    for (name, ws) in by_name {
        let Some(uid) = ws.uid() else { continue };
        if owner(team, ws) != Owner::ThisTeam || wanted.iter().any(|child| child.name == name) {
            continue;
        }
        if ws.metadata.deletion_timestamp.is_some() {
            plan.leaving.push(name);
        } else {
            plan.prunes.push(Prune { name, uid });
        }
    }
    plan
}

enum Step {
    Keep,
    Apply(Apply),
    Wait(Reason, String),
}

fn step(team: &Team, child: &Child, existing: Option<&Workspace>) -> Step {
    let name = &child.name;
    let apply = |existing: Option<(String, i64)>| {
        let body = body(team, child, existing.as_ref().map(|(uid, _)| uid.as_str()));
        Apply { member: child.member.clone(), name: name.clone(), body, existing }
    };
    let Some(existing) = existing else { return Step::Apply(apply(None)) };
    let terminating = existing.metadata.deletion_timestamp.is_some();
    match owner(team, existing) {
        _ if terminating => Step::Wait(
            Reason::WaitingForTermination,
            format!("Workspace {name} is being deleted; it is made again when it is gone"),
        ),
        Owner::ThisTeam => {
            let uid = existing.uid().unwrap_or_default();
            let apply = apply(Some((uid, existing.metadata.generation.unwrap_or_default())));
            if says(existing, &apply.body) { Step::Keep } else { Step::Apply(apply) }
        }
        Owner::EarlierTeam => Step::Wait(
            Reason::WaitingForTermination,
            format!(
                "Workspace {name} belongs to an earlier Team of this name; it is made anew when it is gone"
            ),
        ),
        Owner::Other(whose) => Step::Wait(
            Reason::NameConflict,
            format!(
                "Workspace {name} exists and belongs to {whose}: rename the member or the Team, or delete that Workspace"
            ),
        ),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Owner {
    ThisTeam,
    EarlierTeam,
    Other(String),
}

fn owner(team: &Team, ws: &Workspace) -> Owner {
    let owners = ws.metadata.owner_references.iter().flatten();
    let Some(owner) = owners.into_iter().find(|o| o.controller == Some(true)) else {
        return Owner::Other("no Team".into());
    };
    if Some(&owner.uid) == team.metadata.uid.as_ref() {
        return Owner::ThisTeam;
    }
    let group = owner.api_version.split('/').next();
    let a_team = group == Some(&*Team::group(&())) && owner.kind == Team::kind(&());
    if a_team && owner.name == team.name_any() {
        return Owner::EarlierTeam;
    }
    Owner::Other(format!("{} {}", owner.kind, owner.name))
}

/// How many others each member reports to, directly or not. Total also for a circle.
fn depths(wanted: &[Child]) -> BTreeMap<&str, usize> {
    let boss: BTreeMap<&str, Option<&str>> =
        wanted.iter().map(|child| (child.member.as_str(), child.reports_to.as_deref())).collect();
    let up = |member: &&str| boss.get(*member).copied().flatten();
    boss.keys()
        .map(|member| {
            let chain = std::iter::successors(up(member), |boss| up(boss));
            (*member, chain.take(wanted.len()).count())
        })
        .collect()
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
