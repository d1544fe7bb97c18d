//! Feed: Teams and Workspaces as they change.

use super::cluster::{Answer, Cluster};
use super::target::{Kind, Target};
use crate::api::{Team, Workspace, names};
use futures::stream::{BoxStream, StreamExt, select};
use kube::api::ListParams;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource, ResourceExt};
use std::collections::BTreeMap;

/// What there is.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The Teams.
    pub teams: Vec<Team>,
    /// The Workspaces.
    pub workspaces: Vec<Workspace>,
}

/// What is looked at.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// A namespace; all without.
    pub namespace: Option<String>,
    /// One object with what belongs to it; everything without.
    pub target: Option<Target>,
}

impl Scope {
    /// How Teams and Workspaces are picked; `None` where none are wanted.
    fn pick(&self) -> (Option<ListParams>, Option<ListParams>) {
        let all = ListParams::default;
        let named = |name: &str| all().fields(&format!("metadata.name={name}"));
        match &self.target {
            None => (Some(all()), Some(all())),
            Some(Target { kind: Kind::Team, name }) => {
                (Some(named(name)), Some(all().labels(&format!("{}={name}", names::TEAM))))
            }
            Some(Target { kind: Kind::Workspace, name }) => (None, Some(named(name))),
        }
    }

    /// What there is now.
    ///
    /// # Errors
    /// When it cannot be listed.
    pub async fn read(&self, cluster: &Cluster) -> Answer<Snapshot> {
        let namespace = self.namespace.as_deref();
        let (teams, workspaces) = self.pick();
        let mut seen = Snapshot::default();
        if let Some(params) = teams {
            seen.teams = cluster.list_of(&cluster.api(namespace), &params).await?;
        }
        if let Some(params) = workspaces {
            seen.workspaces = cluster.list_of(&cluster.api(namespace), &params).await?;
        }
        Ok(seen)
    }

    /// What there is, and then again whenever it has changed.
    pub fn watch(&self, cluster: &Cluster) -> Feed {
        let namespace = self.namespace.as_deref();
        let (teams, workspaces) = self.pick();
        let teams = teams.map(|params| {
            events(cluster.api(namespace), &params).map(|event| Change::Team(Box::new(event))).boxed()
        });
        let workspaces = workspaces.map(|params| {
            events(cluster.api(namespace), &params).map(|event| Change::Workspace(Box::new(event))).boxed()
        });
        let none = || futures::stream::pending().boxed();
        Feed {
            teams: Known { complete: teams.is_none(), ..Known::default() },
            workspaces: Known { complete: workspaces.is_none(), ..Known::default() },
            changes: select(teams.unwrap_or_else(none), workspaces.unwrap_or_else(none)).boxed(),
        }
    }
}

fn events<K>(
    api: Api<K>,
    params: &ListParams,
) -> impl futures::Stream<Item = watcher::Result<Event<K>>> + Send + 'static
where
    K: Resource<DynamicType = ()> + Clone + serde::de::DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    let mut config = watcher::Config::default();
    config.label_selector.clone_from(&params.label_selector);
    config.field_selector.clone_from(&params.field_selector);
    watcher(api, config).default_backoff()
}

enum Change {
    Team(Box<watcher::Result<Event<Team>>>),
    Workspace(Box<watcher::Result<Event<Workspace>>>),
}

/// Teams and Workspaces as they change.
pub struct Feed {
    changes: BoxStream<'static, Change>,
    teams: Known<Team>,
    workspaces: Known<Workspace>,
}

impl Feed {
    /// The next state of all; an error is followed by another try.
    ///
    /// # Errors
    /// When the API server cannot be watched for now.
    pub async fn next(&mut self) -> Result<Snapshot, watcher::Error> {
        loop {
            let changed = match self.changes.next().await {
                Some(Change::Team(event)) => self.teams.take((*event)?),
                Some(Change::Workspace(event)) => self.workspaces.take((*event)?),
                // Watches do not end.
                None => std::future::pending().await,
            };
            if changed && self.teams.complete && self.workspaces.complete {
                return Ok(Snapshot { teams: self.teams.list(), workspaces: self.workspaces.list() });
            }
        }
    }
}

type Key = (Option<String>, String);

/// What is known of a kind.
struct Known<K> {
    now: BTreeMap<Key, K>,
    next: BTreeMap<Key, K>,
    complete: bool,
}

impl<K> Default for Known<K> {
    fn default() -> Self {
        Self { now: BTreeMap::new(), next: BTreeMap::new(), complete: false }
    }
}

impl<K: ResourceExt + Clone> Known<K> {
    /// Takes an event in; answers whether there is something new to show.
    fn take(&mut self, event: Event<K>) -> bool {
        let key = |object: &K| (object.namespace(), object.name_any());
        match event {
            Event::Init => {
                self.next.clear();
                false
            }
            Event::InitApply(object) => {
                self.next.insert(key(&object), object);
                false
            }
            Event::InitDone => {
                self.now = std::mem::take(&mut self.next);
                self.complete = true;
                true
            }
            Event::Apply(object) => {
                self.now.insert(key(&object), object);
                true
            }
            Event::Delete(object) => self.now.remove(&key(&object)).is_some(),
        }
    }

    fn list(&self) -> Vec<K> {
        self.now.values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::fixtures::workspace;

    #[test]
    fn a_new_list_takes_the_place_of_the_old_one_when_it_is_complete() {
        let mut known = Known::default();
        let names = |known: &Known<Workspace>| {
            known.list().iter().map(ResourceExt::name_any).collect::<Vec<_>>().join(" ")
        };
        for event in [Event::Init, Event::InitApply(workspace("a"))] {
            assert!(!known.take(event));
        }
        assert_eq!(names(&known), "", "a list that is not complete is not shown");
        assert!(known.take(Event::InitDone));
        assert!(known.take(Event::Apply(workspace("b"))));
        assert_eq!(names(&known), "a b");
        assert!(!known.take(Event::Init) && !known.take(Event::InitApply(workspace("b"))));
        assert_eq!(names(&known), "a b");
        assert!(known.take(Event::InitDone));
        assert_eq!(names(&known), "b");
        assert!(known.take(Event::Delete(workspace("b"))) && !known.take(Event::Delete(workspace("b"))));
    }
}
