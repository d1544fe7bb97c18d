//! Whether something outside Kubernetes has an owner. Pure.

use crate::api::names;
use crate::api::workspace::{Outcome, Workspace};
use crate::backend::Found;
use crate::metrics::Thing;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

/// Who owns something, as far as was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The object that it names is there; whether it is the same one, its uid says.
    Lives(Record),
    /// There is no such object: the API server said so of this very name.
    None,
    /// That cannot be known.
    Unknown,
}

/// What of an owner matters here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Its uid.
    pub uid: String,
    /// Whether the operator was told to keep its hands off.
    pub is_paused: bool,
    /// The recorded launch attempt, and whether its outcome is still open.
    pub launch: Option<(i64, bool)>,
    /// The recorded id of its box.
    pub instance_id: Option<String>,
}

impl From<&Workspace> for Record {
    fn from(ws: &Workspace) -> Self {
        let status = ws.status.as_ref();
        Self {
            uid: ws.uid().unwrap_or_default(),
            is_paused: ws.annotations().get(names::PAUSED).is_some_and(|word| word == "true"),
            launch: status
                .and_then(|status| status.launch.as_ref())
                .map(|launch| (launch.attempt, launch.outcome == Outcome::Pending)),
            instance_id: status.and_then(|status| status.instance_id.clone()),
        }
    }
}

/// Why something is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// It is to outlive its owner.
    Retained,
    /// It is going already.
    Ending,
    /// Something else holds on to it.
    InUse,
    /// Nothing says whose it is, or of which attempt.
    Unnamed,
    /// It is younger than the visibility window, or was not seen for that long.
    Young,
    /// Whether it has an owner cannot be known.
    OwnerUnknown,
    /// Its owner is not to be worked on.
    Paused,
    /// A launch that may still be on its way may have made it.
    Pending,
    /// It is its owner's.
    Owned,
}

/// Why something is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remove {
    /// There is no such object.
    NoOwner,
    /// The object of that name is another one: it was deleted, and made anew.
    OtherOwner,
    /// It is of an attempt that its owner does not record, or not any more.
    OtherAttempt,
    /// It is of the recorded attempt, whose box is another one.
    OtherBox,
}

/// What is to become of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It stays.
    Keep(Keep),
    /// It goes.
    Remove(Remove),
}

/// The time of a survey, and what is too young to be judged by it.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// When the backend answered, by its own clock.
    pub now: Timestamp,
    /// How long lists may be behind.
    pub window: SignedDuration,
}

/// Judges one thing. `owner` must have been read after the thing was listed. `seen_before` is the time, by the
/// backend's clock, of the first of the surveys in a row that showed it as one that seems to have no owner.
pub fn judge(found: &Found, owner: &Owner, seen_before: Option<Timestamp>, times: Times) -> Verdict {
    let is_named = !found.uid.is_empty()
        && !found.namespace.is_empty()
        && (found.thing == Thing::Network || !found.name.is_empty());
    let since = since(found, seen_before).unwrap_or(times.now);
    if found.is_retained {
        Verdict::Keep(Keep::Retained)
    } else if found.is_ending {
        Verdict::Keep(Keep::Ending)
    } else if found.is_in_use {
        Verdict::Keep(Keep::InUse)
    } else if !is_named {
        Verdict::Keep(Keep::Unnamed)
    } else if times.now.duration_since(since) < times.window {
        Verdict::Keep(Keep::Young)
    } else {
        match owner {
            Owner::Unknown => Verdict::Keep(Keep::OwnerUnknown),
            Owner::None => Verdict::Remove(Remove::NoOwner),
            Owner::Lives(record) if record.uid != found.uid => Verdict::Remove(Remove::OtherOwner),
            Owner::Lives(record) => by_record(found, record),
        }
    }
}

/// Since when it is there, and a volume since when it seems to have no owner: that it is to be kept is said by a
/// tag that comes when its Workspace goes, and lists may show the tag late.
pub fn since(found: &Found, seen_before: Option<Timestamp>) -> Option<Timestamp> {
    match (found.thing, found.made_at) {
        (Thing::Volume, Some(made_at)) => seen_before.map(|seen| seen.max(made_at)),
        (_, made_at) => made_at.or(seen_before),
    }
}

/// Whether it will be removed if it goes on to look like this for long enough.
pub fn is_suspect(found: &Found, owner: &Owner, now: Timestamp) -> bool {
    let times = Times { now, window: SignedDuration::MIN };
    matches!(judge(found, owner, None, times), Verdict::Remove(_))
}

/// Of one whose owner lives.
fn by_record(found: &Found, record: &Record) -> Verdict {
    if record.is_paused {
        return Verdict::Keep(Keep::Paused);
    }
    let Some(attempt) = found.attempt else {
        // A box that does not say its attempt is for its Workspace's own reconcile to judge.
        return Verdict::Keep(if found.thing == Thing::Box { Keep::Unnamed } else { Keep::Owned });
    };
    match record.launch {
        Some((recorded, is_pending)) if recorded == attempt => {
            let is_another =
                found.thing == Thing::Box && record.instance_id.as_ref().is_some_and(|id| *id != found.id);
            match (is_pending, is_another) {
                (true, _) => Verdict::Keep(Keep::Pending),
                (false, true) => Verdict::Remove(Remove::OtherBox),
                (false, false) => Verdict::Keep(Keep::Owned),
            }
        }
        // The intent is stored before the first call: what is not recorded now was recorded before.
        _ => Verdict::Remove(Remove::OtherAttempt),
    }
}
