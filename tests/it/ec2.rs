//! Workspaces on EC2, through the control plane, on the simulator.

use crate::support::cloud::{ControlPlane, SECRET, Simulator};
use crate::support::on_ec2::{Cloud, cluster_id, config, make_secret, operator};
use crate::support::scene::{Scene, message, says};
use crate::support::script::run;
use crate::support::wait::LATER;
use crate::team::team;
use atelier::api::ConditionType::{BackendReady, InstanceLaunched, Ready, Stalled};
use atelier::api::workspace::{Outcome, WorkspaceStatus};
use atelier::api::{BackendConfig, Team, Workspace, names};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;

trials![
    a_team_of_seven_comes_up_on_instances,
    every_launch_is_secure,
    a_team_deleted_in_flight_leaves_no_instance,
    a_control_plane_that_is_down_is_named,
    what_one_call_learns_of_the_control_plane_all_say,
    a_wrong_shared_secret_is_named_and_nothing_is_launched,
    short_capacity_lands_on_the_third_offering,
    an_instance_that_is_killed_is_replaced_once,
    an_instance_stopped_behind_our_back_is_started_again,
    a_spot_interruption_is_named,
    a_vcpu_limit_is_named_and_not_asked_for_hot,
    a_denied_launch_names_the_action,
    a_launch_call_that_hangs_delays_no_other,
    an_instance_that_never_phones_home_shows_its_console,
    running_boxes_stay_when_the_backend_is_switched,
    a_seeded_secret_is_found_nowhere,
];

async fn a_team_of_seven_comes_up_on_instances() {
    let cloud = Cloud::start("ec2-seven", &[]).await;
    let scene = &cloud.scene;
    scene.apply_team("studio", team(7)).await;
    scene.until_team_ready("studio").await;
    let live = cloud.simulator.live().await;
    assert_eq!(live.len(), 7, "{live:#?}");
    for ws in scene.workspaces().await {
        let status = ws.status.as_ref().unwrap();
        let id = status.instance_id.as_deref().unwrap();
        assert!(live.iter().any(|instance| instance["instanceId"] == id), "{id} is not one of {live:#?}");
        assert!(status.storage.is_some() && status.launch.as_ref().unwrap().client_token.is_some());
    }
    assert!(scene.containers().is_empty(), "nothing is made where the config does not say");
    scene.delete::<Team>("studio").await;
    cloud.until_nothing_is_left().await;
    cloud.assert_exact().await;
}

async fn every_launch_is_secure() {
    let cloud = Cloud::start("ec2-secure", &[]).await;
    cloud.scene.apply_workspace("one", json!({"runtime": "echo"})).await;
    cloud.scene.until_condition("one", InstanceLaunched, "True", "Running").await;
    let calls = cloud.simulator.get("calls").await;
    let launches: Vec<_> = calls
        .as_array()
        .unwrap()
        .iter()
        .filter(|call| call["action"] == "RunInstances" && call["committed"] == true)
        .collect();
    assert_eq!(launches.len(), 1, "{calls:#}");
    let sent = &launches[0]["params"];
    for (parameter, value) in [
        ("MetadataOptions.HttpTokens", "required"),
        ("MetadataOptions.HttpPutResponseHopLimit", "1"),
        ("BlockDeviceMapping.1.Ebs.Encrypted", "true"),
        ("BlockDeviceMapping.1.Ebs.DeleteOnTermination", "true"),
        ("InstanceInitiatedShutdownBehavior", "stop"),
    ] {
        assert_eq!(sent[parameter], value, "{sent:#}");
    }
    assert!(sent.get("KeyName").is_none() && sent.get("IamInstanceProfile.Name").is_none(), "{sent:#}");
}

async fn a_team_deleted_in_flight_leaves_no_instance() {
    let mut cloud = Cloud::start("ec2-in-flight", &["--pending-ms", "1500", "--lag-ms", "700"]).await;
    cloud.scene.apply_team("studio", team(20)).await;
    for _ in 0..2 {
        cloud
            .scene
            .soon("a launch is in flight", async || {
                let live = cloud.simulator.live().await.len();
                if live > 0 { Ok(()) } else { Err(format!("{live} live")) }
            })
            .await;
        cloud.operator.kill();
        let team = cloud.scene.api::<Team>().get_opt("studio").await.unwrap();
        if team.is_some_and(|team| team.metadata.deletion_timestamp.is_none()) {
            cloud.scene.delete::<Team>("studio").await;
        }
        cloud.operator.restart();
        cloud.operator.ready().await;
    }
    cloud.until_nothing_is_left().await;
    cloud.assert_exact().await;
}

async fn a_control_plane_that_is_down_is_named() {
    let mut cloud = Cloud::start("ec2-away", &[]).await;
    let scene = &cloud.scene;
    scene.apply_workspace("one", json!({"runtime": "echo"})).await;
    scene.until_ready("one").await;
    cloud.control_plane.kill();
    scene.apply_workspace("two", json!({"runtime": "echo"})).await;
    for name in ["one", "two"] {
        let ws = scene.until_condition(name, BackendReady, "False", "ControlPlaneUnreachable").await;
        let said = message(&ws, BackendReady);
        assert!(said.contains(&cloud.control_plane.url()), "{said}");
    }
    cloud.control_plane.restart();
    scene.until_ready("one").await;
    scene.until_ready("two").await;
    assert_eq!(cloud.simulator.live().await.len(), 2);
    let one = scene.workspace("one").await.status.unwrap();
    assert_eq!(one.launch.unwrap().attempt, 1, "nothing was replaced for it");
}

async fn what_one_call_learns_of_the_control_plane_all_say() {
    // At rest nobody would ask for an hour.
    let flags = ["--list-period=1h", "--resync=1h", "--preflight-period=3s", "--preflight-retry-max=2s"];
    let quick = ["--boot", "scripted", "--stage-ms", "20", "--heartbeat-ms", "1000"];
    let mut cloud = Cloud::start_by("ec2-learns", &quick, &flags).await;
    let scene = &cloud.scene;
    scene.apply_workspace("one", json!({"runtime": "echo"})).await;
    scene.until_ready("one").await;
    cloud.control_plane.kill();
    scene.until_condition("one", BackendReady, "False", "ControlPlaneUnreachable").await;
    cloud.control_plane.restart();
    scene.until_ready("one").await;
}

async fn a_wrong_shared_secret_is_named_and_nothing_is_launched() {
    let scene = Scene::new("ec2-secret").await;
    let simulator = Simulator::start(scene.dir(), &[]);
    let control_plane = ControlPlane::start(scene.dir(), &simulator, &cluster_id(&scene).await);
    control_plane.ready().await;
    make_secret(&scene, "another-secret-altogether").await;
    scene.apply_config(config(&scene, &simulator, &control_plane)).await;
    let mut operator = operator(&scene);
    operator.ready().await;
    scene.apply_workspace("one", json!({"runtime": "echo"})).await;
    let ws = scene.until_condition("one", BackendReady, "False", "Unauthorized").await;
    let said = message(&ws, BackendReady);
    assert!(said.contains("tokenSecretRef"), "{said}");
    assert!(simulator.instances().await.is_empty());
}

async fn short_capacity_lands_on_the_third_offering() {
    let cloud = Cloud::start("ec2-short", &[]).await;
    let subnets = cloud.simulator.ids("subnets");
    for subnet in &subnets[..2] {
        let fault = json!({"action": "RunInstances", "effect": "error", "code": "InsufficientInstanceCapacity",
                           "target": {"instanceType": "t3.medium", "subnet": subnet}});
        cloud.simulator.post("faults", fault).await;
    }
    cloud.scene.apply_workspace("one", json!({"runtime": "echo", "tier": "T2"})).await;
    let ws = cloud.scene.until_ready("one").await;
    let status = ws.status.unwrap();
    let tried: Vec<_> =
        status.attempts.iter().map(|a| (a.attempt, a.reason.clone().unwrap_or_default())).collect();
    let short = |attempt| (attempt, "InsufficientCapacity".to_owned());
    assert_eq!(tried, [short(1), short(2)]);
    for (attempt, subnet) in status.attempts.iter().zip(&subnets) {
        assert!(attempt.message.as_ref().is_some_and(|words| words.contains(subnet)), "{attempt:?}");
    }
    assert_eq!(status.launch.unwrap().attempt, 3);
    assert_eq!(status.instance.unwrap().instance_type.as_deref(), Some("t3.large"));
    cloud.assert_exact().await;
}

async fn an_instance_that_is_killed_is_replaced_once() {
    let cloud = Cloud::start("ec2-killed", &[]).await;
    cloud.scene.apply_workspace("one", json!({"runtime": "echo"})).await;
    let before = cloud.scene.until_ready("one").await.status.unwrap();
    let id = before.instance_id.unwrap();
    let killed = json!({"code": "Server.InternalError", "message": "the host failed"});
    cloud.simulator.post(&format!("instances/{id}/kill"), killed).await;
    let is_next = |ws: &Workspace| {
        let status = ws.status.as_ref().unwrap();
        status.instance_id.as_deref().is_some_and(|now| now != id) && says(ws, Ready, "True", "Ready")
    };
    let after = cloud.scene.until(LATER, "one", "replaced", is_next).await.status.unwrap();
    assert_eq!(after.launch.unwrap().attempt, 2);
    let words = after.attempts[0].message.clone().unwrap_or_default();
    assert!(words.contains("Server.InternalError") && words.contains("the host failed"), "{words}");
    assert_eq!(after.storage, before.storage, "its data stay");
    let live = cloud.simulator.live().await;
    assert_eq!(live.len(), 1, "{live:#?}");
    assert_eq!(live[0]["tags"][names::ATTEMPT], "2", "{live:#?}");
    cloud.assert_exact().await;
}

async fn an_instance_stopped_behind_our_back_is_started_again() {
    let cloud = Cloud::start("ec2-stopped", &[]).await;
    cloud.scene.apply_workspace("one", json!({"runtime": "echo"})).await;
    let before = cloud.scene.until_ready("one").await.status.unwrap();
    let id = before.instance_id.clone().unwrap();
    let stopped = json!({"code": "Client.UserInitiatedShutdown", "message": "somebody stopped it"});
    cloud.simulator.post(&format!("instances/{id}/stop"), stopped).await;
    let started = |status: &WorkspaceStatus| status.instance.as_ref().and_then(|i| i.started_at.clone());
    let is_again = |ws: &Workspace| {
        let status = ws.status.as_ref().unwrap();
        started(status) > started(&before) && says(ws, Ready, "True", "Ready")
    };
    let after = cloud.scene.until(LATER, "one", "runs again", is_again).await.status.unwrap();
    assert_eq!((after.instance_id, after.launch.unwrap().attempt), (before.instance_id, 1), "not replaced");
    assert_eq!(cloud.simulator.instances().await.len(), 1);
}

async fn a_spot_interruption_is_named() {
    let cloud = Cloud::start("ec2-spot", &[]).await;
    cloud.scene.apply_workspace("one", json!({"runtime": "echo"})).await;
    let id = cloud.scene.until_ready("one").await.status.unwrap().instance_id.unwrap();
    let taken = json!({"code": "Server.SpotInstanceTermination", "message": "taken back"});
    cloud.simulator.post(&format!("instances/{id}/interrupt-spot"), taken).await;
    let is_next =
        |ws: &Workspace| ws.status.as_ref().unwrap().instance_id.as_deref().is_some_and(|now| now != id);
    let after = cloud.scene.until(LATER, "one", "replaced", is_next).await.status.unwrap();
    let ended = after.attempts.last().unwrap();
    assert_eq!((ended.reason.as_deref(), ended.instance_id.as_ref()), (Some("SpotInterrupted"), Some(&id)));
}

async fn a_vcpu_limit_is_named_and_not_asked_for_hot() {
    let cloud = Cloud::start("ec2-vcpu", &[]).await;
    let fault = json!({"action": "RunInstances", "effect": "error", "code": "VcpuLimitExceeded"});
    cloud.simulator.post("faults", fault).await;
    cloud.scene.apply_workspace("one", json!({"runtime": "echo"})).await;
    let is_refused = |ws: &Workspace| {
        let outcome =
            ws.status.as_ref().and_then(|status| status.launch.as_ref()).map(|launch| launch.outcome);
        says(ws, InstanceLaunched, "False", "VcpuLimitExceeded") && outcome == Some(Outcome::Refused)
    };
    let ws = cloud.scene.until(LATER, "one", "refused", is_refused).await;
    let said = message(&ws, InstanceLaunched);
    assert!(said.contains("VcpuLimitExceeded") && said.contains("quota"), "{said}");
    assert!(says(&ws, Stalled, "True", "VcpuLimitExceeded"));
    let launch = ws.status.unwrap().launch.unwrap();
    assert_eq!(launch.attempt, 1);
    let pause = launch.not_before.unwrap().0.duration_since(launch.started_at.0);
    assert!(pause.as_secs() >= 59, "asked again after {pause}");
}

async fn a_denied_launch_names_the_action() {
    let cloud = Cloud::start("ec2-denied", &[]).await;
    let fault = json!({"action": "RunInstances", "effect": "error", "code": "UnauthorizedOperation",
                       "message": "You are not authorized to perform this operation", "status": 403});
    cloud.simulator.post("faults", fault).await;
    cloud.scene.apply_workspace("one", json!({"runtime": "echo"})).await;
    // Whichever comes first: the launch, or the preflight that tries one.
    let is_denied = |ws: &Workspace| {
        says(ws, InstanceLaunched, "False", "LaunchDenied") || says(ws, BackendReady, "False", "Unauthorized")
    };
    let ws = cloud.scene.until(LATER, "one", "denied", is_denied).await;
    let said = [message(&ws, InstanceLaunched), message(&ws, BackendReady)].concat();
    assert!(said.contains("UnauthorizedOperation") && said.contains("RunInstances"), "{said}");
    assert!(cloud.simulator.instances().await.is_empty());
}

async fn a_launch_call_that_hangs_delays_no_other() {
    let cloud = Cloud::start("ec2-hangs", &[]).await;
    let scene = &cloud.scene;
    // It is carried out in the end, long after whoever sent it has gone.
    let fault = json!({"action": "RunInstances", "effect": "delay", "delayMs": 60_000, "count": 1,
                       "target": {"tags": {names::NAME: "slow"}}});
    cloud.simulator.post("faults", fault).await;
    scene.apply_workspace("slow", json!({"runtime": "echo"})).await;
    scene
        .until(LATER, "slow", "on its way", |ws| {
            ws.status.as_ref().and_then(|s| s.launch.as_ref()).map(|l| l.outcome) == Some(Outcome::Pending)
        })
        .await;
    for name in ["a", "b", "c"] {
        scene.apply_workspace(name, json!({"runtime": "echo"})).await;
    }
    for name in ["a", "b", "c"] {
        scene.until_ready(name).await;
    }
    let slow = scene.workspace("slow").await.status.unwrap();
    assert_eq!(slow.instance_id, None, "the call did not hang");
    scene.until_ready("slow").await;
    cloud.assert_exact().await;
    assert_eq!(cloud.simulator.live().await.len(), 4);
}

async fn an_instance_that_never_phones_home_shows_its_console() {
    let cloud = Cloud::start("ec2-silent", &[]).await;
    // A process that has just begun to listen waits for a whole one before it calls a box silent.
    let mut spec = config(&cloud.scene, &cloud.simulator, &cloud.control_plane);
    spec["heartbeat"] = json!({"ttlSeconds": 3});
    cloud.scene.apply_config(spec).await;
    cloud.simulator.post("boot-faults", json!({"effect": "never-call"})).await;
    cloud.scene.apply_workspace("one", json!({"runtime": "silent"})).await;
    let is_said = |ws: &Workspace| says(ws, Ready, "False", "BootTimeout");
    let ws = cloud.scene.until(LATER, "one", "BootTimeout", is_said).await;
    let status = ws.status.as_ref().unwrap();
    // Before or after the next attempt is recorded.
    let ended = || status.attempts.last().and_then(|attempt| attempt.instance_id.clone());
    let id = status.instance_id.clone().or_else(ended).unwrap();
    let diagnosis = status.diagnosis.as_ref().unwrap();
    assert!(diagnosis.summary.contains(&id), "{diagnosis:#?}");
    assert!(diagnosis.log_tail.as_deref().is_some_and(|tail| !tail.is_empty()), "{diagnosis:#?}");
}

async fn running_boxes_stay_when_the_backend_is_switched() {
    let scene = Scene::new("ec2-switch").await;
    let simulator = Simulator::start(scene.dir(), &["--boot", "scripted", "--stage-ms", "20"]);
    let control_plane = ControlPlane::start(scene.dir(), &simulator, &cluster_id(&scene).await);
    control_plane.ready().await;
    make_secret(&scene, SECRET).await;
    let mut spec = config(&scene, &simulator, &control_plane);
    spec["registry"] =
        json!({"advertiseURL": format!("http://{}", scene.registry()), "allowPlaintext": true});
    spec["backend"] = json!("Docker");
    scene.apply_config(spec.clone()).await;
    let _operator = scene.operator(&[]).await;
    scene.apply_workspace("old", json!({"runtime": "echo"})).await;
    let before = scene.until_ready("old").await.status.unwrap();

    spec["backend"] = json!("EC2");
    scene.apply_config(spec).await;
    scene
        .soon("new boxes go to EC2", async || {
            let config: Api<BackendConfig> = Api::all(scene.client.clone());
            let ec2 = config.get(&scene.name).await.unwrap().status.and_then(|status| status.ec2);
            ec2.map(|_| ()).ok_or_else(|| "the control plane is not in use yet".to_owned())
        })
        .await;
    scene.apply_workspace("new", json!({"runtime": "echo"})).await;
    let new = scene.until_ready("new").await.status.unwrap();
    assert!(new.instance_id.unwrap().starts_with("i-"));
    let old = scene.workspace("old").await;
    let after = old.status.as_ref().unwrap();
    assert_eq!((&after.instance_id, &after.placement), (&before.instance_id, &before.placement));
    assert!(says(&old, Ready, "True", "Ready"));
    assert_eq!(scene.container("old").id, before.instance_id.unwrap());

    for name in ["old", "new"] {
        scene.delete::<Workspace>(name).await;
    }
    scene
        .within(LATER, "each is gone where its record says", async || {
            let (boxes, live) = (scene.containers(), simulator.live().await);
            let left = scene.workspaces().await.len();
            if boxes.is_empty() && live.is_empty() && left == 0 {
                Ok(())
            } else {
                Err(format!("{} containers, {} instances, {left} Workspaces", boxes.len(), live.len()))
            }
        })
        .await;
}

/// The ways in which a secret could hide in a text.
fn disguises(secret: &str) -> Vec<String> {
    use data_encoding::BASE64;
    // Whatever stands before it, one of three shifts of it stands in a base64 text.
    let shifted = |by: usize| {
        let text = BASE64.encode(format!("{}{secret}", "x".repeat(by)).as_bytes());
        text[4..text.len() - 4].to_owned()
    };
    let half = secret.len() / 2;
    let mut all: Vec<_> = (0..3).map(shifted).collect();
    all.extend([secret.to_owned(), secret[..half].to_owned(), secret[half..].to_owned()]);
    all.push(secret.replace('/', "%2F"));
    all.push(secret.replace('/', "\\/"));
    all
}

async fn a_seeded_secret_is_found_nowhere() {
    const SEEDED: &str = "seeded/k3y+that=nobody/may-ever-see-again";
    let cloud = Cloud::start("ec2-seeded", &[]).await;
    let scene = &cloud.scene;
    let secrets: Api<Secret> = Api::namespaced(scene.client.clone(), &scene.name);
    let secret = json!({"metadata": {"name": "model"}, "stringData": {"MODEL_KEY": SEEDED}});
    secrets.create(&PostParams::default(), &serde_json::from_value(secret).unwrap()).await.unwrap();
    let spec = json!({
        "runtime": "echo", "envFrom": [{"secretRef": {"name": "model"}}],
        "files": [{"path": "key.txt", "secretKeyRef": {"name": "model", "key": "MODEL_KEY"}}],
    });
    scene.apply_workspace("one", spec).await;
    scene.until_ready("one").await;

    let mut places = vec![
        ("the simulator's log".to_owned(), cloud.simulator.get("calls").await.to_string()),
        ("the instances".to_owned(), cloud.simulator.get("instances").await.to_string()),
        ("the Workspace".to_owned(), serde_json::to_string(&scene.workspace("one").await).unwrap()),
        ("events".to_owned(), run(scene.kubectl().args(["get", "events", "-o", "json"])).unwrap()),
    ];
    for file in [&cloud.operator.log, &cloud.control_plane.log] {
        places.push((file.display().to_string(), std::fs::read_to_string(file).unwrap()));
    }
    for (place, text) in &places {
        assert!(!text.is_empty(), "{place} is empty: the test is blind");
        for hidden in disguises(SEEDED).into_iter().chain(disguises(SECRET)) {
            assert!(!text.contains(&hidden), "{hidden:?} is in {place}");
        }
    }
}
