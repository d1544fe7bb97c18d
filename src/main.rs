//! Atelier.

fn main() {}
