//! The election: one Lease, written only with the resourceVersion that was read, so that of two who reach for
//! it one gets it.
//!
//! Clocks of different machines are never compared: a lease is over when this process has not seen it change
//! for its whole duration. The holder counts from before it sent its last renewal, and starts no effect past a
//! deadline that is shorter than the lease.

use super::args::ElectionArgs;
use crate::api::names::REGISTRY_URL;
use crate::reconcile::leadership::Announcer;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, ResourceExt};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// One process that takes part.
pub struct Candidate {
    /// The Leases of the operator's namespace.
    pub api: Api<Lease>,
    /// The name of the Lease.
    pub name: String,
    /// What tells this process from every other.
    pub identity: String,
    /// Where the other replicas reach this one's registry.
    pub registry_url: String,
    /// The periods.
    pub timing: ElectionArgs,
}

/// What becomes of one try to hold the lease.
enum Held {
    /// It is ours, as of before this moment.
    Yes(Box<Lease>, Instant),
    /// It is not, or nobody knows: look at it.
    Look,
}

impl Candidate {
    /// Takes part until another process took the lease over, or until `release` says to let it go. What
    /// becomes of it is announced.
    pub async fn run(self, announcer: Announcer, release: CancellationToken) {
        let mut mine: Option<Lease> = None;
        let mut watched = Watched::default();
        loop {
            let pause = match mine.take() {
                Some(lease) => match self.hold(Some(&lease)).await {
                    Held::Yes(lease, since) => {
                        announcer.leading_until(since + self.timing.lease_renew_deadline);
                        mine = Some(*lease);
                        self.timing.lease_renew_period
                    }
                    Held::Look => match self.read().await {
                        Ok(Some(found)) if holder(&found) == Some(&self.identity) => {
                            mine = Some(found);
                            self.timing.lease_retry_period
                        }
                        Ok(found) => {
                            let by = found.as_ref().and_then(holder).unwrap_or("nobody");
                            warn!(holder = by, "the lease was taken over; this process must end");
                            announcer.lost();
                            return;
                        }
                        // Nobody else can have it without our seeing it: go on trying. Past the deadline
                        // nothing is done meanwhile.
                        Err(error) => {
                            warn!(%error, "the lease could not be renewed; it is tried again");
                            mine = Some(lease);
                            self.timing.lease_retry_period
                        }
                    },
                },
                None => match self.read().await {
                    // A write of ours that was thought to have failed.
                    Ok(Some(found)) if holder(&found) == Some(&self.identity) => {
                        mine = Some(found);
                        Duration::ZERO
                    }
                    Ok(found) => {
                        match watched.verdict(found.as_ref(), Instant::now(), self.timing.lease_duration) {
                            Verdict::Free => match self.hold(found.as_ref()).await {
                                Held::Yes(lease, since) => {
                                    info!(identity = self.identity, lease = self.name, "this process leads");
                                    announcer.leading_until(since + self.timing.lease_renew_deadline);
                                    mine = Some(*lease);
                                    self.timing.lease_renew_period
                                }
                                Held::Look => self.timing.lease_retry_period,
                            },
                            Verdict::HeldFor(left) => {
                                announcer.following(found.as_ref().and_then(registry_url));
                                left.min(self.timing.lease_retry_period)
                            }
                        }
                    }
                    Err(error) => {
                        warn!(%error, "the lease could not be read; it is tried again");
                        self.timing.lease_retry_period
                    }
                },
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = release.cancelled() => break,
            }
        }
        announcer.following(None);
        if let Some(lease) = mine {
            self.let_go(lease).await;
        }
    }

    /// Creates, takes or renews the lease: whatever stands there as it was read.
    async fn hold(&self, found: Option<&Lease>) -> Held {
        let since = Instant::now();
        let lease = self.written(found, &self.identity, self.timing.lease_duration);
        let parameters = PostParams::default();
        let write = async {
            match found {
                Some(_) => self.api.replace(&self.name, &parameters, &lease).await,
                None => self.api.create(&parameters, &lease).await,
            }
        };
        match tokio::time::timeout(self.patience(), write).await {
            Ok(Ok(lease)) => Held::Yes(Box::new(lease), since),
            Ok(Err(error)) => {
                if !matches!(&error, kube::Error::Api(status) if status.code == 409) {
                    warn!(%error, lease = self.name, "the lease could not be written");
                }
                Held::Look
            }
            Err(_) => Held::Look,
        }
    }

    /// Lets another process lead at once.
    async fn let_go(&self, lease: Lease) {
        let freed = self.written(Some(&lease), "", Duration::from_secs(1));
        let parameters = PostParams::default();
        let write = self.api.replace(&self.name, &parameters, &freed);
        match tokio::time::timeout(self.patience(), write).await {
            Ok(Ok(_)) => info!(lease = self.name, "the lease is released"),
            Ok(Err(error)) => {
                warn!(%error, lease = self.name, "the lease could not be released; it runs out");
            }
            Err(_) => warn!(lease = self.name, "the lease could not be released in time; it runs out"),
        }
    }

    async fn read(&self) -> Result<Option<Lease>, kube::Error> {
        match tokio::time::timeout(self.patience(), self.api.get_opt(&self.name)).await {
            Ok(answer) => answer,
            Err(_) => Err(kube::Error::Service("no answer in time".into())),
        }
    }

    /// How long one call may take, so that there is time for another before the deadline.
    fn patience(&self) -> Duration {
        self.timing.lease_renew_deadline / 2
    }

    fn written(&self, found: Option<&Lease>, holder: &str, duration: Duration) -> Lease {
        let before = found.and_then(|lease| lease.spec.clone()).unwrap_or_default();
        let now = MicroTime(Timestamp::now());
        let taken = before.holder_identity.as_deref() != Some(holder);
        let mut metadata = found.map_or_else(
            || ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() },
            |lease| lease.metadata.clone(),
        );
        metadata.managed_fields = None;
        let annotations = metadata.annotations.get_or_insert_with(BTreeMap::new);
        if holder.is_empty() {
            annotations.remove(REGISTRY_URL);
        } else {
            annotations.insert(REGISTRY_URL.into(), self.registry_url.clone());
        }
        let spec = LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            // Whole seconds, rounded up: who reads it must not be hasty.
            lease_duration_seconds: Some(
                i32::try_from(duration.as_millis().div_ceil(1000)).unwrap_or(i32::MAX),
            ),
            acquire_time: if taken { Some(now.clone()) } else { before.acquire_time },
            lease_transitions: Some(
                before.lease_transitions.unwrap_or(0) + i32::from(taken && !holder.is_empty()),
            ),
            renew_time: Some(now),
            ..before
        };
        Lease { metadata, spec: Some(spec) }
    }
}

fn holder(lease: &Lease) -> Option<&str> {
    lease.spec.as_ref()?.holder_identity.as_deref().filter(|holder| !holder.is_empty())
}

fn registry_url(lease: &Lease) -> Option<String> {
    lease.annotations().get(REGISTRY_URL).cloned()
}

/// The lease as another's, and since when it has not changed.
#[derive(Debug, Default)]
struct Watched {
    version: Option<String>,
    since: Option<Instant>,
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// Nobody holds it, or its holder was silent for too long.
    Free,
    /// It is held for at least so long.
    HeldFor(Duration),
}

impl Watched {
    fn verdict(&mut self, found: Option<&Lease>, now: Instant, fallback: Duration) -> Verdict {
        let Some(lease) = found.filter(|lease| holder(lease).is_some()) else { return Verdict::Free };
        let version = lease.resource_version();
        let since = match self.since {
            Some(since) if self.version == version => since,
            _ => {
                self.version = version;
                *self.since.insert(now)
            }
        };
        let promised = lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds);
        let duration =
            promised.and_then(|seconds| u64::try_from(seconds).ok()).map_or(fallback, Duration::from_secs);
        match (since + duration).checked_duration_since(now).filter(|left| !left.is_zero()) {
            Some(left) => Verdict::HeldFor(left),
            None => Verdict::Free,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(holder: &str, version: &str, seconds: Option<i32>) -> Lease {
        Lease {
            metadata: ObjectMeta { resource_version: Some(version.into()), ..ObjectMeta::default() },
            spec: Some(LeaseSpec {
                holder_identity: Some(holder.into()),
                lease_duration_seconds: seconds,
                // Long past by any clock, and nobody may care.
                renew_time: Some(MicroTime(Timestamp::UNIX_EPOCH)),
                ..LeaseSpec::default()
            }),
        }
    }

    const FALLBACK: Duration = Duration::from_secs(30);

    #[test]
    fn a_lease_is_over_when_it_was_not_seen_to_change_for_its_duration() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let left = |seconds: u64| Verdict::HeldFor(Duration::from_secs(seconds));
        let mut watched = Watched::default();
        let first = lease("a", "1", Some(7));
        assert_eq!(watched.verdict(Some(&first), at(0), FALLBACK), left(7));
        assert_eq!(watched.verdict(Some(&first), at(6), FALLBACK), left(1));
        let renewed = lease("a", "2", Some(7));
        assert_eq!(watched.verdict(Some(&renewed), at(6), FALLBACK), left(7));
        assert_eq!(watched.verdict(Some(&renewed), at(13), FALLBACK), Verdict::Free);
    }

    #[test]
    fn a_lease_without_a_holder_is_free_at_once() {
        let mut watched = Watched::default();
        assert_eq!(watched.verdict(None, Instant::now(), FALLBACK), Verdict::Free);
        assert_eq!(watched.verdict(Some(&lease("", "1", Some(1))), Instant::now(), FALLBACK), Verdict::Free);
        assert_eq!(watched.verdict(Some(&Lease::default()), Instant::now(), FALLBACK), Verdict::Free);
    }

    #[test]
    fn a_lease_that_promises_nothing_lasts_as_long_as_ours_would() {
        let verdict = Watched::default().verdict(Some(&lease("a", "1", None)), Instant::now(), FALLBACK);
        assert_eq!(verdict, Verdict::HeldFor(FALLBACK));
    }
}
