//! Instances, volumes and network interfaces as they are kept.

use crate::request::launch::Launch;
use crate::request::tags::Tags;
use crate::request::volume::VolumeShape;
use crate::world::console::Console;
use crate::world::filters::Filtered;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

/// Where an instance is in its life.
///
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-lifecycle.html>
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It is being started.
    Pending,
    /// It runs.
    Running,
    /// It is being terminated.
    ShuttingDown,
    /// It is gone for ever.
    Terminated,
    /// It is being stopped.
    Stopping,
    /// It can be started again.
    Stopped,
}

impl State {
    /// EC2's word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::ShuttingDown => "shutting-down",
            Self::Terminated => "terminated",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }

    /// EC2's number.
    ///
    /// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_InstanceState.html>
    pub const fn code(self) -> u16 {
        match self {
            Self::Pending => 0,
            Self::Running => 16,
            Self::ShuttingDown => 32,
            Self::Terminated => 48,
            Self::Stopping => 64,
            Self::Stopped => 80,
        }
    }

    /// Whether it is on its way out, or gone.
    pub const fn is_ending(self) -> bool {
        matches!(self, Self::ShuttingDown | Self::Terminated)
    }
}

/// Why an instance is in its state.
///
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StateReason.html>
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateReason {
    /// Such as `Client.UserInitiatedShutdown`.
    pub code: String,
    /// Such as `Client.UserInitiatedShutdown: User initiated shutdown`.
    #[serde(default)]
    pub message: String,
}

impl StateReason {
    /// A reason with the message that EC2 writes: the code again, and some words.
    pub fn new(code: &str, words: &str) -> Self {
        Self { code: code.into(), message: format!("{code}: {words}") }
    }
}

/// An instance.
#[derive(Clone, Debug)]
pub struct Instance {
    /// Its id.
    pub id: String,
    /// The id of the reservation that it came with.
    pub reservation: String,
    /// What was asked for.
    pub launch: Arc<Launch>,
    /// Length and SHA-256 of its user-data, which itself is dropped when it ends.
    pub user_data: Option<(usize, String)>,
    /// The subnet that it is in.
    pub subnet: String,
    /// The zone that it is in.
    pub zone: String,
    /// Its security groups.
    pub groups: Vec<String>,
    /// Its address, for as long as it is not terminated.
    pub address: Ipv4Addr,
    /// Its network interface.
    pub interface: String,
    /// The device of its root volume.
    pub root_device: String,
    /// Its volumes by device.
    pub devices: BTreeMap<String, String>,
    /// Its tags now.
    pub tags: Tags,
    /// Where it is in its life.
    pub state: State,
    /// Why.
    pub reason: Option<StateReason>,
    /// EC2's words on the last change that somebody asked for.
    pub transition: String,
    /// When it was launched.
    pub created_at: Timestamp,
    /// When it was last started.
    pub launched_at: Timestamp,
    /// Since when calls other than the launch see it.
    pub visible_at: Timestamp,
    /// When it goes on to its next state.
    pub next: Option<Timestamp>,
    /// It will not come up, but die of this.
    pub dies_of: Option<StateReason>,
    /// How often it has come up.
    pub boots: u32,
    /// What it wrote to its console.
    pub console: Console,
}

/// A volume.
#[derive(Clone, Debug)]
pub struct Volume {
    /// Its id.
    pub id: String,
    /// What it is.
    pub shape: VolumeShape,
    /// The zone that it is in.
    pub zone: String,
    /// EC2's word.
    pub state: VolumeState,
    /// Where it is attached.
    pub attachment: Option<Attachment>,
    /// Its tags.
    pub tags: Tags,
    /// When it was made.
    pub created_at: Timestamp,
    /// Since when calls other than its creation see it.
    pub visible_at: Timestamp,
    /// When it goes on to its next state.
    pub next: Option<Timestamp>,
}

/// <https://docs.aws.amazon.com/ebs/latest/userguide/ebs-describing-volumes.html>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VolumeState {
    /// It is being made.
    Creating,
    /// It is attached to nothing.
    Available,
    /// It is attached.
    InUse,
    /// It is going.
    Deleting,
}

impl VolumeState {
    /// EC2's word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Available => "available",
            Self::InUse => "in-use",
            Self::Deleting => "deleting",
        }
    }
}

/// A volume at an instance.
#[derive(Clone, Debug)]
pub struct Attachment {
    /// The instance.
    pub instance: String,
    /// Under which name.
    pub device: String,
    /// `attaching`, `attached` or `detaching`.
    pub state: &'static str,
    /// Since when.
    pub at: Timestamp,
    /// Whether it goes with the instance.
    pub delete_on_termination: bool,
}

/// A network interface.
#[derive(Clone, Debug)]
pub struct NetworkInterface {
    /// Its id.
    pub id: String,
    /// The id of its attachment.
    pub attachment: String,
    /// The instance that it is attached to.
    pub instance: Option<String>,
    /// Whether it goes with the instance.
    pub delete_on_termination: bool,
    /// Its description.
    pub description: String,
    /// The subnet that it is in.
    pub subnet: String,
    /// The zone that it is in.
    pub zone: String,
    /// Its security groups.
    pub groups: Vec<String>,
    /// Its address.
    pub address: Ipv4Addr,
    /// Its tags.
    pub tags: Tags,
    /// When it was made.
    pub created_at: Timestamp,
    /// Since when calls other than the launch see it.
    pub visible_at: Timestamp,
}

impl NetworkInterface {
    /// EC2's word.
    pub fn status(&self) -> &'static str {
        if self.instance.is_some() { "in-use" } else { "available" }
    }

    /// A hardware address of its own.
    pub fn mac(&self) -> String {
        let [a, b, c, d] = self.address.octets();
        format!("02:00:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
    }
}

impl Filtered for Instance {
    fn tags(&self) -> &Tags {
        &self.tags
    }

    fn field(&self, name: &str) -> Option<Vec<String>> {
        let one = |text: &str| Some(vec![text.to_owned()]);
        match name {
            "instance-id" => one(&self.id),
            "instance-state-name" => one(self.state.word()),
            "instance-state-code" => one(&self.state.code().to_string()),
            "instance-type" => one(&self.launch.instance_type),
            "image-id" => one(&self.launch.image),
            "client-token" => one(self.launch.client_token.as_deref().unwrap_or_default()),
            "reservation-id" => one(&self.reservation),
            "subnet-id" => one(&self.subnet),
            "availability-zone" => one(&self.zone),
            "private-ip-address" => one(&self.address.to_string()),
            "state-reason-code" => one(self.reason.as_ref().map_or("", |reason| &reason.code)),
            "instance.group-id" => Some(self.groups.clone()),
            _ => None,
        }
    }
}

impl Filtered for Volume {
    fn tags(&self) -> &Tags {
        &self.tags
    }

    fn field(&self, name: &str) -> Option<Vec<String>> {
        let one = |text: &str| Some(vec![text.to_owned()]);
        let attached = |part: fn(&Attachment) -> &str| {
            Some(self.attachment.iter().map(|attachment| part(attachment).to_owned()).collect())
        };
        match name {
            "volume-id" => one(&self.id),
            "status" => one(self.state.word()),
            "availability-zone" => one(&self.zone),
            "volume-type" => one(&self.shape.kind),
            "size" => one(&self.shape.size.to_string()),
            "attachment.instance-id" => attached(|a| &a.instance),
            "attachment.device" => attached(|a| &a.device),
            "attachment.status" => attached(|a| a.state),
            _ => None,
        }
    }
}

impl Filtered for NetworkInterface {
    fn tags(&self) -> &Tags {
        &self.tags
    }

    fn field(&self, name: &str) -> Option<Vec<String>> {
        let one = |text: &str| Some(vec![text.to_owned()]);
        match name {
            "network-interface-id" => one(&self.id),
            "status" => one(self.status()),
            "subnet-id" => one(&self.subnet),
            "availability-zone" => one(&self.zone),
            "private-ip-address" => one(&self.address.to_string()),
            "attachment.instance-id" => Some(self.instance.iter().cloned().collect()),
            "description" => one(&self.description),
            "group-id" => Some(self.groups.clone()),
            _ => None,
        }
    }
}
