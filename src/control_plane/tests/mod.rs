//! The control plane over real HTTP.
