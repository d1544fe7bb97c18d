//! The format's rules one by one, and that a Team merges to the same.

use super::*;
use crate::api::team::{Member, MemberTemplate, TeamSpec};
use crate::api::workspace::{IdlePrompt, Plugin, Prompts};
use crate::team;
use proptest::prelude::*;

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn texts(initial: Option<&str>, idle: Option<&str>) -> Texts {
    Texts { initial: initial.map(Into::into), idle: idle.map(Into::into) }
}

fn merged(defaults: &Shared, own: &Shared) -> Merged {
    merge(defaults, &Texts::default(), own, &Texts::default())
}

#[test]
fn nothing_said_is_langgraph_on_tier_two_without_a_model() {
    let bare = merged(&Shared::default(), &Shared::default());
    assert_eq!((bare.runtime.as_str(), bare.tier, bare.model), ("langgraph", Tier::T2, None));
}

#[test]
fn claude_code_gets_its_model_unless_somebody_names_one() {
    let runtime = |name: &str| Shared { runtime: Some(name.into()), ..Shared::default() };
    let model = |name: &str| Shared { model: Some(name.into()), ..Shared::default() };
    let of = |defaults: &Shared, own: &Shared| merged(defaults, own).model;
    assert_eq!(of(&runtime("claude-code"), &Shared::default()).as_deref(), Some("sonnet"));
    assert_eq!(of(&runtime("claude-code"), &runtime("hermes")), None);
    assert_eq!(of(&Shared::default(), &runtime("claude-code")).as_deref(), Some("sonnet"));
    assert_eq!(of(&model("opus"), &runtime("claude-code")).as_deref(), Some("opus"));
    assert_eq!(of(&model("opus"), &model("haiku")).as_deref(), Some("haiku"));
}

#[test]
fn plugins_are_the_union_less_what_is_taken_out() {
    let table: [(&[&str], &[&str], &[&str]); 6] = [
        (&["a", "b"], &["c", "a"], &["a", "b", "c"]),
        (&["a", "b"], &["!a", "c"], &["b", "c"]),
        (&["a"], &["!x"], &["a"]),
        (&["a", "b"], &["!a", "a"], &["b", "a"]),
        (&["a"], &["c", "!c"], &["a"]),
        (&["a", "a"], &[], &["a"]),
    ];
    for (defaults, own, all) in table {
        assert_eq!(plugins(&names(defaults), &names(own)), names(all), "{defaults:?} {own:?}");
    }
}

#[test]
fn routing_replaces_a_category_and_an_empty_list_drops_it() {
    let of = |pairs: &[(&str, &[&str])]| -> BTreeMap<String, Vec<String>> {
        pairs.iter().map(|(category, roles)| ((*category).to_owned(), names(roles))).collect()
    };
    let defaults = of(&[("security", &["Backend", "DevOps"]), ("ui", &["Frontend"]), ("docs", &[])]);
    let own = of(&[("security", &["DevOps"]), ("ui", &[]), ("infra", &["DevOps"])]);
    assert_eq!(routing(&defaults, &own), of(&[("infra", &["DevOps"]), ("security", &["DevOps"])]));
}

#[test]
fn prompts_are_the_workspaces_own_or_the_defaults() {
    let defaults = Shared { idle_interval: Some(120), ..Shared::default() };
    let hourly = Shared { idle_interval: Some(3600), ..Shared::default() };
    let of = |own: &Shared, own_texts: &Texts| {
        let merged = merge(&defaults, &texts(Some("hello"), Some("look")), own, own_texts);
        (merged.initial.unwrap(), merged.idle.unwrap())
    };
    let none = Shared::default();
    assert_eq!(of(&none, &texts(None, None)), ("hello".into(), ("look".into(), 120)));
    assert_eq!(of(&none, &texts(Some("hi"), Some("see"))), ("hi".into(), ("see".into(), 120)));
    assert_eq!(of(&hourly, &texts(None, None)), ("hello".into(), ("look".into(), 3600)));
    let unsaid = merge(&none, &texts(None, Some("look")), &none, &texts(None, None));
    assert_eq!(unsaid.idle, Some(("look".into(), 600)));
    assert_eq!(merge(&hourly, &Texts::default(), &hourly, &Texts::default()).idle, None);
}

#[test]
fn memories_of_its_own_replace_those_of_the_defaults() {
    let with = |memories: &[&str]| Shared {
        initial_memories: memories.iter().map(|&m| m.into()).collect(),
        ..Shared::default()
    };
    assert_eq!(merged(&with(&["a"]), &with(&[])).initial_memories, ["a"]);
    assert_eq!(merged(&with(&["a"]), &with(&["b"])).initial_memories, ["b"]);
}

fn plugin() -> impl Strategy<Value = String> {
    "[a-d]"
}

fn shared() -> impl Strategy<Value = Shared> {
    (
        proptest::option::of(prop_oneof!["claude-code", "hermes", "langgraph"].prop_map(String::from)),
        proptest::option::of(prop_oneof![Just(Tier::T1), Just(Tier::T2), Just(Tier::T3)]),
        proptest::option::of(prop_oneof!["opus", "sonnet"].prop_map(String::from)),
        proptest::collection::vec((any::<bool>(), plugin()), 0..5),
        proptest::option::of(10..13i32),
        proptest::collection::vec("[A-C]".prop_map(|name| RequiredEnv { any_of: vec![name] }), 0..3),
    )
        .prop_map(|(runtime, tier, model, plugins, idle_interval, required_env)| Shared {
            runtime,
            tier,
            model,
            plugins: plugins
                .into_iter()
                .map(|(out, name)| if out { format!("!{name}") } else { name })
                .collect(),
            idle_interval,
            required_env: union(&required_env, &[]),
            ..Shared::default()
        })
}

fn both_texts() -> impl Strategy<Value = Texts> {
    (proptest::option::of("[a-c]"), proptest::option::of("[a-c]"))
        .prop_map(|(initial, idle)| Texts { initial, idle })
}

fn plugins_of(names: &[String]) -> Vec<Plugin> {
    names.iter().map(|name| Plugin { name: name.clone(), config_map_ref: None }).collect()
}

fn idle_of(idle: Option<&(String, i32)>) -> Option<IdlePrompt> {
    idle.map(|(prompt, seconds)| IdlePrompt { prompt: prompt.clone(), interval_seconds: *seconds })
}

/// A Team of one member, from the base and the member's difference.
fn team_of(base: &Merged, merged: &Merged) -> TeamSpec {
    let own = difference(base, merged);
    let defaults = MemberTemplate {
        runtime: Some(base.runtime.clone()),
        tier: Some(base.tier),
        model: base.model.clone(),
        plugins: plugins_of(&base.plugins),
        prompts: Some(Prompts {
            initial: base.initial.clone(),
            idle: idle_of(base.idle.as_ref()),
            ..Prompts::default()
        }),
        required_env: base.required_env.clone(),
        ..MemberTemplate::default()
    };
    let template = MemberTemplate {
        runtime: own.runtime,
        tier: own.tier,
        model: own.model,
        plugins: plugins_of(&own.plugins),
        prompts: Some(Prompts {
            initial: merged.initial.clone().filter(|_| own.initial),
            idle: idle_of(own.idle.as_ref()),
            ..Prompts::default()
        }),
        required_env: own.required_env,
        ..MemberTemplate::default()
    };
    let member =
        Member { name: "m".into(), exclude_plugins: own.exclude_plugins, template, ..Member::default() };
    TeamSpec { defaults: Some(defaults), members: vec![member], ..TeamSpec::default() }
}

proptest! {
    /// What the operator makes of the imported Team is what the format makes of the template.
    #[test]
    fn a_team_merges_to_what_the_format_merges_to(
        defaults in shared(),
        default_texts in both_texts(),
        own in shared(),
        own_texts in both_texts(),
    ) {
        let merged = merge(&defaults, &default_texts, &own, &own_texts);
        let spec = team_of(&base(&defaults, &default_texts), &merged);
        let child = team::merge::children("t", &spec).remove(0).spec.template;
        prop_assert_eq!(child.runtime.as_ref(), Some(&merged.runtime));
        prop_assert_eq!(child.tier, Some(merged.tier));
        prop_assert_eq!(&child.model, &merged.model);
        let sorted = |mut names: Vec<String>| { names.sort(); names };
        let got = child.plugins.iter().map(|plugin| plugin.name.clone()).collect();
        prop_assert_eq!(sorted(got), sorted(merged.plugins.clone()));
        let prompts = child.prompts.unwrap();
        prop_assert_eq!(&prompts.initial, &merged.initial);
        prop_assert_eq!(prompts.idle, idle_of(merged.idle.as_ref()));
        prop_assert_eq!(&child.required_env, &merged.required_env);
    }

    /// A workspace that says nothing is the base, but for a model that its runtime implies.
    #[test]
    fn who_says_nothing_has_nothing_to_say_of_its_own(defaults in shared(), texts in both_texts()) {
        let base = base(&defaults, &texts);
        let merged = merge(&defaults, &texts, &Shared::default(), &Texts::default());
        let said = difference(&base, &merged);
        prop_assert_eq!(Difference { model: None, ..said }, Difference::default());
    }
}
