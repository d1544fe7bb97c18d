//! Who may call what: tokens, attempts, ids, addresses, limits.

use super::*;

/// Every call of one's own, as the Workspace `w` would make it rightly.
fn calls() -> Vec<(Method, String, Value)> {
    let me = uid("w");
    let url = format!("http://{}:8000", crate::api::names::host(&me));
    vec![
        (Method::POST, paths::REGISTER.into(), json!({"id": me, "url": url})),
        (Method::POST, paths::HEARTBEAT.into(), json!({"workspace_id": me})),
        (Method::POST, paths::UPDATE_CARD.into(), json!({"workspace_id": me, "agent_card": {}})),
        (Method::POST, paths::BOOT.into(), json!({"stage": "started", "ok": true})),
        (Method::POST, paths::EXIT.into(), json!({"exit_code": 0})),
        (Method::POST, paths::CHECK_ACCESS.into(), json!({"caller_id": me, "target_id": me})),
        (Method::POST, paths::workspace_a2a(&me), json!({"method": "message/send"})),
        (Method::GET, paths::discover(&me), Value::Null),
        (Method::GET, paths::peers(&me), Value::Null),
        (Method::GET, paths::workspace(&me), Value::Null),
    ]
}

fn call(world: &World, (method, path, body): &(Method, String, Value)) -> Call {
    let call = world.call(method.clone(), path).body(body.to_string());
    // The header that discover needs.
    if path.contains("discover") { call.header(paths::WORKSPACE_ID_HEADER, &uid("w")) } else { call }
}

/// A Workspace whose agent answers everything with `{}`.
fn with_agent() -> Value {
    let agent = served(Router::new().fallback(|| async { axum::Json(json!({})) }));
    let address = agent.trim_start_matches("http://").to_owned();
    with(workspace("w"), &[("/status/instance/address", json!(address))])
}

#[tokio::test]
async fn every_call_works_with_a_token_of_either_key_and_with_none_or_a_wrong_one_not() {
    let world = World::new([with_agent()]);
    // Discover finds only who is connected.
    world.register("w").await;
    let other = Keyring::from_secret_data(&Keyring::generate()).unwrap();
    let foreign = other.token(other.current(), Purpose::Workspace, &uid("w"), 1).unwrap();
    let changed = world.token("w").replace(".1.", ".2.");
    for one in calls() {
        for key in ["a", "b"] {
            let answer = call(&world, &one).token(&world.token_of("w", key, 1)).send().await.unwrap();
            assert!(answer.status().is_success(), "{one:?}: {}", answer.status());
        }
        call(&world, &one).error(401).await;
        for wrong in [&foreign, &changed, "x", "v1.a.workspace"] {
            call(&world, &one).token(wrong).error(401).await;
        }
        call(&world, &one).header("Authorization", "Basic dzp3").error(401).await;
        call(&world, &one).token(&world.token("nobody")).error(401).await;
    }
    assert_eq!(world.api.asked(), 0);
}

#[tokio::test]
async fn a_superseded_agent_is_told_so_and_changes_nothing() {
    let mut world = World::new([with(with_agent(), &[("/status/launch/attempt", json!(3))])]);
    for one in calls() {
        let error = call(&world, &one).token(&world.token_of("w", "a", 2)).error(401).await;
        assert_eq!(error, "superseded by attempt 3", "{one:?}");
    }
    assert!(world.woken().is_empty());
    assert_eq!((world.liveness.connected(), world.api.asked()), (0, 0));
}

#[tokio::test]
async fn a_token_newer_than_the_cache_gets_a_live_look() {
    let beat = json!({"workspace_id": uid("w")});
    let second = with(workspace("w"), &[("/status/launch/attempt", json!(2))]);
    let launchless = with(workspace("w"), &[("/status", json!({}))]);
    let another = with(second.clone(), &[("/metadata/uid", json!("other"))]);
    for (cached, live, expected) in [
        (workspace("w"), Some(second.clone()), 200),
        (launchless, Some(second.clone()), 200),
        (workspace("w"), Some(workspace("w")), 401),
        (workspace("w"), Some(another), 401),
        (workspace("w"), None, 401),
        (workspace("w"), Some(Value::Null), 503),
    ] {
        let world = World::new([cached]);
        if let Some(live) = live {
            world.api.set("w", live);
        }
        let token = world.token_of("w", "a", 2);
        world.post(paths::HEARTBEAT, beat.clone()).token(&token).expect(expected).await;
        assert!(world.api.asked() >= 1);
        assert_eq!(world.liveness.connected(), usize::from(expected == 200));
    }
}

#[tokio::test]
async fn before_keys_and_cache_are_there_everybody_is_asked_to_wait() {
    let world = World::new([workspace("w")]);
    world.keys.set(None);
    for one in calls() {
        call(&world, &one).token("v1.a.workspace.x.1.y").error(503).await;
    }
    world.keys.set(Some(Keyring::from_secret_data(&secret()).unwrap()));
    world.get_as("w", &paths::peers(&uid("w"))).expect(200).await;

    // A cache that was never filled knows nobody and must not say so.
    let mut world = World::unfilled(fast(), None);
    for one in calls() {
        call(&world, &one).token(&world.token("w")).error(503).await;
    }
    world.fill();
    world.get_as("w", &paths::peers(&uid("w"))).error(401).await;
}

#[tokio::test]
async fn an_id_that_names_the_caller_must_be_the_token_s() {
    let mut world = World::new([with_agent(), workspace("x")]);
    let x = uid("x");
    let url = format!("http://{}:8000", crate::api::names::host(&x));
    for (method, path, body, field) in [
        (Method::POST, paths::REGISTER.into(), json!({"id": x, "url": url}), "`id`"),
        (Method::POST, paths::HEARTBEAT.into(), json!({"workspace_id": x}), "`workspace_id`"),
        (
            Method::POST,
            paths::UPDATE_CARD.into(),
            json!({"workspace_id": x, "agent_card": {}}),
            "`workspace_id`",
        ),
        (Method::POST, paths::CHECK_ACCESS.into(), json!({"caller_id": x, "target_id": x}), "`caller_id`"),
        (Method::POST, paths::workspace_a2a(&x), json!({}), "path"),
        (Method::GET, paths::peers(&x), Value::Null, "path"),
    ] {
        let error = call(&world, &(method, path, body)).token(&world.token("w")).error(403).await;
        assert!(error.contains(field), "{error}");
    }
    for one in calls().into_iter().filter(|(_, path, _)| !path.contains("discover")) {
        let call = call(&world, &one).header(paths::WORKSPACE_ID_HEADER, &x);
        let error = call.token(&world.token("w")).error(403).await;
        assert!(error.contains(paths::WORKSPACE_ID_HEADER), "{error}");
    }
    let discover = world.get_as("w", &paths::discover(&uid("w"))).header(paths::WORKSPACE_ID_HEADER, &x);
    discover.error(403).await;
    assert_eq!((world.liveness.connected(), world.view("x").first_call), (0, None));
    assert_eq!(world.woken(), [uid("w")], "its refused registration is worth a look");
}

#[tokio::test]
async fn a_box_may_ask_for_its_peers_without_a_token_from_its_recorded_address() {
    let world = World::new([at(&["box-w", "127.0.0.2"], with_agent()), at(&["127.0.0.3"], workspace("x"))]);
    world.register("w").await;
    world.register("x").await;
    for one in calls() {
        let may = one.0 == Method::GET;
        let status = if may { 200 } else { 401 };
        call(&world, &one).from("127.0.0.2").expect(status).await;
        // An agent without a token file sends an empty one.
        call(&world, &one).from("127.0.0.2").token("").expect(status).await;
        call(&world, &one).from("127.0.0.2").token("wrong").error(401).await;
        call(&world, &one).from("127.0.0.3").error(401).await;
        call(&world, &one).from("127.0.0.4").header("X-Forwarded-For", "127.0.0.2").error(401).await;
    }
    let of_x = |from: &str| {
        world.get(&paths::discover(&uid("x"))).from(from).header(paths::WORKSPACE_ID_HEADER, &uid("w"))
    };
    of_x("127.0.0.2").expect(200).await;
    of_x("127.0.0.3").error(401).await;
    // Of itself alone, and in nobody else's name.
    world.get(&paths::workspace(&uid("x"))).from("127.0.0.2").error(401).await;
    world.get(&paths::peers(&uid("x"))).from("127.0.0.2").error(401).await;
    assert!(world.get(&paths::peers(&uid("nobody"))).from("127.0.0.2").error(401).await.contains("token"));
}

#[tokio::test]
async fn a_question_without_a_token_is_no_authenticated_call() {
    let world = World::new([at(&["127.0.0.2"], workspace("w"))]);
    world.get(&paths::peers(&uid("w"))).from("127.0.0.2").expect(200).await;
    assert_eq!(world.view("w").first_call, None);
    world.get_as("w", &paths::peers(&uid("w"))).expect(200).await;
    assert!(world.view("w").first_call.is_some());
}

#[tokio::test]
async fn calls_are_counted_by_uid_and_refusals_by_source() {
    let never_again = |burst| Rate { burst, per_second: 0 };
    let settings = Settings { calls: never_again(5), refusals: never_again(3), ..fast() };
    let workspaces = [at(&["127.0.0.2"], workspace("w")), workspace("x")];
    let world = World::with(settings, None, workspaces);
    let ask = |name: &str| world.get_as(name, &paths::peers(&uid(name))).from("127.0.0.9");
    for _ in 0..4 {
        ask("w").expect(200).await;
    }
    world.get(&paths::peers(&uid("w"))).from("127.0.0.2").expect(200).await;
    ask("w").error(429).await;
    world.get(&paths::peers(&uid("w"))).from("127.0.0.2").error(429).await;
    // The same source, another uid: behind a NAT all agents are one source.
    ask("x").expect(200).await;

    let wrong = |source| world.get(&paths::peers(&uid("x"))).token("wrong").from(source);
    for _ in 0..3 {
        wrong("127.0.0.9").error(401).await;
    }
    wrong("127.0.0.9").error(429).await;
    wrong("127.0.0.8").error(401).await;
    ask("x").expect(200).await;
}
