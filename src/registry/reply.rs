//! Every answer that is not 2xx, and the reading of bodies that leads to many of them.

use crate::api::condition::truncate;
use atelier_wire::{BODY_MAX_BYTES, ErrorReply, PeerStatus};
use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, FromRequest, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use std::time::Duration;

/// The longest error text, in bytes: it may repeat what the caller sent.
const ERROR_MAX_BYTES: usize = 1_024;
/// After how many seconds a call that could not be served now is worth another try.
const RETRY_SECONDS: u64 = 5;

/// A call that was not carried out, and why.
#[derive(Debug)]
pub struct Refusal {
    pub status: StatusCode,
    pub body: ErrorReply,
    retry_after: Option<u64>,
}

impl Refusal {
    fn new(status: StatusCode, error: impl Into<String>) -> Self {
        let body = ErrorReply::new(truncate(error.into(), ERROR_MAX_BYTES));
        Self { status, body, retry_after: None }
    }

    /// 400: the call is wrong in itself; the text names the field.
    pub fn bad(error: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error)
    }

    /// 401: nobody that we know is calling.
    pub fn unauthorized(error: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, error)
    }

    /// 403: the caller is known and may not do this.
    pub fn forbidden(error: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, error)
    }

    /// 404: there is no such thing.
    pub fn not_found(error: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, error)
    }

    /// 405: the path is known and the method is not.
    pub fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "this call does not take this method")
    }

    /// 410: it was there, and will not be again.
    pub fn gone(error: impl Into<String>) -> Self {
        Self::new(StatusCode::GONE, error)
    }

    /// 429: too often.
    pub fn too_many(error: impl Into<String>) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, error).retry()
    }

    /// 503: not now.
    pub fn unavailable(error: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error).retry()
    }

    /// 503: the target cannot be talked to, and this is its state.
    pub fn not_connected(status: PeerStatus) -> Self {
        let error = format!("the workspace is not connected: it is {}", status.as_str());
        let mut refusal = Self::unavailable(error);
        refusal.body.status = Some(status);
        refusal
    }

    /// 502: somebody further on answered something that cannot be passed on.
    pub fn bad_gateway(error: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, error)
    }

    /// 504: somebody further on did not answer in time.
    pub fn timeout(error: impl Into<String>) -> Self {
        Self::new(StatusCode::GATEWAY_TIMEOUT, error)
    }

    fn retry(mut self) -> Self {
        self.retry_after = Some(RETRY_SECONDS);
        self
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body)).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// Reads a body of at most 64 KiB within a deadline.
pub async fn body(mut request: Request, deadline: Duration) -> Result<Bytes, Refusal> {
    DefaultBodyLimit::max(BODY_MAX_BYTES).apply(&mut request);
    match tokio::time::timeout(deadline, Bytes::from_request(request, &())).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            let error = format!("the body is longer than {BODY_MAX_BYTES} bytes");
            Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, error))
        }
        Ok(Err(_)) => Err(Refusal::bad("the body could not be read to its end")),
        Err(_) => Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time")),
    }
}

/// Reads JSON; an error names the field.
pub fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    match Json::from_bytes(bytes) {
        Ok(Json(value)) => Ok(value),
        Err(rejection) => Err(Refusal::bad(rejection.body_text())),
    }
}

/// An answer of somebody further on: its status, these of its headers, and its body.
pub fn passed_on(status: StatusCode, headers: &HeaderMap, names: &[HeaderName], body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    for name in names {
        if let Some(value) = headers.get(name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}
