//! What the operator counts, for Prometheus. Labels come from closed enums, never from names of objects.

use crate::api::Reason;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::fmt;
use std::time::Duration;

/// A kind of custom resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(missing_docs, reason = "the kinds' own names")]
pub enum Kind {
    Workspace,
    Team,
    BackendConfig,
}

/// What the operator did to the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(missing_docs, reason = "the steps' own names")]
pub enum Effect {
    AddFinalizer,
    RecordLaunch,
    Pull,
    Create,
    Start,
    Stop,
    Destroy,
    MakeVolume,
    AttachVolume,
    Clear,
    ReleaseFinalizer,
    WriteStatus,
    ApplyChild,
    DeleteChild,
    WriteLiveness,
}

/// An operation on a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(missing_docs, reason = "the methods' own names")]
pub enum Operation {
    Preflight,
    Boxes,
    Image,
    Pull,
    Create,
    Start,
    Stop,
    Destroy,
    MakeVolume,
    AttachVolume,
    Clear,
    LogTail,
    Survey,
    Collect,
}

/// What is made outside Kubernetes, in the order in which it goes: a volume is free once its box is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, EncodeLabelValue)]
#[expect(missing_docs, reason = "plain words")]
pub enum Thing {
    Box,
    NetworkInterface,
    Volume,
    Network,
}

impl Thing {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Box, Self::NetworkInterface, Self::Volume, Self::Network];
}

/// What became of something without an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(missing_docs, reason = "plain words")]
pub enum Collected {
    Removed,
    Failed,
    DryRun,
}

impl Collected {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Removed, Self::Failed, Self::DryRun];
}

/// How a sweep for what has no owner ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum SweepEnd {
    /// Everything was looked at.
    Complete,
    /// More may be removed, and the next sweep goes on.
    Capped,
    /// A backend did not list what it has; the others were looked at.
    Unlisted,
    /// The API server is not well: nothing was believed any more.
    Frozen,
    /// The stored id is another cluster's.
    WrongCluster,
    /// This process does not lead any more, or is to end.
    Stopped,
}

/// How something ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(missing_docs, reason = "plain words")]
pub enum Outcome {
    Ok,
    Error,
    Conflict,
}

impl<T, E> From<&Result<T, E>> for Outcome {
    fn from(result: &Result<T, E>) -> Self {
        if result.is_ok() { Self::Ok } else { Self::Error }
    }
}

/// What happens after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(missing_docs, reason = "described at `backend::Class`")]
pub enum ErrorClass {
    Waiting,
    Retryable,
    Terminal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReconcileLabels {
    kind: Kind,
    outcome: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EffectLabels {
    effect: Effect,
    outcome: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct ReasonLabel(Reason);

impl EncodeLabelValue for ReasonLabel {
    fn encode(&self, encoder: &mut LabelValueEncoder) -> Result<(), fmt::Error> {
        self.0.as_str().encode(encoder)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ErrorLabels {
    class: ErrorClass,
    reason: ReasonLabel,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    operation: Operation,
    outcome: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OrphanLabels {
    thing: Thing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CollectedLabels {
    thing: Thing,
    outcome: Collected,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SweepLabels {
    end: SweepEnd,
}

/// All that is counted. Cheap to clone; clones count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    reconciles: Family<ReconcileLabels, Counter>,
    effects: Family<EffectLabels, Counter>,
    errors: Family<ErrorLabels, Counter>,
    calls: Family<CallLabels, Histogram>,
    time_to_ready: Histogram,
    connected_agents: Gauge,
    leader: Gauge,
    orphans: Family<OrphanLabels, Gauge>,
    collected: Family<CollectedLabels, Counter>,
    sweeps: Family<SweepLabels, Counter>,
}

fn call_histogram() -> Histogram {
    Histogram::new([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0])
}

impl Default for Metrics {
    fn default() -> Self {
        let collected = Family::<CollectedLabels, Counter>::default();
        // From 0 on: a first one must be seen as an increase.
        for thing in Thing::ALL {
            for outcome in Collected::ALL {
                drop(collected.get_or_create(&CollectedLabels { thing, outcome }));
            }
        }
        Self {
            reconciles: Family::default(),
            effects: Family::default(),
            errors: Family::default(),
            calls: Family::new_with_constructor(call_histogram),
            time_to_ready: Histogram::new([0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0]),
            connected_agents: Gauge::default(),
            leader: Gauge::default(),
            orphans: Family::default(),
            collected,
            sweeps: Family::default(),
        }
    }
}

impl Metrics {
    /// A reconcile ended.
    pub fn reconciled(&self, kind: Kind, outcome: Outcome) {
        self.reconciles.get_or_create(&ReconcileLabels { kind, outcome }).inc();
    }

    /// An effect was carried out, or failed.
    pub fn effect(&self, effect: Effect, outcome: Outcome) {
        self.effects.get_or_create(&EffectLabels { effect, outcome }).inc();
    }

    /// An error was met.
    pub fn error(&self, class: ErrorClass, reason: Reason) {
        self.errors.get_or_create(&ErrorLabels { class, reason: ReasonLabel(reason) }).inc();
    }

    /// A call of a backend took so long.
    pub fn backend_call(&self, operation: Operation, outcome: Outcome, took: Duration) {
        self.calls.get_or_create(&CallLabels { operation, outcome }).observe(took.as_secs_f64());
    }

    /// A Workspace became Ready for the first time, so long after its creation.
    pub fn ready_after(&self, took: Duration) {
        self.time_to_ready.observe(took.as_secs_f64());
    }

    /// So many agents are connected now.
    pub fn connected_agents(&self, count: usize) {
        self.connected_agents.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Whether this process leads.
    pub fn leading(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// So many things of this kind have no owner, as far as the last sweep could tell.
    pub fn orphans(&self, thing: Thing, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.orphans.get_or_create(&OrphanLabels { thing }).set(count);
    }

    /// Something without an owner was removed, or was not.
    pub fn collected(&self, thing: Thing, outcome: Collected) {
        self.collected.get_or_create(&CollectedLabels { thing, outcome }).inc();
    }

    /// A sweep for what has no owner ended.
    pub fn swept(&self, end: SweepEnd) {
        self.sweeps.get_or_create(&SweepLabels { end }).inc();
    }

    /// The text format that Prometheus scrapes.
    ///
    /// # Errors
    /// When the text cannot be put together, which no release can show.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut registry = Registry::with_prefix("atelier");
        registry.register("reconciles", "Reconciles by kind and outcome", self.reconciles.clone());
        registry.register("effects", "Effects on the world by kind and outcome", self.effects.clone());
        registry.register("errors", "Errors by class and reason", self.errors.clone());
        registry.register("backend_call_seconds", "How long calls of the backend took", self.calls.clone());
        registry.register(
            "workspace_time_to_ready_seconds",
            "From a Workspace's creation to its first Ready",
            self.time_to_ready.clone(),
        );
        registry.register("connected_agents", "Agents that are connected now", self.connected_agents.clone());
        registry.register("leader", "1 while this process leads", self.leader.clone());
        registry.register("orphans", "Things without an owner at the last sweep", self.orphans.clone());
        registry.register(
            "collected",
            "Things without an owner by what became of them",
            self.collected.clone(),
        );
        registry.register("collector_sweeps", "Sweeps for things without an owner", self.sweeps.clone());
        let mut out = String::new();
        text::encode(&mut out, &registry)?;
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documents_name_every_metric() {
        let metrics = Metrics::default();
        metrics.reconciled(Kind::Team, Outcome::Ok);
        metrics.effect(Effect::Pull, Outcome::Ok);
        metrics.error(ErrorClass::Waiting, Reason::Launching);
        metrics.backend_call(Operation::Create, Outcome::Ok, Duration::ZERO);
        metrics.orphans(Thing::Box, 0);
        metrics.collected(Thing::Box, Collected::Removed);
        metrics.swept(SweepEnd::Complete);
        let page =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operating.md")).unwrap();
        let text = metrics.text().unwrap();
        let mut count = 0;
        for (name, kind) in text.lines().filter_map(|l| l.strip_prefix("# TYPE ")?.split_once(' ')) {
            let name = if kind == "counter" { format!("{name}_total") } else { name.to_owned() };
            assert!(page.contains(&format!("`{name}`")), "docs/operating.md says nothing of {name}");
            count += 1;
        }
        assert_eq!(count, 10, "this test does not touch a metric, or one is not registered");
    }
}
