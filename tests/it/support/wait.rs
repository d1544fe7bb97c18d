//! Waiting: for a condition, with a deadline, and with a word on what was seen instead.

use std::time::{Duration, Instant};

/// How long anything may take that needs no timer of the operator's. Generous: machines are slow, and a
/// promise about time is measured where it is made.
pub const SOON: Duration = Duration::from_secs(40);
/// How long may take what has to wait for backoff or several boxes.
pub const LATER: Duration = Duration::from_secs(120);

const PERIOD: Duration = Duration::from_millis(150);

/// Asks until the answer is `Ok`; at the deadline, the last `Err` says what was seen instead.
pub async fn poll<T>(
    deadline: Duration,
    mut question: impl AsyncFnMut() -> Result<T, String>,
) -> Result<T, String> {
    let end = Instant::now() + deadline;
    loop {
        match question().await {
            Ok(answer) => return Ok(answer),
            Err(seen) if Instant::now() >= end => return Err(seen),
            Err(_) => tokio::time::sleep(PERIOD).await,
        }
    }
}
