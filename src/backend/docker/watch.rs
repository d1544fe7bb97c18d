//! Hints from an engine: its events, and a periodic list for what they missed.

use super::engine::{CALL, Engine};
use super::error::Refusal;
use crate::api::names;
use bollard::models::EventMessage;
use bollard::query_parameters::{EventsOptions, ListContainersOptions};
use futures::StreamExt;
use k8s_openapi::jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval, sleep};

/// The pause after the first failure; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// What tells of a box that it changed without us. Starts are ours, or the list finds them.
const ACTIONS: [&str; 3] = ["die", "oom", "destroy"];

/// All boxes of this controller: by id, the Workspace and the state in the engine's word.
type Boxes = BTreeMap<String, (String, String)>;

impl Engine {
    /// Gives hints for as long as it is polled; it never ends. The list of all boxes is read at once and
    /// then once a period; when the engine was away, every Workspace that is known there gets one hint.
    pub(crate) async fn watch(&self, period: Duration) {
        let mut known = Boxes::new();
        let mut pause = FIRST_PAUSE;
        let mut since = Timestamp::now().as_second();
        loop {
            // An error says no more than that the engine is away, which every call will notice by itself.
            if let Ok(now) = self.survey().await {
                let all: BTreeSet<_> =
                    known.values().chain(now.values()).map(|(uid, _)| uid.clone()).collect();
                for uid in all {
                    self.hints().give(uid);
                }
                known = now;
                pause = FIRST_PAUSE;
                // Its end is an error as well.
                let _ = self.follow(period, &mut since, &mut known).await;
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Follows the events until they end, and compares the list with the last one once a period.
    async fn follow(&self, period: Duration, since: &mut i64, known: &mut Boxes) -> Result<(), Refusal> {
        let mut filters = self.ours(None);
        filters.insert("type".into(), vec!["container".into()]);
        filters.insert("event".into(), ACTIONS.map(str::to_owned).into());
        let options = EventsOptions {
            since: Some(since.to_string()),
            filters: Some(filters),
            ..EventsOptions::default()
        };
        let mut events = pin!(self.client()?.events(Some(options)));
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        loop {
            tokio::select! {
                event = events.next() => {
                    let Some(Ok(event)) = event else { return Ok(()) };
                    *since = event.time.unwrap_or(*since);
                    if let Some(uid) = uid_of(event) {
                        self.hints().give(uid);
                    }
                }
                _ = ticks.tick() => {
                    let now = self.survey().await?;
                    for uid in changed(known, &now) {
                        self.hints().give(uid);
                    }
                    *known = now;
                }
            }
        }
    }

    async fn survey(&self) -> Result<Boxes, Refusal> {
        let options = ListContainersOptions {
            all: true,
            filters: Some(self.ours(None)),
            ..ListContainersOptions::default()
        };
        let listed =
            self.call("list containers", CALL, self.client()?.list_containers(Some(options))).await?;
        let boxes = listed.into_iter().filter_map(|container| {
            let uid = container.labels?.remove(names::UID)?;
            Some((container.id?, (uid, container.state?.to_string())))
        });
        Ok(boxes.collect())
    }
}

/// The Workspaces whose boxes differ between two lists.
fn changed(before: &Boxes, now: &Boxes) -> BTreeSet<String> {
    let differs = |one: &Boxes, other: &Boxes| {
        let different = one.iter().filter(|(id, seen)| other.get(*id) != Some(seen));
        different.map(|(_, (uid, _))| uid.clone()).collect::<Vec<_>>()
    };
    differs(before, now).into_iter().chain(differs(now, before)).collect()
}

fn uid_of(event: EventMessage) -> Option<String> {
    event.actor?.attributes?.remove(names::UID)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_went_or_changed_is_named_once() {
        let boxes = |entries: &[(&str, &str, &str)]| -> Boxes {
            entries.iter().map(|(id, uid, state)| ((*id).into(), ((*uid).into(), (*state).into()))).collect()
        };
        let before = boxes(&[("1", "same", "running"), ("2", "died", "running"), ("3", "went", "exited")]);
        let now = boxes(&[("1", "same", "running"), ("2", "died", "exited"), ("4", "came", "running")]);
        assert_eq!(changed(&before, &now), ["came", "died", "went"].map(str::to_owned).into());
        assert_eq!(changed(&now, &now), BTreeSet::new());
    }
}
