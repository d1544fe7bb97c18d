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

    /// Drops the notes of Teams that are no more.
    pub fn keep_only(&self, lives: impl Fn(&str) -> bool) {
        self.lock().retain(|uid, _| lives(uid));
    }

    /// How many Teams it has notes of.
    pub fn len(&self) -> usize {
        self.lock().len()
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
