//! What stands in the worlds in use under this controller's name, so that what has no owner can be found.

use super::placement::Target;
use super::{BackendError, ErrorKind, Maker};
use crate::api::names;
use crate::api::workspace::PlacementRecord;
use crate::metrics::{Metrics, Operation, Outcome, Thing};
use k8s_openapi::jiff::Timestamp;
use std::collections::BTreeMap;
use std::time::Instant;

/// One world in use: an engine, or the account behind the control plane.
#[derive(Clone, Debug)]
pub struct Grounds {
    target: Target,
    metrics: Metrics,
}

/// Everything of this controller in one world.
#[derive(Clone, Debug)]
pub struct Survey {
    /// Which world it is.
    pub record: PlacementRecord,
    /// When it answered, by the clock that its things were dated with.
    pub now: Timestamp,
    /// What is there.
    pub found: Vec<Found>,
}

/// One thing that this controller made, by its own labels or tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What it is.
    pub thing: Thing,
    /// The backend's id of it; the name of a Docker volume.
    pub id: String,
    /// The uid of the object that it was made for: a Workspace, and for a network a Team or a Workspace.
    pub uid: String,
    /// The namespace of that object; empty where nothing says so.
    pub namespace: String,
    /// The Workspace's name; empty where nothing says so, as on a network.
    pub name: String,
    /// The launch attempt; none on what outlives attempts.
    pub attempt: Option<i64>,
    /// When it was made or last started, by the backend's clock; none where the backend does not say.
    pub made_at: Option<Timestamp>,
    /// Whether it is to be kept when its owner goes.
    pub is_retained: bool,
    /// Whether it is going already, or gone and still shown.
    pub is_ending: bool,
    /// Whether something else holds on to it.
    pub is_in_use: bool,
}

impl Found {
    /// Reads what the labels say; `None` for what this controller did not make in this cluster.
    pub(super) fn read(
        maker: &Maker,
        thing: Thing,
        id: &str,
        labels: &BTreeMap<String, String>,
    ) -> Option<Self> {
        let text = |key: &str| labels.get(key).map(String::as_str).unwrap_or_default();
        if text(names::CLUSTER) != maker.cluster || text(names::CONTROLLER) != maker.controller {
            return None;
        }
        let uid = text(if thing == Thing::Network { names::NETWORK_OF } else { names::UID });
        Some(Self {
            thing,
            id: id.to_owned(),
            uid: uid.to_owned(),
            namespace: text(names::NAMESPACE).to_owned(),
            name: text(names::NAME).to_owned(),
            attempt: text(names::ATTEMPT).parse().ok(),
            made_at: None,
            // What is no plain "no" is for a person to judge.
            is_retained: !matches!(text(names::RETAIN), "" | "false"),
            is_ending: false,
            is_in_use: false,
        })
    }
}

impl Grounds {
    pub(super) fn new(target: Target, metrics: Metrics) -> Self {
        Self { target, metrics }
    }

    /// Lists everything of this controller here.
    ///
    /// # Errors
    /// When a part of it cannot be listed, or the backend tells no time.
    pub async fn survey(&self) -> Result<Survey, BackendError> {
        let survey = async {
            match &self.target {
                Target::Docker(engine) => engine.everything().await,
                Target::Ec2(cloud) => cloud.everything().await,
                #[cfg(test)]
                Target::Scripted(_) => Err(unscripted()),
            }
        };
        self.timed(Operation::Survey, survey).await
    }

    /// Removes one thing of a survey, from the world of that survey and from no other. Gone already: success.
    ///
    /// # Errors
    /// What the backend answered; also when something still holds on to it.
    pub async fn remove(&self, survey: &Survey, found: &Found) -> Result<(), BackendError> {
        let removal = async {
            match &self.target {
                Target::Docker(engine) => engine.remove_found(&survey.record, found).await,
                Target::Ec2(cloud) => cloud.remove_found(&survey.record, found).await,
                #[cfg(test)]
                Target::Scripted(_) => Err(unscripted()),
            }
        };
        self.timed(Operation::Collect, removal).await
    }

    async fn timed<T>(
        &self,
        operation: Operation,
        call: impl Future<Output = Result<T, BackendError>>,
    ) -> Result<T, BackendError> {
        let started = Instant::now();
        let result = call.await;
        self.metrics.backend_call(operation, Outcome::from(&result), started.elapsed());
        result
    }
}

/// There is no such thing in this world.
pub(super) fn no_such(found: &Found) -> BackendError {
    BackendError::new(ErrorKind::Invalid, format!("{}: there is no {:?} here", found.id, found.thing))
}

#[cfg(test)]
fn unscripted() -> BackendError {
    BackendError::new(ErrorKind::Invalid, "a scripted world is not looked through")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maker() -> Maker {
        Maker { cluster: "c".into(), controller: "atelier".into() }
    }

    fn read(thing: Thing, more: &[(&str, &str)]) -> Option<Found> {
        let ours = [(names::CLUSTER, "c"), (names::CONTROLLER, "atelier"), (names::UID, "u")];
        let labels = ours.iter().chain(more).map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Found::read(&maker(), thing, "id", &labels)
    }

    #[test]
    fn what_another_controller_or_cluster_made_is_not_seen() {
        assert!(read(Thing::Box, &[]).is_some());
        assert_eq!(read(Thing::Box, &[(names::CONTROLLER, "other")]), None);
        assert_eq!(read(Thing::Box, &[(names::CONTROLLER, "none")]), None);
        assert_eq!(read(Thing::Box, &[(names::CLUSTER, "d")]), None);
        assert_eq!(Found::read(&maker(), Thing::Box, "id", &BTreeMap::new()), None);
    }

    #[test]
    fn the_labels_say_whose_it_is() {
        let more = [(names::NAMESPACE, "ns"), (names::NAME, "w"), (names::ATTEMPT, "3")];
        let found = read(Thing::Box, &more).expect("ours");
        let said = (found.uid.as_str(), found.namespace.as_str(), found.name.as_str(), found.attempt);
        assert_eq!(said, ("u", "ns", "w", Some(3)));
        assert!(!found.is_retained);
        assert_eq!(read(Thing::Network, &[(names::NETWORK_OF, "team")]).expect("ours").uid, "team");
        assert_eq!(read(Thing::Network, &[]).expect("ours").uid, "", "a network has no other owner");
        for (word, kept) in [("true", true), ("yes", true), ("false", false)] {
            assert_eq!(read(Thing::Volume, &[(names::RETAIN, word)]).expect("ours").is_retained, kept);
        }
    }
}
