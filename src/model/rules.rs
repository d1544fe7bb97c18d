//! The rules that the model can do without, to show what each is for, and the bounds of a search.

use super::state::Budget;

/// The rules of production. Each can be taken out: what is left is a mutant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Rules {
    /// A status is written only over the version that it was made from.
    pub(super) status_writes_carry_a_version: bool,
    /// A launch call is not sent on to EC2 after its `not_after`.
    pub(super) calls_expire: bool,
    /// A process writes the record of another before it sends a call of it.
    pub(super) records_are_noted: bool,
    /// Until when calls may take effect, as a plan hears it.
    pub(super) fence: Fence,
    /// How orphans are collected.
    pub(super) collection: Collection,
}

/// Which calls a plan hears of that may still take effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Fence {
    /// Those of the recorded attempt and of those before it.
    OfAllAttempts,
    /// Those of the recorded attempt.
    OfTheRecordedOne,
    /// None.
    Down,
}

/// How orphans are collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Collection {
    /// There is no collector in this search.
    None,
    /// The cloud is listed before the cluster, and the attempt counts.
    ByTheRules,
    /// The cluster is read before the cloud is listed.
    ClusterFirst,
    /// What is not the recorded id is an orphan, whatever its attempt.
    WithoutAttempts,
}

/// What is searched.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    pub(super) rules: Rules,
    /// No state is followed that records an attempt beyond this one.
    pub(super) attempts: u8,
    pub(super) budget: Budget,
}

impl Rules {
    pub(super) const ALL: Self = Self {
        status_writes_carry_a_version: true,
        calls_expire: true,
        records_are_noted: true,
        fence: Fence::OfAllAttempts,
        collection: Collection::None,
    };
}
