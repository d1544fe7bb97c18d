//! Serves the API for as long as the process lives, and keeps what it needs up to date. What fails here is told and
//! tried again, and ends nothing else: agents need none of this.

use super::keeper::Keeper;
use super::{Live, Parts};
use crate::process::peers::{self, Certificate};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;
use tracing::{info, warn};

/// How often the Secret, the APIService and the front proxy's ConfigMap are read again.
const PERIOD: Duration = Duration::from_secs(15);
/// How soon after something failed.
const RETRY: Duration = Duration::from_secs(3);
/// How long a connection may wait for its next call: the API server keeps its connections for longer than a
/// minute.
const IDLE_MAX: Duration = Duration::from_secs(120);
/// How long calls under way may take once the process is asked to stop.
const GRACE: Duration = Duration::from_secs(5);

/// Serves until `shutdown` ends. Begins once there is a certificate.
///
/// # Errors
/// When the socket fails.
pub async fn serve(
    listener: TcpListener,
    parts: Parts,
    shutdown: impl Future<Output = ()>,
) -> Result<(), String> {
    let keeper =
        Keeper::new(&parts.client, &parts.about.operator_namespace, &parts.service, &parts.about.controller);
    let live = Arc::new(Live::new(parts).map_err(|error| error.to_string())?);
    let mut kept = Kept { keeper, live: Arc::clone(&live), chain: String::new(), told: None };
    let certificate = loop {
        match kept.first().await {
            Ok(certificate) => break certificate,
            Err(why) => {
                kept.tell(why);
                tokio::time::sleep(RETRY).await;
            }
        }
    };
    info!("the aggregated API is served");
    let served = peers::serve(listener, certificate.clone(), IDLE_MAX, GRACE, live.router(), shutdown);
    tokio::select! {
        ended = served => ended.map_err(|error| error.to_string()),
        never = kept.keep(&certificate) => never,
    }
}

/// What is kept up to date.
struct Kept {
    keeper: Keeper,
    live: Arc<Live>,
    /// The certificate that is served.
    chain: String,
    /// What was said last of why something is not up to date.
    told: Option<String>,
}

impl Kept {
    async fn first(&mut self) -> Result<Certificate, String> {
        let pair = self.keeper.certificate().await?;
        let certificate = Certificate::new(&pair.chain, &pair.key)?;
        self.chain = pair.chain;
        Ok(certificate)
    }

    async fn keep<T>(&mut self, certificate: &Certificate) -> T {
        loop {
            let result = self.pass(certificate).await;
            let pause = if result.is_ok() { PERIOD } else { RETRY };
            match result {
                Ok(()) => self.told = None,
                Err(why) => self.tell(why),
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// The front proxy first: without it nobody is answered. The authority is told before its certificate is
    /// served.
    async fn pass(&mut self, certificate: &Certificate) -> Result<(), String> {
        self.live.knows(self.keeper.front().await?);
        let pair = self.keeper.certificate().await?;
        let announced = self.keeper.announce(&pair).await;
        if pair.chain != self.chain {
            certificate.replace(&pair.chain, &pair.key)?;
            self.chain = pair.chain;
            info!("took a new certificate of the aggregated API into use");
        }
        announced
    }

    /// Once, until something else is wrong.
    fn tell(&mut self, why: String) {
        if self.told.as_ref() != Some(&why) {
            warn!(why, "the aggregated API is not as it should be; it is tried again");
            self.told = Some(why);
        }
    }
}
