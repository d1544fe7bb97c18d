//! What a plan of the exactness suite is, and how one is made from its seed. Pure.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use std::fmt;
use std::time::Duration;

/// How much time there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// Nothing that has to wait for a fence, and short stops.
    Short,
    /// Everything.
    Long,
}

/// What a user does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    Create,
    Edit,
    Suspend,
    Resume,
    Delete,
}

/// Which of the two processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Victim {
    Controller,
    ControlPlane,
}

/// When in the life of a call to EC2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// It is on its way, and takes effect after the blow.
    Before,
    /// It has taken effect, and is not answered.
    Committed,
    /// It was answered a moment ago.
    Answered,
}

/// What happens to the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// SIGKILL, and a new process.
    Kill,
    /// SIGSTOP, and SIGCONT after so long. A controller has a successor by then.
    Freeze(Duration),
}

/// A blow at an effect.
#[derive(Debug, Clone, Copy)]
pub struct Blow {
    /// The call to EC2 at which it comes.
    pub action: &'static str,
    /// Which of these calls, from 1.
    pub nth: u64,
    pub moment: Moment,
    pub victim: Victim,
    pub how: How,
}

impl fmt::Display for Blow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.how == How::Kill { "kill" } else { "freeze" };
        write!(f, "{how} {:?} at {} {:?}", self.victim, self.action, self.moment)
    }
}

/// One deed, and what happens meanwhile.
#[derive(Debug)]
pub struct Step {
    pub deed: Deed,
    /// Faults of EC2, as the simulator takes them.
    pub faults: Vec<Value>,
    pub blow: Option<Blow>,
    /// Whether the next deed waits until this one is done.
    pub settles: bool,
}

/// Everything that happens to one Team.
#[derive(Debug)]
pub struct Plan {
    pub seed: u64,
    pub members: usize,
    /// How long EC2's lists are behind.
    pub lag: Duration,
    pub steps: Vec<Step>,
}

/// How long a call may lie around at EC2 before it takes effect.
pub const LONGEST_DELAY: Duration = Duration::from_secs(5);

/// The error of a fault that is limited to the first subnet, so that there is another to fall back to.
pub const SHORT_OF: &str = "InsufficientInstanceCapacity";

/// The calls that may belong to a deed. One that is made only while it is new comes first.
fn calls(deed: Deed) -> &'static [&'static str] {
    match deed {
        Deed::Create => &["RunInstances", "CreateVolume", "AttachVolume"],
        Deed::Edit => &["RunInstances", "TerminateInstances", "AttachVolume"],
        Deed::Suspend => &["StopInstances"],
        Deed::Resume => &["StartInstances"],
        Deed::Delete => &["TerminateInstances", "DeleteVolume"],
    }
}

/// Every blow that can come at a deed: seeds in a row go through all of them.
fn blows(deed: Deed, size: Size) -> Vec<Blow> {
    let frozen = |victim| match (size, victim) {
        (Size::Long, _) => Duration::from_secs(30),
        // Longer than the lease, so that another takes over.
        (Size::Short, Victim::Controller) => Duration::from_secs(4),
        (Size::Short, Victim::ControlPlane) => Duration::from_secs(3),
    };
    let mut all = Vec::new();
    for action in calls(deed) {
        for moment in [Moment::Committed, Moment::Before, Moment::Answered] {
            for victim in [Victim::Controller, Victim::ControlPlane] {
                all.push(Blow { action, nth: 1, moment, victim, how: How::Kill });
            }
        }
    }
    for action in calls(deed) {
        for (moment, victim) in
            [(Moment::Before, Victim::Controller), (Moment::Committed, Victim::ControlPlane)]
        {
            all.push(Blow { action, nth: 1, moment, victim, how: How::Freeze(frozen(victim)) });
        }
    }
    all
}

/// Every blow that there is, as it is counted.
pub fn crash_points() -> Vec<String> {
    let deeds = [Deed::Create, Deed::Edit, Deed::Suspend, Deed::Resume, Deed::Delete];
    let mut all: Vec<_> =
        deeds.into_iter().flat_map(|d| blows(d, Size::Long)).map(|blow| blow.to_string()).collect();
    all.sort();
    all.dedup();
    all
}

impl Plan {
    /// The plan of a seed: always the same.
    pub fn new(seed: u64, size: Size) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut deeds = vec![Deed::Create];
        let between: &[&[Deed]] = match size {
            Size::Short => &[&[], &[Deed::Edit], &[Deed::Suspend, Deed::Resume], &[Deed::Suspend]],
            Size::Long => &[
                &[],
                &[Deed::Edit],
                &[Deed::Suspend, Deed::Resume],
                &[Deed::Suspend, Deed::Edit, Deed::Resume],
                &[Deed::Edit, Deed::Suspend],
            ],
        };
        deeds.extend(*between.choose(&mut rng).unwrap_or(&between[0]));
        deeds.push(Deed::Delete);
        let members = rng.random_range(1..=if size == Size::Short { 3 } else { 6 });
        let lags: &[u64] = &[0, 0, 700, 5000];
        let lag = Duration::from_millis(*lags.choose(&mut rng).unwrap_or(&0));
        // Where capacity is short and a call without an answer comes together, a fence must be waited for.
        let may_be_short = size == Size::Long || !deeds.contains(&Deed::Edit) && rng.random_bool(0.3);
        let mut steps = Vec::new();
        for deed in deeds {
            let strikes = rng.random_bool(0.75) && (size == Size::Long || !may_be_short);
            let blow = strikes.then(|| {
                let all = blows(deed, size);
                let place = usize::try_from(seed).unwrap_or_default() % all.len();
                Blow { nth: rng.random_range(1..=members as u64), ..all[place] }
            });
            let count = rng.random_range(0..=2);
            let faults = (0..count).map(|_| fault(&mut rng, deed, size, may_be_short)).collect();
            let settles = deed == Deed::Delete || rng.random_bool(0.5);
            steps.push(Step { deed, faults, blow, settles });
        }
        Self { seed, members, lag, steps }
    }
}

/// A fault of a call of this deed, or of the lists.
fn fault(rng: &mut StdRng, deed: Deed, size: Size, may_be_short: bool) -> Value {
    let lists = ["DescribeInstances"];
    let action =
        if rng.random_bool(0.25) { &lists[..] } else { calls(deed) }.choose(rng).copied().unwrap_or("");
    let mut fault =
        json!({"action": action, "nth": rng.random_range(1..=3), "count": rng.random_range(1..=2)});
    let is_launch = action == "RunInstances";
    let capacity = is_launch && may_be_short && rng.random_bool(0.4);
    let throttled = "RequestLimitExceeded";
    let (effect, code) = if capacity {
        ("error", Some(SHORT_OF))
    } else if size == Size::Short && is_launch && may_be_short {
        ("error", Some(throttled))
    } else {
        let kinds = [
            ("commit-then-drop", None),
            ("commit-then-hang", None),
            ("drop-before-commit", None),
            ("garbage", None),
            ("delay", None),
            ("error", Some(throttled)),
        ];
        *kinds.choose(rng).unwrap_or(&kinds[0])
    };
    fault["effect"] = json!(effect);
    match effect {
        "commit-then-hang" => fault["hangMs"] = json!(6000),
        "delay" => {
            let longest = u64::try_from(LONGEST_DELAY.as_millis()).unwrap_or_default();
            fault["delayMs"] = json!(rng.random_range(200..=longest));
        }
        _ => {}
    }
    if let Some(code) = code {
        fault["code"] = json!(code);
    }
    fault
}
