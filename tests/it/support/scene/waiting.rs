//! Waiting for what a scene is to become, and what there is when it does not.

use super::{Scene, conditions, is_true, says, team_conditions, words};
use crate::support::script::run;
use crate::support::wait::{self, SOON};
use atelier::api::{BackendConfig, ConditionType, Team, Workspace};
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use std::fmt::Debug;
use std::time::Duration;

impl Scene {
    /// Waits until `question` answers; else fails, and tells what there is.
    pub async fn within<T>(
        &self,
        deadline: Duration,
        what: &str,
        question: impl AsyncFnMut() -> Result<T, String>,
    ) -> T {
        match wait::poll(deadline, question).await {
            Ok(answer) => answer,
            Err(seen) => {
                panic!("not within {deadline:?}: {what}\nseen last: {seen}\n{}", self.describe().await)
            }
        }
    }

    /// Waits until `question` answers, as long as anything may take that needs no timer.
    pub async fn soon<T>(&self, what: &str, question: impl AsyncFnMut() -> Result<T, String>) -> T {
        self.within(SOON, what, question).await
    }

    /// Waits until a Workspace is as wanted.
    pub async fn until(
        &self,
        deadline: Duration,
        name: &str,
        what: &str,
        is_it: impl Fn(&Workspace) -> bool,
    ) -> Workspace {
        let what = format!("{name}: {what}");
        self.within(deadline, &what, async || {
            let ws = self.workspace(name).await;
            if is_it(&ws) { Ok(ws) } else { Err(words(conditions(&ws))) }
        })
        .await
    }

    /// Waits until a Workspace's condition has this status and this reason.
    pub async fn until_condition(
        &self,
        name: &str,
        type_: ConditionType,
        status: &str,
        reason: &str,
    ) -> Workspace {
        let what = format!("{type_}={status}/{reason}");
        self.until(SOON, name, &what, |ws| says(ws, type_, status, reason)).await
    }

    /// Waits until a Workspace is Ready.
    pub async fn until_ready(&self, name: &str) -> Workspace {
        self.until_condition(name, ConditionType::Ready, "True", "Ready").await
    }

    /// Waits until a Team is Ready.
    pub async fn until_team_ready(&self, name: &str) -> Team {
        self.until_team(name, "Ready", |team| is_true(team_conditions(team), ConditionType::Ready)).await
    }

    /// Waits until a Team is as wanted.
    pub async fn until_team(&self, name: &str, what: &str, is_it: impl Fn(&Team) -> bool) -> Team {
        let what = format!("Team {name}: {what}");
        self.within(wait::LATER, &what, async || {
            let team: Team = self.api().get(name).await.map_err(|error| error.to_string())?;
            if is_it(&team) { Ok(team) } else { Err(words(team_conditions(&team))) }
        })
        .await
    }

    /// What a Workspace has said in turn, also one that is gone.
    pub fn history(&self, workspace: &str) -> String {
        self.world.statuses.history(&self.name, workspace).join("\n")
    }

    /// Waits until nothing that this scene's operators made is left: no object, container, volume or network.
    pub async fn until_nothing_is_left(&self) {
        self.within(wait::LATER, "nothing is left", async || {
            let objects: Vec<_> = self.workspaces().await.iter().map(ResourceExt::name_any).collect();
            let boxes: Vec<_> = self.containers().into_iter().map(|c| c.name).collect();
            let volumes = self.engine().volumes(&self.label());
            let networks = self.engine().networks(&self.label());
            let left = [objects, boxes, volumes, networks];
            if left.iter().all(Vec::is_empty) { Ok(()) } else { Err(format!("{left:?}")) }
        })
        .await;
    }

    /// Fails, and tells what there is, unless two things are the same.
    pub async fn assert_same<T: PartialEq + Debug>(&self, seen: &T, expected: &T, what: &str) {
        let same = seen == expected;
        assert!(same, "{what}\nexpected: {expected:#?}\nseen: {seen:#?}\n{}", self.describe().await);
    }

    /// What there is, for the message of a failure.
    pub async fn describe(&self) -> String {
        use std::fmt::Write;
        let mut text = String::new();
        for team in self.api::<Team>().list(&ListParams::default()).await.map(|l| l.items).unwrap_or_default()
        {
            let _ = writeln!(text, "Team {}: {}", team.name_any(), words(team_conditions(&team)));
        }
        let all: Api<BackendConfig> = Api::all(self.client.clone());
        if let Ok(Some(config)) = all.get_opt(&self.name).await {
            let said = config.status.map(|status| status.conditions).unwrap_or_default();
            let _ = writeln!(text, "BackendConfig: {}", words(&said));
        }
        for ws in
            self.api::<Workspace>().list(&ListParams::default()).await.map(|l| l.items).unwrap_or_default()
        {
            let name = ws.name_any();
            let history = self.world.statuses.history(&self.name, &name).join("\n    ");
            let _ = writeln!(text, "Workspace {name}: {}\n  in turn:\n    {history}", words(conditions(&ws)));
        }
        let events = run(self.kubectl().args(["get", "events", "--sort-by=.metadata.creationTimestamp"]));
        text.push_str(&events.unwrap_or_default());
        if self.engine().docker(&["version"]).is_ok() {
            for c in self.containers() {
                let _ = writeln!(
                    text,
                    "container {} {} {}: {} since {}",
                    c.name,
                    c.id,
                    c.workspace(),
                    c.state,
                    c.started_at
                );
            }
        }
        for log in std::fs::read_dir(&self.dir).into_iter().flatten().flatten().map(|entry| entry.path()) {
            if log.extension().is_some_and(|e| e == "log") {
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                let lines: Vec<_> = said.lines().collect();
                let tail = lines[lines.len().saturating_sub(60)..].join("\n");
                let _ = writeln!(text, "--- the end of {}\n{tail}", log.display());
            }
        }
        text
    }
}
