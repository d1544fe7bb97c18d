//! Tree: who reports to whom, how each does, and why those do not that are not ready. Pure.

use super::feed::Snapshot;
use super::standing::{Standing, State, standing};
use super::terminal::{Paint, age, pad, widest};
use crate::api::{Team, Workspace, names};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use std::collections::BTreeSet;
use std::fmt::Write;

const HEADINGS: [&str; 6] = ["MEMBER", "STATE", "REASON", "BACKEND", "INSTANCE", "AGE"];
/// What stands where there is nothing.
const NOTHING: &str = "-";

/// The Team that a Workspace belongs to: its name and uid.
pub fn team_of(ws: &Workspace) -> Option<(&str, &str)> {
    let owners = ws.owner_references().iter();
    let mut teams = owners.filter(|owner| owner.kind == "Team" && owner.controller == Some(true));
    teams.next().map(|owner| (owner.name.as_str(), owner.uid.as_str()))
}

/// All that there is, a block a Team, then the Workspaces without one.
pub fn render(seen: &Snapshot, now: Timestamp, paint: Paint) -> String {
    let mut text = String::new();
    let mut teams: Vec<&Team> = seen.teams.iter().collect();
    teams.sort_by_key(|team| (team.namespace(), team.name_any()));
    let known: BTreeSet<&str> = teams.iter().filter_map(|team| team.metadata.uid.as_deref()).collect();
    for team in &teams {
        section(&mut text, &of_team(team, &seen.workspaces, now, paint));
    }
    let loose = |ws: &&Workspace| team_of(ws).is_none_or(|(_, uid)| !known.contains(uid));
    let mut loose: Vec<&Workspace> = seen.workspaces.iter().filter(loose).collect();
    loose.sort_by_key(|ws| (ws.namespace(), ws.name_any()));
    let namespaces: BTreeSet<Option<String>> = loose.iter().map(|ws| ws.namespace()).collect();
    for namespace in namespaces {
        let here: Vec<Node> =
            loose.iter().filter(|ws| ws.namespace() == namespace).map(|ws| Node::loose(ws)).collect();
        let heading = format!("{} {}", paint.bold(namespace.as_deref().unwrap_or(NOTHING)), "without a Team");
        section(&mut text, &format!("{heading}\n{}", table(&here, now, paint)));
    }
    text
}

fn section(text: &mut String, block: &str) {
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(block);
}

fn of_team(team: &Team, workspaces: &[Workspace], now: Timestamp, paint: Paint) -> String {
    let name = team.name_any();
    let mine =
        |ws: &&Workspace| team_of(ws).is_some_and(|(_, uid)| Some(uid) == team.metadata.uid.as_deref());
    let mine: Vec<&Workspace> = workspaces.iter().filter(mine).collect();
    let child = |member: &str| {
        let child = names::child(&name, member);
        mine.iter().copied().find(|ws| ws.metadata.name.as_deref() == Some(child.as_str()))
    };
    let mut nodes: Vec<Node> = team
        .spec
        .members
        .iter()
        .map(|member| Node {
            name: member.name.clone(),
            parent: member.reports_to.clone(),
            workspace: child(&member.name),
            removed: false,
        })
        .collect();
    let in_spec: BTreeSet<String> = nodes.iter().map(|node| names::child(&name, &node.name)).collect();
    for ws in mine.iter().filter(|ws| !in_spec.contains(&ws.name_any())) {
        let member = ws.labels().get(names::MEMBER).cloned().unwrap_or_else(|| ws.name_any());
        nodes.push(Node { name: member, parent: None, workspace: Some(ws), removed: true });
    }
    let members = nodes.iter().filter(|node| !node.removed).map(|node| node.standing().state);
    let ready = members.clone().filter(|state| *state == State::Ready).count();
    let said = standing(team).with_members(members.clone());
    let total = members.count();
    let mut line = format!(
        "{}  {}  {}",
        paint.bold(&format!("{}/{name}", team.namespace().unwrap_or_default())),
        paint
            .state(if ready == total { State::Ready } else { said.state }, &format!("{ready}/{total} ready")),
        paint.state(said.state, said.state.as_str()),
    );
    if !said.shown_reason().is_empty() {
        let _ = write!(line, "  {}", said.shown_reason());
    }
    if let Some(created) = team.creation_timestamp() {
        let _ = write!(line, "  {}", paint.dim(&age(created.0, now)));
    }
    // What its members say of themselves stands below them.
    let own =
        said.state != State::Ready && !said.reason.starts_with("Members") && said.state != State::Suspended;
    let own = if own { format!("  {}\n", said.why()) } else { String::new() };
    format!("{line}\n{own}{}", table(&nodes, now, paint))
}

/// One line of a tree.
#[derive(Clone, Debug)]
struct Node<'a> {
    name: String,
    parent: Option<String>,
    workspace: Option<&'a Workspace>,
    removed: bool,
}

impl<'a> Node<'a> {
    fn loose(ws: &'a Workspace) -> Self {
        let parent = ws.spec.parent_ref.as_ref().map(|parent| parent.name.clone());
        Self { name: ws.name_any(), parent, workspace: Some(ws), removed: false }
    }

    fn standing(&self) -> Standing {
        match self.workspace {
            Some(ws) => standing(ws),
            None => Standing {
                state: State::NotSeen,
                reason: String::new(),
                message: "it has no Workspace yet".into(),
                since: None,
            },
        }
    }

    fn cells(&self, branch: &str, now: Timestamp) -> [String; 6] {
        let said = self.standing();
        let status = self.workspace.and_then(|ws| ws.status.as_ref());
        let or_nothing = |text: Option<String>| text.unwrap_or_else(|| NOTHING.to_owned());
        let removed = if self.removed { " (removed)" } else { "" };
        let reason = said.shown_reason();
        let instance = status.and_then(|s| s.instance_id.as_deref()).map(names::short_id);
        let created = self.workspace.and_then(ResourceExt::creation_timestamp);
        [
            format!("{branch}{}{removed}", self.name),
            said.state.as_str().to_owned(),
            reason.to_owned(),
            or_nothing(status.and_then(|s| s.placement.as_ref()).map(|p| p.backend.as_str().to_owned())),
            or_nothing(instance.map(str::to_owned)),
            or_nothing(created.map(|at| age(at.0, now))),
        ]
    }
}

/// The nodes in the order of the tree, each with the branch in front of it.
fn ordered<'n, 'a>(nodes: &'n [Node<'a>]) -> Vec<(String, &'n Node<'a>)> {
    let is_here = |name: &str| nodes.iter().any(|node| node.name == name && !node.removed);
    let mut order = Vec::new();
    let mut drawn = BTreeSet::new();
    let roots =
        nodes.iter().enumerate().filter(|(_, node)| node.parent.as_deref().is_none_or(|p| !is_here(p)));
    for (index, _) in roots {
        draw(nodes, index, "", "", &mut drawn, &mut order);
    }
    // Those who report to each other in a circle have no root.
    for index in 0..nodes.len() {
        draw(nodes, index, "", "", &mut drawn, &mut order);
    }
    order
}

fn draw<'n, 'a>(
    nodes: &'n [Node<'a>],
    index: usize,
    branch: &str,
    below: &str,
    drawn: &mut BTreeSet<usize>,
    order: &mut Vec<(String, &'n Node<'a>)>,
) {
    if !drawn.insert(index) {
        return;
    }
    let Some(node) = nodes.get(index) else { return };
    order.push((branch.to_owned(), node));
    let reports = |n: &usize| {
        let is_below = nodes[*n].parent.as_deref() == Some(node.name.as_str());
        is_below && !node.removed && !drawn.contains(n)
    };
    let reports: Vec<usize> = (0..nodes.len()).filter(reports).collect();
    for (place, report) in reports.iter().enumerate() {
        let (own, next) = if place + 1 == reports.len() { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        draw(nodes, *report, &format!("{below}{own}"), &format!("{below}{next}"), drawn, order);
    }
}

fn table(nodes: &[Node<'_>], now: Timestamp, paint: Paint) -> String {
    let rows: Vec<(State, [String; 6])> = ordered(nodes)
        .iter()
        .map(|(branch, node)| (node.standing().state, node.cells(branch, now)))
        .collect();
    let width = |column: usize| {
        widest(rows.iter().map(|(_, cells)| cells[column].as_str()).chain([HEADINGS[column]]))
    };
    let widths: Vec<usize> = (0..HEADINGS.len()).map(width).collect();
    let line = |cells: &[String]| {
        let filled: Vec<String> = cells.iter().zip(&widths).map(|(cell, width)| pad(cell, *width)).collect();
        filled
    };
    let headings = line(&HEADINGS.map(str::to_owned)).join("  ");
    let mut text = format!("  {}\n", paint.dim(headings.trim_end()));
    for (state, cells) in &rows {
        let mut cells = line(cells);
        cells[1] = paint.state(*state, &cells[1]);
        let _ = writeln!(text, "  {}", cells.join("  ").trim_end());
    }
    text + &problems(nodes, now, paint)
}

/// Why those are not ready that are not, the worst first, one line each.
fn problems(nodes: &[Node<'_>], now: Timestamp, paint: Paint) -> String {
    let mut unready: Vec<(Standing, &str)> =
        nodes.iter().map(|node| (node.standing(), node.name.as_str())).collect();
    unready.retain(|(said, _)| !matches!(said.state, State::Ready | State::Suspended));
    if unready.is_empty() {
        return String::new();
    }
    unready.sort_by(|(a, left), (b, right)| (a.state, a.since, left).cmp(&(b.state, b.since, right)));
    let width = widest(unready.iter().map(|(_, name)| *name));
    let mut text = format!("  {}\n", paint.dim("not ready, the worst first:"));
    for (said, name) in &unready {
        let since = said.since.map(|at| format!(" ({})", age(at, now))).unwrap_or_default();
        let name = paint.state(said.state, &pad(name, width));
        let _ = writeln!(text, "    {name}  {}{}", said.why(), paint.dim(&since));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::fixtures::{
        at, conditions, of_team as member, team, troubled, without_image, workspace,
    };

    const STUDIO: [(&str, Option<&str>); 4] = [
        ("director", None),
        ("writer", Some("director")),
        ("editor", Some("writer")),
        ("painter", Some("director")),
    ];

    fn plain(seen: &Snapshot) -> String {
        render(seen, at(150), Paint::Plain)
    }

    #[test]
    fn a_healthy_team() {
        let team = team("studio", &STUDIO);
        let workspaces = STUDIO.iter().map(|(name, _)| member(&team, name, workspace("w"))).collect();
        let text = plain(&Snapshot { teams: vec![team], workspaces });
        assert_eq!(
            text,
            "\
demo/studio  4/4 ready  Ready  2m30s
  MEMBER        STATE  REASON  BACKEND  INSTANCE      AGE
  director      Ready          Docker   0123456789ab  2m30s
  ├─ writer     Ready          Docker   0123456789ab  2m30s
  │  └─ editor  Ready          Docker   0123456789ab  2m30s
  └─ painter    Ready          Docker   0123456789ab  2m30s
"
        );
    }

    #[test]
    fn the_worst_come_first_and_each_says_why() {
        let team = troubled("studio", &STUDIO);
        let mut booting = member(&team, "director", workspace("w"));
        booting.status.as_mut().unwrap().conditions =
            conditions(&["Ready=False/Booting: i-1 runs; its agent\nhas not connected yet"]);
        let painter = member(&team, "painter", without_image("w"));
        let mut gone = member(&team, "printer", workspace("w"));
        gone.metadata.deletion_timestamp = gone.metadata.creation_timestamp.clone();
        let workspaces = vec![booting, member(&team, "writer", workspace("w")), painter, gone];
        let text = plain(&Snapshot { teams: vec![team], workspaces });
        assert_eq!(
            text,
            "\
demo/studio  1/4 ready  Stalled  MembersStalled  2m30s
  MEMBER             STATE     REASON         BACKEND  INSTANCE      AGE
  director           Starting  Booting        Docker   0123456789ab  2m30s
  ├─ writer          Ready                    Docker   0123456789ab  2m30s
  │  └─ editor       NotSeen                  -        -             -
  └─ painter         Stalled   ImageNotFound  Docker   -             2m30s
  printer (removed)  Deleting                 Docker   0123456789ab  2m30s
  not ready, the worst first:
    painter   ImageNotFound: the image x:1 is not on the engine, and pulling it failed: no such host (2m)
    editor    it has no Workspace yet
    director  Booting: i-1 runs; its agent has not connected yet (2m)
    printer   it is being deleted (2m30s)
"
        );
    }

    #[test]
    fn those_without_a_team_and_those_in_a_circle_are_shown_as_well() {
        let mut report = workspace("report");
        report.spec.parent_ref = Some(crate::api::workspace::LocalRef { name: "alone".into() });
        let mut refused = team("circle", &[("a", Some("b")), ("b", Some("a"))]);
        refused.status.as_mut().unwrap().conditions = conditions(&[
            "Ready=False/ReportingCycle: a reports to b, b reports to a",
            "Stalled=True/ReportingCycle: a reports to b, b reports to a",
        ]);
        let text = plain(&Snapshot { teams: vec![refused], workspaces: vec![report, workspace("alone")] });
        assert_eq!(
            text,
            "\
demo/circle  0/2 ready  Stalled  ReportingCycle  2m30s
  ReportingCycle: a reports to b, b reports to a
  MEMBER  STATE    REASON  BACKEND  INSTANCE  AGE
  a       NotSeen          -        -         -
  └─ b    NotSeen          -        -         -
  not ready, the worst first:
    a  it has no Workspace yet
    b  it has no Workspace yet

demo without a Team
  MEMBER     STATE  REASON  BACKEND  INSTANCE      AGE
  alone      Ready          Docker   0123456789ab  2m30s
  └─ report  Ready          Docker   0123456789ab  2m30s
"
        );
        assert_eq!(plain(&Snapshot::default()), "");
    }

    #[test]
    fn colours_change_nothing_but_colours() {
        let team = troubled("studio", &STUDIO);
        let workspaces = vec![member(&team, "painter", without_image("w"))];
        let seen = Snapshot { teams: vec![team], workspaces };
        let painted = render(&seen, at(150), Paint::Colour);
        let mut bare = String::new();
        let mut rest = painted.as_str();
        while let Some((before, after)) = rest.split_once("\x1b[") {
            bare.push_str(before);
            rest = after.split_once('m').unwrap().1;
        }
        bare.push_str(rest);
        assert_ne!(painted, bare);
        let trimmed = |text: &str| text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
        assert_eq!(trimmed(&bare), trimmed(&plain(&seen)));
    }
}
