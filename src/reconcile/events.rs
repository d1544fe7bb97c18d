//! Kubernetes events: told on transitions only, in order, and never in a reconcile's way.

use crate::api::condition::truncate;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, warn};

/// Everything that an event can be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventReason {
    /// A box was launched.
    Launched,
    /// The agent connected.
    Connected,
    /// The box was destroyed because its Workspace was deleted.
    Terminated,
    /// A Team's members all have their Workspaces.
    Expanded,
    /// The agent fell silent.
    Lost,
    /// A diagnosis was attached.
    Diagnosed,
    /// The box was stopped on request.
    Suspended,
    /// The box was started again on request.
    Resumed,
    /// The box was started again in place, on request or because it had stopped.
    Restarted,
    /// A box was replaced by one of a new attempt.
    Replaced,
    /// A box was given up because a person declared it gone for good.
    Forgotten,
    /// A Team's member was added after the Team was expanded.
    MemberAdded,
    /// A Team's member was removed.
    MemberRemoved,
    /// A box's files were asked for once more after the box had fetched them.
    BundleFetchedAgain,
    /// Something outside Kubernetes had no owner and was removed.
    OrphanRemoved,
}

impl EventReason {
    /// The word in the event.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Launched => "Launched",
            Self::Connected => "Connected",
            Self::Terminated => "Terminated",
            Self::Expanded => "Expanded",
            Self::Lost => "Lost",
            Self::Diagnosed => "Diagnosed",
            Self::Suspended => "Suspended",
            Self::Resumed => "Resumed",
            Self::Restarted => "Restarted",
            Self::Replaced => "Replaced",
            Self::Forgotten => "Forgotten",
            Self::MemberAdded => "MemberAdded",
            Self::MemberRemoved => "MemberRemoved",
            Self::BundleFetchedAgain => "BundleFetchedAgain",
            Self::OrphanRemoved => "OrphanRemoved",
        }
    }

    fn event_type(self) -> EventType {
        match self {
            Self::Lost
            | Self::Diagnosed
            | Self::Forgotten
            | Self::BundleFetchedAgain
            | Self::OrphanRemoved => EventType::Warning,
            Self::Launched
            | Self::Connected
            | Self::Terminated
            | Self::Expanded
            | Self::Suspended
            | Self::Resumed
            | Self::Restarted
            | Self::Replaced
            | Self::MemberAdded
            | Self::MemberRemoved => EventType::Normal,
        }
    }
}

/// The limits of the API server, in bytes.
const NOTE_MAX_BYTES: usize = 1024;
const ACTION_MAX_BYTES: usize = 128;
/// So many events may wait to be sent; what comes on top is dropped, and said so in the log.
const WAITING_MAX: usize = 1024;
const PUBLISH_DEADLINE: Duration = Duration::from_secs(5);

/// Tells events. Cheap to clone; clones tell through one recorder, in order.
#[derive(Clone, Debug)]
pub struct Events(mpsc::Sender<Message>);

#[derive(Debug)]
enum Message {
    Tell { about: Box<ObjectReference>, reason: EventReason, note: String },
    Flush(oneshot::Sender<()>),
}

impl Events {
    /// Starts the task that sends them. `instance` is this process's own name.
    pub fn new(client: Client, instance: &str) -> Self {
        let (sender, mut receiver) = mpsc::channel(WAITING_MAX);
        let instance = truncate(instance.to_owned(), 128);
        let reporter = Reporter { controller: "atelier.dev/controller".into(), instance: Some(instance) };
        let recorder = Recorder::new(client, reporter);
        tokio::spawn(async move {
            while let Some(message) = receiver.recv().await {
                match message {
                    Message::Tell { about, reason, note } => send(&recorder, &about, reason, note).await,
                    Message::Flush(done) => drop(done.send(())),
                }
            }
        });
        Self(sender)
    }

    /// Tells an event about an object, some time soon. Never fails and never waits.
    pub fn publish(&self, about: &ObjectReference, reason: EventReason, note: impl Into<String>) {
        let note = truncate(note.into(), NOTE_MAX_BYTES);
        let message = Message::Tell { about: Box::new(about.clone()), reason, note };
        if self.0.try_send(message).is_err() {
            warn!(event = reason.as_str(), "too many events wait to be sent; this one is dropped");
        }
    }

    /// Waits until what was told so far is sent.
    pub async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        if self.0.send(Message::Flush(done)).await.is_ok() {
            let _ = flushed.await;
        }
    }
}

async fn send(recorder: &Recorder, about: &ObjectReference, reason: EventReason, note: String) {
    let event = Event {
        type_: reason.event_type(),
        reason: reason.as_str().into(),
        // The recorder counts events of one object, reason and action as repetitions of the first and keeps
        // its note. With the note as the action only what says the same is a repetition.
        action: truncate(note.clone(), ACTION_MAX_BYTES),
        note: Some(note),
        secondary: None,
    };
    match tokio::time::timeout(PUBLISH_DEADLINE, recorder.publish(&event, about)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(event = reason.as_str(), %error, "an event could not be sent"),
        Err(_) => debug!(event = reason.as_str(), "an event could not be sent in time"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::testing::api_server;
    use serde_json::json;

    fn about() -> ObjectReference {
        ObjectReference { name: Some("w".into()), namespace: Some("ns".into()), ..Default::default() }
    }

    #[tokio::test]
    async fn events_arrive_in_order_each_with_its_own_note() {
        let reply = json!({"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e"}});
        let (client, calls) = api_server(201, reply);
        let events = Events::new(client, "here");
        events.publish(&about(), EventReason::Launched, "box one");
        events.publish(&about(), EventReason::Launched, "box two");
        events.publish(&about(), EventReason::Lost, "n".repeat(5000));
        events.flush().await;
        let calls = calls.lock().unwrap();
        let told: Vec<_> =
            calls.iter().map(|c| (c.method.as_str(), c.body["note"].as_str().unwrap())).collect();
        assert_eq!(told[..2], [("POST", "box one"), ("POST", "box two")]);
        assert_eq!(calls[2].body["type"], "Warning");
        assert!(told[2].1.len() <= NOTE_MAX_BYTES);
        assert!(calls[2].body["action"].as_str().unwrap().len() <= ACTION_MAX_BYTES);
    }

    #[tokio::test]
    async fn an_event_that_is_refused_is_nobodys_problem() {
        let failure =
            json!({"kind": "Status", "status": "Failure", "code": 403, "message": "m", "reason": "r"});
        let (client, calls) = api_server(403, failure);
        let events = Events::new(client, "here");
        events.publish(&about(), EventReason::Connected, "a");
        events.flush().await;
        assert_eq!(calls.lock().unwrap().len(), 1);
    }
}
