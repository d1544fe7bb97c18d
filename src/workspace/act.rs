//! The effect: at most one, on what was seen, by its id. What came of it is a value for the report.

use super::Context;
use super::observe::{Look, network_of, remains};
use super::resolve::TOKEN_FILE;
use super::step::{Release, Step};
use crate::api::names;
use crate::api::workspace::{Launch, StorageRecord, Workspace};
use crate::backend::{BackendError, BoxFile, BoxSeen, Contents, ErrorKind, LaunchOrder};
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
    Box(Box<BoxSeen>),
    /// A box was stopped; the next pass shows how it ended.
    Stopped,
    /// A box is gone.
    Removed(String),
    /// The volume of the Workspace's data is there; it is recorded before it is attached.
    Volume(StorageRecord),
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
        Step::MakeVolume { .. } => Effect::MakeVolume,
        Step::AttachVolume { .. } => Effect::AttachVolume,
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
    let uid = ws.uid().unwrap_or_default();
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
            let order = LaunchOrder {
                request: &launch.request,
                client_token: launch.client_token.as_deref(),
                user_data_hash: launch.user_data_hash.as_deref(),
                contents: &contents,
            };
            placement.create(&order).await.map(a_box)
        }
        Step::Start(seen) => {
            // Only a box that was never started is filled again, and that needs the contents.
            let contents = contents(ws, launch()?, look, ctx).unwrap_or_default();
            placement.start(&uid, seen, &contents).await.map(a_box)
        }
        Step::Stop(seen) => {
            placement.stop(&uid, seen).await?;
            Ok(Done::Stopped)
        }
        Step::Destroy(seen) => {
            let left = placement.destroy(&uid, seen).await?;
            Ok(left.map_or_else(|| Done::Removed(seen.id.clone()), a_box))
        }
        Step::MakeVolume { zone } => {
            placement.make_volume(&uid, &launch()?.request, zone).await.map(Done::Volume)
        }
        Step::AttachVolume { to, volume_id } => placement.attach_volume(&uid, to, volume_id).await.map(a_box),
        Step::Clear => {
            let status = ws.status.clone().unwrap_or_default();
            placement.clear(&remains(ws, &status, &uid, &network_of(ws))).await?;
            Ok(Done::Cleared)
        }
        Step::Nothing | Step::Record(_) | Step::AddFinalizer | Step::ReleaseFinalizer(_) => Ok(Done::Nothing),
    }
}

fn a_box(seen: BoxSeen) -> Done {
    Done::Box(Box::new(seen))
}

/// What goes into the box, with the tokens of this very attempt. Without a spec that comes to something, that is
/// the tokens alone: they are all that a launch needs that is sent again to learn what it made.
fn contents(ws: &Workspace, launch: &Launch, look: &Look, ctx: &Context) -> Option<Contents> {
    let mut contents = look.seen.desired.as_ref().map(|d| d.contents.clone()).unwrap_or_default();
    let (uid, keys) = (ws.uid()?, ctx.keys.get()?);
    contents.bootstrap_token = keys.token(&launch.key_id, Purpose::Bootstrap, &uid, launch.attempt)?;
    with_token(contents, &keys, &uid, launch)
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
