//! The simulated EC2: what there is, and how it changes. Pure: the time comes in with every call.
//!
//! ```text
//! execute ── launch      RunInstances and its tokens
//!  ├── lifecycle         stop, start, terminate, and what time brings
//!  ├── volumes           create, attach, detach, delete
//!  ├── interfaces, tags
//!  ├── look              the Describe actions       (filters, pages)
//!  └── buckets           what a caller may still ask for
//! ```

pub mod addresses;
pub mod buckets;
pub mod catalog;
pub mod console;
pub mod filters;
pub mod launch;
#[cfg(test)]
mod launch_tests;
pub mod lifecycle;
#[cfg(test)]
mod lifecycle_tests;
pub mod look;
pub mod model;
pub mod pages;
pub mod reply;
pub mod settings;
pub mod tags;
#[cfg(test)]
mod testing;
pub mod volumes;
#[cfg(test)]
mod volumes_tests;

use crate::error::ApiError;
use crate::ids::Ids;
use crate::request::tags::Tags;
use crate::request::{Call, Request};
use addresses::Addresses;
use buckets::Buckets;
use catalog::Catalog;
use jiff::Timestamp;
use model::{Instance, NetworkInterface, State, StateReason, Volume};
use reply::Reply;
use settings::Settings;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::Ipv4Addr;
use std::sync::Arc;

/// Everything that is simulated.
pub struct World {
    /// Delays, lag and limits.
    pub settings: Settings,
    catalog: Arc<Catalog>,
    ids: Ids,
    buckets: Buckets,
    addresses: Addresses,
    instances: BTreeMap<String, Instance>,
    volumes: BTreeMap<String, Volume>,
    interfaces: BTreeMap<String, NetworkInterface>,
    /// Launches by zone (none: regional) and token. Kept for ever, longer than the instances.
    launches: HashMap<(Option<String>, String), launch::Made>,
    /// Volumes by zone and token, as they were last.
    volume_orders: HashMap<(String, String), volumes::Ordered>,
    agenda: BTreeSet<(Timestamp, Due)>,
    effects: Vec<Effect>,
    changes: Vec<Change>,
}

/// What time brings.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    /// An instance's next state, or its end.
    Instance(String),
    /// A volume's next state, or its end.
    Volume(String),
}

/// What somebody has to do outside of the world.
#[derive(Clone, Debug)]
pub enum Effect {
    /// A machine comes up.
    Boot(Box<Machine>),
    /// A machine stops, and may come up again.
    Halt {
        /// Which.
        instance: String,
    },
    /// A machine goes for ever.
    Erase {
        /// Which.
        instance: String,
    },
    /// A volume is there for a machine.
    Attach {
        /// Which machine.
        instance: String,
        /// Which volume.
        disk: Disk,
    },
    /// A volume is no longer there for a machine.
    Detach {
        /// Which machine.
        instance: String,
        /// Which volume.
        volume: String,
    },
    /// A volume goes for ever.
    EraseVolume {
        /// Which.
        volume: String,
    },
}

/// What a machine is when it comes up.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The instance's id.
    pub instance: String,
    /// Whether it has never come up before: only then its user-data runs.
    ///
    /// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/user-data.html>
    pub first: bool,
    /// Its user-data.
    pub user_data: Option<Arc<[u8]>>,
    /// Its address.
    pub address: Ipv4Addr,
    /// Its type.
    pub instance_type: String,
    /// Its subnet.
    pub subnet: String,
    /// Its zone.
    pub zone: String,
    /// Its tags.
    pub tags: Tags,
    /// Its volumes, except for the root.
    pub disks: Vec<Disk>,
}

/// A data volume, as a machine sees it.
#[derive(Clone, Debug)]
pub struct Disk {
    /// Its id.
    pub volume: String,
    /// Its size, in GiB.
    pub gib: u32,
}

/// An instance went into another state.
#[derive(Clone, Debug)]
pub struct Change {
    /// When.
    pub at: Timestamp,
    /// Which.
    pub instance: String,
    /// Into which.
    pub state: State,
    /// Why.
    pub reason: Option<StateReason>,
}

/// What a call did.
pub struct Done {
    /// What to answer.
    pub reply: Reply,
    /// The ids of what it was about.
    pub results: Vec<String>,
    /// Whether it changed anything.
    pub committed: bool,
    /// Whether its token had been used before.
    pub replayed: bool,
}

/// What stands in the way of a launch that is new.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    /// It is refused.
    pub refused: Option<ApiError>,
    /// It is taken, and the instance dies of this instead of coming up.
    pub dies_of: Option<StateReason>,
}

impl World {
    /// An empty one.
    pub fn new(catalog: Arc<Catalog>, settings: Settings, seed: u64) -> Self {
        Self {
            settings,
            catalog,
            ids: Ids::new(seed),
            buckets: Buckets::default(),
            addresses: Addresses::default(),
            instances: BTreeMap::new(),
            volumes: BTreeMap::new(),
            interfaces: BTreeMap::new(),
            launches: HashMap::new(),
            volume_orders: HashMap::new(),
            agenda: BTreeSet::new(),
            effects: Vec::new(),
            changes: Vec::new(),
        }
    }

    /// Takes the request from the buckets.
    pub fn admit(&mut self, request: &Request, now: Timestamp) -> Result<(), ApiError> {
        self.buckets.take(request, &self.settings, now)
    }

    /// Does what the request says, at once and as a whole, or nothing of it.
    pub fn execute(&mut self, request: &Request, gate: Gate, now: Timestamp) -> Result<Done, ApiError> {
        self.settle(now);
        if request.dry_run && !matches!(request.call, Call::Run(_)) {
            return Err(ApiError::dry_run());
        }
        match &request.call {
            Call::Run(launch) => self.run(launch, request, gate, now),
            Call::Describe(describe) => self.describe(request.action, describe, now),
            Call::Terminate(ids) => self.terminate(ids, now),
            Call::Stop(ids) => self.stop(ids, now),
            Call::Start(ids) => self.start(ids, now),
            Call::Console { id, latest } => self.console(id, *latest, now),
            Call::CreateVolume(order) => self.create_volume(order, request, now),
            Call::Attach(attach) => self.attach(attach, now),
            Call::Detach(detach) => self.detach(detach, now),
            Call::DeleteVolume(id) => self.delete_volume(id, now),
            Call::CreateTags { resources, tags } => self.create_tags(resources, tags, now),
            Call::DeleteTags { resources, tags } => self.delete_tags(resources, tags, now),
            Call::DeleteInterface(id) => self.delete_interface(id, now),
            Call::CallerIdentity => Ok(Done::read(Reply::CallerIdentity)),
        }
    }

    /// Lets everything happen that was due until now.
    pub fn settle(&mut self, now: Timestamp) {
        while let Some((at, due)) = self.agenda.first().cloned() {
            if at > now {
                break;
            }
            self.agenda.remove(&(at, due.clone()));
            match due {
                Due::Instance(id) => self.instance_due(&id, at),
                Due::Volume(id) => self.volume_due(&id, at),
            }
        }
    }

    /// When something is due next.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.agenda.first().map(|(at, _)| *at)
    }

    /// What is to be done outside since the last call.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// Which instances changed their state since the last call.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// Every instance, also those that nobody sees yet.
    pub fn instances(&self) -> impl Iterator<Item = &Instance> {
        self.instances.values()
    }

    /// Every volume, also those that nobody sees yet.
    pub fn volumes(&self) -> impl Iterator<Item = &Volume> {
        self.volumes.values()
    }

    /// Every network interface, also those that nobody sees yet.
    pub fn interfaces(&self) -> impl Iterator<Item = &NetworkInterface> {
        self.interfaces.values()
    }

    /// An instance, also if nobody sees it yet.
    pub fn instance(&self, id: &str) -> Option<&Instance> {
        self.instances.get(id)
    }

    /// Adds to the console of an instance.
    pub fn write_console(&mut self, id: &str, text: &str, now: Timestamp) {
        if let Some(instance) = self.instances.get_mut(id) {
            instance.console.write(text, now);
        }
    }

    /// The surroundings.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }
}

impl Done {
    fn read(reply: Reply) -> Self {
        Self { reply, results: Vec::new(), committed: false, replayed: false }
    }

    fn wrote(reply: Reply, results: Vec<String>) -> Self {
        Self { reply, results, committed: true, replayed: false }
    }
}
