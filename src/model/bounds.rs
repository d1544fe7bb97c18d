//! What is searched exhaustively: nothing may be wrong within these bounds. All but the last take a minute together.

use super::rules::{Bound, Collection, Rules};
use super::search::search;
use super::state::Budget;

/// Two controllers, a death of either between any two steps, and a deletion at any time.
const FAULTS: Budget = Budget { crashes: 1, take_overs: 1, deletions: 1, ..Budget::NONE };

fn holds(name: &str, bound: &Bound) {
    let found = search(bound);
    let (states, depth, plans) = (found.states, found.depth, found.plans);
    println!("{name}: {states} states, the farthest {depth} steps away, {plans} different looks, {bound:?}");
    if let Some(violation) = found.violation {
        panic!("{name}: {:?} after\n{}", violation.what, violation.path);
    }
    assert_eq!(found.beyond, 0, "{name}: the bound on attempts cut something off");
    assert!(states > 10_000, "{name}: next to nothing was searched");
}

fn all_rules(attempts: u8, budget: Budget) -> Bound {
    Bound { rules: Rules::ALL, attempts, budget }
}

#[test]
fn a_call_that_lies_around_and_an_offering_without_capacity() {
    holds("delay, capacity", &all_rules(2, Budget { delays: 1, shortages: 1, ..FAULTS }));
}

#[test]
fn replies_that_are_lost_and_a_call_that_lies_around() {
    holds("lost replies", &all_rules(1, Budget { lost_replies: 1, lost_writes: 1, ..FAULTS }));
    holds("lost reply, delay", &all_rules(1, Budget { lost_replies: 1, delays: 1, ..FAULTS }));
}

#[test]
fn an_instance_that_dies() {
    holds("death", &all_rules(2, Budget { deaths: 1, crashes: 0, ..FAULTS }));
}

#[test]
fn an_edit_and_a_collector() {
    let rules = Rules { collection: Collection::ByTheRules, ..Rules::ALL };
    holds("collector", &Bound { rules, attempts: 1, budget: Budget { delays: 1, ..FAULTS } });
    holds("edit", &all_rules(2, Budget { edits: 1, crashes: 0, ..FAULTS }));
}

#[test]
#[ignore = "takes many minutes and gigabytes"]
fn more_of_everything() {
    let more = Budget { crashes: 2, take_overs: 2, ..FAULTS };
    holds("more: delays, a lost reply", &all_rules(1, Budget { delays: 2, lost_replies: 1, ..more }));
    holds("more: delay, capacity", &all_rules(2, Budget { delays: 1, shortages: 1, ..more }));
    holds("more: capacity of all", &all_rules(3, Budget { shortages: 2, ..FAULTS }));
    holds("more: delay, edit", &all_rules(2, Budget { delays: 1, edits: 1, ..FAULTS }));
    holds("more: delay, death", &all_rules(2, Budget { delays: 1, deaths: 1, ..FAULTS }));
    let rules = Rules { collection: Collection::ByTheRules, ..Rules::ALL };
    holds("more: collector, edit", &Bound { rules, attempts: 2, budget: Budget { edits: 1, ..FAULTS } });
}
