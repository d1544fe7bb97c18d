//! Memory: what this process keeps of each Team between two passes. Losing it costs a call or a second,
//! never correctness.

use super::plan::{Apply, Trouble};
use crate::api::Workspace;
use kube::ResourceExt;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// For how long a server's reply counts while the store has no such Workspace. Too short would do no harm:
/// an apply without a uid can only create.
const REPLY_COUNTS: Duration = Duration::from_secs(10);

/// What is remembered of all Teams, by uid.
#[derive(Debug, Default)]
pub struct Memory(Mutex<HashMap<String, Notes>>);

/// What is remembered of one Team.
#[derive(Debug, Default)]
pub struct Notes {
    /// What the last whole pass looked at, and when.
    pub last_pass: Option<(Looked, Instant)>,
    /// When its status was last written.
    pub last_write: Option<Instant>,
    replies: HashMap<String, (Arc<Workspace>, Instant)>,
    refused: HashMap<String, Refused>,
}

/// What of a Team a pass must act on without delay when it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Looked {
    /// The generation of its spec.
    pub generation: Option<i64>,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Whether a person said hands off.
    pub paused: bool,
}

#[derive(Debug)]
struct Refused {
    hash: String,
    existing: Option<(String, i64)>,
    trouble: Trouble,
    at: Instant,
}

impl Memory {
    /// Takes a Team's notes out. No two passes of one Team run at once; one that is dropped half-way loses
    /// its notes, and the next starts with empty ones.
    pub fn take(&self, uid: &str) -> Notes {
        self.lock().remove(uid).unwrap_or_default()
    }

    /// Puts them back.
    pub fn put(&self, uid: String, notes: Notes) {
        self.lock().insert(uid, notes);
    }

    /// Drops the notes of Teams that are no more, when there are many more notes than Teams.
    pub fn tidy(&self, teams: usize, lives: impl Fn(&str) -> bool) {
        let mut notes = self.lock();
        if notes.len() > 2 * teams + 16 {
            notes.retain(|uid, _| lives(uid));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Notes>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Notes {
    /// The server's reply to an apply.
    pub fn replied(&mut self, workspace: Workspace, now: Instant) {
        self.refused.remove(&workspace.name_any());
        self.replies.insert(workspace.name_any(), (Arc::new(workspace), now));
    }

    /// The newest version of each Workspace that is known: the store's, or the server's reply to our own
    /// apply until the store has caught up.
    pub fn newest(&mut self, from_store: Vec<Arc<Workspace>>, now: Instant) -> Vec<Arc<Workspace>> {
        let mut by_name: HashMap<String, Arc<Workspace>> =
            from_store.into_iter().map(|ws| (ws.name_any(), ws)).collect();
        self.replies.retain(|name, (reply, at)| match by_name.get(name) {
            Some(stored) if version(stored) >= version(reply) => false,
            Some(_) => true,
            None => now.duration_since(*at) < REPLY_COUNTS,
        });
        for (name, (reply, _)) in &self.replies {
            by_name.insert(name.clone(), reply.clone());
        }
        by_name.into_values().collect()
    }

    /// The server refused this apply.
    pub fn refuse(&mut self, apply: &Apply, trouble: Trouble, now: Instant) {
        let (hash, existing) = (apply.body.hash.clone(), apply.existing.clone());
        self.refused.insert(apply.name.clone(), Refused { hash, existing, trouble, at: now });
    }

    /// What the server said to this very apply less than `valid` ago, if nothing of it changed since.
    pub fn refusal(&self, apply: &Apply, now: Instant, valid: Duration) -> Option<Trouble> {
        let refused = self.refused.get(&apply.name)?;
        let same = refused.hash == apply.body.hash && refused.existing == apply.existing;
        (same && now.duration_since(refused.at) < valid).then(|| refused.trouble.clone())
    }
}

/// Resource versions of what etcd stores are numbers that grow.
fn version(workspace: &Workspace) -> u64 {
    workspace.metadata.resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Reason;
    use crate::team::child::body;
    use crate::team::fixtures::{made, team, wanted};

    fn workspace(version: &str) -> Workspace {
        let team = team(&["a"]);
        let mut ws = made(&body(&team, &wanted(&team)[0], None));
        ws.metadata.resource_version = Some(version.into());
        ws
    }

    fn versions(notes: &mut Notes, store: &[&str], now: Instant) -> Vec<String> {
        let store = store.iter().map(|version| Arc::new(workspace(version))).collect();
        notes.newest(store, now).iter().map(|ws| ws.metadata.resource_version.clone().unwrap()).collect()
    }

    #[test]
    fn a_reply_counts_until_the_store_has_caught_up() {
        let (mut notes, now) = (Notes::default(), Instant::now());
        notes.replied(workspace("100"), now);
        assert_eq!(versions(&mut notes, &[], now), ["100"], "the store has not seen it yet");
        assert_eq!(versions(&mut notes, &["99"], now), ["100"], "numbers, not texts");
        assert_eq!(versions(&mut notes, &["101"], now), ["101"]);
        assert_eq!(versions(&mut notes, &[], now), [""; 0], "seen once, then gone: the store is right");
    }

    #[test]
    fn a_reply_that_the_store_never_shows_is_given_up() {
        let (mut notes, now) = (Notes::default(), Instant::now());
        notes.replied(workspace("100"), now);
        assert_eq!(versions(&mut notes, &[], now + REPLY_COUNTS), [""; 0]);
    }

    #[test]
    fn a_refusal_stands_for_the_very_same_apply_and_not_for_ever() {
        let (mut notes, now, valid) = (Notes::default(), Instant::now(), Duration::from_secs(60));
        let team = team(&["a"]);
        let apply = |hash: &str, existing: Option<(&str, i64)>| {
            let mut body = body(&team, &wanted(&team)[0], None);
            body.hash = hash.into();
            let existing = existing.map(|(uid, generation)| (uid.into(), generation));
            Apply { member: "a".into(), name: "studio-a".into(), body, existing }
        };
        let refused = apply("h", Some(("u", 1)));
        let trouble = Trouble { member: "a".into(), reason: Reason::ChildRejected, message: "no".into() };
        notes.refuse(&refused, trouble.clone(), now);
        assert_eq!(notes.refusal(&refused, now, valid), Some(trouble));
        assert_eq!(notes.refusal(&refused, now + valid, valid), None);
        for other in [apply("i", Some(("u", 1))), apply("h", Some(("u", 2))), apply("h", Some(("v", 1)))] {
            assert_eq!(notes.refusal(&other, now, valid), None);
        }
        notes.replied(workspace("1"), now);
        assert_eq!(notes.refusal(&refused, now, valid), None);
    }

    #[test]
    fn notes_of_teams_that_are_gone_do_not_pile_up() {
        let memory = Memory::default();
        for uid in 0..40 {
            memory.put(uid.to_string(), Notes::default());
        }
        memory.tidy(12, |_| false);
        assert_eq!(memory.lock().len(), 40, "not worth the work yet");
        memory.tidy(1, |uid| uid == "7");
        assert_eq!(memory.lock().keys().collect::<Vec<_>>(), ["7"]);
    }
}
