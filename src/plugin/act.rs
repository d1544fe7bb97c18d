//! Act: carries out restart, suspend and resume.

use super::args::TargetArgs;
use super::change::{self, Change, Verb, Write};
use super::cluster::{Cluster, Refusal};
use super::diagnose;
use super::feed::Scope;
use super::lease;
use super::target::Kind;
use super::terminal;
use super::tree::team_of;
use super::{Done, End};
use crate::api::{Team, Workspace};
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::{Patch, PatchParams};

/// Changes a Team or a Workspace, and says what happens next.
///
/// # Errors
/// When there is no such object, or it cannot be changed.
pub async fn act(cluster: &Cluster, verb: Verb, args: &TargetArgs) -> Done {
    let target = &args.target;
    let bad = |why: &Refusal| (End::Bad, why.to_string());
    let namespace = cluster.namespace.as_str();
    let scope = Scope { namespace: Some(namespace.to_owned()), target: Some(target.clone()) };
    let seen = scope.read(cluster).await.map_err(|why| bad(&why))?;
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let change = match (target.kind, seen.teams.first(), seen.workspaces.first()) {
        (Kind::Team, Some(team), _) => change::of_team(verb, team, &seen.workspaces, &now),
        (Kind::Workspace, _, Some(ws)) => {
            let team: Option<Team> = match team_of(ws) {
                Some((name, _)) => cluster.get(namespace, name).await.map_err(|why| bad(&why))?,
                None => None,
            };
            change::of_workspace(verb, ws, team.as_ref(), &now).map_err(|why| (End::Bad, why))?
        }
        _ => return Err((End::Bad, diagnose::missing(cluster, target).await)),
    };
    let Change { writes, said } = change;
    for (done, write) in writes.iter().enumerate() {
        if let Err(why) = carry_out(cluster, write).await {
            let before =
                if done == 0 { String::new() } else { format!(" ({done} of {} were made)", writes.len()) };
            return Err((End::Bad, format!("the change was not made{before}: {why}")));
        }
    }
    let _ = terminal::print(&format!("{said}\n"));
    if !writes.is_empty() {
        let controller = lease::look(cluster, &args.controller).await;
        if controller.is_down() {
            let _ = terminal::print(&format!("note: {controller}; nothing happens until one does\n"));
        }
    }
    Ok(End::Good)
}

async fn carry_out(cluster: &Cluster, write: &Write) -> Result<(), Refusal> {
    let namespace = Some(cluster.namespace.as_str());
    match write {
        Write::Apply { name, manager, body } => {
            let api: Api<Workspace> = cluster.api(namespace);
            let params = PatchParams::apply(manager).force();
            cluster.ask(api.patch(name, &params, &Patch::Apply(body))).await.map(drop)
        }
        Write::Patch { name, operations } => {
            let api: Api<Team> = cluster.api(namespace);
            let operations = serde_json::from_value(operations.clone())
                .map_err(|why| Refusal::Refused(why.to_string()))?;
            let patch = Patch::Json::<()>(operations);
            let params =
                PatchParams { field_manager: Some("kubectl-atelier".to_owned()), ..PatchParams::default() };
            cluster.ask(api.patch(name, &params, &patch)).await.map(drop)
        }
    }
}
