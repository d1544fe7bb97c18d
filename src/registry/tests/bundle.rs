//! The bundle: who gets it, from where, how long, and how often.

use super::*;
use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::jiff::SignedDuration;
use std::io::Read;

/// What the reconcile would make of a Workspace: all of them boot within a minute.
#[derive(Clone, Default)]
pub struct Store(Arc<Mutex<Stored>>);

#[derive(Default)]
struct Stored {
    is_docker: bool,
    missing: Option<String>,
    data_volume: Option<String>,
    asked: usize,
}

impl Store {
    fn change(&self, change: impl FnOnce(&mut Stored)) {
        change(&mut self.0.lock().unwrap());
    }

    fn asked(&self) -> usize {
        self.0.lock().unwrap().asked
    }
}

impl Bundles for Store {
    fn boot_timeout(&self, _: &Workspace) -> Option<Duration> {
        (!self.0.lock().unwrap().is_docker).then_some(Duration::from_secs(60))
    }

    fn bundle(&self, workspace: Arc<Workspace>) -> BoxFuture<'_, Result<Bundle, String>> {
        let mut stored = self.0.lock().unwrap();
        stored.asked += 1;
        let file = |path: &str, text: &str, mode| BoxFile { path: path.into(), bytes: text.into(), mode };
        let name = workspace.metadata.name.clone().unwrap_or_default();
        let token = format!("token of {name}");
        let files = vec![file(".auth_token", &token, 0o600), file("plugins/p/a.md", "a", 0o644)];
        let env = [("LINES".to_owned(), "one\ntwo\n".to_owned()), ("EMPTY".to_owned(), String::new())].into();
        let bundle = Bundle {
            contents: Contents { bootstrap_token: String::new(), env, files },
            data_volume: stored.data_volume.clone(),
        };
        let answer = stored.missing.clone().map_or(Ok(bundle), Err);
        async { answer }.boxed()
    }
}

/// The Workspace `w` with a box at this address that started so many seconds ago.
fn started(address: &str, seconds_ago: i64) -> Value {
    let start = Timestamp::now() - SignedDuration::from_secs(seconds_ago);
    let start = start.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string();
    with(at(&[address], workspace("w")), &[("/status/instance/startedAt", json!(start))])
}

fn bootstrap(world: &World, attempt: i64) -> String {
    world.keys.get().unwrap().token("a", Purpose::Bootstrap, &uid("w"), attempt).unwrap()
}

/// The call of the box, from this address.
fn fetch_from(world: &World, source: &str) -> Call {
    world.get(paths::BUNDLE).token(&bootstrap(world, 1)).from(source)
}

/// The call of the box, from its own address.
fn fetch(world: &World) -> Call {
    fetch_from(world, "127.0.0.2")
}

fn says(world: &World, stage: &str, ok: bool) -> Call {
    world.post(paths::BOOT, json!({"stage": stage, "ok": ok})).token(&bootstrap(world, 1))
}

async fn is_given_out(call: Call) {
    let answer = call.send().await.unwrap();
    assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
}

impl World {
    async fn told(&self) -> Vec<Value> {
        self.events.flush().await;
        self.api.1.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn a_box_gets_its_files_and_its_environment_as_an_archive() {
    let world = World::new([started("127.0.0.2", 5)]);
    world.bundles.change(|stored| stored.data_volume = Some("vol-1".into()));
    let answer = fetch(&world).send().await.unwrap();
    for (name, value) in [("content-type", "application/x-tar"), ("cache-control", "no-store")] {
        assert_eq!(answer.headers()[name], value);
    }
    let bytes = answer.bytes().await.unwrap();
    let mut tar = tar::Archive::new(&bytes[..]);
    let entries = tar.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        assert_eq!(entry.header().uid().unwrap(), 1000);
        let (path, mode) =
            (entry.path().unwrap().to_string_lossy().into_owned(), entry.header().mode().unwrap());
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        (path, mode, text)
    });
    let expected = [
        ("configs", 0o755, ""),
        ("env", 0o755, ""),
        ("configs/.auth_token", 0o600, "token of w"),
        ("configs/plugins", 0o755, ""),
        ("configs/plugins/p", 0o755, ""),
        ("configs/plugins/p/a.md", 0o644, "a"),
        ("env/EMPTY", 0o600, ""),
        ("env/LINES", 0o600, "one\ntwo\n"),
        ("data-volume", 0o600, "vol-1"),
    ];
    let expected = expected.map(|(path, mode, text)| (path.to_owned(), mode, text.to_owned()));
    assert_eq!(entries.collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_bootstrap_token_is_good_for_the_bundle_and_boot_stages_and_nothing_else() {
    let world = World::new([started("127.0.0.2", 5)]);
    is_given_out(fetch(&world)).await;
    says(&world, "started", true).expect(204).await;
    let me = uid("w");
    let url = format!("http://{}:8000", crate::api::names::host(&me));
    for (path, body) in [
        (paths::REGISTER.to_owned(), json!({"id": me, "url": url})),
        (paths::HEARTBEAT.to_owned(), json!({"workspace_id": me})),
        (paths::UPDATE_CARD.to_owned(), json!({"workspace_id": me, "agent_card": {}})),
        (paths::EXIT.to_owned(), json!({"exit_code": 0})),
        (paths::CHECK_ACCESS.to_owned(), json!({"caller_id": me, "target_id": me})),
        (paths::workspace_a2a(&me), json!({})),
    ] {
        let error = world.post(&path, body).token(&bootstrap(&world, 1)).from("127.0.0.2").error(403).await;
        assert!(error.contains("/configs/.auth_token"), "{path}: {error}");
    }
    // The questions that a box may ask without a token are not answered with this one either.
    for path in [paths::peers(&me), paths::workspace(&me), paths::discover(&me)] {
        let ask = world.get(&path).token(&bootstrap(&world, 1)).from("127.0.0.2");
        ask.header(paths::WORKSPACE_ID_HEADER, &me).error(403).await;
    }
    let view = world.view("w");
    assert_eq!((world.liveness.connected(), view.rejected, view.stages.len()), (0, None, 1));
}

#[tokio::test]
async fn a_bundle_is_not_for_agents_nor_for_those_without_a_token_of_this_attempt() {
    let world = World::new([started("127.0.0.2", 5)]);
    for (token, status) in [
        (world.token("w"), 403),
        (bootstrap(&world, 0), 401),
        (bootstrap(&world, 2), 401),
        (world.token("w").replace("workspace", "bootstrap"), 401),
        (String::new(), 401),
    ] {
        world.get(paths::BUNDLE).token(&token).from("127.0.0.2").error(status).await;
        let ask = world.call(Method::HEAD, paths::BUNDLE).token(&token).from("127.0.0.2");
        assert_eq!(ask.send().await.unwrap().status(), status);
    }
    assert_eq!(world.bundles.asked(), 0);
}

#[tokio::test]
async fn the_call_must_come_from_a_recorded_address_of_the_box() {
    for address in ["127.0.0.2", "::ffff:127.0.0.2"] {
        let world = World::new([started(address, 5)]);
        is_given_out(fetch(&world)).await;
        let elsewhere = fetch_from(&world, "127.0.0.3").header("X-Forwarded-For", "127.0.0.2");
        let error = elsewhere.error(403).await;
        assert!(error.contains("127.0.0.3"), "{error}");
    }
    let nowhere = with(started("127.0.0.2", 5), &[("/status/instance/addresses", json!([]))]);
    let mut world = World::new([nowhere]);
    fetch(&world).error(403).await;
    world.apply(started("127.0.0.2", 5));
    is_given_out(fetch(&world)).await;
}

#[tokio::test]
async fn a_bundle_is_open_for_the_boot_timeout_and_ten_minutes_after_the_last_start() {
    let mut world = World::new([started("127.0.0.2", 0)]);
    is_given_out(fetch(&world)).await;
    // Far enough from the end for a test that is slow.
    world.apply(started("127.0.0.2", 60 + 600 - 60));
    is_given_out(fetch(&world)).await;
    world.apply(started("127.0.0.2", 60 + 600 + 1));
    let error = fetch(&world).error(410).await;
    assert!(error.contains("its time to fetch the bundle is over"), "{error}");
    assert!(world.told().await.is_empty(), "late is not twice");
    // It was stopped and started.
    world.apply(started("127.0.0.2", 1));
    is_given_out(fetch(&world)).await;

    let given_out = world.bundles.asked();
    world.apply(at(&["127.0.0.2"], workspace("w")));
    assert!(fetch(&world).error(503).await.contains("not recorded yet"));
    let going = ("/metadata/deletionTimestamp", json!("2026-01-01T00:00:00Z"));
    world.apply(with(started("127.0.0.2", 1), &[going]));
    fetch(&world).error(410).await;
    assert_eq!(world.bundles.asked(), given_out);
}

#[tokio::test]
async fn a_bundle_is_closed_by_the_box_s_word_and_what_comes_after_is_an_event_once() {
    let mut world = World::new([started("127.0.0.2", 5)]);
    for (stage, ok) in [("started", true), ("bundle-fetched", false), ("image-pulled", true)] {
        says(&world, stage, ok).expect(204).await;
        is_given_out(fetch(&world)).await;
    }
    says(&world, "bundle-fetched", true).expect(204).await;
    assert!(world.told().await.is_empty());
    let given_out = world.bundles.asked();
    for _ in 0..3 {
        assert!(fetch(&world).error(410).await.contains("was fetched"));
    }
    // Also where the token is used elsewhere, and after a restart of the box.
    fetch_from(&world, "127.0.0.3").error(410).await;
    for life in [Life::Stopped, Life::Running(Some(Timestamp::now()))] {
        world.liveness.view(&uid("w"), 1, life, Recorded::Nothing, Timestamp::now());
    }
    world.apply(started("127.0.0.2", 0));
    fetch(&world).error(410).await;
    assert_eq!(world.bundles.asked(), given_out);
    let told = world.told().await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((&told[0]["reason"], &told[0]["type"]), (&json!("BundleFetchedAgain"), &json!("Warning")));
    assert_eq!(told[0]["regarding"]["uid"], uid("w"));

    // The next attempt has a bundle of its own.
    world.apply(with(started("127.0.0.2", 0), &[("/status/launch/attempt", json!(2))]));
    is_given_out(world.get(paths::BUNDLE).token(&bootstrap(&world, 2)).from("127.0.0.2")).await;
}

#[tokio::test]
async fn a_leader_that_heard_nothing_goes_by_the_recorded_agent() {
    let connected = |attempt| {
        let agent = json!({"connectedAt": "2026-01-01T00:00:00Z", "attempt": attempt});
        with(started("127.0.0.2", 5), &[("/status/agent", agent)])
    };
    let mut world = World::new([connected(0)]);
    is_given_out(fetch(&world)).await;
    world.apply(connected(1));
    fetch(&world).error(410).await;
    fetch(&world).error(410).await;
    assert_eq!(world.told().await.len(), 1);
}

#[tokio::test]
async fn boxes_that_get_their_files_put_in_have_no_bundle() {
    let world = World::new([started("127.0.0.2", 5)]);
    world.bundles.change(|stored| stored.is_docker = true);
    assert!(fetch(&world).error(404).await.contains("there is no bundle for this box"));
    assert_eq!(world.bundles.asked(), 0);
}

#[tokio::test]
async fn what_cannot_be_resolved_now_is_worth_another_try() {
    let world = World::new([started("127.0.0.2", 5)]);
    world.bundles.change(|stored| stored.missing = Some("the Secret could not be read".into()));
    assert_eq!(fetch(&world).error(503).await, "the Secret could not be read");
    world.bundles.change(|stored| stored.missing = None);
    is_given_out(fetch(&world)).await;
}

#[tokio::test]
async fn a_replica_that_does_not_lead_checks_the_address_and_asks_the_leader_the_rest() {
    let mut leader = World::new([started("127.0.0.2", 5)]);
    let follower = World::new([started("127.0.0.2", 5)]);
    follower.follow(Some(&leader.url));
    is_given_out(fetch(&follower)).await;
    assert_eq!((follower.bundles.asked(), leader.bundles.asked()), (1, 0), "secrets do not travel");
    fetch_from(&follower, "127.0.0.3").error(403).await;

    says(&follower, "bundle-fetched", true).expect(204).await;
    assert!(fetch(&follower).error(410).await.contains("was fetched"));
    assert_eq!((leader.told().await.len(), follower.told().await.len()), (1, 0), "one of them tells");

    // What the leader does not say is no yes.
    leader.apply(with(started("127.0.0.2", 5), &[("/status/launch/attempt", json!(2))]));
    fetch(&follower).error(503).await;
    follower.follow(None);
    fetch(&follower).error(503).await;
    follower.follow(Some(&follower.url));
    fetch(&follower).error(503).await;
    assert_eq!(follower.bundles.asked(), 1);
}
