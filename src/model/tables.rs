//! The production code, asked once for each question: what it answers is looked up from then on.
//!
//! Values of production types stand in a state by their number. Two are the same if they print the same.

use super::hashing::FastMap;
use super::memo::{Values, remembered};
use super::object::{Object, Status, TICK, UID, id, now, number, placement, ticks};
use super::rules::{Fence, Rules};
use super::state::{Act, Closing, Done, Failed, INSTANCES, Instance, Life, Why};
use crate::api::names;
use crate::backend::model::{Expected, Known, Offering, Sends, Shortages, Sweep, outlook, seen};
use crate::backend::{BackendError, BoxSeen, ErrorKind, Found, Outlook, Recorder};
use crate::collector::judge::{Owner, Record, Times, Verdict, judge};
use crate::liveness::{AgentView, Link};
use crate::metrics::Thing;
use crate::reconcile::Pauses;
use crate::workspace::describe::{describe, recorded};
use crate::workspace::plan::plan;
use crate::workspace::recorded::expected;
use crate::workspace::seen::{Failure, Periods, Seen, Slot, Volume};
use crate::workspace::step::Step;
use atelier_wire::control_plane::InstanceView;
use k8s_openapi::jiff::SignedDuration;
use kube::ResourceExt;
use std::time::Duration;

/// How long EC2's lists may be behind, as the adapter has it.
const WINDOW: i32 = 1;
/// What happened longer ago counts as this old: beyond it nothing is decided otherwise, but that a list that is
/// older than that settles nothing.
const OLDEST_SWEEP: i32 = 1;
const OLDEST_ANSWER: i32 = 2;
const OLDEST_SEND: i32 = 3;
/// The same for the take-over.
pub(super) const OLDEST_TAKE_OVER: u8 = 4;
/// The boxes of a process that has not seen a list yet.
pub(super) const UNSWEPT: u16 = u16::MAX;

/// Which instances a list shows, and how.
pub(super) type Listing = [Option<(u8, Life)>; INSTANCES];

/// A change of what is known of the instances.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Learnt {
    Later,
    Swept(Listing),
    Answered(u8, u8, Life),
    Gone(u8),
}

/// A change of what is known of the calls.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Sent {
    Later,
    Recorded(u8),
    Noted(u8),
    GoingOut(u8),
    Answered(u8, bool),
    Lost(u8),
}

/// Everything that a decision goes by.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Question {
    pub(super) object: Object,
    pub(super) boxes: u16,
    pub(super) known: u16,
    pub(super) sends: u16,
    pub(super) took_over: u8,
    pub(super) failure: Option<Failed>,
    pub(super) short: [u8; 2],
    pub(super) rules: Rules,
}

/// What is seen of the boxes: what is known then, the boxes, and the ids that EC2 must be asked for.
#[derive(Clone)]
pub(super) struct Look {
    pub(super) known: u16,
    pub(super) boxes: u16,
    pub(super) unproven: Vec<u8>,
}

/// The questions that were asked, with their answers.
#[derive(Default)]
pub(super) struct Tables {
    known: Values<Known>,
    sends: Values<Sends>,
    boxes: Values<Vec<BoxSeen>>,
    learnt: FastMap<(u16, Learnt), u16>,
    sent: FastMap<(u16, Sent), u16>,
    looks: FastMap<(u16, Status), Look>,
    decisions: FastMap<Question, Act>,
    reports: FastMap<(Object, Act, u16, Done), Status>,
    orphans: FastMap<(u8, Instance, Option<Object>), bool>,
}

impl Tables {
    /// How many different plans were asked for.
    pub(super) fn plans(&self) -> usize {
        self.decisions.len()
    }

    /// What a new process knows.
    pub(super) fn nothing(&mut self) -> (u16, u16) {
        (self.known.number(Known::new(TICK * WINDOW)), self.sends.number(Sends::default()))
    }

    fn learn(&mut self, known: u16, learnt: Learnt) -> u16 {
        remembered(
            self,
            |t| &mut t.learnt,
            (known, learnt),
            |t| {
                let mut after = t.known.get(known).clone();
                match learnt {
                    Learnt::Later => after.age(TICK, ticks(-OLDEST_SWEEP), ticks(-OLDEST_ANSWER)),
                    Learnt::Swept(listing) => {
                        let listed = (0u8..).zip(listing).filter_map(|(n, shown)| Some((n, shown?)));
                        let instances =
                            listed.map(|(n, (attempt, life))| instance(n, attempt, life)).collect();
                        after.take(Sweep { started: now(), instances });
                    }
                    Learnt::Answered(n, attempt, life) => {
                        after.answered(UID, seen(&instance(n, attempt, life)), now());
                    }
                    Learnt::Gone(n) => after.gone(&id(n)),
                }
                t.known.number(after)
            },
        )
    }

    pub(super) fn known_later(&mut self, known: u16) -> u16 {
        self.learn(known, Learnt::Later)
    }

    pub(super) fn swept(&mut self, known: u16, listing: Listing) -> u16 {
        self.learn(known, Learnt::Swept(listing))
    }

    pub(super) fn answered(&mut self, known: u16, n: u8, attempt: u8, life: Life) -> u16 {
        self.learn(known, Learnt::Answered(n, attempt, life))
    }

    pub(super) fn gone(&mut self, known: u16, n: u8) -> u16 {
        self.learn(known, Learnt::Gone(n))
    }

    fn note(&mut self, sends: u16, sent: Sent) -> u16 {
        remembered(
            self,
            |t| &mut t.sent,
            (sends, sent),
            |t| {
                let mut after = t.sends.get(sends).clone();
                match sent {
                    Sent::Later => after.age(TICK, ticks(-OLDEST_SEND)),
                    Sent::Recorded(attempt) => after.recorded(UID, attempt.into()),
                    Sent::Noted(attempt) => after.noted(UID, attempt.into()),
                    Sent::GoingOut(attempt) => after.going_out(UID, attempt.into(), ticks(1)),
                    Sent::Answered(attempt, alone) => after.answered(UID, attempt.into(), alone),
                    Sent::Lost(attempt) => after.lost(UID, attempt.into()),
                }
                t.sends.number(after)
            },
        )
    }

    pub(super) fn sends_later(&mut self, sends: u16) -> u16 {
        self.note(sends, Sent::Later)
    }

    /// An attempt was recorded, or its record written anew.
    pub(super) fn recorded(&mut self, sends: u16, attempt: u8, is_new: bool) -> u16 {
        self.note(sends, if is_new { Sent::Recorded(attempt) } else { Sent::Noted(attempt) })
    }

    /// A call goes out; whether it is alone.
    pub(super) fn going_out(&mut self, sends: u16, attempt: u8) -> (u16, bool) {
        let alone = self.sends.get(sends).is_clear(UID, attempt.into());
        (self.note(sends, Sent::GoingOut(attempt)), alone)
    }

    pub(super) fn call_answered(&mut self, sends: u16, attempt: u8, alone: bool) -> u16 {
        self.note(sends, Sent::Answered(attempt, alone))
    }

    pub(super) fn call_lost(&mut self, sends: u16, attempt: u8) -> u16 {
        self.note(sends, Sent::Lost(attempt))
    }

    /// What a process sees of the boxes, as the adapter asks for them.
    pub(super) fn look(&mut self, known: u16, status: Status) -> Look {
        remembered(
            self,
            |t| &mut t.looks,
            (known, status),
            |t| {
                let mut after = t.known.get(known).clone();
                if status.launch.is_none() {
                    return Look { known, boxes: t.boxes.number(Vec::new()), unproven: Vec::new() };
                }
                if after.swept().is_none() {
                    return Look { known, boxes: UNSWEPT, unproven: Vec::new() };
                }
                let expected: Vec<Expected> = expected(&status.full())
                    .into_iter()
                    .map(|(id, attempt)| Expected { id, attempt })
                    .collect();
                let (boxes, unproven) = after.boxes(UID, &expected, now());
                Look {
                    known: t.known.number(after),
                    boxes: t.boxes.number(boxes),
                    unproven: unproven.iter().map(|id| number(id)).collect(),
                }
            },
        )
    }

    /// What the production plan decides.
    pub(super) fn decide(&mut self, question: Question) -> Act {
        remembered(
            self,
            |t| &mut t.decisions,
            question,
            |t| {
                let ws = question.object.workspace();
                let seen = t.seen(&question);
                match plan(&ws, &seen, now()).step {
                    Step::Nothing => Act::Nothing,
                    Step::AddFinalizer => Act::AddFinalizer,
                    Step::ReleaseFinalizer(why) => Act::Release(Why::of(why)),
                    Step::Record(record) => {
                        Act::Record(Status::of(&recorded(&question.object.status.full(), &record)))
                    }
                    Step::Create => Act::Create,
                    Step::Destroy(seen) => Act::Destroy(number(&seen.id)),
                    step => unreachable!("nothing in the model asks for {step:?}"),
                }
            },
        )
    }

    /// The status that the production code writes after a step.
    pub(super) fn report(&mut self, object: Object, act: Act, boxes: u16, done: Done) -> Status {
        remembered(
            self,
            |t| &mut t.reports,
            (object, act, boxes, done),
            |t| {
                let mut look = t.seen_boxes(object, boxes, 0);
                if let Done::Box { instance: n, attempt, state } = done {
                    look = look.with_box(seen(&instance(n, attempt, state)));
                }
                let base = if let Act::Record(status) = act { status } else { object.status };
                Status::of(&describe(&object.workspace(), &base.full(), &look, now()).status)
            },
        )
    }

    /// Whether the collector ends this instance, were this what it read of its owner.
    pub(super) fn is_orphan(&mut self, n: u8, instance: Instance, owner: Option<Object>) -> bool {
        remembered(
            self,
            |t| &mut t.orphans,
            (n, instance, owner),
            |_| {
                let ws = Object::default().workspace();
                let found = Found {
                    thing: Thing::Box,
                    id: id(n),
                    uid: UID.to_owned(),
                    namespace: ws.namespace().unwrap(),
                    name: ws.name_any(),
                    attempt: Some(instance.attempt.into()),
                    made_at: Some(ticks(-i32::from(instance.made))),
                    is_retained: false,
                    is_ending: instance.life != Life::Running,
                    is_in_use: false,
                };
                let owner = owner.map_or(Owner::None, |owner| Owner::Lives(Record::from(&owner.workspace())));
                let times = Times { now: now(), window: TICK * WINDOW };
                matches!(judge(&found, &owner, None, times), Verdict::Remove(_))
            },
        )
    }

    fn seen(&self, question: &Question) -> Seen {
        let Question { object, boxes, known, sends, took_over, failure, short, rules } = *question;
        let attempt = object.status.launch.map_or(0, |l| l.attempt);
        let (sends, took_over) = (self.sends.get(sends), ticks(-i32::from(took_over)));
        let ends = sends.effect_until(UID, attempt.into(), took_over);
        let earlier_ends = sends.earlier_until(UID, attempt.into(), took_over);
        let shortages = shortages(short);
        let swept = self.known.get(known).swept();
        let ends = match rules.fence {
            Fence::OfAllAttempts => (ends, earlier_ends),
            Fence::OfTheRecordedOne => (ends, None),
            Fence::Down => (None, None),
        };
        let recorder = sends.recorder(UID, attempt.into());
        let recorder = if rules.records_are_noted { recorder } else { Recorder::This };
        let short_until = shortages.all_until(&offerings(), now());
        let outlook = outlook(ends, recorder, swept, TICK * WINDOW, short_until, now());
        let failure = failure.map(|f| {
            let kind = match f.kind {
                Closing::NoCapacity => ErrorKind::NoCapacity,
                Closing::Ended => ErrorKind::Ended,
            };
            Failure { error: BackendError::new(kind, "said"), not_before: now() }
        });
        Seen { outlook, failure, ..self.seen_boxes(object, boxes, choose(short)) }
    }

    fn seen_boxes(&self, object: Object, boxes: u16, offering: u8) -> Seen {
        let boxes = match boxes {
            UNSWEPT => Err(BackendError::new(ErrorKind::Busy, "the first list is on its way")),
            boxes => Ok(self.boxes.get(boxes).clone()),
        };
        let none = Pauses { first: Duration::ZERO, longest: Duration::ZERO };
        Seen {
            configured: true,
            desired: Ok(object.desired(offering)),
            place: Ok(placement()),
            boxes,
            outlook: Outlook { absence_proves: false, ..Outlook::CERTAIN },
            volume: Volume::Settled,
            leftovers: Ok(false),
            image: None,
            pull_credentials: None,
            agent: AgentView {
                first_call: None,
                stages: Vec::new(),
                exit: None,
                rejected: None,
                link: Link::Connected { since: now(), card: None },
                ttl: SignedDuration::from_secs(180),
            },
            log_tail: None,
            slot: Slot::Free,
            may_roll: false,
            failure: None,
            periods: Periods { pauses: none, ..Periods::default() },
            jitter: 0.5,
        }
    }
}

fn offerings() -> [Offering; 2] {
    ["big", "small"]
        .map(|instance_type| Offering { instance_type: instance_type.into(), subnet_id: "subnet".into() })
}

/// For so many ticks an offering counts as short, once EC2 had no capacity for it.
pub(super) const SHORT: u8 = 3;

fn shortages(short: [u8; 2]) -> Shortages {
    let mut shortages = Shortages::default();
    for (offering, left) in offerings().into_iter().zip(short).filter(|(_, left)| *left > 0) {
        shortages.note(offering, ticks(i32::from(left) - i32::from(SHORT)));
    }
    shortages
}

/// The offering of the next attempt.
fn choose(short: [u8; 2]) -> u8 {
    let all = offerings();
    let chosen = shortages(short).choose(&all, now()).cloned();
    u8::from(chosen.as_ref() == Some(&all[1]))
}

fn instance(n: u8, attempt: u8, life: Life) -> InstanceView {
    let word = match life {
        Life::Running => "running",
        Life::ShuttingDown => "shutting-down",
        Life::Terminated | Life::Forgotten => "terminated",
    };
    let tags = [(names::UID.to_owned(), UID.to_owned()), (names::ATTEMPT.to_owned(), attempt.to_string())];
    InstanceView {
        instance_id: id(n),
        state: word.into(),
        observed: true,
        tags: tags.into(),
        ..InstanceView::default()
    }
}
