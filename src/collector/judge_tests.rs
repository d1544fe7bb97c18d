//! What is removed and what is kept, by table and over all inputs.

use super::judge::{Keep, Owner, Record, Remove, Times, Verdict, is_suspect, judge};
use crate::backend::Found;
use crate::metrics::Thing;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

const WINDOW: i64 = 60;
const NOW: i64 = 10_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn times() -> Times {
    Times { now: at(NOW), window: SignedDuration::from_secs(WINDOW) }
}

fn found() -> Found {
    Found {
        thing: Thing::Box,
        id: "i-1".into(),
        uid: "u".into(),
        namespace: "ns".into(),
        name: "w".into(),
        attempt: Some(2),
        made_at: Some(at(NOW - WINDOW)),
        is_retained: false,
        is_ending: false,
        is_in_use: false,
    }
}

fn record() -> Record {
    Record { uid: "u".into(), is_paused: false, launch: Some((2, false)), instance_id: Some("i-1".into()) }
}

#[test]
fn each_rule_decides_where_no_earlier_one_does() {
    type Change = fn(&mut Found, &mut Record);
    let rows: &[(&str, Change, Verdict)] = &[
        ("the recorded box", |_, _| {}, Verdict::Keep(Keep::Owned)),
        ("no id is recorded yet", |_, r| r.instance_id = None, Verdict::Keep(Keep::Owned)),
        ("another box of the attempt", |f, _| f.id = "i-2".into(), Verdict::Remove(Remove::OtherBox)),
        ("an older attempt", |f, _| f.attempt = Some(1), Verdict::Remove(Remove::OtherAttempt)),
        ("no launch is recorded", |_, r| r.launch = None, Verdict::Remove(Remove::OtherAttempt)),
        (
            "the launch is open, and another id recorded",
            |f, r| (f.id, r.launch) = ("i-2".into(), Some((2, true))),
            Verdict::Keep(Keep::Pending),
        ),
        (
            "the launch is open, and of a later attempt",
            |_, r| r.launch = Some((3, true)),
            Verdict::Remove(Remove::OtherAttempt),
        ),
        ("the same name, another uid", |_, r| r.uid = "v".into(), Verdict::Remove(Remove::OtherOwner)),
        ("paused", |f, r| (f.attempt, r.is_paused) = (Some(1), true), Verdict::Keep(Keep::Paused)),
        ("a box without attempt", |f, _| f.attempt = None, Verdict::Keep(Keep::Unnamed)),
        (
            "the data of a Workspace",
            |f, r| (f.thing, f.attempt, r.launch) = (Thing::Volume, None, None),
            Verdict::Keep(Keep::Owned),
        ),
        (
            "the files of the recorded attempt",
            |f, _| (f.thing, f.id) = (Thing::Volume, "files".into()),
            Verdict::Keep(Keep::Owned),
        ),
        (
            "the files of an older attempt",
            |f, _| (f.thing, f.attempt) = (Thing::Volume, Some(1)),
            Verdict::Remove(Remove::OtherAttempt),
        ),
        (
            "an interface of an older attempt",
            |f, _| (f.thing, f.attempt) = (Thing::NetworkInterface, Some(1)),
            Verdict::Remove(Remove::OtherAttempt),
        ),
        (
            "a network of a Team that lives",
            |f, _| (f.thing, f.attempt, f.name) = (Thing::Network, None, String::new()),
            Verdict::Keep(Keep::Owned),
        ),
    ];
    for (what, change, verdict) in rows {
        let (mut found, mut record) = (found(), record());
        change(&mut found, &mut record);
        assert_eq!(judge(&found, &Owner::Lives(record), Some(at(0)), times()), *verdict, "{what}");
    }
}

#[test]
fn without_an_owner_only_what_nothing_else_speaks_for_is_removed() {
    type Change = fn(&mut Found);
    let rows: &[(&str, Change, Verdict)] = &[
        ("a box", |_| {}, Verdict::Remove(Remove::NoOwner)),
        ("the data", |f| (f.thing, f.attempt) = (Thing::Volume, None), Verdict::Remove(Remove::NoOwner)),
        ("retained", |f| f.is_retained = true, Verdict::Keep(Keep::Retained)),
        ("ending", |f| f.is_ending = true, Verdict::Keep(Keep::Ending)),
        ("in use", |f| f.is_in_use = true, Verdict::Keep(Keep::InUse)),
        ("no uid", |f| f.uid.clear(), Verdict::Keep(Keep::Unnamed)),
        ("no namespace", |f| f.namespace.clear(), Verdict::Keep(Keep::Unnamed)),
        ("no name", |f| f.name.clear(), Verdict::Keep(Keep::Unnamed)),
        (
            "a network has no name",
            |f| (f.thing, f.name) = (Thing::Network, String::new()),
            Verdict::Remove(Remove::NoOwner),
        ),
        ("younger", |f| f.made_at = Some(at(NOW - WINDOW + 1)), Verdict::Keep(Keep::Young)),
        ("from the future", |f| f.made_at = Some(at(NOW + 5)), Verdict::Keep(Keep::Young)),
    ];
    for (what, change, verdict) in rows {
        let mut found = found();
        change(&mut found);
        assert_eq!(judge(&found, &Owner::None, Some(at(0)), times()), *verdict, "{what}");
    }
    assert_eq!(judge(&found(), &Owner::Unknown, None, times()), Verdict::Keep(Keep::OwnerUnknown));
}

#[test]
fn what_has_no_date_and_volumes_must_be_suspect_for_a_window() {
    let dateless = Found { made_at: None, ..found() };
    for (seen_before, verdict) in [
        (None, Verdict::Keep(Keep::Young)),
        (Some(NOW - WINDOW + 1), Verdict::Keep(Keep::Young)),
        (Some(NOW - WINDOW), Verdict::Remove(Remove::NoOwner)),
    ] {
        assert_eq!(judge(&dateless, &Owner::None, seen_before.map(at), times()), verdict, "{seen_before:?}");
        let old_volume = Found { thing: Thing::Volume, made_at: Some(at(0)), ..found() };
        assert_eq!(
            judge(&old_volume, &Owner::None, seen_before.map(at), times()),
            verdict,
            "{seen_before:?}"
        );
        assert!(
            is_suspect(&dateless, &Owner::None, at(NOW)) && is_suspect(&old_volume, &Owner::None, at(NOW))
        );
    }
    assert!(!is_suspect(&dateless, &Owner::Lives(record()), at(NOW)));
}

prop_compose! {
    fn any_found()(
        thing in prop::sample::select(&Thing::ALL[..]),
        id in prop::sample::select(vec!["i-1", "i-2"]),
        uid in prop::sample::select(vec!["u", "v", ""]),
        namespace in prop::sample::select(vec!["ns", ""]),
        name in prop::sample::select(vec!["w", ""]),
        attempt in prop::option::of(1..4_i64),
        made_at in prop::option::of(NOW - 2 * WINDOW..NOW + WINDOW),
        (is_retained, is_ending, is_in_use) in (any::<bool>(), any::<bool>(), any::<bool>()),
    ) -> Found {
        Found {
            thing, id: id.into(), uid: uid.into(), namespace: namespace.into(), name: name.into(),
            attempt, made_at: made_at.map(at), is_retained, is_ending, is_in_use,
        }
    }
}

fn any_owner() -> impl Strategy<Value = Owner> {
    let record = (
        prop::sample::select(vec!["u", "v"]),
        any::<bool>(),
        prop::option::of((1..4_i64, any::<bool>())),
        prop::option::of(prop::sample::select(vec!["i-1", "i-2"])),
    );
    let lives = record.prop_map(|(uid, is_paused, launch, id)| {
        Owner::Lives(Record { uid: uid.into(), is_paused, launch, instance_id: id.map(str::to_owned) })
    });
    prop_oneof![6 => lives, 1 => Just(Owner::None), 1 => Just(Owner::Unknown)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_removed_that_may_be_owned_retained_or_on_its_way(
        found in any_found(),
        owner in any_owner(),
        seen in prop::option::of(NOW - 2 * WINDOW..NOW),
    ) {
        let Verdict::Remove(_) = judge(&found, &owner, seen.map(at), times()) else { return Ok(()) };
        prop_assert!(!found.is_retained && !found.is_in_use && !found.is_ending);
        prop_assert!(owner != Owner::Unknown);
        let is_old = |since: Timestamp| at(NOW).duration_since(since).as_secs() >= WINDOW;
        prop_assert!(found.made_at.is_none_or(is_old));
        if found.made_at.is_none() || found.thing == Thing::Volume {
            prop_assert!(seen.map(at).is_some_and(is_old));
        }
        if let Owner::Lives(record) = owner && record.uid == found.uid {
            prop_assert!(!record.is_paused);
            let attempt = found.attempt;
            prop_assert!(attempt.is_some(), "what outlives attempts is its owner's");
            if let Some((recorded, is_pending)) = record.launch && Some(recorded) == attempt {
                prop_assert!(!is_pending);
                prop_assert_eq!(found.thing, Thing::Box);
                prop_assert!(record.instance_id.is_some_and(|id| id != found.id));
            }
        }
    }

    #[test]
    fn what_is_free_and_old_enough_and_of_nobody_is_removed(found in any_found()) {
        let found = Found {
            uid: "u".into(), namespace: "ns".into(), name: "w".into(), made_at: Some(at(0)),
            is_retained: false, is_ending: false, is_in_use: false, ..found
        };
        prop_assert_eq!(judge(&found, &Owner::None, Some(at(0)), times()), Verdict::Remove(Remove::NoOwner));
    }
}
