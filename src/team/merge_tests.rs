use super::*;
use crate::api::WorkspaceSpec;
use crate::api::workspace::{
    EnvFrom, EnvVar, File, FilesFrom, IdlePrompt, KeyRef, Plugin, RequiredEnv, Storage, TextFrom, Tier,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::Value;

fn word() -> impl Strategy<Value = String> {
    "[a-c]{1}"
}

/// Entries of which no two have the same key, as the schema has it.
fn keyed<T: std::fmt::Debug>(
    entry: impl Strategy<Value = T>,
    key: impl Fn(&T) -> String,
) -> impl Strategy<Value = Vec<T>> {
    vec(entry, 0..4).prop_map(move |entries| {
        let mut seen = std::collections::BTreeSet::new();
        entries.into_iter().filter(|entry| seen.insert(key(entry))).collect()
    })
}

fn text() -> impl Strategy<Value = Option<TextFrom>> {
    let of = |name: String| TextFrom { config_map_key_ref: KeyRef { name, key: "k".into() } };
    option::of(word().prop_map(of))
}

prop_compose! {
    fn prompts()(
        system in option::of(word()), system_from in text(),
        initial in option::of(word()), initial_from in text(),
        idle in option::of(word().prop_map(|prompt| IdlePrompt { prompt, interval_seconds: 60 })),
    ) -> Prompts {
        Prompts { system, system_from, initial, initial_from, idle }
    }
}

prop_compose! {
    fn lists()(
        files in keyed(
            (word(), option::of(word())).prop_map(|(path, content)| File { path, content, ..File::default() }),
            |file| file.path.clone(),
        ),
        files_from in vec(word().prop_map(|name| FilesFrom { config_map_ref: LocalRef { name }, ..FilesFrom::default() }), 0..3),
        plugins in keyed(
            (word(), option::of(word())).prop_map(|(name, map)| Plugin { name, config_map_ref: map.map(|name| LocalRef { name }) }),
            |plugin| plugin.name.clone(),
        ),
        env in keyed(
            (word(), option::of(word())).prop_map(|(name, value)| EnvVar { name, value, value_from: None }),
            |var| var.name.clone(),
        ),
        env_from in vec(word().prop_map(|name| EnvFrom { secret_ref: Some(LocalRef { name }), config_map_ref: None }), 0..3),
        required_env in vec(word().prop_map(|name| RequiredEnv { any_of: vec![name] }), 0..3),
    ) -> MemberTemplate {
        MemberTemplate { files, files_from, plugins, env, env_from, required_env, ..MemberTemplate::default() }
    }
}

prop_compose! {
    fn templates()(
        lists in lists(),
        runtime in option::of(word()), tier in option::of(prop_oneof![Just(Tier::T1), Just(Tier::T3)]),
        model in option::of(word()), display_name in option::of(word()), role in option::of(word()),
        prompts in option::of(prompts()), max_concurrent_tasks in option::of(1..5),
        storage in option::of(any::<bool>().prop_map(|retain| Storage { retain })),
        suspend in option::of(any::<bool>()), restarted_at in option::of(word()),
    ) -> MemberTemplate {
        MemberTemplate {
            runtime, tier, model, display_name, role, prompts, max_concurrent_tasks, storage, suspend, restarted_at,
            ..lists
        }
    }
}

prop_compose! {
    fn teams()(
        defaults in option::of(templates()),
        members in keyed(
            (word(), option::of(word()), vec(word(), 0..2), templates()).prop_map(
                |(name, reports_to, exclude_plugins, template)| Member { name, reports_to, exclude_plugins, template },
            ),
            |member| member.name.clone(),
        ),
        suspend in any::<bool>(),
    ) -> TeamSpec {
        TeamSpec { defaults, members, suspend, ..TeamSpec::default() }
    }
}

fn is_part_of(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => {
            part.iter().all(|(name, value)| whole.get(name).is_some_and(|other| is_part_of(value, other)))
        }
        _ => part == whole,
    }
}

proptest! {
    #[test]
    fn the_order_of_the_members_means_nothing(
        (spec, other) in teams().prop_flat_map(|spec| {
            let shuffled = Just(spec.members.clone()).prop_shuffle();
            (Just(spec.clone()), shuffled.prop_map(move |members| TeamSpec { members, ..spec.clone() }))
        })
    ) {
        prop_assert_eq!(children("t", &spec), children("t", &other));
    }

    /// A member that says itself what it would inherit becomes the same Workspace.
    #[test]
    fn merging_again_changes_nothing(spec in teams()) {
        let first = children("t", &spec);
        let members = first.iter().map(|child| Member {
            name: child.member.clone(),
            reports_to: child.reports_to.clone(),
            exclude_plugins: Vec::new(),
            template: child.spec.template.clone(),
        });
        let spelled_out = TeamSpec { members: members.collect(), defaults: None, ..spec };
        prop_assert_eq!(first, children("t", &spelled_out));
    }

    /// What is applied is what the Workspace then says: no field is lost by its name, and none added.
    #[test]
    fn every_field_is_a_field_of_the_workspace(spec in teams()) {
        for mut child in children("t", &spec) {
            child.spec.template.runtime.get_or_insert_with(|| "r".into());
            let body = serde_json::to_value(&child.spec).unwrap();
            let workspace: WorkspaceSpec = serde_json::from_value(body.clone()).unwrap();
            let said = serde_json::to_value(&workspace).unwrap();
            prop_assert!(is_part_of(&body, &said), "{body}\nis not all in\n{said}");
        }
    }

    /// No two entries of one key, the member's own before the default's, and nothing from nowhere.
    #[test]
    fn lists_by_key_are_unions_in_which_the_member_wins(defaults in lists(), member in lists()) {
        let merged = template(&defaults, &member);
        for var in &merged.env {
            prop_assert_eq!(merged.env.iter().filter(|other| other.name == var.name).count(), 1);
            let own = member.env.iter().find(|other| other.name == var.name);
            let inherited = defaults.env.iter().find(|other| other.name == var.name);
            prop_assert_eq!(Some(var), own.or(inherited));
        }
        for var in defaults.env.iter().chain(&member.env) {
            prop_assert!(merged.env.iter().any(|other| other.name == var.name));
        }
        prop_assert_eq!(merged.env_from, [defaults.env_from, member.env_from].concat());
        prop_assert_eq!(merged.files_from, [defaults.files_from, member.files_from].concat());
        prop_assert_eq!(merged.required_env, [defaults.required_env, member.required_env].concat());
    }

    #[test]
    fn a_scalar_of_the_member_wins(defaults in templates(), member in templates()) {
        let merged = template(&defaults, &member);
        prop_assert_eq!(merged.runtime, member.runtime.or(defaults.runtime));
        prop_assert_eq!(merged.tier, member.tier.or(defaults.tier));
        prop_assert_eq!(merged.model, member.model.or(defaults.model));
        prop_assert_eq!(merged.display_name, member.display_name.or(defaults.display_name));
        prop_assert_eq!(merged.role, member.role.or(defaults.role));
        prop_assert_eq!(
            merged.max_concurrent_tasks,
            member.max_concurrent_tasks.or(defaults.max_concurrent_tasks)
        );
        prop_assert_eq!(merged.storage, member.storage.or(defaults.storage));
        prop_assert_eq!(merged.suspend, member.suspend.or(defaults.suspend));
        prop_assert_eq!(merged.restarted_at, member.restarted_at.or(defaults.restarted_at));
    }

    #[test]
    fn a_prompt_comes_whole_from_one_side(defaults in prompts(), member in prompts()) {
        let merged = merge_prompts(Some(&defaults), Some(&member)).unwrap();
        let own = member.system.is_some() || member.system_from.is_some();
        let from = if own { &member } else { &defaults };
        prop_assert_eq!((&merged.system, &merged.system_from), (&from.system, &from.system_from));
        let own = member.initial.is_some() || member.initial_from.is_some();
        let from = if own { &member } else { &defaults };
        prop_assert_eq!((&merged.initial, &merged.initial_from), (&from.initial, &from.initial_from));
        prop_assert_eq!(merged.idle, member.idle.or(defaults.idle));
    }
}

fn one(defaults: MemberTemplate, member: Member) -> Child {
    let spec = TeamSpec { defaults: Some(defaults), members: vec![member], ..TeamSpec::default() };
    children("studio", &spec).remove(0)
}

fn plugin(name: &str) -> Plugin {
    Plugin { name: name.into(), config_map_ref: None }
}

#[test]
fn a_plugin_that_is_excluded_is_gone_and_the_others_stay_in_order() {
    let defaults = MemberTemplate { plugins: vec![plugin("p"), plugin("q")], ..MemberTemplate::default() };
    let member = Member {
        name: "m".into(),
        exclude_plugins: vec!["p".into()],
        template: MemberTemplate { plugins: vec![plugin("r")], ..MemberTemplate::default() },
        ..Member::default()
    };
    assert_eq!(one(defaults, member).spec.template.plugins, [plugin("q"), plugin("r")]);
}

#[test]
fn what_nobody_says_is_not_claimed() {
    let defaults = MemberTemplate { runtime: Some("demo".into()), ..MemberTemplate::default() };
    let child =
        one(defaults, Member { name: "m".into(), reports_to: Some("boss".into()), ..Member::default() });
    assert_eq!(
        serde_json::to_value(child.spec).unwrap(),
        serde_json::json!({"runtime": "demo", "displayName": "m", "parentRef": {"name": "studio-boss"}})
    );
}

#[test]
fn a_suspended_team_suspends_every_member_and_another_leaves_each_its_own() {
    let member = |name: &str, suspend| Member {
        name: name.into(),
        template: MemberTemplate { suspend, ..MemberTemplate::default() },
        ..Member::default()
    };
    let mut spec = TeamSpec {
        members: vec![member("a", None), member("b", Some(true)), member("c", Some(false))],
        suspend: true,
        ..TeamSpec::default()
    };
    let said = |spec: &TeamSpec| {
        children("t", spec).iter().map(|child| child.spec.template.suspend).collect::<Vec<_>>()
    };
    assert_eq!(said(&spec), [Some(true); 3]);
    spec.suspend = false;
    assert_eq!(said(&spec), [None, Some(true), Some(false)]);
}
