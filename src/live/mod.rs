//! The aggregated API `live.atelier.dev`: what only the controller can tell, for people with a kubeconfig.
//!
//! The Kubernetes API server passes calls on to any replica. [`front`] makes sure that it is the API server that
//! calls, and reads for whom; [`review`] asks RBAC whether that user may; [`keeper`] sees to the certificate and
//! to what each side knows of the other. Everything else answers: [`log`], [`message`], [`cluster`].
//! Nothing here changes a Workspace or a backend.

mod certificate;
mod cluster;
mod discovery;
mod front;
mod keeper;
mod log;
mod message;
mod review;
mod serve;
mod status;
mod subject;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use serve::serve;

use crate::api::{BackendConfig, Workspace};
use crate::backend::Backends;
use crate::collector::Search;
use crate::process::peers::TlsInfo;
use crate::reconcile::{Cache, Leadership};
use crate::registry::{self, Slot, Slots};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};
use front::Front;
use kube::runtime::reflector::ObjectRef;
use review::Reviews;
use rustls::pki_types::UnixTime;
use status::Refusal;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// The group and the version of this API.
pub const GROUP: &str = "live.atelier.dev";
/// The version of it.
pub const VERSION: &str = "v1alpha1";

/// So many calls of a kind are under way at a time, of one user and of all: a log can be followed for days, an agent
/// takes its time, and a search lists every backend.
const LOGS_MAX: (usize, usize) = (16, 64);
const MESSAGES_MAX: (usize, usize) = (16, 64);
const SEARCHES_MAX: (usize, usize) = (2, 4);

/// What this API is made of.
pub struct Parts {
    /// For questions to the API server.
    pub client: kube::Client,
    /// The Workspaces.
    pub workspaces: Cache<Workspace>,
    /// Every `BackendConfig`.
    pub configs: Cache<BackendConfig>,
    /// The door.
    pub backends: Backends,
    /// What finds things without an owner.
    pub search: Search,
    /// Whether this process leads.
    pub leadership: Leadership,
    /// Who answers.
    pub about: About,
    /// The Service that an APIService points at.
    pub service: String,
}

/// Who answers.
#[derive(Clone, Debug)]
pub struct About {
    /// This process, among the replicas.
    pub identity: String,
    /// This installation's name.
    pub controller: String,
    /// The operator's own namespace.
    pub operator_namespace: String,
    /// The name of the `BackendConfig` that it reads.
    pub config: String,
}

/// The API.
pub struct Live {
    workspaces: Cache<Workspace>,
    configs: Cache<BackendConfig>,
    backends: Backends,
    search: Search,
    leadership: Leadership,
    about: About,
    reviews: Reviews,
    /// By what the API server is known; none until it was read.
    front: RwLock<Option<Arc<Front>>>,
    logs: Slots,
    messages: Slots,
    searches: Slots,
    to_agents: reqwest::Client,
    answer_deadline: Duration,
}

impl Live {
    fn new(parts: Parts) -> Result<Self, reqwest::Error> {
        Ok(Self {
            workspaces: parts.workspaces,
            configs: parts.configs,
            backends: parts.backends,
            search: parts.search,
            leadership: parts.leadership,
            about: parts.about,
            reviews: Reviews::new(parts.client),
            front: RwLock::default(),
            logs: Slots::new(LOGS_MAX.0, LOGS_MAX.1),
            messages: Slots::new(MESSAGES_MAX.0, MESSAGES_MAX.1),
            searches: Slots::new(SEARCHES_MAX.0, SEARCHES_MAX.1),
            to_agents: registry::agent_client()?,
            answer_deadline: message::answer_deadline(),
        })
    }

    /// All routes.
    fn router(self: &Arc<Self>) -> Router {
        let path = |rest: &str| format!("/apis/{GROUP}/{VERSION}{rest}");
        Router::new()
            .route("/apis", get(discovery::groups))
            .route(&format!("/apis/{GROUP}"), get(discovery::group))
            .route(&path(""), get(discovery::resources))
            .route(&path("/namespaces/{namespace}/workspaces/{name}/log"), get(log::read))
            .route(&path("/namespaces/{namespace}/workspaces/{name}/message"), post(message::send))
            .route(&path("/orphans"), get(cluster::orphans))
            .route(&path("/controllers/{name}"), get(cluster::controller))
            .fallback(unknown_path)
            .method_not_allowed_fallback(unknown_method)
            .layer(from_fn_with_state(Arc::clone(self), known))
            // Whoever asks whether this process lives may be anybody.
            .route("/healthz", get(|| async { "ok\n" }))
            .with_state(Arc::clone(self))
    }

    fn knows(&self, front: Front) {
        *self.front.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(front));
    }

    fn user(&self, shown: &[Vec<u8>], headers: &HeaderMap) -> Result<front::User, Refusal> {
        let front = self.front.read().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(front) = front else {
            return Err(Refusal::unavailable(
                "it is not known yet who the API server's front proxy is: the controller's log says why",
            ));
        };
        front.user(shown, headers, UnixTime::now())
    }

    /// A Workspace as this replica's cache has it.
    fn workspace(&self, namespace: &str, name: &str) -> Result<Arc<Workspace>, Refusal> {
        let found = self.workspaces.store().get(&ObjectRef::new(name).within(namespace));
        found.ok_or_else(|| {
            Refusal::not_found(format!(
                "there is no Workspace {namespace}/{name}, or this controller does not look after it: kubectl get \
                 workspaces --namespace {namespace} shows those that there are"
            ))
        })
    }
}

/// Room for one more call of this user, until it is dropped.
fn slot(slots: &Slots, user: &front::User, what: &str) -> Result<Slot, Refusal> {
    let too_many =
        || Refusal::too_many(format!("too many {what} are under way: end one of them, or wait a moment"));
    slots.take(&user.name).ok_or_else(too_many)
}

/// Lets calls of the API server through, with the user for whom it calls.
async fn known(State(live): State<Arc<Live>>, mut request: Request, next: Next) -> Result<Response, Refusal> {
    let shown = request.extensions().get::<Arc<TlsInfo>>().cloned().unwrap_or_default();
    let user = live.user(&shown.peer_certificates, request.headers())?;
    request.extensions_mut().insert(user);
    Ok(next.run(request).await)
}

/// Also where the API server asks for a schema: there is none, and it goes on without.
async fn unknown_path() -> Refusal {
    Refusal::not_found("there is no such call: docs/live-api.md lists those that there are")
}

async fn unknown_method() -> Refusal {
    Refusal::method_not_allowed()
}
