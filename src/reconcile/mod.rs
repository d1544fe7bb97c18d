//! What every reconcile shares: what is known of the world, writes that cannot erase, pauses, and events.

pub mod backoff;
pub mod cache;
pub mod events;
pub mod freshness;
pub mod leadership;
pub mod status;
#[cfg(test)]
pub(crate) mod testing;

pub use backoff::{Backoff, Pauses};
pub use cache::{Cache, Change};
pub use events::{EventReason, Events};
pub use freshness::{Fresh, Gone};
pub use leadership::{Leadership, Standing};
pub use status::{
    FinalizerChange, WriteError, outcome as write_outcome, replace_status, same, set_finalizer,
};
