//! The effect: at most one, on what was seen, by its id. What came of it is a value for the report.

use super::Context;
use super::observe::{Look, network_of};
use super::resolve::TOKEN_FILE;
use super::step::{Release, Step};
use crate::api::names;
use crate::api::workspace::{Launch, Workspace};
use crate::backend::{BackendError, BoxFile, BoxSeen, Contents, ErrorKind};
use crate::keys::{Keyring, Purpose};
use crate::metrics::{Effect, Outcome};
use crate::reconcile::{FinalizerChange, WriteError, set_finalizer, write_outcome};
use kube::{Api, ResourceExt};
use std::sync::Arc;

/// What came of a step.
#[derive(Debug)]
pub enum Done {
    /// There was nothing to do, or what is to be done is the write of the status.
    Nothing,
    /// The object was written; this is the server's reply.
    Written(Arc<Workspace>),
    /// The finalizer is off: the object is gone, or goes.
    Released(Release),
    /// A box was made or started; this is how it is now.
    Box(BoxSeen),
    /// A box was stopped; the next pass shows how it ended.
    Stopped,
    /// A box is gone.
    Removed(String),
    /// What was left besides boxes is gone.
    Cleared,
    /// A pull was started.
    Pulling,
    /// The backend failed; what follows is up to the error's class.
    Failed(BackendError),
}

/// Carries out one step.
///
/// # Errors
/// When the API server did not take a write: the plan is void then.
pub async fn act(step: &Step, ws: &Workspace, look: &Look, ctx: &Context) -> Result<Done, WriteError> {
    let effect = match step {
        Step::Nothing | Step::Record(_) => return Ok(Done::Nothing),
        Step::AddFinalizer => return finalizer(ws, ctx, FinalizerChange::Add).await,
        Step::ReleaseFinalizer(why) => {
            finalizer(ws, ctx, FinalizerChange::Remove).await?;
            return Ok(Done::Released(*why));
        }
        Step::Pull => Effect::Pull,
        Step::Create => Effect::Create,
        Step::Start(_) => Effect::Start,
        Step::Stop(_) => Effect::Stop,
        Step::Destroy(_) => Effect::Destroy,
        Step::Clear => Effect::Clear,
    };
    let result = on_backend(step, ws, look, ctx).await;
    ctx.metrics.effect(effect, Outcome::from(&result));
    Ok(result.unwrap_or_else(Done::Failed))
}

async fn on_backend(step: &Step, ws: &Workspace, look: &Look, ctx: &Context) -> Result<Done, BackendError> {
    let missing = |what: &str| {
        BackendError::new(ErrorKind::Failed, format!("{what} is missing; this is looked at again"))
    };
    let placement = look.placement.as_ref().ok_or_else(|| missing("the placement"))?;
    let launch = || ws.status.as_ref().and_then(|s| s.launch.as_ref()).ok_or_else(|| missing("the launch"));
    match step {
        Step::Pull => {
            placement.pull(&launch()?.request, look.seen.pull_credentials.clone()).await?;
            Ok(Done::Pulling)
        }
        Step::Create => {
            let launch = launch()?;
            let contents =
                contents(ws, launch, look, ctx).ok_or_else(|| missing("the key of this attempt"))?;
            placement.create(&launch.request, &contents).await.map(Done::Box)
        }
        Step::Start(seen) => {
            // Only a box that was never started is filled again, and that needs the contents.
            let contents = contents(ws, launch()?, look, ctx).unwrap_or_default();
            placement.start(seen, &contents).await.map(Done::Box)
        }
        Step::Stop(seen) => {
            placement.stop(&seen.id).await?;
            Ok(Done::Stopped)
        }
        Step::Destroy(seen) => {
            placement.destroy(seen).await?;
            Ok(Done::Removed(seen.id.clone()))
        }
        Step::Clear => {
            placement.clear(&ws.uid().unwrap_or_default(), &network_of(ws)).await?;
            Ok(Done::Cleared)
        }
        Step::Nothing | Step::Record(_) | Step::AddFinalizer | Step::ReleaseFinalizer(_) => Ok(Done::Nothing),
    }
}

/// What goes into the box, with the token of this very attempt.
fn contents(ws: &Workspace, launch: &Launch, look: &Look, ctx: &Context) -> Option<Contents> {
    let contents = look.seen.desired.as_ref().ok()?.contents.clone();
    with_token(contents, &*ctx.keys.get()?, &ws.uid()?, launch)
}

/// These contents and the token of an attempt; `None` when the key of the attempt is not there.
pub fn with_token(mut contents: Contents, keyring: &Keyring, uid: &str, launch: &Launch) -> Option<Contents> {
    let token = keyring.token(&launch.key_id, Purpose::Workspace, uid, launch.attempt)?;
    contents.files.push(BoxFile { path: TOKEN_FILE.into(), bytes: token.into_bytes(), mode: 0o600 });
    Some(contents)
}

async fn finalizer(ws: &Workspace, ctx: &Context, change: FinalizerChange) -> Result<Done, WriteError> {
    let api: Api<Workspace> = Api::namespaced(ctx.client.clone(), &ws.namespace().unwrap_or_default());
    let effect = match change {
        FinalizerChange::Add => Effect::AddFinalizer,
        FinalizerChange::Remove => Effect::ReleaseFinalizer,
    };
    let result = set_finalizer(&api, ws, names::FINALIZER, change).await;
    ctx.metrics.effect(effect, write_outcome(&result));
    Ok(Done::Written(ctx.fresh.remember(result?)))
}
