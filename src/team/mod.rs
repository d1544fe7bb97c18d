//! Team: expansion into Workspaces, and what becomes of them; it knows nothing of backends.
//!
//! One pass: [`merge`] and [`validate`] read the spec, [`plan`] compares with what there is, [`apply`] acts,
//! [`rollup`] and [`report`] say how it stands. All but `apply` and this file are pure.

pub mod apply;
#[cfg(test)]
mod checks;
pub mod child;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod live_tests;
pub mod memory;
pub mod merge;
pub mod plan;
pub mod report;
pub mod rollup;
pub mod validate;

use crate::api::condition::{ConditionType, find, is_true};
use crate::api::team::{Team, TeamStatus};
use crate::api::{Reason, Workspace, names};
use crate::metrics::{Effect, ErrorClass, Kind, Metrics, Outcome};
use crate::reconcile::{
    Backoff, Cache, EventReason, Events, Fresh, Gone, Leadership, WriteError, replace_status, same,
};
use apply::Applied;
use k8s_openapi::jiff::Timestamp;
use kube::runtime::controller::Action;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, Client, Resource, ResourceExt};
use memory::{Looked, Memory, Notes};
use merge::Child;
use plan::{Plan, Trouble};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::{debug, info, warn};

/// What the reconciles of all Teams share.
pub struct Context {
    /// The API server.
    pub client: Client,
    /// The Teams that the watch has seen.
    pub teams: Cache<Team>,
    /// The Workspaces that the watch has seen.
    pub workspaces: Cache<Workspace>,
    /// Whether this process may act.
    pub leadership: Leadership,
    /// Kubernetes events.
    pub events: Events,
    /// What is counted.
    pub metrics: Metrics,
    /// Periods.
    pub settings: Settings,
    /// Teams that this process knows better than its store.
    pub fresh: Fresh<Team>,
    /// Pauses after errors.
    pub backoff: Backoff,
    /// What is kept between passes.
    pub memory: Memory,
}

impl Context {
    /// A context that remembers nothing yet.
    pub fn new(
        client: Client,
        teams: Cache<Team>,
        workspaces: Cache<Workspace>,
        leadership: Leadership,
        events: Events,
        metrics: Metrics,
        settings: Settings,
    ) -> Self {
        Self {
            client,
            teams,
            workspaces,
            leadership,
            events,
            metrics,
            settings,
            fresh: Fresh::default(),
            backoff: Backoff::default(),
            memory: Memory::default(),
        }
    }
}

/// The periods of a Team's reconcile.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The status is written at most once in this time.
    pub status_every: Duration,
    /// A status that differs in nothing but messages is written at most once in this time.
    pub words_every: Duration,
    /// An apply that the API server refused is sent again after this time, or when something changes.
    pub refused_again: Duration,
    /// Everything is looked at again after this time, though nothing seems to have changed.
    pub resync: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            status_every: Duration::from_secs(1),
            words_every: Duration::from_secs(10),
            refused_again: Duration::from_secs(60),
            resync: Duration::from_secs(300),
        }
    }
}

/// Why a pass is tried again after a pause.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server did not say how the Team stands now.
    #[error("the Team could not be read, and nothing is done until it is: {0}")]
    Unread(String),
    /// The status was not written.
    #[error("the status was not written: {0}")]
    Write(#[source] WriteError),
    /// Children could not be applied or deleted; the status says which.
    #[error("{0} Workspaces could not be applied or deleted")]
    Children(usize),
    /// This process does not lead, or not for sure.
    #[error("this process may not act now; the one that leads will")]
    NotLeading,
    /// A child was made or deleted while the plan was made.
    #[error("Workspace {0} is not as the watch last showed it; it is looked at again")]
    Stale(String),
}

/// One pass over one Team.
///
/// # Errors
/// [`Error`]: the pass is tried again, with growing pauses ([`error_policy`]).
pub async fn reconcile(team: Arc<Team>, ctx: Arc<Context>) -> Result<Action, Error> {
    let result = pass(team, &ctx).await;
    ctx.metrics.reconciled(Kind::Team, Outcome::from(&result));
    result
}

/// What happens after a failed pass.
#[expect(clippy::needless_pass_by_value, reason = "the signature that kube's Controller asks for")]
pub fn error_policy(team: Arc<Team>, error: &Error, ctx: Arc<Context>) -> Action {
    let pause = ctx.backoff.next(&team.uid().unwrap_or_default());
    warn!(
        team = team.name_any(),
        namespace = team.namespace(),
        %error,
        again_in_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
        "a pass over a Team failed"
    );
    Action::requeue(pause)
}

/// The Teams that a change or the end of a Workspace concerns: the one that owns it, and those that want its
/// name for a member and may wait for it to go.
pub fn concerned(workspace: &Workspace, teams: &Store<Team>) -> Vec<ObjectRef<Team>> {
    let namespace = workspace.namespace().unwrap_or_default();
    let name = workspace.name_any();
    let owner = workspace
        .owner_references()
        .iter()
        .filter(|owner| owner.kind == Team::kind(&()) && owner.api_version == Team::api_version(&()))
        .map(|owner| owner.name.clone());
    let wants = |(at, _): (usize, &str)| {
        let (team, member) = (name.get(..at)?, name.get(at + 1..)?);
        let found = teams.get(&ObjectRef::new(team).within(&namespace))?;
        found.spec.members.iter().any(|m| m.name == member).then(|| team.to_owned())
    };
    let mut found: Vec<String> = owner.chain(name.match_indices('-').filter_map(wants)).collect();
    found.sort();
    found.dedup();
    found.into_iter().map(|team| ObjectRef::new(&team).within(&namespace)).collect()
}

async fn pass(from_store: Arc<Team>, ctx: &Context) -> Result<Action, Error> {
    let (Some(namespace), Some(uid)) = (from_store.namespace(), from_store.uid()) else {
        return Ok(Action::await_change());
    };
    let api: Api<Team> = Api::namespaced(ctx.client.clone(), &namespace);
    let team = match ctx.fresh.latest_or_get(&api, from_store).await {
        Ok(team) => team,
        Err(Gone::Gone) => {
            forget(ctx, &uid);
            return Ok(Action::await_change());
        }
        Err(error @ Gone::Unread(_)) => return Err(Error::Unread(error.to_string())),
    };
    let mut notes = ctx.memory.take(&uid);
    let result = look(&team, &api, ctx, &mut notes).await;
    ctx.memory.put(uid.clone(), notes);
    ctx.memory.tidy(ctx.teams.store().len(), |uid| ctx.teams.by_uid(uid).is_some());
    result
}

fn forget(ctx: &Context, uid: &str) {
    ctx.fresh.gone(uid);
    ctx.backoff.reset(uid);
    ctx.memory.take(uid);
}

async fn look(team: &Team, api: &Api<Team>, ctx: &Context, notes: &mut Notes) -> Result<Action, Error> {
    let looked = looked(team);
    let now = Instant::now();
    // Members report one by one; one look a second sees them all.
    let last = notes.last_pass.filter(|(before, _)| *before == looked).map(|(_, at)| at);
    if let Some(wait) = left(ctx.settings.status_every, last) {
        return Ok(Action::requeue(wait));
    }
    notes.last_pass = Some((looked, now));
    if looked.deleting {
        let status = report::deleting(team, Timestamp::now());
        return tell(team, api, ctx, notes, status).await.map(Action::requeue);
    }

    let wanted = merge::children(&team.name_any(), &team.spec);
    let accepted = validate::validate(&team.spec);
    let found = notes.newest(observe(team, &wanted, ctx), now);
    let mut plan = match accepted {
        Ok(()) => {
            plan::plan(team, &wanted, &found, |apply| notes.refusal(apply, now, ctx.settings.refused_again))
        }
        Err(_) => Plan::default(),
    };
    let hold = looked.paused && plan.has_effects();
    let done = if plan.has_effects() && !hold {
        if !still_so(team, api, looked).await? {
            debug!(team = team.name_any(), "the Team changed meanwhile; the watch will show how");
            return Ok(Action::requeue(ctx.settings.status_every));
        }
        act(team, ctx, notes, &mut plan).await?
    } else {
        Done::default()
    };

    let found = notes.newest(observe(team, &wanted, ctx), Instant::now());
    let mut troubles = plan.troubles.clone();
    troubles.extend(done.failed.iter().cloned());
    troubles.sort_by(|a, b| a.member.cmp(&b.member));
    let members = members(team, &wanted, &found, &troubles);
    let findings = report::Findings {
        accepted: &accepted,
        held_back: hold.then_some(&plan),
        troubles: &troubles,
        leaving: &plan.leaving,
        members: &members,
    };
    let status = report::status(team, &findings, Timestamp::now());
    done.tell(team, ctx);
    let next = tell(team, api, ctx, notes, status).await?;
    if done.retry > 0 {
        return Err(Error::Children(done.retry));
    }
    if let Some(uid) = &team.metadata.uid {
        ctx.backoff.reset(uid);
    }
    let refused = troubles.iter().any(|trouble| trouble.reason == Reason::ChildRejected);
    Ok(Action::requeue(if refused { next.min(ctx.settings.refused_again) } else { next }))
}

fn looked(team: &Team) -> Looked {
    Looked {
        generation: team.metadata.generation,
        deleting: team.metadata.deletion_timestamp.is_some(),
        paused: paused(team.annotations().get(names::PAUSED)),
    }
}

fn paused(annotation: Option<&String>) -> bool {
    annotation.is_some_and(|value| value == "true")
}

/// The Workspaces that matter to a Team: those of its children's names, and those that it owns.
fn observe(team: &Team, wanted: &[Child], ctx: &Context) -> Vec<Arc<Workspace>> {
    let namespace = team.namespace();
    ctx.workspaces.store().state_filter(|ws| {
        ws.namespace() == namespace
            && (owned(team, ws) || wanted.binary_search_by(|c| c.name.as_str().cmp(&ws.name_any())).is_ok())
    })
}

fn owned(team: &Team, workspace: &Workspace) -> bool {
    let uid = team.metadata.uid.as_ref();
    workspace.owner_references().iter().any(|o| o.controller == Some(true) && Some(&o.uid) == uid)
}

fn members(team: &Team, wanted: &[Child], found: &[Arc<Workspace>], troubles: &[Trouble]) -> rollup::Rollup {
    let ours: HashMap<String, &Workspace> =
        found.iter().filter(|ws| owned(team, ws)).map(|ws| (ws.name_any(), &**ws)).collect();
    let members = wanted.iter().map(|child| (child.member.as_str(), ours.get(&child.name).copied()));
    rollup::roll_up(members, troubles)
}

/// Whether the API server has the Team as the plan saw it. A watch that lags, or a process that slept, would
/// otherwise delete the Workspace of a member that was added since, or bring back one that was removed.
async fn still_so(team: &Team, api: &Api<Team>, looked_at: Looked) -> Result<bool, Error> {
    let name = team.name_any();
    let read = tokio::time::timeout(Duration::from_secs(10), api.get_metadata_opt(&name)).await;
    match read {
        Ok(Ok(None)) => Ok(false),
        Ok(Ok(Some(live))) => {
            let meta = &live.metadata;
            let now = Looked {
                generation: meta.generation,
                deleting: meta.deletion_timestamp.is_some(),
                paused: paused(live.annotations().get(names::PAUSED)),
            };
            Ok(meta.uid == team.metadata.uid && now == looked_at)
        }
        Ok(Err(error)) => Err(Error::Unread(error.to_string())),
        Err(_) => Err(Error::Unread("no answer within 10 s".into())),
    }
}

fn may_act(ctx: &Context) -> Result<(), Error> {
    if ctx.leadership.may_act() { Ok(()) } else { Err(Error::NotLeading) }
}

/// What was done to the children.
#[derive(Default)]
struct Done {
    created: Vec<String>,
    deleted: Vec<String>,
    failed: Vec<Trouble>,
    /// How many calls are to be tried again.
    retry: usize,
}

async fn act(team: &Team, ctx: &Context, notes: &mut Notes, plan: &mut Plan) -> Result<Done, Error> {
    let api: Api<Workspace> = Api::namespaced(ctx.client.clone(), &team.namespace().unwrap_or_default());
    let mut done = Done::default();
    let mut stale = None;
    let reach = apply::Reach { api: &api, leadership: &ctx.leadership, metrics: &ctx.metrics };
    for (apply, result) in reach.apply(std::mem::take(&mut plan.applies)).await {
        match result {
            Applied::Done(workspace) => {
                info!(team = team.name_any(), uid = team.uid(), workspace = apply.name, "applied a child");
                notes.replied(*workspace, Instant::now());
                if apply.existing.is_none() {
                    done.created.push(apply.member);
                }
            }
            Applied::Rejected(trouble) => {
                ctx.metrics.error(ErrorClass::Terminal, trouble.reason);
                notes.refuse(&apply, trouble.clone(), Instant::now());
                done.failed.push(trouble);
            }
            Applied::Failed(trouble) => {
                ctx.metrics.error(ErrorClass::Retryable, trouble.reason);
                done.retry += 1;
                done.failed.push(trouble);
            }
            Applied::Stale => stale = Some(apply.name),
        }
    }
    let failed = reach.prune(&plan.prunes).await;
    may_act(ctx)?;
    for prune in &plan.prunes {
        let name = &prune.name;
        if !failed.iter().any(|trouble| trouble.member == *name) {
            info!(team = team.name_any(), uid = team.uid(), workspace = name, "deleted a removed member");
            plan.leaving.push(name.clone());
            let own_prefix = names::child(&team.name_any(), "");
            done.deleted.push(name.strip_prefix(&own_prefix).unwrap_or(name).to_owned());
        }
    }
    done.retry += failed.len();
    done.failed.extend(failed);
    // Too early to say anything: what the status would say is known to be out of date.
    stale.map_or(Ok(done), |name| Err(Error::Stale(name)))
}

impl Done {
    /// Members that come and go after the Team was expanded are news; the first expansion is told as one.
    fn tell(&self, team: &Team, ctx: &Context) {
        let news = [
            (&self.created, EventReason::MemberAdded, "added"),
            (&self.deleted, EventReason::MemberRemoved, "removed"),
        ];
        for (who, reason, did) in news {
            if !who.is_empty() && was_expanded(team) {
                ctx.events.publish(&team.object_ref(&()), reason, format!("{did}: {}", who.join(", ")));
            }
        }
    }
}

/// What is left of a period that began then; none when it is over.
fn left(period: Duration, began: Option<Instant>) -> Option<Duration> {
    period.checked_sub(began?.elapsed()).filter(|left| !left.is_zero())
}

fn was_expanded(team: &Team) -> bool {
    team.status.as_ref().is_some_and(|status| is_true(&status.conditions, ConditionType::Expanded))
}

/// Writes the status if it says something new and its time has come, and tells the expansion. Answers when to
/// look again.
async fn tell(
    team: &Team,
    api: &Api<Team>,
    ctx: &Context,
    notes: &mut Notes,
    status: TeamStatus,
) -> Result<Duration, Error> {
    const WORDS: &[&str] = &["/conditions/*/message", "/members/notReady/*/message"];
    let before = team.status.as_ref();
    if same(before, &status, &[]) {
        return Ok(ctx.settings.resync);
    }
    let every =
        if same(before, &status, WORDS) { ctx.settings.words_every } else { ctx.settings.status_every };
    if let Some(wait) = left(every, notes.last_write) {
        return Ok(wait);
    }
    may_act(ctx)?;
    let written = replace_status(api, team, &status).await;
    ctx.metrics.effect(Effect::WriteStatus, Outcome::from(&written));
    notes.last_write = Some(Instant::now());
    match written {
        Ok(reply) => {
            ctx.fresh.remember(reply);
            let expanded = find(&status.conditions, ConditionType::Expanded)
                .filter(|condition| condition.reason == Reason::Expanded.as_str());
            if let Some(expanded) = expanded.filter(|_| !was_expanded(team)) {
                ctx.events.publish(&team.object_ref(&()), EventReason::Expanded, &expanded.message);
            }
            Ok(ctx.settings.resync)
        }
        Err(WriteError::Gone) => Ok(ctx.settings.resync),
        Err(error) => {
            if error.casts_doubt()
                && let Some(uid) = team.uid()
            {
                ctx.fresh.doubt(&uid);
            }
            Err(Error::Write(error))
        }
    }
}
