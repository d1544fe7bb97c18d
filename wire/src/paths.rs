//! The paths and headers of the registry: routes for the server, builders for the client.

/// POST a [`Register`](crate::Register).
pub const REGISTER: &str = "/registry/register";
/// POST a [`Heartbeat`](crate::Heartbeat).
pub const HEARTBEAT: &str = "/registry/heartbeat";
/// POST an [`UpdateCard`](crate::UpdateCard).
pub const UPDATE_CARD: &str = "/registry/update-card";
/// POST a [`CheckAccess`](crate::CheckAccess).
pub const CHECK_ACCESS: &str = "/registry/check-access";
/// POST a [`Boot`](crate::Boot).
pub const BOOT: &str = "/registry/boot";
/// POST an [`Exit`](crate::Exit).
pub const EXIT: &str = "/registry/exit";
/// GET: the box's files and environment, as a tar archive.
pub const BUNDLE: &str = "/registry/bundle";

/// Route of [`discover`], with the target's id as a parameter.
pub const DISCOVER_ROUTE: &str = "/registry/discover/{id}";
/// Route of [`peers`], with the caller's id as a parameter.
pub const PEERS_ROUTE: &str = "/registry/{id}/peers";
/// Route of [`workspace`], with the target's id as a parameter.
pub const WORKSPACE_ROUTE: &str = "/workspaces/{id}";
/// Route of [`workspace_a2a`], with the caller's own id as a parameter.
pub const WORKSPACE_A2A_ROUTE: &str = "/workspaces/{id}/a2a";

/// Names the caller where neither path nor body does; its value is a workspace id.
pub const WORKSPACE_ID_HEADER: &str = "X-Workspace-ID";

/// GET: the address of one reachable peer.
pub fn discover(target_id: &str) -> String {
    DISCOVER_ROUTE.replace("{id}", target_id)
}

/// GET: parent, direct siblings and children of the caller.
pub fn peers(caller_id: &str) -> String {
    PEERS_ROUTE.replace("{id}", caller_id)
}

/// GET: one workspace as its team sees it.
pub fn workspace(target_id: &str) -> String {
    WORKSPACE_ROUTE.replace("{id}", target_id)
}

/// POST: a JSON-RPC message to oneself.
pub fn workspace_a2a(caller_id: &str) -> String {
    WORKSPACE_A2A_ROUTE.replace("{id}", caller_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builders_fill_in_the_id() {
        assert_eq!(discover("u-1"), "/registry/discover/u-1");
        assert_eq!(peers("u-1"), "/registry/u-1/peers");
        assert_eq!(workspace("u-1"), "/workspaces/u-1");
        assert_eq!(workspace_a2a("u-1"), "/workspaces/u-1/a2a");
    }
}
