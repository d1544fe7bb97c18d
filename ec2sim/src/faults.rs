//! Faults on purpose: which call they hit, and what it then suffers.

use crate::action::Action;
use crate::error::ApiError;
use crate::request::tags::Tags;
use crate::request::{Call, Request};
use crate::world::World;
use crate::world::model::StateReason;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A fault as it is ordered, in JSON or YAML.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Order {
    /// Which action; none: every one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<Action>,
    /// What it is limited to.
    #[serde(default)]
    pub target: Target,
    /// From which matching call on, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nth: Option<u64>,
    /// For how many calls. Default: 1 where `nth` is given, else for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// How likely, from 0 to 1, for each of them.
    #[serde(default = "certain")]
    pub probability: f64,
    /// Makes the same draws again.
    #[serde(default)]
    pub seed: u64,
    /// What happens.
    pub effect: Effect,
    /// EC2's code, for `error` and `launch-fails`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// EC2's message.
    #[serde(default)]
    pub message: String,
    /// The HTTP status, where it is not that of the code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// How long the call lies around before it takes effect, in addition to all else.
    #[serde(default)]
    pub delay_ms: u64,
    /// How long `commit-then-hang` holds the connection.
    #[serde(default = "an_hour")]
    pub hang_ms: u64,
}

/// What a fault is limited to. What is not given matches everything.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Target {
    /// An instance type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_type: Option<String>,
    /// A subnet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subnet: Option<String>,
    /// A zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Tags of the instance.
    #[serde(skip_serializing_if = "Tags::is_empty")]
    pub tags: Tags,
}

/// What a call suffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// It answers an error and does nothing. Codes of capacity and quota hit new launches only.
    Error,
    /// It is only late.
    Delay,
    /// It is done, and the answer does not come.
    CommitThenHang,
    /// It is done, and the connection is closed without an answer.
    CommitThenDrop,
    /// It is not done, and the connection is closed without an answer.
    DropBeforeCommit,
    /// It is done, and the answer is no XML.
    Garbage,
    /// A launch is taken, and its instance dies instead of coming up.
    LaunchFails,
}

/// What a call or a boot is about.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// An instance type.
    pub instance_type: Option<String>,
    /// A subnet.
    pub subnet: Option<String>,
    /// A zone.
    pub zone: Option<String>,
    /// Tags of the instance.
    pub tags: Tags,
}

/// Faults in force, the first that matches wins.
#[derive(Default)]
pub struct Faults(Vec<Fault>);

/// A fault in force.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    #[serde(flatten)]
    order: Order,
    /// How many calls matched.
    seen: u64,
    /// How many of them it hit.
    hit: u64,
    #[serde(skip)]
    draws: StdRng,
}

/// What a call is to suffer.
#[derive(Clone, Debug)]
pub struct Suffered {
    /// What happens.
    pub effect: Effect,
    /// With which error, where it is one.
    pub error: ApiError,
    /// How long the call lies around before it takes effect.
    pub delay: Duration,
    /// How long a connection is held.
    pub hang: Duration,
}

impl Order {
    /// Refuses an order that could not do what it says.
    pub fn check(&self) -> Result<(), String> {
        if matches!(self.effect, Effect::Error | Effect::LaunchFails) && self.code.is_none() {
            return Err("effects `error` and `launch-fails` need a `code`".into());
        }
        if self.effect == Effect::LaunchFails && self.action.is_some_and(|a| a != Action::RunInstances) {
            return Err("the effect `launch-fails` is for RunInstances".into());
        }
        if !(0.0..=1.0).contains(&self.probability) {
            return Err("`probability` must be between 0 and 1".into());
        }
        if self.status.is_some_and(|status| !(400..600).contains(&status)) {
            return Err("`status` must be between 400 and 599".into());
        }
        if self.nth == Some(0) || self.count == Some(0) {
            return Err("`nth` and `count` begin at 1".into());
        }
        Ok(())
    }
}

impl Target {
    /// Whether this is meant.
    pub fn matches(&self, facts: &Facts) -> bool {
        let same = |wanted: &Option<String>, is: &Option<String>| wanted.is_none() || wanted == is;
        same(&self.instance_type, &facts.instance_type)
            && same(&self.subnet, &facts.subnet)
            && same(&self.zone, &facts.zone)
            && self.tags.iter().all(|(key, value)| facts.tags.get(key) == Some(value))
    }
}

impl Faults {
    /// Puts a fault in force.
    pub fn add(&mut self, order: Order) {
        let draws = StdRng::seed_from_u64(order.seed);
        self.0.push(Fault { order, seen: 0, hit: 0, draws });
    }

    /// Those in force.
    pub fn all(&self) -> &[Fault] {
        &self.0
    }

    /// Puts all out of force.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// What this call is to suffer, and counts it.
    pub fn pick(&mut self, action: Action, facts: &Facts) -> Option<Suffered> {
        self.0.iter_mut().find_map(|fault| fault.hits(action, facts).then(|| fault.suffered()))
    }
}

impl Fault {
    fn hits(&mut self, action: Action, facts: &Facts) -> bool {
        let order = &self.order;
        if order.action.is_some_and(|wanted| wanted != action) || !order.target.matches(facts) {
            return false;
        }
        self.seen += 1;
        let first = order.nth.unwrap_or(1);
        let count = order.count.unwrap_or(if order.nth.is_some() { 1 } else { u64::MAX });
        if self.seen < first || self.seen - first >= count {
            return false;
        }
        // 53 bits make an even number between 0 and 1.
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
        let draw = (self.draws.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        let hits = draw < order.probability;
        self.hit += u64::from(hits);
        hits
    }

    fn suffered(&self) -> Suffered {
        let order = &self.order;
        let code = order.code.clone().unwrap_or_else(|| "InternalError".into());
        let mut error = ApiError::new(code, order.message.clone());
        if error.message.is_empty() {
            error.message = format!("{} was injected", error.code);
        }
        error.status = order.status.unwrap_or(error.status);
        Suffered {
            effect: order.effect,
            error,
            delay: Duration::from_millis(order.delay_ms),
            hang: Duration::from_millis(order.hang_ms),
        }
    }
}

impl Suffered {
    /// The reason that an instance dies of.
    pub fn reason(&self) -> StateReason {
        StateReason::new(&self.error.code, &self.error.message)
    }

    /// Its name in the log.
    pub fn name(&self) -> String {
        let effect = serde_json::to_value(self.effect).ok();
        let effect = effect.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
        match self.effect {
            Effect::Error | Effect::LaunchFails => format!("{effect} {}", self.error.code),
            _ => effect,
        }
    }
}

/// What a request is about: the launch that it asks for, or the first instance that it names.
pub fn facts(request: &Request, world: &World) -> Facts {
    let named = match &request.call {
        Call::Run(launch) => {
            let subnet = launch.subnet.clone();
            let zone = subnet
                .as_ref()
                .and_then(|id| Some(world.catalog().subnet(id).ok()?.zone.clone()))
                .or_else(|| launch.zone.clone());
            let tags = launch.tags_of("instance");
            return Facts { instance_type: Some(launch.instance_type.clone()), subnet, zone, tags };
        }
        Call::CreateVolume(order) => {
            return Facts { zone: Some(order.zone.clone()), tags: order.tags.clone(), ..Facts::default() };
        }
        Call::Terminate(ids) | Call::Stop(ids) | Call::Start(ids) => ids.first(),
        Call::CreateTags { resources, .. } | Call::DeleteTags { resources, .. } => resources.first(),
        Call::Console { id, .. } => Some(id),
        Call::Attach(attach) => Some(&attach.instance),
        Call::Detach(detach) => detach.instance.as_ref(),
        Call::Describe(_) | Call::DeleteVolume(_) | Call::DeleteInterface(_) | Call::CallerIdentity => None,
    };
    let Some(instance) = named.and_then(|id| world.instance(id)) else { return Facts::default() };
    Facts {
        instance_type: Some(instance.launch.instance_type.clone()),
        subnet: Some(instance.subnet.clone()),
        zone: Some(instance.zone.clone()),
        tags: instance.tags.clone(),
    }
}

fn certain() -> f64 {
    1.0
}

fn an_hour() -> u64 {
    3_600_000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(json: serde_json::Value) -> Faults {
        let order: Order = serde_json::from_value(json).unwrap();
        order.check().unwrap();
        let mut faults = Faults::default();
        faults.add(order);
        faults
    }

    fn hits(faults: &mut Faults, n: usize) -> Vec<usize> {
        (1..=n).filter(|_| faults.pick(Action::RunInstances, &Facts::default()).is_some()).collect()
    }

    #[test]
    fn nth_and_count_say_which_calls() {
        let base = serde_json::json!({"effect": "commit-then-drop"});
        let with = |more: serde_json::Value| {
            let mut order = base.clone();
            order.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            hits(&mut faults(order), 6)
        };
        assert_eq!(with(serde_json::json!({})), [1, 2, 3, 4, 5, 6]);
        assert_eq!(with(serde_json::json!({"nth": 3})), [3]);
        assert_eq!(with(serde_json::json!({"nth": 3, "count": 2})), [3, 4]);
        assert_eq!(with(serde_json::json!({"count": 2})), [1, 2]);
        let half = serde_json::json!({"probability": 0.5, "seed": 7});
        assert_eq!(with(half.clone()), with(half));
        assert_eq!(with(serde_json::json!({"probability": 0.0})).len(), 0);
    }

    #[test]
    fn a_fault_hits_only_what_it_names() {
        let mut faults = faults(serde_json::json!({
            "action": "RunInstances", "target": {"instanceType": "t3.large", "tags": {"k": "v"}},
            "effect": "error", "code": "InsufficientInstanceCapacity"
        }));
        let facts = Facts {
            instance_type: Some("t3.large".into()),
            tags: [("k".to_owned(), "v".to_owned())].into(),
            ..Facts::default()
        };
        assert!(faults.pick(Action::StopInstances, &facts).is_none());
        assert!(faults.pick(Action::RunInstances, &Facts::default()).is_none());
        let suffered = faults.pick(Action::RunInstances, &facts).unwrap();
        assert_eq!((&*suffered.error.code, suffered.error.status), ("InsufficientInstanceCapacity", 500));
    }

    #[test]
    fn an_order_that_makes_no_sense_is_refused() {
        for order in [
            serde_json::json!({"effect": "error"}),
            serde_json::json!({"effect": "delay", "probability": 2}),
            serde_json::json!({"effect": "delay", "nth": 0}),
            serde_json::json!({"effect": "error", "code": "X", "status": 200}),
        ] {
            assert!(serde_json::from_value::<Order>(order.clone()).unwrap().check().is_err(), "{order}");
        }
        assert!(serde_json::from_value::<Order>(serde_json::json!({"effect": "explode"})).is_err());
    }
}
