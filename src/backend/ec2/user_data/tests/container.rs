//! The container that the script makes: that of the plan, as the Docker backend would make it.

use super::machine::bundle;
use super::*;
use std::fs;
use std::os::unix::fs::MetadataExt;

fn made(machine: &Machine, plan: &ContainerPlan) -> Vec<String> {
    let ended = machine.run(&render(&boot(plan, machine.url())).unwrap());
    assert!(ended.ok, "{}", ended.output);
    machine.created()
}

fn has(words: &[String], sought: &[&str]) -> bool {
    words.windows(sought.len()).any(|window| window == sought)
}

#[test]
fn a_plain_box_has_no_rights_and_its_limits() {
    for machine in Machine::every() {
        fs::write(machine.path("state/user"), "agent\n").unwrap();
        let words = made(&machine, &plan(Tier::T2, &[]));
        let dir = machine.path("atelier").display().to_string();
        let expected = format!(
            "create --name ws-0f8fad5bd9cb-2 --hostname ws-0f8fad5bd9cb --restart unless-stopped --init \
             --network bridge --add-host host.docker.internal:host-gateway --publish 10.0.0.7:8000:8000 \
             --env-file ../env.list -e HOSTNAME=10.0.0.7 --memory 512m --memory-swap 512m --cpus 1.000 \
             --pids-limit 1024 --log-driver json-file --log-opt max-size=10m --log-opt max-file=2 \
             --mount type=bind,source={dir}/configs,target=/configs \
             --mount type=bind,source={dir}/workspace,target=/workspace \
             --cap-drop ALL --security-opt no-new-privileges agent:1"
        );
        assert_eq!(words.join(" "), expected);
    }
}

#[test]
fn the_image_s_user_decides_on_rights_and_owners() {
    let caps =
        ["--cap-add", "CHOWN", "--cap-add", "DAC_OVERRIDE", "--cap-add", "SETUID", "--cap-add", "SETGID"];
    let root = find_root();
    for (user, is_root, owner) in [
        ("", true, (1000, 1000)),
        ("root", true, (1000, 1000)),
        ("root:staff", true, (1000, 1000)),
        ("0", true, (1000, 1000)),
        ("0:0", true, (1000, 1000)),
        ("1001", false, (1001, 1001)),
        ("1001:7", false, (1001, 7)),
        ("1001:staff", false, (1001, 1001)),
        ("node", false, (1000, 1000)),
        ("node:1", false, (1000, 1000)),
    ] {
        let machine = Machine::new();
        fs::write(machine.path("state/user"), format!("{user}\n")).unwrap();
        let words = made(&machine, &plan(Tier::T2, &[]));
        assert_eq!(has(&words, &caps), is_root, "{user}");
        assert_eq!(
            words.iter().filter(|word| *word == "--cap-add").count(),
            if is_root { 4 } else { 0 },
            "{user}"
        );
        assert!(has(&words, &["--cap-drop", "ALL"]), "{user}");
        if root {
            let file = fs::metadata(machine.path("atelier/configs/.auth_token")).unwrap();
            assert_eq!((file.uid(), file.gid()), owner, "{user}");
            let data = fs::metadata(machine.path("atelier/workspace")).unwrap();
            let expected = if owner == (1000, 1000) { (0, 0) } else { owner };
            assert_eq!((data.uid(), data.gid()), expected, "{user}");
        }
    }
}

/// Only root can give files away.
fn find_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

#[test]
fn each_flag_of_the_plan_is_a_flag_of_the_container() {
    let plain = made(&Machine::new(), &plan(Tier::T2, &[]));
    for flag in ["--read-only", "--privileged", "--tmpfs"] {
        assert!(!plain.iter().any(|word| word == flag), "{flag}");
    }
    assert!(!plain.iter().any(|word| word.contains("docker.sock")));

    let first = made(&Machine::new(), &plan(Tier::T1, &[]));
    assert!(has(&first, &["--read-only", "--tmpfs", "/tmp:size=64m,mode=1777,noexec,nosuid,nodev"]));
    assert!(has(&first, &["--memory", "256m", "--memory-swap", "256m", "--cpus", "0.500"]));

    let privileged = ContainerPlan { privileged: true, ..plan(Tier::T3, &[]) };
    let words = made(&Machine::new(), &privileged);
    assert!(has(&words, &["--privileged"]));
    assert!(!words.iter().any(|word| word.starts_with("--cap") || word == "--security-opt"));

    let socket = ContainerPlan { engine_socket: true, ..plan(Tier::T4, &[]) };
    let words = made(&Machine::new(), &socket);
    let mount = "type=bind,source=/var/run/docker.sock,target=/var/run/docker.sock";
    assert!(has(&words, &["--mount", mount]) && has(&words, &["--cap-drop", "ALL"]));
}

#[test]
fn a_command_replaces_the_image_s_own() {
    for machine in Machine::every() {
        let command = ["/bin/sh", "-c", "echo \"it's\" $HOME *\n  exit 3", ""];
        let words = made(&machine, &plan(Tier::T2, &command));
        let end = words.iter().position(|word| word == "--entrypoint").unwrap();
        assert_eq!(words[end + 1..], [command[0], "agent:1", command[1], command[2], command[3]]);
    }
}

#[test]
fn every_value_of_the_environment_arrives_and_stands_in_no_argument() {
    let long = format!("{}sekret", "l".repeat(70_000));
    let values = [
        ("PLAIN", "sekret"),
        ("EMPTY", ""),
        ("SPACES", "  sekret  "),
        ("QUOTES", r#"se"kret' \n $(id) `id` \"#),
        ("HASH", "#sekret=a=b"),
        ("LINES", "sekret\n\n two \n"),
        ("ONE_END", "sekret\n"),
        ("RETURN", "sekret\r"),
        ("UTF8", "sekret ä…"),
        ("LONG", &long),
        // Names that a script, a shell or the engine's client might use itself.
        ("PATH", "/nowhere"),
        ("name", "sekret"),
        ("value", "sekret\nx"),
        ("file", "sekret\ny"),
        ("DIR", "sekret\nz"),
        ("DOCKER_HOST", "tcp://nowhere"),
        ("LD_PRELOAD", "/nowhere.so"),
    ];
    for machine in Machine::every() {
        let paths: Vec<_> = values.iter().map(|(name, _)| format!("env/{name}")).collect();
        let files: Vec<_> = paths
            .iter()
            .zip(values)
            .map(|(path, (_, value))| (path.as_str(), value.as_bytes(), 0o600))
            .collect();
        machine.registry(|registry| registry.bundles = [(200, bundle(&files))].into());
        let words = made(&machine, &plan(Tier::T2, &[]));
        assert!(!words.iter().any(|word| word.contains("sekret")), "{words:?}");
        let mut expected: std::collections::BTreeMap<_, _> =
            values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        expected.insert("HOSTNAME".into(), "10.0.0.7".into());
        let mut environment = machine.environment();
        let (there, wanted) = (environment.remove("LONG"), expected.remove("LONG"));
        assert!(there == wanted, "a long value is another one");
        assert_eq!(environment, expected);
        assert!(!machine.read("atelier/boot.log").contains("sekret"));
    }
}

#[test]
fn where_routes_say_nothing_the_first_address_counts() {
    let machine = Machine::new();
    machine.stub("ip", "exit 1");
    assert!(has(&made(&machine, &plan(Tier::T2, &[])), &["--publish", "10.0.0.8:8000:8000"]));
}
