//! What is wrong, put together from what was observed: the failing step, the evidence, and what to do. Pure.

use super::seen::Seen;
use crate::api::workspace::{Diagnosis, DiagnosisStep, WorkspaceStatus};
use crate::api::{ConditionType, Conditions, Reason, condition};
use crate::backend::BoxSeen;
use crate::liveness::AgentView;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use std::fmt::Write;

/// The steps on the way to Ready, in order.
const STEPS: [ConditionType; 5] = [
    ConditionType::Accepted,
    ConditionType::BackendReady,
    ConditionType::InstanceLaunched,
    ConditionType::Bootstrapped,
    ConditionType::AgentConnected,
];
/// How much of the box's output stands in the condition's paragraph, in bytes; all of it is in `logTail`.
const TAIL_IN_PARAGRAPH: usize = 512;
/// How much of a step's detail is kept, in bytes.
const DETAIL_MAX_BYTES: usize = 512;

/// Whether a cause is just the way things go, and needs no diagnosis.
fn is_on_the_way(cause: Reason) -> bool {
    matches!(
        cause,
        Reason::Launching
            | Reason::PullingImage
            | Reason::WaitingForSlot
            | Reason::Booting
            | Reason::Suspended
            | Reason::Deleting
    )
}

/// Whether the box's own output is evidence for a cause.
pub fn wants_log(diagnosis: &Diagnosis) -> bool {
    matches!(
        Reason::parse(&diagnosis.cause),
        Some(
            Reason::ContainerExited
                | Reason::OOMKilled
                | Reason::CrashLoop
                | Reason::BootTimeout
                | Reason::BootFailed
                | Reason::NeverRegistered
                | Reason::RegistrationRejected
                | Reason::HeartbeatLost
                | Reason::AgentWedged
        )
    )
}

/// The diagnosis for a cause; `None` where there is nothing to explain. What was found before stays as long as
/// the finding is the same.
pub fn diagnose(
    stage: ConditionType,
    cause: Reason,
    summary: &str,
    steps: Vec<DiagnosisStep>,
    before: &WorkspaceStatus,
    seen: &Seen,
    now: Timestamp,
) -> Option<Diagnosis> {
    if is_on_the_way(cause) {
        return None;
    }
    let known = before.diagnosis.as_ref().filter(|d| d.cause == cause.as_str() && d.summary == summary);
    Some(Diagnosis {
        cause: cause.as_str().into(),
        stage: stage.as_str().into(),
        summary: summary.into(),
        hint: cause.fix().into(),
        steps,
        log_tail: seen.log_tail.clone().or_else(|| known.and_then(|k| k.log_tail.clone())),
        observed_at: known.map_or(Time(now), |k| k.observed_at.clone()),
    })
}

/// The steps up to the stage that is the cause, and what the box said of its boot.
pub fn steps(
    stage: ConditionType,
    conditions: &Conditions<'_>,
    before: &WorkspaceStatus,
    mine: Option<&BoxSeen>,
    agent: &AgentView,
) -> Vec<DiagnosisStep> {
    let mut steps = Vec::new();
    for type_ in STEPS {
        let Some(condition) = conditions.get(type_) else { continue };
        let ok = match condition.status.as_str() {
            "True" => Some(true),
            "False" => Some(false),
            _ => None,
        };
        steps.push(DiagnosisStep {
            name: type_.as_str().into(),
            ok,
            detail: condition::truncate(condition.message.clone(), DETAIL_MAX_BYTES),
            duration_seconds: duration(type_, before, mine, agent).filter(|_| ok == Some(true)),
        });
        if type_ == ConditionType::Bootstrapped {
            steps.extend(agent.stages.iter().map(|stage| DiagnosisStep {
                name: format!("stage {}", stage.stage),
                ok: Some(stage.ok),
                detail: condition::truncate(stage.detail.clone().unwrap_or_default(), DETAIL_MAX_BYTES),
                duration_seconds: None,
            }));
        }
        if type_ == stage {
            break;
        }
    }
    steps
}

fn duration(
    type_: ConditionType,
    before: &WorkspaceStatus,
    mine: Option<&BoxSeen>,
    agent: &AgentView,
) -> Option<i64> {
    let started = mine?.started_at?;
    let (from, to) = match type_ {
        ConditionType::InstanceLaunched => (before.launch.as_ref()?.started_at.0, started),
        ConditionType::Bootstrapped => (started, agent.first_call?),
        _ => return None,
    };
    Some(to.duration_since(from).as_secs()).filter(|s| *s >= 0)
}

/// The diagnosis as one paragraph, for `kubectl describe`.
pub fn paragraph(diagnosis: &Diagnosis, instance_id: Option<&str>) -> String {
    let mut text = format!("{} Failing step: {}.", sentence(&diagnosis.summary), diagnosis.stage);
    if let Some(id) = instance_id.filter(|id| !diagnosis.summary.contains(*id)) {
        let _ = write!(text, " Instance: {id}.");
    }
    match diagnosis.log_tail.as_deref().map(last_lines).as_deref() {
        None => {}
        Some("") => text.push_str(" The box has printed nothing."),
        Some(lines) => {
            let _ = write!(text, " The box's last output: \"{lines}\".");
        }
    }
    if let Some(hint) = hint_beyond(diagnosis) {
        let _ = write!(text, " Hint: {hint}");
    }
    text
}

/// The last whole lines that have room in a paragraph, on one line; of one that is longer, its end.
fn last_lines(tail: &str) -> String {
    let mut room = TAIL_IN_PARAGRAPH;
    let mut lines: Vec<&str> = Vec::new();
    for line in tail.lines().rev().map(str::trim).filter(|line| !line.is_empty()) {
        if line.len() > room {
            if lines.is_empty() {
                lines.push(&line[line.ceil_char_boundary(line.len() - room)..]);
            }
            break;
        }
        room -= line.len();
        lines.push(line);
    }
    lines.reverse();
    lines.join(" / ")
}

/// The diagnosis as a note, for an event.
pub fn note(diagnosis: &Diagnosis) -> String {
    let mut text = format!("{}: {}", diagnosis.cause, sentence(&diagnosis.summary));
    if let Some(hint) = hint_beyond(diagnosis) {
        let _ = write!(text, " {hint}");
    }
    text
}

/// The hint, where the summary does not say it already.
fn hint_beyond(diagnosis: &Diagnosis) -> Option<&'static str> {
    Reason::parse(&diagnosis.cause)?.fix_beyond(&diagnosis.summary)
}

fn sentence(text: &str) -> String {
    if text.ends_with(['.', '!', '?', '…']) { text.to_owned() } else { format!("{text}.") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_output_is_whole_lines_on_one() {
        assert_eq!(last_lines("one\n\n  two\r\nthree\n"), "one / two / three");
        assert_eq!(last_lines(" \n"), "");
        let long = format!("{}\nlast", "x".repeat(TAIL_IN_PARAGRAPH));
        assert_eq!(last_lines(&long), "last", "a line that has no room is left out, not cut");
        let one = format!("{}end", "ä".repeat(TAIL_IN_PARAGRAPH));
        assert!(last_lines(&one).ends_with("äend") && last_lines(&one).len() <= TAIL_IN_PARAGRAPH);
    }
}
