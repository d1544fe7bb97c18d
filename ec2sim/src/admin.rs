//! The admin interface: faults, lag, deaths behind everybody's back, and the truth.

use crate::audit;
use crate::boot::BootOrder;
use crate::faults::Order;
use crate::log::{self, What};
use crate::sim::Sim;
use crate::truth;
use crate::world::model::StateReason;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::sync::Arc;

type Shared = State<Arc<Sim>>;

/// The routes below `/_sim`.
pub fn routes() -> Router<Arc<Sim>> {
    Router::new()
        .route("/_sim/world", get(world))
        .route("/_sim/settings", get(settings).post(set))
        .route("/_sim/lag", post(lag))
        .route("/_sim/faults", get(faults).post(add_faults).delete(clear_faults))
        .route("/_sim/boot-faults", get(boot_faults).post(add_boot_faults).delete(clear_boot_faults))
        .route("/_sim/calls", get(calls))
        .route("/_sim/instances", get(instances))
        .route("/_sim/instances/{id}/{action}", post(act))
        .route("/_sim/volumes", get(volumes))
        .route("/_sim/network-interfaces", get(interfaces))
        .route("/_sim/audit", get(audited))
        .route("/_sim/reset", post(reset))
}

/// A request that makes no sense.
struct Refused(StatusCode, String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, Json(json!({"error": self.1}))).into_response()
    }
}

fn bad(text: impl Into<String>) -> Refused {
    Refused(StatusCode::BAD_REQUEST, text.into())
}

/// Whatever the content type says: curl says a form.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refused> {
    serde_json::from_slice(body).map_err(|error| bad(error.to_string()))
}

/// One or a list of them.
fn read_some<T: DeserializeOwned>(body: &[u8]) -> Result<Vec<T>, Refused> {
    let value: Value = read(body)?;
    let list = match value {
        Value::Array(list) => list,
        one => vec![one],
    };
    list.into_iter().map(|one| serde_json::from_value(one).map_err(|error| bad(error.to_string()))).collect()
}

async fn world(State(sim): Shared) -> Json<Value> {
    Json(json!(sim.catalog()))
}

async fn settings(State(sim): Shared) -> Json<Value> {
    Json(sim.with(|state, _| json!(state.world.settings)))
}

/// Changes what is named, and leaves the rest.
async fn set(State(sim): Shared, body: Bytes) -> Result<Json<Value>, Refused> {
    let changes: serde_json::Map<String, Value> = read(&body)?;
    sim.with(|state, now| {
        let mut all = json!(state.world.settings);
        if let Some(all) = all.as_object_mut() {
            all.extend(changes);
        }
        state.world.settings = serde_json::from_value(all.clone()).map_err(|error| bad(error.to_string()))?;
        state.log.add(now, What::Admin { action: "settings", target: None });
        Ok(Json(all))
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Lag {
    ms: u64,
}

async fn lag(State(sim): Shared, body: Bytes) -> Result<StatusCode, Refused> {
    let Lag { ms } = read(&body)?;
    sim.with(|state, now| {
        state.world.settings.lag_ms = ms;
        state.log.add(now, What::Admin { action: "lag", target: Some(ms.to_string()) });
    });
    Ok(StatusCode::NO_CONTENT)
}

async fn faults(State(sim): Shared) -> Json<Value> {
    Json(sim.with(|state, _| json!(state.faults.all())))
}

async fn add_faults(State(sim): Shared, body: Bytes) -> Result<StatusCode, Refused> {
    let orders: Vec<Order> = read_some(&body)?;
    orders.iter().try_for_each(Order::check).map_err(bad)?;
    sim.with(|state, now| {
        for order in orders {
            state.faults.add(order);
        }
        state.log.add(now, What::Admin { action: "faults", target: None });
    });
    Ok(StatusCode::NO_CONTENT)
}

async fn clear_faults(State(sim): Shared) -> StatusCode {
    sim.with(|state, now| {
        state.faults.clear();
        state.log.add(now, What::Admin { action: "clear-faults", target: None });
    });
    StatusCode::NO_CONTENT
}

async fn boot_faults(State(sim): Shared) -> Json<Value> {
    Json(sim.with(|state, _| json!(state.boot_faults.all())))
}

async fn add_boot_faults(State(sim): Shared, body: Bytes) -> Result<StatusCode, Refused> {
    let orders: Vec<BootOrder> = read_some(&body)?;
    orders.iter().try_for_each(BootOrder::check).map_err(bad)?;
    sim.with(|state, now| {
        for order in orders {
            state.boot_faults.add(order);
        }
        state.log.add(now, What::Admin { action: "boot-faults", target: None });
    });
    Ok(StatusCode::NO_CONTENT)
}

async fn clear_boot_faults(State(sim): Shared) -> StatusCode {
    sim.with(|state, now| {
        state.boot_faults.clear();
        state.log.add(now, What::Admin { action: "clear-boot-faults", target: None });
    });
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    /// Only lines behind this one.
    #[serde(default)]
    after: u64,
    /// Only calls of this action.
    action: Option<String>,
}

async fn calls(State(sim): Shared, Query(which): Query<Which>) -> Response {
    let wanted = |what: &What| match (&which.action, what) {
        (None, _) => true,
        (Some(action), What::Call(call)) => call.action == *action,
        (Some(_), _) => false,
    };
    let text = sim.with(|state, _| {
        let skip = usize::try_from(which.after).unwrap_or(usize::MAX);
        let entries = state.log.entries().iter().skip(skip).filter(|entry| wanted(&entry.what));
        entries.fold(String::new(), |text, entry| text + &log::line(entry) + "\n")
    });
    ([(header::CONTENT_TYPE, "application/jsonl")], text).into_response()
}

async fn instances(State(sim): Shared) -> Json<Value> {
    Json(sim.with(|state, _| state.world.instances().map(truth::instance).collect()))
}

async fn volumes(State(sim): Shared) -> Json<Value> {
    Json(sim.with(|state, _| state.world.volumes().map(truth::volume).collect()))
}

async fn interfaces(State(sim): Shared) -> Json<Value> {
    Json(sim.with(|state, _| state.world.interfaces().map(truth::interface).collect()))
}

async fn act(
    State(sim): Shared,
    Path((id, action)): Path<(String, String)>,
    body: Bytes,
) -> Result<StatusCode, Refused> {
    let (action, usual) = match action.as_str() {
        "kill" => ("kill", StateReason::new("Server.InternalError", "Internal error")),
        "interrupt-spot" => {
            let code = "Server.SpotInstanceTermination";
            ("interrupt-spot", StateReason::new(code, "Spot instance termination"))
        }
        "stop" => {
            let code = "Server.ScheduledStop";
            ("stop", StateReason::new(code, "Stopped due to a scheduled retirement"))
        }
        other => {
            return Err(Refused(
                StatusCode::NOT_FOUND,
                format!("`{other}` is none of kill, interrupt-spot, stop"),
            ));
        }
    };
    let reason = if body.is_empty() { usual } else { read(&body)? };
    let done = sim.with(|state, now| {
        state.world.instance(&id)?;
        state.log.add(now, What::Admin { action, target: Some(id.clone()) });
        Some(match action {
            "stop" => state.world.stop_from_outside(&id, reason, now),
            _ => state.world.kill(&id, reason, now),
        })
    });
    match done {
        Some(true) => Ok(StatusCode::NO_CONTENT),
        Some(false) => Err(Refused(StatusCode::CONFLICT, format!("{id} is not in a state for {action}"))),
        None => Err(Refused(StatusCode::NOT_FOUND, format!("there is no {id}"))),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Whose {
    uid: Option<String>,
}

async fn audited(State(sim): Shared, Query(whose): Query<Whose>) -> Json<Value> {
    Json(sim.with(|state, _| json!(audit::audit(state.log.entries(), whose.uid.as_deref()))))
}

async fn reset(State(sim): Shared) -> StatusCode {
    sim.reset();
    StatusCode::NO_CONTENT
}
