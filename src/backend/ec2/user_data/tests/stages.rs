//! The stages of a boot: what is said of each, and how each fails.

use super::machine::bundle;
use super::*;
use axum::Router;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum_server::tls_rustls::RustlsConfig;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

const ALL: [&str; 5] = ["started", "engine-ready", "image-pulled", "bundle-fetched", "agent-started"];

/// What is heard where the stages before this one succeed and it fails.
fn failed(stage: &str) -> Vec<(String, bool)> {
    let count = ALL.iter().position(|known| *known == stage).unwrap();
    ALL[..=count].iter().map(|known| ((*known).to_owned(), *known != stage)).collect()
}

fn fails_at(machine: &Machine, stage: &str) -> String {
    let ended = run(machine);
    assert!(!ended.ok, "{}", ended.output);
    assert_eq!(machine.stages(), failed(stage), "{}", ended.output);
    let detail = machine.detail();
    for told in [&ended.output, &machine.read("console")] {
        assert!(told.contains(&format!("atelier: {stage} FAILED")), "{told}");
        for line in detail.lines() {
            assert!(told.contains(line), "{line:?} is not in {told}");
        }
        assert!(!told.contains(TOKEN) && !told.contains(AGENT_TOKEN), "{told}");
    }
    forgot_the_bundle(machine);
    detail
}

/// What was fetched is where the container gets it, and nowhere else.
fn forgot_the_bundle(machine: &Machine) {
    assert!(!machine.path("atelier/env").exists() && !machine.path("atelier/env.list").exists());
    assert!(!machine.read("atelier/answer").contains(AGENT_TOKEN));
}

#[test]
fn every_shell_boots_the_box_and_says_each_stage() {
    for machine in Machine::every() {
        let ended = run(&machine);
        assert!(ended.ok, "{}", ended.output);
        assert_eq!(machine.stages(), ALL.map(|stage| (stage.to_owned(), true)), "{}", ended.output);
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        machine.registry(|registry| {
            for stage in &registry.stages {
                assert_eq!(stage["boot_id"], boot_id.trim());
                assert_eq!(stage.get("detail"), None);
            }
            assert!(registry.calls.iter().all(|(_, token)| token == &format!("Bearer {TOKEN}")));
            let paths: Vec<_> = registry.calls.iter().map(|(path, _)| path.as_str()).collect();
            let boot = "POST /registry/boot";
            assert_eq!(paths, [boot, boot, boot, "GET /registry/bundle", boot, boot]);
        });
        for (path, mode) in
            [(".auth_token", 0o600), ("plugins", 0o755), ("plugins/p/a.md", 0o644), (".", 0o755)]
        {
            let path = machine.path("atelier/configs").join(path);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, mode, "{path:?}");
        }
        assert_eq!(machine.read("atelier/configs/.auth_token"), AGENT_TOKEN);
        forgot_the_bundle(&machine);
        let calls = machine.calls();
        assert!(calls.contains(&"docker pull -q agent:1".to_owned()));
        assert_eq!(calls.last().unwrap(), "docker start ws-0f8fad5bd9cb-2");
        for told in [&ended.output, &machine.read("console"), &machine.read("calls")] {
            assert!(!told.contains(TOKEN) && !told.contains(AGENT_TOKEN), "{told}");
        }
    }
}

#[test]
fn without_curl_it_calls_by_wget() {
    let machine = Machine::new();
    machine.lose("curl");
    machine.link("wget");
    machine.registry(|registry| {
        registry.bundles.push_front((403, b"{}".to_vec()));
        registry.refusals.push_back(503);
    });
    let ended = run(&machine);
    assert!(ended.ok, "{}", ended.output);
    assert_eq!(machine.stages(), ALL.map(|stage| (stage.to_owned(), true)));
    machine.registry(|registry| {
        assert!(registry.calls.iter().all(|(_, token)| token == &format!("Bearer {TOKEN}")));
    });
}

#[test]
fn the_token_is_an_argument_of_nothing() {
    for name in machine::clients() {
        let machine = Machine::new();
        machine.lose("curl");
        machine.stub(name, &format!("note \"{name} $*\"\nexec {} \"$@\"", machine::find(name).unwrap()));
        assert!(run(&machine).ok);
        let calls = machine.read("calls");
        assert!(calls.contains(&format!("{name} ")) && calls.contains("/registry/bundle"), "{calls}");
        assert!(!calls.contains("secret") && !calls.contains(TOKEN), "{calls}");
    }
}

#[test]
fn a_machine_without_an_engine_gets_one_or_says_what_is_missing() {
    let machine = Machine::new();
    fs::rename(machine.path("bin/docker"), machine.path("state/docker")).unwrap();
    let detail = fails_at(&machine, "engine-ready");
    assert!(detail.contains("there is no docker on this machine"), "{detail}");

    for (manager, package) in [
        ("apt-get", "docker.io"),
        ("dnf", "docker"),
        ("yum", "docker"),
        ("zypper", "docker"),
        ("apk", "docker"),
    ] {
        let machine = Machine::new();
        fs::rename(machine.path("bin/docker"), machine.path("state/docker")).unwrap();
        let body = format!(
            "note \"{manager} $*\"\ncase \"$*\" in *{package}) ln -s \"$STATE/docker\" {}/docker ;; esac",
            machine.path("bin").display()
        );
        machine.stub(manager, &body);
        let ended = run(&machine);
        assert!(ended.ok, "{manager}: {}", ended.output);
    }
}

#[test]
fn an_engine_that_comes_up_late_is_waited_for_and_one_that_never_does_is_told() {
    let machine = Machine::new();
    machine.stub("systemctl", "note \"systemctl $*\"");
    machine.fail("daemon", 5);
    assert!(run(&machine).ok);
    assert!(machine.calls().contains(&"systemctl enable --now docker".to_owned()));

    let machine = Machine::new();
    machine.stub("service", "note \"service $*\"");
    machine.fail("daemon", 1_000);
    assert!(fails_at(&machine, "engine-ready").contains("cannot connect to the engine"));
    assert!(machine.calls().contains(&"service docker start".to_owned()));
}

#[test]
fn an_image_that_is_there_is_not_pulled_and_a_pull_is_tried_again() {
    let machine = Machine::new();
    fs::write(machine.path("state/image"), "").unwrap();
    assert!(run(&machine).ok);
    assert!(!machine.calls().iter().any(|call| call.starts_with("docker pull")));

    let machine = Machine::new();
    machine.fail("pull", 4);
    assert!(run(&machine).ok);

    let machine = Machine::new();
    machine.fail("pull", 5);
    let detail = fails_at(&machine, "image-pulled");
    assert!(detail.ends_with("toomanyrequests: slow \"down\"\n"), "{detail}");
}

#[test]
fn a_bundle_that_is_not_there_yet_is_asked_for_again_with_growing_pauses() {
    let machine = Machine::new();
    machine.registry(|registry| {
        for status in [503, 401, 403, 404, 500, 403, 403] {
            registry.bundles.push_front((status, br#"{"error":"not yet"}"#.to_vec()));
        }
    });
    assert!(run(&machine).ok);
    let pauses: Vec<_> = machine.calls().into_iter().filter(|call| call.starts_with("sleep")).collect();
    assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30].map(|seconds| format!("sleep {seconds}")));
}

#[test]
fn a_bundle_that_is_closed_is_not_asked_for_again_and_one_that_never_comes_is_given_up() {
    let machine = Machine::new();
    machine.registry(|registry| registry.bundles = [(410, br#"{"error":"it was fetched"}"#.to_vec())].into());
    let detail = fails_at(&machine, "bundle-fetched");
    assert!(detail.contains("the registry answered 410") && detail.contains("it was fetched"), "{detail}");
    let asked = |machine: &Machine| {
        machine.registry(|registry| registry.calls.iter().filter(|(call, _)| call.starts_with("GET")).count())
    };
    assert_eq!(asked(&machine), 1);

    let machine = Machine::new();
    machine.lose("curl");
    machine.link("wget");
    machine.registry(|registry| registry.bundles = [(410, Vec::new())].into());
    assert!(fails_at(&machine, "bundle-fetched").contains("the registry answered 410"));
    assert_eq!(asked(&machine), 1);

    let machine = Machine::new();
    machine
        .registry(|registry| registry.bundles = [(403, br#"{"error":"another address"}"#.to_vec())].into());
    assert!(fails_at(&machine, "bundle-fetched").contains("another address"));
    assert_eq!(asked(&machine), 30);
}

#[test]
fn of_a_bundle_that_breaks_off_nothing_is_used_or_shown() {
    for client in machine::clients() {
        let machine = Machine::new();
        machine.lose("curl");
        machine.link(client);
        let broken = AGENT_TOKEN.repeat(20).into_bytes();
        machine.registry(|registry| registry.bundles.push_front((299, broken.clone())));
        let ended = run(&machine);
        assert!(ended.ok, "{}", ended.output);
        machine.registry(|registry| registry.bundles = [(299, broken)].into());
        fs::remove_file(machine.path("state/container")).unwrap();
        let before = machine.registry(|registry| std::mem::take(&mut registry.stages)).len();
        assert_eq!(before, 5);
        fails_at(&machine, "bundle-fetched");
    }
}

#[test]
fn a_container_that_cannot_be_made_or_started_is_told() {
    let machine = Machine::new();
    machine.fail("create", 1);
    assert!(fails_at(&machine, "agent-started").ends_with("bad \\ flag\n"));
    let machine = Machine::new();
    machine.fail("start", 1);
    assert!(fails_at(&machine, "agent-started").ends_with("port is already allocated\n"));
    let machine = Machine::new();
    machine.stub("ip", "exit 1");
    machine.stub("hostname", "exit 1");
    assert!(fails_at(&machine, "agent-started").contains("no IPv4 address"));
}

#[test]
fn whatever_a_step_prints_arrives_as_json_and_at_most_2_kib_of_it() {
    for machine in Machine::every() {
        let noise = r#"
i=0; while [ $i -lt 300 ]; do echo "line $i of many, each of which takes its place among the last 2 KiB"; i=$((i + 1)); done
printf 'a "quoted" \\ back\\slash\ttab\r\nbell\007 escape\033[31m nul\000 bad\377utf \303\244\n\n'
printf 'no line end %%s $(touch x) `y` $HOME'
exit 9"#;
        machine.stub(
            "docker",
            &format!("case $1 in version) ;; image) exit 1 ;; pull) {noise} ;; *) exit 1 ;; esac"),
        );
        let detail = fails_at(&machine, "image-pulled");
        assert!(detail.len() <= 2_048, "{}", detail.len());
        let end = "among the last 2 KiB\na \"quoted\" \\ back\\slash tab\n\nbell? escape?[31m nul? bad?utf ??\n\n\
                   no line end %s $(touch x) `y` $HOME\n";
        assert!(detail.ends_with(end), "{detail:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_of_a_private_authority_is_called_only_where_it_is_named() {
    // Fails only when an earlier test has done it.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/registry/tests");
    let (certificate, key) = (folder.join("one.crt.pem"), folder.join("one.key.pem"));
    let config = RustlsConfig::from_pem_file(&certificate, key).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let router = Router::new()
        .route("/registry/boot", post(|| async { StatusCode::NO_CONTENT }))
        .route("/registry/bundle", get(|| async { bundle(&[]) }));
    tokio::spawn(axum_server::from_tcp_rustls(listener, config).unwrap().serve(router.into_make_service()));
    let pem = fs::read_to_string(certificate).unwrap();
    let runs = move || {
        for client in machine::clients() {
            for (ca_bundle, trusts) in [(Some(pem.as_str()), true), (None, false)] {
                let machine = Machine::new();
                machine.lose("curl");
                machine.link(client);
                let plan = plan(Tier::T2, &[]);
                let ended = machine.run(&render(&Boot { ca_bundle, ..boot(&plan, &url) }).unwrap());
                assert_eq!(ended.ok, trusts, "{client}: {}", ended.output);
                let public = fs::read_to_string("/etc/ssl/certs/ca-certificates.crt").unwrap_or_default();
                assert!(!trusts || machine.read("atelier/ca.pem").starts_with(&public));
            }
        }
    };
    tokio::task::spawn_blocking(runs).await.unwrap();
}

#[test]
fn a_stage_that_is_not_heard_is_said_again_and_stops_nothing() {
    let machine = Machine::new();
    machine.registry(|registry| registry.refusals.extend([503, 500, 503]));
    let ended = run(&machine);
    assert!(ended.ok, "{}", ended.output);
    assert_eq!(machine.stages()[0].0, "engine-ready", "the first was refused three times");
    assert!(machine.read("console").contains("the registry did not hear of started"));
    assert!(machine.calls().starts_with(&["sleep 1".to_owned(), "sleep 3".to_owned()]));
}

#[test]
fn a_second_run_starts_what_is_there() {
    let machine = Machine::new();
    assert!(run(&machine).ok);
    fs::remove_file(machine.path("calls")).unwrap();
    machine.registry(|registry| {
        registry.stages.clear();
        registry.bundles = [(410, Vec::new())].into();
    });
    let ended = run(&machine);
    assert!(ended.ok, "{}", ended.output);
    assert_eq!(
        machine.stages().iter().map(|(stage, _)| stage.as_str()).collect::<Vec<_>>(),
        [ALL[0], ALL[1], ALL[4]]
    );
    let expected =
        ["docker version", "docker container inspect ws-0f8fad5bd9cb-2", "docker start ws-0f8fad5bd9cb-2"];
    assert_eq!(machine.calls(), expected);
}
