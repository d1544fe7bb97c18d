//! A place for a box: the backend that was chosen or recorded, and everything that can be asked of it.

use super::docker::Engine;
use super::ec2::Cloud;
#[cfg(test)]
use super::scripted::World;
use super::{
    BackendError, BoxOrder, BoxQuery, BoxSeen, Contents, ImageState, LaunchOrder, LaunchQuery, LogQuery,
    LogStream, Outlook, PullCredentials, Remains,
};
use crate::api::workspace::{PlacementRecord, StorageRecord};
use crate::metrics::{Metrics, Operation, Outcome};
use k8s_openapi::jiff::Timestamp;
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
    Ec2(Cloud),
    #[cfg(test)]
    Scripted(World),
}

/// Runs a method of whichever target it is: the containers' way (an engine's, or the script's), or EC2's.
macro_rules! on {
    ($self:ident, $container:ident => $call:expr, $cloud:ident => $ec2:expr) => {
        match &$self.target {
            Target::Docker($container) => $call.await,
            Target::Ec2($cloud) => $ec2,
            #[cfg(test)]
            Target::Scripted($container) => $call.await,
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
    pub async fn boxes(&self, query: &BoxQuery<'_>) -> Result<Vec<BoxSeen>, BackendError> {
        let record = &self.record;
        self.timed(Operation::Boxes, async {
            on!(self, t => t.boxes(record, query.uid), cloud => cloud.boxes(record, query).await)
        })
        .await
    }

    /// What a plan has to mind about launches here.
    pub fn outlook(&self, query: &LaunchQuery<'_>, now: Timestamp) -> Outlook {
        match &self.target {
            Target::Docker(_) => Outlook::CERTAIN,
            Target::Ec2(cloud) => cloud.outlook(query, now),
            #[cfg(test)]
            Target::Scripted(_) => Outlook::CERTAIN,
        }
    }

    /// The request that is frozen in `status.launch.request`: canonical JSON without the value of any secret.
    ///
    /// # Errors
    /// When the platform offers nothing for this order.
    pub fn render(&self, order: &BoxOrder<'_>) -> Result<String, BackendError> {
        match &self.target {
            Target::Docker(engine) => Ok(engine.render(order)),
            Target::Ec2(cloud) => cloud.render(order),
            #[cfg(test)]
            Target::Scripted(world) => Ok(world.render(order)),
        }
    }

    /// What makes the calls of one attempt one launch, where names alone do not.
    pub fn client_token(&self, uid: &str, attempt: i64) -> Option<String> {
        match &self.target {
            Target::Ec2(cloud) => Some(cloud.client_token(uid, attempt)),
            Target::Docker(_) => None,
            #[cfg(test)]
            Target::Scripted(_) => None,
        }
    }

    /// The hash of what a box is told at its first boot, where it is told anything.
    pub fn user_data_hash(
        &self,
        request: &str,
        bootstrap_token: &str,
    ) -> Result<Option<String>, BackendError> {
        match &self.target {
            Target::Ec2(_) => Cloud::user_data_hash(request, bootstrap_token).map(Some),
            Target::Docker(_) => Ok(None),
            #[cfg(test)]
            Target::Scripted(_) => Ok(None),
        }
    }

    /// This process has written the record of this attempt. Where it is a new one, nobody else can have sent a call
    /// of it.
    pub fn recorded(&self, uid: &str, attempt: i64, is_new: bool) {
        match &self.target {
            Target::Ec2(cloud) => cloud.recorded(uid, attempt, is_new),
            Target::Docker(_) => {}
            #[cfg(test)]
            Target::Scripted(_) => {}
        }
    }

    /// Whether a Workspace's data is on a volume that must be made and attached by calls of their own.
    pub fn attaches_volumes(&self) -> bool {
        match &self.target {
            Target::Ec2(_) => true,
            Target::Docker(_) => false,
            #[cfg(test)]
            Target::Scripted(_) => false,
        }
    }

    /// Whether the image of a frozen request is at hand. An instance pulls it by itself.
    pub async fn image(&self, request: &str) -> Result<ImageState, BackendError> {
        self.timed(Operation::Image, async {
            on!(self, t => t.image(request), _cloud => Ok(ImageState::Present))
        })
        .await
    }

    /// Starts to pull the image of a frozen request, unless that is under way. Does not wait for it.
    pub async fn pull(
        &self,
        request: &str,
        credentials: Option<PullCredentials>,
    ) -> Result<(), BackendError> {
        self.timed(Operation::Pull, async { on!(self, t => t.pull(request, credentials), _cloud => Ok(())) })
            .await
    }

    /// Makes, fills and starts the box of a frozen request. Safe to do again after a crash at any point.
    /// Adopts a box only if uid, attempt and hash on it agree.
    pub async fn create(&self, order: &LaunchOrder<'_>) -> Result<BoxSeen, BackendError> {
        // Boxed here and below: many calls after each other make a large future.
        Box::pin(self.timed(Operation::Create, async {
            on!(self, t => t.create(order.request, order.contents), cloud => cloud.create(order).await)
        }))
        .await
    }

    /// Starts a box that is stopped. One that was never started is filled first.
    pub async fn start(
        &self,
        uid: &str,
        seen: &BoxSeen,
        contents: &Contents,
    ) -> Result<BoxSeen, BackendError> {
        Box::pin(self.timed(Operation::Start, async {
            on!(self, t => t.start(seen, contents), cloud => cloud.start(uid, seen).await)
        }))
        .await
    }

    /// Stops a box, giving it ten seconds to end by itself; its volumes stay.
    pub async fn stop(&self, uid: &str, seen: &BoxSeen) -> Result<(), BackendError> {
        self.timed(Operation::Stop, async {
            on!(self, t => t.stop(&seen.id), cloud => cloud.stop(uid, seen).await)
        })
        .await
    }

    /// Stops and removes a box and the files of its attempt. A box that is gone already is a success. Answers
    /// the box as it is now, where that takes a while.
    pub async fn destroy(&self, uid: &str, seen: &BoxSeen) -> Result<Option<BoxSeen>, BackendError> {
        self.timed(Operation::Destroy, async {
            match &self.target {
                Target::Docker(engine) => engine.destroy(seen).await.map(|()| None),
                Target::Ec2(cloud) => cloud.destroy(uid, seen).await.map(Some),
                #[cfg(test)]
                Target::Scripted(world) => world.destroy(seen).await.map(|()| None),
            }
        })
        .await
    }

    /// Makes the volume of a Workspace's data in a zone, or finds the one that is there.
    pub async fn make_volume(
        &self,
        uid: &str,
        request: &str,
        zone: &str,
    ) -> Result<StorageRecord, BackendError> {
        self.timed(Operation::MakeVolume, async {
            match &self.target {
                Target::Ec2(cloud) => cloud.make_volume(uid, request, zone).await,
                Target::Docker(_) => Err(no_volumes()),
                #[cfg(test)]
                Target::Scripted(_) => Err(no_volumes()),
            }
        })
        .await
    }

    /// Attaches the volume of a Workspace's data to its box; answers the box as it is now.
    pub async fn attach_volume(
        &self,
        uid: &str,
        seen: &BoxSeen,
        volume_id: &str,
    ) -> Result<BoxSeen, BackendError> {
        self.timed(Operation::AttachVolume, async {
            match &self.target {
                Target::Ec2(cloud) => cloud.attach(uid, seen, volume_id).await,
                Target::Docker(_) => Err(no_volumes()),
                #[cfg(test)]
                Target::Scripted(_) => Err(no_volumes()),
            }
        })
        .await
    }

    /// Whether anything but a box is left of a Workspace that [`Placement::clear`] would remove.
    pub async fn leftovers(&self, remains: &Remains<'_>) -> Result<bool, BackendError> {
        let record = &self.record;
        let Remains { uid, network_of, .. } = *remains;
        self.timed(Operation::Boxes, async {
            on!(self, t => t.leftovers(record, uid, network_of), cloud => Ok(cloud.leftovers(remains)))
        })
        .await
    }

    /// Removes what is left of a Workspace without boxes: its volumes, but for a retained one, and its
    /// network if no other box is on it.
    pub async fn clear(&self, remains: &Remains<'_>) -> Result<(), BackendError> {
        let record = &self.record;
        let Remains { uid, network_of, .. } = *remains;
        self.timed(Operation::Clear, async {
            on!(self, t => t.clear(record, uid, network_of), cloud => cloud.clear(record, remains).await)
        })
        .await
    }

    /// The last lines that a box printed, at most 2 KiB, as text.
    pub async fn log_tail(&self, uid: &str, id: &str) -> Result<String, BackendError> {
        self.timed(Operation::LogTail, async {
            on!(self, t => t.log_tail(id), cloud => cloud.log_tail(uid, id).await)
        })
        .await
    }

    /// The last lines that a box printed, and what it prints from then on where that is asked: not of an
    /// instance, whose console can only be read.
    pub async fn log(&self, uid: &str, id: &str, query: LogQuery) -> Result<LogStream, BackendError> {
        self.timed(Operation::LogTail, async {
            on!(self, t => t.log(id, query), cloud => cloud.log(uid, id, query).await)
        })
        .await
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

fn no_volumes() -> BackendError {
    BackendError::new(super::ErrorKind::Invalid, "this backend makes a volume together with the box")
}
