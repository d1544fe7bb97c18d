//! What went wrong at a backend, typed by what happens next.

use crate::api::Reason;
use crate::api::workspace::Outcome;
use std::fmt;

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Not an error: look again soon.
    Waiting,
    /// Try again with growing pauses.
    Retryable,
    /// A person must change something.
    Terminal,
}

/// What kind of error it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The backend did not answer.
    Unreachable,
    /// The backend refused our credentials.
    Unauthorized,
    /// Another backend answers than the one that is recorded: its "not found" proves nothing.
    WrongBackend,
    /// The backend is still busy with an earlier request, such as a removal.
    Busy,
    /// There is no such box.
    NotFound,
    /// Something of that name exists and is not ours.
    NameTaken,
    /// The image is not there and could not be pulled.
    ImageNotFound,
    /// The backend refused the request as such.
    Invalid,
    /// The backend failed, or answered something that we do not know.
    Failed,
    /// EC2: the control plane did not answer.
    ControlPlaneUnreachable,
    /// EC2: the backend takes no more calls for the moment.
    Throttled,
    /// EC2: no capacity for this type in this subnet. This launch call made no instance.
    NoCapacity,
    /// EC2: the subnet has no free address. This launch call made no instance.
    SubnetFull,
    /// EC2: the account's vCPU limit is reached. This launch call made no instance.
    VcpuLimit,
    /// EC2: the launch is not permitted. This launch call made no instance.
    Denied,
    /// EC2: the launch is not possible as it was asked for. This launch call made no instance.
    Refused,
    /// EC2: the instance of this attempt was made, and has ended.
    Ended,
}

/// An error of a backend: its kind, and the backend's own words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct BackendError {
    /// What kind of error it is.
    pub kind: ErrorKind,
    /// What was asked and what was answered, for people. Holds no secret.
    pub detail: String,
}

impl BackendError {
    /// An error of a kind, with what was observed.
    pub fn new(kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }

    /// What happens next. What we do not know is worth another try.
    pub fn class(&self) -> Class {
        match self.kind {
            ErrorKind::Busy => Class::Waiting,
            ErrorKind::Unreachable
            | ErrorKind::ControlPlaneUnreachable
            | ErrorKind::Failed
            | ErrorKind::Throttled
            | ErrorKind::NotFound => Class::Retryable,
            // What follows is the next attempt's to say.
            ErrorKind::NoCapacity
            | ErrorKind::SubnetFull
            | ErrorKind::VcpuLimit
            | ErrorKind::Denied
            | ErrorKind::Refused
            | ErrorKind::Ended => Class::Waiting,
            ErrorKind::Unauthorized
            | ErrorKind::WrongBackend
            | ErrorKind::NameTaken
            | ErrorKind::ImageNotFound
            | ErrorKind::Invalid => Class::Terminal,
        }
    }

    /// The reason that conditions carry for it.
    pub fn reason(&self) -> Reason {
        match self.kind {
            ErrorKind::Unreachable => Reason::DockerUnreachable,
            ErrorKind::Unauthorized => Reason::Unauthorized,
            ErrorKind::WrongBackend => Reason::WrongBackend,
            ErrorKind::Busy => Reason::Launching,
            ErrorKind::NotFound => Reason::InstanceGone,
            ErrorKind::NameTaken => Reason::NameTaken,
            ErrorKind::ImageNotFound => Reason::ImageNotFound,
            ErrorKind::Invalid => Reason::InvalidRequest,
            ErrorKind::Failed => Reason::LaunchFailed,
            ErrorKind::ControlPlaneUnreachable => Reason::ControlPlaneUnreachable,
            ErrorKind::Throttled => Reason::Throttled,
            ErrorKind::NoCapacity => Reason::InsufficientCapacity,
            ErrorKind::SubnetFull => Reason::SubnetFull,
            ErrorKind::VcpuLimit => Reason::VcpuLimitExceeded,
            ErrorKind::Denied => Reason::LaunchDenied,
            ErrorKind::Refused => Reason::InvalidRequest,
            ErrorKind::Ended => Reason::InstanceGone,
        }
    }

    /// Whether it speaks of the backend as a whole rather than of one box.
    pub fn is_about_backend(&self) -> bool {
        matches!(
            self.kind,
            ErrorKind::Unreachable
                | ErrorKind::ControlPlaneUnreachable
                | ErrorKind::Unauthorized
                | ErrorKind::WrongBackend
        )
    }

    /// How a launch attempt ends that is answered so; `None` where it is still open.
    pub fn closes_attempt(&self) -> Option<Outcome> {
        match self.kind {
            ErrorKind::NoCapacity
            | ErrorKind::SubnetFull
            | ErrorKind::VcpuLimit
            | ErrorKind::Denied
            | ErrorKind::Refused => Some(Outcome::Refused),
            ErrorKind::Ended => Some(Outcome::Gone),
            ErrorKind::Unreachable
            | ErrorKind::Unauthorized
            | ErrorKind::WrongBackend
            | ErrorKind::Busy
            | ErrorKind::NotFound
            | ErrorKind::NameTaken
            | ErrorKind::ImageNotFound
            | ErrorKind::Invalid
            | ErrorKind::Failed
            | ErrorKind::ControlPlaneUnreachable
            | ErrorKind::Throttled => None,
        }
    }

    /// Whether another offering of the platform may do where this one did not.
    pub fn is_about_offering(&self) -> bool {
        matches!(self.kind, ErrorKind::NoCapacity | ErrorKind::SubnetFull)
    }
}

impl fmt::Display for BackendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}
