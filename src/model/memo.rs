//! Values that are found out once: by a number, and by the question that they answer.

use super::hashing::FastMap;
use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;

/// Values by number. Two are the same if they print the same.
pub(super) struct Values<T> {
    all: Vec<T>,
    numbers: HashMap<String, u16>,
}

impl<T> Default for Values<T> {
    fn default() -> Self {
        Self { all: Vec::new(), numbers: HashMap::new() }
    }
}

impl<T: Debug> Values<T> {
    pub(super) fn number(&mut self, value: T) -> u16 {
        let next = u16::try_from(self.all.len()).unwrap();
        *self.numbers.entry(format!("{value:?}")).or_insert_with(|| {
            self.all.push(value);
            next
        })
    }

    pub(super) fn get(&self, number: u16) -> &T {
        &self.all[usize::from(number)]
    }
}

/// Looks up in one of the tables, or finds out and remembers.
pub(super) fn remembered<T, K: Copy + Eq + Hash, V: Clone>(
    tables: &mut T,
    table: impl Fn(&mut T) -> &mut FastMap<K, V>,
    key: K,
    find_out: impl FnOnce(&mut T) -> V,
) -> V {
    if let Some(value) = table(tables).get(&key) {
        return value.clone();
    }
    let value = find_out(tables);
    table(tables).insert(key, value.clone());
    value
}
