//! The Docker adapter.

mod engine;

pub(super) use engine::Engine;
pub use engine::{EngineEndpoint, TlsFiles};
