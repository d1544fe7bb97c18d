//! What one look at the world showed: everything that `plan` may go by.

use super::desired::{Desired, Problem};
use crate::api::Reason;
use crate::api::workspace::PlacementRecord;
use crate::backend::{BackendError, BoxSeen, ImageState, Outlook, PullCredentials};
use crate::liveness::AgentView;
use crate::reconcile::Pauses;
use k8s_openapi::jiff::Timestamp;
use std::time::Duration;

/// What one look at the world showed. A read that failed is a value here, never an early return.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Whether there is a config to judge the spec by.
    pub configured: bool,
    /// What the spec and its references come to, or why they come to nothing.
    pub desired: Result<Desired, Problem>,
    /// The backend that is recorded or, where nothing is, chosen; or why there is none.
    pub place: Result<PlacementRecord, Unplaced>,
    /// Every box of this uid. Not asked for before a launch is recorded: there can be none.
    pub boxes: Result<Vec<BoxSeen>, BackendError>,
    /// What is to be minded about launches, where a call may be lost on its way.
    pub outlook: Outlook,
    /// How it stands with the volume of the Workspace's data, where it is one of its own.
    pub volume: Volume,
    /// While deleting: whether anything but boxes is left, such as volumes.
    pub leftovers: Result<bool, BackendError>,
    /// The image, where the last create did not find it.
    pub image: Option<Result<ImageState, BackendError>>,
    /// How to pull it.
    pub pull_credentials: Option<PullCredentials>,
    /// What the agent was heard to say.
    pub agent: AgentView,
    /// The last lines of the box's output, where a diagnosis needs them and they are not recorded yet.
    pub log_tail: Option<String>,
    /// Whether the Team lets one more member launch now.
    pub slot: Slot,
    /// Whether the platform's rollout policy lets this box be replaced now.
    pub may_roll: bool,
    /// What the last effect met, if it failed and the failure still stands.
    pub failure: Option<Failure>,
    /// The periods that decisions go by.
    pub periods: Periods,
    /// 0 to 1, drawn once a pass: spreads what would otherwise happen at the same time.
    pub jitter: f64,
}

/// The periods that decisions go by. Each is a setting, so that a test need not wait for hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Periods {
    /// The pauses before a box that failed is started or made again.
    pub pauses: Pauses,
    /// A box that was ready for so long has its failures forgiven.
    pub healthy: Duration,
    /// How long another object may take to arrive before a person is asked.
    pub awaiting: Duration,
    /// How long the box of the last boot that timed out is kept for diagnosis.
    pub keep_failed_boot: Duration,
}

impl Default for Periods {
    fn default() -> Self {
        Self {
            pauses: Pauses::default(),
            healthy: Duration::from_secs(600),
            awaiting: Duration::from_secs(120),
            keep_failed_boot: Duration::from_secs(3600),
        }
    }
}

/// Why there is no place for a box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unplaced {
    /// The reason for conditions.
    pub reason: Reason,
    /// What was observed and what a person can do.
    pub message: String,
}

/// How it stands with the volume of a Workspace's data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Volume {
    /// It comes with the box, or there is no box yet.
    Settled,
    /// None is recorded: it is to be made in the box's zone.
    Missing {
        /// That zone.
        zone: String,
    },
    /// It is recorded and not attached to the box.
    Detached {
        /// Its id.
        id: String,
    },
}

/// Whether the Team lets one more member launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// It does.
    Free,
    /// This many are launching already, and no more may.
    Taken(i32),
}

/// An effect that failed and what follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The backend's error.
    pub error: BackendError,
    /// No effect is tried again before this time.
    pub not_before: Timestamp,
}

impl Seen {
    /// The look after a box was made, started or changed: with this box in place of the one of its id.
    #[must_use]
    pub fn with_box(mut self, now_seen: BoxSeen) -> Self {
        if let Ok(boxes) = &mut self.boxes {
            boxes.retain(|b| b.id != now_seen.id);
            boxes.push(now_seen);
        }
        self.failure = None;
        self
    }

    /// The look after a box is gone.
    #[must_use]
    pub fn without_box(mut self, id: &str) -> Self {
        if let Ok(boxes) = &mut self.boxes {
            boxes.retain(|b| b.id != id);
        }
        self.failure = None;
        self
    }
}
