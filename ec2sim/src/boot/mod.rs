//! What machines do once they run: nothing, or a script of the simulator's.

mod faults;
mod http;
pub mod scripted;
mod user_data;

pub use faults::{BootFaults, BootOrder};

use crate::sim::Sim;
use crate::world::Effect;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::mpsc::UnboundedReceiver;

/// What calls the registry for scripted machines, trusting this authority.
///
/// # Errors
/// A text for people where the file cannot be used.
pub fn http(authority: Option<&Path>) -> Result<http::Http, String> {
    http::Http::new(authority)
}

/// Who plays the machines.
pub enum Boots {
    /// Nobody: instances run, and nothing runs on them.
    None,
    /// The simulator, by the header of the user-data.
    Scripted(scripted::Scripted),
}

impl Boots {
    /// Does what the world says, until it says no more.
    pub async fn run(mut self, sim: Arc<Sim>, mut effects: UnboundedReceiver<Effect>) {
        while let Some(effect) = effects.recv().await {
            match &mut self {
                Self::None => {
                    if let Effect::Boot(machine) = effect {
                        let line = format!("{} runs; nothing is simulated on it\n", machine.instance);
                        sim.with(|state, now| state.world.write_console(&machine.instance, &line, now));
                    }
                }
                Self::Scripted(scripted) => scripted.apply(&sim, effect),
            }
        }
    }
}
