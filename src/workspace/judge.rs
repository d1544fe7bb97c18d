//! Whether the platform's policy takes a Workspace as it is: runtime, tier, namespace, numbers. Pure.

use super::desired::Problem;
use crate::api::Reason;
use crate::api::Workspace;
use crate::api::backend_config::{BackendConfigSpec, Runtime, TierPolicy};
use crate::api::workspace::Tier;
use kube::ResourceExt;

/// What the platform grants: the runtime to start, and what its policy says of the tier.
#[derive(Clone, Copy, Debug)]
pub struct Granted<'a> {
    /// The runtime.
    pub runtime: &'a Runtime,
    /// The policy's entry for the tier, if it has one.
    pub tier: Option<&'a TierPolicy>,
}

/// How many Workspaces hold a place that this one would also need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// In the cluster.
    pub in_all: usize,
    /// In the namespace of this one.
    pub in_namespace: usize,
}

/// Counts who comes before this Workspace: whoever has a launch, and whoever is older.
pub fn census<'a>(ws: &Workspace, all: impl Iterator<Item = &'a Workspace>) -> Census {
    let place = |w: &Workspace| (w.creation_timestamp().map(|t| t.0), w.uid());
    let mine = place(ws);
    let mut census = Census::default();
    for other in all.filter(|o| o.uid() != ws.uid() && o.metadata.deletion_timestamp.is_none()) {
        let launched = other.status.as_ref().is_some_and(|s| s.launch.is_some());
        if launched || place(other) < mine {
            census.in_all += 1;
            census.in_namespace += usize::from(other.namespace() == ws.namespace());
        }
    }
    census
}

/// What the platform grants this Workspace.
///
/// # Errors
/// The first thing that its policy does not allow, with what it does allow.
pub fn judge<'a>(
    ws: &Workspace,
    config: &'a BackendConfigSpec,
    operator_namespace: &str,
    census: Census,
) -> Result<Granted<'a>, Problem> {
    let namespace = ws.namespace().unwrap_or_default();
    let policy = &config.policy;
    if namespace == operator_namespace {
        let message = format!(
            "Workspaces may not live in the operator's own namespace {namespace:?}: move it to another"
        );
        return Err(Problem::new(Reason::NotAllowedHere, message));
    }
    if let Some(allowed) = &policy.allowed_namespaces
        && !allowed.contains(&namespace)
    {
        let message = format!(
            "the platform's policy allows Workspaces in {}, not in {namespace:?}",
            list(allowed.iter().map(String::as_str))
        );
        return Err(Problem::new(Reason::NotAllowedHere, message));
    }
    let Some(runtime) = config.runtimes.iter().find(|r| r.name == ws.spec.runtime) else {
        let known = list(config.runtimes.iter().map(|r| r.name.as_str()));
        let message =
            format!("spec.runtime: {:?} is not in the BackendConfig, which has {known}", ws.spec.runtime);
        return Err(Problem::new(Reason::UnknownRuntime, message));
    };
    let tier = tier(ws.spec.tier, &namespace, policy.tiers.as_deref())?;
    let launched = ws.status.as_ref().is_some_and(|s| s.launch.is_some());
    if !launched {
        let limits = [
            (policy.max_workspaces, census.in_all, "spec.policy.maxWorkspaces"),
            (
                policy.max_workspaces_per_namespace,
                census.in_namespace,
                "spec.policy.maxWorkspacesPerNamespace",
            ),
            (
                config.docker.as_ref().and_then(|d| d.hosts.first()).and_then(|h| h.max_workspaces),
                census.in_all,
                "spec.docker.hosts[0].maxWorkspaces",
            ),
        ];
        for (limit, count, field) in limits {
            if let Some(limit) = limit
                && count >= usize::try_from(limit).unwrap_or(usize::MAX)
            {
                let message =
                    format!("{limit} Workspaces have a place, and BackendConfig {field} allows no more");
                return Err(Problem::new(Reason::QuotaExceeded, message));
            }
        }
    }
    Ok(Granted { runtime, tier })
}

fn tier<'a>(
    tier: Tier,
    namespace: &str,
    policy: Option<&'a [TierPolicy]>,
) -> Result<Option<&'a TierPolicy>, Problem> {
    let Some(policy) = policy else {
        if tier <= Tier::T2 {
            return Ok(None);
        }
        let message = format!(
            "spec.tier: {tier:?} is not allowed; without BackendConfig spec.policy.tiers T1 and T2 are"
        );
        return Err(Problem::new(Reason::TierNotAllowed, message));
    };
    let here = |t: &&TierPolicy| t.namespaces.as_ref().is_none_or(|n| n.iter().any(|n| n == namespace));
    if let Some(granted) = policy.iter().filter(here).find(|t| t.tier == tier) {
        return Ok(Some(granted));
    }
    let allowed = policy.iter().filter(here).map(|t| format!("{:?}", t.tier)).collect::<Vec<_>>();
    let message = format!(
        "spec.tier: {tier:?} is not allowed in namespace {namespace:?}; allowed: {}",
        list(allowed.iter().map(String::as_str))
    );
    Err(Problem::new(Reason::TierNotAllowed, message))
}

fn list<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<_> = words.collect();
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}
