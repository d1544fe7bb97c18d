//! Merge: what a Team's spec says of each member, with the defaults under it.
//!
//! A child says only what the Team or the member says. What neither says is left to the Workspace's own
//! defaults and to people: server-side apply makes us the owner of every field in the body.

use crate::api::names;
use crate::api::team::{Member, MemberTemplate, TeamSpec};
use crate::api::workspace::{LocalRef, Prompts};
use serde::Serialize;

/// A Workspace as a Team wants it.
#[derive(Clone, Debug, PartialEq)]
pub struct Child {
    /// The member's name within the Team.
    pub member: String,
    /// The name of its Workspace.
    pub name: String,
    /// The member that it reports to.
    pub reports_to: Option<String>,
    /// What the Team says of its spec.
    pub spec: ChildSpec,
}

/// The part of a `WorkspaceSpec` that a Team decides; in JSON, the fields of `WorkspaceSpec` by their names.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChildSpec {
    /// What member and defaults say together.
    #[serde(flatten)]
    pub template: MemberTemplate,
    /// The Workspace of the member that this one reports to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_ref: Option<LocalRef>,
}

/// The children of a Team, by name: the order of the members means nothing.
pub fn children(team: &str, spec: &TeamSpec) -> Vec<Child> {
    let none = MemberTemplate::default();
    let defaults = spec.defaults.as_ref().unwrap_or(&none);
    let mut children: Vec<Child> =
        spec.members.iter().map(|member| child(team, spec.suspend, defaults, member)).collect();
    children.sort_by(|a, b| a.name.cmp(&b.name));
    children
}

fn child(team: &str, suspend: bool, defaults: &MemberTemplate, member: &Member) -> Child {
    let mut template = template(defaults, &member.template);
    template.plugins.retain(|plugin| !member.exclude_plugins.contains(&plugin.name));
    template.display_name.get_or_insert_with(|| member.name.clone());
    if suspend {
        template.suspend = Some(true);
    }
    Child {
        member: member.name.clone(),
        name: names::child(team, &member.name),
        reports_to: member.reports_to.clone(),
        spec: ChildSpec {
            template,
            parent_ref: member
                .reports_to
                .as_ref()
                .map(|parent| LocalRef { name: names::child(team, parent) }),
        },
    }
}

/// The member over the defaults. Every field is named, so that a new one cannot be forgotten here.
fn template(defaults: &MemberTemplate, member: &MemberTemplate) -> MemberTemplate {
    let MemberTemplate {
        runtime,
        tier,
        model,
        display_name,
        role,
        prompts,
        files,
        files_from,
        plugins,
        env,
        env_from,
        required_env,
        max_concurrent_tasks,
        storage,
        suspend,
        restarted_at,
    } = member;
    MemberTemplate {
        runtime: over(defaults.runtime.as_ref(), runtime.as_ref()),
        tier: over(defaults.tier.as_ref(), tier.as_ref()),
        model: over(defaults.model.as_ref(), model.as_ref()),
        display_name: over(defaults.display_name.as_ref(), display_name.as_ref()),
        role: over(defaults.role.as_ref(), role.as_ref()),
        prompts: merge_prompts(defaults.prompts.as_ref(), prompts.as_ref()),
        files: by_key(&defaults.files, files, |file| &file.path),
        files_from: appended(&defaults.files_from, files_from),
        plugins: by_key(&defaults.plugins, plugins, |plugin| &plugin.name),
        env: by_key(&defaults.env, env, |var| &var.name),
        env_from: appended(&defaults.env_from, env_from),
        required_env: appended(&defaults.required_env, required_env),
        max_concurrent_tasks: over(defaults.max_concurrent_tasks.as_ref(), max_concurrent_tasks.as_ref()),
        storage: over(defaults.storage.as_ref(), storage.as_ref()),
        suspend: over(defaults.suspend.as_ref(), suspend.as_ref()),
        restarted_at: over(defaults.restarted_at.as_ref(), restarted_at.as_ref()),
    }
}

fn over<T: Clone>(default: Option<&T>, member: Option<&T>) -> Option<T> {
    member.or(default).cloned()
}

fn appended<T: Clone>(defaults: &[T], member: &[T]) -> Vec<T> {
    defaults.iter().chain(member).cloned().collect()
}

/// The union, defaults first; the member's entry takes the place of the default of the same key.
fn by_key<T: Clone>(defaults: &[T], member: &[T], key: impl Fn(&T) -> &str) -> Vec<T> {
    let own = |wanted: &str| member.iter().find(|entry| key(entry) == wanted);
    let inherited = |wanted: &str| defaults.iter().any(|entry| key(entry) == wanted);
    let replaced = defaults.iter().map(|entry| own(key(entry)).unwrap_or(entry));
    let added = member.iter().filter(|entry| !inherited(key(entry)));
    replaced.chain(added).cloned().collect()
}

/// A prompt counts once, whether it is given inline or by reference: either form of the member's replaces
/// both forms of the default's.
fn merge_prompts(defaults: Option<&Prompts>, member: Option<&Prompts>) -> Option<Prompts> {
    let (Some(defaults), Some(member)) = (defaults, member) else {
        return member.or(defaults).cloned();
    };
    let of = |own: bool| if own { member } else { defaults };
    let system = of(member.system.is_some() || member.system_from.is_some());
    let initial = of(member.initial.is_some() || member.initial_from.is_some());
    Some(Prompts {
        system: system.system.clone(),
        system_from: system.system_from.clone(),
        initial: initial.initial.clone(),
        initial_from: initial.initial_from.clone(),
        idle: over(defaults.idle.as_ref(), member.idle.as_ref()),
    })
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;
