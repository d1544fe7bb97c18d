//! `kubectl atelier`: what a person finds out, and changes, with nothing but a kubeconfig.

use crate::support::operator::Operator;
use crate::support::scene::{Scene, is_true, says, team_conditions};
use crate::support::script::tool;
use crate::support::wait::{LATER, SOON, poll};
use crate::support::world::world;
use crate::team::team;
use atelier::api::ConditionType::{Ready, Stalled};
use atelier::api::Workspace;
use serde_json::{Value, json};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

trials![
    a_healthy_team_is_followed_shown_and_called_so,
    one_command_names_an_image_that_does_not_exist,
    one_command_names_an_agent_that_never_registers,
    what_is_restarted_suspended_and_resumed_comes_back,
    a_controller_that_is_gone_is_told,
    what_is_not_there_is_told,
];

/// `kubectl atelier …`, as a person in the scene's namespace.
struct Plugin<'a> {
    scene: &'a Scene,
    kubectl: PathBuf,
    kubeconfig: PathBuf,
}

/// What a command printed, and how it ended.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Said {
    /// Fails unless it ended with this code and has all of these words.
    fn expect(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        for word in words {
            assert!(self.out.contains(word) || self.err.contains(word), "no word of {word:?}: {self:#?}");
        }
        self
    }
}

impl<'a> Plugin<'a> {
    async fn of(scene: &'a Scene) -> Self {
        let link = scene.dir().join("kubectl-atelier");
        symlink(env!("CARGO_BIN_EXE_atelier"), link).unwrap();
        Self {
            scene,
            kubectl: tool("kubectl").unwrap(),
            kubeconfig: world().await.cluster.kubeconfig.clone(),
        }
    }

    /// Runs it to its end, beside what else goes on.
    async fn run(&self, arguments: &[&str]) -> Said {
        let mut command = Command::new(&self.kubectl);
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .arg("atelier")
            .args(arguments)
            .args(["--namespace", &self.scene.name])
            .env("KUBECONFIG", &self.kubeconfig)
            .env("PATH", format!("{}:{path}", self.scene.dir().display()))
            .env("ATELIER_OPERATOR_NAMESPACE", self.scene.system())
            .stdin(Stdio::null());
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap();
        let Output { status, stdout, stderr } = output.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Said { code: status.code(), out: text(stdout), err: text(stderr) }
    }
}

async fn a_healthy_team_is_followed_shown_and_called_so() {
    let (scene, _operator) = Scene::running("plugin").await;
    let plugin = Plugin::of(&scene).await;
    scene.apply_team("studio", team(3)).await;
    plugin
        .run(&["wait", "team/studio", "--timeout", "2m"])
        .await
        .expect(0, &["team/studio 3/3 ready", "team/studio is Ready after"]);
    let id = scene.container("studio-specialist-1").id;
    let tree = plugin.run(&["tree"]).await.expect(0, &["3/3 ready", "└─ specialist-2", "Docker", &id[..12]]);
    assert!(!tree.out.contains('\x1b') && !tree.out.contains("not ready"), "{tree:#?}");
    plugin
        .run(&["diagnose", "team/studio"])
        .await
        .expect(0, &["team/studio", "healthy: 3/3 members are ready"]);
    let said = plugin.run(&["diagnose", "--all", "-o", "json"]).await.expect(0, &[]);
    let report: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(report["items"][0]["verdict"], "Healthy");
    let config = scene.name.as_str();
    plugin
        .run(&["doctor", "--backend-config", config])
        .await
        .expect(0, &["custom resource teams", "that of this version", "a controller runs", "is in the way"]);
}

/// A Team of three of which one has this runtime.
fn with_one(runtime: &str) -> Value {
    let mut spec = team(3);
    spec["members"][1]["runtime"] = json!(runtime);
    spec
}

async fn one_command_names_an_image_that_does_not_exist() {
    let (scene, _operator) = Scene::running("plugin-image").await;
    let plugin = Plugin::of(&scene).await;
    scene.apply_team("studio", with_one("no-image")).await;
    let cause = ["127.0.0.1:1/no/such:image", "ws/studio-specialist-1", "Correct the runtime's image"];
    plugin.run(&["wait", "team/studio", "--timeout", "2m"]).await.expect(1, &cause);
    let said = plugin.run(&["diagnose", "team/studio"]).await.expect(1, &cause);
    for lie in ["heartbeat", "never registered", "no authenticated call"] {
        assert!(!said.out.contains(lie), "speaks of {lie:?}, of a box that never was: {said:#?}");
    }
    scene.until_ready("studio-director").await;
    scene.until_ready("studio-specialist-2").await;
    plugin.run(&["tree", "studio"]).await.expect(0, &["2/3 ready", "specialist-1  ImageNotFound: the image"]);
}

async fn one_command_names_an_agent_that_never_registers() {
    let (scene, _operator) = Scene::running("plugin-never").await;
    let plugin = Plugin::of(&scene).await;
    scene.apply_team("studio", with_one("boot-only")).await;
    let said = plugin.run(&["wait", "team/studio", "--timeout", "2m"]).await;
    let id = scene.container("studio-specialist-1").id;
    let cause =
        ["AgentConnected=False/NeverRegistered", "agent-started", &id[..12], "contract with the registry"];
    said.expect(1, &cause);
    plugin.run(&["diagnose", "ws/studio-specialist-1"]).await.expect(1, &cause);
}

async fn what_is_restarted_suspended_and_resumed_comes_back() {
    let (scene, _operator) = Scene::running("plugin-change").await;
    let plugin = Plugin::of(&scene).await;
    scene.apply_team("studio", team(2)).await;
    scene.until_team_ready("studio").await;
    let (name, ws) = ("studio-specialist-1", "ws/studio-specialist-1");
    let before = scene.container(name).started_at;
    plugin.run(&["restart", ws]).await.expect(0, &["kubectl atelier wait ws/studio-specialist-1"]);
    plugin.run(&["wait", ws, "--timeout", "2m"]).await.expect(0, &["is Ready after"]);
    assert_ne!(scene.container(name).started_at, before, "it was not restarted");

    plugin.run(&["suspend", ws]).await.expect(0, &["keeps the volumes"]);
    let suspended = |ws: &Workspace| says(ws, Ready, "False", "Suspended");
    scene.until(SOON, name, "suspended", suspended).await;
    plugin
        .run(&["diagnose", ws])
        .await
        .expect(1, &["SUSPENDED", "kubectl atelier resume ws/studio-specialist-1"]);
    plugin.run(&["wait", ws]).await.expect(1, &["is suspended"]);
    plugin.run(&["resume", ws]).await.expect(0, &["starts its box again"]);
    plugin.run(&["wait", "team/studio", "--timeout", "2m"]).await.expect(0, &["is Ready after"]);

    // What was changed alone is not in the Team's way.
    plugin.run(&["suspend", "team/studio"]).await.expect(0, &[]);
    scene.until(LATER, name, "suspended with its Team", suspended).await;
    plugin.run(&["resume", ws]).await.expect(1, &["kubectl atelier resume team/studio"]);
    plugin.run(&["resume", "team/studio"]).await.expect(0, &[]);
    plugin.run(&["wait", "team/studio", "--timeout", "2m"]).await.expect(0, &["is Ready after"]);
    plugin.run(&["restart", "team/studio"]).await.expect(0, &["its members' boxes"]);
    plugin.run(&["wait", "team/studio", "--timeout", "2m"]).await.expect(0, &["is Ready after"]);
    let team = scene.until_team_ready("studio").await;
    assert!(!is_true(team_conditions(&team), Stalled), "{:?}", team_conditions(&team));
}

async fn a_controller_that_is_gone_is_told() {
    let (scene, mut operator): (Scene, Operator) = Scene::running("plugin-gone").await;
    let plugin = Plugin::of(&scene).await;
    let spec = json!({"runtime": "echo", "tier": "T1"});
    scene.apply_workspace("known", spec.clone()).await;
    scene.until_ready("known").await;
    plugin.run(&["diagnose", "ws/known"]).await.expect(0, &["healthy"]);
    operator.kill();
    scene.apply_workspace("new", spec).await;
    // Its lease says so once it is over.
    let gone = poll(SOON, async || {
        let said = plugin.run(&["diagnose", "ws/known"]).await;
        if said.out.contains("no controller runs") { Ok(said) } else { Err(format!("{said:?}")) }
    });
    gone.await.unwrap().expect(2, &["it was Ready when a controller last looked"]);
    let said = plugin.run(&["diagnose", "ws/new"]).await;
    said.expect(2, &["no controller has looked at it since it was made", "Start the controller"]);
    plugin.run(&["wait", "ws/new", "--timeout", "1s"]).await.expect(2, &["is not Ready within 1s"]);
    let config = scene.name.as_str();
    plugin.run(&["doctor", "--backend-config", config]).await.expect(1, &["FAIL", "no controller runs"]);
}

async fn what_is_not_there_is_told() {
    let scene = Scene::new("plugin-none").await;
    let mut plugin = Plugin::of(&scene).await;
    let missing = format!("there is no ws/w in the namespace {}", scene.name);
    plugin.run(&["diagnose", "ws/w"]).await.expect(1, &[&missing]);
    plugin.run(&["wait", "ws/w"]).await.expect(1, &[&missing]);
    plugin.run(&["restart", "team/t"]).await.expect(1, &["there is no team/t"]);
    plugin.run(&["tree"]).await.expect(0, &["there is no Team and no Workspace in the namespace"]);
    let nowhere = scene.dir().join("nowhere");
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
        "users": [{"name": "c", "user": {}}],
    });
    std::fs::write(&nowhere, config.to_string()).unwrap();
    plugin.kubeconfig = nowhere;
    plugin
        .run(&["diagnose", "ws/w"])
        .await
        .expect(2, &["the API server at https://127.0.0.1:1/ does not answer"]);
}
