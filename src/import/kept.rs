//! Kept: what has no field in the API yet, for whoever reads it one day. Pure.

use super::pack::{Content, in_json};
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// The annotations of an import begin with this.
pub const PREFIX: &str = "import.atelier.dev/";
/// What belongs to the template as a whole stands under this instead of a member's name.
const WHOLE: &str = "*";

/// By kind, such as `schedules`, and by member.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kept(BTreeMap<&'static str, BTreeMap<String, Json>>);

impl Kept {
    /// Keeps something of a member, or of the whole template.
    pub fn keep(&mut self, kind: &'static str, member: Option<&str>, json: Json) {
        self.0.entry(kind).or_default().insert(member.unwrap_or(WHOLE).to_owned(), json);
    }

    /// Each kind, with how many there are of it.
    pub fn counts(&self) -> Vec<(&'static str, usize)> {
        let count = |json: &Json| json.as_array().map_or(1, Vec::len);
        self.0.iter().map(|(kind, members)| (*kind, members.values().map(count).sum())).collect()
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As annotations: one a kind, with JSON by the members' names.
    pub fn annotations(&self) -> BTreeMap<String, String> {
        let value = |members: &BTreeMap<String, Json>| serde_json::json!(members).to_string();
        self.0.iter().map(|(kind, members)| (format!("{PREFIX}{kind}"), value(members))).collect()
    }

    /// As files, for a template that has more than annotations hold: one a kind and member.
    pub fn files(&self) -> BTreeMap<String, Content> {
        let mut files = BTreeMap::new();
        for (kind, members) in &self.0 {
            for (member, json) in members {
                let member = if member == WHOLE { String::new() } else { format!(".{member}") };
                files.insert(format!("{kind}{member}.json"), Content::of(json.to_string().into_bytes()));
            }
        }
        files
    }
}

/// What the annotations of an object come to once `kubectl apply` has added its copy.
pub fn annotations_when_applied(object: &Json) -> usize {
    const COPY: &str = "kubectl.kubernetes.io/last-applied-configuration";
    let own = object["metadata"]["annotations"].as_object();
    let own: usize =
        own.into_iter().flatten().map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum();
    own + COPY.len() + json_size(object) + 1
}

/// The bytes of a value in JSON as `kubectl` writes it.
fn json_size(value: &Json) -> usize {
    match value {
        Json::String(text) => in_json(text),
        Json::Array(items) => 2 + items.iter().map(|item| json_size(item) + 1).sum::<usize>(),
        Json::Object(fields) => {
            2 + fields.iter().map(|(key, value)| in_json(key) + json_size(value) + 2).sum::<usize>()
        }
        other => other.to_string().len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_kept_is_found_by_kind_and_member() {
        let mut kept = Kept::default();
        kept.keep("schedules", Some("a"), json!([{"name": "x"}, {"name": "y"}]));
        kept.keep("schedules", Some("b"), json!([{"name": "z"}]));
        kept.keep("global-memories", None, json!([{"content": "m"}]));
        kept.keep("canvas", Some("a"), json!({"x": 1, "y": 2}));
        assert_eq!(kept.counts(), [("canvas", 1), ("global-memories", 1), ("schedules", 3)]);
        let annotations = kept.annotations();
        assert_eq!(annotations["import.atelier.dev/canvas"], r#"{"a":{"x":1,"y":2}}"#);
        assert_eq!(annotations["import.atelier.dev/global-memories"], r#"{"*":[{"content":"m"}]}"#);
        let files: Vec<_> = kept.files().into_keys().collect();
        let expected = ["canvas.a.json", "global-memories.json", "schedules.a.json", "schedules.b.json"];
        assert_eq!(files, expected);
    }

    #[test]
    fn the_copy_of_kubectl_counts_against_the_annotations() {
        let object = json!({"metadata": {"annotations": {"k": "v<"}}});
        // {"metadata":{"annotations":{"k":"v\u003c"}}} and a line feed, beside what is there.
        let copy = r#"{"metadata":{"annotations":{"k":"v\u003c"}}}"#.len() + 1;
        let least = "kv<".len() + "kubectl.kubernetes.io/last-applied-configuration".len() + copy;
        let said = annotations_when_applied(&object);
        assert!(said >= least && said < least + 10, "{said} {least}");
    }
}
