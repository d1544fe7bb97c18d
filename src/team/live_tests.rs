//! The Team's reconcile against a real API server, alone: nothing reconciles Workspaces here.
//!
//! Run with `ATELIER_TEST_KUBECONFIG` naming the kubeconfig of a cluster that has the CRDs and the garbage
//! collector, such as the one that `hack/cluster-up.sh` starts.

use super::apply::{Applied, Reach};
use super::checks::{self, Bench, studio};
use super::fixtures::team;
use super::merge::children;
use super::plan::plan;
use super::{Context, Settings, concerned, error_policy, reconcile};
use crate::api::condition::{ConditionType, Conditions, Status};
use crate::api::{Reason, Team, Workspace};
use crate::metrics::Metrics;
use crate::reconcile::cache::Change;
use crate::reconcile::{Cache, Events, Leadership};
use futures::{StreamExt, stream};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::{Controller, WatchStreamExt, watcher};
use kube::{Api, Client, Config, ResourceExt};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;
use tokio::runtime::Runtime;

/// One operator for all checks, as in life: two would take each other's writes for somebody else's.
static OPERATOR: OnceLock<(Runtime, Client)> = OnceLock::new();

fn with_operator<F: Future<Output = ()>>(check: impl FnOnce(Client) -> F) {
    let Ok(path) = std::env::var("ATELIER_TEST_KUBECONFIG") else {
        eprintln!("skipped: ATELIER_TEST_KUBECONFIG is not set");
        return;
    };
    let (runtime, client) = OPERATOR.get_or_init(|| {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let runtime = Runtime::new().unwrap();
        let client = runtime.block_on(async {
            let kubeconfig = Kubeconfig::read_from(path).unwrap();
            let options = KubeConfigOptions::default();
            Client::try_from(Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap()).unwrap()
        });
        runtime.spawn(operate(client.clone()));
        (runtime, client)
    });
    runtime.block_on(check(client.clone()));
}

async fn context(client: &Client) -> Context {
    let teams = Cache::<Team>::start(Api::all(client.clone()));
    let workspaces = Cache::<Workspace>::start(Api::all(client.clone()));
    teams.synced().await;
    workspaces.synced().await;
    let events = Events::new(client.clone(), "test");
    let (leads, metrics, settings) = (Leadership::always(), Metrics::default(), Settings::default());
    Context::new(client.clone(), teams, workspaces, leads, events, metrics, settings)
}

async fn operate(client: Client) {
    let context = context(&client).await;
    let changes = context.teams.changes();
    // Those that were there before we listened.
    let first = stream::iter(context.teams.store().state()).map(Change::Wanted);
    let wanted = first.chain(changes).filter_map(|change| {
        std::future::ready(match change {
            Change::Wanted(team) => Some(Ok((*team).clone())),
            _ => None,
        })
    });
    let of_members = context.workspaces.changes().filter_map(|change| {
        std::future::ready(match change {
            Change::Wanted(ws) | Change::Status(ws) | Change::Gone(ws) => Some(Ok((*ws).clone())),
            Change::Missed => None,
        })
    });
    let store = context.teams.store().clone();
    Controller::for_stream(wanted, store.clone())
        .watches_stream(of_members, move |ws| concerned(&ws, &store))
        .run(reconcile, error_policy, Arc::new(context))
        .for_each(|_| std::future::ready(()))
        .await;
}

macro_rules! live {
    ($($check:ident)*) => { $(#[test] fn $check() { with_operator(|client| async move { checks::$check(&client).await }); })* };
}

live! {
    expands
    touches_only_what_changed
    leaves_others_alone
    adopts_nothing_of_an_earlier_team
    names_who_contradicts
    shares_suspend_and_restart
    tells_a_field_conflict
    keeps_its_hands_off
    tells_few_events
}

/// A Workspace that the watch has not shown yet is not taken over by an apply that would make it.
#[test]
fn what_nobody_saw_is_not_taken_over() {
    with_operator(|client| async move {
        // The second would agree with the apply in every field.
        for runtime in ["own", "demo"] {
            let bench = Bench::new(&client, "unseen").await;
            let own = json!({"metadata": {"name": "studio-a"}, "spec": {"runtime": runtime}});
            let own: Workspace = serde_json::from_value(own).unwrap();
            let own = bench.workspaces.create(&PostParams::default(), &own).await.unwrap();
            let team = team(&["a"]);
            let levels = plan(&team, &children("studio", &team.spec), &[], |_| None).applies;
            let (leadership, metrics) = (Leadership::always(), Metrics::default());
            let reach = Reach { api: &bench.workspaces, leadership: &leadership, metrics: &metrics };
            let done = reach.apply(levels).await;
            assert!(matches!(done[0].1, Applied::Stale), "{done:?}");
            assert_eq!(bench.workspace("studio-a").await.resource_version(), own.resource_version());
        }
    });
}

/// What a process sees that slept, or whose watch lags, must not undo what was asked for since.
#[test]
fn who_lags_behind_does_nothing() {
    with_operator(|client| async move {
        let bench = Bench::new(&client, "lags").await;
        let before = bench.apply("studio", studio()).await;
        bench.expanded(&before).await;
        let mut spec = studio();
        spec["members"].as_array_mut().unwrap().push(json!({"name": "late"}));
        spec["members"][0]["role"] = "directs more".into();
        bench.expanded(&bench.apply("studio", spec).await).await;
        let all = bench.all().await;
        let context = Arc::new(context(&client).await);
        reconcile(Arc::new(before), context).await.unwrap();
        let versions = |all: &BTreeMap<String, Workspace>| {
            all.iter().map(|(name, ws)| (name.clone(), ws.resource_version())).collect::<Vec<_>>()
        };
        assert_eq!(versions(&all), versions(&bench.all().await));
        assert!(all["studio-late"].metadata.deletion_timestamp.is_none());
    });
}

/// Members report one by one; the Team sums up, and is written at most once a second.
#[test]
fn sums_up_without_many_writes() {
    with_operator(|client| async move {
        let bench = Bench::new(&client, "sums").await;
        let team = bench.apply("studio", studio()).await;
        bench.until(&team, ConditionType::Reconciling, Reason::MembersNotReady).await;
        let began = Instant::now();
        let watch = watcher(bench.teams.clone(), watcher::Config::default()).applied_objects();
        let versions = Arc::new(Mutex::new(BTreeSet::new()));
        let seen = versions.clone();
        let watching = tokio::spawn(async move {
            let mut watch = std::pin::pin!(watch);
            while let Some(Ok(team)) = watch.next().await {
                seen.lock().unwrap().insert(team.resource_version());
            }
        });
        for round in 0..10 {
            for (name, ws) in bench.all().await {
                let reason = if round == 9 { Reason::Ready } else { Reason::Booting };
                let ready = if round == 9 { Status::True } else { Status::False };
                let mut conditions = Conditions::new(&[], 1, Timestamp::now());
                conditions.set(ConditionType::Ready, ready, reason, format!("round {round}"));
                let status = json!({"status": {
                    "observedGeneration": ws.metadata.generation,
                    "conditions": conditions.finish(),
                }});
                let params = PatchParams::default();
                bench.workspaces.patch_status(&name, &params, &Patch::Merge(status)).await.unwrap();
            }
        }
        bench.until(&team, ConditionType::Ready, Reason::Ready).await;
        let seconds = usize::try_from(began.elapsed().as_secs()).unwrap();
        watching.abort();
        let writes = versions.lock().unwrap().len();
        assert!((1..=seconds + 3).contains(&writes), "{writes} versions in {seconds} s");
        let status = bench.teams.get("studio").await.unwrap().status.unwrap();
        assert_eq!(status.ready_summary.as_deref(), Some("4/4"));
        assert_eq!(status.members.unwrap().not_ready, []);
    });
}
