//! Replicas that do not lead.

use super::*;

fn pair() -> (World, World) {
    let leader = World::new([workspace("w"), workspace("x")]);
    let follower = World::new([workspace("w"), workspace("x")]);
    follower.follow(Some(&format!("{}/", leader.url)));
    (leader, follower)
}

#[tokio::test]
async fn what_agents_say_reaches_the_leader() {
    let (leader, follower) = pair();
    follower.register("w").await;
    let me = uid("w");
    for (path, body, status) in [
        (paths::HEARTBEAT, json!({"workspace_id": me, "active_tasks": 3}), 200),
        (paths::UPDATE_CARD, json!({"workspace_id": me, "agent_card": {"name": "New"}}), 200),
        (paths::BOOT, json!({"stage": "started", "ok": true}), 204),
        (paths::EXIT, json!({"exit_code": 3}), 204),
    ] {
        follower.post_as("w", path, body).expect(status).await;
    }
    let voice = leader.liveness.voice(&me, 1).unwrap();
    assert_eq!((voice.active_tasks, voice.registration.unwrap().card.name.as_str()), (3, "New"));
    let view = leader.view("w");
    assert_eq!((view.stages.len(), view.exit.unwrap().exit_code), (1, 3));
    assert_eq!(follower.liveness.voice(&me, 1), None, "who does not lead hears nothing");
    assert_eq!(follower.view("w").first_call, None);
}

#[tokio::test]
async fn the_leader_s_refusals_come_back_and_our_own_do_not_travel() {
    let (mut leader, follower) = pair();
    let error =
        follower.post_as("w", paths::REGISTER, json!({"id": uid("w"), "url": "http://x"})).error(400).await;
    assert_eq!(leader.view("w").rejected, Some(error));
    // The leader knows a newer attempt than the follower's cache.
    leader.apply(with(workspace("w"), &[("/status/launch/attempt", json!(2))]));
    let beat = json!({"workspace_id": uid("w")});
    let error = follower.post_as("w", paths::HEARTBEAT, beat.clone()).error(401).await;
    assert_eq!(error, "superseded by attempt 2");
    leader.keys.set(None);
    follower.post_as("w", paths::HEARTBEAT, beat.clone()).error(503).await;
    follower.post(paths::HEARTBEAT, beat).token("wrong").error(401).await;
}

#[tokio::test]
async fn questions_are_answered_by_whoever_is_asked() {
    let (leader, follower) = pair();
    leader.shutdown.cancel();
    follower.get_as("w", &paths::peers(&uid("w"))).expect(200).await;
    follower.get_as("w", &paths::workspace(&uid("x"))).expect(200).await;
    let body = json!({"caller_id": uid("w"), "target_id": uid("x")});
    follower.post_as("w", paths::CHECK_ACCESS, body).expect(200).await;
}

#[tokio::test]
async fn without_a_leader_agents_are_asked_to_try_again() {
    let (leader, follower) = pair();
    let beat = || follower.post_as("w", paths::HEARTBEAT, json!({"workspace_id": uid("w")}));
    beat().expect(200).await;
    follower.follow(None);
    beat().error(503).await;
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    follower.follow(Some(&format!("http://{closed}")));
    beat().error(503).await;
    follower.lead();
    beat().expect(200).await;
    assert_eq!((leader.liveness.connected(), follower.liveness.connected()), (1, 1));
}

#[tokio::test]
async fn a_call_is_passed_on_once() {
    let (one, two) = pair();
    // Each takes the other for the leader.
    one.follow(Some(&two.url));
    two.follow(Some(&one.url));
    let beat = json!({"workspace_id": uid("w")});
    let error = one.post_as("w", paths::HEARTBEAT, beat).error(503).await;
    assert!(error.contains("no leader"), "{error}");
    // And one that takes itself for it.
    one.follow(Some(&one.url));
    one.post_as("w", paths::HEARTBEAT, json!({"workspace_id": uid("w")})).error(503).await;
}

#[tokio::test]
async fn a_leader_that_hangs_does_not_hang_the_agent() {
    let hanging = served(Router::new().fallback(|| async { std::future::pending::<()>().await }));
    let settings = Settings { forward_deadline: Duration::from_millis(200), ..fast() };
    let world = World::with(settings, None, [workspace("w")]);
    world.follow(Some(&hanging));
    world.post_as("w", paths::HEARTBEAT, json!({"workspace_id": uid("w")})).error(503).await;
}
