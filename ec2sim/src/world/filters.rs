//! Filters of the `Describe…` actions.

use crate::error::ApiError;
use crate::request::describe::Filter;
use crate::request::tags::Tags;

/// Something that filters look at.
pub trait Filtered {
    /// Its tags.
    fn tags(&self) -> &Tags;
    /// What the field of this name holds; none: there is no such field.
    fn field(&self, name: &str) -> Option<Vec<String>>;
}

/// Whether all filters match: within one filter any value, and every filter.
///
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Filtering.html>
pub fn matches(filters: &[Filter], item: &impl Filtered) -> Result<bool, ApiError> {
    for filter in filters {
        let held = if let Some(key) = filter.name.strip_prefix("tag:") {
            item.tags().get(key).cloned().into_iter().collect()
        } else if filter.name == "tag-key" {
            item.tags().keys().cloned().collect()
        } else {
            item.field(&filter.name)
                .ok_or_else(|| ApiError::value(format!("The filter '{}' is invalid", filter.name)))?
        };
        let any = held.iter().any(|text| filter.values.iter().any(|pattern| like(pattern, text)));
        if !any {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a text matches a pattern with `*`, `?` and `\` as escape. Case counts.
fn like(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    // Where to go on after a mismatch: behind the last star, one character later in the text.
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
                continue;
            }
            Some('\\') if pattern.get(p + 1) == Some(&text[t]) => {
                (p, t) = (p + 2, t + 1);
                continue;
            }
            Some(c) if *c == '?' || (*c != '\\' && *c == text[t]) => {
                (p, t) = (p + 1, t + 1);
                continue;
            }
            _ => {}
        }
        let Some((star_p, star_t)) = star else { return false };
        star = Some((star_p, star_t + 1));
        (p, t) = (star_p + 1, star_t + 1);
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Thing(Tags);

    impl Filtered for Thing {
        fn tags(&self) -> &Tags {
            &self.0
        }
        fn field(&self, name: &str) -> Option<Vec<String>> {
            (name == "colour").then(|| vec!["red".to_owned()])
        }
    }

    fn filter(name: &str, values: &[&str]) -> Filter {
        Filter { name: name.into(), values: values.iter().map(|v| (*v).to_owned()).collect() }
    }

    #[test]
    fn any_value_of_a_filter_and_all_filters() {
        let thing = Thing([("k".to_owned(), "v".to_owned())].into());
        let seen = |filters: &[Filter]| matches(filters, &thing).unwrap();
        assert!(seen(&[]));
        assert!(seen(&[filter("colour", &["blue", "red"]), filter("tag:k", &["v"])]));
        assert!(!seen(&[filter("colour", &["red"]), filter("tag:k", &["w"])]));
        assert!(seen(&[filter("tag-key", &["k"])]) && !seen(&[filter("tag-key", &["v"])]));
        assert!(!seen(&[filter("tag:other", &["*"])]));
        assert!(matches(&[filter("shape", &["x"])], &thing).is_err());
    }

    #[test]
    fn patterns() {
        for (pattern, text, expected) in [
            ("a*c", "abbc", true),
            ("a*c", "abcd", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*", "", true),
            ("", "x", false),
            ("a\\*", "a*", true),
            ("a\\*", "ab", false),
            ("*b*b", "abab", true),
            ("A", "a", false),
        ] {
            assert_eq!(like(pattern, text), expected, "{pattern} {text}");
        }
    }
}
