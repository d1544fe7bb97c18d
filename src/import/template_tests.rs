//! What the format says, and what is refused or warned of.

use super::*;
use crate::import::tree::{Budget, parse};

fn template(text: &str) -> (Template, Findings) {
    let findings = Findings::default();
    let node = parse(&"org.yaml".into(), text, "", &mut Budget::default()).unwrap();
    let template = read(&node, &findings);
    (template, findings)
}

fn warnings(findings: &Findings) -> Vec<String> {
    findings.warnings().iter().map(ToString::to_string).collect()
}

fn errors(text: &str) -> Vec<String> {
    template(text).1.errors().iter().map(ToString::to_string).collect()
}

#[test]
fn all_that_the_format_has_is_read_without_a_warning() {
    let (template, findings) = template(
        r"
name: A studio
description: Makes things.
template_schema_version: 1
global_memories: [{content: be kind, scope: GLOBAL}]
required_env: [ANTHROPIC_API_KEY, {any_of: [A_TOKEN, B_TOKEN]}]
recommended_env: [GH_TOKEN]
defaults:
  runtime: claude-code
  tier: 3
  model: opus
  plugins: [careful-bash]
  initial_prompt: Hello.
  initial_prompt_file: initial.md
  idle_prompt: Look around.
  idle_prompt_file: idle.md
  idle_interval_seconds: 600
  category_routing: {ui: [Frontend]}
  initial_memories: [{content: x}]
  required_env: [BASE_URL]
workspaces:
- name: A11y + SEO Auditor
  role: |
    Checks.
  runtime: hermes
  tier: 4
  template: hermes
  files_dir: auditor
  system_prompt: You check.
  model: haiku
  workspace_dir: /srv/site
  workspace_access: read_only
  plugins: ['!careful-bash', -other, browser]
  initial_prompt: Hi.
  initial_prompt_file: initial.md
  idle_prompt: Anything?
  idle_prompt_file: idle.md
  idle_interval_seconds: 60
  category_routing: {ui: []}
  initial_memories: []
  max_concurrent_tasks: 2
  schedules:
  - {name: daily, cron_expr: '0 8 * * *', timezone: UTC, prompt: Check., enabled: true}
  - {name: weekly, cron_expr: '0 8 * * 1', prompt_file: weekly.md}
  channels: [{type: slack, config: {token: '${T}', anything: x}, allowed_users: [a], enabled: no}]
  external: false
  url: http://example.com
  canvas: {x: 1.5, y: -2}
  required_env: [SITE_KEY]
  recommended_env: [{any_of: [X, Y]}]
  spawning: true
  children:
  - name: b
",
    );
    assert_eq!(warnings(&findings), [""; 0]);
    assert_eq!(findings.errors(), []);
    let auditor = &template.workspaces[0];
    assert_eq!(auditor.name, "A11y + SEO Auditor");
    assert_eq!(auditor.role.as_deref(), Some("Checks.\n"));
    assert_eq!(auditor.shared.tier, Some(Tier::T4));
    assert_eq!(auditor.shared.plugins, ["!careful-bash", "!other", "browser"]);
    assert_eq!(auditor.shared.category_routing["ui"], [""; 0]);
    assert_eq!(auditor.max_concurrent_tasks, Some(2));
    assert_eq!(auditor.schedules[1].prompt_file.as_ref().unwrap().value, "weekly.md");
    assert_eq!(auditor.kept["canvas"], json!({"x": 1.5, "y": -2}));
    assert_eq!(auditor.kept["recommended-env"], json!([["X", "Y"]]));
    let kept: Vec<_> = auditor.kept.keys().copied().collect();
    let all =
        ["canvas", "channels", "recommended-env", "template", "url", "workspace-access", "workspace-dir"];
    assert_eq!(kept, all);
    assert_eq!(template.required_env[1].any_of, ["A_TOKEN", "B_TOKEN"]);
    assert_eq!(template.defaults.required_env[0].any_of, ["BASE_URL"]);
    let kept: Vec<_> = template.kept.keys().copied().collect();
    assert_eq!(kept, ["global-memories", "recommended-env", "template-schema-version"]);
    assert_eq!(auditor.children[0].name, "b");
}

#[test]
fn each_unknown_key_is_named_with_its_place() {
    let (_, findings) = template(
        "nmae: x\ndefaults:\n  config: {a: 1}\nworkspaces:\n- name: a\n  parent: b\n  children:\n  - name: c\n    \
         schedules: [{cron: x, prompt: p}]\n    canvas: {z: 1}\n",
    );
    let said = warnings(&findings);
    let places = [
        "org.yaml:9: workspaces[0].children[0].schedules[0].cron: unknown key",
        "org.yaml:10: workspaces[0].children[0].canvas.z: unknown key",
        "org.yaml:6: workspaces[0].parent: unknown key",
        "org.yaml:1: nmae: unknown key",
        "org.yaml:3: defaults.config: unknown key",
    ];
    for place in places {
        assert!(said.iter().any(|warning| warning.starts_with(place)), "{place}: {said:#?}");
    }
    assert_eq!(said.len(), places.len());
}

#[test]
fn what_cannot_be_is_refused_with_place_and_fix() {
    let with = |field: &str| format!("workspaces:\n- name: a\n  {field}\n");
    let table = [
        (with("tier: 5"), "org.yaml:3: workspaces[0].tier: a whole number from 1 to 4 is needed here"),
        (with("tier: '2'"), "whole number from 1 to 4 is needed here, and this is \"2\""),
        (with("role: [x]"), "org.yaml:3: workspaces[0].role: a text is needed here, and this is a list"),
        (with("plugins: x"), "plugins: a list is needed here, and this is \"x\""),
        (with("spawning: maybe"), "true or false is needed here"),
        (with("idle_interval_seconds: 5"), "from 10 to 86400"),
        (with("max_concurrent_tasks: -1"), "from 1 to 1000"),
        (with("canvas: 3"), "workspaces[0].canvas: a mapping is needed here"),
        (with("children: {a: b}"), "children: a list is needed here, and this is a mapping"),
        (with("children: [x]"), "org.yaml:3: workspaces[0].children[0]: a mapping is needed here"),
        (with("required_env: [lower]"), "workspaces[0].required_env[0]: \"lower\" cannot be required"),
        (with("required_env: [{any_of: []}]"), "name one to sixteen variables"),
        (with("plugins: [a b]"), "plugins[0]: \"a b\" gives no name for a plugin"),
        (with("plugins: [{config: {}}]"), "neither `source` nor `name`"),
        (with("category_routing: {ui: x}"), "category_routing.ui: a list of roles is needed"),
        (with(&format!("role: {}", "x".repeat(8193))), "has 8193 characters and may have 8192: shorten it"),
        ("workspaces:\n- role: x\n".to_owned(), "org.yaml:2: workspaces[0]: this workspace has no name"),
        ("name: x\n".to_owned(), "org.yaml:1: there are no workspaces"),
        ("- x\n".to_owned(), "org.yaml:1: a mapping is needed here, and this is a list"),
        (String::new(), "a mapping is needed here, and this is nothing"),
    ];
    for (text, words) in table {
        let said = errors(&text);
        assert!(said.iter().any(|error| error.contains(words)), "{text}: {said:#?}");
    }
    assert_eq!(errors(&with("tier: 9\n  role: {}\n  model: []")).len(), 3, "all are told at once");
}

#[test]
fn zero_and_empty_count_as_unsaid_as_they_do_for_the_format() {
    let (template, findings) = template("workspaces: [{name: a, tier: 0, model: '', role: ~, plugins: ~}]");
    let one = &template.workspaces[0];
    assert_eq!((one.shared.tier, &one.shared.model, &one.role), (None, &None, &None));
    assert_eq!(findings.errors(), []);
}

#[test]
fn a_plugin_with_a_source_is_kept_by_its_name_with_a_warning() {
    let text = "workspaces: [{name: a, plugins: [{source: 'github://o/careful-bash#v1', config: {x: 1}}, \
                {name: short, source: 'local://x'}, 'gitea://o/repo.git', plain]}]";
    let (template, findings) = template(text);
    let shared = &template.workspaces[0].shared;
    assert_eq!(shared.plugins, ["careful-bash", "short", "repo", "plain"]);
    assert_eq!(shared.plugin_sources[0]["config"], json!({"x": 1}));
    let said = warnings(&findings);
    assert_eq!(said.len(), 3, "{said:#?}");
    assert!(said[0].starts_with("org.yaml:1: workspaces[0].plugins[0]: kept as the plugin \"careful-bash\""));
}
