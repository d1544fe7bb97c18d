//! The registry over real HTTP: a server at a free port, a cache that is filled by hand, an API server that
//! answers one question.
#![expect(clippy::needless_pass_by_value, reason = "bodies are made where they are passed")]

mod a2a;
mod agents;
mod auth;
mod bundle;
mod forward;
mod lookup;
mod server;

use super::*;
use crate::backend::{BoxFile, Contents};
use crate::keys::{Keyring, Purpose};
use crate::liveness::{AgentView, Life, Link, QUIET, Recorded};
use crate::process::serving::TlsPaths;
use crate::reconcile::leadership::Announcer;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::patch;
use k8s_openapi::jiff::Timestamp;
use kube::runtime::reflector::{self, store::Writer};
use kube::runtime::watcher::Event;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Mutex;
use std::time::Instant;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long anything in these tests may take before it counts as hanging.
const DEADLINE: Duration = Duration::from_secs(30);

/// The uid of the Workspace of this name.
fn uid(name: &str) -> String {
    let hash: u64 = name.bytes().fold(7, |hash, byte| hash.wrapping_mul(1_099_511_628_211) ^ u64::from(byte));
    format!("{:08x}-0000-4000-8000-{:012x}", hash & 0xffff_ffff, hash >> 16)
}

/// A Workspace of attempt 1 in Team `t`.
fn workspace(name: &str) -> Value {
    json!({
        "apiVersion": "atelier.dev/v1alpha1", "kind": "Workspace",
        "metadata": {
            "name": name, "namespace": "n", "uid": uid(name),
            "ownerReferences": [{"apiVersion": "atelier.dev/v1alpha1", "kind": "Team", "name": "t", "uid": "t",
                                 "controller": true}],
        },
        "spec": {"runtime": "r", "role": format!("The {name}.")},
        "status": {
            "launch": {"attempt": 1, "outcome": "Launched", "specHash": "", "keyID": "a", "request": "",
                       "startedAt": "2026-01-01T00:00:00Z"},
            "instance": {"state": "running"},
        },
    })
}

/// The same with other values at these paths.
fn with(mut workspace: Value, changes: &[(&str, Value)]) -> Value {
    for (pointer, value) in changes {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = workspace.pointer_mut(parent).unwrap_or_else(|| panic!("{pointer} leads nowhere"));
        parent[key] = value.clone();
    }
    workspace
}

/// The same, reporting to the Workspace of this name.
fn below(parent: &str, name: &str) -> Value {
    with(workspace(name), &[("/spec/parentRef", json!({"name": parent}))])
}

/// The same with a box at these addresses.
fn at(addresses: &[&str], workspace: Value) -> Value {
    with(workspace, &[("/status/instance/addresses", json!(addresses))])
}

/// The same with one condition.
fn said(type_: &str, status: &str, reason: &str, workspace: Value) -> Value {
    let condition = json!({"type": type_, "status": status, "reason": reason, "message": "",
                           "lastTransitionTime": "2026-01-01T00:00:00Z"});
    with(workspace, &[("/status/conditions", json!([condition]))])
}

/// An API server that answers the GET of one Workspace, counts how often, and keeps events.
#[derive(Clone, Default)]
struct ApiServer(Arc<Mutex<(HashMap<String, Value>, usize)>>, Arc<Mutex<Vec<Value>>>);

impl ApiServer {
    fn set(&self, name: &str, workspace: Value) {
        self.0.lock().unwrap().0.insert(name.into(), workspace);
    }

    fn asked(&self) -> usize {
        self.0.lock().unwrap().1
    }

    fn serve(&self) -> String {
        let state = self.0.clone();
        let get = |Path((_, name)): Path<(String, String)>| async move {
            let mut state = state.lock().unwrap();
            state.1 += 1;
            match state.0.get(&name) {
                Some(Value::Null) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
                Some(found) => axum::Json(found.clone()).into_response(),
                None => {
                    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure",
                                        "reason": "NotFound", "message": "not found", "code": 404});
                    (StatusCode::NOT_FOUND, axum::Json(status)).into_response()
                }
            }
        };
        let events = self.1.clone();
        let keep = |axum::Json(event): axum::Json<Value>| async move {
            events.lock().unwrap().push(event.clone());
            (StatusCode::CREATED, axum::Json(event))
        };
        let path = "/apis/atelier.dev/v1alpha1/namespaces/{namespace}/workspaces/{name}";
        let of_events = "/apis/events.k8s.io/v1/namespaces/{namespace}/events";
        // A repetition changes the event that is there.
        let of_event = format!("{of_events}/{{event}}");
        let events = Router::new().route(of_events, post(keep.clone())).route(&of_event, patch(keep));
        served(Router::new().route(path, axum::routing::get(get)).merge(events))
    }
}

/// Serves a router at a free port until the test ends.
fn served(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum_server::from_tcp(listener).unwrap().serve(router.into_make_service()));
    url
}

/// One replica with its cache.
struct World {
    url: String,
    cache: Writer<Workspace>,
    keys: Keys,
    liveness: Liveness,
    woken: mpsc::UnboundedReceiver<String>,
    leadership: Announcer,
    bundles: bundle::Store,
    events: Events,
    api: ApiServer,
    shutdown: CancellationToken,
    server: JoinHandle<std::io::Result<()>>,
}

/// The rates of a test that is not about them.
fn fast() -> Settings {
    let rate = Rate { burst: 100_000, per_second: 100_000 };
    Settings { calls: rate, refusals: rate, ..Settings::default() }
}

impl World {
    /// A leader that serves and knows these Workspaces.
    fn new(workspaces: impl IntoIterator<Item = Value>) -> Self {
        Self::with(fast(), None, workspaces)
    }

    fn with(settings: Settings, tls: Option<TlsPaths>, workspaces: impl IntoIterator<Item = Value>) -> Self {
        let mut world = Self::unfilled(settings, tls);
        world.fill();
        for workspace in workspaces {
            world.apply(workspace);
        }
        world
    }

    /// Its cache has not heard of any Workspace, and not that there is none either.
    fn unfilled(settings: Settings, tls: Option<TlsPaths>) -> Self {
        Self::trusting(settings, tls, None, None)
    }

    /// Its cache is not filled either; it trusts this certificate of a leader, by this name.
    fn trusting(
        settings: Settings,
        tls: Option<TlsPaths>,
        leader_ca: Option<Vec<u8>>,
        leader_name: Option<String>,
    ) -> Self {
        // Fails only when an earlier test has done it.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let api = ApiServer::default();
        let client = kube::Client::try_from(kube::Config::new(api.serve().parse().unwrap())).unwrap();
        let (store, cache) = reflector::store();
        let keys = Keys::default();
        keys.set(Some(Keyring::from_secret_data(&secret()).unwrap()));
        let (liveness, woken) = Liveness::new(Duration::from_secs(180), QUIET);
        liveness.lead(Some(Timestamp::now()));
        let (leadership, leads) = Leadership::undecided();
        let bundles = bundle::Store::default();
        let events = Events::new(client.clone(), "test");
        let registry = Registry::new(Parts {
            workspaces: store,
            client,
            keys: keys.clone(),
            liveness: liveness.clone(),
            leadership: leads,
            bundles: Arc::new(bundles.clone()),
            events: events.clone(),
            leader_ca,
            leader_name,
            settings,
        });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        let shutdown = CancellationToken::new();
        let stop = shutdown.clone().cancelled_owned();
        let server = tokio::spawn(serve(listener, tls, Arc::new(registry.unwrap()), stop));
        let world =
            Self { url, cache, keys, liveness, woken, leadership, bundles, events, api, shutdown, server };
        world.lead();
        world
    }

    fn fill(&mut self) {
        self.cache.apply_watcher_event(&Event::Init);
        self.cache.apply_watcher_event(&Event::InitDone);
    }

    fn apply(&mut self, workspace: Value) {
        self.cache.apply_watcher_event(&Event::Apply(serde_json::from_value(workspace).unwrap()));
    }

    fn follow(&self, leader_url: Option<&str>) {
        self.leadership.following(leader_url.map(Into::into));
    }

    fn lead(&self) {
        self.leadership.leading_until(Instant::now() + Duration::from_secs(3_600));
    }

    fn token(&self, name: &str) -> String {
        self.token_of(name, "a", 1)
    }

    fn token_of(&self, name: &str, key: &str, attempt: i64) -> String {
        self.keys.get().unwrap().token(key, Purpose::Workspace, &uid(name), attempt).unwrap()
    }

    fn call(&self, method: Method, path: &str) -> Call {
        let client = reqwest::Client::builder().no_proxy().tls_certs_only([]);
        Call { url: format!("{}{path}", self.url), method, client, headers: Vec::new(), body: None }
    }

    fn get(&self, path: &str) -> Call {
        self.call(Method::GET, path)
    }

    fn post(&self, path: &str, body: Value) -> Call {
        self.call(Method::POST, path).body(body.to_string())
    }

    /// A POST of the Workspace of this name, with its token.
    fn post_as(&self, name: &str, path: &str, body: Value) -> Call {
        self.post(path, body).token(&self.token(name))
    }

    fn get_as(&self, name: &str, path: &str) -> Call {
        self.get(path).token(&self.token(name))
    }

    /// What a reconcile sees of this Workspace's agent, in a box that started long ago.
    fn view(&self, name: &str) -> AgentView {
        let life = Life::Running(Some(Timestamp::UNIX_EPOCH));
        self.liveness.view(&uid(name), 1, life, Recorded::Nothing, Timestamp::now())
    }

    fn woken(&mut self) -> Vec<String> {
        let mut uids = Vec::new();
        while let Ok(uid) = self.woken.try_recv() {
            uids.push(uid);
        }
        uids
    }

    async fn register(&self, name: &str) {
        let url = format!("http://{}:8000", crate::api::names::host(&uid(name)));
        let body = json!({"id": uid(name), "url": url, "agent_card": {"name": name, "version": "1.0"}});
        self.post_as(name, paths::REGISTER, body).expect(200).await;
    }
}

fn secret() -> std::collections::BTreeMap<String, k8s_openapi::ByteString> {
    let entry = |name: &str, bytes: &[u8]| (name.to_owned(), k8s_openapi::ByteString(bytes.to_vec()));
    [entry("current", b"a"), entry("key-a", &[1; 32]), entry("key-b", &[2; 32])].into()
}

/// A call that is about to be made.
struct Call {
    url: String,
    method: Method,
    client: reqwest::ClientBuilder,
    headers: Vec<(String, String)>,
    body: Option<String>,
}

impl Call {
    fn token(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    fn body(mut self, body: impl Into<String>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// From this address of the loopback network.
    fn from(mut self, source: &str) -> Self {
        self.client = self.client.local_address(source.parse::<IpAddr>().unwrap());
        self
    }

    fn trusting(mut self, certificate: &[u8]) -> Self {
        self.client = self.client.tls_certs_only([reqwest::Certificate::from_pem(certificate).unwrap()]);
        self
    }

    async fn send(self) -> Result<reqwest::Response, reqwest::Error> {
        let client = self.client.timeout(DEADLINE).build()?;
        let mut request = client.request(self.method, self.url);
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        request.body(self.body.unwrap_or_default()).send().await
    }

    /// The JSON of the answer, which must have this status. Null for an empty one.
    async fn expect(self, status: u16) -> Value {
        let what = format!("{} {} {:?}", self.method, self.url, self.body);
        let answer = self.send().await.unwrap();
        let got = answer.status().as_u16();
        let retry_after = answer.headers().contains_key("retry-after");
        let challenge = answer.headers().contains_key("www-authenticate");
        let text = answer.text().await.unwrap();
        assert_eq!(got, status, "{what}: {text}");
        assert_eq!(retry_after, [429, 503].contains(&got), "{what}: a retry is worth it, or is not");
        assert_eq!(challenge, got == 401, "{what}");
        if text.is_empty() {
            assert_eq!(got, 204, "{what}");
            return Value::Null;
        }
        let body: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{what}: {text} is no JSON"));
        assert_eq!(body["error"].is_string(), got >= 400, "{what}: {text}");
        body
    }

    /// The error of the answer, which must have this status.
    async fn error(self, status: u16) -> String {
        self.expect(status).await["error"].as_str().unwrap().to_owned()
    }
}

/// Waits until this is so.
async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(DEADLINE, wait).await.is_ok(), "never came: {what}");
}
