//! `/configs/config.yaml`: what a runtime reads of its Workspace. Pure.

use crate::api::workspace::WorkspaceSpec;
use serde::Serialize;

#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "the names are the runtimes'")]
struct Config<'a> {
    name: &'a str,
    description: &'a str,
    version: &'a str,
    /// A number: runtimes read the word "T2" as 1.
    tier: u8,
    runtime: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    initial_prompt: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    idle_prompt: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    idle_interval_seconds: Option<i32>,
    prompt_files: [&'a str; 1],
    plugins: Vec<&'a str>,
    max_concurrent_tasks: i32,
    runtime_config: RuntimeConfig<'a>,
    a2a: A2a,
}

#[derive(Serialize)]
struct RuntimeConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
}

#[derive(Serialize)]
struct A2a {
    port: u16,
}

/// The text of `config.yaml`.
///
/// # Errors
/// When it cannot be written as YAML.
pub fn render(
    spec: &WorkspaceSpec,
    name: &str,
    initial_prompt: Option<&str>,
    port: u16,
) -> Result<String, serde_saphyr::ser::Error> {
    let idle = spec.prompts.as_ref().and_then(|p| p.idle.as_ref());
    serde_saphyr::to_string(&Config {
        name: spec.display_name.as_deref().unwrap_or(name),
        description: spec.role.as_deref().unwrap_or_default(),
        version: "1.0.0",
        tier: spec.tier.number(),
        runtime: &spec.runtime,
        model: spec.model.as_deref(),
        initial_prompt,
        idle_prompt: idle.map(|i| i.prompt.as_str()),
        idle_interval_seconds: idle.map(|i| i.interval_seconds),
        prompt_files: ["system-prompt.md"],
        plugins: spec.plugins.iter().map(|p| p.name.as_str()).collect(),
        max_concurrent_tasks: spec.max_concurrent_tasks,
        runtime_config: RuntimeConfig { model: spec.model.as_deref() },
        a2a: A2a { port },
    })
}
