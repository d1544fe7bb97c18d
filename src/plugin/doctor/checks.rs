//! Checks: what was found of an installation, line by line, each ok or with the fix. Pure.

use crate::api::{BackendConfig, condition};
use crate::plugin::cluster::{Answer, Refusal};
use crate::plugin::lease::Controller;
use crate::plugin::standing::{State, one_line, standing};
use crate::plugin::terminal::{Paint, pad, widest};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use serde_json::Value;
use std::fmt::Write;

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// As it should.
    Ok,
    /// Something is not there, or not known, that Atelier can do without.
    Note,
    /// It must be mended.
    Fail,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was looked at.
    pub name: String,
    /// How it came out.
    pub mark: Mark,
    /// What was found.
    pub found: String,
    /// What to do about it.
    pub fix: Option<String>,
}

impl Check {
    pub(super) fn ok(name: &str, found: impl Into<String>) -> Self {
        Self { name: name.into(), mark: Mark::Ok, found: found.into(), fix: None }
    }

    pub(super) fn note(name: &str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        let fix: String = fix.into();
        Self {
            name: name.into(),
            mark: Mark::Note,
            found: found.into(),
            fix: Some(fix).filter(|f| !f.is_empty()),
        }
    }

    pub(super) fn fail(name: &str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name: name.into(), mark: Mark::Fail, found: found.into(), fix: Some(fix.into()) }
    }
}

/// The API server.
pub fn api_server(version: &Answer<String>, url: &str) -> Check {
    const NAME: &str = "API server";
    match version {
        Ok(version) => Check::ok(NAME, format!("{version} at {url}")),
        Err(why) => Check::fail(
            NAME,
            why.to_string(),
            "Check the cluster's address and your credentials in the kubeconfig.",
        ),
    }
}

/// How to install the custom resource definitions.
pub(super) const INSTALL: &str = "Install them: `atelier crds | kubectl apply --server-side -f -`.";

/// Something that a person may or may not do.
#[derive(Clone, Debug)]
pub struct Right {
    /// What it is for.
    pub purpose: &'static str,
    /// Whether nothing goes without it.
    pub needed: bool,
    /// Whether it counts in the namespace, or in the whole cluster.
    pub here: bool,
    /// The role that has it by default.
    pub role: &'static str,
    /// Each permission in words, with whether the person has it.
    pub parts: Vec<(String, Answer<bool>)>,
}

/// What the person may do.
pub fn rights(rights: &[Right], namespace: &str) -> Vec<Check> {
    rights.iter().map(|right| of_right(right, namespace)).collect()
}

fn of_right(right: &Right, namespace: &str) -> Check {
    let name = format!("you may: {}", right.purpose);
    let place =
        if right.here { format!("in the namespace {namespace}") } else { "in the whole cluster".to_owned() };
    let missing: Vec<&str> =
        right.parts.iter().filter(|(_, may)| *may == Ok(false)).map(|(what, _)| what.as_str()).collect();
    let untold = right.parts.iter().find_map(|(_, may)| may.as_ref().err());
    if let Some(why) = untold {
        return Check::note(&name, format!("not told: {why}"), "");
    }
    if missing.is_empty() {
        return Check::ok(&name, place);
    }
    let found = format!("not permitted: {}", missing.join("; "));
    let fix = format!("If you need it, ask for {} {place}.", right.role);
    if right.needed { Check::fail(&name, found, fix) } else { Check::note(&name, found, fix) }
}

/// Every BackendConfig, with its conditions, which say how things were when a controller last looked.
pub fn configs(configs: &Answer<Vec<BackendConfig>>, controller: &Controller) -> Vec<Check> {
    const NAME: &str = "BackendConfig";
    match configs {
        Err(Refusal::Forbidden(why)) => {
            vec![Check::note(NAME, format!("not told: {why}"), "Ask a platform owner whether it is Ready.")]
        }
        Err(why) => vec![Check::fail(NAME, why.to_string(), INSTALL)],
        Ok(configs) if configs.is_empty() => vec![Check::fail(
            NAME,
            "there is none: no Workspace can be placed",
            "Create one named `cluster` (see examples/backend-config.yaml).",
        )],
        Ok(configs) => {
            let mut checks: Vec<Check> = configs.iter().flat_map(of_config).collect();
            let is_fresh = matches!(controller, Controller::Runs { .. } | Controller::Untold(_));
            for check in checks.iter_mut().filter(|check| !is_fresh && check.mark == Mark::Ok) {
                check.mark = Mark::Note;
                check.found = format!("when a controller last looked: {}", check.found);
            }
            checks
        }
    }
}

fn of_config(config: &BackendConfig) -> Vec<Check> {
    let name = format!("BackendConfig {}", config.name_any());
    let said = standing(config);
    if said.state == State::NotSeen {
        let fix = "Start the controller; it reads the BackendConfig that its flag --backend-config names (`cluster` by default).";
        return vec![Check::fail(&name, said.message, fix)];
    }
    let conditions = config.status.as_ref().map_or(&[][..], |status| &status.conditions);
    let on_the_way = [
        condition::ConditionType::Accepted,
        condition::ConditionType::Reachable,
        condition::ConditionType::RegistryHealthy,
    ];
    let found = on_the_way.iter().filter_map(|type_| condition::find(conditions, *type_));
    found.map(|c| of_condition(&format!("{name} {}", c.type_), c)).collect()
}

fn of_condition(name: &str, condition: &Condition) -> Check {
    let message = one_line(&condition.message);
    if condition.status == "True" {
        return Check::ok(name, message);
    }
    let fix =
        condition::Reason::parse(&condition.reason).and_then(|reason| reason.fix_beyond(&condition.message));
    let found = format!("{}: {message}", condition.reason);
    Check::fail(name, found, fix.unwrap_or("Do what the message says."))
}

/// Whether a controller runs.
pub fn controller(controller: &Controller) -> Check {
    const NAME: &str = "controller";
    const START: &str = "Start `atelier controller`, and see its log if it does not stay up.";
    let found = controller.to_string();
    match controller {
        Controller::Runs { .. } => Check::ok(NAME, found),
        Controller::Silent { .. } | Controller::Stopped { .. } | Controller::NoLease { .. } => {
            Check::fail(NAME, found, START)
        }
        Controller::Untold(_) => Check::note(
            NAME,
            found,
            "Name where its lease is with --operator-namespace, or ask a platform owner.",
        ),
    }
}

/// Conditions of an API service: type, reason, message.
pub type Words = Vec<(String, String, String)>;

/// The aggregated API: how the API server has it, and whether it answers.
pub fn live(service: &Answer<Option<Words>>, answers: &Answer<()>) -> Check {
    const NAME: &str = "live API";
    const WITHOUT: &str = "logs, send and orphans need it; all else goes without.";
    if answers.is_ok() {
        return Check::ok(NAME, "live.atelier.dev/v1alpha1 answers");
    }
    let why = answers.as_ref().err().map(ToString::to_string).unwrap_or_default();
    match service {
        Err(Refusal::Forbidden(_)) if matches!(answers, Err(Refusal::Missing(_))) => Check::note(
            NAME,
            "live.atelier.dev is not served in this cluster",
            format!("Ask a platform owner. {WITHOUT}"),
        ),
        Ok(None) => Check::note(
            NAME,
            "there is no APIService v1alpha1.live.atelier.dev",
            format!("Install it with the Helm chart (live.enabled). {WITHOUT}"),
        ),
        Ok(Some(conditions)) => {
            let available = conditions.iter().find(|(type_, ..)| type_ == "Available");
            let (reason, message) =
                available.map_or(("", why.as_str()), |(_, reason, message)| (reason, message));
            Check::fail(
                NAME,
                format!("it is registered and does not answer: {reason}: {}", one_line(message)),
                "Check that the Service it names leads to the controllers' --live-bind port, and their log.",
            )
        }
        Err(_) => Check::note(NAME, why, format!("Ask a platform owner. {WITHOUT}")),
    }
}

/// The controller's version against this program's.
pub fn skew(controller: Option<&Answer<Value>>) -> Check {
    const NAME: &str = "versions";
    let ours = env!("CARGO_PKG_VERSION");
    match controller {
        None => {
            Check::note(NAME, format!("this program is {ours}; only the live API tells the controller's"), "")
        }
        Some(Err(why)) => {
            Check::note(NAME, format!("this program is {ours}; the controller's is not told: {why}"), "")
        }
        Some(Ok(said)) => {
            let text = |field: &str| said.get(field).and_then(Value::as_str).unwrap_or("?").to_owned();
            let theirs = text("version");
            if theirs == ours {
                let registry = said.pointer("/registry/advertiseURL").and_then(Value::as_str);
                let registry =
                    registry.map(|url| format!("; boxes call the registry at {url}")).unwrap_or_default();
                return Check::ok(NAME, format!("controller and this program are {ours}{registry}"));
            }
            Check::note(
                NAME,
                format!("the controller is {theirs}, this program {ours}"),
                "Use the program of the controller's version: reasons and fields may differ.",
            )
        }
    }
}

/// All lines.
pub fn render(checks: &[Check], paint: Paint) -> String {
    let width = widest(checks.iter().map(|check| check.name.as_str()));
    let mut text = String::new();
    for check in checks {
        let mark = match check.mark {
            Mark::Ok => paint.good("ok  "),
            Mark::Note => paint.warn("note"),
            Mark::Fail => paint.bad("FAIL"),
        };
        let _ = writeln!(text, "{mark}  {}  {}", pad(&check.name, width), check.found);
        if let Some(fix) = &check.fix {
            let _ = writeln!(text, "      {}  -> {fix}", pad("", width));
        }
    }
    let failed = checks.iter().filter(|check| check.mark == Mark::Fail).count();
    let all_ok = checks.iter().all(|check| check.mark == Mark::Ok);
    let end = match failed {
        0 if all_ok => paint.good("nothing is in the way"),
        0 => paint.good("nothing that was seen is in the way; see the notes"),
        1 => paint.bad("1 thing is to be mended"),
        n => paint.bad(&format!("{n} things are to be mended")),
    };
    let _ = writeln!(text, "{end}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::fixtures::conditions;
    use serde_json::json;

    fn config(texts: &[&str]) -> BackendConfig {
        let mut config: BackendConfig = serde_json::from_value(json!({
            "apiVersion": "atelier.dev/v1alpha1", "kind": "BackendConfig", "metadata": {"name": "cluster", "generation": 1},
            "spec": {"backend": "Docker", "runtimes": [], "registry": {"advertiseURL": "https://x"}},
            "status": {"observedGeneration": 1},
        }))
        .unwrap();
        config.status.as_mut().unwrap().conditions = conditions(texts);
        config
    }

    #[test]
    fn every_line_is_ok_or_says_what_to_do() {
        let right = |needed, parts: &[(&str, bool)]| Right {
            purpose: "look at Teams and Workspaces",
            needed,
            here: true,
            role: "the role view",
            parts: parts.iter().map(|(what, may)| ((*what).to_owned(), Ok(*may))).collect(),
        };
        let down = config(&[
            "Accepted=True/Accepted: as it should be",
            "Reachable=False/DockerUnreachable: the engine local does not answer: no such file",
            "Ready=False/DockerUnreachable: the engine local does not answer: no such file",
        ]);
        let mut checks = vec![api_server(&Ok("v1.36.3".into()), "https://x/")];
        checks.extend(rights(&[right(true, &[("list teams", true)])], "demo"));
        checks.extend(configs(&Ok(vec![down]), &Controller::Stopped { lease: "sys/atelier".into() }));
        checks.push(controller(&Controller::Stopped { lease: "sys/atelier".into() }));
        checks.push(live(&Ok(None), &Err(Refusal::Missing("404".into()))));
        checks.push(skew(None));
        assert_eq!(render(&checks, Paint::Plain), "\
ok    API server                             v1.36.3 at https://x/
ok    you may: look at Teams and Workspaces  in the namespace demo
note  BackendConfig cluster Accepted         when a controller last looked: as it should be
FAIL  BackendConfig cluster Reachable        DockerUnreachable: the engine local does not answer: no such file
                                             -> Start the engine, or correct the address in BackendConfig spec.docker.hosts.
FAIL  controller                             no controller runs: the last one has given the lease sys/atelier back
                                             -> Start `atelier controller`, and see its log if it does not stay up.
note  live API                               there is no APIService v1alpha1.live.atelier.dev
                                             -> Install it with the Helm chart (live.enabled). logs, send and orphans need it; all else goes without.
note  versions                               this program is 0.1.0; only the live API tells the controller's
2 things are to be mended
");
        let refused = rights(&[right(true, &[("list teams", true), ("list workspaces", false)])], "demo");
        assert_eq!(
            (refused[0].mark, refused[0].found.as_str()),
            (Mark::Fail, "not permitted: list workspaces")
        );
        assert_eq!(rights(&[right(false, &[("x", false)])], "demo")[0].mark, Mark::Note);
    }

    #[test]
    fn the_live_api_is_told_apart_by_what_is_there() {
        let no = || Err(Refusal::Refused("service unavailable (code 503)".into()));
        let conditions = vec![("Available".into(), "MissingEndpoints".into(), "no endpoints".into())];
        let check = live(&Ok(Some(conditions)), &no());
        assert_eq!(check.mark, Mark::Fail);
        assert!(check.found.contains("MissingEndpoints: no endpoints"), "{}", check.found);
        assert_eq!(live(&Ok(None), &Ok(())).mark, Mark::Ok);
        let forbidden = || Err(Refusal::Forbidden("no".into()));
        assert_eq!(live(&forbidden(), &no()).mark, Mark::Note);
        let absent = live(&forbidden(), &Err(Refusal::Missing("404 page not found".into())));
        assert_eq!(absent.found, "live.atelier.dev is not served in this cluster");
        let said = |version: &str| Ok(json!({"version": version, "registry": {"advertiseURL": "https://r"}}));
        assert!(skew(Some(&said(env!("CARGO_PKG_VERSION")))).found.ends_with("the registry at https://r"));
        assert_eq!(skew(Some(&said("9.9.9"))).mark, Mark::Note);
    }
}
