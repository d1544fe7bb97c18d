//! The question to the control plane that comes before every launch: who it is, and what it would let us launch.

use super::cloud::{Cloud, Ec2Endpoint};
use super::{fault, request};
use crate::api::workspace::{Backend, Ec2World, PlacementRecord};
use crate::backend::{BackendError, ErrorKind, Preflight};
use atelier_wire::control_plane::{LaunchSpec, PreflightOrder, PreflightReply};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

/// How far the control plane's clock may be from ours: `not_after` is compared by its clock.
const SKEW: SignedDuration = SignedDuration::from_secs(5);
/// What is said of a launch that was tried without launching.
const DURING: &str = "a launch that was only tried";

/// Whether a problem comes and goes with what EC2 has to give.
fn is_passing(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::NoCapacity
            | ErrorKind::SubnetFull
            | ErrorKind::VcpuLimit
            | ErrorKind::Throttled
            | ErrorKind::Busy
    )
}

impl Cloud {
    /// Asks the control plane who it is, and whether what would be launched may be.
    pub(crate) async fn preflight(&self) -> Result<Preflight, BackendError> {
        let answer = self.ask().await;
        let mut state = self.state();
        match answer {
            Ok(reply) => {
                let world = Ec2World { account_id: reply.account_id, region: reply.region };
                state.zones = reply.zones;
                state.world = Some(world.clone());
                if state.refused.take().is_some() || state.away.is_some() {
                    self.soon().notify_one();
                }
                let record = PlacementRecord { backend: Backend::Ec2, docker: None, ec2: Some(world) };
                Ok(Preflight { version: reply.version, record })
            }
            Err(error) => {
                let is_new = state.refused.replace(error.clone()).is_none() && state.away.is_none();
                if is_new && error.is_about_backend() {
                    // All that have instances are told as soon as the list has failed as well.
                    self.soon().notify_one();
                }
                Err(error)
            }
        }
    }

    async fn ask(&self) -> Result<PreflightReply, BackendError> {
        let asked = Timestamp::now();
        let endpoint = self.state().endpoint.clone();
        let url = &endpoint.control_plane.url;
        let launches = dry_launches(&endpoint);
        let order = PreflightOrder { cluster_id: self.cluster().to_owned(), launches };
        let reply = self.client()?.preflight(&order).await?;
        let answered = Timestamp::now();
        if reply.region != endpoint.spec.region {
            let detail = format!(
                "the control plane at {url} launches in {}, and spec.ec2.region says {}",
                reply.region, endpoint.spec.region,
            );
            return Err(BackendError::new(ErrorKind::WrongBackend, detail));
        }
        let clock: Option<Timestamp> = reply.now.parse().ok();
        if !clock.is_some_and(|clock| clock >= asked - SKEW && clock <= answered + SKEW) {
            let detail = format!(
                "the clock of the control plane at {url} says {}, and ours {answered}: over 5 s apart, no launch is \
                 sent; set both by NTP",
                reply.now
            );
            return Err(BackendError::new(ErrorKind::Failed, detail));
        }
        // What is short today may be there tomorrow, and each launch says so for itself.
        let problems = reply.problems.iter().map(|problem| fault::error(DURING, 400, problem));
        let problems: Vec<_> = problems.filter(|problem| !is_passing(problem.kind)).collect();
        let Some(first) = problems.first() else { return Ok(reply) };
        let all: Vec<_> = problems.iter().map(|problem| problem.detail.as_str()).collect();
        let kind = match first.kind {
            ErrorKind::Denied => ErrorKind::Unauthorized,
            ErrorKind::Refused => ErrorKind::Invalid,
            kind => kind,
        };
        Err(BackendError::new(kind, all.join("; ")))
    }
}

/// The launches that preflight asks about: each type and AMI in the first subnet, and the first type in the
/// other subnets. Every combination would cost more calls than a launch.
fn dry_launches(endpoint: &Ec2Endpoint) -> Vec<LaunchSpec> {
    let spec = &endpoint.spec;
    let amis: Vec<&String> = spec.ami_id.iter().chain(&endpoint.amis).collect();
    let types: Vec<&String> = spec.instance_types.iter().flat_map(|t| &t.types).collect();
    let mut launches: Vec<LaunchSpec> = Vec::new();
    let mut add = |ami: &String, instance_type: &String, subnet: &String| {
        let launch = LaunchSpec {
            ami_id: ami.clone(),
            subnet_id: subnet.clone(),
            instance_type: instance_type.clone(),
            security_group_ids: spec.security_group_ids.clone(),
            instance_profile_name: spec.instance_profile_name.clone(),
            root_volume: request::volume(&spec.root_volume),
            tags: BTreeMap::new(),
        };
        if !launches.contains(&launch) {
            launches.push(launch);
        }
    };
    if let (Some(&ami), Some(&first_type), Some(subnet)) =
        (amis.first(), types.first(), spec.subnet_ids.first())
    {
        for instance_type in types {
            add(ami, instance_type, subnet);
        }
        for ami in amis {
            add(ami, first_type, subnet);
        }
        for subnet in &spec.subnet_ids {
            add(ami, first_type, subnet);
        }
    }
    launches
}
