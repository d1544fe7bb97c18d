//! All agents: who has been silent for too long, and whether the fault is theirs or ours.

use super::agent::{Agent, Hearing};
use super::{AgentView, Life, Recorded, Voice};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;
use std::time::Duration;

/// More than this share of the agents silent at once, in percent, is likely our fault.
const TOO_MANY_PERCENT: usize = 30;
/// Fewer than this are never too many.
const TOO_MANY_MIN: usize = 3;

/// All agents that this process heard of.
#[derive(Debug)]
pub struct Fleet {
    ttl: SignedDuration,
    quiet: SignedDuration,
    leading_since: Option<Timestamp>,
    serving_since: Option<Timestamp>,
    agents: HashMap<String, Agent>,
}

impl Fleet {
    pub fn new(ttl: Duration, quiet: Duration) -> Self {
        Self {
            ttl: signed(ttl),
            quiet: signed(quiet),
            leading_since: None,
            serving_since: None,
            agents: HashMap::new(),
        }
    }

    pub fn set_ttl(&mut self, ttl: Duration) {
        self.ttl = signed(ttl);
    }

    pub fn lead(&mut self, since: Option<Timestamp>) {
        self.leading_since = since;
        if since.is_none() {
            self.agents.clear();
        }
    }

    pub fn serve(&mut self, since: Timestamp) {
        self.serving_since = Some(since);
    }

    pub fn forget(&mut self, uid: &str) {
        self.agents.remove(uid);
    }

    /// Changes an agent by an authenticated call of this attempt. Whether somebody should look.
    pub fn change(
        &mut self,
        uid: &str,
        attempt: i64,
        now: Timestamp,
        change: impl FnOnce(&mut Agent),
    ) -> bool {
        let hearing = self.hearing(now);
        let Some(agent) = self.agent(uid, attempt) else { return false };
        agent.called(now);
        change(agent);
        agent.wakes(hearing)
    }

    pub fn view(
        &mut self,
        uid: &str,
        attempt: i64,
        life: Life,
        recorded: Recorded,
        now: Timestamp,
    ) -> AgentView {
        let hearing = self.hearing(now);
        match self.agent(uid, attempt) {
            Some(agent) => {
                agent.note_life(life);
                agent.note_recorded(recorded, hearing);
                agent.view(hearing)
            }
            // The asker's cache is behind: it says nothing of the attempt that is heard now.
            None => Agent::new(attempt).view(Hearing { since: None, ..hearing }),
        }
    }

    pub fn voice(&self, uid: &str, attempt: i64) -> Option<Voice> {
        self.agents.get(uid).filter(|agent| agent.attempt == attempt)?.voice()
    }

    pub fn has_bundle(&self, uid: &str, attempt: i64) -> bool {
        self.agents.get(uid).is_some_and(|agent| agent.attempt == attempt && agent.has_bundle())
    }

    pub fn asked_for_bundle_again(&mut self, uid: &str, attempt: i64) -> bool {
        self.agent(uid, attempt).is_some_and(Agent::asked_for_bundle_again)
    }

    pub fn connected(&self) -> usize {
        self.agents.values().filter(|agent| agent.is_connected()).count()
    }

    /// Calls agents lost that have been silent for too long, and says who should be looked at: these, and
    /// those whose news was held back for long enough.
    pub fn tick(&mut self, now: Timestamp) -> Vec<String> {
        let hearing = self.hearing(now);
        // The first TTL of a silence that many share is forgiven, the second is not.
        let patience = if self.too_many_silent(now) { twice(self.ttl) } else { self.ttl };
        let mut woken = Vec::new();
        for (uid, agent) in &mut self.agents {
            if agent.silence(hearing).is_some_and(|silence| silence > patience) {
                agent.lose();
            }
            if agent.wakes(hearing) {
                woken.push(uid.clone());
            }
        }
        woken
    }

    /// Whether so many agents are silent that the fault is likely ours.
    ///
    /// One of them has reached the TTL, and with it all that have been silent for half of it are counted: beats
    /// come at different times, so the others of the same outage have not reached it yet. Whoever has been
    /// silent for two TTLs is lost whatever the others do, and no longer counted.
    pub fn too_many_silent(&self, now: Timestamp) -> bool {
        let hearing = self.hearing(now);
        let silences = self.agents.values().filter_map(|agent| agent.silence(hearing));
        let (mut all, mut silent, mut has_begun) = (0, 0, false);
        for silence in silences.filter(|silence| *silence <= twice(self.ttl)) {
            all += 1;
            silent += usize::from(silence > self.ttl / 2);
            has_begun |= silence > self.ttl;
        }
        has_begun && silent >= TOO_MANY_MIN && silent * 100 > all * TOO_MANY_PERCENT
    }

    /// The agent of this attempt, new if need be; `None` when a newer attempt of it was heard.
    fn agent(&mut self, uid: &str, attempt: i64) -> Option<&mut Agent> {
        let agent = self.agents.entry(uid.to_owned()).or_insert_with(|| Agent::new(attempt));
        if agent.attempt < attempt {
            *agent = Agent::new(attempt);
        }
        (agent.attempt == attempt).then_some(agent)
    }

    fn hearing(&self, now: Timestamp) -> Hearing {
        let since = self.leading_since.zip(self.serving_since).map(|(leads, serves)| leads.max(serves));
        Hearing { since, ttl: self.ttl, quiet: self.quiet, now }
    }
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

fn twice(duration: SignedDuration) -> SignedDuration {
    duration.saturating_add(duration)
}
