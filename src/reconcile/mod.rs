//! What every reconcile shares: pauses after errors, writes that cannot erase, fresh reads, and events.

pub mod backoff;
pub mod events;
pub mod freshness;
pub mod status;
#[cfg(test)]
pub(crate) mod testing;

pub use backoff::{Backoff, Pauses};
pub use events::{EventReason, Events};
pub use freshness::{Fresh, Gone};
pub use status::{FinalizerChange, WriteError, replace_status, same, set_finalizer};
