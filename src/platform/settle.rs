//! Which endpoint is in effect: the one of the spec, unless that would cut off boxes that run. Pure.

use crate::api::backend_config::{BackendConfig, BackendConfigSpec, DockerHost, Endpoint};
use crate::api::{Reason, Workspace};
use kube::ResourceExt;
use std::collections::BTreeMap;

/// So many names stand in a message; the rest are counted.
const NAMED: usize = 3;

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
            let host = placement.docker.as_ref().map_or_else(String::new, |docker| docker.host.clone());
            let namespace = workspace.namespace().unwrap_or_default();
            uses.entry(host).or_default().push(format!("{namespace}/{}", workspace.name_any()));
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
    /// The spec, with the endpoint that is in effect.
    pub spec: BackendConfigSpec,
    /// That endpoint; `None` where the spec names none.
    pub host: Option<DockerHost>,
    /// Why the spec's own endpoint is not in effect, if it is not.
    pub refusal: Option<Refusal>,
}

/// Decides which endpoint is in effect.
pub fn settle(config: &BackendConfig, uses: &Uses) -> Settled {
    let wanted = config.spec.docker.as_ref().and_then(|docker| docker.hosts.first()).cloned();
    let recorded = config.status.as_ref().map_or(&[][..], |status| &status.endpoints);
    let cut_off = recorded.iter().find(|endpoint| {
        let stays = wanted
            .as_ref()
            .is_some_and(|host| host.name == endpoint.name && host.address == endpoint.address);
        !stays && !uses.on(&endpoint.name).is_empty()
    });
    let Some(endpoint) = cut_off else {
        return Settled { spec: config.spec.clone(), host: wanted, refusal: None };
    };
    let host = as_host(endpoint, wanted.as_ref());
    let mut spec = config.spec.clone();
    if let Some(docker) = &mut spec.docker {
        docker.hosts = vec![host.clone()];
    }
    let users = uses.on(&endpoint.name);
    let message = format!(
        "the Docker host {:?} at {} cannot be removed or repointed while Workspaces have their boxes there \
         ({} of them: {}); it stays in effect. Undo the change in spec.docker.hosts, or delete these Workspaces first",
        endpoint.name,
        endpoint.address,
        users.len(),
        named(users.iter()),
    );
    Settled { spec, host: Some(host), refusal: Some(Refusal { reason: Reason::InUse, message }) }
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
