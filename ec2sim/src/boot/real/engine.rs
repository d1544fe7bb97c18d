//! The Docker engine that machines run on. The only file that names bollard's client.
#![expect(clippy::disallowed_types, reason = "this is the one file of the simulator that talks to an engine")]

use super::ami;
use bollard::Docker;
use bollard::errors::Error;
use bollard::exec::StartExecResults;
use bollard::models::{
    ContainerCreateBody, DeviceMapping, EndpointIpamConfig, EndpointSettings, ExecConfig, HostConfig,
    HostConfigCgroupnsModeEnum, Ipam, IpamConfig, NetworkCreateRequest, NetworkingConfig,
    VolumeCreateRequest,
};
use bollard::query_parameters::{
    CreateContainerOptions, CreateImageOptions, ListContainersOptions, ListNetworksOptions,
    ListVolumesOptions, LogsOptions, RemoveContainerOptions, RemoveVolumeOptions, StopContainerOptions,
    UploadToContainerOptions,
};
use futures::{Stream, StreamExt, TryStreamExt};
use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::world::catalog::Cidr;

const IMAGE: &str = "ec2sim-ami";
const LABEL: &str = "ec2sim";
/// Seconds that a machine has to shut down before it is switched off.
const GRACE: i32 = 20;
/// What a machine needs to run a container engine of its own.
const CAPABILITIES: [&str; 3] = ["SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE"];
/// How long an address may take to become free, and what the engine says meanwhile.
const ADDRESS_FREE: Duration = Duration::from_secs(60);
const IN_USE: &str = "already in use";
/// Loop devices, by their major number.
const LOOPS: &str = "b 7:* rwm";

/// One network on one engine, and everything of ours there.
pub struct Engine {
    docker: Docker,
    vpc: Cidr,
    /// Archives of container images that every machine has.
    archives: Vec<PathBuf>,
}

/// Why the engine did not do what was asked, for people.
pub type Failure = String;

fn told(what: &str) -> impl Fn(Error) -> Failure {
    move |error| format!("{what}: {error}")
}

impl Engine {
    /// The engine at `DOCKER_HOST`. What an earlier simulator left there for the same network is removed; the
    /// image, the network and the host of volumes are made.
    pub async fn prepare(vpc: Cidr, archives: Vec<PathBuf>) -> Result<Self, Failure> {
        let docker = Docker::connect_with_defaults().map_err(told("no Docker engine"))?;
        let engine = Self { docker, vpc, archives };
        let archive = ami::archive().map_err(|error| error.to_string())?;
        let options =
            CreateImageOptions { from_src: Some("-".into()), repo: Some(IMAGE.into()), ..Default::default() };
        let body = bollard::body_full(archive.into());
        let made = engine.docker.create_image(Some(options), Some(body), None);
        made.try_for_each(async |_| Ok(())).await.map_err(told("the machine image cannot be made"))?;
        engine.clean().await?;
        engine.make_network().await?;
        engine.make_host().await?;
        Ok(engine)
    }

    /// Removes everything of ours.
    pub async fn clean(&self) -> Result<(), Failure> {
        let all = self.containers().await?;
        for name in all.iter().filter(|name| **name != self.host()) {
            self.remove(name).await?;
        }
        // Once no machine holds them.
        if all.contains(&self.host()) || self.volumes().await?.contains(&self.disks()) {
            self.make_host().await?;
            self.exec(&self.host(), &["/bin/sh", "-c", RELEASE_ALL]).await?;
            self.remove(&self.host()).await?;
        }
        for name in self.volumes().await? {
            let options = Some(RemoveVolumeOptions { force: true });
            self.docker.remove_volume(&name, options).await.map_err(told("a volume cannot be removed"))?;
        }
        let options = ListNetworksOptions { filters: Some(self.ours()) };
        let networks = self.docker.list_networks(Some(options)).await.map_err(told("list networks"))?;
        for id in networks.into_iter().filter_map(|network| network.id) {
            self.docker.remove_network(&id).await.map_err(told("the network cannot be removed"))?;
        }
        Ok(())
    }

    /// Makes a machine that is not started.
    pub async fn make_machine(
        &self,
        instance: &str,
        address: Ipv4Addr,
        user_data: Option<&[u8]>,
    ) -> Result<(), Failure> {
        let docker_root = format!("{}-docker", name_of(instance));
        self.make_volume(&docker_root).await?;
        let mut config = Self::host_config();
        let binds = config.binds.get_or_insert_default();
        binds.push(format!("{docker_root}:/var/lib/docker"));
        for (i, archive) in self.archives.iter().enumerate() {
            binds.push(format!("{}:/ec2sim/images/{i}:ro", archive.display()));
        }
        config.network_mode = Some(self.network());
        let endpoint = EndpointSettings {
            ipam_config: Some(EndpointIpamConfig {
                ipv4_address: Some(address.to_string()),
                ..EndpointIpamConfig::default()
            }),
            ..EndpointSettings::default()
        };
        let [a, b, c, d] = address.octets();
        let body = ContainerCreateBody {
            hostname: Some(format!("ip-{a}-{b}-{c}-{d}")),
            entrypoint: Some(vec![ami::INIT.into()]),
            networking_config: Some(NetworkingConfig {
                endpoints_config: Some(HashMap::from([(self.network(), endpoint)])),
            }),
            host_config: Some(config),
            ..self.body()
        };
        self.create(&name_of(instance), body).await?;
        let archive = ami::user_data(user_data.unwrap_or_default()).map_err(|error| error.to_string())?;
        let options = UploadToContainerOptions { path: "/".into(), ..UploadToContainerOptions::default() };
        self.docker
            .upload_to_container(&name_of(instance), Some(options), bollard::body_full(archive.into()))
            .await
            .map_err(told("user-data cannot be put into the machine"))
    }

    /// Starts a machine. Waits while another that is just being removed still has its address.
    pub async fn start(&self, instance: &str) -> Result<(), Failure> {
        let deadline = Instant::now() + ADDRESS_FREE;
        loop {
            match self.docker.start_container(&name_of(instance), None).await {
                Err(error) if error.to_string().contains(IN_USE) && Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                started => return started.map_err(told("the machine does not start")),
            }
        }
    }

    /// Shuts a machine down, or switches it off if it takes too long.
    pub async fn stop(&self, instance: &str) -> Result<(), Failure> {
        let options = StopContainerOptions { t: Some(GRACE), ..StopContainerOptions::default() };
        self.docker
            .stop_container(&name_of(instance), Some(options))
            .await
            .map_err(told("the machine does not stop"))
    }

    /// Removes a machine with all that it wrote.
    pub async fn erase(&self, instance: &str) -> Result<(), Failure> {
        self.remove(&name_of(instance)).await?;
        let volume = format!("{}-docker", name_of(instance));
        let options = Some(RemoveVolumeOptions { force: true });
        self.docker
            .remove_volume(&volume, options)
            .await
            .map_err(told("the machine's disk cannot be removed"))
    }

    /// What a machine writes to its console, from its first boot on, until it is off.
    pub fn console(&self, instance: &str) -> impl Stream<Item = Vec<u8>> + use<> {
        let options = LogsOptions { follow: true, stdout: true, stderr: true, ..LogsOptions::default() };
        let pieces = self.docker.logs(&name_of(instance), Some(options));
        pieces.filter_map(async |piece| piece.ok().map(|piece| piece.into_bytes().to_vec()))
    }

    /// Whether a machine is on. Where the engine does not say: yes.
    pub async fn is_on(&self, instance: &str) -> bool {
        let seen = self.docker.inspect_container(&name_of(instance), None).await;
        seen.ok().and_then(|seen| seen.state?.running).unwrap_or(true)
    }

    /// Runs something in a machine that is on; its output.
    pub async fn run_in(&self, instance: &str, command: &[&str]) -> Result<String, Failure> {
        self.exec(&name_of(instance), command).await
    }

    /// Runs something on the host of the volumes; its output.
    pub async fn run_on_host(&self, command: &[&str]) -> Result<String, Failure> {
        self.exec(&self.host(), command).await
    }

    async fn exec(&self, container: &str, command: &[&str]) -> Result<String, Failure> {
        let config = ExecConfig {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(command.iter().map(|&word| word.to_owned()).collect()),
            ..ExecConfig::default()
        };
        let exec = self.docker.create_exec(container, config).await.map_err(told("exec"))?;
        let mut text = String::new();
        if let StartExecResults::Attached { mut output, .. } =
            self.docker.start_exec(&exec.id, None).await.map_err(told("exec"))?
        {
            while let Some(piece) = output.try_next().await.map_err(told("exec"))? {
                text.push_str(&piece.to_string());
            }
        }
        let ended = self.docker.inspect_exec(&exec.id).await.map_err(told("exec"))?;
        match ended.exit_code {
            Some(0) => Ok(text.trim().to_owned()),
            code => Err(format!("`{}` ended with {code:?}: {}", command.join(" "), text.trim())),
        }
    }

    async fn make_network(&self) -> Result<(), Failure> {
        let ipam = IpamConfig {
            subnet: Some(self.vpc.to_string()),
            gateway: Some(self.vpc.at(1).to_string()),
            ..IpamConfig::default()
        };
        let request = NetworkCreateRequest {
            name: self.network(),
            ipam: Some(Ipam { config: Some(vec![ipam]), ..Ipam::default() }),
            labels: Some(self.labels()),
            ..NetworkCreateRequest::default()
        };
        let made = self.docker.create_network(request).await;
        made.map(|_| ()).map_err(told("the network cannot be made; take another --vpc-cidr"))
    }

    /// What keeps the files of the data volumes and gives them to machines as loop devices.
    async fn make_host(&self) -> Result<(), Failure> {
        self.remove(&self.host()).await?;
        self.make_volume(&self.disks()).await?;
        let mut config = Self::host_config();
        config.binds.get_or_insert_default().push(format!("{}:/ec2sim/volumes", self.disks()));
        config.network_mode = Some("none".into());
        let control = "/dev/loop-control".to_owned();
        config.devices = Some(vec![DeviceMapping {
            path_on_host: Some(control.clone()),
            path_in_container: Some(control),
            cgroup_permissions: Some("rwm".into()),
        }]);
        let body = ContainerCreateBody {
            entrypoint: Some(vec!["/bin/sleep".into(), "infinity".into()]),
            host_config: Some(config),
            ..self.body()
        };
        self.create(&self.host(), body).await?;
        let started = self.docker.start_container(&self.host(), None).await;
        started.map_err(told("the host of the volumes does not start"))?;
        self.exec(&self.host(), &["/bin/sh", "-c", LOOP_NODES]).await.map(|_| ())
    }

    async fn make_volume(&self, name: &str) -> Result<(), Failure> {
        let request = VolumeCreateRequest {
            name: Some(name.to_owned()),
            labels: Some(self.labels()),
            ..VolumeCreateRequest::default()
        };
        let made = self.docker.create_volume(request).await;
        made.map(|_| ()).map_err(told("a volume cannot be made"))
    }

    async fn create(&self, name: &str, body: ContainerCreateBody) -> Result<(), Failure> {
        let options =
            CreateContainerOptions { name: Some(name.to_owned()), ..CreateContainerOptions::default() };
        let made = self.docker.create_container(Some(options), body).await;
        made.map(|_| ()).map_err(told("the machine cannot be made"))
    }

    async fn remove(&self, name: &str) -> Result<(), Failure> {
        let options = RemoveContainerOptions { force: true, v: true, ..RemoveContainerOptions::default() };
        match self.docker.remove_container(name, Some(options)).await {
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(()),
            removed => removed.map_err(told("a machine cannot be removed")),
        }
    }

    async fn containers(&self) -> Result<Vec<String>, Failure> {
        let options = ListContainersOptions {
            all: true,
            filters: Some(self.ours()),
            ..ListContainersOptions::default()
        };
        let all = self.docker.list_containers(Some(options)).await.map_err(told("list containers"))?;
        let names = all.into_iter().filter_map(|one| one.names?.into_iter().next());
        Ok(names.map(|name| name.trim_start_matches('/').to_owned()).collect())
    }

    async fn volumes(&self) -> Result<Vec<String>, Failure> {
        let options = ListVolumesOptions { filters: Some(self.ours()) };
        let all = self.docker.list_volumes(Some(options)).await.map_err(told("list volumes"))?;
        Ok(all.volumes.unwrap_or_default().into_iter().map(|volume| volume.name).collect())
    }

    fn body(&self) -> ContainerCreateBody {
        ContainerCreateBody {
            image: Some(IMAGE.into()),
            env: Some(vec!["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin".into()]),
            labels: Some(self.labels()),
            ..ContainerCreateBody::default()
        }
    }

    fn host_config() -> HostConfig {
        let binds =
            ["/usr:/usr:ro", "/etc/alternatives:/etc/alternatives:ro", "/etc/ssl:/etc/ssl:ro", CGROUPS];
        HostConfig {
            binds: Some(binds.map(str::to_owned).to_vec()),
            tmpfs: Some(HashMap::from([("/run".into(), String::new())])),
            cap_add: Some(CAPABILITIES.map(str::to_owned).to_vec()),
            security_opt: Some(vec!["seccomp=unconfined".into(), "apparmor=unconfined".into()]),
            cgroupns_mode: Some(HostConfigCgroupnsModeEnum::HOST),
            device_cgroup_rules: Some(vec![LOOPS.into()]),
            ..HostConfig::default()
        }
    }

    fn labels(&self) -> HashMap<String, String> {
        HashMap::from([(LABEL.into(), self.vpc.to_string())])
    }

    fn ours(&self) -> HashMap<String, Vec<String>> {
        HashMap::from([("label".into(), vec![format!("{LABEL}={}", self.vpc)])])
    }

    fn slug(&self) -> String {
        self.vpc.to_string().replace('/', "-")
    }

    fn network(&self) -> String {
        format!("ec2sim-{}", self.slug())
    }

    fn host(&self) -> String {
        format!("ec2sim-{}-host", self.slug())
    }

    fn disks(&self) -> String {
        format!("ec2sim-{}-disks", self.slug())
    }
}

const CGROUPS: &str = "/sys/fs/cgroup:/sys/fs/cgroup";
/// A container has only the nodes that there were when it was made.
const LOOP_NODES: &str =
    "n=0; while [ $n -lt 64 ]; do [ -b /dev/loop$n ] || mknod /dev/loop$n b 7 $n; n=$((n+1)); done";
const RELEASE_ALL: &str = "for f in /ec2sim/volumes/*; do \
                           losetup -j \"$f\" | cut -d: -f1 | while read -r d; do losetup -d \"$d\"; done; done";

fn name_of(instance: &str) -> String {
    format!("ec2sim-{instance}")
}
