//! Who is who: Workspaces by uid, and who may reach whom within a Team.

use crate::api::Workspace;
use kube::ResourceExt;
use kube::runtime::reflector::{ObjectRef, Store};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// How many names are remembered beyond the Workspaces that there are, before the memory is cleared.
const STALE_NAMES_MAX: usize = 1_024;

/// The Workspaces of this process's cache, by uid.
pub struct Directory {
    store: Store<Workspace>,
    /// Where a uid was found last. A hint: what is found there is checked.
    names: Mutex<HashMap<String, ObjectRef<Workspace>>>,
}

impl Directory {
    /// A directory of what this store holds.
    pub fn new(store: Store<Workspace>) -> Self {
        Self { store, names: Mutex::default() }
    }

    /// The Workspace of a uid.
    pub fn find(&self, uid: &str) -> Option<Arc<Workspace>> {
        let is_it = |workspace: &Workspace| workspace.metadata.uid.as_deref() == Some(uid);
        let hint = self.names.lock().unwrap_or_else(PoisonError::into_inner).get(uid).cloned();
        if let Some(found) = hint.and_then(|name| self.store.get(&name)).filter(|w| is_it(w)) {
            return Some(found);
        }
        let found = self.store.find(is_it)?;
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if names.len() > self.store.len() + STALE_NAMES_MAX {
            names.clear();
        }
        names.insert(uid.to_owned(), ObjectRef::from_obj(&*found));
        Some(found)
    }

    /// Whether the cache was filled once.
    pub fn is_ready(&self) -> bool {
        use futures::FutureExt;
        matches!(self.store.wait_until_ready().now_or_never(), Some(Ok(())))
    }

    /// The Workspace that this one reports to, within its Team.
    pub fn parent(&self, workspace: &Workspace) -> Option<Arc<Workspace>> {
        let name = &workspace.spec.parent_ref.as_ref()?.name;
        let parent = self.store.get(&ObjectRef::new(name).within(&workspace.namespace()?))?;
        Some(parent).filter(|parent| is_same_team(parent, workspace))
    }

    /// Parent, direct siblings and children, by name.
    pub fn peers(&self, workspace: &Workspace) -> Vec<Arc<Workspace>> {
        let parent = self.parent(workspace).and_then(|parent| parent.uid());
        let mut peers = self.store.state_filter(|other| is_same_team(other, workspace));
        peers.retain(|other| {
            let others_parent = self.parent(other).and_then(|parent| parent.uid());
            let is_parent = parent.is_some() && other.uid() == parent;
            let is_sibling = others_parent == parent;
            let is_child = others_parent.is_some() && others_parent == workspace.uid();
            other.uid() != workspace.uid() && (is_parent || is_sibling || is_child)
        });
        peers.sort_by_key(|peer| peer.name_any());
        peers
    }

    /// Whether one may talk to another: itself, its siblings, ancestors and descendants, within one Team.
    pub fn reaches(&self, caller: &Workspace, target: &Workspace) -> bool {
        if caller.uid() == target.uid() {
            return caller.uid().is_some();
        }
        if !is_same_team(caller, target) {
            return false;
        }
        let (above_caller, above_target) = (self.ancestors(caller), self.ancestors(target));
        above_caller.first() == above_target.first()
            || target.uid().is_some_and(|uid| above_caller.contains(&uid))
            || caller.uid().is_some_and(|uid| above_target.contains(&uid))
    }

    /// The uids from the parent up to the root. A reporting cycle ends where it closes.
    fn ancestors(&self, workspace: &Workspace) -> Vec<String> {
        let mut uids: Vec<String> = Vec::new();
        let mut next = self.parent(workspace);
        while let Some(ancestor) = next {
            let Some(uid) = ancestor.uid().filter(|uid| !uids.contains(uid)) else { break };
            uids.push(uid);
            next = self.parent(&ancestor);
        }
        uids
    }
}

/// The uid of the Team of a Workspace: its controller owner's. Never a label, which anybody may set.
pub fn team(workspace: &Workspace) -> Option<&str> {
    let owners = workspace.metadata.owner_references.as_deref().unwrap_or_default();
    owners.iter().find(|owner| owner.controller == Some(true)).map(|owner| owner.uid.as_str())
}

/// Whether two Workspaces are of one Team. A Team is of one namespace: an owner reference from another one
/// is a forgery.
fn is_same_team(one: &Workspace, other: &Workspace) -> bool {
    let is_team = team(one).is_some() && team(one) == team(other);
    is_team && one.metadata.namespace == other.metadata.namespace
}

/// The launch attempt that is recorded.
pub fn attempt(workspace: &Workspace) -> Option<i64> {
    workspace.status.as_ref()?.launch.as_ref().map(|launch| launch.attempt)
}
