//! Live: what only the controller can tell of boxes, asked through the API server: logs, messages, orphans.

use super::args::{LogsArgs, SendArgs};
use super::cluster::{Answer, Cluster, Refusal};
use super::standing::{clean, one_line};
use super::terminal::{self, Paint, Terminal, pad, widest};
use super::{Done, End};
use axum::http::{HeaderMap, Method, Request};
use futures::AsyncBufReadExt;
use kube::client::Body;
use kube::core::Status;
use serde::Deserialize;
use serde_json::{Value, json};
use std::fmt::Write;
use std::io::Read;

/// The group of the API.
pub const GROUP: &str = "live.atelier.dev";
/// The object by which the API server knows it.
pub const API_SERVICE: &str = "v1alpha1.live.atelier.dev";
const ROOT: &str = "/apis/live.atelier.dev/v1alpha1";

fn workspace(cluster: &Cluster, name: &str, subresource: &str) -> String {
    format!("{ROOT}/namespaces/{}/workspaces/{name}/{subresource}", cluster.namespace)
}

fn request(method: Method, path: &str, body: &Value) -> Answer<Request<Vec<u8>>> {
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    request.body(body).map_err(|why| Refusal::Refused(format!("{path} is no path: {why}")))
}

fn get(path: &str) -> Answer<Request<Vec<u8>>> {
    request(Method::GET, path, &Value::Null)
}

/// Whether the API is there.
///
/// # Errors
/// When it does not answer.
pub async fn answers(cluster: &Cluster) -> Answer<()> {
    cluster.ask(cluster.client.request::<Value>(get(ROOT)?)).await.map(drop)
}

/// What the controller says of itself.
///
/// # Errors
/// When it does not answer.
pub async fn controller(cluster: &Cluster) -> Answer<Value> {
    cluster.ask(cluster.client.request(get(&format!("{ROOT}/controllers/self"))?)).await
}

/// Prints the log of a box.
///
/// # Errors
/// When it cannot be had; says why and what to do.
pub async fn logs(cluster: &Cluster, terminal: Terminal, args: &LogsArgs) -> Done {
    let path = workspace(cluster, &args.workspace, "log");
    let path = format!("{path}?tailLines={}&follow={}", args.tail, args.follow);
    let request = get(&path).map_err(|why| (End::Bad, why.to_string()))?;
    let lines =
        cluster.client.request_stream(request).await.map_err(|why| (End::Bad, words(cluster, &why)))?;
    let mut lines = std::pin::pin!(lines);
    let mut line = Vec::new();
    loop {
        line.clear();
        match lines.read_until(b'\n', &mut line).await {
            Ok(0) => return Ok(End::Good),
            Ok(_) => {
                let text = String::from_utf8_lossy(&line);
                // A terminal would obey what the agent prints.
                let text = if terminal.live { clean(&text) } else { text.into_owned() };
                if terminal::print(&text).is_err() {
                    return Ok(End::Good);
                }
            }
            Err(why) => return Err((End::Bad, format!("the log broke off: {why}"))),
        }
    }
}

/// Sends a message to an agent, and prints its answer.
///
/// # Errors
/// When it cannot be sent, or no answer came.
pub async fn send(cluster: &Cluster, terminal: Terminal, args: &SendArgs) -> Done {
    let bad = |why: String| (End::Bad, why);
    let mut text = args.text.join(" ");
    if text == "-" {
        text.clear();
        let read = std::io::stdin().read_to_string(&mut text);
        read.map_err(|why| bad(format!("the standard input cannot be read: {why}")))?;
    }
    if text.trim().is_empty() {
        return Err(bad("there is nothing to send: give a text".to_owned()));
    }
    let path = workspace(cluster, &args.workspace, "message");
    let request = request(Method::POST, &path, &json!({"text": text})).map_err(|why| bad(why.to_string()))?;
    let answer = tokio::time::timeout(args.timeout, cluster.client.request::<Value>(request)).await;
    let answer = answer
        .map_err(|_| {
            let seconds = args.timeout.as_secs();
            (
                End::Unknown,
                format!("no answer came within {seconds} s; whether the agent has the message is not known"),
            )
        })?
        .map_err(|why| {
            // It may have the message all the same.
            let too_late = matches!(&why, kube::Error::Api(status) if status.code == 504);
            (if too_late { End::Unknown } else { End::Bad }, words(cluster, &why))
        })?;
    let answer = answer.get("text").and_then(Value::as_str).unwrap_or_default();
    let answer = if terminal.live { clean(answer) } else { answer.to_owned() };
    let _ = terminal::print(&format!("{}\n", answer.trim_end_matches('\n')));
    Ok(End::Good)
}

/// Something outside Kubernetes without an owner.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Orphan {
    metadata: Named,
    backend: String,
    thing: String,
    owner: String,
    reason: String,
    since: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Named {
    name: String,
}

#[derive(Debug, Deserialize)]
struct Orphans {
    #[serde(default)]
    items: Vec<Orphan>,
}

/// Lists what the collector would remove now.
///
/// # Errors
/// When it cannot be had.
pub async fn orphans(cluster: &Cluster, terminal: Terminal) -> Done {
    let bad = |why: Refusal| (End::Bad, why.to_string());
    let request = get(&format!("{ROOT}/orphans")).map_err(bad)?.map(Body::from);
    let asked = async {
        // In full: what could not be searched stands in the headers.
        let response = cluster.client.send(request).await?;
        let unsearched = warnings(response.headers());
        let done = response.status();
        let body = response.into_body().collect_bytes().await?;
        Ok((unsearched, done, body))
    };
    let (unsearched, done, body) = cluster.ask(asked).await.map_err(bad)?;
    if !done.is_success() {
        let status = serde_json::from_slice(&body).unwrap_or_else(|_| {
            Status::failure(&String::from_utf8_lossy(&body), "").with_code(done.as_u16())
        });
        return Err((End::Bad, words(cluster, &kube::Error::Api(status.boxed()))));
    }
    let found: Orphans = serde_json::from_slice(&body)
        .map_err(|why| (End::Bad, format!("an answer that is not understood: {why}")))?;
    let _ = terminal::print(&table(&found.items, &unsearched, terminal.paint));
    Ok(if unsearched.is_empty() { End::Good } else { End::Unknown })
}

/// The texts of the headers that warn.
fn warnings(headers: &HeaderMap) -> Vec<String> {
    let text = |value: &str| {
        let quoted = value.split_once('"').and_then(|(_, rest)| rest.rsplit_once('"'));
        one_line(quoted.map_or(value, |(text, _)| text))
    };
    headers.get_all("warning").iter().filter_map(|value| value.to_str().ok()).map(text).collect()
}

fn table(orphans: &[Orphan], unsearched: &[String], paint: Paint) -> String {
    let mut warned = String::new();
    for why in unsearched {
        let _ = writeln!(warned, "{}", paint.warn(&format!("warning: {why}")));
    }
    if orphans.is_empty() {
        return match unsearched {
            [] => "nothing is without an owner: the collector would remove nothing\n".to_owned(),
            _ => format!("nothing was found without an owner where it was searched\n{warned}"),
        };
    }
    let headings = ["BACKEND", "THING", "ID", "OWNER", "SINCE", "WHY"].map(str::to_owned);
    let rows: Vec<[String; 6]> = orphans
        .iter()
        .map(|orphan| {
            let since = orphan.since.as_deref().unwrap_or("-");
            [&orphan.backend, &orphan.thing, &orphan.metadata.name, &orphan.owner, since, &orphan.reason]
                .map(one_line)
        })
        .collect();
    let width = |n: usize| widest(rows.iter().chain([&headings]).map(|cells| cells[n].as_str()));
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let line = |cells: &[String]| {
        let filled: Vec<String> = cells.iter().zip(&widths).map(|(cell, width)| pad(cell, *width)).collect();
        filled.join("  ").trim_end().to_owned()
    };
    let mut text = format!("{}\n", paint.dim(&line(&headings)));
    for row in &rows {
        let _ = writeln!(text, "{}", line(row));
    }
    text + &warned
}

/// What a failed call is to a person.
fn words(cluster: &Cluster, error: &kube::Error) -> String {
    match (error, cluster.refusal(error)) {
        (kube::Error::Api(status), refusal) => of_status(status).unwrap_or_else(|| match refusal {
            // What the controller says of itself is for people already.
            Refusal::Refused(_) => status.message.clone(),
            other => other.to_string(),
        }),
        (_, refusal) => refusal.to_string(),
    }
}

/// What an answer means that only this API gives; `None` for those that say it themselves.
fn of_status(status: &Status) -> Option<String> {
    let of_aggregator = status.code == 503 && status.details.is_none();
    let no_such_path =
        status.code == 404 && status.details.as_ref().is_none_or(|details| details.name.is_empty());
    let unknown = no_such_path
        && (status.message.contains("page not found")
            || status.message.contains("could not find the requested"));
    if unknown {
        return Some(format!(
            "the API {GROUP} is not there: install it with the Helm chart (live.enabled) and start the controllers with --live-bind; `kubectl atelier doctor` shows what is missing"
        ));
    }
    if of_aggregator {
        return Some(format!(
            "the API {GROUP} is registered and does not answer ({}): see `kubectl atelier doctor`",
            status.message.trim()
        ));
    }
    let later = status.details.as_ref().map(|details| details.retry_after_seconds).filter(|s| *s > 0);
    later.map(|seconds| format!("{} (try again in {seconds} s)", status.message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16, message: &str, details: &Value) -> Status {
        serde_json::from_value(json!({
            "status": "Failure", "code": code, "message": message, "reason": "r", "details": details,
        }))
        .unwrap()
    }

    #[test]
    fn whether_the_api_or_the_thing_is_missing_is_told_apart() {
        let none = Value::Null;
        let absent = of_status(&status(404, "404 page not found\n", &none)).unwrap();
        assert!(absent.contains("is not there: install it"), "{absent}");
        let away = of_status(&status(503, "service unavailable\n", &none)).unwrap();
        assert!(away.contains("does not answer (service unavailable)"), "{away}");
        let missing = status(404, "workspaces \"w\" not found", &json!({"name": "w"}));
        assert_eq!(of_status(&missing), None, "it says so itself");
        let later = of_status(&status(503, "the agent is not up", &json!({"retryAfterSeconds": 3})));
        assert_eq!(later.as_deref(), Some("the agent is not up (try again in 3 s)"));
    }

    #[test]
    fn what_was_not_searched_is_not_called_empty() {
        let mut headers = HeaderMap::new();
        headers.append("warning", "299 - \"not everything was searched: Docker is away\"".parse().unwrap());
        let unsearched = warnings(&headers);
        assert_eq!(unsearched, ["not everything was searched: Docker is away"]);
        assert_eq!(
            table(&[], &unsearched, Paint::Plain),
            "\
nothing was found without an owner where it was searched
warning: not everything was searched: Docker is away
"
        );
    }

    #[test]
    fn orphans_are_a_table() {
        let list: Orphans = serde_json::from_value(json!({"items": [
            {"metadata": {"name": "0123456789ab"}, "kind": "Orphan", "backend": "Docker", "thing": "Container",
             "owner": "demo/w", "reason": "there is no such\nWorkspace", "since": "2026-09-21T14:15:00Z"},
            {"metadata": {"name": "vol-1"}, "backend": "EC2", "thing": "Volume", "owner": "uid", "reason": "r"},
        ]}))
        .unwrap();
        assert_eq!(
            table(&list.items, &[], Paint::Plain),
            "\
BACKEND  THING      ID            OWNER   SINCE                 WHY
Docker   Container  0123456789ab  demo/w  2026-09-21T14:15:00Z  there is no such Workspace
EC2      Volume     vol-1         uid     -                     r
"
        );
        assert!(table(&[], &[], Paint::Plain).starts_with("nothing is without an owner"));
    }
}
