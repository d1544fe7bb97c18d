//! The exactness suite at length: dozens of plans, with everything that may have to be waited for.

use crate::exact::{Failure, Size, carry_out, crash_points};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

trials![dozens_of_plans_are_exact];

/// As many plans, or as many minutes as are given here, whichever comes first.
const PLANS: u64 = 60;
/// `ATELIER_EXACT_MINUTES` says otherwise.
const MINUTES: u64 = 40;
/// How many plans are carried out side by side.
const LANES: usize = 4;

async fn dozens_of_plans_are_exact() {
    let minutes = std::env::var("ATELIER_EXACT_MINUTES").ok().and_then(|m| m.parse().ok()).unwrap_or(MINUTES);
    let until = Instant::now() + Duration::from_secs(60 * minutes);
    let tally = carry_out(Size::Long, (100..100 + PLANS).collect(), LANES, Some(until)).await;
    let all = crash_points();
    let struck: BTreeSet<_> = tally.struck.iter().cloned().collect();
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
