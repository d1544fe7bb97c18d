//! The status: a pure function of the Workspace and of what was seen. It says nothing else.
//!
//! The chain of conditions on the way to Ready is in [`chain`] and [`launched`], what is there only when it has
//! something to say in [`extras`].

mod chain;
mod extras;
mod launched;

use super::boot::is_same_start;
use super::diagnosis;
use super::recorded::{remember, sort};
use super::seen::Seen;
use super::step::Record;
use crate::api::workspace::{Agent, Instance, Outcome, Workspace, WorkspaceStatus};
use crate::api::{ConditionType, Conditions, Reason, Status, names};
use crate::backend::{BoxSeen, BoxState};
use crate::liveness::{CardSeen, Link};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use k8s_openapi::jiff::Timestamp;
use std::time::Duration;

/// From so many failures in a row on, it is a crash loop.
const CRASH_LOOP: i32 = 3;

/// What is said, and when it must be said differently if nothing happens.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    /// The whole status.
    pub status: WorkspaceStatus,
    /// When time alone changes what is to be said.
    pub look_again: Option<Duration>,
}

/// The status with a record in it: what is written before the effect that it announces.
pub fn recorded(status: &WorkspaceStatus, record: &Record) -> WorkspaceStatus {
    let mut next = status.clone();
    if status.launch.as_ref().is_none_or(|l| l.attempt != record.launch.attempt) {
        next.instance_id = None;
        next.instance = None;
        next.agent = None;
    }
    next.launch = Some(record.launch.clone());
    next.placement = Some(record.placement.clone());
    next.attempts = remember(next.attempts, record.closed.clone());
    next.restarted_at.clone_from(&record.restarted_at);
    next
}

/// Says what was seen. `before` is the status to go on from: the stored one, or that with a record in it.
pub fn describe(ws: &Workspace, before: &WorkspaceStatus, seen: &Seen, now: Timestamp) -> Description {
    Describer::new(ws, before, seen, now).describe()
}

type Said = (Status, Reason, String);

struct Describer<'a> {
    ws: &'a Workspace,
    before: &'a WorkspaceStatus,
    seen: &'a Seen,
    now: Timestamp,
    mine: Option<&'a BoxSeen>,
    /// The recorded box, where it has ended for good and the backend still shows it.
    ended: Option<&'a BoxSeen>,
    deleting: bool,
}

impl<'a> Describer<'a> {
    fn new(ws: &'a Workspace, before: &'a WorkspaceStatus, seen: &'a Seen, now: Timestamp) -> Self {
        let boxes = seen.boxes.as_ref().ok().map(|boxes| sort(before, boxes));
        let (mine, ended) = boxes.map_or((None, None), |boxes| (boxes.mine, boxes.ended));
        let deleting = ws.metadata.deletion_timestamp.is_some();
        Self { ws, before, seen, now, mine, ended, deleting }
    }

    fn describe(&self) -> Description {
        let mut status = self.facts();
        let generation = self.ws.metadata.generation.unwrap_or_default();
        let mut conditions = Conditions::new(&self.before.conditions, generation, self.now);
        let chain = [
            (ConditionType::Accepted, self.accepted()),
            (ConditionType::BackendReady, self.backend_ready()),
            (ConditionType::InstanceLaunched, self.instance_launched()),
            (ConditionType::Bootstrapped, self.bootstrapped()),
            (ConditionType::AgentConnected, self.agent_connected()),
        ];
        for (type_, (said, reason, message)) in chain.clone() {
            conditions.set(type_, said, reason, message);
        }
        let first_with = |wanted: Status| chain.iter().find(|(_, (said, ..))| *said == wanted);
        let cause = if self.is_suspended() {
            Some((ConditionType::InstanceLaunched, Reason::Suspended, chain[2].1.2.clone()))
        } else {
            first_with(Status::False)
                .or_else(|| first_with(Status::Unknown))
                .map(|(type_, (_, reason, message))| (*type_, *reason, message.clone()))
        };
        let mut look_again = None;
        match &cause {
            None => {
                conditions.set(ConditionType::Ready, Status::True, Reason::Ready, "the agent is connected");
            }
            Some((type_, reason, message)) => {
                conditions.set(ConditionType::Ready, Status::False, *reason, message.clone());
                look_again = self.progress(&mut conditions, *type_, *reason, message);
            }
        }
        self.extras(&mut conditions);
        // A box that is gone because it was to go needs no explanation.
        let explained = cause.as_ref().filter(|_| !self.deleting || self.is_stuck());
        status.diagnosis = explained.and_then(|(type_, reason, message)| {
            let steps = diagnosis::steps(*type_, &conditions, self.before, self.mine, &self.seen.agent);
            diagnosis::diagnose(*type_, *reason, message, steps, self.before, self.seen, self.now)
        });
        if let Some(diagnosis) = &status.diagnosis {
            let id = status.instance_id.as_deref();
            let cause = Reason::parse(&diagnosis.cause).unwrap_or(Reason::LaunchFailed);
            conditions.set(
                ConditionType::Diagnosed,
                Status::True,
                cause,
                diagnosis::paragraph(diagnosis, id),
            );
        }
        status.conditions = conditions.finish();
        Description { status, look_again }
    }

    /// Everything in the status but conditions and diagnosis.
    fn facts(&self) -> WorkspaceStatus {
        let mut status = self.before.clone();
        status.observed_generation = self.ws.metadata.generation.unwrap_or_default();
        let Ok(_) = &self.seen.boxes else { return status };
        let Some(mine) = self.mine else {
            status.instance = None;
            if self.deleting
                && let Some(launch) = &mut status.launch
                && launch.outcome == Outcome::Launched
            {
                launch.outcome = Outcome::Gone;
            }
            return status;
        };
        if let Some(launch) = &mut status.launch
            && launch.outcome == Outcome::Pending
        {
            launch.outcome = Outcome::Launched;
        }
        if !is_same_start(self.before, mine) {
            status.agent = None;
        }
        if matches!(mine.state, BoxState::Running) {
            status.agent = self.agent().or(status.agent);
        }
        status.instance_id = Some(mine.id.clone());
        if mine.state == BoxState::Unlisted {
            // What was seen of it last stands until a list shows it.
            return status;
        }
        let ec2 = mine.ec2.clone().unwrap_or_default();
        let known = |word: String| Some(word).filter(|word| !word.is_empty());
        status.instance = Some(Instance {
            short_id: Some(names::short_id(&mine.id).to_owned()),
            state: mine.state.word().to_owned(),
            state_reason: state_reason(mine),
            address: mine.address.clone(),
            addresses: mine.addresses.clone(),
            image: Some(mine.image.clone()),
            instance_type: known(ec2.instance_type),
            subnet_id: known(ec2.subnet_id),
            zone: known(ec2.zone),
            started_at: mine.started_at.map(MicroTime),
        });
        status
    }

    fn agent(&self) -> Option<Agent> {
        let (Link::Connected { since, card } | Link::Wedged { since, card, .. }) = &self.seen.agent.link
        else {
            return None;
        };
        let attempt = self.before.launch.as_ref()?.attempt;
        let known = self.before.agent.as_ref().filter(|a| a.attempt == attempt);
        let known = known.filter(|_| self.mine.is_some_and(|mine| is_same_start(self.before, mine)));
        // What was registered stays when a later process has only heard heartbeats.
        if card.is_none() && known.is_some() {
            return known.cloned();
        }
        let CardSeen { url, name, version } =
            card.clone().unwrap_or(CardSeen { url: String::new(), name: String::new(), version: None });
        Some(Agent {
            url: Some(url).filter(|u| !u.is_empty()),
            name: Some(name).filter(|n| !n.is_empty()),
            version,
            connected_at: known.map_or(Time(*since), |k| k.connected_at.clone()),
            attempt,
        })
    }

    fn is_suspended(&self) -> bool {
        self.ws.spec.suspend
            && !self.deleting
            && self.seen.boxes.is_ok()
            && self.running().is_none()
            && (self.before.launch.is_some() || self.accepted().0 == Status::True)
    }

    fn running(&self) -> Option<&'a BoxSeen> {
        self.mine.filter(|mine| mine.state == BoxState::Running)
    }
}

/// A time as people read it: to the second, UTC.
fn second(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn state_reason(mine: &BoxSeen) -> Option<String> {
    if let BoxState::Stopped { reason } = &mine.state {
        return reason.clone();
    }
    let BoxState::Exited { code, oom_killed, error, .. } = &mine.state else { return None };
    match (oom_killed, error.as_deref().filter(|e| !e.is_empty())) {
        (true, _) => Some(format!("OOMKilled, exit code {code}")),
        (false, Some(error)) => Some(format!("exit code {code}: {error}")),
        (false, None) => Some(format!("exit code {code}")),
    }
}
