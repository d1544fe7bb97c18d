//! Replays the call log: how many instances of one owner lived at the same instant.

use crate::log::{Entry, What};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;

/// The tag that names an instance's owner.
pub const UID: &str = "atelier.dev/uid";
/// The tag that names the attempt.
pub const ATTEMPT: &str = "atelier.dev/attempt";

/// What the log says.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Audit {
    /// How many instances were launched.
    pub launched: usize,
    /// How many of them live at the end of the log.
    pub alive: usize,
    /// The most that lived at the same instant for one owner.
    pub max_per_uid: usize,
    /// The most that lived at the same instant for one attempt of one owner.
    pub max_per_attempt: usize,
    /// How many were launched without the tag that names an owner: they are in nobody's count.
    pub untagged: usize,
    /// By owner. Instances without the tag are under the empty name.
    pub uids: BTreeMap<String, Owner>,
}

/// One owner.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// The most that lived at the same instant.
    pub max: usize,
    /// The same by attempt.
    pub max_by_attempt: BTreeMap<String, usize>,
    /// All of them, in the order of their launch.
    pub instances: Vec<Life>,
}

/// From the launch to the instant when it began to end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Life {
    /// The instance's id.
    pub instance: String,
    /// Its attempt.
    pub attempt: String,
    /// When its launch was committed.
    pub from: Timestamp,
    /// When it began to end, or was terminated at once; none: it lives.
    pub to: Option<Timestamp>,
    /// The places in the log that the two stand at: two instants can be too close for a clock.
    #[serde(skip)]
    order: (u64, Option<u64>),
}

/// Reads the log from its beginning; with `only`, of one owner.
pub fn audit(entries: &[Entry], only: Option<&str>) -> Audit {
    let mut audit = Audit::default();
    // Where an instance is: its owner, and its place there.
    let mut places: BTreeMap<&str, (String, usize)> = BTreeMap::new();
    for entry in entries {
        match &entry.what {
            What::Call(call) => {
                let (Some(tags), Some(instance)) = (&call.launched_with, call.results.first()) else {
                    continue;
                };
                let tag = |key| tags.get(key).cloned().unwrap_or_default();
                let (uid, attempt) = (tag(UID), tag(ATTEMPT));
                if only.is_some_and(|only| only != uid) {
                    continue;
                }
                let owner = audit.uids.entry(uid.clone()).or_default();
                places.insert(instance, (uid, owner.instances.len()));
                let order = (entry.seq, None);
                owner.instances.push(Life {
                    instance: instance.clone(),
                    attempt,
                    from: entry.time,
                    to: None,
                    order,
                });
            }
            What::State { instance, state, .. } if state.is_ending() => {
                let life = places
                    .get(instance.as_str())
                    .and_then(|(uid, place)| audit.uids.get_mut(uid)?.instances.get_mut(*place));
                if let Some(life) = life.filter(|life| life.to.is_none()) {
                    life.to = Some(entry.time);
                    life.order.1 = Some(entry.seq);
                }
            }
            What::State { .. } | What::Admin { .. } => {}
        }
    }
    for (uid, owner) in &mut audit.uids {
        owner.max = overlap(owner.instances.iter());
        let attempts: Vec<String> = owner.instances.iter().map(|life| life.attempt.clone()).collect();
        for attempt in attempts {
            let most = overlap(owner.instances.iter().filter(|life| life.attempt == attempt));
            owner.max_by_attempt.insert(attempt, most);
        }
        audit.launched += owner.instances.len();
        audit.alive += owner.instances.iter().filter(|life| life.to.is_none()).count();
        if uid.is_empty() {
            audit.untagged = owner.instances.len();
            continue;
        }
        audit.max_per_uid = audit.max_per_uid.max(owner.max);
        let most = owner.max_by_attempt.values().copied().max().unwrap_or_default();
        audit.max_per_attempt = audit.max_per_attempt.max(most);
    }
    audit
}

fn overlap<'a>(lives: impl Iterator<Item = &'a Life>) -> usize {
    let mut steps: Vec<(u64, i64)> = lives
        .flat_map(|life| [Some((life.order.0, 1)), life.order.1.map(|end| (end, -1))].into_iter().flatten())
        .collect();
    steps.sort_unstable();
    let (mut now, mut most) = (0, 0);
    for (_, step) in steps {
        now += step;
        most = most.max(now);
    }
    usize::try_from(most).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{CallRecord, Log};
    use crate::world::model::State;

    fn launch(log: &mut Log, id: &str, uid: &str, attempt: &str) {
        let tags = [(UID.to_owned(), uid.to_owned()), (ATTEMPT.to_owned(), attempt.to_owned())];
        let call = CallRecord {
            results: vec![id.into()],
            launched_with: Some(tags.into()),
            ..CallRecord::default()
        };
        log.add(Timestamp::UNIX_EPOCH, What::Call(Box::new(call)));
    }

    fn state(log: &mut Log, id: &str, state: State) {
        log.add(Timestamp::UNIX_EPOCH, What::State { instance: id.into(), state, reason: None });
    }

    #[test]
    fn one_after_another_is_one_at_a_time() {
        let mut log = Log::default();
        launch(&mut log, "i-1", "u", "1");
        state(&mut log, "i-1", State::Running);
        state(&mut log, "i-1", State::ShuttingDown);
        launch(&mut log, "i-2", "u", "2");
        state(&mut log, "i-1", State::Terminated);
        let audit = audit(log.entries(), None);
        assert_eq!((audit.max_per_uid, audit.max_per_attempt), (1, 1));
        assert_eq!((audit.launched, audit.alive), (2, 1));
    }

    #[test]
    fn two_at_once_are_seen_by_owner_and_by_attempt() {
        let mut log = Log::default();
        launch(&mut log, "i-1", "u", "1");
        launch(&mut log, "i-2", "u", "2");
        launch(&mut log, "i-3", "v", "1");
        let different = audit(log.entries(), None);
        assert_eq!((different.max_per_uid, different.max_per_attempt), (2, 1));
        launch(&mut log, "i-4", "v", "1");
        let same = audit(log.entries(), Some("v"));
        assert_eq!((same.max_per_uid, same.max_per_attempt, same.launched), (2, 2, 2));
    }

    #[test]
    fn instances_of_nobody_are_counted_apart() {
        let mut log = Log::default();
        launch(&mut log, "i-1", "", "");
        launch(&mut log, "i-2", "", "");
        launch(&mut log, "i-3", "u", "1");
        let audit = audit(log.entries(), None);
        assert_eq!((audit.max_per_uid, audit.max_per_attempt, audit.untagged), (1, 1, 2));
        assert_eq!((audit.launched, audit.uids[""].max), (3, 2));
    }

    #[test]
    fn a_stopped_instance_lives_and_a_replay_is_no_launch() {
        let mut log = Log::default();
        launch(&mut log, "i-1", "u", "1");
        state(&mut log, "i-1", State::Stopped);
        let replay = CallRecord { results: vec!["i-1".into()], replayed: true, ..CallRecord::default() };
        log.add(Timestamp::UNIX_EPOCH, What::Call(Box::new(replay)));
        launch(&mut log, "i-2", "u", "1");
        assert_eq!(audit(log.entries(), None).max_per_attempt, 2);
    }
}
