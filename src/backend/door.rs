//! The choice of a backend: one function, from the recorded placement or, where there is none, the config.

use super::docker::{Engine, EngineEndpoint};
use super::hints::Hints;
use super::placement::{Placement, Target};
#[cfg(test)]
use super::scripted::World;
use super::{BackendError, ErrorKind};
use crate::api::Reason;
use crate::api::workspace::{Backend, DockerWorld, PlacementRecord};
use crate::metrics::{Metrics, Operation, Outcome};
use crate::reconcile::Leadership;
use futures::Stream;
use futures::future::join_all;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// The backends that this cluster has. Cheap to clone; clones share one state.
#[derive(Clone, Debug)]
pub struct Backends {
    state: Arc<RwLock<State>>,
    /// All engines in use, for those that watch them.
    engines: watch::Sender<Vec<Engine>>,
    maker: Maker,
    leadership: Leadership,
    hints: Hints,
    metrics: Metrics,
}

#[derive(Debug)]
struct State {
    /// Where new boxes go.
    standing: Standing,
    /// Where boxes were launched that live on.
    in_use: Vec<Engine>,
}

#[derive(Debug)]
enum Standing {
    Absent {
        name: String,
    },
    NotAccepted {
        why: String,
    },
    Docker(Engine),
    #[cfg(test)]
    Scripted(World),
}

/// What the `BackendConfig` says, as far as the door needs it.
#[derive(Clone, Debug)]
pub enum Configuration {
    /// There is none of the name that the operator reads.
    Absent {
        /// That name.
        name: String,
    },
    /// It is there, and Workspaces cannot be placed by it.
    NotAccepted {
        /// Why, for people.
        why: String,
        /// The endpoints that boxes were launched on: they go on serving.
        in_use: Vec<EngineEndpoint>,
    },
    /// Docker: the engine that new boxes go to.
    Docker {
        /// The engine.
        selected: EngineEndpoint,
        /// The endpoints that boxes were launched on: they go on serving, and what they say of an endpoint
        /// of the same name wins over `selected` for the boxes that are there.
        in_use: Vec<EngineEndpoint>,
    },
}

/// Who makes the boxes: stands on everything that is made outside Kubernetes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Maker {
    /// The cluster's id: the uid of its `kube-system` namespace.
    pub cluster: String,
    /// This controller's own name.
    pub controller: String,
}

/// What a look at the selected backend found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preflight {
    /// The engine's version.
    pub version: String,
    /// The world that answered.
    pub world: DockerWorld,
}

/// Why there is no place for a box.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoBackend {
    /// There is no config.
    #[error("there is no BackendConfig named {name:?}: create it, and this Workspace goes on by itself")]
    Absent {
        /// The name that the operator reads.
        name: String,
    },
    /// The config cannot be used.
    #[error("the BackendConfig cannot be used: {why}")]
    NotAccepted {
        /// Why, for people.
        why: String,
    },
    /// The recorded engine is not in the config.
    #[error(
        "this Workspace was launched on the engine {host:?}, which is not in the BackendConfig: bring it back"
    )]
    NotConfigured {
        /// The recorded host.
        host: String,
    },
    /// The engine has not answered.
    #[error("{0}")]
    Unanswered(BackendError),
}

impl NoBackend {
    /// The reason that `BackendReady` carries for it.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Absent { .. } => Reason::NoBackend,
            Self::NotAccepted { .. } | Self::NotConfigured { .. } => Reason::BackendNotReady,
            Self::Unanswered(error) => error.reason(),
        }
    }
}

impl Backends {
    /// No backend yet: until [`Backends::configure`] is called, every Workspace is told so.
    pub fn new(config_name: &str, maker: Maker, metrics: Metrics) -> Self {
        let standing = Standing::Absent { name: config_name.to_owned() };
        let state = Arc::new(RwLock::new(State { standing, in_use: Vec::new() }));
        Self {
            state,
            engines: watch::Sender::default(),
            maker,
            leadership: Leadership::always(),
            hints: Hints::default(),
            metrics,
        }
    }

    /// The same door for a process that may change things only while it leads: a create is several calls, and
    /// a process that was stopped in between must not go on with the next when it wakes up.
    #[must_use]
    pub fn fenced(self, leadership: Leadership) -> Self {
        Self { leadership, ..self }
    }

    /// The scripted world as the selected backend.
    #[cfg(test)]
    pub(crate) fn scripted(world: World) -> Self {
        let backends = Self::new("cluster", Maker::default(), Metrics::default());
        let state = State { standing: Standing::Scripted(world), in_use: Vec::new() };
        *backends.state.write().unwrap_or_else(PoisonError::into_inner) = state;
        backends
    }

    /// Takes a configuration into use. An endpoint that is unchanged keeps its connection and what is known
    /// of it.
    pub fn configure(&self, configuration: Configuration) {
        self.engines.send_if_modified(|engines| {
            let mut kept = Vec::new();
            let mut engine = |endpoint: EngineEndpoint| {
                let known =
                    engines.iter().chain(&kept).find(|engine| *engine.endpoint() == endpoint).cloned();
                let engine = known.unwrap_or_else(|| {
                    Engine::new(endpoint, self.maker.clone(), self.leadership.clone(), self.hints.clone())
                });
                if !kept.iter().any(|k: &Engine| k.endpoint() == engine.endpoint()) {
                    kept.push(engine.clone());
                }
                engine
            };
            let (standing, in_use) = match configuration {
                Configuration::Absent { name } => (Standing::Absent { name }, Vec::new()),
                Configuration::NotAccepted { why, in_use } => (Standing::NotAccepted { why }, in_use),
                Configuration::Docker { selected, in_use } => (Standing::Docker(engine(selected)), in_use),
            };
            let in_use = in_use.into_iter().map(&mut engine).collect();
            *self.state.write().unwrap_or_else(PoisonError::into_inner) = State { standing, in_use };
            let same = kept.len() == engines.len()
                && kept.iter().all(|k| engines.iter().any(|e| e.endpoint() == k.endpoint()));
            *engines = kept;
            !same
        });
    }

    /// The one door: where this Workspace's box is (by its record) or will be (by the config).
    ///
    /// A recorded engine need not answer now: that is told by the first call of the placement. A new box
    /// needs an engine that answered the last [`Backends::preflight`], since its identity is recorded.
    ///
    /// # Errors
    /// When there is no such backend, or it has not answered; the error says what a person can do.
    pub fn place(&self, recorded: Option<&PlacementRecord>) -> Result<Placement, NoBackend> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let (target, record) = if let Some(record) = recorded {
            (state.recorded(record)?, record.clone())
        } else {
            let target = state.selected()?;
            let record = target.answering().map_err(NoBackend::Unanswered)?;
            (target, record)
        };
        Ok(Placement::new(target, record, self.metrics.clone()))
    }

    /// Asks the selected backend who it is. What it answers is what [`Backends::place`] goes by.
    ///
    /// # Errors
    /// What the backend answered, or that it did not; `Invalid` when no backend is selected.
    pub async fn preflight(&self) -> Result<Preflight, BackendError> {
        let selected = {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            state.selected().map_err(|none| BackendError::new(ErrorKind::Invalid, none.to_string()))?
        };
        let started = Instant::now();
        let answer = selected.preflight().await;
        self.metrics.backend_call(Operation::Preflight, Outcome::from(&answer), started.elapsed());
        answer
    }

    /// The uids of Workspaces whose box may have changed, from now on: events of the engines and ended
    /// pulls. A hint is a reason to reconcile, never a fact. Somebody must poll [`Backends::watch`].
    pub fn hints(&self) -> impl Stream<Item = String> + Send + use<> {
        self.hints.listen()
    }

    /// Watches every engine in use for as long as it is polled; it never ends, and dropping it stops it.
    /// `period` is how often all boxes are listed, to find what the events missed (30 s is a good one).
    /// When an engine comes back, or the engines in use change, every Workspace there gets one hint.
    pub async fn watch(&self, period: Duration) {
        let mut engines = self.engines.subscribe();
        loop {
            let now = engines.borrow_and_update().clone();
            let all = join_all(now.iter().map(|engine| engine.watch(period)));
            tokio::select! {
                // `all` ends only where there is no engine to watch.
                _ = all, if !now.is_empty() => {}
                // The sender lives in `self`, so this waits for a change.
                _ = engines.changed() => {}
            }
        }
    }
}

impl State {
    fn selected(&self) -> Result<Target, NoBackend> {
        match &self.standing {
            Standing::Absent { name } => Err(NoBackend::Absent { name: name.clone() }),
            Standing::NotAccepted { why } => Err(NoBackend::NotAccepted { why: why.clone() }),
            Standing::Docker(engine) => Ok(Target::Docker(engine.clone())),
            #[cfg(test)]
            Standing::Scripted(world) => Ok(Target::Scripted(world.clone())),
        }
    }

    fn recorded(&self, record: &PlacementRecord) -> Result<Target, NoBackend> {
        let Backend::Docker = record.backend;
        let host = record.docker.as_ref().map_or("", |docker| &docker.host);
        if let Some(engine) = self.in_use.iter().find(|engine| engine.endpoint().name == host) {
            return Ok(Target::Docker(engine.clone()));
        }
        match self.selected()? {
            Target::Docker(engine) if engine.endpoint().name != host => {
                Err(NoBackend::NotConfigured { host: host.to_owned() })
            }
            selected @ Target::Docker(_) => Ok(selected),
            #[cfg(test)]
            selected @ Target::Scripted(_) => Ok(selected),
        }
    }
}

impl Target {
    /// How a new box here is recorded, if the backend answered when it was last asked.
    fn answering(&self) -> Result<PlacementRecord, BackendError> {
        match self {
            Self::Docker(engine) => {
                Ok(PlacementRecord { backend: Backend::Docker, docker: Some(engine.world()?) })
            }
            #[cfg(test)]
            Self::Scripted(world) => world.answering(),
        }
    }

    async fn preflight(&self) -> Result<Preflight, BackendError> {
        match self {
            Self::Docker(engine) => engine.preflight().await,
            #[cfg(test)]
            Self::Scripted(world) => {
                let no_world =
                    BackendError::new(ErrorKind::Invalid, "the scripted world is no Docker engine");
                let world = world.answering()?.docker.ok_or(no_world)?;
                Ok(Preflight { version: "scripted".into(), world })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::backend_config::DockerNetwork;

    fn endpoint(name: &str, address: &str) -> EngineEndpoint {
        EngineEndpoint {
            name: name.into(),
            address: address.into(),
            publish_address: "127.0.0.1".into(),
            tls: None,
            network: DockerNetwork::default(),
        }
    }

    fn record(host: &str) -> PlacementRecord {
        let docker = DockerWorld { host: host.into(), engine_id: "E".into(), network_id: "N".into() };
        PlacementRecord { backend: Backend::Docker, docker: Some(docker) }
    }

    fn backends() -> Backends {
        Backends::new("cluster", Maker::default(), Metrics::default())
    }

    fn address(placement: &Placement) -> String {
        format!("{placement:?}").split("address: \"").nth(1).unwrap().split('"').next().unwrap().to_owned()
    }

    #[test]
    fn without_a_config_there_is_no_backend() {
        let backends = backends();
        let error = backends.place(None).expect_err("nothing to place on");
        assert_eq!(error, NoBackend::Absent { name: "cluster".into() });
        assert_eq!(error.reason(), Reason::NoBackend);
        assert_eq!(backends.place(Some(&record("local"))).expect_err("gone"), error);
    }

    #[test]
    fn a_config_that_was_not_accepted_places_nothing_and_keeps_what_runs() {
        let backends = backends();
        let in_use = vec![endpoint("local", "unix:///a")];
        backends.configure(Configuration::NotAccepted { why: "the pool is no range".into(), in_use });
        let error = backends.place(None).expect_err("not accepted");
        assert_eq!(error.reason(), Reason::BackendNotReady);
        assert!(error.to_string().contains("the pool is no range"));
        assert_eq!(address(&backends.place(Some(&record("local"))).expect("it runs there")), "unix:///a");
        assert_eq!(backends.place(Some(&record("other"))).expect_err("unknown"), error);
    }

    #[test]
    fn an_engine_that_was_not_asked_takes_no_new_box_and_keeps_the_old_ones() {
        let backends = backends();
        let selected = endpoint("local", "unix:///a");
        backends.configure(Configuration::Docker { selected, in_use: vec![] });
        let error = backends.place(None).expect_err("not asked yet");
        assert_eq!(error.reason(), Reason::DockerUnreachable);
        assert!(
            error.to_string().contains("unix:///a") && error.to_string().contains("not asked yet"),
            "{error}"
        );
        let placed = backends.place(Some(&record("local"))).expect("recorded");
        assert_eq!(placed.record(), &record("local"));
        let error = backends.place(Some(&record("other"))).expect_err("unknown");
        assert_eq!(error, NoBackend::NotConfigured { host: "other".into() });
    }

    #[test]
    fn the_record_wins_over_the_config() {
        let backends = backends();
        backends.configure(Configuration::Docker {
            selected: endpoint("local", "unix:///new"),
            in_use: vec![endpoint("local", "unix:///old"), endpoint("second", "unix:///b")],
        });
        assert_eq!(address(&backends.place(Some(&record("local"))).expect("in use")), "unix:///old");
        assert_eq!(address(&backends.place(Some(&record("second"))).expect("in use")), "unix:///b");
    }

    #[tokio::test]
    async fn a_preflight_that_fails_is_what_every_new_workspace_is_told() {
        let backends = backends();
        assert_eq!(backends.preflight().await.expect_err("none").kind, ErrorKind::Invalid);
        let selected = endpoint("local", "unix:///nowhere/docker.sock");
        backends.configure(Configuration::Docker { selected, in_use: vec![] });
        let error = backends.preflight().await.expect_err("nobody there");
        assert_eq!(error.kind, ErrorKind::Unreachable);
        assert_eq!(
            error.detail,
            "no Docker engine answers at unix:///nowhere/docker.sock: No such file or directory"
        );
        assert_eq!(backends.place(None).expect_err("nobody there"), NoBackend::Unanswered(error));
    }

    #[test]
    fn only_a_change_of_the_engines_is_announced() {
        let backends = backends();
        let mut engines = backends.engines.subscribe();
        let one = || Configuration::Docker { selected: endpoint("local", "unix:///a"), in_use: vec![] };
        backends.configure(one());
        assert!(engines.has_changed().unwrap());
        engines.mark_unchanged();
        backends.configure(one());
        let in_use = vec![endpoint("local", "unix:///a")];
        backends.configure(Configuration::NotAccepted { why: String::new(), in_use });
        assert!(!engines.has_changed().unwrap());
        backends.configure(Configuration::Absent { name: "cluster".into() });
        assert!(engines.has_changed().unwrap());
    }
}
