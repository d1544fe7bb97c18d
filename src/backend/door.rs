//! The choice of a backend: one function, from the recorded placement or, where there is none, the config.

use super::docker::{Engine, EngineEndpoint};
use super::placement::{Placement, Target};
use super::{BackendError, ErrorKind};
use crate::api::Reason;
use crate::api::workspace::{Backend, DockerWorld, PlacementRecord};
use crate::metrics::{Metrics, Operation, Outcome};
use std::sync::{Arc, RwLock};
use std::time::Instant;

/// The backends that this cluster has. Cheap to clone; clones share one state.
#[derive(Clone, Debug)]
pub struct Backends {
    state: Arc<RwLock<State>>,
    metrics: Metrics,
}

#[derive(Debug)]
struct State {
    configuration: Configuration,
    engines: Vec<Engine>,
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
    },
    /// Docker: the engine that new boxes go to.
    Docker {
        /// The engine.
        selected: EngineEndpoint,
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
        let configuration = Configuration::Absent { name: config_name.to_owned() };
        Self { state: Arc::new(RwLock::new(State { configuration, engines: Vec::new() })), metrics }
    }

    /// Takes a configuration into use. What is unchanged keeps its connections.
    pub fn configure(&self, configuration: Configuration) {
        todo!()
    }

    /// The one door: where this Workspace's box is (by its record) or will be (by the config).
    ///
    /// # Errors
    /// When there is no such backend, or it has not answered; the error says what a person can do.
    pub fn place(&self, recorded: Option<&PlacementRecord>) -> Result<Placement, NoBackend> {
        todo!()
    }

    /// Asks the selected backend who it is. What it answers is what [`Backends::place`] goes by.
    ///
    /// # Errors
    /// What the backend answered, or that it did not.
    pub async fn preflight(&self) -> Result<Preflight, BackendError> {
        todo!()
    }
}
