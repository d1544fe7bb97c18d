//! Definitions: the custom resource definitions of a cluster against those of this version. Pure.

use super::checks::{Check, INSTALL};
use crate::plugin::cluster::{Answer, Refusal};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::Value;

/// The custom resource definitions, against those of this version.
pub fn definitions(
    found: &[(CustomResourceDefinition, Answer<Option<CustomResourceDefinition>>)],
) -> Vec<Check> {
    found.iter().map(|(ours, theirs)| definition(ours, theirs)).collect()
}

fn definition(ours: &CustomResourceDefinition, theirs: &Answer<Option<CustomResourceDefinition>>) -> Check {
    let kind = &ours.spec.names.plural;
    let name = format!("custom resource {kind}");
    let theirs = match theirs {
        Err(Refusal::Forbidden(_)) => {
            let found = "not told: you may not read its definition";
            return Check::note(
                &name,
                found,
                "To compare versions: ask somebody who may read custom resource definitions.",
            );
        }
        Err(why) => return Check::fail(&name, why.to_string(), INSTALL),
        Ok(None) => return Check::fail(&name, "it is not installed", INSTALL),
        Ok(Some(theirs)) => theirs,
    };
    let established = theirs.status.as_ref().and_then(|status| status.conditions.as_ref());
    let established =
        established.into_iter().flatten().any(|c| c.type_ == "Established" && c.status == "True");
    if !established {
        return Check::fail(&name, "it is not established yet", "Wait a moment; see `kubectl describe crd`.");
    }
    if schema(ours) == schema(theirs) {
        return Check::ok(&name, "that of this version");
    }
    let version = env!("CARGO_PKG_VERSION");
    Check::note(
        &name,
        format!("its schema is not that of this version ({version})"),
        "Upgrade whichever is older: this program, or the definitions with `atelier crds | kubectl apply --server-side -f -` of the controller's version.",
    )
}

/// What counts of a definition, without what an API server fills in.
fn schema(crd: &CustomResourceDefinition) -> Value {
    let versions = serde_json::to_value(&crd.spec.versions).unwrap_or_default();
    bare(versions)
}

/// A value without fields that say nothing.
fn bare(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let says = |value: &Value| match value {
                Value::Null | Value::Bool(false) => false,
                Value::Object(fields) => !fields.is_empty(),
                Value::Array(items) => !items.is_empty(),
                Value::Number(number) => number.as_f64() != Some(0.0),
                Value::String(_) | Value::Bool(true) => true,
            };
            Value::Object(
                fields
                    .into_iter()
                    .map(|(key, value)| (key, bare(value)))
                    .filter(|(_, value)| says(value))
                    .collect(),
            )
        }
        Value::Array(items) => Value::Array(items.into_iter().map(bare).collect()),
        Value::Number(number) => number.as_f64().map_or(Value::Null, Value::from),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::crds;
    use crate::plugin::doctor::checks::Mark;
    use serde_json::json;

    fn established(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
        let status = json!({"conditions": [{"type": "Established", "status": "True"}], "acceptedNames": {"kind": "", "plural": ""}, "storedVersions": []});
        crd.status = serde_json::from_value(status).unwrap();
        crd
    }

    #[test]
    fn a_definition_of_another_version_is_seen() {
        let ours = crds::all().remove(1);
        let check = |theirs| definition(&ours, &Ok(theirs));
        assert_eq!(check(None).mark, Mark::Fail);
        assert_eq!(check(Some(ours.clone())).mark, Mark::Fail, "not established");
        assert_eq!(check(Some(established(ours.clone()))).mark, Mark::Ok);
        let mut older = established(ours.clone());
        let schema = older.spec.versions[0].schema.as_mut().unwrap().open_api_v3_schema.as_mut().unwrap();
        let spec = schema.properties.as_mut().unwrap().get_mut("spec").unwrap();
        spec.properties.as_mut().unwrap().remove("suspend");
        assert_eq!(check(Some(older)).mark, Mark::Note);
        let forbidden = definition(&ours, &Err(Refusal::Forbidden("no".into())));
        assert_eq!(forbidden.mark, Mark::Note);
    }
}
