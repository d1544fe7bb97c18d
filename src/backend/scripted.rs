//! A backend in memory for tests: it does what it is told, and crashes and fails where it is told.
#![expect(clippy::unused_async, reason = "it has the adapters' methods, and those await")]

use super::{
    BackendError, BoxOrder, BoxSeen, BoxState, ContainerPlan, Contents, ErrorKind, ImageState, LogQuery,
    LogStream, PullCredentials,
};
use crate::api::names;
use crate::api::workspace::{Backend, DockerWorld, PlacementRecord};
use axum::body::Bytes;
use futures::{StreamExt, future, stream};
use k8s_openapi::jiff::Timestamp;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// A world of boxes. Clones are the same world.
#[derive(Clone, Debug)]
pub(crate) struct World {
    state: Arc<Mutex<State>>,
    crashed: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    boxes: Vec<Scripted>,
    volumes: BTreeSet<String>,
    made: u64,
    effects: Vec<String>,
    fault: Option<(usize, Fault)>,
    down: bool,
    id: String,
    now: Timestamp,
    violations: Vec<String>,
    missing_images: BTreeSet<String>,
    pulled: BTreeSet<String>,
    pulls_last: bool,
}

#[derive(Clone, Debug)]
struct Scripted {
    uid: String,
    seen: BoxSeen,
    filled: bool,
}

/// What happens at a certain effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The effect is done, and the process dies before it learns of it.
    CrashAfter,
    /// The effect is not done, and an error is answered.
    Error,
    /// The effect is done, and its answer is lost.
    ErrorAfter,
}

impl World {
    /// An empty world of this identity.
    pub(crate) fn new(id: &str) -> Self {
        let state = State { id: id.to_owned(), ..State::default() };
        Self { state: Arc::new(Mutex::new(state)), crashed: Arc::default() }
    }

    /// How this world is recorded.
    pub(crate) fn record(&self) -> PlacementRecord {
        let id = self.lock().id.clone();
        let docker = DockerWorld { host: "scripted".into(), engine_id: id.clone(), network_id: id };
        PlacementRecord { backend: Backend::Docker, docker: Some(docker), ec2: None }
    }

    /// How this world is recorded, if it answers.
    pub(super) fn answering(&self) -> Result<PlacementRecord, BackendError> {
        self.up()?;
        Ok(self.record())
    }

    /// Lets something happen at the effect after so many more.
    pub(crate) fn fault_after(&self, effects: usize, fault: Fault) {
        let mut state = self.lock();
        state.fault = Some((state.effects.len() + effects, fault));
    }

    /// Ends when the process was made to crash.
    pub(crate) async fn crash(&self) {
        self.crashed.notified().await;
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.lock().down = down;
    }

    /// Makes it another world at the same address.
    pub(crate) fn set_id(&self, id: &str) {
        self.lock().id = id.to_owned();
    }

    pub(crate) fn set_now(&self, now: Timestamp) {
        self.lock().now = super::seen::to_microsecond(now);
    }

    pub(crate) fn forget_image(&self, image: &str) {
        self.lock().missing_images.insert(image.to_owned());
    }

    /// Whether pulls are under way and bring no news.
    pub(crate) fn set_pulls_last(&self, last: bool) {
        self.lock().pulls_last = last;
    }

    pub(crate) fn load_image(&self, image: &str) {
        self.lock().missing_images.remove(image);
    }

    /// Every effect so far, in order.
    pub(crate) fn effects(&self) -> Vec<String> {
        self.lock().effects.clone()
    }

    /// What should never have happened.
    pub(crate) fn violations(&self) -> Vec<String> {
        self.lock().violations.clone()
    }

    pub(crate) fn all(&self) -> Vec<BoxSeen> {
        self.lock().boxes.iter().map(|b| b.seen.clone()).collect()
    }

    pub(crate) fn volumes(&self) -> Vec<String> {
        self.lock().volumes.iter().cloned().collect()
    }

    /// Somebody removes every box behind our back.
    pub(crate) fn vanish(&self) {
        self.lock().boxes.clear();
    }

    /// Every running box ends.
    pub(crate) fn end_all(&self, code: i64) {
        self.end(code, false);
    }

    /// Somebody begins to remove every box behind our back.
    pub(crate) fn set_removing(&self) {
        for b in &mut self.lock().boxes {
            b.seen.state = BoxState::Removing;
        }
    }

    /// Every running box is killed for its memory.
    pub(crate) fn kill_all_for_memory(&self) {
        self.end(137, true);
    }

    fn end(&self, code: i64, oom_killed: bool) {
        let mut state = self.lock();
        let now = state.now;
        for b in state.boxes.iter_mut().filter(|b| b.seen.state == BoxState::Running) {
            b.seen.state = BoxState::Exited { code, oom_killed, finished_at: Some(now), error: None };
            b.seen.address = None;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn up(&self) -> Result<(), BackendError> {
        if self.lock().down {
            return Err(BackendError::new(ErrorKind::Unreachable, "the scripted world is down"));
        }
        Ok(())
    }

    /// One effect: done, failed or survived by nobody, as the script says.
    async fn effect(&self, name: String, change: impl FnOnce(&mut State)) -> Result<(), BackendError> {
        self.up()?;
        let fault = {
            let mut state = self.lock();
            let fault = state.fault.filter(|(at, _)| *at == state.effects.len()).map(|(_, fault)| fault);
            if fault.is_some() {
                state.fault = None;
            }
            state.effects.push(name.clone());
            if fault != Some(Fault::Error) {
                change(&mut state);
            }
            fault
        };
        match fault {
            None => Ok(()),
            Some(Fault::CrashAfter) => {
                self.crashed.notify_one();
                std::future::pending().await
            }
            Some(Fault::Error) => {
                Err(BackendError::new(ErrorKind::Failed, format!("scripted failure of {name}")))
            }
            Some(Fault::ErrorAfter) => Err(BackendError::new(
                ErrorKind::Unreachable,
                format!("scripted loss of the answer to {name}"),
            )),
        }
    }

    fn same_world(&self, record: &PlacementRecord) -> Result<(), BackendError> {
        self.up()?;
        if *record == self.record() {
            return Ok(());
        }
        Err(BackendError::new(ErrorKind::WrongBackend, "another world answers"))
    }

    #[expect(clippy::unused_self, reason = "as the adapters' method")]
    pub(crate) fn render(&self, order: &BoxOrder<'_>) -> String {
        serde_json::to_string(&ContainerPlan::new(order)).unwrap_or_default()
    }

    pub(crate) async fn boxes(
        &self,
        record: &PlacementRecord,
        uid: &str,
    ) -> Result<Vec<BoxSeen>, BackendError> {
        self.same_world(record)?;
        Ok(self.lock().boxes.iter().filter(|b| b.uid == uid).map(|b| b.seen.clone()).collect())
    }

    pub(crate) async fn image(&self, request: &str) -> Result<ImageState, BackendError> {
        self.up()?;
        let image = plan(request)?.image;
        let state = self.lock();
        Ok(match (state.missing_images.contains(&image), state.pulled.contains(&image)) {
            (false, _) => ImageState::Present,
            (true, false) => ImageState::Missing,
            (true, true) if state.pulls_last => {
                ImageState::Pulling { how_far: None, failed_before: Some("no such image".into()) }
            }
            (true, true) => ImageState::Failed("no such image".into(), state.now),
        })
    }

    pub(crate) async fn pull(&self, request: &str, _: Option<PullCredentials>) -> Result<(), BackendError> {
        let image = plan(request)?.image;
        self.effect(format!("pull {image}"), |s| {
            s.pulled.insert(image.clone());
        })
        .await
    }

    pub(crate) async fn create(&self, request: &str, contents: &Contents) -> Result<BoxSeen, BackendError> {
        self.up()?;
        let plan = plan(request)?;
        if self.lock().missing_images.contains(&plan.image) {
            return Err(BackendError::new(
                ErrorKind::ImageNotFound,
                format!("no such image: {}", plan.image),
            ));
        }
        let label = |key: &str| plan.labels.get(key).cloned().unwrap_or_default();
        let (uid, attempt, hash) = (label(names::UID), label(names::ATTEMPT), label(names::SPEC_HASH));
        let volumes = [plan.configs_volume.clone(), plan.workspace_volume.clone()];
        self.effect(format!("volumes {}", plan.name), |s| s.volumes.extend(volumes)).await?;
        let there =
            self.lock().boxes.iter().find(|b| b.seen.id.starts_with(&format!("{}#", plan.name))).cloned();
        let id = match there {
            Some(there) if there.seen.spec_hash.as_ref() == Some(&hash) => there.seen.id,
            Some(_) => return Err(BackendError::new(ErrorKind::NameTaken, "another box has the name")),
            None => {
                let id = { format!("{}#{}", plan.name, self.lock().made) };
                let seen = BoxSeen {
                    id: id.clone(),
                    attempt: attempt.parse().ok(),
                    spec_hash: Some(hash),
                    state: BoxState::Created,
                    started_at: None,
                    address: None,
                    addresses: vec![plan.alias.clone()],
                    image: plan.image.clone(),
                    ec2: None,
                };
                let made = Scripted { uid: uid.clone(), seen, filled: false };
                self.effect(format!("container {}", plan.name), |s| {
                    s.made += 1;
                    s.boxes.push(made);
                    let live = s.boxes.iter().filter(|b| b.uid == uid).count();
                    if live > 1 {
                        s.violations.push(format!("{live} boxes of one uid"));
                    }
                })
                .await?;
                id
            }
        };
        self.fill_and_start(&id, contents).await
    }

    pub(crate) async fn start(&self, seen: &BoxSeen, contents: &Contents) -> Result<BoxSeen, BackendError> {
        if seen.state == BoxState::Created {
            return self.fill_and_start(&seen.id, contents).await;
        }
        self.run(&seen.id).await
    }

    async fn fill_and_start(&self, id: &str, contents: &Contents) -> Result<BoxSeen, BackendError> {
        let has_token = contents.files.iter().any(|f| f.path == ".auth_token");
        self.effect(format!("upload {id}"), |s| {
            for b in s.boxes.iter_mut().filter(|b| b.seen.id == id) {
                b.filled = has_token;
            }
        })
        .await?;
        self.run(id).await
    }

    async fn run(&self, id: &str) -> Result<BoxSeen, BackendError> {
        self.effect(format!("start {id}"), |s| {
            let now = s.now;
            let mut empty = false;
            for b in s.boxes.iter_mut().filter(|b| b.seen.id == id) {
                empty |= !b.filled;
                b.seen.state = BoxState::Running;
                b.seen.started_at = Some(now);
                b.seen.address = Some("127.0.0.1:1".into());
            }
            if empty {
                s.violations.push(format!("{id} was started without its files"));
            }
        })
        .await?;
        let found = self.lock().boxes.iter().find(|b| b.seen.id == id).map(|b| b.seen.clone());
        found.ok_or_else(|| BackendError::new(ErrorKind::NotFound, format!("no such box: {id}")))
    }

    pub(crate) async fn stop(&self, id: &str) -> Result<(), BackendError> {
        self.effect(format!("stop {id}"), |s| {
            let now = s.now;
            for b in s.boxes.iter_mut().filter(|b| b.seen.id == id) {
                b.seen.state =
                    BoxState::Exited { code: 0, oom_killed: false, finished_at: Some(now), error: None };
                b.seen.address = None;
            }
        })
        .await
    }

    pub(crate) async fn destroy(&self, seen: &BoxSeen) -> Result<(), BackendError> {
        let id = &seen.id;
        self.effect(format!("remove {id}"), |s| s.boxes.retain(|b| b.seen.id != *id)).await?;
        let configs = format!("{}-configs", id.split('#').next().unwrap_or_default());
        self.effect(format!("remove volume {configs}"), |s| {
            s.volumes.remove(&configs);
        })
        .await
    }

    pub(crate) async fn leftovers(
        &self,
        record: &PlacementRecord,
        uid: &str,
        _: &str,
    ) -> Result<bool, BackendError> {
        self.same_world(record)?;
        let of = names::host(uid);
        Ok(self.lock().volumes.iter().any(|v| v.starts_with(&of)))
    }

    pub(crate) async fn clear(
        &self,
        record: &PlacementRecord,
        uid: &str,
        _: &str,
    ) -> Result<(), BackendError> {
        self.same_world(record)?;
        let of = names::host(uid);
        self.effect(format!("clear {of}"), |s| s.volumes.retain(|v| !v.starts_with(&of))).await
    }

    pub(crate) async fn log_tail(&self, _: &str) -> Result<String, BackendError> {
        self.up()?;
        Ok("scripted output".into())
    }

    pub(crate) async fn log(&self, _: &str, query: LogQuery) -> Result<LogStream, BackendError> {
        self.up()?;
        let first = stream::once(future::ready(Ok(Bytes::from_static(b"scripted output\n"))));
        if query.follow { Ok(first.chain(stream::pending()).boxed()) } else { Ok(first.boxed()) }
    }
}

fn plan(request: &str) -> Result<ContainerPlan, BackendError> {
    serde_json::from_str(request).map_err(|e| BackendError::new(ErrorKind::Invalid, e.to_string()))
}
