//! What an inspection of a container says of the box in it.

use super::body::{CONFIGS, ImageUser, port};
use crate::api::names;
use crate::backend::seen::to_microsecond;
use crate::backend::{BoxSeen, BoxState};
use bollard::models::{ContainerInspectResponse, ContainerState, ContainerStateStatusEnum as Status};
use k8s_openapi::jiff::Timestamp;
use std::collections::HashMap;

/// The box. `publish_address` is where its published port is reached.
pub(super) fn seen(container: ContainerInspectResponse, publish_address: &str) -> BoxSeen {
    let state = container.state.unwrap_or_default();
    let config = container.config.unwrap_or_default();
    let labels = config.labels.unwrap_or_default();
    let network = container.network_settings.unwrap_or_default();
    let running = state.status == Some(Status::RUNNING);
    let published = network.ports.unwrap_or_default().remove(&port()).flatten().unwrap_or_default();
    let host_port = published.into_iter().find_map(|binding| binding.host_port).filter(|p| !p.is_empty());
    let mut addresses = Vec::new();
    let own_name = container.name.unwrap_or_default();
    let endpoints: Vec<_> = network.networks.unwrap_or_default().into_values().collect();
    let aliases = endpoints.iter().flat_map(|e| e.aliases.iter().flatten()).map(String::as_str);
    let ips = endpoints.iter().filter_map(|e| e.ip_address.as_deref());
    for address in aliases.chain([own_name.trim_start_matches('/')]).chain(ips) {
        if !address.is_empty() && !addresses.iter().any(|a| a == address) {
            addresses.push(address.to_owned());
        }
    }
    BoxSeen {
        id: container.id.unwrap_or_default(),
        attempt: labels.get(names::ATTEMPT).and_then(|attempt| attempt.parse().ok()),
        spec_hash: labels.get(names::SPEC_HASH).cloned(),
        started_at: time(state.started_at.as_deref()),
        address: host_port.filter(|_| running).map(|port| joined(publish_address, &port)),
        addresses,
        image: config.image.unwrap_or_default(),
        state: doing(&state),
        ec2: None,
    }
}

fn doing(state: &ContainerState) -> BoxState {
    let error = state.error.clone().filter(|error| !error.is_empty());
    match state.status.unwrap_or(Status::EMPTY) {
        Status::CREATED if error.is_none() => BoxState::Created,
        Status::RUNNING => BoxState::Running,
        Status::REMOVING => BoxState::Removing,
        // A start that failed leaves a container in "created", with the error.
        Status::CREATED | Status::EXITED => BoxState::Exited {
            code: state.exit_code.unwrap_or_default(),
            oom_killed: state.oom_killed.unwrap_or_default(),
            finished_at: time(state.finished_at.as_deref()),
            error,
        },
        other => BoxState::Other(other.to_string()),
    }
}

/// A time of the engine's; year 1 is its way to say never.
fn time(text: Option<&str>) -> Option<Timestamp> {
    text.and_then(|text| text.parse().ok())
        .filter(|time: &Timestamp| time.as_second() > 0)
        .map(to_microsecond)
}

fn joined(host: &str, port: &str) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// A container's labels.
pub(super) fn labels(container: &ContainerInspectResponse) -> HashMap<String, String> {
    container.config.as_ref().and_then(|config| config.labels.clone()).unwrap_or_default()
}

/// The user that a container starts as: its image's.
pub(super) fn user(container: &ContainerInspectResponse) -> ImageUser {
    let user = container.config.as_ref().and_then(|config| config.user.as_deref());
    ImageUser::parse(user.unwrap_or_default())
}

/// Whether a container's root file system is read-only.
pub(super) fn is_read_only(container: &ContainerInspectResponse) -> bool {
    container.host_config.as_ref().and_then(|host| host.readonly_rootfs).unwrap_or_default()
}

/// The volume that is mounted at `/configs`.
pub(super) fn configs_volume(container: &ContainerInspectResponse) -> Option<String> {
    let mounts = container.mounts.as_ref()?;
    mounts.iter().find(|mount| mount.destination.as_deref() == Some(CONFIGS))?.name.clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn inspected(state: &Value) -> BoxSeen {
        let container = json!({
            "Id": "c0ffee", "Name": "/ws-1-2", "State": state,
            "Config": {"Image": "agent:1", "Labels": {names::ATTEMPT: "2", names::SPEC_HASH: "h"}},
            "Mounts": [{"Type": "volume", "Name": "v", "Destination": "/configs"}],
            "NetworkSettings": {
                "Ports": {"8000/tcp": [{"HostIp": "127.0.0.1", "HostPort": "49153"}]},
                "Networks": {"n": {"Aliases": ["ws-1", "c0ffee"], "IPAddress": "10.201.0.2"}},
            },
        });
        let container: ContainerInspectResponse = serde_json::from_value(container).expect("a container");
        assert_eq!(configs_volume(&container).as_deref(), Some("v"));
        seen(container, "127.0.0.1")
    }

    #[test]
    fn a_running_box_can_be_reached() {
        let seen = inspected(&json!({
            "Status": "running", "StartedAt": "2026-05-01T10:00:00.5Z", "FinishedAt": "0001-01-01T00:00:00Z",
        }));
        assert_eq!(seen.state, BoxState::Running);
        assert_eq!((seen.attempt, seen.spec_hash.as_deref()), (Some(2), Some("h")));
        assert_eq!(seen.started_at, "2026-05-01T10:00:00.5Z".parse().ok());
        assert_eq!(seen.address.as_deref(), Some("127.0.0.1:49153"));
        assert_eq!(seen.addresses, ["ws-1", "c0ffee", "ws-1-2", "10.201.0.2"]);
        assert_eq!(seen.image, "agent:1");
    }

    #[test]
    fn an_exit_is_told_with_what_the_kernel_did() {
        let seen = inspected(&json!({
            "Status": "exited", "ExitCode": 137, "OOMKilled": true, "Error": "",
            "StartedAt": "2026-05-01T10:00:00Z", "FinishedAt": "2026-05-01T10:00:01Z",
        }));
        let finished_at = "2026-05-01T10:00:01Z".parse().ok();
        assert_eq!(seen.state, BoxState::Exited { code: 137, oom_killed: true, finished_at, error: None });
        assert_eq!(seen.address, None);
    }

    #[test]
    fn a_failed_start_is_no_fresh_box() {
        let never = "0001-01-01T00:00:00Z";
        let created = inspected(&json!({"Status": "created", "StartedAt": never, "Error": ""}));
        assert_eq!((created.state, created.started_at), (BoxState::Created, None));
        let failed =
            inspected(&json!({"Status": "created", "StartedAt": never, "ExitCode": 127, "Error": "no x"}));
        let error = Some("no x".to_owned());
        assert_eq!(failed.state, BoxState::Exited { code: 127, oom_killed: false, finished_at: None, error });
        assert_eq!(failed.started_at, None);
    }

    #[test]
    fn other_states_keep_the_engines_word() {
        for (word, state) in [
            ("removing", BoxState::Removing),
            ("paused", BoxState::Other("paused".into())),
            ("dead", BoxState::Other("dead".into())),
        ] {
            assert_eq!(inspected(&json!({"Status": word})).state, state);
        }
    }

    #[test]
    fn an_ipv6_address_is_bracketed() {
        assert_eq!(joined("::1", "80"), "[::1]:80");
    }
}
