//! Atelier: the map of the house.
//!
//! ```text
//! controller  ->  workspace, team, platform, registry  ->  backend, liveness, keys, reconcile  ->  metrics, api
//! ```
//!
//! Arrows point down only. A reconcile is `observe -> plan -> act -> report`: reads at one edge, one effect at
//! the other, and between them a pure function.

pub mod api;
pub mod backend;
pub mod controller;
pub mod keys;
pub mod liveness;
pub mod metrics;
pub mod platform;
pub mod reconcile;
pub mod registry;
pub mod team;
pub mod workspace;
