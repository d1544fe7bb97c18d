//! What machines do once they run: nothing, a script of the simulator's, or their user-data for real.

mod faults;
mod http;
pub mod real;
pub mod scripted;
mod user_data;

pub use faults::{BootFaults, BootOrder};

use crate::sim::Sim;
use crate::world::Effect;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;

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
    /// Containers that run the user-data.
    Real(real::Real),
}

impl Boots {
    /// Does what the world says, until it is told to end; then removes what it made.
    pub async fn run(
        mut self,
        sim: Arc<Sim>,
        mut effects: UnboundedReceiver<Effect>,
        mut end: oneshot::Receiver<()>,
    ) {
        loop {
            let effect = tokio::select! {
                _ = &mut end => break,
                Some(effect) = effects.recv() => effect,
            };
            match &mut self {
                Self::None => {
                    if let Effect::Boot(machine) = effect {
                        let line = format!("{} runs; nothing is simulated on it\n", machine.instance);
                        sim.with(|state, now| state.world.write_console(&machine.instance, &line, now));
                    }
                }
                Self::Scripted(scripted) => scripted.apply(&sim, effect),
                Self::Real(real) => real.apply(&sim, effect),
            }
        }
        if let Self::Real(real) = self {
            real.clean().await;
        }
    }
}
