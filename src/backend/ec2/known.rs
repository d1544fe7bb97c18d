//! What is known of the instances: the last sweep, what calls answered since, and what no list shows. Pure.
//!
//! A list that does not show an instance proves nothing by itself: EC2 is eventually consistent, see
//! <https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html>. An instance that was answered
//! or is recorded stays in view until a list shows it ended, or until the visibility window is over, two
//! complete sweeps did not list it, and EC2 knows no such id.

use super::view;
use crate::api::names;
use crate::backend::{BoxSeen, BoxState};
use atelier_wire::control_plane::InstanceView;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// So many complete sweeps must miss an instance before its id is asked for.
const SWEEPS: u32 = 2;

/// A complete list of a cluster's instances.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// When it was asked for.
    pub started: Timestamp,
    /// Every instance that was listed.
    pub instances: Vec<InstanceView>,
}

/// An instance that must be accounted for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Its id.
    pub id: String,
    /// The attempt that it was launched for.
    pub attempt: i64,
}

/// What is known.
#[derive(Clone, Debug)]
pub struct Known {
    window: SignedDuration,
    swept: Option<Timestamp>,
    listed: BTreeMap<String, Vec<InstanceView>>,
    /// By id: what is not (or not yet again) as the last sweep shows it.
    pending: BTreeMap<String, Pending>,
    /// The ids that EC2 does not know, though they were launched once.
    gone: BTreeSet<String>,
    /// The volumes that were deleted, or marked as ones to keep.
    cleared: BTreeSet<String>,
    /// Since when EC2 does not show volumes that are to be deleted.
    missed: BTreeMap<String, Timestamp>,
}

#[derive(Clone, Debug)]
struct Pending {
    uid: String,
    attempt: i64,
    /// What the last call answered of it.
    answered: Option<BoxSeen>,
    /// The last answer, or when it was first expected: the window counts from here.
    since: Timestamp,
    missed: u32,
}

impl Known {
    /// Nothing yet. `window` is how long EC2's lists may be behind.
    pub fn new(window: SignedDuration) -> Self {
        Self {
            window,
            swept: None,
            listed: BTreeMap::new(),
            pending: BTreeMap::new(),
            gone: BTreeSet::new(),
            cleared: BTreeSet::new(),
            missed: BTreeMap::new(),
        }
    }

    /// When the last complete sweep was asked for.
    pub fn swept(&self) -> Option<Timestamp> {
        self.swept
    }

    /// Takes in a sweep. Answers the Workspaces whose instances it shows otherwise than before.
    pub fn take(&mut self, sweep: Sweep) -> BTreeSet<String> {
        let mut now: BTreeMap<String, Vec<InstanceView>> = BTreeMap::new();
        for instance in sweep.instances {
            if let Some(uid) = instance.tags.get(names::UID) {
                now.entry(uid.clone()).or_default().push(instance);
            }
        }
        let listed: BTreeSet<&str> = now.values().flatten().map(|i| i.instance_id.as_str()).collect();
        let mut changed = BTreeSet::new();
        self.pending.retain(|id, pending| {
            if sweep.started <= pending.since {
                return true;
            }
            if listed.contains(id.as_str()) {
                let is_over = sweep.started.duration_since(pending.since) > self.window;
                let is_behind = now.get(&pending.uid).into_iter().flatten().any(|instance| {
                    let answered = pending.answered.as_ref().filter(|_| instance.instance_id == *id);
                    answered.is_some_and(|a| is_behind(&view::state(instance), &a.state))
                });
                return is_behind && !is_over;
            }
            pending.missed = SWEEPS.min(pending.missed + 1);
            if pending.missed >= SWEEPS {
                changed.insert(pending.uid.clone());
            }
            true
        });
        // One list may show what the next does not: what was not seen to end is still to be accounted for.
        for (uid, instance) in self.listed.iter().flat_map(|(uid, all)| all.iter().map(move |i| (uid, i))) {
            let has_ended = matches!(view::state(instance), BoxState::Terminated { .. });
            let id = &instance.instance_id;
            if has_ended || listed.contains(id.as_str()) || self.gone.contains(id) {
                continue;
            }
            self.pending.entry(id.clone()).or_insert_with(|| Pending {
                uid: uid.clone(),
                attempt: view::seen(instance).attempt.unwrap_or_default(),
                answered: None,
                since: sweep.started,
                missed: 1,
            });
        }
        for (uid, instances) in &now {
            if self.listed.get(uid) != Some(instances) {
                changed.insert(uid.clone());
            }
        }
        changed.extend(self.listed.keys().filter(|uid| !now.contains_key(*uid)).cloned());
        self.swept = Some(sweep.started);
        self.listed = now;
        changed
    }

    /// A call answered how this instance is now.
    pub fn answered(&mut self, uid: &str, seen: BoxSeen, now: Timestamp) {
        let (id, attempt) = (seen.id.clone(), seen.attempt.unwrap_or_default());
        let pending = Pending { uid: uid.to_owned(), attempt, answered: Some(seen), since: now, missed: 0 };
        self.pending.insert(id, pending);
    }

    /// EC2 knows no such id, though everything else says that it is gone: so it is.
    pub fn gone(&mut self, id: &str) {
        self.pending.remove(id);
        self.gone.insert(id.to_owned());
    }

    /// The instances of a Workspace, and the ids that EC2 must be asked for before they can be called gone.
    pub fn boxes(&mut self, uid: &str, expected: &[Expected], now: Timestamp) -> (Vec<BoxSeen>, Vec<String>) {
        let mut boxes: BTreeMap<String, BoxSeen> = self
            .listed
            .get(uid)
            .into_iter()
            .flatten()
            .map(|instance| (instance.instance_id.clone(), view::seen(instance)))
            .collect();
        for Expected { id, attempt } in expected {
            let is_known = boxes.contains_key(id) || self.pending.contains_key(id) || self.gone.contains(id);
            if !is_known {
                let pending =
                    Pending { uid: uid.to_owned(), attempt: *attempt, answered: None, since: now, missed: 0 };
                self.pending.insert(id.clone(), pending);
            }
        }
        let mut unproven = Vec::new();
        for (id, pending) in self.pending.iter().filter(|(_, pending)| pending.uid == uid) {
            let is_listed = boxes.contains_key(id);
            match &pending.answered {
                Some(answered) => {
                    boxes.insert(id.clone(), answered.clone());
                }
                None if !is_listed => {
                    boxes.insert(id.clone(), unlisted(id, pending.attempt));
                }
                None => {}
            }
            let is_over = now.duration_since(pending.since) > self.window;
            if !is_listed && is_over && pending.missed >= SWEEPS {
                unproven.push(id.clone());
            }
        }
        (boxes.into_values().collect(), unproven)
    }

    /// Whether anything is on its way, so that it pays to look often.
    pub fn is_busy(&self) -> bool {
        let moves =
            |state: &BoxState| matches!(state, BoxState::Starting | BoxState::Removing | BoxState::Other(_));
        !self.pending.is_empty() || self.listed.values().flatten().any(|i| moves(&view::state(i)))
    }

    /// Every Workspace that has an instance here.
    pub fn uids(&self) -> BTreeSet<String> {
        self.listed.keys().cloned().chain(self.pending.values().map(|p| p.uid.clone())).collect()
    }

    /// EC2 does not show this volume now; whether that has been so for longer than its lists may be behind.
    pub fn has_missed(&mut self, volume_id: &str, now: Timestamp) -> bool {
        let since = *self.missed.entry(volume_id.to_owned()).or_insert(now);
        now.duration_since(since) > self.window
    }

    /// This volume was deleted, or marked as one to keep.
    pub fn cleared(&mut self, volume_id: &str) {
        self.missed.remove(volume_id);
        self.cleared.insert(volume_id.to_owned());
    }

    /// Whether that was so.
    pub fn is_cleared(&self, volume_id: &str) -> bool {
        self.cleared.contains(volume_id)
    }
}

#[cfg(test)]
impl Known {
    /// As if all of it had happened so much earlier, but no sweep and no answer before these times. For a model
    /// whose clock stands.
    pub(crate) fn age(&mut self, by: SignedDuration, oldest_sweep: Timestamp, oldest_answer: Timestamp) {
        let earlier = |at: Timestamp| at.saturating_sub(by).unwrap_or(Timestamp::MIN);
        self.swept = self.swept.map(|at| earlier(at).max(oldest_sweep));
        for pending in self.pending.values_mut() {
            pending.since = earlier(pending.since).max(oldest_answer);
        }
    }
}

/// Whether a list shows the state from before a call, and not the one that the call led to.
fn is_behind(listed: &BoxState, answered: &BoxState) -> bool {
    let is_stop = |state: &BoxState| matches!(state, BoxState::Other(_) | BoxState::Stopped { .. });
    let is_end = |state: &BoxState| matches!(state, BoxState::Removing | BoxState::Terminated { .. });
    match answered {
        BoxState::Starting => is_stop(listed),
        BoxState::Removing => !is_end(listed),
        answered if is_stop(answered) => !is_stop(listed) && !is_end(listed),
        _ => false,
    }
}

fn unlisted(id: &str, attempt: i64) -> BoxSeen {
    BoxSeen {
        id: id.to_owned(),
        attempt: Some(attempt),
        spec_hash: None,
        state: BoxState::Unlisted,
        started_at: None,
        address: None,
        addresses: Vec::new(),
        image: String::new(),
        ec2: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: SignedDuration = SignedDuration::from_secs(60);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn instance(id: &str, state: &str) -> InstanceView {
        let tags = [(names::UID.to_owned(), "u".to_owned()), (names::ATTEMPT.to_owned(), "1".to_owned())];
        InstanceView {
            instance_id: id.into(),
            state: state.into(),
            observed: true,
            tags: tags.into(),
            ..InstanceView::default()
        }
    }

    fn sweep(started: i64, instances: &[InstanceView]) -> Sweep {
        Sweep { started: at(started), instances: instances.to_vec() }
    }

    fn states(known: &mut Known, expected: &[&str], now: i64) -> (Vec<String>, Vec<String>) {
        let expected: Vec<_> = expected.iter().map(|id| Expected { id: (*id).into(), attempt: 1 }).collect();
        let (boxes, unproven) = known.boxes("u", &expected, at(now));
        let words = boxes.iter().map(|b| format!("{} {}", b.id, b.state.word())).collect();
        (words, unproven)
    }

    fn none() -> Vec<String> {
        Vec::new()
    }

    #[test]
    fn an_instance_that_was_answered_stays_in_view_though_lists_are_behind() {
        let mut known = Known::new(WINDOW);
        known.take(sweep(0, &[]));
        known.answered("u", view::seen(&instance("i-1", "pending")), at(10));
        known.take(sweep(11, &[]));
        known.take(sweep(16, &[]));
        assert_eq!(states(&mut known, &["i-1"], 17), (vec!["i-1 pending".into()], none()));
        known.take(sweep(21, &[instance("i-1", "running")]));
        assert_eq!(states(&mut known, &["i-1"], 22), (vec!["i-1 running".into()], none()));
    }

    #[test]
    fn a_list_from_before_a_call_does_not_undo_its_answer() {
        for (answered, behind, after) in [
            ("pending", "stopped", "running"),
            ("stopping", "running", "stopped"),
            ("shutting-down", "running", "terminated"),
            ("shutting-down", "stopped", "terminated"),
        ] {
            let mut known = Known::new(WINDOW);
            known.take(sweep(0, &[instance("i-1", behind)]));
            known.answered("u", view::seen(&instance("i-1", answered)), at(10));
            known.take(sweep(15, &[instance("i-1", behind)]));
            let word = view::state(&instance("i-1", answered)).word().to_owned();
            assert_eq!(states(&mut known, &["i-1"], 16).0, [format!("i-1 {word}")], "{behind} is behind");
            known.take(sweep(20, &[instance("i-1", after)]));
            assert_eq!(states(&mut known, &["i-1"], 21).0, [format!("i-1 {after}")]);
            known.answered("u", view::seen(&instance("i-1", answered)), at(30));
            known.take(sweep(91, &[instance("i-1", behind)]));
            assert_eq!(states(&mut known, &["i-1"], 92).0, [format!("i-1 {behind}")], "the window is over");
        }
    }

    #[test]
    fn gone_is_only_what_two_sweeps_miss_after_the_window_and_ec2_does_not_know() {
        let mut known = Known::new(WINDOW);
        known.take(sweep(0, &[]));
        // After a restart nothing was answered: what is recorded is expected.
        assert_eq!(states(&mut known, &["i-1"], 1), (vec!["i-1 unlisted".into()], none()));
        known.take(sweep(30, &[]));
        known.take(sweep(50, &[]));
        assert_eq!(states(&mut known, &["i-1"], 51), (vec!["i-1 unlisted".into()], none()), "the window");
        let changed = known.take(sweep(65, &[]));
        assert!(changed.contains("u"));
        assert_eq!(states(&mut known, &["i-1"], 66), (vec!["i-1 unlisted".into()], vec!["i-1".to_owned()]));
        known.gone("i-1");
        assert_eq!(states(&mut known, &["i-1"], 66), (none(), none()));
    }

    #[test]
    fn what_one_list_showed_and_the_next_does_not_stays_in_view() {
        let mut known = Known::new(WINDOW);
        known.answered("u", view::seen(&instance("i-1", "running")), at(0));
        known.take(sweep(10, &[instance("i-1", "running")]));
        known.take(sweep(15, &[]));
        assert_eq!(states(&mut known, &[], 16), (vec!["i-1 unlisted".into()], none()));
        known.take(sweep(80, &[]));
        assert_eq!(states(&mut known, &[], 81), (vec!["i-1 unlisted".into()], vec!["i-1".to_owned()]));
        known.gone("i-1");
        known.take(sweep(85, &[]));
        assert_eq!(states(&mut known, &[], 86), (none(), none()));
        known.take(sweep(90, &[instance("i-2", "terminated")]));
        known.take(sweep(95, &[]));
        assert_eq!(states(&mut known, &[], 96), (none(), none()), "it was seen to end");
    }

    #[test]
    fn one_sweep_after_the_window_is_not_enough() {
        let mut known = Known::new(WINDOW);
        known.take(sweep(0, &[]));
        states(&mut known, &["i-1"], 1);
        known.take(sweep(70, &[]));
        assert_eq!(states(&mut known, &["i-1"], 71).1, none());
        known.take(sweep(75, &[]));
        assert_eq!(states(&mut known, &["i-1"], 76).1, vec!["i-1".to_owned()]);
    }

    #[test]
    fn a_volume_that_is_not_shown_is_gone_only_after_the_window() {
        let mut known = Known::new(WINDOW);
        for (now, is_gone) in [(0, false), (30, false), (60, false), (61, true)] {
            assert_eq!(known.has_missed("vol-1", at(now)), is_gone, "{now}");
        }
        assert!(!known.has_missed("vol-2", at(61)), "each for itself");
    }

    #[test]
    fn a_sweep_names_the_workspaces_that_changed_and_no_other() {
        let mut known = Known::new(WINDOW);
        let running = instance("i-1", "running");
        assert_eq!(known.take(sweep(0, std::slice::from_ref(&running))), ["u".to_owned()].into());
        assert_eq!(known.take(sweep(5, std::slice::from_ref(&running))), BTreeSet::new());
        assert_eq!(known.take(sweep(10, &[instance("i-1", "terminated")])), ["u".to_owned()].into());
        assert_eq!(known.take(sweep(15, &[])), ["u".to_owned()].into());
        assert!(!known.is_busy());
    }
}
