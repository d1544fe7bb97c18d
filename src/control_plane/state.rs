//! EC2's words for the state of an instance.

/// The word for an instance that has ended, and for one that EC2 does not know.
pub const TERMINATED: &str = "terminated";

/// Whether it is there and not about to end.
pub fn is_live(state: &str) -> bool {
    matches!(state, "pending" | "running" | "stopping" | "stopped")
}
