//! A test: the arrows between the modules point down only, as `lib.rs` draws them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Who may name whom. What is not here may not be named.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("api", &[]),
    ("process", &[]),
    ("redact", &[]),
    ("control_plane", &["api", "process", "redact"]),
    ("metrics", &["api"]),
    ("reconcile", &["api", "metrics"]),
    ("keys", &[]),
    ("liveness", &["api", "metrics", "redact"]),
    ("backend", &["api", "metrics", "reconcile", "redact"]),
    ("registry", &["api", "backend", "keys", "liveness", "process", "reconcile"]),
    ("team", &["api", "metrics", "reconcile"]),
    ("platform", &["api", "backend", "keys", "metrics", "reconcile"]),
    ("workspace", &["api", "backend", "keys", "liveness", "metrics", "reconcile"]),
    ("collector", &["api", "backend", "metrics", "reconcile"]),
    ("live", &["api", "backend", "collector", "metrics", "process", "reconcile", "registry"]),
    // A test of several together.
    ("model", &["api", "backend", "collector", "liveness", "metrics", "reconcile", "workspace"]),
    // A test asks the Team's own merge.
    ("import", &["api", "team"]),
    ("reference", &["api"]),
    ("plugin", &["api", "process"]),
    (
        "controller",
        &[
            "api",
            "backend",
            "collector",
            "keys",
            "live",
            "liveness",
            "metrics",
            "platform",
            "process",
            "reconcile",
            "registry",
            "team",
            "workspace",
        ],
    ),
];

fn sources(path: &Path, into: &mut String) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            sources(&entry.unwrap().path(), into);
        }
    } else if let Ok(text) = fs::read_to_string(path) {
        // Links in documents may point anywhere.
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        code.for_each(|line| into.extend([line, "\n"]));
    }
}

/// The modules that `crate::x` and `crate::{x, y::Z}` name.
fn named(code: &str) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        let group =
            rest.strip_prefix('{').and_then(|list| list.split_once('}')).map_or(rest, |(list, _)| list);
        let paths = if group.len() < rest.len() { group.split(',').collect() } else { vec![rest] };
        let first = |path: &'_ str| {
            path.trim().split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().map(str::len)
        };
        for path in paths {
            let path = path.trim();
            names.insert(&path[..first(path).unwrap_or(0)]);
        }
    }
    names.remove("");
    names
}

#[test]
fn arrows_point_down() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (module, allowed) in MAY_NAME {
        let mut code = String::new();
        for path in [src.join(module), src.join(format!("{module}.rs"))] {
            if path.exists() {
                sources(&path, &mut code);
            }
        }
        assert!(!code.is_empty(), "there is no module {module}");
        for name in named(&code) {
            assert!(
                name == *module || allowed.contains(&name),
                "src/{module} names crate::{name}; it may name {allowed:?} (see src/lib.rs)"
            );
        }
    }
}
