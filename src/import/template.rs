//! The template, typed: what an `org.yaml` says once includes are in place. Pure.

use super::fields::{Fields, text_of};
use super::findings::{Findings, Placed, Spot};
use super::tree::{Node, Value};
use crate::api::workspace::{RequiredEnv, Tier};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// What the API allows, in characters.
const MAX_NAME: usize = 253;
const MAX_ROLE: usize = 8192;
const MAX_INLINE: usize = 1 << 20;
const MAX_PATH: usize = 512;

/// An org template.
#[derive(Debug, Default)]
pub struct Template {
    /// What it is called.
    pub name: Option<Placed<String>>,
    /// What it is for.
    pub description: Option<String>,
    /// What every workspace starts from.
    pub defaults: Shared,
    /// The roots of the tree.
    pub workspaces: Vec<Workspace>,
    /// Variables that the whole organisation needs.
    pub required_env: Vec<RequiredEnv>,
    /// What has no field in the API, by its name.
    pub kept: BTreeMap<&'static str, Json>,
}

/// What `defaults` and a workspace may both say.
#[derive(Clone, Debug, Default)]
pub struct Shared {
    /// The runtime.
    pub runtime: Option<String>,
    /// How much machine.
    pub tier: Option<Tier>,
    /// The model.
    pub model: Option<String>,
    /// Plugins as they are written: a name, or a name after `!` or `-` that takes one out.
    pub plugins: Vec<String>,
    /// Plugins that came with a source, as they are written.
    pub plugin_sources: Vec<Json>,
    /// The first message.
    pub initial_prompt: Prompt,
    /// What an idle agent is told.
    pub idle_prompt: Prompt,
    /// How long it must have been idle, in seconds.
    pub idle_interval: Option<i32>,
    /// Which roles a category goes to.
    pub category_routing: BTreeMap<String, Vec<String>>,
    /// What is remembered from the start.
    pub initial_memories: Vec<Json>,
    /// Variables that are needed.
    pub required_env: Vec<RequiredEnv>,
}

/// A prompt, inline or in a file; inline wins.
#[derive(Clone, Debug, Default)]
pub struct Prompt {
    /// The text.
    pub inline: Option<Placed<String>>,
    /// The file.
    pub file: Option<Placed<String>>,
}

/// A workspace of the template.
#[derive(Debug)]
pub struct Workspace {
    /// Where it stands.
    pub at: Spot,
    /// What people call it.
    pub name: String,
    /// What it is for.
    pub role: Option<String>,
    /// The folder with its files.
    pub files_dir: Option<Placed<String>>,
    /// Its system prompt, inline.
    pub system_prompt: Option<Placed<String>>,
    /// What it may say as the defaults do.
    pub shared: Shared,
    /// How many tasks it works on at once.
    pub max_concurrent_tasks: Option<i32>,
    /// What it does at set times.
    pub schedules: Vec<Schedule>,
    /// Whether it runs elsewhere and needs no machine.
    pub external: bool,
    /// Whether it, and what is below it, is to be made at all.
    pub spawns: bool,
    /// What has no field in the API, by its name.
    pub kept: BTreeMap<&'static str, Json>,
    /// Who reports to it.
    pub children: Vec<Workspace>,
}

/// Something done at set times.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// As it is written.
    pub json: Json,
    /// The file with its prompt, where the prompt does not stand inline.
    pub prompt_file: Option<Placed<String>>,
}

/// Reads a template; what is wrong or odd goes into the findings.
pub fn read(node: &Node, findings: &Findings) -> Template {
    let mut template = Template::default();
    let Some(mut fields) = Fields::open(node, "", findings) else { return template };
    template.name = fields.text("name", MAX_NAME);
    template.description = fields.text("description", MAX_ROLE).map(|text| text.value);
    if let Some(mut fields) = fields.below("defaults") {
        template.defaults = shared(&mut fields, findings);
        fields.finish();
    }
    let at = fields.at().clone();
    template.workspaces = workspaces(&mut fields, "workspaces", findings);
    if template.workspaces.is_empty() && findings.errors().is_empty() {
        findings.error(&at, "there are no workspaces: a Team needs at least one, under `workspaces`");
    }
    template.required_env = environment(&mut fields, "required_env", findings);
    keep(&mut fields, &mut template.kept, "global_memories", "global-memories");
    keep_environment(&mut fields, &mut template.kept, findings);
    keep(&mut fields, &mut template.kept, "template_schema_version", "template-schema-version");
    fields.finish();
    template
}

fn shared(fields: &mut Fields<'_>, findings: &Findings) -> Shared {
    let (plugins, plugin_sources) = plugins(fields, findings);
    Shared {
        runtime: fields.text("runtime", 63).map(|text| text.value),
        tier: fields.number("tier", 1..=4).map(|tier| match tier {
            1 => Tier::T1,
            2 => Tier::T2,
            3 => Tier::T3,
            _ => Tier::T4,
        }),
        model: fields.text("model", MAX_NAME).map(|text| text.value),
        plugins,
        plugin_sources,
        initial_prompt: prompt(fields, "initial_prompt", "initial_prompt_file"),
        idle_prompt: prompt(fields, "idle_prompt", "idle_prompt_file"),
        idle_interval: fields.number("idle_interval_seconds", 10..=86_400),
        category_routing: routing(fields, findings),
        initial_memories: fields.list("initial_memories").iter().map(|(node, _)| node.json()).collect(),
        required_env: environment(fields, "required_env", findings),
    }
}

fn prompt(fields: &mut Fields<'_>, inline: &'static str, file: &'static str) -> Prompt {
    Prompt { inline: fields.text(inline, MAX_INLINE), file: fields.text(file, MAX_PATH) }
}

fn workspaces(fields: &mut Fields<'_>, name: &'static str, findings: &Findings) -> Vec<Workspace> {
    let items = fields.list(name);
    items.iter().filter_map(|(node, at)| workspace(node, at, findings)).collect()
}

fn workspace(node: &Node, at: &Spot, findings: &Findings) -> Option<Workspace> {
    let mut fields = Fields::open(node, &at.key, findings)?;
    let name = fields.text("name", MAX_NAME);
    if name.is_none() {
        findings.error(at, "this workspace has no name: give it one under `name`");
    }
    let shared = shared(&mut fields, findings);
    let mut kept = BTreeMap::new();
    keep(&mut fields, &mut kept, "template", "template");
    keep(&mut fields, &mut kept, "workspace_dir", "workspace-dir");
    keep(&mut fields, &mut kept, "workspace_access", "workspace-access");
    keep(&mut fields, &mut kept, "url", "url");
    for (node, at) in fields.list("channels") {
        check(Fields::open(node, &at.key, findings), &["type", "config", "allowed_users", "enabled"]);
    }
    keep(&mut fields, &mut kept, "channels", "channels");
    check(fields.below("canvas"), &["x", "y"]);
    keep(&mut fields, &mut kept, "canvas", "canvas");
    keep_environment(&mut fields, &mut kept, findings);
    let workspace = Workspace {
        at: at.clone(),
        name: name.map(|name| name.value).unwrap_or_default(),
        role: fields.text("role", MAX_ROLE).map(|role| role.value),
        files_dir: fields.text("files_dir", MAX_PATH),
        system_prompt: fields.text("system_prompt", MAX_INLINE),
        shared,
        max_concurrent_tasks: fields.number("max_concurrent_tasks", 1..=1000),
        schedules: schedules(&mut fields, findings),
        external: fields.flag("external").unwrap_or(false),
        spawns: fields.flag("spawning").unwrap_or(true),
        kept,
        children: workspaces(&mut fields, "children", findings),
    };
    fields.finish();
    Some(workspace)
}

fn schedules(fields: &mut Fields<'_>, findings: &Findings) -> Vec<Schedule> {
    let schedule = |(node, at): (&Node, Spot)| {
        let mut fields = Fields::open(node, &at.key, findings)?;
        let inline = fields.text("prompt", MAX_INLINE);
        let file = fields.text("prompt_file", MAX_PATH).filter(|_| inline.is_none());
        if inline.is_none() && file.is_none() {
            findings.warn(&at, "this schedule has no prompt, so nothing would be done: give it one");
        }
        for name in ["name", "cron_expr", "timezone", "enabled"] {
            fields.json(name);
        }
        fields.finish();
        Some(Schedule { json: node.json(), prompt_file: file })
    };
    fields.list("schedules").into_iter().filter_map(schedule).collect()
}

/// What has no field in the API is kept as it is written.
fn keep(
    fields: &mut Fields<'_>,
    kept: &mut BTreeMap<&'static str, Json>,
    name: &'static str,
    under: &'static str,
) {
    kept.extend(fields.json(name).map(|json| (under, json)));
}

/// Warns of what is unknown inside something that is kept as a whole.
fn check(fields: Option<Fields<'_>>, known: &[&'static str]) {
    if let Some(mut fields) = fields {
        for name in known {
            fields.json(name);
        }
        fields.finish();
    }
}

fn keep_environment(fields: &mut Fields<'_>, kept: &mut BTreeMap<&'static str, Json>, findings: &Findings) {
    let wanted = environment(fields, "recommended_env", findings);
    if !wanted.is_empty() {
        let names = wanted.iter().map(|one| json!(one.any_of));
        kept.insert("recommended-env", names.collect());
    }
}

/// Variables: each a name, or `{any_of: [names]}`.
fn environment(fields: &mut Fields<'_>, name: &'static str, findings: &Findings) -> Vec<RequiredEnv> {
    let mut all: Vec<RequiredEnv> = Vec::new();
    for (node, at) in fields.list(name) {
        let any_of: Vec<String> = if let Value::Scalar { text, .. } = &node.value {
            vec![text.clone()]
        } else {
            let Some(mut fields) = Fields::open(node, &at.key, findings) else { continue };
            let names = fields.list("any_of");
            fields.finish();
            names.iter().filter_map(|(node, at)| text_of(node, at, findings)).collect()
        };
        if any_of.is_empty() || any_of.len() > 16 {
            findings.error(&at, "name one to sixteen variables, as a text or under `any_of`");
        }
        for name in any_of.iter().filter(|name| !is_variable(name)) {
            let text = format!(
                "{name:?} cannot be required: a name has capitals, digits and '_', starts with a letter \
                 and has at most 128 characters"
            );
            findings.error(&at, text);
        }
        let wanted = RequiredEnv { any_of };
        if !all.contains(&wanted) {
            all.push(wanted);
        }
    }
    all
}

fn is_variable(name: &str) -> bool {
    name.len() <= 128
        && name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

/// The plugins as names, and those that were given as mappings as they are written.
fn plugins(fields: &mut Fields<'_>, findings: &Findings) -> (Vec<String>, Vec<Json>) {
    let (mut names, mut sources) = (Vec::new(), Vec::new());
    for (node, at) in fields.list("plugins") {
        let (sign, name) = if let Value::Scalar { text, .. } = &node.value {
            let name = text.trim_start_matches(['!', '-']);
            (if name.len() < text.len() { "!" } else { "" }, name.to_owned())
        } else {
            let Some(mut fields) = Fields::open(node, &at.key, findings) else { continue };
            let source = fields.text("source", MAX_PATH).map(|source| source.value);
            let own = fields.text("name", MAX_NAME).map(|name| name.value);
            fields.json("config");
            fields.finish();
            let Some(source) = own.or(source) else {
                findings.error(&at, "this plugin has neither `source` nor `name`: give it one");
                continue;
            };
            sources.push(node.json());
            ("", source)
        };
        let short = plugin_name(&name);
        if short.is_empty() && sign.is_empty() && name.is_empty() {
            continue;
        }
        if !is_plugin(short) {
            let text = format!(
                "{name:?} gives no name for a plugin: a name has letters, digits, '.', '_' and '-', starts \
                 with a letter or digit and has at most 63 characters"
            );
            findings.error(&at, text);
            continue;
        }
        if matches!(node.value, Value::Map(_)) || short != name {
            let text =
                format!("kept as the plugin {short:?}: the runtime has to bring it, an import does not");
            findings.warn(&at, text);
        }
        names.push(format!("{sign}{short}"));
    }
    (names, sources)
}

/// The name in a source such as `github://owner/careful-bash#v1` or `local://careful-bash`.
fn plugin_name(source: &str) -> &str {
    let path = source.split(['#', '@', '?']).next().unwrap_or_default().trim_end_matches('/');
    let last = path.rsplit(['/', ':']).next().unwrap_or_default();
    last.strip_suffix(".git").unwrap_or(last)
}

fn is_plugin(name: &str) -> bool {
    name.len() <= 63
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

fn routing(fields: &mut Fields<'_>, findings: &Findings) -> BTreeMap<String, Vec<String>> {
    let mut routing = BTreeMap::new();
    for (category, node, at) in fields.entries("category_routing") {
        let roles = match &node.value {
            Value::List(items) => items.iter().filter_map(|node| text_of(node, &at, findings)).collect(),
            _ if node.is_null() => Vec::new(),
            _ => {
                findings.error(&at, format!("a list of roles is needed here, and this is {}", node.title()));
                continue;
            }
        };
        if !category.is_empty() {
            routing.insert(category.to_owned(), roles);
        }
    }
    routing
}

#[cfg(test)]
#[path = "template_tests.rs"]
mod tests;
