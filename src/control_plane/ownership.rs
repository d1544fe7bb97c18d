//! Whose something is: decided by its tags alone.

use super::auth::Caller;
use super::faults::Fault;
use crate::api::names;
use std::collections::BTreeMap;

/// The tags of something in EC2.
pub type Tags = BTreeMap<String, String>;

/// Whether tags have this value under this key.
pub fn has(tags: &Tags, key: &str, value: &str) -> bool {
    tags.get(key).is_some_and(|found| found == value)
}

/// Whether something belongs to one of the caller's clusters and to this workspace, where one is named.
///
/// # Errors
/// When it does not; says no more.
pub fn check(tags: &Tags, caller: &Caller, workspace: Option<&str>) -> Result<(), Fault> {
    let cluster = tags.get(names::CLUSTER).is_some_and(|cluster| caller.may_act_for(cluster));
    let workspace = workspace.is_none_or(|id| has(tags, names::UID, id));
    if cluster && workspace { Ok(()) } else { Err(Fault::foreign()) }
}

/// Whether a data volume may be attached to a machine of this workspace: its own, or one that was kept and is
/// brought back.
///
/// # Errors
/// When it may not; says no more.
pub fn check_volume(tags: &Tags, caller: &Caller, workspace: &str) -> Result<(), Fault> {
    let workspace = (!is_retained(tags)).then_some(workspace);
    check(tags, caller, workspace)
}

/// Whether something is to be kept when its workspace goes.
pub fn is_retained(tags: &Tags) -> bool {
    has(tags, names::RETAIN, "true")
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::caller;
    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> Tags {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn only_the_tags_of_cluster_and_workspace_together_make_it_ones_own() {
        let caller = caller(&["c1", "c2"]);
        for (pairs, workspace, own) in [
            (&[(names::CLUSTER, "c1"), (names::UID, "w")][..], Some("w"), true),
            (&[(names::CLUSTER, "c2"), (names::UID, "w")], Some("w"), true),
            (&[(names::CLUSTER, "c1"), (names::UID, "w")], None, true),
            (&[(names::CLUSTER, "c1")], None, true),
            (&[(names::CLUSTER, "c3"), (names::UID, "w")], Some("w"), false),
            (&[(names::CLUSTER, "c3")], None, false),
            (&[(names::CLUSTER, "c1"), (names::UID, "v")], Some("w"), false),
            (&[(names::CLUSTER, "c1")], Some("w"), false),
            (&[(names::UID, "w")], Some("w"), false),
            (&[("Name", "w")], Some("w"), false),
            (&[], None, false),
        ] {
            assert_eq!(check(&tags(pairs), &caller, workspace).is_ok(), own, "{pairs:?} {workspace:?}");
        }
    }

    #[test]
    fn a_kept_volume_can_be_brought_back_within_its_cluster() {
        let volume = |cluster, retain| {
            tags(&[(names::CLUSTER, cluster), (names::UID, "old"), (names::RETAIN, retain)])
        };
        assert!(check_volume(&volume("c1", "true"), &caller(&["c1"]), "new").is_ok());
        assert!(check_volume(&volume("c1", "false"), &caller(&["c1"]), "new").is_err());
        assert!(check_volume(&volume("c2", "true"), &caller(&["c1"]), "new").is_err());
    }
}
