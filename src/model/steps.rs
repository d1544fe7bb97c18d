//! Everything that may happen in a state, and what happens once nothing goes wrong any more.

use super::collector;
use super::object::Object;
use super::process::Turn;
use super::rules::Bound;
use super::state::{
    Act, At, Budget, Collector, Done, IN_FLIGHT, LAG, Life, Message, Process, Role, State, View,
};
use super::tables::{OLDEST_TAKE_OVER, Tables};
use std::fmt;

/// What happened.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    TimePasses,
    Edited,
    Deleted,
    TakenOver,
    Crashed(Role),
    CaughtUp(Role),
    Swept(Role, &'static str),
    Turn(Role, &'static str),
    /// A launch call that was held up goes on.
    Call(&'static str),
    TimedOut(Role),
    Terminated(u8),
    Died(u8),
    Forgotten(u8),
    Collector(&'static str),
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = |role: &Role| match role {
            Role::Leader => "the leader",
            Role::Former => "the former leader",
        };
        match self {
            Self::TimePasses => write!(f, "a minute passes"),
            Self::Edited => write!(f, "a user edits the spec"),
            Self::Deleted => write!(f, "a user deletes the object"),
            Self::TakenOver => write!(f, "another process takes the lease over"),
            Self::Crashed(role) => write!(f, "{} dies", who(role)),
            Self::CaughtUp(role) => write!(f, "the cache of {} catches up", who(role)),
            Self::Swept(role, words) => write!(f, "{} gets a list of instances: {words}", who(role)),
            Self::Turn(role, words) => write!(f, "{}: {words}", who(role)),
            Self::Call(words) => write!(f, "the call that was held up goes on: {words}"),
            Self::TimedOut(role) => write!(f, "{} waits no longer for an answer", who(role)),
            Self::Terminated(n) => write!(f, "i-{n} is terminated"),
            Self::Died(n) => write!(f, "i-{n} dies by itself"),
            Self::Forgotten(n) => write!(f, "EC2 shows i-{n} no more"),
            Self::Collector(words) => write!(f, "the collector: {words}"),
        }
    }
}

const ROLES: [Role; 2] = [Role::Leader, Role::Former];

/// The first state: an object that nobody has looked at, and a process that has just come to lead.
pub(super) fn first(tables: &mut Tables, bound: &Bound) -> State {
    let mut state = State { object: Some(Object::default()), left: bound.budget, ..State::default() };
    take_over(tables, &mut state);
    state
}

/// A new process leads. Before it does anything it lists all objects anew.
fn take_over(tables: &mut Tables, state: &mut State) {
    let (known, sends) = tables.nothing();
    state.leader = Some(Process {
        view: if state.object.is_some() { View::Current } else { View::Gone },
        known,
        sends,
        took_over: 0,
        failure: None,
        short: [0; 2],
        at: At::Rest,
    });
}

/// Every state that may follow.
pub(super) fn all(tables: &mut Tables, bound: &Bound, state: &State) -> Vec<(Event, State)> {
    let mut next = Vec::new();
    users(state, &mut next);
    instances(state, &mut next);
    processes(tables, bound, state, &mut next);
    calls(tables, bound, state, &mut next);
    collector::ways(tables, bound, state, &mut next);
    next.push((Event::TimePasses, later(tables, bound, state)));
    next.retain(|(_, after)| after != state);
    next
}

/// Whether this state is beyond the bound: it is not followed any further.
pub(super) fn is_beyond(bound: &Bound, state: &State) -> bool {
    state.object.and_then(|o| o.status.launch).is_some_and(|l| l.attempt > bound.attempts)
}

fn users(state: &State, next: &mut Vec<(Event, State)>) {
    let Some(object) = state.object.filter(|o| !o.deleting) else { return };
    if state.left.edits > 0 {
        let mut after = *state;
        after.left.edits -= 1;
        after.written(object);
        after.object = Some(Object { generation: object.generation + 1, ..object });
        next.push((Event::Edited, after));
    }
    if state.left.deletions > 0 {
        let mut after = *state;
        after.left.deletions -= 1;
        after.written(object);
        after.object = Some(Object { deleting: true, ..object }).filter(|o| o.finalizer);
        next.push((Event::Deleted, after));
    }
}

fn instances(state: &State, next: &mut Vec<(Event, State)>) {
    for (n, instance) in state.all() {
        let mut after = *state;
        match instance.life {
            Life::Running if state.left.deaths > 0 => {
                after.left.deaths -= 1;
                after.end(n, Life::Terminated);
                next.push((Event::Died(n), after));
            }
            Life::ShuttingDown => {
                after.end(n, Life::Terminated);
                next.push((Event::Terminated(n), after));
            }
            Life::Terminated if instance.changed > LAG => {
                after.end(n, Life::Forgotten);
                next.push((Event::Forgotten(n), after));
            }
            Life::Running | Life::Terminated | Life::Forgotten => {}
        }
    }
}

fn processes(tables: &mut Tables, bound: &Bound, state: &State, next: &mut Vec<(Event, State)>) {
    // A process ends when it finds that it has lost the lease, so of two former ones the first is gone.
    if state.left.take_overs > 0 && (state.leader.is_none() || state.former.is_none()) {
        let mut after = *state;
        after.left.take_overs -= 1;
        if let Some(leader) = after.leader.take().filter(|leader| leader.at != At::Rest) {
            after.former = Some(leader);
            after.disarm(tables.nothing());
            for message in after.messages.iter_mut().flatten().filter(|m| m.from == Some(Role::Leader)) {
                message.from = Some(Role::Former);
            }
            after.tidy();
        }
        take_over(tables, &mut after);
        next.push((Event::TakenOver, after));
    }
    for role in ROLES {
        let Some(process) = state.process(role) else { continue };
        // That a former leader ends is no fault: it does so by itself.
        if role == Role::Former || state.left.crashes > 0 {
            let mut after = *state;
            if role == Role::Leader {
                after.left.crashes -= 1;
            }
            *after.process_mut(role) = None;
            after.abandon(role);
            next.push((Event::Crashed(role), after));
        }
        if process.at == At::Rest {
            if matches!(process.view, View::Stale(_)) {
                let mut after = *state;
                let view = if state.object.is_some() { View::Current } else { View::Gone };
                *after.process_mut(role) = Some(Process { view, ..process });
                next.push((Event::CaughtUp(role), after));
            }
            // Before a launch is recorded nobody asks for boxes.
            let has_launched = state.seen_by(&process).is_some_and(|o| o.status.launch.is_some());
            for listing in has_launched.then(|| state.listings()).into_iter().flatten() {
                let ways = Turn { tables, rules: bound.rules, role }.swept(state, listing);
                next.extend(ways.into_iter().map(|(words, after)| (Event::Swept(role, words), after)));
            }
        }
        let ways = Turn { tables, rules: bound.rules, role }.ways(state);
        next.extend(ways.into_iter().map(|(words, after)| (Event::Turn(role, words), after)));
    }
}

fn calls(tables: &mut Tables, bound: &Bound, state: &State, next: &mut Vec<(Event, State)>) {
    for n in 0..state.messages.len() {
        let mut after = *state;
        let Some(message) = state.messages[n] else { continue };
        after.take_message(n);
        let role = message.from.unwrap_or(Role::Leader);
        let mut turn = Turn { tables, rules: bound.rules, role };
        let ways = turn.carried_out(&after, message);
        next.extend(ways.into_iter().map(|(words, after)| (Event::Call(words), after)));
        if message.from.is_some() {
            let mut left = turn.hears_nothing(state, message.attempt, true);
            left.messages[n] = Some(Message { from: None, ..message });
            left.tidy();
            next.push((Event::TimedOut(role), left));
            if message.age > 0 && bound.rules.calls_expire {
                let expired = turn.hears_nothing(&after, message.attempt, false);
                next.push((Event::Call("it is too late, and not sent on"), expired));
            }
        }
    }
}

/// Everything is a tick older.
fn later(tables: &mut Tables, bound: &Bound, state: &State) -> State {
    let mut after = *state;
    for n in 0..after.messages.len() {
        let Some(message) = &mut after.messages[n] else { continue };
        message.age = (message.age + 1).min(IN_FLIGHT);
        if message.age < IN_FLIGHT || !bound.rules.calls_expire {
            continue;
        }
        // It is over with this call: who waits for it still hears nothing.
        let message = *message;
        if let Some(role) = message.from {
            let mut turn = Turn { tables, rules: bound.rules, role };
            after = turn.hears_nothing(&after, message.attempt, true);
        }
        after.messages[n] = None;
    }
    after.tidy();
    let nothing = tables.nothing();
    for process in [&mut after.leader, &mut after.former].into_iter().flatten() {
        process.known = tables.known_later(process.known);
        process.sends = tables.sends_later(process.sends);
        process.took_over = (process.took_over + 1).min(OLDEST_TAKE_OVER);
        process.short = process.short.map(|left| left.saturating_sub(1));
        if let View::Stale(object) = &mut process.view {
            object.status.age();
        }
        if let At::Done { act: Act::Record(status), .. } = &mut process.at {
            status.age();
        }
    }
    after.disarm(nothing);
    if let Some(object) = &mut after.object {
        object.status.age();
    }
    if let Collector::Read(Some(object)) = &mut after.collector {
        object.status.age();
    }
    for instance in after.instances.iter_mut().flatten() {
        instance.made = (instance.made + 1).min(LAG + 1);
        instance.changed = (instance.changed + 1).min(LAG + 1);
    }
    after
}

/// What nobody can keep from happening once nothing goes wrong any more: whoever lost the lease ends, what is on
/// its way arrives, instances end, somebody leads, and caches and lists are up to date.
pub(super) fn calm(tables: &mut Tables, bound: &Bound, state: &State) -> State {
    let mut state = State { left: Budget::NONE, collector: Collector::Rest, ..*state };
    if state.former.take().is_some() {
        state.abandon(Role::Former);
    }
    while let Some(message) = state.messages[0] {
        state.take_message(0);
        let role = message.from.unwrap_or(Role::Leader);
        let ways = Turn { tables, rules: bound.rules, role }.carried_out(&state, message);
        state = ways[0].1;
    }
    for instance in state.instances.iter_mut().flatten() {
        if instance.life == Life::ShuttingDown {
            (instance.life, instance.changed) = (Life::Terminated, 0);
        }
    }
    if state.leader.is_none() {
        take_over(tables, &mut state);
    }
    let listing = state.listing();
    if let Some(leader) = &mut state.leader
        && leader.at == At::Rest
    {
        if matches!(leader.view, View::Stale(_)) {
            leader.view = if state.object.is_some() { View::Current } else { View::Gone };
        }
        leader.known = tables.swept(leader.known, listing);
    }
    state
}

/// Whether the leader finds nothing to do.
pub(super) fn is_quiet(tables: &mut Tables, bound: &Bound, state: &State) -> bool {
    let ways = Turn { tables, rules: bound.rules, role: Role::Leader }.ways(state);
    ways.iter().all(|(_, after)| after == state)
}

/// One step of the leader with which nothing goes wrong. Where there is nothing to do, or it failed, time passes.
pub(super) fn calm_step(tables: &mut Tables, bound: &Bound, state: &State) -> State {
    let has_failed = state.leader.is_some_and(|l| matches!(l.at, At::Done { done: Done::Failed, .. }));
    let ways = Turn { tables, rules: bound.rules, role: Role::Leader }.ways(state);
    match ways.into_iter().next() {
        Some((_, after)) if has_failed => later(tables, bound, &after),
        Some((_, after)) if after != *state => after,
        _ => later(tables, bound, state),
    }
}
