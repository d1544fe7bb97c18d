//! Which instance a call is about, and whether it is the caller's.

use super::auth::Caller;
use super::ec2::{Filter, Found};
use super::faults::Fault;
use super::ownership;
use super::parse;
use super::plane::ControlPlane;
use super::recent::Launched;
use super::state;
use crate::api::names;
use serde::Deserialize;
use std::time::Instant;

/// The parameters of a call about one instance.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Named {
    /// Its id.
    #[serde(default)]
    pub instance_id: Option<String>,
    /// The token that it was launched with.
    #[serde(default)]
    pub idempotency_key: Option<String>,
    /// Its cluster, where the caller may act for several.
    #[serde(default)]
    pub cluster_id: Option<String>,
}

/// A call about one instance, read.
#[derive(Clone, Debug)]
pub struct Which<'a> {
    caller: &'a Caller,
    workspace: &'a str,
    clusters: Vec<String>,
    by: By,
}

#[derive(Clone, Debug)]
enum By {
    Id(String),
    Key(String),
    Tags,
}

impl<'a> Which<'a> {
    /// Reads the parameters of a call.
    ///
    /// # Errors
    /// Names the parameter.
    pub fn new(caller: &'a Caller, workspace: &'a str, named: Named) -> Result<Self, Fault> {
        let Named { instance_id, idempotency_key, cluster_id } = named;
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        let clusters = match given(cluster_id) {
            Some(id) => vec![parse::cluster(Some(&id), caller)?.to_owned()],
            None => caller.clusters().map(str::to_owned).collect(),
        };
        let by = match (given(instance_id), given(idempotency_key)) {
            (Some(id), _) => By::Id(parse::resource_id("instance_id", "i-", &id)?.to_owned()),
            (None, Some(key)) => By::Key(parse::key(&key)?.to_owned()),
            (None, None) => By::Tags,
        };
        Ok(Self { caller, workspace: parse::workspace_id(workspace)?, clusters, by })
    }

    fn is_of(&self, found: &Found) -> Result<(), Fault> {
        let tags = &found.view.tags;
        ownership::check(tags, self.caller, Some(self.workspace))?;
        if self.clusters.iter().any(|cluster| ownership::has(tags, names::CLUSTER, cluster)) {
            return Ok(());
        }
        Err(Fault::foreign())
    }

    /// Whether a launch of moments ago may be what is meant.
    fn may_be(&self, launched: &Launched) -> bool {
        let named = match &self.by {
            By::Id(id) => launched.instance_id == *id,
            By::Key(key) => launched.key == *key,
            By::Tags => true,
        };
        named && launched.workspace == self.workspace && self.clusters.contains(&launched.cluster)
    }

    /// The instance, if EC2 shows it.
    ///
    /// # Errors
    /// When it is another's, when it was launched moments ago and is not shown yet, or when it is not the only one.
    pub async fn find(&self, plane: &ControlPlane) -> Result<Option<Found>, Fault> {
        let found = match &self.by {
            By::Id(id) => self.by_id(plane, id).await?,
            By::Key(key) => {
                let filters = vec![Filter::one_of("client-token", vec![key.clone()])];
                let all = plane.ec2.all_instances(filters).await?;
                let all: Vec<_> = all.into_iter().filter(|found| found.view.client_token == *key).collect();
                all.iter().try_for_each(|found| self.is_of(found))?;
                the_one(all)?
            }
            By::Tags => {
                let filters = vec![
                    Filter::tag(names::UID, self.workspace),
                    Filter::one_of(&format!("tag:{}", names::CLUSTER), self.clusters.clone()),
                ];
                let all = plane.ec2.all_instances(filters).await?;
                the_one(all.into_iter().filter(|found| self.is_of(found).is_ok()).collect())?
            }
        };
        if found.is_none() && plane.recent.any(Instant::now(), |launched| self.may_be(launched)) {
            return Err(Fault::not_visible_yet());
        }
        Ok(found)
    }

    async fn by_id(&self, plane: &ControlPlane, id: &str) -> Result<Option<Found>, Fault> {
        let stopping = || Fault::stopping(super::action::Action::DescribeInstances);
        let found = plane.lookups.ask(id.to_owned()).await.ok_or_else(stopping)??;
        found.as_ref().map_or(Ok(()), |found| self.is_of(found))?;
        Ok(found)
    }
}

/// The live one, or where none lives the one that was started last.
fn the_one(all: Vec<Found>) -> Result<Option<Found>, Fault> {
    let (live, ended): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|found| state::is_live(&found.view.state));
    if live.len() > 1 {
        return Err(Fault::ambiguous());
    }
    let last = ended.into_iter().max_by(|a, b| a.view.launched_at.cmp(&b.view.launched_at));
    Ok(live.into_iter().next().or(last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use atelier_wire::control_plane::InstanceView;

    fn found(id: &str, state: &str, at: &str) -> Found {
        let view = InstanceView {
            instance_id: id.into(),
            state: state.into(),
            launched_at: Some(at.into()),
            ..InstanceView::default()
        };
        Found { view, account_id: String::new() }
    }

    #[test]
    fn the_live_one_is_meant_or_the_last_that_ended() {
        let id = |all: Vec<Found>| the_one(all).map(|one| one.map(|found| found.view.instance_id));
        assert_eq!(id(vec![]), Ok(None));
        let ended = || {
            vec![
                found("i-1", "terminated", "2"),
                found("i-2", "shutting-down", "3"),
                found("i-3", "terminated", "1"),
            ]
        };
        assert_eq!(id(ended()), Ok(Some("i-2".into())));
        let mut one = ended();
        one.push(found("i-4", "stopped", "0"));
        assert_eq!(id(one.clone()), Ok(Some("i-4".into())));
        one.push(found("i-5", "pending", "0"));
        assert_eq!(id(one).unwrap_err().code, "Ambiguous");
    }
}
