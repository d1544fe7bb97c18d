//! The custom resources as a page: every field of the CRDs with type, default and limits, and every reason.

use super::text::{cell, code, table};
use crate::api::Reason;
use crate::api::condition::Progress;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use std::collections::BTreeMap;
use std::fmt::Write;

/// The page.
pub fn page(crds: &[CustomResourceDefinition]) -> String {
    let mut page = Page::default();
    page.out.push_str(
        "# The API\n\nWhat `kubectl explain` prints, on one page. The same at work: \
         [the API, by example](../api-by-example.md).\n\n",
    );
    for crd in crds {
        page.kind(crd);
    }
    reasons(&mut page.out);
    page.out.truncate(page.out.trim_end().len());
    page.out.push('\n');
    page.out
}

/// A page while it is written.
#[derive(Default)]
struct Page {
    out: String,
    /// The objects that have a section: what they hold, and the section's title.
    told: Vec<(JSONSchemaProps, String)>,
}

impl Page {
    fn kind(&mut self, crd: &CustomResourceDefinition) {
        let (names, spec) = (&crd.spec.names, &crd.spec);
        let _ = writeln!(self.out, "## {}\n", names.kind);
        for version in &spec.versions {
            let schema = version.schema.as_ref().and_then(|s| s.open_api_v3_schema.as_ref());
            let Some(schema) = schema else { continue };
            let _ = writeln!(self.out, "{}\n", cell(schema.description.as_deref().unwrap_or_default()));
            let short = names.short_names.iter().flatten().map(|name| code(name)).collect::<Vec<_>>();
            let _ = writeln!(
                self.out,
                "`{}/{}`, {}; for kubectl {} or {}.\n",
                spec.group,
                version.name,
                if spec.scope == "Cluster" { "one for the whole cluster" } else { "in a namespace" },
                code(&names.plural),
                short.join(", ")
            );
            let columns: Vec<_> = version
                .additional_printer_columns
                .iter()
                .flatten()
                .filter(|column| column.description.is_some())
                .map(|column| {
                    let wide = if column.priority.unwrap_or(0) > 0 { " (`-o wide`)" } else { "" };
                    let text = column.description.as_deref().unwrap_or_default();
                    [code(&column.name.to_uppercase()), format!("{}{wide}", cell(text))]
                })
                .collect();
            self.out.push_str(&table(["Column", "Meaning"], &columns));
            self.rules(schema);
            for (name, property) in schema.properties.iter().flatten() {
                self.object(property, &format!("{}.{name}", names.kind));
            }
        }
    }

    /// A section for an object, then one for each object in it that has none yet.
    fn object(&mut self, schema: &JSONSchemaProps, title: &str) {
        let _ = writeln!(self.out, "### {title}\n");
        // What it is for stands in the row of its field; what one entry of a list is stands nowhere else.
        if let Some(text) = schema.description.as_ref().filter(|_| title.ends_with("[]")) {
            let _ = writeln!(self.out, "{}\n", cell(text));
        }
        let required = schema.required.as_deref().unwrap_or_default();
        let mut below = Vec::new();
        let mut rows = Vec::new();
        for (name, property) in schema.properties.iter().flatten() {
            let Kind { text, object } = kind(property);
            let mut type_ = text;
            if let Some(object) = object {
                let path = format!("{title}.{name}{}", if property.items.is_some() { "[]" } else { "" });
                let known = self.told.iter().find(|(told, _)| *told == bare(object));
                let section = known.map_or_else(|| path.clone(), |(_, title)| title.clone());
                if section == path {
                    self.told.push((bare(object), path.clone()));
                    below.push((object, path));
                }
                type_ = format!("[{type_}](#{})", anchor(&section));
            }
            let needed = if required.contains(name) { "needed".to_owned() } else { default(property) };
            rows.push([code(name), type_, needed, meaning(property)]);
        }
        self.out.push_str(&table(["Field", "Type", "Default", "Meaning"], &rows));
        self.rules(schema);
        for (object, path) in below {
            self.object(object, &path);
        }
    }

    /// What is refused beyond types and limits, in the words of the refusal.
    fn rules(&mut self, schema: &JSONSchemaProps) {
        let rules = schema.x_kubernetes_validations.iter().flatten();
        let rules: Vec<_> = rules.filter_map(|rule| rule.message.as_deref()).collect();
        if rules.is_empty() {
            return;
        }
        self.out.push_str("Refused otherwise:\n\n");
        for rule in rules {
            let _ = writeln!(self.out, "- {}", cell(rule));
        }
        self.out.push('\n');
    }
}

/// A schema without what is said of the one place where it stands.
fn bare(schema: &JSONSchemaProps) -> JSONSchemaProps {
    JSONSchemaProps { description: None, nullable: None, default: None, ..schema.clone() }
}

/// The name that GitHub gives a section.
fn anchor(title: &str) -> String {
    let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_'));
    kept.collect::<String>().to_lowercase()
}

/// What a field holds.
struct Kind<'a> {
    text: String,
    /// The object in it that is told in a section of its own.
    object: Option<&'a JSONSchemaProps>,
}

fn kind(schema: &JSONSchemaProps) -> Kind<'_> {
    let plain = |text: &str| Kind { text: text.to_owned(), object: None };
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
        let Kind { text, object } = kind(items);
        return Kind { text: format!("list of {text}"), object };
    }
    if let Some(properties) = schema.properties.as_ref().filter(|properties| !properties.is_empty()) {
        return match reference(schema, properties) {
            Some(names) => Kind { text: names, object: None },
            None => Kind { text: "object".into(), object: Some(schema) },
        };
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &schema.additional_properties {
        return plain(&format!("map of {}", kind(values).text));
    }
    let words: Vec<_> = schema
        .enum_
        .iter()
        .flatten()
        .filter(|word| !word.0.is_null())
        .map(|word| word.0.as_str().map_or_else(|| word.0.to_string(), ToOwned::to_owned))
        .collect();
    if !words.is_empty() {
        return plain(&cell(&words.join(", ")));
    }
    match (schema.format.as_deref(), schema.type_.as_deref()) {
        (Some("date-time"), _) => plain("time"),
        (_, type_) => plain(type_.unwrap_or("any")),
    }
}

/// A name, or a name and a key: too little for a section.
fn reference(schema: &JSONSchemaProps, properties: &BTreeMap<String, JSONSchemaProps>) -> Option<String> {
    let names: Vec<_> = properties.keys().map(String::as_str).collect();
    let is_one = matches!(names[..], ["name"] | ["key", "name"]) && schema.x_kubernetes_validations.is_none();
    is_one.then(|| format!("`{{{}}}`", names.into_iter().rev().collect::<Vec<_>>().join(", ")))
}

/// The default, where it is more than "nothing".
fn default(schema: &JSONSchemaProps) -> String {
    match &schema.default {
        Some(value) if value.0.as_object().is_some_and(serde_json::Map::is_empty) => String::new(),
        Some(value) => code(&value.0.as_str().map_or_else(|| value.0.to_string(), ToOwned::to_owned)),
        None => String::new(),
    }
}

fn meaning(schema: &JSONSchemaProps) -> String {
    let mut text = cell(schema.description.as_deref().unwrap_or_default());
    let limits = limits(schema);
    if !limits.is_empty() {
        let _ = write!(text, " ({})", limits.join("; "));
    }
    let own = if kind(schema).object.is_some() && schema.items.is_none() {
        &None
    } else {
        &schema.x_kubernetes_validations
    };
    for message in own.iter().flatten().filter_map(|rule| rule.message.as_deref()) {
        let _ = write!(text, " *{}.*", cell(message.trim_end_matches('.')));
    }
    text.trim().to_owned()
}

fn limits(schema: &JSONSchemaProps) -> Vec<String> {
    let mut limits = Vec::new();
    let mut range = |low: Option<String>, high: Option<String>, unit: &str| match (low, high) {
        (Some(low), Some(high)) if low == high => limits.push(format!("exactly {low}")),
        (Some(low), Some(high)) => limits.push(format!("{low} to {high}{unit}")),
        (Some(low), None) => limits.push(format!("at least {low}{unit}")),
        (None, Some(high)) => limits.push(format!("at most {high}{unit}")),
        (None, None) => {}
    };
    let text = |number: i64| number.to_string();
    range(schema.minimum.map(|n| n.to_string()), schema.maximum.map(|n| n.to_string()), "");
    range(schema.min_length.map(text), schema.max_length.map(text), " characters");
    range(schema.min_items.map(text), schema.max_items.map(text), " entries");
    if let Some(pattern) = &schema.pattern {
        limits.push(code(pattern));
    }
    if schema.x_kubernetes_list_type.as_deref() == Some("map") {
        let keys: Vec<_> = schema.x_kubernetes_list_map_keys.iter().flatten().map(|key| code(key)).collect();
        limits.push(format!("one for each {}", keys.join(", ")));
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
        limits.extend(self::limits(items).into_iter().map(|limit| format!("each {limit}")));
    }
    limits
}

/// Every reason that a condition can have.
fn reasons(out: &mut String) {
    let rows: Vec<_> = Reason::ALL
        .iter()
        .map(|reason| {
            // Good news have a table, the others a section each.
            let is_good = reason.progress() == Progress::Fine && reason.fix().is_empty();
            let section = if is_good { "all-is-well".into() } else { anchor(reason.as_str()) };
            let tools = match reason.progress() {
                Progress::Fine => "",
                Progress::Reconciling => "Reconciling",
                Progress::Awaiting => "Reconciling, then Stalled",
                Progress::Stalled => "Stalled",
            };
            let link = format!("[{reason}](../troubleshooting.md#{section})");
            [link, tools.to_owned(), cell(reason.meaning())]
        })
        .collect();
    out.push_str("## Reasons\n\nEvery `reason` of a condition, and what it means to tools that wait.\n\n");
    out.push_str(&table(["Reason", "Tools see", "Means"], &rows));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::crds;
    use std::collections::BTreeSet;

    #[test]
    fn every_field_and_every_rule_is_told() {
        fn walk(schema: &JSONSchemaProps, page: &str) {
            for (name, property) in schema.properties.iter().flatten() {
                let told = [
                    format!("| `{name}` |"),
                    format!(".{name}\n"),
                    format!("`{{{name}"),
                    format!(", {name}}}`"),
                ];
                assert!(told.iter().any(|text| page.contains(text)), "{name}");
                walk(property, page);
            }
            if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
                walk(items, page);
            }
            for message in
                schema.x_kubernetes_validations.iter().flatten().filter_map(|r| r.message.as_deref())
            {
                assert!(page.contains(&cell(message.trim_end_matches('.'))), "{message}");
            }
        }
        let crds = crds::all();
        let page = page(&crds);
        for crd in &crds {
            let schema = crd.spec.versions[0].schema.clone().unwrap().open_api_v3_schema.unwrap();
            walk(&schema, &page);
        }
    }

    #[test]
    fn every_link_within_the_page_leads_to_one_section() {
        let page = page(&crds::all());
        let sections: Vec<_> =
            page.lines().filter_map(|line| line.strip_prefix("### ").map(anchor)).collect();
        let unique: BTreeSet<_> = sections.iter().collect();
        assert_eq!(unique.len(), sections.len(), "two sections have one name");
        for link in page.split("](#").skip(1).filter_map(|rest| rest.split(')').next()) {
            assert!(sections.iter().any(|section| section == link), "nothing is named {link}");
        }
    }

    #[test]
    fn limits_are_told_in_words() {
        let schema: JSONSchemaProps = serde_json::from_value(serde_json::json!({
            "type": "array", "minItems": 1, "maxItems": 5,
            "items": {"type": "string", "maxLength": 63, "pattern": "^a|b$"}
        }))
        .unwrap();
        assert_eq!(kind(&schema).text, "list of string");
        assert_eq!(limits(&schema), ["1 to 5 entries", "each at most 63 characters", "each `^a\\|b$`"]);
    }
}
