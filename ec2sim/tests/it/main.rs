//! The simulator as a process: forms in, XML and JSON out.

mod faults;
mod limits;
mod logs;
mod registry;
mod scripted;
mod sim;
