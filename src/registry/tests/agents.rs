//! What agents say of themselves, rightly and wrongly.

use super::*;
use crate::liveness::CardSeen;
use atelier_wire::BootStage;

fn url(name: &str) -> String {
    format!("http://{}:8000", crate::api::names::host(&uid(name)))
}

#[tokio::test]
async fn a_registration_connects_and_wakes_the_reconcile() {
    let mut world = World::new([workspace("w")]);
    let body = json!({
        "id": uid("w"), "url": url("w") + "/", "more": 1,
        "agent_card": {"name": "R\u{1b}", "version": "1.0", "url": "http://0.0.0.0:8000", "description": "d",
                       "skills": [{"id": "s", "name": "S"}], "capabilities": {"streaming": true}},
    });
    assert_eq!(world.post_as("w", paths::REGISTER, body).expect(200).await, json!({"status": "registered"}));
    assert_eq!(world.woken(), [uid("w")]);
    let seen = CardSeen { url: url("w"), name: "R".into(), version: Some("1.0".into()) };
    let Link::Connected { card, .. } = world.view("w").link else { panic!("{:?}", world.view("w")) };
    assert_eq!(card, Some(seen));
    let card = world.liveness.voice(&uid("w"), 1).unwrap().registration.unwrap().card;
    assert_eq!((card.url, card.skills.len(), card.capabilities.streaming), (url("w"), 1, true));
}

#[tokio::test]
async fn a_heartbeat_of_an_agent_that_never_registered_connects_it_too() {
    let mut world = World::new([workspace("w")]);
    let body = json!({"workspace_id": uid("w"), "error_rate": 0, "uptime_seconds": 3.7, "active_tasks": 2,
                      "current_task": null, "delegations": []});
    assert_eq!(world.post_as("w", paths::HEARTBEAT, body.clone()).expect(200).await, json!({"status": "ok"}));
    assert_eq!(world.woken(), [uid("w")]);
    assert!(matches!(world.view("w").link, Link::Connected { card: None, .. }));
    world.post_as("w", paths::HEARTBEAT, body).expect(200).await;
    assert!(world.woken().is_empty(), "the second changes nothing");
    assert_eq!(world.liveness.voice(&uid("w"), 1).unwrap().active_tasks, 2);
}

#[tokio::test]
async fn a_new_card_replaces_the_old_one_and_cannot_move_the_agent() {
    let world = World::new([at(&["10.201.0.9"], workspace("w"))]);
    let update = |card: Value| {
        world.post_as("w", paths::UPDATE_CARD, json!({"workspace_id": uid("w"), "agent_card": card}))
    };
    let known = || world.liveness.voice(&uid("w"), 1).unwrap().registration.unwrap();
    world.register("w").await;
    for (said, kept) in [
        ("http://evil.example:8000", url("w")),
        ("", url("w")),
        ("http://10.201.0.9:8000", "http://10.201.0.9:8000".to_owned()),
        ("http://10.201.0.8:8000", "http://10.201.0.9:8000".to_owned()),
    ] {
        let answer = update(json!({"name": "New", "url": said})).expect(200).await;
        assert_eq!(answer, json!({"status": "updated"}));
        assert_eq!((known().url, known().card.url, known().card.name), (kept.clone(), kept, "New".into()));
    }
}

#[tokio::test]
async fn boot_and_exit_are_evidence_for_whoever_looks() {
    let world = World::new([workspace("w")]);
    world.post_as("w", paths::BOOT, json!({"stage": "started", "ok": true})).expect(204).await;
    let failed = json!({"stage": "agent-started", "ok": false, "detail": "no\u{0} file", "boot_id": "b"});
    world.post_as("w", paths::BOOT, failed).expect(204).await;
    let exit = json!({"exit_code": 137, "signal": 9, "log_tail": format!("{}end\n", "x".repeat(3_000))});
    world.post_as("w", paths::EXIT, exit).expect(204).await;
    let view = world.view("w");
    let stages: Vec<_> = view.stages.iter().map(|s| (s.stage, s.ok, s.detail.as_deref())).collect();
    let expected = [(BootStage::Started, true, None), (BootStage::AgentStarted, false, Some("no file"))];
    assert_eq!(stages, expected);
    let exit = view.exit.unwrap();
    assert_eq!((exit.exit_code, exit.signal), (137, Some(9)));
    assert!(exit.log_tail.ends_with("xend") && exit.log_tail.len() <= 2_048);
    assert!(view.first_call.is_some());
    assert!(matches!(view.link, Link::TooEarly | Link::Silent), "a stage is no registration");
}

#[tokio::test]
async fn a_bad_body_is_refused_by_the_name_of_its_field() {
    let world = World::new([workspace("w")]);
    let me = uid("w");
    for (path, body, named) in [
        (paths::REGISTER, json!({"url": url("w")}), "`id`"),
        (paths::REGISTER, json!({"id": me}), "`url`"),
        (paths::REGISTER, json!({"id": me, "url": 7}), "url"),
        (paths::REGISTER, json!({"id": me, "url": "http://elsewhere:8000"}), "`url`"),
        (
            paths::REGISTER,
            json!({"id": me, "url": url("w"), "agent_card": {"skills": [{"id": 1}]}}),
            "agent_card.skills[0].id",
        ),
        (paths::HEARTBEAT, json!({}), "`workspace_id`"),
        (paths::HEARTBEAT, json!({"workspace_id": me, "active_tasks": "two"}), "active_tasks"),
        (paths::HEARTBEAT, json!({"workspace_id": me, "error_rate": "high"}), "error_rate"),
        (paths::UPDATE_CARD, json!({"workspace_id": me}), "`agent_card`"),
        (paths::UPDATE_CARD, json!({"agent_card": {}}), "`workspace_id`"),
        (paths::BOOT, json!({"ok": true}), "`stage`"),
        (paths::BOOT, json!({"stage": "elsewhere", "ok": true}), "stage"),
        (paths::BOOT, json!({"stage": "started"}), "`ok`"),
        (paths::EXIT, json!({"log_tail": ""}), "`exit_code`"),
        (paths::CHECK_ACCESS, json!({"caller_id": me}), "`target_id`"),
        (paths::CHECK_ACCESS, json!({"target_id": me}), "`caller_id`"),
    ] {
        let error = world.post_as("w", path, body.clone()).error(400).await;
        assert!(error.contains(named), "{path} {body}: {error}");
    }
    for path in [paths::REGISTER, paths::HEARTBEAT, paths::BOOT, paths::EXIT, &paths::workspace_a2a(&me)] {
        for body in ["", "{", "\u{0}", "null", "{\"id\":\"\\ud800\"}"] {
            world.call(Method::POST, path).body(body).token(&world.token("w")).error(400).await;
        }
    }
    assert_eq!(world.liveness.connected(), 0);
}

#[tokio::test]
async fn a_refused_registration_is_seen_until_one_is_accepted() {
    let mut world = World::new([at(&["10.201.0.2"], workspace("w"))]);
    let wrong = json!({"id": uid("w"), "url": "http://10.201.0.7:8000"});
    let error = world.post_as("w", paths::REGISTER, wrong).error(400).await;
    assert!(error.contains(&url("w")) && error.contains("http://10.201.0.2:8000"), "{error}");
    assert_eq!(world.woken(), [uid("w")]);
    let view = world.view("w");
    assert_eq!(view.rejected.as_deref(), Some(error.as_str()));
    assert!(!matches!(view.link, Link::Connected { .. }));
    world.register("w").await;
    assert_eq!(world.view("w").rejected, None);
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused_before_it_is_read() {
    let world = World::new([workspace("w")]);
    let calls = [
        paths::REGISTER,
        paths::HEARTBEAT,
        paths::UPDATE_CARD,
        paths::BOOT,
        paths::EXIT,
        paths::CHECK_ACCESS,
    ];
    let a2a = paths::workspace_a2a(&uid("w"));
    for path in calls.into_iter().chain([a2a.as_str()]) {
        let error = world.post_as("w", path, json!({"x": "y".repeat(65_536)})).error(413).await;
        assert!(error.contains("65536"), "{error}");
    }
    let padded = json!({"workspace_id": uid("w"), "x": "y".repeat(65_000)});
    world.post_as("w", paths::HEARTBEAT, padded).expect(200).await;
}

#[tokio::test]
async fn what_we_do_not_have_is_a_quiet_404() {
    let world = World::new([workspace("w")]);
    for path in ["/", "/registry", "/instructions/resolve", "/shared-context", "/a/../../etc"] {
        world.get(path).error(404).await;
        world.post(path, json!({})).error(404).await;
    }
    world.post(&format!("/workspaces/{}/delegations", uid("w")), json!({})).error(404).await;
    world.get(paths::REGISTER).error(405).await;
    world.post(&paths::peers("x"), json!({})).error(405).await;
    world.get("/registry/%ff/peers").error(400).await;
}
