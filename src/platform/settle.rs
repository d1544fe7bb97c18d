//! Which endpoint is in effect: the one of the spec, unless that would cut off boxes that run. Pure.

use crate::api::backend_config::{
    Backend, BackendConfig, BackendConfigSpec, ControlPlane, DockerHost, Endpoint,
};
use crate::api::{Reason, Workspace};
use kube::ResourceExt;
use std::collections::BTreeMap;

/// So many names stand in a message; the rest are counted.
const NAMED: usize = 3;

/// What stands for EC2 where hosts are named: no host can have this name.
const ON_EC2: &str = "EC2:";

/// The Workspaces that have a launch recorded, by the host that it is recorded on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uses(BTreeMap<String, Vec<String>>);

impl Uses {
    /// Looks through the Workspaces.
    pub fn of<'a>(workspaces: impl IntoIterator<Item = &'a Workspace>) -> Self {
        let mut uses: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for workspace in workspaces {
            let placement = workspace.status.as_ref().and_then(|status| status.placement.as_ref());
            let Some(placement) = placement else { continue };
            let on = match placement.backend {
                Backend::Docker => placement.docker.as_ref().map_or("", |docker| &docker.host).to_owned(),
                Backend::Ec2 => ON_EC2.to_owned(),
            };
            let namespace = workspace.namespace().unwrap_or_default();
            uses.entry(on).or_default().push(format!("{namespace}/{}", workspace.name_any()));
        }
        for names in uses.values_mut() {
            names.sort();
        }
        Self(uses)
    }

    /// How many there are in all.
    pub fn count(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    /// The first few of all, and how many more.
    pub fn named(&self) -> String {
        named(self.0.values().flatten())
    }

    fn on(&self, host: &str) -> &[String] {
        self.0.get(host).map_or(&[], Vec::as_slice)
    }
}

/// The first few names, and how many more.
pub(super) fn named<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<&str> = names.map(String::as_str).collect();
    match names.len().checked_sub(NAMED) {
        Some(more @ 1..) => format!("{} and {more} more", names[..NAMED].join(", ")),
        _ => names.join(", "),
    }
}

/// Why something was not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The reason for `Accepted`.
    pub reason: Reason,
    /// What was found, and what a person can do.
    pub message: String,
}

/// What is in effect.
#[derive(Clone, Debug, PartialEq)]
pub struct Settled {
    /// The spec, with the endpoints that are in effect.
    pub spec: BackendConfigSpec,
    /// The Docker engine; `None` where the spec names none.
    pub host: Option<DockerHost>,
    /// The control plane of EC2; `None` where the spec names none.
    pub control_plane: Option<ControlPlane>,
    /// Whether boxes may be on the backend that is not selected.
    pub other_in_use: bool,
    /// Why the spec's own endpoint is not in effect, if it is not.
    pub refusal: Option<Refusal>,
}

/// Decides which endpoints are in effect.
pub fn settle(config: &BackendConfig, uses: &Uses) -> Settled {
    let mut spec = config.spec.clone();
    let (host, cut_off) = settle_host(config, uses);
    if let (Some(_), Some(docker), Some(host)) = (&cut_off, &mut spec.docker, &host) {
        docker.hosts = vec![host.clone()];
    }
    let (control_plane, removed) = settle_control_plane(config, uses);
    let other_in_use = match config.spec.backend {
        Backend::Docker => !uses.on(ON_EC2).is_empty(),
        Backend::Ec2 => uses.0.keys().any(|on| on != ON_EC2),
    };
    Settled { spec, host, control_plane, other_in_use, refusal: cut_off.or(removed) }
}

/// The control plane of the spec, or the recorded one where the spec names none any more and instances run. One
/// that moved is taken as it is now: whether it is the same world is told by account and region.
fn settle_control_plane(config: &BackendConfig, uses: &Uses) -> (Option<ControlPlane>, Option<Refusal>) {
    if let Some(ec2) = &config.spec.ec2 {
        return (Some(ec2.control_plane.clone()), None);
    }
    let recorded = config.status.as_ref().and_then(|status| status.ec2.as_ref());
    let users = uses.on(ON_EC2);
    let Some(recorded) = recorded.filter(|_| !users.is_empty()) else { return (None, None) };
    let message = format!(
        "spec.ec2 cannot be removed while Workspaces have their instances there ({} of them: {}); the control plane at \
         {} stays in effect. Bring spec.ec2 back, or delete these Workspaces first",
        users.len(),
        named(users.iter()),
        recorded.url,
    );
    let control_plane = ControlPlane {
        url: recorded.url.clone(),
        ca_bundle: recorded.ca_bundle.clone(),
        token_secret_ref: recorded.token_secret_ref.clone(),
    };
    (Some(control_plane), Some(Refusal { reason: Reason::InUse, message }))
}

/// The engine of the spec, unless that would cut off boxes that run, and why it is not.
fn settle_host(config: &BackendConfig, uses: &Uses) -> (Option<DockerHost>, Option<Refusal>) {
    let wanted = config.spec.docker.as_ref().and_then(|docker| docker.hosts.first()).cloned();
    let recorded = config.status.as_ref().map_or(&[][..], |status| &status.endpoints);
    let cut_off = recorded.iter().find(|endpoint| {
        let stays = wanted
            .as_ref()
            .is_some_and(|host| host.name == endpoint.name && host.address == endpoint.address);
        !stays && !uses.on(&endpoint.name).is_empty()
    });
    let Some(endpoint) = cut_off else { return (wanted, None) };
    let users = uses.on(&endpoint.name);
    let message = format!(
        "the Docker host {:?} at {} cannot be removed or repointed while Workspaces have their boxes there \
         ({} of them: {}); it stays in effect. Undo the change in spec.docker.hosts, or delete these Workspaces first",
        endpoint.name,
        endpoint.address,
        users.len(),
        named(users.iter()),
    );
    let host = as_host(endpoint, wanted.as_ref());
    (Some(host), Some(Refusal { reason: Reason::InUse, message }))
}

fn as_host(endpoint: &Endpoint, wanted: Option<&DockerHost>) -> DockerHost {
    DockerHost {
        name: endpoint.name.clone(),
        address: endpoint.address.clone(),
        tls_secret_ref: endpoint.tls_secret_ref.clone(),
        publish_address: endpoint.publish_address.clone(),
        max_workspaces: wanted.and_then(|host| host.max_workspaces),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::testing::{config, endpoint, workspace};

    fn with_host(name: &str, address: &str) -> BackendConfig {
        let mut config = config();
        let docker = config.spec.docker.as_mut().unwrap();
        docker.hosts[0].name = name.into();
        docker.hosts[0].address = address.into();
        config.status.get_or_insert_default().endpoints = vec![endpoint("local", "unix:///a")];
        config
    }

    fn address(settled: &Settled) -> &str {
        &settled.host.as_ref().unwrap().address
    }

    #[test]
    fn an_endpoint_that_is_in_use_is_neither_repointed_nor_removed() {
        let uses = Uses::of(&[workspace("w1", Some("local")), workspace("w2", None)]);
        for config in [with_host("local", "unix:///b"), with_host("other", "unix:///b")] {
            let settled = settle(&config, &uses);
            assert_eq!(address(&settled), "unix:///a");
            assert_eq!(settled.spec.docker.as_ref().unwrap().hosts[0].address, "unix:///a");
            let refusal = settled.refusal.unwrap();
            assert_eq!(refusal.reason, Reason::InUse);
            assert!(
                refusal.message.contains("ns/w1") && !refusal.message.contains("w2"),
                "{}",
                refusal.message
            );
        }
    }

    #[test]
    fn an_endpoint_that_nobody_uses_may_change() {
        for uses in [Uses::default(), Uses::of(&[workspace("w", Some("elsewhere"))])] {
            let settled = settle(&with_host("local", "unix:///b"), &uses);
            assert_eq!((address(&settled), settled.refusal.clone()), ("unix:///b", None));
        }
        let uses = Uses::of(&[workspace("w", Some("local"))]);
        let settled = settle(&with_host("local", "unix:///a"), &uses);
        assert_eq!(settled.refusal, None, "nothing changed");
    }

    #[test]
    fn a_message_names_three_and_counts_the_rest() {
        let workspaces: Vec<_> = (1..=5).map(|n| workspace(&format!("w{n}"), Some("local"))).collect();
        let uses = Uses::of(&workspaces);
        assert_eq!(uses.named(), "ns/w1, ns/w2, ns/w3 and 2 more");
        assert_eq!(Uses::of(&workspaces[..3]).named(), "ns/w1, ns/w2, ns/w3");
        assert_eq!((uses.count(), Uses::default().count()), (5, 0));
    }
}
