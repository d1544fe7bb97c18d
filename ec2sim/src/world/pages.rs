//! Pages: so many resources, and a token for the rest.

use crate::error::ApiError;
use crate::request::describe::Describe;
use crate::request::sha256;
use crate::world::filters::{self, Filtered};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::collections::BTreeMap;
use std::ops::Bound;

/// The size of a page where the call names none.
const PAGE: usize = 1_000;

/// The resources of one answer.
pub struct Page<'a, T> {
    /// In no order that a caller could rely on.
    pub items: Vec<&'a T>,
    /// For the rest; none: this was all.
    pub next_token: Option<String>,
}

/// One page of what the filters match and `visible` lets through. A page may be shorter than asked for, but
/// not empty before the end.
///
/// <https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-pagination.html>
pub fn page<'a, T: Filtered>(
    all: &'a BTreeMap<String, T>,
    describe: &Describe,
    visible: impl Fn(&T) -> bool,
) -> Result<Page<'a, T>, ApiError> {
    let start = match &describe.next_token {
        None => Bound::Unbounded,
        Some(token) => Bound::Excluded(read_token(token, describe)?),
    };
    let size = describe.max_results.unwrap_or(PAGE);
    let mut found = Page { items: Vec::new(), next_token: None };
    let mut last = None;
    for (id, item) in all.range::<String, _>((start, Bound::Unbounded)) {
        if !visible(item) || !filters::matches(&describe.filters, item)? {
            continue;
        }
        if found.items.len() == size {
            found.next_token = last.map(|id: &String| write_token(id, describe));
            break;
        }
        found.items.push(item);
        last = Some(id);
    }
    Ok(found)
}

/// A token is good for the same filters only.
fn seal(id: &str, describe: &Describe) -> String {
    sha256(format!("{id} {:?}", describe.filters).as_bytes())[..16].to_owned()
}

fn write_token(id: &str, describe: &Describe) -> String {
    URL_SAFE_NO_PAD.encode(format!("{id} {}", seal(id, describe)))
}

fn read_token(token: &str, describe: &Describe) -> Result<String, ApiError> {
    let read = || {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
        let (id, sealed) = text.split_once(' ')?;
        (sealed == seal(id, describe)).then(|| id.to_owned())
    };
    read()
        .ok_or_else(|| ApiError::new("InvalidPaginationToken", "The specified pagination token is not valid"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::describe::Filter;
    use crate::request::tags::Tags;

    struct Thing(usize, Tags);

    impl Filtered for Thing {
        fn tags(&self) -> &Tags {
            &self.1
        }
        fn field(&self, name: &str) -> Option<Vec<String>> {
            (name == "odd").then(|| vec![(self.0 % 2 == 1).to_string()])
        }
    }

    fn things(n: usize) -> BTreeMap<String, Thing> {
        (0..n).map(|i| (format!("{i:05}"), Thing(i, Tags::new()))).collect()
    }

    fn walk(all: &BTreeMap<String, Thing>, mut describe: Describe) -> Vec<usize> {
        let mut sizes = Vec::new();
        loop {
            let page = page(all, &describe, |_| true).unwrap();
            sizes.push(page.items.len());
            match page.next_token {
                Some(token) => describe.next_token = Some(token),
                None => return sizes,
            }
        }
    }

    #[test]
    fn pages_cover_everything_once() {
        let all = things(23);
        let paged = Describe { max_results: Some(10), ..Describe::default() };
        assert_eq!(walk(&all, paged), [10, 10, 3]);
        let odd = vec![Filter { name: "odd".into(), values: vec!["true".into()] }];
        assert_eq!(
            walk(&all, Describe { max_results: Some(5), filters: odd, ..Describe::default() }),
            [5, 5, 1]
        );
        assert_eq!(walk(&things(20), Describe { max_results: Some(10), ..Describe::default() }), [10, 10]);
        assert_eq!(walk(&things(2_500), Describe::default()), [1_000, 1_000, 500]);
        assert_eq!(walk(&things(0), Describe::default()), [0]);
    }

    #[test]
    fn a_token_is_good_for_its_own_filters_only() {
        let all = things(20);
        let first = page(&all, &Describe { max_results: Some(5), ..Describe::default() }, |_| true).unwrap();
        let other = Describe {
            next_token: first.next_token,
            filters: vec![Filter { name: "odd".into(), values: vec!["true".into()] }],
            ..Describe::default()
        };
        let code = |d: &Describe| page(&all, d, |_| true).map(|_| ()).unwrap_err().code;
        assert_eq!(code(&other), "InvalidPaginationToken");
        assert_eq!(
            code(&Describe { next_token: Some("x".into()), ..Describe::default() }),
            "InvalidPaginationToken"
        );
    }
}
