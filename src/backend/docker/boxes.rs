//! Boxes: looked for, made, started, stopped and removed. Every step is safe to do again.

use super::body::{CONFIGS, ImageUser, Site, WORKSPACE, body};
use super::engine::{CALL, Engine, GRACE, LAUNCH, REMOVE};
use super::error::{Refusal, gone_is_fine};
use super::inspect::{configs_volume, is_read_only, labels, seen, user};
use crate::api::names;
use crate::api::workspace::PlacementRecord;
use crate::backend::archive::archive;
use crate::backend::{BackendError, BoxSeen, BoxState, ContainerPlan, Contents, ErrorKind};
use bollard::models::{
    ContainerInspectResponse, EndpointSettings, NetworkConnectRequest, NetworkDisconnectRequest,
};
use bollard::query_parameters::{
    CreateContainerOptions, InspectContainerOptions, ListContainersOptions, RemoveContainerOptions,
    StartContainerOptions, StopContainerOptions, UploadToContainerOptions,
};
use futures::future::try_join_all;

/// How often a start is sent. A port that the engine chose may be in use: it goes through its ports in turn,
/// ten at each start, and does not know what others on its host listen at.
const STARTS: u32 = 10;

impl Engine {
    /// Every box of a Workspace, of any attempt, asked of the recorded engine only.
    pub(crate) async fn boxes(
        &self,
        record: &PlacementRecord,
        uid: &str,
    ) -> Result<Vec<BoxSeen>, BackendError> {
        let filters = Some(self.ours(Some((names::UID, uid))));
        let options = ListContainersOptions { all: true, filters, ..ListContainersOptions::default() };
        let list = async {
            let listed = self.call("list containers", CALL, self.client()?.list_containers(Some(options)));
            Ok::<_, BackendError>(listed.await?)
        };
        let ((), listed) = tokio::try_join!(self.check(record), list)?;
        let ids: Vec<_> = listed.into_iter().filter_map(|container| container.id).collect();
        let looks = ids.iter().map(|id| async {
            match self.inspect(id).await {
                Ok(container) => Ok(Some(container)),
                Err(refusal) if refusal.is(404) => Ok(None),
                Err(refusal) => Err(refusal),
            }
        });
        let found = try_join_all(looks).await?;
        Ok(found.into_iter().flatten().map(|container| self.seen(container)).collect())
    }

    /// Makes, fills and starts the box of a request.
    pub(crate) async fn create(&self, request: &str, contents: &Contents) -> Result<BoxSeen, BackendError> {
        let plan = ContainerPlan::parse(request)?;
        let (user, network, ()) = tokio::try_join!(
            self.image_user(&plan.image),
            self.network(&plan.network_of, plan.namespace()),
            self.volumes(&plan),
        )?;
        if plan.attempt() != Some(1) {
            self.remove_old_configs(&plan).await?;
        }
        let mut all_labels = plan.labels.clone();
        all_labels.insert(names::NETWORK_OF.into(), plan.network_of.clone());
        let site = Site {
            network: &network.id,
            publish_address: &self.endpoint().publish_address,
            socket: self.endpoint().socket(),
            labels: self.signed(&all_labels),
            user: &user,
        };
        let options =
            CreateContainerOptions { name: Some(plan.name.clone()), ..CreateContainerOptions::default() };
        let made = self.client()?.create_container(Some(options), body(&plan, contents, site));
        let id = match self.change(&format!("create container {}", plan.name), LAUNCH, made).await {
            Ok(made) => made.id,
            Err(refusal) if refusal.kind() == ErrorKind::NameTaken => {
                return self.adopt(&plan, contents).await;
            }
            Err(refusal) => return Err(refusal.into()),
        };
        self.fill(&id, contents, user, plan.read_only_root).await?;
        self.run(&id).await
    }

    /// Takes over the container that has the box's name, if it is this very box.
    async fn adopt(&self, plan: &ContainerPlan, contents: &Contents) -> Result<BoxSeen, BackendError> {
        let name = &plan.name;
        let busy = |why: &str| BackendError::new(ErrorKind::Busy, format!("the container {name} {why}"));
        let container = match self.inspect(name).await {
            Ok(container) => container,
            Err(refusal) if refusal.is(404) => return Err(busy("was just removed: it is made anew")),
            Err(refusal) => return Err(refusal.into()),
        };
        let found = labels(&container);
        if !self.is_ours(&found, plan.uid()) {
            let detail = format!(
                "a container named {name} exists on the Docker engine and is not this Workspace's: remove or rename it"
            );
            return Err(BackendError::new(ErrorKind::NameTaken, detail));
        }
        let agrees = |key: &str| found.get(key) == plan.labels.get(key);
        if !agrees(names::ATTEMPT) || !agrees(names::SPEC_HASH) {
            return Err(busy("is of another attempt or spec and goes first"));
        }
        let seen = self.seen(container);
        match seen.state {
            BoxState::Created => self.start(&seen, contents).await,
            BoxState::Removing => Err(busy("is being removed")),
            _ => Ok(seen),
        }
    }

    /// Starts a box that does not run. One that was never started is filled first.
    pub(crate) async fn start(&self, seen: &BoxSeen, contents: &Contents) -> Result<BoxSeen, BackendError> {
        if seen.started_at.is_none() {
            let container = self.inspect(&seen.id).await?;
            self.fill(&seen.id, contents, user(&container), is_read_only(&container)).await?;
        }
        self.run(&seen.id).await
    }

    /// Stops a box; its volumes stay.
    pub(crate) async fn stop(&self, id: &str) -> Result<(), BackendError> {
        let t = i32::try_from(GRACE.as_secs()).ok();
        let options = StopContainerOptions { t, ..StopContainerOptions::default() };
        let stopped = self.client()?.stop_container(id, Some(options));
        Ok(self.change(&format!("stop container {id}"), GRACE + REMOVE, stopped).await?)
    }

    /// Stops and removes a box and the files of its attempt.
    pub(crate) async fn destroy(&self, seen: &BoxSeen) -> Result<(), BackendError> {
        let id = &seen.id;
        let configs = match self.inspect(id).await {
            Ok(container) => configs_volume(&container),
            // Its files go with the next attempt or with the rest of the Workspace.
            Err(refusal) if refusal.is(404) => return Ok(()),
            Err(refusal) => return Err(refusal.into()),
        };
        self.remove_container(id, seen.state == BoxState::Running).await?;
        if let Some(configs) = configs {
            self.remove_volume(&configs).await?;
        }
        Ok(())
    }

    /// Removes a container, stopped if it may run; volumes that have a name stay.
    pub(super) async fn remove_container(&self, id: &str, may_run: bool) -> Result<(), BackendError> {
        if may_run {
            match self.stop(id).await {
                Err(error) if error.is_about_backend() => return Err(error),
                // What does not stop when it is asked to is removed by force.
                Ok(()) | Err(_) => {}
            }
        }
        let options = RemoveContainerOptions { force: true, v: true, ..RemoveContainerOptions::default() };
        let removed = self.client()?.remove_container(id, Some(options));
        Ok(gone_is_fine(self.change(&format!("remove container {id}"), REMOVE, removed).await)?)
    }

    pub(super) async fn inspect(&self, id: &str) -> Result<ContainerInspectResponse, Refusal> {
        let inspected = self.client()?.inspect_container(id, None::<InspectContainerOptions>);
        self.call(&format!("inspect container {id}"), CALL, inspected).await
    }

    fn seen(&self, container: ContainerInspectResponse) -> BoxSeen {
        seen(container, &self.endpoint().publish_address)
    }

    /// Uploads the files into a container that was not started.
    async fn fill(
        &self,
        id: &str,
        contents: &Contents,
        user: ImageUser,
        read_only_root: bool,
    ) -> Result<(), BackendError> {
        let (path, archive) = match user {
            // New volumes are root's, and this user could not write there. They can be given away only by an
            // upload into the folder above, which the engine refuses where that is read-only.
            ImageUser::Number(owner) if !read_only_root => {
                let folders = [CONFIGS, WORKSPACE].map(|folder| folder.trim_start_matches('/'));
                ("/", archive(&folders, folders[0], &contents.files, owner))
            }
            user => (CONFIGS, archive(&[], "", &contents.files, user.owner())),
        };
        let what = format!("fill container {id}");
        let bytes = archive
            .map_err(|error| BackendError::new(ErrorKind::Invalid, format!("could not {what}: {error}")))?;
        let options =
            UploadToContainerOptions { path: path.to_owned(), ..UploadToContainerOptions::default() };
        let sent = self.client()?.upload_to_container(id, Some(options), bollard::body_full(bytes.into()));
        Ok(self.change(&what, LAUNCH, sent).await?)
    }

    /// Starts a container and looks at it. A network that was removed under it is made anew.
    async fn run(&self, id: &str) -> Result<BoxSeen, BackendError> {
        for _ in 1..STARTS {
            match self.start_container(id).await {
                Ok(()) => return Ok(self.seen(self.inspect(id).await?)),
                Err(refusal) if refusal.is(404) && refusal.says("network") => self.reattach(id).await?,
                Err(refusal) if refusal.says("address already in use") => {}
                Err(refusal) => return Err(refusal.into()),
            }
        }
        self.start_container(id).await?;
        Ok(self.seen(self.inspect(id).await?))
    }

    async fn start_container(&self, id: &str) -> Result<(), Refusal> {
        let started = self.client()?.start_container(id, None::<StartContainerOptions>);
        self.change(&format!("start container {id}"), LAUNCH, started).await
    }

    /// Attaches a container that does not run to the network of its Team, and to no other.
    async fn reattach(&self, id: &str) -> Result<(), BackendError> {
        let container = self.inspect(id).await?;
        let labels = labels(&container);
        let network_of = labels.get(names::NETWORK_OF).map(String::as_str).unwrap_or_default();
        let alias = names::host(labels.get(names::UID).map(String::as_str).unwrap_or_default());
        let former = container.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
        for (key, endpoint) in former {
            let gone = endpoint.network_id.filter(|id| !id.is_empty()).unwrap_or_else(|| key.clone());
            self.networks().forget(network_of, &gone).await;
            let request = NetworkDisconnectRequest { container: id.to_owned(), force: Some(true) };
            let what = format!("take container {id} off network {key}");
            self.change(&what, CALL, self.client()?.disconnect_network(&key, request)).await?;
        }
        let namespace = labels.get(names::NAMESPACE).map(String::as_str).unwrap_or_default();
        let network = self.network(network_of, namespace).await?;
        let endpoint = EndpointSettings { aliases: Some(vec![alias]), ..EndpointSettings::default() };
        let request = NetworkConnectRequest { container: id.to_owned(), endpoint_config: Some(endpoint) };
        let what = format!("attach container {id} to network {}", network.id);
        Ok(self.change(&what, CALL, self.client()?.connect_network(&network.id, request)).await?)
    }
}
