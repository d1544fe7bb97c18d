//! The Workspace of the model: as small as the decisions allow, and as the production types have it.
//!
//! All times stand relative to [`now`], which never moves: when time passes, everything else becomes older.

use crate::api::names;
use crate::api::workspace::{
    Attempt, Backend, Ec2World, Launch, Outcome, PlacementRecord, Workspace, WorkspaceStatus,
};
use crate::workspace::desired::{Desired, KeyedHash, NextLaunch};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::json;

/// The uid of the Workspace.
pub(super) const UID: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";
/// One step of the model's clock. A fence is two of them, the window of EC2's lists is one.
pub(super) const TICK: SignedDuration = SignedDuration::from_secs(60);

/// A Workspace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Object {
    pub(super) deleting: bool,
    pub(super) finalizer: bool,
    /// Stands for the whole spec: an edit makes it another.
    pub(super) generation: u8,
    pub(super) status: Status,
}

/// What of a status is decided by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Status {
    pub(super) launch: Option<Record>,
    /// The number of the recorded instance.
    pub(super) id: Option<u8>,
    /// The attempt that was closed last.
    pub(super) closed: Option<Closed>,
}

/// An attempt that was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Closed {
    pub(super) attempt: u8,
    pub(super) outcome: Outcome,
    pub(super) instance: Option<u8>,
}

/// The record of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Record {
    pub(super) attempt: u8,
    pub(super) outcome: Outcome,
    pub(super) generation: u8,
    pub(super) offering: u8,
    /// How many ticks it waits still.
    pub(super) not_before: u8,
}

/// The moment that everything is told from.
pub(super) fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

/// So many ticks from now, or before it.
pub(super) fn ticks(n: i32) -> Timestamp {
    now().saturating_add(TICK * n).unwrap()
}

/// How many ticks it is until then, rounded up.
pub(super) fn ticks_until(time: Timestamp) -> u8 {
    let left = time.duration_since(now()).as_secs();
    u8::try_from((left.max(0) + TICK.as_secs() - 1) / TICK.as_secs()).unwrap()
}

/// The name of an instance.
pub(super) fn id(instance: u8) -> String {
    format!("i-{instance}")
}

/// The instance of a name.
pub(super) fn number(id: &str) -> u8 {
    id.strip_prefix("i-").unwrap().parse().unwrap()
}

fn hash(generation: u8) -> String {
    format!("h1-{generation}")
}

fn request(offering: u8) -> String {
    offering.to_string()
}

/// Where everything is launched.
pub(super) fn placement() -> PlacementRecord {
    let world = Ec2World { account_id: "1".into(), region: "r".into() };
    PlacementRecord { backend: Backend::Ec2, docker: None, ec2: Some(world) }
}

impl Object {
    /// As the API server would serve it.
    pub(super) fn workspace(&self) -> Workspace {
        let mut ws: Workspace = serde_json::from_value(json!({
            "apiVersion": "atelier.dev/v1alpha1",
            "kind": "Workspace",
            "metadata": {
                "name": "a", "namespace": "team", "uid": UID, "generation": 1,
                "creationTimestamp": "2026-01-01T00:00:00Z",
            },
            "spec": { "runtime": "demo" },
        }))
        .unwrap();
        ws.metadata.generation = Some(self.generation.into());
        ws.metadata.deletion_timestamp = self.deleting.then(|| Time(now()));
        ws.metadata.finalizers = self.finalizer.then(|| vec![names::FINALIZER.into()]);
        ws.status = Some(self.status.full());
        ws
    }

    /// What its spec comes to, were the next attempt launched on this offering.
    pub(super) fn desired(&self, offering: u8) -> Desired {
        let launch = self.status.launch;
        let next_attempt = launch.map_or(1, |l| l.attempt + 1);
        Desired {
            contents: crate::backend::Contents::default(),
            hash: KeyedHash { key_id: "k".into(), hash: hash(self.generation) },
            hash_as_recorded: launch.map(|_| hash(self.generation)),
            next: Some(NextLaunch {
                request: request(offering),
                client_token: Some(format!("token-{next_attempt}")),
                user_data_hash: None,
            }),
            request_as_recorded: launch.map(|l| request(l.offering)),
            boot_timeout_seconds: 600,
            memory_mib: 512,
        }
    }

    /// Whether this instance is the one that the record is about, or may turn out to be.
    pub(super) fn wants(&self, instance: u8, attempt: u8) -> bool {
        let is_recorded = self.status.launch.is_some_and(|l| l.attempt == attempt);
        is_recorded && self.status.id.is_none_or(|id| id == instance)
    }
}

impl Status {
    /// As production has it.
    pub(super) fn full(&self) -> WorkspaceStatus {
        let launch = self.launch.map(|record| Launch {
            attempt: record.attempt.into(),
            outcome: record.outcome,
            spec_hash: hash(record.generation),
            key_id: "k".into(),
            request: request(record.offering),
            client_token: Some(format!("token-{}", record.attempt)),
            user_data_hash: None,
            started_at: Time(now()),
            last_sent_at: None,
            failures: 0,
            last_failed_at: None,
            not_before: (record.not_before > 0).then(|| Time(ticks(record.not_before.into()))),
        });
        let closed = self.closed.map(|closed| Attempt {
            attempt: closed.attempt.into(),
            outcome: closed.outcome,
            reason: None,
            message: None,
            instance_id: closed.instance.map(id),
            at: Time(now()),
        });
        WorkspaceStatus {
            observed_generation: 0,
            instance_id: self.id.map(id),
            placement: launch.as_ref().map(|_| placement()),
            launch,
            attempts: closed.into_iter().collect(),
            ..WorkspaceStatus::default()
        }
    }

    /// What of a production status is decided by.
    pub(super) fn of(full: &WorkspaceStatus) -> Self {
        let small = |n: i64| u8::try_from(n).unwrap();
        let launch = full.launch.as_ref().map(|launch| Record {
            attempt: small(launch.attempt),
            outcome: launch.outcome,
            generation: launch.spec_hash.strip_prefix("h1-").unwrap().parse().unwrap(),
            offering: launch.request.parse().unwrap(),
            not_before: launch.not_before.as_ref().map_or(0, |t| ticks_until(t.0)),
        });
        if let Some(launch) = &full.launch {
            assert_eq!(launch.client_token, Some(format!("token-{}", launch.attempt)));
        }
        let closed = full.attempts.last().map(|ended| Closed {
            attempt: small(ended.attempt),
            outcome: ended.outcome,
            instance: ended.instance_id.as_deref().map(number),
        });
        Self { launch, id: full.instance_id.as_deref().map(number), closed }
    }

    /// One tick later.
    pub(super) fn age(&mut self) {
        if let Some(launch) = &mut self.launch {
            launch.not_before = launch.not_before.saturating_sub(1);
        }
    }
}
