//! The box's link to the registry: boot stage, registration, heartbeats, for as long as the box lives.

use std::time::{Duration, Instant};

use atelier_wire::{Boot, BootStage, Exit, Register};
use tokio::time::{sleep, timeout};

use crate::backoff::Backoff;
use crate::beats::Beats;
use crate::log::say;
use crate::registry::{CallError, Registry};

/// How long the report of an exit may take, tries and all.
const EXIT_REPORT: Duration = Duration::from_secs(5);

/// What an agent tells the registry.
#[derive(Debug)]
pub(crate) struct Conduct {
    /// How it introduces itself, if it does.
    pub(crate) register: Option<Register>,
    /// How its heartbeats go.
    pub(crate) beats: Beats,
    /// Time between two heartbeats.
    pub(crate) period: Duration,
}

/// Says that the agent's process runs.
pub(crate) async fn report_boot(registry: &Registry) {
    let boot = Boot { stage: BootStage::AgentStarted, ok: true, detail: None, boot_id: None };
    until_answered(async || registry.boot(&boot).await).await;
}

/// Says that the supervised command ended, for a few seconds at most: the box stops either way.
pub(crate) async fn report_exit(registry: &Registry, exit: &Exit) {
    let report = until_answered(async || registry.exit(exit).await);
    if timeout(EXIT_REPORT, report).await.is_err() {
        say("the exit of the command could not be reported");
    }
}

/// Registers and sends heartbeats. Returns only where the heartbeats are meant to stop.
///
/// A registry that could not be reached may have been started anew and have forgotten this agent, so
/// after a failed heartbeat the agent registers again, and sooner than the next heartbeat is due.
pub(crate) async fn stay_connected(registry: &Registry, conduct: &Conduct) {
    let started = Instant::now();
    let mut count = 0;
    let mut backoff = Backoff::default();
    loop {
        if let Some(register) = &conduct.register {
            register_until_accepted(registry, register).await;
        }
        let failure = loop {
            let Some(beat) = conduct.beats.beat(&registry.workspace_id, count, started.elapsed()) else {
                return say("no more heartbeats from here on");
            };
            count += 1;
            match registry.heartbeat(&beat).await {
                Ok(()) => backoff = Backoff::default(),
                Err(failure @ CallError::Unavailable { .. }) => break failure,
                Err(refused) => say(refused),
            }
            sleep(conduct.period).await;
        };
        retry_later(&failure, &mut backoff).await;
    }
}

/// Calls until the registry answers. A refusal is an answer too: boot stages and exits are evidence, and
/// nothing here depends on them.
async fn until_answered(call: impl AsyncFn() -> Result<(), CallError>) {
    let mut backoff = Backoff::default();
    loop {
        match call().await {
            Ok(()) => return,
            Err(refused @ CallError::Refused { .. }) => return say(refused),
            Err(error) => retry_later(&error, &mut backoff).await,
        }
    }
}

async fn register_until_accepted(registry: &Registry, register: &Register) {
    let mut backoff = Backoff::default();
    // A refusal is tried again too: a token can become right when the registry has caught up.
    while let Err(error) = registry.register(register).await {
        retry_later(&error, &mut backoff).await;
    }
    say(format!("registered {} at {}", register.id, register.url));
}

async fn retry_later(error: &CallError, backoff: &mut Backoff) {
    let delay = backoff.next();
    say(format!("{error}; next try in {:.1} s", delay.as_secs_f64()));
    sleep(delay).await;
}
