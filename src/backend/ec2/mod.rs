//! EC2 instances, through Atelier's control plane: this process holds no AWS credentials.
//!
//! [`cloud`] is what a placement calls. What it decides by is pure: [`request`] is what is frozen for an attempt,
//! [`offering`] which type in which subnet, [`sends`] until when a lost call may still take effect, [`known`] what
//! the lists prove, [`fault`] what an error means. [`client`] speaks HTTP,
//! [`watch`] lists all instances, [`survey`] everything else as well, [`preflight`] asks before anything is launched, [`volumes`] are the data's.

mod client;
mod cloud;
mod console;
mod fault;
mod known;
mod offering;
mod preflight;
mod request;
mod sends;
mod survey;
mod user_data;
mod view;
mod volumes;
mod watch;

pub use client::ControlPlaneEndpoint;
pub(super) use cloud::Cloud;
pub use cloud::Ec2Endpoint;
#[cfg(test)]
pub(crate) mod model {
    //! The pure parts, for the model check of the whole.
    pub(crate) use super::known::{Expected, Known, Sweep};
    pub(crate) use super::offering::{Offering, Shortages};
    pub(crate) use super::sends::{Sends, outlook};
    pub(crate) use super::view::seen;
}
