//! What a box fetches is what it was launched for, with its own token.

use super::driver::{UID, config, workspace};
use crate::api::Workspace;
use crate::keys::{Keyring, Keys, Purpose};
use crate::workspace::bundle::Resolver;
use crate::workspace::references::{Reader, References};
use crate::workspace::resolve::{hashed_text, versioned};
use axum::Router;
use axum::http::{StatusCode, Uri};
use axum::response::IntoResponse;
use kube::Client;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;

/// A resolver, and the one Secret that its API server has.
struct World {
    resolver: Resolver,
    secret: Arc<Mutex<Option<Value>>>,
    keyring: Keyring,
}

impl World {
    fn new() -> Self {
        let secret = Arc::new(Mutex::new(Some(json!({"KEY": "djE="}))));
        let stored = secret.clone();
        let answer = move |uri: Uri| async move {
            let found = stored.lock().unwrap().clone().filter(|_| uri.path().ends_with("/secrets/s"));
            if let Some(data) = found {
                let meta = json!({"name": "s"});
                let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": data});
                return axum::Json(secret).into_response();
            }
            let status = json!({"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404});
            (StatusCode::NOT_FOUND, axum::Json(status)).into_response()
        };
        let client = Client::new(Router::new().fallback(answer), "default");
        let keyring = Keyring::from_secret_data(&Keyring::generate()).unwrap();
        let keys = Keys::default();
        keys.set(Some(keyring.clone()));
        let resolver = Resolver {
            references: Reader::new(client, Duration::from_secs(300)),
            config: watch::channel(Some(Arc::new(config()))).1,
            keys,
        };
        Self { resolver, secret, keyring }
    }

    /// A Workspace that was launched with the Secret as it is now, as its third attempt.
    async fn launched(&self) -> Workspace {
        let mut ws = workspace();
        ws["spec"]["env"] =
            json!([{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "KEY"}}}]);
        let parsed: Workspace = serde_json::from_value(ws.clone()).unwrap();
        let refs: References = self.resolver.references.read("team", &parsed.spec, true).await;
        let key_id = self.keyring.current();
        let hash = versioned(&self.keyring.hash(key_id, &hashed_text(&parsed.spec, &refs)).unwrap());
        ws["status"]["launch"] = json!({
            "attempt": 3, "outcome": "Launched", "specHash": hash, "keyID": key_id, "request": "",
            "startedAt": "2026-01-01T00:00:00Z",
        });
        serde_json::from_value(ws).unwrap()
    }

    async fn refusal(&self, ws: &Workspace) -> String {
        self.resolver.contents(ws).await.unwrap_err().message
    }
}

#[tokio::test]
async fn a_box_gets_what_it_was_launched_for_and_the_token_of_its_attempt() {
    let world = World::new();
    let ws = world.launched().await;
    let contents = world.resolver.contents(&ws).await.unwrap();
    assert_eq!((contents.env["KEY"].as_str(), contents.env["WORKSPACE_ID"].as_str()), ("v1", UID));
    let paths: Vec<_> = contents.files.iter().map(|file| (file.path.as_str(), file.mode)).collect();
    assert_eq!(paths, [("config.yaml", 0o644), ("system-prompt.md", 0o644), (".auth_token", 0o600)]);
    let token = String::from_utf8(contents.files[2].bytes.clone()).unwrap();
    let claims = world.keyring.verify(&token).unwrap();
    assert_eq!((claims.purpose, claims.uid.as_str(), claims.attempt), (Purpose::Workspace, UID, 3));
    assert_eq!(world.resolver.boot_timeout(&ws), Duration::from_secs(60));
}

#[tokio::test]
async fn a_box_whose_workspace_has_changed_since_gets_nothing() {
    let world = World::new();
    let mut ws = world.launched().await;
    *world.secret.lock().unwrap() = Some(json!({"KEY": "djI="}));
    assert!(world.refusal(&ws).await.contains("it is replaced"), "the reference is read as it is now");
    *world.secret.lock().unwrap() = Some(json!({"KEY": "djE="}));
    assert!(world.resolver.contents(&ws).await.is_ok());
    ws.spec.role = Some("another".into());
    assert!(world.refusal(&ws).await.contains("it is replaced"));
    *world.secret.lock().unwrap() = None;
    assert!(world.refusal(&ws).await.contains("Secret \"s\""));
}

#[tokio::test]
async fn without_a_launch_its_key_or_a_config_there_is_nothing() {
    let mut world = World::new();
    let ws = world.launched().await;
    let mut unlaunched = ws.clone();
    unlaunched.status = None;
    assert_eq!(world.refusal(&unlaunched).await, "no launch is recorded");
    let others = Keyring::from_secret_data(&Keyring::generate()).unwrap();
    world.resolver.keys.set(Some(others));
    assert_eq!(world.refusal(&ws).await, "the key of this attempt is not there any more");
    world.resolver.keys.set(None);
    assert!(world.refusal(&ws).await.contains("has not been read"));
    world.resolver.config = watch::channel(None).1;
    assert_eq!(world.refusal(&ws).await, "there is no accepted BackendConfig");
    assert_eq!(world.resolver.boot_timeout(&ws), Duration::from_secs(600));
}
