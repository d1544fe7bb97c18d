//! The Workspace reconcile: `observe -> plan -> act -> report`, a file each.
//!
//! - [`observe`] reads: the config, the spec's references, the backend, the agent. A failed read is a value.
//! - [`plan`] decides on at most one step. Pure and total.
//! - [`act`] carries it out.
//! - [`report`] says what was seen and done; [`describe`] is its pure part, the status.
//!
//! A pass that moved something is followed by another at once, which works from what it then sees.

pub mod act;
pub mod boot;
pub mod bundle;
pub mod config_yaml;
pub mod describe;
pub mod desired;
pub mod diagnosis;
pub mod failures;
pub mod judge;
pub mod observe;
mod pauses;
pub mod plan;
pub mod recorded;
pub mod references;
pub mod report;
pub mod resolve;
pub mod seen;
mod sending;
pub mod slots;
pub mod step;
#[cfg(test)]
mod tests;
pub mod told;

use crate::api::backend_config::BackendConfigSpec;
use crate::api::{Team, Workspace};
use crate::backend::Backends;
use crate::keys::Keys;
use crate::liveness::Liveness;
use crate::metrics::{Kind, Metrics, Outcome};
use crate::reconcile::{Backoff, Events, Fresh, Gone, Leadership, WriteError};
use k8s_openapi::jiff::Timestamp;
use kube::runtime::controller::Action;
use kube::runtime::reflector::Store;
use kube::{Api, Client, ResourceExt};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use step::{Next, Step};

/// So many passes may follow one another before others get their turn.
const PASSES: usize = 8;

/// The settings of the Workspace reconcile.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The operator's own namespace: no Workspace may live there, and its Secrets are the platform's.
    pub operator_namespace: String,
    /// How often everything is looked at when nothing wakes it.
    pub resync: Duration,
    /// The periods that decisions go by.
    pub periods: seen::Periods,
}

/// Everything that the reconcile of a Workspace needs.
pub struct Context {
    /// The API server.
    pub client: Client,
    /// The one door to the machines.
    pub backends: Backends,
    /// The accepted BackendConfig, if there is one.
    pub config: tokio::sync::watch::Receiver<Option<Arc<BackendConfigSpec>>>,
    /// All Workspaces, as the watch last showed them.
    pub workspaces: Store<Workspace>,
    /// All Teams, as the watch last showed them.
    pub teams: Store<Team>,
    /// The keys for tokens and hashes.
    pub keys: Keys,
    /// What agents said.
    pub liveness: Liveness,
    /// What is counted.
    pub metrics: Metrics,
    /// Where events go.
    pub events: Events,
    /// What this process knows better than the store.
    pub fresh: Fresh<Workspace>,
    /// Reads what specs refer to.
    pub references: references::Reader,
    /// The failures that stand.
    pub failures: failures::Failures,
    /// The diagnoses that were told of late.
    pub told: told::Told,
    /// Launches and replacements that count against a limit.
    pub slots: slots::Slots,
    /// Pauses after errors of the API server.
    pub backoff: Backoff,
    /// The settings.
    pub settings: Settings,
    /// Whether this process may still have effects: it leads, and its lease is renewed.
    pub leadership: Leadership,
    /// When the progress of a pull was last written, by uid.
    pub progress: Mutex<HashMap<String, Instant>>,
}

impl Context {
    fn config(&self) -> Option<Arc<BackendConfigSpec>> {
        self.config.borrow().clone()
    }

    fn may_write_progress(&self, uid: &str, period: Duration) -> bool {
        let mut written = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        written.retain(|_, at| at.elapsed() < period);
        written.insert(uid.to_owned(), Instant::now()).is_none()
    }

    /// Drops what is known of a Workspace that is gone.
    fn forget(&self, uid: &str) {
        self.fresh.gone(uid);
        self.failures.clear(uid);
        self.told.forget(uid);
        self.backoff.reset(uid);
        self.liveness.forget(uid);
    }
}

/// Why a reconcile ended early. It is tried again after a pause.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server did not take a write.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The object could not be read live after a write whose outcome is unknown.
    #[error(transparent)]
    Read(Gone),
    /// This process does not lead, or not surely.
    #[error("this process does not lead now; whoever does goes on")]
    NotLeading,
}

/// Brings one Workspace one or more steps closer to its spec.
///
/// # Errors
/// [`Error`]; [`error_policy`] says when it is tried again.
pub async fn reconcile(stored: Arc<Workspace>, ctx: Arc<Context>) -> Result<Action, Error> {
    let result = passes(&stored, &ctx).await;
    ctx.metrics.reconciled(Kind::Workspace, Outcome::from(&result));
    let uid = stored.uid().unwrap_or_default();
    match result {
        Err(Error::Read(Gone::Gone) | Error::Write(WriteError::Gone)) => {
            ctx.forget(&uid);
            Ok(Action::await_change())
        }
        Err(Error::Write(error)) => {
            if error.casts_doubt() {
                ctx.fresh.doubt(&uid);
            }
            Err(Error::Write(error))
        }
        Ok(action) => {
            ctx.backoff.reset(&uid);
            Ok(action)
        }
        error => error,
    }
}

/// When a reconcile that ended early is tried again.
#[expect(clippy::needless_pass_by_value, reason = "the signature that kube's Controller asks for")]
pub fn error_policy(ws: Arc<Workspace>, error: &Error, ctx: Arc<Context>) -> Action {
    let uid = ws.uid().unwrap_or_default();
    match error {
        // Somebody else wrote: look again at once.
        Error::Write(WriteError::Conflict) => Action::requeue(Duration::from_millis(50)),
        Error::NotLeading => Action::requeue(Duration::from_secs(1)),
        _ => {
            tracing::warn!(workspace = %ws.name_any(), namespace = ?ws.namespace(), uid, "{error}");
            Action::requeue(ctx.backoff.next(&uid))
        }
    }
}

async fn passes(stored: &Arc<Workspace>, ctx: &Context) -> Result<Action, Error> {
    let namespace = stored.namespace().unwrap_or_default();
    let api: Api<Workspace> = Api::namespaced(ctx.client.clone(), &namespace);
    for _ in 0..PASSES {
        let ws = ctx.fresh.latest_or_get(&api, stored.clone()).await.map_err(Error::Read)?;
        let (next, reported) = pass(&ws, ctx, Timestamp::now()).await?;
        if next == Next::Now && reported.moved {
            continue;
        }
        let pause = match next {
            Next::After(pause) => pause,
            Next::Now | Next::Resync => ctx.settings.resync,
        };
        if reported.released {
            return Ok(Action::await_change());
        }
        return Ok(Action::requeue(reported.look_again.map_or(pause, |again| again.min(pause))));
    }
    Ok(Action::requeue(Duration::ZERO))
}

/// One pass: one look, at most one effect, and what is to be said of it.
async fn pass(ws: &Workspace, ctx: &Context, now: Timestamp) -> Result<(Next, report::Reported), Error> {
    let began = Instant::now();
    let mut look = observe::observe(ws, ctx, now).await;
    if plan::is_moot(ws, &look.seen, now) {
        ctx.failures.clear(&ws.uid().unwrap_or_default());
        look.seen.failure = None;
    }
    let mut plan = plan::plan(ws, &look.seen, now);
    // A process that lost its lease starts no effect; what it reports would be refused or told by another.
    if plan.step != Step::Nothing && !ctx.leadership.may_act() {
        return Err(Error::NotLeading);
    }
    let done = act::act(&plan.step, ws, &look, ctx).await?;
    // What is told now is told at the time that it is by now: an effect may take seconds.
    let now = now.saturating_add(began.elapsed()).unwrap_or(now);
    let failed = matches!(done, act::Done::Failed(_));
    let reported = report::report(ws, &plan, look, done, ctx, now).await?;
    if failed && !reported.moved {
        let uid = ws.uid().unwrap_or_default();
        plan.next = ctx.failures.pause(&uid, now).map_or(plan.next, Next::After);
    }
    Ok((plan.next, reported))
}
