//! EC2: one method an action, in our own types. The only folder that names the SDK.
//!
//! ```text
//! client    the SDK's client; waiting for a turn, the deadline, what an error means
//! fence     the last look at the time before a request leaves
//! instances RunInstances and what changes instances
//! lists     what describes
//! storage   volumes and network interfaces
//! convert   from the SDK's types to ours
//! ```

mod client;
mod convert;
mod fence;
mod instances;
mod lists;
mod storage;

pub use client::{Connect, Ec2};
pub use lists::{Filter, Found, Page};
