//! Judge: what works, the first thing that does not, since when, the evidence, and what to do. Pure: it says what the
//! objects say, and where they say nothing, that.

use super::report::{Evidence, Failure, Report, Told, Verdict, Word};
use crate::api::condition::{self, ConditionType, Progress, Reason};
use crate::api::workspace::Launch;
use crate::api::{BackendConfig, Team, Workspace};
use crate::plugin::cluster::Answer;
use crate::plugin::lease::Controller;
use crate::plugin::standing::{Said, Standing, State, clean, one_line, standing};
use crate::plugin::target::{Kind, Target};
use k8s_openapi::api::core::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::ResourceExt;

/// What is to be done where the message says it.
const AS_SAID: &str = "Do what the message says.";
/// So many events are shown.
const EVENTS: usize = 6;

/// What is known beside the object itself.
#[derive(Clone, Copy, Debug)]
pub struct Beside<'a> {
    /// Its events.
    pub events: &'a Answer<Vec<Event>>,
    /// Whether a controller runs.
    pub controller: &'a Controller,
    /// Every BackendConfig.
    pub configs: &'a Answer<Vec<BackendConfig>>,
    /// The Team that is suspended with all its members, of which it is one.
    pub suspended_with: Option<&'a str>,
}

const WORKSPACE: [ConditionType; 5] = [
    ConditionType::Accepted,
    ConditionType::BackendReady,
    ConditionType::InstanceLaunched,
    ConditionType::Bootstrapped,
    ConditionType::AgentConnected,
];
const TEAM: [ConditionType; 3] =
    [ConditionType::Accepted, ConditionType::Expanded, ConditionType::MembersReady];

/// The report of a Workspace.
pub fn of_workspace(ws: &Workspace, beside: Beside<'_>) -> Report {
    let target = Target::workspace(ws.name_any());
    let said = standing(ws);
    let mut report = report(&target, ws.into(), &WORKSPACE, &said, beside);
    if let Some(status) = &ws.status {
        let diagnosis = status.diagnosis.as_ref();
        let instance = status.instance.as_ref().map(|seen| {
            let why = seen.state_reason.as_ref().map(|why| format!(", {why}")).unwrap_or_default();
            format!("{}{why}", seen.state)
        });
        let launch = status.launch.as_ref();
        report.evidence = Evidence {
            backend: status.placement.as_ref().map(|placed| placed.backend.as_str().to_owned()),
            instance_id: status.instance_id.clone(),
            instance,
            image: status.instance.as_ref().and_then(|seen| seen.image.clone()),
            attempt: launch.map(|launch| launch.attempt),
            failures: launch.map(|launch: &Launch| launch.failures).filter(|failures| *failures > 0),
            not_before: launch.and_then(|launch| launch.not_before.clone()),
            attempts: status.attempts.clone(),
            steps: diagnosis.map(|found| found.steps.clone()).unwrap_or_default(),
            observed_at: diagnosis.map(|found| found.observed_at.clone()),
            log_tail: diagnosis.and_then(|found| found.log_tail.as_deref()).map(clean),
            events: report.evidence.events,
        };
    }
    let more = more_to_do(&target, &report);
    report.todo.extend(more);
    report
}

/// What a person can do besides, with this program.
fn more_to_do(target: &Target, report: &Report) -> Vec<String> {
    let mut todo = Vec::new();
    let Some(fails) = &report.fails else { return todo };
    let seen = &report.evidence;
    let here = format!("{target} -n {}", report.namespace);
    match report.state {
        State::Stalled | State::Repairing => {
            if Reason::parse(&fails.reason).is_some_and(|reason| reason.fix().contains("spec.restartedAt")) {
                todo.push(format!("To restart it: `kubectl atelier restart {here}`."));
            }
            let is_of_box = !matches!(fails.condition.as_str(), "Accepted" | "BackendReady");
            if is_of_box && seen.instance_id.is_some() && seen.instance.is_some() {
                todo.push(format!("Its whole log: `kubectl atelier logs {here}`."));
            }
        }
        State::Starting => {
            let failed = seen.attempts.last().filter(|_| seen.failures.is_some());
            let reason = failed.and_then(|ended| ended.reason.as_deref()).and_then(Reason::parse);
            if let (Some(ended), Some(reason)) = (failed, reason)
                && !reason.fix().is_empty()
            {
                todo.push(format!(
                    "If it ends as attempt {} did, with {reason}: {}",
                    ended.attempt,
                    reason.fix()
                ));
            }
        }
        _ => {}
    }
    todo
}

/// The report of a Team; `members` are the reports of those of its Workspaces that are not ready.
pub fn of_team(team: &Team, members: Vec<Report>, missing: &[String], beside: Beside<'_>) -> Report {
    let target = Target::team(team.name_any());
    let said = standing(team);
    let mut report = report(&target, team.into(), &TEAM, &said, beside);
    if report.verdict == Verdict::Healthy && !(members.is_empty() && missing.is_empty()) {
        report.verdict = Verdict::NotHealthy;
        report.state = State::Repairing;
        report.since = None;
        report.summary = format!(
            "{} of its members are not ready; the Team has not said so yet",
            members.len() + missing.len()
        );
    } else if report.verdict == Verdict::Healthy {
        let summary =
            team.status.as_ref().and_then(|status| status.ready_summary.clone()).unwrap_or_default();
        report.summary = format!("{summary} members are ready");
    }
    for member in missing {
        report.notes.push(format!("the member {member} has no Workspace yet"));
    }
    let of_members =
        report.fails.as_ref().is_some_and(|f| f.condition == ConditionType::MembersReady.as_str());
    let states: Vec<State> = members.iter().map(|member| member.state).collect();
    report.state = said.clone().with_members(states).state.min(report.state);
    if of_members && !members.is_empty() && report.state != State::NotSeen {
        let counts = team.status.as_ref().and_then(|status| status.ready_summary.as_deref());
        report.summary = format!("{}: {} members are ready", said.reason, counts.unwrap_or("not all"));
        // What is to be done about members stands here as well, once each.
        report.todo.retain(|todo| todo.starts_with("Start the controller"));
        for member in &members {
            let first = member.todo.first().filter(|_| !member.is_on_its_way());
            let words = match (first, &member.fails) {
                (Some(todo), Some(fails)) if todo == AS_SAID => Some(one_line(&fails.message)),
                (first, _) => first.cloned(),
            };
            let told = |words: &String| report.todo.iter().any(|known| known.ends_with(words.as_str()));
            if let Some(words) = words.filter(|words| !told(words)) {
                report.todo.push(format!("ws/{}: {words}", member.name));
            }
        }
        if report.todo.is_empty() {
            report.todo.push(follow(&target, &report.namespace));
        }
    }
    report.members = members;
    report
}

fn report(
    target: &Target,
    object: Said<'_>,
    chain: &[ConditionType],
    said: &Standing,
    beside: Beside<'_>,
) -> Report {
    let namespace = object.metadata.namespace.clone().unwrap_or_default();
    let (works, fails, beyond) = walk(object.conditions, chain);
    let mut notes = Vec::new();
    let mut verdict = match said.state {
        State::Ready => Verdict::Healthy,
        State::NotSeen => Verdict::Unknown,
        _ => Verdict::NotHealthy,
    };
    if said.state == State::NotSeen && !object.conditions.is_empty() {
        notes.push("what is said here is of the spec before its last change".to_owned());
    }
    let mut summary = match said.state {
        State::Ready => clean(&said.message),
        _ => said.why(),
    };
    if beside.controller.is_down() && said.state == State::Ready {
        verdict = Verdict::Unknown;
        summary = format!("it was Ready when a controller last looked: {summary}");
    }
    if verdict != Verdict::Healthy || matches!(beside.controller, Controller::NoLease { .. }) {
        notes.push(beside.controller.to_string());
    }
    let about_backend = fails.as_ref().is_some_and(|fails| {
        let words = [fails.condition.as_str(), fails.reason.as_str()];
        words.iter().any(|word| {
            matches!(
                *word,
                "BackendReady" | "NoBackend" | "BackendNotReady" | "UnknownRuntime" | "TierNotAllowed"
            )
        })
    });
    if about_backend {
        notes.extend(configs(beside.configs));
    }
    let mut evidence = Evidence::default();
    match beside.events {
        Ok(events) => evidence.events = told(events),
        Err(why) if verdict != Verdict::Healthy => notes.push(format!("its events could not be read: {why}")),
        Err(_) => {}
    }
    let todo = todo(target, &namespace, said, fails.as_ref(), beside);
    Report {
        kind: target.kind,
        namespace,
        name: target.name.clone(),
        verdict,
        state: said.state,
        summary,
        since: said.since.map(Time),
        works,
        fails: fails.filter(|_| said.state != State::Ready),
        beyond,
        evidence,
        notes,
        todo,
        members: Vec::new(),
    }
}

/// The chain of conditions: what holds, the first that does not, and the rest that does not.
fn walk(conditions: &[Condition], chain: &[ConditionType]) -> (Vec<Word>, Option<Failure>, Vec<Word>) {
    let there: Vec<&Condition> =
        chain.iter().filter_map(|type_| condition::find(conditions, *type_)).collect();
    let word = |c: &&Condition| Word {
        condition: c.type_.clone(),
        status: c.status.clone(),
        message: clean(&c.message),
    };
    let works = there.iter().filter(|c| c.status == "True").map(word).collect();
    let first = |status: &str| there.iter().find(|c| c.status == status);
    // As Ready does: the first that is False, else the first that is not known.
    let first = first("False").or_else(|| first("Unknown")).copied();
    let fails = first.map(|c| Failure {
        condition: c.type_.clone(),
        status: c.status.clone(),
        reason: c.reason.clone(),
        means: Reason::parse(&c.reason).map(Reason::meaning).unwrap_or_default().to_owned(),
        message: clean(&c.message),
        since: c.last_transition_time.clone(),
    });
    let rest = |c: &&&Condition| c.status != "True" && first.is_none_or(|first| first.type_ != c.type_);
    (works, fails, there.iter().filter(rest).map(word).collect())
}

/// What is to be done, most important first.
fn todo(
    target: &Target,
    namespace: &str,
    said: &Standing,
    fails: Option<&Failure>,
    beside: Beside<'_>,
) -> Vec<String> {
    let mut todo = Vec::new();
    if beside.controller.is_down() {
        todo.push(
            "Start the controller: nothing is done or looked at before; see `kubectl atelier doctor`."
                .to_owned(),
        );
    }
    let here = format!("{target} -n {namespace}");
    match said.state {
        State::Ready => return todo,
        State::NotSeen if beside.controller.is_down() => return todo,
        State::NotSeen => {
            todo.push(format!(
                "Wait a moment: `kubectl atelier wait {here}`. If it lasts, see whether a controller looks after this namespace: `kubectl atelier doctor`."
            ));
            return todo;
        }
        State::Suspended => {
            let with = beside.suspended_with.map(Target::team);
            let whom = with.as_ref().unwrap_or(target);
            todo.push(format!("To go on: `kubectl atelier resume {whom} -n {namespace}`."));
            return todo;
        }
        State::Starting => todo.push(follow(target, namespace)),
        State::Stalled | State::Repairing | State::Deleting => {}
    }
    let message = fails.map_or(said.message.as_str(), |fails| fails.message.as_str());
    let reason = Reason::parse(&said.reason);
    if let Some(fix) = reason.and_then(|reason| reason.fix_beyond(message)) {
        todo.push(fix.to_owned());
    } else if let Some(reason) = reason
        && !reason.fix().is_empty()
    {
        todo.push(AS_SAID.to_owned());
    }
    if reason.is_some_and(|reason| reason.progress() == Progress::Reconciling)
        && said.state == State::Repairing
        && target.kind == Kind::Workspace
    {
        todo.push("The operator goes on by itself meanwhile.".to_owned());
    }
    todo
}

fn follow(target: &Target, namespace: &str) -> String {
    format!("Nothing yet: it is on its way. To follow it: `kubectl atelier wait {target} -n {namespace}`.")
}

fn configs(configs: &Answer<Vec<BackendConfig>>) -> Vec<String> {
    match configs {
        Err(why) => vec![format!("the BackendConfig could not be read: {why}")],
        Ok(configs) if configs.is_empty() => vec!["there is no BackendConfig in this cluster".to_owned()],
        Ok(configs) => configs
            .iter()
            .map(|config| {
                let said = standing(config);
                let name = config.name_any();
                match said.state {
                    State::Ready => format!("the BackendConfig {name} is Ready"),
                    State::NotSeen => format!("the BackendConfig {name}: {}", said.message),
                    _ => format!("the BackendConfig {name} is not Ready: {}", said.why()),
                }
            })
            .collect(),
    }
}

/// The last events, oldest first.
fn told(events: &[Event]) -> Vec<Told> {
    let mut told: Vec<Told> = events
        .iter()
        .map(|event| {
            let of_series = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref());
            let precise = of_series.or(event.event_time.as_ref()).map(|at| Time(at.0));
            let at = event
                .last_timestamp
                .clone()
                .max(precise)
                .or_else(|| event.metadata.creation_timestamp.clone());
            Told {
                at,
                reason: event.reason.clone().unwrap_or_default(),
                note: clean(event.message.as_deref().unwrap_or_default()),
            }
        })
        .collect();
    told.sort_by_key(|event| event.at.as_ref().map(|at| at.0));
    told.split_off(told.len().saturating_sub(EVENTS))
}
