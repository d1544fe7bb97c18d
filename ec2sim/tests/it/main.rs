//! The simulator as a process: forms in, XML and JSON out.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on must fail")]

mod faults;
mod limits;
mod logs;
mod real;
mod registry;
mod scripted;
mod sim;
