//! What a call answers, before it is written as XML.

use super::catalog::{Image, InstanceType, Subnet};
use super::model::{Attachment, Instance, NetworkInterface, State, Volume};
use jiff::Timestamp;

/// An answer.
pub enum Reply {
    /// `RunInstances`
    Launched(Box<InstanceView>),
    /// `DescribeInstances`
    Instances(Vec<InstanceView>, Option<String>),
    /// `TerminateInstances`, `StopInstances`, `StartInstances`
    StateChanges(Vec<StateChange>),
    /// `GetConsoleOutput`
    Console(String, String, Option<Timestamp>),
    /// `CreateVolume`
    Volume(Box<Volume>),
    /// `AttachVolume`, `DetachVolume`
    Attachment(String, Attachment),
    /// `DescribeVolumes`
    Volumes(Vec<Volume>, Option<String>),
    /// `DescribeNetworkInterfaces`
    Interfaces(Vec<NetworkInterface>, Option<String>),
    /// `DescribeSubnets`: each with how many addresses are free.
    Subnets(Vec<(Subnet, u32)>, Option<String>),
    /// `DescribeImages`
    Images(Vec<Image>, Option<String>),
    /// `DescribeAvailabilityZones`: names and ids.
    Zones(Vec<(String, String)>),
    /// `DescribeInstanceTypes`
    Types(Vec<InstanceType>, Option<String>),
    /// `GetCallerIdentity`
    CallerIdentity,
    /// Where there is nothing to say.
    Success,
}

/// An instance with what hangs on it.
pub struct InstanceView {
    /// Itself.
    pub instance: Instance,
    /// Its architecture.
    pub architecture: String,
    /// Its volumes: id and attachment.
    pub volumes: Vec<(String, Attachment)>,
    /// Its network interface; none once it is terminated.
    pub interface: Option<NetworkInterface>,
}

/// An instance before and after a call.
pub struct StateChange {
    /// Which.
    pub id: String,
    /// Before.
    pub previous: State,
    /// After.
    pub current: State,
}
