//! Lost answers, connections that do not open, throttles, the end of the process.

use super::*;

#[tokio::test]
async fn a_launch_without_an_answer_is_unknown_and_its_replay_finds_it() {
    for fault in [Fault::LoseAnswer, Fault::Garbage] {
        let world = World::new().await;
        world.ec2.fail("RunInstances", fault);
        let (status, body) = world.provision(&order("w")).await;
        assert_eq!(
            (status, &body["code"], &body["class"]),
            (503, &json!("UnknownOutcome"), &json!("retryable"))
        );
        assert_eq!(world.ec2.world().instances.len(), 1, "it happened");
        assert_eq!(world.ec2.count("RunInstances"), 1, "nothing is sent again by itself");
        let (status, body) = world.provision(&order("w")).await;
        let id = world.ec2.world().instances.keys().next().unwrap().clone();
        assert_eq!((status, body["instance_id"].as_str().unwrap()), (201, &*id));
        assert_eq!(world.ec2.world().instances.len(), 1);
    }
}

#[tokio::test]
async fn a_launch_that_hangs_is_unknown_after_its_deadline_and_holds_up_no_other() {
    let world = World::with(|settings| settings.periods.launch_deadline = Duration::from_millis(300)).await;
    let told = Arc::new(tokio::sync::Notify::new());
    world.ec2.fail("RunInstances", Fault::Hold(told.clone()));
    let (a, b) = (order("a"), order("b"));
    let hangs = world.provision(&a);
    let other = async {
        eventually("the call that hangs", async || world.ec2.count("RunInstances") == 1).await;
        world.provision(&b).await.0
    };
    let ((status, body), other) = tokio::join!(hangs, other);
    assert_eq!((status, &body["code"]), (503, &json!("UnknownOutcome")));
    assert_eq!(other, 201);
}

#[tokio::test]
async fn where_no_connection_opens_nothing_was_sent() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nowhere = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let world = World::with(|settings| settings.endpoint = Some(nowhere)).await;
    // The image is asked for first; a launch itself must say the same.
    for (status, body) in [world.provision(&order("w")).await, world.get("/cp/workspaces").await] {
        assert_eq!(
            (status, &body["code"], &body["class"]),
            (503, &json!("UpstreamUnreachable"), &json!("retryable"))
        );
    }
    let order = super::super::launch::RunOrder::new(
        "k",
        &super::super::fixtures::launch(),
        super::super::launch::Image::default(),
        super::super::ownership::Tags::new(),
        "",
    );
    let fault = world.plane.ec2.run(&order, None).await.unwrap_err();
    assert_eq!(fault.code, "UpstreamUnreachable");
}

#[tokio::test]
async fn a_throttle_slows_its_own_action_down_and_no_other() {
    let world = World::with(|settings| settings.periods.wait_max = Duration::from_millis(1)).await;
    world.ec2.fail("RunInstances", Fault::Code("RequestLimitExceeded"));
    let (status, body) = world.provision(&order("w")).await;
    assert_eq!((status, &body["code"]), (429, &json!("RequestLimitExceeded")));
    assert_eq!(world.get("/cp/workspaces").await.0, 200);
    let metrics = world.plane.metrics.text().unwrap();
    assert!(
        metrics.contains("ec2_calls_total{action=\"RunInstances\",outcome=\"Throttled\"} 1"),
        "{metrics}"
    );
}

#[tokio::test]
async fn a_bad_id_in_a_batch_ends_the_others_all_the_same() {
    let world = World::with(|settings| settings.periods.batch_window = Duration::from_millis(100)).await;
    for id in ["i-1", "i-2", "i-3"] {
        world.ec2.put_instance(id, "running", &owned("c1", "w"));
    }
    world.ec2.fail("TerminateInstances", Fault::Code("InvalidInstanceID.NotFound"));
    let end = async |id: &str| world.delete(&format!("/cp/workspaces/w?instance_id={id}")).await.0;
    assert_eq!(tokio::join!(end("i-1"), end("i-2"), end("i-3")), (200, 200, 200));
    assert!(world.ec2.count("TerminateInstances") >= 3, "it was split");
}

#[tokio::test]
async fn an_end_that_ec2_did_not_confirm_is_no_success() {
    let world = World::new().await;
    world.ec2.put_instance("i-1", "running", &owned("c1", "w"));
    for (fault, status, code) in [
        (Fault::Code("UnauthorizedOperation"), 403, "UnauthorizedOperation"),
        (Fault::Code("InvalidInstanceID.NotFound"), 503, "NotVisibleYet"),
        (Fault::LoseAnswer, 503, "UnknownOutcome"),
    ] {
        world.ec2.fail("TerminateInstances", fault);
        let (answered, body) = world.delete("/cp/workspaces/w?instance_id=i-1").await;
        assert_eq!((answered, &body["code"]), (status, &json!(code)));
    }
    // What could not be looked up is not gone either.
    world.ec2.fail("DescribeInstances", Fault::Code("RequestLimitExceeded"));
    assert_eq!(world.delete("/cp/workspaces/w?instance_id=i-1").await.0, 429);
    world.ec2.fail("DescribeInstances", Fault::Garbage);
    assert_eq!(world.get("/cp/workspaces/w/status?instance_id=i-1").await.0, 503);
}

#[tokio::test]
async fn from_the_stop_on_nothing_more_is_sent() {
    let world = World::new().await;
    world.stopping.cancel();
    for (status, body) in [world.provision(&order("w")).await, world.get("/cp/workspaces").await] {
        assert_eq!((status, &body["code"]), (503, &json!("UpstreamUnreachable")), "{body}");
    }
    assert!(world.ec2.world().calls.is_empty());
}

#[tokio::test]
async fn bodies_of_any_bytes_are_answered_in_json() {
    let world = World::new().await;
    let texts: [&[u8]; 8] =
        [b"", b"\0", b"{", b"[]", b"null", b"\xff\xfe{}", b"{\"workspace_id\": \"\\ud800\"}", b"{\"a\":1}{"];
    for path in [
        "/cp/workspaces/provision",
        "/cp/preflight",
        "/cp/workspaces/w/volume",
        "/cp/workspaces/w/volume/attach",
    ] {
        for text in texts {
            let request = world.request(ONE, Method::POST, path).body(text.to_vec());
            assert_eq!(answer(request).await.0, 400, "{path} {text:?}");
        }
    }
}
