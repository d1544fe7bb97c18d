//! A cloud of one test: the simulator of EC2, and a control plane in front of it, as processes.

use super::script::{root, run};
use super::wait::{SOON, poll};
use super::world::{free_port, number};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// The shared secret of controller and control plane.
pub const SECRET: &str = "a-shared-secret-of-tests-that-nobody-else-has";

/// A process that is killed with the test. `hack/lib.sh` knows it again by its pid file.
struct Process {
    child: Child,
    pid_file: PathBuf,
}

impl Process {
    fn start(command: &mut Command, pid_file: PathBuf) -> Self {
        let child = command.env("ATELIER_PIDFILE", &pid_file).stdin(Stdio::null()).spawn().unwrap();
        fs::write(&pid_file, child.id().to_string()).unwrap();
        Self { child, pid_file }
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.pid_file);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The simulator of EC2.
pub struct Simulator {
    /// What it says of itself: its endpoint, and what can be launched.
    pub about: Value,
    _process: Process,
}

impl Simulator {
    /// Starts one with these arguments.
    pub fn start(dir: &Path, arguments: &[&str]) -> Self {
        static BINARY: OnceLock<PathBuf> = OnceLock::new();
        let binary = BINARY.get_or_init(|| {
            let script = root().join("hack/ec2sim.sh");
            PathBuf::from(run(&mut Command::new(script)).unwrap().trim())
        });
        let name = format!("ec2sim-{}", number());
        let log = dir.join(format!("{name}.log"));
        let out = File::options().create(true).append(true).open(&log).unwrap();
        let mut command = Command::new(binary);
        command.args(arguments).stdout(Stdio::piped()).stderr(out);
        let mut process = Process::start(&mut command, dir.join(format!("{name}.pid")));
        let mut line = String::new();
        BufReader::new(process.child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let about = serde_json::from_str(&line).unwrap_or_else(|_| {
            panic!("the simulator does not start: {}", fs::read_to_string(&log).unwrap())
        });
        Self { about, _process: process }
    }

    /// Its endpoint.
    pub fn endpoint(&self) -> &str {
        self.about["endpoint"].as_str().unwrap()
    }

    /// The ids of something that can be launched, such as `subnets`.
    pub fn ids(&self, of: &str) -> Vec<String> {
        let id =
            |one: &Value| one["id"].as_str().or(one["name"].as_str()).or(one.as_str()).unwrap().to_owned();
        self.about[of].as_array().unwrap().iter().map(id).collect()
    }

    /// What its admin interface answers.
    pub async fn get(&self, path: &str) -> Value {
        let answer = reqwest::get(format!("{}/_sim/{path}", self.endpoint())).await.unwrap();
        let text = answer.text().await.unwrap();
        serde_json::from_str(&text).unwrap_or_else(|_| {
            // A line each.
            text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect()
        })
    }

    /// Tells its admin interface something.
    pub async fn post(&self, path: &str, body: Value) {
        let url = format!("{}/_sim/{path}", self.endpoint());
        let answer = reqwest::Client::new().post(url).json(&body).send().await.unwrap();
        let status = answer.status();
        assert!(status.is_success(), "{path}: {status} {}", answer.text().await.unwrap());
    }

    /// Puts every fault out of force.
    pub async fn clear_faults(&self) {
        let url = format!("{}/_sim/faults", self.endpoint());
        let answer = reqwest::Client::new().delete(url).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
    }

    /// The calls of an action after a line of the log, oldest first.
    pub async fn calls_after(&self, line: u64, action: &str) -> Vec<Value> {
        match self.get(&format!("calls?after={line}&action={action}")).await {
            Value::Array(calls) => calls,
            one => vec![one],
        }
    }

    /// Every instance that there was, as it truly is.
    pub async fn instances(&self) -> Vec<Value> {
        self.get("instances").await.as_array().unwrap().clone()
    }

    /// Those that live.
    pub async fn live(&self) -> Vec<Value> {
        let mut all = self.instances().await;
        all.retain(|i| !matches!(i["state"].as_str(), Some("shutting-down" | "terminated")));
        all
    }
}

/// A control plane in front of a simulator.
pub struct ControlPlane {
    /// What it logged.
    pub log: PathBuf,
    dir: PathBuf,
    settings: PathBuf,
    bind: SocketAddr,
    process: Process,
}

impl ControlPlane {
    /// Starts one that may launch everything that the simulator has, for this cluster.
    pub fn start(dir: &Path, simulator: &Simulator, cluster: &str) -> Self {
        Self::start_with(dir, simulator, cluster, &json!({}))
    }

    /// The same with periods other than the usual ones.
    pub fn start_with(dir: &Path, simulator: &Simulator, cluster: &str, periods: &Value) -> Self {
        let name = format!("control-plane-{}", number());
        let secret = dir.join(format!("{name}.secret"));
        fs::write(&secret, SECRET).unwrap();
        let settings = json!({
            "region": simulator.about["region"],
            "endpoint": simulator.endpoint(),
            "periods": periods,
            "secrets": [{"name": "tests", "file": secret, "clusterIDs": [cluster]}],
            "allow": {
                "amis": simulator.ids("images"),
                "instanceTypes": simulator.ids("instanceTypes"),
                "subnets": simulator.ids("subnets"),
                "securityGroups": simulator.ids("securityGroups"),
                "instanceProfiles": simulator.ids("instanceProfiles"),
            },
        });
        let file = dir.join(format!("{name}.yaml"));
        // JSON is YAML.
        fs::write(&file, settings.to_string()).unwrap();
        let bind = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let log = dir.join(format!("{name}.log"));
        let process = spawn(dir, &file, bind, &log);
        Self { log, dir: dir.to_owned(), settings: file, bind, process }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.bind)
    }

    /// Waits until it works.
    pub async fn ready(&self) {
        let url = format!("{}/readyz", self.url());
        let ready = poll(SOON, async || match reqwest::get(&url).await {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(answer.text().await.unwrap_or_default()),
            Err(error) => Err(error.to_string()),
        });
        let ready = ready.await;
        assert!(ready.is_ok(), "{ready:?}\n{}", fs::read_to_string(&self.log).unwrap());
    }

    /// The id of its process.
    pub fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Sends a signal, such as `STOP`.
    pub fn signal(&self, name: &str) {
        let pid = self.process.child.id().to_string();
        run(Command::new("kill").arg(format!("-{name}")).arg(pid)).unwrap();
    }

    /// kill -9, if it still runs, and a new process with the same settings.
    pub fn restart(&mut self) {
        self.kill();
        self.process = spawn(&self.dir, &self.settings, self.bind, &self.log);
    }
}

fn spawn(dir: &Path, settings: &Path, bind: SocketAddr, log: &Path) -> Process {
    let out = File::options().create(true).append(true).open(log).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_atelier"));
    command
        .arg("control-plane")
        .arg("--settings")
        .arg(settings)
        .args(["--bind", &bind.to_string()])
        .env("AWS_ACCESS_KEY_ID", "AKIDTESTS")
        .env("AWS_SECRET_ACCESS_KEY", "a-secret-of-tests")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .stdout(out.try_clone().unwrap())
        .stderr(out);
    Process::start(&mut command, dir.join(format!("control-plane-{}.pid", number())))
}
