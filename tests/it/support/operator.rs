//! The operator as a process: started, watched, killed.

use super::script::run;
use super::wait::{SOON, poll};
use super::world::{free_port, number};
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Periods and windows that are shortened, so that what waits for one is seen in a test.
pub const QUICK: [&str; 11] = [
    "--resync=5s",
    "--preflight-period=3s",
    "--preflight-retry-max=2s",
    "--list-period=2s",
    "--references-period=3s",
    "--keys-period=5s",
    "--backoff-min=500ms",
    "--backoff-max=4s",
    "--stalled-after=6s",
    "--keep-failed-box=10m",
    "--agent-write-period=2s",
];

/// A lease that is soon over.
pub const SHORT_LEASE: [&str; 4] = [
    "--lease-duration=3s",
    "--lease-renew-deadline=2s",
    "--lease-renew-period=1s",
    "--lease-retry-period=500ms",
];

/// How an operator is started.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Its kubeconfig.
    pub kubeconfig: PathBuf,
    /// Where its files go.
    pub dir: PathBuf,
    /// Where it serves the registry.
    pub registry: SocketAddr,
    /// What else is on its command line.
    pub arguments: Vec<String>,
}

/// An operator's process. It is killed with the test.
pub struct Operator {
    settings: Settings,
    metrics: SocketAddr,
    /// What it said.
    pub log: PathBuf,
    pid_file: PathBuf,
    child: Child,
}

impl Operator {
    /// Starts one. It is not ready yet.
    pub fn start(settings: Settings) -> Self {
        fs::create_dir_all(&settings.dir).unwrap();
        let name = format!("operator-{}", number());
        let metrics = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let log = settings.dir.join(format!("{name}.log"));
        let pid_file = settings.dir.join(format!("{name}.pid"));
        let child = spawn(&settings, metrics, &log, &pid_file);
        Self { settings, metrics, log, pid_file, child }
    }

    /// Waits until it serves.
    pub async fn ready(&mut self) {
        let url = self.url("/readyz");
        let ready = poll(SOON, async || {
            if let Some(status) = self.child.try_wait().unwrap() {
                // Asking on would not help.
                return Ok(Err(format!("it ended: {status}")));
            }
            match reqwest::get(&url).await {
                Ok(answer) if answer.status().is_success() => Ok(Ok(())),
                Ok(answer) => Err(answer.status().to_string()),
                Err(error) => Err(error.to_string()),
            }
        });
        let ready = ready.await.and_then(|answer| answer);
        assert!(ready.is_ok(), "the operator does not become ready: {ready:?}\n{}", self.log_tail());
    }

    /// The sum of a metric over its labels, of the lines that contain all of `with`; 0 where there is none.
    pub async fn metric(&self, name: &str, with: &[&str]) -> f64 {
        let text = match reqwest::get(self.url("/metrics")).await {
            Ok(answer) => answer.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        };
        let is_it = |line: &&str| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with([' ', '{']))
                && with.iter().all(|part| line.contains(part))
        };
        text.lines().filter(is_it).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Whether it says that it leads.
    pub async fn leads(&self) -> bool {
        self.metric("atelier_leader", &[]).await > 0.5
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.metrics)
    }

    /// The id of its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where it serves the registry.
    pub fn registry(&self) -> SocketAddr {
        self.settings.registry
    }

    /// kill -9.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// kill -9, if it still runs, and a new process with the same settings.
    pub fn restart(&mut self) {
        self.kill();
        self.child = spawn(&self.settings, self.metrics, &self.log, &self.pid_file);
    }

    /// Sends a signal, such as `STOP`.
    pub fn signal(&self, name: &str) {
        run(Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string())).unwrap();
    }

    /// Whether its process is still there.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> ExitStatus {
        let ended = poll(SOON, async || self.child.try_wait().unwrap().ok_or_else(String::new)).await;
        ended.unwrap_or_else(|_| panic!("it does not end\n{}", self.log_tail()))
    }

    /// Waits until it leads, and answers how long that took.
    pub async fn until_it_leads(&self) -> Duration {
        let began = Instant::now();
        let leads = poll(SOON, async || if self.leads().await { Ok(()) } else { Err(String::new()) }).await;
        assert!(leads.is_ok(), "it does not lead\n{}", self.log_tail());
        began.elapsed()
    }

    /// The end of what it said.
    pub fn log_tail(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        let tail = lines[lines.len().saturating_sub(60)..].join("\n");
        format!("--- the end of {}\n{tail}", self.log.display())
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_file(&self.pid_file);
    }
}

fn spawn(settings: &Settings, metrics: SocketAddr, log: &Path, pid_file: &Path) -> Child {
    let out = File::options().create(true).append(true).open(log).unwrap();
    // Of many on one machine, only those of a test that wants it serve the aggregated API.
    let serves_people = settings.arguments.iter().any(|argument| argument.starts_with("--live-bind"));
    let child = Command::new(env!("CARGO_BIN_EXE_atelier"))
        .arg("controller")
        .args(if serves_people { &[][..] } else { &["--live-bind=none"] })
        .arg("--kubeconfig")
        .arg(&settings.kubeconfig)
        .args(["--registry-bind", &settings.registry.to_string()])
        .args(["--metrics-bind", &metrics.to_string()])
        .args(&settings.arguments)
        .env_remove("KUBECONFIG")
        .env_remove("DOCKER_HOST")
        // By which hack/lib.sh knows the process again, should this one be killed.
        .env("ATELIER_PIDFILE", pid_file)
        .stdin(Stdio::null())
        .stdout(out.try_clone().unwrap())
        .stderr(out)
        .spawn()
        .unwrap();
    fs::write(pid_file, child.id().to_string()).unwrap();
    child
}
