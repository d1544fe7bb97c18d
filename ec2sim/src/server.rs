//! The socket: EC2's endpoint at `/`, and the admin interface beside it.

use crate::admin;
use crate::connection::{Cut, Cuttable};
use crate::sim::{Answer, Sim};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, State};
use axum::http::{Response, StatusCode, header};
use axum::routing::{get, post};
use std::future::Future;
use std::io;
use std::sync::Arc;
use tokio::net::TcpListener;

const XML: &str = "text/xml;charset=UTF-8";

/// Serves until `shutdown` ends.
pub async fn serve(
    listener: TcpListener,
    sim: Arc<Sim>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let app = Router::new()
        .route("/", post(call))
        .route("/healthz", get(|| async { "ok\n" }))
        .merge(admin::routes())
        .with_state(sim)
        .into_make_service_with_connect_info::<Cut>();
    let serving = axum::serve(Cuttable(listener), app);
    tokio::select! {
        ended = async { serving.await } => ended,
        () = shutdown => Ok(()),
    }
}

async fn call(
    State(sim): State<Arc<Sim>>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    body: Bytes,
) -> Response<Body> {
    // A task of its own: when the caller leaves, this handler is dropped, and the call must go on.
    let answer = tokio::spawn(async move { sim.call(&body).await }).await;
    match answer {
        Ok(Answer::Xml(status, body)) => respond(status, body),
        Ok(Answer::Garbage) => respond(200, "<html><body>502 Bad Gateway</p></body>".into()),
        Ok(Answer::Closed) => {
            cut.cut();
            respond(200, String::new())
        }
        Err(error) => {
            tracing::error!(%error, "a call broke the simulator");
            respond(500, String::new())
        }
    }
}

fn respond(status: u16, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(XML));
    response
}
