//! The BackendConfig as it is in effect, for whoever must not wait for it.

use crate::api::BackendConfigSpec;
use futures::{Stream, stream};
use std::sync::Arc;
use tokio::sync::watch;

/// The config that is in effect, and word of each change that concerns Workspaces. Clones share it.
#[derive(Clone, Debug)]
pub struct Current {
    spec: watch::Sender<Option<Arc<BackendConfigSpec>>>,
    changes: watch::Sender<u64>,
}

impl Default for Current {
    fn default() -> Self {
        Self { spec: watch::Sender::new(None), changes: watch::Sender::new(0) }
    }
}

impl Current {
    /// The config in effect: the spec, but with the former endpoint where boxes still run there. `None` while
    /// there is no BackendConfig of the name that the operator reads.
    pub fn get(&self) -> Option<Arc<BackendConfigSpec>> {
        self.spec.borrow().clone()
    }

    /// The same, for whoever holds on to it.
    pub fn watch(&self) -> watch::Receiver<Option<Arc<BackendConfigSpec>>> {
        self.spec.subscribe()
    }

    /// An item whenever every Workspace should be looked at anew: the config changed, or what the backend
    /// answers, or the keys.
    pub fn changes(&self) -> impl Stream<Item = ()> + Send + 'static + use<> {
        stream::unfold(self.changes.subscribe(), |mut changes| async {
            changes.changed().await.ok().map(|()| ((), changes))
        })
    }

    pub(super) fn set(&self, spec: Option<Arc<BackendConfigSpec>>) {
        self.spec.send_if_modified(|before| {
            let differs = *before != spec;
            *before = spec;
            differs
        });
    }

    pub(super) fn announce(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }
}
