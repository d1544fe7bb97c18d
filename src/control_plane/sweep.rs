//! Everything of a cluster, a thousand a page, shared by all who ask at the same time.

use super::ec2::{Filter, Page};
use super::faults::Fault;
use super::ownership;
use super::plane::ControlPlane;
use crate::api::names;
use atelier_wire::control_plane::{InstancePage, Resources};
use futures::FutureExt;
use k8s_openapi::jiff::Timestamp;
use std::sync::Arc;

/// One page of a cluster's instances. `page` is what EC2 gave for the next one: nothing of it is kept here, so any
/// process can answer it.
///
/// # Errors
/// When EC2 does not answer.
pub async fn instances(
    plane: &Arc<ControlPlane>,
    cluster: &str,
    page: Option<String>,
) -> Result<InstancePage, Fault> {
    let (sharing, cluster) = (plane.clone(), cluster.to_owned());
    let key = (cluster.clone(), page.clone());
    plane.sweeps.join(key, || async move { ask_instances(&sharing, &cluster, page).await }.boxed()).await
}

async fn ask_instances(
    plane: &ControlPlane,
    cluster: &str,
    page: Option<String>,
) -> Result<InstancePage, Fault> {
    // Before the call: what is launched meanwhile may be missing.
    let observed_at = Timestamp::now().to_string();
    let first = page.is_none();
    let Page { found, next } = plane.ec2.instances(vec![Filter::tag(names::CLUSTER, cluster)], page).await?;
    let account_id = match found.first() {
        // Nothing there: it matters all the more whose nothing it is.
        None if first => plane.account.ask(&plane.ec2).await?,
        None => plane.account.id(&plane.ec2).await?,
        Some(one) => {
            plane.account.check(&one.account_id)?;
            plane.account.id(&plane.ec2).await?
        }
    };
    let instances = found
        .into_iter()
        .map(|found| found.view)
        .filter(|view| ownership::has(&view.tags, names::CLUSTER, cluster))
        .collect();
    let region = plane.ec2.region().to_owned();
    Ok(InstancePage { instances, next_page: next, observed_at, account_id, region })
}

/// A cluster's volumes and network interfaces.
///
/// # Errors
/// When EC2 does not answer.
pub async fn resources(plane: &Arc<ControlPlane>, cluster: &str) -> Result<Resources, Fault> {
    let (sharing, cluster) = (plane.clone(), cluster.to_owned());
    let key = cluster.clone();
    plane.resources.join(key, || async move { ask_resources(&sharing, &cluster).await }.boxed()).await
}

async fn ask_resources(plane: &ControlPlane, cluster: &str) -> Result<Resources, Fault> {
    let observed_at = Timestamp::now().to_string();
    let filters = || vec![Filter::tag(names::CLUSTER, cluster)];
    let (volumes, interfaces) =
        tokio::try_join!(plane.ec2.volumes(filters()), plane.ec2.network_interfaces(filters()))?;
    Ok(Resources {
        volumes: volumes.into_iter().filter(|v| ownership::has(&v.tags, names::CLUSTER, cluster)).collect(),
        network_interfaces: interfaces
            .into_iter()
            .filter(|interface| ownership::has(&interface.tags, names::CLUSTER, cluster))
            .collect(),
        observed_at,
        account_id: plane.account.id(&plane.ec2).await?,
        region: plane.ec2.region().to_owned(),
    })
}
