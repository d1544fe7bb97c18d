//! One agent: what was heard of it in this life of its box, and what of that has been shown.

use super::health::Health;
use super::shown::{News, Shown};
use super::{AgentView, CardSeen, ExitSeen, Life, Link, Recorded, Registration, StageSeen, Standing, Voice};
use atelier_wire::{BootStage, Heartbeat};
use k8s_openapi::jiff::{SignedDuration, Timestamp};

/// An engine may note the start of a box this much after its first process began to run: 20 ms were seen.
const LATE_START: SignedDuration = SignedDuration::from_secs(1);

/// One agent of one attempt.
#[derive(Clone, Debug)]
pub struct Agent {
    pub attempt: i64,
    life: Life,
    /// Whether a look has told what is recorded.
    is_told: bool,
    calls: Option<Span>,
    stages: Vec<StageSeen>,
    /// Outlives a restart of the box: its files are still there.
    bundle: Bundle,
    exit: Option<ExitSeen>,
    rejected: Option<(String, Timestamp)>,
    connection: Connection,
    health: Health,
    /// Outlives a restart of the box: an agent registers once, and the call may get lost.
    registration: Option<Registration>,
    active_tasks: u32,
    shown: Shown,
}

/// The connection as far as this process can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Connection {
    /// No registration and no heartbeat in this life.
    None,
    /// Recorded as connected, and not heard by this process.
    Assumed { lost: bool },
    /// Recorded as lost, and not heard by this process.
    AssumedLost,
    /// Heard by this process.
    Heard { span: Span, lost: bool },
}

/// The bundle of the attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bundle {
    /// The box has not said that it has it.
    Wanted,
    /// The box has it.
    Fetched,
    /// The box has it, and somebody asked for it again.
    AskedForAgain,
}

/// The first and the last time of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    first: Timestamp,
    last: Timestamp,
}

impl Span {
    fn with(span: Option<Self>, at: Timestamp) -> Self {
        span.map_or(Self { first: at, last: at }, |s| Self { first: s.first, last: s.last.max(at) })
    }

    /// What of it lies after a start. The first time after it is not known when it began before: the last is.
    fn after(self, start: Timestamp) -> Option<Self> {
        let first = if self.first < start { self.last } else { self.first };
        (self.last >= start).then_some(Self { first, last: self.last })
    }
}

/// What an agent's link depends on besides the agent.
#[derive(Clone, Copy, Debug)]
pub struct Hearing {
    /// Since when this process leads and serves.
    pub since: Option<Timestamp>,
    /// How long an agent may be silent.
    pub ttl: SignedDuration,
    /// How often, at most, what an agent says is shown anew.
    pub quiet: SignedDuration,
    /// The time of the question.
    pub now: Timestamp,
}

impl Hearing {
    fn has_lasted(&self, time: SignedDuration) -> bool {
        self.since.is_some_and(|since| self.now.duration_since(since) >= time)
    }
}

impl Agent {
    pub fn new(attempt: i64) -> Self {
        Self {
            attempt,
            life: Life::Unknown,
            is_told: false,
            calls: None,
            stages: Vec::new(),
            bundle: Bundle::Wanted,
            exit: None,
            rejected: None,
            connection: Connection::None,
            health: Health::default(),
            registration: None,
            active_tasks: 0,
            shown: Shown::default(),
        }
    }

    // What the agent says.

    pub fn called(&mut self, now: Timestamp) {
        self.calls = Some(Span::with(self.calls, now));
    }

    pub fn registered(&mut self, registration: Registration, now: Timestamp) {
        self.registration = Some(registration);
        self.rejected = None;
        self.heard(now);
    }

    pub fn card_updated(&mut self, registration: Registration) {
        self.registration = Some(registration);
    }

    pub fn rejected(&mut self, why: String, now: Timestamp) {
        self.rejected = Some((why, now));
    }

    pub fn heartbeat(&mut self, beat: &Heartbeat, now: Timestamp) {
        self.active_tasks = beat.active_tasks;
        self.health.judge(beat, now);
        self.heard(now);
    }

    pub fn booted(&mut self, seen: StageSeen) {
        if seen.ok && seen.stage == BootStage::BundleFetched && self.bundle == Bundle::Wanted {
            self.bundle = Bundle::Fetched;
        }
        // The first word on a stage counts, so that an agent cannot make what is shown change for ever.
        if !self.stages.iter().any(|s| (s.stage, s.ok) == (seen.stage, seen.ok)) {
            self.stages.push(seen);
        }
    }

    /// Whether the box has its bundle, as it said or as is known otherwise.
    pub fn has_bundle(&self) -> bool {
        self.bundle != Bundle::Wanted
    }

    /// Notes that somebody asked for a bundle that the box has; whether that is new.
    pub fn asked_for_bundle_again(&mut self) -> bool {
        std::mem::replace(&mut self.bundle, Bundle::AskedForAgain) != Bundle::AskedForAgain
    }

    pub fn exited(&mut self, seen: ExitSeen) {
        self.exit = Some(seen);
    }

    fn heard(&mut self, now: Timestamp) {
        let before = match self.connection {
            Connection::Heard { span, lost: false } => Some(span),
            _ => None,
        };
        self.connection = Connection::Heard { span: Span::with(before, now), lost: false };
    }

    // What the backend and status say.

    /// Notes what the backend shows of the box. What was heard before a start was another life.
    pub fn note_life(&mut self, life: Life) {
        if life == Life::Unknown || life == self.life {
            return;
        }
        match life {
            Life::Unknown => {}
            Life::Stopped => {
                // What it said before it stopped may tell why: that goes with the next start.
                self.connection = Connection::None;
                self.health = Health::default();
            }
            Life::Running(start) => {
                if let Some(start) = start {
                    // What was heard since a look that showed no running box is of this life, even if the
                    // engine's note of the start comes late.
                    let late = if self.life == Life::Stopped { LATE_START } else { SignedDuration::ZERO };
                    self.forget_before(start.saturating_sub(late).unwrap_or(start));
                }
            }
        }
        self.life = life;
        self.shown.new_life();
    }

    fn forget_before(&mut self, start: Timestamp) {
        self.calls = self.calls.and_then(|calls| calls.after(start));
        self.stages.retain(|s| s.at >= start);
        self.exit.take_if(|exit| exit.at < start);
        self.rejected.take_if(|(_, at)| *at < start);
        if let Connection::Heard { span, lost } = self.connection {
            let rest = span.after(start);
            if rest.is_none() {
                self.health = Health::default();
            }
            self.connection = rest.map_or(Connection::None, |span| Connection::Heard { span, lost });
        }
    }

    /// Takes what is recorded for granted until this process has heard the agent itself. Counts until the
    /// first look that shows the box: later, status says only what this process said.
    pub fn note_recorded(&mut self, recorded: Recorded, hearing: Hearing) {
        if self.is_told {
            return;
        }
        self.is_told = self.life != Life::Unknown;
        let recorded =
            if self.started_unheard(hearing) == Some(false) { Recorded::Nothing } else { recorded };
        if recorded == Recorded::Wedged {
            self.health.was_wedged(hearing.now);
        }
        self.connection = match (self.connection, recorded) {
            (heard @ Connection::Heard { .. }, _) => heard,
            (_, Recorded::Nothing) => Connection::None,
            (_, Recorded::Lost) => Connection::AssumedLost,
            (assumed @ Connection::Assumed { .. }, _) => assumed,
            (_, Recorded::Connected | Recorded::Wedged) => Connection::Assumed { lost: false },
        };
    }

    /// Whether the box started before this process could hear it; `None` when that cannot be told.
    fn started_unheard(&self, hearing: Hearing) -> Option<bool> {
        match self.life {
            Life::Stopped => Some(false),
            Life::Running(Some(start)) => Some(start < hearing.since?),
            Life::Running(None) | Life::Unknown => None,
        }
    }

    // What the passing of time says.

    /// How long a connected agent has been silent; `None` when none is expected to speak.
    pub fn silence(&self, hearing: Hearing) -> Option<SignedDuration> {
        match self.connection {
            Connection::None | Connection::AssumedLost => None,
            Connection::Assumed { .. } => hearing.since.map(|since| hearing.now.duration_since(since)),
            Connection::Heard { span, .. } => Some(hearing.now.duration_since(span.last)),
        }
    }

    /// Calls a connected agent lost.
    pub fn lose(&mut self) {
        if let Connection::Assumed { lost } | Connection::Heard { lost, .. } = &mut self.connection {
            *lost = true;
        }
    }

    pub fn is_connected(&self) -> bool {
        matches!(self.connection, Connection::Heard { lost: false, .. })
    }

    // What is shown.

    pub fn voice(&self) -> Option<Voice> {
        let standing = match self.connection {
            Connection::Heard { lost: true, .. } => Standing::Lost,
            Connection::Heard { .. } if self.health.wedge().is_some() => Standing::Wedged,
            Connection::Heard { .. } => Standing::Well,
            _ => return None,
        };
        Some(Voice { standing, registration: self.registration.clone(), active_tasks: self.active_tasks })
    }

    /// What a look sees. What an agent can change at will is as old as the last time that it might be shown.
    pub fn view(&mut self, hearing: Hearing) -> AgentView {
        let live = self.news(hearing);
        let News { link, exit, rejected, .. } = self.shown.look(live, hearing).clone();
        let first_call = self.calls.map(|calls| calls.first);
        AgentView { first_call, stages: self.stages.clone(), exit, rejected, link, ttl: hearing.ttl }
    }

    /// Whether somebody should look now. Says so once until somebody did.
    pub fn wakes(&mut self, hearing: Hearing) -> bool {
        let live = self.news(hearing);
        self.shown.wakes(&live, hearing)
    }

    fn news(&self, hearing: Hearing) -> News {
        News {
            link: self.link(hearing),
            exit: self.exit.clone(),
            rejected: self.rejected.as_ref().map(|(why, _)| why.clone()),
            failed_stages: self.stages.iter().filter(|s| !s.ok).count(),
        }
    }

    fn link(&self, hearing: Hearing) -> Link {
        let can_tell = hearing.has_lasted(hearing.ttl);
        match self.connection {
            Connection::None if can_tell || self.started_unheard(hearing) == Some(false) => Link::Silent,
            Connection::AssumedLost if can_tell => Link::Silent,
            Connection::Assumed { lost: true } => Link::Silent,
            Connection::None | Connection::AssumedLost | Connection::Assumed { .. } => Link::TooEarly,
            Connection::Heard { span, lost: true } => Link::Lost { last_heard: span.last },
            Connection::Heard { span, .. } => match self.health.wedge() {
                Some(wedge) => Link::Wedged { since: wedge.since, card: self.card(), why: wedge.why.clone() },
                None => Link::Connected { since: span.first, card: self.card() },
            },
        }
    }

    fn card(&self) -> Option<CardSeen> {
        self.registration.as_ref().map(|Registration { url, card }| CardSeen {
            url: url.clone(),
            name: card.name.clone(),
            version: Some(card.version.clone()).filter(|v| !v.is_empty()),
        })
    }
}
