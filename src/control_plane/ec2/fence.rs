//! The last look at the time, in the last step before a request leaves this process.

use aws_sdk_ec2::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_ec2::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_ec2::error::BoxError;
use k8s_openapi::jiff::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// How far a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// Credentials, signing and the like; nothing has left.
    NotOut,
    /// It was too late; nothing has left, and nothing will.
    TooLate,
    /// From here on it may have arrived.
    Out,
}

/// Goes with one request, and remembers how far it came.
#[derive(Clone, Debug)]
pub struct Fence {
    not_after: Option<Timestamp>,
    came: Arc<AtomicU8>,
}

impl Fence {
    /// For a request that may be sent up to this time, or at any time.
    pub fn new(not_after: Option<Timestamp>) -> Self {
        Self { not_after, came: Arc::default() }
    }

    /// How far the request came.
    pub fn came(&self) -> Came {
        match self.came.load(Ordering::SeqCst) {
            0 => Came::NotOut,
            1 => Came::TooLate,
            _ => Came::Out,
        }
    }

    fn pass(&self, now: Timestamp) -> bool {
        let late = self.not_after.is_some_and(|limit| now > limit);
        self.came.store(if late { 1 } else { 2 }, Ordering::SeqCst);
        !late
    }
}

impl Intercept for Fence {
    fn name(&self) -> &'static str {
        "Fence"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if self.pass(Timestamp::now()) { Ok(()) } else { Err("its time is over".into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_late_does_not_leave() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let fence = Fence::new(Some(at("2026-01-01T00:00:10Z")));
        assert_eq!(fence.came(), Came::NotOut);
        assert!(fence.pass(at("2026-01-01T00:00:10Z")));
        assert_eq!(fence.clone().came(), Came::Out);
        assert!(!fence.pass(at("2026-01-01T00:00:10.001Z")));
        assert_eq!(fence.came(), Came::TooLate);
        assert!(Fence::new(None).pass(at("2999-01-01T00:00:00Z")));
    }
}
