//! What the registry hands to boxes that fetch their files: what the Workspace reconcile makes of the spec.

use super::Replica;
use super::args::ControllerArgs;
use crate::api::Workspace;
use crate::registry::{self, Bundle};
use crate::workspace::bundle::Resolver;
use crate::workspace::references::Reader;
use futures::FutureExt;
use futures::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;

/// The bundles of this replica.
pub struct Bundles(Resolver);

impl Bundles {
    /// By what this replica knows of the platform. Every bundle is resolved from references as they are then.
    pub fn new(args: &ControllerArgs, replica: &Replica) -> Self {
        Self(Resolver {
            references: Reader::new(replica.cluster.client.clone(), args.pace.references_period),
            config: replica.current.watch(),
            keys: replica.keys.clone(),
        })
    }
}

impl registry::Bundles for Bundles {
    fn boot_timeout(&self, workspace: &Workspace) -> Option<Duration> {
        let placement = workspace.status.as_ref()?.placement.as_ref()?;
        placement.backend.boxes_fetch_their_files().then(|| self.0.boot_timeout(workspace))
    }

    fn bundle(&self, workspace: Arc<Workspace>) -> BoxFuture<'_, Result<Bundle, String>> {
        async move {
            let storage = workspace.status.as_ref().and_then(|status| status.storage.as_ref());
            let volume =
                storage.map(|storage| storage.volume_id.clone()).ok_or("its data volume is not made yet")?;
            let contents = self.0.contents(&workspace).await.map_err(|problem| problem.message)?;
            Ok(Bundle { contents, data_volume: Some(volume) })
        }
        .boxed()
    }
}
