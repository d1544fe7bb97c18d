//! What a placement is asked about a Workspace, and what it answers besides boxes.

use super::Contents;
use crate::api::workspace::{StorageRecord, Tier};
use k8s_openapi::jiff::Timestamp;

/// Whose boxes are asked for.
#[derive(Clone, Copy, Debug)]
pub struct BoxQuery<'a> {
    /// The Workspace's uid.
    pub uid: &'a str,
    /// The boxes that are recorded, with their attempts: each must be accounted for before it is called gone.
    pub expected: &'a [(String, i64)],
}

/// One launch call of a recorded attempt.
#[derive(Clone, Copy, Debug)]
pub struct LaunchOrder<'a> {
    /// The frozen request.
    pub request: &'a str,
    /// What makes the calls of this attempt one launch, where the backend needs it.
    pub client_token: Option<&'a str>,
    /// The hash of what the box is told at its first boot, as it was recorded.
    pub user_data_hash: Option<&'a str>,
    /// What goes into the box.
    pub contents: &'a Contents,
}

/// Whose launches are asked about.
#[derive(Clone, Copy, Debug)]
pub struct LaunchQuery<'a> {
    /// The Workspace's uid.
    pub uid: &'a str,
    /// The recorded attempt.
    pub attempt: i64,
    /// The Workspace's tier.
    pub tier: Tier,
    /// The zone that its data binds it to.
    pub zone: Option<&'a str>,
}

/// What a plan has to mind about launches where a call may be lost on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outlook {
    /// Whether a complete list without a box proves that a recorded launch made none.
    pub absence_proves: bool,
    /// A launch call of this attempt may still take effect until then: no other attempt may be sent before.
    pub fence: Option<Timestamp>,
    /// Everything that the platform offers for this tier is short of capacity until then.
    pub short_until: Option<Timestamp>,
    /// What a launch call of this attempt made may not be listed yet: its absence proves nothing.
    pub unsettled: bool,
    /// A call of an attempt before this one may still take effect, or what it made may not be listed yet.
    pub earlier_unsettled: bool,
    /// Who wrote the record of this attempt.
    pub recorder: Recorder,
}

/// Who wrote a record, as this process knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorder {
    /// This process: what another was about to write when it lost the lead is refused as a conflict.
    This,
    /// Another one, and it may be about to write again.
    Another,
}

impl Outlook {
    /// Where calls take effect before they are answered, and lists are complete.
    pub const CERTAIN: Self = Self {
        absence_proves: true,
        fence: None,
        short_until: None,
        unsettled: false,
        earlier_unsettled: false,
        recorder: Recorder::This,
    };
}

/// What may be left of a Workspace besides boxes.
#[derive(Clone, Copy, Debug)]
pub struct Remains<'a> {
    /// The Workspace's uid.
    pub uid: &'a str,
    /// The uid whose network its boxes joined.
    pub network_of: &'a str,
    /// The volume that is recorded.
    pub storage: Option<&'a StorageRecord>,
    /// Whether the volume of its data is to be kept.
    pub retain: bool,
}
