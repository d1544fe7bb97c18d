//! Every state that can be reached, nearest first: so the first violation that is found has the shortest path.

use super::hashing::{FastMap, FastSet};
use super::process::is_at_rest;
use super::rules::Bound;
use super::state::{State, Wrong};
use super::steps::{self, Event};
use super::tables::Tables;
use std::fmt::Write;

/// So many steps without a fault are enough to come to rest.
const STEPS: usize = 200;

/// What a search found.
pub(super) struct Found {
    pub(super) states: usize,
    /// How many of them are beyond the bound, and were not followed.
    pub(super) beyond: usize,
    /// How long the longest of the shortest paths is.
    pub(super) depth: usize,
    /// How many different questions the production plan was asked.
    pub(super) plans: usize,
    pub(super) violation: Option<Violation>,
}

/// What went wrong, and how.
pub(super) struct Violation {
    pub(super) what: What,
    pub(super) path: String,
}

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// What must not be at any time.
    Unsafe(Wrong),
    /// It does not come to rest though nothing goes wrong any more.
    Stuck,
}

struct Search {
    states: Vec<State>,
    /// Where each was reached from, and by what.
    from: Vec<(u32, Event)>,
    depth: Vec<u16>,
    numbers: FastMap<State, u32>,
}

/// Searches until there is nothing more, or something is wrong.
pub(super) fn search(bound: &Bound) -> Found {
    let tables = &mut Tables::default();
    let first = steps::first(tables, bound);
    let mut search = Search {
        states: vec![first],
        from: vec![(0, Event::TimePasses)],
        depth: vec![0],
        numbers: FastMap::from_iter([(first, 0)]),
    };
    let mut rests = FastSet::default();
    let mut beyond = 0;
    let mut violation = None;
    let mut n = 0;
    while n < search.states.len() {
        let state = search.states[n];
        let what = match state.wrong {
            Some(wrong) => Some(What::Unsafe(wrong)),
            None if !comes_to_rest(tables, bound, &state, &mut rests) => Some(What::Stuck),
            None => None,
        };
        if let Some(what) = what {
            violation = Some(Violation { what, path: search.path(n) });
            break;
        }
        if steps::is_beyond(bound, &state) {
            beyond += 1;
        } else {
            for (event, after) in steps::all(tables, bound, &state) {
                search.reach(n, event, after);
            }
        }
        n += 1;
    }
    Found {
        states: search.states.len(),
        beyond,
        depth: search.depth.last().copied().unwrap_or_default().into(),
        plans: tables.plans(),
        violation,
    }
}

impl Search {
    fn reach(&mut self, from: usize, event: Event, state: State) {
        let next = u32::try_from(self.states.len()).expect("the bound keeps it small");
        let number = *self.numbers.entry(state).or_insert(next);
        if number == next {
            self.states.push(state);
            self.from.push((u32::try_from(from).expect("it was counted"), event));
            self.depth.push(self.depth[from] + 1);
        }
    }

    /// What happened on the way to a state.
    fn path(&self, to: usize) -> String {
        let mut events = Vec::new();
        let mut n = to;
        while n != 0 {
            let (from, event) = self.from[n];
            events.push(event);
            n = from as usize;
        }
        let mut path = String::new();
        for (n, event) in (1..).zip(events.iter().rev()) {
            let _ = writeln!(path, "{n:4}. {event}");
        }
        let _ = writeln!(path, "{:?}", self.states[to]);
        path
    }
}

/// Whether all is well in the end once nothing goes wrong any more. What is known to come to rest is remembered.
fn comes_to_rest(tables: &mut Tables, bound: &Bound, from: &State, rests: &mut FastSet<State>) -> bool {
    let mut way = Vec::new();
    let mut state = *from;
    for _ in 0..STEPS {
        state = steps::calm(tables, bound, &state);
        if state.wrong.is_some() {
            // The search comes here as well, by the shortest path.
            return !steps::is_beyond(bound, from);
        }
        if rests.contains(&state) || (is_at_rest(&state) && steps::is_quiet(tables, bound, &state)) {
            rests.extend(way);
            return true;
        }
        way.push(state);
        state = steps::calm_step(tables, bound, &state);
    }
    false
}
