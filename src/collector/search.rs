//! The search for what has no owner, without its removal: for the sweeps, and for people who ask.

use super::identity::{Identity, Stored};
use super::judge::{Owner, Times, Verdict, is_suspect, judge, since};
use super::memory::Memory;
use super::owners::{Owners, Read, ask};
use super::{owner, why};
use crate::api::workspace::Backend;
use crate::api::{Team, Workspace};
use crate::backend::{BackendError, Backends, Found, Grounds, Survey};
use crate::metrics::Thing;
use crate::reconcile::Cache;
use axum::http::Request;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::{Api, Client};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// What a search works with.
pub struct SearchParts {
    /// The API server.
    pub client: Client,
    /// The operator's own namespace.
    pub operator_namespace: String,
    /// This installation's name.
    pub controller: String,
    /// This cluster's id.
    pub cluster: String,
    /// The worlds.
    pub backends: Backends,
    /// The Workspaces.
    pub workspaces: Cache<Workspace>,
    /// The Teams.
    pub teams: Cache<Team>,
    /// How long lists may be behind: nothing younger is touched.
    pub window: Duration,
}

/// Searches. Clones share what was seen before.
#[derive(Clone)]
pub struct Search(Arc<Shared>);

struct Shared {
    client: Client,
    identity: Identity,
    backends: Backends,
    owners: Owners,
    window: SignedDuration,
    memory: Mutex<Memory>,
}

/// One look at all worlds, and what earlier ones had suspected.
pub struct Look {
    surveys: Vec<(Grounds, Survey)>,
    unlisted: Vec<BackendError>,
    memory: Memory,
}

/// Something that seems to have no owner.
pub struct Candidate<'a> {
    pub grounds: &'a Grounds,
    pub survey: &'a Survey,
    pub found: &'a Found,
}

/// What has no owner, as it is told to people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// Where it is.
    pub backend: Backend,
    /// What it is.
    pub thing: Thing,
    /// The backend's id of it.
    pub id: String,
    /// Whose it was: a Workspace's namespace and name, or the uid that a network names.
    pub owner: String,
    /// Why it has no owner.
    pub reason: String,
    /// Since when it is there, or is known to have none.
    pub since: Option<Timestamp>,
}

/// Everything that a sweep would remove now.
#[derive(Clone, Debug, Default)]
pub struct Orphans {
    /// Each thing.
    pub items: Vec<Orphan>,
    /// Which worlds could not be searched.
    pub unlisted: Vec<BackendError>,
}

impl Look {
    /// Which worlds could not be searched.
    pub fn unlisted(&self) -> &[BackendError] {
        &self.unlisted
    }
}

impl Candidate<'_> {
    pub fn key(&self) -> (Thing, String) {
        (self.found.thing, self.found.id.clone())
    }
}

impl Search {
    /// Nothing is asked yet.
    pub fn new(parts: SearchParts) -> Self {
        let SearchParts {
            client,
            operator_namespace,
            controller,
            cluster,
            backends,
            workspaces,
            teams,
            window,
        } = parts;
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &operator_namespace);
        Self(Arc::new(Shared {
            identity: Identity::new(maps, &controller, &cluster),
            owners: Owners { client: client.clone(), workspaces, teams },
            window: SignedDuration::try_from(window).unwrap_or(SignedDuration::MAX),
            memory: Mutex::default(),
            client,
            backends,
        }))
    }

    /// Lists every world. The backends before the cluster: who is asked for later can only know more.
    pub(super) async fn look(&self) -> Look {
        // Held over the lists: what is taken into memory must be in the order in which it was seen.
        let mut memory = self.0.memory.lock().await;
        let (mut surveys, mut unlisted) = (Vec::new(), Vec::new());
        for grounds in self.0.backends.grounds() {
            match grounds.survey().await {
                Ok(survey) => surveys.push((grounds, survey)),
                Err(error) => unlisted.push(error),
            }
        }
        for (_, survey) in &surveys {
            let owners = &self.0.owners;
            memory.saw(survey, |found| is_suspect(found, &owners.cached(found), survey.now));
        }
        Look { surveys, unlisted, memory: memory.clone() }
    }

    /// What the caches show no owner for.
    pub(super) fn candidates<'a>(&self, look: &'a Look) -> Vec<Candidate<'a>> {
        let mut candidates = Vec::new();
        for (grounds, survey) in &look.surveys {
            for found in &survey.found {
                let verdict = self.judge(look, survey, found, &self.0.owners.cached(found));
                if matches!(verdict, Verdict::Remove(_)) {
                    candidates.push(Candidate { grounds, survey, found });
                }
            }
        }
        candidates
    }

    /// What is to become of a candidate by its owner as the API server has it now.
    ///
    /// # Errors
    /// Why the API server is not well.
    pub(super) async fn confirm(
        &self,
        look: &Look,
        candidate: &Candidate<'_>,
        read: &mut Read,
    ) -> Result<Verdict, String> {
        let owner = self.0.owners.live(candidate.found, read).await?;
        Ok(self.judge(look, candidate.survey, candidate.found, &owner))
    }

    fn judge(&self, look: &Look, survey: &Survey, found: &Found, owner: &Owner) -> Verdict {
        let seen = look.memory.since(&survey.record, found.thing, &found.id);
        judge(found, owner, seen, Times { now: survey.now, window: self.0.window })
    }

    /// Whether the API server says that it is well.
    ///
    /// # Errors
    /// Why it is not.
    pub(super) async fn is_well(&self) -> Result<(), String> {
        let ready = Request::get("/readyz").body(Vec::new());
        let ready = ready.map_err(|_| "it cannot be asked whether it is ready".to_owned())?;
        // One that does not tell us whether it is well is judged by its other answers.
        ask(self.0.client.request_text(ready)).await.map(drop)
    }

    /// What a sweep would remove now, if nothing capped it. Reads, and changes nothing.
    ///
    /// # Errors
    /// Why nothing would be removed, whatever it is.
    pub async fn orphans(&self) -> Result<Orphans, String> {
        let look = self.look().await;
        match self.0.identity.compare().await? {
            Stored::Same => {}
            Stored::Differs(why) | Stored::Refused(why) => return Err(why),
        }
        self.is_well().await?;
        let mut read = Read::new();
        let mut items = Vec::new();
        for candidate in self.candidates(&look) {
            let Verdict::Remove(remove) = self.confirm(&look, &candidate, &mut read).await? else { continue };
            let Candidate { survey, found, .. } = candidate;
            let seen = look.memory.since(&survey.record, found.thing, &found.id);
            items.push(Orphan {
                backend: survey.record.backend,
                thing: found.thing,
                id: found.id.clone(),
                owner: match found.thing {
                    Thing::Network => found.uid.clone(),
                    _ => format!("{}/{}", found.namespace, found.name),
                },
                reason: format!("{} {}", owner(found), why(remove)),
                since: since(found, seen),
            });
        }
        items.sort_by(|one, other| (one.thing, &one.id).cmp(&(other.thing, &other.id)));
        Ok(Orphans { items, unlisted: look.unlisted })
    }
}
