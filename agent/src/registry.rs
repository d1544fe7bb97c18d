//! Calls to the registry, each with the token and a deadline.

use std::error::Error as StdError;
use std::time::Duration;

use atelier_wire::{Boot, ErrorReply, Exit, Heartbeat, Peer, Register, paths};
use reqwest::header::AUTHORIZATION;
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde::Serialize;

use crate::error::Error;
use crate::settings::Settings;
use crate::tls;

/// Longest time for one call, name look-up included.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// The registry, as this workspace may call it.
pub(crate) struct Registry {
    http: Client,
    base: String,
    authorization: reqwest::header::HeaderValue,
    pub(crate) workspace_id: String,
}

/// Why a call did not succeed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The same call may succeed later, with nothing changed here.
    #[error("{call}: {cause}")]
    Unavailable { call: String, cause: String },
    /// The registry understood the call and refused it.
    #[error("{call}: {status}: {reason}")]
    Refused { call: String, status: StatusCode, reason: String },
}

impl Registry {
    /// The registry of this box. Nothing is called yet.
    pub(crate) fn new(settings: &Settings) -> Result<Self, Error> {
        Ok(Self {
            http: client(settings.private_ca.as_deref())?,
            base: settings.platform_url.clone(),
            authorization: settings.authorization.clone(),
            workspace_id: settings.workspace_id.clone(),
        })
    }

    pub(crate) async fn boot(&self, boot: &Boot) -> Result<(), CallError> {
        self.post(paths::BOOT, boot).await
    }

    pub(crate) async fn register(&self, register: &Register) -> Result<(), CallError> {
        self.post(paths::REGISTER, register).await
    }

    pub(crate) async fn heartbeat(&self, heartbeat: &Heartbeat) -> Result<(), CallError> {
        self.post(paths::HEARTBEAT, heartbeat).await
    }

    pub(crate) async fn exit(&self, exit: &Exit) -> Result<(), CallError> {
        self.post(paths::EXIT, exit).await
    }

    pub(crate) async fn peers(&self) -> Result<Vec<Peer>, CallError> {
        let path = paths::peers(&self.workspace_id);
        let request = self.http.get(format!("{}{path}", self.base));
        let response = self.send(&format!("GET {path}"), request).await?;
        response.json().await.map_err(|error| unavailable(&format!("GET {path}"), &error))
    }

    async fn post(&self, path: &str, body: &(impl Serialize + Sync)) -> Result<(), CallError> {
        let request = self.http.post(format!("{}{path}", self.base)).json(body);
        self.send(&format!("POST {path}"), request).await.map(|_| ())
    }

    async fn send(&self, call: &str, request: RequestBuilder) -> Result<Response, CallError> {
        let request = request.header(AUTHORIZATION, self.authorization.clone());
        let response = request.send().await.map_err(|error| unavailable(call, &error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let reason = response.json::<ErrorReply>().await.map_or_else(|_| String::new(), |reply| reply.error);
        let call = call.to_owned();
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Err(CallError::Unavailable { call, cause: format!("{status}: {reason}") });
        }
        Err(CallError::Refused { call, status, reason })
    }
}

/// An HTTP client that trusts the web and the private authority, and follows no redirect: a token must
/// not travel on.
pub(crate) fn client(private_ca: Option<&[u8]>) -> Result<Client, Error> {
    Client::builder()
        .tls_backend_preconfigured(tls::client_config(private_ca)?)
        .redirect(reqwest::redirect::Policy::none())
        .timeout(CALL_TIMEOUT)
        .build()
        .map_err(|error| unavailable("set up HTTP", &error).into())
}

/// A transport error with its whole chain of causes: the first alone says only that sending failed.
pub(crate) fn unavailable(call: &str, error: &reqwest::Error) -> CallError {
    let mut cause = error.to_string();
    let mut source = error.source();
    while let Some(deeper) = source {
        cause = format!("{cause}: {deeper}");
        source = deeper.source();
    }
    CallError::Unavailable { call: call.to_owned(), cause }
}
