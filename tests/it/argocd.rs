//! What Argo CD makes of a status, by its own Lua interpreter: on every kind of status there is.

use crate::support::kstatus::{NOT_READY, Verdict, verdict};
use crate::support::scene::Scene;
use crate::support::script::{hack, root, run};
use crate::support::world;
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

trials![argo_cd_sees_in_each_status_the_health_that_is_meant, argo_cd_takes_the_health_checks,];

/// Said of all statuses of the run, so it comes last.
pub fn last() -> Vec<libtest_mimic::Trial> {
    let body = || Box::pin(argo_cd_and_kstatus_agree_on_every_status()) as _;
    vec![crate::support::trial(module_path!(), "argo_cd_and_kstatus_agree_on_every_status", body)]
}

/// What Argo CD sees in these objects.
pub fn health(objects: &[Value]) -> Vec<String> {
    let mut child = hack("argocd-lua.sh")
        .arg(root().join("gitops/argocd"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let text = objects.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
    let mut pipe = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || pipe.write_all(text.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success(), "the checks do not run");
    let verdicts = String::from_utf8(output.stdout).unwrap();
    let verdicts: Vec<Value> = verdicts.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(verdicts.len(), objects.len());
    verdicts
        .iter()
        .map(|said| {
            assert!(said["message"] != "", "a health without a word on it");
            said["status"].as_str().unwrap().to_owned()
        })
        .collect()
}

/// The health that goes with what kstatus says.
fn as_kstatus(object: &Value) -> &'static str {
    let conditions = object["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let holds = |type_: &str| conditions.iter().any(|c| c["type"] == type_ && c["status"] == "True");
    let is_observed = object["status"]["observedGeneration"] == object["metadata"]["generation"];
    let is_suspended = is_observed && holds("Suspended") && !holds("Reconciling");
    match verdict(object) {
        Verdict::InProgress if is_suspended => "Suspended",
        Verdict::InProgress | Verdict::Terminating => "Progressing",
        Verdict::Failed => "Degraded",
        Verdict::Current => "Healthy",
    }
}

async fn argo_cd_sees_in_each_status_the_health_that_is_meant() {
    let mut cases: Vec<Value> = Vec::new();
    for kind in ["team", "workspace", "backendconfig"] {
        let file = root().join(format!("gitops/argocd/testdata/{kind}.jsonl"));
        let text = fs::read_to_string(file).unwrap();
        cases.extend(text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()));
    }
    let objects: Vec<Value> = cases.iter().map(|case| case["object"].clone()).collect();
    let mut table = String::new();
    for (case, seen) in cases.iter().zip(health(&objects)) {
        let object = &case["object"];
        let line = format!("{:<12} {} {}", seen, object["kind"].as_str().unwrap(), case["case"]);
        assert_eq!(case["health"], seen, "{line}: {object:#}");
        assert_eq!(as_kstatus(object), seen, "{line}: kstatus sees another: {object:#}");
        table.push_str(&line);
        table.push('\n');
    }
    println!("{table}");

    // What was said of an earlier generation, or of an object that is being deleted, is no verdict on it.
    let with = |change: fn(&mut Value)| {
        objects.iter().cloned().map(move |mut object| {
            change(&mut object);
            object
        })
    };
    let later = with(|object| object["metadata"]["generation"] = json!(99));
    let untouched = with(|object| object["status"]["observedGeneration"] = json!(-1));
    let silent = with(|object| drop(object.as_object_mut().unwrap().remove("status")));
    let deleted = with(|object| object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z"));
    let varied: Vec<Value> = later.chain(untouched).chain(silent).chain(deleted).collect();
    for (object, seen) in varied.iter().zip(health(&varied)) {
        assert_eq!(seen, "Progressing", "{object:#}");
    }

    // No cause is left out.
    let reasons: BTreeSet<&str> = objects
        .iter()
        .flat_map(|object| object["status"]["conditions"].as_array().into_iter().flatten())
        .filter(|c| c["type"] == "Ready")
        .map(|c| c["reason"].as_str().unwrap())
        .collect();
    for reason in NOT_READY.iter().flat_map(|(_, reasons)| reasons.iter()) {
        assert!(reasons.contains(reason), "no case has Ready={reason}");
    }
}

async fn argo_cd_and_kstatus_agree_on_every_status() {
    let statuses = world::world().await.statuses.distinct();
    for (object, seen) in statuses.iter().zip(health(&statuses)) {
        assert_eq!(as_kstatus(object), seen, "{object:#}");
    }
    println!("of {} distinct statuses Argo CD sees what kstatus says, and Suspended apart", statuses.len());
}

/// The health checks of a file with settings of Argo CD.
fn checks(file: &str, under: &str) -> BTreeMap<String, String> {
    let text = fs::read_to_string(root().join("gitops/argocd").join(file)).unwrap();
    let values: Value = serde_saphyr::from_str(&text).unwrap();
    serde_json::from_value(values.pointer(under).unwrap().clone()).unwrap()
}

async fn argo_cd_takes_the_health_checks() {
    let of = |kind: &str| {
        let file = root().join("gitops/argocd").join(Path::new(&kind.to_lowercase()).with_extension("lua"));
        (format!("resource.customizations.health.atelier.dev_{kind}"), fs::read_to_string(file).unwrap())
    };
    let expected: BTreeMap<String, String> = ["Team", "Workspace", "BackendConfig"].map(of).into();
    assert_eq!(checks("values.yaml", "/configs/cm"), expected, "run hack/argocd-cm.sh");
    assert_eq!(checks("argocd-cm.yaml", "/data"), expected, "run hack/argocd-cm.sh");
    let scene = Scene::new("argo").await;
    run(scene.kubectl().args(["create", "configmap", "argocd-cm", "--from-literal=admin.enabled=false"]))
        .unwrap();
    let patch = root().join("gitops/argocd/argocd-cm.yaml");
    run(scene.kubectl().args(["patch", "configmap", "argocd-cm", "--patch-file"]).arg(patch)).unwrap();
    let mut stored = scene.api::<ConfigMap>().get("argocd-cm").await.unwrap().data.unwrap();
    assert_eq!(stored.remove("admin.enabled").as_deref(), Some("false"), "what was there stays");
    assert_eq!(stored, expected);
}
