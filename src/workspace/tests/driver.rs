//! Runs the production passes against both scripts, with a clock of its own.

use super::api_server::ApiServer;
use crate::api::Workspace;
use crate::api::backend_config::BackendConfigSpec;
use crate::api::workspace::WorkspaceStatus;
use crate::backend::scripted::World;
use crate::backend::{Backends, BoxSeen, Maker};
use crate::keys::{Keyring, Keys};
use crate::liveness::Liveness;
use crate::metrics::Metrics;
use crate::reconcile::{Backoff, Events, Fresh, Leadership, Pauses};
use crate::workspace::seen::Periods;
use crate::workspace::step::Next;
use crate::workspace::{Context, Error, Settings, failures, pass, references, slots, told};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::runtime::reflector;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(super) const UID: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";

/// One Workspace, one world, one process that may die.
pub(super) struct Driver {
    pub(super) api: ApiServer,
    pub(super) world: World,
    pub(super) now: Timestamp,
    pub(super) config: Option<BackendConfigSpec>,
    keys: Keys,
    ctx: Option<Context>,
    /// Whether the agent in the box speaks up as soon as it runs.
    pub(super) agent_speaks: bool,
}

/// How a pass ended.
#[derive(Debug)]
pub(super) enum Passed {
    /// It ended; the next one is due so.
    Due(Duration),
    /// The process died.
    Crashed,
}

pub(super) fn workspace() -> Value {
    json!({
        "apiVersion": "atelier.dev/v1alpha1",
        "kind": "Workspace",
        "metadata": {
            "name": "a", "namespace": "team", "uid": UID, "generation": 1,
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": { "runtime": "demo" },
    })
}

pub(super) fn config() -> BackendConfigSpec {
    serde_json::from_value(json!({
        "backend": "Docker",
        "docker": { "hosts": [{ "name": "scripted", "address": "unix:///nowhere" }] },
        "runtimes": [{ "name": "demo", "image": "demo:1", "bootTimeoutSeconds": 60 }],
        "registry": { "advertiseURL": "http://127.0.0.1:1" },
    }))
    .unwrap()
}

impl Driver {
    pub(super) fn new() -> Self {
        let keys = Keys::default();
        keys.set(Some(Keyring::from_secret_data(&Keyring::generate()).unwrap()));
        Self {
            api: ApiServer::holding(workspace()),
            world: World::new("one"),
            now: "2026-01-01T00:00:00Z".parse().unwrap(),
            config: Some(config()),
            keys,
            ctx: None,
            agent_speaks: true,
        }
    }

    /// What a new process knows: nothing but the keys.
    fn process(&self) -> Context {
        let client = self.api.client();
        let (_, config) = tokio::sync::watch::channel(self.config.clone().map(Arc::new));
        let liveness = Liveness::default();
        liveness.lead(Some(self.now));
        liveness.serve(self.now);
        Context {
            client: client.clone(),
            backends: match self.config {
                Some(_) => Backends::scripted(self.world.clone()),
                None => Backends::new("cluster", Maker::default(), Metrics::default()),
            },
            config,
            workspaces: reflector::store().0,
            teams: reflector::store().0,
            keys: self.keys.clone(),
            liveness,
            metrics: Metrics::default(),
            events: Events::new(client.clone(), "test"),
            fresh: Fresh::default(),
            references: references::Reader::new(client, Duration::from_secs(300)),
            failures: failures::Failures::new(Backoff::new(Pauses::default())),
            told: told::Told::default(),
            slots: slots::Slots::default(),
            backoff: Backoff::default(),
            settings: Settings {
                operator_namespace: "atelier-system".into(),
                resync: Duration::from_secs(300),
                periods: Periods::default(),
            },
            leadership: Leadership::always(),
            progress: Mutex::default(),
        }
    }

    /// The process dies; the next pass runs in a new one.
    pub(super) fn restart(&mut self) {
        self.ctx = None;
    }

    pub(super) fn stored(&self) -> Option<Workspace> {
        self.api.object().map(|o| serde_json::from_value(o).unwrap())
    }

    pub(super) fn status(&self) -> WorkspaceStatus {
        self.stored().and_then(|w| w.status).unwrap_or_default()
    }

    pub(super) fn set_spec(&self, field: &str, value: Value) {
        self.api.change(|object| {
            let object = object.as_mut().unwrap();
            object["spec"][field] = value;
            object["metadata"]["generation"] =
                (object["metadata"]["generation"].as_i64().unwrap() + 1).into();
        });
    }

    pub(super) fn annotate(&self, key: &str, value: &str) {
        self.api.change(|object| object.as_mut().unwrap()["metadata"]["annotations"][key] = value.into());
    }

    pub(super) fn delete(&self) {
        self.api.change(|object| {
            if let Some(object) = object {
                object["metadata"]["deletionTimestamp"] = "2026-01-01T00:10:00Z".into();
            }
        });
    }

    /// One pass on what the API server holds now.
    pub(super) async fn pass(&mut self) -> Passed {
        let Some(ws) = self.stored() else { return Passed::Due(Duration::from_secs(300)) };
        self.pass_on(&ws).await
    }

    /// One pass on an object that may be stale.
    pub(super) async fn pass_on(&mut self, ws: &Workspace) -> Passed {
        self.world.set_now(self.now);
        let ctx = self.ctx.take().unwrap_or_else(|| self.process());
        let before = self.world.all();
        let ended = tokio::select! {
            biased;
            () = self.world.crash() => None,
            () = self.api.crashed.notified() => None,
            ended = pass(ws, &ctx, self.now) => Some(ended),
        };
        let is_new = |made: &BoxSeen| before.iter().all(|b| b.id != made.id);
        for made in self.world.all().iter().filter(|made| is_new(made)) {
            let recorded = self.status().launch.map(|launch| launch.attempt);
            assert!(recorded >= made.attempt, "a box was made that no record tells of: {made:?}");
        }
        let Some(ended) = ended else { return Passed::Crashed };
        if self.agent_speaks {
            self.speak(&ctx);
        }
        self.ctx = Some(ctx);
        Passed::Due(match ended {
            Ok((_, reported)) if reported.moved => Duration::ZERO,
            Ok((Next::After(pause), _)) => pause,
            Ok((Next::Now | Next::Resync, _)) => Duration::from_secs(300),
            Err(Error::Write(_) | Error::Read(_) | Error::NotLeading) => Duration::from_secs(1),
        })
    }

    /// The agent posts that its boot got as far as its own start, and goes no further yet.
    pub(super) fn post_boot_stage(&self) {
        let ctx = self.ctx.as_ref().expect("a process that has made a pass");
        let attempt = self.status().launch.expect("a launch").attempt;
        let boot = serde_json::from_value(json!({ "stage": "agent-started", "ok": true })).unwrap();
        ctx.liveness.boot(UID, attempt, &boot, self.now);
    }

    /// Lets the agents that were silent for too long be lost.
    pub(super) fn tick(&self) {
        let ctx = self.ctx.as_ref().expect("a process that has made a pass");
        ctx.liveness.tick(self.now);
    }

    /// Every event that was told with this reason.
    pub(super) async fn events(&self, reason: &str) -> Vec<String> {
        if let Some(ctx) = &self.ctx {
            ctx.events.flush().await;
        }
        let prefix = format!("{reason}: ");
        self.api.events().iter().filter_map(|e| e.strip_prefix(&prefix)).map(str::to_owned).collect()
    }

    fn speak(&self, ctx: &Context) {
        let runs = self.world.all().into_iter().find(|b| b.state.word() == "running");
        let attempt = self.status().launch.map(|l| l.attempt);
        if let (Some(running), Some(attempt)) = (runs, attempt)
            && running.attempt == Some(attempt)
        {
            let beat = serde_json::from_value(json!({ "workspace_id": UID, "uptime_seconds": 1 })).unwrap();
            ctx.liveness.heartbeat(UID, attempt, &beat, self.now);
        }
    }

    /// Passes until nothing has moved for longer than any pause: no effect and no write. Fails when it never
    /// comes to rest.
    pub(super) async fn settle(&mut self) {
        const REST: SignedDuration = SignedDuration::from_mins(7);
        let mut moved_at = self.now;
        for _ in 0..1000 {
            let before = (self.world.effects().len(), self.api.writes());
            let due = match self.pass().await {
                Passed::Due(due) => due,
                Passed::Crashed => Duration::ZERO,
            };
            if before != (self.world.effects().len(), self.api.writes()) {
                moved_at = self.now;
            }
            if self.now.duration_since(moved_at) > REST {
                return;
            }
            let pause = due.max(Duration::from_millis(500)).min(Duration::from_secs(60));
            self.now = self.now.saturating_add(SignedDuration::try_from(pause).unwrap()).unwrap();
        }
        panic!("it never comes to rest; effects: {:#?}\nstatus: {:#?}", self.world.effects(), self.status());
    }

    /// What must hold at every instant.
    pub(super) fn assert_safe(&self) {
        assert_eq!(self.world.violations(), Vec::<String>::new(), "effects: {:#?}", self.world.effects());
        if self.stored().is_none() {
            assert!(
                self.world.all().is_empty(),
                "the object is gone and a box is left: {:?}",
                self.world.all()
            );
        }
    }

    /// What must hold at rest, of a Workspace that is wanted.
    pub(super) fn assert_one_box_runs(&self) {
        self.assert_safe();
        let status = self.status();
        let boxes = self.world.all();
        assert_eq!(
            boxes.len(),
            1,
            "{boxes:?}\neffects: {:#?}\n{:#?}",
            self.world.effects(),
            status.conditions
        );
        assert_eq!(boxes[0].state.word(), "running", "{:#?}", status.conditions);
        let launch = status.launch.unwrap();
        assert_eq!(boxes[0].attempt, Some(launch.attempt));
        assert_eq!(Some(&boxes[0].id), status.instance_id.as_ref());
        assert_eq!(boxes[0].spec_hash.as_deref(), Some(launch.spec_hash.as_str()));
    }

    /// What must hold at rest, of a Workspace that was deleted.
    pub(super) fn assert_nothing_left(&self) {
        self.assert_safe();
        assert!(self.stored().is_none(), "the object is still there: {:#?}", self.status());
        assert_eq!(self.world.volumes(), Vec::<String>::new(), "effects: {:#?}", self.world.effects());
    }
}
