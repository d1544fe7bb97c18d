//! The door: which backend a Workspace gets, by config and by record.

use super::*;
use crate::api::backend_config::DockerNetwork;
use crate::api::workspace::DockerWorld;

fn endpoint(name: &str, address: &str) -> EngineEndpoint {
    EngineEndpoint {
        name: name.into(),
        address: address.into(),
        publish_address: "127.0.0.1".into(),
        tls: None,
        network: DockerNetwork::default(),
    }
}

fn record(host: &str) -> PlacementRecord {
    let docker = DockerWorld { host: host.into(), engine_id: "E".into(), network_id: "N".into() };
    PlacementRecord { backend: Backend::Docker, docker: Some(docker), ec2: None }
}

fn backends() -> Backends {
    Backends::new("cluster", Maker::default(), Metrics::default())
}

fn address(placement: &Placement) -> String {
    format!("{placement:?}").split("address: \"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

#[test]
fn without_a_config_there_is_no_backend() {
    let backends = backends();
    let error = backends.place(None).expect_err("nothing to place on");
    assert_eq!(error, NoBackend::Absent { name: "cluster".into() });
    assert_eq!(error.reason(), Reason::NoBackend);
    assert_eq!(backends.place(Some(&record("local"))).expect_err("gone"), error);
}

#[test]
fn a_config_that_was_not_accepted_places_nothing_and_keeps_what_runs() {
    let backends = backends();
    let in_use = vec![endpoint("local", "unix:///a")];
    let selected = Selected::NotAccepted { why: "the pool is no range".into() };
    backends.configure(Configuration { selected, in_use, ec2: None });
    let error = backends.place(None).expect_err("not accepted");
    assert_eq!(error.reason(), Reason::BackendNotReady);
    assert!(error.to_string().contains("the pool is no range"));
    assert_eq!(address(&backends.place(Some(&record("local"))).expect("it runs there")), "unix:///a");
    assert_eq!(backends.place(Some(&record("other"))).expect_err("unknown"), error);
}

#[test]
fn an_engine_that_was_not_asked_takes_no_new_box_and_keeps_the_old_ones() {
    let backends = backends();
    let selected = endpoint("local", "unix:///a");
    backends.configure(Configuration::docker(selected, vec![]));
    let error = backends.place(None).expect_err("not asked yet");
    assert_eq!(error.reason(), Reason::DockerUnreachable);
    assert!(
        error.to_string().contains("unix:///a") && error.to_string().contains("not asked yet"),
        "{error}"
    );
    let placed = backends.place(Some(&record("local"))).expect("recorded");
    assert_eq!(placed.record(), &record("local"));
    let error = backends.place(Some(&record("other"))).expect_err("unknown");
    assert_eq!(error, NoBackend::NotConfigured { host: "other".into() });
}

#[test]
fn the_record_wins_over_the_config() {
    let backends = backends();
    let in_use = vec![endpoint("local", "unix:///old"), endpoint("second", "unix:///b")];
    backends.configure(Configuration::docker(endpoint("local", "unix:///new"), in_use));
    assert_eq!(address(&backends.place(Some(&record("local"))).expect("in use")), "unix:///old");
    assert_eq!(address(&backends.place(Some(&record("second"))).expect("in use")), "unix:///b");
}

#[tokio::test]
async fn a_preflight_that_fails_is_what_every_new_workspace_is_told() {
    let backends = backends();
    assert_eq!(backends.preflight().await.expect_err("none").kind, ErrorKind::Invalid);
    let selected = endpoint("local", "unix:///nowhere/docker.sock");
    backends.configure(Configuration::docker(selected, vec![]));
    let error = backends.preflight().await.expect_err("nobody there");
    assert_eq!(error.kind, ErrorKind::Unreachable);
    assert_eq!(
        error.detail,
        "no Docker engine answers at unix:///nowhere/docker.sock: No such file or directory"
    );
    assert_eq!(backends.place(None).expect_err("nobody there"), NoBackend::Unanswered(error));
}

#[test]
fn only_a_change_of_the_engines_is_announced() {
    let backends = backends();
    let mut engines = backends.engines.subscribe();
    let one = || Configuration::docker(endpoint("local", "unix:///a"), vec![]);
    backends.configure(one());
    assert!(engines.has_changed().unwrap());
    engines.mark_unchanged();
    backends.configure(one());
    let in_use = vec![endpoint("local", "unix:///a")];
    let selected = Selected::NotAccepted { why: String::new() };
    backends.configure(Configuration { selected, in_use, ec2: None });
    assert!(!engines.has_changed().unwrap());
    backends.configure(Configuration::absent("cluster"));
    assert!(engines.has_changed().unwrap());
}
