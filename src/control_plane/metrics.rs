//! What the control plane counts. Labels come from closed enums, never from ids.

use super::action::Action;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::fmt;
use std::time::Duration;

/// A call that callers make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Call {
    Provision,
    Delete,
    Status,
    List,
    Stop,
    Start,
    Console,
    CreateVolume,
    AttachVolume,
    RetainVolume,
    DeleteVolume,
    DeleteNetworkInterface,
    Resources,
    Preflight,
    Unknown,
}

/// How a call of EC2 ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Outcome {
    Ok,
    Refused,
    Throttled,
    NotSent,
    Unknown,
}

/// How a call of ours was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Answer {
    Success,
    BadRequest,
    Denied,
    RateLimited,
    OtherRefusal,
    Unavailable,
}

impl Answer {
    /// What a status comes to.
    pub fn of(status: u16) -> Self {
        match status {
            200..=299 => Self::Success,
            400 | 408 | 413 => Self::BadRequest,
            401 | 403 => Self::Denied,
            429 => Self::RateLimited,
            500.. => Self::Unavailable,
            _ => Self::OtherRefusal,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ec2Labels {
    action: Action,
    outcome: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ActionLabel {
    action: Action,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    call: Call,
    answer: Answer,
}

/// All that is counted. Cheap to clone; clones count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    calls: Family<CallLabels, Counter>,
    seconds: Family<CallLabels, Histogram>,
    ec2: Family<Ec2Labels, Counter>,
    ec2_seconds: Family<ActionLabel, Histogram>,
    waits: Family<ActionLabel, Histogram>,
}

fn histogram() -> Histogram {
    Histogram::new([0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0])
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            calls: Family::default(),
            seconds: Family::new_with_constructor(histogram),
            ec2: Family::default(),
            ec2_seconds: Family::new_with_constructor(histogram),
            waits: Family::new_with_constructor(histogram),
        }
    }
}

impl Metrics {
    /// A call was answered.
    pub fn answered(&self, call: Call, status: u16, took: Duration) {
        let labels = CallLabels { call, answer: Answer::of(status) };
        self.calls.get_or_create(&labels).inc();
        self.seconds.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// A call of EC2 ended.
    pub fn ec2(&self, action: Action, outcome: Outcome, took: Duration) {
        self.ec2.get_or_create(&Ec2Labels { action, outcome }).inc();
        self.ec2_seconds.get_or_create(&ActionLabel { action }).observe(took.as_secs_f64());
    }

    /// A call waited for its turn.
    pub fn waited(&self, action: Action, took: Duration) {
        self.waits.get_or_create(&ActionLabel { action }).observe(took.as_secs_f64());
    }

    /// The text format that Prometheus scrapes.
    ///
    /// # Errors
    /// When the text cannot be put together, which no release can show.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut registry = Registry::with_prefix("atelier_control_plane");
        registry.register("calls", "Calls by kind and answer", self.calls.clone());
        registry.register("call_seconds", "How long calls took", self.seconds.clone());
        registry.register("ec2_calls", "Calls of EC2 by action and outcome", self.ec2.clone());
        registry.register("ec2_call_seconds", "How long calls of EC2 took", self.ec2_seconds.clone());
        registry.register(
            "ec2_wait_seconds",
            "How long calls of EC2 waited for their turn",
            self.waits.clone(),
        );
        let mut out = String::new();
        text::encode(&mut out, &registry)?;
        Ok(out)
    }
}
