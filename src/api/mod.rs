//! The custom resources: what a user writes and what the operator answers.
//!
//! Group `atelier.dev`, version `v1alpha1`. The CRDs under `crds/` are generated from these types.

pub mod backend_config;
pub mod condition;
pub mod crds;
#[cfg(test)]
pub(crate) mod gitops;
pub mod names;
#[cfg(test)]
mod rules;
pub mod team;
pub mod workspace;

pub use backend_config::{BackendConfig, BackendConfigSpec, BackendConfigStatus};
pub use condition::{ConditionType, Conditions, Reason, Status};
pub use team::{Team, TeamSpec, TeamStatus};
pub use workspace::{Workspace, WorkspaceSpec, WorkspaceStatus};

/// The API group of all three kinds.
pub const GROUP: &str = "atelier.dev";
