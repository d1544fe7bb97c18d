//! What a controller does: looks and decides, acts, writes. It mirrors `pass`, `act`, `report` and the adapter; what
//! those ask of pure code is asked of the same code here.

use super::object::{Object, Status};
use super::rules::Rules;
use super::state::{
    Act, At, Closing, Done, Failed, Life, MESSAGES, Message, Process, Request, Role, State, View, Why, Wrong,
};
use super::tables::{Listing, Question, SHORT, Tables};
use super::world::Answer;
use crate::api::workspace::Outcome;

/// How a write to the API server ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Written {
    Yes,
    Conflict,
    Gone,
    Refused,
}

/// One way on, and what EC2 or the API server did to make it this one.
pub(super) type Ways = Vec<(&'static str, State)>;

/// A controller in a state, with the production code to ask.
pub(super) struct Turn<'a> {
    pub(super) tables: &'a mut Tables,
    pub(super) rules: Rules,
    pub(super) role: Role,
}

impl Turn<'_> {
    /// Every way on for this process, but for its end. Nothing goes wrong in the first of them.
    pub(super) fn ways(&mut self, state: &State) -> Ways {
        let Some(process) = state.process(self.role) else { return Vec::new() };
        match process.at {
            At::Rest => self.looks(state, process),
            At::Patching { act } => self.patches(state, process, act),
            At::Asking { .. } => Vec::new(),
            At::Done { act, boxes, done } => self.reports(state, process, act, boxes, done),
        }
    }

    /// Every way on from a list of instances: it wakes the pass that looks at it.
    pub(super) fn swept(&mut self, state: &State, listing: Listing) -> Ways {
        let Some(process) = state.process(self.role) else { return Vec::new() };
        let known = self.tables.swept(process.known, listing);
        let process = Process { known, ..process };
        let state = self.set(state, process);
        self.looks(&state, process)
    }

    /// What follows in a state. A former leader that has ended its pass ends, and what it knows is no matter.
    fn set(&mut self, state: &State, process: Process) -> State {
        let mut after = *state;
        let has_ended = self.role == Role::Former && process.at == At::Rest;
        *after.process_mut(self.role) = if has_ended { None } else { Some(process) };
        if self.role == Role::Former {
            after.disarm(self.tables.nothing());
        }
        after
    }

    /// One look, one decision and, where that is a call to EC2, the call: it is sent within the deadline that the
    /// look was made in, or not at all. After a doubt the object is read live.
    fn looks(&mut self, state: &State, mut process: Process) -> Ways {
        if process.view == View::Doubt {
            process.view = if state.object.is_some() { View::Current } else { View::Gone };
        }
        let Some(object) = state.seen_by(&process) else { return Vec::new() };
        let look = self.tables.look(process.known, object.status);
        // What no list shows is asked for by its id, and may still not be there to be seen.
        let mut known = vec![look.known];
        for n in &look.unproven {
            let instance = state.instances[usize::from(*n)].expect("what is expected was made");
            let shown = instance.shown();
            known = known
                .iter()
                .flat_map(|known| {
                    let learnt = shown.iter().map(|life| match life {
                        Some(life) => self.tables.answered(*known, *n, instance.attempt, *life),
                        None => self.tables.gone(*known, *n),
                    });
                    learnt.collect::<Vec<_>>()
                })
                .collect();
        }
        let mut ways = Vec::new();
        for known in known {
            let look = self.tables.look(known, object.status);
            ways.extend(self.decides(state, Process { known: look.known, ..process }, object, look.boxes));
        }
        ways
    }

    fn decides(&mut self, state: &State, mut process: Process, object: Object, boxes: u16) -> Ways {
        process.failure = process.failure.filter(|failure| failure.is_about(&object));
        let Process { known, sends, took_over, failure, short, .. } = process;
        let rules = self.rules;
        let question = Question { object, boxes, known, sends, took_over, failure, short, rules };
        let act = self.tables.decide(question);
        let at = match act {
            Act::Nothing if self.tables.report(object, act, boxes, Done::Nothing) == object.status => {
                At::Rest
            }
            Act::Nothing | Act::Record(_) => At::Done { act, boxes, done: Done::Nothing },
            Act::AddFinalizer | Act::Release(_) => At::Patching { act },
            Act::Create => return self.creates(state, process, object, boxes),
            Act::Destroy(n) => return self.destroys(state, process, n, boxes),
        };
        vec![("looks", self.set(state, Process { at, ..process }))]
    }

    fn patches(&mut self, state: &State, process: Process, act: Act) -> Ways {
        let rest = Process { at: At::Rest, ..process };
        let mut after = *state;
        let written = patch(&mut after, process.view, act);
        let view = match written {
            Written::Yes if after.object.is_none() => View::Gone,
            Written::Yes => View::Current,
            Written::Gone => View::Gone,
            Written::Conflict | Written::Refused => View::Doubt,
        };
        after = self.set(&after, Process { view, ..rest });
        let mut ways = vec![("patches the finalizer", after)];
        if written == Written::Yes && state.left.lost_writes > 0 {
            let mut lost = self.set(&after, Process { view: View::Doubt, ..rest });
            lost.left.lost_writes -= 1;
            ways.push(("patches the finalizer, and hears nothing", lost));
        }
        ways
    }

    fn creates(&mut self, state: &State, mut process: Process, object: Object, boxes: u16) -> Ways {
        let record = object.status.launch.expect("only what is recorded is sent");
        let (sends, alone) = self.tables.going_out(process.sends, record.attempt);
        process.sends = sends;
        process.at = At::Asking { boxes, alone };
        let message = Message {
            attempt: record.attempt,
            request: Request { generation: record.generation, offering: record.offering },
            age: 0,
            from: Some(self.role),
        };
        let asking = self.set(state, process);
        let mut ways = self.carried_out(&asking, message);
        if state.left.delays > 0 && state.messages.iter().any(Option::is_none) {
            let mut delayed = asking;
            delayed.left.delays -= 1;
            delayed.messages[MESSAGES - 1] = Some(message);
            delayed.tidy();
            ways.push(("sends a launch call that is held up", delayed));
        }
        ways
    }

    /// EC2 carries a launch call out, and who waits for the answer gets it, or not.
    pub(super) fn carried_out(&mut self, state: &State, message: Message) -> Ways {
        let mut ways = Vec::new();
        let shortage = state.may_be_short(message.attempt).then_some(true);
        for is_short in [Some(false), shortage].into_iter().flatten() {
            let mut after = *state;
            let answer = after.launch(message.attempt, message.request, is_short);
            let words = match answer {
                Answer::Instance(_) => "EC2 launches, or answers what was launched",
                Answer::Ended => "EC2 answers that the instance has ended",
                Answer::Short => "EC2 has no capacity",
            };
            if message.from.is_none() {
                ways.push((words, after));
                continue;
            }
            ways.push((words, self.hears(&after, message, answer)));
            if state.left.lost_replies > 0 {
                let mut lost = self.hears_nothing(&after, message.attempt, true);
                lost.left.lost_replies -= 1;
                let words = match answer {
                    Answer::Instance(_) => "EC2 launches, and the reply is lost",
                    Answer::Ended | Answer::Short => "EC2 refuses, and the reply is lost",
                };
                ways.push((words, lost));
            }
        }
        ways
    }

    fn hears(&mut self, state: &State, message: Message, answer: Answer) -> State {
        let mut process = state.process(self.role).expect("it waits");
        let At::Asking { boxes, alone } = process.at else { unreachable!("it waits for the answer") };
        let Message { attempt, request: Request { offering, .. }, .. } = message;
        let kind = match answer {
            Answer::Instance(n) => {
                let life = state.instances[usize::from(n)].expect("it was answered").life;
                process.sends = self.tables.call_answered(process.sends, attempt, true);
                process.known = self.tables.answered(process.known, n, attempt, life);
                process.failure = None;
                let done = Done::Box { instance: n, attempt, state: life };
                process.at = At::Done { act: Act::Nothing, boxes, done };
                return self.set(state, process);
            }
            Answer::Ended => Closing::Ended,
            Answer::Short => {
                process.short[usize::from(offering)] = SHORT;
                Closing::NoCapacity
            }
        };
        process.sends = self.tables.call_answered(process.sends, attempt, alone);
        let Object { generation, deleting, .. } = state.seen_by(&process).expect("its pass is about one");
        process.failure = Some(Failed { kind, generation, deleting, attempt });
        self.set(state, failed(process, boxes))
    }

    /// The call has ended without an answer, or with one that it was not sent on.
    pub(super) fn hears_nothing(&mut self, state: &State, attempt: u8, was_sent_on: bool) -> State {
        let mut process = state.process(self.role).expect("it waits");
        let At::Asking { boxes, alone } = process.at else { unreachable!("it waits for the answer") };
        process.sends = if was_sent_on {
            self.tables.call_lost(process.sends, attempt)
        } else {
            self.tables.call_answered(process.sends, attempt, alone)
        };
        self.set(state, failed(process, boxes))
    }

    fn destroys(&mut self, state: &State, process: Process, n: u8, boxes: u16) -> Ways {
        let instance = state.instances[usize::from(n)].expect("it was seen");
        let mut ways = Vec::new();
        for shown in instance.shown() {
            if shown.is_none() {
                let process = failed(process, boxes);
                ways.push(("EC2 does not show the instance", self.set(state, process)));
                continue;
            }
            if shown != Some(instance.life) {
                // Ended, and shown as running: ending it once more is fine, and answers the truth.
                continue;
            }
            let mut after = *state;
            if instance.life == Life::Running {
                after.end(n, Life::ShuttingDown);
            }
            let life = after.instances[usize::from(n)].expect("it was seen").life;
            let known = self.tables.answered(process.known, n, instance.attempt, life);
            let done = Done::Box { instance: n, attempt: instance.attempt, state: life };
            let at = At::Done { act: Act::Nothing, boxes, done };
            ways.push((
                "EC2 ends the instance",
                self.set(&after, Process { known, at, failure: None, ..process }),
            ));
            if state.left.lost_replies > 0 {
                after.left.lost_replies -= 1;
                let process = failed(process, boxes);
                ways.push(("EC2 ends the instance, and the reply is lost", self.set(&after, process)));
            }
        }
        ways
    }

    /// The write of the status.
    fn reports(&mut self, state: &State, process: Process, act: Act, boxes: u16, done: Done) -> Ways {
        let rest = Process { at: At::Rest, ..process };
        let object = state.seen_by(&process).expect("its pass is about one");
        let says = self.tables.report(object, act, boxes, done);
        let is_record = matches!(act, Act::Record(_));
        if says == object.status && !is_record {
            return vec![("has nothing to write", self.set(state, rest))];
        }
        let mut after = *state;
        let written =
            replace_status(&mut after, process.view, says, self.rules.status_writes_carry_a_version);
        let mut heard = rest;
        heard.view = match written {
            Written::Yes => View::Current,
            Written::Gone => View::Gone,
            Written::Conflict => View::Doubt,
            Written::Refused => rest.view,
        };
        let attempt = |status: &Status| status.launch.map(|l| l.attempt);
        if let (Act::Record(status), Written::Yes) = (act, written) {
            let is_new = attempt(&status) != attempt(&object.status);
            let attempt = attempt(&status).expect("it is recorded");
            heard.sends = self.tables.recorded(heard.sends, attempt, is_new);
        }
        let words = match written {
            Written::Yes => "writes its status",
            Written::Conflict => "meets a conflict",
            Written::Gone => "finds the object gone",
            Written::Refused => "is refused by a rule of the schema",
        };
        let mut ways = vec![(words, self.set(&after, heard))];
        if written == Written::Yes && state.left.lost_writes > 0 {
            let mut lost = self.set(&after, Process { view: View::Doubt, ..rest });
            lost.left.lost_writes -= 1;
            ways.push(("writes its status, and hears nothing", lost));
        }
        ways
    }
}

fn failed(process: Process, boxes: u16) -> Process {
    Process { at: At::Done { act: Act::Nothing, boxes, done: Done::Failed }, ..process }
}

/// Whether a write of who has this view is taken: only of the version that it was made from.
fn precondition(state: &State, view: View, carries_a_version: bool) -> Result<Object, Written> {
    let object = state.object.ok_or(Written::Gone)?;
    if view != View::Current && carries_a_version {
        return Err(Written::Conflict);
    }
    Ok(object)
}

fn patch(state: &mut State, view: View, act: Act) -> Written {
    let before = match precondition(state, view, true) {
        Ok(before) => before,
        Err(written) => return written,
    };
    state.written(before);
    let finalizer = act == Act::AddFinalizer;
    let after = Object { finalizer, ..before };
    state.object = Some(after).filter(|after| after.finalizer || !after.deleting);
    if matches!(act, Act::Release(Why::NeverLaunched | Why::Gone)) && state.live().next().is_some() {
        state.wrong = Some(Wrong::Leaked);
    }
    Written::Yes
}

fn replace_status(state: &mut State, view: View, status: Status, carries_a_version: bool) -> Written {
    let before = match precondition(state, view, carries_a_version) {
        Ok(before) => before,
        Err(written) => return written,
    };
    let falls = match (before.status.launch, status.launch) {
        (Some(_), None) => true,
        (Some(before), Some(after)) => after.attempt < before.attempt,
        (None, _) => false,
    };
    if falls {
        return Written::Refused;
    }
    state.written(before);
    state.object = Some(Object { status, ..before });
    Written::Yes
}

/// Whether the object is as it should be at rest: one instance, and it is the recorded one.
pub(super) fn is_at_rest(state: &State) -> bool {
    let live: Vec<_> = state.live().collect();
    let none_on_the_way = state.messages.iter().all(Option::is_none);
    let Some(object) = state.object else { return live.is_empty() && none_on_the_way };
    let (Some(record), [(n, instance)]) = (object.status.launch, live.as_slice()) else { return false };
    !object.deleting
        && none_on_the_way
        && instance.life == Life::Running
        && object.status.id == Some(*n)
        && record.outcome == Outcome::Launched
        && record.attempt == instance.attempt
        && record.generation == object.generation
        && instance.request.generation == object.generation
}
