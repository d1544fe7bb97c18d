//! The log of a Workspace's box.

use super::front::User;
use super::status::Refusal;
use super::{Live, review::Deed, slot};
use crate::backend::{BackendError, LogQuery, LogStream};
use crate::registry::Slot;
use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt, stream};
use kube::ResourceExt;
use serde::Deserialize;
use std::sync::Arc;

/// So many lines are answered where nothing is said, and at most.
const LINES: u32 = 100;
const LINES_MAX: u32 = 10_000;

/// What can be said of a log.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Wishes {
    tail_lines: Option<u32>,
    follow: Option<bool>,
}

impl Wishes {
    fn query(&self) -> LogQuery {
        LogQuery {
            tail_lines: self.tail_lines.unwrap_or(LINES).min(LINES_MAX),
            follow: self.follow.unwrap_or(false),
        }
    }
}

/// GET `…/namespaces/{namespace}/workspaces/{name}/log`.
pub async fn read(
    State(live): State<Arc<Live>>,
    Extension(user): Extension<User>,
    Path((namespace, name)): Path<(String, String)>,
    wishes: Result<Query<Wishes>, QueryRejection>,
) -> Result<Response, Refusal> {
    let deed = Deed { verb: "get", resource: "workspaces", subresource: "log", namespace, name };
    live.reviews.check(&user, &deed).await?;
    let Query(wishes) = wishes.map_err(|error| {
        Refusal::bad_request(format!("{}: tailLines is a number, follow true or false", error.body_text()))
    })?;
    let query = wishes.query();
    // Held for as long as the answer takes.
    let slot = slot(&live.logs, &user, "logs")?;
    let workspace = live.workspace(&deed.namespace, &deed.name)?;
    let status = workspace.status.as_ref();
    let recorded = status.and_then(|status| Some((status.placement.as_ref()?, status.instance_id.as_ref()?)));
    let Some((placement, id)) = recorded else {
        return Err(Refusal::bad_request(format!(
            "the Workspace {}/{} has no box now: kubectl describe workspace {} --namespace {} says why",
            deed.namespace, deed.name, deed.name, deed.namespace
        )));
    };
    let placement =
        live.backends.place(Some(placement)).map_err(|none| Refusal::unavailable(none.to_string()))?;
    let uid = workspace.uid().unwrap_or_default();
    let log = placement.log(&uid, id, query).await.map_err(|error| Refusal::of_backend(&error))?;
    let body = Body::from_stream(holding(log, slot));
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], body).into_response())
}

/// The same log, which holds its slot until it ends or nobody reads it any more.
fn holding(log: LogStream, slot: Slot) -> impl Stream<Item = Result<Bytes, BackendError>> + Send + 'static {
    stream::unfold((log, slot), |(mut log, slot)| async move {
        log.next().await.map(|piece| (piece, (log, slot)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_lines_unless_something_else_is_said() {
        let wishes = |tail_lines, follow| Wishes { tail_lines, follow }.query();
        assert_eq!(wishes(None, None), LogQuery { tail_lines: 100, follow: false });
        assert_eq!(wishes(Some(5), Some(true)), LogQuery { tail_lines: 5, follow: true });
        assert_eq!(wishes(Some(u32::MAX), None).tail_lines, LINES_MAX);
    }
}
