//! The form of a request as typed parameters. What nobody takes out of it is an error.

use crate::error::ApiError;
use std::collections::BTreeMap;
use std::str::FromStr;

/// Parameters by name. Reading one takes it out, so that [`Query::finish`] finds those that nobody knows.
///
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Query-Requests.html>
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// What stood before the names, with its dot, for messages.
    prefix: String,
    params: BTreeMap<String, String>,
}

impl Query {
    /// Reads `application/x-www-form-urlencoded`.
    pub fn parse(body: &[u8]) -> Self {
        let params = form_urlencoded::parse(body).map(|(k, v)| (k.into_owned(), v.into_owned())).collect();
        Self { prefix: String::new(), params }
    }

    /// Everything that is still in it.
    pub fn params(&self) -> &BTreeMap<String, String> {
        &self.params
    }

    /// Whether nothing was given.
    pub fn is_empty(&self) -> bool {
        self.params.is_empty()
    }

    /// A text; empty counts as not given.
    pub fn text(&mut self, name: &str) -> Option<String> {
        self.params.remove(name).filter(|value| !value.is_empty())
    }

    /// A text that must be there.
    pub fn required(&mut self, name: &str) -> Result<String, ApiError> {
        self.text(name).ok_or_else(|| ApiError::missing(&self.full(name)))
    }

    /// `true` or `false`.
    pub fn flag(&mut self, name: &str) -> Result<Option<bool>, ApiError> {
        self.text(name)
            .map(|value| match value.to_ascii_lowercase().as_str() {
                "true" | "1" => Ok(true),
                "false" | "0" => Ok(false),
                _ => Err(self.refused(name, &value, "Expecting true or false")),
            })
            .transpose()
    }

    /// A number.
    pub fn number<T: FromStr>(&mut self, name: &str) -> Result<Option<T>, ApiError> {
        self.text(name)
            .map(|value| value.parse().map_err(|_| self.refused(name, &value, "Expecting a number")))
            .transpose()
    }

    /// One of these words.
    pub fn word(&mut self, name: &str, known: &[&str]) -> Result<Option<String>, ApiError> {
        self.text(name)
            .map(|value| {
                if known.contains(&value.as_str()) {
                    Ok(value)
                } else {
                    Err(self.refused(name, &value, &format!("Expecting one of: {}", known.join(", "))))
                }
            })
            .transpose()
    }

    /// `name.1`, `name.2`, … in the order of their numbers.
    pub fn list(&mut self, name: &str) -> Vec<String> {
        let mut found: Vec<(u32, String)> =
            self.below(name).filter_map(|(key, rest)| Some((rest.parse().ok()?, key))).collect();
        found.sort_unstable();
        found.into_iter().filter_map(|(_, key)| self.params.remove(&key)).collect()
    }

    /// `name.1.…`, `name.2.…`: each a set of parameters of its own, in the order of their numbers.
    pub fn structs(&mut self, name: &str) -> Vec<Self> {
        let mut found: BTreeMap<u32, Self> = BTreeMap::new();
        let keys: Vec<(String, String)> = self.below(name).collect();
        for (key, rest) in keys {
            let Some((number, field)) = rest.split_once('.') else { continue };
            let Ok(index) = number.parse() else { continue };
            let Some(value) = self.params.remove(&key) else { continue };
            let prefix = format!("{}{name}.{number}.", self.prefix);
            let one = found.entry(index).or_insert_with(|| Self { prefix, params: BTreeMap::new() });
            one.params.insert(field.to_owned(), value);
        }
        found.into_values().collect()
    }

    /// `name.…`: the parameters of one structure.
    pub fn group(&mut self, name: &str) -> Self {
        let keys: Vec<(String, String)> = self.below(name).collect();
        let params =
            keys.into_iter().filter_map(|(key, rest)| Some((rest, self.params.remove(&key)?))).collect();
        Self { prefix: format!("{}{name}.", self.prefix), params }
    }

    /// Refuses what is left: a parameter that is not imitated must not be ignored in silence.
    pub fn finish(self) -> Result<(), ApiError> {
        match self.params.keys().next() {
            None => Ok(()),
            Some(name) => Err(ApiError::new(
                "UnknownParameter",
                format!("The parameter {} is not recognized", self.full(name)),
            )),
        }
    }

    fn below<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (String, String)> + 'a {
        self.params.keys().filter_map(move |key| {
            let rest = key.strip_prefix(name)?.strip_prefix('.')?;
            Some((key.clone(), rest.to_owned()))
        })
    }

    fn full(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn refused(&self, name: &str, value: &str, why: &str) -> ApiError {
        ApiError::value(format!("Value ({value}) for parameter {} is invalid. {why}", self.full(name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_structures_come_in_the_order_of_their_numbers() {
        let mut query = Query::parse(b"Id.2=b&Id.10=c&Id.1=a&F.2.Name=y&F.1.Name=x&F.1.V.1=1&G.A=g");
        assert_eq!(query.list("Id"), ["a", "b", "c"]);
        let mut filters = query.structs("F");
        assert_eq!(filters.len(), 2);
        assert_eq!(filters[0].text("Name").as_deref(), Some("x"));
        assert_eq!(filters[0].list("V"), ["1"]);
        assert_eq!(query.group("G").text("A").as_deref(), Some("g"));
        query.finish().unwrap();
    }

    #[test]
    fn what_nobody_reads_is_refused_by_its_full_name() {
        let mut query = Query::parse(b"A.1.B=1");
        let inner = query.structs("A").remove(0);
        let error = inner.finish().unwrap_err();
        assert_eq!(error.code, "UnknownParameter");
        assert!(error.message.contains("A.1.B"), "{error}");
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_named() {
        let mut query = Query::parse(b"N=x&F=maybe&W=c");
        for error in [
            query.number::<u32>("N").unwrap_err(),
            query.flag("F").unwrap_err(),
            query.word("W", &["a", "b"]).unwrap_err(),
        ] {
            assert_eq!(error.code, "InvalidParameterValue");
        }
        assert_eq!(query.required("Z").unwrap_err().code, "MissingParameter");
    }
}
