//! Manifests: the Team, and the ConfigMaps and Secrets that it refers to. Pure.

use super::findings::{Findings, Spot};
use super::kept::{Kept, PREFIX, annotations_when_applied};
use super::material::{Material, SYSTEM_PROMPT};
use super::merge::{Merged, base, difference, merge};
use super::pack::{BUDGET, Content, Packed, Place, pack};
use super::roster::Roster;
use super::template::{Shared, Template, Workspace};
use crate::api::names;
use crate::api::team::{Member, MemberTemplate, Team, TeamSpec};
use crate::api::workspace::{
    EnvFrom, File, FilesFrom, IdlePrompt, KeyRef, LocalRef, Plugin, Prompts, TextFrom,
};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// The key of the first message.
const INITIAL_PROMPT: &str = "initial-prompt.md";
/// What annotations may come to, with a little room for what others add.
const MAX_ANNOTATIONS: usize = 262_144 - 1024;
/// What the API allows in a member.
const MAX_FILES: usize = 128;
const MAX_FOLDERS: usize = 64;
const MAX_PLUGINS: usize = 128;
const MAX_REQUIRED: usize = 64;

/// What there is to make manifests of.
#[derive(Debug)]
pub struct Import<'t> {
    /// The Team's name.
    pub team: String,
    /// The namespace of everything; none leaves it to `kubectl`.
    pub namespace: Option<String>,
    /// The template.
    pub template: &'t Template,
    /// Where its first line is.
    pub at: Spot,
    /// Who becomes a member.
    pub roster: &'t Roster<'t>,
    /// The members' names, in the order of the roster.
    pub names: Vec<String>,
    /// What the defaults bring along.
    pub defaults: Material,
    /// What each member brings along, in the order of the roster.
    pub materials: Vec<Material>,
}

/// What an import makes.
#[derive(Debug)]
pub struct Manifests {
    /// The Team.
    pub team: Team,
    /// The ConfigMaps.
    pub config_maps: Vec<ConfigMap>,
    /// The Secrets.
    pub secrets: Vec<Secret>,
    /// What has no field in the API.
    pub kept: Kept,
    /// The ConfigMaps that hold it, where annotations do not.
    pub kept_in: Vec<String>,
}

/// Makes the manifests; what the API would refuse goes into the findings.
pub fn manifests(import: Import<'_>, findings: &Findings) -> Manifests {
    let Import { team, namespace, template, at, roster, names, defaults, materials } = import;
    let mut maker = Maker { team, namespace, config_maps: Vec::new(), secrets: Vec::new(), findings };
    let shared = with_required(template);
    let base = base(&shared, &defaults.texts);
    let mut kept = kept_of_template(template, roster, &names);
    let template_defaults = maker.defaults(&base, defaults.variables, &at);
    let mut members = Vec::new();
    for (index, material) in materials.into_iter().enumerate() {
        let place = roster.members[index];
        let merged = merge(&shared, &defaults.texts, &place.workspace.shared, &material.texts);
        keep_member(&mut kept, &names[index], place.workspace, &merged, &material);
        let mut member = maker.member(&names[index], place.workspace, &base, &merged, material);
        member.reports_to = place.reports_to.map(|boss| names[boss].clone());
        members.push(member);
    }
    let spec = TeamSpec {
        description: template.description.clone(),
        defaults: Some(template_defaults),
        members,
        ..TeamSpec::default()
    };
    let mut team = Team { metadata: maker.meta(maker.team.clone(), None), spec, status: None };
    let kept_in = maker.keep(&mut team, &kept, &at);
    Manifests { team, config_maps: maker.config_maps, secrets: maker.secrets, kept, kept_in }
}

/// The defaults, with what the whole organisation needs.
fn with_required(template: &Template) -> Shared {
    let mut shared = template.defaults.clone();
    for wanted in &template.required_env {
        if !shared.required_env.contains(wanted) {
            shared.required_env.push(wanted.clone());
        }
    }
    shared
}

fn kept_of_template(template: &Template, roster: &Roster<'_>, names: &[String]) -> Kept {
    let mut kept = Kept::default();
    for (kind, json) in &template.kept {
        kept.keep(kind, None, json.clone());
    }
    if !template.defaults.plugin_sources.is_empty() {
        kept.keep("plugin-sources", None, template.defaults.plugin_sources.clone().into());
    }
    let external: Vec<Json> = roster
        .external
        .iter()
        .map(|place| {
            let mut about = json!({"name": place.workspace.name, "role": place.workspace.role});
            about["reports_to"] = place.reports_to.map(|boss| names[boss].as_str()).into();
            about["also"] = json!(place.workspace.kept);
            about
        })
        .collect();
    if !external.is_empty() {
        kept.keep("external", None, external.into());
    }
    kept
}

fn keep_member(kept: &mut Kept, name: &str, workspace: &Workspace, merged: &Merged, material: &Material) {
    for (kind, json) in &workspace.kept {
        kept.keep(kind, Some(name), json.clone());
    }
    let mut keep = |kind, json: Json| {
        let is_empty = json.as_array().is_some_and(Vec::is_empty)
            || json.as_object().is_some_and(serde_json::Map::is_empty);
        if !is_empty {
            kept.keep(kind, Some(name), json);
        }
    };
    keep("plugin-sources", workspace.shared.plugin_sources.clone().into());
    keep("schedules", material.schedules.clone().into());
    keep("category-routing", json!(merged.category_routing));
    keep("initial-memories", merged.initial_memories.clone().into());
}

struct Maker<'f> {
    team: String,
    namespace: Option<String>,
    config_maps: Vec<ConfigMap>,
    secrets: Vec<Secret>,
    findings: &'f Findings,
}

impl Maker<'_> {
    fn meta(&self, name: String, member: Option<&str>) -> ObjectMeta {
        let mut labels = BTreeMap::from([(names::TEAM.to_owned(), self.team.clone())]);
        labels.extend(member.map(|member| (names::MEMBER.to_owned(), member.to_owned())));
        ObjectMeta {
            name: Some(name),
            namespace: self.namespace.clone(),
            labels: Some(labels),
            ..ObjectMeta::default()
        }
    }

    /// What the Team's members start from. A prompt of the defaults is one ConfigMap for all.
    fn defaults(&mut self, base: &Merged, variables: BTreeMap<String, String>, at: &Spot) -> MemberTemplate {
        let mut prompts = BTreeMap::new();
        if let Some(text) = &base.initial {
            prompts.insert(INITIAL_PROMPT.to_owned(), Content::of(text.clone().into_bytes()));
        }
        let packed = pack(&prompts, Vec::new(), BUDGET);
        let names = self.store(&format!("{}.defaults", self.team), None, &packed);
        let initial = packed.prompts.get(INITIAL_PROMPT).map(|place| from(&names, place));
        let env = self.secret_env(&format!("{}.env", self.team), None, variables, at);
        self.at_most("plugins", base.plugins.len(), MAX_PLUGINS, at);
        self.at_most("required variables", base.required_env.len(), MAX_REQUIRED, at);
        MemberTemplate {
            runtime: Some(base.runtime.clone()),
            tier: Some(base.tier),
            model: base.model.clone(),
            prompts: prompts_of(None, initial, base.idle.clone()),
            plugins: plugins(&base.plugins),
            env_from: env,
            required_env: base.required_env.clone(),
            ..MemberTemplate::default()
        }
    }

    fn member(
        &mut self,
        name: &str,
        workspace: &Workspace,
        base: &Merged,
        merged: &Merged,
        material: Material,
    ) -> Member {
        let own = difference(base, merged);
        let at = &workspace.at;
        let child = names::child(&self.team, name);
        let mut prompts = BTreeMap::new();
        if let Some(system) = material.system {
            prompts.insert(SYSTEM_PROMPT.to_owned(), Content::of(system.into_bytes()));
        }
        // A first message that is a file under /configs anyway is not stored twice.
        let file = material.initial_file.filter(|path| material.files.iter().any(|file| file.path == *path));
        if let (true, Some(text), None) = (own.initial, &merged.initial, &file) {
            prompts.insert(INITIAL_PROMPT.to_owned(), Content::of(text.clone().into_bytes()));
        }
        let packed = pack(&prompts, material.files, BUDGET);
        let names = self.store(&child, Some(name), &packed);
        let system = packed.prompts.get(SYSTEM_PROMPT).map(|place| from(&names, place));
        let initial = match file {
            Some(path) => packed.files.get(&path),
            None => packed.prompts.get(INITIAL_PROMPT),
        };
        let initial = initial.filter(|_| own.initial).map(|place| from(&names, place));
        let mut files = listed(&packed, &names);
        files.extend(self.secret_files(&format!("{child}.files"), name, material.secret_files, at));
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let folders = folders(&packed, &names);
        self.at_most("files whose names cannot be keys of a ConfigMap", files.len(), MAX_FILES, at);
        self.at_most("ConfigMaps for its folders", folders.len(), MAX_FOLDERS, at);
        self.at_most("plugins", merged.plugins.len().max(own.exclude_plugins.len()), MAX_PLUGINS, at);
        self.at_most("required variables", merged.required_env.len(), MAX_REQUIRED, at);
        Member {
            name: name.to_owned(),
            reports_to: None,
            exclude_plugins: own.exclude_plugins,
            template: MemberTemplate {
                runtime: own.runtime,
                tier: own.tier,
                model: own.model,
                display_name: Some(workspace.name.clone()),
                role: workspace.role.clone(),
                prompts: prompts_of(system, initial, own.idle),
                files,
                files_from: folders,
                plugins: plugins(&own.plugins),
                env_from: self.secret_env(&format!("{child}.env"), Some(name), material.variables, at),
                required_env: own.required_env,
                max_concurrent_tasks: workspace.max_concurrent_tasks,
                ..MemberTemplate::default()
            },
        }
    }

    /// Makes the ConfigMaps of what was packed; answers their names.
    fn store(&mut self, name: &str, member: Option<&str>, packed: &Packed) -> Vec<String> {
        let mut all = Vec::new();
        for (index, data) in packed.maps.iter().enumerate() {
            // No member's name has a dot, so none of these is another member's first.
            let name = if index == 0 { name.to_owned() } else { format!("{name}.{}", index + 1) };
            let (mut text, mut binary) = (BTreeMap::new(), BTreeMap::new());
            for (key, content) in data {
                match content {
                    Content::Text(value) => drop(text.insert(key.clone(), value.clone())),
                    Content::Binary(value) => drop(binary.insert(key.clone(), ByteString(value.clone()))),
                }
            }
            self.config_maps.push(ConfigMap {
                metadata: self.meta(name.clone(), member),
                data: (!text.is_empty()).then_some(text),
                binary_data: (!binary.is_empty()).then_some(binary),
                immutable: None,
            });
            all.push(name);
        }
        all
    }

    /// A Secret with variables, and the reference to it.
    fn secret_env(
        &mut self,
        name: &str,
        member: Option<&str>,
        variables: BTreeMap<String, String>,
        at: &Spot,
    ) -> Vec<EnvFrom> {
        if variables.is_empty() {
            return Vec::new();
        }
        let data = variables.into_iter().map(|(key, value)| (key, ByteString(value.into_bytes())));
        self.secret(name, member, data.collect(), at);
        vec![EnvFrom { secret_ref: Some(LocalRef { name: name.to_owned() }), config_map_ref: None }]
    }

    /// A Secret with files, and the references to them.
    fn secret_files(
        &mut self,
        name: &str,
        member: &str,
        files: BTreeMap<String, Vec<u8>>,
        at: &Spot,
    ) -> Vec<File> {
        let mut data = BTreeMap::new();
        let mut listed = Vec::new();
        for (index, (path, bytes)) in files.into_iter().enumerate() {
            let key = format!("file-{}", index + 1);
            data.insert(key.clone(), ByteString(bytes));
            let secret_key_ref = Some(KeyRef { name: name.to_owned(), key });
            listed.push(File { path, secret_key_ref, ..File::default() });
        }
        if !data.is_empty() {
            self.secret(name, Some(member), data, at);
        }
        listed
    }

    fn secret(&mut self, name: &str, member: Option<&str>, data: BTreeMap<String, ByteString>, at: &Spot) {
        let weight: usize =
            data.iter().map(|(key, value)| key.len() + value.0.len().div_ceil(3) * 4 + 6).sum();
        if weight > BUDGET {
            let text = format!(
                "its environment files take {} KiB, and a Secret that kubectl can apply holds {}: shorten them",
                weight / 1024,
                BUDGET / 1024
            );
            self.findings.error(at, text);
        }
        self.secrets.push(Secret {
            metadata: self.meta(name.to_owned(), member),
            data: Some(data),
            type_: Some("Opaque".to_owned()),
            ..Secret::default()
        });
    }

    /// Puts what has no field into annotations, or, where they cannot hold it, into ConfigMaps.
    fn keep(&mut self, team: &mut Team, kept: &Kept, at: &Spot) -> Vec<String> {
        let bare = json!(team);
        if !kept.is_empty() {
            team.metadata.annotations = Some(kept.annotations());
        }
        if annotations_when_applied(&json!(team)) <= MAX_ANNOTATIONS {
            return Vec::new();
        }
        let mut kept_in = Vec::new();
        if !kept.is_empty() {
            let files = kept.files();
            for (name, content) in &files {
                if content.weight() + name.len() + 4 > BUDGET {
                    let text =
                        format!("{name} is too long to be kept, and has no field in the API: shorten it");
                    self.findings.error(at, text);
                }
            }
            let packed = pack(&files, Vec::new(), BUDGET);
            kept_in = self.store(&format!("{}.import", self.team), None, &packed);
            let note = (format!("{PREFIX}kept-in"), kept_in.join(","));
            team.metadata.annotations = Some([note].into());
        }
        let size = annotations_when_applied(&json!(team));
        if size > MAX_ANNOTATIONS {
            let text = format!(
                "the Team takes {} KiB, and kubectl can apply {}: shorten roles and idle prompts, or split \
                 the template into several",
                bare.to_string().len() / 1024,
                MAX_ANNOTATIONS / 1024
            );
            self.findings.error(at, text);
        }
        kept_in
    }

    fn at_most(&self, what: &str, count: usize, most: usize, at: &Spot) {
        if count > most {
            self.findings.error(at, format!("has {count} {what} and may have {most}: take some away"));
        }
    }
}

fn from(names: &[String], place: &Place) -> TextFrom {
    TextFrom { config_map_key_ref: key_ref(names, place) }
}

fn key_ref(names: &[String], place: &Place) -> KeyRef {
    KeyRef { name: names[place.map].clone(), key: place.key.clone() }
}

fn listed(packed: &Packed, names: &[String]) -> Vec<File> {
    let file = |(path, place): (&String, &Place)| File {
        path: path.clone(),
        config_map_key_ref: Some(key_ref(names, place)),
        ..File::default()
    };
    packed.listed.iter().map(file).collect()
}

fn folders(packed: &Packed, names: &[String]) -> Vec<FilesFrom> {
    let folder = |(map, folder): (&usize, &String)| FilesFrom {
        config_map_ref: LocalRef { name: names[*map].clone() },
        prefix: (!folder.is_empty()).then(|| folder.clone()),
        optional: false,
    };
    packed.folders.iter().map(folder).collect()
}

fn plugins(names: &[String]) -> Vec<Plugin> {
    names.iter().map(|name| Plugin { name: name.clone(), config_map_ref: None }).collect()
}

fn prompts_of(
    system: Option<TextFrom>,
    initial: Option<TextFrom>,
    idle: Option<(String, i32)>,
) -> Option<Prompts> {
    let idle = idle.map(|(prompt, interval_seconds)| IdlePrompt { prompt, interval_seconds });
    let prompts = Prompts { system_from: system, initial_from: initial, idle, ..Prompts::default() };
    (prompts != Prompts::default()).then_some(prompts)
}
