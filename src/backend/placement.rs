//! A place for a box: the backend that was chosen or recorded, and everything that can be asked of it.

use super::docker::Engine;
#[cfg(test)]
use super::scripted::World;
use super::{BackendError, BoxOrder, BoxSeen, Contents, ImageState, PullCredentials};
use crate::api::workspace::PlacementRecord;
use crate::metrics::{Metrics, Operation, Outcome};
use std::time::Instant;

/// Where one Workspace's box is or will be. Made by [`super::Backends::place`] alone.
#[derive(Clone, Debug)]
pub struct Placement {
    target: Target,
    record: PlacementRecord,
    metrics: Metrics,
}

/// A private enum rather than a trait object: a new backend does not compile until every method handles it.
#[derive(Clone, Debug)]
pub(super) enum Target {
    Docker(Engine),
    #[cfg(test)]
    Scripted(World),
}

/// Runs a method of whichever target it is.
macro_rules! on {
    ($self:ident, $target:ident => $call:expr) => {
        match &$self.target {
            Target::Docker($target) => $call.await,
            #[cfg(test)]
            Target::Scripted($target) => $call.await,
        }
    };
}

impl Placement {
    pub(super) fn new(target: Target, record: PlacementRecord, metrics: Metrics) -> Self {
        Self { target, record, metrics }
    }

    /// The backend and the identity of its world, as `status.placement` records them.
    pub fn record(&self) -> &PlacementRecord {
        &self.record
    }

    /// Every box of a Workspace, of any attempt. Asked only of the recorded world: if another one answers,
    /// that is `WrongBackend`, never an empty list.
    pub async fn boxes(&self, uid: &str) -> Result<Vec<BoxSeen>, BackendError> {
        self.timed(Operation::Boxes, async { on!(self, t => t.boxes(&self.record, uid)) }).await
    }

    /// The request that is frozen in `status.launch.request`: canonical JSON without the value of any secret.
    pub fn render(&self, order: &BoxOrder<'_>) -> String {
        match &self.target {
            Target::Docker(engine) => engine.render(order),
            #[cfg(test)]
            Target::Scripted(world) => world.render(order),
        }
    }

    /// Whether the image of a frozen request is at hand.
    pub async fn image(&self, request: &str) -> Result<ImageState, BackendError> {
        self.timed(Operation::Image, async { on!(self, t => t.image(request)) }).await
    }

    /// Starts to pull the image of a frozen request, unless that is under way. Does not wait for it.
    pub async fn pull(
        &self,
        request: &str,
        credentials: Option<PullCredentials>,
    ) -> Result<(), BackendError> {
        self.timed(Operation::Pull, async { on!(self, t => t.pull(request, credentials)) }).await
    }

    /// Makes, fills and starts the box of a frozen request. Safe to do again after a crash at any point.
    /// Adopts a box only if uid, attempt and hash on it agree.
    pub async fn create(&self, request: &str, contents: &Contents) -> Result<BoxSeen, BackendError> {
        // Boxed here and below: many calls after each other make a large future.
        Box::pin(self.timed(Operation::Create, async { on!(self, t => t.create(request, contents)) })).await
    }

    /// Starts a box that is stopped. One that was never started is filled first.
    pub async fn start(&self, seen: &BoxSeen, contents: &Contents) -> Result<BoxSeen, BackendError> {
        Box::pin(self.timed(Operation::Start, async { on!(self, t => t.start(seen, contents)) })).await
    }

    /// Stops a box, giving it ten seconds to end by itself; its volumes stay.
    pub async fn stop(&self, id: &str) -> Result<(), BackendError> {
        self.timed(Operation::Stop, async { on!(self, t => t.stop(id)) }).await
    }

    /// Stops and removes a box and the files of its attempt. A box that is gone already is a success.
    pub async fn destroy(&self, seen: &BoxSeen) -> Result<(), BackendError> {
        self.timed(Operation::Destroy, async { on!(self, t => t.destroy(seen)) }).await
    }

    /// Whether anything but a box is left of a Workspace that [`Placement::clear`] would remove.
    pub async fn leftovers(&self, uid: &str, network_of: &str) -> Result<bool, BackendError> {
        self.timed(Operation::Boxes, async { on!(self, t => t.leftovers(&self.record, uid, network_of)) })
            .await
    }

    /// Removes what is left of a Workspace without boxes: its volumes, but for a retained one, and its
    /// network if no other box is on it.
    pub async fn clear(&self, uid: &str, network_of: &str) -> Result<(), BackendError> {
        self.timed(Operation::Clear, async { on!(self, t => t.clear(&self.record, uid, network_of)) }).await
    }

    /// The last lines that a box printed, at most 2 KiB, as text.
    pub async fn log_tail(&self, id: &str) -> Result<String, BackendError> {
        self.timed(Operation::LogTail, async { on!(self, t => t.log_tail(id)) }).await
    }

    async fn timed<T>(
        &self,
        operation: Operation,
        call: impl Future<Output = Result<T, BackendError>>,
    ) -> Result<T, BackendError> {
        let started = Instant::now();
        let result = call.await;
        self.metrics.backend_call(operation, Outcome::from(&result), started.elapsed());
        result
    }
}
