//! Everything that an answer other than success can be, and the table from EC2's codes to what happens next.
//!
//! The words are ours: what EC2 sent may hold what it was sent, and goes no further than its code.

use super::action::Action;
use atelier_wire::control_plane::{ErrorBody, FaultClass, codes};

/// After how many seconds a throttled call is worth another try.
const THROTTLED_RETRY: u64 = 5;
/// After how many seconds something that is on its way is worth another look.
const SOON: u64 = 2;
/// The longest code that is passed on, in bytes.
const CODE_MAX_BYTES: usize = 96;

/// A call that was not carried out, or of which that is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The status of the answer.
    pub status: u16,
    /// EC2's code, or one of ours.
    pub code: String,
    /// What happens next.
    pub class: FaultClass,
    /// What went wrong and what a person can do, for people.
    pub error: String,
    /// After how many seconds another try is worth it.
    pub retry_after: Option<u64>,
}

impl Fault {
    fn new(status: u16, code: &str, class: FaultClass, error: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), class, error: error.into(), retry_after: None }
    }

    fn after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// 401: nobody that we know is calling.
    pub fn unauthenticated(error: &str) -> Self {
        Self::new(401, codes::UNAUTHENTICATED, FaultClass::Terminal, error)
    }

    /// 403: not the caller's. Says no more than that.
    pub fn foreign() -> Self {
        let error = "this secret is not good for that";
        Self::new(403, codes::FORBIDDEN, FaultClass::Terminal, error)
    }

    /// 403: the caller may not act for this cluster.
    pub fn other_cluster() -> Self {
        let error = "this secret is not bound to that cluster id; see secrets[].clusterIDs in the control \
                     plane's settings";
        Self::new(403, codes::FORBIDDEN, FaultClass::Terminal, error)
    }

    /// 403: a volume that is to be kept.
    pub fn retained() -> Self {
        let error = "the volume is tagged atelier.dev/retain=true; it is deleted by hand, or after that tag is \
                     taken off";
        Self::new(403, codes::FORBIDDEN, FaultClass::Terminal, error)
    }

    /// 400: the call is wrong in itself.
    pub fn invalid(field: &str, why: &str) -> Self {
        Self::new(400, codes::INVALID_BODY, FaultClass::Terminal, format!("{field}: {why}"))
    }

    /// 400: the body cannot be read; the text names the field.
    pub fn unreadable(why: impl Into<String>) -> Self {
        Self::new(400, codes::INVALID_BODY, FaultClass::Terminal, why)
    }

    /// 413: more than the call takes.
    pub fn too_large(limit: usize) -> Self {
        let error = format!("the body is longer than {limit} bytes");
        Self::new(413, codes::INVALID_BODY, FaultClass::Terminal, error)
    }

    /// 408: the body did not come.
    pub fn slow_body() -> Self {
        Self::new(408, codes::INVALID_BODY, FaultClass::Retryable, "the body did not arrive in time")
    }

    /// 404: no such path or thing.
    pub fn not_found(error: &str) -> Self {
        Self::new(404, codes::NOT_FOUND, FaultClass::Terminal, error)
    }

    /// 405: the path is known and the method is not.
    pub fn method() -> Self {
        let error = "this path does not take this method";
        Self::new(405, codes::NOT_FOUND, FaultClass::Terminal, error)
    }

    /// 403: the settings do not allow this value.
    pub fn not_allowed(field: &str, value: &str, list: &str) -> Self {
        let error = format!(
            "{field}: {value:?} is not allowed; whoever runs the control plane can add it to allow.{list}"
        );
        Self::new(403, codes::NOT_ALLOWED, FaultClass::Terminal, error)
    }

    /// 409: its time was over before it was sent.
    pub fn expired() -> Self {
        let error = "not_after was over before the request could be sent to EC2; it was not sent";
        Self::new(409, codes::EXPIRED, FaultClass::Retryable, error)
    }

    /// 429: it would have to wait too long for its turn.
    pub fn rate_limited(action: Action, seconds: f64) -> Self {
        let error =
            format!("{} calls are waiting for AWS's rate limit; this one was not sent", action.as_str());
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
        let seconds = seconds.ceil().clamp(1.0, 86_400.0) as u64;
        Self::new(429, codes::RATE_LIMITED, FaultClass::Retryable, error).after(seconds)
    }

    /// 503: too many calls at a time.
    pub fn busy() -> Self {
        let error = "too many calls are under way; nothing was done";
        Self::new(503, codes::RATE_LIMITED, FaultClass::Retryable, error).after(SOON)
    }

    /// 503: the process is about to end.
    pub fn stopping(action: Action) -> Self {
        let error = format!("the control plane is stopping; {} was not sent", action.as_str());
        Self::new(503, codes::UPSTREAM_UNREACHABLE, FaultClass::Retryable, error).after(SOON)
    }

    /// 503: launched by this process moments ago, and EC2 does not show it yet.
    pub fn not_visible_yet() -> Self {
        let error = "EC2 does not show this instance yet; it was launched moments ago";
        Self::new(503, codes::NOT_VISIBLE_YET, FaultClass::Waiting, error).after(SOON)
    }

    /// 409: more than one where exactly one must be.
    pub fn ambiguous() -> Self {
        let error = "more than one live instance belongs to this workspace; say which with instance_id";
        Self::new(409, codes::AMBIGUOUS, FaultClass::Terminal, error)
    }

    /// 503: whether it had an effect is not known.
    pub fn unknown_outcome(action: Action) -> Self {
        let error = format!(
            "EC2's answer to {} was lost or did not come in time; whether it had an effect is not known",
            action.as_str()
        );
        Self::new(503, codes::UNKNOWN_OUTCOME, FaultClass::Retryable, error)
    }

    /// 503: the token was used with another request, and what it launched is not to be seen.
    pub fn unknown_launch() -> Self {
        let error = "this idempotency_key was used with another request, and EC2 does not show what it launched; \
                     that does not mean that nothing was";
        Self::new(503, codes::UNKNOWN_OUTCOME, FaultClass::Retryable, error)
    }

    /// 503: nothing was sent, or nothing that changes anything was answered.
    pub fn unreachable(action: Action, why: &str) -> Self {
        let error = format!("{} had no answer: {why}", action.as_str());
        Self::new(503, codes::UPSTREAM_UNREACHABLE, FaultClass::Retryable, error)
    }

    /// 409: an attempt whose instance has been terminated.
    pub fn terminated() -> Self {
        Self::ec2(Action::RunInstances, "IdempotentInstanceTerminated")
    }

    /// 503: the account that answers is not the one of the settings.
    pub fn wrong_account(expected: &str, found: &str) -> Self {
        let error = format!(
            "EC2 answers for account {found}, and {expected} was expected; correct accountID in the control \
             plane's settings, or its credentials"
        );
        Self::new(503, "WrongAccount", FaultClass::Terminal, error)
    }

    /// What an error code of EC2 means. Codes that are not known are retryable.
    pub fn ec2(action: Action, code: &str) -> Self {
        let (status, class, words) = meaning(code);
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let code: String = code.chars().filter(|c| plain(*c)).take(CODE_MAX_BYTES).collect();
        let fault =
            Self::new(status, &code, class, format!("{}: {words} (EC2 says {code})", action.as_str()));
        match status {
            429 => fault.after(THROTTLED_RETRY),
            _ => fault,
        }
    }

    /// What went into the request, in front of the text.
    #[must_use]
    pub fn about(mut self, what: &str) -> Self {
        self.error = format!("{what}: {}", self.error);
        self
    }

    /// Whether it has this code.
    pub fn is(&self, code: &str) -> bool {
        self.code == code
    }

    /// Whether AWS said that calls come too fast.
    pub fn is_throttle(&self) -> bool {
        is_throttle(&self.code)
    }

    /// The body of the answer.
    pub fn body(&self, request_id: &str) -> ErrorBody {
        ErrorBody {
            error: self.error.clone(),
            code: self.code.clone(),
            class: self.class,
            request_id: request_id.to_owned(),
            retry_after_seconds: self.retry_after,
        }
    }
}

fn is_throttle(code: &str) -> bool {
    matches!(code, "RequestLimitExceeded" | "Throttling" | "ThrottlingException" | "RequestThrottled")
}

/// The table: the status of our answer, the class, and what to say.
///
/// The codes are those of <https://docs.aws.amazon.com/ec2/latest/devguide/errors-overview.html>.
fn meaning(code: &str) -> (u16, FaultClass, &'static str) {
    use FaultClass::{Retryable, Terminal, Waiting};
    match code {
        _ if is_throttle(code) => {
            (429, Retryable, "AWS limits how fast it may be called, and this was too fast")
        }
        "InsufficientInstanceCapacity" | "InsufficientHostCapacity" | "InsufficientCapacity" => {
            (503, Retryable, "AWS has no capacity for this instance type in this zone now")
        }
        "InsufficientVolumeCapacity" => {
            (503, Retryable, "AWS has no capacity for this volume type in this zone now")
        }
        "InsufficientFreeAddressesInSubnet" | "InsufficientAddressCapacity" => {
            (503, Retryable, "the subnet has no free address; free some, or offer another subnet")
        }
        "VcpuLimitExceeded" | "InstanceLimitExceeded" => (
            409,
            Terminal,
            "the account's limit for running instances is reached; ask AWS for a higher quota",
        ),
        "VolumeLimitExceeded" | "MaxIOPSLimitExceeded" => {
            (409, Terminal, "the account's limit for volumes is reached; ask AWS for a higher quota")
        }
        "NetworkInterfaceLimitExceeded" | "PrivateIpAddressLimitExceeded" => (
            409,
            Terminal,
            "the account's limit for network interfaces is reached; ask AWS for a higher quota",
        ),
        "TagLimitExceeded" => (400, Terminal, "the resource would have more tags than EC2 takes"),
        "UnauthorizedOperation" | "AccessDenied" | "AccessDeniedException" => {
            (403, Terminal, "the control plane's IAM policy does not allow this action")
        }
        "AuthFailure"
        | "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "SignatureDoesNotMatch"
        | "MissingAuthenticationToken"
        | "IncompleteSignature" => (503, Terminal, "AWS does not accept the control plane's credentials"),
        "ExpiredToken" | "ExpiredTokenException" => {
            (503, Retryable, "the control plane's AWS credentials have expired")
        }
        "RequestExpired" => {
            (503, Terminal, "the control plane's clock is wrong: AWS refuses its requests as too old")
        }
        "OptInRequired" | "Blocked" | "PendingVerification" => {
            (403, Terminal, "AWS does not let this account use EC2 in this Region")
        }
        "InvalidAMIID.NotFound" | "InvalidAMIID.Malformed" | "InvalidAMIID.Unavailable" => {
            (409, Terminal, "there is no such machine image in this Region, or the account may not use it")
        }
        "InvalidSubnetID.NotFound" | "InvalidSubnetID.Malformed" | "InvalidSubnet" => {
            (409, Terminal, "there is no such subnet in this Region")
        }
        "InvalidGroup.NotFound" | "InvalidGroupId.Malformed" | "InvalidSecurityGroupID.NotFound" => {
            (409, Terminal, "there is no such security group in the subnet's VPC")
        }
        "InvalidInstanceType" => (409, Terminal, "there is no such instance type"),
        "Unsupported" | "UnsupportedOperation" | "UnsupportedInstanceAttribute" => {
            (409, Terminal, "this combination is not offered, such as this instance type in this zone")
        }
        "InvalidParameterValue"
        | "InvalidParameterCombination"
        | "InvalidParameter"
        | "MissingParameter"
        | "UnknownParameter"
        | "InvalidBlockDeviceMapping"
        | "InvalidUserData.Malformed" => (
            409,
            Terminal,
            "EC2 does not take one of the values; check the instance profile, type, image and volume",
        ),
        "IdempotentParameterMismatch" => {
            (409, Terminal, "this idempotency_key was used with another request")
        }
        "IdempotentInstanceTerminated" => {
            (409, Terminal, "the instance that this idempotency_key launched has been terminated")
        }
        "InvalidInstanceID.NotFound" | "InvalidInstanceID.Malformed" => {
            (404, Retryable, "EC2 does not know this instance")
        }
        "InvalidVolume.NotFound" | "InvalidVolumeID.Malformed" => {
            (404, Retryable, "EC2 does not know this volume")
        }
        "InvalidNetworkInterfaceID.NotFound" | "InvalidNetworkInterfaceId.Malformed" => {
            (404, Retryable, "EC2 does not know this network interface")
        }
        "InvalidVolume.ZoneMismatch" => (409, Terminal, "the volume and the instance are in different zones"),
        "InvalidZone.NotFound" => (409, Terminal, "there is no such zone in this Region"),
        "IncorrectInstanceState"
        | "IncorrectState"
        | "VolumeInUse"
        | "InvalidNetworkInterface.InUse"
        | "InvalidParameterValue.InUse"
        | "ConcurrentVolumeOperation" => (409, Waiting, "it is not in a state for this yet"),
        "OperationNotPermitted" => {
            (409, Terminal, "the instance is protected against this, or does not permit it")
        }
        _ if code.starts_with("InvalidKmsKey") || code.contains("KMS") || code.contains("KmsKey") => (
            409,
            Terminal,
            "the KMS key of the volume cannot be used; check that it is enabled and its policy",
        ),
        "InternalError" | "InternalFailure" | "Unavailable" | "ServiceUnavailable" => {
            (503, Retryable, "EC2 itself has a fault")
        }
        _ => (503, Retryable, "EC2 refused the call"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use FaultClass::{Retryable, Terminal, Waiting};

    #[test]
    fn every_code_has_its_class_and_status() {
        for (code, status, class) in [
            ("RequestLimitExceeded", 429, Retryable),
            ("Throttling", 429, Retryable),
            ("InsufficientInstanceCapacity", 503, Retryable),
            ("InsufficientFreeAddressesInSubnet", 503, Retryable),
            ("VcpuLimitExceeded", 409, Terminal),
            ("UnauthorizedOperation", 403, Terminal),
            ("AuthFailure", 503, Terminal),
            ("RequestExpired", 503, Terminal),
            ("InvalidAMIID.NotFound", 409, Terminal),
            ("InvalidSubnetID.NotFound", 409, Terminal),
            ("InvalidGroup.NotFound", 409, Terminal),
            ("Unsupported", 409, Terminal),
            ("InvalidParameterValue", 409, Terminal),
            ("IdempotentParameterMismatch", 409, Terminal),
            ("IdempotentInstanceTerminated", 409, Terminal),
            ("InvalidInstanceID.NotFound", 404, Retryable),
            ("IncorrectInstanceState", 409, Waiting),
            ("VolumeInUse", 409, Waiting),
            ("InvalidKmsKey.InvalidState", 409, Terminal),
            ("InternalError", 503, Retryable),
            ("SomethingNew", 503, Retryable),
        ] {
            let fault = Fault::ec2(Action::RunInstances, code);
            assert_eq!((fault.status, fault.class), (status, class), "{code}");
            assert_eq!(fault.code, code);
            assert!(fault.error.starts_with("RunInstances: "), "the action is named: {}", fault.error);
            assert_eq!(fault.retry_after.is_some(), status == 429);
        }
    }

    #[test]
    fn a_code_is_passed_on_without_what_is_no_code() {
        let fault = Fault::ec2(Action::CreateTags, &format!("Odd<b>\n{}", "x".repeat(500)));
        assert!(fault.code.starts_with("Oddbxxx") && fault.code.len() == CODE_MAX_BYTES);
        assert!(!fault.error.contains('<'));
    }

    #[test]
    fn when_to_come_back_is_said_in_whole_seconds() {
        assert_eq!(Fault::rate_limited(Action::RunInstances, 0.2).retry_after, Some(1));
        assert_eq!(Fault::rate_limited(Action::RunInstances, 31.2).retry_after, Some(32));
        let body = Fault::rate_limited(Action::RunInstances, 3.0).body("r");
        assert_eq!((body.retry_after_seconds, &*body.request_id), (Some(3), "r"));
    }
}
