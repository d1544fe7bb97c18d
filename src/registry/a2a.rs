//! A message of an agent to itself: agents send themselves their first and their idle prompts this way.

use super::auth::{Caller, Id};
use super::{Refusal, Registry, reply, standing};
use crate::api::Workspace;
use atelier_wire::a2a;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use data_encoding::HEXLOWER;
use reqwest::redirect::Policy;
use reqwest::{ClientBuilder, Url};
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;

/// The longest answer that is passed on, in bytes.
const ANSWER_MAX_BYTES: usize = 1 << 20;
/// How long a connection to an agent may take.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// A client that goes where it is told: no proxy of the environment, no redirect.
pub fn plain() -> ClientBuilder {
    reqwest::Client::builder().no_proxy().redirect(Policy::none())
}

/// A client for agents. It speaks plain HTTP and so needs no certificates.
pub fn client() -> Result<reqwest::Client, reqwest::Error> {
    plain().tls_certs_only([]).connect_timeout(CONNECT_DEADLINE).build()
}

/// POST `/workspaces/:id/a2a`.
pub async fn to_oneself(
    State(registry): State<Arc<Registry>>,
    Id(target): Id,
    caller: Caller,
    request: Request,
) -> Result<Response, Refusal> {
    caller.must_be("the id in the path", &target)?;
    let body = reply::body(request, registry.settings.body_deadline).await?;
    let mut message: Map<String, Value> = reply::json(&body)?;
    a2a::complete_request(&mut message, &HEXLOWER.encode(&rand::random::<[u8; 8]>()));
    let Some(_slot) = registry.limits.slot(&caller.uid) else {
        return Err(Refusal::too_many("too many messages of this Workspace to itself are under way"));
    };
    let url = own_url(&registry, &caller.workspace).ok_or_else(not_up)?;
    let call = registry.to_agents.post(url).timeout(registry.settings.a2a_deadline).json(&message);
    let answer = call.send().await.map_err(|error| refused(&error))?;
    let (status, headers) = (answer.status(), answer.headers().clone());
    let body = capped(answer, ANSWER_MAX_BYTES).await?;
    Ok(reply::passed_on(status, &headers, &[CONTENT_TYPE], body))
}

/// Where the agent of this Workspace is called, by what is recorded of it.
pub fn agent_url(workspace: &Workspace) -> Option<Url> {
    at_box(workspace, &standing::url(workspace, None))
}

fn own_url(registry: &Registry, workspace: &Workspace) -> Option<Url> {
    at_box(workspace, &standing::url(workspace, registry.voice(workspace).as_ref()))
}

/// The recorded address of the box, with the path that the agent registered. Never the host that it says.
fn at_box(workspace: &Workspace, advertised: &str) -> Option<Url> {
    let address = workspace.status.as_ref()?.instance.as_ref()?.address.as_ref()?;
    let mut url = Url::parse(&format!("http://{address}")).ok()?;
    url.set_path(Url::parse(advertised).ok()?.path());
    Some(url)
}

fn not_up() -> Refusal {
    Refusal::unavailable("the agent is not up: try again")
}

fn refused(error: &reqwest::Error) -> Refusal {
    if error.is_connect() {
        return not_up();
    }
    if error.is_timeout() {
        return Refusal::timeout("the agent did not answer in time");
    }
    Refusal::bad_gateway("the agent's answer is no HTTP")
}

/// The body of an answer, if it is not too long.
pub async fn capped(mut answer: reqwest::Response, max_bytes: usize) -> Result<Vec<u8>, Refusal> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| refused(&error))? {
        if body.len() + chunk.len() > max_bytes {
            return Err(Refusal::bad_gateway(format!("the answer is longer than {max_bytes} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
