//! Data volumes, network interfaces, preflight, readiness.

use super::*;

fn volume(workspace: &str) -> Value {
    json!({"cluster_id": "c1", "idempotency_key": format!("volume-{workspace}"), "zone": "us-east-1a",
           "volume": {"size_gib": 10, "volume_type": "gp3"}, "tags": {(names::CONTROLLER): "atelier"}})
}

#[tokio::test]
async fn a_data_volume_is_made_once_and_found_again() {
    let world = World::new().await;
    let (status, made) = world.post("/cp/workspaces/w/volume", &volume("w")).await;
    assert_eq!((status, &made["zone"], &made["state"]), (200, &json!("us-east-1a"), &json!("available")));
    assert_eq!(made["tags"][names::UID], "w");
    let (_, again) = world.post("/cp/workspaces/w/volume", &volume("w")).await;
    let bigger = with(volume("w"), "/volume/size_gib", json!(11));
    let (_, found) = world.post("/cp/workspaces/w/volume", &bigger).await;
    assert_eq!((&again["volume_id"], &found["volume_id"]), (&made["volume_id"], &made["volume_id"]));
    assert_eq!(world.ec2.world().volumes.len(), 1);
    let elsewhere = with(volume("w"), "/zone", json!("us-east-1b"));
    let (status, body) = world.post("/cp/workspaces/w/volume", &elsewhere).await;
    assert_eq!(
        (status, &body["code"]),
        (409, &json!("IdempotentParameterMismatch")),
        "it is in another zone"
    );
}

#[tokio::test]
async fn a_wrong_volume_order_names_the_field() {
    let world = World::new().await;
    for (pointer, value, field) in [
        ("/zone", json!(""), "zone"),
        ("/zone", json!("a*"), "zone"),
        ("/idempotency_key", json!("*"), "idempotency_key"),
        ("/volume/size_gib", json!(0), "volume.size_gib"),
        ("/volume/volume_type", json!("x"), "volume.volume_type"),
        ("/volume/kms_key_id", json!("x"), "volume.kms_key_id"),
        ("/tags", json!({(names::CLUSTER): "c2"}), "tags"),
        ("/tags", json!({(names::UID): "v"}), "tags"),
    ] {
        let (status, body) = world.post("/cp/workspaces/w/volume", &with(volume("w"), pointer, value)).await;
        assert!(matches!(status, 400 | 403), "{pointer}: {body}");
        assert!(body["error"].as_str().unwrap().starts_with(field), "{pointer}: {body}");
    }
    assert_eq!(world.ec2.count("CreateVolume"), 0);
}

#[tokio::test]
async fn a_volume_is_attached_once_and_to_one() {
    let world = World::new().await;
    world.ec2.put_instance("i-1", "running", &owned("c1", "w"));
    world.ec2.put_instance("i-2", "running", &owned("c1", "w"));
    world.ec2.put_volume("vol-1", "available", &owned("c1", "w"));
    let attach = async |instance: &str, workspace: &str| {
        let order = json!({"cluster_id": "c1", "volume_id": "vol-1", "instance_id": instance});
        world.post(&format!("/cp/workspaces/{workspace}/volume/attach"), &order).await
    };
    for _ in 0..2 {
        let (status, body) = attach("i-1", "w").await;
        assert_eq!((status, &body["instance_id"], &body["state"]), (200, &json!("i-1"), &json!("in-use")));
    }
    assert_eq!(world.ec2.count("AttachVolume"), 1);
    let (status, body) = attach("i-2", "w").await;
    assert_eq!((status, &body["code"], &body["class"]), (409, &json!("VolumeInUse"), &json!("waiting")));
    assert_eq!(attach("i-404", "w").await.0, 404);
    world.ec2.put_instance("i-3", "running", &owned("c1", "v"));
    assert_eq!(attach("i-3", "v").await.0, 403, "the volume is another workspace's");
}

#[tokio::test]
async fn a_kept_volume_is_brought_back_to_a_new_workspace_and_deleted_by_nobody() {
    let world = World::new().await;
    world.ec2.put_volume("vol-1", "available", &owned("c1", "old"));
    let (status, body) = world.send(ONE, Method::POST, "/cp/volumes/vol-1/retain", None).await;
    assert_eq!((status, &body["tags"][names::RETAIN]), (200, &json!("true")));
    world.send(ONE, Method::POST, "/cp/volumes/vol-1/retain", None).await;
    assert_eq!(world.ec2.count("CreateTags"), 1);
    let (status, body) = world.delete("/cp/volumes/vol-1").await;
    assert_eq!((status, &body["code"]), (403, &json!("Forbidden")));
    world.ec2.put_instance("i-1", "running", &owned("c1", "new"));
    let order = json!({"cluster_id": "c1", "volume_id": "vol-1", "instance_id": "i-1"});
    assert_eq!(world.post("/cp/workspaces/new/volume/attach", &order).await.0, 200);
    assert!(world.ec2.world().volumes.contains_key("vol-1"));
    assert_eq!(world.send(ONE, Method::POST, "/cp/volumes/vol-404/retain", None).await.0, 404);
}

#[tokio::test]
async fn volumes_and_interfaces_are_deleted_and_what_is_gone_is_not_observed() {
    let world = World::new().await;
    world.ec2.put_volume("vol-1", "available", &owned("c1", "w"));
    world.ec2.put_volume("vol-2", "in-use", &owned("c1", "w"));
    world.ec2.world().volumes.get_mut("vol-2").unwrap().attached_to = "i-1".into();
    world.ec2.put_interface("eni-1", &owned("c1", "w"));
    for path in ["/cp/volumes/vol-1", "/cp/network-interfaces/eni-1"] {
        assert_eq!(world.delete(path).await, (200, json!({"observed": true, "state": "deleting"})), "{path}");
        assert_eq!(world.delete(path).await, (200, json!({"observed": false, "state": "deleted"})), "{path}");
    }
    let (status, body) = world.delete("/cp/volumes/vol-2").await;
    assert_eq!((status, &body["code"], &body["class"]), (409, &json!("VolumeInUse"), &json!("waiting")));
}

#[tokio::test]
async fn resources_are_the_clusters_own() {
    let world = World::new().await;
    for (cluster, n) in [("c1", 1), ("c2", 2)] {
        world.ec2.put_volume(&format!("vol-{n}"), "available", &owned(cluster, "w"));
        world.ec2.put_interface(&format!("eni-{n}"), &owned(cluster, "w"));
    }
    let (status, body) = world.get("/cp/resources?cluster_id=c1").await;
    let ids = |list: &str, id: &str| {
        body[list]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one[id].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(status, 200);
    assert_eq!(ids("volumes", "volume_id"), ["vol-1"]);
    assert_eq!(ids("network_interfaces", "network_interface_id"), ["eni-1"]);
    assert_eq!(body["account_id"], ec2::ACCOUNT);
}

fn launches(subnets: &[&str]) -> Value {
    let launch = |subnet: &&str| with(order("w"), "/launch/subnet_id", json!(subnet))["launch"].clone();
    json!({"cluster_id": "c1", "launches": subnets.iter().map(launch).collect::<Vec<_>>()})
}

#[tokio::test]
async fn a_preflight_says_where_launches_go_and_launches_nothing() {
    let world = World::new().await;
    let (status, body) = world.post("/cp/preflight", &launches(&["subnet-1"])).await;
    assert_eq!((status, &body["problems"]), (200, &json!([])));
    assert_eq!(
        (&body["account_id"], &body["zones"]["subnet-1"]),
        (&json!(ec2::ACCOUNT), &json!("us-east-1a"))
    );
    assert_eq!(body["version"], env!("CARGO_PKG_VERSION"));
    assert!(body["now"].as_str().unwrap().parse::<k8s_openapi::jiff::Timestamp>().is_ok());
    let sent = world.ec2.last("RunInstances");
    assert_eq!((&*sent["DryRun"], &*ec2::tags(&sent, "instance")[names::CLUSTER]), ("true", "c1"));
    world.post("/cp/preflight", &launches(&["subnet-1"])).await;
    assert_eq!(world.ec2.count("RunInstances"), 1, "an answer is good for a while");
    assert!(world.ec2.world().instances.is_empty());
}

#[tokio::test]
async fn a_preflight_says_everything_that_is_wrong() {
    let world = World::new().await;
    let mut order = launches(&["subnet-1", "subnet-2", "subnet-missing", "subnet-1"]);
    order["launches"][3]["ami_id"] = json!("ami-missing");
    world.ec2.fail("RunInstances", Fault::Code("UnauthorizedOperation"));
    let (status, body) = world.post("/cp/preflight", &order).await;
    assert_eq!(status, 200);
    let mut codes: Vec<_> =
        body["problems"].as_array().unwrap().iter().map(|p| p["code"].as_str().unwrap()).collect();
    codes.sort_unstable();
    assert_eq!(
        codes,
        ["InvalidAMIID.NotFound", "InvalidSubnetID.NotFound", "NotAllowed", "UnauthorizedOperation"]
    );
}

#[tokio::test]
async fn launches_that_crowd_out_a_preflight_are_no_problem_of_it() {
    let world = World::new().await;
    world.ec2.fail("RunInstances", Fault::Code("RequestLimitExceeded"));
    let (_, body) = world.post("/cp/preflight", &launches(&["subnet-1"])).await;
    assert_eq!(body["problems"], json!([]));
    let many = launches(&vec!["subnet-1"; 41]);
    assert_eq!(world.post("/cp/preflight", &many).await.0, 400);
}

#[tokio::test]
async fn it_is_ready_while_credentials_and_region_work() {
    let world = World::new().await;
    let get = async |path: &str| {
        let response = world.client.get(format!("{}{path}", world.url)).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    assert_eq!(get("/healthz").await, (200, "ok\n".into()));
    assert_eq!(get("/readyz").await, (200, "ok\n".into()));
    eventually("a new answer", async || {
        world.ec2.fail("DescribeSubnets", Fault::Code("AuthFailure"));
        get("/readyz").await.0 == 503
    })
    .await;
    let (status, text) = get("/metrics").await;
    assert_eq!(status, 200);
    let line = "atelier_control_plane_ec2_calls_total{action=\"DescribeSubnets\",outcome=\"Refused\"}";
    assert!(text.contains(line), "{text}");
}
