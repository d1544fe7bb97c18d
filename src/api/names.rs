//! The names that Atelier puts on things: labels, annotations, finalizers, boxes and children.

/// The finalizer of `Workspace` and `BackendConfig`.
pub const FINALIZER: &str = "atelier.dev/finalizer";

/// Label of a Workspace: the Team that it belongs to. For people and columns; the owner reference rules.
pub const TEAM: &str = "atelier.dev/team";
/// Label of a Workspace: the member's name within its Team.
pub const MEMBER: &str = "atelier.dev/member";
/// Annotation of a child Workspace: a hash of what was applied, so that a no-op apply can be skipped.
pub const APPLIED_HASH: &str = "atelier.dev/applied-hash";

/// Annotation: with the value `"true"` the operator keeps its hands off.
pub const PAUSED: &str = "atelier.dev/paused";
/// Annotation: the id of a box (or `attempt-N`) that a person declares gone for good.
pub const FORGET_INSTANCE: &str = "atelier.dev/forget-instance";
/// Label of a Secret that no agent may be given.
pub const PROTECTED: &str = "atelier.dev/protected";

/// Annotation of the Lease by which a leader is elected: where the leader's registry is reached.
pub const REGISTRY_URL: &str = "atelier.dev/registry-url";

/// Label of everything made outside Kubernetes: the uid of the cluster's `kube-system` namespace.
pub const CLUSTER: &str = "atelier.dev/cluster";
/// Label of everything made outside Kubernetes: the name of the controller that made it.
pub const CONTROLLER: &str = "atelier.dev/controller";
/// Label of everything made outside Kubernetes: the Workspace's uid.
pub const UID: &str = "atelier.dev/uid";
/// Label of everything made outside Kubernetes: the Workspace's namespace.
pub const NAMESPACE: &str = "atelier.dev/namespace";
/// Label of everything made outside Kubernetes: the Workspace's name.
pub const NAME: &str = "atelier.dev/name";
/// Label of a box: the launch attempt.
pub const ATTEMPT: &str = "atelier.dev/attempt";
/// Label of a box: the hash of the resolved Workspace that it was made from.
pub const SPEC_HASH: &str = "atelier.dev/spec-hash";
/// Label of a box and its network: the uid of the Team (or of the Workspace without a Team) that it belongs to.
pub const NETWORK_OF: &str = "atelier.dev/network-of";
/// Label of a volume: kept when its Workspace is deleted.
pub const RETAIN: &str = "atelier.dev/retain";
/// Tag of a data volume on EC2: the token that it was created with, by which it is found again.
pub const VOLUME_TOKEN: &str = "atelier.dev/volume-token";

/// The name of the Workspace of a Team's member.
pub fn child(team: &str, member: &str) -> String {
    format!("{team}-{member}")
}

/// The name by which peers reach a box: the same for every attempt of a Workspace.
pub fn host(uid: &str) -> String {
    format!("ws-{}", short(uid))
}

/// The first twelve digits of a uid.
fn short(uid: &str) -> String {
    uid.chars().filter(|c| *c != '-').take(12).collect()
}

/// A box's id as people compare it: of a container the first twelve digits, as the engine's own tools show it;
/// any other whole.
pub fn short_id(id: &str) -> &str {
    if id.len() == 64 { id.get(..12).unwrap_or(id) } else { id }
}

/// The name of the box of one attempt. It is the idempotency token of a create on Docker.
pub fn instance(uid: &str, attempt: i64) -> String {
    format!("{}-{attempt}", host(uid))
}

/// The network of a Team, or of a Workspace without one. Not a key: networks are found by their label.
pub fn network(network_of: &str) -> String {
    format!("atelier-{}", short(network_of))
}

/// The volume with the files and secrets of one attempt; it goes with the box.
pub fn configs_volume(uid: &str, attempt: i64) -> String {
    format!("{}-{attempt}-configs", host(uid))
}

/// The data volume of a Workspace; it outlives every box.
pub fn workspace_volume(uid: &str) -> String {
    format!("{}-workspace", host(uid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_containers_id_is_shortened_and_an_instances_is_not() {
        assert_eq!(short_id(&"0123456789abcdef".repeat(4)), "0123456789ab");
        assert_eq!(short_id("i-0123456789abcdef0"), "i-0123456789abcdef0");
    }

    #[test]
    fn a_box_is_named_by_uid_and_attempt() {
        let uid = "0f8fad5b-d9cb-469f-a165-70867728950e";
        assert_eq!(host(uid), "ws-0f8fad5bd9cb");
        assert_eq!(instance(uid, 3), "ws-0f8fad5bd9cb-3");
        assert_eq!(network(uid), "atelier-0f8fad5bd9cb");
    }
}
