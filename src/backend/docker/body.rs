//! The body of a create: the container plan in the engine's terms.

use crate::backend::archive::Owner;
use crate::backend::{A2A_PORT, ContainerPlan, Contents};
use bollard::models::{
    ContainerCreateBody, EndpointSettings, HostConfig, HostConfigLogConfig, Mount, MountType,
    MountVolumeOptions, NetworkingConfig, PortBinding, RestartPolicy, RestartPolicyNameEnum,
};
use std::collections::HashMap;

const MIB: i64 = 1024 * 1024;
/// The folder of the configuration.
pub(super) const CONFIGS: &str = atelier_wire::contract::CONFIG_DIR;
/// The folder of the agent's data.
pub(super) const WORKSPACE: &str = "/workspace";
/// What an image that starts as root and steps down needs: to own and read its files, and to step down.
const ROOT_NEEDS: [&str; 4] = ["CHOWN", "DAC_OVERRIDE", "SETUID", "SETGID"];

/// What the engine knows and the plan does not.
pub(super) struct Site<'a> {
    /// The id of the network to attach to.
    pub(super) network: &'a str,
    /// The address on which the agent's port is published.
    pub(super) publish_address: &'a str,
    /// The engine's socket on its own host.
    pub(super) socket: &'a str,
    /// All labels.
    pub(super) labels: HashMap<String, String>,
    /// The image's user.
    pub(super) user: &'a ImageUser,
}

/// The user that an image starts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ImageUser {
    /// Root, which most images step down from.
    Root,
    /// A user by number.
    Number(Owner),
    /// A user by name: only the image knows the number.
    Name,
}

impl ImageUser {
    /// Reads an image's `USER`: `user`, `user:group`, or nothing for root.
    pub(super) fn parse(user: &str) -> Self {
        let (user, group) = user.split_once(':').unwrap_or((user, ""));
        match user.parse() {
            Ok(0) => Self::Root,
            Ok(uid) => Self::Number(Owner { uid, gid: group.parse().unwrap_or(uid) }),
            Err(_) if user.is_empty() || user == "root" => Self::Root,
            Err(_) => Self::Name,
        }
    }

    /// Who is to own the files under `/configs`.
    pub(super) fn owner(self) -> Owner {
        match self {
            Self::Number(owner) => owner,
            Self::Root | Self::Name => Owner::STEPPED_DOWN,
        }
    }
}

/// The whole request.
pub(super) fn body(plan: &ContainerPlan, contents: &Contents, site: Site<'_>) -> ContainerCreateBody {
    let endpoint =
        EndpointSettings { aliases: Some(vec![plan.alias.clone()]), ..EndpointSettings::default() };
    // A command replaces the image's entrypoint as well: it is the whole command line.
    let (entrypoint, command) = match plan.command.split_first() {
        Some((program, arguments)) => (Some(vec![program.clone()]), Some(arguments.to_vec())),
        None => (None, None),
    };
    ContainerCreateBody {
        hostname: Some(plan.alias.clone()),
        image: Some(plan.image.clone()),
        entrypoint,
        cmd: command,
        env: Some(contents.env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        exposed_ports: Some(vec![port()]),
        host_config: Some(host_config(plan, &site)),
        networking_config: Some(NetworkingConfig {
            endpoints_config: Some(HashMap::from([(site.network.to_owned(), endpoint)])),
        }),
        labels: Some(site.labels),
        ..ContainerCreateBody::default()
    }
}

/// The agent's port in the engine's notation.
pub(super) fn port() -> String {
    format!("{A2A_PORT}/tcp")
}

fn host_config(plan: &ContainerPlan, site: &Site<'_>) -> HostConfig {
    let published =
        PortBinding { host_ip: Some(site.publish_address.to_owned()), host_port: Some(String::new()) };
    let memory = plan.memory_mib.saturating_mul(MIB);
    let log_limits = [("max-size", "10m"), ("max-file", "2")];
    let mut config = HostConfig {
        memory: Some(memory),
        // The same as the memory: no swap.
        memory_swap: Some(memory),
        nano_cpus: Some(plan.cpu_milli.saturating_mul(1_000_000)),
        pids_limit: Some(plan.pids_limit),
        init: Some(true),
        network_mode: Some(site.network.to_owned()),
        port_bindings: Some(HashMap::from([(port(), Some(vec![published]))])),
        extra_hosts: Some(vec!["host.docker.internal:host-gateway".into()]),
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::NO),
            maximum_retry_count: None,
        }),
        log_config: Some(HostConfigLogConfig {
            typ: Some("json-file".into()),
            config: Some(log_limits.map(|(k, v)| (k.to_owned(), v.to_owned())).into()),
        }),
        mounts: Some(mounts(plan, site)),
        ..HostConfig::default()
    };
    if plan.read_only_root {
        config.readonly_rootfs = Some(true);
        config.tmpfs =
            Some(HashMap::from([("/tmp".into(), "size=64m,mode=1777,noexec,nosuid,nodev".into())]));
    }
    if plan.privileged {
        config.privileged = Some(true);
    } else {
        config.cap_drop = Some(vec!["ALL".into()]);
        config.security_opt = Some(vec!["no-new-privileges".into()]);
        if *site.user == ImageUser::Root {
            config.cap_add = Some(ROOT_NEEDS.map(str::to_owned).into());
        }
    }
    config
}

fn mounts(plan: &ContainerPlan, site: &Site<'_>) -> Vec<Mount> {
    let volume = |name: &str, target: &str, no_copy: bool| Mount {
        typ: Some(MountType::VOLUME),
        source: Some(name.to_owned()),
        target: Some(target.to_owned()),
        volume_options: Some(MountVolumeOptions { no_copy: Some(no_copy), ..MountVolumeOptions::default() }),
        ..Mount::default()
    };
    let mut mounts = vec![
        // What the image has there would mix with what is uploaded.
        volume(&plan.configs_volume, CONFIGS, true),
        volume(&plan.workspace_volume, WORKSPACE, false),
    ];
    if plan.engine_socket {
        mounts.push(Mount {
            typ: Some(MountType::BIND),
            source: Some(site.socket.to_owned()),
            target: Some("/var/run/docker.sock".into()),
            ..Mount::default()
        });
    }
    mounts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::backend_config::{Runtime, TierPolicy};
    use crate::api::names;
    use crate::api::workspace::Tier;
    use crate::backend::BoxOrder;

    fn rendered(
        tier: Tier,
        granted: Option<&TierPolicy>,
        command: &[&str],
        user: ImageUser,
    ) -> ContainerCreateBody {
        let runtime = Runtime {
            image: "agent:1".into(),
            command: command.iter().map(|c| (*c).to_owned()).collect(),
            ..Runtime::default()
        };
        let plan = ContainerPlan::new(&BoxOrder {
            uid: "0f8fad5b-d9cb-469f-a165-70867728950e",
            namespace: "ns",
            name: "w",
            attempt: 2,
            spec_hash: "h",
            network_of: "t",
            tier,
            granted,
            runtime: &runtime,
            ca_bundle: None,
            recorded: None,
            zone: None,
            platform_url: "http://host.docker.internal:8090",
            retain: false,
        });
        let contents = Contents { env: [("A".to_owned(), "1=2".to_owned())].into(), ..Contents::default() };
        let site = Site {
            network: "net",
            publish_address: "127.0.0.1",
            socket: "/s",
            labels: HashMap::from([(names::UID.into(), "u".into())]),
            user: &user,
        };
        body(&plan, &contents, site)
    }

    fn host(tier: Tier, granted: Option<&TierPolicy>, user: ImageUser) -> HostConfig {
        rendered(tier, granted, &[], user).host_config.expect("a host config")
    }

    #[test]
    fn a_plain_box_has_no_rights_and_its_limits() {
        let host = host(Tier::T2, None, ImageUser::Name);
        assert_eq!(host.cap_drop, Some(vec!["ALL".into()]));
        assert_eq!(host.cap_add, None);
        assert_eq!(host.security_opt, Some(vec!["no-new-privileges".into()]));
        assert_eq!(host.privileged, None);
        assert_eq!(host.readonly_rootfs, None);
        assert_eq!((host.memory, host.memory_swap), (Some(512 * MIB), Some(512 * MIB)));
        assert_eq!(host.nano_cpus, Some(1_000_000_000));
        assert_eq!(host.pids_limit, Some(1024));
        assert_eq!(host.init, Some(true));
        assert_eq!(host.restart_policy.and_then(|p| p.name), Some(RestartPolicyNameEnum::NO));
        assert_eq!(host.network_mode.as_deref(), Some("net"));
        assert_eq!(host.extra_hosts, Some(vec!["host.docker.internal:host-gateway".into()]));
        let binding = host.port_bindings.unwrap().remove("8000/tcp").flatten().unwrap().remove(0);
        assert_eq!((binding.host_ip.as_deref(), binding.host_port.as_deref()), (Some("127.0.0.1"), Some("")));
        let mounts: Vec<_> =
            host.mounts.unwrap().into_iter().map(|m| (m.source.unwrap(), m.target.unwrap())).collect();
        let expected =
            [("ws-0f8fad5bd9cb-2-configs", "/configs"), ("ws-0f8fad5bd9cb-workspace", "/workspace")];
        assert_eq!(mounts, expected.map(|(s, t)| (s.to_owned(), t.to_owned())));
    }

    #[test]
    fn an_image_that_starts_as_root_can_step_down_and_no_more() {
        let host = host(Tier::T2, None, ImageUser::Root);
        assert_eq!(host.cap_drop, Some(vec!["ALL".into()]));
        assert_eq!(host.cap_add, Some(ROOT_NEEDS.map(str::to_owned).into()));
    }

    #[test]
    fn the_first_tier_cannot_write_its_root() {
        let host = host(Tier::T1, None, ImageUser::Name);
        assert_eq!(host.readonly_rootfs, Some(true));
        let tmp = &host.tmpfs.unwrap()["/tmp"];
        assert!(tmp.contains("size=64m") && tmp.contains("noexec"), "{tmp}");
    }

    #[test]
    fn the_upper_tiers_get_what_was_granted_and_no_more() {
        let grant =
            |privileged, engine_socket| TierPolicy { privileged, engine_socket, ..TierPolicy::default() };
        let plain = host(Tier::T4, None, ImageUser::Root);
        assert_eq!((plain.privileged, plain.mounts.unwrap().len()), (None, 2));
        let machine = host(Tier::T3, Some(&grant(true, false)), ImageUser::Root);
        assert_eq!(
            (machine.privileged, machine.cap_drop, machine.mounts.unwrap().len()),
            (Some(true), None, 2)
        );
        let socket = host(Tier::T4, Some(&grant(false, true)), ImageUser::Root);
        assert_eq!((socket.privileged, socket.cap_drop), (None, Some(vec!["ALL".into()])));
        assert_eq!(socket.mounts.unwrap()[2].source.as_deref(), Some("/s"));
    }

    #[test]
    fn the_environment_is_the_contents_and_the_command_replaces_the_images() {
        let own = rendered(Tier::T2, None, &[], ImageUser::Root);
        assert_eq!((own.entrypoint, own.cmd), (None, None));
        assert_eq!(own.env, Some(vec!["A=1=2".into()]));
        let body = rendered(Tier::T2, None, &["/bin/sh", "-c", "exit 3"], ImageUser::Root);
        assert_eq!(body.entrypoint, Some(vec!["/bin/sh".into()]));
        assert_eq!(body.cmd, Some(vec!["-c".into(), "exit 3".into()]));
        assert_eq!(body.hostname.as_deref(), Some("ws-0f8fad5bd9cb"));
        let networks = body.networking_config.unwrap().endpoints_config.unwrap();
        assert_eq!(networks["net"].aliases, Some(vec!["ws-0f8fad5bd9cb".into()]));
    }

    #[test]
    fn the_user_of_an_image_is_read() {
        let number = |uid, gid| ImageUser::Number(Owner { uid, gid });
        for (text, user) in [
            ("", ImageUser::Root),
            ("root", ImageUser::Root),
            ("root:staff", ImageUser::Root),
            ("0", ImageUser::Root),
            ("0:0", ImageUser::Root),
            ("1001", number(1001, 1001)),
            ("1001:7", number(1001, 7)),
            ("1001:staff", number(1001, 1001)),
            ("node", ImageUser::Name),
            ("node:1", ImageUser::Name),
        ] {
            assert_eq!(ImageUser::parse(text), user, "{text}");
        }
        assert_eq!(ImageUser::Root.owner(), Owner::STEPPED_DOWN);
        assert_eq!(number(5, 6).owner(), Owner { uid: 5, gid: 6 });
    }
}
