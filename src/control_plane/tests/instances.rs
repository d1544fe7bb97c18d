//! State, end, stop, start and lists.

use super::*;
use futures::future::join_all;

#[tokio::test]
async fn only_what_ec2_shows_as_ended_is_observed_to_have_ended() {
    let world = World::new().await;
    world.ec2.put_instance("i-1", "terminated", &owned("c1", "w"));
    let (status, body) = world.get("/cp/workspaces/w/status?instance_id=i-1").await;
    assert_eq!((status, &body["state"], &body["observed"]), (200, &json!("terminated"), &json!(true)));
    let (status, body) = world.delete("/cp/workspaces/w?instance_id=i-1").await;
    assert_eq!((status, &body["state"], &body["observed"]), (200, &json!("terminated"), &json!(true)));
    assert_eq!(world.ec2.count("TerminateInstances"), 0);
}

#[tokio::test]
async fn what_was_launched_moments_ago_and_is_not_shown_is_not_gone() {
    let world = World::new().await;
    world.ec2.world().lag = true;
    let (_, body) = world.provision(&order("w")).await;
    let id = body["instance_id"].as_str().unwrap();
    for path in [
        format!("/cp/workspaces/w/status?instance_id={id}"),
        "/cp/workspaces/w/status?idempotency_key=key-w-1".into(),
        "/cp/workspaces/w/status".into(),
    ] {
        let (status, body) = world.get(&path).await;
        assert_eq!(
            (status, &body["code"], &body["class"]),
            (503, &json!("NotVisibleYet"), &json!("waiting")),
            "{path}"
        );
    }
    let (status, body) = world.delete(&format!("/cp/workspaces/w?instance_id={id}")).await;
    assert_eq!((status, &body["code"]), (503, &json!("NotVisibleYet")));
    // Nobody else learns of it.
    let path = format!("/cp/workspaces/w/status?instance_id={id}");
    let (status, body) = world.send(TWO, Method::GET, &path, None).await;
    assert_eq!((status, &body["observed"]), (200, &json!(false)));
}

#[tokio::test]
async fn after_the_window_what_is_not_shown_is_not_observed() {
    let world = World::with(|settings| settings.periods.visibility_window = Duration::from_millis(1)).await;
    world.ec2.world().lag = true;
    let (_, body) = world.provision(&order("w")).await;
    let path = format!("/cp/workspaces/w/status?instance_id={}", body["instance_id"].as_str().unwrap());
    eventually("the end of the window", async || world.get(&path).await.1["observed"] == false).await;
}

#[tokio::test]
async fn a_key_finds_its_instance() {
    let world = World::new().await;
    let (_, launched) = world.provision(&order("w")).await;
    let (_, body) = world.get("/cp/workspaces/w/status?idempotency_key=key-w-1").await;
    assert_eq!(body["instance_id"], launched["instance_id"]);
    assert_eq!(body["client_token"], "key-w-1");
    assert_eq!(world.get("/cp/workspaces/v/status?idempotency_key=key-w-1").await.0, 403);
    let (_, body) = world.delete("/cp/workspaces/w?idempotency_key=key-w-1").await;
    assert_eq!(body["observed"], true);
}

#[tokio::test]
async fn stop_and_start_do_nothing_where_it_is_done() {
    let world = World::new().await;
    world.ec2.put_instance("i-1", "running", &owned("c1", "w"));
    let call = async |what: &str, state: &str| {
        world.ec2.world().instances.get_mut("i-1").unwrap().state = state.into();
        let path = format!("/cp/workspaces/w/{what}?instance_id=i-1");
        world.send(ONE, Method::POST, &path, None).await.1["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(call("stop", "running").await, "stopping");
    for state in ["stopping", "stopped", "terminated"] {
        assert_eq!(call("stop", state).await, state);
    }
    assert_eq!(call("start", "stopped").await, "pending");
    for state in ["pending", "running", "shutting-down"] {
        assert_eq!(call("start", state).await, state);
    }
    assert_eq!((world.ec2.count("StopInstances"), world.ec2.count("StartInstances")), (1, 1));
    let (status, body) = world.send(ONE, Method::POST, "/cp/workspaces/w/stop?instance_id=i-404", None).await;
    assert_eq!((status, &body["observed"]), (200, &json!(false)));
}

#[tokio::test]
async fn many_single_questions_and_ends_are_few_calls() {
    let world = World::with(|settings| settings.periods.batch_window = Duration::from_millis(200)).await;
    for n in 0..100 {
        world.ec2.put_instance(&format!("i-{n:03}"), "running", &owned("c1", "w"));
    }
    let path = |n: i32| format!("/cp/workspaces/w?instance_id=i-{n:03}");
    let answers = join_all((0..100).map(async |n| world.delete(&path(n)).await.0)).await;
    assert!(answers.iter().all(|status| *status == 200));
    assert!(world.ec2.world().instances.values().all(|instance| instance.state == "shutting-down"));
    assert!(world.ec2.count("DescribeInstances") <= 10, "{}", world.ec2.count("DescribeInstances"));
    assert!(world.ec2.count("TerminateInstances") <= 10, "{}", world.ec2.count("TerminateInstances"));
}

#[tokio::test]
async fn a_list_has_every_instance_of_the_cluster_page_by_page() {
    let world = World::new().await;
    world.ec2.world().page = 10;
    for n in 0..25 {
        world.ec2.put_instance(&format!("i-{n:03}"), "running", &owned("c1", "w"));
        world.ec2.put_instance(&format!("i-{n:03}f"), "running", &owned("c2", "w"));
    }
    let (mut seen, mut page, mut calls) = (vec![], String::new(), 0);
    loop {
        let (status, body) = world.get(&format!("/cp/workspaces?cluster_id=c1&page={page}")).await;
        assert_eq!(
            (status, &body["account_id"], &body["region"]),
            (200, &json!(ec2::ACCOUNT), &json!("us-east-1"))
        );
        calls += 1;
        for instance in body["instances"].as_array().unwrap() {
            assert_eq!(
                (&instance["observed"], &instance["tags"][names::CLUSTER]),
                (&json!(true), &json!("c1"))
            );
            seen.push(instance["instance_id"].as_str().unwrap().to_owned());
        }
        match body["next_page"].as_str() {
            Some(next) => page = next.into(),
            None => break,
        }
    }
    seen.sort();
    seen.dedup();
    assert_eq!((seen.len(), calls, world.ec2.count("DescribeInstances")), (25, 3, 3));
    assert_eq!(world.ec2.last("DescribeInstances")["MaxResults"], "1000");
}

#[tokio::test]
async fn who_asks_at_the_same_time_shares_a_sweep() {
    let world = World::new().await;
    let told = Arc::new(tokio::sync::Notify::new());
    world.ec2.fail("DescribeInstances", Fault::Hold(told.clone()));
    world.ec2.put_instance("i-1", "running", &owned("c1", "w"));
    let ask = || world.get("/cp/workspaces?cluster_id=c1");
    let tell = async {
        eventually("the sweep", async || world.ec2.count("DescribeInstances") == 1).await;
        told.notify_one();
    };
    let ((_, one), (_, two), ()) = tokio::join!(ask(), ask(), tell);
    assert_eq!((one["instances"].as_array().unwrap().len(), &one["observed_at"]), (1, &two["observed_at"]));
    assert_eq!(world.ec2.count("DescribeInstances"), 1);
}

#[tokio::test]
async fn an_empty_list_says_whose_it_is() {
    let world = World::new().await;
    let (_, body) = world.get("/cp/workspaces").await;
    assert_eq!((&body["instances"], &body["account_id"]), (&json!([]), &json!(ec2::ACCOUNT)));
    assert_eq!(world.ec2.count("DescribeSubnets"), 1);
    world.ec2.fail("DescribeSubnets", Fault::Code("AuthFailure"));
    assert_eq!(world.get("/cp/workspaces").await.0, 503, "asked again each time");
}

#[tokio::test]
async fn an_answer_of_another_account_is_an_error() {
    let world = World::with(|settings| settings.account_id = Some("999999999999".into())).await;
    world.ec2.put_instance("i-1", "running", &owned("c1", "w"));
    let (status, body) = world.get("/cp/workspaces").await;
    assert_eq!((status, &body["code"]), (503, &json!("WrongAccount")));
}

#[tokio::test]
async fn a_long_console_is_cut_at_its_beginning() {
    let world = World::new().await;
    world.ec2.put_instance("i-1", "running", &owned("c1", "w"));
    world.ec2.world().console = format!("{}the end", "a line\n".repeat(60_000));
    let (_, body) = world.get("/cp/admin/workspaces/w/console").await;
    let output = body["output"].as_str().unwrap();
    assert!(output.len() <= 256 * 1024 && output.ends_with("the end"));
}
