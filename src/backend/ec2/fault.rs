//! The control plane's errors, and EC2's behind them, as the errors that the operator decides by. Pure.

use crate::backend::{BackendError, ErrorKind};
use atelier_wire::control_plane::{ErrorBody, FaultClass, codes};

/// What an EC2 code means for a launch, and where in the BackendConfig a person can mend it; what is mended
/// elsewhere, the control plane says. See
/// <https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-error-codes.html>.
struct Row {
    code: &'static str,
    kind: ErrorKind,
    hint: &'static str,
}

const fn row(code: &'static str, kind: ErrorKind, hint: &'static str) -> Row {
    Row { code, kind, hint }
}

const CORRECT_AMI: &str = "correct spec.ec2.amiID or the runtime's amiID: it must exist in this region";
const KMS: &str = "enable the KMS key and let the control plane use it, or name another in spec.ec2";

const TABLE: &[Row] = &[
    row("InsufficientInstanceCapacity", ErrorKind::NoCapacity, ""),
    row("InsufficientHostCapacity", ErrorKind::NoCapacity, ""),
    row("InsufficientCapacity", ErrorKind::NoCapacity, ""),
    row("InsufficientReservedInstanceCapacity", ErrorKind::NoCapacity, ""),
    row("SpotMaxPriceTooLow", ErrorKind::NoCapacity, ""),
    // Not in this zone, or not any more: to us it is short for a while, and the next is tried.
    row("Unsupported", ErrorKind::NoCapacity, ""),
    row("InsufficientFreeAddressesInSubnet", ErrorKind::SubnetFull, ""),
    row("VcpuLimitExceeded", ErrorKind::VcpuLimit, ""),
    row("InstanceLimitExceeded", ErrorKind::VcpuLimit, ""),
    row("MaxSpotInstanceCountExceeded", ErrorKind::VcpuLimit, ""),
    row("VolumeLimitExceeded", ErrorKind::VcpuLimit, ""),
    row("MaxIOPSLimitExceeded", ErrorKind::VcpuLimit, ""),
    row("UnauthorizedOperation", ErrorKind::Denied, ""),
    row("AuthFailure", ErrorKind::Denied, ""),
    row("OptInRequired", ErrorKind::Denied, ""),
    row("PendingVerification", ErrorKind::Denied, ""),
    row("Blocked", ErrorKind::Denied, ""),
    row(
        "DryRunOperation",
        ErrorKind::Refused,
        "the control plane answered a launch with a dry run: upgrade it",
    ),
    row("InvalidAMIID.NotFound", ErrorKind::Refused, CORRECT_AMI),
    row("InvalidAMIID.Malformed", ErrorKind::Refused, CORRECT_AMI),
    row("InvalidAMIID.Unavailable", ErrorKind::Refused, CORRECT_AMI),
    row("InvalidSubnetID.NotFound", ErrorKind::Refused, "correct spec.ec2.subnetIDs"),
    row("InvalidSubnet", ErrorKind::Refused, "correct spec.ec2.subnetIDs"),
    row(
        "InvalidGroup.NotFound",
        ErrorKind::Refused,
        "correct spec.ec2.securityGroupIDs: each must be of the subnets' VPC",
    ),
    row("InvalidSecurityGroupID.NotFound", ErrorKind::Refused, "correct spec.ec2.securityGroupIDs"),
    row("InvalidInstanceType", ErrorKind::Refused, "correct spec.ec2.instanceTypes"),
    row("InvalidInstanceProfile", ErrorKind::Refused, "correct spec.ec2.instanceProfileName"),
    row("InvalidKmsKey.InvalidState", ErrorKind::Refused, KMS),
    row("InvalidKmsKey.NotFound", ErrorKind::Refused, KMS),
    row("InvalidParameterValue", ErrorKind::Refused, "correct what the message names in spec.ec2"),
    row("InvalidParameterCombination", ErrorKind::Refused, "correct what the message names in spec.ec2"),
    row("InvalidParameter", ErrorKind::Refused, "correct what the message names in spec.ec2"),
    row("MissingParameter", ErrorKind::Refused, "correct what the message names in spec.ec2"),
    row(
        "InvalidBlockDeviceMapping",
        ErrorKind::Refused,
        "correct the volumes in spec.ec2; they must hold the AMI's",
    ),
    row(
        "InvalidUserData.Malformed",
        ErrorKind::Refused,
        "make registry.caBundle smaller: user-data ends at 16 KB",
    ),
    row("TagLimitExceeded", ErrorKind::Refused, "an instance takes 50 tags at most"),
    row("IdempotentInstanceTerminated", ErrorKind::Ended, ""),
    row("RequestLimitExceeded", ErrorKind::Throttled, ""),
    row("Throttling", ErrorKind::Throttled, ""),
    row("ThrottlingException", ErrorKind::Throttled, ""),
    row("InvalidInstanceID.NotFound", ErrorKind::NotFound, ""),
    row("InvalidInstanceID.Malformed", ErrorKind::NotFound, ""),
    row("IncorrectInstanceState", ErrorKind::Busy, ""),
    row("IncorrectState", ErrorKind::Busy, ""),
    row("VolumeInUse", ErrorKind::Busy, ""),
    // The control plane's own.
    row(codes::NOT_ALLOWED, ErrorKind::Denied, ""),
    row(codes::FORBIDDEN, ErrorKind::Unauthorized, ""),
    row(
        codes::UNAUTHENTICATED,
        ErrorKind::Unauthorized,
        "correct the Secret that spec.ec2.controlPlane.tokenSecretRef names",
    ),
    row(
        codes::INVALID_BODY,
        ErrorKind::Refused,
        "controller and control plane differ in version: upgrade the older",
    ),
    row(codes::RATE_LIMITED, ErrorKind::Throttled, ""),
    row(codes::EXPIRED, ErrorKind::Failed, ""),
    row(codes::NOT_VISIBLE_YET, ErrorKind::Busy, ""),
    row(codes::UNKNOWN_OUTCOME, ErrorKind::Failed, ""),
    row(codes::UPSTREAM_UNREACHABLE, ErrorKind::ControlPlaneUnreachable, ""),
];

/// The error that an answer of the control plane is. `during` says what was asked.
pub fn error(during: &str, status: u16, body: &ErrorBody) -> BackendError {
    let known = TABLE.iter().find(|row| row.code == body.code);
    let kind = known.map_or_else(|| unknown(status, body), |row| row.kind);
    let mut detail = format!("{during}: {}", body.error.trim_end_matches('.'));
    if !body.code.is_empty() && !detail.contains(&body.code) {
        detail = format!("{detail} ({})", body.code);
    }
    if let Some(hint) = known.map(|row| row.hint).filter(|hint| !hint.is_empty()) {
        detail = format!("{detail}; {hint}");
    }
    BackendError::new(kind, detail)
}

/// Codes that nobody knows are worth another try: they prove nothing about an instance.
fn unknown(status: u16, body: &ErrorBody) -> ErrorKind {
    match (status, body.class) {
        (401, _) => ErrorKind::Unauthorized,
        (429, _) => ErrorKind::Throttled,
        (_, FaultClass::Waiting) => ErrorKind::Busy,
        _ => ErrorKind::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::workspace::Outcome;
    use std::collections::BTreeSet;

    fn of(code: &str) -> BackendError {
        let body = ErrorBody { error: "no".into(), code: code.into(), ..ErrorBody::default() };
        error("launch", 400, &body)
    }

    #[test]
    fn a_code_stands_once_in_the_table_and_its_hint_in_the_message() {
        let codes: BTreeSet<_> = TABLE.iter().map(|row| row.code).collect();
        assert_eq!(codes.len(), TABLE.len());
        assert_eq!(of("VcpuLimitExceeded").detail, "launch: no (VcpuLimitExceeded)");
        let ami = "launch: no (InvalidAMIID.NotFound); correct spec.ec2.amiID or the runtime's amiID: it must exist in \
                   this region";
        assert_eq!(of("InvalidAMIID.NotFound").detail, ami);
    }

    #[test]
    fn only_a_definite_refusal_closes_an_attempt() {
        for (code, closes) in [
            ("InsufficientInstanceCapacity", Some(Outcome::Refused)),
            ("VcpuLimitExceeded", Some(Outcome::Refused)),
            ("UnauthorizedOperation", Some(Outcome::Refused)),
            ("InvalidAMIID.NotFound", Some(Outcome::Refused)),
            ("IdempotentInstanceTerminated", Some(Outcome::Gone)),
            ("RequestLimitExceeded", None),
            ("UnknownOutcome", None),
            ("Expired", None),
            ("RateLimited", None),
            ("InternalError", None),
            ("Unavailable", None),
            ("NobodyKnowsThisOne", None),
            ("IdempotentParameterMismatch", None),
        ] {
            assert_eq!(of(code).closes_attempt(), closes, "{code}");
        }
    }

    #[test]
    fn a_code_that_nobody_knows_is_tried_again() {
        let at = |status, class| error("launch", status, &ErrorBody { class, ..ErrorBody::default() }).kind;
        assert_eq!(at(500, FaultClass::Retryable), ErrorKind::Failed);
        assert_eq!(at(400, FaultClass::Terminal), ErrorKind::Failed);
        assert_eq!(at(503, FaultClass::Waiting), ErrorKind::Busy);
        assert_eq!(at(429, FaultClass::Retryable), ErrorKind::Throttled);
        assert_eq!(at(401, FaultClass::Terminal), ErrorKind::Unauthorized);
    }
}
