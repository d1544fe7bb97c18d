//! GET `/registry/bundle`: the files and the environment of a box that fetches them itself.
//!
//! Two proofs are asked for: the bootstrap token, and that the call comes from the recorded address of the box.
//! A bundle is open for the time of a boot and a while longer, and closed for the rest of the attempt as soon as
//! the box says that it has it, or its agent is recorded as connected, which needs what is in the bundle.
//!
//! Every replica answers, but only the leader hears what boxes say. One that does not lead asks it by a HEAD of
//! the same call whether the bundle is closed: that tells nothing but this, so it needs no proof of the address,
//! which the leader would not see.

use super::auth::{Bare, Caller, Source, is_at};
use super::{Refusal, Registry};
use crate::api::Workspace;
use crate::backend::{BoxFile, Contents, Owner, archive};
use crate::reconcile::EventReason;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::future::BoxFuture;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::Resource;
use std::sync::Arc;
use std::time::Duration;

/// What a box fetches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bundle {
    /// Its files and its environment, with the token of its agent.
    pub contents: Contents,
    /// The id of the volume of its data, or the path of its device; none if its data are on its root volume.
    pub data_volume: Option<String>,
}

/// Where bundles come from.
pub trait Bundles: Send + Sync {
    /// How long the box of a Workspace may take to boot; `None` where boxes do not fetch their files.
    fn boot_timeout(&self, workspace: &Workspace) -> Option<Duration>;

    /// The bundle of the recorded attempt, or why there is none now, for the box and for people.
    fn bundle(&self, workspace: Arc<Workspace>) -> BoxFuture<'_, Result<Bundle, String>>;
}

const FETCHED: &str = "the bundle of this attempt was fetched: it is given out once";

/// GET `/registry/bundle`.
pub async fn fetch(
    State(registry): State<Arc<Registry>>,
    Bare(caller): Bare,
    Source(source): Source,
    request: Request,
) -> Result<Response, Refusal> {
    let workspace = &caller.workspace;
    let Some(boot_timeout) = registry.bundles.boot_timeout(workspace) else {
        return Err(Refusal::not_found(
            "there is no bundle for this box: its backend puts its files into it before it starts",
        ));
    };
    registry.must_be_wanted(&caller, request.into_parts().0).await?;
    if !is_at(workspace, source) {
        return Err(Refusal::forbidden(format!(
            "the call comes from {source}, which is not recorded as an address of this box: a moment after its \
             start it may not be recorded yet, then try again"
        )));
    }
    must_be_open(workspace, boot_timeout + registry.settings.bundle_grace, Timestamp::now())?;
    let bundle = registry.bundles.bundle(workspace.clone()).await.map_err(Refusal::unavailable)?;
    let bytes = packed(bundle).map_err(|error| {
        tracing::error!(uid = caller.uid, %error, "a bundle could not be packed");
        Refusal::unavailable("the bundle could not be packed")
    })?;
    tracing::info!(uid = caller.uid, attempt = caller.attempt, %source, "gave out a bundle");
    Ok(([(CONTENT_TYPE, "application/x-tar"), (CACHE_CONTROL, "no-store")], bytes).into_response())
}

/// HEAD `/registry/bundle`: whether the box still wants it.
pub async fn ask(
    State(registry): State<Arc<Registry>>,
    Bare(caller): Bare,
    request: Request,
) -> Result<StatusCode, Refusal> {
    registry.must_be_wanted(&caller, request.into_parts().0).await?;
    Ok(StatusCode::OK)
}

impl Registry {
    /// Refuses where the box has its bundle, as the leader knows.
    async fn must_be_wanted(&self, caller: &Caller, mut parts: Parts) -> Result<(), Refusal> {
        if self.leads() {
            return self.not_fetched(caller);
        }
        parts.method = Method::HEAD;
        match self.forward(&parts, Bytes::new()).await?.status() {
            StatusCode::OK => Ok(()),
            StatusCode::GONE => Err(Refusal::gone(FETCHED)),
            _ => Err(Refusal::unavailable("the leader does not know this attempt yet, or knows a newer one")),
        }
    }

    fn not_fetched(&self, caller: &Caller) -> Result<(), Refusal> {
        let Caller { workspace, uid, attempt } = caller;
        let agent = workspace.status.as_ref().and_then(|status| status.agent.as_ref());
        let was_connected = agent.is_some_and(|agent| agent.attempt == *attempt);
        if !was_connected && !self.liveness.has_bundle(uid, *attempt) {
            return Ok(());
        }
        // Once for each attempt, however often it is asked for.
        if self.liveness.asked_for_bundle_again(uid, *attempt) {
            tracing::warn!(uid, attempt, "a bundle was asked for again");
            let note = format!(
                "the files of attempt {attempt} were asked for again with its bootstrap token after the box had \
                 fetched them; that was refused"
            );
            self.events.publish(&workspace.object_ref(&()), EventReason::BundleFetchedAgain, note);
        }
        Err(Refusal::gone(FETCHED))
    }
}

/// Refuses once the box had so much time since its start.
fn must_be_open(workspace: &Workspace, period: Duration, now: Timestamp) -> Result<(), Refusal> {
    if workspace.metadata.deletion_timestamp.is_some() {
        return Err(Refusal::gone("this Workspace is being deleted"));
    }
    let instance = workspace.status.as_ref().and_then(|status| status.instance.as_ref());
    let Some(started) = instance.and_then(|instance| instance.started_at.as_ref()) else {
        return Err(Refusal::unavailable("the start of this box is not recorded yet: try again"));
    };
    let period = SignedDuration::try_from(period).unwrap_or(SignedDuration::MAX);
    if now.duration_since(started.0) > period {
        let error = format!("the box started at {}: its time to fetch the bundle is over", started.0);
        return Err(Refusal::gone(error));
    }
    Ok(())
}

/// The archive: files below `configs/`, a file for each variable below `env/`, and what names the data volume.
fn packed(bundle: Bundle) -> std::io::Result<Vec<u8>> {
    let Bundle { contents: Contents { bootstrap_token: _, env, files }, data_volume } = bundle;
    let secret = |path: String, text: String| BoxFile { path, bytes: text.into_bytes(), mode: 0o600 };
    let files = files.into_iter().map(|file| BoxFile { path: format!("configs/{}", file.path), ..file });
    let variables = env.into_iter().map(|(name, value)| secret(format!("env/{name}"), value));
    let volume = data_volume.map(|volume| secret("data-volume".into(), volume));
    let all: Vec<_> = files.chain(variables).chain(volume).collect();
    archive(&["configs", "env"], "", &all, Owner::STEPPED_DOWN)
}
