//! What every `Describe…` has in common: ids, filters, pages.

use crate::action::Action;
use crate::error::ApiError;
use crate::ids::{self, Kind};
use crate::query::Query;

/// Most values of all filters of one call.
///
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Filtering.html>
const FILTER_VALUES_MAX: usize = 200;

/// Which resources to show.
#[derive(Clone, Debug, Default)]
pub struct Describe {
    /// Exactly these; none: all.
    pub ids: Vec<String>,
    /// Those that all of these match.
    pub filters: Vec<Filter>,
    /// At most so many.
    pub max_results: Option<usize>,
    /// Go on after an earlier page.
    pub next_token: Option<String>,
}

/// A field, and the patterns of which one must match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Such as `tag:Name`.
    pub name: String,
    /// With `*` for any text and `?` for any character.
    pub values: Vec<String>,
}

impl Describe {
    pub(super) fn parse(action: Action, query: &mut Query) -> Result<Self, ApiError> {
        let (list, kind) = match action {
            Action::DescribeVolumes => ("VolumeId", Some(Kind::Volume)),
            Action::DescribeNetworkInterfaces => ("NetworkInterfaceId", Some(Kind::NetworkInterface)),
            Action::DescribeSubnets => ("SubnetId", Some(Kind::Subnet)),
            Action::DescribeImages => ("ImageId", Some(Kind::Image)),
            Action::DescribeAvailabilityZones => ("ZoneName", None),
            Action::DescribeInstanceTypes => ("InstanceType", None),
            _ => ("InstanceId", Some(Kind::Instance)),
        };
        let ids = query.list(list);
        super::within(ids.len())?;
        if let Some(kind) = kind {
            ids.iter().try_for_each(|id| ids::check(kind, id))?;
        }
        if action == Action::DescribeImages {
            // One account: whose images are asked for changes nothing.
            query.list("Owner");
            query.flag("IncludeDeprecated")?;
        }
        if action == Action::DescribeAvailabilityZones {
            query.flag("AllAvailabilityZones")?;
        }
        let filters = filters(query)?;
        let paged = action != Action::DescribeAvailabilityZones;
        let (max_results, next_token) =
            if paged { (query.number("MaxResults")?, query.text("NextToken")) } else { (None, None) };
        let most = if action == Action::DescribeInstanceTypes { 100 } else { 1_000 };
        match max_results {
            Some(max) if !(5..=most).contains(&max) => Err(ApiError::value(format!(
                "Value ( {max} ) for parameter maxResults is invalid. Expecting a value between 5 and {most}."
            ))),
            Some(_) if !ids.is_empty() => Err(ApiError::combination(
                "The parameter maxResults cannot be used with a list of ids in the same request",
            )),
            _ => Ok(Self { ids, filters, max_results, next_token }),
        }
    }

    /// Whether it asks for everything at once: such a call has a smaller bucket.
    pub fn is_unbounded(&self) -> bool {
        self.ids.is_empty()
            && self.filters.is_empty()
            && self.max_results.is_none()
            && self.next_token.is_none()
    }
}

fn filters(query: &mut Query) -> Result<Vec<Filter>, ApiError> {
    let mut filters = Vec::new();
    for mut one in query.structs("Filter") {
        let filter = Filter { name: one.required("Name")?, values: one.list("Value") };
        one.finish()?;
        if filter.values.is_empty() {
            return Err(ApiError::value(format!("The filter '{}' has no value", filter.name)));
        }
        filters.push(filter);
    }
    if filters.iter().map(|filter| filter.values.len()).sum::<usize>() <= FILTER_VALUES_MAX {
        Ok(filters)
    } else {
        Err(ApiError::new(
            "FilterLimitExceeded",
            format!("The request has more than {FILTER_VALUES_MAX} filter values"),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(form: &str) -> Result<Describe, ApiError> {
        Describe::parse(Action::DescribeInstances, &mut Query::parse(form.as_bytes()))
    }

    #[test]
    fn pages_have_five_to_a_thousand_and_exclude_ids() {
        for max in ["5", "1000"] {
            parse(&format!("MaxResults={max}")).unwrap();
        }
        for max in ["4", "1001", "0"] {
            assert_eq!(parse(&format!("MaxResults={max}")).unwrap_err().code, "InvalidParameterValue");
        }
        let both = parse("MaxResults=5&InstanceId.1=i-0123456789abcdef0").unwrap_err();
        assert_eq!(both.code, "InvalidParameterCombination");
    }

    #[test]
    fn filters_are_bounded_and_make_a_call_bounded() {
        assert!(parse("").unwrap().is_unbounded());
        assert!(!parse("Filter.1.Name=tag-key&Filter.1.Value.1=a").unwrap().is_unbounded());
        let values = |n: usize| {
            (1..=n).fold("Filter.1.Name=instance-id".to_owned(), |f, i| format!("{f}&Filter.1.Value.{i}=v"))
        };
        parse(&values(200)).unwrap();
        assert_eq!(parse(&values(201)).unwrap_err().code, "FilterLimitExceeded");
        assert!(parse("Filter.1.Name=tag-key").is_err());
    }
}
