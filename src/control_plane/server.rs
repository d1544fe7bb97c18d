//! The HTTP side: what goes around every call, and the routes.

use super::auth::{Caller, Scope};
use super::faults::Fault;
use super::metrics::Call;
use super::plane::ControlPlane;
use super::routes;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, post};
use axum::{Json, Router};
use data_encoding::HEXLOWER;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tracing::info;

/// The longest body of a call that is no provision, in bytes.
pub const BODY_MAX_BYTES: usize = 64 * 1024;
/// How long a body may take to arrive.
const BODY_DEADLINE: Duration = Duration::from_secs(10);
/// How many calls may be under way: each may hold a body in memory.
const CALLS_MAX: usize = 2_048;
/// How much of a path is logged, in characters.
const LOGGED_PATH_MAX: usize = 200;
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const ADMIN_TOKEN: HeaderName = HeaderName::from_static("x-molecule-admin-token");

/// The id of a call, in its answer and in the log.
#[derive(Clone, Debug)]
pub struct RequestId(pub String);

/// What stands around one route.
#[derive(Clone)]
struct Around {
    plane: Arc<ControlPlane>,
    call: Call,
    slots: Arc<Semaphore>,
}

impl IntoResponse for Fault {
    /// `around` puts the body together: it knows the request's id.
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// All routes.
pub fn router(plane: &Arc<ControlPlane>) -> Router {
    let slots = Arc::new(Semaphore::new(CALLS_MAX));
    let around = |call, routes: MethodRouter<Arc<ControlPlane>>| {
        let around = Around { plane: plane.clone(), call, slots: slots.clone() };
        routes.layer(from_fn_with_state(around, self::around))
    };
    let mut router = Router::new();
    for (path, call) in [
        ("/cp/workspaces/provision", around(Call::Provision, post(routes::provision))),
        ("/cp/workspaces", around(Call::List, get(routes::list))),
        ("/cp/workspaces/{id}", around(Call::Delete, delete(routes::delete))),
        ("/cp/workspaces/{id}/status", around(Call::Status, get(routes::status))),
        ("/cp/workspaces/{id}/stop", around(Call::Stop, post(routes::stop))),
        ("/cp/workspaces/{id}/start", around(Call::Start, post(routes::start))),
        ("/cp/admin/workspaces/{id}/console", around(Call::Console, get(routes::console))),
        ("/cp/workspaces/{id}/volume", around(Call::CreateVolume, post(routes::create_volume))),
        ("/cp/workspaces/{id}/volume/attach", around(Call::AttachVolume, post(routes::attach_volume))),
        ("/cp/volumes/{id}/retain", around(Call::RetainVolume, post(routes::retain_volume))),
        ("/cp/volumes/{id}", around(Call::DeleteVolume, delete(routes::delete_volume))),
        (
            "/cp/network-interfaces/{id}",
            around(Call::DeleteNetworkInterface, delete(routes::delete_network_interface)),
        ),
        ("/cp/resources", around(Call::Resources, get(routes::resources))),
        ("/cp/preflight", around(Call::Preflight, post(routes::preflight))),
    ] {
        router = router.route(path, call);
    }
    let outside = Around { plane: plane.clone(), call: Call::Unknown, slots };
    router
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(routes::ready))
        .route("/metrics", get(routes::metrics))
        .fallback(unknown_path)
        .method_not_allowed_fallback(unknown_method)
        .layer(from_fn_with_state(outside, outermost))
        .with_state(plane.clone())
}

async fn unknown_path() -> Fault {
    Fault::not_found("there is no such path")
}

async fn unknown_method() -> Fault {
    Fault::method()
}

/// Gives every call an id, and every fault that has no body yet one.
async fn outermost(State(around): State<Around>, mut request: Request, next: Next) -> Response {
    let id = RequestId(HEXLOWER.encode(&rand::random::<[u8; 8]>()));
    request.extensions_mut().insert(id.clone());
    let begun = Instant::now();
    let mut response = next.run(request).await;
    if let Some(fault) = response.extensions_mut().remove::<Fault>() {
        around.plane.metrics.answered(around.call, fault.status, begun.elapsed());
        response = answer(&fault, &id);
    }
    if let Ok(value) = HeaderValue::from_str(&id.0) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// Lets only known callers through, and says and counts how the call ended.
async fn around(State(around): State<Around>, mut request: Request, next: Next) -> Response {
    let Around { plane, call, slots } = around;
    let begun = Instant::now();
    let id = request.extensions().get::<RequestId>().cloned().unwrap_or(RequestId(String::new()));
    let caller = identify(&plane, call, &request);
    let name = caller.as_ref().map(|caller| caller.name().to_owned()).unwrap_or_default();
    let path: String = request.uri().path().chars().take(LOGGED_PATH_MAX).collect();
    let result = match (caller, slots.try_acquire()) {
        (Err(fault), _) => Err(fault),
        (_, Err(_)) => Err(Fault::busy()),
        (Ok(caller), Ok(_slot)) => {
            request.extensions_mut().insert(caller);
            let mut response = next.run(request).await;
            match response.extensions_mut().remove::<Fault>() {
                Some(fault) => Err(fault),
                None if response.status().is_client_error() || response.status().is_server_error() => {
                    Err(Fault::unreadable("the path or a parameter of the query cannot be read"))
                }
                None => Ok(response),
            }
        }
    };
    let response = result.unwrap_or_else(|fault| {
        // The path holds ids alone; the query may hold a key, and stays out.
        info!(call = ?call, caller = name, path, request_id = id.0, status = fault.status, code = fault.code,
              error = fault.error, "refused");
        answer(&fault, &id)
    });
    plane.metrics.answered(call, response.status().as_u16(), begun.elapsed());
    response
}

fn answer(fault: &Fault, id: &RequestId) -> Response {
    let status = StatusCode::from_u16(fault.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, Json(fault.body(&id.0))).into_response();
    if let Some(seconds) = fault.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

fn identify(plane: &ControlPlane, call: Call, request: &Request) -> Result<Caller, Fault> {
    let text = |name: HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok());
    let scope = if call == Call::Console { Scope::Console } else { Scope::Everything };
    let caller = plane.secrets.identify(text(header::AUTHORIZATION), text(ADMIN_TOKEN), scope);
    caller.map_err(|error| Fault::unauthenticated(&error.to_string()))
}

/// Reads a JSON body of at most `limit` bytes; an error names the field and never repeats what was sent.
pub async fn json<T: DeserializeOwned>(mut request: Request, limit: usize) -> Result<T, Fault> {
    DefaultBodyLimit::max(limit).apply(&mut request);
    let bytes = match tokio::time::timeout(BODY_DEADLINE, Bytes::from_request(request, &())).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            return Err(Fault::too_large(limit));
        }
        Ok(Err(_)) => return Err(Fault::unreadable("the body could not be read to its end")),
        Err(_) => return Err(Fault::slow_body()),
    };
    super::body::parse(&bytes)
}
