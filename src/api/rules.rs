//! What each validation rule of the CRDs accepts and refuses. A rule that no entry here sees refusing
//! something fails the test.

use super::crds;
use kube::core::cel::Validator;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A kind, the path within it without indices, and the start of the rule's message.
type Refusal = (&'static str, String, &'static str);

fn schema(kind: &str) -> Value {
    let crd = crds::all().into_iter().find(|c| c.spec.names.kind == kind).unwrap();
    serde_json::to_value(&crd.spec.versions[0].schema.as_ref().unwrap().open_api_v3_schema).unwrap()
}

fn refusals(kind: &str, object: &Value, old: Option<&Value>) -> Vec<(String, String)> {
    match Validator::new().validate(&schema(kind), object, old) {
        Ok(()) => Vec::new(),
        Err(errors) => {
            errors.as_slice().iter().map(|e| (without_indices(&e.field_path), e.message.clone())).collect()
        }
    }
}

fn without_indices(path: &str) -> String {
    path.split('[').map(|part| part.split_once(']').map_or(part, |(_, rest)| rest)).collect()
}

/// Puts a value at a path such as `docker/hosts/0/address`.
fn with(mut object: Value, pointer: &str, value: Value) -> Value {
    let mut at = &mut object;
    for step in pointer.split('/') {
        at = match step.parse::<usize>() {
            Ok(index) => &mut at[index],
            Err(_) => &mut at[step],
        };
    }
    *at = value;
    object
}

fn workspace(spec: Value) -> Value {
    let mut spec = spec;
    spec["runtime"] = json!("r");
    json!({"metadata": {"name": "w"}, "spec": spec})
}

#[expect(clippy::needless_pass_by_value, reason = "reads better where it is called")]
fn team(defaults: Value, member: Value) -> Value {
    let mut member = member;
    member["name"] = json!("m");
    json!({"metadata": {"name": "t"}, "spec": {"defaults": defaults, "members": [member]}})
}

fn config() -> Value {
    json!({"metadata": {"name": "cluster"}, "spec": {
        "backend": "Docker",
        "docker": {"hosts": [{"name": "local", "address": "unix:///var/run/docker.sock"}]},
        "runtimes": [{"name": "r", "image": "i"}],
        "registry": {"advertiseURL": "http://host.docker.internal:8090"},
        "policy": {"tiers": [{"tier": "T3"}]},
    }})
}

/// What a Workspace, a Team's defaults and its members may not say alike: fragment, path, message.
fn refused_fragments() -> Vec<(Value, &'static str, &'static str)> {
    let file = |path: &str| json!({"files": [{"path": path, "content": "c"}]});
    let from = |prefix: &str| json!({"filesFrom": [{"configMapRef": {"name": "c"}, "prefix": prefix}]});
    let key = json!({"name": "n", "key": "k"});
    vec![
        (file("/etc/passwd"), "files.path", "path must be relative to /configs"),
        (file("../x"), "files.path", "path must stay inside /configs"),
        (file(".."), "files.path", "path must stay inside /configs"),
        (file("a/../b"), "files.path", "path must stay inside /configs"),
        (file("a/.."), "files.path", "path must stay inside /configs"),
        (json!({"files": [{"path": "p"}]}), "files", "give exactly one of content"),
        (
            json!({"files": [{"path": "p", "content": "c", "secretKeyRef": key}]}),
            "files",
            "give exactly one of content",
        ),
        (
            json!({"files": [{"path": "p", "configMapKeyRef": key, "secretKeyRef": key}]}),
            "files",
            "give exactly one of content",
        ),
        (from("/abs"), "filesFrom.prefix", "prefix must be relative to /configs"),
        (from("a/.."), "filesFrom.prefix", "prefix must stay inside /configs"),
        (
            json!({"prompts": {"system": "s", "systemFrom": {"configMapKeyRef": key}}}),
            "prompts",
            "give either prompts.system or",
        ),
        (
            json!({"prompts": {"initial": "i", "initialFrom": {"configMapKeyRef": key}}}),
            "prompts",
            "give either prompts.initial or",
        ),
        (
            json!({"env": [{"name": "A", "value": "v", "valueFrom": {"secretKeyRef": key}}]}),
            "env",
            "give either value or valueFrom",
        ),
        (
            json!({"env": [{"name": "A", "valueFrom": {}}]}),
            "env.valueFrom",
            "give exactly one of secretKeyRef and",
        ),
        (
            json!({"env": [{"name": "A", "valueFrom": {"secretKeyRef": key, "configMapKeyRef": key}}]}),
            "env.valueFrom",
            "give exactly one of secretKeyRef and",
        ),
        (json!({"envFrom": [{}]}), "envFrom", "give exactly one of secretRef and"),
        (
            json!({"envFrom": [{"secretRef": {"name": "s"}, "configMapRef": {"name": "c"}}]}),
            "envFrom",
            "give exactly one of secretRef and",
        ),
    ]
}

fn accepted_fragments() -> Vec<Value> {
    let key = json!({"name": "n", "key": "k"});
    vec![
        json!({}),
        json!({"files": [
            {"path": "skills/x/SKILL.md", "content": ""},
            {"path": "..well/a..b/c..", "configMapKeyRef": key},
            {"path": ".hidden", "secretKeyRef": key},
        ]}),
        json!({"filesFrom": [{"configMapRef": {"name": "c"}}, {"configMapRef": {"name": "c"}, "prefix": ""},
                             {"configMapRef": {"name": "c"}, "prefix": "a/b"}]}),
        json!({"prompts": {"system": "s", "initialFrom": {"configMapKeyRef": key}, "idle": {"prompt": "p"}}}),
        json!({"env": [{"name": "A"}, {"name": "B", "value": "v"},
                       {"name": "C", "valueFrom": {"secretKeyRef": key}},
                       {"name": "D", "valueFrom": {"configMapKeyRef": key}}]}),
        json!({"envFrom": [{"secretRef": {"name": "s"}}, {"configMapRef": {"name": "c"}}]}),
    ]
}

/// A BackendConfig for EC2.
fn ec2_config() -> Value {
    let mut config = config();
    config["spec"]["backend"] = json!("EC2");
    config["spec"]["ec2"] = json!({
        "controlPlane": {"url": "https://cp:8443", "tokenSecretRef": {"name": "s", "key": "token"}},
        "region": "us-east-2", "amiID": "ami-1", "subnetIDs": ["subnet-1"],
        "instanceTypes": [{"tier": "T2", "types": ["t3.medium"]}],
    });
    config
}

/// Objects of one kind that are refused: object, the object before, path, message.
fn refused_objects() -> Vec<(&'static str, Value, Option<Value>, &'static str, &'static str)> {
    let host = |host: Value| with(config(), "spec/docker/hosts/0", host);
    let url = |url: &str| with(config(), "spec/registry/advertiseURL", json!(url));
    let tier = |tier: Value| with(config(), "spec/policy/tiers/0", tier);
    let pool = |pool: &str| with(config(), "spec/docker/network", json!({"pool": pool}));
    let mut no_docker = config();
    no_docker["spec"].as_object_mut().unwrap().remove("docker");
    let status = |status: Value| with(workspace(json!({})), "status", status);
    let launch = |attempt: i64| status(json!({"launch": {"attempt": attempt}}));
    let long = "a".repeat(62);
    let mut no_ec2 = config();
    no_ec2["spec"]["backend"] = json!("EC2");
    let on_ec2 = |path: &str, value: Value| with(ec2_config(), &format!("spec/ec2/{path}"), value);
    let mut no_ami = ec2_config();
    no_ami["spec"]["ec2"].as_object_mut().unwrap().remove("amiID");
    let t3 = json!([{"tier": "T3", "types": ["m5.large"]}]);
    let profile = with(on_ec2("instanceTypes", t3), "spec/ec2/instanceProfileName", json!("agents"));
    vec![
        ("BackendConfig", no_ec2, None, "", "backend is EC2: say where the control plane is"),
        ("BackendConfig", no_ami, None, "", "every runtime needs an AMI"),
        ("BackendConfig", profile, None, "spec.ec2", "an instance profile reaches every T3 box"),
        (
            "BackendConfig",
            on_ec2("amiID", json!("i-1")),
            None,
            "spec.ec2.amiID",
            "amiID must start with ami-",
        ),
        (
            "BackendConfig",
            on_ec2("subnetIDs", json!(["vpc-1"])),
            None,
            "spec.ec2.subnetIDs",
            "each of subnetIDs must start with subnet-",
        ),
        (
            "BackendConfig",
            on_ec2("securityGroupIDs", json!(["g"])),
            None,
            "spec.ec2.securityGroupIDs",
            "each of securityGroupIDs must start with sg-",
        ),
        (
            "BackendConfig",
            on_ec2("instanceTypes", json!([{"tier": "T4", "types": ["m5.large"]}])),
            None,
            "spec.ec2.instanceTypes",
            "T4 is not to be had on EC2",
        ),
        (
            "BackendConfig",
            on_ec2("controlPlane/url", json!("cp:8443")),
            None,
            "spec.ec2.controlPlane.url",
            "url must be an http:// or https:// URL",
        ),
        ("BackendConfig", no_docker, None, "", "backend is Docker"),
        (
            "BackendConfig",
            host(json!({"name": "h", "address": "tcp://h:2376", "tlsSecretRef": {"name": "s"}})),
            None,
            "spec.docker.hosts",
            "a TCP host needs publishAddress",
        ),
        (
            "BackendConfig",
            host(json!({"name": "h", "address": "tcp://h:2376", "publishAddress": "10.0.0.1"})),
            None,
            "spec.docker.hosts",
            "a TCP host needs tlsSecretRef",
        ),
        (
            "BackendConfig",
            host(json!({"name": "h", "address": "/var/run/docker.sock"})),
            None,
            "spec.docker.hosts.address",
            "address must start with",
        ),
        ("BackendConfig", pool("10.201.0.0"), None, "spec.docker.network.pool", "pool must be an IPv4 range"),
        (
            "BackendConfig",
            with(config(), "spec/docker/network", json!({"pool": "10.0.0.0/28", "prefixLength": 26})),
            None,
            "spec.docker.network",
            "no network of prefixLength fits",
        ),
        ("BackendConfig", pool("fd00::/64"), None, "spec.docker.network.pool", "pool must be an IPv4 range"),
        (
            "BackendConfig",
            tier(json!({"tier": "T2", "privileged": true})),
            None,
            "spec.policy.tiers",
            "privileged is for T3 and T4",
        ),
        (
            "BackendConfig",
            tier(json!({"tier": "T3", "engineSocket": true})),
            None,
            "spec.policy.tiers",
            "engineSocket is for T4",
        ),
        (
            "BackendConfig",
            url("http://atelier.example.com:8090"),
            None,
            "spec.registry",
            "advertiseURL is plain http",
        ),
        ("BackendConfig", url("http://172.32.0.1:8090"), None, "spec.registry", "advertiseURL is plain http"),
        (
            "BackendConfig",
            url("http://127.0.0.1.example.com"),
            None,
            "spec.registry",
            "advertiseURL is plain http",
        ),
        (
            "BackendConfig",
            url("http://localhost@example.com"),
            None,
            "spec.registry",
            "advertiseURL is plain http",
        ),
        (
            "BackendConfig",
            with(url("ftp://host"), "spec/registry/allowPlaintext", json!(true)),
            None,
            "spec.registry.advertiseURL",
            "advertiseURL must be an http:// or https:// URL",
        ),
        (
            "Team",
            with(
                with(team(json!({}), json!({})), "metadata/name", json!("t")),
                "spec/members/0/name",
                json!(long),
            ),
            None,
            "",
            "metadata.name, spec.members[].name: a member's Workspace is named",
        ),
        (
            "Workspace",
            with(workspace(json!({})), "metadata/name", json!("a".repeat(64))),
            None,
            "",
            "a Workspace's name is used as a label value",
        ),
        (
            "Workspace",
            workspace(json!({"storage": {"retain": true}})),
            Some(workspace(json!({}))),
            "spec.storage",
            "storage cannot be changed",
        ),
        ("Workspace", status(json!({})), Some(launch(1)), "status", "launch cannot be removed"),
        ("Workspace", launch(1), Some(launch(2)), "status.launch", "attempt cannot fall"),
    ]
}

fn accepted_objects() -> Vec<(&'static str, Value, Option<Value>)> {
    let url = |url: &str| ("BackendConfig", with(config(), "spec/registry/advertiseURL", json!(url)), None);
    let launch = |attempt: i64| with(workspace(json!({})), "status", json!({"launch": {"attempt": attempt}}));
    let tcp = json!({"name": "h", "address": "tcp://h:2376", "publishAddress": "10.0.0.1",
                     "tlsSecretRef": {"name": "s"}});
    vec![
        ("BackendConfig", config(), None),
        ("BackendConfig", ec2_config(), None),
        ("BackendConfig", with(config(), "spec/docker/hosts/0", tcp), None),
        ("BackendConfig", with(config(), "spec/docker/network", json!({"pool": "192.168.0.0/16"})), None),
        (
            "BackendConfig",
            with(config(), "spec/docker/network", json!({"pool": "10.0.0.0/26", "prefixLength": 26})),
            None,
        ),
        (
            "BackendConfig",
            with(config(), "spec/policy/tiers/0", json!({"tier": "T3", "privileged": true})),
            None,
        ),
        (
            "BackendConfig",
            with(
                config(),
                "spec/policy/tiers/0",
                json!({"tier": "T4", "privileged": true, "engineSocket": true}),
            ),
            None,
        ),
        url("https://atelier.example.com"),
        url("http://127.0.0.1:8090/"),
        url("http://172.17.0.1:8090"),
        url("http://localhost:8090"),
        (
            "BackendConfig",
            with(
                with(config(), "spec/registry/advertiseURL", json!("http://10.0.0.1:8090")),
                "spec/registry/allowPlaintext",
                json!(true),
            ),
            None,
        ),
        ("Team", with(team(json!({}), json!({})), "spec/members/0/name", json!("a".repeat(61))), None),
        ("Workspace", with(workspace(json!({})), "metadata/name", json!("a".repeat(63))), None),
        ("Workspace", workspace(json!({"storage": {"retain": false}})), Some(workspace(json!({})))),
        ("Workspace", launch(2), Some(launch(1))),
        ("Workspace", launch(2), Some(launch(2))),
        ("Workspace", launch(1), Some(workspace(json!({})))),
    ]
}

/// Every rule that the schemas carry.
fn rules(kind: &'static str) -> Vec<(&'static str, String, String)> {
    fn walk(kind: &'static str, schema: &Value, path: &str, found: &mut Vec<(&'static str, String, String)>) {
        for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
            found.push((kind, path.to_owned(), rule["message"].as_str().unwrap().to_owned()));
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            walk(kind, property, &below, found);
        }
        if schema["items"].is_object() {
            walk(kind, &schema["items"], path, found);
        }
    }
    let mut found = Vec::new();
    walk(kind, &schema(kind), "", &mut found);
    found
}

#[test]
fn every_rule_refuses_what_it_should_and_says_so() {
    let mut seen: BTreeSet<Refusal> = BTreeSet::new();
    let mut refuse =
        |kind: &'static str, object: &Value, old: Option<&Value>, path: String, message: &'static str| {
            let refusals = refusals(kind, object, old);
            assert_eq!(refusals.len(), 1, "{kind} {path} {message:?}: {refusals:?} for {object}");
            assert_eq!(refusals[0].0, path, "{object}");
            assert!(refusals[0].1.starts_with(message), "{message:?} expected, said: {:?}", refusals[0].1);
            seen.insert((kind, path, message));
        };
    for (fragment, path, message) in refused_fragments() {
        refuse("Workspace", &workspace(fragment.clone()), None, format!("spec.{path}"), message);
        let in_defaults = team(fragment.clone(), json!({}));
        refuse("Team", &in_defaults, None, format!("spec.defaults.{path}"), message);
        refuse("Team", &team(json!({}), fragment), None, format!("spec.members.{path}"), message);
    }
    for (kind, object, old, path, message) in refused_objects() {
        refuse(kind, &object, old.as_ref(), path.to_owned(), message);
    }
    for (kind, path, message) in ["BackendConfig", "Team", "Workspace"].into_iter().flat_map(rules) {
        assert!(
            seen.iter().any(|(k, p, m)| *k == kind && *p == path && message.starts_with(m)),
            "no entry shows what {kind} {path} {message:?} refuses"
        );
    }
}

#[test]
fn what_is_right_is_accepted() {
    for fragment in accepted_fragments() {
        assert_eq!(refusals("Workspace", &workspace(fragment.clone()), None), []);
        assert_eq!(refusals("Team", &team(fragment.clone(), fragment), None), []);
    }
    for (kind, object, old) in accepted_objects() {
        assert_eq!(refusals(kind, &object, old.as_ref()), [], "{object}");
    }
}
