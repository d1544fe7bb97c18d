//! Images: whether one is at hand, and pulls in the background.

use super::body::ImageUser;
use super::engine::{CALL, Engine, PULL_STALL};
use super::error::Refusal;
use super::progress::Progress;
use super::pull_secret;
use crate::backend::{BackendError, ContainerPlan, ImageState, PullCredentials};
use bollard::auth::DockerCredentials;
use bollard::query_parameters::CreateImageOptions;
use futures::StreamExt;
use k8s_openapi::jiff::Timestamp;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The pulls of this process, by image: those under way, and those that failed.
#[derive(Debug, Default)]
pub(super) struct Pulls(Mutex<HashMap<String, Pull>>);

#[derive(Debug)]
struct Pull {
    state: PullState,
    /// The uids of the Workspaces that asked: each gets a hint when the pull ends.
    waiting: BTreeSet<String>,
}

#[derive(Clone, Debug)]
enum PullState {
    UnderWay { how_far: Option<String>, failed_before: Option<String> },
    Failed(String, Timestamp),
}

impl Pulls {
    fn table(&self) -> MutexGuard<'_, HashMap<String, Pull>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a Workspace wait for a pull under way, and says how far it is.
    fn wait(&self, image: &str, uid: &str) -> Option<ImageState> {
        let mut table = self.table();
        let pull = table.get_mut(image)?;
        let PullState::UnderWay { how_far, failed_before } = pull.state.clone() else { return None };
        pull.waiting.insert(uid.to_owned());
        Some(ImageState::Pulling { how_far, failed_before })
    }

    /// Whether a pull may start: it is noted as under way then.
    fn begin(&self, image: &str, uid: &str) -> bool {
        if self.wait(image, uid).is_some() {
            return false;
        }
        let failed_before = self.failure(image).map(|(words, _)| words);
        let state = PullState::UnderWay { how_far: None, failed_before };
        self.table().insert(image.to_owned(), Pull { state, waiting: [uid.to_owned()].into() });
        true
    }

    fn advance(&self, image: &str, line: Option<String>) {
        if let Some(PullState::UnderWay { how_far, .. }) =
            self.table().get_mut(image).map(|pull| &mut pull.state)
        {
            *how_far = line;
        }
    }

    /// Ends a pull. Gives the Workspaces that wait for it.
    fn end(&self, image: &str, failed: Option<(String, Timestamp)>) -> BTreeSet<String> {
        let mut table = self.table();
        let Some(mut pull) = table.remove(image) else { return BTreeSet::new() };
        let waiting = std::mem::take(&mut pull.waiting);
        if let Some((words, at)) = failed {
            pull.state = PullState::Failed(words, at);
            table.insert(image.to_owned(), pull);
        }
        waiting
    }

    fn failure(&self, image: &str) -> Option<(String, Timestamp)> {
        match &self.table().get(image)?.state {
            PullState::Failed(words, at) => Some((words.clone(), *at)),
            PullState::UnderWay { .. } => None,
        }
    }
}

impl Engine {
    /// Whether the image of a request is at hand.
    pub(crate) async fn image(&self, request: &str) -> Result<ImageState, BackendError> {
        let plan = ContainerPlan::parse(request)?;
        if let Some(under_way) = self.pulls().wait(&plan.image, plan.uid()) {
            return Ok(under_way);
        }
        match self.image_user(&plan.image).await {
            Ok(_) => Ok(ImageState::Present),
            Err(refusal) if refusal.is(404) => Ok(match self.pulls().failure(&plan.image) {
                Some((words, at)) => ImageState::Failed(words, at),
                None => ImageState::Missing,
            }),
            Err(refusal) => Err(refusal.into()),
        }
    }

    /// The user that an image starts as.
    pub(super) async fn image_user(&self, image: &str) -> Result<ImageUser, Refusal> {
        let what = format!("find image {image}");
        let inspected = self.call(&what, CALL, self.client()?.inspect_image(image)).await?;
        Ok(ImageUser::parse(inspected.config.and_then(|config| config.user).as_deref().unwrap_or_default()))
    }

    /// Starts to pull the image of a request, unless that is under way.
    #[expect(clippy::unused_async, reason = "a method of every backend, and elsewhere it asks the backend")]
    pub(crate) async fn pull(
        &self,
        request: &str,
        credentials: Option<PullCredentials>,
    ) -> Result<(), BackendError> {
        let plan = ContainerPlan::parse(request)?;
        let credentials = match credentials {
            Some(secret) => pull_secret::credentials(&secret, &plan.image)?,
            None => None,
        };
        if self.pulls().begin(&plan.image, plan.uid()) {
            let engine = self.clone();
            tokio::spawn(async move {
                let failed = engine.pull_now(&plan.image, credentials).await.err();
                let failed = failed.map(|refusal| (BackendError::from(refusal).detail, Timestamp::now()));
                for uid in engine.pulls().end(&plan.image, failed) {
                    engine.hints().give(uid);
                }
            });
        }
        Ok(())
    }

    async fn pull_now(&self, image: &str, credentials: Option<DockerCredentials>) -> Result<(), Refusal> {
        let what = format!("pull image {image}");
        let options = CreateImageOptions {
            from_image: Some(image.to_owned()),
            // Without any tag the engine would pull all of them.
            tag: (!is_tagged(image)).then(|| "latest".to_owned()),
            ..CreateImageOptions::default()
        };
        let mut news = self.client()?.create_image(Some(options), None, credentials);
        let mut progress = Progress::default();
        loop {
            let next = async { news.next().await.transpose() };
            let Some(piece) = self.call(&what, PULL_STALL, next).await? else { return Ok(()) };
            progress.note(piece);
            self.pulls().advance(image, progress.line());
        }
    }
}

/// Whether an image names its tag or digest.
fn is_tagged(image: &str) -> bool {
    let name = image.rsplit_once('/').map_or(image, |(_, name)| name);
    name.contains([':', '@'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_told_from_a_port() {
        for tagged in ["a:1", "r:5000/a:1", "r/a@sha256:00"] {
            assert!(is_tagged(tagged), "{tagged}");
        }
        for plain in ["a", "r:5000/a", "org/a"] {
            assert!(!is_tagged(plain), "{plain}");
        }
    }

    #[test]
    fn one_pull_an_image_and_everybody_hears_of_its_end() {
        let pulls = Pulls::default();
        assert!(pulls.begin("a:1", "u1"));
        assert!(!pulls.begin("a:1", "u2"));
        assert!(pulls.begin("b:1", "u3"));
        pulls.advance("a:1", Some("half".into()));
        let half = ImageState::Pulling { how_far: Some("half".into()), failed_before: None };
        assert_eq!(pulls.wait("a:1", "u4"), Some(half));
        let now = Timestamp::now();
        let heard = pulls.end("a:1", Some(("no".into(), now)));
        assert_eq!(heard, ["u1", "u2", "u4"].map(str::to_owned).into());
        assert_eq!(pulls.failure("a:1"), Some(("no".into(), now)));
        assert_eq!(pulls.wait("a:1", "u1"), None);
        assert!(pulls.begin("a:1", "u1"), "a failed pull can be tried again");
        assert_eq!(pulls.failure("a:1"), None);
        let again = ImageState::Pulling { how_far: None, failed_before: Some("no".into()) };
        assert_eq!(pulls.wait("a:1", "u1"), Some(again), "what its forerunner met is known");
        pulls.end("a:1", None);
        assert_eq!(pulls.failure("a:1"), None);
    }
}
