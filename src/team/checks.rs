//! Checks: what a Team promises, looked at from outside through the API server alone.
//!
//! Each check makes a namespace of its own and panics with what it saw when a promise is not kept. They hold
//! whether or not anything reconciles Workspaces.

use crate::api::condition::{ConditionType, find};
use crate::api::{Reason, Team, Workspace, names};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, OwnerReference};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

/// One namespace, and what a person does in it.
pub struct Bench {
    pub teams: Api<Team>,
    pub workspaces: Api<Workspace>,
    events: Api<Event>,
}

impl Bench {
    pub async fn new(client: &Client, purpose: &str) -> Self {
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let wanted = json!({"metadata": {"generateName": format!("team-{purpose}-")}});
        let made = namespaces.create(&PostParams::default(), &serde_json::from_value(wanted).unwrap()).await;
        let namespace = made.unwrap().name_any();
        Self {
            teams: Api::namespaced(client.clone(), &namespace),
            workspaces: Api::namespaced(client.clone(), &namespace),
            events: Api::namespaced(client.clone(), &namespace),
        }
    }

    /// What `kubectl apply --server-side` does.
    pub async fn apply(&self, name: &str, spec: Value) -> Team {
        self.apply_with(name, json!({}), spec).await
    }

    pub async fn apply_with(&self, name: &str, mut metadata: Value, spec: Value) -> Team {
        metadata["name"] = name.into();
        let body =
            json!({"apiVersion": "atelier.dev/v1alpha1", "kind": "Team", "metadata": metadata, "spec": spec});
        self.teams.patch(name, &PatchParams::apply("kubectl"), &Patch::Apply(body)).await.unwrap()
    }

    /// What `kubectl patch` and `kubectl edit` do.
    pub async fn edit(&self, workspace: &str, patch: Value) -> Workspace {
        let params = PatchParams { field_manager: Some("kubectl-edit".into()), ..PatchParams::default() };
        self.workspaces.patch(workspace, &params, &Patch::Merge(patch)).await.unwrap()
    }

    pub async fn workspace(&self, name: &str) -> Workspace {
        self.workspaces.get(name).await.unwrap()
    }

    /// The Workspaces by name.
    pub async fn all(&self) -> BTreeMap<String, Workspace> {
        let list = self.workspaces.list(&ListParams::default()).await.unwrap();
        list.into_iter().map(|ws| (ws.name_any(), ws)).collect()
    }

    /// Waits until the Team's status speaks of this generation and a condition has this reason.
    pub async fn until(&self, team: &Team, type_: ConditionType, reason: Reason) -> Condition {
        let (name, generation) = (team.name_any(), team.metadata.generation.unwrap());
        eventually(&format!("{type_} of {name} to be {reason}"), async || {
            let status = self.teams.get(&name).await.unwrap().status.unwrap();
            let condition = find(&status.conditions, type_).filter(|c| c.reason == reason.as_str()).cloned();
            condition.filter(|_| status.observed_generation >= generation).ok_or(status)
        })
        .await
    }

    pub async fn expanded(&self, team: &Team) -> Condition {
        let condition = self.until(team, ConditionType::Expanded, Reason::Expanded).await;
        assert_eq!(condition.status, "True");
        condition
    }
}

/// Asks again until there is an answer, and panics with the last refusal when patience ends.
pub async fn eventually<T, E: std::fmt::Debug>(what: &str, ask: impl AsyncFn() -> Result<T, E>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(seen) => {
                assert!(Instant::now() < deadline, "waited in vain for {what}; last seen: {seen:#?}");
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub fn studio() -> Value {
    json!({
        "defaults": {"runtime": "demo", "tier": "T1", "model": "small"},
        "members": [
            {"name": "director", "role": "directs"},
            {"name": "researcher", "reportsTo": "director"},
            {"name": "writer", "reportsTo": "director", "model": "large"},
            {"name": "intern", "reportsTo": "writer"},
        ],
    })
}

fn versions(all: &BTreeMap<String, Workspace>) -> BTreeMap<&str, (String, i64)> {
    all.iter()
        .map(|(name, ws)| (name.as_str(), (ws.uid().unwrap(), ws.metadata.generation.unwrap())))
        .collect()
}

fn changed<'a>(
    before: &'a BTreeMap<String, Workspace>,
    after: &'a BTreeMap<String, Workspace>,
) -> Vec<&'a str> {
    let (before, after) = (versions(before), versions(after));
    let mut names: Vec<&str> = before.keys().chain(after.keys()).copied().collect();
    names.sort_unstable();
    names.dedup();
    names.retain(|name| before.get(name) != after.get(name));
    names
}

/// One Workspace a member, owned by the Team, each told what the Team says and no more.
pub async fn expands(client: &Client) {
    let bench = Bench::new(client, "expands").await;
    let tracked = json!({
        "labels": {"app.kubernetes.io/instance": "site", "kustomize.toolkit.fluxcd.io/name": "site"},
        "annotations": {"argocd.argoproj.io/tracking-id": "site:atelier.dev/Team:x/studio"},
    });
    let team = bench.apply_with("studio", tracked, studio()).await;
    bench.expanded(&team).await;
    let all = bench.all().await;
    let names: Vec<&str> = all.keys().map(String::as_str).collect();
    assert_eq!(names, ["studio-director", "studio-intern", "studio-researcher", "studio-writer"]);
    for (name, ws) in &all {
        let owner: &OwnerReference = &ws.owner_references()[0];
        assert_eq!((owner.kind.as_str(), &owner.uid), ("Team", &team.uid().unwrap()), "{name}");
        assert_eq!((owner.controller, owner.block_owner_deletion), (Some(true), Some(true)), "{name}");
        let labels: Vec<&str> = ws.labels().keys().map(String::as_str).collect();
        assert_eq!(labels, [names::MEMBER, names::TEAM], "{name}");
        let annotations: Vec<&str> = ws.annotations().keys().map(String::as_str).collect();
        assert_eq!(annotations, [names::APPLIED_HASH], "{name}");
        let ours = ws.managed_fields().iter().find(|m| m.manager.as_deref() == Some("atelier-team"));
        let fields = serde_json::to_value(ours.unwrap().fields_v1.as_ref().unwrap()).unwrap();
        for unsaid in ["f:suspend", "f:restartedAt", "f:storage", "f:maxConcurrentTasks"] {
            assert!(fields["f:spec"].get(unsaid).is_none(), "{name}: {unsaid} is claimed");
        }
    }
    let intern = &all["studio-intern"];
    assert_eq!(intern.spec.parent_ref.as_ref().unwrap().name, "studio-writer");
    assert_eq!(intern.spec.display_name.as_deref(), Some("intern"));
    assert_eq!(all["studio-writer"].spec.model.as_deref(), Some("large"));
    assert_eq!(all["studio-director"].spec.parent_ref, None);
    assert_eq!(bench.teams.get("studio").await.unwrap().status.unwrap().members.unwrap().total, 4);
}

/// The same again changes nothing; each change touches the one member that it is about.
pub async fn touches_only_what_changed(client: &Client) {
    let bench = Bench::new(client, "touches").await;
    let mut spec = studio();
    bench.expanded(&bench.apply("studio", spec.clone()).await).await;
    let first = bench.all().await;

    spec["members"].as_array_mut().unwrap().reverse();
    let reordered: Team = {
        let body = json!({"spec": {"members": spec["members"]}});
        bench.teams.patch("studio", &PatchParams::default(), &Patch::Merge(body)).await.unwrap()
    };
    assert_eq!(reordered.metadata.generation, Some(2), "the API server must see the new order as a change");
    bench.expanded(&reordered).await;
    let versions = |all: &BTreeMap<String, Workspace>| {
        all.values().map(|ws| ws.resource_version().unwrap()).collect::<Vec<_>>()
    };
    if !reconciled(&first) {
        assert_eq!(versions(&first), versions(&bench.all().await), "a new order is no change");
    }
    assert_eq!(changed(&first, &bench.all().await), [""; 0]);

    let mut spec = studio();
    spec["members"][1]["reportsTo"] = "writer".into();
    bench.expanded(&bench.apply("studio", spec.clone()).await).await;
    let second = bench.all().await;
    assert_eq!(changed(&first, &second), ["studio-researcher"]);
    assert_eq!(second["studio-researcher"].spec.parent_ref.as_ref().unwrap().name, "studio-writer");

    spec["members"].as_array_mut().unwrap().remove(3);
    spec["members"].as_array_mut().unwrap().push(json!({"name": "temp", "reportsTo": "director"}));
    bench.expanded(&bench.apply("studio", spec).await).await;
    eventually("the removed member to go", async || {
        let all = bench.all().await;
        (!all.contains_key("studio-intern")).then_some(()).ok_or(all.into_keys().collect::<Vec<_>>())
    })
    .await;
    assert_eq!(changed(&second, &bench.all().await), ["studio-intern", "studio-temp"]);
}

/// Whether something besides the Team's reconcile writes these Workspaces.
fn reconciled(all: &BTreeMap<String, Workspace>) -> bool {
    all.values().any(|ws| ws.status.as_ref().is_some_and(|status| status.observed_generation >= 0))
}

/// A Workspace of a child's name that is somebody else's is left alone, named, and waited for.
pub async fn leaves_others_alone(client: &Client) {
    let bench = Bench::new(client, "others").await;
    let own = json!({"metadata": {"name": "a-b-c"}, "spec": {"runtime": "own"}});
    bench.workspaces.create(&PostParams::default(), &serde_json::from_value(own).unwrap()).await.unwrap();
    let spec = |member: &str| json!({"members": [{"name": member, "runtime": "demo"}, {"name": "x", "runtime": "demo"}]});
    let team = bench.apply("a", spec("b-c")).await;
    let said = bench.until(&team, ConditionType::Expanded, Reason::NameConflict).await;
    assert!(said.message.contains("a-b-c"), "{}", said.message);
    bench.until(&team, ConditionType::Stalled, Reason::NameConflict).await;
    let all = bench.all().await;
    assert_eq!(all["a-b-c"].spec.runtime, "own");
    assert!(all["a-b-c"].owner_references().is_empty(), "it was taken over");
    assert!(all.contains_key("a-x"), "the other member is made all the same");

    bench.workspaces.delete("a-b-c", &DeleteParams::default()).await.unwrap();
    bench.expanded(&team).await;
    let meets = bench.apply("a-b", spec("c")).await;
    let said = bench.until(&meets, ConditionType::Expanded, Reason::NameConflict).await;
    assert!(said.message.contains("Team a:"), "{}", said.message);
    assert_eq!(bench.workspace("a-b-c").await.owner_references()[0].uid, team.uid().unwrap());

    bench.teams.delete("a", &DeleteParams::default()).await.unwrap();
    bench.expanded(&meets).await;
    assert_eq!(bench.workspace("a-b-c").await.owner_references()[0].uid, meets.uid().unwrap());
}

/// A Team that is made again waits for the Workspaces of the one before, and adopts none.
pub async fn adopts_nothing_of_an_earlier_team(client: &Client) {
    let bench = Bench::new(client, "earlier").await;
    let earlier = bench.apply("studio", studio()).await;
    bench.expanded(&earlier).await;
    bench.edit("studio-writer", json!({"metadata": {"finalizers": ["example.com/held"]}})).await;
    let held = bench.workspace("studio-writer").await.uid();
    bench.teams.delete("studio", &DeleteParams::background()).await.unwrap();
    let again = bench.apply("studio", studio()).await;
    assert_ne!(earlier.uid(), again.uid());
    let said = bench.until(&again, ConditionType::Expanded, Reason::WaitingForTermination).await;
    assert!(said.message.contains("Workspace studio-"), "{}", said.message);
    bench.until(&again, ConditionType::Reconciling, Reason::WaitingForTermination).await;
    eventually("the garbage collector to delete it", async || {
        let ws = bench.workspace("studio-writer").await;
        ws.metadata.deletion_timestamp.clone().ok_or(ws)
    })
    .await;
    assert_eq!(bench.workspace("studio-writer").await.uid(), held);
    bench.edit("studio-writer", json!({"metadata": {"finalizers": null}})).await;
    bench.expanded(&again).await;
    for (name, ws) in bench.all().await {
        assert_eq!(ws.owner_references()[0].uid, again.uid().unwrap(), "{name}");
    }
}

/// What the schema cannot see is told with the members named; nothing is made, and nothing removed.
pub async fn names_who_contradicts(client: &Client) {
    let bench = Bench::new(client, "contradicts").await;
    let spec = |director: Value| {
        let mut spec = studio();
        spec["members"][0] = director;
        spec
    };
    let circle = bench.apply("studio", spec(json!({"name": "director", "reportsTo": "intern"}))).await;
    let said = bench.until(&circle, ConditionType::Accepted, Reason::ReportingCycle).await;
    assert!(said.message.contains("director -> intern -> writer -> director"), "{}", said.message);
    bench.until(&circle, ConditionType::Stalled, Reason::ReportingCycle).await;
    assert!(bench.all().await.is_empty());

    bench.expanded(&bench.apply("studio", studio()).await).await;
    let before = bench.all().await;
    let mut broken = spec(json!({"name": "director", "reportsTo": "nobody"}));
    broken["members"].as_array_mut().unwrap().remove(3);
    let team = bench.apply("studio", broken).await;
    let said = bench.until(&team, ConditionType::Accepted, Reason::UnknownReportsTo).await;
    assert!(said.message.contains("director reports to nobody"), "{}", said.message);
    assert_eq!(changed(&before, &bench.all().await), [""; 0]);

    let team =
        bench.apply("plain", json!({"members": [{"name": "a", "runtime": "demo"}, {"name": "b"}]})).await;
    let said = bench.until(&team, ConditionType::Accepted, Reason::MissingRuntime).await;
    assert!(said.message.contains("for b:"), "{}", said.message);
}

/// A person may suspend or restart one member; the Team may do it to all, and gives it up again.
pub async fn shares_suspend_and_restart(client: &Client) {
    let bench = Bench::new(client, "suspend").await;
    bench.expanded(&bench.apply("studio", studio()).await).await;
    bench.edit("studio-writer", json!({"spec": {"suspend": true, "restartedAt": "now"}})).await;
    let mut spec = studio();
    spec["description"] = "another text".into();
    bench.expanded(&bench.apply("studio", spec.clone()).await).await;
    let suspended = async || {
        let all = bench.all().await.into_iter();
        all.filter(|(_, ws)| ws.spec.suspend).map(|(name, _)| name).collect::<Vec<_>>()
    };
    assert_eq!(suspended().await, ["studio-writer"]);
    assert_eq!(bench.workspace("studio-writer").await.spec.restarted_at.as_deref(), Some("now"));

    spec["suspend"] = true.into();
    bench.expanded(&bench.apply("studio", spec.clone()).await).await;
    assert_eq!(suspended().await.len(), 4);
    spec["suspend"] = false.into();
    bench.expanded(&bench.apply("studio", spec.clone()).await).await;
    assert_eq!(suspended().await, ["studio-writer"], "what a person suspended stays so");

    // A person who resumed a member keeps the say over it, and the Team says so.
    bench.edit("studio-writer", json!({"spec": {"suspend": false}})).await;
    spec["suspend"] = true.into();
    let team = bench.apply("studio", spec).await;
    let said = bench.until(&team, ConditionType::Expanded, Reason::ChildRejected).await;
    assert!(
        said.message.contains("kubectl-edit") && said.message.contains(".spec.suspend"),
        "{}",
        said.message
    );
    assert_eq!(suspended().await.len(), 3);
    bench.edit("studio-writer", json!({"spec": {"suspend": true}})).await;
    bench.expanded(&team).await;
}

/// A person's edit of what the Team says is not overruled: it is told, once, and ends when it is undone.
pub async fn tells_a_field_conflict(client: &Client) {
    let bench = Bench::new(client, "conflict").await;
    let team = bench.apply("studio", studio()).await;
    bench.expanded(&team).await;
    bench.edit("studio-writer", json!({"spec": {"model": "mine"}})).await;
    let said = bench.until(&team, ConditionType::Expanded, Reason::ChildRejected).await;
    for part in ["studio-writer", "kubectl-edit", ".spec.model"] {
        assert!(said.message.contains(part), "{part} is not in: {}", said.message);
    }
    bench.until(&team, ConditionType::Stalled, Reason::ChildRejected).await;
    assert_eq!(bench.workspace("studio-writer").await.spec.model.as_deref(), Some("mine"));
    bench.edit("studio-writer", json!({"spec": {"model": "large"}})).await;
    bench.expanded(&team).await;
    // What a person takes away has no owner any more, and comes back.
    bench.edit("studio-director", json!({"spec": {"role": null}})).await;
    eventually("the role to come back", async || {
        let ws = bench.workspace("studio-director").await;
        ws.spec.role.clone().filter(|role| role == "directs").ok_or(ws)
    })
    .await;
}

/// `atelier.dev/paused` holds everything back, and says what.
pub async fn keeps_its_hands_off(client: &Client) {
    let bench = Bench::new(client, "paused").await;
    bench.expanded(&bench.apply("studio", studio()).await).await;
    let before = bench.all().await;
    let mut spec = studio();
    spec["members"].as_array_mut().unwrap().remove(3);
    spec["members"][0]["role"] = "directs more".into();
    let paused = json!({"annotations": {names::PAUSED: "true"}});
    let team = bench.apply_with("studio", paused, spec.clone()).await;
    let said = bench.until(&team, ConditionType::Expanded, Reason::Paused).await;
    assert!(said.message.contains("1 Workspaces to apply and 1 to delete"), "{}", said.message);
    assert_eq!(changed(&before, &bench.all().await), [""; 0]);
    bench.expanded(&bench.apply("studio", spec).await).await;
    assert_eq!(bench.workspace("studio-director").await.spec.role.as_deref(), Some("directs more"));
}

/// One event for the expansion, and one for each coming and going after it.
pub async fn tells_few_events(client: &Client) {
    let bench = Bench::new(client, "events").await;
    let told = async |wanted: &[(&str, &str)]| {
        eventually("events", async || {
            let about = bench.events.list(&ListParams::default()).await.unwrap().into_iter();
            let of_team =
                about.filter(|e| e.regarding.as_ref().is_some_and(|r| r.kind.as_deref() == Some("Team")));
            let mut told: Vec<_> = of_team.map(|e| (e.reason.unwrap(), e.note.unwrap())).collect();
            told.sort();
            let same =
                told.iter().map(|(reason, note)| (reason.as_str(), note.as_str())).eq(wanted.iter().copied());
            same.then_some(()).ok_or(told)
        })
        .await;
    };
    bench.expanded(&bench.apply("studio", studio()).await).await;
    told(&[("Expanded", "4 Workspaces match the spec")]).await;
    let mut spec = studio();
    spec["members"].as_array_mut().unwrap().push(json!({"name": "late"}));
    bench.expanded(&bench.apply("studio", spec).await).await;
    bench.expanded(&bench.apply("studio", studio()).await).await;
    told(&[
        ("Expanded", "4 Workspaces match the spec"),
        ("MemberAdded", "added: late"),
        ("MemberRemoved", "removed: late"),
    ])
    .await;
}
