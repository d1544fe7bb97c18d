//! Platform: looks after the one BackendConfig, asks the backend whether it is there, and tells Workspaces.
//!
//! [`observe`] looks, [`settle`] decides which endpoint is in effect, [`plan`] what to say; the one write is
//! made here. There is but one object, so a loop does, and no two passes ever run at once.

mod current;
mod observe;
mod plan;
mod settle;
#[cfg(test)]
mod testing;
mod token_keys;

pub use current::Current;
pub use token_keys::{KeyState, SECRET, TokenKeys};

use crate::api::{BackendConfig, BackendConfigSpec, Workspace, names};
use crate::backend::{BackendError, Backends, Configuration, Preflight};
use crate::metrics::{Effect, Kind, Metrics, Outcome};
use crate::reconcile::{
    Cache, Change, FinalizerChange, Fresh, Gone, Leadership, Pauses, WriteError, replace_status,
    set_finalizer, write_outcome,
};
use futures::{FutureExt, StreamExt};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::runtime::reflector::ObjectRef;
use kube::{Api, ResourceExt};
use plan::{Plan, Seen, Step};
use settle::Uses;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

/// How long the first question to the backend may take: Workspaces wait for it.
const FIRST_PREFLIGHT: Duration = Duration::from_secs(2);
/// How long the later ones may take.
const PREFLIGHT: Duration = Duration::from_secs(10);
/// How soon to look again after a write was refused, or while Workspaces are waited for.
const SOON: Duration = Duration::from_secs(1);
/// How long after a change of Workspaces they are counted.
const COUNT_AFTER: Duration = Duration::from_secs(2);

/// What the platform's pass needs.
pub struct Context {
    /// The name of the BackendConfig that counts.
    pub name: String,
    /// Every `BackendConfig`, for writing.
    pub api: Api<BackendConfig>,
    /// Every `BackendConfig`, as the watch has seen it.
    pub configs: Cache<BackendConfig>,
    /// Workspaces, as the watch has seen them.
    pub workspaces: Cache<Workspace>,
    /// The Secrets of the operator's namespace.
    pub secrets: Api<Secret>,
    /// The door.
    pub backends: Backends,
    /// Where the config in effect is shown.
    pub current: Current,
    /// The keys of agents' tokens.
    pub token_keys: TokenKeys,
    /// Whether so many agents fell silent at once that the fault is likely ours.
    pub too_many_silent: watch::Receiver<bool>,
    /// Whether this process may act.
    pub leadership: Leadership,
    /// What is counted.
    pub metrics: Metrics,
    /// How often the backend is asked while all is well.
    pub preflight_period: Duration,
    /// The pauses while it is not.
    pub pauses: Pauses,
    /// How long something that is missing may take to arrive.
    pub stalled_after: Duration,
}

/// Looks after the BackendConfig. Its first pass is awaited before any Workspace is looked at.
pub struct Platform {
    ctx: Context,
    fresh: Fresh<BackendConfig>,
    memory: Memory,
}

/// What is kept between passes.
#[derive(Default)]
struct Memory {
    /// The endpoints that the door was told of last.
    last: observe::Last,
    /// What Workspaces were told of last.
    told: Option<Told>,
    /// How often in a row something was not well.
    failures: i32,
}

/// Everything that Workspaces go by: when it changes, each is looked at anew.
#[derive(Clone, Debug, PartialEq)]
struct Told {
    config: Option<Arc<BackendConfigSpec>>,
    answer: Option<Result<Preflight, BackendError>>,
    keys: KeyState,
}

/// Why a pass is tried again after a pause.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("the BackendConfig could not be read: {0}")]
    Unread(#[source] Gone),
    #[error("{0}")]
    Write(#[source] WriteError),
}

impl Platform {
    /// One that has not looked yet.
    pub fn new(ctx: Context) -> Self {
        Self { ctx, fresh: Fresh::default(), memory: Memory::default() }
    }

    /// The first pass: what it finds is what the first Workspaces are told.
    pub async fn prime(&mut self) {
        self.pass(FIRST_PREFLIGHT).await;
    }

    /// Looks again whenever something changed or time has passed, until it is told to stop.
    pub async fn run(mut self, stop: CancellationToken) {
        let name = self.ctx.name.clone();
        let mut configs = pin!(self.ctx.configs.changes().filter(move |change| {
            let ours = match change {
                Change::Wanted(config) | Change::Gone(config) => config.name_any() == name,
                Change::Status(_) => false,
                Change::Missed => true,
            };
            std::future::ready(ours)
        }));
        let mut workspaces = pin!(self.ctx.workspaces.changes());
        let mut keys = self.ctx.token_keys.state();
        let mut silent = self.ctx.too_many_silent.clone();
        let mut next = Instant::now();
        // When to count Workspaces: a little after the first of many changes, and not after each.
        let mut count_at = None;
        loop {
            let at = count_at.map_or(next, |count_at: Instant| count_at.min(next));
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep_until(at) => {}
                _ = configs.next() => {}
                _ = workspaces.next(), if count_at.is_none() => {
                    count_at = Some(Instant::now() + COUNT_AFTER);
                    continue;
                }
                Ok(()) = keys.changed() => {}
                Ok(()) = silent.changed() => {}
            }
            if count_at.is_some_and(|count_at| count_at <= Instant::now()) {
                count_at = None;
                // One count sees them all.
                while workspaces.next().now_or_never().flatten().is_some() {}
                if next > Instant::now() && !self.is_miscounted() {
                    continue;
                }
            }
            next = Instant::now() + self.pass(PREFLIGHT).await;
        }
    }

    fn config(&self) -> Option<Arc<BackendConfig>> {
        self.ctx.configs.store().get(&ObjectRef::new(&self.ctx.name))
    }

    /// Whether the status says another number of Workspaces than there are.
    fn is_miscounted(&self) -> bool {
        let Some(config) = self.config() else { return false };
        let said = config.status.as_ref().and_then(|status| status.workspaces);
        let uses = Uses::of(self.ctx.workspaces.store().state().iter().map(|workspace| &**workspace));
        said != i32::try_from(uses.count()).ok()
    }

    /// One pass; how long until the next.
    async fn pass(&mut self, preflight_within: Duration) -> Duration {
        self.make_keys().await;
        let result = match self.config() {
            Some(config) => self.look_after(config, preflight_within).await,
            None => Ok(self.without_config()),
        };
        self.ctx.metrics.reconciled(Kind::BackendConfig, Outcome::from(&result));
        match result {
            Ok(pause) => pause,
            Err(error) => {
                warn!(config = self.ctx.name, %error, "the BackendConfig is looked at again");
                SOON
            }
        }
    }

    fn without_config(&mut self) -> Duration {
        self.ctx.backends.configure(Configuration::absent(&self.ctx.name));
        self.memory.last.clear();
        self.ctx.current.set(None);
        let keys = self.ctx.token_keys.state().borrow().clone();
        self.tell(Told { config: None, answer: None, keys });
        self.ctx.preflight_period
    }

    async fn look_after(
        &mut self,
        from_store: Arc<BackendConfig>,
        preflight_within: Duration,
    ) -> Result<Duration, Error> {
        let config = match self.fresh.latest_or_get(&self.ctx.api, from_store).await {
            Ok(config) => config,
            Err(Gone::Gone) => return Ok(self.without_config()),
            Err(unread @ Gone::Unread(_)) => return Err(Error::Unread(unread)),
        };
        let seen = observe::look(&self.ctx, &mut self.memory.last, &config, preflight_within).await;
        self.tell(Told {
            config: Some(Arc::new(seen.settled.spec.clone())),
            answer: seen.preflight.clone(),
            keys: seen.keys.clone(),
        });
        let stalled_after = SignedDuration::try_from(self.ctx.stalled_after).unwrap_or(SignedDuration::MAX);
        let plan = plan::plan(&config, &seen, stalled_after, Timestamp::now());
        let wrote = self.act(&config, &plan.step).await?;
        Ok(if wrote { Duration::ZERO } else { self.pause(&config, &seen, &plan) })
    }

    /// The Secret of keys is made only where no box can hold a token of an earlier one.
    async fn make_keys(&self) {
        let missing = *self.ctx.token_keys.state().borrow() == KeyState::Missing;
        let launched = |workspace: &Arc<Workspace>| {
            workspace.status.as_ref().is_some_and(|status| status.launch.is_some())
        };
        if missing
            && self.ctx.leadership.may_act()
            && !self.ctx.workspaces.store().state().iter().any(launched)
        {
            self.ctx.token_keys.make().await;
        }
    }

    /// Wakes the Workspaces if anything changed that they go by.
    fn tell(&mut self, now: Told) {
        if self.memory.told.as_ref() != Some(&now) {
            debug!(config = self.ctx.name, "what Workspaces go by has changed");
            self.memory.told = Some(now);
            self.ctx.current.announce();
        }
    }

    /// Carries out the one write; whether there was one.
    async fn act(&self, config: &BackendConfig, step: &Step) -> Result<bool, Error> {
        if *step == Step::Nothing || !self.ctx.leadership.may_act() {
            return Ok(false);
        }
        let api = &self.ctx.api;
        let finalizer = |change| set_finalizer(api, config, names::FINALIZER, change);
        let (effect, written) = match step {
            Step::Nothing => return Ok(false),
            Step::AddFinalizer => (Effect::AddFinalizer, finalizer(FinalizerChange::Add).await),
            Step::ReleaseFinalizer => (Effect::ReleaseFinalizer, finalizer(FinalizerChange::Remove).await),
            Step::WriteStatus(status) => (Effect::WriteStatus, replace_status(api, config, status).await),
        };
        self.ctx.metrics.effect(effect, write_outcome(&written));
        let uid = config.uid().unwrap_or_default();
        match written {
            Ok(reply) => {
                if let Step::WriteStatus(status) = step {
                    info!(
                        config = self.ctx.name,
                        uid,
                        said = plan::in_words(status),
                        "said how the backend stands"
                    );
                } else {
                    info!(config = self.ctx.name, uid, step = ?step, "the finalizer was changed");
                }
                self.fresh.remember(reply);
                Ok(true)
            }
            Err(WriteError::Gone) => {
                self.fresh.gone(&uid);
                Ok(true)
            }
            Err(error) => {
                if error.casts_doubt() {
                    self.fresh.doubt(&uid);
                }
                Err(Error::Write(error))
            }
        }
    }

    fn pause(&mut self, config: &BackendConfig, seen: &Seen, plan: &Plan) -> Duration {
        let pause = if plan::is_well(seen) {
            self.memory.failures = 0;
            self.ctx.preflight_period
        } else {
            self.memory.failures = self.memory.failures.saturating_add(1);
            self.ctx.pauses.after(self.memory.failures, rand::random())
        };
        let pause = plan.look_again.map_or(pause, |at_latest| pause.min(at_latest));
        if config.metadata.deletion_timestamp.is_some() { pause.min(SOON) } else { pause }
    }
}
