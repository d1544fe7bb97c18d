//! The roles of the chart: every operator of the tests has them and no others.

use super::cluster::Cluster;
use super::script::{root, run};
use std::fs;
use std::path::Path;
use std::process::Command;

/// The release's name, and so that of its service account and its roles.
pub const RELEASE: &str = "atelier";

/// For whom the roles are.
#[derive(Debug, Clone, Copy)]
pub struct Installation<'a> {
    /// Its own namespace.
    pub namespace: &'a str,
    /// The name of its controller.
    pub controller: &'a str,
    /// The one namespace that it looks after, if not all.
    pub watched: Option<&'a str>,
}

/// Makes the service account of an installation with its roles, by way of a file in a folder.
pub fn grant(cluster: &Cluster, installation: Installation, dir: &Path) -> Result<(), String> {
    let Installation { namespace, controller, watched } = installation;
    let values =
        format!("controller.name={controller},controller.watchNamespace={}", watched.unwrap_or_default());
    let rendered = run(Command::new(&cluster.helm)
        .args(["template", RELEASE])
        .arg(root().join("charts/atelier"))
        .args(["--namespace", namespace, "--set-string", &values])
        .args(["--show-only", "templates/controller/rbac.yaml"])
        .args(["--show-only", "templates/controller/live-rbac.yaml"])
        .args(["--show-only", "templates/controller/serviceaccount.yaml"])
        // Nothing of the user's is read, and nothing is left in his folders.
        .env("HELM_CONFIG_HOME", dir)
        .env("HELM_CACHE_HOME", dir)
        .env("HELM_DATA_HOME", dir))?;
    let file = dir.join("roles.yaml");
    fs::write(&file, rendered).map_err(|error| format!("{}: {error}", file.display()))?;
    run(cluster.kubectl().args(["apply", "--filename"]).arg(&file)).map(drop)
}
