//! How much the operator costs: a Team of seven against a bare loop of the same Docker calls.

#![expect(clippy::disallowed_types, reason = "the bare loop is what the operator is compared with")]

use crate::support::operator::Operator;
use crate::support::scene::Scene;
use crate::team::team;
use atelier::api::{Team, names};
use bollard::Docker;
use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, EndpointSettings, NetworkCreateRequest, NetworkingConfig,
    VolumeCreateRequest,
};
use bollard::query_parameters::{
    CreateContainerOptions, DownloadFromContainerOptions, RemoveContainerOptions, RemoveVolumeOptions,
    UploadToContainerOptions,
};
use futures::TryStreamExt;
use futures::future::{join_all, try_join_all};
use k8s_openapi::jiff::Timestamp;
use std::collections::HashMap;

trials![seven_containers_through_a_team_and_bare];

const ROUNDS: usize = 9;
/// How much slower than the bare loop is still well.
const AIM: f64 = 1.25;

/// A box to make again without the operator.
struct Sample {
    made: ContainerInspectResponse,
    files: Vec<u8>,
}

async fn seven_containers_through_a_team_and_bare() {
    let scene = Scene::new("bench").await;
    scene.apply_config(scene.config()).await;
    let mut operator = scene.unready_operator(&[]);
    operator.ready().await;
    operator.until_it_leads().await;
    let docker = Docker::connect_with_unix(&scene.engine().host, 120, bollard::API_DEFAULT_VERSION).unwrap();

    // Not counted: it warms both sides up, and shows what the bare loop has to make.
    scene.apply_team("studio", team(7)).await;
    scene.until_team_ready("studio").await;
    let samples = samples(&scene, &docker).await;
    scene.delete::<Team>("studio").await;
    scene.until_nothing_is_left().await;
    bare(&docker, &samples).await;

    let (mut ratios, mut bares, mut teams, mut connected) = (vec![], vec![], vec![], vec![]);
    let cpu_before = operator.cpu_seconds();
    for round in 1..=ROUNDS {
        let alone = bare(&docker, &samples).await;
        let (running, all_connected) = through_a_team(&scene).await;
        println!("round {round}: bare {alone:.2} s, Team {running:.2} s, connected {all_connected:.2} s");
        ratios.push(running / alone);
        bares.push(alone);
        teams.push(running);
        connected.push(all_connected);
    }
    let cpu = (operator.cpu_seconds() - cpu_before) / f64::from(u32::try_from(ROUNDS).unwrap());
    println!("bare loop to seven running      {}", spread(&mut bares, "s"));
    println!("Team applied to seven running   {}", spread(&mut teams, "s"));
    println!("Team applied to seven connected {}", spread(&mut connected, "s"));
    println!("ratio to the bare loop          {}   (aim: at most {AIM})", spread(&mut ratios, ""));
    println!("the operator: {:.1} MiB resident, {cpu:.2} CPU seconds a round", operator.resident_mib());
}

/// Seconds from the apply until the last of seven boxes was started, by the engine's clock, and until all
/// were connected.
async fn through_a_team(scene: &Scene) -> (f64, f64) {
    let began = Timestamp::now();
    scene.apply_team("studio", team(7)).await;
    scene.until_team_ready("studio").await;
    let connected = seconds(began, Timestamp::now());
    let starts = scene.containers().into_iter().map(|c| c.started_at);
    let running = last(starts, began);
    scene.delete::<Team>("studio").await;
    scene.until_nothing_is_left().await;
    (running, connected)
}

/// The boxes of a Team as they were made, and what was uploaded into them.
async fn samples(scene: &Scene, docker: &Docker) -> Vec<Sample> {
    let sample = async |id: String| {
        let made = docker.inspect_container(&id, None).await.unwrap();
        let options = DownloadFromContainerOptions { path: "/configs/.".into() };
        let files: Vec<_> = docker.download_from_container(&id, Some(options)).try_collect().await.unwrap();
        Sample { made, files: files.concat() }
    };
    join_all(scene.containers().into_iter().map(|c| sample(c.id))).await
}

/// Seconds until the last of the boxes was started, each with its volumes, files and start, all in parallel.
async fn bare(docker: &Docker, samples: &[Sample]) -> f64 {
    let began = Timestamp::now();
    let network = NetworkCreateRequest { name: "bare".into(), ..NetworkCreateRequest::default() };
    let network = docker.create_network(network).await.unwrap().id;
    let made = samples.iter().enumerate().map(|(n, sample)| make(docker, n, sample, &network));
    let made: Vec<ContainerInspectResponse> = try_join_all(made).await.unwrap();
    let starts = made.iter().map(|m| m.state.as_ref().and_then(|s| s.started_at.clone()).unwrap());
    let took = last(starts, began);
    for (n, made) in made.iter().enumerate() {
        let options = RemoveContainerOptions { force: true, ..RemoveContainerOptions::default() };
        docker.remove_container(made.id.as_deref().unwrap(), Some(options)).await.unwrap();
        for volume in volumes(n) {
            docker.remove_volume(&volume, None::<RemoveVolumeOptions>).await.unwrap();
        }
    }
    docker.remove_network(&network).await.unwrap();
    took
}

fn volumes(n: usize) -> [String; 2] {
    [format!("bare-{n}-configs"), format!("bare-{n}-workspace")]
}

async fn make(
    docker: &Docker,
    n: usize,
    sample: &Sample,
    network: &str,
) -> Result<ContainerInspectResponse, bollard::errors::Error> {
    let own = volumes(n);
    let volume =
        |name: &str| VolumeCreateRequest { name: Some(name.to_owned()), ..VolumeCreateRequest::default() };
    futures::try_join!(docker.create_volume(volume(&own[0])), docker.create_volume(volume(&own[1])))?;
    let config = sample.made.config.clone().unwrap_or_default();
    let mut host = sample.made.host_config.clone().unwrap_or_default();
    host.network_mode = Some(network.to_owned());
    for mount in host.mounts.iter_mut().flatten() {
        let is_configs = mount.target.as_deref() == Some("/configs");
        mount.source = Some(own[usize::from(!is_configs)].clone());
    }
    let alias = EndpointSettings {
        aliases: config.hostname.clone().map(|name| vec![name]),
        ..EndpointSettings::default()
    };
    let mut labels = config.labels.unwrap_or_default();
    // Not the operator's: it would remove what it does not know.
    labels.remove(names::CONTROLLER);
    let body = ContainerCreateBody {
        hostname: config.hostname,
        image: config.image,
        entrypoint: config.entrypoint,
        cmd: config.cmd,
        env: config.env,
        exposed_ports: config.exposed_ports,
        labels: Some(labels),
        host_config: Some(host),
        networking_config: Some(NetworkingConfig {
            endpoints_config: Some(HashMap::from([(network.to_owned(), alias)])),
        }),
        ..ContainerCreateBody::default()
    };
    let options =
        CreateContainerOptions { name: Some(format!("bare-{n}")), ..CreateContainerOptions::default() };
    let id = docker.create_container(Some(options), body).await?.id;
    let into = UploadToContainerOptions { path: "/configs".into(), ..UploadToContainerOptions::default() };
    let files = bollard::body_full(sample.files.clone().into());
    docker.upload_to_container(&id, Some(into), files).await?;
    docker.start_container(&id, None).await?;
    docker.inspect_container(&id, None).await
}

/// Seconds from a time to the last of these.
fn last(starts: impl Iterator<Item = String>, began: Timestamp) -> f64 {
    let last = starts.map(|start| start.parse::<Timestamp>().unwrap()).max().unwrap();
    seconds(began, last)
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64()
}

/// The median, and from where to where.
fn spread(values: &mut [f64], unit: &str) -> String {
    values.sort_by(f64::total_cmp);
    let (median, first, last) = (values[values.len() / 2], values[0], values[values.len() - 1]);
    format!("median {median:.2} {unit} ({first:.2} to {last:.2})")
}

impl Operator {
    /// Seconds of CPU that it has used.
    fn cpu_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        // The name in brackets may hold blanks; user and system time are the 12th and 13th after it.
        let ticks = stat.rsplit(") ").next().unwrap().split(' ').skip(11).take(2);
        ticks.map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>() / 100.0
    }

    /// Its resident memory.
    fn resident_mib(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
    }
}
