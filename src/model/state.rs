//! A state of the model: the object, up to two processes, what is on its way, and the instances.

use super::object::{Object, Status};
use crate::workspace::step::Release;

/// So many instances at most are told apart.
pub(super) const INSTANCES: usize = 4;
/// So many launch calls at most are on their way at the same time.
pub(super) const MESSAGES: usize = 2;
/// A launch call takes effect before so many ticks are over, or never.
pub(super) const IN_FLIGHT: u8 = 2;
/// EC2's lists show everything that is older than this.
pub(super) const LAG: u8 = 1;

/// Everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct State {
    pub(super) object: Option<Object>,
    /// Who holds the lease.
    pub(super) leader: Option<Process>,
    /// Who held it before and is still in the middle of a pass, frozen or not.
    pub(super) former: Option<Process>,
    pub(super) instances: [Option<Instance>; INSTANCES],
    pub(super) messages: [Option<Message>; MESSAGES],
    pub(super) collector: Collector,
    pub(super) left: Budget,
    /// What must not be.
    pub(super) wrong: Option<Wrong>,
}

/// How often each fault may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Budget {
    pub(super) crashes: u8,
    pub(super) take_overs: u8,
    /// Replies of EC2's that are lost.
    pub(super) lost_replies: u8,
    /// Replies of the API server that are lost.
    pub(super) lost_writes: u8,
    /// Launch calls that lie around.
    pub(super) delays: u8,
    /// Launch calls that EC2 has no capacity for.
    pub(super) shortages: u8,
    /// Instances that end by themselves.
    pub(super) deaths: u8,
    pub(super) edits: u8,
    pub(super) deletions: u8,
}

impl Budget {
    pub(super) const NONE: Self = Self {
        crashes: 0,
        take_overs: 0,
        lost_replies: 0,
        lost_writes: 0,
        delays: 0,
        shortages: 0,
        deaths: 0,
        edits: 0,
        deletions: 0,
    };
}

/// A violation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Wrong {
    /// Two live instances of one attempt.
    DoubledAttempt,
    /// An instance came to life beside one of another attempt.
    Doubled,
    /// The finalizer went while an instance lived.
    Leaked,
    /// An instance came to life after the object was gone.
    Orphaned,
    /// Two calls of one token asked for different things.
    Mismatched,
    /// The collector ended the instance that the record is about.
    CollectedWanted,
}

/// What a process has of the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum View {
    /// What the API server has.
    Current,
    /// What it had once.
    Stale(Object),
    /// A write left a doubt: the next look is a live read.
    Doubt,
    /// The object is gone, as this process knows for sure.
    Gone,
}

/// A controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Process {
    pub(super) view: View,
    /// What it knows of the instances, interned.
    pub(super) known: u16,
    /// What it knows of its calls, interned.
    pub(super) sends: u16,
    /// How many ticks ago it took over.
    pub(super) took_over: u8,
    pub(super) failure: Option<Failed>,
    /// For how many ticks each offering is still taken for short.
    pub(super) short: [u8; 2],
    pub(super) at: At,
}

/// How far it is with a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum At {
    /// Between passes.
    Rest,
    /// It has decided to patch the finalizer, and has not done it yet.
    Patching { act: Act },
    /// Its launch call is on the way. The boxes are those that it saw, interned.
    Asking { boxes: u16, alone: bool },
    /// What it did is done, and the status is not written yet.
    Done { act: Act, boxes: u16, done: Done },
}

/// A step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Act {
    Nothing,
    AddFinalizer,
    Release(Why),
    /// The status as the record makes it.
    Record(Status),
    Create,
    Destroy(u8),
}

/// Why the finalizer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Why {
    NeverLaunched,
    Gone,
}

impl Why {
    pub(super) fn of(release: Release) -> Self {
        match release {
            Release::NeverLaunched => Self::NeverLaunched,
            Release::Gone => Self::Gone,
            Release::Forgotten => unreachable!("nobody says so in the model"),
        }
    }
}

/// What came of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Done {
    Nothing,
    Box { instance: u8, attempt: u8, state: Life },
    Failed,
}

/// An answer that closes an attempt, and what was wanted then. Any other failure makes for a pause, no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Failed {
    pub(super) kind: Closing,
    pub(super) generation: u8,
    pub(super) deleting: bool,
    pub(super) attempt: u8,
}

/// How EC2 refuses a launch call for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Closing {
    NoCapacity,
    Ended,
}

/// What a launch call asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Request {
    pub(super) generation: u8,
    pub(super) offering: u8,
}

/// A launch call on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Message {
    pub(super) attempt: u8,
    pub(super) request: Request,
    /// How many ticks ago it was sent.
    pub(super) age: u8,
    /// Who waits for its answer.
    pub(super) from: Option<Role>,
}

/// Which process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Role {
    Leader,
    Former,
}

/// An instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Instance {
    pub(super) attempt: u8,
    pub(super) request: Request,
    pub(super) life: Life,
    /// How many ticks ago it was made.
    pub(super) made: u8,
    /// How many ticks ago it became what it is.
    pub(super) changed: u8,
}

/// The state of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Life {
    Running,
    ShuttingDown,
    Terminated,
    /// Terminated, and no list shows it any more.
    Forgotten,
}

/// How far the collector is with a round. Sets of instances are bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Collector {
    #[default]
    Rest,
    /// These are listed, and old enough.
    Listed(u8),
    /// The object as it was read, before anything was listed.
    Read(Option<Object>),
    /// These are to be ended.
    Judged(u8),
}

impl Instance {
    /// Whether it costs money, and may do harm.
    pub(super) fn is_live(self) -> bool {
        matches!(self.life, Life::Running | Life::ShuttingDown)
    }
}

impl Failed {
    /// Whether it speaks of what this object wants now. If not, it never does again.
    pub(super) fn is_about(self, object: &Object) -> bool {
        let attempt = object.status.launch.map_or(0, |l| l.attempt);
        (self.generation, self.deleting, self.attempt) == (object.generation, object.deleting, attempt)
    }
}

impl State {
    /// A former leader sends no call and makes no look any more, so what it knows is no matter.
    pub(super) fn disarm(&mut self, (known, sends): (u16, u16)) {
        if let Some(former) = &mut self.former {
            if let At::Asking { alone, .. } = &mut former.at {
                *alone = false;
            }
            *former = Process { known, sends, took_over: 0, failure: None, short: [0; 2], ..*former };
        }
    }

    pub(super) fn process(&self, role: Role) -> Option<Process> {
        match role {
            Role::Leader => self.leader,
            Role::Former => self.former,
        }
    }

    pub(super) fn process_mut(&mut self, role: Role) -> &mut Option<Process> {
        match role {
            Role::Leader => &mut self.leader,
            Role::Former => &mut self.former,
        }
    }

    /// Something was written: whoever was up to date is not any more.
    pub(super) fn written(&mut self, before: Object) {
        for process in [&mut self.leader, &mut self.former].into_iter().flatten() {
            if process.view == View::Current {
                process.view = View::Stale(before);
            }
        }
    }

    /// The object as a process has it.
    pub(super) fn seen_by(&self, process: &Process) -> Option<Object> {
        match process.view {
            View::Current => self.object,
            View::Stale(object) => Some(object),
            View::Doubt | View::Gone => None,
        }
    }

    pub(super) fn live(&self) -> impl Iterator<Item = (u8, Instance)> {
        self.all().filter(|(_, instance)| instance.is_live())
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (u8, Instance)> {
        (0u8..).zip(self.instances).filter_map(|(n, instance)| Some((n, instance?)))
    }

    /// The launch calls on their way, in one order whatever came first.
    pub(super) fn tidy(&mut self) {
        self.messages.sort_by_key(|message| (message.is_none(), *message));
    }
}
