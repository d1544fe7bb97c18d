//! Real boots: each instance is a container that starts an engine of its own and runs its user-data.
//!
//! ```text
//! mod ── one lane an instance: what is to be done with it, in order
//!  ├── ami       the machine image (init.sh, poweroff.sh)
//!  ├── disks     data volumes
//!  └── engine    the Docker engine underneath
//! ```

mod ami;
mod disks;
mod engine;

use crate::sim::Sim;
use crate::world::model::StateReason;
use crate::world::{Disk, Effect, Machine};
use disks::Disks;
use engine::Engine;
use futures::StreamExt;
use std::collections::HashMap;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use crate::world::catalog::Cidr;

/// How long the console of a machine that is off may take to end.
const CONSOLE_END: Duration = Duration::from_secs(5);

/// All real machines.
pub struct Real {
    site: Arc<Site>,
    lanes: HashMap<String, UnboundedSender<Step>>,
}

/// What all lanes share.
struct Site {
    engine: Engine,
    disks: Disks,
}

/// What is to be done with one machine.
enum Step {
    Boot(Box<Machine>),
    Halt,
    Erase,
    Attach(Disk),
    Detach(String),
}

impl Real {
    /// Gets the engine ready for machines in this range of addresses.
    ///
    /// # Errors
    /// A text for people where the engine cannot do that.
    pub async fn prepare(vpc: Cidr, archives: Vec<PathBuf>) -> Result<Self, String> {
        let engine = Engine::prepare(vpc, archives).await?;
        Ok(Self { site: Arc::new(Site { engine, disks: Disks::default() }), lanes: HashMap::new() })
    }

    /// Does what the world says, one thing after the other for each machine.
    pub fn apply(&mut self, sim: &Arc<Sim>, effect: Effect) {
        match effect {
            Effect::Boot(machine) => {
                let id = machine.instance.clone();
                if !self.lanes.contains_key(&id) {
                    let (lane, steps) = unbounded_channel();
                    tokio::spawn(Lane::new(sim.clone(), self.site.clone(), id.clone()).run(steps));
                    self.lanes.insert(id.clone(), lane);
                }
                self.send(&id, Step::Boot(machine));
            }
            Effect::Halt { instance } => self.send(&instance, Step::Halt),
            Effect::Erase { instance } => {
                self.send(&instance, Step::Erase);
                self.lanes.remove(&instance);
            }
            Effect::Attach { instance, disk } => self.send(&instance, Step::Attach(disk)),
            Effect::Detach { instance, volume } => self.send(&instance, Step::Detach(volume)),
            Effect::EraseVolume { volume } => {
                let site = self.site.clone();
                tokio::spawn(async move {
                    if let Err(error) = site.disks.erase(&site.engine, &volume).await {
                        tracing::warn!(volume, error, "a volume's file stays");
                    }
                });
            }
        }
    }

    /// Removes everything that was made on the engine.
    pub async fn clean(self) {
        drop(self.lanes);
        if let Err(error) = self.site.engine.clean().await {
            tracing::error!(error, "something is left on the engine");
        }
    }

    fn send(&self, instance: &str, step: Step) {
        if let Some(lane) = self.lanes.get(instance) {
            // A lane ends after the last step that it can be sent.
            let _ = lane.send(step);
        }
    }
}

/// One machine, and what was done with it.
struct Lane {
    sim: Arc<Sim>,
    site: Arc<Site>,
    instance: String,
    /// How many bytes of its console are in the world already.
    read: Arc<AtomicUsize>,
    /// Whether it is being shut down from outside.
    halting: Arc<AtomicBool>,
    console: Option<JoinHandle<()>>,
}

impl Lane {
    fn new(sim: Arc<Sim>, site: Arc<Site>, instance: String) -> Self {
        Self { sim, site, instance, read: Arc::default(), halting: Arc::default(), console: None }
    }

    async fn run(mut self, mut steps: UnboundedReceiver<Step>) {
        while let Some(step) = steps.recv().await {
            let done = match step {
                Step::Boot(machine) => {
                    let booted = self.boot(&machine).await;
                    if let Err(error) = &booted {
                        let reason = StateReason::new("Server.InternalError", error);
                        self.sim.with(|state, now| state.world.kill(&self.instance, reason, now));
                    }
                    booted
                }
                Step::Halt => self.halt().await,
                Step::Erase => {
                    self.halting.store(true, Ordering::Release);
                    self.site.engine.erase(&self.instance).await
                }
                Step::Attach(disk) => self.site.disks.attach(&self.site.engine, &self.instance, &disk).await,
                Step::Detach(volume) => {
                    self.site.disks.detach(&self.site.engine, &self.instance, &volume).await
                }
            };
            if let Err(error) = done {
                tracing::warn!(instance = self.instance, error, "a machine did not do as it should");
                let line = format!("ec2sim: {error}\n");
                self.sim.with(|state, now| state.world.write_console(&self.instance, &line, now));
            }
        }
    }

    async fn boot(&mut self, machine: &Machine) -> Result<(), String> {
        let engine = &self.site.engine;
        if machine.first {
            engine.make_machine(&self.instance, machine.address, machine.user_data.as_deref()).await?;
        }
        engine.start(&self.instance).await?;
        self.halting = Arc::default();
        self.console = Some(tokio::spawn(follow(
            self.sim.clone(),
            self.site.clone(),
            self.instance.clone(),
            self.read.clone(),
            self.halting.clone(),
        )));
        for disk in &machine.disks {
            self.site.disks.attach(&self.site.engine, &self.instance, disk).await?;
        }
        Ok(())
    }

    async fn halt(&mut self) -> Result<(), String> {
        self.halting.store(true, Ordering::Release);
        self.site.engine.stop(&self.instance).await?;
        // What it said last belongs to this boot.
        if let Some(mut console) = self.console.take()
            && tokio::time::timeout(CONSOLE_END, &mut console).await.is_err()
        {
            console.abort();
        }
        Ok(())
    }
}

/// Copies the console until the machine is off, and tells the world if nobody asked for that.
async fn follow(
    sim: Arc<Sim>,
    site: Arc<Site>,
    instance: String,
    read: Arc<AtomicUsize>,
    halting: Arc<AtomicBool>,
) {
    // The engine tells everything from the first boot on.
    let mut skip = read.load(Ordering::Acquire);
    let mut console = pin!(site.engine.console(&instance));
    while let Some(piece) = console.next().await {
        let old = skip.min(piece.len());
        skip -= old;
        let text = String::from_utf8_lossy(&piece[old..]).into_owned();
        read.fetch_add(piece.len() - old, Ordering::AcqRel);
        if !text.is_empty() {
            sim.with(|state, now| state.world.write_console(&instance, &text, now));
        }
    }
    if !halting.load(Ordering::Acquire) && !site.engine.is_on(&instance).await {
        sim.with(|state, now| state.world.shut_down_from_inside(&instance, now));
    }
}
