//! The reconcile against a scripted backend and an API server in memory: convergence through crashes and errors.

mod api_server;
mod bundling;
mod convergence;
mod driver;
mod health;
mod invariants;
mod planning;
mod resolving;
mod saying;
