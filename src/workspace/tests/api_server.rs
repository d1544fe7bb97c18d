//! An API server in memory that holds one Workspace and minds uids and resource versions as the real one does.

use axum::Router;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use kube::Client;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// What happens to a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WriteFault {
    /// It is carried out, and the process dies before it learns of it.
    CrashAfter,
    /// It is not carried out, and a 500 is answered.
    Error,
    /// It is carried out, and a 504 is answered all the same.
    LostReply,
}

/// The one Workspace. Clones are the same server.
#[derive(Clone, Default)]
pub(super) struct ApiServer {
    state: Arc<Mutex<State>>,
    pub(super) crashed: Arc<Notify>,
}

#[derive(Default)]
struct State {
    object: Option<Value>,
    version: u64,
    writes: usize,
    fault: Option<(usize, WriteFault)>,
    events: Vec<String>,
}

impl ApiServer {
    pub(super) fn holding(object: Value) -> Self {
        let server = Self::default();
        server.change(|current| *current = Some(object));
        server
    }

    /// Changes the object as a user would: the version grows.
    pub(super) fn change(&self, change: impl FnOnce(&mut Option<Value>)) {
        let mut state = self.state.lock().unwrap();
        change(&mut state.object);
        state.bump();
    }

    pub(super) fn object(&self) -> Option<Value> {
        self.state.lock().unwrap().object.clone()
    }

    pub(super) fn writes(&self) -> usize {
        self.state.lock().unwrap().writes
    }

    /// Every event that was told, as `reason: note`.
    pub(super) fn events(&self) -> Vec<String> {
        self.state.lock().unwrap().events.clone()
    }

    fn note_event(&self, body: &[u8]) {
        let event: Value = serde_json::from_slice(body).unwrap_or_default();
        let word = |field: &str| event[field].as_str().unwrap_or_default().to_owned();
        self.state.lock().unwrap().events.push(format!("{}: {}", word("reason"), word("note")));
    }

    pub(super) fn fault_after(&self, writes: usize, fault: WriteFault) {
        let mut state = self.state.lock().unwrap();
        state.fault = Some((state.writes + writes, fault));
    }

    pub(super) fn client(&self) -> Client {
        let server = self.clone();
        let answer = move |request: Request| {
            let server = server.clone();
            async move { server.answer(request).await }
        };
        Client::new(Router::new().fallback(answer), "default")
    }

    async fn answer(&self, request: Request) -> Response {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let body = to_bytes(request.into_body(), usize::MAX).await.unwrap_or_default();
        if !path.contains("/workspaces/") {
            if path.contains("/events") {
                self.note_event(&body);
            }
            return match method {
                Method::GET => failed(404, "NotFound"),
                _ => (StatusCode::CREATED, axum::Json(json!({}))).into_response(),
            };
        }
        if method == Method::GET {
            return self.object().map_or_else(|| failed(404, "NotFound"), |o| axum::Json(o).into_response());
        }
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let (fault, reply) = {
            let mut state = self.state.lock().unwrap();
            let fault = state.fault.filter(|(at, _)| *at == state.writes).map(|(_, fault)| fault);
            state.fault = state.fault.filter(|_| fault.is_none());
            state.writes += 1;
            let reply = if fault == Some(WriteFault::Error) {
                failed(500, "Internal")
            } else {
                state.write(&path, &body)
            };
            (fault, reply)
        };
        match fault {
            Some(WriteFault::CrashAfter) => {
                self.crashed.notify_one();
                std::future::pending().await
            }
            Some(WriteFault::LostReply) => failed(504, "Timeout"),
            _ => reply,
        }
    }
}

impl State {
    fn bump(&mut self) {
        self.version += 1;
        let version = self.version.to_string();
        let Some(object) = &mut self.object else { return };
        object["metadata"]["resourceVersion"] = version.into();
        let has_finalizers = object["metadata"]["finalizers"].as_array().is_some_and(|f| !f.is_empty());
        if !object["metadata"]["deletionTimestamp"].is_null() && !has_finalizers {
            self.object = None;
        }
    }

    fn write(&mut self, path: &str, body: &Value) -> Response {
        let Some(object) = &mut self.object else { return failed(404, "NotFound") };
        for field in ["uid", "resourceVersion"] {
            let wanted = &body["metadata"][field];
            if !wanted.is_null() && *wanted != object["metadata"][field] {
                return failed(409, "Conflict");
            }
        }
        if path.ends_with("/status") {
            let (old, new) = (&object["status"], &body["status"]);
            // The CRD's own rules.
            let falls = new["launch"]["attempt"].as_i64() < old["launch"]["attempt"].as_i64();
            if !old["launch"].is_null() && (new["launch"].is_null() || falls) {
                return failed(422, "Invalid");
            }
            object["status"] = new.clone();
        } else {
            object["metadata"]["finalizers"] = body["metadata"]["finalizers"].clone();
        }
        let reply = object.clone();
        self.bump();
        axum::Json(self.object.clone().unwrap_or(reply)).into_response()
    }
}

fn failed(code: u16, reason: &str) -> Response {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": reason, "code": code,
    });
    (StatusCode::from_u16(code).unwrap(), axum::Json(status)).into_response()
}
