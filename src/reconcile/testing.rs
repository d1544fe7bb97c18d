//! An API server that answers as it is told, for tests of single calls.

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use kube::Client;
use serde_json::Value;
use std::sync::{Arc, Mutex};

/// A call that was made.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub method: String,
    pub path: String,
    pub body: Value,
}

pub(crate) type Calls = Arc<Mutex<Vec<Recorded>>>;

/// Answers every call alike, and records it.
pub(crate) fn api_server(code: u16, reply: Value) -> (Client, Calls) {
    let calls = Calls::default();
    let recorded = calls.clone();
    let answer = move |request: Request| {
        let (recorded, reply) = (recorded.clone(), reply.clone());
        async move {
            let (method, path) = (request.method().to_string(), request.uri().path().to_owned());
            let body = to_bytes(request.into_body(), usize::MAX).await.unwrap_or_else(|_| Bytes::new());
            let body = serde_json::from_slice(&body).unwrap_or_default();
            recorded.lock().unwrap().push(Recorded { method, path, body });
            (StatusCode::from_u16(code).unwrap(), axum::Json(reply)).into_response()
        }
    };
    (Client::new(Router::new().fallback(answer), "default"), calls)
}
