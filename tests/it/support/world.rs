//! The world that the tests share: a cluster and an engine of our own, started by the first test that needs
//! them and removed when the last one has ended.

use super::cluster::Cluster;
use super::engine::Engine;
use super::kstatus::Recorder;
use super::script::{root, run};
use kube::Client;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::thread;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::OnceCell;

/// The world.
pub struct World {
    /// Where it keeps its files.
    pub dir: PathBuf,
    /// The cluster.
    pub cluster: Cluster,
    /// The engine. Not to be stopped: tests that stop one make their own.
    pub engine: Engine,
    /// The admin's client.
    pub client: Client,
    /// Every status that there was.
    pub statuses: Recorder,
}

static WORLD: OnceCell<Result<World, String>> = OnceCell::const_new();
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

/// What all tests run on: a connection of one test's client may be carried by another's thread.
pub fn runtime() -> &'static Runtime {
    &RUNTIME
}

/// The world, which is started if it does not run yet.
pub async fn world() -> &'static World {
    WORLD.get_or_init(start).await.as_ref().unwrap_or_else(|why| panic!("the world does not start: {why}"))
}

async fn start() -> Result<World, String> {
    remove_abandoned();
    let dir = own_dir();
    fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let (cluster, engine) = thread::scope(|scope| {
        let cluster = scope.spawn(|| Cluster::start(&dir.join("cluster")));
        let engine = scope.spawn(|| Engine::start(&dir.join("engine")));
        (cluster.join().unwrap(), engine.join().unwrap())
    });
    let (cluster, engine) = (cluster?, engine?);
    let client = cluster.client().await;
    let statuses = Recorder::start(&client);
    Ok(World { dir, cluster, engine, client, statuses })
}

/// The world, if a test has needed it.
pub fn started() -> Option<&'static World> {
    WORLD.get()?.as_ref().ok()
}

/// Removes everything that this run has started, also what a failed start has left.
pub fn tear_down() {
    let dir = own_dir();
    if dir.exists() {
        remove(&dir);
    }
}

/// Ctrl-C and SIGTERM end the run as its end would.
pub fn tear_down_on_signals() {
    runtime().spawn(async {
        let mut term = signal(SignalKind::terminate()).unwrap();
        let mut int = signal(SignalKind::interrupt()).unwrap();
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        tear_down();
        process::exit(130);
    });
}

fn runs_dir() -> PathBuf {
    root().join(".cache/it")
}

fn own_dir() -> PathBuf {
    runs_dir().join(process::id().to_string())
}

/// Removes what runs that were killed have left.
fn remove_abandoned() {
    let Ok(entries) = fs::read_dir(runs_dir()) else { return };
    for dir in entries.flatten().map(|entry| entry.path()) {
        let pid = dir.file_name().unwrap_or_default().to_string_lossy();
        if !Path::new("/proc").join(&*pid).exists() {
            remove(&dir);
        }
    }
}

/// Ends and removes all that is in the folder of a run: operators, engines, the cluster.
fn remove(dir: &Path) {
    stop_operators(dir);
    let entries: Vec<_> =
        fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    thread::scope(|scope| {
        for path in &entries {
            let is = |file: &str| path.join(file).exists();
            scope.spawn(move || {
                let done = match () {
                    () if is("cluster.env") => Cluster::remove(path),
                    () if is("engine.env") => Engine::remove(path),
                    () => Ok(()),
                };
                if let Err(why) = done {
                    eprintln!("warning: {} is not removed: {why}", path.display());
                }
            });
        }
    });
    let left =
        entries.iter().any(|path| path.join("cluster.env").exists() || path.join("engine.env").exists());
    if !left {
        let _ = fs::remove_dir_all(dir);
    }
}

/// Operators end with their tests; those of a run that was killed do not.
fn stop_operators(dir: &Path) {
    let script = r#". "$0"; for file in "$1"/*/*.pid; do [ ! -e "$file" ] || stop "$file" 0; done"#;
    let lib = root().join("hack/lib.sh");
    if let Err(why) = run(Command::new("bash").args(["-c", script]).arg(lib).arg(dir.join("operators"))) {
        eprintln!("warning: {why}");
    }
}

/// A number that no other test of this run has.
pub fn number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A port that nobody listens on and that this run gives away only once.
pub fn free_port() -> u16 {
    // Below those that the kernel hands out, and not where the scripts look.
    static NEXT: LazyLock<AtomicU16> =
        LazyLock::new(|| AtomicU16::new(10_000 + u16::try_from(process::id() % 9_000).unwrap_or_default()));
    loop {
        let port = NEXT.fetch_add(1, Ordering::Relaxed);
        if TcpListener::bind(("0.0.0.0", port)).is_ok() {
            return port;
        }
    }
}
