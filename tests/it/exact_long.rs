//! The exactness suite at length: dozens of plans, with everything that may have to be waited for.

use crate::exact::{Failure, Size, Tally, carry_out, crash_points};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

trials![dozens_of_plans_are_exact];

/// So many plans, and more until every crash point was struck.
const PLANS: u64 = 60;
/// And more.
const BATCH: u64 = 20;
/// The seed of the first plan; `ATELIER_EXACT_FIRST` says otherwise.
const FIRST: u64 = 100;
/// No plan is begun later; `ATELIER_EXACT_MINUTES` says otherwise.
const MINUTES: u64 = 40;
/// How many plans are carried out side by side.
const LANES: usize = 4;

async fn dozens_of_plans_are_exact() {
    let number = |name, usual| std::env::var(name).ok().and_then(|m| m.parse().ok()).unwrap_or(usual);
    let until = Instant::now() + Duration::from_secs(60 * number("ATELIER_EXACT_MINUTES", MINUTES));
    let first = number("ATELIER_EXACT_FIRST", FIRST);
    let mut tally = carry_out(Size::Long, (first..first + PLANS).collect(), LANES, Some(until)).await;
    let all = crash_points();
    let struck = |tally: &Tally| -> BTreeSet<_> { tally.struck.iter().cloned().collect() };
    let mut next = first + PLANS;
    while std::env::var_os("ATELIER_SEED").is_none()
        && struck(&tally).len() < all.len()
        && Instant::now() < until
    {
        let more = carry_out(Size::Long, (next..next + BATCH).collect(), LANES, Some(until)).await;
        next += BATCH;
        tally.plans += more.plans;
        tally.struck.extend(more.struck);
        tally.failed.extend(more.failed);
    }
    let struck = struck(&tally);
    let count = |is: fn(&Failure) -> bool| tally.failed.iter().filter(|(_, failure)| is(failure)).count();
    println!(
        "plans run {}, blows {}, crash points covered {} of {}, doubled {}, leaked {}, stuck {}",
        tally.plans,
        tally.struck.len(),
        struck.len(),
        all.len(),
        count(|f| matches!(f, Failure::Doubled(_))),
        count(|f| matches!(f, Failure::Leaked(_))),
        count(|f| matches!(f, Failure::Stuck(_))),
    );
    let missed: Vec<_> = all.iter().filter(|point| !struck.contains(*point)).collect();
    println!("not covered: {missed:?}");
    let seeds: Vec<_> = tally.failed.iter().map(|(seed, _)| seed).collect();
    assert!(tally.plans > 0 && seeds.is_empty(), "these fail, as told above: {seeds:?}");
}
