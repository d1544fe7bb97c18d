//! What this process heard from agents, in memory: written by the registry, read by the Workspace reconcile.
//!
//! A pure state machine (`fleet`, `agent`, `health`) behind one lock. Nothing is stored: a new leader starts
//! from what status records and hears for itself within one TTL.
//!
//! **Lives.** What was heard belongs to one life of one box: an attempt, from one start to the next stop. The
//! reconcile passes what the backend shows ([`Life`]) with every look, so a restarted box is never connected by
//! a beat of its former life, and no second call can be forgotten. A box that was seen stopped has lost its
//! connection, whatever the clocks say. Only a start that nobody saw the stop before is told by its time, by
//! the backend's clock: if that clock runs ahead of ours, a call made right after the start may count as one
//! before it, and the agent is connected one heartbeat later (30 s), with its card.
//!
//! **Few writes.** A look shows what an agent says at most as often as every 30 s ([`QUIET`]), so that no agent
//! can cause more writes than that, whatever else wakes its reconcile. The first connection of a life and a
//! lost connection are shown at once. What was held back wakes the reconcile when the time is over.

mod agent;
mod fleet;
mod health;
mod shown;
#[cfg(test)]
mod tests;
mod text;

use crate::api::condition::{self, ConditionType};
use crate::api::{Reason, WorkspaceStatus};
use crate::metrics::Metrics;
use atelier_wire::{AgentCard, Boot, BootStage, Exit, Heartbeat, contract};
use fleet::Fleet;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// How often, at most, what an agent says is shown anew.
pub const QUIET: Duration = Duration::from_secs(30);

/// How often agents that fell silent are looked for.
const TICK: Duration = Duration::from_secs(1);

/// What is known of one agent, of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentView {
    /// The first authenticated call since the box's start that this process heard.
    pub first_call: Option<Timestamp>,
    /// The boot stages that it posted since its start, in order; each stage's first success and first failure.
    pub stages: Vec<StageSeen>,
    /// The exit of its child that it reported last.
    pub exit: Option<ExitSeen>,
    /// Why its last registration was refused, if it was.
    pub rejected: Option<String>,
    /// Its connection.
    pub link: Link,
    /// How long it may be silent.
    pub ttl: SignedDuration,
}

/// A boot stage that an agent posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageSeen {
    /// Which.
    pub stage: BootStage,
    /// Whether it succeeded, as the box says.
    pub ok: bool,
    /// The box's words, cleaned and capped.
    pub detail: Option<String>,
    /// When it was heard.
    pub at: Timestamp,
}

/// The exit of an agent's child, as the agent says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExitSeen {
    /// The exit code.
    pub exit_code: i64,
    /// The signal, if one ended it.
    pub signal: Option<i64>,
    /// The last lines of its output, cleaned and capped.
    pub log_tail: String,
    /// When it was heard.
    pub at: Timestamp,
}

/// The connection of one agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// Not heard, and this process cannot tell yet: what is recorded stands. So it is until this process has
    /// led and served for a whole TTL, unless the box started while it did; and, for an agent that is recorded
    /// as connected, while too many are silent at once.
    TooEarly,
    /// Neither a registration nor a heartbeat was heard, by a process that would have heard them. An agent
    /// that is recorded as connected is lost.
    Silent,
    /// Registered, or its heartbeat was accepted, and fresh.
    Connected {
        /// Since when, as far as this process heard it.
        since: Timestamp,
        /// What it registered; absent when this process heard only heartbeats.
        card: Option<CardSeen>,
    },
    /// Fresh, and it says that it is wedged, or that its calls fail.
    Wedged {
        /// Since when, as far as this process heard it.
        since: Timestamp,
        /// What it registered; absent when this process heard only heartbeats.
        card: Option<CardSeen>,
        /// What it said when it became so, cleaned and capped.
        why: String,
    },
    /// It was connected and has been silent for longer than the TTL.
    Lost {
        /// When it was heard last.
        last_heard: Timestamp,
    },
}

/// What an agent registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardSeen {
    /// The url that it advertises.
    pub url: String,
    /// The name on its card.
    pub name: String,
    /// The version on its card.
    pub version: Option<String>,
}

/// What the backend shows of the box at the moment of a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// The backend did not answer: what was heard stands.
    Unknown,
    /// It runs, since this time by the backend's clock.
    Running(Option<Timestamp>),
    /// There is none, or it does not run.
    Stopped,
}

/// What status says of the connection, for a process that did not hear it itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// It was not connected, or that was another start of the box.
    Nothing,
    /// It was connected.
    Connected,
    /// It was connected and wedged.
    Wedged,
    /// It was lost.
    Lost,
}

impl Recorded {
    /// What this status says of a box of this life. It says nothing of another start than the recorded one.
    pub fn of(status: &WorkspaceStatus, life: Life) -> Self {
        let recorded_start = status.instance.as_ref().and_then(|i| i.started_at.as_ref()).map(|t| t.0);
        let is_this_start = match life {
            Life::Unknown => true,
            Life::Running(start) => start == recorded_start,
            Life::Stopped => false,
        };
        let attempt = status.launch.as_ref().map(|l| l.attempt);
        let is_this_attempt = status.agent.as_ref().is_some_and(|a| Some(a.attempt) == attempt);
        let said = condition::find(&status.conditions, ConditionType::AgentConnected);
        let Some(said) = said.filter(|_| is_this_start && is_this_attempt) else { return Self::Nothing };
        match Reason::parse(&said.reason) {
            Some(Reason::HeartbeatLost) => Self::Lost,
            Some(Reason::AgentWedged) => Self::Wedged,
            _ if said.status == condition::Status::True.as_str() => Self::Connected,
            _ => Self::Nothing,
        }
    }
}

/// What peers may know of an agent, up to the moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Voice {
    /// Whether it can be talked to.
    pub standing: Standing,
    /// Where it listens and its whole card, cleaned and capped; absent when only heartbeats were heard.
    pub registration: Option<Registration>,
    /// The tasks that it has under way.
    pub active_tasks: u32,
}

/// Whether an agent that was heard can be talked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Connected and well.
    Well,
    /// Connected and wedged.
    Wedged,
    /// Silent for longer than the TTL.
    Lost,
}

/// What an agent registered, in full.
#[derive(Clone, Debug, PartialEq)]
pub struct Registration {
    /// The url that it advertises; it was checked.
    pub url: String,
    /// Its card, cleaned and capped, with that url.
    pub card: AgentCard,
}

/// What this process heard. Clones share it.
///
/// Every method that takes an `attempt` ignores one that is older than the newest that was heard of, and those
/// that report a call answer whether it wakes the Workspace's reconcile.
#[derive(Clone, Debug)]
pub struct Liveness {
    fleet: Arc<Mutex<Fleet>>,
    wakes: mpsc::UnboundedSender<String>,
    too_many_silent: Arc<watch::Sender<bool>>,
}

impl Default for Liveness {
    /// The default periods, and nobody to be woken.
    fn default() -> Self {
        Self::new(Duration::from_secs(contract::HEARTBEAT_TTL_SECONDS), QUIET).0
    }
}

impl Liveness {
    /// Nothing heard yet, and the uids of Workspaces whose reconcile should look again. An agent may be silent
    /// for `ttl`; what it says is shown anew at most once in `quiet`.
    pub fn new(ttl: Duration, quiet: Duration) -> (Self, mpsc::UnboundedReceiver<String>) {
        // Not bounded, and still small: a uid is sent once until the reconcile has looked.
        let (wakes, woken) = mpsc::unbounded_channel();
        let fleet = Arc::new(Mutex::new(Fleet::new(ttl, quiet)));
        (Self { fleet, wakes, too_many_silent: Arc::new(watch::Sender::new(false)) }, woken)
    }

    /// How long an agent may be silent, from now on.
    pub fn set_ttl(&self, ttl: Duration) {
        self.fleet().set_ttl(ttl);
    }

    /// This process took the lead at this time, or lost it: then what it heard counts for nothing.
    pub fn lead(&self, since: Option<Timestamp>) {
        self.fleet().lead(since);
    }

    /// The registry of this process answers since this time.
    pub fn serve(&self, since: Timestamp) {
        self.fleet().serve(since);
    }

    /// What is known of one agent, of one attempt. Notes what the backend shows of its box and, of an agent
    /// that this process has not heard yet, what is recorded.
    pub fn view(&self, uid: &str, attempt: i64, life: Life, recorded: Recorded, now: Timestamp) -> AgentView {
        self.fleet().view(uid, attempt, life, recorded, now)
    }

    /// What peers may know of an agent; `None` when it was not heard.
    pub fn voice(&self, uid: &str, attempt: i64) -> Option<Voice> {
        self.fleet().voice(uid, attempt)
    }

    /// Forgets a Workspace that is gone.
    pub fn forget(&self, uid: &str) {
        self.fleet().forget(uid);
    }

    /// An authenticated call of any kind.
    pub fn called(&self, uid: &str, attempt: i64, now: Timestamp) -> bool {
        self.change(uid, attempt, now, |_| ())
    }

    /// A registration that was accepted; `url` was checked.
    pub fn registered(&self, uid: &str, attempt: i64, url: &str, card: &AgentCard, now: Timestamp) -> bool {
        let registration = Registration { url: url.to_owned(), card: text::card(card, url) };
        self.change(uid, attempt, now, |agent| agent.registered(registration, now))
    }

    /// A registration that was refused, and why.
    pub fn rejected(&self, uid: &str, attempt: i64, why: &str, now: Timestamp) -> bool {
        let why = text::line(why, text::SENTENCE_MAX_BYTES);
        self.change(uid, attempt, now, |agent| agent.rejected(why, now))
    }

    /// A new card of an agent that listens at `url`, which was checked.
    pub fn card_updated(&self, uid: &str, attempt: i64, url: &str, card: &AgentCard, now: Timestamp) -> bool {
        let registration = Registration { url: url.to_owned(), card: text::card(card, url) };
        self.change(uid, attempt, now, |agent| agent.card_updated(registration))
    }

    /// A heartbeat.
    pub fn heartbeat(&self, uid: &str, attempt: i64, beat: &Heartbeat, now: Timestamp) -> bool {
        self.change(uid, attempt, now, |agent| agent.heartbeat(beat, now))
    }

    /// A boot stage was reached, or failed.
    pub fn boot(&self, uid: &str, attempt: i64, boot: &Boot, now: Timestamp) -> bool {
        let detail = boot.detail.as_deref().map(text::tail).filter(|d| !d.is_empty());
        let seen = StageSeen { stage: boot.stage, ok: boot.ok, detail, at: now };
        self.change(uid, attempt, now, |agent| agent.booted(seen))
    }

    /// Whether the box of this attempt said, in any of its lives, that it has its bundle.
    pub fn has_bundle(&self, uid: &str, attempt: i64) -> bool {
        self.fleet().has_bundle(uid, attempt)
    }

    /// Somebody asked for a bundle that the box of this attempt has. Whether that is new of this attempt.
    pub fn asked_for_bundle_again(&self, uid: &str, attempt: i64) -> bool {
        self.fleet().asked_for_bundle_again(uid, attempt)
    }

    /// The agent's child ended.
    pub fn exit(&self, uid: &str, attempt: i64, exit: &Exit, now: Timestamp) -> bool {
        let seen = ExitSeen {
            exit_code: exit.exit_code.into(),
            signal: exit.signal.map(Into::into),
            log_tail: text::tail(&exit.log_tail),
            at: now,
        };
        self.change(uid, attempt, now, |agent| agent.exited(seen))
    }

    /// How many agents are connected.
    pub fn connected(&self) -> usize {
        self.fleet().connected()
    }

    /// Whether so many agents fell silent at once that the fault is likely ours; changes are seen.
    pub fn too_many_silent(&self) -> watch::Receiver<bool> {
        self.too_many_silent.subscribe()
    }

    /// Takes note of the passing of time: calls agents lost that have been silent for too long, and wakes the
    /// reconciles of these and of those whose news was held back for long enough.
    pub fn tick(&self, now: Timestamp) {
        let (woken, too_many) = {
            let mut fleet = self.fleet();
            let too_many = fleet.too_many_silent(now);
            (fleet.tick(now), too_many)
        };
        for uid in woken {
            self.wake(uid);
        }
        self.too_many_silent.send_if_modified(|was| std::mem::replace(was, too_many) != too_many);
    }

    /// Ticks every second until `shutdown` ends.
    pub async fn run(&self, metrics: Metrics, shutdown: impl Future<Output = ()>) {
        let mut shutdown = std::pin::pin!(shutdown);
        let mut every = tokio::time::interval(TICK);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = &mut shutdown => return,
                _ = every.tick() => {}
            }
            self.tick(Timestamp::now());
            metrics.connected_agents(self.connected());
        }
    }

    fn change(
        &self,
        uid: &str,
        attempt: i64,
        now: Timestamp,
        change: impl FnOnce(&mut agent::Agent),
    ) -> bool {
        let wakes = self.fleet().change(uid, attempt, now, change);
        if wakes {
            self.wake(uid.to_owned());
        }
        wakes
    }

    fn wake(&self, uid: String) {
        // Fails only when nobody listens: then nobody has to be woken.
        let _ = self.wakes.send(uid);
    }

    fn fleet(&self) -> MutexGuard<'_, Fleet> {
        self.fleet.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
