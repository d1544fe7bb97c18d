//! kstatus: what Flux and others make of an object, by the rules of its source, and what they are meant to.

use super::world::runtime;
use atelier::api::{BackendConfig, Team, Workspace};
use futures::TryStreamExt;
use kube::api::{Api, ApiResource, DynamicObject};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, Resource};
use serde_json::Value;
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex};

/// What kstatus says of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is on its way.
    InProgress,
    /// It will not get there by itself.
    Failed,
    /// It is there.
    Current,
    /// It is being deleted.
    Terminating,
}

use Verdict::{Current, Failed, InProgress, Terminating};

/// The verdict by kstatus's rules for kinds that it does not know, in its order.
pub fn verdict(object: &Value) -> Verdict {
    if object["metadata"].get("deletionTimestamp").is_some() {
        return Terminating;
    }
    let observed = object["status"].get("observedGeneration").and_then(Value::as_i64);
    if observed.is_some_and(|observed| Some(observed) != object["metadata"]["generation"].as_i64()) {
        return InProgress;
    }
    for condition in conditions(object).iter().filter(|c| c["status"] == "True") {
        match condition["type"].as_str() {
            Some("Reconciling") => return InProgress,
            Some("Stalled") => return Failed,
            _ => {}
        }
    }
    match find(object, "Ready").map(|ready| ready["status"] == "True") {
        Some(false) => InProgress,
        // An object that says nothing of being ready is taken for ready.
        Some(true) | None => Current,
    }
}

/// What a verdict is meant to be while Ready is not True, by the reason of Ready.
pub const NOT_READY: &[(&[Verdict], &[&str])] = &[
    (
        &[InProgress],
        &[
            "Launching",
            "PullingImage",
            "WaitingForSlot",
            "LaunchFailed",
            "InstanceGone",
            "InstanceStopped",
            "Booting",
            "BootFailed",
            "ContainerExited",
            "OOMKilled",
            "CrashLoop",
            "HeartbeatLost",
            "AgentWedged",
            "DockerUnreachable",
            "ControlPlaneUnreachable",
            "InsufficientCapacity",
            "SubnetFull",
            "Throttled",
            "SpotInterrupted",
            "ReferenceUnreadable",
            "Suspended",
            "WaitingForTermination",
            "ApplyFailed",
            "MembersNotReady",
            "TooManySilent",
        ],
    ),
    (
        &[Failed],
        &[
            "UnknownRuntime",
            "TierNotAllowed",
            "NotAllowedHere",
            "QuotaExceeded",
            "MissingEnv",
            "StorageNotSupported",
            "InvalidSpec",
            "InUse",
            "Unauthorized",
            "LaunchDenied",
            "VcpuLimitExceeded",
            "WrongBackend",
            "TokenKeyMissing",
            "ImageNotFound",
            "InvalidRequest",
            "NameTaken",
            "NeverRegistered",
            "RegistrationRejected",
            "ReportingCycle",
            "UnknownReportsTo",
            "MissingRuntime",
            "NameConflict",
            "ChildRejected",
            "MembersStalled",
            "Paused",
        ],
    ),
    // What another object may bring is waited for, and then a person is asked; boots are tried three times.
    (&[InProgress, Failed], &["NoBackend", "BackendNotReady", "ReferenceNotFound", "BootTimeout"]),
];

/// What is wrong with an object's status, if anything is.
pub fn fault(object: &Value) -> Option<String> {
    let is = |type_: &str| find(object, type_).is_some_and(|c| c["status"] == "True");
    let said = verdict(object);
    if said == Terminating || object["status"]["observedGeneration"] != object["metadata"]["generation"] {
        return None;
    }
    let (reconciling, stalled) = (is("Reconciling"), is("Stalled"));
    if reconciling && stalled {
        return Some("Reconciling and Stalled at once".into());
    }
    let Some(ready) = find(object, "Ready") else { return Some("looked at, and no word on Ready".into()) };
    let meant: &[Verdict] = if ready["status"] == "True" {
        &[Current]
    } else {
        let reason = ready["reason"].as_str().unwrap_or_default();
        let Some((meant, _)) = NOT_READY.iter().find(|(_, reasons)| reasons.contains(&reason)) else {
            return Some(format!("no verdict is stated for Ready={}/{reason}", ready["status"]));
        };
        // The annotation may be off again, and nobody has looked yet.
        let paused = find(object, "Stalled").is_some_and(|c| c["reason"] == "Paused");
        if paused { &[Failed] } else { meant }
    };
    if !meant.contains(&said) {
        return Some(format!("kstatus says {said:?}, {meant:?} is meant"));
    }
    let suspended = is("Suspended") || ready["reason"] == "Suspended";
    if said != Current && !suspended && !reconciling && !stalled {
        return Some("not ready, and neither Reconciling nor Stalled".into());
    }
    let boot_timeouts = |count: usize| {
        let attempts = object["status"]["attempts"].as_array().map(Vec::as_slice).unwrap_or_default();
        attempts.iter().rev().take_while(|a| a["reason"] == "BootTimeout").count() >= count
    };
    if ready["reason"] == "BootTimeout" && (said == Failed) != boot_timeouts(2) {
        return Some(format!("kstatus says {said:?} of a boot that timed out"));
    }
    None
}

fn conditions(object: &Value) -> &[Value] {
    object["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn find<'a>(object: &'a Value, type_: &str) -> Option<&'a Value> {
    conditions(object).iter().find(|c| c["type"] == type_)
}

/// Every distinct status of our kinds since it started, and what each object has said in turn.
#[derive(Clone, Default)]
pub struct Recorder(Arc<Mutex<Recorded>>);

#[derive(Default)]
struct Recorded {
    by_shape: BTreeMap<String, Value>,
    by_object: BTreeMap<String, Vec<String>>,
}

impl Recorder {
    /// Watches all objects of our kinds.
    pub fn start(client: &Client) -> Self {
        let recorder = Self::default();
        recorder.watch::<Workspace>(client);
        recorder.watch::<Team>(client);
        recorder.watch::<BackendConfig>(client);
        recorder
    }

    fn watch<K: Resource<DynamicType = ()>>(&self, client: &Client) {
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &ApiResource::erase::<K>(&()));
        let seen = self.clone();
        runtime().spawn(async move {
            let mut events = pin!(watcher(api, watcher::Config::default()).default_backoff());
            // An error is followed by a new try.
            loop {
                if let Ok(Some(Event::Apply(object) | Event::InitApply(object))) = events.try_next().await {
                    seen.add(serde_json::to_value(object).unwrap());
                }
            }
        });
    }

    fn add(&self, object: Value) {
        let shape = shape(&object);
        let metadata = &object["metadata"];
        let version = metadata["resourceVersion"].as_str().unwrap_or_default().to_owned();
        let object_name = key(metadata["namespace"].as_str(), metadata["name"].as_str());
        let mut recorded = self.0.lock().unwrap();
        recorded.by_object.entry(object_name).or_default().push(format!("{version} {shape}"));
        recorded.by_shape.entry(shape).or_insert(object);
    }

    /// One object for each distinct status.
    pub fn distinct(&self) -> Vec<Value> {
        self.0.lock().unwrap().by_shape.values().cloned().collect()
    }

    /// What an object has said in turn.
    pub fn history(&self, namespace: &str, name: &str) -> Vec<String> {
        let recorded = self.0.lock().unwrap();
        recorded.by_object.get(&key(Some(namespace), Some(name))).cloned().unwrap_or_default()
    }
}

fn key(namespace: Option<&str>, name: Option<&str>) -> String {
    format!("{}/{}", namespace.unwrap_or_default(), name.unwrap_or_default())
}

/// What the verdict can depend on.
fn shape(object: &Value) -> String {
    use std::fmt::Write;
    let metadata = &object["metadata"];
    let mut shape = format!(
        "{} deleting={} observed={}",
        object["kind"],
        metadata.get("deletionTimestamp").is_some(),
        metadata["generation"] == object["status"]["observedGeneration"],
    );
    for c in conditions(object) {
        let _ = write!(shape, " {}={}/{}", c["type"], c["status"], c["reason"]);
    }
    shape
}
