//! One instance for one attempt.

use super::*;
use k8s_openapi::jiff::Timestamp;

#[tokio::test]
async fn a_launch_is_answered_with_the_instance_and_the_same_call_with_the_same_one() {
    let world = World::new().await;
    let (status, first) = world.provision(&order("w")).await;
    assert_eq!(status, 201);
    assert_eq!(first["state"], "pending");
    assert_eq!(first["private_ip"], "10.0.0.1");
    assert_eq!(first["zone"], "us-east-1a");
    assert_eq!((&first["account_id"], &first["region"]), (&json!(ec2::ACCOUNT), &json!("us-east-1")));
    let (status, again) = world.provision(&order("w")).await;
    assert_eq!((status, &again["instance_id"]), (201, &first["instance_id"]));
    assert_eq!(world.ec2.world().instances.len(), 1);
    assert_eq!(world.ec2.last("RunInstances")["ClientToken"], "key-w-1");
}

#[tokio::test]
async fn every_launch_has_the_secure_defaults_and_says_whose_it_is() {
    let world = World::new().await;
    world.provision(&order("w")).await;
    let sent = world.ec2.last("RunInstances");
    for (key, value) in [
        ("MetadataOptions.HttpTokens", "required"),
        ("MetadataOptions.HttpPutResponseHopLimit", "1"),
        ("MetadataOptions.HttpEndpoint", "enabled"),
        ("InstanceInitiatedShutdownBehavior", "stop"),
        ("BlockDeviceMapping.1.DeviceName", "/dev/xvda"),
        ("BlockDeviceMapping.1.Ebs.Encrypted", "true"),
        ("BlockDeviceMapping.1.Ebs.DeleteOnTermination", "true"),
        ("BlockDeviceMapping.1.Ebs.VolumeSize", "20"),
        ("MinCount", "1"),
        ("MaxCount", "1"),
        ("SubnetId", "subnet-1"),
        ("SecurityGroupId.1", "sg-1"),
    ] {
        assert_eq!(sent.get(key).map(String::as_str), Some(value), "{key}");
    }
    assert!(!sent.contains_key("KeyName") && !sent.contains_key("BlockDeviceMapping.2.DeviceName"));
    for resource in ["instance", "volume", "network-interface"] {
        let tags = ec2::tags(&sent, resource);
        let has = |key: &str| tags.get(key).cloned().unwrap_or_default();
        assert_eq!(
            [
                has(names::CLUSTER),
                has(names::UID),
                has(names::ATTEMPT),
                has(names::CONTROLLER),
                has(names::NAME)
            ],
            ["c1", "w", "1", "atelier", "w"],
            "{resource}"
        );
    }
}

#[tokio::test]
async fn what_the_settings_do_not_allow_is_not_sent() {
    let world = World::new().await;
    for (pointer, value) in [
        ("/launch/ami_id", json!("ami-2")),
        ("/launch/instance_type", json!("p5.48xlarge")),
        ("/launch/subnet_id", json!("subnet-2")),
        ("/launch/security_group_ids", json!(["sg-1", "sg-2"])),
        ("/launch/instance_profile_name", json!("admin")),
        ("/launch/root_volume/kms_key_id", json!("alias/x")),
    ] {
        let (status, body) = world.provision(&with(order("w"), pointer, value)).await;
        assert_eq!(
            (status, &body["code"], &body["class"]),
            (403, &json!("NotAllowed"), &json!("terminal")),
            "{pointer}"
        );
    }
    for (pointer, value) in [
        ("/launch/security_group_ids", json!([])),
        ("/launch/root_volume/size_gib", json!(20_000)),
        ("/launch/tags/atelier.dev~1cluster", json!("c2")),
        ("/launch/tags/atelier.dev~1uid", json!("v")),
        ("/launch/tags/atelier.dev~1attempt", json!("2")),
        ("/user_data", json!("x".repeat(16 * 1024 + 1))),
        ("/env", json!({"A": "hush"})),
        ("/not_after", json!("soon")),
        ("/attempt", json!("1")),
    ] {
        let pointer = pointer.replace("~1", "/");
        let order = match pointer.strip_prefix("/launch/tags/") {
            Some(tag) => with(order("w"), "/launch/tags", json!({(tag): value})),
            None => with(order("w"), &pointer, value),
        };
        let (status, body) = world.provision(&order).await;
        assert_eq!((status, &body["code"]), (400, &json!("InvalidBody")), "{pointer}: {body}");
    }
    assert_eq!(world.provision(&with(order("w"), "/cluster_id", json!("c2"))).await.0, 403);
    assert_eq!(world.ec2.count("RunInstances"), 0);
}

#[tokio::test]
async fn what_comes_too_late_is_not_sent() {
    let world = World::new().await;
    let past = (Timestamp::now() - Duration::from_millis(1)).to_string();
    let (status, body) = world.provision(&with(order("w"), "/not_after", json!(past))).await;
    assert_eq!((status, &body["code"], &body["class"]), (409, &json!("Expired"), &json!("retryable")));
    assert_eq!(world.ec2.count("RunInstances"), 0);
}

#[tokio::test]
async fn the_time_is_compared_after_the_wait_for_the_rate_limit() {
    let slow = |settings: &mut Settings| settings.rate_scale = 0.6;
    let world = World::with(slow).await;
    // Of the published bucket that leaves two launches at once, and then about one a second.
    for workspace in ["a", "b"] {
        assert_eq!(world.provision(&order(workspace)).await.0, 201);
    }
    let soon = (Timestamp::now() + Duration::from_millis(100)).to_string();
    let (status, body) = world.provision(&with(order("w"), "/not_after", json!(soon))).await;
    assert_eq!((status, &body["code"]), (409, &json!("Expired")), "{body}");
    assert_eq!(world.ec2.count("RunInstances"), 2);
}

#[tokio::test]
async fn a_launch_that_would_wait_too_long_is_sent_away_and_not_sent() {
    let slow = |settings: &mut Settings| {
        settings.rate_scale = 0.01;
        settings.periods.wait_max = Duration::from_secs(1);
    };
    let world = World::with(slow).await;
    assert_eq!(world.provision(&order("a")).await.0, 201);
    let (status, body) = world.provision(&order("b")).await;
    assert_eq!((status, &body["code"], &body["class"]), (429, &json!("RateLimited"), &json!("retryable")));
    assert!(body["retry_after_seconds"].as_u64().unwrap() > 1);
    assert_eq!(world.ec2.count("RunInstances"), 1);
}

#[tokio::test]
async fn a_launch_whose_client_has_left_is_not_sent() {
    let world = World::with(|settings| settings.rate_scale = 0.6).await;
    for workspace in ["a", "b"] {
        world.provision(&order(workspace)).await;
    }
    let left = world.request(ONE, Method::POST, "/cp/workspaces/provision").json(&order("c"));
    assert!(left.timeout(Duration::from_millis(50)).send().await.is_err());
    // In its place in the queue comes the next one.
    assert_eq!(world.provision(&order("d")).await.0, 201);
    let tokens = world
        .ec2
        .world()
        .calls
        .iter()
        .filter_map(|(_, sent)| sent.get("ClientToken").cloned())
        .collect::<Vec<_>>();
    assert_eq!(tokens, ["key-a-1", "key-b-1", "key-d-1"]);
}

#[tokio::test]
async fn the_same_call_at_the_same_time_is_one_launch() {
    let world = World::new().await;
    let told = Arc::new(tokio::sync::Notify::new());
    world.ec2.fail("RunInstances", Fault::Hold(told.clone()));
    let caller = super::super::fixtures::caller(&["c1"]);
    let launch = || {
        let order = serde_json::from_value(order("w")).unwrap();
        super::super::provision::provision(&world.plane, &caller, order)
    };
    let tell = async {
        eventually("the launch", async || world.ec2.count("RunInstances") == 1).await;
        told.notify_one();
    };
    // In one task, so that none is ahead of the others.
    let (one, two, three, ()) = tokio::join!(launch(), launch(), launch(), tell);
    assert_eq!((&one, &two), (&three, &three));
    assert!(one.is_ok());
    assert_eq!(world.ec2.count("RunInstances"), 1);
    assert_eq!(world.ec2.count("DescribeImages"), 1);
}

#[tokio::test]
async fn the_same_key_with_another_request_finds_what_it_launched_before() {
    let world = World::new().await;
    let (_, first) = world.provision(&order("w")).await;
    let changed = with(order("w"), "/user_data", json!("#!/bin/sh\n"));
    let (status, again) = world.provision(&changed).await;
    assert_eq!((status, &again["instance_id"]), (201, &first["instance_id"]));
    assert_eq!(world.ec2.world().instances.len(), 1);
}

#[tokio::test]
async fn what_another_launched_with_the_same_key_is_not_adopted() {
    let world = World::new().await;
    world.provision(&order("w")).await;
    let key = json!("key-w-1");
    let other_attempt = with(order("w"), "/attempt", json!(2));
    let other_workspace = with(order("v"), "/idempotency_key", key.clone());
    for order in [other_attempt, other_workspace] {
        let (status, body) = world.provision(&order).await;
        assert_eq!((status, &body["code"]), (409, &json!("IdempotentParameterMismatch")), "{body}");
    }
    let foreign = with(with(order("w"), "/idempotency_key", key), "/cluster_id", json!("c2"));
    let (status, body) = world.send(TWO, Method::POST, "/cp/workspaces/provision", Some(&foreign)).await;
    assert_eq!((status, body.get("instance_id")), (409, None));
    assert_eq!(world.ec2.world().instances.len(), 1);
}

#[tokio::test]
async fn what_the_key_launched_and_ec2_does_not_show_is_unknown_and_never_none() {
    let world = World::new().await;
    world.ec2.world().lag = true;
    world.provision(&order("w")).await;
    let changed = with(order("w"), "/user_data", json!("#!/bin/sh\n"));
    let (status, body) = world.provision(&changed).await;
    assert_eq!((status, &body["code"], &body["class"]), (503, &json!("UnknownOutcome"), &json!("retryable")));
    assert_eq!(world.ec2.world().instances.len(), 1);
}

#[tokio::test]
async fn an_attempt_whose_instance_has_ended_says_so_and_launches_nothing() {
    let world = World::new().await;
    let (_, first) = world.provision(&order("w")).await;
    let id = first["instance_id"].as_str().unwrap();
    world.ec2.world().instances.get_mut(id).unwrap().state = "terminated".into();
    let changed = with(order("w"), "/user_data", json!("#!/bin/sh\n"));
    for order in [order("w"), changed] {
        let (status, body) = world.provision(&order).await;
        let said = (status, &body["code"], &body["class"]);
        assert_eq!(said, (409, &json!("IdempotentInstanceTerminated"), &json!("terminal")));
    }
    assert_eq!(world.ec2.world().instances.len(), 1);
}

#[tokio::test]
async fn what_ec2_refuses_is_told_with_its_code_and_the_offering() {
    let world = World::new().await;
    for (code, status, class) in [
        ("InsufficientInstanceCapacity", 503, "retryable"),
        ("VcpuLimitExceeded", 409, "terminal"),
        ("UnauthorizedOperation", 403, "terminal"),
        ("InvalidSubnetID.NotFound", 409, "terminal"),
        ("RequestLimitExceeded", 429, "retryable"),
        ("SomethingNew", 503, "retryable"),
    ] {
        world.ec2.fail("RunInstances", Fault::Code(code));
        let (answered, body) = world.provision(&order("w")).await;
        assert_eq!((answered, &body["code"], &body["class"]), (status, &json!(code), &json!(class)));
        let error = body["error"].as_str().unwrap();
        assert!(error.starts_with("t3.small in subnet-1: RunInstances: "), "{error}");
    }
    let missing = with(order("w"), "/launch/ami_id", json!("ami-missing"));
    let (status, body) = world.provision(&missing).await;
    assert_eq!((status, &body["code"]), (409, &json!("InvalidAMIID.NotFound")));
    assert!(world.ec2.world().instances.is_empty());
}
