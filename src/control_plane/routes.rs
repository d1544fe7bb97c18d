//! The calls: from HTTP to what they do, and back.

use super::auth::Caller;
use super::faults::Fault;
use super::plane::ControlPlane;
use super::resolve::{Named, Which};
use super::server::{BODY_MAX_BYTES, RequestId, json};
use super::{lifecycle, parse, preflight as check, provision as launching, sweep, volumes};
use atelier_wire::control_plane::{
    Console, Deleted, InstancePage, InstanceView, PROVISION_MAX_BYTES, PreflightReply, Provisioned,
    Resources, VolumeView,
};
use axum::extract::{Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures::FutureExt;
use serde::Deserialize;
use std::sync::Arc;

type Plane = State<Arc<ControlPlane>>;
type From = Extension<Caller>;
type Answer<T> = Result<Json<T>, Fault>;

pub async fn provision(
    State(plane): Plane,
    Extension(caller): From,
    request: Request,
) -> Result<(StatusCode, Json<Provisioned>), Fault> {
    let order = json(request, PROVISION_MAX_BYTES).await?;
    Ok((StatusCode::CREATED, Json(launching::provision(&plane, &caller, order).await?)))
}

/// The parameters of a list.
#[derive(Debug, Deserialize)]
pub struct Listed {
    #[serde(default)]
    cluster_id: Option<String>,
    #[serde(default)]
    page: Option<String>,
}

pub async fn list(
    State(plane): Plane,
    Extension(caller): From,
    Query(Listed { cluster_id, page }): Query<Listed>,
) -> Answer<InstancePage> {
    let cluster = parse::cluster(cluster_id.as_deref(), &caller)?;
    let page = page.filter(|page| !page.is_empty());
    Ok(Json(sweep::instances(&plane, cluster, page).await?))
}

pub async fn resources(
    State(plane): Plane,
    Extension(caller): From,
    Query(Listed { cluster_id, .. }): Query<Listed>,
) -> Answer<Resources> {
    let cluster = parse::cluster(cluster_id.as_deref(), &caller)?;
    Ok(Json(sweep::resources(&plane, cluster).await?))
}

pub async fn status(
    State(plane): Plane,
    Extension(caller): From,
    Path(id): Path<String>,
    Query(named): Query<Named>,
) -> Answer<InstanceView> {
    Ok(Json(lifecycle::status(&plane, &Which::new(&caller, &id, named)?).await?))
}

pub async fn delete(
    State(plane): Plane,
    Extension(caller): From,
    Path(id): Path<String>,
    Query(named): Query<Named>,
) -> Answer<Deleted> {
    Ok(Json(lifecycle::delete(&plane, &Which::new(&caller, &id, named)?).await?))
}

pub async fn stop(
    State(plane): Plane,
    Extension(caller): From,
    Path(id): Path<String>,
    Query(named): Query<Named>,
) -> Answer<InstanceView> {
    Ok(Json(lifecycle::stop(&plane, &Which::new(&caller, &id, named)?).await?))
}

pub async fn start(
    State(plane): Plane,
    Extension(caller): From,
    Path(id): Path<String>,
    Query(named): Query<Named>,
) -> Answer<InstanceView> {
    Ok(Json(lifecycle::start(&plane, &Which::new(&caller, &id, named)?).await?))
}

pub async fn console(
    State(plane): Plane,
    Extension(caller): From,
    Path(id): Path<String>,
    Query(named): Query<Named>,
) -> Answer<Console> {
    Ok(Json(lifecycle::console(&plane, &Which::new(&caller, &id, named)?).await?))
}

pub async fn create_volume(
    State(plane): Plane,
    Extension(caller): From,
    Path(id): Path<String>,
    request: Request,
) -> Answer<VolumeView> {
    let order = json(request, BODY_MAX_BYTES).await?;
    Ok(Json(volumes::create(&plane, &caller, &id, order).await?))
}

pub async fn attach_volume(
    State(plane): Plane,
    Extension(caller): From,
    Path(id): Path<String>,
    request: Request,
) -> Answer<VolumeView> {
    let order = json(request, BODY_MAX_BYTES).await?;
    Ok(Json(volumes::attach(&plane, &caller, &id, order).await?))
}

pub async fn retain_volume(
    State(plane): Plane,
    Extension(caller): From,
    Path(id): Path<String>,
) -> Answer<VolumeView> {
    Ok(Json(volumes::retain(&plane, &caller, &id).await?))
}

pub async fn delete_volume(
    State(plane): Plane,
    Extension(caller): From,
    Path(id): Path<String>,
) -> Answer<Deleted> {
    Ok(Json(volumes::delete(&plane, &caller, &id).await?))
}

pub async fn delete_network_interface(
    State(plane): Plane,
    Extension(caller): From,
    Path(id): Path<String>,
) -> Answer<Deleted> {
    Ok(Json(volumes::delete_interface(&plane, &caller, &id).await?))
}

pub async fn preflight(
    State(plane): Plane,
    Extension(caller): From,
    Extension(RequestId(request_id)): Extension<RequestId>,
    request: Request,
) -> Answer<PreflightReply> {
    let order = json(request, BODY_MAX_BYTES).await?;
    Ok(Json(check::preflight(&plane, &caller, order, &request_id).await?))
}

/// Whether credentials and Region work.
pub async fn ready(State(plane): Plane) -> Result<&'static str, Fault> {
    let asking = plane.clone();
    // Nobody has to say who they are for this, so however many ask, EC2 is asked once.
    let ready =
        plane.readiness.join((), || async move { asking.account.ready(&asking.ec2).await }.boxed()).await;
    ready.map(|()| "ok\n").map_err(|fault| Fault { status: 503, ..fault })
}

pub async fn metrics(State(plane): Plane) -> Response {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match plane.metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
