//! The small A2A endpoint: the agent card, and `message/send` answered with the message's own text.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use atelier_wire::{AgentCard, a2a, contract};
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::card::ServedCard;

/// Error codes of JSON-RPC 2.0.
const PARSE_ERROR: i32 = -32_700;
const INVALID_REQUEST: i32 = -32_600;
const METHOD_NOT_FOUND: i32 = -32_601;
const INVALID_PARAMS: i32 = -32_602;

#[derive(Clone)]
struct Endpoint {
    card: Arc<ServedCard>,
    answers: Arc<AtomicU64>,
}

/// The routes of the endpoint.
pub(crate) fn router(card: AgentCard) -> Router {
    let endpoint = Endpoint { card: Arc::new(card.into()), answers: Arc::default() };
    Router::new()
        .route(contract::AGENT_CARD_PATH, get(served_card))
        .route(contract::AGENT_CARD_PATH_OLD, get(served_card))
        .route("/healthz", get(async || "ok\n"))
        .route("/", post(message))
        .with_state(endpoint)
}

async fn served_card(State(endpoint): State<Endpoint>) -> Json<ServedCard> {
    Json(endpoint.card.as_ref().clone())
}

async fn message(State(endpoint): State<Endpoint>, body: Bytes) -> Json<Value> {
    let number = endpoint.answers.fetch_add(1, Ordering::Relaxed);
    Json(answer(&body, number))
}

/// The JSON-RPC answer to a request body. `number` tells one answer from the next.
fn answer(body: &[u8], number: u64) -> Value {
    let mut request = match serde_json::from_slice(body) {
        Ok(Value::Object(request)) => request,
        Ok(_) => return error(&Value::Null, INVALID_REQUEST, "the request must be one JSON object"),
        Err(cause) => return error(&Value::Null, PARSE_ERROR, &format!("the body is not JSON: {cause}")),
    };
    a2a::complete_request(&mut request, &format!("request-{number}"));
    let request = Value::Object(request);
    let id = &request["id"];
    match request["method"].as_str() {
        Some(a2a::MESSAGE_SEND) => {}
        Some(other) => {
            let known = format!("unknown method `{other}`; this agent knows `{}`", a2a::MESSAGE_SEND);
            return error(id, METHOD_NOT_FOUND, &known);
        }
        None => return error(id, INVALID_REQUEST, "`method` must be a string"),
    }
    let message = &request["params"]["message"];
    let Some(parts) = message["parts"].as_array() else {
        return error(id, INVALID_PARAMS, "`params.message.parts` must be a list");
    };
    let texts: Vec<_> = parts.iter().filter_map(|part| part["text"].as_str()).collect();
    let mut echo = json!({
        "kind": "message",
        "role": "agent",
        "messageId": format!("echo-{number}"),
        "parts": [{"kind": "text", "text": texts.join("\n")}],
    });
    if let Some(context) = message["contextId"].as_str() {
        echo["contextId"] = context.into();
    }
    json!({"jsonrpc": "2.0", "id": id, "result": echo})
}

fn error(id: &Value, code: i32, message: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(request: &Value) -> Value {
        answer(request.to_string().as_bytes(), 4)
    }

    #[test]
    fn a_message_comes_back() {
        let reply = ask(&json!({
            "jsonrpc": "2.0", "id": 7, "method": "message/send",
            "params": {"message": {
                "role": "user", "messageId": "m", "contextId": "c",
                "parts": [{"kind": "text", "text": "hello"}, {"kind": "data", "data": {}}, {"text": "you"}]
            }}
        }));
        assert_eq!(
            reply,
            json!({"jsonrpc": "2.0", "id": 7, "result": {
                "kind": "message", "role": "agent", "messageId": "echo-4", "contextId": "c",
                "parts": [{"kind": "text", "text": "hello\nyou"}]
            }})
        );
    }

    #[test]
    fn a_missing_envelope_is_filled_in() {
        let reply = ask(&json!({"method": "message/send", "params": {"message": {"parts": []}}}));
        assert_eq!((&reply["jsonrpc"], &reply["id"]), (&json!("2.0"), &json!("request-4")));
        assert!(reply["result"].is_object());
    }

    #[test]
    fn what_is_wrong_has_its_code() {
        let code = |body: &[u8]| answer(body, 0)["error"]["code"].as_i64();
        assert_eq!(code(b"{"), Some(-32_700));
        assert_eq!(code(b"[]"), Some(-32_600));
        assert_eq!(code(b"{}"), Some(-32_600));
        assert_eq!(code(br#"{"method": "tasks/get"}"#), Some(-32_601));
        assert_eq!(code(br#"{"method": "message/send"}"#), Some(-32_602));
    }
}
