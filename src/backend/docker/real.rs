//! Tests against a real engine: `ATELIER_TEST_DOCKER_HOST=unix:///… cargo test --lib -- --ignored real`.
//!
//! They need a static busybox (`ATELIER_TEST_BUSYBOX`, by default `/bin/busybox`) to make an image of. Each
//! works under a controller name of its own, and removes what it made.

use crate::api::backend_config::{DockerNetwork, Runtime};
use crate::api::names;
use crate::api::workspace::Tier;
use crate::backend::{
    BackendError, Backends, BoxFile, BoxOrder, BoxSeen, BoxState, Configuration, Contents, EngineEndpoint,
    ErrorKind, ImageState, Maker, Placement,
};
use crate::metrics::Metrics;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

/// One controller on the engine under test.
struct Site {
    backends: Backends,
    maker: Maker,
    host: String,
    pool: String,
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

impl Site {
    /// A controller of its own name, whose networks come from a range of its own.
    async fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let host =
            std::env::var("ATELIER_TEST_DOCKER_HOST").expect("ATELIER_TEST_DOCKER_HOST names an engine");
        let number = COUNT.fetch_add(1, Ordering::SeqCst);
        let maker =
            Maker { cluster: "test".into(), controller: format!("real-{}-{number}", std::process::id()) };
        let pool = format!("10.254.{}.0/24", number * 4 % 256);
        let site =
            Self { backends: Backends::new("cluster", maker.clone(), Metrics::default()), maker, host, pool };
        site.backends.configure(Configuration::Docker { selected: site.endpoint(), in_use: vec![] });
        site.backends.preflight().await.expect("the engine answers");
        site
    }

    fn endpoint(&self) -> EngineEndpoint {
        EngineEndpoint {
            name: "local".into(),
            address: self.host.clone(),
            publish_address: "127.0.0.1".into(),
            tls: None,
            network: DockerNetwork { pool: self.pool.clone(), prefix_length: 28, ..DockerNetwork::default() },
        }
    }

    /// The same controller after a restart: it remembers nothing.
    async fn restarted(&self) -> Self {
        let backends = Backends::new("cluster", self.maker.clone(), Metrics::default());
        backends.configure(Configuration::Docker { selected: self.endpoint(), in_use: vec![] });
        backends.preflight().await.expect("the engine answers");
        Self { backends, maker: self.maker.clone(), host: self.host.clone(), pool: self.pool.clone() }
    }

    fn place(&self) -> Placement {
        self.backends.place(None).expect("the preflight was answered")
    }

    fn docker(&self, arguments: &[&str]) -> String {
        let output = std::process::Command::new("docker")
            .args(["--host", &self.host])
            .args(arguments)
            .output()
            .expect("the docker command is installed");
        assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    }

    /// What the engine has of this controller: containers, volumes, networks.
    fn inventory(&self) -> [Vec<String>; 3] {
        let filter = format!("label={}={}", names::CONTROLLER, self.maker.controller);
        let list = |arguments: &[&str]| {
            let mut all = arguments.to_vec();
            all.extend(["--filter", &filter]);
            let mut lines: Vec<_> = self.docker(&all).lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        [
            list(&["ps", "--all", "--format", "{{.Names}}"]),
            list(&["volume", "ls", "--format", "{{.Name}}"]),
            list(&["network", "ls", "--format", "{{.Name}}"]),
        ]
    }

    /// An image of busybox whose user is the given one.
    fn image(&self, user: &str) -> String {
        let busybox = std::env::var("ATELIER_TEST_BUSYBOX").unwrap_or_else(|_| "/bin/busybox".into());
        let name = format!("atelier-real-test:{}", if user.is_empty() { "root" } else { user });
        let mut tar = tar::Builder::new(Vec::new());
        tar.append_path_with_name(&busybox, "bin/busybox").expect("a static busybox");
        for applet in ["sh", "id", "cat", "stat", "sleep", "touch", "nc", "nslookup", "ls", "head", "tr"] {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            tar.append_link(&mut header, format!("bin/{applet}"), "/bin/busybox").expect("in memory");
        }
        let archive = tar.into_inner().expect("in memory");
        let change = format!("USER {}", if user.is_empty() { "0" } else { user });
        let mut import = std::process::Command::new("docker")
            .args(["--host", &self.host, "import", "--change", &change, "-", &name])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("the docker command is installed");
        std::io::Write::write_all(&mut import.stdin.take().expect("a pipe"), &archive).expect("docker reads");
        assert!(import.wait().expect("it ends").success());
        name
    }

    fn ask(&self, command: &str) -> Ask {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::SeqCst);
        let uid = format!("{:08x}-{number:04x}-4000-8000-000000000000", std::process::id());
        Ask {
            network_of: uid.clone(),
            uid,
            attempt: 1,
            spec_hash: "hash-1".into(),
            tier: Tier::T2,
            image: self.image(""),
            command: ["/bin/sh", "-c", command].map(str::to_owned).into(),
            retain: false,
        }
    }
}

impl Ask {
    fn render(&self, placement: &Placement) -> String {
        let runtime =
            Runtime { image: self.image.clone(), command: self.command.clone(), ..Runtime::default() };
        placement.render(&BoxOrder {
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
            retain: self.retain,
        })
    }

    async fn create(&self, placement: &Placement) -> Result<BoxSeen, BackendError> {
        placement.create(&self.render(placement), &contents()).await
    }

    /// Destroys every box and clears the rest, as a deletion does.
    async fn remove(&self, placement: &Placement) {
        for seen in placement.boxes(&self.uid).await.expect("the engine answers") {
            placement.destroy(&seen).await.expect("destroyed");
        }
        if placement.leftovers(&self.uid, &self.network_of).await.expect("the engine answers") {
            placement.clear(&self.uid, &self.network_of).await.expect("cleared");
        }
        assert!(!placement.leftovers(&self.uid, &self.network_of).await.expect("the engine answers"));
    }
}

fn contents() -> Contents {
    let file = |path: &str, text: &str, mode| BoxFile { path: path.into(), bytes: text.into(), mode };
    Contents {
        env: BTreeMap::from([("GREETING".into(), "hello".into()), ("HOSTNAME".into(), "shown".into())]),
        files: vec![file(".auth_token", "secret", 0o600), file("skills/a/S.md", "skill", 0o644)],
    }
}

/// Looks until a condition holds.
async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn exited(placement: &Placement, uid: &str) -> (BoxSeen, i64, bool) {
    until("the box exits", async || {
        let seen = placement.boxes(uid).await.expect("the engine answers").pop()?;
        match seen.state {
            BoxState::Exited { code, oom_killed, .. } => Some((seen, code, oom_killed)),
            _ => None,
        }
    })
    .await
}

#[tokio::test]
#[ignore = "needs a real engine"]
async fn a_box_comes_up_with_its_files_and_goes_without_a_trace() {
    let site = Site::new().await;
    let placement = site.place();
    let ask = site.ask(
        "cd /configs; stat -c '%n %u:%g %a' . .auth_token skills/a skills/a/S.md; cat .auth_token; echo; \
         echo $GREETING $HOSTNAME; touch /workspace/mine && while true; do nc -l -p 8000 -e /bin/cat; done",
    );
    assert_eq!(placement.boxes(&ask.uid).await, Ok(vec![]));
    assert_eq!(placement.image(&ask.render(&placement)).await, Ok(ImageState::Present));
    let made = ask.create(&placement).await.expect("made");
    assert_eq!(
        (made.state.clone(), made.attempt, made.spec_hash.as_deref()),
        (BoxState::Running, Some(1), Some("hash-1"))
    );
    assert_eq!(placement.boxes(&ask.uid).await, Ok(vec![made.clone()]));
    let alias = names::host(&ask.uid);
    assert!(
        made.addresses.contains(&alias) && made.addresses.iter().any(|a| a.starts_with("10.254.")),
        "{made:?}"
    );
    let address = made.address.clone().expect("a published port");
    assert!(address.starts_with("127.0.0.1:"), "{address}");
    until("the port answers", async || tokio::net::TcpStream::connect(&address).await.ok()).await;
    let log = placement.log_tail(&made.id).await.expect("a log");
    assert_eq!(
        log,
        ". 0:0 755\n.auth_token 1000:1000 600\nskills/a 1000:1000 755\nskills/a/S.md 1000:1000 644\nsecret\nhello shown"
    );
    let [boxes, volumes, networks] = site.inventory();
    assert_eq!(boxes, [names::instance(&ask.uid, 1)]);
    assert_eq!(volumes, [names::configs_volume(&ask.uid, 1), names::workspace_volume(&ask.uid)]);
    assert_eq!(networks, [names::network(&ask.uid)]);
    ask.remove(&placement).await;
    assert_eq!(site.inventory(), [const { Vec::<String>::new() }; 3]);
    placement.destroy(&made).await.expect("gone is fine");
}
