//! Atelier.
pub mod api;
