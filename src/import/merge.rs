//! Merge: what a workspace comes to with the template's defaults under it, by the format's own rules. Pure.
//!
//! A Team has defaults too, and where both merge alike the result is left to it: the manifests stay short,
//! and a platform owner changes the model of forty members in one place. `difference` says what a member has
//! to say of its own for that. What the Team cannot merge as the format does is merged here.

use super::template::Shared;
use crate::api::workspace::{RequiredEnv, Tier};
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// The format's own defaults.
const RUNTIME: &str = "langgraph";
const CLAUDE_CODE: &str = "claude-code";
const CLAUDE_MODEL: &str = "sonnet";
const IDLE_SECONDS: i32 = 600;

/// The prompts of a workspace, or of the defaults, as they were found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts {
    /// The first message.
    pub initial: Option<String>,
    /// What an idle agent is told.
    pub idle: Option<String>,
}

/// What a workspace comes to.
#[derive(Clone, Debug, PartialEq)]
pub struct Merged {
    /// The runtime.
    pub runtime: String,
    /// How much machine.
    pub tier: Tier,
    /// The model, if anybody names one.
    pub model: Option<String>,
    /// The plugins.
    pub plugins: Vec<String>,
    /// The first message.
    pub initial: Option<String>,
    /// What an idle agent is told, and after how many seconds.
    pub idle: Option<(String, i32)>,
    /// Which roles a category goes to.
    pub category_routing: BTreeMap<String, Vec<String>>,
    /// What is remembered from the start.
    pub initial_memories: Vec<Json>,
    /// Variables that are needed.
    pub required_env: Vec<RequiredEnv>,
}

/// A workspace over the defaults.
pub fn merge(defaults: &Shared, default_texts: &Texts, own: &Shared, own_texts: &Texts) -> Merged {
    let runtime = own.runtime.as_ref().or(defaults.runtime.as_ref()).map_or(RUNTIME, String::as_str);
    let model = own.model.as_ref().or(defaults.model.as_ref()).map(String::as_str);
    let model = model.or((runtime == CLAUDE_CODE).then_some(CLAUDE_MODEL));
    let idle = own_texts.idle.as_ref().or(default_texts.idle.as_ref());
    let seconds = own.idle_interval.or(defaults.idle_interval).unwrap_or(IDLE_SECONDS);
    let memories = if own.initial_memories.is_empty() { defaults } else { own };
    Merged {
        runtime: runtime.to_owned(),
        tier: own.tier.or(defaults.tier).unwrap_or_default(),
        model: model.map(str::to_owned),
        plugins: plugins(&defaults.plugins, &own.plugins),
        initial: own_texts.initial.as_ref().or(default_texts.initial.as_ref()).cloned(),
        idle: idle.map(|text| (text.clone(), seconds)),
        category_routing: routing(&defaults.category_routing, &own.category_routing),
        initial_memories: memories.initial_memories.clone(),
        required_env: union(&defaults.required_env, &own.required_env),
    }
}

/// What the Team's defaults say: what a workspace comes to that says nothing. But a model that follows from
/// the runtime is left to the members, since one with another runtime must not get it.
pub fn base(defaults: &Shared, texts: &Texts) -> Merged {
    let merged = merge(defaults, texts, &Shared::default(), &Texts::default());
    Merged { model: defaults.model.clone(), ..merged }
}

/// What a member has to say of its own, over the Team's defaults; a field that is empty is left to them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Difference {
    /// The runtime.
    pub runtime: Option<String>,
    /// How much machine.
    pub tier: Option<Tier>,
    /// The model.
    pub model: Option<String>,
    /// Plugins that the defaults do not have.
    pub plugins: Vec<String>,
    /// Plugins of the defaults that it does not get.
    pub exclude_plugins: Vec<String>,
    /// Whether its first message is its own.
    pub initial: bool,
    /// What it is told when idle.
    pub idle: Option<(String, i32)>,
    /// Variables that the defaults do not need.
    pub required_env: Vec<RequiredEnv>,
}

/// What `merged` has to say over `base`.
pub fn difference(base: &Merged, merged: &Merged) -> Difference {
    let but = |these: &[String], others: &[String]| {
        these.iter().filter(|name| !others.contains(name)).cloned().collect()
    };
    Difference {
        runtime: (merged.runtime != base.runtime).then(|| merged.runtime.clone()),
        tier: (merged.tier != base.tier).then_some(merged.tier),
        model: merged.model.clone().filter(|_| merged.model != base.model),
        plugins: but(&merged.plugins, &base.plugins),
        exclude_plugins: but(&base.plugins, &merged.plugins),
        initial: merged.initial != base.initial,
        idle: merged.idle.clone().filter(|_| merged.idle != base.idle),
        required_env: merged
            .required_env
            .iter()
            .filter(|e| !base.required_env.contains(e))
            .cloned()
            .collect(),
    }
}

/// The union, defaults first; a name after `!` takes one out, and naming it once more brings it back.
fn plugins(defaults: &[String], own: &[String]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    // A sign among the defaults has nothing to take out, except an earlier one of the same list.
    for name in defaults.iter().chain(own) {
        match name.strip_prefix('!') {
            Some(out) => all.retain(|have| have != out),
            None if all.contains(name) => {}
            None => all.push(name.clone()),
        }
    }
    all
}

fn routing(
    defaults: &BTreeMap<String, Vec<String>>,
    own: &BTreeMap<String, Vec<String>>,
) -> BTreeMap<String, Vec<String>> {
    let mut all = defaults.clone();
    all.extend(own.clone());
    all.retain(|_, roles| !roles.is_empty());
    all
}

fn union(defaults: &[RequiredEnv], own: &[RequiredEnv]) -> Vec<RequiredEnv> {
    let more = own.iter().filter(|wanted| !defaults.contains(wanted));
    defaults.iter().chain(more).cloned().collect()
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;
