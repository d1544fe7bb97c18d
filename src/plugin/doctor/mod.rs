//! Doctor: whether all is there that Atelier needs, from the person's own place.

pub mod checks;
mod definitions;

use super::args::DoctorArgs;
use super::cluster::{Answer, Cluster, Refusal};
use super::lease;
use super::live;
use super::terminal::{self, Terminal};
use super::{Done, End};
use crate::api::{BackendConfig, GROUP, crds};
use checks::{Check, Mark, Right};
use futures::future::join_all;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::api::{Api, ListParams, PostParams};
use kube::{Resource, ResourceExt};

/// Looks at everything.
///
/// # Errors
/// Never: what cannot be asked is a line of its own.
pub async fn doctor(cluster: &Cluster, terminal: Terminal, args: &DoctorArgs) -> Done {
    let version = cluster.ask(cluster.client.apiserver_version()).await.map(|info| info.git_version);
    let mut found = vec![checks::api_server(&version, &cluster.url)];
    // Whoever does not answer at all need not be asked ten times.
    if !matches!(version, Err(Refusal::NoCluster(_))) {
        found.extend(installation(cluster, args).await);
    }
    let _ = terminal::print(&checks::render(&found, terminal.paint));
    Ok(if found.iter().any(|check| check.mark == Mark::Fail) { End::Bad } else { End::Good })
}

async fn installation(cluster: &Cluster, args: &DoctorArgs) -> Vec<Check> {
    let ours = crds::all();
    let read_all = join_all(ours.iter().map(|crd| read::<CustomResourceDefinition>(cluster, crd.name_any())));
    let configs: Api<BackendConfig> = Api::all(cluster.client.clone());
    let all = ListParams::default();
    let (theirs, rights, configs, controller, service, answers) = tokio::join!(
        read_all,
        rights(cluster),
        cluster.list_of(&configs, &all),
        lease::look(cluster, &args.controller),
        read::<APIService>(cluster, live::API_SERVICE.to_owned()),
        live::answers(cluster),
    );
    let pairs: Vec<_> = ours.into_iter().zip(theirs).collect();
    let mut found = definitions::definitions(&pairs);
    found.extend(checks::rights(&rights, &cluster.namespace));
    found.push(checks::controller(&controller));
    let is_it =
        |config: &BackendConfig| args.backend_config.as_ref().is_none_or(|name| config.name_any() == *name);
    let configs = configs.map(|all| all.into_iter().filter(is_it).collect());
    found.extend(checks::configs(&configs, &controller));
    let service = service.map(|service| {
        let status = service?.status.unwrap_or_default();
        let words = status.conditions.unwrap_or_default().into_iter();
        Some(words.map(|c| (c.type_, c.reason.unwrap_or_default(), c.message.unwrap_or_default())).collect())
    });
    found.push(checks::live(&service, &answers));
    let itself = if answers.is_ok() { Some(live::controller(cluster).await) } else { None };
    found.push(checks::skew(itself.as_ref()));
    found
}

async fn read<K>(cluster: &Cluster, name: String) -> Answer<Option<K>>
where
    K: Resource<DynamicType = ()> + Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    let api: Api<K> = Api::all(cluster.client.clone());
    match cluster.ask(api.get(&name)).await {
        Ok(object) => Ok(Some(object)),
        Err(Refusal::Missing(_)) => Ok(None),
        Err(why) => Err(why),
    }
}

/// A permission: verbs, group, resource with subresource, and whether it is of the namespace.
type Wanted = (&'static [&'static str], &'static str, &'static str, bool);

/// What the commands need.
const WANTED: [(&str, bool, &str, &[Wanted]); 7] = [
    (
        "tree, diagnose, wait",
        true,
        "the role view",
        &[(&["list", "watch"], GROUP, "teams", true), (&["list", "watch"], GROUP, "workspaces", true)],
    ),
    ("see events", false, "the role view", &[(&["list"], "", "events", true)]),
    (
        "restart, suspend, resume",
        false,
        "the role edit",
        &[(&["patch"], GROUP, "teams", true), (&["patch"], GROUP, "workspaces", true)],
    ),
    (
        "see BackendConfigs and leases",
        false,
        "leave to list backendconfigs and leases",
        &[(&["list"], GROUP, "backendconfigs", false), (&["list"], "coordination.k8s.io", "leases", false)],
    ),
    ("logs", false, "the role view", &[(&["get"], live::GROUP, "workspaces/log", true)]),
    ("send", false, "the role edit", &[(&["create"], live::GROUP, "workspaces/message", true)]),
    (
        "orphans",
        false,
        "leave to list orphans of live.atelier.dev",
        &[(&["list"], live::GROUP, "orphans", false)],
    ),
];

async fn rights(cluster: &Cluster) -> Vec<Right> {
    join_all(WANTED.iter().map(|(purpose, needed, role, wanted)| async move {
        let each = wanted.iter().flat_map(|(verbs, group, resource, here)| {
            verbs.iter().map(move |verb| async move {
                let may = may(cluster, verb, group, resource, *here).await;
                (format!("{verb} {resource}"), may)
            })
        });
        let here = wanted.iter().all(|(.., here)| *here);
        Right { purpose, needed: *needed, here, role, parts: join_all(each).await }
    }))
    .await
}

async fn may(cluster: &Cluster, verb: &str, group: &str, resource: &str, here: bool) -> Answer<bool> {
    let (resource, subresource) = match resource.split_once('/') {
        Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
        None => (resource, None),
    };
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                verb: Some(verb.to_owned()),
                group: Some(group.to_owned()),
                resource: Some(resource.to_owned()),
                subresource,
                namespace: Some(cluster.namespace.clone()).filter(|_| here),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let reviews: Api<SelfSubjectAccessReview> = Api::all(cluster.client.clone());
    let answer = cluster.ask(reviews.create(&PostParams::default(), &review)).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}
