//! Lease: whether a controller runs, by the lease that the leader renews.
//!
//! The clocks of two machines are not compared: a lease whose time looks old by ours counts as renewed when it is
//! seen to change.

use super::cluster::{Cluster, Refusal};
use crate::api::names::REGISTRY_URL;
use clap::Args;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::api::ListParams;
use std::fmt;
use std::time::Duration;
use tokio::time::Instant;

/// What a lease lasts that does not say so itself, in seconds.
const DURATION: i64 = 15;
/// How often it is looked whether a lease changes.
const PERIOD: Duration = Duration::from_millis(500);
/// Where the operator lives, and what it is called, if nothing else is said.
const NAMESPACE: &str = "atelier-system";
const NAME: &str = "atelier";

/// Which controller.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Controller")]
pub struct ControllerFlags {
    /// The operator's namespace [default: where a controller's lease is found]
    #[arg(long, value_name = "NAME", env = "ATELIER_OPERATOR_NAMESPACE")]
    pub operator_namespace: Option<String>,
    /// The controller's name [default: any that is found]
    #[arg(long, value_name = "NAME", env = "ATELIER_CONTROLLER_NAME")]
    pub controller_name: Option<String>,
}

/// Whether a controller runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Controller {
    /// It renews its lease.
    Runs {
        /// The lease.
        lease: String,
        /// Who holds it.
        holder: String,
    },
    /// It did not renew its lease for longer than that lasts.
    Silent {
        /// The lease.
        lease: String,
        /// Who held it.
        holder: String,
        /// When it was renewed last, by the holder's clock.
        renewed: Option<Timestamp>,
    },
    /// Its lease was given back: it was stopped.
    Stopped {
        /// The lease.
        lease: String,
    },
    /// There is no lease where one was looked for.
    NoLease {
        /// Where that was.
        place: String,
    },
    /// Leases may not be read, or could not be.
    Untold(String),
}

impl Controller {
    /// Whether it was seen that none runs.
    pub fn is_down(&self) -> bool {
        matches!(self, Self::Silent { .. } | Self::Stopped { .. })
    }
}

impl fmt::Display for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Runs { lease, holder } => {
                write!(f, "a controller runs: {holder} renews the lease {lease}")
            }
            Self::Silent { lease, holder, renewed: Some(at) } => {
                let at = at.strftime("%Y-%m-%dT%H:%M:%SZ");
                write!(f, "no controller runs: {holder} renewed the lease {lease} last at {at}")
            }
            Self::Silent { lease, holder, renewed: None } => {
                write!(f, "no controller runs: {holder} does not renew the lease {lease}")
            }
            Self::Stopped { lease } => {
                write!(f, "no controller runs: the last one has given the lease {lease} back")
            }
            Self::NoLease { place } => {
                write!(
                    f,
                    "no controller's lease is found in {place}: none runs, or one without leader election"
                )
            }
            Self::Untold(why) => write!(f, "whether a controller runs could not be told: {why}"),
        }
    }
}

/// A lease as it was read.
enum Read {
    Held { lease: String, holder: String, renewed: Option<Timestamp>, lasts: i64, version: Option<String> },
    Free { lease: String },
}

fn read(lease: &Lease) -> Read {
    let name = format!("{}/{}", lease.namespace().unwrap_or_default(), lease.name_any());
    let spec = lease.spec.clone().unwrap_or_default();
    match spec.holder_identity.filter(|holder| !holder.is_empty()) {
        None => Read::Free { lease: name },
        Some(holder) => Read::Held {
            lease: name,
            holder,
            renewed: spec.renew_time.map(|at| at.0),
            lasts: spec.lease_duration_seconds.map_or(DURATION, i64::from),
            version: lease.resource_version(),
        },
    }
}

/// Judges leases that were read twice, some time apart; `None` while only more time can tell.
fn judge(before: &[Lease], after: &[Lease], waited: Duration, now: Timestamp) -> Option<Controller> {
    let mut silent = None;
    let mut stopped = None;
    let mut undecided = false;
    for lease in after {
        match read(lease) {
            Read::Free { lease } => stopped = Some(Controller::Stopped { lease }),
            Read::Held { lease: name, holder, renewed, lasts, version } => {
                let was =
                    before.iter().find(|was| was.uid() == lease.uid()).map(ResourceExt::resource_version);
                let changed = was.is_some_and(|was| was != version);
                let young = renewed.is_some_and(|at| now.duration_since(at).as_secs().abs() <= lasts);
                if changed || young {
                    return Some(Controller::Runs { lease: name, holder });
                }
                undecided |= waited.as_secs() <= lasts.unsigned_abs();
                silent = Some(Controller::Silent { lease: name, holder, renewed });
            }
        }
    }
    if undecided { None } else { silent.or(stopped) }
}

/// Looks whether a controller runs.
pub async fn look(cluster: &Cluster, flags: &ControllerFlags) -> Controller {
    let before = match find(cluster, flags).await {
        Ok(leases) => leases,
        Err(untold) => return untold,
    };
    let began = Instant::now();
    let mut after = before.clone();
    loop {
        if let Some(judged) = judge(&before, &after, began.elapsed(), Timestamp::now()) {
            return judged;
        }
        tokio::time::sleep(PERIOD).await;
        after = match find(cluster, flags).await {
            Ok(leases) => leases,
            Err(untold) => return untold,
        };
    }
}

/// What speaks against a running controller at first sight, without waiting for the lease to change.
pub async fn glance(cluster: &Cluster, flags: &ControllerFlags) -> Option<String> {
    doubt(&find(cluster, flags).await.ok()?, Timestamp::now())
}

fn doubt(leases: &[Lease], now: Timestamp) -> Option<String> {
    match judge(&[], leases, Duration::ZERO, now) {
        Some(judged) => Some(judged).filter(Controller::is_down).map(|judged| judged.to_string()),
        None => leases.iter().find_map(|lease| match read(lease) {
            Read::Held { lease, renewed: Some(at), .. } => {
                let at = at.strftime("%Y-%m-%dT%H:%M:%SZ");
                Some(format!("the controller's lease {lease} was renewed last at {at}"))
            }
            Read::Held { .. } | Read::Free { .. } => None,
        }),
    }
}

/// Whether a lease is that of a controller, or of the one of this name. One that was given back says no more than
/// its name.
fn is_controllers(lease: &Lease, name: Option<&str>) -> bool {
    let is_announced = lease.annotations().contains_key(REGISTRY_URL);
    let is_free = matches!(read(lease), Read::Free { .. });
    match name {
        Some(name) => lease.name_any() == name && (is_announced || is_free),
        None => is_announced || (is_free && lease.name_any() == NAME),
    }
}

/// The leases of controllers; at least one.
async fn find(cluster: &Cluster, flags: &ControllerFlags) -> Result<Vec<Lease>, Controller> {
    let namespace = flags.operator_namespace.as_deref();
    match cluster.list_of::<Lease>(&cluster.api(namespace), &ListParams::default()).await {
        Ok(mut leases) => {
            leases.retain(|lease| is_controllers(lease, flags.controller_name.as_deref()));
            let place =
                namespace.map_or_else(|| "any namespace".to_owned(), |name| format!("the namespace {name}"));
            if leases.is_empty() { Err(Controller::NoLease { place }) } else { Ok(leases) }
        }
        // Who may not list may still read the one where it is by default.
        Err(Refusal::Forbidden(_)) => {
            let namespace = namespace.unwrap_or(NAMESPACE);
            let name = flags.controller_name.as_deref().unwrap_or(NAME);
            match cluster.get::<Lease>(namespace, name).await {
                Ok(Some(lease)) => Ok(vec![lease]),
                Ok(None) => Err(Controller::NoLease { place: format!("the namespace {namespace}") }),
                Err(why) => Err(Controller::Untold(why.to_string())),
            }
        }
        Err(why) => Err(Controller::Untold(why.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::fixtures::at;
    use k8s_openapi::api::coordination::v1::LeaseSpec;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
    use kube::api::ObjectMeta;

    fn lease(holder: &str, renewed: i64, version: &str) -> Lease {
        Lease {
            metadata: ObjectMeta {
                name: Some("atelier".into()),
                namespace: Some("sys".into()),
                uid: Some("u".into()),
                resource_version: Some(version.into()),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(holder.into()),
                lease_duration_seconds: Some(7),
                renew_time: Some(MicroTime(at(renewed))),
                ..LeaseSpec::default()
            }),
        }
    }

    #[test]
    fn the_lease_of_a_controller_is_known_by_its_annotation_or_once_given_back_by_its_name() {
        let (held, free) = (lease("a", 1, "1"), lease("", 1, "1"));
        assert!(!is_controllers(&held, None), "somebody else's");
        assert!(is_controllers(&free, None));
        assert!(is_controllers(&free, Some("atelier")) && !is_controllers(&free, Some("other")));
        let mut announced = held;
        announced.annotations_mut().insert(REGISTRY_URL.into(), "http://x".into());
        assert!(is_controllers(&announced, None) && !is_controllers(&announced, Some("other")));
    }

    #[test]
    fn a_lease_counts_as_renewed_by_its_time_or_because_it_changes() {
        let seconds = Duration::from_secs;
        let judged = |before: &Lease, after: &Lease, waited: u64| {
            judge(std::slice::from_ref(before), std::slice::from_ref(after), seconds(waited), at(1000))
        };
        let runs = Some(Controller::Runs { lease: "sys/atelier".into(), holder: "a".into() });
        let (young, old) = (lease("a", 995, "1"), lease("a", 100, "1"));
        assert_eq!(judged(&young, &young, 0), runs);
        assert_eq!(judged(&old, &old, 0), None, "the other's clock may be wrong");
        assert_eq!(judged(&old, &lease("a", 101, "2"), 1), runs);
        assert_eq!(judged(&old, &old, 7), None);
        let silent = judged(&old, &old, 8).unwrap();
        assert!(silent.is_down());
        assert_eq!(
            silent.to_string(),
            "no controller runs: a renewed the lease sys/atelier last at 2026-09-21T14:15:00Z"
        );
        assert_eq!(doubt(&[young], at(1000)), None);
        let words = doubt(&[old], at(1000)).unwrap();
        assert_eq!(words, "the controller's lease sys/atelier was renewed last at 2026-09-21T14:15:00Z");
        let free = lease("", 100, "1");
        assert_eq!(judged(&free, &free, 0), Some(Controller::Stopped { lease: "sys/atelier".into() }));
    }
}
