//! The Team's reconcile against a real API server, alone: nothing reconciles Workspaces here.
//!
//! Run with `ATELIER_TEST_KUBECONFIG` naming the kubeconfig of a cluster that has the CRDs and the garbage
//! collector, such as the one that `hack/cluster-up.sh` starts.

use super::checks;
use super::{Context, Settings, concerned, error_policy, reconcile};
use crate::api::{Team, Workspace};
use crate::metrics::Metrics;
use crate::reconcile::cache::Change;
use crate::reconcile::{Cache, Events, Leadership};
use futures::StreamExt;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::Controller;
use kube::{Api, Client, Config};
use std::sync::{Arc, OnceLock};
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

async fn operate(client: Client) {
    let teams = Cache::<Team>::start(Api::all(client.clone()));
    let workspaces = Cache::<Workspace>::start(Api::all(client.clone()));
    let wanted = teams.changes().filter_map(|change| {
        std::future::ready(match change {
            Change::Wanted(team) => Some(Ok((*team).clone())),
            _ => None,
        })
    });
    let of_members = workspaces.changes().filter_map(|change| {
        std::future::ready(match change {
            Change::Wanted(ws) | Change::Status(ws) | Change::Gone(ws) => Some(Ok((*ws).clone())),
            Change::Missed => None,
        })
    });
    workspaces.synced().await;
    let store = teams.store().clone();
    let context = Context::new(
        client.clone(),
        teams,
        workspaces,
        Leadership::always(),
        Events::new(client, "test"),
        Metrics::default(),
        Settings::default(),
    );
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
}
