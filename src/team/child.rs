//! Child: what is applied for one member, and whether an existing Workspace still says so.

use super::merge::Child;
use crate::api::team::Team;
use crate::api::{Workspace, names};
use kube::{Resource, ResourceExt};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// No object ever has this version, so an apply that carries it can create and cannot change anything.
const NOT_YET: &str = "1";

/// What is sent for one child.
#[derive(Clone, Debug, PartialEq)]
pub struct Body {
    /// The Workspace, with exactly the fields that the Team owns.
    pub json: Value,
    /// The hash of that, as it stands in the annotation.
    pub hash: String,
}

/// What to apply for a child.
///
/// The existing Workspace's uid goes with it; without one the apply can only create. So neither a Workspace
/// that was made by somebody else in the meantime is taken over, nor one that was just deleted made again.
/// Labels and annotations of the Team itself are not passed on: a tool that keeps the
/// Team as Git has it would take the child for one of its own and prune it.
pub fn body(team: &Team, child: &Child, existing_uid: Option<&str>) -> Body {
    let mut json = json!({
        "apiVersion": Workspace::api_version(&()),
        "kind": Workspace::kind(&()),
        "metadata": {
            "name": child.name,
            "labels": { names::TEAM: team.name_any(), names::MEMBER: child.member },
            "ownerReferences": [team.controller_owner_ref(&()).map(|owner| json!({
                "apiVersion": owner.api_version,
                "kind": owner.kind,
                "name": owner.name,
                "uid": owner.uid,
                "controller": true,
                "blockOwnerDeletion": true,
            }))],
        },
        "spec": child.spec,
    });
    let hash = hash(&json);
    json["metadata"]["annotations"] = json!({ names::APPLIED_HASH: hash });
    match existing_uid {
        Some(uid) => json["metadata"]["uid"] = uid.into(),
        None => json["metadata"]["resourceVersion"] = NOT_YET.into(),
    }
    Body { json, hash }
}

fn hash(json: &Value) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(json.to_string())[..16])
}

/// Whether a Workspace carries the hash of this body and still says everything that the body says.
///
/// The hash alone tells that nothing has to be taken away; a person's edit leaves it as it is.
pub fn says(existing: &Workspace, body: &Body) -> bool {
    if existing.annotations().get(names::APPLIED_HASH) != Some(&body.hash) {
        return false;
    }
    let Ok(live) = serde_json::to_value(existing) else { return false };
    contains(&live["spec"], &body.json["spec"], "")
        && contains(&live["metadata"]["labels"], &body.json["metadata"]["labels"], "")
        && contains(
            &live["metadata"]["ownerReferences"],
            &body.json["metadata"]["ownerReferences"],
            "ownerReferences",
        )
}

/// Whether a live value says all that was applied. Lists that are maps by schema may say more.
fn contains(live: &Value, applied: &Value, field: &str) -> bool {
    match (live, applied) {
        (Value::Object(live), Value::Object(applied)) => applied
            .iter()
            .all(|(name, wanted)| live.get(name).is_some_and(|found| contains(found, wanted, name))),
        (Value::Array(live), Value::Array(applied)) => match map_key(field) {
            Some(key) => applied.iter().all(|wanted| {
                live.iter().any(|found| found[key] == wanted[key] && contains(found, wanted, ""))
            }),
            None => live == applied,
        },
        _ => live == applied,
    }
}

/// The key of the lists that are maps by schema.
fn map_key(field: &str) -> Option<&'static str> {
    match field {
        "files" => Some("path"),
        "plugins" | "env" => Some("name"),
        "ownerReferences" => Some("uid"),
        _ => None,
    }
}
