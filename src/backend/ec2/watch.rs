//! The sweep: one paged list of all instances serves every Workspace, often while something is on its way.

use super::cloud::Cloud;
use super::known::Sweep;
use crate::api::names;
use crate::api::workspace::Ec2World;
use crate::backend::BackendError;
use k8s_openapi::jiff::Timestamp;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// How often the instances are listed while something is on its way.
const BUSY: Duration = Duration::from_secs(5);
/// How soon at the earliest after a sweep the next one follows, whatever asks for it.
const PAUSE: Duration = Duration::from_secs(1);

impl Cloud {
    /// Lists all instances for as long as it is polled, at rest once a `period`, and gives a hint for every
    /// Workspace whose instances have changed. It never ends.
    pub(crate) async fn watch(&self, period: Duration) {
        loop {
            let began = Instant::now();
            let changed = match self.sweep().await {
                Ok(sweep) => self.take(sweep),
                Err(error) => self.lost(error),
            };
            for uid in changed {
                self.hints().give(uid);
            }
            let pause = if self.state().is_busy() { BUSY.min(period) } else { period };
            tokio::select! {
                () = sleep_until(began + pause) => {}
                () = self.soon().notified() => sleep_until(began + PAUSE).await,
            }
        }
    }

    /// One complete list.
    pub(super) async fn sweep(&self) -> Result<(Sweep, Ec2World), BackendError> {
        let client = self.client()?;
        let started = Timestamp::now();
        let mut instances = Vec::new();
        let mut page: Option<String> = None;
        loop {
            let answer = client.list(self.cluster(), page.as_deref()).await?;
            // A second release shares the cluster's id: its instances are none of ours.
            let ours = answer.instances.into_iter().filter(|instance| {
                instance.tags.get(names::CONTROLLER).is_some_and(|name| name == self.controller())
            });
            instances.extend(ours);
            page = answer.next_page;
            if page.is_none() {
                let world = Ec2World { account_id: answer.account_id, region: answer.region };
                return Ok((Sweep { started, instances }, world));
            }
        }
    }

    fn take(&self, (sweep, world): (Sweep, Ec2World)) -> Vec<String> {
        let mut state = self.state();
        let was_away = state.away.take().is_some();
        let is_first = state.known.swept().is_none();
        if !world.account_id.is_empty() {
            state.world = Some(world);
        }
        let changed = state.known.take(sweep);
        let all = if was_away || is_first { state.known.uids() } else { BTreeSet::default() };
        changed.into_iter().chain(all).collect()
    }

    /// The list could not be had: every Workspace here is told so once.
    fn lost(&self, error: BackendError) -> Vec<String> {
        let mut state = self.state();
        let was_away = state.away.replace(error).is_some();
        if was_away { Vec::new() } else { state.known.uids().into_iter().collect() }
    }
}
