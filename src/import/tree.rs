//! From YAML text to a tree in which every value knows its file and line. Pure.
//!
//! Aliases and `<<` are resolved here; a tag that is not YAML's own stays on its node, for whoever knows it.

use super::findings::{Finding, Spot};
use granit_parser::{Event, Parser, ScalarStyle, Tag};
use std::collections::HashMap;
use std::rc::Rc;

/// How many values a template may have when every alias and include is written out: 256 members with a
/// hundred each are far below it, and what doubles itself a few times is far above.
const MAX_NODES: usize = 100_000;

/// A value of a template.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it stands.
    pub mark: Mark,
    /// What it is.
    pub value: Value,
}

/// Where a value stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The file, relative to the template's folder.
    pub file: Rc<str>,
    /// The line, from 1.
    pub line: usize,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A scalar as it was written. Only a plain one, without quotes, can be a number, a truth value or null.
    Scalar {
        /// Its text.
        text: String,
        /// Whether it was written without quotes.
        plain: bool,
    },
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order of the file.
    Map(Vec<Entry>),
    /// A value under a tag that is not YAML's own, such as `!include`.
    Tagged {
        /// The tag as it was written.
        tag: String,
        /// The value.
        value: Box<Node>,
    },
}

/// An entry of a mapping.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its key.
    pub key: String,
    /// Where the key stands.
    pub mark: Mark,
    /// Its value.
    pub value: Node,
}

impl Mark {
    /// The place of a key here.
    pub fn spot(&self, key: &str) -> Spot {
        Spot { file: self.file.clone(), line: self.line, key: key.to_owned() }
    }
}

impl Node {
    /// Whether there is nothing: an empty value, `~` or `null`.
    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// What it is, for people.
    pub fn title(&self) -> &'static str {
        match &self.value {
            _ if self.is_null() => "nothing",
            Value::Scalar { .. } => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
            Value::Tagged { .. } => "a tagged value",
        }
    }

    /// The value as JSON.
    pub fn json(&self) -> serde_json::Value {
        match &self.value {
            Value::Scalar { text, plain } => scalar(text, *plain),
            Value::List(items) => items.iter().map(Node::json).collect(),
            Value::Map(entries) => entries.iter().map(|e| (e.key.clone(), e.value.json())).collect(),
            Value::Tagged { value, .. } => value.json(),
        }
    }
}

fn scalar(text: &str, plain: bool) -> serde_json::Value {
    match text {
        _ if !plain => text.into(),
        "" | "~" | "null" | "Null" | "NULL" => serde_json::Value::Null,
        "true" | "True" | "TRUE" => true.into(),
        "false" | "False" | "FALSE" => false.into(),
        _ => number(text).unwrap_or_else(|| text.into()),
    }
}

/// Only what reads the same afterwards is a number: `007` or `1_000` stay the text that they are.
fn number(text: &str) -> Option<serde_json::Value> {
    if let Ok(whole) = text.parse::<i64>() {
        return (whole.to_string() == text).then(|| whole.into());
    }
    let digits = text.starts_with(|c: char| c.is_ascii_digit() || c == '-');
    let value = serde_json::Value::from(text.parse::<f64>().ok().filter(|f| digits && f.is_finite())?);
    let written = value.to_string();
    (written == text).then_some(value)
}

/// How many values may still be made.
#[derive(Debug)]
pub struct Budget(usize);

impl Default for Budget {
    fn default() -> Self {
        Self(MAX_NODES)
    }
}

impl Budget {
    fn spend(&mut self, nodes: usize, at: &Spot) -> Result<(), Finding> {
        self.0 = self.0.checked_sub(nodes).ok_or_else(|| {
            let text = format!(
                "the template has more than {MAX_NODES} values when aliases and includes are written out: \
                 take out what repeats itself"
            );
            Finding::new(at.clone(), text)
        })?;
        Ok(())
    }
}

/// Reads one file. `key` is where its content stands in the template.
///
/// # Errors
/// When it is not one YAML document, or says a key twice.
pub fn parse(file: &Rc<str>, text: &str, key: &str, budget: &mut Budget) -> Result<Node, Finding> {
    // Comments say nothing here, and only so many of them are taken in a row. The end of a block at the end of
    // a file is read as the format's own reader does.
    let options = granit_parser::options! { emit_comments: false, block_scalar_eof_without_line_feed: true };
    let events = Parser::new_from_str_with_options(text, options);
    let mut reader = Reader { file: file.clone(), events, anchors: HashMap::new(), budget };
    let mut document = None;
    while let Some((event, mark)) = reader.next()? {
        if event.is_node() {
            if document.is_some() {
                let text = "a second document begins here: a template is one, so take the '---' out";
                return Err(Finding::new(mark.spot(key), text));
            }
            document = Some(reader.node(event, mark, key)?);
        }
    }
    let empty = || Node {
        mark: Mark { file: file.clone(), line: 1 },
        value: Value::Scalar { text: String::new(), plain: true },
    };
    Ok(document.unwrap_or_else(empty))
}

struct Reader<'t, 'b> {
    file: Rc<str>,
    events: Parser<'t, granit_parser::StrInput<'t>>,
    /// The values that `&name` marked, with how many nodes each has.
    anchors: HashMap<usize, (Node, usize)>,
    budget: &'b mut Budget,
}

impl<'t> Reader<'t, '_> {
    fn next(&mut self) -> Result<Option<(Event<'t>, Mark)>, Finding> {
        match self.events.next_event() {
            None => Ok(None),
            Some(Ok((event, span))) => {
                Ok(Some((event, Mark { file: self.file.clone(), line: span.start.line() })))
            }
            Some(Err(error)) => {
                let mark = Mark { file: self.file.clone(), line: error.marker().line() };
                Err(Finding::new(mark.spot(""), format!("this is not YAML: {}", error.info())))
            }
        }
    }

    /// The next event of a collection, which the parser has promised to close.
    fn within(&mut self, start: &Mark, key: &str) -> Result<(Event<'t>, Mark), Finding> {
        self.next()?.ok_or_else(|| Finding::new(start.spot(key), "this value does not end"))
    }

    fn node(&mut self, event: Event<'t>, mark: Mark, key: &str) -> Result<Node, Finding> {
        let before = self.budget.0;
        self.budget.spend(1, &mark.spot(key))?;
        let anchor = event.anchor_id();
        let tag = event.tag().cloned();
        let value = match event {
            Event::Alias(id) => {
                let Some((node, size)) = self.anchors.get(&id).cloned() else {
                    return Err(Finding::new(mark.spot(key), "an alias inside the value that it names"));
                };
                self.budget.spend(size, &mark.spot(key))?;
                return Ok(node);
            }
            Event::Scalar(text, style, ..) => {
                Value::Scalar { text: text.into_owned(), plain: style == ScalarStyle::Plain }
            }
            Event::SequenceStart(..) => self.list(&mark, key)?,
            Event::MappingStart(..) => self.map(&mark, key)?,
            _ => return Err(Finding::new(mark.spot(key), "a value was expected here")),
        };
        let node = tagged(tag.as_ref(), Node { mark, value });
        if let Some(anchor) = anchor {
            self.anchors.insert(anchor, (node.clone(), before - self.budget.0));
        }
        Ok(node)
    }

    fn list(&mut self, start: &Mark, key: &str) -> Result<Value, Finding> {
        let mut items = Vec::new();
        loop {
            match self.within(start, key)? {
                (Event::SequenceEnd, _) => return Ok(Value::List(items)),
                (event, mark) if event.is_node() => {
                    let key = item(key, items.len());
                    items.push(self.node(event, mark, &key)?);
                }
                _ => {}
            }
        }
    }

    fn map(&mut self, start: &Mark, key: &str) -> Result<Value, Finding> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut merged: Vec<Entry> = Vec::new();
        loop {
            let (event, mark) = match self.within(start, key)? {
                (Event::MappingEnd, _) => break,
                (event, mark) if event.is_node() => (event, mark),
                _ => continue,
            };
            let name = self.node(event, mark.clone(), key)?;
            let Value::Scalar { text: name, plain } = name.value else {
                return Err(Finding::new(mark.spot(key), "a key must be a single word or text"));
            };
            let below = child(key, &name);
            let (event, at) = loop {
                let (event, at) = self.within(start, key)?;
                if event.is_node() {
                    break (event, at);
                }
            };
            let value = self.node(event, at, &below)?;
            if plain && name == "<<" {
                merged.extend(others(value, &below)?);
            } else if let Some(first) = entries.iter().find(|e| e.key == name) {
                let text = format!("the key stands on line {} already: keep one of the two", first.mark.line);
                return Err(Finding::new(mark.spot(&below), text));
            } else {
                entries.push(Entry { key: name, mark, value });
            }
        }
        // What the mapping says itself wins, then the earlier of those that it merges in.
        for entry in merged {
            if !entries.iter().any(|own| own.key == entry.key) {
                entries.push(entry);
            }
        }
        Ok(Value::Map(entries))
    }
}

/// The entries that `<<` brings.
fn others(value: Node, key: &str) -> Result<Vec<Entry>, Finding> {
    match value.value {
        Value::Map(entries) => Ok(entries),
        Value::List(items) => {
            let lists: Result<Vec<_>, _> = items.into_iter().map(|item| others(item, key)).collect();
            Ok(lists?.into_iter().flatten().collect())
        }
        _ => Err(Finding::new(value.mark.spot(key), "'<<' takes a mapping, or a list of them")),
    }
}

fn tagged(tag: Option<&Tag>, node: Node) -> Node {
    let Some(tag) = tag else { return node };
    match (tag.core_suffix(), node.value) {
        // `!!str 5` and `! 5` are text.
        (Some("str"), Value::Scalar { text, .. }) => {
            Node { mark: node.mark, value: Value::Scalar { text, plain: false } }
        }
        (Some(_), value) => Node { mark: node.mark, value },
        (None, Value::Scalar { text, .. }) if tag.original() == "!" => {
            Node { mark: node.mark, value: Value::Scalar { text, plain: false } }
        }
        (None, value) => {
            let inner = Node { mark: node.mark.clone(), value };
            let value = Value::Tagged { tag: tag.original(), value: Box::new(inner) };
            Node { mark: node.mark, value }
        }
    }
}

/// The key of an entry.
pub fn child(key: &str, name: &str) -> String {
    if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") }
}

/// The key of a list's item.
pub fn item(key: &str, index: usize) -> String {
    format!("{key}[{index}]")
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
