//! Credentials for an image's registry, from a Secret of type `kubernetes.io/dockerconfigjson`.

use crate::backend::{BackendError, ErrorKind, PullCredentials};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bollard::auth::DockerCredentials;
use serde::Deserialize;
use std::collections::HashMap;

/// The registry of images that name none.
const DEFAULT_REGISTRY: &str = "docker.io";

#[derive(Deserialize)]
struct DockerConfig {
    auths: HashMap<String, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    username: Option<String>,
    password: Option<String>,
    auth: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

/// The entry for this image: of those that fit, the one with the longest path. `None`: pull without.
pub(super) fn credentials(
    secret: &PullCredentials,
    image: &str,
) -> Result<Option<DockerCredentials>, BackendError> {
    let unreadable = |why: String| {
        let detail = format!("the pull secret for the image {image} cannot be read: {why}");
        BackendError::new(ErrorKind::Invalid, detail)
    };
    // serde's words could quote what stands there, so only the place is told.
    let config: DockerConfig = serde_json::from_slice(&secret.docker_config_json).map_err(|error| {
        unreadable(format!("no {{\"auths\": …}} at line {}, column {}", error.line(), error.column()))
    })?;
    let repository = repository(image);
    let fits = |registry: &str| {
        let rest = repository.strip_prefix(registry);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let best = config
        .auths
        .into_iter()
        .map(|(key, entry)| (registry(&key), entry))
        .filter(|(registry, _)| fits(registry))
        .max_by_key(|(registry, _)| registry.len());
    let Some((registry, entry)) = best else { return Ok(None) };
    let (mut username, mut password) = (entry.username, entry.password);
    if let Some(auth) = entry.auth.filter(|_| username.is_none()) {
        let pair = BASE64_STANDARD.decode(auth.trim()).ok().and_then(|pair| String::from_utf8(pair).ok());
        let pair = pair.as_deref().and_then(|pair| pair.split_once(':'));
        let (user, word) =
            pair.ok_or_else(|| unreadable(format!("auth of {registry} is no base64 of user:password")))?;
        (username, password) = (Some(user.to_owned()), Some(word.to_owned()));
    }
    Ok(Some(DockerCredentials {
        username,
        password,
        identitytoken: entry.identitytoken,
        registrytoken: entry.registrytoken,
        serveraddress: Some(registry),
        ..DockerCredentials::default()
    }))
}

/// An image's registry and path, without tag and digest.
fn repository(image: &str) -> String {
    let name = image.split_once('@').map_or(image, |(name, _)| name);
    let (first, rest) = name.split_once('/').unwrap_or(("", name));
    let rest = rest.split_once(':').map_or(rest, |(rest, _)| rest);
    // As Docker has it: the first part is a registry if it looks like a host.
    if first.contains(['.', ':']) || first == "localhost" {
        format!("{}/{rest}", registry(first))
    } else if first.is_empty() {
        format!("{DEFAULT_REGISTRY}/library/{rest}")
    } else {
        format!("{DEFAULT_REGISTRY}/{first}/{rest}")
    }
}

/// A key of `auths` without scheme and API version.
fn registry(key: &str) -> String {
    let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let key = key.trim_end_matches('/');
    let key = key.strip_suffix("/v1").or_else(|| key.strip_suffix("/v2")).unwrap_or(key);
    match key {
        "index.docker.io" | "registry-1.docker.io" => DEFAULT_REGISTRY.to_owned(),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pick(config: &str, image: &str) -> Result<Option<(String, String)>, BackendError> {
        let secret = PullCredentials { docker_config_json: config.into() };
        let found = credentials(&secret, image)?;
        Ok(found.map(|c| (c.username.unwrap_or_default(), c.password.unwrap_or_default())))
    }

    #[test]
    fn the_entry_of_the_images_registry_is_taken() {
        let config = r#"{"auths": {
            "https://index.docker.io/v1/": {"auth": "aHViOnc6b3Jk"},
            "registry.example.com": {"username": "any", "password": "p"},
            "https://registry.example.com/team": {"username": "team", "password": "p"},
            "localhost:5000": {"username": "local", "password": "p"}
        }}"#;
        let user = |image| pick(config, image).unwrap().map(|(user, _)| user);
        for (image, expected) in [
            ("nginx", Some("hub")),
            ("nginx:1.2", Some("hub")),
            ("org/app@sha256:00", Some("hub")),
            ("docker.io/org/app", Some("hub")),
            ("registry.example.com/app:1", Some("any")),
            ("registry.example.com/teams/app", Some("any")),
            ("registry.example.com/team/app:1", Some("team")),
            ("localhost:5000/app:1", Some("local")),
            ("other.example.com/app", None),
        ] {
            assert_eq!(user(image).as_deref(), expected, "{image}");
        }
        assert_eq!(pick(config, "nginx"), Ok(Some(("hub".into(), "w:ord".into()))));
    }

    #[test]
    fn what_cannot_be_read_is_said_without_quoting_it() {
        for config in ["", "{}", r#"{"auths": {"docker.io": {"auth": "s3cr3t"}}}"#, r#"{"auths": "s3cr3t"}"#]
        {
            let error = pick(config, "nginx").expect_err(config);
            assert_eq!(error.kind, ErrorKind::Invalid);
            assert!(error.detail.contains("nginx") && !error.detail.contains("s3cr3t"), "{}", error.detail);
        }
    }
}
