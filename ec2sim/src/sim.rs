//! The simulator as one thing: the world, its faults and its log under one lock, and the clock.

use crate::action::Action;
use crate::answers;
use crate::boot::BootFaults;
use crate::error::ApiError;
use crate::faults::{self, Effect as FaultEffect, Faults, Suffered};
use crate::log::{CallRecord, Log, LoggedError, What};
use crate::query::Query;
use crate::request::{self, Call, Request};
use crate::scenario::Scenario;
use crate::world::catalog::Catalog;
use crate::world::reply::Reply;
use crate::world::{Done, Effect, Gate, World};
use jiff::Timestamp;
use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// The simulator.
pub struct Sim {
    /// A clock that is never set back: the time of the start, and what has passed since.
    started: (Timestamp, Instant),
    state: Mutex<State>,
    agenda_changed: Notify,
    effects: UnboundedSender<Effect>,
    scenario: Scenario,
    seed: u64,
}

/// What is under the lock.
pub struct State {
    /// The simulated EC2.
    pub world: World,
    /// Faults of calls.
    pub faults: Faults,
    /// Faults of boots.
    pub boot_faults: BootFaults,
    /// The call log.
    pub log: Log,
    /// How often everything was forgotten.
    generation: u64,
}

/// What goes out to a caller.
pub enum Answer {
    /// XML with a status.
    Xml(u16, String),
    /// What is no XML.
    Garbage,
    /// Nothing: the connection is closed.
    Closed,
}

impl Sim {
    /// A simulator, and the stream of what its machines are to do.
    pub fn new(scenario: Scenario, seed: u64, log: Option<File>) -> (Arc<Self>, UnboundedReceiver<Effect>) {
        let (effects, machines) = unbounded_channel();
        let mut state = State {
            world: World::new(Arc::new(scenario.world.clone()), scenario.settings.clone(), seed),
            faults: Faults::default(),
            boot_faults: BootFaults::default(),
            log: Log::new(log),
            generation: 0,
        };
        state.take_faults(&scenario);
        let sim = Self {
            started: (Timestamp::now(), Instant::now()),
            state: Mutex::new(state),
            agenda_changed: Notify::new(),
            effects,
            scenario,
            seed,
        };
        (Arc::new(sim), machines)
    }

    /// Does something with the state as it is now.
    pub fn with<R>(&self, work: impl FnOnce(&mut State, Timestamp) -> R) -> R {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // Taken under the lock, so that the log's times never fall.
        let now = self.now();
        let before = state.world.next_due();
        state.world.settle(now);
        state.log_changes();
        let result = work(&mut state, now);
        state.log_changes();
        for effect in state.world.take_effects() {
            // Nobody listens once the process ends.
            let _ = self.effects.send(effect);
        }
        if state.world.next_due() != before {
            self.agenda_changed.notify_one();
        }
        result
    }

    /// Lets things happen when they are due, for ever.
    pub async fn run_clock(&self) {
        loop {
            let wait = self.with(|state, now| {
                let due = state.world.next_due()?;
                Some(due.duration_since(now).try_into().unwrap_or(Duration::ZERO))
            });
            let changed = self.agenda_changed.notified();
            match wait {
                None => changed.await,
                Some(wait) => tokio::select! {
                    () = changed => {}
                    () = tokio::time::sleep(wait) => {}
                },
            }
        }
    }

    /// Answers a request. It is done to its end also when the caller has left: so are EC2's.
    pub async fn call(&self, body: &[u8]) -> Answer {
        let mut query = Query::parse(body);
        let record = CallRecord {
            request_id: request_id(),
            action: query.params().get("Action").cloned().unwrap_or_default(),
            params: request::logged(&query),
            ..CallRecord::default()
        };
        let parsed = request::action_of(&mut query).and_then(|action| Request::parse(action, query));
        let request = match parsed {
            Ok(request) => request,
            Err(error) => return self.refuse(record, &error),
        };
        let admitted = self.with(|state, now| {
            state.world.admit(&request, now)?;
            let facts = faults::facts(&request, &state.world);
            Ok(state.faults.pick(request.action, &facts))
        });
        match admitted {
            Err(error) => self.refuse(record, &error),
            Ok(None) => self.commit(record, &request, Gate::default()),
            Ok(Some(suffered)) => self.suffer(record, &request, suffered).await,
        }
    }

    async fn suffer(&self, mut record: CallRecord, request: &Request, suffered: Suffered) -> Answer {
        record.fault = Some(suffered.name());
        tokio::time::sleep(suffered.delay).await;
        let launches = matches!(request.call, Call::Run(_));
        let mut gate = Gate::default();
        match suffered.effect {
            FaultEffect::Error if launches && suffered.error.is_about_room() => {
                gate.refused = Some(suffered.error);
            }
            FaultEffect::Error => return self.refuse(record, &suffered.error),
            FaultEffect::DropBeforeCommit => {
                self.with(|state, now| state.log.add(now, What::Call(Box::new(record))));
                return Answer::Closed;
            }
            FaultEffect::LaunchFails => gate.dies_of = Some(suffered.reason()),
            _ => {}
        }
        let answer = self.commit(record, request, gate);
        match suffered.effect {
            FaultEffect::CommitThenHang => {
                tokio::time::sleep(suffered.hang).await;
                Answer::Closed
            }
            FaultEffect::CommitThenDrop => Answer::Closed,
            FaultEffect::Garbage => Answer::Garbage,
            _ => answer,
        }
    }

    fn commit(&self, mut record: CallRecord, request: &Request, gate: Gate) -> Answer {
        let id = record.request_id.clone();
        let result = self.with(|state, now| {
            let result = state.world.execute(request, gate, now);
            match &result {
                Ok(done) => {
                    record.results.clone_from(&done.results);
                    record.committed = done.committed;
                    record.replayed = done.replayed;
                    record.launched_with = launched_with(done);
                }
                Err(error) => record.error = Some(logged(error)),
            }
            state.log.add(now, What::Call(Box::new(record)));
            result.map(|done| (done.reply, state.world.catalog().clone()))
        });
        match result {
            Ok((reply, catalog)) => Answer::Xml(200, answers::success(request.action, reply, &catalog, &id)),
            Err(error) => Answer::Xml(error.status, answers::failure(Some(request.action), &error, &id)),
        }
    }

    fn refuse(&self, mut record: CallRecord, error: &ApiError) -> Answer {
        let (action, id) = (Action::parse(&record.action), record.request_id.clone());
        record.error = Some(logged(error));
        self.with(|state, now| state.log.add(now, What::Call(Box::new(record))));
        Answer::Xml(error.status, answers::failure(action, error, &id))
    }

    /// Forgets everything: instances, volumes, tokens, buckets, log. Settings and faults are those of the start.
    pub fn reset(&self) {
        self.with(|state, now| {
            for instance in state.world.instances() {
                let _ = self.effects.send(Effect::Erase { instance: instance.id.clone() });
            }
            for volume in state.world.volumes() {
                let _ = self.effects.send(Effect::EraseVolume { volume: volume.id.clone() });
            }
            state.generation += 1;
            // Other ids than before: what asks for an old one must not meet a new instance.
            let seed = self.seed.wrapping_add(state.generation);
            state.world =
                World::new(Arc::new(self.scenario.world.clone()), self.scenario.settings.clone(), seed);
            state.log.clear();
            state.take_faults(&self.scenario);
            state.log.add(now, What::Admin { action: "reset", target: None });
        });
    }

    /// The surroundings.
    pub fn catalog(&self) -> &Catalog {
        &self.scenario.world
    }

    fn now(&self) -> Timestamp {
        let (wall, start) = self.started;
        wall.checked_add(start.elapsed()).unwrap_or(Timestamp::MAX)
    }
}

impl State {
    fn take_faults(&mut self, scenario: &Scenario) {
        self.faults.clear();
        self.boot_faults.clear();
        scenario.faults.iter().for_each(|order| self.faults.add(order.clone()));
        scenario.boot_faults.iter().for_each(|order| self.boot_faults.add(order.clone()));
    }

    fn log_changes(&mut self) {
        for change in self.world.take_changes() {
            self.log.add_change(change);
        }
    }
}

fn launched_with(done: &Done) -> Option<crate::request::tags::Tags> {
    match &done.reply {
        Reply::Launched(view) if done.committed => Some(view.instance.tags.clone()),
        _ => None,
    }
}

fn logged(error: &ApiError) -> LoggedError {
    LoggedError { code: error.code.to_string(), status: error.status }
}

fn request_id() -> String {
    let hex = format!("{:032x}", rand::random::<u128>());
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}
