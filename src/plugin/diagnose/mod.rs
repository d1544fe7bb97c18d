//! Diagnose: a verdict in words, of one Team or Workspace or of all.

mod judge;
pub mod report;
pub mod text;

use super::args::{DiagnoseArgs, Output};
use super::cluster::{Answer, Cluster};
use super::feed::{Scope, Snapshot};
use super::lease::{Controller, ControllerFlags, look};
use super::standing::{State, standing};
use super::target::{Kind, Target};
use super::terminal::{self, Paint, Terminal};
use super::tree::team_of;
use super::{Done, End};
use crate::api::{BackendConfig, Team, Workspace, names};
use judge::Beside;
use k8s_openapi::api::core::v1::Event;
use k8s_openapi::jiff::Timestamp;
use kube::{Api, ResourceExt, api::ListParams};
use report::{Report, Verdict};
use serde_json::json;
use std::collections::BTreeSet;

/// Of so many members the events are read.
const MEMBERS_WITH_EVENTS: usize = 8;

/// Tells what is wrong.
///
/// # Errors
/// When it could not be told, or there is no such object.
pub async fn diagnose(cluster: &Cluster, terminal: Terminal, args: &DiagnoseArgs) -> Done {
    let untold = |why: &dyn std::fmt::Display| (End::Unknown, why.to_string());
    let reports = if let Some(target) = &args.target {
        vec![one(cluster, target, &args.controller).await?]
    } else {
        let namespace = Some(cluster.namespace.clone()).filter(|_| !args.all_namespaces);
        let scope = Scope { namespace, target: None };
        let seen = scope.read(cluster).await.map_err(|why| untold(&why))?;
        all(cluster, &seen, &args.controller).await
    };
    let text = match args.output {
        None => plain(&reports, terminal.paint),
        Some(output) => {
            let whole = match (&args.target, reports.as_slice()) {
                (Some(_), [one]) => serde_json::to_value(one),
                _ => Ok(json!({"items": reports})),
            };
            let whole = whole.map_err(|why| untold(&why))?;
            match output {
                Output::Json => serde_json::to_string_pretty(&whole)
                    .map(|text| text + "\n")
                    .map_err(|why| untold(&why))?,
                Output::Yaml => serde_saphyr::to_string(&whole).map_err(|why| untold(&why))?,
            }
        }
    };
    let _ = terminal::print(&text);
    Ok(end(&reports))
}

/// How it ends: the worst of all.
fn end(reports: &[Report]) -> End {
    let any = |verdict| reports.iter().any(|report| report.verdict == verdict);
    match () {
        () if any(Verdict::NotHealthy) => End::Bad,
        () if any(Verdict::Unknown) => End::Unknown,
        () => End::Good,
    }
}

fn plain(reports: &[Report], paint: Paint) -> String {
    if reports.is_empty() {
        return "there is no Team and no Workspace: nothing is wrong with any\n".to_owned();
    }
    let now = Timestamp::now();
    let sick = reports.iter().filter(|report| report.verdict != Verdict::Healthy);
    let well = reports.iter().filter(|report| report.verdict == Verdict::Healthy);
    let sick: Vec<String> = sick.map(|report| text::render(report, now, paint)).collect();
    let well: String = well.map(|report| text::render(report, now, paint)).collect();
    let blocks: Vec<String> = sick.into_iter().chain(Some(well).filter(|text| !text.is_empty())).collect();
    blocks.join("\n")
}

/// The report of one object.
///
/// # Errors
/// When there is none, or it cannot be read.
pub async fn one(
    cluster: &Cluster,
    target: &Target,
    flags: &ControllerFlags,
) -> Result<Report, (End, String)> {
    let scope = Scope { namespace: Some(cluster.namespace.clone()), target: Some(target.clone()) };
    let seen = scope.read(cluster).await.map_err(|why| (End::Unknown, why.to_string()))?;
    let surroundings = Surroundings::read(cluster, flags).await;
    let found = match target.kind {
        Kind::Team => match seen.teams.first() {
            Some(team) => Some(surroundings.team(cluster, team, &seen.workspaces).await),
            None => None,
        },
        Kind::Workspace => match seen.workspaces.first() {
            Some(ws) => {
                let with = suspended_with(cluster, ws).await;
                Some(surroundings.workspace(cluster, ws, with.as_deref()).await)
            }
            None => None,
        },
    };
    match found {
        Some(report) => Ok(report),
        None => Err((End::Bad, missing(cluster, target).await)),
    }
}

/// What is said of an object that is not there.
pub async fn missing(cluster: &Cluster, target: &Target) -> String {
    let here = &cluster.namespace;
    let elsewhere = Scope { namespace: None, target: Some(target.clone()) };
    let elsewhere = elsewhere.read(cluster).await.map(|seen| match target.kind {
        Kind::Team => seen.teams.iter().filter_map(ResourceExt::namespace).collect::<Vec<_>>(),
        Kind::Workspace => seen.workspaces.iter().filter_map(ResourceExt::namespace).collect(),
    });
    let hint = match elsewhere {
        Ok(places) if !places.is_empty() => format!("; there is one in {0}: add -n {0}", places.join(", ")),
        Ok(_) => "; nor is there in any other: `kubectl atelier tree -A` shows what there is".to_owned(),
        Err(_) => format!("; `kubectl atelier tree -n {here}` shows what there is"),
    };
    format!("there is no {target} in the namespace {here}{hint}")
}

/// The Team of a Workspace, if that is suspended as a whole.
async fn suspended_with(cluster: &Cluster, ws: &Workspace) -> Option<String> {
    let (name, _) = team_of(ws).filter(|_| ws.spec.suspend)?;
    let team: Option<Team> = cluster.get(&ws.namespace().unwrap_or_default(), name).await.ok()?;
    team.filter(|team| team.spec.suspend).map(|team| team.name_any())
}

/// What has to be resumed for a suspended target to go on: itself, or the Team that it is suspended with.
pub async fn to_resume(cluster: &Cluster, target: &Target) -> Target {
    let scope = Scope { namespace: Some(cluster.namespace.clone()), target: Some(target.clone()) };
    let seen = scope.read(cluster).await.unwrap_or_default();
    match seen.workspaces.first().filter(|_| target.kind == Kind::Workspace) {
        Some(ws) => suspended_with(cluster, ws).await.map_or_else(|| target.clone(), Target::team),
        None => target.clone(),
    }
}

async fn all(cluster: &Cluster, seen: &Snapshot, flags: &ControllerFlags) -> Vec<Report> {
    let surroundings = Surroundings::read(cluster, flags).await;
    let mut reports = Vec::new();
    let known: BTreeSet<&str> = seen.teams.iter().filter_map(|team| team.metadata.uid.as_deref()).collect();
    for team in &seen.teams {
        reports.push(surroundings.team(cluster, team, &seen.workspaces).await);
    }
    for ws in seen.workspaces.iter().filter(|ws| team_of(ws).is_none_or(|(_, uid)| !known.contains(uid))) {
        reports.push(surroundings.workspace(cluster, ws, None).await);
    }
    reports.sort_by_key(|report| (report.state, report.namespace.clone(), report.name.clone()));
    reports
}

/// What is read once, whatever is diagnosed.
struct Surroundings {
    controller: Controller,
    configs: Answer<Vec<BackendConfig>>,
}

impl Surroundings {
    async fn read(cluster: &Cluster, flags: &ControllerFlags) -> Self {
        let api: Api<BackendConfig> = Api::all(cluster.client.clone());
        let params = ListParams::default();
        let (controller, configs) = tokio::join!(look(cluster, flags), cluster.list_of(&api, &params));
        Self { controller, configs }
    }

    fn beside<'a>(&'a self, events: &'a Answer<Vec<Event>>, suspended_with: Option<&'a str>) -> Beside<'a> {
        Beside { events, controller: &self.controller, configs: &self.configs, suspended_with }
    }

    async fn workspace(&self, cluster: &Cluster, ws: &Workspace, with: Option<&str>) -> Report {
        let events = events(cluster, ws).await;
        judge::of_workspace(ws, self.beside(&events, with))
    }

    async fn team(&self, cluster: &Cluster, team: &Team, workspaces: &[Workspace]) -> Report {
        let uid = team.metadata.uid.as_deref();
        let mine = |ws: &&Workspace| team_of(ws).is_some_and(|(_, of)| Some(of) == uid);
        let mine: Vec<&Workspace> = workspaces.iter().filter(mine).collect();
        let names: BTreeSet<String> = mine.iter().map(|ws| ws.name_any()).collect();
        let has_none = |member: &&String| !names.contains(&names::child(&team.name_any(), member));
        let missing: Vec<String> =
            team.spec.members.iter().map(|member| &member.name).filter(has_none).cloned().collect();
        let mut unready: Vec<&Workspace> =
            mine.into_iter().filter(|ws| standing(*ws).state != State::Ready).collect();
        unready.sort_by_key(|ws| (standing(*ws).state, ws.name_any()));
        let name = team.name_any();
        let with = Some(name.as_str()).filter(|_| team.spec.suspend);
        let mut members = Vec::new();
        for (place, ws) in unready.into_iter().enumerate() {
            let read = if place < MEMBERS_WITH_EVENTS { events(cluster, ws).await } else { Ok(Vec::new()) };
            let mut member = judge::of_workspace(ws, self.beside(&read, with));
            // It stands once, with the Team.
            member.notes.retain(|note| *note != self.controller.to_string());
            members.push(member);
        }
        let of_team = events(cluster, team).await;
        judge::of_team(team, members, &missing, self.beside(&of_team, None))
    }
}

async fn events<K: ResourceExt>(cluster: &Cluster, object: &K) -> Answer<Vec<Event>> {
    cluster.events(&object.namespace().unwrap_or_default(), &object.uid().unwrap_or_default()).await
}

#[cfg(test)]
mod tests;
