//! Real boots, on a real engine: `hack/ec2sim-real.sh` starts one and runs these.

use crate::registry::Registry;
use crate::sim::{RUN, Sim, until};
use base64::Engine;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::env::var;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Tells the registry something, from the machine.
const TELL: &str = "tell() { curl -fsS -X POST -H 'Authorization: Bearer t' -d '{}' \"$REGISTRY/$1\"; }\n";
/// Waits for the data volume and formats it if it is blank.
const DISK: &str = "until d=$(ls /dev/disk/by-id/*vol* 2>/dev/null); do sleep 0.1; done\n\
                    blkid \"$d\" || mkfs.ext4 -q \"$d\"\nmkdir -p /mnt/data\nmount \"$d\" /mnt/data\n";

/// A launch whose user-data is this script.
fn launch(registry: &str, script: &str, more: &str) -> String {
    let script = format!("#!/bin/sh\nset -e\nREGISTRY={registry}\n{TELL}{script}");
    let encoded = base64::engine::general_purpose::STANDARD.encode(script);
    let encoded: String = form_urlencoded::byte_serialize(encoded.as_bytes()).collect();
    format!("{RUN}&UserData={encoded}&{more}")
}

/// An image of a static busybox, as `docker save` would write it, named `box:1`.
fn image(path: &Path) {
    let busybox = std::fs::read(var("ATELIER_TEST_BUSYBOX").unwrap()).unwrap();
    let mut layer = tar::Builder::new(Vec::new());
    append(&mut layer, "bin/busybox", 0o755, &busybox);
    append(&mut layer, "index.html", 0o644, b"an agent");
    let layer = layer.into_inner().unwrap();
    let id = Sha256::digest(&layer).iter().fold(String::new(), |id, byte| format!("{id}{byte:02x}"));
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{id}")]},
    });
    let manifest = json!([{"Config": "config.json", "RepoTags": ["box:1"], "Layers": ["layer.tar"]}]);
    let mut archive = tar::Builder::new(std::fs::File::create(path).unwrap());
    append(&mut archive, "layer.tar", 0o644, &layer);
    append(&mut archive, "config.json", 0o644, config.to_string().as_bytes());
    append(&mut archive, "manifest.json", 0o644, manifest.to_string().as_bytes());
    archive.finish().unwrap();
}

fn append(tar: &mut tar::Builder<impl std::io::Write>, path: &str, mode: u32, bytes: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(mode);
    tar.append_data(&mut header, path, bytes).unwrap();
}

fn docker(arguments: &[&str]) -> String {
    let mut command = Command::new("docker");
    let output = command.env("DOCKER_HOST", engine()).args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn engine() -> String {
    var("ATELIER_TEST_DOCKER_HOST").unwrap()
}

async fn answers(address: &str) -> bool {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let response = client.get(format!("http://{address}:8000/")).send().await;
    match response {
        Ok(response) => response.text().await.is_ok_and(|text| text == "an agent"),
        Err(_) => false,
    }
}

async fn address(sim: &Sim, id: &str) -> String {
    let all = sim.json("instances").await;
    let one = all.as_array().unwrap().iter().find(|one| one["instanceId"] == id).unwrap();
    one["privateIpAddress"].as_str().unwrap().to_owned()
}

async fn attach(sim: &Sim, volume: &str, instance: &str) {
    let form = format!("Action=AttachVolume&VolumeId={volume}&InstanceId={instance}&Device=/dev/sdf");
    let attached = async || sim.call(&form).await.status == 200;
    until("the volume can be attached", attached).await;
}

#[tokio::test]
#[ignore = "needs ATELIER_TEST_DOCKER_HOST, ATELIER_TEST_VPC and ATELIER_TEST_BUSYBOX: hack/ec2sim-real.sh"]
async fn a_machine_lives_as_one_would_on_ec2() {
    let archive: PathBuf = std::env::temp_dir().join(format!("ec2sim-box-{}.tar", std::process::id()));
    image(&archive);
    let vpc = var("ATELIER_TEST_VPC").unwrap();
    let arguments =
        ["--no-limits", "--boot", "real", "--vpc-cidr", &vpc, "--image-archive", archive.to_str().unwrap()];
    let sim = Sim::start_with(&arguments, &[("DOCKER_HOST", &engine())]);
    let host = sim.announced["hostAddress"].as_str().unwrap();
    let (registry, url) = Registry::start_on(host).await;

    // User-data runs: it tells the registry from the machine's own address, and starts what must last.
    let script = format!(
        "tell begin\n{DISK}echo precious >/mnt/data/file\numount /mnt/data\n\
         docker run -d --restart unless-stopped -p 8000:8000 box:1 /bin/busybox httpd -f -p 8000 -h /\n\
         tell end\necho all is well\n"
    );
    let id = sim.call(&launch(&url, &script, "")).await.element("instanceId");
    let volume = sim.call("Action=CreateVolume&Size=1&AvailabilityZone=us-east-1a").await.element("volumeId");
    attach(&sim, &volume, &id).await;
    until("the agent answers", async || answers(&address(&sim, &id).await).await).await;
    until("the end of user-data", async || registry.count("POST /end") == 1).await;
    let own = address(&sim, &id).await;
    assert!(registry.seen().iter().all(|call| call.from == own), "{:?}", registry.seen());

    // It survives a stop, and runs no user-data again.
    sim.call(&format!("Action=StopInstances&InstanceId.1={id}")).await;
    sim.until_state(&id, "stopped").await;
    until("it is off", async || !answers(&own).await).await;
    sim.call(&format!("Action=StartInstances&InstanceId.1={id}")).await;
    until("the agent answers again", async || answers(&own).await).await;
    assert_eq!(address(&sim, &id).await, own);
    assert_eq!(registry.count("POST /begin"), 1);
    let console = sim.call(&format!("Action=GetConsoleOutput&InstanceId={id}&Latest=true")).await;
    let text = base64::engine::general_purpose::STANDARD.decode(console.element("output")).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert_eq!(text.matches("all is well").count(), 1, "{text}");
    assert_eq!(text.matches(" boots\n").count(), 2, "{text}");

    // The data outlives the machine.
    sim.call(&format!("Action=TerminateInstances&InstanceId.1={id}")).await;
    sim.until_state(&id, "terminated").await;
    let script = format!("{DISK}tell $(cat /mnt/data/file)\npoweroff\n");
    let form = launch(&url, &script, "InstanceInitiatedShutdownBehavior=terminate");
    let heir = sim.call(&form).await.element("instanceId");
    attach(&sim, &volume, &heir).await;
    until("the data", async || registry.count("POST /precious") == 1).await;

    // A shutdown from inside ends it, as its launch said.
    sim.until_state(&heir, "terminated").await;
    let all: Value = sim.json("instances").await;
    let reason = all.as_array().unwrap().iter().find(|one| one["instanceId"] == heir).unwrap();
    assert_eq!(reason["stateReason"]["code"], "Client.InstanceInitiatedShutdown");

    // Nothing is left.
    sim.end();
    std::fs::remove_file(&archive).unwrap();
    let label = format!("label=ec2sim={vpc}");
    for list in [&["ps", "--all"][..], &["volume", "ls"], &["network", "ls"]] {
        assert_eq!(docker(&[list, &["--quiet", "--filter", &label]].concat()), "", "{list:?}");
    }
}
