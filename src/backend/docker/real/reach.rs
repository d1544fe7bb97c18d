//! Engines that go away, come back, or are another one; and hints.

use super::{PATIENCE, Site, ask, docker, hint, of, remains, setting, until};
use crate::backend::docker::TlsFiles;
use crate::backend::{BoxState, ErrorKind};
use futures::StreamExt;
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

/// A socket that leads to the engine for as long as it is open.
struct Line {
    path: PathBuf,
    open: Option<JoinHandle<()>>,
}

impl Line {
    fn new() -> Self {
        let name = format!("atelier-{}-{}.sock", std::process::id(), super::number());
        let mut line = Self { path: std::env::temp_dir().join(name), open: None };
        line.open();
        line
    }

    fn address(&self) -> String {
        format!("unix://{}", self.path.display())
    }

    fn open(&mut self) {
        let listener = UnixListener::bind(&self.path).expect("a free path");
        let engine = setting("ATELIER_TEST_DOCKER_HOST").trim_start_matches("unix://").to_owned();
        self.open = Some(tokio::spawn(async move {
            // Dropped, and with them every connection, when the line is cut.
            let mut calls = tokio::task::JoinSet::new();
            loop {
                let (mut call, _) = listener.accept().await.expect("it listens");
                let engine = engine.clone();
                calls.spawn(async move {
                    let mut engine = UnixStream::connect(engine).await?;
                    tokio::io::copy_bidirectional(&mut call, &mut engine).await
                });
            }
        }));
    }

    async fn cut(&mut self) {
        if let Some(open) = self.open.take() {
            open.abort();
            let _ = open.await;
        }
        std::fs::remove_file(&self.path).expect("it was there");
    }
}

#[tokio::test]
#[ignore = "needs a real engine"]
async fn an_engine_that_is_away_is_named_and_found_again() {
    let mut line = Line::new();
    let site = Site::at(&line.address()).await;
    let placement = site.place();
    let ask = ask("sleep 1000");
    let made = ask.create(&placement).await.expect("made");
    line.cut().await;
    let error = placement.boxes(&of(&ask.uid)).await.expect_err("away");
    assert_eq!(error.kind, ErrorKind::Unreachable);
    let expected = format!("no Docker engine answers at {}: No such file or directory", line.address());
    assert!(error.detail.starts_with(&expected), "{error}");
    for error in [
        placement.destroy("", &made).await.expect_err("away"),
        placement.stop("", &made).await.expect_err("away"),
        placement.leftovers(&remains(&ask.uid, &ask.network_of)).await.map(drop).expect_err("away"),
        placement.image(&ask.render(&placement)).await.map(drop).expect_err("away"),
    ] {
        assert_eq!(error.kind, ErrorKind::Unreachable, "{error}");
    }
    assert_eq!(site.backends.preflight().await.expect_err("away").kind, ErrorKind::Unreachable);
    assert!(site.backends.place(None).is_err());
    line.open();
    assert_eq!(placement.boxes(&of(&ask.uid)).await, Ok(vec![made]));
    // A call that was answered is as good as a preflight.
    assert_eq!(site.place().record(), placement.record());
    line.cut().await;
}

#[tokio::test]
#[ignore = "needs a real engine"]
async fn another_engine_is_not_believed() {
    let site = Site::new().await;
    let record = site.place().record().clone();
    for change in
        [|id: &mut (String, String)| id.0 = "other".into(), |id: &mut (String, String)| id.1 = "other".into()]
    {
        let mut record = record.clone();
        let world = record.docker.as_mut().expect("Docker's");
        let mut ids = (world.engine_id.clone(), world.network_id.clone());
        change(&mut ids);
        (world.engine_id, world.network_id) = ids;
        let placement = site.backends.place(Some(&record)).expect("the host is configured");
        for error in [
            placement.boxes(&of("u")).await.map(drop).expect_err("another world"),
            placement.leftovers(&remains("u", "u")).await.map(drop).expect_err("another world"),
            placement.clear(&remains("u", "u")).await.expect_err("another world"),
        ] {
            assert_eq!(error.kind, ErrorKind::WrongBackend);
            assert!(error.detail.contains("other"), "{error}");
        }
    }
}

#[tokio::test]
#[ignore = "needs a real engine"]
async fn what_happens_to_a_box_from_outside_is_hinted_at() {
    let site = Site::new().await;
    let placement = site.place();
    let ask = ask("sleep 1000");
    let made = ask.create(&placement).await.expect("made");
    let mut hints = pin!(site.backends.hints());
    let follow = async {
        // A long period: what comes, comes from the events.
        hint(&mut hints, &ask.uid).await;
        docker(&["kill", &made.id]);
        hint(&mut hints, &ask.uid).await;
        ask.exit(&placement).await;
        docker(&["rm", &made.id]);
        hint(&mut hints, &ask.uid).await;
    };
    tokio::select! {
        () = site.backends.watch(Duration::from_secs(3600)) => unreachable!("it never ends"),
        () = follow => {}
    }
    let made = ask.create(&placement).await.expect("made");
    placement.stop("", &made).await.expect("stopped");
    let follow = async {
        hint(&mut hints, &ask.uid).await;
        // No event that is listened to: the list finds it.
        docker(&["start", &made.id]);
        hint(&mut hints, &ask.uid).await;
        until("it runs", async || {
            let seen = placement.boxes(&of(&ask.uid)).await.expect("the engine answers").pop()?;
            (seen.state == BoxState::Running).then_some(())
        })
        .await;
    };
    tokio::select! {
        () = site.backends.watch(Duration::from_millis(100)) => unreachable!("it never ends"),
        () = follow => {}
    }
}

#[tokio::test]
#[ignore = "needs a real engine"]
async fn everybody_is_looked_at_once_when_the_engine_is_back() {
    let mut line = Line::new();
    let site = Site::at(&line.address()).await;
    let placement = site.place();
    let (one, two) = (ask("sleep 1000"), ask("sleep 1000"));
    let killed = one.create(&placement).await.expect("made");
    let gone = two.create(&placement).await.expect("made");
    let mut hints = pin!(site.backends.hints());
    let follow = async {
        hint(&mut hints, &one.uid).await;
        hint(&mut hints, &two.uid).await;
        // Heard from the events: they are followed now.
        docker(&["kill", &killed.id]);
        hint(&mut hints, &one.uid).await;
        line.cut().await;
        docker(&["rm", "--force", &gone.id]);
        line.open();
        // In the order of their uids.
        let both = tokio::time::timeout(PATIENCE, hints.by_ref().take(2).collect::<Vec<_>>()).await;
        assert_eq!(both, Ok(vec![one.uid.clone(), two.uid.clone()]));
    };
    tokio::select! {
        () = site.backends.watch(Duration::from_secs(3600)) => unreachable!("it never ends"),
        () = follow => {}
    }
    line.cut().await;
}

/// `ATELIER_TEST_DOCKER_TLS` is `tcp://host:port` of the same engine and a folder with ca.crt, tls.crt and
/// tls.key, with a comma in between.
#[tokio::test]
#[ignore = "needs a real engine that listens on TCP with TLS"]
async fn an_engine_over_tls_wants_the_right_certificates() {
    let setting = setting("ATELIER_TEST_DOCKER_TLS");
    let (address, folder) = setting.split_once(',').expect("an address and a folder");
    let read = |name: &str| std::fs::read(PathBuf::from(folder).join(name)).expect(name);
    let mut site = Site::new().await;
    site.endpoint.address = address.to_owned();
    site.endpoint.tls =
        Some(TlsFiles { ca: read("ca.crt"), certificate: read("tls.crt"), key: read("tls.key") });
    let over_tls = site.restarted().await;
    let ask = ask("sleep 1000");
    let made = ask.create(&over_tls.place()).await.expect("made");
    assert_eq!(site.place().boxes(&of(&ask.uid)).await, Ok(vec![made]), "it is the same engine");

    let untrusted = TlsFiles { ca: read("tls.crt"), certificate: read("tls.crt"), key: read("tls.key") };
    let unusable = TlsFiles { ca: read("ca.crt"), certificate: read("tls.crt"), key: b"no key".to_vec() };
    for (tls, kind) in [
        (Some(untrusted), ErrorKind::Unauthorized),
        (Some(unusable), ErrorKind::Unauthorized),
        (None, ErrorKind::Invalid),
    ] {
        let mut endpoint = site.endpoint.clone();
        endpoint.tls = tls;
        over_tls.backends.configure(crate::backend::Configuration::docker(endpoint, vec![]));
        let error = over_tls.backends.preflight().await.expect_err("not to be used like this");
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.detail.contains(address), "{error}");
    }
}
