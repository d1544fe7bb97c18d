//! The summary: what was made of a template, and what had no home. Pure.

use super::kept::PREFIX;
use super::manifests::Manifests;
use super::roster::Roster;
use crate::api::workspace::RequiredEnv;
use k8s_openapi::api::core::v1::ConfigMap;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// Says what was made. `left_secrets` are files with secrets that nobody asked for.
pub fn summary(manifests: &Manifests, roster: &Roster<'_>, left_secrets: &[String]) -> String {
    let mut text = String::new();
    let members = &manifests.team.spec.members;
    let roots = members.iter().filter(|member| member.reports_to.is_none()).count();
    let name = manifests.team.metadata.name.as_deref().unwrap_or_default();
    line(&mut text, &format!("Team {name}: {}, {}", count(members.len(), "member"), count(roots, "root")));
    let own = |has: fn(&crate::api::workspace::Prompts) -> bool| {
        members.iter().filter(|m| m.template.prompts.as_ref().is_some_and(has)).count()
    };
    let system = count(own(|prompts| prompts.system_from.is_some()), "system prompt");
    let initial = count(own(|prompts| prompts.initial_from.is_some()), "initial prompt");
    let idle = count(own(|prompts| prompts.idle.is_some()), "idle prompt");
    line(&mut text, &format!("  prompts of members: {system}, {initial}, {idle}"));
    let defaults = manifests.team.spec.defaults.as_ref().and_then(|d| d.prompts.as_ref());
    if let Some(defaults) = defaults {
        let both = [("initial", defaults.initial_from.is_some()), ("idle", defaults.idle.is_some())];
        let said: Vec<_> = both.iter().filter(|(_, there)| *there).map(|(kind, _)| *kind).collect();
        line(&mut text, &format!("  prompts for all: {}", said.join(", ")));
    }
    let keys: usize = manifests.config_maps.iter().map(keys).sum();
    let maps = count(manifests.config_maps.len(), "ConfigMap");
    line(&mut text, &format!("  prompts and files: {keys} in {maps}"));
    if !manifests.secrets.is_empty() {
        line(
            &mut text,
            &format!("  secrets: {} from environment files", count(manifests.secrets.len(), "Secret")),
        );
    }
    if !left_secrets.is_empty() {
        let files = left_secrets.join(", ");
        line(&mut text, &format!("  left out: {files} (--with-secrets makes Secrets of them)"));
    }
    let required: Vec<String> = required(manifests).into_iter().collect();
    if !required.is_empty() {
        line(&mut text, &format!("  needs before it starts: {}", required.join(", ")));
    }
    for (workspace, size) in &roster.skipped {
        let who = &workspace.name;
        line(&mut text, &format!("  not made: {who:?}, {} (spawning: false)", count(*size, "workspace")));
    }
    for place in &roster.external {
        let who = &place.workspace.name;
        line(&mut text, &format!("  not made: {who:?}, which runs elsewhere (external: true)"));
    }
    let kept = manifests.kept.counts();
    if !kept.is_empty() {
        let kinds: Vec<String> = kept.iter().map(|(kind, count)| format!("{kind} ({count})")).collect();
        let place = if manifests.kept_in.is_empty() {
            format!("annotations {PREFIX}…")
        } else {
            format!("{} {}", noun(manifests.kept_in.len(), "ConfigMap"), manifests.kept_in.join(", "))
        };
        line(&mut text, &format!("  without a home in the API, kept in {place}: {}", kinds.join(", ")));
    }
    text
}

fn line(text: &mut String, line: &str) {
    // Writing to a text does not fail.
    let _ = writeln!(text, "{line}");
}

fn keys(map: &ConfigMap) -> usize {
    map.data.as_ref().map_or(0, BTreeMap::len) + map.binary_data.as_ref().map_or(0, BTreeMap::len)
}

fn required(manifests: &Manifests) -> BTreeSet<String> {
    let spec = &manifests.team.spec;
    let of_members = spec.members.iter().flat_map(|member| &member.template.required_env);
    let of_all = spec.defaults.iter().flat_map(|defaults| &defaults.required_env);
    let said = |wanted: &RequiredEnv| wanted.any_of.join(" or ");
    of_all.chain(of_members).map(said).collect()
}

fn count(count: usize, one: &str) -> String {
    format!("{count} {}", noun(count, one))
}

fn noun(count: usize, one: &str) -> String {
    if count == 1 { one.to_owned() } else { format!("{one}s") }
}
