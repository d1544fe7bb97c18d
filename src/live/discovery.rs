//! What this API says that it has.

use super::{GROUP, VERSION};
use axum::Json;
use serde_json::{Value, json};

/// GET `/apis/live.atelier.dev/v1alpha1`. The Workspaces themselves are not in it: those are of another group,
/// and two resources of one name would make `kubectl get workspaces` ambiguous.
pub async fn resources() -> Json<Value> {
    let resource = |name: &str, kind: &str, namespaced: bool, verb: &str| json!({"name": name, "singularName": "", "namespaced": namespaced, "kind": kind, "verbs": [verb]});
    Json(json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": format!("{GROUP}/{VERSION}"),
        "resources": [
            resource("controllers", "Controller", false, "get"),
            resource("orphans", "Orphan", false, "list"),
            resource("workspaces/log", "Log", true, "get"),
            resource("workspaces/message", "Message", true, "create"),
        ],
    }))
}

/// GET `/apis`.
pub async fn groups() -> Json<Value> {
    Json(json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": [described()]}))
}

/// GET `/apis/live.atelier.dev`.
pub async fn group() -> Json<Value> {
    let mut group = described();
    group["kind"] = json!("APIGroup");
    group["apiVersion"] = json!("v1");
    Json(group)
}

fn described() -> Value {
    let version = json!({"groupVersion": format!("{GROUP}/{VERSION}"), "version": VERSION});
    json!({"name": GROUP, "versions": [version], "preferredVersion": version})
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{APIGroup, APIGroupList, APIResourceList};

    #[tokio::test]
    async fn the_documents_are_what_kubernetes_reads() {
        let list: APIResourceList = serde_json::from_value(resources().await.0).unwrap();
        assert_eq!(list.group_version, "live.atelier.dev/v1alpha1");
        let names: Vec<_> = list.resources.iter().map(|resource| resource.name.as_str()).collect();
        assert_eq!(names, ["controllers", "orphans", "workspaces/log", "workspaces/message"]);
        let one: APIGroup = serde_json::from_value(group().await.0).unwrap();
        assert_eq!((one.name.as_str(), one.versions.len()), (GROUP, 1));
        let all: APIGroupList = serde_json::from_value(groups().await.0).unwrap();
        assert_eq!(all.groups[0].name, GROUP);
    }
}
