//! What agents ask about others: discover, peers, check-access, one workspace. Answered by every replica.

use super::auth::{Caller, Id, header};
use super::{Refusal, Registry, reply, standing};
use crate::api::Workspace;
use atelier_wire::paths::WORKSPACE_ID_HEADER;
use atelier_wire::{CheckAccess, CheckAccessReply, DiscoverReply, Peer, WorkspaceView};
use axum::Json;
use axum::extract::{Query, Request, State};
use axum::http::Uri;
use kube::ResourceExt;
use serde::Deserialize;
use std::sync::Arc;

/// GET `/registry/discover/:id`.
pub async fn discover(
    State(registry): State<Arc<Registry>>,
    Id(target): Id,
    request: Request,
) -> Result<Json<DiscoverReply>, Refusal> {
    let (parts, _) = request.into_parts();
    let Some(named) = header(&parts, WORKSPACE_ID_HEADER) else {
        return Err(Refusal::bad(format!(
            "the header {WORKSPACE_ID_HEADER} is missing: it must be your own id"
        )));
    };
    let caller = registry.reader(&parts, named, WORKSPACE_ID_HEADER).await?;
    let target = within_reach(&registry, &caller, &target)?;
    let voice = registry.voice(&target);
    let status = standing::status(&target, voice.as_ref());
    if !standing::is_connected(status) {
        return Err(Refusal::not_connected(status));
    }
    Ok(Json(DiscoverReply {
        id: target.uid().unwrap_or_default(),
        url: standing::url(&target, voice.as_ref()),
        name: standing::display_name(&target),
    }))
}

#[derive(Deserialize)]
struct Search {
    #[serde(default)]
    q: String,
}

/// GET `/registry/:id/peers?q=`.
pub async fn peers(
    State(registry): State<Arc<Registry>>,
    Id(named): Id,
    request: Request,
) -> Result<Json<Vec<Peer>>, Refusal> {
    let (parts, _) = request.into_parts();
    let caller = registry.reader(&parts, &named, "the id in the path").await?;
    let sought = sought(&parts.uri)?;
    let peers = registry.directory.peers(&caller);
    let peers = peers.iter().map(|peer| registry.peer(peer)).filter(|peer| matches(peer, &sought));
    Ok(Json(peers.collect()))
}

/// POST `/registry/check-access`.
pub async fn check_access(
    State(registry): State<Arc<Registry>>,
    caller: Caller,
    request: Request,
) -> Result<Json<CheckAccessReply>, Refusal> {
    let body = reply::body(request, registry.settings.body_deadline).await?;
    let CheckAccess { caller_id, target_id } = reply::json(&body)?;
    caller.must_be("`caller_id`", &caller_id)?;
    let target = registry.directory.find(&target_id);
    let allowed = target.is_some_and(|target| registry.directory.reaches(&caller.workspace, &target));
    Ok(Json(CheckAccessReply { allowed }))
}

/// GET `/workspaces/:id`. Without a token, one's own alone.
pub async fn workspace(
    State(registry): State<Arc<Registry>>,
    Id(target): Id,
    request: Request,
) -> Result<Json<WorkspaceView>, Refusal> {
    let (parts, _) = request.into_parts();
    let target = match Caller::of(&parts, &registry).await? {
        Some(caller) => within_reach(&registry, &caller.workspace, &target)?,
        None => registry.reader(&parts, &target, "the id in the path").await?,
    };
    let parent = registry.directory.parent(&target);
    Ok(Json(WorkspaceView {
        id: target.uid().unwrap_or_default(),
        name: standing::display_name(&target),
        role: standing::role(&target),
        tier: target.spec.tier.number(),
        status: standing::status(&target, registry.voice(&target).as_ref()),
        parent_id: parent.and_then(|parent| parent.uid()),
    }))
}

fn within_reach(registry: &Registry, caller: &Workspace, target: &str) -> Result<Arc<Workspace>, Refusal> {
    let Some(target) = registry.directory.find(target) else {
        return Err(Refusal::not_found("there is no workspace of this id"));
    };
    if !registry.directory.reaches(caller, &target) {
        return Err(Refusal::forbidden(
            "this workspace is not within your reach: it is neither in your line of reports nor your sibling",
        ));
    }
    Ok(target)
}

impl Registry {
    fn peer(&self, workspace: &Workspace) -> Peer {
        let voice = self.voice(workspace);
        let status = standing::status(workspace, voice.as_ref());
        let url = standing::url(workspace, voice.as_ref());
        Peer {
            id: workspace.uid().unwrap_or_default(),
            name: standing::display_name(workspace),
            role: standing::role(workspace),
            tier: workspace.spec.tier.number(),
            status,
            agent_card: standing::card(workspace, voice.as_ref(), &url),
            url: Some(url).filter(|_| standing::is_connected(status)).unwrap_or_default(),
            parent_id: self.directory.parent(workspace).and_then(|parent| parent.uid()),
            active_tasks: voice.map_or(0, |voice| voice.active_tasks),
        }
    }
}

fn sought(uri: &Uri) -> Result<String, Refusal> {
    let Query(Search { q }) =
        Query::try_from_uri(uri).map_err(|_| Refusal::bad("the query `q` is no text"))?;
    Ok(q.trim().to_lowercase())
}

/// Whether a peer's name, role or skills contain what is sought, whatever its case.
fn matches(peer: &Peer, sought: &str) -> bool {
    let card = peer.agent_card.as_ref();
    let skills = card.map(|card| card.skills.as_slice()).unwrap_or_default();
    let texts = [&peer.name, &peer.role].into_iter();
    let said = card.iter().flat_map(|card| [&card.name, &card.description]);
    let skilled =
        skills.iter().flat_map(|skill| [&skill.name, &skill.description].into_iter().chain(&skill.tags));
    texts.chain(said).chain(skilled).any(|text| text.to_lowercase().contains(sought))
}
