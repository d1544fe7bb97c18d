//! A test: statuses that the operator says, each with the health that Argo CD is meant to see in it.
//!
//! They stand in `gitops/argocd/testdata/`, made by the code that makes them in life; the black-box tests run
//! the health checks on them.

use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

/// How to write the files anew, said where one differs.
const ANEW: &str = "ATELIER_TESTDATA=write cargo test --lib has_its_health";

/// What Argo CD is meant to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    Healthy,
    Progressing,
    Degraded,
    Suspended,
}

/// One status: what it tells of, the health, and the object.
#[derive(Debug)]
pub(crate) struct Case {
    name: String,
    health: Health,
    object: Value,
}

impl Case {
    /// A case of this object, of which only that is kept that a health can depend on.
    pub(crate) fn new(name: impl Into<String>, health: Health, object: &impl serde::Serialize) -> Self {
        let object = serde_json::to_value(object).unwrap();
        let mut conditions = object["status"]["conditions"].clone();
        for condition in conditions.as_array_mut().into_iter().flatten() {
            condition.as_object_mut().unwrap().remove("lastTransitionTime");
        }
        let mut kept = json!({
            "apiVersion": object["apiVersion"], "kind": object["kind"],
            "metadata": {"name": object["metadata"]["name"], "generation": object["metadata"]["generation"]},
            "status": {"observedGeneration": object["status"]["observedGeneration"], "conditions": conditions},
        });
        if let Some(at) = object["metadata"].get("deletionTimestamp") {
            kept["metadata"]["deletionTimestamp"] = at.clone();
        }
        Self { name: name.into(), health, object: kept }
    }
}

/// Fails unless the file of a kind has exactly these cases.
pub(crate) fn assert_committed(kind: &str, cases: &[Case]) {
    let names: BTreeSet<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    assert_eq!(names.len(), cases.len(), "two cases of {kind} have one name");
    let line = |case: &Case| {
        let health = format!("{:?}", case.health);
        format!("{}\n", json!({"case": case.name, "health": health, "object": case.object}))
    };
    let made: String = cases.iter().map(line).collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("gitops/argocd/testdata");
    let file = folder.join(format!("{}.jsonl", kind.to_lowercase()));
    if std::env::var("ATELIER_TESTDATA").as_deref() == Ok("write") {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(&file, &made).unwrap();
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    for (made, committed) in made.lines().zip(committed.lines()) {
        assert_eq!(made, committed, "{} differs: {ANEW}", file.display());
    }
    assert!(made == committed, "{} has more or fewer cases: {ANEW}", file.display());
}
