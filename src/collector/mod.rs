//! Finds what has no owner outside Kubernetes, and removes it: boxes, volumes, networks, network interfaces.
//!
//! A sweep lists the backends first and reads owners after that, so that what it reads can only know more than
//! what it saw. `judge` decides, and is pure; [`owners`] reads, live before anything is removed; [`memory`]
//! stands in for the date that some things do not have; [`identity`] stops it all in a cluster that is not the
//! one that the things were made for. Where nothing is without an owner, a sweep costs the lists of the backends
//! and nothing of the API server. [`search`] is all of it but the removal, which a person can ask for as well.

mod identity;
pub(crate) mod judge;
#[cfg(test)]
mod judge_tests;
mod memory;
mod owners;
mod search;

pub use search::{Orphan, Orphans, Search, SearchParts};

use crate::api::BackendConfig;
use crate::api::workspace::Backend;
use crate::backend::Found;
use crate::metrics::{Collected, Metrics, SweepEnd, Thing};
use crate::reconcile::{Cache, EventReason, Events, Leadership};
use identity::{Identity, Stored};
use judge::{Remove, Verdict};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Client, Resource};
use owners::Read;
use search::{Candidate, Look};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// How it is done.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The time between two sweeps.
    pub period: Duration,
    /// Whether it is only told what would be removed.
    pub is_dry_run: bool,
    /// So many things are removed in one sweep at most.
    pub max: usize,
}

/// What a sweep works with.
pub struct Context {
    /// The API server.
    pub client: Client,
    /// The operator's own namespace.
    pub operator_namespace: String,
    /// This installation's name.
    pub controller: String,
    /// This cluster's id.
    pub cluster: String,
    /// The name of the `BackendConfig` that events are about.
    pub config: String,
    /// All of them.
    pub configs: Cache<BackendConfig>,
    /// What finds them.
    pub search: Search,
    /// Whether this process may remove anything.
    pub leadership: Leadership,
    /// Where removals are told.
    pub events: Events,
    /// Where they are counted.
    pub metrics: Metrics,
    /// How it is done.
    pub settings: Settings,
}

/// Finds and removes what has no owner.
pub struct Collector {
    context: Context,
    identity: Identity,
    /// What could not be removed the last time: it comes last, so that it holds nothing else up.
    failed: BTreeSet<(Thing, String)>,
    /// What a dry run has told.
    told: BTreeSet<(Thing, String)>,
    last_end: Option<SweepEnd>,
}

impl Collector {
    /// Nothing is asked yet.
    pub fn new(context: Context) -> Self {
        let maps: Api<ConfigMap> = Api::namespaced(context.client.clone(), &context.operator_namespace);
        let identity = Identity::new(maps, &context.controller, &context.cluster);
        Self { identity, failed: BTreeSet::new(), told: BTreeSet::new(), last_end: None, context }
    }

    /// Sweeps until it is told to stop; what is being removed then is finished.
    pub async fn run(mut self, stop: CancellationToken) {
        if let Err(why) | Ok(Stored::Differs(why) | Stored::Refused(why)) = self.identity.check().await {
            warn!(why, "the cluster's id could not be stored or compared; nothing is collected until it can");
        }
        while !stop.is_cancelled() {
            let end = self.sweep(&stop).await;
            self.context.metrics.swept(end);
            self.last_end = Some(end);
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(self.context.settings.period) => {}
            }
        }
    }

    async fn sweep(&mut self, stop: &CancellationToken) -> SweepEnd {
        let look = self.context.search.look().await;
        for error in look.unlisted() {
            // The reconciles say what is wrong with it.
            info!(%error, "a backend is not searched for what has no owner");
        }
        let mut candidates = self.context.search.candidates(&look);
        candidates.sort_by_key(|candidate| (self.failed.contains(&candidate.key()), candidate.found.thing));
        let keys: BTreeSet<_> = candidates.iter().map(Candidate::key).collect();
        self.failed.retain(|key| keys.contains(key));
        self.told.retain(|key| keys.contains(key));
        for thing in Thing::ALL {
            let count = candidates.iter().filter(|candidate| candidate.found.thing == thing).count();
            self.context.metrics.orphans(thing, count);
        }
        let end = if candidates.is_empty() {
            SweepEnd::Complete
        } else {
            self.collect(&look, candidates, stop).await
        };
        if end == SweepEnd::Complete && !look.unlisted().is_empty() { SweepEnd::Unlisted } else { end }
    }

    async fn collect(
        &mut self,
        look: &Look,
        candidates: Vec<Candidate<'_>>,
        stop: &CancellationToken,
    ) -> SweepEnd {
        if let Some(end) = self.is_barred().await {
            return end;
        }
        let mut read = Read::new();
        let mut tried = 0;
        for candidate in candidates {
            if stop.is_cancelled() || !self.context.leadership.may_act() {
                return SweepEnd::Stopped;
            }
            let remove = match self.context.search.confirm(look, &candidate, &mut read).await {
                Ok(Verdict::Remove(remove)) => remove,
                Ok(Verdict::Keep(_)) => continue,
                Err(why) => return self.frozen(&why),
            };
            if tried == self.context.settings.max {
                warn!(max = tried, "more has no owner than is removed in one sweep; the next one goes on");
                return SweepEnd::Capped;
            }
            tried += 1;
            self.remove(&candidate, remove).await;
        }
        SweepEnd::Complete
    }

    /// Why nothing may be removed now, whatever it is.
    async fn is_barred(&mut self) -> Option<SweepEnd> {
        match self.identity.check().await {
            Ok(Stored::Same) => {}
            Ok(Stored::Differs(why) | Stored::Refused(why)) => {
                if self.last_end != Some(SweepEnd::WrongCluster) {
                    warn!(why, "nothing is collected");
                }
                return Some(SweepEnd::WrongCluster);
            }
            Err(why) => return Some(self.frozen(&why)),
        }
        self.context.search.is_well().await.err().map(|why| self.frozen(&why))
    }

    fn frozen(&self, why: &str) -> SweepEnd {
        if self.last_end != Some(SweepEnd::Frozen) {
            warn!(why, "the API server is not well: nothing is collected");
        }
        SweepEnd::Frozen
    }

    async fn remove(&mut self, candidate: &Candidate<'_>, remove: Remove) {
        let Candidate { grounds, survey, found, .. } = candidate;
        let (key, note) = (candidate.key(), note(survey.record.backend, found, remove));
        let outcome = if self.context.settings.is_dry_run {
            if self.told.insert(key) {
                info!("would remove {note}");
            }
            Collected::DryRun
        } else {
            match grounds.remove(survey, found).await {
                Ok(()) => {
                    self.failed.remove(&key);
                    info!("removed {note}");
                    self.tell(&format!("Removed {note}"));
                    Collected::Removed
                }
                Err(error) => {
                    self.failed.insert(key);
                    warn!(%error, "could not remove {note}; it is tried again");
                    Collected::Failed
                }
            }
        };
        self.context.metrics.collected(found.thing, outcome);
    }

    fn tell(&self, note: &str) {
        let name = ObjectRef::<BackendConfig>::new(&self.context.config);
        if let Some(config) = self.context.configs.store().get(&name) {
            self.context.events.publish(&config.object_ref(&()), EventReason::OrphanRemoved, note);
        }
    }
}

/// What it is, whose it was, and why it goes.
fn note(backend: Backend, found: &Found, remove: Remove) -> String {
    let what = match (backend, found.thing) {
        (Backend::Docker, Thing::Box) => "container",
        (Backend::Ec2, Thing::Box) => "instance",
        (_, Thing::NetworkInterface) => "network interface",
        (_, Thing::Volume) => "volume",
        (_, Thing::Network) => "network",
    };
    let attempt = found.attempt.map(|attempt| format!(", attempt {attempt},")).unwrap_or_default();
    format!("{what} {}{attempt} of {}, which {}", found.id, owner(found), why(remove))
}

/// Whose it was, for people.
fn owner(found: &Found) -> String {
    let Found { uid, namespace, name, .. } = found;
    match found.thing {
        Thing::Network => format!("the Team or Workspace {uid} in {namespace}"),
        _ => format!("the Workspace {namespace}/{name} ({uid})"),
    }
}

/// What its owner does that leaves it without one.
fn why(remove: Remove) -> &'static str {
    match remove {
        Remove::NoOwner | Remove::OtherOwner => "is gone",
        Remove::OtherAttempt => "records another attempt",
        Remove::OtherBox => "records another one for this attempt",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_says_what_goes_whose_it_was_and_why() {
        let found = Found {
            thing: Thing::Box,
            id: "i-1".into(),
            uid: "u".into(),
            namespace: "ns".into(),
            name: "w".into(),
            attempt: Some(2),
            made_at: None,
            is_retained: false,
            is_ending: false,
            is_in_use: false,
        };
        assert_eq!(
            note(Backend::Ec2, &found, Remove::OtherAttempt),
            "instance i-1, attempt 2, of the Workspace ns/w (u), which records another attempt"
        );
        let network = Found { thing: Thing::Network, attempt: None, id: "n".into(), ..found };
        assert_eq!(
            note(Backend::Docker, &network, Remove::NoOwner),
            "network n of the Team or Workspace u in ns, which is gone"
        );
    }
}
