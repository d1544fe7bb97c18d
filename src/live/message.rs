//! A message to a Workspace's agent, and its answer.

use super::front::User;
use super::review::Deed;
use super::status::Refusal;
use super::{GROUP, Live, VERSION, slot};
use crate::backend::printable;
use crate::registry;
use atelier_wire::{BODY_MAX_BYTES, a2a};
use axum::extract::{DefaultBodyLimit, FromRequest, Path, Request, State};
use axum::http::StatusCode;
use axum::{Extension, Json, body::Bytes};
use data_encoding::HEXLOWER;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// How long a body may take to arrive.
const BODY_DEADLINE: Duration = Duration::from_secs(10);
/// How long an agent may take: the API server itself gives up after a minute, and says less.
const ANSWER_DEADLINE: Duration = Duration::from_secs(50);
/// The longest answer that is read, in bytes.
const ANSWER_MAX_BYTES: usize = 1 << 20;

/// What a body must be, for people.
const FORM: &str = r#"send {"text": "what to say"}"#;

#[derive(Deserialize)]
struct Message {
    text: String,
}

/// POST `…/namespaces/{namespace}/workspaces/{name}/message`.
pub async fn send(
    State(live): State<Arc<Live>>,
    Extension(user): Extension<User>,
    Path((namespace, name)): Path<(String, String)>,
    request: Request,
) -> Result<Json<Value>, Refusal> {
    let deed = Deed { verb: "create", resource: "workspaces", subresource: "message", namespace, name };
    live.reviews.check(&user, &deed).await?;
    let _slot = slot(&live.messages, &user, "messages")?;
    let message = message(request).await?;
    let workspace = live.workspace(&deed.namespace, &deed.name)?;
    let not_up = || {
        Refusal::unavailable(format!(
            "the agent of {}/{} is not up: kubectl describe workspace {} --namespace {} says why",
            deed.namespace, deed.name, deed.name, deed.namespace
        ))
    };
    let url = registry::agent_url(&workspace).ok_or_else(not_up)?;
    let call = live.to_agents.post(url).timeout(live.answer_deadline).json(&envelope(&message.text));
    let refused = |error: reqwest::Error| match () {
        () if error.is_connect() => not_up(),
        () if error.is_timeout() => Refusal::timeout(format!(
            "the agent did not answer within {} s; it may have the message all the same",
            live.answer_deadline.as_secs()
        )),
        () => Refusal::internal("the agent's answer is no HTTP"),
    };
    let mut answer = call.send().await.map_err(refused)?;
    let status = answer.status();
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(refused)? {
        if body.len() + chunk.len() > ANSWER_MAX_BYTES {
            return Err(Refusal::internal(format!(
                "the agent's answer is longer than {ANSWER_MAX_BYTES} bytes"
            )));
        }
        body.extend_from_slice(&chunk);
    }
    let said = said(&body).map_err(|why| {
        let as_what = if status.is_success() { String::new() } else { format!("answered {status} and ") };
        Refusal::internal(format!("the agent {as_what}{why}"))
    })?;
    let text = printable(said.as_bytes());
    Ok(Json(json!({"kind": "Message", "apiVersion": format!("{GROUP}/{VERSION}"), "text": text})))
}

/// How long an agent may take.
pub fn answer_deadline() -> Duration {
    ANSWER_DEADLINE
}

async fn message(mut request: Request) -> Result<Message, Refusal> {
    DefaultBodyLimit::max(BODY_MAX_BYTES).apply(&mut request);
    let body = match tokio::time::timeout(BODY_DEADLINE, Bytes::from_request(request, &())).await {
        Ok(Ok(body)) => body,
        Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            return Err(Refusal::too_large(format!("the message is longer than {BODY_MAX_BYTES} bytes")));
        }
        Ok(Err(_)) => return Err(Refusal::bad_request("the body could not be read to its end")),
        Err(_) => return Err(Refusal::timeout("the body did not arrive in time")),
    };
    let message: Message =
        serde_json::from_slice(&body).map_err(|error| Refusal::bad_request(format!("{error}: {FORM}")))?;
    if message.text.trim().is_empty() {
        return Err(Refusal::bad_request(format!("the text is empty: {FORM}")));
    }
    Ok(message)
}

/// The request as A2A wants it.
fn envelope(text: &str) -> Value {
    let id = || HEXLOWER.encode(&rand::random::<[u8; 8]>());
    json!({
        "jsonrpc": "2.0",
        "id": id(),
        "method": a2a::MESSAGE_SEND,
        "params": {"message": {
            "kind": "message",
            "role": "user",
            "messageId": id(),
            "parts": [{"kind": "text", "text": text}],
        }},
    })
}

/// What an agent answers: a message, or a task with what came of it so far.
fn said(body: &[u8]) -> Result<String, String> {
    let answer: Value =
        serde_json::from_slice(body).map_err(|_| "answered something that is no JSON".to_owned())?;
    if let Some(error) = answer.get("error").filter(|error| !error.is_null()) {
        let words = error["message"].as_str().or(error.as_str()).unwrap_or("an error without a message");
        return Err(format!("refused the message: {}", printable(words.as_bytes())));
    }
    let result = &answer["result"];
    let of_artifacts = || {
        let artifacts = result["artifacts"].as_array()?;
        Some(artifacts.iter().filter_map(texts).collect::<Vec<_>>().join("\n"))
    };
    let full = |text: &String| !text.is_empty();
    let text = texts(result)
        .filter(full)
        .or_else(|| of_artifacts().filter(full))
        .or_else(|| texts(&result["status"]["message"]).filter(full));
    match (text, result["status"]["state"].as_str()) {
        (Some(text), _) => Ok(text),
        (None, Some(state)) => Ok(format!("The agent took the message as a task, which is {state}.")),
        (None, None) if result["parts"].is_array() => Ok(String::new()),
        (None, None) => Err("answered neither a message nor a task".to_owned()),
    }
}

/// The texts of a message or an artifact; none where it is neither.
fn texts(of: &Value) -> Option<String> {
    let parts = of["parts"].as_array()?;
    Some(parts.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(result: &Value) -> Result<String, String> {
        said(json!({"jsonrpc": "2.0", "id": "1", "result": result}).to_string().as_bytes())
    }

    #[test]
    fn the_texts_of_an_answer_are_what_the_agent_says() {
        let parts = json!([{"kind": "text", "text": "one"}, {"kind": "data", "data": {}}, {"text": "two"}]);
        assert_eq!(answered(&json!({"kind": "message", "parts": parts})), Ok("one\ntwo".into()));
        assert_eq!(answered(&json!({"kind": "message", "parts": []})), Ok(String::new()));
        let task = json!({
            "kind": "task",
            "status": {"state": "completed", "message": {"parts": [{"text": "done"}]}},
            "artifacts": [{"parts": [{"text": "a"}]}, {"parts": [{"text": "b"}]}],
        });
        assert_eq!(answered(&task), Ok("a\nb".into()));
        let task = json!({"kind": "task", "status": {"state": "completed", "message": {"parts": [{"text": "done"}]}}});
        assert_eq!(answered(&task), Ok("done".into()));
        let task = json!({"kind": "task", "status": {"state": "working"}});
        assert_eq!(answered(&task), Ok("The agent took the message as a task, which is working.".into()));
    }

    #[test]
    fn what_is_no_answer_is_not_made_one() {
        assert!(answered(&Value::Null).is_err());
        assert!(answered(&json!({"kind": "message"})).is_err());
        assert!(said(b"<html>").is_err());
        let refused = json!({"jsonrpc": "2.0", "error": {"code": -32600, "message": "no \u{1b}[31mtea"}});
        assert_eq!(said(refused.to_string().as_bytes()), Err("refused the message: no tea".into()));
    }

    #[test]
    fn a_message_is_sent_as_the_user_s() {
        let sent = envelope("hello");
        assert_eq!(sent["method"], "message/send");
        assert_eq!(sent["params"]["message"]["role"], "user");
        assert_eq!(sent["params"]["message"]["parts"], json!([{"kind": "text", "text": "hello"}]));
        assert_ne!(sent["id"], envelope("hello")["id"]);
    }
}
