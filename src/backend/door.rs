//! The choice of a backend: one function, from the recorded placement or, where there is none, the config.

use super::docker::{Engine, EngineEndpoint};
use super::ec2::{Cloud, Ec2Endpoint};
use super::hints::Hints;
use super::placement::{Placement, Target};
#[cfg(test)]
use super::scripted::World;
use super::{BackendError, ErrorKind, Grounds};
use crate::api::Reason;
use crate::api::workspace::{Backend, PlacementRecord};
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
    /// The world of instances, once there is or was one: what is known of them outlives a change of settings.
    cloud: watch::Sender<Option<Cloud>>,
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
    engines: Vec<Engine>,
    /// Where instances go, or were launched that live on.
    cloud: Option<Cloud>,
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
    Ec2(Cloud),
    #[cfg(test)]
    Scripted(World),
}

/// What the `BackendConfig` says, as far as the door needs it.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// Where new boxes go.
    pub selected: Selected,
    /// The engine that boxes may be on, be it selected or not. What `in_use` says of one of the same name wins
    /// over `selected` for the boxes that are there.
    pub in_use: Vec<EngineEndpoint>,
    /// The control plane that instances may have been launched through, be it selected or not.
    pub ec2: Option<Ec2Endpoint>,
}

/// Where new boxes go.
#[derive(Clone, Debug)]
pub enum Selected {
    /// There is no config of the name that the operator reads.
    Absent {
        /// That name.
        name: String,
    },
    /// It is there, and Workspaces cannot be placed by it.
    NotAccepted {
        /// Why, for people.
        why: String,
    },
    /// To this Docker engine.
    Docker(EngineEndpoint),
    /// To EC2, through the control plane of the configuration.
    Ec2,
}

impl Configuration {
    /// New boxes go to this engine; boxes may be on these as well.
    pub fn docker(selected: EngineEndpoint, in_use: Vec<EngineEndpoint>) -> Self {
        Self { selected: Selected::Docker(selected), in_use, ec2: None }
    }

    /// There is none of this name.
    pub fn absent(name: &str) -> Self {
        Self { selected: Selected::Absent { name: name.to_owned() }, in_use: Vec::new(), ec2: None }
    }
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
    /// The version of the engine or the control plane.
    pub version: String,
    /// The world that answered, as it is recorded with a box.
    pub record: PlacementRecord,
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
    /// The recorded backend is EC2, and the config names no control plane.
    #[error(
        "this Workspace was launched on EC2, and the BackendConfig names no control plane: bring spec.ec2 back"
    )]
    NoControlPlane,
    /// The engine has not answered.
    #[error("{0}")]
    Unanswered(BackendError),
}

impl NoBackend {
    /// The reason that `BackendReady` carries for it.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Absent { .. } => Reason::NoBackend,
            Self::NotAccepted { .. } | Self::NotConfigured { .. } | Self::NoControlPlane => {
                Reason::BackendNotReady
            }
            Self::Unanswered(error) => error.reason(),
        }
    }
}

impl Backends {
    /// No backend yet: until [`Backends::configure`] is called, every Workspace is told so.
    pub fn new(config_name: &str, maker: Maker, metrics: Metrics) -> Self {
        let standing = Standing::Absent { name: config_name.to_owned() };
        let state = Arc::new(RwLock::new(State { standing, engines: Vec::new(), cloud: None }));
        Self {
            state,
            engines: watch::Sender::default(),
            cloud: watch::Sender::default(),
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
        let state = State { standing: Standing::Scripted(world), engines: Vec::new(), cloud: None };
        *backends.state.write().unwrap_or_else(PoisonError::into_inner) = state;
        backends
    }

    /// Takes a configuration into use. An endpoint that is unchanged keeps its connection and what is known
    /// of it.
    pub fn configure(&self, configuration: Configuration) {
        let Configuration { selected, in_use, ec2 } = configuration;
        let cloud = self.cloud(ec2);
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
            let standing = match (selected, &cloud) {
                (Selected::Absent { name }, _) => Standing::Absent { name },
                (Selected::NotAccepted { why }, _) => Standing::NotAccepted { why },
                (Selected::Docker(selected), _) => Standing::Docker(engine(selected)),
                (Selected::Ec2, Some(cloud)) => Standing::Ec2(cloud.clone()),
                (Selected::Ec2, None) => {
                    Standing::NotAccepted { why: "spec.ec2 names no control plane".into() }
                }
            };
            let in_use = in_use.into_iter().map(&mut engine).collect();
            *self.state.write().unwrap_or_else(PoisonError::into_inner) =
                State { standing, engines: in_use, cloud: cloud.clone() };
            let same = kept.len() == engines.len()
                && kept.iter().all(|k| engines.iter().any(|e| e.endpoint() == k.endpoint()));
            *engines = kept;
            !same
        });
    }

    /// The world of instances with these settings in effect: the one that is known, if there is one.
    fn cloud(&self, endpoint: Option<Ec2Endpoint>) -> Option<Cloud> {
        let known = self.cloud.borrow().clone();
        match (known, endpoint) {
            (_, None) => {
                self.cloud.send_if_modified(|cloud| cloud.take().is_some());
                None
            }
            (Some(cloud), Some(endpoint)) => {
                cloud.set(endpoint);
                Some(cloud)
            }
            (None, Some(endpoint)) => {
                let (maker, leadership) = (self.maker.clone(), self.leadership.clone());
                let cloud = Cloud::new(endpoint, maker, leadership, self.hints.clone());
                self.cloud.send_replace(Some(cloud.clone()));
                Some(cloud)
            }
        }
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

    /// Every world in use, to look through for what has no owner.
    pub fn grounds(&self) -> Vec<Grounds> {
        let engines = self.engines.borrow().clone().into_iter().map(Target::Docker);
        let cloud = self.cloud.borrow().clone().into_iter().map(Target::Ec2);
        engines.chain(cloud).map(|target| Grounds::new(target, self.metrics.clone())).collect()
    }

    /// The uids of Workspaces whose box may have changed, from now on: events of the engines and ended
    /// pulls. A hint is a reason to reconcile, never a fact. Somebody must poll [`Backends::watch`].
    pub fn hints(&self) -> impl Stream<Item = String> + Send + use<> {
        self.hints.listen()
    }

    /// Watches every engine in use, and the instances, for as long as it is polled; it never ends, and dropping
    /// it stops it. `period` is how often all boxes are listed, to find what the events missed (30 s is a good
    /// one). When an engine comes back, or the engines in use change, every Workspace there gets one hint.
    pub async fn watch(&self, period: Duration) {
        futures::future::join(self.watch_engines(period), self.watch_cloud(period)).await;
    }

    async fn watch_engines(&self, period: Duration) {
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

    async fn watch_cloud(&self, period: Duration) {
        let mut clouds = self.cloud.subscribe();
        loop {
            let now = clouds.borrow_and_update().clone();
            let watched = async {
                match now {
                    Some(cloud) => cloud.watch(period).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = watched => {}
                // As above.
                _ = clouds.changed() => {}
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
            Standing::Ec2(cloud) => Ok(Target::Ec2(cloud.clone())),
            #[cfg(test)]
            Standing::Scripted(world) => Ok(Target::Scripted(world.clone())),
        }
    }

    fn recorded(&self, record: &PlacementRecord) -> Result<Target, NoBackend> {
        match record.backend {
            Backend::Docker => self.recorded_engine(record.docker.as_ref().map_or("", |docker| &docker.host)),
            Backend::Ec2 => match (&self.cloud, &self.standing) {
                (Some(cloud), _) => Ok(Target::Ec2(cloud.clone())),
                (None, Standing::Absent { name }) => Err(NoBackend::Absent { name: name.clone() }),
                (None, Standing::NotAccepted { why }) => Err(NoBackend::NotAccepted { why: why.clone() }),
                (None, _) => Err(NoBackend::NoControlPlane),
            },
        }
    }

    fn recorded_engine(&self, host: &str) -> Result<Target, NoBackend> {
        if let Some(engine) = self.engines.iter().find(|engine| engine.endpoint().name == host) {
            return Ok(Target::Docker(engine.clone()));
        }
        match self.selected()? {
            Target::Docker(engine) if engine.endpoint().name == host => Ok(Target::Docker(engine)),
            Target::Docker(_) | Target::Ec2(_) => Err(NoBackend::NotConfigured { host: host.to_owned() }),
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
                Ok(PlacementRecord { backend: Backend::Docker, docker: Some(engine.world()?), ec2: None })
            }
            Self::Ec2(cloud) => cloud.answering(),
            #[cfg(test)]
            Self::Scripted(world) => world.answering(),
        }
    }

    async fn preflight(&self) -> Result<Preflight, BackendError> {
        match self {
            Self::Docker(engine) => engine.preflight().await,
            Self::Ec2(cloud) => cloud.preflight().await,
            #[cfg(test)]
            Self::Scripted(world) => Ok(Preflight { version: "scripted".into(), record: world.answering()? }),
        }
    }
}

#[cfg(test)]
#[path = "door_tests.rs"]
mod tests;
