//! Progress: how far a Team or a Workspace is on its way to Ready. Pure.

use super::feed::Snapshot;
use super::standing::{Standing, State, standing};
use super::target::{Kind, Target};
use super::terminal::{Paint, pad, widest};
use super::tree::team_of;
use crate::api::names;
use kube::ResourceExt;
use std::fmt::Write;

/// So many lines of members are drawn.
const ROWS: usize = 15;

/// Whether waiting goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// It does.
    Going,
    /// All is well.
    Ready,
    /// It cannot go on without a person.
    Stalled,
    /// It was stopped on request, and waiting brings nothing.
    Suspended,
    /// It is gone, or on its way out.
    Gone,
}

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is waited for.
    target: Target,
    /// How it does itself.
    own: Standing,
    /// How its members do; itself alone for a Workspace.
    members: Vec<(String, Standing)>,
}

/// Whether nothing more is to come of a member by itself.
fn rests(state: State) -> bool {
    matches!(state, State::Ready | State::Suspended)
}

impl Progress {
    /// How far a target is; `None` where there is none.
    pub fn of(target: &Target, seen: &Snapshot) -> Option<Self> {
        let (own, members) = match target.kind {
            Kind::Workspace => {
                let ws = seen.workspaces.iter().find(|ws| ws.name_any() == target.name)?;
                (standing(ws), vec![(target.name.clone(), standing(ws))])
            }
            Kind::Team => {
                let team = seen.teams.iter().find(|team| team.name_any() == target.name)?;
                let uid = team.metadata.uid.as_deref();
                let of_member = |member: &str| {
                    let child = names::child(&target.name, member);
                    let ws = seen.workspaces.iter().find(|ws| {
                        ws.name_any() == child && team_of(ws).is_some_and(|(_, of)| Some(of) == uid)
                    });
                    ws.map_or_else(
                        || Standing {
                            state: State::NotSeen,
                            reason: String::new(),
                            message: "it has no Workspace yet".into(),
                            since: None,
                        },
                        standing,
                    )
                };
                let members: Vec<_> =
                    team.spec.members.iter().map(|m| (m.name.clone(), of_member(&m.name))).collect();
                (standing(team).with_members(members.iter().map(|(_, said)| said.state)), members)
            }
        };
        Some(Self { target: target.clone(), own, members })
    }

    /// Whether waiting goes on. A Team's own word may be behind that of its members.
    pub fn course(&self) -> Course {
        let all = |state| self.members.iter().all(|(_, said)| said.state == state);
        let any = |state| self.members.iter().any(|(_, said)| said.state == state);
        let rest = || self.members.iter().all(|(_, said)| rests(said.state));
        match self.own.state {
            State::Deleting => Course::Gone,
            State::Ready if all(State::Ready) => Course::Ready,
            State::Suspended if any(State::Suspended) && rest() => Course::Suspended,
            State::Stalled if any(State::Stalled) || !self.own.reason.starts_with("Members") => {
                Course::Stalled
            }
            _ => Course::Going,
        }
    }

    fn summary(&self) -> String {
        match self.target.kind {
            Kind::Workspace => self.own.state.as_str().to_owned(),
            Kind::Team => {
                let ready = self.members.iter().filter(|(_, said)| said.state == State::Ready).count();
                format!("{ready}/{} ready", self.members.len())
            }
        }
    }

    /// The block that is drawn again and again.
    pub fn block(&self, elapsed: &str, timeout: &str, paint: Paint) -> String {
        let mut text = format!(
            "{}: {}  {}\n",
            paint.bold(&self.target.to_string()),
            paint.state(self.own.state, &self.summary()),
            paint.dim(&format!("{elapsed} of {timeout}"))
        );
        if self.own.state != State::Ready && !self.own.reason.starts_with("Members") {
            let _ = writeln!(text, "  {}", self.own.why());
        }
        if self.target.kind == Kind::Workspace {
            return text;
        }
        let mut rows: Vec<&(String, Standing)> = self.members.iter().collect();
        rows.sort_by_key(|(_, said)| said.state);
        let width = widest(rows.iter().map(|(name, _)| name.as_str()));
        for (name, said) in rows.iter().take(ROWS) {
            let state = paint.state(said.state, &pad(said.state.as_str(), 9));
            let _ =
                writeln!(text, "{}", format!("  {}  {state}  {}", pad(name, width), said.why()).trim_end());
        }
        if rows.len() > ROWS {
            let _ = writeln!(text, "  and {} more", rows.len() - ROWS);
        }
        text
    }

    /// What has changed since, a line each.
    pub fn news(&self, before: Option<&Self>) -> Vec<String> {
        let mut lines = Vec::new();
        for (name, said) in &self.members {
            let was = before.and_then(|b| b.members.iter().find(|(of, _)| of == name));
            if was.is_none_or(|(_, was)| (was.state, &was.reason) != (said.state, &said.reason)) {
                let why = said.why();
                let why = if why.is_empty() { why } else { format!(": {why}") };
                lines.push(format!("{name} {}{why}", said.state.as_str()));
            }
        }
        if self.target.kind == Kind::Team && before.is_none_or(|was| was.summary() != self.summary()) {
            lines.push(format!("{} {}", self.target, self.summary()));
        }
        lines
    }

    /// Why it is not Ready, in one line.
    pub fn why(&self) -> String {
        let worst = self.members.iter().filter(|(_, said)| said.state != State::Ready);
        let worst = worst.min_by_key(|(_, said)| said.state);
        match (self.target.kind, worst) {
            (Kind::Team, Some((name, said))) => format!("{}; {name}: {}", self.summary(), said.why()),
            _ => format!("{}: {}", self.summary(), self.own.why()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::fixtures::{conditions, of_team, team, troubled, without_image, workspace};

    const PAIR: [(&str, Option<&str>); 2] = [("a", None), ("b", Some("a"))];

    fn seen(team: crate::api::Team, b: crate::api::Workspace) -> Snapshot {
        let a = of_team(&team, "a", workspace("w"));
        let b = of_team(&team, "b", b);
        Snapshot { workspaces: vec![a, b], teams: vec![team] }
    }

    fn of(seen: &Snapshot) -> Progress {
        Progress::of(&Target::team("studio"), seen).unwrap()
    }

    #[test]
    fn it_ends_when_team_and_members_say_the_same() {
        let ready = team("studio", &PAIR);
        assert_eq!(of(&seen(ready.clone(), workspace("w"))).course(), Course::Ready);
        assert_eq!(of(&seen(ready, without_image("w"))).course(), Course::Going, "the Team is behind");
        let stalled = troubled("studio", &PAIR);
        assert_eq!(of(&seen(stalled.clone(), without_image("w"))).course(), Course::Stalled);
        assert_eq!(of(&seen(stalled, workspace("w"))).course(), Course::Going, "the member was mended");
        let rest = ["Ready=False/Suspended: stopped", "Suspended=True/Suspended: stopped"];
        let mut suspended = team("studio", &PAIR);
        suspended.status.as_mut().unwrap().conditions = conditions(&rest);
        let mut stopped = workspace("w");
        stopped.spec.suspend = true;
        stopped.status.as_mut().unwrap().conditions = conditions(&rest);
        assert_eq!(of(&seen(suspended.clone(), stopped.clone())).course(), Course::Suspended);
        stopped.spec.suspend = false;
        assert_eq!(of(&seen(suspended.clone(), stopped)).course(), Course::Going, "the member was resumed");
        assert_eq!(of(&seen(suspended, workspace("w"))).course(), Course::Going, "it is up, the Team behind");
        assert!(Progress::of(&Target::team("other"), &Snapshot::default()).is_none());
    }

    #[test]
    fn a_line_a_change() {
        let mut booting = workspace("w");
        booting.status.as_mut().unwrap().conditions = conditions(&["Ready=False/Booting: it runs"]);
        let first = of(&seen(troubled("studio", &PAIR), booting));
        assert_eq!(first.news(None), ["a Ready", "b Starting: Booting: it runs", "team/studio 1/2 ready"]);
        assert_eq!(first.news(Some(&first)), [""; 0]);
        let then = of(&seen(troubled("studio", &PAIR), workspace("w")));
        assert_eq!(then.news(Some(&first)), ["b Ready", "team/studio 2/2 ready"]);
        assert_eq!(first.why(), "1/2 ready; b: Booting: it runs");
    }

    #[test]
    fn the_block_has_the_worst_first() {
        let block = of(&seen(troubled("studio", &PAIR), without_image("w"))).block("5s", "10m", Paint::Plain);
        assert_eq!(
            block,
            "\
team/studio: 1/2 ready  5s of 10m
  b  Stalled    ImageNotFound: the image x:1 is not on the engine, and pulling it failed: no such host
  a  Ready
"
        );
        let alone = Snapshot { teams: Vec::new(), workspaces: vec![without_image("w")] };
        let alone = Progress::of(&Target::workspace("w"), &alone).unwrap();
        assert_eq!(
            alone.block("5s", "10m", Paint::Plain),
            "\
ws/w: Stalled  5s of 10m
  ImageNotFound: the image x:1 is not on the engine, and pulling it failed: no such host
"
        );
    }
}
