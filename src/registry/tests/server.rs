//! The socket: TLS, new certificates, slow callers, the end.

use super::*;
use std::path::PathBuf;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;

// Self-signed certificates, two for 127.0.0.1 and one for registry.test, made for these tests alone.
const ONE: (&[u8], &[u8]) = (include_bytes!("one.crt.pem"), include_bytes!("one.key.pem"));
const TWO: (&[u8], &[u8]) = (include_bytes!("two.crt.pem"), include_bytes!("two.key.pem"));
const NAMED: (&[u8], &[u8]) = (include_bytes!("named.crt.pem"), include_bytes!("named.key.pem"));

/// A folder of certificate files that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("atelier-registry-{:016x}", rand::random::<u64>()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn write(&self, (certificate, key): (&[u8], &[u8])) {
        std::fs::write(self.paths().certificate, certificate).unwrap();
        std::fs::write(self.paths().key, key).unwrap();
    }

    fn paths(&self) -> TlsPaths {
        TlsPaths { certificate: self.0.join("tls.crt"), key: self.0.join("tls.key") }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn quick() -> Settings {
    Settings { tls_reload: Duration::from_millis(10), ..fast() }
}

#[tokio::test]
async fn a_new_certificate_is_taken_into_use_and_a_broken_one_is_not() {
    let folder = Folder::new();
    folder.write(ONE);
    let world = World::with(quick(), Some(folder.paths()), [workspace("w")]);
    let trusting = async |certificate: &[u8]| {
        let call = world.get_as("w", &paths::peers(&uid("w"))).trusting(certificate).send().await;
        call.is_ok_and(|answer| answer.status() == StatusCode::OK)
    };
    eventually("the first certificate", async || trusting(ONE.0).await).await;
    assert!(!trusting(TWO.0).await);

    // Between the two writes of a change the files do not belong together.
    folder.write((TWO.0, ONE.1));
    folder.write((b"no certificate", TWO.1));
    for _ in 0..20 {
        assert!(trusting(ONE.0).await, "the former one stays");
    }
    folder.write(TWO);
    eventually("the second certificate", async || trusting(TWO.0).await).await;
    assert!(!trusting(ONE.0).await);
    let plain = world.url.replace("https://", "http://");
    assert!(reqwest::Client::builder().no_proxy().build().unwrap().get(plain).send().await.is_err());
}

#[tokio::test]
async fn a_leader_at_an_address_is_known_by_the_name_in_its_certificate() {
    let folder = Folder::new();
    folder.write(NAMED);
    let leader = World::with(quick(), Some(folder.paths()), [workspace("w")]);
    let beat = async |name: Option<&str>| {
        let mut follower = World::trusting(fast(), None, Some(NAMED.0.to_vec()), name.map(Into::into));
        follower.fill();
        follower.apply(workspace("w"));
        follower.follow(Some(&leader.url));
        let call = || follower.post_as("w", paths::HEARTBEAT, json!({"workspace_id": uid("w")}));
        let first = call().send().await.unwrap().status();
        (first, call().send().await.unwrap().status())
    };
    let (heard, unheard) = (StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE);
    eventually("its name", async || beat(Some("registry.test")).await == (heard, heard)).await;
    assert_eq!(beat(None).await, (unheard, unheard), "its address is not in the certificate");
    assert_eq!(beat(Some("another.test")).await, (unheard, unheard));
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_at_the_start_is_an_error_that_names_the_file() {
    let folder = Folder::new();
    let world = World::with(quick(), Some(folder.paths()), []);
    let error = tokio::time::timeout(DEADLINE, world.server).await.unwrap().unwrap().unwrap_err();
    assert!(error.to_string().contains("tls.crt"), "{error}");
    folder.write((b"x", b"y"));
    let world = World::with(quick(), Some(folder.paths()), []);
    assert!(tokio::time::timeout(DEADLINE, world.server).await.unwrap().unwrap().is_err());
}

#[tokio::test]
async fn the_server_ends_when_it_is_told_to_and_answers_what_it_has_begun() {
    let (arrived, mut arrives) = mpsc::unbounded_channel();
    let (go, gone) = watch::channel(false);
    let slow = move || {
        let (arrived, mut gone) = (arrived.clone(), gone.clone());
        async move {
            arrived.send(()).unwrap();
            gone.wait_for(|gone| *gone).await.unwrap();
            axum::Json(json!({"done": true}))
        }
    };
    let address = served(Router::new().fallback(slow)).trim_start_matches("http://").to_owned();
    let world = World::new([with(workspace("w"), &[("/status/instance/address", json!(address))])]);
    let call = world.post_as("w", &paths::workspace_a2a(&uid("w")), json!({}));
    let call = tokio::spawn(async move { call.expect(200).await });
    tokio::time::timeout(DEADLINE, arrives.recv()).await.unwrap().unwrap();
    world.shutdown.cancel();
    let address: SocketAddr = world.url.trim_start_matches("http://").parse().unwrap();
    eventually("no new connections", async || tokio::net::TcpStream::connect(address).await.is_err()).await;
    go.send_replace(true);
    let answer = tokio::time::timeout(DEADLINE, call).await.unwrap().unwrap();
    assert_eq!(answer, json!({"done": true}));
    tokio::time::timeout(DEADLINE, world.server).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_body_that_never_comes_is_given_up() {
    let settings = Settings { body_deadline: Duration::from_millis(100), ..fast() };
    let world = World::with(settings, None, [workspace("w")]);
    let address: SocketAddr = world.url.trim_start_matches("http://").parse().unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Length: 10\r\n\r\n{{",
        paths::HEARTBEAT,
        world.token("w")
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    tokio::time::timeout(DEADLINE, stream.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
}

#[tokio::test]
async fn the_ttl_counts_from_when_the_registry_serves() {
    let world = World::new([workspace("w")]);
    world.get("/").expect(404).await;
    // Before, the process could not tell; now a box that started under its ears is silent.
    let started = Timestamp::now();
    let view = world.liveness.view(&uid("w"), 1, Life::Running(Some(started)), Recorded::Nothing, started);
    assert_eq!(view.link, Link::Silent);
}
