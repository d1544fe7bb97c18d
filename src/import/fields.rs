//! The fields of a mapping, asked for one by one; what nobody asks for is unknown.

use super::findings::{Findings, Placed, Spot};
use super::tree::{Entry, Node, Value, child, item};
use std::collections::BTreeSet;
use std::ops::RangeInclusive;

/// The fields of a mapping.
pub struct Fields<'n> {
    at: Spot,
    entries: &'n [Entry],
    asked: BTreeSet<&'static str>,
    findings: &'n Findings,
}

impl<'n> Fields<'n> {
    /// The fields of a mapping at a key; an error is kept when it is none.
    pub fn open(node: &'n Node, key: &str, findings: &'n Findings) -> Option<Self> {
        let at = node.mark.spot(key);
        if let Value::Map(entries) = &node.value {
            return Some(Self { at, entries, asked: BTreeSet::new(), findings });
        }
        findings.error(&at, format!("a mapping is needed here, and this is {}", node.title()));
        None
    }

    /// Where the mapping stands.
    pub fn at(&self) -> &Spot {
        &self.at
    }

    /// A field that is there and says something.
    fn get(&mut self, name: &'static str) -> Option<(&'n Node, Spot)> {
        self.asked.insert(name);
        let entry = self.entries.iter().find(|entry| entry.key == name)?;
        let spot = entry.value.mark.spot(&child(&self.at.key, name));
        (!entry.value.is_null()).then_some((&entry.value, spot))
    }

    fn wrong(&self, at: &Spot, needed: &str, node: &Node) {
        let found = match &node.value {
            Value::Scalar { text, .. } => format!("{:?}", shortened(text)),
            _ => node.title().to_owned(),
        };
        self.findings.error(at, format!("{needed} is needed here, and this is {found}"));
    }

    /// A text of at most so many characters; an empty one counts as absent.
    pub fn text(&mut self, name: &'static str, most: usize) -> Option<Placed<String>> {
        let (node, at) = self.get(name)?;
        let Value::Scalar { text, .. } = &node.value else {
            self.wrong(&at, "a text", node);
            return None;
        };
        let length = text.chars().count();
        if length > most {
            self.findings.error(&at, format!("has {length} characters and may have {most}: shorten it"));
            return None;
        }
        (!text.is_empty()).then(|| Placed { value: text.clone(), at })
    }

    /// A whole number in a range; 0 counts as absent, as it does for the format.
    pub fn number(&mut self, name: &'static str, range: RangeInclusive<i32>) -> Option<i32> {
        let (node, at) = self.get(name)?;
        let number = match &node.value {
            Value::Scalar { text, plain: true } => text.parse::<i32>().ok(),
            _ => None,
        };
        match number {
            Some(0) => None,
            Some(number) if range.contains(&number) => Some(number),
            _ => {
                let needed = format!("a whole number from {} to {}", range.start(), range.end());
                self.wrong(&at, &needed, node);
                None
            }
        }
    }

    /// True or false, in each spelling that YAML has had.
    pub fn flag(&mut self, name: &'static str) -> Option<bool> {
        let (node, at) = self.get(name)?;
        if let Value::Scalar { text, plain: true } = &node.value {
            match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "y" => return Some(true),
                "false" | "no" | "off" | "n" => return Some(false),
                _ => {}
            }
        }
        self.wrong(&at, "true or false", node);
        None
    }

    /// The fields of a mapping below this one.
    pub fn below(&mut self, name: &'static str) -> Option<Fields<'n>> {
        let (node, at) = self.get(name)?;
        Fields::open(node, &at.key, self.findings)
    }

    /// The items of a list, each with its place.
    pub fn list(&mut self, name: &'static str) -> Vec<(&'n Node, Spot)> {
        let Some((node, at)) = self.get(name) else { return Vec::new() };
        let Value::List(items) = &node.value else {
            self.wrong(&at, "a list", node);
            return Vec::new();
        };
        let items = items.iter().enumerate();
        items.map(|(index, node)| (node, node.mark.spot(&item(&at.key, index)))).collect()
    }

    /// The entries of a mapping, each with the place of its value.
    pub fn entries(&mut self, name: &'static str) -> Vec<(&'n str, &'n Node, Spot)> {
        let Some((node, at)) = self.get(name) else { return Vec::new() };
        let Value::Map(entries) = &node.value else {
            self.wrong(&at, "a mapping", node);
            return Vec::new();
        };
        let place = |entry: &Entry| entry.value.mark.spot(&child(&at.key, &entry.key));
        entries.iter().map(|entry| (entry.key.as_str(), &entry.value, place(entry))).collect()
    }

    /// Whatever it is, as JSON.
    pub fn json(&mut self, name: &'static str) -> Option<serde_json::Value> {
        self.get(name).map(|(node, _)| node.json())
    }

    /// Warns of every field that nobody asked for.
    pub fn finish(self) {
        for entry in self.entries.iter().filter(|entry| !self.asked.contains(entry.key.as_str())) {
            let at = entry.mark.spot(&child(&self.at.key, &entry.key));
            self.findings.warn(&at, "unknown key, left out: correct its name, or take it away");
        }
    }
}

/// A text of an item; an error is kept when it is none.
pub fn text_of(node: &Node, at: &Spot, findings: &Findings) -> Option<String> {
    if let Value::Scalar { text, .. } = &node.value {
        return Some(text.clone());
    }
    findings.error(at, format!("a text is needed here, and this is {}", node.title()));
    None
}

/// The start of a text, for a message of one line.
fn shortened(text: &str) -> String {
    const MOST: usize = 40;
    if text.chars().count() <= MOST {
        return text.to_owned();
    }
    text.chars().take(MOST).chain(std::iter::once('…')).collect()
}
