//! `atelier import`: from an org template to a Team with its ConfigMaps.
//!
//! ```text
//! tree ── include ──> template ──> roster, names ──> manifests ──> render ──> output
//!  YAML    (paths)      typed      who is a member      pure        YAML
//!                          └─ material (paths, folder, env_file): prompts and files
//! ```
//!
//! `merge` and `pack` are what `manifests` rests on. Only `paths`, `folder` and `output` touch files.

pub mod env_file;
mod fields;
pub mod findings;
pub mod folder;
pub mod include;
pub mod kept;
pub mod manifests;
pub mod material;
pub mod merge;
pub mod names;
pub mod output;
pub mod pack;
pub mod paths;
pub mod render;
pub mod roster;
pub mod summary;
pub mod template;
#[cfg(test)]
mod testing;
pub mod tree;

use clap::Args;
use findings::{Finding, Findings, Spot};
use manifests::{Import, Manifests, manifests};
use material::{Material, Reader};
use output::Document;
use paths::Root;
use std::io;
use std::path::{Path, PathBuf};

/// What stands below the help of the command.
pub const EXAMPLES: &str = "\
Examples:
  atelier import my-org | kubectl apply -f -
  atelier import my-org --strict --output-dir deploy/my-org --namespace agents
  atelier import my-org --with-secrets | kubectl apply -f -

Warnings and a summary go to the standard error output. The same template gives the same bytes.";

/// The files that a template may begin with.
const FIRST: [&str; 2] = ["org.yaml", "org.yml"];

/// What `atelier import` is told.
#[derive(Args, Clone, Debug, Default)]
pub struct ImportArgs {
    /// The folder of the template, with an org.yaml in it, or that file.
    #[arg(value_name = "PATH")]
    pub path: PathBuf,
    /// The Team's name. Default: made from the template's own.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// The namespace to write into the manifests. Default: none, so that kubectl's is used.
    #[arg(long, short, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// Write one file an object into this folder instead of all to the standard output. Files of an earlier
    /// import that are no longer made are removed from it.
    #[arg(long, value_name = "DIR")]
    pub output_dir: Option<PathBuf>,
    /// Make nothing if there is anything to warn of, such as an unknown key.
    #[arg(long)]
    pub strict: bool,
    /// Make Secrets of the template's .env files, which are left alone otherwise.
    #[arg(long)]
    pub with_secrets: bool,
}

/// What an import comes to.
#[derive(Debug)]
pub struct Imported {
    /// The objects, in the order in which they are to be applied.
    pub documents: Vec<Document>,
    /// What to tell the user: warnings, then a summary.
    pub told: String,
}

/// Imports a template: manifests to the standard output or a folder, what there is to tell to `tell`.
///
/// # Errors
/// Everything that is wrong with the template, a line each, with file, line, key and the fix.
pub fn run(args: &ImportArgs, tell: &mut impl io::Write) -> Result<(), String> {
    let imported = import(args).map_err(|problems| problems.join("\nerror: "))?;
    let _ = tell.write_all(imported.told.as_bytes());
    match &args.output_dir {
        Some(folder) => output::write(&imported.documents, folder),
        None => match output::print(&imported.documents, io::stdout().lock()) {
            // Whoever read enough has closed the pipe.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.to_string()),
            _ => Ok(()),
        },
    }
}

/// Reads a template and makes the documents.
///
/// # Errors
/// Everything that is wrong with the template.
pub fn import(args: &ImportArgs) -> Result<Imported, Vec<String>> {
    check(args)?;
    let (root, first) = open(&args.path).map_err(|problem| vec![problem])?;
    let findings = Findings::default();
    let node = include::load(&root, &first).map_err(|finding| vec![finding.to_string()])?;
    let template = template::read(&node, &findings);
    failed(&findings, false)?;
    let roster = roster::roster(&template, &findings);
    failed(&findings, false)?;
    let title = template.name.as_ref().map_or_else(|| root.name(), |name| name.value.clone());
    let team = args.name.clone().unwrap_or_else(|| names::team(&title));
    let texts: Vec<&str> = roster.members.iter().map(|place| place.workspace.name.as_str()).collect();
    let names = names::members(&team, &texts);
    let reader = Reader { root: &root, secrets: args.with_secrets, findings: &findings };
    let defaults = reader.of_defaults(&template.defaults);
    let materials: Vec<Material> =
        roster.members.iter().map(|place| reader.of_workspace(place.workspace)).collect();
    failed(&findings, false)?;
    let left: Vec<String> =
        std::iter::once(&defaults).chain(&materials).flat_map(|m| m.left_secrets.clone()).collect();
    let made = Import {
        team,
        namespace: args.namespace.clone(),
        template: &template,
        at: Spot::of_file(&first),
        roster: &roster,
        names,
        defaults,
        materials,
    };
    let manifests = manifests(made, &findings);
    failed(&findings, args.strict)?;
    let documents = output::documents(&manifests).map_err(|problem| vec![problem])?;
    Ok(Imported { documents, told: told(&findings, &manifests, &roster, &left) })
}

/// Ends here if anything was wrong, or, when strict, odd.
fn failed(findings: &Findings, strict: bool) -> Result<(), Vec<String>> {
    let mut problems = findings.errors();
    if strict {
        problems.extend(findings.warnings());
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.iter().map(Finding::to_string).collect()) }
}

fn told(findings: &Findings, made: &Manifests, roster: &roster::Roster<'_>, left: &[String]) -> String {
    let warnings = findings.warnings().into_iter().map(|warning| format!("warning: {warning}\n"));
    warnings.chain([summary::summary(made, roster, left)]).collect()
}

fn check(args: &ImportArgs) -> Result<(), Vec<String>> {
    let mut problems = Vec::new();
    let rule = "small letters, digits and '-', starting and ending with a letter or digit";
    if let Some(name) = args.name.as_deref().filter(|name| !names::is_label(name, names::MAX_TEAM)) {
        problems.push(format!("--name {name:?}: give at most {} of {rule}", names::MAX_TEAM));
    }
    if let Some(name) = args.namespace.as_deref().filter(|name| !names::is_label(name, names::MAX_LABEL)) {
        problems.push(format!("--namespace {name:?}: give at most {} of {rule}", names::MAX_LABEL));
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// The folder of a template, and the file that it begins with.
fn open(path: &Path) -> Result<(Root, String), String> {
    let unusable = |error: io::Error| format!("{}: {error}", path.display());
    if path.is_file() {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let root = Root::new(folder.unwrap_or(Path::new("."))).map_err(unusable)?;
        let first = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        return Ok((root, first));
    }
    let root = Root::new(path).map_err(unusable)?;
    match FIRST.iter().find(|file| path.join(file).exists()) {
        Some(first) => Ok((root, (*first).to_owned())),
        None => Err(format!("{}: there is no org.yaml: name the folder of an org template", path.display())),
    }
}

#[cfg(test)]
mod tests;
