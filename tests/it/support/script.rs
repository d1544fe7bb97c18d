//! Running the project's scripts and other commands.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The project's folder.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A script of `hack/`, in an environment without what the user has set for other clusters and engines.
pub fn hack(name: &str) -> Command {
    let mut command = Command::new(root().join("hack").join(name));
    command.env_remove("KUBECONFIG").env_remove("DOCKER_HOST");
    command
}

/// Runs a command to its end: its standard output, or how it failed with all that it said.
pub fn run(command: &mut Command) -> Result<String, String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(stdout);
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?}: {}\n{stdout}{stderr}", output.status))
}

/// The path of a control plane binary.
pub fn tool(name: &str) -> Result<PathBuf, String> {
    run(hack("tools.sh").arg(name)).map(|path| PathBuf::from(path.trim()))
}

/// The path of a tool that is built from Go modules.
pub fn go_tool(name: &str) -> Result<PathBuf, String> {
    run(hack("go-tool.sh").arg(name)).map(|path| PathBuf::from(path.trim()))
}
