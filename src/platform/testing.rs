//! A config and Workspaces for tests.

use crate::api::backend_config::{BackendConfig, Endpoint};
use crate::api::workspace::Workspace;
use serde_json::json;

pub(crate) fn config() -> BackendConfig {
    serde_json::from_value(json!({
        "apiVersion": "atelier.dev/v1alpha1", "kind": "BackendConfig",
        "metadata": {"name": "cluster", "uid": "c", "generation": 1, "resourceVersion": "1",
                     "finalizers": ["atelier.dev/finalizer"]},
        "spec": {
            "backend": "Docker",
            "docker": {"hosts": [{"name": "local", "address": "unix:///a"}]},
            "runtimes": [{"name": "r", "image": "demo:1"}],
            "registry": {"advertiseURL": "http://host.docker.internal:8090"},
        },
    }))
    .unwrap()
}

pub(crate) fn endpoint(name: &str, address: &str) -> Endpoint {
    serde_json::from_value(json!({
        "name": name, "address": address, "engineID": "E", "networkID": "N", "since": "2026-01-01T00:00:00Z",
    }))
    .unwrap()
}

pub(crate) fn workspace(name: &str, host: Option<&str>) -> Workspace {
    let mut object = json!({
        "apiVersion": "atelier.dev/v1alpha1", "kind": "Workspace",
        "metadata": {"name": name, "namespace": "ns", "uid": name},
        "spec": {"runtime": "r"},
    });
    if let Some(host) = host {
        object["status"] = json!({"placement": {
            "backend": "Docker", "docker": {"host": host, "engineID": "E", "networkID": "N"},
        }});
    }
    serde_json::from_value(object).unwrap()
}
