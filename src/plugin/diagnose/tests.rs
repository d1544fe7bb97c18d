//! What a diagnosis says, word by word.

use super::judge::{Beside, of_team, of_workspace};
use super::report::{Report, Verdict};
use super::text::render;
use super::{End, end};
use crate::api::workspace::{Diagnosis, DiagnosisStep, Instance};
use crate::api::{BackendConfig, Team, Workspace};
use crate::plugin::cluster::{Answer, Refusal};
use crate::plugin::fixtures::{at, conditions, of_team as member, team, troubled, without_image, workspace};
use crate::plugin::lease::Controller;
use crate::plugin::terminal::Paint;
use k8s_openapi::api::core::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;

fn runs() -> Controller {
    Controller::Runs { lease: "atelier-system/atelier".into(), holder: "host_1".into() }
}

fn silent() -> Controller {
    Controller::Silent {
        lease: "atelier-system/atelier".into(),
        holder: "host_1".into(),
        renewed: Some(at(60)),
    }
}

fn event(reason: &str, message: &str, seconds: i64) -> Event {
    Event {
        reason: Some(reason.into()),
        message: Some(message.into()),
        last_timestamp: Some(Time(at(seconds))),
        ..Event::default()
    }
}

struct Around {
    events: Answer<Vec<Event>>,
    controller: Controller,
    configs: Answer<Vec<BackendConfig>>,
}

impl Around {
    fn with(controller: Controller) -> Self {
        Self { events: Ok(Vec::new()), controller, configs: Ok(Vec::new()) }
    }

    fn beside(&self) -> Beside<'_> {
        Beside {
            events: &self.events,
            controller: &self.controller,
            configs: &self.configs,
            suspended_with: None,
        }
    }

    fn of(&self, ws: &Workspace) -> Report {
        of_workspace(ws, self.beside())
    }

    fn of_team(&self, team: &Team, members: &[Workspace], missing: &[&str]) -> Report {
        let missing: Vec<String> = missing.iter().map(|name| (*name).to_owned()).collect();
        of_team(team, members.iter().map(|ws| self.of(ws)).collect(), &missing, self.beside())
    }
}

fn plain(report: &Report) -> String {
    render(report, at(150), Paint::Plain)
}

#[test]
fn all_is_well() {
    let report = Around::with(runs()).of(&workspace("w"));
    assert_eq!(plain(&report), "ws/w in demo: healthy: the agent is connected (for 2m)\n");
    assert_eq!(end(&[report]), End::Good);
    let report = Around::with(runs()).of_team(&team("studio", &[("a", None)]), &[], &[]);
    assert_eq!(plain(&report), "team/studio in demo: healthy: 1/1 members are ready (for 2m)\n");
}

#[test]
fn a_box_that_fails_is_told_with_its_evidence() {
    let mut ws = workspace("w");
    let status = ws.status.as_mut().unwrap();
    status.conditions = conditions(&[
        "Accepted=True/Accepted: runtime demo, tier T1",
        "BackendReady=True/Reachable: Docker answers (local)",
        "InstanceLaunched=False/ContainerExited: 0123 exited with code 3",
        "Bootstrapped=Unknown/ContainerExited: there is no box that is known to run",
        "AgentConnected=Unknown/ContainerExited: 0123 exited with code 3",
        "Ready=False/ContainerExited: 0123 exited with code 3",
        "Reconciling=True/ContainerExited: 0123 exited with code 3",
    ]);
    status.instance = Some(Instance {
        state: "exited".into(),
        state_reason: Some("exit code 3".into()),
        image: Some("agent:1".into()),
        ..Instance::default()
    });
    let step = |name: &str, ok, duration_seconds| DiagnosisStep {
        name: name.into(),
        ok,
        detail: String::new(),
        duration_seconds,
    };
    status.diagnosis = Some(Diagnosis {
        cause: "ContainerExited".into(),
        stage: "InstanceLaunched".into(),
        summary: String::new(),
        hint: String::new(),
        steps: vec![
            step("Accepted", Some(true), None),
            step("InstanceLaunched", Some(true), Some(2)),
            DiagnosisStep { detail: "no\n/configs".into(), ..step("stage agent-started", Some(false), None) },
        ],
        log_tail: Some("no model key\u{1b}[2J was given\n\nbye\n".into()),
        observed_at: Time(at(40)),
    });
    let mut around = Around::with(runs());
    around.events = Ok(vec![
        event("Diagnosed", "ContainerExited: 0123 exited with code 3. See", 40),
        event("Launched", "0123", 20),
    ]);
    let report = around.of(&ws);
    assert_eq!(
        plain(&report),
        "\
ws/w in demo: NOT HEALTHY: ContainerExited: 0123 exited with code 3 (for 2m)
  works
    Accepted      runtime demo, tier T1
    BackendReady  Docker answers (local)
  the first that does not
    InstanceLaunched=False/ContainerExited  since 2026-09-21T14:13:50Z (2m ago)
    0123 exited with code 3
    ContainerExited: The container exited.
  not known or not well after that
    Bootstrapped    there is no box that is known to run
    AgentConnected  for the same reason
  evidence
    - box 0123456789ab on Docker, last seen exited, exit code 3, image agent:1
    - step InstanceLaunched: ok (2 s)
    - step stage agent-started: failed: no /configs
    - event 2m10s ago: Launched: 0123
    - event 110s ago: Diagnosed: as above
  the box's last output (what the box says)
    | no model key[2J was given
    | bye
  notes
    - a controller runs: host_1 renews the lease atelier-system/atelier
  what to do
    - See the exit code and the log tail.
    - The operator goes on by itself meanwhile.
    - Its whole log: `kubectl atelier logs ws/w -n demo`.
"
    );
    assert_eq!(end(&[report]), End::Bad);
}

#[test]
fn nothing_is_said_of_a_box_that_never_was() {
    let mut around = Around::with(runs());
    around.events = Err(Refusal::Forbidden("events is forbidden".into()));
    assert_eq!(plain(&around.of(&without_image("w"))), "\
ws/w in demo: NOT HEALTHY: ImageNotFound: the image x:1 is not on the engine, and pulling it failed: no such host (for 2m)
  works
    Accepted      runtime demo, tier T1
    BackendReady  Docker answers (local)
  the first that does not
    InstanceLaunched=False/ImageNotFound  since 2026-09-21T14:13:50Z (2m ago)
    the image x:1 is not on the engine, and pulling it failed: no such host
    ImageNotFound: The image is not on the engine and could not be pulled.
  not known or not well after that
    Bootstrapped, AgentConnected  there is no box that is known to run
  evidence
    - no box is recorded
  notes
    - a controller runs: host_1 renews the lease atelier-system/atelier
    - its events could not be read: events is forbidden
  what to do
    - Correct the runtime's image in the BackendConfig, or load the image on the engine.
");
}

#[test]
fn an_object_that_nobody_looked_at_is_not_called_broken() {
    let mut ws = workspace("w");
    ws.status = None;
    let report = Around::with(silent()).of(&ws);
    assert_eq!(
        plain(&report),
        "\
ws/w in demo: COULD NOT TELL: no controller has looked at it since it was made (for 2m30s)
  evidence
    - no box is recorded
  notes
    - no controller runs: host_1 renewed the lease atelier-system/atelier last at 2026-09-21T14:14:20Z
  what to do
    - Start the controller: nothing is done or looked at before; see `kubectl atelier doctor`.
"
    );
    assert_eq!(end(&[report]), End::Unknown);
    let waits = plain(&Around::with(runs()).of(&ws));
    assert!(waits.contains("`kubectl atelier wait ws/w -n demo`"), "{waits}");
}

#[test]
fn what_was_ready_before_the_controller_ended_may_be_so_no_more() {
    let report = Around::with(silent()).of(&workspace("w"));
    assert_eq!(report.verdict, Verdict::Unknown);
    let text = plain(&report);
    assert!(
        text.starts_with("ws/w in demo: COULD NOT TELL: it was Ready when a controller last looked"),
        "{text}"
    );
    // One without an election has no lease: that is told, and proves nothing.
    let place = "any namespace".to_owned();
    let report = Around::with(Controller::NoLease { place }).of(&workspace("w"));
    assert_eq!(report.verdict, Verdict::Healthy);
    assert!(
        plain(&report).contains("\n  note: no controller's lease is found in any namespace"),
        "{report:?}"
    );
    let untold = Around::with(Controller::Untold("leases is forbidden".into())).of(&workspace("w"));
    assert_eq!(untold.verdict, Verdict::Healthy);
}

#[test]
fn a_status_of_the_spec_before_is_called_so() {
    let mut ws = without_image("w");
    ws.metadata.generation = Some(2);
    let report = Around::with(runs()).of(&ws);
    assert_eq!(report.verdict, Verdict::Unknown);
    assert!(report.notes[0].contains("before its last change"), "{:?}", report.notes);
}

#[test]
fn where_no_backend_is_the_cause_the_config_is_told() {
    let mut ws = workspace("w");
    ws.status.as_mut().unwrap().conditions = conditions(&[
        "Accepted=Unknown/NoBackend: there is no BackendConfig to judge the spec by",
        "BackendReady=False/NoBackend: there is no BackendConfig named \"cluster\": create it",
        "Ready=False/NoBackend: there is no BackendConfig named \"cluster\": create it",
        "Reconciling=True/NoBackend: there is no BackendConfig named \"cluster\": create it",
    ]);
    let report = Around::with(runs()).of(&ws);
    assert_eq!(report.fails.as_ref().unwrap().condition, "BackendReady", "as Ready itself has it");
    assert!(report.notes.contains(&"there is no BackendConfig in this cluster".to_owned()), "{report:?}");
    assert_eq!(report.todo, ["Do what the message says."]);
    let mut around = Around::with(runs());
    around.configs = Err(Refusal::Forbidden("backendconfigs is forbidden".into()));
    assert!(around.of(&ws).notes[1].contains("could not be read: backendconfigs is forbidden"));
}

#[test]
fn a_team_names_its_worst_members_each_cause_in_full_once() {
    let members = [("a", None), ("b", Some("a")), ("c", Some("a"))];
    let studio = troubled("studio", &members);
    let sick: Vec<Workspace> = ["b", "c"].map(|name| member(&studio, name, without_image("w"))).into();
    let report = Around::with(runs()).of_team(&studio, &sick, &["a"]);
    let text = plain(&report);
    assert_eq!(
        text.matches("the first that does not").count(),
        2,
        "the Team and one member in full:\n{text}"
    );
    assert!(text.contains("\nws/studio-c in demo: NOT HEALTHY: ImageNotFound"), "{text}");
    assert!(text.contains("- the member a has no Workspace yet"), "{text}");
    assert!(
        text.starts_with("team/studio in demo: NOT HEALTHY: MembersStalled: 2/3 members are ready"),
        "{text}"
    );
    assert_eq!(
        report.todo,
        ["ws/studio-b: Correct the runtime's image in the BackendConfig, or load the image on the engine."]
    );
    assert_eq!(report.members.len(), 2);
}

#[test]
fn a_team_that_is_behind_its_members_is_not_called_healthy() {
    let studio = team("studio", &[("a", None)]);
    let sick = [member(&studio, "a", without_image("w"))];
    let report = Around::with(runs()).of_team(&studio, &sick, &[]);
    assert_eq!(report.verdict, Verdict::NotHealthy);
    assert!(report.summary.contains("has not said so yet"), "{}", report.summary);
}

#[test]
fn a_suspended_one_says_how_to_go_on() {
    let mut ws = workspace("w");
    ws.spec.suspend = true;
    ws.status.as_mut().unwrap().conditions =
        conditions(&["Ready=False/Suspended: suspended", "Suspended=True/Suspended: suspended"]);
    let report = Around::with(runs()).of(&ws);
    let text = plain(&report);
    assert!(text.starts_with("ws/w in demo: SUSPENDED: suspended"), "{text}");
    assert!(text.contains("`kubectl atelier resume ws/w -n demo`"), "{text}");
    let around = Around::with(runs());
    let with_team = Beside { suspended_with: Some("studio"), ..around.beside() };
    let text = plain(&of_workspace(&ws, with_team));
    assert!(text.contains("`kubectl atelier resume team/studio -n demo`"), "{text}");
}

#[test]
fn what_this_program_can_do_about_it_is_said() {
    let mut ws = workspace("w");
    ws.status.as_mut().unwrap().conditions = conditions(&[
        "InstanceLaunched=True/Running: it runs",
        "AgentConnected=False/AgentWedged: the agent says so",
        "Ready=False/AgentWedged: the agent says so",
    ]);
    let report = Around::with(runs()).of(&ws);
    assert!(
        report.todo.contains(&"To restart it: `kubectl atelier restart ws/w -n demo`.".to_owned()),
        "{report:?}"
    );

    let status = ws.status.as_mut().unwrap();
    status.conditions = conditions(&["Bootstrapped=False/Booting: it runs", "Ready=False/Booting: it runs"]);
    let launch = json!({
        "attempt": 2, "outcome": "Pending", "specHash": "h", "keyID": "k", "request": "{}", "failures": 1,
        "startedAt": "2026-09-21T14:13:20Z",
    });
    status.launch = Some(serde_json::from_value(launch).unwrap());
    let ended = json!({"attempt": 1, "outcome": "Gone", "reason": "BootTimeout", "at": "2026-09-21T14:13:20Z", "message": "i-1 was silent"});
    status.attempts = vec![serde_json::from_value(ended).unwrap()];
    let report = Around::with(runs()).of(&ws);
    let last = report.todo.last().unwrap();
    assert!(
        last.starts_with("If it ends as attempt 1 did, with BootTimeout: See the log tail"),
        "{report:?}"
    );
    let text = render(&report, at(150), Paint::Plain);
    assert!(text.contains("attempt 1 ended Gone: BootTimeout, 2026-09-21T14:13:20Z"), "{text}");
    assert!(text.contains(": i-1 was silent\n"), "{text}");
}

#[test]
fn machines_read_the_same() {
    let value = serde_json::to_value(Around::with(runs()).of(&without_image("w"))).unwrap();
    assert_eq!(value["kind"], "Workspace");
    assert_eq!(value["verdict"], "NotHealthy");
    assert_eq!(value["fails"]["reason"], "ImageNotFound");
    assert_eq!(value["fails"]["since"], "2026-09-21T14:13:50Z");
    assert_eq!(value["evidence"]["instanceID"], serde_json::Value::Null);
    assert!(serde_saphyr::to_string(&value).unwrap().contains("verdict: NotHealthy"));
}
