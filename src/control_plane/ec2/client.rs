//! The connection to EC2: the only file that names the SDK's client.
#![expect(clippy::disallowed_types, reason = "this is the one file that opens connections to EC2")]

use super::fence::{Came, Fence};
use crate::control_plane::action::Action;
use crate::control_plane::faults::Fault;
use crate::control_plane::metrics::{Metrics, Outcome};
use crate::control_plane::pace::Pace;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::config::retry::RetryConfig;
use aws_sdk_ec2::config::timeout::TimeoutConfig;
use aws_sdk_ec2::config::{BehaviorVersion, Region, StalledStreamProtectionConfig};
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use std::error::Error as StdError;
use std::fmt;
use std::time::{Duration, Instant};

/// How long opening a connection may take. Short: what comes after the fence should leave soon after it.
const CONNECT: Duration = Duration::from_secs(3);

/// What a connection is made of.
#[derive(Debug)]
pub struct Connect {
    /// The Region.
    pub region: String,
    /// Another address than AWS's own.
    pub endpoint: Option<String>,
    /// When calls may go out.
    pub pace: Pace,
    /// The longest that a call may wait for its turn.
    pub wait_max: Duration,
    /// How long a call may take from its turn on.
    pub call_deadline: Duration,
    /// How long a launch may take from its turn on.
    pub launch_deadline: Duration,
    /// Where calls are counted.
    pub metrics: Metrics,
}

/// EC2 in one Region, with the credentials of this process.
pub struct Ec2 {
    client: Client,
    region: String,
    pace: Pace,
    wait_max: Duration,
    call_deadline: Duration,
    launch_deadline: Duration,
    metrics: Metrics,
}

impl fmt::Debug for Ec2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ec2").field("region", &self.region).finish_non_exhaustive()
    }
}

/// What an SDK call gives back.
pub(super) type Sent<T, E> = Result<T, SdkError<E>>;

impl Ec2 {
    /// No call is made yet, and no credentials are asked for yet. Those come from where the AWS SDKs look for them:
    /// environment, profile, web identity, container, instance.
    pub async fn connect(connect: Connect) -> Self {
        let Connect { region, endpoint, pace, wait_max, call_deadline, launch_deadline, metrics } = connect;
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new(region.clone()))
            // A lost launch is replayed by whoever recorded it, with the same token and a new fence.
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT).build())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        if let Some(endpoint) = endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        #[cfg(test)]
        let loader =
            loader.credentials_provider(aws_sdk_ec2::config::Credentials::new("i", "k", None, None, "tests"));
        let client = Client::new(&loader.load().await);
        Self { client, region, pace, wait_max, call_deadline, launch_deadline, metrics }
    }

    /// The Region.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// How many instances one call of this action may be about.
    pub fn instances_max(&self, action: Action) -> usize {
        self.pace.instances_max(action)
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Waits for a turn, then carries out one call within its deadline.
    pub(super) async fn call<T, E>(
        &self,
        action: Action,
        instances: u32,
        fence: &Fence,
        call: impl Future<Output = Sent<T, E>>,
    ) -> Result<T, Fault>
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        let asked = Instant::now();
        self.pace.turn(action, instances, self.wait_max).await?;
        self.metrics.waited(action, asked.elapsed());
        let limit = if action == Action::RunInstances { self.launch_deadline } else { self.call_deadline };
        let begun = Instant::now();
        let result = match tokio::time::timeout(limit, call).await {
            Ok(Ok(output)) => Ok(output),
            Ok(Err(error)) => Err(fault(action, fence.came(), &error)),
            Err(_) => Err(lost(action, fence.came(), "it did not come in time")),
        };
        if let Err(fault) = &result
            && fault.is_throttle()
        {
            self.pace.throttled(action);
        }
        self.metrics.ec2(action, outcome(&result, fence.came()), begun.elapsed());
        result
    }
}

fn outcome<T>(result: &Result<T, Fault>, came: Came) -> Outcome {
    match result {
        Ok(_) => Outcome::Ok,
        Err(_) if came != Came::Out => Outcome::NotSent,
        Err(fault) if fault.is_throttle() => Outcome::Throttled,
        Err(fault) if fault.is(atelier_wire::control_plane::codes::UNKNOWN_OUTCOME) => Outcome::Unknown,
        Err(fault) if fault.is(atelier_wire::control_plane::codes::UPSTREAM_UNREACHABLE) => Outcome::NotSent,
        Err(_) => Outcome::Refused,
    }
}

/// What an error of the SDK means. Nothing of what EC2 sent goes into it but the code.
fn fault<E>(action: Action, came: Came, error: &SdkError<E>) -> Fault
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    match error {
        SdkError::ServiceError(refused) => match refused.err().code() {
            Some(code) => Fault::ec2(action, code),
            None => lost(action, came, "its error could not be read"),
        },
        SdkError::DispatchFailure(failure)
            if failure.as_connector_error().is_some_and(|e| never_connected(e)) =>
        {
            Fault::unreachable(action, "no connection to EC2 could be opened")
        }
        SdkError::ResponseError(_) => lost(action, came, "it could not be read"),
        _ => lost(action, came, "the connection broke"),
    }
}

/// A call without an answer: whether it had an effect is known only if it never left, or has none.
fn lost(action: Action, came: Came, why: &str) -> Fault {
    match came {
        Came::TooLate => Fault::expired(),
        Came::NotOut => Fault::unreachable(
            action,
            "it was not sent; the control plane has no AWS credentials, or cannot get them",
        ),
        Came::Out if action.changes() => Fault::unknown_outcome(action),
        Came::Out => Fault::unreachable(action, why),
    }
}

/// Whether a request cannot have left, because there was no connection to send it on.
fn never_connected(error: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(client) = cause.downcast_ref::<hyper_util::client::legacy::Error>() {
            return client.is_connect();
        }
        next = cause.source();
    }
    false
}
