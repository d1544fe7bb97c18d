//! An EC2 endpoint for development and tests.

fn main() {}
