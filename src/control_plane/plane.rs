//! The control plane: what all calls share.

use super::account::Account;
use super::action::Action;
use super::batch::Batch;
use super::ec2::{Connect, Ec2, Filter, Found};
use super::faults::Fault;
use super::flight::Flights;
use super::images::Images;
use super::launch::RunOrder;
use super::metrics::Metrics;
use super::pace::Pace;
use super::preflight::DryRuns;
use super::recent::Recent;
use super::secrets::SecretStore;
use super::settings::Settings;
use super::terminate;
use atelier_wire::control_plane::{InstancePage, Resources};
use futures::FutureExt;
use std::collections::HashMap;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The most values that a filter of EC2 takes.
const FILTER_VALUES_MAX: usize = 200;

/// What EC2 shows of one instance; `None`: nothing.
pub type Shown = Result<Option<Found>, Fault>;

/// Everything that calls share. Nothing in it is the truth: that is in EC2's tags.
pub struct ControlPlane {
    /// The settings.
    pub settings: Arc<Settings>,
    /// Who may call.
    pub secrets: SecretStore,
    /// EC2.
    pub ec2: Arc<Ec2>,
    /// What is counted.
    pub metrics: Metrics,
    /// The account that EC2 answers for.
    pub account: Account,
    /// The devices of machine images.
    pub images: Images,
    /// What was launched moments ago.
    pub recent: Recent,
    /// Dry runs that were made moments ago.
    pub dry_runs: DryRuns,
    /// Launches under way.
    pub launches: Flights<RunOrder, Result<Found, Fault>>,
    /// Launches under way for clients that send no key, by cluster and workspace.
    pub unkeyed: Flights<(String, String), Result<Found, Fault>>,
    /// Sweeps under way, by cluster and page.
    pub sweeps: Flights<(String, Option<String>), Result<InstancePage, Fault>>,
    /// Lists of volumes and interfaces under way, by cluster.
    pub resources: Flights<String, Result<Resources, Fault>>,
    /// Questions about readiness under way.
    pub readiness: Flights<(), Result<(), Fault>>,
    /// Questions about single instances.
    pub lookups: Batch<String, Shown>,
    /// Terminations; each is answered with the state that the instance is in now.
    pub terminations: Batch<String, Result<String, Fault>>,
}

impl ControlPlane {
    /// Puts it together. No call is made yet. From `stopping` on nothing more is sent to EC2.
    pub async fn new(settings: Arc<Settings>, secrets: SecretStore, stopping: CancellationToken) -> Self {
        let metrics = Metrics::default();
        let periods = &settings.periods;
        let connect = Connect {
            region: settings.region.clone(),
            endpoint: settings.endpoint.clone(),
            pace: Pace::new(settings.share(), stopping),
            wait_max: periods.wait_max,
            call_deadline: periods.call_deadline,
            launch_deadline: periods.launch_deadline,
            metrics: metrics.clone(),
        };
        let ec2 = Arc::new(Ec2::connect(connect).await);
        let looking = ec2.clone();
        let lookups = Batch::new(periods.batch_window, FILTER_VALUES_MAX, move |ids: Vec<String>| {
            look_up(looking.clone(), ids).boxed()
        });
        let (ending, most) = (ec2.clone(), ec2.instances_max(Action::TerminateInstances));
        let terminations = Batch::new(periods.batch_window, most, move |ids: Vec<String>| {
            let ec2 = ending.clone();
            let terminate = move |ids| {
                let ec2 = ec2.clone();
                async move { ec2.terminate(ids).await }
            };
            terminate::all(ids, terminate).boxed()
        });
        Self {
            account: Account::new(&settings),
            images: Images::default(),
            recent: Recent::new(periods.visibility_window),
            dry_runs: DryRuns::new(periods.preflight_good_for, periods.preflight_bad_for),
            launches: Flights::default(),
            unkeyed: Flights::default(),
            sweeps: Flights::default(),
            resources: Flights::default(),
            readiness: Flights::default(),
            lookups,
            terminations,
            metrics,
            ec2,
            secrets,
            settings,
        }
    }
}

/// What EC2 shows of these instances. By a filter: among ids one that is not known would fail the whole call.
async fn look_up(ec2: Arc<Ec2>, ids: Vec<String>) -> HashMap<String, Shown> {
    let all = ec2.all_instances(vec![Filter::one_of("instance-id", ids.clone())]).await;
    match all {
        Ok(found) => {
            let mut by_id: HashMap<_, _> =
                found.into_iter().map(|found| (found.view.instance_id.clone(), found)).collect();
            ids.into_iter()
                .map(|id| {
                    let found = by_id.remove(&id);
                    (id, Ok(found))
                })
                .collect()
        }
        Err(fault) => ids.into_iter().map(|id| (id, Err(fault.clone()))).collect(),
    }
}
