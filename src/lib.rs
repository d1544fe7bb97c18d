//! Atelier: the map of the house.
//!
//! ```text
//! controller                                what `atelier controller` runs: flags, election, wiring, HTTP
//! control_plane                             what `atelier control-plane` runs: the one holder of AWS credentials
//! import                                    what `atelier import` makes of an org template: a Team
//! reference                                 the reference pages of the documentation, from CRDs and commands
//! plugin                                    `kubectl atelier`: what people ask, with nothing but a kubeconfig
//!   live                                    the aggregated API: logs, messages, orphans for people
//!   workspace  team  platform  registry     one Workspace; one Team; the BackendConfig; what agents talk to
//!   collector                               what is left outside Kubernetes without an owner, and its removal
//!     backend                               the one door to the machines; the Docker adapter behind it
//!     liveness  keys  reconcile             what agents said; tokens and hashes; what reconciles share
//!       metrics                             what is counted
//!         api  process  redact              the custom resources, their names; logs, signals, sockets; secrets
//!                                           that boxes print
//! ```
//!
//! `model`, `arrows` and `chart` are tests of several of them: the launch protocol under every order of faults, these
//! arrows, and what the Helm chart says of metrics and flags.
//!
//! A module names only what stands below it, and `team` never `backend`; a test holds them to it. A reconcile
//! is `observe -> plan -> act -> report`: reads at one edge, one effect at the other, and between them a pure
//! function.

pub mod api;
#[cfg(test)]
mod arrows;
pub mod backend;
#[cfg(test)]
mod chart;
pub mod collector;
pub mod control_plane;
pub mod controller;
pub mod import;
pub mod keys;
pub mod live;
pub mod liveness;
pub mod metrics;
#[cfg(test)]
mod model;
pub mod platform;
pub mod plugin;
pub mod process;
pub mod reconcile;
pub mod redact;
pub mod reference;
pub mod registry;
pub mod team;
pub mod workspace;
