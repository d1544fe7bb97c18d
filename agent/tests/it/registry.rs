//! A tiny registry that remembers every call and fails when told to.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::time::timeout;

/// How long anything may take before the test gives up.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// One call as it arrived.
#[derive(Debug, Clone)]
pub struct Call {
    pub path: String,
    pub authorization: String,
    pub body: Value,
}

/// The registry; it ends with the test.
pub struct Registry {
    pub url: String,
    world: World,
}

#[derive(Clone)]
struct World {
    calls: watch::Sender<Vec<Call>>,
    failures: Arc<Mutex<HashMap<String, u16>>>,
}

impl Registry {
    pub fn start() -> Self {
        Reserved::port().start()
    }

    fn on(listener: TcpListener) -> Self {
        let url = format!("http://{}", listener.local_addr().unwrap());
        let world = World { calls: watch::Sender::new(Vec::new()), failures: Arc::default() };
        let routes = Router::new().fallback(remember).with_state(world.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { url, world }
    }

    /// The next call of `path` is answered with `status`.
    pub fn fail_next(&self, path: &str, status: u16) {
        self.world.failures.lock().unwrap().insert(path.to_owned(), status);
    }

    /// All calls, once they are as wanted.
    pub async fn until(&self, wanted: impl Fn(&[Call]) -> bool) -> Vec<Call> {
        let mut calls = self.world.calls.subscribe();
        let found = timeout(DEADLINE, calls.wait_for(|calls| wanted(calls))).await;
        let found = found.is_ok_and(|found| found.is_ok());
        let calls = calls.borrow().clone();
        assert!(found, "not in time; until now: {calls:#?}");
        calls
    }
}

async fn remember(State(world): State<World>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let path = head.uri.path().to_owned();
    if path.ends_with("/peers") {
        return Json(json!([{"id": "u-2", "name": "lead", "role": "", "tier": 1, "status": "online",
                            "url": "http://ws-2:8000", "parent_id": null, "active_tasks": 0}]))
        .into_response();
    }
    let body: Bytes = axum::body::to_bytes(body, 65_536).await.unwrap();
    let authorization = head.headers[AUTHORIZATION].to_str().unwrap().to_owned();
    let failure = world.failures.lock().unwrap().remove(&path);
    let body = serde_json::from_slice(&body).unwrap();
    world.calls.send_modify(|calls| calls.push(Call { path, authorization, body }));
    match failure {
        None => Json(json!({"status": "ok"})).into_response(),
        Some(status) => (StatusCode::from_u16(status).unwrap(), Json(json!({"error": "as the test wants"})))
            .into_response(),
    }
}

/// A port on which nobody listens yet, and nobody else can.
pub struct Reserved {
    socket: TcpSocket,
    pub url: String,
}

impl Reserved {
    pub fn port() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let url = format!("http://{}", socket.local_addr().unwrap());
        Self { socket, url }
    }

    /// The registry begins to listen there.
    pub fn start(self) -> Registry {
        Registry::on(self.socket.listen(64).unwrap())
    }
}

/// Posts JSON to an agent.
pub async fn post(url: &str, body: &Value) -> Value {
    let config =
        rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
    let client = reqwest::Client::builder().tls_backend_preconfigured(config).build().unwrap();
    client.post(url).json(body).send().await.unwrap().json().await.unwrap()
}
