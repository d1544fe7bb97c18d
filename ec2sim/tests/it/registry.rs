//! A registry that writes down who called it, and from where.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

/// One call.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Method and path, and of a boot stage its name and outcome.
    pub what: String,
    pub token: String,
    pub from: String,
    pub body: Value,
}

/// A registry on a port of its own.
#[derive(Clone, Default)]
pub struct Registry {
    seen: Arc<Mutex<Vec<Seen>>>,
    /// So many calls for the bundle are refused first.
    refusals: Arc<Mutex<u32>>,
}

impl Registry {
    /// Starts one that refuses the bundle so many times; the registry and its URL.
    pub async fn start(refusals: u32) -> (Self, String) {
        Self { refusals: Arc::new(Mutex::new(refusals)), ..Self::default() }.serve("127.0.0.1").await
    }

    /// Starts one on this address.
    pub async fn start_on(address: &str) -> (Self, String) {
        Self::default().serve(address).await
    }

    async fn serve(self, address: &str) -> (Self, String) {
        let registry = self;
        let listener = tokio::net::TcpListener::bind((address, 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().fallback(answer).with_state(registry.clone());
        let service = app.into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await });
        (registry, url)
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// What was called, in order.
    pub fn story(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.what).collect()
    }

    pub fn count(&self, what: &str) -> usize {
        self.seen().iter().filter(|seen| seen.what == what).count()
    }
}

async fn answer(
    State(registry): State<Registry>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let mut what = format!("{method} {}", uri.path());
    if let (Some(stage), Some(ok)) = (body["stage"].as_str(), body["ok"].as_bool()) {
        what = format!("{stage} {}", if ok { "ok" } else { "failed" });
    }
    let token = headers["authorization"].to_str().unwrap().trim_start_matches("Bearer ").to_owned();
    let seen = Seen { what: what.clone(), token, from: from.ip().to_string(), body };
    registry.seen.lock().unwrap().push(seen);
    if what != "GET /registry/bundle" {
        return StatusCode::NO_CONTENT.into_response();
    }
    let mut refusals = registry.refusals.lock().unwrap();
    if *refusals > 0 {
        *refusals -= 1;
        return StatusCode::FORBIDDEN.into_response();
    }
    bundle().into_response()
}

fn bundle() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(15);
    tar.append_data(&mut header, "configs/.auth_token", &b"workspace-token"[..]).unwrap();
    tar.into_inner().unwrap()
}
