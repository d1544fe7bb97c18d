//! Bad input: what the API server refuses, in the words that a user sees, and what the operator says of the
//! rest.

use crate::support::scene::Scene;
use crate::team::team;
use serde_json::{Value, json};
use std::io::Write;
use std::process::{Command, Stdio};

trials![the_api_server_refuses_with_the_fix];

fn object(kind: &str, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "atelier.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

/// Applies an object with `kubectl` and answers what a user then reads.
fn refusal(kubectl: &mut Command, object: &Value) -> String {
    let mut child = kubectl
        .args(["apply", "--filename", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The pipe is closed at the end of the statement, or kubectl would wait for more.
    child.stdin.take().unwrap().write_all(object.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(!output.status.success(), "accepted: {object}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

async fn the_api_server_refuses_with_the_fix() {
    let scene = Scene::new("refusals").await;
    let with_file = |path: &str| json!({"runtime": "echo", "files": [{"path": path, "content": "x"}]});
    let mut twice = team(2);
    twice["members"][1]["name"] = json!("director");
    let long = json!({"members": [{"name": "m".repeat(40), "runtime": "echo"}]});
    let huge: Vec<_> =
        (0..16).map(|n| json!({"path": format!("f{n}"), "content": "x".repeat(131_072)})).collect();
    let table = [
        ("duplicate member", object("Team", "t", &twice), "Duplicate value: {\"name\":\"director\"}"),
        (
            "names too long together",
            object("Team", &"t".repeat(23), &long),
            "metadata.name, spec.members[].name: a member's Workspace is named <team>-<member>",
        ),
        ("absolute path", object("Workspace", "w", &with_file("/etc/passwd")), "drop the leading slash"),
        ("path to the outside", object("Workspace", "w", &with_file("a/../../b")), "'..' is not allowed"),
        (
            "unknown tier",
            object("Workspace", "w", &json!({"runtime": "echo", "tier": "T9"})),
            "supported values: \"T1\", \"T2\", \"T3\", \"T4\"",
        ),
        ("no runtime", object("Workspace", "w", &json!({})), "spec.runtime: Required value"),
        ("2 MiB", object("Workspace", "w", &json!({"runtime": "echo", "files": huge})), "too large"),
    ];
    for (what, object, words) in table {
        let said = refusal(&mut scene.kubectl(), &object);
        assert!(said.contains(words), "{what}: a user reads: {said}");
    }
}
