//! Clients that know nothing of our extensions.

use super::*;

/// What such a client sends.
fn old(workspace: &str) -> Value {
    json!({"org_id": "o", "workspace_id": workspace, "runtime": "r", "tier": 0, "platform_url": "http://x", "env": null})
}

fn id(body: &Value) -> String {
    body["instance_id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_live_instance_is_answered_as_it_is_and_else_one_is_launched() {
    let world = World::new().await;
    let (status, first) = world.provision(&old("w")).await;
    assert_eq!((status, &first["state"], &first["private_ip"]), (201, &json!("pending"), &json!("10.0.0.1")));
    let tags = world.ec2.world().instances[&id(&first)].tags.clone();
    let has = |key: &str| tags.get(key).map(String::as_str);
    assert_eq!(has(names::CONTROLLER), Some("none"), "no collector touches it");
    assert_eq!((has(names::CLUSTER), has(names::UID)), (Some("c1"), Some("w")));
    for _ in 0..2 {
        assert_eq!(id(&world.provision(&old("w")).await.1), id(&first));
    }
    assert_eq!(world.ec2.count("RunInstances"), 1);
    assert_ne!(id(&world.provision(&old("v")).await.1), id(&first));
}

#[tokio::test]
async fn a_launch_that_ec2_does_not_show_yet_is_not_made_twice() {
    let world = World::new().await;
    world.ec2.world().lag = true;
    let (_, first) = world.provision(&old("w")).await;
    let (status, again) = world.provision(&old("w")).await;
    assert_eq!((status, id(&again)), (201, id(&first)));
    assert_eq!(world.ec2.world().instances.len(), 1);
}

#[tokio::test]
async fn what_has_ended_is_followed_by_another() {
    let world = World::new().await;
    let mut seen = vec![];
    for _ in 0..4 {
        let (status, body) = world.provision(&old("w")).await;
        assert_eq!(status, 201, "{body}");
        assert!(!seen.contains(&id(&body)));
        world.ec2.world().instances.get_mut(&id(&body)).unwrap().state = "terminated".into();
        seen.push(id(&body));
    }
    // Also where EC2 does not show what has ended.
    world.ec2.world().instances.values_mut().for_each(|instance| instance.hidden = true);
    assert_eq!(world.provision(&old("w")).await.0, 201);
}

#[tokio::test]
async fn a_secret_of_several_clusters_must_say_which() {
    let world = World::new().await;
    let (status, body) = world.send(BOTH, Method::POST, "/cp/workspaces/provision", Some(&old("w"))).await;
    assert_eq!(status, 400);
    assert!(body["error"].as_str().unwrap().starts_with("cluster_id"), "{body}");
}

#[tokio::test]
async fn env_is_refused_unless_the_settings_say_otherwise() {
    let body = with(old("w"), "/env", json!({"API_KEY": "sesame"}));
    let world = World::new().await;
    let (status, answer) = world.provision(&body).await;
    assert_eq!(status, 400);
    assert!(answer["error"].as_str().unwrap().starts_with("env"), "{answer}");
    assert!(!answer.to_string().contains("sesame"));
    let world = World::with(|settings| settings.legacy_env_in_user_data = true).await;
    assert_eq!(world.provision(&body).await.0, 201);
    let sent = world.ec2.last("RunInstances")["UserData"].clone();
    let script = String::from_utf8(data_encoding::BASE64.decode(sent.as_bytes()).unwrap()).unwrap();
    assert!(script.starts_with("#!/bin/sh\nexport API_KEY='sesame'\n"), "{script}");
}

#[tokio::test]
async fn state_end_and_console_need_no_instance_id_where_there_is_one() {
    let world = World::new().await;
    let (_, first) = world.provision(&old("w")).await;
    world.ec2.world().console = "booted\nMY_TOKEN=hush\n".into();
    let (status, body) = world.get("/cp/workspaces/w/status").await;
    assert_eq!((status, &body["instance_id"], &body["observed"]), (200, &first["instance_id"], &json!(true)));
    let (status, body) = world.send(CONSOLE, Method::GET, "/cp/admin/workspaces/w/console", None).await;
    assert_eq!((status, body["output"].as_str().unwrap()), (200, "booted\nMY_TOKEN=[redacted]\n"));
    let (status, body) = world.delete("/cp/workspaces/w").await;
    assert_eq!((status, &body["observed"], &body["state"]), (200, &json!(true), &json!("shutting-down")));
    let (status, body) = world.get("/cp/workspaces/w/status").await;
    assert_eq!((status, &body["state"], &body["observed"]), (200, &json!("shutting-down"), &json!(true)));
}

#[tokio::test]
async fn where_two_live_neither_is_ended() {
    let world = World::new().await;
    for id in ["i-1", "i-2"] {
        world.ec2.put_instance(id, "running", &owned("c1", "w"));
    }
    for (status, body) in [
        world.delete("/cp/workspaces/w").await,
        world.get("/cp/workspaces/w/status").await,
        world.provision(&old("w")).await,
    ] {
        assert_eq!((status, &body["code"]), (409, &json!("Ambiguous")));
    }
    assert_eq!(world.ec2.count("TerminateInstances"), 0);
    assert_eq!(world.delete("/cp/workspaces/w?instance_id=i-2").await.0, 200);
    assert_eq!((world.ec2.state("i-1"), world.ec2.state("i-2")), ("running".into(), "shutting-down".into()));
}

#[tokio::test]
async fn an_instance_that_ec2_does_not_know_is_terminated_and_not_observed() {
    let world = World::new().await;
    for path in ["/cp/workspaces/w/status", "/cp/workspaces/w/status?instance_id=i-404"] {
        let (status, body) = world.get(path).await;
        assert_eq!(
            (status, &body["state"], &body["observed"]),
            (200, &json!("terminated"), &json!(false)),
            "{path}"
        );
    }
    for path in
        ["/cp/workspaces/w", "/cp/workspaces/w?instance_id=i-404", "/cp/workspaces/w?idempotency_key=k"]
    {
        let (status, body) = world.delete(path).await;
        assert_eq!((status, &body["observed"]), (200, &json!(false)), "{path}");
    }
    assert_eq!(world.get("/cp/admin/workspaces/w/console").await.0, 404);
    assert_eq!(world.ec2.count("TerminateInstances"), 0);
}

#[tokio::test]
async fn an_instance_of_another_cluster_with_the_same_workspace_id_is_not_meant() {
    let world = World::new().await;
    world.ec2.put_instance("i-1", "running", &owned("c2", "w"));
    assert_eq!(world.get("/cp/workspaces/w/status").await.1["observed"], false);
    assert_eq!(world.delete("/cp/workspaces/w").await.1["observed"], false);
    let (status, body) = world.provision(&old("w")).await;
    assert_eq!(status, 201);
    assert_ne!(id(&body), "i-1");
    assert_eq!(world.ec2.state("i-1"), "running");
}
