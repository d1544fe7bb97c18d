//! What an engine's refusals mean: the table from bollard's errors to ours.

use crate::backend::{BackendError, ErrorKind};
use bollard::errors::Error;
use std::error::Error as StdError;
use std::io;
use std::time::Duration;

/// A call that failed: what it means, and the status where the engine gave one.
#[derive(Debug)]
pub(super) struct Refusal {
    status: Option<u16>,
    error: BackendError,
}

impl Refusal {
    /// Whether the engine answered with this status.
    pub(super) fn is(&self, status: u16) -> bool {
        self.status == Some(status)
    }

    /// Whether the engine's words contain these.
    pub(super) fn says(&self, words: &str) -> bool {
        self.error.detail.contains(words)
    }

    pub(super) fn kind(&self) -> ErrorKind {
        self.error.kind
    }
}

impl From<Refusal> for BackendError {
    fn from(refusal: Refusal) -> Self {
        refusal.error
    }
}

impl From<BackendError> for Refusal {
    fn from(error: BackendError) -> Self {
        Self { status: None, error }
    }
}

/// Takes "there is no such thing" for the success that it is when something is to go away.
pub(super) fn gone_is_fine(result: Result<(), Refusal>) -> Result<(), Refusal> {
    match result {
        Err(refusal) if refusal.is(404) => Ok(()),
        other => other,
    }
}

/// No answer in time.
pub(super) fn timed_out(address: &str, what: &str, limit: Duration) -> Refusal {
    let detail =
        format!("the Docker engine at {address} did not answer within {} s: {what}", limit.as_secs());
    BackendError::new(ErrorKind::Unreachable, detail).into()
}

/// What an error of bollard means. `what` says what was asked, as in "create container x".
pub(super) fn refusal(address: &str, what: &str, error: &Error) -> Refusal {
    match error {
        Error::DockerResponseServerError { status_code, message } => {
            answered(address, what, *status_code, message)
        }
        Error::DockerStreamError { error } => {
            BackendError::new(ErrorKind::Failed, format!("the Docker engine could not {what}: {error}"))
                .into()
        }
        Error::SocketNotFoundError(_) => unreachable_engine(address, "No such file or directory"),
        Error::RequestTimeoutError => unreachable_engine(address, "the call timed out"),
        Error::JsonDataError { message, .. } => not_understood(address, what, message),
        Error::JsonSerdeError { err } => not_understood(address, what, &err.to_string()),
        // Shown as if it were its cause, and then passed over in the chain of causes.
        Error::IOError { err } => no_answer(address, err),
        other => no_answer(address, other),
    }
}

/// The engine answered with a status that is none of success.
fn answered(address: &str, what: &str, status: u16, message: &str) -> Refusal {
    let kind = match status {
        400 => ErrorKind::Invalid,
        401 => ErrorKind::Unauthorized,
        // The engine says 403 also of what is merely not possible, such as a network that overlaps.
        403 if message.contains("authorization denied") => ErrorKind::Unauthorized,
        404 if message.contains("No such image") || message.contains("no such image") => {
            ErrorKind::ImageNotFound
        }
        404 => ErrorKind::NotFound,
        409 if is_busy(message) => ErrorKind::Busy,
        409 if message.contains("already in use by container") => ErrorKind::NameTaken,
        _ => ErrorKind::Failed,
    };
    let detail = match kind {
        ErrorKind::Unauthorized => {
            format!("the Docker engine at {address} does not let us {what}: {message}")
        }
        _ => format!("the Docker engine could not {what}: {message} (status {status})"),
    };
    Refusal { status: Some(status), error: BackendError::new(kind, detail) }
}

/// Conflicts that pass by themselves.
fn is_busy(message: &str) -> bool {
    ["is already in progress", "volume is in use", "is marked for removal", "being removed"]
        .iter()
        .any(|words| message.contains(words))
}

/// The call did not come to an answer.
fn no_answer(address: &str, error: &(dyn StdError + 'static)) -> Refusal {
    let mut causes = Vec::new();
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(denied) = credentials(cause) {
            let detail = format!("the Docker engine at {address} cannot be used: {denied}");
            return BackendError::new(ErrorKind::Unauthorized, detail).into();
        }
        causes.push(cause.to_string());
        next = cause.source();
    }
    // The last cause is the system's own word; what stands around it is how bollard is built.
    unreachable_engine(address, causes.last().map_or("no answer", String::as_str))
}

/// The part of an error that says that we are not trusted, or do not trust the engine.
fn credentials(cause: &(dyn StdError + 'static)) -> Option<String> {
    if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
        return Some(tls.to_string());
    }
    let io = cause.downcast_ref::<io::Error>()?;
    if io.kind() == io::ErrorKind::PermissionDenied {
        return Some(io.to_string());
    }
    // What an I/O error wraps is no part of the chain of causes, and can be another I/O error.
    credentials(io.get_ref()?)
}

fn unreachable_engine(address: &str, why: &str) -> Refusal {
    BackendError::new(ErrorKind::Unreachable, format!("no Docker engine answers at {address}: {why}")).into()
}

fn not_understood(address: &str, what: &str, why: &str) -> Refusal {
    let detail =
        format!("what answers at {address} does not speak like a Docker engine, asked to {what}: {why}");
    BackendError::new(ErrorKind::Failed, detail).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(status: u16, message: &str) -> BackendError {
        let error = Error::DockerResponseServerError { status_code: status, message: message.into() };
        refusal("unix:///x/docker.sock", "create container ws-1", &error).into()
    }

    #[test]
    fn every_answer_has_a_kind() {
        let table = [
            (400, "invalid reference format", ErrorKind::Invalid),
            (401, "unauthorized", ErrorKind::Unauthorized),
            (403, "authorization denied by plugin p: no", ErrorKind::Unauthorized),
            (403, "Pool overlaps with other one on this address space", ErrorKind::Failed),
            (404, "No such image: a:b", ErrorKind::ImageNotFound),
            (404, "no such image: a:b: image not found", ErrorKind::ImageNotFound),
            (404, "No such container: c", ErrorKind::NotFound),
            (404, "network 12 not found", ErrorKind::NotFound),
            (409, "removal of container c is already in progress", ErrorKind::Busy),
            (409, "remove v: volume is in use - [c]", ErrorKind::Busy),
            (409, "container is marked for removal and cannot be started", ErrorKind::Busy),
            (
                409,
                "Conflict. The container name \"/c\" is already in use by container \"1\"",
                ErrorKind::NameTaken,
            ),
            (409, "something new", ErrorKind::Failed),
            (500, "OCI runtime create failed", ErrorKind::Failed),
            (503, "shutting down", ErrorKind::Failed),
        ];
        for (status, message, kind) in table {
            let error = server(status, message);
            assert_eq!(error.kind, kind, "{status} {message}");
            assert!(error.detail.contains(message), "{}", error.detail);
            assert!(error.detail.contains("create container ws-1"), "{}", error.detail);
        }
    }

    #[test]
    fn a_missing_socket_is_named() {
        let error = Error::SocketNotFoundError("/x/docker.sock".into());
        let error = BackendError::from(refusal("unix:///x/docker.sock", "look", &error));
        assert_eq!(error.kind, ErrorKind::Unreachable);
        assert_eq!(
            error.detail,
            "no Docker engine answers at unix:///x/docker.sock: No such file or directory"
        );
    }

    #[test]
    fn a_socket_that_we_may_not_use_is_a_matter_of_credentials() {
        let err = io::Error::new(io::ErrorKind::PermissionDenied, "Permission denied");
        let error = BackendError::from(refusal("unix:///x", "look", &Error::IOError { err }));
        assert_eq!(error.kind, ErrorKind::Unauthorized);
        assert!(error.detail.contains("unix:///x") && error.detail.contains("Permission denied"));
    }

    #[test]
    fn distrust_is_a_matter_of_credentials() {
        let tls = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let err = io::Error::other(io::Error::other(tls));
        let error = BackendError::from(refusal("tcp://h:1", "look", &Error::IOError { err }));
        assert_eq!(error.kind, ErrorKind::Unauthorized);
        assert!(error.detail.contains("UnknownIssuer"), "{}", error.detail);
    }

    #[test]
    fn silence_is_unreachable() {
        let limit = Duration::from_secs(10);
        let error = BackendError::from(timed_out("unix:///x", "list containers", limit));
        assert_eq!(error.kind, ErrorKind::Unreachable);
        assert!(error.detail.contains("10 s") && error.detail.contains("list containers"));
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let error = BackendError::from(refusal("tcp://h:1", "look", &Error::IOError { err: refused }));
        assert_eq!(error.kind, ErrorKind::Unreachable);
    }
}
