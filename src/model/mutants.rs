//! What each rule is for: without it something is wrong, and the search shows how.

use super::rules::{Bound, Collection, Fence, Rules};
use super::search::{What, search};
use super::state::{Budget, Wrong};

/// What is wrong without a rule. With it the same bound holds nothing wrong.
fn without(name: &str, rules: Rules, attempts: u8, budget: Budget) -> What {
    let bound = Bound { rules, attempts, budget };
    let found = search(&bound);
    let violation = found.violation.unwrap_or_else(|| panic!("nothing is wrong {name}"));
    println!("{name}, after {} states: {:?}\n{}", found.states, violation.what, violation.path);
    let collection = match rules.collection {
        Collection::None => Collection::None,
        _ => Collection::ByTheRules,
    };
    let kept = search(&Bound { rules: Rules { collection, ..Rules::ALL }, ..bound });
    assert!(kept.violation.is_none(), "it is wrong with the rule as well");
    violation.what
}

/// A frozen leader had no capacity, and writes so over the launch that succeeded.
#[test]
fn without_versions_a_late_write_undoes_the_record() {
    let rules = Rules { status_writes_carry_a_version: false, ..Rules::ALL };
    let budget = Budget { take_overs: 1, shortages: 2, ..Budget::NONE };
    let what = without("without versions on writes of the status", rules, 3, budget);
    assert_eq!(what, What::Stuck);
}

#[test]
fn without_the_fence_a_launch_in_flight_is_forgotten() {
    let rules = Rules { fence: Fence::Down, ..Rules::ALL };
    let budget = Budget { take_overs: 1, deletions: 1, ..Budget::NONE };
    let what = without("without the fence", rules, 1, budget);
    assert_eq!(what, What::Unsafe(Wrong::Leaked));
}

#[test]
fn a_fence_that_ends_with_its_attempt_forgets_a_launch_in_flight() {
    let rules = Rules { fence: Fence::OfTheRecordedOne, ..Rules::ALL };
    let budget = Budget { lost_replies: 1, shortages: 1, delays: 1, deletions: 1, ..Budget::NONE };
    let what = without("with a fence for the recorded attempt alone", rules, 2, budget);
    assert!(matches!(what, What::Unsafe(Wrong::Leaked | Wrong::Orphaned | Wrong::Doubled)), "{what:?}");
}

/// A frozen leader lets the finalizer go after another has sent the recorded call again.
#[test]
fn without_a_note_a_late_write_lets_the_object_go() {
    let rules = Rules { records_are_noted: false, ..Rules::ALL };
    let budget = Budget { take_overs: 1, shortages: 1, deletions: 1, ..Budget::NONE };
    let what = without("without a note before the call", rules, 2, budget);
    assert!(matches!(what, What::Unsafe(Wrong::Leaked | Wrong::Orphaned)), "{what:?}");
}

#[test]
fn without_not_after_a_call_outlives_the_fence() {
    let rules = Rules { calls_expire: false, ..Rules::ALL };
    let budget = Budget { take_overs: 1, delays: 1, deletions: 1, ..Budget::NONE };
    let what = without("without not_after", rules, 1, budget);
    assert!(matches!(what, What::Unsafe(Wrong::Leaked | Wrong::Orphaned)), "{what:?}");
}

#[test]
fn a_collector_that_reads_the_cluster_first_ends_what_is_wanted() {
    let rules = Rules { collection: Collection::ClusterFirst, ..Rules::ALL };
    let what = without("with the cluster read first", rules, 1, Budget::NONE);
    assert_eq!(what, What::Unsafe(Wrong::CollectedWanted));
}

#[test]
fn a_collector_that_ignores_attempts_ends_what_is_wanted() {
    let rules = Rules { collection: Collection::WithoutAttempts, ..Rules::ALL };
    let what = without("without attempts in the collection", rules, 1, Budget::NONE);
    assert_eq!(what, What::Unsafe(Wrong::CollectedWanted));
}
