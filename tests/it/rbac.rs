//! The roles of the chart are what the operator calls: with less a test would fail, and there is no more.
//!
//! Every operator of these tests runs with them alone, so the API server's log of the whole run is the proof.

use crate::collect::plant_volume;
use crate::support::audit::{Call, calls};
use crate::support::roles::RELEASE;
use crate::support::scene::Scene;
use crate::support::world;
use crate::team::team;
use atelier::api::Team;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule, Role};
use kube::api::{Api, ListParams, PostParams};
use libtest_mimic::Trial;
use serde_json::json;
use std::collections::BTreeSet;

trials![one_namespace_is_enough, after_a_conflict_it_is_read_anew];

/// What is granted and need not stand in the log: group, resource, verb, and the reason.
const UNLOGGED: [(&str, &str, &str, &str); 3] = [
    (
        "atelier.dev",
        "workspaces",
        "create",
        "an apply that makes an object is logged as the patch that it is",
    ),
    (
        "atelier.dev",
        "teams/finalizers",
        "update",
        "asked about by admission, for owner references that hold back",
    ),
    ("", "secrets", "update", "the live API's certificate, near its end"),
];

/// The same for an installation for one namespace.
const UNLOGGED_NARROW: [(&str, &str, &str, &str); 3] = [
    ("authorization.k8s.io", "subjectaccessreviews", "create", "the live API is called elsewhere"),
    ("apiregistration.k8s.io", "apiservices", "get", "the live API is registered elsewhere"),
    ("apiregistration.k8s.io", "apiservices", "patch", "the live API is registered elsewhere"),
];

/// For what a right is granted. An installation for one namespace has others than one for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// The whole cluster.
    Cluster,
    /// The operator's own namespace.
    Own,
    /// The one that is looked after.
    Watched,
    /// The one called default.
    Default,
}

/// One verb of one rule of one role.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Right {
    is_narrow: bool,
    place: Place,
    group: String,
    resource: String,
    verb: String,
    /// The one object that it is for, with `*` for the scene's name.
    name: Option<String>,
}

impl Right {
    fn is_excepted(&self) -> bool {
        let right = (self.group.as_str(), self.resource.as_str(), self.verb.as_str());
        let narrow = if self.is_narrow { &UNLOGGED_NARROW[..] } else { &[] };
        UNLOGGED.iter().chain(narrow).any(|(group, resource, verb, _)| (*group, *resource, *verb) == right)
    }
}

/// Said of the whole run, so they come last; whether every right is used, only of a run of everything.
pub fn last(of_everything: bool) -> Vec<Trial> {
    let refused = || Box::pin(nothing_was_refused()) as _;
    let used = || Box::pin(every_right_was_used()) as _;
    let mut last = vec![crate::support::trial(module_path!(), "nothing_was_refused", refused)];
    if of_everything {
        last.push(crate::support::trial(module_path!(), "every_right_was_used", used));
    }
    last
}

/// What all operators of the run have asked.
async fn asked() -> Vec<Call> {
    let account = format!(":{RELEASE}");
    let mut asked =
        calls(&world::world().await.cluster.audit_log, |line| line.contains("system:serviceaccount:"));
    asked.retain(|call| call.user.starts_with("system:serviceaccount:") && call.user.ends_with(&account));
    assert!(!asked.is_empty(), "the log shows no calls: the test is blind");
    asked
}

async fn nothing_was_refused() {
    let mut refused = asked().await;
    refused.retain(|call| call.code == 403);
    assert!(refused.is_empty(), "not granted by the chart: {refused:#?}");
}

async fn every_right_was_used() {
    let granted = granted().await;
    let narrow: BTreeSet<&str> = granted
        .iter()
        .filter(|(_, right)| right.place == Place::Watched)
        .map(|(system, _)| system.as_str())
        .collect();
    let granted: BTreeSet<Right> = granted
        .iter()
        .map(|(system, right)| Right { is_narrow: narrow.contains(system.as_str()), ..right.clone() })
        .collect();
    assert_eq!(
        granted.iter().map(|right| (right.is_narrow, right.place)).collect::<BTreeSet<_>>(),
        BTreeSet::from([
            (false, Place::Cluster),
            (false, Place::Own),
            (true, Place::Cluster),
            (true, Place::Own),
            (true, Place::Watched),
            (true, Place::Default),
        ]),
        "some kind of role was not tried"
    );
    let used: BTreeSet<Right> =
        asked().await.into_iter().flat_map(|call| uses(&call, |system| narrow.contains(system))).collect();
    let unused: Vec<_> = granted.difference(&used).filter(|right| !right.is_excepted()).collect();
    assert!(unused.is_empty(), "granted by the chart, and nobody asked for it: {unused:#?}");
    for (group, resource, verb, _) in UNLOGGED {
        let is_it =
            |right: &Right| (&*right.group, &*right.resource, &*right.verb) == (group, resource, verb);
        assert!(granted.iter().any(is_it), "excepted, and not granted at all: {verb} {resource}");
    }
}

/// The rights of all installations, each with the namespace of its operator.
async fn granted() -> Vec<(String, Right)> {
    let client = world::world().await.client.clone();
    let ours = ListParams::default().labels("app.kubernetes.io/part-of=atelier");
    let roles = Api::<Role>::all(client.clone()).list(&ours).await.unwrap();
    let cluster_roles = Api::<ClusterRole>::all(client).list(&ours).await.unwrap();
    // What is not in the operator's own namespace has that namespace at the front of its name.
    let of = |name: &str| name.split_once(&format!("-{RELEASE}")).map(|(system, _)| system.to_owned());
    let roles = roles.items.into_iter().map(|role| {
        let (name, namespace) = (role.metadata.name.unwrap(), role.metadata.namespace.unwrap());
        let (system, place) = match of(&name) {
            None => (namespace, Place::Own),
            Some(system) if namespace == "default" => (system, Place::Default),
            Some(system) => (system, Place::Watched),
        };
        (system, place, role.rules)
    });
    let cluster_roles = cluster_roles
        .items
        .into_iter()
        .map(|role| (of(&role.metadata.name.unwrap()).unwrap(), Place::Cluster, role.rules));
    let rules = roles.chain(cluster_roles);
    rules
        .flat_map(|(system, place, rules)| {
            let rights: Vec<_> =
                rules.into_iter().flatten().flat_map(|rule| rights(&system, place, &rule)).collect();
            rights.into_iter().map(move |right| (system.clone(), right))
        })
        .collect()
}

fn rights(system: &str, place: Place, rule: &PolicyRule) -> Vec<Right> {
    let names = match rule.resource_names.as_deref().unwrap_or_default() {
        [] => vec![None],
        names => names.iter().map(|name| Some(anywhere(name, system))).collect(),
    };
    let mut rights = Vec::new();
    for group in rule.api_groups.iter().flatten() {
        for resource in rule.resources.iter().flatten() {
            for verb in &rule.verbs {
                rights.extend(names.iter().map(|name| Right {
                    is_narrow: false,
                    place,
                    group: group.clone(),
                    resource: resource.clone(),
                    verb: verb.clone(),
                    name: name.clone(),
                }));
            }
        }
    }
    rights
}

/// The rights that may have let a call through.
fn uses(call: &Call, is_narrow: impl Fn(&str) -> bool) -> Vec<Right> {
    let system = call.user.split(':').nth(2).unwrap();
    let is_narrow = is_narrow(system);
    let places = match call.namespace.as_str() {
        "" => vec![Place::Cluster],
        // It is the scope of its name as well: a namespace is asked for in itself.
        _ if call.resource == "namespaces" => vec![Place::Cluster],
        own if own == system && is_narrow => vec![Place::Own],
        own if own == system => vec![Place::Own, Place::Cluster],
        _ if !is_narrow => vec![Place::Cluster],
        "default" => vec![Place::Default],
        _ => vec![Place::Watched],
    };
    let names = [None, Some(anywhere(&call.name, system))];
    let rights = places.into_iter().flat_map(|place| names.clone().map(|name| (place, name)));
    rights
        .map(|(place, name)| Right {
            is_narrow,
            place,
            group: call.group.clone(),
            resource: call.resource.clone(),
            verb: call.verb.clone(),
            name,
        })
        .collect()
}

/// A name without that of the scene.
fn anywhere(name: &str, system: &str) -> String {
    name.replace(system.trim_end_matches("-system"), "*")
}

async fn one_namespace_is_enough() {
    let scene = Scene::in_one_namespace("narrow").await;
    scene.apply_config(scene.config()).await;
    let _operator = scene.operator(&["--collect-period=500ms", "--visibility-window=2s"]).await;
    let create = PostParams::default();
    let secret = json!({"metadata": {"name": "model"}, "stringData": {"KEY": "k"}});
    let secret: Secret = serde_json::from_value(secret).unwrap();
    scene.api::<Secret>().create(&create, &secret).await.unwrap();
    let map = json!({"metadata": {"name": "prompts"}, "data": {"system.md": "Be brief."}});
    let map: ConfigMap = serde_json::from_value(map).unwrap();
    scene.api::<ConfigMap>().create(&create, &map).await.unwrap();
    let mut spec = team(2);
    spec["defaults"]["envFrom"] = json!([{"secretRef": {"name": "model"}}]);
    spec["members"][1]["prompts"] =
        json!({"systemFrom": {"configMapKeyRef": {"name": "prompts", "key": "system.md"}}});
    scene.apply_team("studio", spec.clone()).await;
    scene.until_team_ready("studio").await;

    // What is told twice is counted in the first event. So a member comes and goes, and comes again.
    let added = team(3)["members"][2].clone();
    for members in [3, 2, 3] {
        spec["members"].as_array_mut().unwrap().truncate(2);
        spec["members"].as_array_mut().unwrap().extend((members == 3).then(|| added.clone()));
        scene.apply_team("studio", spec.clone()).await;
        scene
            .soon("the Team has its members", async || {
                let there = scene.workspaces().await.len();
                if there == members { Ok(()) } else { Err(format!("{there} of {members}")) }
            })
            .await;
        scene.until_team_ready("studio").await;
    }
    for _ in 0..2 {
        let orphan = plant_volume(&scene, "orphan", &[]).await;
        scene
            .soon("what has no owner is removed", async || {
                let stays = scene.engine().volumes(&scene.label()).contains(&orphan);
                if stays { Err(orphan.clone()) } else { Ok(()) }
            })
            .await;
    }
    scene.delete::<Team>("studio").await;
    scene.until_nothing_is_left().await;
}

/// Somebody else writes the same objects all the time, which is rare enough elsewhere that a right to read them anew
/// might be missed.
async fn after_a_conflict_it_is_read_anew() {
    for scene in [Scene::new("contested").await, Scene::in_one_namespace("contested").await] {
        let mut config = scene.config();
        scene.apply_config(config.clone()).await;
        let _operator = scene.operator(&[]).await;
        contest(&scene, "backendconfigs", async |n| {
            config["runtimes"][0]["bootTimeoutSeconds"] = json!(60 + n % 60);
            scene.apply_config(config.clone()).await;
        })
        .await;
        let mut spec = team(1);
        spec["defaults"]["runtime"] = json!("no-such");
        contest(&scene, "teams", async |n| {
            spec["members"][0]["role"] = json!(format!("Role {n}"));
            scene.apply_team("contested", spec.clone()).await;
        })
        .await;
        scene.delete::<Team>("contested").await;
        scene.until_nothing_is_left().await;
    }
}

/// Changes an object until the operator has read one of its kind.
async fn contest(scene: &Scene, resource: &str, mut change: impl AsyncFnMut(u32)) {
    let log = &world::world().await.cluster.audit_log;
    let user = scene.user();
    let is_it = |call: &Call| call.user == user && call.verb == "get" && call.resource == resource;
    let mut n = 0;
    scene
        .soon(&format!("{resource} are read"), async || {
            for _ in 0..20 {
                n += 1;
                change(n).await;
            }
            let found = calls(log, |line| line.contains(&user)).iter().any(is_it);
            if found { Ok(()) } else { Err(format!("{n} changes")) }
        })
        .await;
}
