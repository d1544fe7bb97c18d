//! Images that are not there: pulls from a registry on this machine, and pulls that fail.

use super::{Site, ask, docker, hint, number, until};
use crate::backend::{ErrorKind, ImageState, PullCredentials};
use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;

/// Someone whose credentials need the letters that URL-safe base64 writes differently.
const USER: &str = "someone";
const PASSWORD: &str = "a>>>b???c~~~d";

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", data_encoding::HEXLOWER.encode(&Sha256::digest(bytes)))
}

/// A registry with one image of one small layer, for [`USER`] only. Gives its `host:port`.
async fn registry() -> String {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(5);
    tar.append_data(&mut header, "file", &b"hello"[..]).expect("in memory");
    let layer = tar.into_inner().expect("in memory");
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {"User": "1000"},
        "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]},
    });
    let config = config.to_string().into_bytes();
    let kind = "application/vnd.docker.distribution.manifest.v2+json";
    let manifest = json!({
        "schemaVersion": 2, "mediaType": kind,
        "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "size": config.len(), "digest": digest(&config)},
        "layers": [{"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "size": layer.len(), "digest": digest(&layer)}],
    });
    let manifest = manifest.to_string().into_bytes();
    let blobs = [
        ("manifests/1".to_owned(), manifest.clone()),
        (format!("manifests/{}", digest(&manifest)), manifest),
    ]
    .into_iter()
    .chain([&config, &layer].map(|blob| (format!("blobs/{}", digest(blob)), blob.clone())));
    let blobs: Arc<HashMap<String, Vec<u8>>> = Arc::new(blobs.collect());
    let expected = format!("Basic {}", BASE64_STANDARD.encode(format!("{USER}:{PASSWORD}")));
    let answer = async move |path: String, headers: HeaderMap| -> Response {
        if headers.get(header::AUTHORIZATION).is_none_or(|given| given != expected.as_str()) {
            return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Basic realm=\"test\"")])
                .into_response();
        }
        if path.is_empty() {
            return StatusCode::OK.into_response();
        }
        let Some(blob) = path.strip_prefix("app/").and_then(|path| blobs.get(path)) else {
            return StatusCode::NOT_FOUND.into_response();
        };
        let kind = if path.contains("manifests") { kind } else { "application/octet-stream" };
        ([(header::CONTENT_TYPE, kind)], blob.clone()).into_response()
    };
    let root = answer.clone();
    let app = Router::new()
        .route("/v2/", get(async move |headers: HeaderMap| root(String::new(), headers).await))
        .route(
            "/v2/{*path}",
            get(async move |Path(path): Path<String>, headers: HeaderMap| answer(path, headers).await),
        );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound").to_string();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

#[tokio::test]
#[ignore = "needs a real engine"]
async fn an_image_is_pulled_with_the_registrys_credentials() {
    let registry = registry().await;
    let site = Site::new().await;
    let placement = site.place();
    let mut ask = ask("");
    ask.image = format!("{registry}/app:1");
    let request = ask.render(&placement);
    assert_eq!(placement.image(&request).await, Ok(ImageState::Missing));
    let error = ask.create(&placement).await.expect_err("the image is not there");
    assert_eq!(error.kind, ErrorKind::ImageNotFound);
    assert!(error.detail.contains(&ask.image), "{error}");
    let mut hints = pin!(site.backends.hints());

    placement.pull(&request, None).await.expect("begun");
    hint(&mut hints, &ask.uid).await;
    let state = placement.image(&request).await;
    assert!(matches!(&state, Ok(ImageState::Failed(words, _)) if words.contains(&ask.image)), "{state:?}");

    let config = json!({"auths": {&registry: {"username": USER, "password": PASSWORD}}});
    let credentials = PullCredentials { docker_config_json: config.to_string().into_bytes() };
    placement.pull(&request, Some(credentials.clone())).await.expect("begun");
    placement.pull(&request, Some(credentials)).await.expect("under way, or over");
    hint(&mut hints, &ask.uid).await;
    let state = until("the pull ends", async || match placement.image(&request).await {
        Ok(ImageState::Pulling { .. }) => None,
        other => Some(other),
    });
    assert_eq!(state.await, Ok(ImageState::Present));
    docker(&["rmi", &ask.image]);
}

#[tokio::test]
#[ignore = "needs a real engine"]
async fn a_pull_that_fails_says_why() {
    let site = Site::new().await;
    let placement = site.place();
    let mut ask = ask("");
    // Nobody listens at this port.
    ask.image = format!("127.0.0.1:1/app:{}", number());
    let request = ask.render(&placement);
    let mut hints = pin!(site.backends.hints());
    placement.pull(&request, None).await.expect("begun");
    hint(&mut hints, &ask.uid).await;
    let state = placement.image(&request).await;
    assert!(matches!(&state, Ok(ImageState::Failed(words, _)) if words.contains("refused")), "{state:?}");
}
