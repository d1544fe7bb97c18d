//! What a plan can say: at most one step, and when to look again.

use crate::api::workspace::{Attempt, Launch, PlacementRecord};
use crate::backend::BoxSeen;
use std::time::Duration;

/// What to do now, and when to look again.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// At most one effect.
    pub step: Step,
    /// When to look again, if nothing wakes the Workspace before.
    pub next: Next,
}

/// One effect on the world.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// There is nothing to do, or nothing that may be done now.
    Nothing,
    /// Put our finalizer on, before there can be anything to clean up.
    AddFinalizer,
    /// Store the intent, or a counted failure, in the status. The write is the effect.
    Record(Record),
    /// Start to pull the image.
    Pull,
    /// Make, fill and start the box of the recorded attempt.
    Create,
    /// Start this box.
    Start(BoxSeen),
    /// Stop this box; its volumes stay.
    Stop(BoxSeen),
    /// Remove this box.
    Destroy(BoxSeen),
    /// Make the volume of the Workspace's data in this zone, or find the one that is there.
    MakeVolume {
        /// The zone of the box.
        zone: String,
    },
    /// Attach the volume of the Workspace's data to this box.
    AttachVolume {
        /// The box.
        to: BoxSeen,
        /// The volume.
        volume_id: String,
    },
    /// Remove what is left besides boxes.
    Clear,
    /// Let the object go.
    ReleaseFinalizer(Release),
}

impl Step {
    /// Its name, for logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::AddFinalizer => "add finalizer",
            Self::Record(_) => "record",
            Self::Pull => "pull",
            Self::Create => "create",
            Self::Start(_) => "start",
            Self::Stop(_) => "stop",
            Self::Destroy(_) => "destroy",
            Self::MakeVolume { .. } => "make volume",
            Self::AttachVolume { .. } => "attach volume",
            Self::Clear => "clear",
            Self::ReleaseFinalizer(_) => "release finalizer",
        }
    }
}

/// Why the finalizer may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// No launch was ever recorded.
    NeverLaunched,
    /// A complete list of the recorded world shows nothing of this Workspace.
    Gone,
    /// A person declared the box gone for good.
    Forgotten,
}

/// What to store.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The launch as it is to be stored.
    pub launch: Launch,
    /// The world that it goes to.
    pub placement: PlacementRecord,
    /// The attempt that ends with it.
    pub closed: Option<Attempt>,
    /// The value of `restartedAt` that it carries out.
    pub restarted_at: Option<String>,
}

/// When to look again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// At once: the world has changed by our own hand.
    Now,
    /// After so long.
    After(Duration),
    /// At the next slow resync; everything that matters wakes the Workspace before.
    Resync,
}
