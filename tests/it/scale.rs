//! A thousand Workspaces on EC2, at the pace that EC2 allows; then five minutes at rest.

use crate::support::audit::Call;
use crate::support::on_ec2::{Cloud, config};
use crate::support::scene::{conditions, is_true};
use crate::support::wait::poll;
use atelier::api::{ConditionType, Workspace};
use futures::{StreamExt, stream};
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

trials![a_thousand_workspaces_come_up_at_the_pace_of_ec2];

/// `ATELIER_SCALE` says otherwise.
const COUNT: u32 = 1000;
/// Launches that EC2 takes at once, and then in a second, see
/// <https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html>.
const BURST: u32 = 5;
const A_SECOND: u32 = 2;
/// How much longer than that it may take.
const FACTOR: f64 = 1.1;
const AT_REST: Duration = Duration::from_secs(300);
const FAR: Duration = Duration::from_secs(3600);

async fn a_thousand_workspaces_come_up_at_the_pace_of_ec2() {
    let count = std::env::var("ATELIER_SCALE").ok().and_then(|n| n.parse().ok()).unwrap_or(COUNT);
    let cloud = Cloud::start_usual("ec2-scale").await;
    let scene = &cloud.scene;
    let mut spec = config(scene, &cloud.simulator, &cloud.control_plane);
    spec["ec2"]["subnetIDs"] = json!(cloud.simulator.ids("subnets"));
    scene.apply_config(spec).await;

    let began = Instant::now();
    let api = scene.api::<Workspace>();
    stream::iter(0..count)
        .for_each_concurrent(16, async |n| {
            let object = json!({
                "apiVersion": "atelier.dev/v1alpha1",
                "kind": "Workspace",
                "metadata": {"name": format!("w-{n}")},
                "spec": {"runtime": "echo"},
            });
            let object = serde_json::from_value(object).unwrap();
            api.create(&PostParams::default(), &object).await.unwrap();
        })
        .await;
    println!("{count} objects made after {:.1} s", began.elapsed().as_secs_f64());
    let minimum = f64::from(count.saturating_sub(BURST)) / f64::from(A_SECOND);
    let mut told = Instant::now();
    let all_ready = poll(FAR, async || {
        let ready = scene.workspaces().await.iter().filter(|ws| is_ready(ws)).count();
        if told.elapsed() > Duration::from_secs(30) {
            told = Instant::now();
            println!("{ready} Ready after {:.0} s", began.elapsed().as_secs_f64());
        }
        if ready == count as usize { Ok(()) } else { Err(format!("{ready} of {count}")) }
    });
    all_ready.await.unwrap();
    let took = began.elapsed().as_secs_f64();
    let last_launch = last_launch(&cloud).await;
    println!(
        "{count} Ready after {took:.1} s; the buckets allow {minimum:.1} s for launches, which took {last_launch:.1} s"
    );
    println!("calls to EC2: {:?}", actions(&cloud, 0).await);
    let writes = scene.writes();
    println!("writes of the operator, for each Workspace: {:?}", each(&writes, count));
    println!("resident: controller {}, control plane {}", memory(&cloud, true), memory(&cloud, false));
    cloud.assert_exact().await;
    assert_eq!(cloud.simulator.live().await.len(), count as usize);
    assert!(last_launch < minimum * FACTOR, "{last_launch} s, and {minimum} s would do");

    // What the last transitions have caused is written and told.
    let mut quiet = writes.len();
    let quiet = poll(FAR, async || {
        tokio::time::sleep(Duration::from_secs(20)).await;
        let before = std::mem::replace(&mut quiet, scene.writes().len());
        if before == quiet { Ok(quiet) } else { Err(format!("{before}, then {quiet} writes")) }
    });
    let quiet = quiet.await.unwrap();
    let line = last_line(&cloud).await;
    tokio::time::sleep(AT_REST).await;
    let written = scene.writes().split_off(quiet);
    println!("at rest for five minutes: writes {written:?}, calls to EC2 {:?}", actions(&cloud, line).await);
    println!("resident: controller {}, control plane {}", memory(&cloud, true), memory(&cloud, false));
    assert!(written.is_empty(), "at rest, these were written: {written:#?}");
}

fn is_ready(ws: &Workspace) -> bool {
    is_true(conditions(ws), ConditionType::Ready)
}

/// How many seconds lie between the first launch and the last.
async fn last_launch(cloud: &Cloud) -> f64 {
    let calls = cloud.simulator.calls_after(0, "RunInstances").await;
    let times = calls.iter().filter_map(|call| call["time"].as_str()?.parse::<Timestamp>().ok());
    let times: Vec<_> = times.collect();
    let (first, last) = (times.iter().min().unwrap(), times.iter().max().unwrap());
    last.duration_since(*first).as_secs_f64()
}

async fn calls(cloud: &Cloud, after: u64) -> Vec<Value> {
    match cloud.simulator.get(&format!("calls?after={after}")).await {
        Value::Array(calls) => calls,
        one => vec![one],
    }
}

async fn last_line(cloud: &Cloud) -> u64 {
    calls(cloud, 0).await.iter().filter_map(|call| call["seq"].as_u64()).max().unwrap_or(0)
}

async fn actions(cloud: &Cloud, after: u64) -> BTreeMap<String, usize> {
    let mut all = BTreeMap::new();
    for call in calls(cloud, after).await {
        let outcome = call["error"]["code"].as_str().map_or_else(String::new, |code| format!(" ({code})"));
        if let Some(action) = call["action"].as_str() {
            *all.entry(format!("{action}{outcome}")).or_default() += 1;
        }
    }
    all
}

fn each(writes: &[Call], count: u32) -> BTreeMap<String, f64> {
    let mut all = BTreeMap::new();
    for write in writes {
        *all.entry(format!("{} {} {}", write.verb, write.resource, write.code)).or_insert(0.0) +=
            1.0 / f64::from(count);
    }
    all
}

/// What one of the processes has in memory, and had at most.
fn memory(cloud: &Cloud, of_controller: bool) -> String {
    let pid = if of_controller { cloud.operator.pid() } else { cloud.control_plane.pid() };
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let of = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        let kib: f64 = line.trim().trim_end_matches(" kB").parse().unwrap_or(f64::NAN);
        format!("{:.0} MiB", kib / 1024.0)
    };
    format!("{} ({} at most)", of("VmRSS:"), of("VmHWM:"))
}
