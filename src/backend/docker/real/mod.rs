//! Tests against a real engine, which `cargo test --lib -- --ignored backend::docker::real` runs.
//!
//! `ATELIER_TEST_DOCKER_HOST` names the engine (`unix:///…`) and `ATELIER_TEST_POOL` the /16 or /17 that its
//! networks may come from; both stand in what `hack/docker-up.sh` writes. The `docker` command and a static
//! busybox (`ATELIER_TEST_BUSYBOX`, by default `/bin/busybox`) are used, and nothing is downloaded. Each
//! test works under a controller name of its own, and removes what it made also when it fails.

mod boxes;
mod lifecycle;
mod networks;
mod pulls;
mod reach;

use crate::api::backend_config::{DockerNetwork, Runtime};
use crate::api::names;
use crate::api::workspace::Tier;
use crate::backend::{
    BackendError, Backends, BoxFile, BoxOrder, BoxQuery, BoxSeen, BoxState, Configuration, Contents,
    EngineEndpoint, LaunchOrder, Maker, Placement, Remains,
};
use crate::metrics::Metrics;
use futures::{Stream, StreamExt};
use std::collections::BTreeMap;
use std::io::Write;
use std::pin::Pin;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A number that no other test of this process has.
fn number() -> u32 {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    COUNT.fetch_add(1, Ordering::SeqCst)
}

fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: see the top of this file"))
}

/// The docker command, against the engine itself.
fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker")
        .args(["--host", &setting("ATELIER_TEST_DOCKER_HOST")])
        .args(arguments)
        .output()
        .expect("the docker command is installed");
    assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

/// An image of busybox that starts as this user.
fn image(user: &str) -> String {
    let busybox = std::env::var("ATELIER_TEST_BUSYBOX").unwrap_or_else(|_| "/bin/busybox".into());
    let name = format!("atelier-real-test:{}-{}", user.replace(':', "-"), number());
    let mut tar = tar::Builder::new(Vec::new());
    tar.append_path_with_name(&busybox, "bin/busybox").expect("a static busybox");
    for applet in ["cat", "nc", "sh", "sleep", "stat", "tail", "touch"] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        tar.append_link(&mut header, format!("bin/{applet}"), "/bin/busybox").expect("in memory");
    }
    let mut import = Command::new("docker")
        .args(["--host", &setting("ATELIER_TEST_DOCKER_HOST"), "import"])
        .args(["--change", &format!("USER {user}"), "-", &name])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("the docker command is installed");
    let archive = tar.into_inner().expect("in memory");
    import.stdin.take().expect("a pipe").write_all(&archive).expect("docker reads");
    assert!(import.wait().expect("it ends").success());
    name
}

/// One controller on the engine under test.
struct Site {
    backends: Backends,
    endpoint: EngineEndpoint,
    maker: Maker,
}

impl Site {
    /// A controller of its own name, whose networks come from a range of its own.
    async fn new() -> Self {
        Self::at(&setting("ATELIER_TEST_DOCKER_HOST")).await
    }

    async fn at(address: &str) -> Self {
        let number = number();
        let pool = setting("ATELIER_TEST_POOL");
        let pool: Vec<_> = pool.split('.').take(2).collect();
        let network = DockerNetwork {
            pool: format!("{}.{}.0/24", pool.join("."), 128 + number % 128),
            prefix_length: 28,
            ..DockerNetwork::default()
        };
        let endpoint = EngineEndpoint {
            name: "local".into(),
            address: address.into(),
            publish_address: "127.0.0.1".into(),
            tls: None,
            network,
        };
        let controller = format!("real-{}-{number}", std::process::id());
        Self::with(endpoint, Maker { cluster: "test".into(), controller }).await
    }

    async fn with(endpoint: EngineEndpoint, maker: Maker) -> Self {
        let backends = Backends::new("cluster", maker.clone(), Metrics::default());
        backends.configure(Configuration::docker(endpoint.clone(), vec![]));
        backends.preflight().await.expect("the engine answers");
        Self { backends, endpoint, maker }
    }

    /// The same controller after a restart: it remembers nothing.
    async fn restarted(&self) -> Self {
        Self::with(self.endpoint.clone(), self.maker.clone()).await
    }

    fn place(&self) -> Placement {
        self.backends.place(None).expect("the preflight was answered")
    }

    /// What the engine has of this controller.
    fn list(&self, what: &[&str], format: &str) -> Vec<String> {
        let filter = format!("label={}={}", names::CONTROLLER, self.maker.controller);
        let arguments: Vec<_> =
            what.iter().copied().chain(["--format", format, "--filter", &filter]).collect();
        let mut lines: Vec<_> = docker(&arguments).lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    fn containers(&self) -> Vec<String> {
        self.list(&["ps", "--all"], "{{.Names}}")
    }

    fn volumes(&self) -> Vec<String> {
        self.list(&["volume", "ls"], "{{.Name}}")
    }

    fn networks(&self) -> Vec<String> {
        self.list(&["network", "ls", "--no-trunc"], "{{.ID}}")
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        for container in self.list(&["ps", "--all"], "{{.ID}}") {
            docker(&["rm", "--force", "--volumes", &container]);
        }
        for network in self.networks() {
            docker(&["network", "rm", &network]);
        }
        for volume in self.volumes() {
            docker(&["volume", "rm", &volume]);
        }
    }
}

/// What a test asks for.
#[derive(Clone)]
struct Ask {
    uid: String,
    attempt: i64,
    spec_hash: String,
    network_of: String,
    tier: Tier,
    image: String,
    command: Vec<String>,
    retain: bool,
}

/// A box that runs this in a shell.
fn ask(script: &str) -> Ask {
    let uid = format!("{:08x}-{:04x}-4000-8000-000000000000", std::process::id(), number());
    Ask {
        network_of: uid.clone(),
        uid,
        attempt: 1,
        spec_hash: "hash-1".into(),
        tier: Tier::T2,
        image: image("0"),
        command: ["/bin/sh", "-c", script].map(str::to_owned).into(),
        retain: false,
    }
}

impl Ask {
    fn render(&self, placement: &Placement) -> String {
        let runtime =
            Runtime { image: self.image.clone(), command: self.command.clone(), ..Runtime::default() };
        let order = BoxOrder {
            uid: &self.uid,
            namespace: "ns",
            name: "w",
            attempt: self.attempt,
            spec_hash: &self.spec_hash,
            network_of: &self.network_of,
            tier: self.tier,
            granted: None,
            runtime: &runtime,
            platform_url: "http://host.docker.internal:8090",
            ca_bundle: None,
            recorded: None,
            zone: None,
            retain: self.retain,
        };
        placement.render(&order).expect("an engine offers every tier")
    }

    async fn create(&self, placement: &Placement) -> Result<BoxSeen, BackendError> {
        placement.create(&launch(&self.render(placement), &contents())).await
    }

    /// Destroys every box and clears the rest, as a deletion does.
    async fn remove(&self, placement: &Placement) {
        for seen in placement.boxes(&of(&self.uid)).await.expect("the engine answers") {
            placement.destroy("", &seen).await.expect("destroyed");
        }
        if placement.leftovers(&remains(&self.uid, &self.network_of)).await.expect("the engine answers") {
            placement.clear(&remains(&self.uid, &self.network_of)).await.expect("cleared");
        }
        assert_eq!(placement.leftovers(&remains(&self.uid, &self.network_of)).await, Ok(false));
    }

    /// Waits until the only box has exited: the box, its code, and whether the kernel killed it.
    async fn exit(&self, placement: &Placement) -> (BoxSeen, i64, bool) {
        until("the box exits", async || {
            let seen = placement.boxes(&of(&self.uid)).await.expect("the engine answers").pop()?;
            match seen.state {
                BoxState::Exited { code, oom_killed, .. } => Some((seen, code, oom_killed)),
                _ => None,
            }
        })
        .await
    }
}

fn contents() -> Contents {
    let file = |path: &str, text: &str, mode| BoxFile { path: path.into(), bytes: text.into(), mode };
    Contents {
        bootstrap_token: String::new(),
        env: BTreeMap::from([("GREETING".into(), "hello".into()), ("HOSTNAME".into(), "shown".into())]),
        files: vec![file(".auth_token", "secret", 0o600), file("skills/a/S.md", "skill", 0o644)],
    }
}

/// Looks until there is something, and fails when that takes too long.
async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits for a hint for this Workspace; those for others are passed over.
async fn hint(hints: &mut Pin<&mut impl Stream<Item = String>>, uid: &str) {
    let found = async { while hints.next().await.expect("hints do not end") != uid {} };
    tokio::time::timeout(PATIENCE, found).await.expect("a hint");
}

/// Waits until a box has printed what a function accepts.
async fn printed(placement: &Placement, id: &str, fits: impl Fn(&str) -> bool) -> String {
    let mut last = None;
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        last = Some(placement.log_tail("", id).await);
        if let Some(Ok(log)) = &last
            && fits(log)
        {
            return log.clone();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("waited in vain for what the box prints: {last:?}");
}

fn of(uid: &str) -> BoxQuery<'_> {
    BoxQuery { uid, expected: &[] }
}

fn launch<'a>(request: &'a str, contents: &'a Contents) -> LaunchOrder<'a> {
    LaunchOrder { request, client_token: None, user_data_hash: None, contents }
}

fn remains<'a>(uid: &'a str, network_of: &'a str) -> Remains<'a> {
    Remains { uid, network_of, storage: None, retain: false }
}
