//! The small static program inside a box.

fn main() {}
