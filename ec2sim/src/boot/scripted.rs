//! The simulator plays the box: boot stages, bundle, registration, heartbeats, from the machine's own address.

use super::faults::{BootEffect, BootOrder};
use super::http::{CallError, Http};
use super::user_data::Header;
use crate::sim::Sim;
use crate::world::{Effect, Machine};
use atelier_wire::contract::{A2A_PORT, TOKEN_FILE};
use atelier_wire::{AgentCard, Boot, BootStage, Heartbeat, Register, paths};
use reqwest::Method;
use serde::Serialize;
use std::collections::HashMap;
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::AbortHandle;

/// Path of the bundle.
const BUNDLE: &str = "/registry/bundle";
/// First pause after a call that failed; doubled up to the longest.
const RETRY_FIRST: Duration = Duration::from_millis(250);
const RETRY_MAX: Duration = Duration::from_secs(10);

/// How scripted boots go.
#[derive(Clone)]
pub struct Pace {
    /// From one stage to the next.
    pub stage: Duration,
    /// From one heartbeat to the next.
    pub heartbeat: Duration,
}

/// All scripted machines.
pub struct Scripted {
    pace: Pace,
    http: Arc<Http>,
    running: HashMap<String, AbortHandle>,
    disks: Disks,
}

/// What survives a stop, by instance: what the first boot left on the root volume.
type Disks = Arc<Mutex<HashMap<String, Agent>>>;

/// An agent that was set up.
#[derive(Clone)]
struct Agent {
    platform_url: String,
    workspace_id: String,
    token: String,
}

impl Scripted {
    /// No machine yet.
    pub fn new(pace: Pace, http: Http) -> Self {
        Self { pace, http: Arc::new(http), running: HashMap::new(), disks: Disks::default() }
    }

    /// Does what the world says.
    pub fn apply(&mut self, sim: &Arc<Sim>, effect: Effect) {
        match effect {
            Effect::Boot(machine) => {
                let id = machine.instance.clone();
                let fault = sim.with(|state, _| state.boot_faults.pick(&machine));
                let life = Life {
                    sim: sim.clone(),
                    http: self.http.clone(),
                    pace: self.pace.clone(),
                    disks: self.disks.clone(),
                    machine: *machine,
                    fault,
                    boot_id: format!("{:016x}", rand::random::<u64>()),
                };
                let task = tokio::spawn(life.run());
                self.stop(&id);
                self.running.insert(id, task.abort_handle());
            }
            Effect::Halt { instance } => self.stop(&instance),
            Effect::Erase { instance } => {
                self.stop(&instance);
                self.disks.lock().unwrap_or_else(PoisonError::into_inner).remove(&instance);
            }
            // A scripted machine has no disks to look at.
            Effect::Attach { .. } | Effect::Detach { .. } | Effect::EraseVolume { .. } => {}
        }
    }

    fn stop(&mut self, instance: &str) {
        if let Some(task) = self.running.remove(instance) {
            task.abort();
        }
    }
}

/// One machine from its start to its stop.
struct Life {
    sim: Arc<Sim>,
    http: Arc<Http>,
    pace: Pace,
    disks: Disks,
    machine: Machine,
    fault: Option<BootOrder>,
    boot_id: String,
}

/// Why a machine does no more.
enum End {
    /// A fault was ordered, or the script failed as a real one would.
    Stopped,
}

impl Life {
    async fn run(self) {
        if self.fault.as_ref().is_some_and(|fault| fault.effect == BootEffect::NeverCall) {
            return self.say("this machine was told never to call");
        }
        let agent = if self.machine.first {
            self.first_boot().await.ok()
        } else {
            self.disks.lock().unwrap_or_else(PoisonError::into_inner).get(&self.machine.instance).cloned()
        };
        match agent {
            // Its restart policy starts the agent at every boot; user-data runs at the first only.
            Some(agent) => {
                let _ = self.serve(&agent).await;
            }
            None => self.say("no agent was set up on this machine"),
        }
    }

    async fn first_boot(&self) -> Result<Agent, End> {
        let user_data = self.machine.user_data.as_deref().unwrap_or_default();
        let header = Header::parse(user_data).map_err(|why| {
            self.say(&why);
            End::Stopped
        })?;
        let (url, token) = (&header.platform_url, &header.bootstrap_token);
        self.say(&format!("workspace {} boots from {url} with image {}", header.workspace_id, header.image));
        for stage in [BootStage::Started, BootStage::EngineReady, BootStage::ImagePulled] {
            self.reach(url, token, stage).await?;
        }
        let bundle = self.insist(Method::GET, &format!("{url}{BUNDLE}"), token, None::<&()>).await;
        let Some(workspace_token) = token_of(&bundle) else {
            self.say(&format!("the bundle has no file configs/{TOKEN_FILE}"));
            return Err(End::Stopped);
        };
        self.reach(url, token, BootStage::BundleFetched).await?;
        let agent = Agent {
            platform_url: header.platform_url,
            workspace_id: header.workspace_id,
            token: workspace_token,
        };
        let mut disks = self.disks.lock().unwrap_or_else(PoisonError::into_inner);
        disks.insert(self.machine.instance.clone(), agent.clone());
        Ok(agent)
    }

    /// The agent's own part, at every boot.
    async fn serve(&self, agent: &Agent) -> Result<(), End> {
        let started = Instant::now();
        self.reach(&agent.platform_url, &agent.token, BootStage::AgentStarted).await?;
        let register = Register {
            id: agent.workspace_id.clone(),
            url: format!("http://{}:{A2A_PORT}", self.machine.address),
            agent_card: AgentCard { name: self.machine.instance.clone(), ..AgentCard::default() },
        };
        let url = format!("{}{}", agent.platform_url, paths::REGISTER);
        self.insist(Method::POST, &url, &agent.token, Some(&register)).await;
        self.say("registered");
        let silent_after = match &self.fault {
            Some(fault) if fault.effect == BootEffect::SilentAfter => fault.beats,
            _ => u64::MAX,
        };
        let url = format!("{}{}", agent.platform_url, paths::HEARTBEAT);
        for _ in 0..silent_after {
            tokio::time::sleep(self.pace.heartbeat).await;
            // At least one second: 0 would mark a note about a task.
            let beat = Heartbeat::healthy(&agent.workspace_id, started.elapsed().as_secs().max(1));
            if let Err(error) = self.call(Method::POST, &url, &agent.token, Some(&beat)).await {
                self.say(&format!("heartbeat: {error}"));
            }
        }
        self.say("falls silent, as it was told");
        Ok(())
    }

    /// Posts a stage once it is reached, or as failed where a fault says so.
    async fn reach(&self, url: &str, token: &str, stage: BootStage) -> Result<(), End> {
        tokio::time::sleep(self.pace.stage).await;
        let fault = self.fault.as_ref().filter(|fault| fault.stage == Some(stage));
        let mut boot = Boot { stage, ok: true, detail: None, boot_id: Some(self.boot_id.clone()) };
        match fault.map(|fault| (fault.effect, &fault.detail)) {
            Some((BootEffect::StopAt, _)) => {
                self.say(&format!("stops before {stage}, as it was told"));
                return Err(End::Stopped);
            }
            Some((_, detail)) => {
                boot.ok = false;
                boot.detail = Some(detail.clone());
                self.say(&format!("{stage} failed: {detail}"));
            }
            None => self.say(&format!("{stage}")),
        }
        self.insist(Method::POST, &format!("{url}{}", paths::BOOT), token, Some(&boot)).await;
        if boot.ok { Ok(()) } else { Err(End::Stopped) }
    }

    /// A call that is made until it succeeds: the registry may know the machine a little later than it boots.
    async fn insist(
        &self,
        method: Method,
        url: &str,
        token: &str,
        body: Option<&(impl Serialize + Sync)>,
    ) -> Vec<u8> {
        let mut pause = RETRY_FIRST;
        loop {
            match self.call(method.clone(), url, token, body).await {
                Ok(bytes) => return bytes,
                Err(error) => self.say(&format!("{method} {url}: {error}")),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RETRY_MAX);
        }
    }

    async fn call(
        &self,
        method: Method,
        url: &str,
        token: &str,
        body: Option<&(impl Serialize + Sync)>,
    ) -> Result<Vec<u8>, CallError> {
        self.http.call(self.machine.address, method, url, token, body).await
    }

    fn say(&self, text: &str) {
        let line = format!("{text}\n");
        self.sim.with(|state, now| state.world.write_console(&self.machine.instance, &line, now));
    }
}

/// The workspace token in a bundle.
fn token_of(bundle: &[u8]) -> Option<String> {
    let mut archive = tar::Archive::new(bundle);
    for entry in archive.entries().ok()? {
        let mut entry = entry.ok()?;
        let path = entry.path().ok()?.to_string_lossy().trim_start_matches("./").to_owned();
        if path == format!("configs/{TOKEN_FILE}") {
            let mut text = String::new();
            entry.read_to_string(&mut text).ok()?;
            return Some(text.trim().to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_found_in_a_bundle() {
        let mut tar = tar::Builder::new(Vec::new());
        for (path, text) in [("env/A", "1"), ("configs/.auth_token", "secret\n")] {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            tar.append_data(&mut header, path, text.as_bytes()).unwrap();
        }
        let bytes = tar.into_inner().unwrap();
        assert_eq!(token_of(&bytes).as_deref(), Some("secret"));
        assert_eq!(token_of(b"no archive"), None);
    }
}
