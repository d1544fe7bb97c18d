//! A Docker engine of our own, seen through docker's command line.

use super::script::{hack, run};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The image of all boxes.
pub const IMAGE: &str = "atelier-agent:dev";

/// An engine that runs.
pub struct Engine {
    dir: PathBuf,
    /// Where it listens: `unix://…`.
    pub host: String,
    /// Where its containers find this machine.
    pub gateway: String,
    /// The first two numbers of its addresses.
    net: String,
}

/// A container of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Its id.
    pub id: String,
    /// Its name, without the slash.
    pub name: String,
    /// The engine's word for its state.
    pub state: String,
    /// When it was last started.
    pub started_at: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

impl Container {
    /// The Workspace it belongs to.
    pub fn workspace(&self) -> &str {
        self.labels.get(atelier::api::names::NAME).map_or("", String::as_str)
    }

    /// Whether it runs.
    pub fn runs(&self) -> bool {
        self.state == "running"
    }
}

impl Engine {
    /// Starts it in a folder, with the agent's image in it.
    pub fn start(dir: &Path) -> Result<Self, String> {
        run(hack("docker-up.sh").arg(dir))?;
        let host = format!("unix://{}", dir.join("docker.sock").display());
        build_image(&host)?;
        let settings =
            std::fs::read_to_string(dir.join("engine.env")).map_err(|e| format!("engine.env: {e}"))?;
        let setting = |name: &str| {
            let found = settings.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            found.map(str::to_owned).ok_or_else(|| format!("engine.env has no {name}"))
        };
        Ok(Self {
            dir: dir.to_owned(),
            host,
            gateway: setting("GATEWAY")?,
            net: format!("10.{}", setting("NET")?),
        })
    }

    /// Stops it and keeps what is in it.
    pub fn stop(&self) {
        run(hack("docker-down.sh").arg("--keep").arg(&self.dir)).unwrap();
    }

    /// Starts it again after [`Engine::stop`].
    pub fn resume(&self) {
        run(hack("docker-up.sh").arg(&self.dir)).unwrap();
    }

    /// Removes all data of an engine that is stopped: what starts next is another one at the same address.
    pub fn wipe(&self) {
        std::fs::remove_dir_all(self.dir.join("data")).unwrap();
        // Devices of networks that the next engine knows nothing of would take its packets.
        let script = r#"ip -4 -o address | awk -v net="$0" '$2 ~ /^br-/ && index($4, net ".") == 1 { print $2 }' |
            xargs -rn1 ip link delete"#;
        run(Command::new("sh").args(["-c", script, &self.net])).unwrap();
    }

    /// Puts the agent's image into it.
    pub fn load_image(&self) {
        build_image(&self.host).unwrap();
    }

    /// Ends what runs in a folder, and removes it.
    pub fn remove(dir: &Path) -> Result<(), String> {
        run(hack("docker-down.sh").arg(dir)).map(drop)
    }

    /// A pool of addresses for one test: sixteen networks of up to 29 boxes.
    pub fn pool(&self, number: usize) -> String {
        // .128-.255 is for networks of Teams; two numbers a test, and tests of one run are fewer than 64.
        format!("{}.{}.0/23", self.net, 128 + 2 * (number % 64))
    }

    /// Runs docker against this engine: what it printed, or how it failed.
    pub fn docker(&self, arguments: &[&str]) -> Result<String, String> {
        let mut docker = Command::new("docker");
        run(docker.env("DOCKER_HOST", &self.host).env_remove("DOCKER_CONTEXT").args(arguments))
    }

    /// The containers with a label, in the order of their names.
    pub fn containers(&self, label: &str) -> Vec<Container> {
        let ids = self
            .docker(&["ps", "--all", "--quiet", "--no-trunc", "--filter", &format!("label={label}")])
            .unwrap();
        let ids: Vec<_> = ids.split_whitespace().collect();
        // One may go between the two questions, and then docker still prints the others.
        let mut found: Vec<_> =
            ids.iter().filter_map(|id| self.inspect(id)).map(|seen| container(&seen)).collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found
    }

    /// All that the engine says of a container; `None` if there is none.
    pub fn inspect(&self, id: &str) -> Option<Value> {
        let seen = self.docker(&["container", "inspect", id]).ok()?;
        serde_json::from_str::<Vec<Value>>(&seen).unwrap().pop()
    }

    /// The names of the volumes with a label.
    pub fn volumes(&self, label: &str) -> Vec<String> {
        lines(&self.docker(&["volume", "ls", "--quiet", "--filter", &format!("label={label}")]).unwrap())
    }

    /// The names of the networks with a label.
    pub fn networks(&self, label: &str) -> Vec<String> {
        let filter = format!("label={label}");
        lines(&self.docker(&["network", "ls", "--format", "{{.Name}}", "--filter", &filter]).unwrap())
    }
}

fn build_image(host: &str) -> Result<(), String> {
    run(hack("image.sh").env("DOCKER_HOST", host)).map(drop)
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

fn container(seen: &Value) -> Container {
    let text = |at: &str| seen.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
    Container {
        id: text("/Id"),
        name: text("/Name").trim_start_matches('/').to_owned(),
        state: text("/State/Status"),
        started_at: text("/State/StartedAt"),
        labels: serde_json::from_value(seen["Config"]["Labels"].clone()).unwrap_or_default(),
    }
}
