//! From a spec and what it refers to, to the contents of a box: environment, files, and what they hash to. Pure.

use super::config_yaml;
use super::desired::Problem;
use super::references::{Found, Reference, References};
use crate::api::Reason;
use crate::api::names;
use crate::api::workspace::{KeyRef, TextFrom, WorkspaceSpec};
use crate::backend::{A2A_PORT, BoxFile, Contents};
use std::collections::{BTreeMap, BTreeSet};

/// The version of what is hashed; it stands before the hash.
const HASH_VERSION: &str = "h1";
/// The variables that Atelier sets; a user's cannot replace them.
const OURS: [&str; 8] = [
    "WORKSPACE_ID",
    "WORKSPACE_CONFIG_PATH",
    "PLATFORM_URL",
    "MOLECULE_URL",
    "TIER",
    "PLUGINS_DIR",
    "HOSTNAME",
    "PARENT_ID",
];
/// The files that Atelier writes; a user's cannot replace them.
const OUR_FILES: [&str; 4] = ["config.yaml", "system-prompt.md", ".auth_token", "ca.crt"];
/// The file with the agent's token.
pub const TOKEN_FILE: &str = ".auth_token";

/// What a box is told of its own place in the world.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'a> {
    /// The Workspace's uid.
    pub uid: &'a str,
    /// Its name, which stands where there is no display name.
    pub name: &'a str,
    /// The URL at which it reaches the registry.
    pub platform_url: &'a str,
    /// The certificates that it trusts for the registry besides the public ones.
    pub ca_bundle: Option<&'a str>,
}

/// The contents of a box, but for its token.
///
/// # Errors
/// The first thing that cannot be: it names the field and the fix.
pub fn contents(spec: &WorkspaceSpec, refs: &References, me: Identity<'_>) -> Result<Contents, Problem> {
    all_found(spec, refs)?;
    let users = environment(spec, refs)?;
    required(spec, &users)?;
    let mut env: BTreeMap<String, String> = users;
    env.extend(our_environment(spec, refs, me));
    let files = files(spec, refs, me)?;
    Ok(Contents { bootstrap_token: String::new(), env, files })
}

/// The text that the spec hash is made of: the spec without what is at its default or does not shape the box,
/// and the contents of its references. What the platform decides is not in it.
pub fn hashed_text(spec: &WorkspaceSpec, refs: &References) -> Vec<u8> {
    let mut plain = serde_json::to_value(spec).unwrap_or_default();
    let standard =
        serde_json::to_value(WorkspaceSpec { max_concurrent_tasks: 1, ..WorkspaceSpec::default() });
    if let (Some(plain), Ok(standard)) = (plain.as_object_mut(), standard) {
        plain.retain(|field, value| standard.get(field) != Some(value));
        for field in ["suspend", "restartedAt", "requiredEnv", "storage"] {
            plain.remove(field);
        }
    }
    let mut text = plain.to_string().into_bytes();
    for (reference, found) in refs {
        if let Found::Data(data) = found {
            for (key, value) in data.iter() {
                for part in [reference.title().as_bytes(), key.as_bytes(), value] {
                    text.extend(part.len().to_be_bytes());
                    text.extend(part);
                }
            }
        }
    }
    text
}

/// A hash with its version.
pub fn versioned(hash: &str) -> String {
    format!("{HASH_VERSION}-{hash}")
}

fn all_found(spec: &WorkspaceSpec, refs: &References) -> Result<(), Problem> {
    let optional: BTreeSet<&str> =
        spec.files_from.iter().filter(|f| f.optional).map(|f| f.config_map_ref.name.as_str()).collect();
    let mut missing = Vec::new();
    for (reference, found) in refs {
        let title = reference.title();
        match found {
            Found::Unread(why) => {
                return Err(Problem::new(
                    Reason::ReferenceUnreadable,
                    format!("{title} could not be read: {why}"),
                ));
            }
            Found::Protected(why) => {
                let message = format!("{title} may not be given to an agent: {why}; use another Secret");
                return Err(Problem::new(Reason::NotAllowedHere, message));
            }
            Found::Missing => match reference {
                Reference::ConfigMap(name) if optional.contains(name.as_str()) => {}
                _ => missing.push(title),
            },
            Found::Data(_) | Found::Uid(_) => {}
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let message =
        format!("not found in this namespace: {}; create it, and this goes on by itself", missing.join(", "));
    Err(Problem::new(Reason::ReferenceNotFound, message))
}

fn data<'a>(refs: &'a References, reference: &Reference) -> Option<&'a BTreeMap<String, Vec<u8>>> {
    match refs.get(reference) {
        Some(Found::Data(data)) => Some(data),
        _ => None,
    }
}

fn key<'a>(refs: &'a References, reference: &Reference, key: &str, field: &str) -> Result<&'a [u8], Problem> {
    let value = data(refs, reference).and_then(|data| data.get(key));
    value.map(Vec::as_slice).ok_or_else(|| {
        let message =
            format!("{field}: {} has no key {key:?}; add it, and this goes on by itself", reference.title());
        Problem::new(Reason::ReferenceNotFound, message)
    })
}

fn text(bytes: &[u8], field: &str) -> Result<String, Problem> {
    String::from_utf8(bytes.to_vec())
        .map_err(|_| Problem::new(Reason::InvalidSpec, format!("{field}: the value is not UTF-8 text")))
}

fn secret_or_map<'a>(
    refs: &'a References,
    secret: Option<&KeyRef>,
    map: Option<&KeyRef>,
    field: &str,
) -> Result<Option<&'a [u8]>, Problem> {
    match (secret, map) {
        (Some(r), _) => key(refs, &Reference::Secret(r.name.clone()), &r.key, field).map(Some),
        (None, Some(r)) => key(refs, &Reference::ConfigMap(r.name.clone()), &r.key, field).map(Some),
        (None, None) => Ok(None),
    }
}

fn environment(spec: &WorkspaceSpec, refs: &References) -> Result<BTreeMap<String, String>, Problem> {
    let mut env = BTreeMap::new();
    for from in &spec.env_from {
        let reference = match (&from.secret_ref, &from.config_map_ref) {
            (Some(r), _) => Reference::Secret(r.name.clone()),
            (None, Some(r)) => Reference::ConfigMap(r.name.clone()),
            (None, None) => continue,
        };
        for (name, value) in data(refs, &reference).into_iter().flatten() {
            // As in a Pod: a key that cannot be a variable's name is passed over.
            if is_variable(name) {
                let field = format!("envFrom: {} key {name:?}", reference.title());
                env.insert(name.clone(), text(value, &field)?);
            }
        }
    }
    for (index, variable) in spec.env.iter().enumerate() {
        let field = format!("env[{index}] ({})", variable.name);
        if OURS.contains(&variable.name.as_str()) {
            let message = format!("{field}: Atelier sets {} itself; use another name", variable.name);
            return Err(Problem::new(Reason::InvalidSpec, message));
        }
        let from = variable.value_from.as_ref();
        let secret = from.and_then(|f| f.secret_key_ref.as_ref());
        let map = from.and_then(|f| f.config_map_key_ref.as_ref());
        let value = match secret_or_map(refs, secret, map, &field)? {
            Some(bytes) => text(bytes, &field)?,
            None => variable.value.clone().unwrap_or_default(),
        };
        env.insert(variable.name.clone(), value);
    }
    // NUL ends a variable in every runtime; the engine would refuse the whole box.
    if let Some(name) = env.iter().find(|(_, v)| v.contains('\0')).map(|(n, _)| n) {
        return Err(Problem::new(Reason::InvalidSpec, format!("env {name}: the value holds a NUL byte")));
    }
    Ok(env)
}

fn is_variable(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn required(spec: &WorkspaceSpec, env: &BTreeMap<String, String>) -> Result<(), Problem> {
    let is_set = |name: &String| env.get(name).is_some_and(|v| !v.is_empty());
    let unmet = spec.required_env.iter().filter(|r| !r.any_of.iter().any(is_set));
    let unmet: Vec<_> = unmet.map(|r| r.any_of.join(" or ")).collect();
    if unmet.is_empty() {
        return Ok(());
    }
    let message =
        format!("requiredEnv: not set: {}; set it in env or in a Secret of envFrom", unmet.join("; "));
    Err(Problem::new(Reason::MissingEnv, message))
}

fn our_environment(spec: &WorkspaceSpec, refs: &References, me: Identity<'_>) -> BTreeMap<String, String> {
    let mut env: BTreeMap<String, String> = [
        ("WORKSPACE_ID", me.uid.to_owned()),
        ("WORKSPACE_CONFIG_PATH", "/configs".to_owned()),
        ("PLATFORM_URL", me.platform_url.to_owned()),
        ("MOLECULE_URL", me.platform_url.to_owned()),
        ("TIER", spec.tier.number().to_string()),
        ("PLUGINS_DIR", "/configs/plugins".to_owned()),
        ("HOSTNAME", names::host(me.uid)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    let parent = spec.parent_ref.as_ref().map(|p| Reference::Parent(p.name.clone()));
    if let Some(Found::Uid(uid)) = parent.and_then(|p| refs.get(&p)) {
        env.insert("PARENT_ID".to_owned(), uid.clone());
    }
    env
}

fn prompt(
    inline: Option<&String>,
    from: Option<&TextFrom>,
    refs: &References,
    field: &str,
) -> Result<Option<String>, Problem> {
    match (inline, from) {
        (Some(inline), _) => Ok(Some(inline.clone())),
        (None, Some(from)) => {
            let field = format!("prompts.{field}");
            secret_or_map(refs, None, Some(&from.config_map_key_ref), &field)?
                .map(|b| text(b, &field))
                .transpose()
        }
        (None, None) => Ok(None),
    }
}

fn files(spec: &WorkspaceSpec, refs: &References, me: Identity<'_>) -> Result<Vec<BoxFile>, Problem> {
    let prompts = spec.prompts.clone().unwrap_or_default();
    let system = prompt(prompts.system.as_ref(), prompts.system_from.as_ref(), refs, "systemFrom")?;
    let initial = prompt(prompts.initial.as_ref(), prompts.initial_from.as_ref(), refs, "initialFrom")?;
    let config = config_yaml::render(spec, me.name, initial.as_deref(), A2A_PORT)
        .map_err(|e| Problem::new(Reason::InvalidSpec, format!("config.yaml cannot be written: {e}")))?;
    let mut tree = Tree::default();
    tree.ours("config.yaml", config.into_bytes());
    tree.ours("system-prompt.md", system.unwrap_or_default().into_bytes());
    if let Some(bundle) = me.ca_bundle {
        tree.ours("ca.crt", bundle.as_bytes().to_vec());
    }
    for plugin in &spec.plugins {
        let Some(map) = &plugin.config_map_ref else { continue };
        for (name, bytes) in data(refs, &Reference::ConfigMap(map.name.clone())).into_iter().flatten() {
            let path = format!("plugins/{}/{name}", plugin.name);
            tree.users(&path, bytes.clone(), &format!("plugins[{}]", plugin.name))?;
        }
    }
    for (index, from) in spec.files_from.iter().enumerate() {
        let map = Reference::ConfigMap(from.config_map_ref.name.clone());
        for (name, bytes) in data(refs, &map).into_iter().flatten() {
            let path = format!("{}/{name}", from.prefix.as_deref().unwrap_or_default());
            tree.users(&path, bytes.clone(), &format!("filesFrom[{index}]"))?;
        }
    }
    for (index, file) in spec.files.iter().enumerate() {
        let field = format!("files[{index}] ({})", file.path);
        let found =
            secret_or_map(refs, file.secret_key_ref.as_ref(), file.config_map_key_ref.as_ref(), &field)?;
        let bytes =
            found.map_or_else(|| file.content.clone().unwrap_or_default().into_bytes(), <[u8]>::to_vec);
        tree.users(&file.path, bytes, &field)?;
    }
    tree.finish()
}

/// The files of a box while they are put together. A later one of the user's wins over an earlier one.
#[derive(Default)]
struct Tree(BTreeMap<String, Vec<u8>>);

impl Tree {
    fn ours(&mut self, path: &str, bytes: Vec<u8>) {
        self.0.insert(path.to_owned(), bytes);
    }

    fn users(&mut self, path: &str, bytes: Vec<u8>, field: &str) -> Result<(), Problem> {
        let path = normalise(path, field)?;
        if OUR_FILES.contains(&path.as_str()) {
            let message = format!("{field}: /configs/{path} is written by Atelier; use another path");
            return Err(Problem::new(Reason::InvalidSpec, message));
        }
        self.0.insert(path, bytes);
        Ok(())
    }

    fn finish(self) -> Result<Vec<BoxFile>, Problem> {
        for path in self.0.keys() {
            let mut folder = path.as_str();
            while let Some((parent, _)) = folder.rsplit_once('/') {
                if self.0.contains_key(parent) {
                    let message =
                        format!("files: {parent:?} is a file, and {path:?} needs it to be a folder");
                    return Err(Problem::new(Reason::InvalidSpec, message));
                }
                folder = parent;
            }
        }
        Ok(self.0.into_iter().map(|(path, bytes)| BoxFile { path, bytes, mode: 0o644 }).collect())
    }
}

/// A path relative to `/configs`, without empty parts and `.`; `..` and absolute paths are refused here too,
/// since keys and prefixes join into paths that the API server never saw.
fn normalise(path: &str, field: &str) -> Result<String, Problem> {
    let invalid =
        |what: &str| Problem::new(Reason::InvalidSpec, format!("{field}: the path {path:?} {what}"));
    if path.contains('\0') {
        return Err(invalid("holds a NUL byte"));
    }
    let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty() && *p != ".").collect();
    if parts.contains(&"..") {
        return Err(invalid("leaves /configs: '..' is not allowed"));
    }
    if parts.is_empty() {
        return Err(invalid("names no file"));
    }
    Ok(parts.join("/"))
}
