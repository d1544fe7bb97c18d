//! Which change makes whom be looked at.

use super::drive::Wakes;
use crate::api::{ConditionType, Reason, Team, Workspace, condition};
use crate::reconcile::{Cache, Change};
use crate::team;
use futures::{Stream, StreamExt, stream};
use kube::runtime::reflector::ObjectRef;
use kube::{Resource, ResourceExt};
use std::fmt::Debug;
use std::sync::Arc;

/// What wakes Teams: what is wanted of them, and every change of their Workspaces.
pub fn of_teams(teams: &Cache<Team>, workspaces: &Cache<Workspace>) -> Wakes<Team> {
    let store = teams.store().clone();
    let concerned = workspaces.changes().flat_map(move |change| {
        stream::iter(match change {
            Change::Wanted(workspace) | Change::Status(workspace) | Change::Gone(workspace) => {
                team::concerned(&workspace, &store)
            }
            Change::Missed => Vec::new(),
        })
    });
    Wakes::at_first().one(wanted(teams)).one(concerned).all(missed(teams)).all(missed(workspaces))
}

/// What wakes Workspaces: what is wanted of them; uids of which a backend or the registry said something; the
/// Workspaces that they wait for; and whatever concerns all, such as the config.
pub fn of_workspaces(
    workspaces: &Cache<Workspace>,
    teams: &Cache<Team>,
    uids: impl Stream<Item = String> + Send + 'static,
    all: impl Stream<Item = ()> + Send + 'static,
) -> Wakes<Workspace> {
    let cache = workspaces.clone();
    let hinted = uids.filter_map(move |uid| std::future::ready(cache.reference(&uid)));
    let (cache, teams) = (workspaces.clone(), teams.clone());
    let waiting = workspaces.changes().flat_map(move |change| {
        stream::iter(match change {
            Change::Wanted(workspace) => children(&workspace, &cache),
            Change::Status(workspace) => waiting_for_slot(&workspace, &cache, &teams),
            Change::Gone(workspace) => {
                [children(&workspace, &cache), waiting_for_slot(&workspace, &cache, &teams)].concat()
            }
            Change::Missed => Vec::new(),
        })
    });
    Wakes::at_first().one(wanted(workspaces)).one(hinted).one(waiting).all(all).all(missed(workspaces))
}

fn wanted<K>(cache: &Cache<K>) -> impl Stream<Item = ObjectRef<K>> + Send + 'static + use<K>
where
    K: Resource<DynamicType = ()> + Clone + serde::de::DeserializeOwned + Debug + Send + Sync + 'static,
{
    cache.changes().filter_map(|change| {
        std::future::ready(match change {
            Change::Wanted(object) => Some(ObjectRef::from_obj(&*object)),
            Change::Status(_) | Change::Gone(_) | Change::Missed => None,
        })
    })
}

fn missed<K>(cache: &Cache<K>) -> impl Stream<Item = ()> + Send + 'static + use<K>
where
    K: Resource<DynamicType = ()> + Clone + serde::de::DeserializeOwned + Debug + Send + Sync + 'static,
{
    cache.changes().filter_map(|change| std::future::ready(matches!(change, Change::Missed).then_some(())))
}

type References = Vec<ObjectRef<Workspace>>;

fn references(found: Vec<Arc<Workspace>>) -> References {
    found.into_iter().map(|workspace| ObjectRef::from_obj(&*workspace)).collect()
}

/// Those that report to it: a parent that was missing may be there now.
fn children(parent: &Workspace, workspaces: &Cache<Workspace>) -> References {
    let (namespace, name) = (parent.namespace(), parent.name_any());
    references(workspaces.store().state_filter(|child| {
        child.spec.parent_ref.as_ref().is_some_and(|parent| parent.name == name)
            && child.namespace() == namespace
    }))
}

/// The members of its Team that wait for a slot, where the Team has slots at all.
fn waiting_for_slot(changed: &Workspace, workspaces: &Cache<Workspace>, teams: &Cache<Team>) -> References {
    let owner = |workspace: &Workspace| {
        workspace
            .owner_references()
            .iter()
            .find(|owner| owner.controller == Some(true))
            .map(|o| o.uid.clone())
    };
    let Some(team) = owner(changed) else { return Vec::new() };
    if teams.by_uid(&team).is_none_or(|team| team.spec.max_concurrent_launches == 0) {
        return Vec::new();
    }
    references(workspaces.store().state_filter(|member| {
        let conditions = member.status.as_ref().map_or(&[][..], |status| &status.conditions);
        let launched = condition::find(conditions, ConditionType::InstanceLaunched);
        launched.is_some_and(|launched| launched.reason == Reason::WaitingForSlot.as_str())
            && owner(member).as_ref() == Some(&team)
    }))
}
