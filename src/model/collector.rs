//! The collector of orphans, a step at a time: it lists, reads the owner, judges, and ends what has none.

use super::object::Object;
use super::rules::{Bound, Collection};
use super::state::{Collector, Instance, LAG, Life, State, Wrong};
use super::steps::Event;
use super::tables::Tables;

/// Every way on for the collector.
pub(super) fn ways(tables: &mut Tables, bound: &Bound, state: &State, next: &mut Vec<(Event, State)>) {
    let rule = bound.rules.collection;
    let mut to = |collector, words| next.push((Event::Collector(words), State { collector, ..*state }));
    match (state.collector, rule) {
        (_, Collection::None) => {}
        (Collector::Rest, Collection::ClusterFirst) => to(Collector::Read(state.object), "reads the object"),
        (Collector::Rest, _) => {
            let listed = judged(tables, rule, state, None, |_, _| true);
            if listed != 0 {
                to(Collector::Listed(listed), "lists the instances");
            }
        }
        (Collector::Listed(listed), _) => {
            // Whatever was old enough when it was listed is so now.
            let orphans = judged(tables, rule, state, state.object, |n, _| listed & (1 << n) != 0);
            to(pending(orphans), "reads the object and judges");
        }
        (Collector::Read(object), _) => {
            let orphans = judged(tables, rule, state, object, |_, _| true);
            to(pending(orphans), "lists the instances and judges");
        }
        (Collector::Judged(orphans), _) => {
            let mut after = State { collector: Collector::Rest, ..*state };
            for (n, instance) in state.live().filter(|(n, _)| orphans & (1 << n) != 0) {
                after.end(n, Life::ShuttingDown);
                if state.object.is_some_and(|o| !o.deleting && o.wants(n, instance.attempt)) {
                    after.wrong = Some(Wrong::CollectedWanted);
                }
            }
            next.push((Event::Collector("ends the orphans"), after));
        }
    }
}

fn pending(orphans: u8) -> Collector {
    if orphans == 0 { Collector::Rest } else { Collector::Judged(orphans) }
}

/// The instances that are to go, were this their owner.
fn judged(
    tables: &mut Tables,
    rule: Collection,
    state: &State,
    owner: Option<Object>,
    is_listed: impl Fn(u8, Instance) -> bool,
) -> u8 {
    let mut orphans = 0;
    for (n, instance) in state.live().filter(|(n, i)| is_listed(*n, *i)) {
        let is_orphan = match (rule, owner) {
            (Collection::WithoutAttempts, Some(owner)) => instance.made > LAG && owner.status.id != Some(n),
            _ => tables.is_orphan(n, instance, owner),
        };
        if is_orphan {
            orphans |= 1 << n;
        }
    }
    orphans
}
