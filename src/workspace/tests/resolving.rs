//! What a spec and its references come to, and every way in which they come to nothing.

use super::driver::config;
use crate::api::workspace::{Workspace, WorkspaceSpec};
use crate::api::{BackendConfigSpec, Reason};
use crate::backend::Contents;
use crate::workspace::desired::Problem;
use crate::workspace::judge::{Census, census, judge};
use crate::workspace::references::{self, Found, Reference, References};
use crate::workspace::resolve::{Identity, contents, hashed_text};
use serde_json::{Value, json};
use std::sync::Arc;

const ME: Identity<'_> = Identity {
    uid: "0f8fad5b-d9cb-469f-a165-70867728950e",
    name: "a",
    platform_url: "http://r:1",
    ca_bundle: None,
};

#[expect(clippy::needless_pass_by_value, reason = "cases are written in place")]
fn spec(fields: Value) -> WorkspaceSpec {
    let mut spec = json!({ "runtime": "demo" });
    spec.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    serde_json::from_value(spec).unwrap()
}

fn data(pairs: &[(&str, &str)]) -> Found {
    Found::Data(Arc::new(pairs.iter().map(|(k, v)| ((*k).to_owned(), v.as_bytes().to_vec())).collect()))
}

fn refs(spec: &WorkspaceSpec) -> References {
    let known = [
        (
            Reference::Secret("keys".into()),
            data(&[("API_KEY", "s3cret"), ("not a name", "x"), ("EMPTY", "")]),
        ),
        (Reference::ConfigMap("files".into()), data(&[("a.md", "A"), ("b.md", "B")])),
        (Reference::Secret("token".into()), Found::Protected("it is a service account's token")),
        (Reference::Parent("boss".into()), Found::Uid("uid-of-boss".into())),
    ];
    let find = |r: &Reference| known.iter().find(|(k, _)| k == r).map_or(Found::Missing, |(_, f)| f.clone());
    references::of(spec).into_iter().map(|r| (r.clone(), find(&r))).collect()
}

fn resolved(fields: Value) -> Result<Contents, Problem> {
    let spec = spec(fields);
    contents(&spec, &refs(&spec), ME)
}

fn file(contents: &Contents, path: &str) -> Option<String> {
    let file = contents.files.iter().find(|f| f.path == path)?;
    Some(String::from_utf8(file.bytes.clone()).unwrap())
}

#[test]
fn the_environment_is_ours_first_then_the_users() {
    let contents = resolved(json!({
        "parentRef": { "name": "boss" },
        "envFrom": [{ "secretRef": { "name": "keys" } }],
        "env": [{ "name": "EMPTY", "value": "no more" }],
    }))
    .unwrap();
    for (name, value) in [
        ("WORKSPACE_ID", ME.uid),
        ("HOSTNAME", "ws-0f8fad5bd9cb"),
        ("PLATFORM_URL", "http://r:1"),
        ("MOLECULE_URL", "http://r:1"),
        ("TIER", "2"),
        ("PARENT_ID", "uid-of-boss"),
        ("API_KEY", "s3cret"),
        ("EMPTY", "no more"),
    ] {
        assert_eq!(contents.env.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert!(!contents.env.contains_key("not a name"));
}

#[test]
fn files_come_from_the_spec_config_maps_and_plugins() {
    let contents = resolved(json!({
        "prompts": { "system": "Be kind.", "initialFrom": { "configMapKeyRef": { "name": "files", "key": "a.md" } } },
        "files": [{ "path": "./skills//x/SKILL.md", "content": "X" }, { "path": "docs/a.md", "content": "mine" }],
        "filesFrom": [{ "configMapRef": { "name": "files" }, "prefix": "docs" }],
        "plugins": [{ "name": "tidy", "configMapRef": { "name": "files" } }, { "name": "known" }],
    }))
    .unwrap();
    assert_eq!(file(&contents, "system-prompt.md").unwrap(), "Be kind.");
    assert_eq!(file(&contents, "skills/x/SKILL.md").unwrap(), "X");
    assert_eq!(file(&contents, "docs/a.md").unwrap(), "mine", "a file of the spec wins");
    assert_eq!(file(&contents, "docs/b.md").unwrap(), "B");
    assert_eq!(file(&contents, "plugins/tidy/a.md").unwrap(), "A");
    let config: Value = serde_saphyr::from_str(&file(&contents, "config.yaml").unwrap()).unwrap();
    assert_eq!(config["tier"], 2, "runtimes read a word as 1");
    assert_eq!(config["initial_prompt"], "A");
    assert_eq!(config["plugins"], json!(["tidy", "known"]));
    assert_eq!(config["a2a"]["port"], 8000);
}

#[test]
fn what_cannot_be_is_refused_by_field_and_fix() {
    let cases = [
        (
            json!({ "envFrom": [{ "secretRef": { "name": "nope" } }] }),
            Reason::ReferenceNotFound,
            "Secret \"nope\"",
        ),
        (json!({ "parentRef": { "name": "nobody" } }), Reason::ReferenceNotFound, "Workspace \"nobody\""),
        (
            json!({ "filesFrom": [{ "configMapRef": { "name": "gone" } }] }),
            Reason::ReferenceNotFound,
            "ConfigMap \"gone\"",
        ),
        (
            json!({ "env": [{ "name": "K", "valueFrom": { "secretKeyRef": { "name": "keys", "key": "no" } } }] }),
            Reason::ReferenceNotFound,
            "env[0] (K): Secret \"keys\" has no key \"no\"",
        ),
        (
            json!({ "envFrom": [{ "secretRef": { "name": "token" } }] }),
            Reason::NotAllowedHere,
            "service account",
        ),
        (json!({ "requiredEnv": [{ "anyOf": ["A", "B"] }] }), Reason::MissingEnv, "A or B"),
        (
            json!({ "envFrom": [{ "secretRef": { "name": "keys" } }], "requiredEnv": [{ "anyOf": ["EMPTY"] }] }),
            Reason::MissingEnv,
            "EMPTY",
        ),
        (
            json!({ "env": [{ "name": "HOSTNAME", "value": "x" }] }),
            Reason::InvalidSpec,
            "Atelier sets HOSTNAME itself",
        ),
        (
            json!({ "files": [{ "path": "config.yaml", "content": "" }] }),
            Reason::InvalidSpec,
            "written by Atelier",
        ),
        (
            json!({ "files": [{ "path": "./.auth_token", "content": "" }] }),
            Reason::InvalidSpec,
            "written by Atelier",
        ),
        (
            json!({ "files": [{ "path": "a/../../b", "content": "" }] }),
            Reason::InvalidSpec,
            "leaves /configs",
        ),
        (json!({ "files": [{ "path": "./", "content": "" }] }), Reason::InvalidSpec, "names no file"),
        (
            json!({ "files": [{ "path": "a", "content": "" }, { "path": "a/b", "content": "" }] }),
            Reason::InvalidSpec,
            "\"a\" is a file",
        ),
        (json!({ "env": [{ "name": "N", "value": "a\0b" }] }), Reason::InvalidSpec, "NUL"),
    ];
    for (fields, reason, words) in cases {
        let problem = resolved(fields.clone()).expect_err(&fields.to_string());
        assert_eq!(problem.reason, reason, "{fields}: {}", problem.message);
        assert!(problem.message.contains(words), "{fields}: {}", problem.message);
    }
}

#[test]
fn an_optional_config_map_may_be_missing() {
    let from = json!({ "filesFrom": [{ "configMapRef": { "name": "gone" }, "optional": true }] });
    assert!(resolved(from).is_ok());
}

#[test]
fn the_hash_is_of_what_shapes_the_box() {
    let text = |fields: Value| {
        let spec = spec(fields);
        hashed_text(&spec, &refs(&spec))
    };
    let plain = text(json!({}));
    for same in [
        json!({ "tier": "T2", "maxConcurrentTasks": 1 }),
        json!({ "suspend": true }),
        json!({ "restartedAt": "now" }),
        json!({ "requiredEnv": [{ "anyOf": ["A"] }] }),
    ] {
        assert_eq!(text(same.clone()), plain, "{same} is no other box");
    }
    for other in [
        json!({ "tier": "T1" }),
        json!({ "role": "x" }),
        json!({ "parentRef": { "name": "boss" } }),
        json!({ "envFrom": [{ "secretRef": { "name": "keys" } }] }),
    ] {
        assert_ne!(text(other.clone()), plain, "{other} is another box");
    }
    let with_keys = spec(json!({ "envFrom": [{ "secretRef": { "name": "keys" } }] }));
    let mut changed = refs(&with_keys);
    changed.insert(Reference::Secret("keys".into()), data(&[("API_KEY", "another")]));
    assert_ne!(
        hashed_text(&with_keys, &changed),
        hashed_text(&with_keys, &refs(&with_keys)),
        "a secret's value counts"
    );
    let with_parent = spec(json!({ "parentRef": { "name": "boss" } }));
    let mut remade = refs(&with_parent);
    remade.insert(Reference::Parent("boss".into()), Found::Uid("another".into()));
    assert_eq!(
        hashed_text(&with_parent, &remade),
        hashed_text(&with_parent, &refs(&with_parent)),
        "a director that was made anew must not replace its tree"
    );
}

fn workspace(name: &str, second: u8, launched: bool, tier: &str) -> Workspace {
    let launch = json!({
        "attempt": 1, "outcome": "Launched", "specHash": "", "keyID": "", "request": "", "startedAt": "2026-01-01T00:00:00Z",
    });
    serde_json::from_value(json!({
        "apiVersion": "atelier.dev/v1alpha1", "kind": "Workspace",
        "metadata": {
            "name": name, "namespace": "team", "uid": name,
            "creationTimestamp": format!("2026-01-01T00:00:{second:02}Z"),
        },
        "spec": { "runtime": "demo", "tier": tier },
        "status": if launched { json!({ "launch": launch }) } else { Value::Null },
    }))
    .unwrap()
}

#[test]
fn policy_refuses_by_name_and_says_what_is_allowed() {
    let with =
        |policy: Value| BackendConfigSpec { policy: serde_json::from_value(policy).unwrap(), ..config() };
    let cases = [
        (with(json!({})), "T3", Reason::TierNotAllowed, "T1 and T2"),
        (with(json!({ "tiers": [{ "tier": "T1" }] })), "T2", Reason::TierNotAllowed, "allowed: T1"),
        (
            with(json!({ "tiers": [{ "tier": "T3", "namespaces": ["other"] }] })),
            "T3",
            Reason::TierNotAllowed,
            "none",
        ),
        (with(json!({ "allowedNamespaces": ["prod"] })), "T2", Reason::NotAllowedHere, "prod"),
        (with(json!({ "maxWorkspaces": 1 })), "T2", Reason::QuotaExceeded, "maxWorkspaces"),
    ];
    for (config, tier, reason, words) in cases {
        let refused = judge(
            &workspace("a", 0, false, tier),
            &config,
            "atelier-system",
            Census { in_all: 1, in_namespace: 1 },
        );
        let problem = refused.expect_err(words);
        assert_eq!(problem.reason, reason, "{}", problem.message);
        assert!(problem.message.contains(words), "{}", problem.message);
    }
    let here = judge(&workspace("a", 0, false, "T2"), &config(), "team", Census::default()).unwrap_err();
    assert_eq!(here.reason, Reason::NotAllowedHere);
    let mut unknown = config();
    unknown.runtimes[0].name = "other".into();
    let problem = judge(&workspace("a", 0, false, "T2"), &unknown, "x", Census::default()).unwrap_err();
    assert!(
        problem.reason == Reason::UnknownRuntime && problem.message.contains("other"),
        "{}",
        problem.message
    );
}

#[test]
fn a_quota_goes_to_who_has_a_box_then_to_the_oldest() {
    let all = [
        workspace("old", 1, false, "T2"),
        workspace("young", 3, false, "T2"),
        workspace("boxed", 9, true, "T2"),
    ];
    assert_eq!(census(&all[0], all.iter()).in_all, 1, "only the one with a box comes before the oldest");
    assert_eq!(census(&all[1], all.iter()).in_all, 2);
}
