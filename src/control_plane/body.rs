//! JSON bodies. Pure. What is said of a bad one names the field and never repeats a value: it may be a secret.

use super::faults::Fault;
use serde::de::DeserializeOwned;

/// A body with more fields than this is not searched for the wrong one: that takes a pass for each.
const SEARCHED_MAX: usize = 64;

/// Reads a body.
///
/// # Errors
/// Names the field, or the place where it stops being JSON.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice::<serde_json::Value>(bytes)
        .map_err(|error| {
            let (line, column) = (error.line(), error.column());
            Fault::unreadable(format!("body: this is no JSON at line {line}, column {column}"))
        })
        .and_then(|value| typed(&value))
}

fn typed<T: DeserializeOwned>(value: &serde_json::Value) -> Result<T, Fault> {
    let serde_json::Value::Object(fields) = value else {
        return Err(Fault::unreadable("body: a JSON object is needed"));
    };
    T::deserialize(value).map_err(|error| {
        let text = error.to_string();
        let named = missing(&text).or_else(|| wrong::<T>(fields));
        match named {
            Some((field, why)) => Fault::invalid(&field, why),
            None => Fault::unreadable("body: a field has a value of the wrong kind"),
        }
    })
}

/// The field that serde misses: its name comes from our own types.
fn missing(text: &str) -> Option<(String, &'static str)> {
    let rest = text.strip_prefix("missing field `")?;
    Some((rest.split('`').next()?.to_owned(), "is missing"))
}

/// The field without which all others could be read, or be read further.
fn wrong<T: DeserializeOwned>(
    fields: &serde_json::Map<String, serde_json::Value>,
) -> Option<(String, &'static str)> {
    let wrong_without = |name: &String| {
        let mut rest = fields.clone();
        rest.remove(name);
        match T::deserialize(&serde_json::Value::Object(rest)) {
            Ok(_) => true,
            Err(error) => missing(&error.to_string()).is_some_and(|(field, _)| field == *name),
        }
    };
    let name = fields.keys().take(SEARCHED_MAX).find(|name| wrong_without(name))?;
    Some((name.clone(), "has a value of the wrong kind, or with a field that is missing"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use atelier_wire::control_plane::{AttachOrder, PreflightOrder, Provision, VolumeOrder};
    use proptest::prelude::*;

    #[test]
    fn an_error_names_the_field_and_repeats_no_value() {
        for (body, named) in [
            ("", "body"),
            ("{", "body"),
            ("[]", "body"),
            ("\"hush\"", "body"),
            ("{}", "workspace_id"),
            (r#"{"workspace_id": 5}"#, "workspace_id"),
            (r#"{"workspace_id": ["hush"]}"#, "workspace_id"),
            (r#"{"workspace_id": "w", "env": {"A": 1}}"#, "env"),
            (r#"{"workspace_id": "w", "env": "hush"}"#, "env"),
            (r#"{"workspace_id": "w", "attempt": "hush"}"#, "attempt"),
            (r#"{"workspace_id": "w", "user_data": {"hush": 1}}"#, "user_data"),
            (r#"{"workspace_id": "w", "launch": {"ami_id": 1}}"#, "launch"),
            (r#"{"workspace_id": "w", "launch": {}}"#, "ami_id"),
        ] {
            let fault = parse::<Provision>(body.as_bytes()).unwrap_err();
            assert!(fault.status == 400 && fault.error.starts_with(named), "{body}: {}", fault.error);
            assert!(!fault.error.contains("hush"), "{body}: {}", fault.error);
        }
    }

    #[test]
    fn a_wrong_body_with_very_many_fields_is_refused_quickly() {
        let mut fields: serde_json::Map<_, _> = (0..40_000).map(|n| (format!("f{n}"), n.into())).collect();
        fields.insert("workspace_id".into(), 5.into());
        let body = serde_json::to_vec(&fields).unwrap();
        assert_eq!(
            parse::<Provision>(&body).unwrap_err().error,
            "body: a field has a value of the wrong kind"
        );
    }

    #[test]
    fn known_clients_send_nulls_and_fields_that_we_do_not_know() {
        let body =
            r#"{"org_id": "o", "workspace_id": "w", "runtime": null, "tier": 0, "env": null, "x": [1]}"#;
        assert_eq!(parse::<Provision>(body.as_bytes()).unwrap().workspace_id, "w");
    }

    /// JSON of all shapes, with the names that we know in it.
    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(serde_json::Value::from),
            any::<i64>().prop_map(serde_json::Value::from),
            ".{0,8}".prop_map(serde_json::Value::from),
        ];
        let name = prop_oneof![
            Just("workspace_id"),
            Just("env"),
            Just("launch"),
            Just("attempt"),
            Just("tags"),
            Just("volume"),
            Just("cluster_id"),
            Just("root_volume"),
            Just("launches"),
            Just("user_data"),
            Just("size_gib"),
        ];
        leaf.prop_recursive(4, 32, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
                prop::collection::btree_map(name.clone(), inner, 0..6)
                    .prop_map(|map| map.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()),
            ]
        })
    }

    fn all(bytes: &[u8]) -> Vec<Fault> {
        [
            parse::<Provision>(bytes).err(),
            parse::<VolumeOrder>(bytes).err(),
            parse::<AttachOrder>(bytes).err(),
            parse::<PreflightOrder>(bytes).err(),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
            prop_assert!(all(&bytes).iter().all(|fault| fault.status == 400));
        }

        #[test]
        fn no_json_makes_it_panic(value in json()) {
            prop_assert!(all(value.to_string().as_bytes()).iter().all(|fault| fault.status == 400));
        }

        #[test]
        fn no_cut_or_changed_body_makes_it_panic(at in 0usize..400, byte in any::<u8>(), cut in any::<bool>()) {
            let mut bytes = serde_json::to_vec(&super::super::fixtures::provision()).unwrap();
            let at = at % bytes.len();
            if cut { bytes.truncate(at) } else { bytes[at] = byte }
            prop_assert!(all(&bytes).iter().all(|fault| fault.status == 400));
        }
    }
}
