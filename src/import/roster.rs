//! Who of a template becomes a member, and who reports to whom. Pure.

use super::findings::Findings;
use super::template::{Template, Workspace};

/// How many members a Team may have.
const MAX_MEMBERS: usize = 256;

/// Who becomes a member, and who does not.
#[derive(Debug, Default)]
pub struct Roster<'t> {
    /// The members, each before those who report to it.
    pub members: Vec<Place<'t>>,
    /// Those that are not to be made, each with the number of workspaces that stay away with it.
    pub skipped: Vec<(&'t Workspace, usize)>,
    /// Those that run elsewhere, with the member that they report to.
    pub external: Vec<Place<'t>>,
}

/// A workspace and the member, by its index, that it reports to.
#[derive(Clone, Copy, Debug)]
pub struct Place<'t> {
    /// The workspace.
    pub workspace: &'t Workspace,
    /// The index of the member that it reports to; none for a root.
    pub reports_to: Option<usize>,
}

/// Walks the template's tree.
pub fn roster<'t>(template: &'t Template, findings: &Findings) -> Roster<'t> {
    let mut roster = Roster::default();
    for workspace in &template.workspaces {
        place(workspace, None, &mut roster, findings);
    }
    match roster.members.len() {
        0 => {
            if let Some(first) = template.workspaces.first() {
                let text =
                    "no workspace becomes a member: all of them are external or have `spawning: false`";
                findings.error(&first.at, text);
            }
        }
        count if count > MAX_MEMBERS => {
            let text = format!(
                "the template makes {count} members and a Team may have {MAX_MEMBERS}: split the template"
            );
            findings.error(&roster.members[MAX_MEMBERS].workspace.at, text);
        }
        _ => {}
    }
    roster
}

fn place<'t>(
    workspace: &'t Workspace,
    reports_to: Option<usize>,
    roster: &mut Roster<'t>,
    findings: &Findings,
) {
    if !workspace.spawns {
        roster.skipped.push((workspace, size(workspace)));
        return;
    }
    let place_of_it = Place { workspace, reports_to };
    let boss = if workspace.external {
        roster.external.push(place_of_it);
        if !workspace.children.is_empty() {
            let text = "runs elsewhere and is no member: those below it report to the member above it";
            findings.warn(&workspace.at, text);
        }
        reports_to
    } else {
        roster.members.push(place_of_it);
        Some(roster.members.len() - 1)
    };
    for child in &workspace.children {
        place(child, boss, roster, findings);
    }
}

fn size(workspace: &Workspace) -> usize {
    1 + workspace.children.iter().map(size).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::template::read;
    use crate::import::tree::{Budget, parse};

    fn walk(text: &str, look: impl FnOnce(&Roster<'_>, &Findings)) {
        let findings = Findings::default();
        let node = parse(&"org.yaml".into(), text, "", &mut Budget::default()).unwrap();
        let template = read(&node, &findings);
        look(&roster(&template, &findings), &findings);
    }

    fn shown(places: &[Place<'_>]) -> Vec<(String, Option<usize>)> {
        places.iter().map(|place| (place.workspace.name.clone(), place.reports_to)).collect()
    }

    #[test]
    fn nesting_is_reporting() {
        let text =
            "workspaces: [{name: a, children: [{name: b, children: [{name: c}]}, {name: d}]}, {name: e}]";
        walk(text, |roster, _| {
            let expected = [("a", None), ("b", Some(0)), ("c", Some(1)), ("d", Some(0)), ("e", None)];
            assert_eq!(shown(&roster.members), expected.map(|(n, b)| (n.to_owned(), b)));
        });
    }

    #[test]
    fn spawning_false_takes_the_whole_subtree_out() {
        let text = "workspaces: [{name: a, children: [{name: b, spawning: no, children: [{name: c}]}]}]";
        walk(text, |roster, _| {
            assert_eq!(shown(&roster.members), [("a".to_owned(), None)]);
            assert_eq!((roster.skipped[0].0.name.as_str(), roster.skipped[0].1), ("b", 2));
        });
    }

    #[test]
    fn who_runs_elsewhere_is_no_member_and_hands_on_those_below() {
        let text =
            "workspaces: [{name: a, children: [{name: x, external: true, url: u, children: [{name: b}]}]}]";
        walk(text, |roster, findings| {
            assert_eq!(shown(&roster.members), [("a".to_owned(), None), ("b".to_owned(), Some(0))]);
            assert_eq!(shown(&roster.external), [("x".to_owned(), Some(0))]);
            assert!(findings.warnings()[0].to_string().contains("workspaces[0].children[0]: runs elsewhere"));
        });
    }

    #[test]
    fn a_team_without_members_or_with_too_many_is_refused() {
        walk("workspaces: [{name: a, spawning: false}]", |_, findings| {
            assert!(findings.errors()[0].text.starts_with("no workspace becomes a member"));
        });
        let many: String = (0..257).map(|_| "- {name: a}\n").collect();
        walk(&format!("workspaces:\n{many}"), |_, findings| {
            let said = findings.errors()[0].to_string();
            assert!(said.starts_with("org.yaml:258: workspaces[256]: the template makes 257"), "{said}");
        });
    }
}
