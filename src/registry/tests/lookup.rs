//! What agents ask about others: who is in reach, who is a peer, and how they stand.

use super::*;

/// A Team of a director with two leads, who have two and one below them, a second root, and strangers.
fn team() -> Vec<Value> {
    vec![
        workspace("director"),
        workspace("second-root"),
        below("director", "lead-1"),
        below("director", "lead-2"),
        below("lead-1", "a"),
        below("lead-1", "b"),
        below("lead-2", "c"),
        with(below("director", "other-team"), &[("/metadata/ownerReferences/0/uid", json!("u"))]),
        with(below("director", "alone"), &[("/metadata/ownerReferences", json!([]))]),
        with(below("director", "other-namespace"), &[("/metadata/namespace", json!("m"))]),
        with(
            below("director", "label-only"),
            &[
                ("/metadata/ownerReferences/0/controller", json!(false)),
                ("/metadata/labels", json!({"atelier.dev/team": "t"})),
            ],
        ),
    ]
}

const ALL: [&str; 11] = [
    "director",
    "second-root",
    "lead-1",
    "lead-2",
    "a",
    "b",
    "c",
    "other-team",
    "alone",
    "other-namespace",
    "label-only",
];

#[tokio::test]
async fn reach_is_oneself_siblings_ancestors_and_descendants_within_one_team() {
    let world = World::new(team());
    for (caller, reached) in [
        ("director", &["director", "second-root", "lead-1", "lead-2", "a", "b", "c"][..]),
        ("second-root", &["second-root", "director"]),
        ("lead-1", &["lead-1", "lead-2", "director", "a", "b"]),
        ("lead-2", &["lead-2", "lead-1", "director", "c"]),
        ("a", &["a", "b", "lead-1", "director"]),
        ("c", &["c", "lead-2", "director"]),
        ("other-team", &["other-team"]),
        ("alone", &["alone"]),
        ("other-namespace", &["other-namespace"]),
        ("label-only", &["label-only"]),
    ] {
        for target in ALL {
            let is_reached = reached.contains(&target);
            let body = json!({"caller_id": uid(caller), "target_id": uid(target)});
            let answer = world.post_as(caller, paths::CHECK_ACCESS, body).expect(200).await;
            assert_eq!(answer, json!({"allowed": is_reached}), "{caller} -> {target}");
            let status = if is_reached { 200 } else { 403 };
            let seen = world.get_as(caller, &paths::workspace(&uid(target))).expect(status).await;
            assert_eq!(seen["name"] == json!(target), is_reached);
            let discover = world.get_as(caller, &paths::discover(&uid(target)));
            let status = if is_reached { 503 } else { 403 };
            discover.header(paths::WORKSPACE_ID_HEADER, &uid(caller)).error(status).await;
        }
        let body = json!({"caller_id": uid(caller), "target_id": "nobody"});
        assert_eq!(
            world.post_as(caller, paths::CHECK_ACCESS, body).expect(200).await["allowed"],
            json!(false)
        );
        world.get_as(caller, &paths::workspace("nobody")).error(404).await;
    }
}

#[tokio::test]
async fn peers_are_parent_direct_siblings_and_children() {
    let world = World::new(team());
    for (caller, expected) in [
        ("director", &["lead-1", "lead-2", "second-root"][..]),
        ("second-root", &["director"]),
        ("lead-1", &["a", "b", "director", "lead-2"]),
        ("a", &["b", "lead-1"]),
        ("c", &["lead-2"]),
        ("other-team", &[]),
        ("alone", &[]),
        ("label-only", &[]),
    ] {
        let peers = world.get_as(caller, &paths::peers(&uid(caller))).expect(200).await;
        let names: Vec<_> = peers.as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
        assert_eq!(names, expected, "{caller}");
    }
}

#[tokio::test]
async fn a_reporting_cycle_and_a_missing_parent_hang_nobody() {
    let world = World::new([below("y", "x"), below("x", "y"), below("z", "z"), below("gone", "lost")]);
    for name in ["x", "y", "z", "lost"] {
        world.get_as(name, &paths::peers(&uid(name))).expect(200).await;
        let body = json!({"caller_id": uid(name), "target_id": uid("x")});
        world.post_as(name, paths::CHECK_ACCESS, body).expect(200).await;
    }
}

#[tokio::test]
async fn a_peer_has_all_that_a_director_reads() {
    let fields = [
        ("/spec/displayName", json!("Researcher")),
        ("/spec/tier", json!("T3")),
        ("/spec/parentRef", json!({"name": "director"})),
    ];
    let world = World::new([workspace("director"), with(workspace("w"), &fields)]);
    let peers = || world.get_as("director", &paths::peers(&uid("director"))).expect(200);
    let before = json!([{
        "id": uid("w"), "name": "Researcher", "role": "The w.", "tier": 3, "status": "provisioning", "url": "",
        "parent_id": uid("director"), "active_tasks": 0, "agent_card": null,
    }]);
    assert_eq!(peers().await, before);

    let beat = json!({"workspace_id": uid("w"), "active_tasks": 2});
    world.post_as("w", paths::HEARTBEAT, beat).expect(200).await;
    let url = format!("http://{}:8000", crate::api::names::host(&uid("w")));
    let made = peers().await[0].clone();
    assert_eq!(
        (&made["status"], &made["url"], &made["active_tasks"]),
        (&json!("online"), &json!(url), &json!(2))
    );
    assert_eq!(made["agent_card"]["name"], json!("Researcher"), "made from its name and role");
    assert_eq!(made["agent_card"]["description"], json!("The w."));
    assert_eq!(made["agent_card"]["url"], json!(url));

    let skills = json!([{"id": "s", "name": "Survey", "tags": ["papers"]}]);
    let body = json!({"id": uid("w"), "url": url, "agent_card": {"name": "Own", "skills": skills}});
    world.post_as("w", paths::REGISTER, body).expect(200).await;
    assert_eq!(peers().await[0]["agent_card"]["name"], json!("Own"));

    for (q, found) in [("", 1), ("RESEARCH", 1), ("the%20w", 1), ("survey", 1), ("paper", 1), ("nothing", 0)]
    {
        let path = format!("{}?q={q}", paths::peers(&uid("director")));
        let answer = world.get_as("director", &path).expect(200).await;
        assert_eq!(answer.as_array().unwrap().len(), found, "{q}");
    }
    let view = world.get_as("w", &paths::workspace(&uid("w"))).expect(200).await;
    let expected = json!({"id": uid("w"), "name": "Researcher", "role": "The w.", "tier": 3, "status": "online",
                          "parent_id": uid("director")});
    assert_eq!(view, expected);
}

#[tokio::test]
async fn discover_gives_the_url_of_who_is_connected() {
    let mut world = World::new([workspace("w"), workspace("x")]);
    let discover = |world: &World| {
        let call = world.get_as("w", &paths::discover(&uid("x")));
        call.header(paths::WORKSPACE_ID_HEADER, &uid("w"))
    };
    let answer = discover(&world).expect(503).await;
    assert_eq!(answer["status"], json!("provisioning"));
    world.register("x").await;
    let url = format!("http://{}:8000", crate::api::names::host(&uid("x")));
    let expected = json!({"id": uid("x"), "url": url, "name": "x"});
    assert_eq!(discover(&world).expect(200).await, expected);
    let ill = json!({"workspace_id": uid("x"), "uptime_seconds": 5, "error_rate": 0.9});
    world.post_as("x", paths::HEARTBEAT, ill).expect(200).await;
    discover(&world).expect(200).await;

    let error = world.get_as("w", &paths::discover(&uid("x"))).error(400).await;
    assert!(error.contains(paths::WORKSPACE_ID_HEADER), "{error}");
    let nobody = world.get_as("w", &paths::discover("nobody")).header(paths::WORKSPACE_ID_HEADER, &uid("w"));
    nobody.error(404).await;

    world.apply(with(workspace("x"), &[("/spec/suspend", json!(true))]));
    assert_eq!(discover(&world).expect(503).await["status"], json!("paused"));
}

#[tokio::test]
async fn a_standing_comes_from_what_was_heard_and_else_from_what_is_recorded() {
    let deleted = json!("2026-01-01T00:00:00Z");
    let agent = json!({"url": "http://recorded:8000", "version": "2", "attempt": 1, "connectedAt": deleted});
    let former = with(agent.clone(), &[("/attempt", json!(7))]);
    let connected = |agent: &Value| {
        with(said("AgentConnected", "True", "Connected", workspace("x")), &[("/status/agent", agent.clone())])
    };
    let planned = format!("http://{}:8000", crate::api::names::host(&uid("x")));
    for (x, expected, url) in [
        (workspace("x"), "provisioning", ""),
        (with(workspace("x"), &[("/status", Value::Null)]), "provisioning", ""),
        (connected(&agent), "online", "http://recorded:8000"),
        (connected(&former), "online", planned.as_str()),
        (said("AgentConnected", "False", "AgentWedged", workspace("x")), "degraded", planned.as_str()),
        (said("AgentConnected", "False", "HeartbeatLost", workspace("x")), "offline", ""),
        (said("AgentConnected", "Unknown", "Booting", workspace("x")), "provisioning", ""),
        (said("Stalled", "True", "ImageNotFound", workspace("x")), "failed", ""),
        (said("Suspended", "True", "Suspended", workspace("x")), "paused", ""),
        (with(workspace("x"), &[("/metadata/deletionTimestamp", deleted.clone())]), "offline", ""),
    ] {
        let world = World::new([workspace("w"), x.clone()]);
        let peer = |world: &World| world.get_as("w", &paths::peers(&uid("w"))).expect(200);
        for follows in [false, true] {
            if follows {
                world.follow(None);
            }
            let peer = peer(&world).await[0].clone();
            assert_eq!((&peer["status"], &peer["url"]), (&json!(expected), &json!(url)), "{x}");
            assert_eq!(peer["agent_card"].is_object(), !url.is_empty(), "{x}");
        }
    }
    // Where agents are heard, the newest word counts; elsewhere, the record.
    let world = World::new([workspace("w"), said("AgentConnected", "True", "Connected", workspace("x"))]);
    let ill = json!({"workspace_id": uid("x"), "uptime_seconds": 5, "error_rate": 0.9});
    world.post_as("x", paths::HEARTBEAT, ill).expect(200).await;
    let status =
        || async { world.get_as("w", &paths::peers(&uid("w"))).expect(200).await[0]["status"].clone() };
    assert_eq!(status().await, json!("degraded"));
    let later = Timestamp::now() + Duration::from_secs(200);
    world.liveness.tick(later);
    assert_eq!(status().await, json!("offline"));
    world.follow(None);
    assert_eq!(status().await, json!("online"));
}

#[tokio::test]
async fn a_uid_is_found_under_its_new_name_after_its_object_was_made_again() {
    let mut world = World::new([workspace("w")]);
    world.get_as("w", &paths::workspace(&uid("w"))).expect(200).await;
    let gone = serde_json::from_value(workspace("w")).unwrap();
    world.cache.apply_watcher_event(&Event::Delete(gone));
    // Another object takes the name: the token of the former one is nobody's.
    world.apply(with(workspace("w"), &[("/metadata/uid", json!("another"))]));
    world.get_as("w", &paths::workspace(&uid("w"))).error(401).await;
}
