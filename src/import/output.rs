//! Output: manifests to the standard output, or one file an object.

use super::manifests::Manifests;
use super::render::{HEADER, yaml};
use serde::Serialize;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// An object, ready to be written.
#[derive(Debug)]
pub struct Document {
    /// The file that it gets in a folder.
    pub file: String,
    /// Whether only its owner should read it.
    pub secret: bool,
    /// Its YAML.
    pub yaml: String,
}

/// The documents of an import: what is referred to first, the Team last.
///
/// # Errors
/// When an object cannot be written as YAML, which no template can bring about.
pub fn documents(manifests: &Manifests) -> Result<Vec<Document>, String> {
    let mut all = Vec::new();
    for map in &manifests.config_maps {
        all.push(document("configmap", map.metadata.name.as_deref(), false, map)?);
    }
    for secret in &manifests.secrets {
        all.push(document("secret", secret.metadata.name.as_deref(), true, secret)?);
    }
    all.push(document("team", manifests.team.metadata.name.as_deref(), false, &manifests.team)?);
    Ok(all)
}

fn document(
    kind: &str,
    name: Option<&str>,
    secret: bool,
    object: &impl Serialize,
) -> Result<Document, String> {
    let name = name.unwrap_or_default();
    let mut object = json!(object);
    // What the template does not say is not the template's: a Team that somebody suspends stays so.
    if let Some(spec) = object.get_mut("spec").and_then(Json::as_object_mut) {
        let unsaid = |field: &str, value: &Json| match field {
            "suspend" => *value == false,
            "maxConcurrentLaunches" => *value == 0,
            _ => false,
        };
        spec.retain(|field, value| !unsaid(field, value));
    }
    let yaml = yaml(&object).map_err(|error| format!("{kind} {name} cannot be written: {error}"))?;
    Ok(Document { file: format!("{kind}-{name}.yaml"), secret, yaml })
}

/// Writes the documents one after the other.
///
/// # Errors
/// When the output cannot be written.
pub fn print(documents: &[Document], mut out: impl Write) -> io::Result<()> {
    out.write_all(HEADER.as_bytes())?;
    for document in documents {
        write!(out, "---\n{}", document.yaml)?;
    }
    out.flush()
}

/// Writes one file an object into a folder, which is made if it is missing, and takes away those of an
/// earlier import that are no longer made: left there, they would be applied for ever.
///
/// # Errors
/// When the folder cannot be written, or has a file of somebody else's in the place of one.
pub fn write(documents: &[Document], folder: &Path) -> Result<(), String> {
    let named = |path: &Path, error: &io::Error| format!("{}: {error}", path.display());
    fs::create_dir_all(folder).map_err(|error| named(folder, &error))?;
    let mut ours: BTreeMap<String, bool> = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(|error| named(folder, &error))? {
        let entry = entry.map_err(|error| named(folder, &error))?;
        let is_ours = fs::read(entry.path()).is_ok_and(|bytes| bytes.starts_with(HEADER.as_bytes()));
        ours.insert(entry.file_name().to_string_lossy().into_owned(), is_ours);
    }
    for document in documents {
        if ours.remove(&document.file) == Some(false) {
            let path = folder.join(&document.file);
            return Err(format!(
                "{} is there and was not made by an import: move it away, or choose another --output-dir",
                path.display()
            ));
        }
    }
    for (file, _) in ours.iter().filter(|(_, is_ours)| **is_ours) {
        let path = folder.join(file);
        fs::remove_file(&path).map_err(|error| named(&path, &error))?;
    }
    for document in documents {
        let path = folder.join(&document.file);
        replace(&path, document).map_err(|error| named(&path, &error))?;
    }
    Ok(())
}

/// A file is made anew, so that one with secrets has its mode from the start.
fn replace(path: &Path, document: &Document) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mode = if document.secret { 0o600 } else { 0o644 };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(HEADER.as_bytes())?;
    file.write_all(document.yaml.as_bytes())
}
