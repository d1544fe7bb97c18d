//! What earlier sweeps suspected. Pure.

use crate::api::workspace::PlacementRecord;
use crate::backend::{Found, Survey};
use crate::metrics::Thing;
use k8s_openapi::jiff::Timestamp;
use std::collections::HashMap;

type World = HashMap<(Thing, String), Timestamp>;

/// Since when each thing was suspected at every survey of its world.
#[derive(Clone, Debug, Default)]
pub struct Memory(Vec<(PlacementRecord, World)>);

impl Memory {
    /// Takes in a survey: what it does not show any more, or what is above suspicion, is forgotten.
    pub fn saw(&mut self, survey: &Survey, is_suspect: impl Fn(&Found) -> bool) {
        let before = self.world(&survey.record).cloned().unwrap_or_default();
        let suspects = survey.found.iter().filter(|found| is_suspect(found));
        let now = suspects.map(|found| {
            let key = (found.thing, found.id.clone());
            let since = before.get(&key).copied().unwrap_or(survey.now);
            (key, since)
        });
        let now = now.collect();
        self.0.retain(|(record, _)| *record != survey.record);
        self.0.push((survey.record.clone(), now));
    }

    /// Since when this is suspected.
    pub fn since(&self, record: &PlacementRecord, thing: Thing, id: &str) -> Option<Timestamp> {
        self.world(record)?.get(&(thing, id.to_owned())).copied()
    }

    fn world(&self, record: &PlacementRecord) -> Option<&World> {
        self.0.iter().find(|(known, _)| known == record).map(|(_, world)| world)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::workspace::{Backend, Ec2World};

    fn survey(region: &str, second: i64, ids: &[&str]) -> Survey {
        let ec2 = Some(Ec2World { account_id: "1".into(), region: region.into() });
        let found = |id: &&str| Found {
            thing: Thing::Network,
            id: (*id).to_owned(),
            uid: "u".into(),
            namespace: "ns".into(),
            name: String::new(),
            attempt: None,
            made_at: None,
            is_retained: false,
            is_ending: false,
            is_in_use: false,
        };
        Survey {
            record: PlacementRecord { backend: Backend::Ec2, docker: None, ec2 },
            now: Timestamp::from_second(second).unwrap(),
            found: ids.iter().map(found).collect(),
        }
    }

    #[test]
    fn only_surveys_in_a_row_of_the_same_world_count() {
        let mut memory = Memory::default();
        let here = survey("a", 10, &["n"]);
        let since =
            |memory: &Memory| memory.since(&here.record, Thing::Network, "n").map(Timestamp::as_second);
        assert_eq!(since(&memory), None);
        memory.saw(&here, |_| true);
        memory.saw(&survey("a", 20, &["n", "m"]), |_| true);
        assert_eq!(since(&memory), Some(10));
        memory.saw(&survey("b", 30, &[]), |_| true);
        assert_eq!(since(&memory), Some(10), "another world says nothing of this one");
        memory.saw(&survey("a", 40, &["m"]), |_| true);
        memory.saw(&survey("a", 50, &["n"]), |_| true);
        assert_eq!(since(&memory), Some(50), "it was away in between");
        assert_eq!(memory.since(&here.record, Thing::Volume, "n"), None);
        memory.saw(&survey("a", 60, &["n"]), |_| false);
        memory.saw(&survey("a", 70, &["n"]), |_| true);
        assert_eq!(since(&memory), Some(70), "it had an owner in between");
    }
}
