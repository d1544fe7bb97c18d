//! The Docker adapter: one [`Engine`] for each endpoint, and what it takes to make a box there.
//!
//! Calls go out from `engine.rs` alone; what can be said without a call (the body of a create, an archive, a
//! free network prefix, the meaning of an error) is a pure function in a file of its own.

mod body;
mod boxes;
mod endpoint;
mod engine;
mod error;
mod identity;
mod images;
mod inspect;
mod logs;
mod networks;
mod progress;
mod pull_secret;
#[cfg(test)]
mod real;
mod subnet;
mod survey;
mod volumes;
mod watch;

pub use endpoint::{EngineEndpoint, TlsFiles};
pub(super) use engine::Engine;
