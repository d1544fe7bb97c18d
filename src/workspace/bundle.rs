//! The contents of a box that fetches them itself: the same as are put into any other, of the recorded attempt.

use super::act::with_token;
use super::desired::Problem;
use super::references::Reader;
use super::resolve::{Identity, contents, hashed_text, versioned};
use crate::api::backend_config::BackendConfigSpec;
use crate::api::{Reason, Workspace};
use crate::backend::Contents;
use crate::keys::Keys;
use kube::ResourceExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How long a box may take to boot where its runtime is not in the config any more.
const BOOT_TIMEOUT_SECONDS: u32 = 600;

/// Resolves the contents of boxes outside a reconcile, in any replica.
pub struct Resolver {
    /// Reads what specs refer to.
    pub references: Reader,
    /// The accepted BackendConfig, if there is one.
    pub config: watch::Receiver<Option<Arc<BackendConfigSpec>>>,
    /// The keys for tokens and hashes.
    pub keys: Keys,
}

impl Resolver {
    /// How long the box may take to boot.
    pub fn boot_timeout(&self, ws: &Workspace) -> Duration {
        let config = self.config.borrow().clone();
        let runtime = config.as_ref().and_then(|c| c.runtimes.iter().find(|r| r.name == ws.spec.runtime));
        let seconds = runtime.and_then(|r| u32::try_from(r.boot_timeout_seconds).ok());
        Duration::from_secs(seconds.unwrap_or(BOOT_TIMEOUT_SECONDS).into())
    }

    /// The contents of the box of the recorded attempt, with its token.
    ///
    /// # Errors
    /// When they cannot be resolved, or are not those any more that the box was launched for: it is replaced.
    pub async fn contents(&self, ws: &Workspace) -> Result<Contents, Problem> {
        let not_ready = |what: &str| Problem::new(Reason::BackendNotReady, what);
        let config = self.config.borrow().clone();
        let config = config.ok_or_else(|| not_ready("there is no accepted BackendConfig"))?;
        let keyring =
            self.keys.get().ok_or_else(|| not_ready("the key for agents' tokens has not been read"))?;
        let launch = ws.status.as_ref().and_then(|status| status.launch.as_ref());
        let launch = launch.ok_or_else(|| not_ready("no launch is recorded"))?;
        let (uid, name) = (ws.uid().unwrap_or_default(), ws.name_any());
        let refs = self.references.read(&ws.namespace().unwrap_or_default(), &ws.spec, true).await;
        let identity = Identity {
            uid: &uid,
            name: &name,
            platform_url: &config.registry.advertise_url,
            ca_bundle: config.registry.ca_bundle.as_deref(),
        };
        let contents = contents(&ws.spec, &refs, identity)?;
        let hash = keyring.hash(&launch.key_id, &hashed_text(&ws.spec, &refs)).map(|hash| versioned(&hash));
        let no_key =
            || Problem::new(Reason::TokenKeyMissing, "the key of this attempt is not there any more");
        if hash.ok_or_else(no_key)? != launch.spec_hash {
            let what =
                "the Workspace or what it refers to has changed since this box was launched: it is replaced";
            return Err(Problem::new(Reason::Launching, what));
        }
        with_token(contents, &keyring, &uid, launch).ok_or_else(no_key)
    }
}
