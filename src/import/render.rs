//! Render: manifests as YAML that every reader takes for the same. Pure.
//!
//! `kubectl` reads YAML 1.1, others 1.2. The two part ways over a few characters (line breaks beyond `\n`)
//! and over bare words such as `no`; what they could read differently stands in double quotes.

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::Value as Json;
use serde_saphyr::{DoubleQuoted, LitStr};

/// The first line of each file that an import writes: by it a later import knows its own.
pub const HEADER: &str = "# Made by `atelier import`; made anew by the next one.\n";

/// An object as YAML.
///
/// # Errors
/// When it cannot be written as YAML, which no template can bring about.
pub fn yaml(object: &Json) -> Result<String, serde_saphyr::ser::Error> {
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    serde_saphyr::to_string_with_options(&Plain(object), options)
}

/// A value whose texts are written in the one form that fits each.
struct Plain<'j>(&'j Json);

impl Serialize for Plain<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Json::String(text) if is_block(text) => LitStr(text).serialize(serializer),
            Json::String(text) if is_bare(text) => serializer.serialize_str(text),
            Json::String(text) => DoubleQuoted(text).serialize(serializer),
            Json::Array(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                items.iter().try_for_each(|item| list.serialize_element(&Plain(item)))?;
                list.end()
            }
            Json::Object(fields) => {
                let mut fields: Vec<_> = fields.iter().collect();
                fields.sort_by_key(|(key, _)| rank(key));
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                fields.into_iter().try_for_each(|(key, value)| map.serialize_entry(key, &Plain(value)))?;
                map.end()
            }
            other => other.serialize(serializer),
        }
    }
}

/// What a reader looks for first comes first; the rest in the order of the alphabet.
fn rank(key: &str) -> usize {
    const FIRST: [&str; 7] = ["apiVersion", "kind", "metadata", "name", "displayName", "reportsTo", "role"];
    FIRST.iter().position(|first| *first == key).unwrap_or(FIRST.len())
}

/// Whether a text reads best as a block: lines that are plain to all readers, none with an end that an
/// editor would trim away, and no first line that begins with a space, which would need a number to say so.
fn is_block(text: &str) -> bool {
    let plain = |c: char| c == '\n' || c == '\t' || !c.is_control();
    text.contains('\n')
        && !text.starts_with([' ', '\n', '\t'])
        && !text.ends_with("\n\n")
        && text.chars().all(plain)
        && text.lines().all(|line| !line.ends_with([' ', '\t']))
}

/// Whether a text may stand without double quotes: words of which no reader makes anything else.
fn is_bare(text: &str) -> bool {
    !text.is_empty() && !text.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn read(text: &str) -> Json {
        serde_saphyr::from_str(text).unwrap()
    }

    #[test]
    fn long_texts_are_blocks_and_words_are_bare() {
        let object = json!({"kind": "Team", "spec": {"role": "One: two # three", "text": "a\n  b\n\nc\n"}});
        let expected =
            "kind: Team\nspec:\n  role: \"One: two # three\"\n  text: |\n    a\n      b\n\n    c\n";
        assert_eq!(yaml(&object).unwrap(), expected);
    }

    #[test]
    fn what_readers_could_take_for_something_else_reads_back() {
        for text in [
            "",
            " ",
            "\n",
            "a\n",
            "a\n\n",
            "\na",
            " a\nb",
            "a \nb",
            "a\tb",
            "a\r\nb",
            "no",
            "on",
            "1",
            "1.0",
            "0x1f",
            "1_000",
            "12:30:45",
            "2024-01-01",
            "~",
            "null",
            ".inf",
            "=",
            "<<",
            "- a",
            "? a",
            "a: b",
            "a #b",
            "#a",
            "'a'",
            "\"a\"",
            "\\",
            "{a}",
            "[a]",
            "*a",
            "&a",
            "!a",
            "|",
            ">",
            "%a",
            "@a",
            "`a`",
            "---",
            "...",
            "a\u{85}b",
            "a\u{2028}b",
            "\u{feff}a",
            "\u{1}",
            "\u{7f}",
            "💡",
            "é\nü\n",
            "---\na\n",
            "# a\nb",
        ] {
            let object = json!({"a": text, "b": [text, {"c": text}], text: 1});
            assert_eq!(read(&yaml(&object).unwrap()), object, "{text:?}");
        }
    }

    /// YAML 1.1 breaks lines where 1.2 does not, and an editor that trims ends must change nothing.
    #[test]
    fn what_readers_part_ways_over_stands_in_double_quotes() {
        for text in [
            "a\u{85}b",
            "a\u{2028}b\nc",
            "a\u{2029}b",
            "\u{feff}a",
            "a\r\nb\n",
            "\u{1b}[0m",
            "a \nb",
            "a\n\n",
            " a\nb",
        ] {
            let written = yaml(&json!({"a": text})).unwrap();
            assert!(written.starts_with("a: \"") && written.lines().count() == 1, "{text:?}: {written}");
        }
    }

    proptest! {
        #[test]
        fn every_text_reads_back(text in "(\\PC|[ \n\t\r:#'\"|>-]|\\pC){0,40}", key in "[a-zA-Z0-9._-]{1,20}") {
            let object = json!({"data": {key: text}});
            prop_assert_eq!(read(&yaml(&object).unwrap()), object);
        }
    }
}
