//! Who may call what.

use super::*;

/// Every call, as method, path and body.
fn calls() -> Vec<(Method, String, Option<Value>)> {
    let own = |path: &str| path.replace("ID", "i-1");
    let volume = json!({"cluster_id": "c1", "idempotency_key": "k", "zone": "a",
                        "volume": {"size_gib": 1, "volume_type": "gp3"}});
    let attach = json!({"cluster_id": "c1", "volume_id": "vol-1", "instance_id": "i-1"});
    vec![
        (Method::POST, "/cp/workspaces/provision".into(), Some(order("w"))),
        (Method::GET, "/cp/workspaces?cluster_id=c1".into(), None),
        (Method::GET, "/cp/resources?cluster_id=c1".into(), None),
        (Method::POST, "/cp/preflight".into(), Some(json!({"cluster_id": "c1", "launches": []}))),
        (Method::POST, "/cp/workspaces/w/volume".into(), Some(volume)),
        (Method::POST, "/cp/workspaces/w/volume/attach".into(), Some(attach)),
        (Method::DELETE, own("/cp/workspaces/w?instance_id=ID"), None),
        (Method::GET, own("/cp/workspaces/w/status?instance_id=ID"), None),
        (Method::POST, own("/cp/workspaces/w/stop?instance_id=ID"), None),
        (Method::POST, own("/cp/workspaces/w/start?instance_id=ID"), None),
        (Method::GET, own("/cp/admin/workspaces/w/console?instance_id=ID"), None),
        (Method::POST, "/cp/volumes/vol-1/retain".into(), None),
        (Method::DELETE, "/cp/volumes/vol-1".into(), None),
        (Method::DELETE, "/cp/network-interfaces/eni-1".into(), None),
    ]
}

fn fill(world: &World) {
    world.ec2.put_instance("i-1", "running", &owned("c1", "w"));
    world.ec2.put_volume("vol-1", "available", &owned("c1", "w"));
    world.ec2.put_interface("eni-1", &owned("c1", "w"));
}

#[tokio::test]
async fn without_a_good_secret_every_call_is_401_and_nothing_reaches_ec2() {
    let world = World::new().await;
    fill(&world);
    for (method, path, body) in calls() {
        for secret in ["", "wrong-secret-of-nobody"] {
            let (status, body) = world.send(secret, method.clone(), &path, body.as_ref()).await;
            assert_eq!(
                (status, &body["code"], &body["class"]),
                (401, &json!("Unauthenticated"), &json!("terminal"))
            );
        }
        let bare = world.client.request(method, format!("{}{path}", world.url));
        assert_eq!(answer(bare).await.0, 401, "{path}");
    }
    assert!(world.ec2.world().calls.is_empty());
}

#[tokio::test]
async fn with_another_clusters_secret_every_call_is_403_and_changes_nothing() {
    let world = World::new().await;
    fill(&world);
    for (method, path, body) in calls() {
        let (status, answer) = world.send(TWO, method, &path, body.as_ref()).await;
        assert_eq!((status, &answer["code"]), (403, &json!("Forbidden")), "{path}");
        assert!(!answer["error"].as_str().unwrap().contains("c1"), "it says no more: {answer}");
    }
    let ec2 = world.ec2.world();
    assert!(ec2.calls.iter().all(|(action, _)| action.starts_with("Describe")), "{:?}", ec2.calls);
    assert!(ec2.volumes.contains_key("vol-1") && ec2.interfaces.contains_key("eni-1"));
}

#[tokio::test]
async fn another_workspaces_instance_of_the_same_cluster_is_403() {
    let world = World::new().await;
    fill(&world);
    for path in ["/cp/workspaces/v/status?instance_id=i-1", "/cp/admin/workspaces/v/console?instance_id=i-1"]
    {
        assert_eq!(world.get(path).await.0, 403, "{path}");
    }
    assert_eq!(world.delete("/cp/workspaces/v?instance_id=i-1").await.0, 403);
    assert_eq!(world.ec2.state("i-1"), "running");
    let narrowed = "/cp/workspaces/w/status?instance_id=i-1&cluster_id=c2";
    assert_eq!(world.send(BOTH, Method::GET, narrowed, None).await.0, 403);
}

#[tokio::test]
async fn an_instance_without_our_tags_is_nobodys() {
    let world = World::new().await;
    world.ec2.put_instance("i-1", "running", &[("Name", "w")]);
    assert_eq!(world.get("/cp/workspaces/w/status?instance_id=i-1").await.0, 403);
    assert_eq!(world.delete("/cp/workspaces/w?instance_id=i-1").await.0, 403);
    assert_eq!(world.ec2.state("i-1"), "running");
}

#[tokio::test]
async fn whatever_ec2_lists_nobody_is_given_what_is_anothers() {
    let world = World::new().await;
    world.ec2.world().unfiltered = true;
    world.ec2.put_instance("i-1", "running", &owned("c2", "w"));
    world.ec2.put_instance("i-2", "running", &owned("c1", "v"));
    world.ec2.put_volume("vol-1", "available", &owned("c2", "w"));
    world.ec2.put_interface("eni-1", &owned("c2", "w"));
    let (_, list) = world.get("/cp/workspaces?cluster_id=c1").await;
    let ids: Vec<_> = list["instances"].as_array().unwrap().iter().map(|one| &one["instance_id"]).collect();
    assert_eq!(ids, ["i-2"]);
    let (_, resources) = world.get("/cp/resources?cluster_id=c1").await;
    assert_eq!((&resources["volumes"], &resources["network_interfaces"]), (&json!([]), &json!([])));
    for path in ["/cp/workspaces/w/status", "/cp/workspaces/w/status?instance_id=i-404"] {
        assert_eq!(world.get(path).await.1["observed"], false, "{path}");
    }
    for path in [
        "/cp/workspaces/w",
        "/cp/workspaces/w?idempotency_key=k",
        "/cp/volumes/vol-404",
        "/cp/network-interfaces/eni-404",
    ] {
        assert_eq!(world.delete(path).await.1["observed"], false, "{path}");
    }
    let old = json!({"workspace_id": "w"});
    assert_eq!(world.provision(&old).await.0, 201, "another's is not answered as its own");
    assert_eq!((world.ec2.state("i-1"), world.ec2.state("i-2")), ("running".into(), "running".into()));
}

#[tokio::test]
async fn a_console_secret_reads_consoles_and_does_nothing_else() {
    let world = World::new().await;
    fill(&world);
    for (method, path, body) in calls() {
        let expected = if path.contains("console") { 200 } else { 401 };
        assert_eq!(world.send(CONSOLE, method, &path, body.as_ref()).await.0, expected, "{path}");
    }
}

#[tokio::test]
async fn an_admin_token_is_needed_besides_the_secret_where_one_is_set() {
    let folder = Folder::new();
    let file = folder.write("admin", "the-admin-token-of-old");
    let world = World::with(|settings| settings.admin_token_file = Some(file.into())).await;
    let path = "/cp/workspaces?cluster_id=c1";
    assert_eq!(world.get(path).await.0, 401);
    let with = |token: &str| world.request(ONE, Method::GET, path).header("X-Molecule-Admin-Token", token);
    assert_eq!(answer(with("wrong")).await.0, 401);
    assert_eq!(answer(with("the-admin-token-of-old")).await.0, 200);
}

#[tokio::test]
async fn secrets_are_rotated_without_a_restart() {
    let world = World::new().await;
    let path = "/cp/workspaces?cluster_id=c1";
    let status = async |secret: &str| world.send(secret, Method::GET, path, None).await.0;
    world.folder.write("one", &format!("{ONE}\nsecret-that-comes-next\n"));
    eventually("the second value", async || status("secret-that-comes-next").await == 200).await;
    assert_eq!(status(ONE).await, 200, "both are valid");
    world.folder.write("one", "");
    for _ in 0..20 {
        assert_eq!(status(ONE).await, 200, "a file without a secret changes nothing");
    }
    world.folder.write("one", "secret-that-comes-next\n");
    eventually("the end of the first value", async || status(ONE).await == 401).await;
    assert_eq!(status("secret-that-comes-next").await, 200);
}

#[tokio::test]
async fn paths_methods_and_parameters_that_are_not_ours_are_errors_in_json() {
    let world = World::new().await;
    for (method, path, status) in [
        (Method::GET, "/", 404),
        (Method::GET, "/cp/nothing", 404),
        (Method::PUT, "/cp/workspaces/provision", 405),
        (Method::GET, "/cp/workspaces/w/status?instance_id=i-*", 400),
        (Method::GET, "/cp/workspaces/%FF/status", 400),
        (Method::GET, "/cp/workspaces/w*/status", 400),
        (Method::GET, "/cp/workspaces/w/status?idempotency_key=*", 400),
        (Method::DELETE, "/cp/volumes/i-1", 400),
        (Method::DELETE, "/cp/network-interfaces/vol-1", 400),
        (Method::POST, "/cp/preflight", 400),
        (Method::POST, "/cp/workspaces/w/volume", 400),
    ] {
        assert_eq!(world.send(ONE, method, path, None).await.0, status, "{path}");
    }
    assert_eq!(world.send(BOTH, Method::GET, "/cp/workspaces", None).await.0, 400, "which cluster?");
    assert!(world.ec2.world().calls.is_empty());
}

#[tokio::test]
async fn bodies_have_their_limits() {
    let world = World::new().await;
    let long = json!({"workspace_id": "w", "padding": "x".repeat(600 * 1024)});
    assert_eq!(world.provision(&long).await.0, 413);
    let longer_than_others = json!({"cluster_id": "c1", "launches": [], "padding": "x".repeat(70 * 1024)});
    assert_eq!(world.post("/cp/preflight", &longer_than_others).await.0, 413);
    let padded = with(order("w"), "/padding", json!("x".repeat(400 * 1024)));
    assert_eq!(world.provision(&padded).await.0, 201);
}
