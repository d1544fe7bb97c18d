//! The status: a pure function of the Workspace and of what was seen. It says nothing else.

use super::boot::{Boot, boot, is_same_start};
use super::diagnosis;
use super::plan::{BOOT_ATTEMPTS, Record, is_outdated, is_paused, remember, restart_wanted, sort};
use super::seen::{Seen, Slot};
use crate::api::condition::{self, Progress};
use crate::api::workspace::{Agent, Instance, Launch, Outcome, Workspace, WorkspaceStatus};
use crate::api::{ConditionType, Conditions, Reason, Status};
use crate::backend::{BoxSeen, BoxState, ErrorKind, ImageState};
use crate::liveness::{CardSeen, Link};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, MicroTime, Time};
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
    deleting: bool,
}

impl<'a> Describer<'a> {
    fn new(ws: &'a Workspace, before: &'a WorkspaceStatus, seen: &'a Seen, now: Timestamp) -> Self {
        let mine = seen.boxes.as_ref().ok().and_then(|boxes| sort(before, boxes).mine);
        let deleting = ws.metadata.deletion_timestamp.is_some();
        Self { ws, before, seen, now, mine, deleting }
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
                conditions.set(ConditionType::Ready, Status::True, Reason::Ready, "the agent is connected")
            }
            Some((type_, reason, message)) => {
                conditions.set(ConditionType::Ready, Status::False, *reason, message.clone());
                look_again = self.progress(&mut conditions, *type_, *reason, message);
            }
        }
        self.extras(&mut conditions);
        status.diagnosis = cause.as_ref().and_then(|(type_, reason, message)| {
            let steps = diagnosis::steps(&conditions, self.before, self.mine, &self.seen.agent);
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
        status.instance = Some(Instance {
            state: mine.state.word().to_owned(),
            state_reason: state_reason(mine),
            address: mine.address.clone(),
            addresses: mine.addresses.clone(),
            image: Some(mine.image.clone()),
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

    fn accepted(&self) -> Said {
        if !self.seen.configured {
            let why = "there is no BackendConfig to judge the spec by".to_owned();
            return (Status::Unknown, Reason::NoBackend, why);
        }
        match &self.seen.desired {
            Ok(_) => {
                let spec = &self.ws.spec;
                let what = format!("runtime {}, tier {:?}", spec.runtime, spec.tier);
                (Status::True, Reason::Accepted, what)
            }
            Err(problem) if problem.reason == Reason::ReferenceUnreadable => {
                (Status::Unknown, problem.reason, problem.message.clone())
            }
            Err(problem) => (Status::False, problem.reason, problem.message.clone()),
        }
    }

    fn backend_ready(&self) -> Said {
        let place = match &self.seen.place {
            Err(unplaced) => return (Status::False, unplaced.reason, unplaced.message.clone()),
            Ok(place) => place,
        };
        let failed = self.seen.boxes.as_ref().err().or(self.seen.failure.as_ref().map(|f| &f.error));
        if let Some(error) = failed.filter(|e| e.is_about_backend()) {
            return (Status::False, error.reason(), error.detail.clone());
        }
        let host = place.docker.as_ref().map_or("", |d| d.host.as_str());
        (Status::True, Reason::Reachable, format!("{} answers ({host})", place.backend.as_str()))
    }

    fn instance_launched(&self) -> Said {
        let Some(launch) = &self.before.launch else { return self.not_launched() };
        if self.seen.place.is_err() || self.seen.boxes.is_err() {
            let (_, reason, _) = self.backend_ready();
            let reason = self.seen.boxes.as_ref().err().map_or(reason, |e| e.reason());
            let last = match (&self.before.instance_id, &self.before.instance) {
                (Some(id), Some(known)) => format!("{id} was last seen {}", known.state),
                (Some(id), None) => format!("{id} was launched"),
                _ => format!("attempt {} is recorded", launch.attempt),
            };
            return (Status::Unknown, reason, format!("{last}; the backend cannot be asked now"));
        }
        match self.mine {
            Some(mine) => self.with_box(launch, mine),
            None => self.without_box(launch),
        }
    }

    fn not_launched(&self) -> Said {
        for (said, reason, _) in [self.accepted(), self.backend_ready()] {
            if said != Status::True {
                return (Status::False, reason, "no launch was sent".into());
            }
        }
        if self.ws.spec.suspend {
            return (Status::False, Reason::Suspended, "suspended before its first launch".into());
        }
        if let Slot::Taken(n) = self.seen.slot {
            return (Status::False, Reason::WaitingForSlot, waiting(n));
        }
        (Status::False, Reason::Launching, "no launch was sent yet".into())
    }

    fn without_box(&self, launch: &Launch) -> Said {
        let attempt = launch.attempt;
        if self.ws.spec.suspend {
            return (Status::False, Reason::Suspended, "suspended; there is no box".into());
        }
        if self.deleting || matches!(launch.outcome, Outcome::Launched | Outcome::Gone) {
            let id = self.before.instance_id.as_deref().unwrap_or("the box");
            let message = format!("{id} is gone: a complete list of the backend does not show it");
            return (Status::False, Reason::InstanceGone, message);
        }
        let image = super::act::image_of(&launch.request);
        match &self.seen.image {
            Some(Ok(ImageState::Pulling(how_far))) => {
                return (Status::False, Reason::PullingImage, format!("{image}: {how_far}"));
            }
            Some(Ok(ImageState::Failed(words, _))) => {
                let message =
                    format!("the image {image} is not on the engine, and pulling it failed: {words}");
                return (Status::False, Reason::ImageNotFound, message);
            }
            _ => {}
        }
        if let Some(failure) = &self.seen.failure {
            let reason = match failure.error.kind {
                ErrorKind::ImageNotFound => Reason::PullingImage,
                _ => failure.error.reason(),
            };
            return (Status::False, reason, failure.error.detail.clone());
        }
        if let Some(ended) = self.before.attempts.last().filter(|a| a.attempt + 1 == attempt)
            && launch.not_before.as_ref().is_some_and(|t| t.0 > self.now)
        {
            let reason = ended.reason.as_deref().and_then(Reason::parse).unwrap_or(Reason::Launching);
            let at = launch.not_before.as_ref().map(|t| second(t.0)).unwrap_or_default();
            let id = ended.instance_id.as_deref().map(|id| format!(" ({id})")).unwrap_or_default();
            let message =
                format!("attempt {}{id} ended: {reason}; attempt {attempt} follows at {at}", ended.attempt);
            return (Status::False, reason, message);
        }
        if let Slot::Taken(n) = self.seen.slot {
            return (Status::False, Reason::WaitingForSlot, waiting(n));
        }
        (Status::False, Reason::Launching, format!("attempt {attempt} is recorded; its box is being made"))
    }

    fn with_box(&self, launch: &Launch, mine: &BoxSeen) -> Said {
        let id = &mine.id;
        match &mine.state {
            BoxState::Running => (Status::True, Reason::Running, format!("{id} runs")),
            BoxState::Created => match &self.seen.failure {
                Some(failure) => (Status::False, failure.error.reason(), format!("{id}: {}", failure.error)),
                None => (Status::False, Reason::Launching, format!("{id} is made and not started yet")),
            },
            BoxState::Removing => (Status::False, Reason::InstanceGone, format!("{id} is being removed")),
            BoxState::Other(word) => (Status::False, Reason::InstanceStopped, format!("{id} is {word}")),
            BoxState::Exited { .. } if self.ws.spec.suspend => {
                (Status::False, Reason::Suspended, format!("{id} is stopped, its volumes are kept"))
            }
            BoxState::Exited { code, oom_killed, error, .. } => {
                if let Some(kept) = self.failed_boot() {
                    return (Status::False, Reason::BootTimeout, kept);
                }
                self.ended(launch, id, *code, *oom_killed, error.as_deref())
            }
        }
    }

    fn ended(&self, launch: &Launch, id: &str, code: i64, oom_killed: bool, error: Option<&str>) -> Said {
        let how = match (oom_killed, error.filter(|e| !e.is_empty())) {
            (true, _) => {
                let limit = self.seen.desired.as_ref().map(|d| d.memory_mib).unwrap_or_default();
                format!("{id} was killed for its memory (exit code {code}, limit {limit} MiB)")
            }
            (false, Some(error)) => format!("{id} could not be started (exit code {code}): {error}"),
            (false, None) => format!("{id} exited with code {code}"),
        };
        let again = launch.not_before.as_ref().map(|t| format!("; started again at {}", second(t.0)));
        let times =
            if launch.failures > 1 { format!(", {} times in a row", launch.failures) } else { String::new() };
        let reason = match (oom_killed, launch.failures >= CRASH_LOOP) {
            (true, _) => Reason::OOMKilled,
            (false, true) => Reason::CrashLoop,
            (false, false) => Reason::ContainerExited,
        };
        (Status::False, reason, format!("{how}{times}{}", again.unwrap_or_default()))
    }

    /// The words for a box whose last boot timed out and that was stopped after its time of grace.
    fn failed_boot(&self) -> Option<String> {
        condition::find(&self.before.conditions, ConditionType::Ready)
            .filter(|c| c.reason == Reason::BootTimeout.as_str() && !restart_wanted(self.ws, self.before))
            .map(|c| c.message.clone())
    }

    fn bootstrapped(&self) -> Said {
        let Some(mine) = self.running() else { return self.no_running_box() };
        let id = &mine.id;
        if let Some(failed) = self.seen.agent.stages.iter().find(|s| !s.ok) {
            let detail = failed.detail.as_deref().unwrap_or("no detail was given");
            let message = format!("{id} reported that its boot stage {} failed: {detail}", failed.stage);
            return (Status::False, Reason::BootFailed, message);
        }
        let launch = self.before.launch.as_ref();
        match boot(self.before, self.seen, mine, self.now) {
            Boot::Booting { .. } => match launch.filter(|l| l.failures >= CRASH_LOOP) {
                Some(launch) => {
                    let message = format!(
                        "{id} runs again after {} failures in a row; no call came yet",
                        launch.failures
                    );
                    (Status::False, Reason::CrashLoop, message)
                }
                None => (Status::False, Reason::Booting, format!("{id} runs; no call came yet")),
            },
            Boot::TimedOut { .. } => {
                let timeout = self.seen.desired.as_ref().map(|d| d.boot_timeout_seconds).unwrap_or_default();
                let started = mine.started_at.map(second).unwrap_or_default();
                let message =
                    format!("{id} runs since {started}, and no authenticated call came within {timeout} s");
                (Status::False, Reason::BootTimeout, message)
            }
            Boot::Called { .. } | Boot::Connected | Boot::NeverRegistered => {
                (Status::True, Reason::Bootstrapped, "its agent has called".into())
            }
        }
    }

    fn agent_connected(&self) -> Said {
        let type_ = ConditionType::AgentConnected;
        if self.seen.place.is_ok() && self.seen.boxes.is_ok() && self.running().is_none() {
            return self.no_running_box();
        }
        let kept = condition::find(&self.before.conditions, type_);
        let connected_before = self.before.agent.is_some();
        let same_start = self.mine.is_none_or(|mine| is_same_start(self.before, mine));
        match &self.seen.agent.link {
            Link::Connected { card: Some(card), .. } => {
                let message = format!("registered as {:?} at {}", card.name, card.url);
                (Status::True, Reason::Connected, message)
            }
            Link::Connected { card: None, .. } => match kept.filter(|c| c.status == "True" && same_start) {
                Some(kept) => (Status::True, Reason::Connected, kept.message.clone()),
                None => {
                    (Status::True, Reason::Connected, "sends heartbeats; it has not registered a card".into())
                }
            },
            // What an agent says of its trouble wavers with every beat: the first word stands.
            Link::Wedged { why, .. } => match kept.filter(|c| c.reason == Reason::AgentWedged.as_str()) {
                Some(kept) => (Status::False, Reason::AgentWedged, kept.message.clone()),
                None => (Status::False, Reason::AgentWedged, format!("the agent says: {why}")),
            },
            Link::Lost { last_heard } => {
                let message = match kept.filter(|c| c.reason == Reason::HeartbeatLost.as_str()) {
                    Some(kept) => kept.message.clone(),
                    None => format!("silent since {}", second(*last_heard)),
                };
                (Status::False, Reason::HeartbeatLost, message)
            }
            Link::TooEarly if connected_before && same_start => keep(kept),
            Link::Silent if connected_before && same_start => {
                let message = match kept.filter(|c| c.reason == Reason::HeartbeatLost.as_str()) {
                    Some(kept) => kept.message.clone(),
                    None => "no heartbeat was heard for a whole TTL".into(),
                };
                (Status::False, Reason::HeartbeatLost, message)
            }
            Link::TooEarly | Link::Silent => self.unregistered(),
        }
    }

    fn unregistered(&self) -> Said {
        if let Some(why) = &self.seen.agent.rejected {
            return (
                Status::False,
                Reason::RegistrationRejected,
                format!("its registration was refused: {why}"),
            );
        }
        let Some(mine) = self.running() else {
            return (Status::Unknown, Reason::Booting, "it has not registered".into());
        };
        if boot(self.before, self.seen, mine, self.now) == Boot::NeverRegistered {
            let stages: Vec<_> = self.seen.agent.stages.iter().map(|s| s.stage.to_string()).collect();
            let said = match stages.as_slice() {
                [] => "it made other calls".to_owned(),
                stages => format!("it posted the boot stages {}", stages.join(", ")),
            };
            let message = format!("{} runs and has called, but never registered: {said}", mine.id);
            return (Status::False, Reason::NeverRegistered, message);
        }
        (Status::Unknown, Reason::Booting, "it has not registered yet".into())
    }

    /// What is said of an agent whose box does not run: the box's own trouble.
    fn no_running_box(&self) -> Said {
        let (said, reason, message) = self.instance_launched();
        let is_its_end = matches!(reason, Reason::ContainerExited | Reason::OOMKilled | Reason::CrashLoop);
        if said == Status::False && is_its_end {
            return (Status::False, reason, message);
        }
        (Status::Unknown, reason, "there is no box that is known to run".into())
    }

    fn running(&self) -> Option<&'a BoxSeen> {
        self.mine.filter(|mine| mine.state == BoxState::Running)
    }

    fn is_suspended(&self) -> bool {
        self.ws.spec.suspend
            && !self.deleting
            && self.seen.boxes.is_ok()
            && self.running().is_none()
            && (self.before.launch.is_some() || self.accepted().0 == Status::True)
    }

    /// kstatus's two abnormal conditions: exactly one of them, but for a suspended Workspace.
    fn progress(
        &self,
        conditions: &mut Conditions<'_>,
        type_: ConditionType,
        reason: Reason,
        message: &str,
    ) -> Option<Duration> {
        let stalled = |conditions: &mut Conditions<'_>, reason, message: &str| {
            conditions.set(ConditionType::Stalled, Status::True, reason, message);
            None
        };
        if self.deleting {
            conditions.set(ConditionType::Reconciling, Status::True, Reason::Deleting, "it is being deleted");
            return None;
        }
        if self.is_suspended() {
            return None;
        }
        if is_paused(self.ws) {
            return stalled(conditions, Reason::Paused, "the annotation atelier.dev/paused is \"true\"");
        }
        match reason.progress() {
            Progress::Stalled => return stalled(conditions, reason, message),
            Progress::Reconciling if reason == Reason::BootTimeout && self.boots_are_over() => {
                return stalled(conditions, reason, message);
            }
            Progress::Reconciling | Progress::Fine => {}
            Progress::Awaiting => {
                let since = conditions.get(type_).map_or(self.now, |c| c.last_transition_time.0);
                let waited = Duration::try_from(self.now.duration_since(since)).unwrap_or_default();
                match self.seen.periods.awaiting.checked_sub(waited).filter(|left| !left.is_zero()) {
                    None => return stalled(conditions, reason, message),
                    Some(left) => {
                        conditions.set(ConditionType::Reconciling, Status::True, reason, message);
                        return Some(left);
                    }
                }
            }
        }
        conditions.set(ConditionType::Reconciling, Status::True, reason, message);
        None
    }

    fn boots_are_over(&self) -> bool {
        let timeouts = self.before.attempts.iter().rev();
        let timeouts = timeouts.take_while(|a| a.reason.as_deref() == Some(Reason::BootTimeout.as_str()));
        self.mine.is_some() && i32::try_from(timeouts.count()).unwrap_or(i32::MAX) + 1 >= BOOT_ATTEMPTS
    }

    /// The conditions that are there only when they have something to say.
    fn extras(&self, conditions: &mut Conditions<'_>) {
        if self.is_suspended() {
            conditions.set(ConditionType::Suspended, Status::True, Reason::Suspended, "spec.suspend is true");
        }
        if self.deleting {
            let stuck =
                self.before.launch.is_some() && (self.seen.place.is_err() || self.seen.boxes.is_err());
            if stuck {
                let (_, _, why) = self.backend_ready();
                conditions.set(ConditionType::Deleting, Status::True, Reason::WaitingForBackend, why);
            } else {
                let said = "its box and volumes are being removed";
                conditions.set(ConditionType::Deleting, Status::True, Reason::Deleting, said);
            }
        }
        let launched = self.before.launch.as_ref().is_some_and(|l| l.outcome == Outcome::Launched);
        if !self.deleting && (self.mine.is_some() || launched) {
            self.up_to_date(conditions);
        }
    }

    fn up_to_date(&self, conditions: &mut Conditions<'_>) {
        let type_ = ConditionType::UpToDate;
        let (Ok(desired), Some(launch)) = (&self.seen.desired, &self.before.launch) else {
            if let Some(Condition { status, reason, message, .. }) =
                condition::find(&self.before.conditions, type_)
            {
                let said = if status == "True" { Status::True } else { Status::False };
                let reason = Reason::parse(reason).unwrap_or(Reason::UpToDate);
                conditions.set(type_, said, reason, message.clone());
            }
            return;
        };
        if !is_outdated(self.before, self.seen) {
            conditions.set(type_, Status::True, Reason::UpToDate, "made from the current platform settings");
            return;
        }
        let now = desired.request_as_recorded.as_deref().map(super::act::image_of).unwrap_or_default();
        let then = super::act::image_of(&launch.request);
        if now == then {
            let message =
                "platform settings changed since the box was made; it takes them at its next restart";
            conditions.set(type_, Status::False, Reason::PlatformChanged, message);
        } else {
            let message =
                format!("the box runs {then}, the runtime's image is {now}; it takes it at its next restart");
            conditions.set(type_, Status::False, Reason::ImageChanged, message);
        }
    }
}

/// What is recorded stands: this process has not listened for long enough to say anything else.
fn keep(kept: Option<&Condition>) -> Said {
    let Some(kept) = kept else { return (Status::Unknown, Reason::Booting, "it was not heard yet".into()) };
    let said = match kept.status.as_str() {
        "True" => Status::True,
        "False" => Status::False,
        _ => Status::Unknown,
    };
    (said, Reason::parse(&kept.reason).unwrap_or(Reason::Booting), kept.message.clone())
}

fn waiting(launching: i32) -> String {
    format!("{launching} other members of the Team are launching, and maxConcurrentLaunches allows no more")
}

fn state_reason(mine: &BoxSeen) -> Option<String> {
    let BoxState::Exited { code, oom_killed, error, .. } = &mine.state else { return None };
    match (oom_killed, error.as_deref().filter(|e| !e.is_empty())) {
        (true, _) => Some(format!("OOMKilled, exit code {code}")),
        (false, Some(error)) => Some(format!("exit code {code}: {error}")),
        (false, None) => Some(format!("exit code {code}")),
    }
}

/// A time as people read it: to the second, UTC.
fn second(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
