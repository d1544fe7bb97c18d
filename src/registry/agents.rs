//! What agents say of themselves: register, heartbeat, update-card, boot, exit. Heard by the leader alone.

use super::auth::{Booting, Caller};
use super::{Refusal, Registry, advertised, reply, standing};
use atelier_wire::{Boot, Exit, Heartbeat, Register, StatusReply, StatusWord, UpdateCard};
use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use k8s_openapi::jiff::Timestamp;
use std::sync::Arc;

/// POST `/registry/register`.
pub async fn register(State(registry): State<Arc<Registry>>, caller: Caller, request: Request) -> Response {
    heard(&registry, &caller, request, |body| {
        accept_registration(&registry, &caller, body).inspect_err(|refusal| {
            // It registers once and reads no answer: the person who looks at the Workspace must see why.
            let (uid, attempt, error) = (&caller.uid, caller.attempt, &refusal.body.error);
            if registry.liveness.rejected(uid, attempt, error, Timestamp::now()) {
                tracing::warn!(uid, attempt, error, "refused a registration");
            }
        })
    })
    .await
}

fn accept_registration(registry: &Registry, caller: &Caller, body: &[u8]) -> Result<Response, Refusal> {
    let register: Register = reply::json(body)?;
    caller.must_be("`id`", &register.id)?;
    let url = advertised::check(&register.url, &caller.workspace).map_err(Refusal::bad)?;
    let now = Timestamp::now();
    let (uid, attempt) = (&caller.uid, caller.attempt);
    if registry.liveness.registered(uid, attempt, &url, &register.agent_card, now) {
        tracing::info!(uid, attempt, url, "an agent registered");
    }
    Ok(said(StatusWord::Registered))
}

/// POST `/registry/heartbeat`.
pub async fn heartbeat(State(registry): State<Arc<Registry>>, caller: Caller, request: Request) -> Response {
    heard(&registry, &caller, request, |body| {
        let beat: Heartbeat = reply::json(body)?;
        caller.must_be("`workspace_id`", &beat.workspace_id)?;
        registry.liveness.heartbeat(&caller.uid, caller.attempt, &beat, Timestamp::now());
        Ok(said(StatusWord::Ok))
    })
    .await
}

/// POST `/registry/update-card`. A card's own url counts where it is the box's, and is passed over elsewhere.
pub async fn update_card(
    State(registry): State<Arc<Registry>>,
    caller: Caller,
    request: Request,
) -> Response {
    heard(&registry, &caller, request, |body| {
        let UpdateCard { workspace_id, agent_card } = reply::json(body)?;
        caller.must_be("`workspace_id`", &workspace_id)?;
        let known = || standing::url(&caller.workspace, registry.voice(&caller.workspace).as_ref());
        let url = advertised::check(&agent_card.url, &caller.workspace).unwrap_or_else(|_| known());
        registry.liveness.card_updated(&caller.uid, caller.attempt, &url, &agent_card, Timestamp::now());
        Ok(said(StatusWord::Updated))
    })
    .await
}

/// POST `/registry/boot`.
pub async fn boot(
    State(registry): State<Arc<Registry>>,
    Booting(caller): Booting,
    request: Request,
) -> Response {
    heard(&registry, &caller, request, |body| {
        let boot: Boot = reply::json(body)?;
        registry.liveness.boot(&caller.uid, caller.attempt, &boot, Timestamp::now());
        Ok(StatusCode::NO_CONTENT.into_response())
    })
    .await
}

/// POST `/registry/exit`.
pub async fn exit(State(registry): State<Arc<Registry>>, caller: Caller, request: Request) -> Response {
    heard(&registry, &caller, request, |body| {
        let exit: Exit = reply::json(body)?;
        registry.liveness.exit(&caller.uid, caller.attempt, &exit, Timestamp::now());
        Ok(StatusCode::NO_CONTENT.into_response())
    })
    .await
}

/// Hears a call where this process leads, or has the leader hear it.
async fn heard(
    registry: &Registry,
    caller: &Caller,
    request: Request,
    hear: impl FnOnce(&[u8]) -> Result<Response, Refusal>,
) -> Response {
    let (parts, body) = request.into_parts();
    let request = Request::from_parts(parts.clone(), body);
    let body = match reply::body(request, registry.settings.body_deadline).await {
        Ok(body) => body,
        Err(refusal) => return refusal.into_response(),
    };
    if registry.leads() {
        return hear(&body).unwrap_or_else(IntoResponse::into_response);
    }
    tracing::debug!(uid = caller.uid, path = parts.uri.path(), "forwarded to the leader");
    registry.forward(&parts, body).await.unwrap_or_else(IntoResponse::into_response)
}

fn said(status: StatusWord) -> Response {
    Json(StatusReply { status }).into_response()
}
