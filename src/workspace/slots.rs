//! Places that only so many may hold at once: launches of a Team, replacements of a rollout. In memory, on top
//! of what the statuses show, so that reconciles that run side by side do not all take the last one.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

/// The places that were given out. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Slots(Arc<Mutex<HashMap<String, HashSet<String>>>>);

impl Slots {
    /// Takes a place in a group, if those who hold one (by their statuses or by an earlier call) leave one.
    /// Taking a place twice is taking it once. Answers how many others hold one where none is left.
    pub fn take(&self, group: &str, uid: &str, limit: usize, holders: &HashSet<String>) -> Result<(), usize> {
        let mut groups = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let group = groups.entry(group.to_owned()).or_default();
        let others = group.union(holders).filter(|holder| *holder != uid).count();
        if others >= limit {
            group.remove(uid);
            return Err(others);
        }
        group.insert(uid.to_owned());
        Ok(())
    }

    /// Gives a place back.
    pub fn release(&self, group: &str, uid: &str) {
        let mut groups = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(holders) = groups.get_mut(group) {
            holders.remove(uid);
            if holders.is_empty() {
                groups.remove(group);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_hold_a_place() {
        let slots = Slots::default();
        let nobody = HashSet::new();
        assert_eq!(slots.take("team", "a", 2, &nobody), Ok(()));
        assert_eq!(slots.take("team", "a", 2, &nobody), Ok(()));
        assert_eq!(slots.take("team", "b", 2, &HashSet::from(["a".to_owned()])), Ok(()));
        assert_eq!(slots.take("team", "c", 2, &nobody), Err(2));
        slots.release("team", "a");
        assert_eq!(slots.take("team", "c", 2, &nobody), Ok(()));
    }
}
