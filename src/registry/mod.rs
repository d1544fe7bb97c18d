//! What agents talk to: an HTTP service that every replica runs.
//!
//! All replicas authenticate and answer questions from their caches; calls that say how an agent fares go to
//! the one that leads. Every call is bound to the uid in its token. What an agent says is evidence, not truth:
//! it is cleaned, capped and kept in memory ([`crate::liveness`]); nothing here writes to the API server.

mod a2a;
mod advertised;
mod agents;
mod auth;
mod bundle;
mod directory;
mod forward;
mod limits;
mod lookup;
mod reply;
mod server;
mod standing;
#[cfg(test)]
mod tests;

pub use a2a::{agent_url, client as agent_client};
pub use bundle::{Bundle, Bundles};
pub use limits::{Rate, Slot, Slots};
pub use server::serve;

use crate::api::Workspace;
use crate::keys::Keys;
use crate::liveness::{Liveness, Voice};
use crate::reconcile::{Events, Leadership, Standing};
use atelier_wire::paths;
use axum::Router;
use axum::routing::{get, post};
use directory::Directory;
use kube::runtime::reflector::Store;
use limits::Limits;
use reply::Refusal;
use std::sync::Arc;
use std::time::Duration;

/// What a registry is made of.
pub struct Parts {
    /// The Workspaces of this process's cache.
    pub workspaces: Store<Workspace>,
    /// For a live look at a Workspace whose token is newer than the cache.
    pub client: kube::Client,
    /// The keys of tokens.
    pub keys: Keys,
    /// What was heard. Told as of when the registry serves; calls reach it only while this process leads.
    pub liveness: Liveness,
    /// Whether this process leads, and else who does.
    pub leadership: Leadership,
    /// What boxes that fetch their files get.
    pub bundles: Arc<dyn Bundles>,
    /// Where events go.
    pub events: Events,
    /// Certificates (PEM) to trust for the leader's registry, instead of the system's.
    pub leader_ca: Option<Vec<u8>>,
    /// The name that the certificate of the leader's registry must be good for, instead of its address.
    pub leader_name: Option<String>,
    /// Periods and rates.
    pub settings: Settings,
}

/// Periods and rates of the registry.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// How many calls a Workspace may make.
    pub calls: Rate,
    /// How many calls of one source may be answered with 401; those beyond get 429.
    pub refusals: Rate,
    /// How long a body may take to arrive.
    pub body_deadline: Duration,
    /// How long an agent may take to answer a message to itself.
    pub a2a_deadline: Duration,
    /// How long the leader may take; below the 10 s that agents wait.
    pub forward_deadline: Duration,
    /// How long a box may still fetch its files once its time to boot is over.
    pub bundle_grace: Duration,
    /// How often certificate files are read again.
    pub tls_reload: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            calls: Rate { burst: 60, per_second: 10 },
            refusals: Rate { burst: 60, per_second: 5 },
            body_deadline: Duration::from_secs(10),
            a2a_deadline: Duration::from_secs(300),
            forward_deadline: Duration::from_secs(5),
            bundle_grace: Duration::from_secs(600),
            tls_reload: Duration::from_secs(10),
        }
    }
}

/// The registry.
pub struct Registry {
    directory: Directory,
    client: kube::Client,
    keys: Keys,
    liveness: Liveness,
    leadership: Leadership,
    bundles: Arc<dyn Bundles>,
    events: Events,
    limits: Limits,
    settings: Settings,
    /// Calls agents at their boxes' addresses.
    to_agents: reqwest::Client,
    /// Calls the registry that leads.
    to_leader: forward::Leader,
}

impl Registry {
    /// Puts the registry together. [`serve`] runs it.
    ///
    /// # Errors
    /// When `leader_ca` holds no certificates.
    pub fn new(parts: Parts) -> Result<Self, reqwest::Error> {
        let Parts {
            workspaces,
            client,
            keys,
            liveness,
            leadership,
            bundles,
            events,
            leader_ca,
            leader_name,
            settings,
        } = parts;
        Ok(Self {
            directory: Directory::new(workspaces),
            client,
            keys,
            liveness,
            leadership,
            bundles,
            events,
            limits: Limits::new(settings.calls, settings.refusals),
            to_agents: a2a::client()?,
            to_leader: forward::Leader::new(leader_ca, leader_name)?,
            settings,
        })
    }

    /// All routes. A source address must be attached to each connection.
    pub fn router(self: &Arc<Self>) -> Router {
        Router::new()
            .route(paths::REGISTER, post(agents::register))
            .route(paths::HEARTBEAT, post(agents::heartbeat))
            .route(paths::UPDATE_CARD, post(agents::update_card))
            .route(paths::BOOT, post(agents::boot))
            .route(paths::EXIT, post(agents::exit))
            .route(paths::BUNDLE, get(bundle::fetch).head(bundle::ask))
            .route(paths::CHECK_ACCESS, post(lookup::check_access))
            .route(paths::DISCOVER_ROUTE, get(lookup::discover))
            .route(paths::PEERS_ROUTE, get(lookup::peers))
            .route(paths::WORKSPACE_ROUTE, get(lookup::workspace))
            .route(paths::WORKSPACE_A2A_ROUTE, post(a2a::to_oneself))
            .fallback(unknown_path)
            .method_not_allowed_fallback(unknown_method)
            .with_state(Arc::clone(self))
    }

    fn leads(&self) -> bool {
        self.leadership.standing() == Standing::Leading
    }

    /// What was heard of the agent of this Workspace's current attempt, where this process hears agents.
    fn voice(&self, workspace: &Workspace) -> Option<Voice> {
        let uid = workspace.metadata.uid.as_deref()?;
        self.liveness.voice(uid, directory::attempt(workspace)?).filter(|_| self.leads())
    }
}

/// Today's agents call paths that are not ours, some with every heartbeat: a quiet answer.
async fn unknown_path() -> Refusal {
    Refusal::not_found("there is no such call")
}

async fn unknown_method() -> Refusal {
    Refusal::method_not_allowed()
}
