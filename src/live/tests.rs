//! The API over real TLS, with an API server that knows one Workspace and lets one user do everything.

use super::testing::{Authority, authentication};
use super::*;
use crate::backend::scripted::World;
use crate::collector::SearchParts;
use crate::process::peers::{self, Certificate};
use axum::extract::Query;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use k8s_openapi::jiff::Timestamp;
use kube::{Api, Client};
use reqwest::{Identity, Method};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::TcpListener;

const HOST: &str = "atelier-live.ns.svc";
const DEADLINE: Duration = Duration::from_secs(30);

/// What the Workspace's agent answers.
async fn agent(axum::Json(asked): axum::Json<Value>) -> axum::Json<Value> {
    let text = asked["params"]["message"]["parts"][0]["text"].as_str().unwrap();
    let parts = json!([{"kind": "text", "text": format!("\u{1b}[1myou said {text}")}]);
    axum::Json(json!({"jsonrpc": "2.0", "id": asked["id"], "result": {"kind": "message", "parts": parts}}))
}

fn workspace(name: &str, status: &Value) -> Value {
    json!({"apiVersion": "atelier.dev/v1alpha1", "kind": "Workspace",
           "metadata": {"name": name, "namespace": "demo", "uid": "00000000-0000-4000-8000-000000000001"},
           "spec": {"runtime": "echo"}, "status": status})
}

/// An API server with these Workspaces, where `ann` may do everything.
fn api_server(workspaces: Vec<Value>) -> Client {
    let list = move |Query(query): Query<HashMap<String, String>>| {
        let items = workspaces.clone();
        async move {
            if query.contains_key("watch") {
                std::future::pending::<()>().await;
            }
            let metadata = json!({"resourceVersion": "1"});
            axum::Json(
                json!({"apiVersion": "atelier.dev/v1alpha1", "kind": "List", "metadata": metadata, "items": items}),
            )
        }
    };
    let none = |query| async move {
        let Query(query): Query<HashMap<String, String>> = query;
        if query.contains_key("watch") {
            std::future::pending::<()>().await;
        }
        axum::Json(json!({"apiVersion": "atelier.dev/v1alpha1", "kind": "List",
                          "metadata": {"resourceVersion": "1"}, "items": []}))
    };
    let review = |axum::Json(review): axum::Json<Value>| async move {
        let mut review = review;
        review["status"] = json!({"allowed": review["spec"]["user"] == "ann"});
        (StatusCode::CREATED, axum::Json(review))
    };
    let id = || async {
        axum::Json(
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "n"}, "data": {"id": "c"}}),
        )
    };
    let router = Router::new()
        .route("/apis/atelier.dev/v1alpha1/workspaces", get(list))
        .route("/apis/atelier.dev/v1alpha1/{kind}", get(none))
        .route("/apis/authorization.k8s.io/v1/subjectaccessreviews", post(review))
        .route("/api/v1/namespaces/ns/configmaps/atelier-cluster-id", get(id))
        .route("/readyz", get(|| async { "ok" }));
    Client::new(router, "default")
}

/// The API as it is served, and whoever calls it.
struct Scene {
    url: String,
    trusted: String,
    authority: Authority,
    live: Arc<Live>,
}

impl Scene {
    async fn new(workspaces: Vec<Value>) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = api_server(workspaces);
        let cached: Cache<Workspace> = Cache::start(Api::all(client.clone()));
        cached.synced().await;
        let backends = Backends::scripted(World::new("E"));
        let search = Search::new(SearchParts {
            client: client.clone(),
            operator_namespace: "ns".into(),
            controller: "atelier".into(),
            cluster: "c".into(),
            backends: backends.clone(),
            workspaces: cached.clone(),
            teams: Cache::start(Api::all(client.clone())),
            window: Duration::from_secs(60),
        });
        let about = About {
            identity: "me".into(),
            controller: "atelier".into(),
            operator_namespace: "ns".into(),
            config: "cluster".into(),
        };
        let parts = Parts {
            configs: Cache::start(Api::all(client.clone())),
            client,
            workspaces: cached,
            backends,
            search,
            leadership: Leadership::always(),
            about,
            service: "atelier-live".into(),
        };
        let live = Arc::new(Live::new(parts).unwrap());
        let pair = certificate::Pair::new(HOST, None, Timestamp::now()).unwrap();
        let served = Certificate::new(&pair.chain, &pair.key).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{HOST}:{}", listener.local_addr().unwrap().port());
        let (idle, grace) = (Duration::from_secs(60), Duration::ZERO);
        tokio::spawn(peers::serve(listener, served, idle, grace, live.router(), std::future::pending()));
        let authority = Authority::new("front-proxy-ca");
        live.knows(Front::read(&authentication(&authority, &["front-proxy-client"])).unwrap());
        Self { url, trusted: pair.authorities, authority, live }
    }

    /// A call for a user, with this certificate.
    fn call(&self, shown: Option<&str>, method: Method, path: &str, user: &str) -> reqwest::RequestBuilder {
        let roots = reqwest::Certificate::from_pem_bundle(self.trusted.as_bytes()).unwrap();
        let port = self.url.rsplit(':').next().unwrap().parse::<u16>().unwrap();
        let builder = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only(roots)
            .timeout(DEADLINE)
            .resolve(HOST, ([127, 0, 0, 1], port).into());
        let builder = match shown {
            Some(pem) => builder.identity(Identity::from_pem(pem.as_bytes()).unwrap()),
            None => builder,
        };
        let call = builder.build().unwrap().request(method, format!("{}{path}", self.url));
        call.header("X-Remote-User", user).header("X-Remote-Group", "system:authenticated")
    }

    /// A call as the API server makes it.
    async fn passed_on(&self, method: Method, path: &str, user: &str, body: Option<Value>) -> (u16, Value) {
        let pem = self.authority.client_pem("front-proxy-client");
        let call = self.call(Some(&pem), method, path, user);
        let call = match body {
            Some(body) => call.json(&body),
            None => call,
        };
        let answer = call.send().await.unwrap();
        let (code, text) = (answer.status().as_u16(), answer.text().await.unwrap());
        (code, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    async fn get(&self, path: &str, user: &str) -> (u16, Value) {
        self.passed_on(Method::GET, path, user, None).await
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.passed_on(Method::POST, path, "ann", Some(body)).await
    }
}

fn of(name: &str, part: &str) -> String {
    format!("/apis/live.atelier.dev/v1alpha1/namespaces/demo/workspaces/{name}/{part}")
}

fn launched() -> Value {
    json!({"placement": World::new("E").record(), "instanceID": "x"})
}

#[tokio::test]
async fn only_the_api_server_s_front_proxy_is_answered() {
    let scene = Scene::new(vec![workspace("w", &launched())]).await;
    let stranger = Authority::new("front-proxy-ca").client_pem("front-proxy-client");
    let kubelet = scene.authority.client_pem("kubelet");
    for path in [of("w", "log"), "/apis".into(), "/openapi/v3".into()] {
        for shown in [None, Some(stranger.as_str()), Some(kubelet.as_str())] {
            let answer = scene.call(shown, Method::GET, &path, "ann").send().await.unwrap();
            assert_eq!(answer.status(), 401, "{path}");
            let status: Value = answer.json().await.unwrap();
            assert_eq!((&status["kind"], &status["reason"]), (&json!("Status"), &json!("Unauthorized")));
        }
    }
    assert_eq!(scene.get(&of("w", "log"), "ann").await.0, 200);
    let healthy = scene.call(None, Method::GET, "/healthz", "").send().await.unwrap();
    assert_eq!(healthy.status(), 200, "without a certificate");
    // Another authority from now on.
    scene.live.knows(Front::read(&authentication(&Authority::new("next"), &[])).unwrap());
    assert_eq!(scene.get(&of("w", "log"), "ann").await.0, 401);
}

/// Each group is a header of its own, and some have hundreds.
#[tokio::test]
async fn a_user_in_many_groups_is_answered() {
    let scene = Scene::new(Vec::new()).await;
    let pem = scene.authority.client_pem("front-proxy-client");
    let mut call = scene.call(Some(&pem), Method::GET, "/apis/live.atelier.dev/v1alpha1/orphans", "ann");
    for group in 0..500 {
        call = call.header("X-Remote-Group", format!("group-{group}"));
    }
    assert_eq!(call.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn rbac_is_asked_for_every_call() {
    let scene = Scene::new(vec![workspace("w", &launched())]).await;
    let api = "/apis/live.atelier.dev/v1alpha1";
    for (method, path) in [
        (Method::GET, of("w", "log")),
        (Method::GET, of("no-such", "log")),
        (Method::POST, of("w", "message")),
        (Method::GET, format!("{api}/orphans")),
        (Method::GET, format!("{api}/controllers/self")),
        (Method::GET, format!("{api}/controllers/other")),
    ] {
        let (code, status) = scene.passed_on(method, &path, "bob", Some(json!({"text": "x"}))).await;
        assert_eq!((code, &status["reason"]), (403, &json!("Forbidden")), "{path}");
    }
    assert_eq!(scene.get(api, "bob").await.0, 200, "what there is may be known");
}

#[tokio::test]
async fn what_is_not_there_is_a_clean_404_and_a_wrong_method_a_405() {
    let scene = Scene::new(vec![workspace("w", &launched())]).await;
    let other = of("no-such", "log");
    for path in ["/openapi/v2", "/openapi/v3", "/apis/other", &of("w", "exec"), &other] {
        let (code, status) = scene.get(path, "ann").await;
        assert_eq!((code, &status["reason"]), (404, &json!("NotFound")), "{path}");
    }
    assert_eq!(scene.post(&of("w", "log"), json!({})).await.0, 405);
}

#[tokio::test]
async fn a_log_is_text_and_can_be_followed() {
    let scene = Scene::new(vec![workspace("w", &launched()), workspace("new", &json!({}))]).await;
    assert_eq!(scene.get(&of("w", "log"), "ann").await, (200, json!("scripted output\n")));
    for wrong in ["tailLines=x", "follow=perhaps", "tailLines=-1"] {
        let (code, status) = scene.get(&format!("{}?{wrong}", of("w", "log")), "ann").await;
        assert_eq!((code, &status["reason"]), (400, &json!("BadRequest")), "{wrong}");
    }
    let (code, status) = scene.get(&of("new", "log"), "ann").await;
    assert_eq!(code, 400);
    assert!(status["message"].as_str().unwrap().contains("kubectl describe"), "{status}");

    let pem = scene.authority.client_pem("front-proxy-client");
    let path = format!("{}?follow=true&tailLines=1", of("w", "log"));
    let mut followed = Vec::new();
    for _ in 0..LOGS_MAX.0 {
        let mut answer = scene.call(Some(&pem), Method::GET, &path, "ann").send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let first = answer.chunk().await.unwrap().unwrap();
        assert_eq!(&first[..], b"scripted output\n");
        followed.push(answer);
    }
    assert_eq!(scene.get(&of("w", "log"), "ann").await.0, 429, "no more at a time");
    drop(followed);
    let end = tokio::time::Instant::now() + DEADLINE;
    while scene.get(&of("w", "log"), "ann").await.0 == 429 {
        assert!(tokio::time::Instant::now() < end, "what nobody reads any more is not let go");
    }
}

#[tokio::test]
async fn a_message_goes_to_the_recorded_address_and_its_answer_is_text() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let agent = Router::new().route("/", post(agent)).route("/odd", post(|| async { "no JSON" }));
    tokio::spawn(axum_server::from_tcp(listener).unwrap().serve(agent.into_make_service()));
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let at = |address: &str| json!({"instance": {"state": "running", "address": address}});
    let scene = Scene::new(vec![
        workspace("w", &at(&address)),
        workspace("down", &at(&closed)),
        workspace("new", &json!({})),
    ])
    .await;
    let (code, answer) = scene.post(&of("w", "message"), json!({"text": "hello"})).await;
    let said =
        json!({"kind": "Message", "apiVersion": "live.atelier.dev/v1alpha1", "text": "you said hello"});
    assert_eq!((code, answer), (200, said));
    for down in ["down", "new"] {
        let (code, status) = scene.post(&of(down, "message"), json!({"text": "hello"})).await;
        assert_eq!((code, &status["details"]["retryAfterSeconds"]), (503, &json!(5)), "{down}: {status}");
    }
    for wrong in [json!({}), json!({"text": 1}), json!({"text": " "}), json!([])] {
        let (code, status) = scene.post(&of("w", "message"), wrong.clone()).await;
        assert_eq!((code, &status["reason"]), (400, &json!("BadRequest")), "{wrong}");
    }
    let long = "x".repeat(atelier_wire::BODY_MAX_BYTES);
    assert_eq!(scene.post(&of("w", "message"), json!({"text": long})).await.0, 413);
}

#[tokio::test]
async fn a_controller_says_who_it_is_and_what_has_no_owner() {
    let scene = Scene::new(Vec::new()).await;
    let (code, me) = scene.get("/apis/live.atelier.dev/v1alpha1/controllers/self", "ann").await;
    assert_eq!((code, &me["identity"], &me["leader"]), (200, &json!("me"), &json!(true)));
    assert_eq!((&me["controller"], &me["operatorNamespace"]), (&json!("atelier"), &json!("ns")));
    assert_eq!(scene.get("/apis/live.atelier.dev/v1alpha1/controllers/other", "ann").await.0, 404);
    let (code, list) = scene.get("/apis/live.atelier.dev/v1alpha1/orphans", "ann").await;
    assert_eq!((code, &list["kind"], &list["items"]), (200, &json!("OrphanList"), &json!([])));
}

#[tokio::test]
async fn until_the_front_proxy_is_known_nobody_is_answered() {
    let scene = Scene::new(Vec::new()).await;
    *scene.live.front.write().unwrap() = None;
    assert_eq!(scene.get("/apis", "ann").await.0, 503);
    let refusal = scene.live.user(&[], &HeaderMap::new()).unwrap_err();
    assert_eq!(refusal.into_response().status(), 503);
}
