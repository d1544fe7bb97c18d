//! Text: a report as people read it. Pure.

use super::report::{Evidence, Failure, Report, Verdict, Word};
use crate::plugin::standing::{State, one_line};
use crate::plugin::target::{Kind, Target};
use crate::plugin::terminal::{Paint, age, pad, widest};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use std::collections::BTreeSet;
use std::fmt::Write;

/// So many members are shown with all that is known of them; of the others, the first line.
const IN_FULL: usize = 5;

/// A report, with those members in full that are the first of their reason.
pub fn render(report: &Report, now: Timestamp, paint: Paint) -> String {
    let mut text = block(report, now, paint);
    let mut told: BTreeSet<&str> = BTreeSet::new();
    for member in &report.members {
        let reason = member.fails.as_ref().map_or("", |fails| fails.reason.as_str());
        if told.len() < IN_FULL && told.insert(reason) {
            let _ = write!(text, "\n{}", block(member, now, paint));
        } else {
            let _ = write!(text, "\n{}\n", headline(member, now, paint));
        }
    }
    text
}

fn headline(report: &Report, now: Timestamp, paint: Paint) -> String {
    let target = Target { kind: report.kind, name: report.name.clone() };
    let verdict = match (report.verdict, report.state) {
        (Verdict::Healthy, _) => paint.good("healthy"),
        (Verdict::Unknown, _) => paint.warn("COULD NOT TELL"),
        (Verdict::NotHealthy, State::Starting) => paint.state(State::Starting, "NOT READY YET"),
        (Verdict::NotHealthy, State::Suspended) => paint.state(State::Suspended, "SUSPENDED"),
        (Verdict::NotHealthy, State::Deleting) => paint.state(State::Deleting, "BEING DELETED"),
        (Verdict::NotHealthy, _) => paint.bad("NOT HEALTHY"),
    };
    let since = report.since.as_ref().map(|at| format!(" (for {})", age(at.0, now))).unwrap_or_default();
    format!(
        "{} in {}: {verdict}: {}{since}",
        paint.bold(&target.to_string()),
        report.namespace,
        one_line(&report.summary)
    )
}

fn block(report: &Report, now: Timestamp, paint: Paint) -> String {
    let mut text = headline(report, now, paint);
    text.push('\n');
    if report.verdict == Verdict::Healthy {
        for note in &report.notes {
            let _ = writeln!(text, "  {}", paint.dim(&format!("note: {note}")));
        }
        return text;
    }
    let works = report.works.iter().map(|word| (word.condition.clone(), one_line(&word.message)));
    words(&mut text, "works", &works.collect::<Vec<_>>(), paint, Paint::good);
    if let Some(fails) = &report.fails {
        failure(&mut text, report, fails, now, paint);
    }
    words(&mut text, "not known or not well after that", &beyond(report), paint, Paint::warn);
    evidence(&mut text, report, now, paint);
    list(&mut text, "notes", &report.notes, paint);
    list(&mut text, "what to do", &report.todo, paint);
    text
}

/// What comes after the first failure: conditions that say the same in one line.
fn beyond(report: &Report) -> Vec<(String, String)> {
    let mut lines: Vec<(String, String)> = Vec::new();
    for Word { condition, message, .. } in &report.beyond {
        let same = report.fails.as_ref().is_some_and(|fails| fails.message == *message);
        let message = if same { "for the same reason".to_owned() } else { one_line(message) };
        match lines.last_mut() {
            Some((conditions, said)) if *said == message => {
                let _ = write!(conditions, ", {condition}");
            }
            _ => lines.push((condition.clone(), message)),
        }
    }
    lines
}

fn words(
    text: &mut String,
    title: &str,
    words: &[(String, String)],
    paint: Paint,
    colour: fn(Paint, &str) -> String,
) {
    if words.is_empty() {
        return;
    }
    let _ = writeln!(text, "  {}", paint.bold(title));
    let width = widest(words.iter().map(|(condition, _)| condition.as_str()));
    for (condition, message) in words {
        let name = colour(paint, &pad(condition, width));
        let _ = writeln!(text, "    {}", format!("{name}  {message}").trim_end());
    }
}

fn failure(text: &mut String, report: &Report, fails: &Failure, now: Timestamp, paint: Paint) {
    let what = format!("{}={}/{}", fails.condition, fails.status, fails.reason);
    let _ = writeln!(text, "  {}", paint.bold("the first that does not"));
    let _ = writeln!(text, "    {}  since {}", paint.bad(&what), moment(&fails.since, now));
    // Members tell it themselves, below.
    let message = match (fails.condition.as_str(), report.members.as_slice()) {
        ("MembersReady", [_, ..]) => fails.message.split(". ").next().unwrap_or_default(),
        _ => fails.message.as_str(),
    };
    let _ = writeln!(text, "    {}", one_line(message));
    if !fails.means.is_empty() && !fails.message.contains(&fails.means) {
        let _ = writeln!(text, "    {}", paint.dim(&format!("{}: {}", fails.reason, fails.means)));
    }
}

fn evidence(text: &mut String, report: &Report, now: Timestamp, paint: Paint) {
    let seen = &report.evidence;
    let mut lines = Vec::new();
    lines.extend(box_line(report.kind, seen));
    if let Some(attempt) = seen.attempt {
        let failures = seen.failures.map(failed).unwrap_or_default();
        let next = seen.not_before.as_ref().filter(|at| at.0 > now);
        let next = next.map(|at| format!(", no box before {}", second(at.0))).unwrap_or_default();
        lines.push(format!("attempt {attempt}{failures}{next}"));
    }
    for ended in &seen.attempts {
        let reason = ended.reason.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
        let at = moment(&ended.at, now);
        let words =
            ended.message.as_deref().map(|words| format!(": {}", one_line(words))).unwrap_or_default();
        lines.push(format!("attempt {} ended {:?}{reason}, {at}{words}", ended.attempt, ended.outcome));
    }
    // Of the others all is said above.
    let more = seen.steps.iter().filter(|s| s.duration_seconds.is_some() || s.name.starts_with("stage "));
    for step in more {
        let took = step.duration_seconds.map(|s| format!(" ({s} s)")).unwrap_or_default();
        let mark = match step.ok {
            Some(true) => "ok",
            Some(false) => "failed",
            None => "not seen",
        };
        let detail = if step.name.starts_with("stage ") { one_line(&step.detail) } else { String::new() };
        let detail = if detail.is_empty() { detail } else { format!(": {detail}") };
        lines.push(format!("step {}: {mark}{took}{detail}", step.name));
    }
    for event in &seen.events {
        let at = event.at.as_ref().map(|at| format!("{} ago", age(at.0, now))).unwrap_or_default();
        let is_above = report.fails.as_ref().is_some_and(|fails| event.note.contains(&fails.message));
        let note = if is_above { "as above".to_owned() } else { one_line(&event.note) };
        lines.push(format!("event {at}: {}: {note}", event.reason));
    }
    list(text, "evidence", &lines, paint);
    if let Some(tail) = &seen.log_tail {
        let _ = writeln!(text, "  {}", paint.bold("the box's last output (what the box says)"));
        if tail.trim().is_empty() {
            let _ = writeln!(text, "    {}", paint.dim("it has printed nothing"));
        }
        for line in tail.lines().filter(|line| !line.trim().is_empty()) {
            let _ = writeln!(text, "    | {}", line.trim_end());
        }
    }
}

fn failed(times: i32) -> String {
    if times == 1 { ", 1 failure".to_owned() } else { format!(", {times} failures in a row") }
}

fn box_line(kind: Kind, seen: &Evidence) -> Option<String> {
    if kind == Kind::Team {
        return None;
    }
    let backend = seen.backend.as_deref().unwrap_or("no backend");
    match (seen.shown_id(), &seen.instance) {
        (Some(id), Some(state)) => {
            let image = seen.image.as_ref().map(|image| format!(", image {image}")).unwrap_or_default();
            Some(format!("box {id} on {backend}, last seen {state}{image}"))
        }
        (Some(id), None) => Some(format!("box {id} on {backend}, not seen now")),
        (None, _) => Some("no box is recorded".to_owned()),
    }
}

fn list(text: &mut String, title: &str, lines: &[String], paint: Paint) {
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(text, "  {}", paint.bold(title));
    for line in lines {
        let _ = writeln!(text, "    - {line}");
    }
}

fn moment(at: &Time, now: Timestamp) -> String {
    format!("{} ({} ago)", second(at.0), age(at.0, now))
}

fn second(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
