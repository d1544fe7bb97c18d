//! An error as EC2 sends it: a code, a message, an HTTP status.

use std::borrow::Cow;

/// What a call answers when it was not done.
///
/// <https://docs.aws.amazon.com/ec2/latest/devguide/errors-overview.html>
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ApiError {
    /// EC2's code, such as `InvalidInstanceID.NotFound`.
    pub code: Cow<'static, str>,
    /// EC2's message.
    pub message: String,
    /// The HTTP status.
    pub status: u16,
}

impl ApiError {
    /// An error with the status that EC2 sends with this code.
    pub fn new(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        let code = code.into();
        let status = status_of(&code);
        Self { code, message: message.into(), status }
    }

    /// A value that the parameter does not take.
    pub fn value(message: impl Into<String>) -> Self {
        Self::new("InvalidParameterValue", message)
    }

    /// Parameters that exclude each other.
    pub fn combination(message: impl Into<String>) -> Self {
        Self::new("InvalidParameterCombination", message)
    }

    /// A parameter that must be given.
    pub fn missing(name: &str) -> Self {
        Self::new("MissingParameter", format!("The request must contain the parameter {name}"))
    }

    /// The end of a call that only asked whether it would be allowed.
    ///
    /// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/CommonParameters.html>
    pub fn dry_run() -> Self {
        Self::new("DryRunOperation", "Request would have succeeded, but DryRun flag is set.")
    }

    /// Over a rate.
    ///
    /// <https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html>
    pub fn throttled() -> Self {
        Self::new("RequestLimitExceeded", "Request limit exceeded.")
    }

    /// Whether the code speaks of capacity or quota: such a refusal is met only by a launch that is new, never
    /// by the replay of one that was made.
    pub fn is_about_room(&self) -> bool {
        const QUOTAS: [&str; 5] = [
            "VcpuLimitExceeded",
            "InstanceLimitExceeded",
            "MaxSpotInstanceCountExceeded",
            "VolumeLimitExceeded",
            "ResourceCountLimitExceeded",
        ];
        self.code.starts_with("Insufficient") || QUOTAS.contains(&&*self.code)
    }
}

/// The two tables of the page on errors: the codes of servers are 5xx, those of clients 4xx.
fn status_of(code: &str) -> u16 {
    match code {
        "DryRunOperation" => 412,
        "UnauthorizedOperation" | "OptInRequired" | "MissingAuthenticationToken" => 403,
        "AuthFailure" => 401,
        "RequestLimitExceeded" | "Unavailable" | "ServiceUnavailable" | "BandwidthLimitExceeded" => 503,
        "InternalError" | "InternalFailure" | "ServerInternal" => 500,
        "InsufficientFreeAddressesInSubnet" => 400,
        code if code.starts_with("Insufficient") => 500,
        _ => 400,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_the_status_of_its_table() {
        for (code, status) in [
            ("InvalidInstanceID.NotFound", 400),
            ("InsufficientInstanceCapacity", 500),
            ("InsufficientFreeAddressesInSubnet", 400),
            ("RequestLimitExceeded", 503),
            ("UnauthorizedOperation", 403),
            ("DryRunOperation", 412),
            ("InternalError", 500),
        ] {
            assert_eq!(ApiError::new(code, "").status, status, "{code}");
        }
    }

    #[test]
    fn only_capacity_and_quota_spare_a_replay() {
        for (code, room) in
            [("InsufficientInstanceCapacity", true), ("VcpuLimitExceeded", true), ("InternalError", false)]
        {
            assert_eq!(ApiError::new(code, "").is_about_room(), room, "{code}");
        }
    }
}
