//! What tests of the control plane share.

use super::ec2::{Connect, Ec2};
use super::metrics::Metrics;
use super::pace::Pace;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// EC2 at this address, with no limit that a test would wait for.
pub async fn ec2(endpoint: &str) -> Ec2 {
    let connect = Connect {
        region: "us-east-1".into(),
        endpoint: Some(endpoint.into()),
        pace: Pace::new(1_000.0, CancellationToken::new()),
        wait_max: Duration::from_secs(30),
        call_deadline: Duration::from_secs(30),
        launch_deadline: Duration::from_secs(30),
        metrics: Metrics::default(),
    };
    Ec2::connect(connect).await
}
