//! Every answer that is no success, as Kubernetes writes it: a `Status` with a code, a reason and what to do.

use crate::api::condition::truncate;
use crate::backend::{BackendError, Class, ErrorKind};
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// The longest message, in bytes: it may repeat what the caller or an agent said.
const MESSAGE_MAX_BYTES: usize = 2_048;
/// After how many seconds a call that could not be served now is worth another try.
const RETRY_SECONDS: u64 = 5;

/// A call that was not carried out, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    code: StatusCode,
    /// Kubernetes' own word.
    reason: &'static str,
    message: String,
    is_worth_a_retry: bool,
}

impl Refusal {
    fn new(code: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        let message = truncate(message.into(), MESSAGE_MAX_BYTES);
        Self { code, reason, message, is_worth_a_retry: false }
    }

    /// 400: the call is wrong in itself, or cannot be served for this Workspace as it is.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    /// 401: it is not the API server's front proxy that calls.
    pub fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Unauthorized", message)
    }

    /// 403: the user may not do this.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "Forbidden", message)
    }

    /// 404: there is no such thing.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NotFound", message)
    }

    /// 405: the path is known and the method is not.
    pub fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", "this call does not take this method")
    }

    /// 413: too much was sent.
    pub fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", message)
    }

    /// 429: too much at once.
    pub fn too_many(message: impl Into<String>) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", message).retry()
    }

    /// 500: what answered is not to be understood.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message)
    }

    /// 503: not now.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message).retry()
    }

    /// 504: somebody further on did not answer in time.
    pub fn timeout(message: impl Into<String>) -> Self {
        Self::new(StatusCode::GATEWAY_TIMEOUT, "Timeout", message)
    }

    /// What a backend answered.
    pub fn of_backend(error: &BackendError) -> Self {
        let message = error.to_string();
        match (error.kind, error.class()) {
            (ErrorKind::NotFound, _) => Self::not_found(message),
            (ErrorKind::Invalid, _) => Self::bad_request(message),
            (_, Class::Waiting | Class::Retryable) => Self::unavailable(message),
            (_, Class::Terminal) => Self::internal(message),
        }
    }

    fn retry(self) -> Self {
        Self { is_worth_a_retry: true, ..self }
    }

    fn body(&self) -> Value {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code.as_u16(),
        });
        if self.is_worth_a_retry {
            status["details"] = json!({"retryAfterSeconds": RETRY_SECONDS});
        }
        status
    }
}

impl IntoResponse for Refusal {
    /// Without the header Retry-After, at which kubectl would send the same again ten times by itself: whether a
    /// message is sent once more is for a person to say.
    fn into_response(self) -> Response {
        (self.code, Json(self.body())).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;

    #[test]
    fn a_refusal_is_a_status_as_kubernetes_reads_it() {
        let read = |refusal: Refusal| serde_json::from_value::<Status>(refusal.body()).unwrap();
        let status = read(Refusal::unavailable("the agent is not up"));
        assert_eq!((status.code, status.reason.as_deref()), (Some(503), Some("ServiceUnavailable")));
        assert_eq!(status.status.as_deref(), Some("Failure"));
        assert_eq!(status.details.unwrap().retry_after_seconds, Some(5));
        let status = read(Refusal::forbidden("no"));
        assert_eq!((status.code, status.reason.as_deref()), (Some(403), Some("Forbidden")));
        assert_eq!((status.message.as_deref(), status.details), (Some("no"), None));
    }

    #[test]
    fn what_a_backend_says_keeps_its_meaning() {
        for (kind, code) in [
            (ErrorKind::NotFound, 404),
            (ErrorKind::Invalid, 400),
            (ErrorKind::Unreachable, 503),
            (ErrorKind::ControlPlaneUnreachable, 503),
            (ErrorKind::Throttled, 503),
            (ErrorKind::Unauthorized, 500),
            (ErrorKind::WrongBackend, 500),
        ] {
            let refusal = Refusal::of_backend(&BackendError::new(kind, "what it said"));
            assert_eq!(refusal.code.as_u16(), code, "{kind:?}");
            assert!(refusal.message.contains("what it said"));
        }
    }

    #[test]
    fn nobody_is_made_to_send_a_message_again_by_a_header() {
        let response = Refusal::unavailable("").into_response();
        assert_eq!(response.status(), 503);
        assert!(!response.headers().contains_key("retry-after"));
    }
}
