//! Tags in requests, and their limits.

use crate::error::ApiError;
use crate::query::Query;
use std::collections::BTreeMap;

/// Most tags on one resource.
///
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions>
pub const TAGS_MAX: usize = 50;
const KEY_MAX: usize = 128;
const VALUE_MAX: usize = 256;

/// Tags by key.
pub type Tags = BTreeMap<String, String>;

/// A tag to be removed: by key, and by value where one is given.
#[derive(Clone, Debug)]
pub struct TagEdit {
    /// Its key.
    pub key: String,
    /// Only if it has this value.
    pub value: Option<String>,
}

/// Reads `Tag.N.Key`, `Tag.N.Value`.
///
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateTags.html>
pub fn parse(query: &mut Query) -> Result<Tags, ApiError> {
    let mut tags = Tags::new();
    for mut tag in query.structs("Tag") {
        let (key, value) = (tag.required("Key")?, tag.text("Value").unwrap_or_default());
        tag.finish()?;
        check(&key, &value)?;
        if tags.insert(key.clone(), value).is_some() {
            return Err(ApiError::value(format!("Duplicate tag key '{key}' specified.")));
        }
    }
    room(tags.len())?;
    Ok(tags)
}

/// Reads the tags of `DeleteTags`.
///
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteTags.html>
pub fn parse_edits(query: &mut Query) -> Result<Vec<TagEdit>, ApiError> {
    let tags = query.structs("Tag").into_iter().map(|mut tag| {
        let edit = TagEdit { key: tag.required("Key")?, value: tag.text("Value") };
        tag.finish()?;
        Ok(edit)
    });
    tags.collect()
}

/// Reads `TagSpecification.N`: tags by the type of resource that they are for.
///
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_TagSpecification.html>
pub fn parse_specifications(query: &mut Query, known: &[&str]) -> Result<BTreeMap<String, Tags>, ApiError> {
    let mut found = BTreeMap::new();
    for mut one in query.structs("TagSpecification") {
        let kind = one.word("ResourceType", known)?.ok_or_else(|| ApiError::missing("ResourceType"))?;
        let tags = parse(&mut one)?;
        one.finish()?;
        if found.insert(kind.clone(), tags).is_some() {
            return Err(ApiError::value(format!("{kind} is specified twice in TagSpecification")));
        }
    }
    Ok(found)
}

/// Whether a resource may have so many.
pub fn room(count: usize) -> Result<(), ApiError> {
    if count <= TAGS_MAX {
        Ok(())
    } else {
        Err(ApiError::new(
            "TagLimitExceeded",
            format!("More than {TAGS_MAX} tags specified for the resource"),
        ))
    }
}

fn check(key: &str, value: &str) -> Result<(), ApiError> {
    let longer = |text: &str, max| text.chars().count() > max;
    if key.to_ascii_lowercase().starts_with("aws:") {
        return Err(ApiError::value("Tag keys starting with 'aws:' are reserved for internal use"));
    }
    if longer(key, KEY_MAX) {
        return Err(ApiError::value(format!("Tag key exceeds the maximum length of {KEY_MAX} characters")));
    }
    if longer(value, VALUE_MAX) {
        return Err(ApiError::value(format!(
            "Tag value exceeds the maximum length of {VALUE_MAX} characters"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(pairs: impl IntoIterator<Item = (String, String)>) -> Result<Tags, ApiError> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        for (i, (key, value)) in pairs.into_iter().enumerate() {
            form.append_pair(&format!("Tag.{}.Key", i + 1), &key);
            form.append_pair(&format!("Tag.{}.Value", i + 1), &value);
        }
        parse(&mut Query::parse(form.finish().as_bytes()))
    }

    #[test]
    fn the_limits_are_inclusive_and_count_characters() {
        let one = |key: String, value: String| tags([(key, value)]);
        one("ä".repeat(128), "ü".repeat(256)).unwrap();
        assert_eq!(one("k".repeat(129), String::new()).unwrap_err().code, "InvalidParameterValue");
        assert_eq!(one("k".into(), "v".repeat(257)).unwrap_err().code, "InvalidParameterValue");
        assert_eq!(one("aws:x".into(), String::new()).unwrap_err().code, "InvalidParameterValue");
        let many = |n: usize| tags((0..n).map(|i| (format!("k{i}"), String::new())));
        assert_eq!(many(50).unwrap().len(), 50);
        assert_eq!(many(51).unwrap_err().code, "TagLimitExceeded");
    }

    #[test]
    fn a_key_or_a_resource_type_twice_is_refused() {
        let twice = ("k".to_owned(), String::new());
        assert!(tags([twice.clone(), twice]).is_err());
        let form = b"TagSpecification.1.ResourceType=volume&TagSpecification.2.ResourceType=volume";
        assert!(parse_specifications(&mut Query::parse(form), &["volume"]).is_err());
        assert!(parse_specifications(&mut Query::parse(form), &["instance"]).is_err());
    }
}
