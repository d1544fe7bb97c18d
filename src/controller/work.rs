//! What the leader does until it is told to stop.

use super::args::ControllerArgs;
use super::{Replica, STOP_WORK, drive, wakes};
use crate::collector::{self, Collector};
use crate::platform::{self, Platform};
use crate::reconcile::{Backoff, Fresh, Pauses};
use crate::{team, workspace};
use futures::{Stream, StreamExt, stream};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Works until it is told to stop, and a little longer to finish what is in hand. `heard` are the uids of
/// Workspaces of which the registry heard something.
pub async fn work(
    args: &ControllerArgs,
    replica: &Replica,
    heard: mpsc::UnboundedReceiver<String>,
    stop: &CancellationToken,
) {
    // What another leader wrote before it lost the lease must be seen before anything is done.
    replica.configs.refresh().await;
    replica.teams.refresh().await;
    replica.workspaces.refresh().await;
    replica.token_keys.read().await;
    replica.liveness.lead(Some(Timestamp::now()));
    replica.metrics.leading(true);

    let mut platform = Platform::new(platform_context(args, replica));
    platform.prime().await;
    info!("working");

    let collector = Collector::new(collector_context(args, replica));
    let work = async {
        tokio::join!(
            platform.run(stop.clone()),
            teams(args, replica, stop),
            workspaces(args, replica, heard, stop),
            collector.run(stop.clone()),
        );
    };
    let hints = replica.backends.watch(args.pace.list_period);
    let ticks = replica.liveness.run(replica.metrics.clone(), std::future::pending());
    let ttl = follow_ttl(replica);
    let overdue = async {
        stop.cancelled().await;
        tokio::time::sleep(STOP_WORK).await;
    };
    tokio::select! {
        () = work => info!("what was in hand is done"),
        () = overdue => warn!("what was in hand is not done in time; it is taken up again by whoever leads next"),
        () = hints => {}
        () = ticks => {}
        () = ttl => {}
    }
    replica.metrics.leading(false);
}

/// What a replica does that does not lead, for as long as it does not: it keeps the door configured, so that it can
/// tell people what stands behind it. It writes nothing, for that takes the lead.
pub async fn follow(args: &ControllerArgs, replica: &Replica) {
    let mut platform = Platform::new(platform_context(args, replica));
    platform.prime().await;
    platform.run(CancellationToken::new()).await;
}

fn platform_context(args: &ControllerArgs, replica: &Replica) -> platform::Context {
    let secrets: Api<Secret> =
        Api::namespaced(replica.cluster.client.clone(), &replica.cluster.operator_namespace);
    platform::Context {
        name: args.cluster.backend_config.clone(),
        api: Api::all(replica.cluster.client.clone()),
        configs: replica.configs.clone(),
        workspaces: replica.workspaces.clone(),
        secrets,
        backends: replica.backends.clone(),
        current: replica.current.clone(),
        token_keys: replica.token_keys.clone(),
        too_many_silent: replica.liveness.too_many_silent(),
        leadership: replica.leadership.clone(),
        metrics: replica.metrics.clone(),
        preflight_period: args.pace.preflight_period,
        pauses: Pauses { first: args.pace.backoff_min, longest: args.pace.preflight_retry_max },
        stalled_after: args.pace.stalled_after,
    }
}

async fn teams(args: &ControllerArgs, replica: &Replica, stop: &CancellationToken) {
    let settings = team::Settings { resync: args.pace.resync, ..team::Settings::default() };
    let context = team::Context::new(
        replica.cluster.client.clone(),
        replica.teams.clone(),
        replica.workspaces.clone(),
        replica.leadership.clone(),
        replica.events.clone(),
        replica.metrics.clone(),
        settings,
    );
    let wakes = wakes::of_teams(&replica.teams, &replica.workspaces);
    let store = replica.teams.store().clone();
    let concurrency = args.pace.concurrency;
    drive::drive(
        store,
        wakes,
        concurrency,
        stop.clone(),
        team::reconcile,
        team::error_policy,
        Arc::new(context),
    )
    .await;
}

async fn workspaces(
    args: &ControllerArgs,
    replica: &Replica,
    heard: mpsc::UnboundedReceiver<String>,
    stop: &CancellationToken,
) {
    let uids = stream::select(replica.backends.hints(), stream_of(heard));
    let wakes = wakes::of_workspaces(&replica.workspaces, &replica.teams, uids, replica.current.changes());
    let store = replica.workspaces.store().clone();
    let context = Arc::new(workspace_context(args, replica));
    let concurrency = args.pace.concurrency;
    let error_policy = workspace::error_policy;
    drive::drive(store, wakes, concurrency, stop.clone(), workspace::reconcile, error_policy, context).await;
}

fn workspace_context(args: &ControllerArgs, replica: &Replica) -> workspace::Context {
    let pace = &args.pace;
    let pauses = Pauses { first: pace.backoff_min, longest: pace.backoff_max };
    let client = &replica.cluster.client;
    workspace::Context {
        client: client.clone(),
        backends: replica.backends.clone(),
        config: replica.current.watch(),
        workspaces: replica.workspaces.store().clone(),
        teams: replica.teams.store().clone(),
        keys: replica.keys.clone(),
        liveness: replica.liveness.clone(),
        metrics: replica.metrics.clone(),
        events: replica.events.clone(),
        fresh: Fresh::default(),
        references: workspace::references::Reader::new(client.clone(), pace.references_period),
        failures: workspace::failures::Failures::new(Backoff::new(pauses)),
        told: workspace::told::Told::default(),
        slots: workspace::slots::Slots::default(),
        backoff: Backoff::new(pauses),
        settings: workspace::Settings {
            operator_namespace: replica.cluster.operator_namespace.clone(),
            resync: pace.resync.min(pace.references_period),
            periods: workspace::seen::Periods {
                pauses,
                healthy: pace.healthy_after,
                awaiting: pace.stalled_after,
                keep_failed_boot: pace.keep_failed_box,
            },
        },
        leadership: replica.leadership.clone(),
        progress: Mutex::default(),
    }
}

fn collector_context(args: &ControllerArgs, replica: &Replica) -> collector::Context {
    let collect = &args.collect;
    collector::Context {
        client: replica.cluster.client.clone(),
        operator_namespace: replica.cluster.operator_namespace.clone(),
        controller: args.cluster.controller_name.clone(),
        cluster: replica.cluster.id.clone(),
        config: args.cluster.backend_config.clone(),
        configs: replica.configs.clone(),
        search: replica.search.clone(),
        leadership: replica.leadership.clone(),
        events: replica.events.clone(),
        metrics: replica.metrics.clone(),
        settings: collector::Settings {
            period: collect.collect_period,
            is_dry_run: collect.collect_dry_run,
            max: usize::from(collect.collect_max),
        },
    }
}

/// An agent is called lost by the TTL of the config in effect.
async fn follow_ttl(replica: &Replica) {
    let mut changes = std::pin::pin!(stream::once(async {}).chain(replica.current.changes()));
    while changes.next().await.is_some() {
        if let Some(config) = replica.current.get() {
            let seconds = u64::try_from(config.heartbeat.ttl_seconds).unwrap_or(0);
            replica.liveness.set_ttl(Duration::from_secs(seconds));
        }
    }
}

fn stream_of(receiver: mpsc::UnboundedReceiver<String>) -> impl Stream<Item = String> + Send + 'static {
    stream::unfold(receiver, |mut receiver| async { receiver.recv().await.map(|uid| (uid, receiver)) })
}
