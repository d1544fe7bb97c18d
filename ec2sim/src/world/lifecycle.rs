//! From pending to terminated: what callers ask for, what time brings, what happens behind everybody's back.
//!
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-lifecycle.html>

use super::model::{Instance, State, StateReason};
use super::reply::{Reply, StateChange};
use super::settings::later;
use super::{Change, Disk, Done, Due, Effect, Machine, World};
use crate::error::ApiError;
use crate::ids::Kind;
use jiff::Timestamp;
use std::sync::Arc;

/// What an instance's owner asked for.
const USER: (&str, &str) = ("Client.UserInitiatedShutdown", "User initiated shutdown");

impl World {
    /// One bad id and none is terminated; those that are terminated already are fine.
    ///
    /// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_TerminateInstances.html>
    pub(super) fn terminate(&mut self, ids: &[String], now: Timestamp) -> Result<Done, ApiError> {
        self.all_seen(ids, now)?;
        for id in ids {
            if self.instances.get(id).is_some_and(|instance| instance.launch.protected) {
                return Err(ApiError::new(
                    "OperationNotPermitted",
                    format!(
                        "The instance '{id}' may not be terminated. Modify its 'disableApiTermination' \
                             instance attribute and try again."
                    ),
                ));
            }
        }
        Ok(self.change_all(ids, |world, id, state| {
            if !state.is_ending() {
                world.end(id, StateReason::new(USER.0, USER.1), "User initiated", now);
            }
        }))
    }

    /// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StopInstances.html>
    pub(super) fn stop(&mut self, ids: &[String], now: Timestamp) -> Result<Done, ApiError> {
        self.all_seen(ids, now)?;
        self.all_in(ids, "stopped", |state| {
            matches!(state, State::Running | State::Stopping | State::Stopped)
        })?;
        Ok(self.change_all(ids, |world, id, state| {
            if state == State::Running {
                world.halt(id, StateReason::new(USER.0, USER.1), "User initiated", now);
            }
        }))
    }

    /// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StartInstances.html>
    pub(super) fn start(&mut self, ids: &[String], now: Timestamp) -> Result<Done, ApiError> {
        self.all_seen(ids, now)?;
        self.all_in(ids, "started", |state| {
            matches!(state, State::Running | State::Pending | State::Stopped)
        })?;
        Ok(self.change_all(ids, |world, id, state| {
            if state == State::Stopped {
                if let Some(instance) = world.instances.get_mut(id) {
                    instance.launched_at = now;
                    instance.transition.clear();
                }
                let reason = StateReason { code: "pending".into(), message: "pending".into() };
                world.enter(id, State::Pending, Some(reason), now);
            }
        }))
    }

    /// Ends an instance behind everybody's back. False: it is not there, or ends already.
    pub fn kill(&mut self, id: &str, reason: StateReason, now: Timestamp) -> bool {
        self.settle(now);
        let lives = self.instances.get(id).is_some_and(|instance| !instance.state.is_ending());
        if lives {
            let words = reason.code.clone();
            self.end(id, reason, &words, now);
        }
        lives
    }

    /// Stops an instance behind everybody's back. False: it does not run.
    pub fn stop_from_outside(&mut self, id: &str, reason: StateReason, now: Timestamp) -> bool {
        self.settle(now);
        let runs = self.instances.get(id).is_some_and(|instance| instance.state == State::Running);
        if runs {
            let words = reason.code.clone();
            self.halt(id, reason, &words, now);
        }
        runs
    }

    /// The machine shut itself down: the instance stops or ends, as its launch said.
    ///
    /// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_ChangingInstanceInitiatedShutdownBehavior.html>
    pub fn shut_down_from_inside(&mut self, id: &str, now: Timestamp) {
        self.settle(now);
        let Some(instance) = self.instances.get(id).filter(|i| i.state == State::Running) else { return };
        let reason = StateReason::new("Client.InstanceInitiatedShutdown", "Instance initiated shutdown");
        if instance.launch.terminates_on_shutdown {
            self.end(id, reason, "", now);
        } else {
            self.halt(id, reason, "", now);
        }
    }

    /// The next state of an instance, or its disappearance.
    pub(super) fn instance_due(&mut self, id: &str, at: Timestamp) {
        let Some(instance) = self.instances.get_mut(id).filter(|instance| instance.next == Some(at)) else {
            return;
        };
        instance.next = None;
        match instance.state {
            State::Pending => match instance.dies_of.take() {
                None => self.come_up(id, at),
                Some(reason) => {
                    if let Some(instance) = self.instances.get_mut(id) {
                        instance.transition.clone_from(&reason.code);
                    }
                    self.enter(id, State::Terminated, Some(reason), at);
                }
            },
            State::Stopping => {
                let reason = instance.reason.clone();
                self.enter(id, State::Stopped, reason, at);
            }
            State::ShuttingDown => {
                let reason = instance.reason.clone();
                self.enter(id, State::Terminated, reason, at);
            }
            // A terminated one disappears.
            State::Terminated => {
                self.instances.remove(id);
            }
            State::Running | State::Stopped => {}
        }
    }

    /// The ids of those that are not there, or not for this caller yet.
    ///
    /// <https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html>
    pub(super) fn all_seen(&self, ids: &[String], now: Timestamp) -> Result<(), ApiError> {
        let unseen: Vec<&str> = ids
            .iter()
            .filter(|id| self.instances.get(*id).is_none_or(|instance| instance.visible_at > now))
            .map(String::as_str)
            .collect();
        if unseen.is_empty() { Ok(()) } else { Err(Kind::Instance.not_found(&unseen)) }
    }

    fn all_in(&self, ids: &[String], done: &str, good: impl Fn(State) -> bool) -> Result<(), ApiError> {
        match ids.iter().find(|id| self.instances.get(*id).is_some_and(|i| !good(i.state))) {
            None => Ok(()),
            Some(id) => Err(ApiError::new(
                "IncorrectInstanceState",
                format!("The instance '{id}' is not in a state from which it can be {done}."),
            )),
        }
    }

    fn change_all(&mut self, ids: &[String], change: impl Fn(&mut Self, &str, State)) -> Done {
        let mut changes = Vec::with_capacity(ids.len());
        for id in ids {
            let Some(previous) = self.instances.get(id).map(|instance| instance.state) else { continue };
            change(self, id, previous);
            let current = self.instances.get(id).map_or(previous, |instance| instance.state);
            changes.push(StateChange { id: id.clone(), previous, current });
        }
        let committed = changes.iter().any(|change| change.previous != change.current);
        Done { committed, ..Done::wrote(Reply::StateChanges(changes), ids.to_vec()) }
    }

    fn end(&mut self, id: &str, reason: StateReason, by: &str, now: Timestamp) {
        self.note(id, by, now);
        self.enter(id, State::ShuttingDown, Some(reason), now);
        self.effects.push(Effect::Erase { instance: id.to_owned() });
    }

    fn halt(&mut self, id: &str, reason: StateReason, by: &str, now: Timestamp) {
        self.note(id, by, now);
        self.enter(id, State::Stopping, Some(reason), now);
        self.effects.push(Effect::Halt { instance: id.to_owned() });
    }

    fn note(&mut self, id: &str, by: &str, now: Timestamp) {
        if let Some(instance) = self.instances.get_mut(id) {
            instance.transition = match by {
                "" => String::new(),
                by => format!("{by} ({})", now.strftime("%Y-%m-%d %H:%M:%S GMT")),
            };
        }
    }

    fn come_up(&mut self, id: &str, now: Timestamp) {
        self.enter(id, State::Running, None, now);
        let Some(instance) = self.instances.get_mut(id) else { return };
        instance.boots += 1;
        let disks = instance.devices.iter().filter(|(device, _)| **device != instance.root_device);
        let disks = disks.filter_map(|(_, id)| {
            self.volumes.get(id).map(|volume| Disk { volume: id.clone(), gib: volume.shape.size })
        });
        let machine = Machine {
            instance: id.to_owned(),
            first: instance.boots == 1,
            user_data: instance.launch.user_data.clone(),
            address: instance.address,
            instance_type: instance.launch.instance_type.clone(),
            subnet: instance.subnet.clone(),
            zone: instance.zone.clone(),
            tags: instance.tags.clone(),
            disks: disks.collect(),
        };
        self.effects.push(Effect::Boot(Box::new(machine)));
    }

    fn enter(&mut self, id: &str, state: State, reason: Option<StateReason>, now: Timestamp) {
        let settings = &self.settings;
        let stay = match state {
            State::Pending => Some(settings.pending_ms),
            State::Stopping => Some(settings.stopping_ms),
            State::ShuttingDown => Some(settings.shutting_down_ms),
            State::Terminated => Some(settings.terminated_visible_ms),
            State::Running | State::Stopped => None,
        };
        let Some(instance) = self.instances.get_mut(id) else { return };
        instance.state = state;
        instance.reason.clone_from(&reason);
        instance.next = stay.map(|ms| later(now, ms));
        if let Some(at) = instance.next {
            self.agenda.insert((at, Due::Instance(id.to_owned())));
        }
        self.changes.push(Change { at: now, instance: id.to_owned(), state, reason });
        if state == State::Terminated {
            self.release(id);
        }
    }

    /// Gives back what a terminated instance had. Its volumes go or stay as their attachments say.
    fn release(&mut self, id: &str) {
        let Some(instance) = self.instances.get_mut(id) else { return };
        forget_user_data(instance);
        let (interface, devices) = (instance.interface.clone(), std::mem::take(&mut instance.devices));
        for volume in devices.into_values() {
            self.leave_instance(&volume);
        }
        if let Some(interface) = self.interfaces.get_mut(&interface) {
            if interface.delete_on_termination {
                let (subnet, address) = (interface.subnet.clone(), interface.address);
                let id = interface.id.clone();
                self.interfaces.remove(&id);
                self.addresses.give_back(&subnet, address);
            } else {
                interface.instance = None;
            }
        }
    }
}

/// Nobody can ask for it any more, and it may be thousands of times sixteen kilobytes.
fn forget_user_data(instance: &mut Instance) {
    let mut launch = (*instance.launch).clone();
    launch.user_data = None;
    instance.launch = Arc::new(launch);
}
