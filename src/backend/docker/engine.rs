//! One Docker engine: the connection to it. The only file that names bollard's client.
#![expect(clippy::disallowed_types, reason = "this is the one file that opens connections to an engine")]

use super::endpoint::{EngineEndpoint, TlsFiles};
use super::error::{Refusal, refusal, timed_out};
use super::identity::Identity;
use super::images::Pulls;
use super::networks::Networks;
use crate::api::names;
use crate::backend::hints::Hints;
use crate::backend::{BackendError, BoxOrder, ContainerPlan, ErrorKind, Maker};
use crate::reconcile::Leadership;
use axum::http::{HeaderName, HeaderValue};
use bollard::{BollardRequest, Docker, errors::Error};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use rustls::{ClientConfig, RootCertStore};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The longest that one call may take, unless the call says otherwise.
pub(super) const CALL: Duration = Duration::from_secs(10);
/// The longest that making, filling or starting a container may take: a busy engine queues them.
pub(super) const LAUNCH: Duration = Duration::from_secs(60);
/// How long a box is given to end by itself.
pub(super) const GRACE: Duration = Duration::from_secs(10);
/// The longest that a removal may take.
pub(super) const REMOVE: Duration = Duration::from_secs(60);
/// The longest that a pull may go without any news.
pub(super) const PULL_STALL: Duration = Duration::from_secs(300);
/// bollard's own limit; ours are shorter, or there is none, as for a stream of events.
const BOLLARD_SECONDS: u64 = 24 * 3600;

/// A connection to one engine, with what is known of it. Cheap to clone; clones share it.
#[derive(Clone)]
pub(crate) struct Engine {
    shared: Arc<Shared>,
}

struct Shared {
    endpoint: EngineEndpoint,
    maker: Maker,
    leadership: Leadership,
    client: OnceLock<Docker>,
    identity: Identity,
    networks: Networks,
    pulls: Pulls,
    hints: Hints,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("endpoint", &self.shared.endpoint).finish_non_exhaustive()
    }
}

impl Engine {
    /// No call is made yet, and none fails yet.
    pub(crate) fn new(endpoint: EngineEndpoint, maker: Maker, leadership: Leadership, hints: Hints) -> Self {
        let shared = Shared {
            endpoint,
            maker,
            leadership,
            client: OnceLock::new(),
            identity: Identity::default(),
            networks: Networks::default(),
            pulls: Pulls::default(),
            hints,
        };
        Self { shared: Arc::new(shared) }
    }

    pub(crate) fn endpoint(&self) -> &EngineEndpoint {
        &self.shared.endpoint
    }

    pub(super) fn identity(&self) -> &Identity {
        &self.shared.identity
    }

    pub(super) fn networks(&self) -> &Networks {
        &self.shared.networks
    }

    pub(super) fn pulls(&self) -> &Pulls {
        &self.shared.pulls
    }

    pub(super) fn hints(&self) -> &Hints {
        &self.shared.hints
    }

    /// The request for an order: JSON with its keys in order, so that equal orders give equal texts.
    #[expect(clippy::unused_self, reason = "each backend renders in its own way")]
    pub(crate) fn render(&self, order: &BoxOrder<'_>) -> String {
        // Numbers, texts, lists and maps of texts: there is nothing in a plan that JSON cannot say.
        let fields: BTreeMap<String, serde_json::Value> = serde_json::to_value(ContainerPlan::new(order))
            .and_then(serde_json::from_value)
            .unwrap_or_default();
        serde_json::to_string(&fields).unwrap_or_default()
    }

    pub(super) fn maker(&self) -> &Maker {
        &self.shared.maker
    }

    /// The labels of everything that is made here: the given ones, and who made it.
    pub(super) fn signed(&self, labels: &BTreeMap<String, String>) -> HashMap<String, String> {
        let mut all: HashMap<_, _> = labels.clone().into_iter().collect();
        all.insert(names::CLUSTER.into(), self.shared.maker.cluster.clone());
        all.insert(names::CONTROLLER.into(), self.shared.maker.controller.clone());
        all
    }

    /// Whether labels say that this controller made the thing for that Workspace.
    pub(super) fn is_ours(&self, labels: &HashMap<String, String>, uid: &str) -> bool {
        let has = |key: &str, value: &str| labels.get(key).is_some_and(|v| v == value);
        has(names::UID, uid)
            && has(names::CLUSTER, &self.shared.maker.cluster)
            && has(names::CONTROLLER, &self.shared.maker.controller)
    }

    /// A filter for what this controller made, and one more label where one is given.
    pub(super) fn ours(&self, label: Option<(&str, &str)>) -> HashMap<String, Vec<String>> {
        let maker = &self.shared.maker;
        let labels = [(names::CLUSTER, &*maker.cluster), (names::CONTROLLER, &*maker.controller)]
            .into_iter()
            .chain(label)
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        HashMap::from([("label".to_owned(), labels)])
    }

    /// The client. A socket that is missing is asked for again at the next call.
    pub(super) fn client(&self) -> Result<&Docker, Refusal> {
        if let Some(client) = self.shared.client.get() {
            return Ok(client);
        }
        let client = connect(&self.shared.endpoint).inspect_err(|_| self.identity().doubt())?;
        Ok(self.shared.client.get_or_init(|| client))
    }

    /// Carries out one call that changes something, if this process may still change things.
    pub(super) async fn change<T>(
        &self,
        what: &str,
        limit: Duration,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Refusal> {
        if !self.shared.leadership.may_act() {
            let detail =
                format!("{what}: not sent, because this process does not lead now; whoever does goes on");
            return Err(BackendError::new(ErrorKind::Busy, detail).into());
        }
        self.call(what, limit, call).await
    }

    /// Carries out one call within its limit. `what` says what is asked, as in "create container x".
    pub(super) async fn call<T>(
        &self,
        what: &str,
        limit: Duration,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Refusal> {
        let address = &self.shared.endpoint.address;
        let result = match tokio::time::timeout(limit, call).await {
            Ok(result) => result.map_err(|error| refusal(address, what, &error)),
            Err(_) => Err(timed_out(address, what, limit)),
        };
        if let Err(refusal) = &result
            && refusal.kind() == ErrorKind::Unreachable
        {
            self.identity().doubt();
        }
        result
    }
}

fn connect(endpoint: &EngineEndpoint) -> Result<Docker, Refusal> {
    let address = &endpoint.address;
    let client = match (address.strip_prefix("tcp://"), &endpoint.tls) {
        (None, _) => Docker::connect_with_unix(address, BOLLARD_SECONDS, bollard::API_DEFAULT_VERSION),
        (Some(host), Some(tls)) => {
            let config = tls_config(tls).map_err(|why| {
                let detail =
                    format!("the certificates for the Docker engine at {address} are unusable: {why}");
                BackendError::new(ErrorKind::Unauthorized, detail)
            })?;
            connect_with_tls(host, config)
        }
        (Some(_), None) => {
            let detail =
                format!("the Docker engine at {address} can be used only over TLS: give tlsSecretRef");
            return Err(BackendError::new(ErrorKind::Invalid, detail).into());
        }
    };
    let client = client.map_err(|error| refusal(address, "connect", &error))?;
    Ok(client.with_request_modifier(url_safe_credentials))
}

/// Only the given authority is trusted: bollard's own TLS would trust every public one as well.
fn tls_config(tls: &TlsFiles) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(&tls.ca) {
        let authority = authority.map_err(|error| format!("ca.crt: {error}"))?;
        roots.add(authority).map_err(|error| format!("ca.crt: {error}"))?;
    }
    if roots.is_empty() {
        return Err("ca.crt holds no certificate".into());
    }
    let chain = CertificateDer::pem_slice_iter(&tls.certificate)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("tls.crt: {error}"))?;
    let key = PrivateKeyDer::from_pem_slice(&tls.key).map_err(|error| format!("tls.key: {error}"))?;
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .map_err(|error| format!("tls.crt and tls.key: {error}"))
}

fn connect_with_tls(host: &str, config: ClientConfig) -> Result<Docker, Error> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_connect_timeout(Some(CALL));
    let client =
        Client::builder(TokioExecutor::new()).build(hyper_rustls::HttpsConnector::from((tcp, config)));
    let transport = move |request: BollardRequest| {
        let response = client.request(request);
        async move { response.await.map_err(Error::from) }
    };
    let address = format!("https://{host}");
    Docker::connect_with_custom_transport(
        transport,
        Some(address),
        BOLLARD_SECONDS,
        bollard::API_DEFAULT_VERSION,
    )
}

/// The engine reads the credentials of a pull as URL-safe base64 and silently ignores what it cannot read;
/// bollard writes the other alphabet.
fn url_safe_credentials(mut request: BollardRequest) -> BollardRequest {
    const CREDENTIALS: HeaderName = HeaderName::from_static("x-registry-auth");
    if let Some(value) = request.headers_mut().get_mut(CREDENTIALS)
        && let Ok(text) = value.to_str()
        && let Ok(safe) = HeaderValue::from_str(&text.replace('+', "-").replace('/', "_"))
    {
        *value = safe;
    }
    request
}
