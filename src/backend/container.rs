//! The container plan: how a box is made, the same for every carrier. It is what `launch.request` freezes.

use super::{BackendError, ErrorKind};
use crate::api::backend_config::{Runtime, TierPolicy};
use crate::api::names;
use crate::api::workspace::Tier;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// The port on which an agent listens for its peers.
pub const A2A_PORT: u16 = 8000;

/// What is asked for: one box for one attempt of one Workspace.
#[derive(Clone, Debug)]
pub struct BoxOrder<'a> {
    /// The Workspace's uid.
    pub uid: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// The launch attempt.
    pub attempt: i64,
    /// The hash of the resolved Workspace.
    pub spec_hash: &'a str,
    /// The uid of the Team that it belongs to, or its own.
    pub network_of: &'a str,
    /// Its tier.
    pub tier: Tier,
    /// What the platform's policy says of that tier; `None` where nothing is granted.
    pub granted: Option<&'a TierPolicy>,
    /// The runtime to start.
    pub runtime: &'a Runtime,
    /// The URL at which the box reaches the registry.
    pub platform_url: &'a str,
    /// The certificates that it trusts for the registry besides the public ones.
    pub ca_bundle: Option<&'a str>,
    /// The frozen request that this order is to be compared with, if any.
    pub recorded: Option<&'a str>,
    /// The zone that the Workspace's data binds it to, if any.
    pub zone: Option<&'a str>,
    /// Whether the data volume outlives the Workspace.
    pub retain: bool,
}

/// One container, without the values of its environment and files: those are secrets' and never stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_excessive_bools, reason = "each is one flag of a container")]
pub struct ContainerPlan {
    /// Fixed by uid and attempt: the idempotency token of the create.
    pub name: String,
    /// The name by which its peers reach it; the same for every attempt.
    pub alias: String,
    /// The uid of the Team (or of the Workspace without a Team) whose network it joins.
    pub network_of: String,
    /// The image.
    pub image: String,
    /// The command; empty: the image's own.
    pub command: Vec<String>,
    /// The memory limit, in MiB.
    pub memory_mib: i64,
    /// The CPU limit, in thousandths of a CPU.
    pub cpu_milli: i64,
    /// The most processes it may have.
    pub pids_limit: i64,
    /// Whether the root file system is read-only, with a small `/tmp`.
    pub read_only_root: bool,
    /// Whether it owns the machine.
    pub privileged: bool,
    /// Whether it gets the engine's socket.
    pub engine_socket: bool,
    /// The volume at `/configs`.
    pub configs_volume: String,
    /// The volume at `/workspace`.
    pub workspace_volume: String,
    /// Whether the volume at `/workspace` outlives the Workspace.
    pub retain: bool,
    /// The URL at which it reaches the registry: frozen here so that a change of it is seen.
    #[serde(rename = "platformURL")]
    pub platform_url: String,
    /// A hash of the certificates that it trusts for the registry besides the public ones: those are among its
    /// files, and frozen here so that a change of them is seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle_hash: Option<String>,
    /// What stands on the box, its volumes and its network, without cluster and controller.
    pub labels: BTreeMap<String, String>,
}

/// The first 64 bits of a text's SHA-256, in hexadecimal digits.
fn short_hash(of: &str) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(of)[..8])
}

impl ContainerPlan {
    /// The image that a frozen request names, be it a container's own or one for a container on an instance;
    /// empty if it is no request.
    pub fn image_of(request: &str) -> String {
        let request: serde_json::Value = serde_json::from_str(request).unwrap_or_default();
        let container = request.get("container").unwrap_or(&request);
        container["image"].as_str().unwrap_or_default().to_owned()
    }

    /// The plan for an order.
    pub fn new(order: &BoxOrder<'_>) -> Self {
        let (memory_mib, cpu_milli) = match order.tier {
            Tier::T1 => (256, 500),
            Tier::T2 => (512, 1000),
            Tier::T3 => (2048, 2000),
            Tier::T4 => (4096, 4000),
        };
        let labels = [
            (names::UID, order.uid.to_owned()),
            (names::NAMESPACE, order.namespace.to_owned()),
            (names::NAME, order.name.to_owned()),
            (names::ATTEMPT, order.attempt.to_string()),
            (names::SPEC_HASH, order.spec_hash.to_owned()),
        ];
        Self {
            name: names::instance(order.uid, order.attempt),
            alias: names::host(order.uid),
            network_of: order.network_of.to_owned(),
            image: order.runtime.image.clone(),
            command: order.runtime.command.clone(),
            memory_mib,
            cpu_milli,
            pids_limit: 1024,
            read_only_root: order.tier == Tier::T1,
            privileged: order.granted.is_some_and(|g| g.privileged),
            engine_socket: order.granted.is_some_and(|g| g.engine_socket),
            configs_volume: names::configs_volume(order.uid, order.attempt),
            workspace_volume: names::workspace_volume(order.uid),
            retain: order.retain,
            platform_url: order.platform_url.to_owned(),
            ca_bundle_hash: order.ca_bundle.map(short_hash),
            labels: labels.map(|(k, v)| (k.to_owned(), v)).into(),
        }
    }

    /// Reads a plan that was frozen in `status.launch.request`.
    pub(super) fn parse(request: &str) -> Result<Self, BackendError> {
        serde_json::from_str(request).map_err(|error| {
            let detail = format!("the recorded request of this launch cannot be read: {error}");
            BackendError::new(ErrorKind::Invalid, detail)
        })
    }

    /// The uid of the Workspace that it is for.
    pub(super) fn uid(&self) -> &str {
        self.labels.get(names::UID).map(String::as_str).unwrap_or_default()
    }

    /// The namespace of that Workspace.
    pub(super) fn namespace(&self) -> &str {
        self.labels.get(names::NAMESPACE).map(String::as_str).unwrap_or_default()
    }

    /// The attempt that it is for.
    pub(super) fn attempt(&self) -> Option<i64> {
        self.labels.get(names::ATTEMPT)?.parse().ok()
    }
}
