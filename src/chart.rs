//! Tests: the Helm chart speaks of what the code has: its flags, its metrics with their labels, its CRDs.

use crate::control_plane::{args::ControlPlaneArgs, metrics as control_plane};
use crate::controller::args::ControllerArgs;
use crate::metrics::{Collected, Effect, ErrorClass, Kind, Metrics, Operation, Outcome, SweepEnd, Thing};
use clap::{Args, Command};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// Labels that Prometheus adds itself.
const OF_THE_TARGET: [&str; 4] = ["namespace", "pod", "job", "instance"];
/// Where the values of labels are defined.
const VALUES: [&str; 4] = [
    include_str!("metrics.rs"),
    include_str!("api/condition.rs"),
    include_str!("control_plane/metrics.rs"),
    include_str!("control_plane/action.rs"),
];

fn chart(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("charts/atelier").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// One series of each family.
fn exported() -> String {
    let (outcome, took) = (Outcome::Ok, Duration::ZERO);
    let metrics = Metrics::default();
    metrics.reconciled(Kind::Team, outcome);
    metrics.effect(Effect::Create, outcome);
    metrics.error(ErrorClass::Terminal, crate::api::Reason::Ready);
    metrics.backend_call(Operation::Boxes, outcome, took);
    metrics.ready_after(took);
    metrics.connected_agents(1);
    metrics.leading(true);
    metrics.orphans(Thing::Box, 1);
    metrics.collected(Thing::Box, Collected::Removed);
    metrics.swept(SweepEnd::Complete);
    let plane = control_plane::Metrics::default();
    plane.answered(control_plane::Call::List, 200, took);
    plane.ec2(crate::control_plane::action::Action::RunInstances, control_plane::Outcome::Ok, took);
    plane.waited(crate::control_plane::action::Action::RunInstances, took);
    let text = metrics.text().unwrap() + &plane.text().unwrap();
    let families = text.lines().filter(|line| line.starts_with("# TYPE")).count();
    let registered: usize =
        [VALUES[0], VALUES[2]].iter().map(|code| code.matches("registry.register(").count()).sum();
    assert_eq!(families, registered, "a metric has no series here: {text}");
    text
}

/// The names of series with the names of their labels.
fn series() -> BTreeMap<String, BTreeSet<String>> {
    let mut series = BTreeMap::<String, BTreeSet<String>>::new();
    for line in exported().lines().filter(|line| !line.starts_with('#')) {
        let name: String = line.chars().take_while(|c| is_in_a_name(*c)).collect();
        let labels = line[name.len()..].strip_prefix('{').and_then(|rest| rest.split_once('}'));
        let labels = labels.map(|(labels, _)| labels).unwrap_or_default();
        let names =
            labels.split(',').filter_map(|label| label.split_once('=')).map(|(name, _)| name.to_owned());
        series.entry(name).or_default().extend(names);
    }
    series
}

fn is_in_a_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// What is wrong with a query, by what the code exports.
fn faults(query: &str, series: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let mut faults = Vec::new();
    let mut rest = query;
    while let Some(at) = rest.find("atelier_") {
        let name: String = rest[at..].chars().take_while(|c| is_in_a_name(*c)).collect();
        rest = &rest[at + name.len()..];
        let Some(labels) = series.get(&name) else {
            faults.push(format!("{name} is not exported"));
            continue;
        };
        let matchers =
            rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).map_or("", |(inside, _)| inside);
        for matcher in matchers.split(',').filter(|matcher| !matcher.trim().is_empty()) {
            let label: String = matcher.trim().chars().take_while(|c| is_in_a_name(*c)).collect();
            if OF_THE_TARGET.contains(&label.as_str()) {
                continue;
            }
            if !labels.contains(&label) {
                faults.push(format!("{name} has no label {label}"));
            }
            let values = matcher.split('"').nth(1).unwrap_or_default();
            let known = |value: &str| {
                VALUES.iter().any(|code| code.split(|c| !is_in_a_name(c)).any(|word| word == value))
            };
            faults.extend(values.split('|').filter(|v| !known(v)).map(|v| format!("{label} is never {v:?}")));
        }
    }
    for group in query.split("by (").skip(1).filter_map(|rest| rest.split_once(')')) {
        for label in group.0.split(',').map(str::trim) {
            let known =
                label == "le" || OF_THE_TARGET.contains(&label) || series.values().any(|l| l.contains(label));
            if !known {
                faults.push(format!("nothing has a label {label}"));
            }
        }
    }
    faults
}

/// Every `expr` in a document.
fn queries(document: &Value, found: &mut Vec<String>) {
    match document {
        Value::Object(fields) => {
            found.extend(fields.get("expr").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|field| queries(field, found));
        }
        Value::Array(entries) => entries.iter().for_each(|entry| queries(entry, found)),
        _ => {}
    }
}

#[test]
fn alerts_and_dashboard_ask_for_what_is_exported() {
    let series = series();
    let alerts: Value = serde_saphyr::from_str(&chart("files/alerts.yaml")).unwrap();
    let dashboard: Value = serde_json::from_str(&chart("files/dashboard.json")).unwrap();
    for (document, least) in [(alerts, 10), (dashboard, 10)] {
        let mut found = Vec::new();
        queries(&document, &mut found);
        assert!(found.len() >= least, "only {} queries", found.len());
        for query in found {
            assert_eq!(faults(&query, &series), Vec::<String>::new(), "in {query}");
        }
    }
}

#[test]
fn a_query_for_what_is_not_exported_is_found() {
    let series = series();
    let wrong = |query: &str| faults(query, &series).len();
    assert_eq!(
        wrong(r#"sum by (reason) (rate(atelier_errors_total{class="Terminal",namespace="x"}[5m]))"#),
        0
    );
    assert_eq!(wrong("rate(atelier_error_total[5m])"), 1);
    assert_eq!(wrong("rate(atelier_errors[5m])"), 1, "a counter's series has a suffix");
    assert_eq!(wrong(r#"atelier_errors_total{kind="Team"}"#), 1);
    assert_eq!(wrong(r#"atelier_errors_total{class=~"Terminal|Fatal"}"#), 1);
    assert_eq!(wrong("sum by (team) (atelier_leader)"), 1);
}

#[test]
fn every_flag_of_the_chart_is_one_of_the_command() {
    let flags = |command: &Command| -> BTreeSet<String> {
        command.get_arguments().filter_map(|a| a.get_long()).map(str::to_owned).collect()
    };
    for (template, command) in [
        ("templates/controller/deployment.yaml", ControllerArgs::augment_args(Command::new("x"))),
        ("templates/control-plane/deployment.yaml", ControlPlaneArgs::augment_args(Command::new("x"))),
    ] {
        let text = chart(template);
        let used = text.lines().filter_map(|line| line.trim().strip_prefix("- --"));
        let used: BTreeSet<_> = used.filter_map(|flag| flag.split('=').next()).map(str::to_owned).collect();
        assert!(used.len() >= 4, "{template} has no flags");
        let known = flags(&command);
        let unknown: Vec<_> = used.difference(&known).collect();
        assert!(unknown.is_empty(), "{template} uses flags that there are not: {unknown:?}");
    }
}

#[test]
fn the_chart_holds_the_crds_and_has_the_version_of_the_code() {
    for crd in crate::api::crds::all() {
        let name = crate::api::crds::file_name(&crd);
        let here = chart(&format!("files/crds/{name}"));
        assert!(here == crate::api::crds::yaml(&crd).unwrap(), "files/crds/{name} differs: run `make crds`");
        // The template puts an annotation there.
        assert_eq!(here.matches("\nmetadata:\n  name:").count(), 1, "{name} has annotations of its own");
    }
    assert!(chart("Chart.yaml").contains(&format!("\nappVersion: {}\n", env!("CARGO_PKG_VERSION"))));
}
