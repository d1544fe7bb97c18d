//! What concerns no single Workspace: what has no owner, and the controller that answers.

use super::front::User;
use super::review::Deed;
use super::status::Refusal;
use super::{GROUP, Live, VERSION, slot};
use crate::api::workspace::Backend;
use crate::collector::Orphan;
use crate::metrics::Thing;
use crate::reconcile::Standing;
use axum::extract::{Path, State};
use axum::http::HeaderValue;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use kube::runtime::reflector::ObjectRef;
use serde_json::{Value, json};
use std::sync::Arc;

/// The one name that a controller has: that of whoever answers.
const SELF: &str = "self";

/// GET `…/orphans`.
pub async fn orphans(
    State(live): State<Arc<Live>>,
    Extension(user): Extension<User>,
) -> Result<Response, Refusal> {
    let deed = Deed {
        verb: "list",
        resource: "orphans",
        subresource: "",
        namespace: String::new(),
        name: String::new(),
    };
    live.reviews.check(&user, &deed).await?;
    let _slot = slot(&live.searches, &user, "searches")?;
    let found = live
        .search
        .orphans()
        .await
        .map_err(|why| Refusal::unavailable(format!("nothing is collected now: {why}")))?;
    let items: Vec<_> = found.items.iter().map(item).collect();
    if let (true, Some(error)) = (items.is_empty(), found.unlisted.first()) {
        return Err(Refusal::of_backend(error));
    }
    let list = json!({"kind": "OrphanList", "apiVersion": version(), "metadata": {}, "items": items});
    let mut response = Json(list).into_response();
    for error in &found.unlisted {
        if let Ok(warning) = HeaderValue::from_str(&warning(&error.to_string())) {
            response.headers_mut().append("warning", warning);
        }
    }
    Ok(response)
}

/// A header that kubectl shows: this backend was not searched.
fn warning(why: &str) -> String {
    let plain: String = why
        .chars()
        .map(|c| if c == '"' || c == '\\' || !(' '..='~').contains(&c) { '\'' } else { c })
        .collect();
    format!("299 - \"not everything was searched: {plain}\"")
}

fn item(orphan: &Orphan) -> Value {
    let thing = match (orphan.thing, orphan.backend) {
        (Thing::Box, Backend::Docker) => "Container",
        (Thing::Box, Backend::Ec2) => "Instance",
        (Thing::Volume, _) => "Volume",
        (Thing::Network, _) => "Network",
        (Thing::NetworkInterface, _) => "NetworkInterface",
    };
    let mut item = json!({
        "kind": "Orphan",
        "apiVersion": version(),
        "metadata": {"name": orphan.id},
        "backend": orphan.backend,
        "thing": thing,
        "owner": orphan.owner,
        "reason": orphan.reason,
    });
    if let Some(since) = orphan.since {
        item["since"] = json!(since.to_string());
    }
    item
}

/// GET `…/controllers/{name}`.
pub async fn controller(
    State(live): State<Arc<Live>>,
    Extension(user): Extension<User>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let deed = Deed {
        verb: "get",
        resource: "controllers",
        subresource: "",
        namespace: String::new(),
        name: name.clone(),
    };
    live.reviews.check(&user, &deed).await?;
    if name != SELF {
        return Err(Refusal::not_found(format!("there is no controller {name:?}: ask for {SELF:?}")));
    }
    let config = live.configs.store().get(&ObjectRef::new(&live.about.config));
    let registry = config.map(|config| json!({"advertiseURL": config.spec.registry.advertise_url}));
    Ok(Json(json!({
        "kind": "Controller",
        "apiVersion": version(),
        "metadata": {"name": SELF},
        "version": env!("CARGO_PKG_VERSION"),
        "identity": live.about.identity,
        "leader": live.leadership.standing() == Standing::Leading,
        "controller": live.about.controller,
        "operatorNamespace": live.about.operator_namespace,
        "registry": registry.unwrap_or_else(|| json!({})),
    })))
}

fn version() -> String {
    format!("{GROUP}/{VERSION}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::jiff::Timestamp;

    #[test]
    fn an_orphan_is_told_in_the_words_of_its_backend() {
        let orphan = Orphan {
            backend: Backend::Docker,
            thing: Thing::Box,
            id: "c1".into(),
            owner: "ns/w".into(),
            reason: "the Workspace ns/w (u) is gone".into(),
            since: Some(Timestamp::UNIX_EPOCH),
        };
        let told = item(&orphan);
        assert_eq!(
            told,
            json!({
                "kind": "Orphan", "apiVersion": "live.atelier.dev/v1alpha1", "metadata": {"name": "c1"},
                "backend": "Docker", "thing": "Container", "owner": "ns/w",
                "reason": "the Workspace ns/w (u) is gone", "since": "1970-01-01T00:00:00Z",
            })
        );
        let instance = item(&Orphan { backend: Backend::Ec2, since: None, ..orphan });
        assert_eq!((&instance["backend"], &instance["thing"]), (&json!("EC2"), &json!("Instance")));
        assert_eq!(instance.get("since"), None);
    }

    #[test]
    fn a_warning_is_one_quoted_line() {
        assert_eq!(warning("a \"b\"\nc\\d"), "299 - \"not everything was searched: a 'b''c'd\"");
    }
}
