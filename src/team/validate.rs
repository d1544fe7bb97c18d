//! Validate: what the schema cannot see of a Team's spec.

use crate::api::Reason;
use crate::api::team::TeamSpec;
use std::collections::{BTreeMap, BTreeSet};

/// Why a spec cannot be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The reason of the first problem.
    pub reason: Reason,
    /// Every problem, with the members named and the fix.
    pub message: String,
}

/// Whether the spec can be carried out.
///
/// # Errors
/// When a member reports to a stranger, when members report to each other in a circle, or when a member has
/// no runtime. A person must change the spec.
pub fn validate(spec: &TeamSpec) -> Result<(), Invalid> {
    let problems: Vec<(Reason, String)> =
        [strangers(spec), circles(spec), without_runtime(spec)].into_iter().flatten().collect();
    match problems.first() {
        None => Ok(()),
        Some((reason, _)) => Err(Invalid {
            reason: *reason,
            message: problems.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>().join(". "),
        }),
    }
}

/// Who reports to whom, by name, so that what is said does not depend on the order of the members.
fn reporting(spec: &TeamSpec) -> BTreeMap<&str, Option<&str>> {
    spec.members.iter().map(|m| (m.name.as_str(), m.reports_to.as_deref())).collect()
}

fn strangers(spec: &TeamSpec) -> Option<(Reason, String)> {
    let reporting = reporting(spec);
    let found: Vec<String> = reporting
        .iter()
        .filter_map(|(member, boss)| boss.filter(|b| !reporting.contains_key(b)).map(|b| (member, b)))
        .map(|(member, boss)| format!("{member} reports to {boss}"))
        .collect();
    let text = format!(
        "{}, which is not a member of this Team: correct reportsTo, or add the member",
        found.join(", ")
    );
    (!found.is_empty()).then_some((Reason::UnknownReportsTo, text))
}

fn circles(spec: &TeamSpec) -> Option<(Reason, String)> {
    let reporting = reporting(spec);
    let mut done: BTreeSet<&str> = BTreeSet::new();
    let mut found: Vec<String> = Vec::new();
    for start in reporting.keys() {
        let mut path: Vec<&str> = Vec::new();
        let mut next = Some(*start);
        while let Some(member) = next.filter(|m| !done.contains(m)) {
            if let Some(since) = path.iter().position(|seen| *seen == member) {
                found.push(in_order(&path[since..]));
                break;
            }
            path.push(member);
            next = reporting.get(member).copied().flatten();
        }
        done.extend(path);
    }
    let text = format!(
        "members report to each other in a circle: {}; take reportsTo away from one of them",
        found.join(", and ")
    );
    (!found.is_empty()).then_some((Reason::ReportingCycle, text))
}

/// `a -> b -> a`, from the first by name.
fn in_order(circle: &[&str]) -> String {
    let first = circle.iter().enumerate().min_by_key(|(_, name)| **name).map_or(0, |(at, _)| at);
    let round = circle.iter().cycle().skip(first).take(circle.len() + 1);
    round.copied().collect::<Vec<_>>().join(" -> ")
}

fn without_runtime(spec: &TeamSpec) -> Option<(Reason, String)> {
    if spec.defaults.as_ref().is_some_and(|d| d.runtime.is_some()) {
        return None;
    }
    let found: BTreeSet<&str> =
        spec.members.iter().filter(|m| m.template.runtime.is_none()).map(|m| m.name.as_str()).collect();
    let text = format!(
        "neither the member nor spec.defaults names a runtime for {}: set runtime in one of them",
        found.iter().copied().collect::<Vec<_>>().join(", ")
    );
    (!found.is_empty()).then_some((Reason::MissingRuntime, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::team::{Member, MemberTemplate};
    use proptest::prelude::*;

    fn member(name: &str, reports_to: Option<&str>) -> Member {
        Member { name: name.into(), reports_to: reports_to.map(Into::into), ..Member::default() }
    }

    fn team(members: Vec<Member>) -> TeamSpec {
        let defaults = MemberTemplate { runtime: Some("demo".into()), ..MemberTemplate::default() };
        TeamSpec { defaults: Some(defaults), members, ..TeamSpec::default() }
    }

    #[test]
    fn a_tree_is_accepted() {
        let spec = team(vec![member("b", Some("a")), member("a", None), member("c", Some("b"))]);
        assert_eq!(validate(&spec), Ok(()));
    }

    #[test]
    fn a_stranger_is_named_with_who_reports_to_it() {
        let invalid = validate(&team(vec![member("a", None), member("b", Some("x"))])).unwrap_err();
        assert_eq!(invalid.reason, Reason::UnknownReportsTo);
        assert!(invalid.message.contains("b reports to x"), "{}", invalid.message);
    }

    #[test]
    fn a_circle_is_named_in_order_and_those_outside_are_not() {
        let spec = team(vec![
            member("d", Some("c")),
            member("c", Some("a")),
            member("b", Some("c")),
            member("a", Some("b")),
        ]);
        let invalid = validate(&spec).unwrap_err();
        assert_eq!(invalid.reason, Reason::ReportingCycle);
        assert!(invalid.message.contains("a -> b -> c -> a"), "{}", invalid.message);
        assert!(!invalid.message.contains("d ->"), "{}", invalid.message);
    }

    #[test]
    fn two_circles_and_one_who_reports_to_itself_are_all_named() {
        let spec = team(vec![
            member("a", Some("b")),
            member("b", Some("a")),
            member("y", Some("y")),
            member("z", None),
        ]);
        let message = validate(&spec).unwrap_err().message;
        assert!(message.contains("a -> b -> a, and y -> y"), "{message}");
    }

    #[test]
    fn a_member_without_runtime_is_named() {
        let mut spec = team(vec![member("a", None), member("b", None)]);
        spec.defaults = None;
        spec.members[0].template.runtime = Some("demo".into());
        let invalid = validate(&spec).unwrap_err();
        assert_eq!(invalid.reason, Reason::MissingRuntime);
        assert!(invalid.message.contains("for b:"), "{}", invalid.message);
    }

    #[test]
    fn every_problem_is_told_at_once() {
        let mut spec = team(vec![member("a", Some("x")), member("b", Some("b"))]);
        spec.defaults = None;
        let invalid = validate(&spec).unwrap_err();
        assert_eq!(invalid.reason, Reason::UnknownReportsTo);
        for part in ["a reports to x", "b -> b", "for a, b:"] {
            assert!(invalid.message.contains(part), "{part} is not in: {}", invalid.message);
        }
    }

    proptest! {
        /// Whoever reports, directly or not, to a root is fine; anything else is a circle. Checked against
        /// plain walking: from each member, as many steps up as there are members must reach a root.
        #[test]
        fn a_circle_is_found_exactly_when_somebody_never_reaches_a_root(
            bosses in proptest::collection::vec(proptest::option::of(0usize..8), 8),
            shuffled in Just((0usize..8).collect::<Vec<_>>()).prop_shuffle(),
        ) {
            let name = |i: usize| format!("m{i}");
            let member = |i: usize| member(&name(i), bosses[i].map(name).as_deref());
            let lost = (0..8).any(|start| {
                let mut at = Some(start);
                for _ in 0..8 {
                    at = at.and_then(|i| bosses[i]);
                }
                at.is_some()
            });
            let said = validate(&team((0..8).map(member).collect()));
            prop_assert_eq!(said.is_err(), lost);
            prop_assert_eq!(said, validate(&team(shuffled.into_iter().map(member).collect())));
        }
    }
}
