//! Material: the prompts and files that a workspace names, read from the template's folder.

use super::env_file::variables;
use super::findings::{Finding, Findings, Placed, Spot};
use super::folder::{self, Listing};
use super::merge::Texts;
use super::pack::{BUDGET, Content, File};
use super::paths::{Inside, Refused, Root};
use super::template::{Prompt, Schedule, Shared, Workspace};
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// The file that becomes the system prompt.
pub const SYSTEM_PROMPT: &str = "system-prompt.md";
/// Files of `/configs` that Atelier writes itself.
const OURS: [&str; 3] = ["config.yaml", ".auth_token", "ca.crt"];
/// The file with a workspace's variables.
const ENV: &str = ".env";
/// The most characters that the API takes of a path.
const MAX_PATH: usize = 512;
/// The most characters that the API takes of what an idle agent is told.
const MAX_IDLE: usize = 65_536;

/// What a workspace, or the defaults, bring along.
#[derive(Debug, Default)]
pub struct Material {
    /// The system prompt.
    pub system: Option<String>,
    /// The other prompts.
    pub texts: Texts,
    /// The file under `/configs` that the first message is a copy of.
    pub initial_file: Option<String>,
    /// The files.
    pub files: Vec<File>,
    /// What it does at set times, with the prompts that no file under `/configs` has.
    pub schedules: Vec<Json>,
    /// The variables of its `.env`, when secrets are asked for.
    pub variables: BTreeMap<String, String>,
    /// Other files with secrets by path, when secrets are asked for.
    pub secret_files: BTreeMap<String, Vec<u8>>,
    /// Files with secrets that were left alone, from the template's folder.
    pub left_secrets: Vec<String>,
}

/// Reads what workspaces name.
#[derive(Debug)]
pub struct Reader<'r> {
    /// The template's folder.
    pub root: &'r Root,
    /// Whether files with secrets are read at all.
    pub secrets: bool,
    /// What is wrong or odd.
    pub findings: &'r Findings,
}

impl Reader<'_> {
    /// What the defaults bring along: prompts, and the variables beside `org.yaml`.
    pub fn of_defaults(&self, defaults: &Shared) -> Material {
        let mut material = Material::default();
        self.prompts(defaults, "", &mut material);
        if let Ok(file) = self.root.real(ENV) {
            let at = Spot::of_file(ENV);
            self.variables(&file, &at, &mut material);
        }
        material
    }

    /// What a workspace brings along.
    pub fn of_workspace(&self, workspace: &Workspace) -> Material {
        let mut material = Material::default();
        let base = match &workspace.files_dir {
            None => Some(String::new()),
            Some(folder) => self.folder(folder, workspace, &mut material),
        };
        if let Some(inline) = &workspace.system_prompt {
            if material.system.replace(inline.value.clone()).is_some() {
                let text = format!("stands instead of the {SYSTEM_PROMPT} in files_dir, which is left out");
                self.findings.warn(&inline.at, text);
            }
            self.weigh(&Content::of(inline.value.clone().into_bytes()), "the text", &inline.at);
        }
        // Without a folder to look in, every prompt below it would be one more error.
        if let Some(base) = base {
            self.prompts(&workspace.shared, &base, &mut material);
            let schedules = workspace.schedules.iter();
            material.schedules = schedules.map(|one| self.schedule(one, &base, &material.files)).collect();
        }
        material
    }

    /// Reads a `files_dir`; answers its path unless it is refused.
    fn folder(
        &self,
        folder: &Placed<String>,
        workspace: &Workspace,
        material: &mut Material,
    ) -> Option<String> {
        let at = &folder.at;
        let inside = match self.root.below("", &folder.value) {
            Ok(inside) => inside,
            Err(Refused::Missing(path)) => {
                let text = format!("the folder {path:?} does not exist, so this workspace brings no files");
                self.findings.warn(at, text);
                return Some(path);
            }
            Err(refused) => {
                self.findings.error(at, refused.to_string());
                return None;
            }
        };
        if !inside.real.is_dir() {
            self.findings.error(at, Refused::NotA("folder", inside.shown).to_string());
            return None;
        }
        match folder::list(self.root, &inside) {
            Ok(listing) => self.files(listing, at, workspace, material),
            Err(refused) => self.findings.error(at, refused.to_string()),
        }
        Some(inside.shown)
    }

    fn files(&self, listing: Listing, at: &Spot, workspace: &Workspace, material: &mut Material) {
        for folder in listing.left_out {
            self.findings.warn(at, format!("{folder:?} is left out: it is of version control"));
        }
        for found in listing.files {
            let shown = &found.inside.shown;
            if found.path.chars().count() > MAX_PATH {
                self.findings.error(at, format!("the path {shown:?} is longer than {MAX_PATH}: shorten it"));
            }
            if OURS.contains(&found.path.as_str()) {
                let text = format!("{shown:?} is left out: Atelier writes /configs/{} itself", found.path);
                self.findings.warn(at, text);
            } else if found.inside.is_secret() {
                self.secret(&found.path, &found.inside, at, material);
            } else if found.path == SYSTEM_PROMPT {
                let text = found.inside.text();
                let text = text.map_err(|refused| Finding::new(at.clone(), refused.to_string()));
                let text = self.findings.ok(text);
                if workspace.system_prompt.is_none() {
                    let bytes = text.clone().unwrap_or_default().into_bytes();
                    self.weigh(&Content::of(bytes), &format!("{shown:?}"), at);
                }
                material.system = text.filter(|text| !text.is_empty());
            } else {
                match found.inside.read() {
                    Ok(bytes) => {
                        let content = Content::of(bytes);
                        self.weigh(&content, &format!("{shown:?}"), at);
                        material.files.push(File { path: found.path, content });
                    }
                    Err(refused) => self.findings.error(at, refused.to_string()),
                }
            }
        }
    }

    /// What weighs more than one ConfigMap holds cannot be imported.
    fn weigh(&self, content: &Content, what: &str, at: &Spot) {
        // A key has at most 253 bytes.
        if content.weight() + 300 > BUDGET {
            let text = format!(
                "{what} takes {} KiB in a manifest, and a ConfigMap that kubectl can apply holds {}: \
                 make it shorter, or put it into the runtime's image",
                content.weight().div_ceil(1024),
                BUDGET / 1024
            );
            self.findings.error(at, text);
        }
    }

    fn secret(&self, path: &str, file: &Inside, at: &Spot, material: &mut Material) {
        if path == ENV {
            self.variables(file, at, material);
        } else if self.secrets {
            match file.read() {
                Ok(bytes) => drop(material.secret_files.insert(path.to_owned(), bytes)),
                Err(refused) => self.findings.error(at, refused.to_string()),
            }
        } else {
            material.left_secrets.push(file.shown.clone());
        }
    }

    fn variables(&self, file: &Inside, at: &Spot, material: &mut Material) {
        if !self.secrets {
            material.left_secrets.push(file.shown.clone());
            return;
        }
        let text = file.read().and_then(|bytes| {
            String::from_utf8(bytes).map_err(|_| Refused::NotA("UTF-8 text file", file.shown.clone()))
        });
        match text {
            Ok(text) => material.variables = variables(&file.shown, &text, self.findings),
            Err(refused) => self.findings.error(at, refused.to_string()),
        }
    }

    fn prompts(&self, shared: &Shared, base: &str, material: &mut Material) {
        if let Some((initial, file, at)) = self.prompt(&shared.initial_prompt, base) {
            self.weigh(&Content::of(initial.clone().into_bytes()), "the prompt", &at);
            material.texts.initial = Some(initial);
            material.initial_file = file;
        }
        if let Some((idle, _, at)) = self.prompt(&shared.idle_prompt, base) {
            let length = idle.chars().count();
            if length > MAX_IDLE {
                let text = format!("has {length} characters and may have {MAX_IDLE}: shorten it");
                self.findings.error(&at, text);
            }
            material.texts.idle = Some(idle);
        }
    }

    /// The text of a prompt that says something, the file under `base` that it is from, and where it is named.
    fn prompt(&self, prompt: &Prompt, base: &str) -> Option<(String, Option<String>, Spot)> {
        if let Some(inline) = &prompt.inline {
            return Some((inline.value.clone(), None, inline.at.clone()));
        }
        let file = prompt.file.as_ref()?;
        match self.root.below(base, &file.value).and_then(|inside| Ok((inside.text()?, inside))) {
            Ok((text, inside)) => {
                (!text.is_empty()).then(|| (text, below(base, &inside.shown), file.at.clone()))
            }
            Err(refused) => {
                self.findings.error(&file.at, refused.to_string());
                None
            }
        }
    }

    /// A schedule that can be understood by itself: with its prompt, unless a file under `/configs` has it.
    fn schedule(&self, schedule: &Schedule, base: &str, files: &[File]) -> Json {
        let mut json = schedule.json.clone();
        let Some(file) = &schedule.prompt_file else { return json };
        match self.root.below(base, &file.value).and_then(|inside| Ok((inside.text()?, inside))) {
            Ok((text, inside)) => {
                let path = below(base, &inside.shown);
                let is_there = path.is_some_and(|path| files.iter().any(|file| file.path == path));
                if let Some(fields) = json.as_object_mut().filter(|_| !is_there) {
                    fields.remove("prompt_file");
                    fields.insert("prompt".to_owned(), text.into());
                }
            }
            Err(Refused::Missing(path)) => {
                let text = format!("the prompt {path:?} does not exist, so this schedule would do nothing");
                self.findings.warn(&file.at, text);
            }
            Err(refused) => self.findings.error(&file.at, refused.to_string()),
        }
        json
    }
}

/// The path of a file from a folder that it is in.
fn below(folder: &str, path: &str) -> Option<String> {
    if folder.is_empty() {
        return None;
    }
    path.strip_prefix(folder)?.strip_prefix('/').map(str::to_owned)
}
