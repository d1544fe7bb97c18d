//! The token buckets that every call is taken from.

use crate::action::Action;
use crate::error::ApiError;
use crate::request::{Call, Request};
use crate::world::settings::Settings;
use jiff::Timestamp;
use std::collections::HashMap;

/// So many at once, and so many a second for ever.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Rate {
    burst: f64,
    refill: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Name {
    /// Calls of one action.
    Requests(Action),
    /// Calls of a describe that asks for everything at once.
    Unbounded(Action),
    /// Instances that the calls of one action are about.
    Instances(Action),
}

/// Requests and resources that may still be asked for. One account, one region: one bucket an action.
#[derive(Default)]
pub struct Buckets(HashMap<Name, (f64, Timestamp)>);

impl Buckets {
    /// Takes what this request costs, or refuses it and takes nothing.
    ///
    /// <https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html>
    pub fn take(&mut self, request: &Request, settings: &Settings, now: Timestamp) -> Result<(), ApiError> {
        if !settings.limits || request.action == Action::GetCallerIdentity {
            return Ok(());
        }
        let mut wanted = vec![(requests_of(request), 1.0)];
        if let Some(rate) = resources_of(request.action) {
            let instances = u32::try_from(request.instances()).unwrap_or(u32::MAX);
            wanted.push(((Name::Instances(request.action), rate), f64::from(instances)));
        }
        let filled: Vec<(Name, f64, f64)> = wanted
            .into_iter()
            .map(|((name, rate), cost)| (name, self.filled(name, rate, settings.limits_scale, now), cost))
            .collect();
        if filled.iter().any(|(_, left, cost)| left < cost) {
            return Err(ApiError::throttled());
        }
        for (name, left, cost) in filled {
            self.0.insert(name, (left - cost, now));
        }
        Ok(())
    }

    fn filled(&self, name: Name, rate: Rate, scale: f64, now: Timestamp) -> f64 {
        let burst = rate.burst * scale;
        let Some((left, at)) = self.0.get(&name) else { return burst };
        let seconds = now.duration_since(*at).as_secs_f64().max(0.0);
        (left + seconds * rate.refill * scale).min(burst)
    }
}

fn requests_of(request: &Request) -> (Name, Rate) {
    let action = request.action;
    let rate = |burst, refill| Rate { burst, refill };
    if let Call::Describe(describe) = &request.call
        && describe.is_unbounded()
        && action != Action::DescribeAvailabilityZones
    {
        return (Name::Unbounded(action), rate(50.0, 10.0));
    }
    let rate = match action {
        Action::RunInstances | Action::StartInstances => rate(5.0, 2.0),
        Action::TerminateInstances => rate(100.0, 5.0),
        Action::CreateTags => rate(100.0, 10.0),
        action if action.reads() => rate(100.0, 20.0),
        _ => rate(50.0, 5.0),
    };
    (Name::Requests(action), rate)
}

fn resources_of(action: Action) -> Option<Rate> {
    match action {
        Action::RunInstances | Action::StartInstances => Some(Rate { burst: 1_000.0, refill: 2.0 }),
        Action::TerminateInstances | Action::StopInstances => Some(Rate { burst: 1_000.0, refill: 20.0 }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::Query;
    use crate::world::settings::later;

    fn request(action: Action, form: &str) -> Request {
        Request::parse(action, Query::parse(form.as_bytes())).unwrap()
    }

    fn taken(buckets: &mut Buckets, request: &Request, now: Timestamp) -> usize {
        let settings = Settings::default();
        (0..2_000).take_while(|_| buckets.take(request, &settings, now).is_ok()).count()
    }

    #[test]
    fn each_action_has_the_published_burst_and_refill() {
        let id = "InstanceId.1=i-0123456789abcdef0";
        let run = "ImageId=ami-0a7e11e7000000001&MinCount=1&MaxCount=1&InstanceType=t3.medium";
        let tags = "ResourceId.1=i-0123456789abcdef0&Tag.1.Key=k";
        for (action, form, burst, refill) in [
            (Action::RunInstances, run, 5, 2),
            (Action::StartInstances, id, 5, 2),
            (Action::TerminateInstances, id, 100, 5),
            (Action::StopInstances, id, 50, 5),
            (Action::CreateTags, tags, 100, 10),
            (Action::DescribeInstances, "MaxResults=5", 100, 20),
            (Action::DescribeInstances, id, 100, 20),
            (Action::DescribeInstances, "", 50, 10),
            (Action::GetConsoleOutput, "InstanceId=i-0123456789abcdef0", 100, 20),
        ] {
            let (mut buckets, request) = (Buckets::default(), request(action, form));
            let start = Timestamp::UNIX_EPOCH;
            assert_eq!(taken(&mut buckets, &request, start), burst, "{action:?} {form}");
            assert_eq!(taken(&mut buckets, &request, later(start, 1_000)), refill, "{action:?} {form}");
            assert_eq!(taken(&mut buckets, &request, later(start, 3_600_000)), burst, "never over the burst");
        }
    }

    #[test]
    fn instances_count_as_well_as_calls() {
        let many = (1..=600).fold(String::new(), |form, i| format!("{form}InstanceId.{i}=i-{i:017x}&"));
        let request = request(Action::TerminateInstances, &many);
        let (mut buckets, start) = (Buckets::default(), Timestamp::UNIX_EPOCH);
        assert_eq!(taken(&mut buckets, &request, start), 1);
        // 400 are left, and 20 come back each second.
        assert_eq!(taken(&mut buckets, &request, later(start, 9_900)), 0);
        assert_eq!(taken(&mut buckets, &request, later(start, 10_000)), 1);
    }

    #[test]
    fn limits_can_be_scaled_and_switched_off() {
        let (mut buckets, request) = (Buckets::default(), request(Action::DescribeInstances, ""));
        let mut settings = Settings { limits_scale: 2.0, ..Settings::default() };
        let now = Timestamp::UNIX_EPOCH;
        let count = (0..500).take_while(|_| buckets.take(&request, &settings, now).is_ok()).count();
        assert_eq!(count, 100);
        settings.limits = false;
        assert!(buckets.take(&request, &settings, now).is_ok());
    }
}
