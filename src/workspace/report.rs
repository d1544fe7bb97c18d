//! The last step: what was seen and done becomes status, events and metrics. It runs also when acting failed.

use super::Context;
use super::act::Done;
use super::describe::{Description, describe, recorded};
use super::diagnosis::{note, wants_log};
use super::observe::{Look, wanted};
use super::recorded::{is_forgotten, restart_wanted};
use super::seen::Seen;
use super::step::{Plan, Release, Step};
use super::told::Cause;
use crate::api::condition::{find, is_true};
use crate::api::workspace::{Diagnosis, Workspace, WorkspaceStatus};
use crate::api::{ConditionType, Reason};
use crate::backend::Class;
use crate::metrics::{Effect, ErrorClass};
use crate::reconcile::{EventReason, WriteError, replace_status, same, write_outcome};
use k8s_openapi::jiff::Timestamp;
use kube::{Api, Resource, ResourceExt};
use std::time::{Duration, Instant};

/// A pull's progress is written no more often than this.
const PROGRESS_PERIOD: Duration = Duration::from_secs(5);

/// What a pass came to.
#[derive(Debug)]
pub struct Reported {
    /// Whether something changed by our own hand, so that another pass follows at once.
    pub moved: bool,
    /// Whether the object was let go.
    pub released: bool,
    /// When time alone changes what is to be said.
    pub look_again: Option<Duration>,
}

/// Writes down what was seen and done, if that says anything new.
///
/// # Errors
/// When the API server did not take the write: the plan is void then.
pub async fn report(
    ws: &Workspace,
    plan: &Plan,
    look: Look,
    done: Done,
    ctx: &Context,
    now: Timestamp,
) -> Result<Reported, WriteError> {
    let uid = ws.uid().unwrap_or_default();
    let before = ws.status.clone().unwrap_or_default();
    if let Done::Released(why) = done {
        gone(ws, &before, why, ctx);
        return Ok(Reported { moved: false, released: true, look_again: None });
    }
    if let Done::Written(_) = done {
        return Ok(Reported { moved: true, released: false, look_again: None });
    }
    let moved = remember(&uid, ws, plan, &look.seen, &done, ctx, now);
    let Look { seen, placement } = look;
    let volume = if let Done::Volume(volume) = &done { Some(volume.clone()) } else { None };
    let mut seen = fold(seen, done, ctx, &uid, ws);
    let base = match &plan.step {
        Step::Record(record) => recorded(&before, record),
        Step::Start(_) if moved && restart_wanted(ws, &before) => {
            WorkspaceStatus { restarted_at: ws.spec.restarted_at.clone(), ..before.clone() }
        }
        _ => before.clone(),
    };
    let base = match volume {
        Some(volume) => WorkspaceStatus { storage: Some(volume), ..base },
        None => base,
    };
    let mut said = describe(ws, &base, &seen, now);
    if let Some(id) = wants_tail(&said, &before)
        && let Some(placement) = &placement
        && let Ok(tail) = placement.log_tail(&uid, &id).await
    {
        seen.log_tail = Some(tail);
        said = describe(ws, &base, &seen, now);
    }
    let was_written = write(ws, &before, &said, ctx).await?;
    if let (Step::Record(record), Some(placement), true) = (&plan.step, &placement, was_written) {
        let is_new = before.launch.as_ref().is_none_or(|launch| launch.attempt != record.launch.attempt);
        placement.recorded(&uid, record.launch.attempt, is_new);
    }
    tell(ws, &before, &said.status, &plan.step, ctx, now);
    let moved = moved || matches!(plan.step, Step::Record(_));
    Ok(Reported { moved, released: false, look_again: said.look_again })
}

/// Keeps or forgets a failure; answers whether the step moved anything.
fn remember(
    uid: &str,
    ws: &Workspace,
    plan: &Plan,
    seen: &Seen,
    done: &Done,
    ctx: &Context,
    now: Timestamp,
) -> bool {
    match done {
        Done::Failed(error) => {
            let class = match error.class() {
                Class::Waiting => ErrorClass::Waiting,
                Class::Retryable => ErrorClass::Retryable,
                Class::Terminal => ErrorClass::Terminal,
            };
            ctx.metrics.error(class, error.reason());
            tracing::warn!(workspace = %ws.name_any(), namespace = ?ws.namespace(), uid, ?class, step = ?plan.step.name(), "{error}");
            ctx.failures.add(uid, wanted(ws, seen), error.clone(), now);
            // A missing image is pulled at once, in the next pass.
            error.kind == crate::backend::ErrorKind::ImageNotFound
        }
        Done::Pulling => {
            // The failure stays, so that the image is looked at; its pause grows with every pull.
            if let Some(failure) = &seen.failure {
                ctx.failures.add(uid, wanted(ws, seen), failure.error.clone(), now);
            }
            true
        }
        Done::Box(_) | Done::Stopped | Done::Removed(_) | Done::Volume(_) | Done::Cleared => {
            tracing::info!(workspace = %ws.name_any(), namespace = ?ws.namespace(), uid, step = ?plan.step.name(), attempt = ?attempt(ws), "done");
            ctx.failures.clear(uid);
            true
        }
        Done::Nothing | Done::Written(_) | Done::Released(_) => false,
    }
}

fn attempt(ws: &Workspace) -> Option<i64> {
    ws.status.as_ref()?.launch.as_ref().map(|l| l.attempt)
}

/// The look after the effect: what the backend answered takes the place of what was seen before.
fn fold(seen: Seen, done: Done, ctx: &Context, uid: &str, ws: &Workspace) -> Seen {
    match done {
        Done::Box(now_seen) => seen.with_box(*now_seen),
        Done::Removed(id) => seen.without_box(&id),
        Done::Failed(_) => {
            let failure = ctx.failures.get(uid, &wanted(ws, &seen));
            Seen { failure, ..seen }
        }
        Done::Cleared => Seen { leftovers: Ok(false), ..seen },
        Done::Nothing
        | Done::Stopped
        | Done::Pulling
        | Done::Volume(_)
        | Done::Written(_)
        | Done::Released(_) => seen,
    }
}

/// The box whose output is evidence for a diagnosis that does not have it yet.
fn wants_tail(said: &Description, before: &WorkspaceStatus) -> Option<String> {
    let diagnosis = said.status.diagnosis.as_ref().filter(|d| wants_log(d))?;
    let known = before.diagnosis.as_ref();
    let is_known = known.is_some_and(|k| k.cause == diagnosis.cause && k.summary == diagnosis.summary);
    // The box of an attempt that just ended is still there.
    let id = said.status.instance_id.as_ref().or(before.instance_id.as_ref());
    if is_known { None } else { id.cloned() }
}

/// Answers whether there was anything to write.
async fn write(
    ws: &Workspace,
    before: &WorkspaceStatus,
    said: &Description,
    ctx: &Context,
) -> Result<bool, WriteError> {
    let stored = ws.status.as_ref().filter(|s| s.observed_generation >= 0);
    if same(stored, &said.status, &["/diagnosis/observedAt", "/diagnosis/steps/*/durationSeconds"]) {
        return Ok(false);
    }
    if is_only_progress(before, &said.status)
        && !ctx.may_write_progress(&ws.uid().unwrap_or_default(), PROGRESS_PERIOD)
    {
        return Ok(false);
    }
    let api: Api<Workspace> = Api::namespaced(ctx.client.clone(), &ws.namespace().unwrap_or_default());
    let started = Instant::now();
    let result = replace_status(&api, ws, &said.status).await;
    ctx.metrics.effect(Effect::WriteStatus, write_outcome(&result));
    tracing::debug!(workspace = %ws.name_any(), namespace = ?ws.namespace(), took = ?started.elapsed(), ok = result.is_ok(), "status");
    ctx.fresh.remember(result?);
    Ok(true)
}

/// Whether nothing but the progress of a pull differs.
fn is_only_progress(before: &WorkspaceStatus, said: &WorkspaceStatus) -> bool {
    let pulling = |s: &WorkspaceStatus| {
        find(&s.conditions, ConditionType::InstanceLaunched)
            .is_some_and(|c| c.reason == Reason::PullingImage.as_str())
    };
    let texts = ["/conditions/*/message", "/diagnosis"];
    pulling(before) && pulling(said) && same(Some(before), said, &texts)
}

fn gone(ws: &Workspace, before: &WorkspaceStatus, why: Release, ctx: &Context) {
    let uid = ws.uid().unwrap_or_default();
    let about = ws.object_ref(&());
    let id = before.instance_id.as_deref().unwrap_or("the box");
    match why {
        Release::NeverLaunched => {}
        Release::Gone => ctx.events.publish(&about, EventReason::Terminated, format!("{id} is gone")),
        Release::Forgotten => {
            let note = format!("{id} was declared gone by a person; whether it lives was not looked at");
            ctx.events.publish(&about, EventReason::Forgotten, note);
        }
    }
    ctx.forget(&uid);
}

fn cause_of(status: &WorkspaceStatus, diagnosis: &Diagnosis) -> Cause {
    Cause { reason: diagnosis.cause.clone(), is_stalled: is_true(&status.conditions, ConditionType::Stalled) }
}

/// Events and metrics of what changed.
fn tell(
    ws: &Workspace,
    before: &WorkspaceStatus,
    now: &WorkspaceStatus,
    step: &Step,
    ctx: &Context,
    at: Timestamp,
) {
    let about = ws.object_ref(&());
    let say = |reason, note: String| ctx.events.publish(&about, reason, note);
    let changed = |type_| {
        let of =
            |s: &WorkspaceStatus| find(&s.conditions, type_).map(|c| (c.status == "True", c.reason.clone()));
        (of(before), of(now))
    };
    let attempt = now.launch.as_ref().map_or(0, |l| l.attempt);
    if let Some(id) = now.instance_id.as_ref().filter(|id| before.instance_id.as_ref() != Some(*id)) {
        let backend = now.placement.as_ref().map_or("", |p| p.backend.as_str());
        let reason = if attempt > 1 { EventReason::Replaced } else { EventReason::Launched };
        say(reason, format!("attempt {attempt} on {backend}: {id}"));
    }
    if let Step::Record(record) = step
        && is_forgotten(ws)
        && record.closed.is_some()
    {
        let id = before.instance_id.as_deref().unwrap_or("its box");
        say(
            EventReason::Forgotten,
            format!("{id} was declared gone by a person; attempt {attempt} takes its place"),
        );
    }
    let (was, is) = changed(ConditionType::Suspended);
    match (was.is_some(), is.is_some()) {
        (false, true) => say(EventReason::Suspended, "stopped on request; volumes are kept".into()),
        (true, false) => say(EventReason::Resumed, "started again on request".into()),
        _ => {}
    }
    if matches!(step, Step::Start(_)) && before.restarted_at != now.restarted_at {
        say(EventReason::Restarted, "restarted in place on request".into());
    }
    let (was, is) = changed(ConditionType::AgentConnected);
    if is.as_ref().is_some_and(|(connected, _)| *connected)
        && !was.as_ref().is_some_and(|(connected, _)| *connected)
    {
        let message = find(&now.conditions, ConditionType::AgentConnected).map(|c| c.message.clone());
        say(EventReason::Connected, message.unwrap_or_default());
    }
    let lost = Reason::HeartbeatLost.as_str();
    if is.as_ref().is_some_and(|(_, reason)| reason == lost)
        && was.as_ref().is_none_or(|(_, reason)| reason != lost)
    {
        let message = find(&now.conditions, ConditionType::AgentConnected).map(|c| c.message.clone());
        say(EventReason::Lost, format!("{}. {}", message.unwrap_or_default(), Reason::HeartbeatLost.fix()));
    }
    if let Some(diagnosis) = &now.diagnosis
        && before.diagnosis.as_ref().is_none_or(|d| d.cause != diagnosis.cause)
        && diagnosis.cause != lost
        && ctx.told.is_news(
            &ws.uid().unwrap_or_default(),
            ws.metadata.generation,
            cause_of(now, diagnosis),
            at,
        )
    {
        say(EventReason::Diagnosed, note(diagnosis));
    }
    let first = before.agent.is_none() && before.attempts.is_empty();
    if first
        && is_true(&now.conditions, ConditionType::Ready)
        && !is_true(&before.conditions, ConditionType::Ready)
    {
        let created = ws.creation_timestamp().map_or(at, |t| t.0);
        ctx.metrics.ready_after(Duration::try_from(at.duration_since(created)).unwrap_or_default());
    }
}
