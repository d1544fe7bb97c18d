//! One world of EC2 instances behind one control plane: everything that can be asked of it.

use super::client::{Client, ControlPlaneEndpoint};
use super::known::{Expected, Known};
use super::offering::{Shortages, offerings};
use super::request::{Ec2Request, client_token};
use super::sends::{Sends, outlook};
use super::user_data::{self, Boot};
use super::view;
use crate::api::backend_config::Ec2Spec;
use crate::api::names;
use crate::api::workspace::{Backend, Ec2World, PlacementRecord};
use crate::backend::Maker;
use crate::backend::hints::Hints;
use crate::backend::{
    BackendError, BoxOrder, BoxQuery, BoxSeen, ErrorKind, LaunchOrder, LaunchQuery, Outlook,
};
use crate::reconcile::Leadership;
use atelier_wire::control_plane::{InstanceView, LaunchSpec, Provision};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::Notify;

/// How long EC2's lists may be behind.
const WINDOW: SignedDuration = SignedDuration::from_secs(60);
/// How long after the renew deadline a launch call may be sent on. It ends before the fence does that another
/// process counts from its take-over.
const SEND_AFTER_DEADLINE: SignedDuration = SignedDuration::from_secs(45);

/// What is in effect for EC2: how the control plane is reached, and what to launch.
#[derive(Clone, Debug, PartialEq)]
pub struct Ec2Endpoint {
    /// The control plane.
    pub control_plane: ControlPlaneEndpoint,
    /// What to launch.
    pub spec: Ec2Spec,
    /// The AMIs of runtimes that name their own: preflight asks for them as well.
    pub amis: Vec<String>,
}

/// One world of instances. Clones are the same.
#[derive(Clone, Debug)]
pub struct Cloud {
    shared: Arc<Shared>,
}

struct Shared {
    maker: Maker,
    leadership: Leadership,
    hints: Hints,
    state: Mutex<State>,
    /// Asks for a sweep before its time.
    pub(super) soon: Notify,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) endpoint: Ec2Endpoint,
    client: Result<Client, BackendError>,
    pub(super) known: Known,
    /// Why the last sweep failed, if it did.
    pub(super) away: Option<BackendError>,
    /// Why the last preflight failed, if it did: nothing is launched, and what runs goes on.
    pub(super) refused: Option<BackendError>,
    sends: Sends,
    shortages: Shortages,
    /// The world that answered last.
    pub(super) world: Option<Ec2World>,
    /// The zone of each subnet.
    pub(super) zones: BTreeMap<String, String>,
    took_over: Timestamp,
}

impl State {
    /// Whether anything is on its way, or the control plane away, so that it pays to look often.
    pub(super) fn is_busy(&self) -> bool {
        self.away.is_some() || self.known.is_busy()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("maker", &self.maker).finish_non_exhaustive()
    }
}

impl Cloud {
    /// No call is made yet.
    pub(crate) fn new(endpoint: Ec2Endpoint, maker: Maker, leadership: Leadership, hints: Hints) -> Self {
        let state = State {
            client: Client::new(endpoint.control_plane.clone()),
            endpoint,
            known: Known::new(WINDOW),
            away: None,
            refused: None,
            sends: Sends::default(),
            shortages: Shortages::default(),
            world: None,
            zones: BTreeMap::new(),
            took_over: Timestamp::now(),
        };
        let soon = Notify::new();
        Self { shared: Arc::new(Shared { maker, leadership, hints, state: Mutex::new(state), soon }) }
    }

    /// Takes other settings into use; what is known of the instances stays.
    pub(crate) fn set(&self, endpoint: Ec2Endpoint) {
        let mut state = self.state();
        if state.endpoint.control_plane != endpoint.control_plane {
            state.client = Client::new(endpoint.control_plane.clone());
        }
        state.endpoint = endpoint;
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn client(&self) -> Result<Client, BackendError> {
        self.state().client.clone()
    }

    pub(super) fn maker(&self) -> &Maker {
        &self.shared.maker
    }

    pub(super) fn cluster(&self) -> &str {
        &self.shared.maker.cluster
    }

    pub(super) fn controller(&self) -> &str {
        &self.shared.maker.controller
    }

    pub(super) fn hints(&self) -> &Hints {
        &self.shared.hints
    }

    pub(super) fn soon(&self) -> &Notify {
        &self.shared.soon
    }

    /// Where a new box here would be recorded, if the control plane answered when it was last asked.
    pub(crate) fn answering(&self) -> Result<PlacementRecord, BackendError> {
        let state = self.state();
        if let Some(error) = state.away.as_ref().or(state.refused.as_ref()) {
            return Err(error.clone());
        }
        let unasked = || {
            let detail =
                format!("the control plane at {} was not asked yet", state.endpoint.control_plane.url);
            BackendError::new(ErrorKind::ControlPlaneUnreachable, detail)
        };
        let world = state.world.clone().ok_or_else(unasked)?;
        Ok(PlacementRecord { backend: Backend::Ec2, docker: None, ec2: Some(world) })
    }

    /// The request of an order: on the offering of a former request of the same attempt, where that still is
    /// one, else on the first that is not short of capacity.
    pub(crate) fn render(&self, order: &BoxOrder<'_>) -> Result<String, BackendError> {
        let state = self.state();
        let spec = &state.endpoint.spec;
        let all = offerings(spec, &state.zones, order.tier, order.zone);
        let recorded = order.recorded.and_then(|r| Ec2Request::parse(r).ok()).map(|r| r.offering());
        let offering = match recorded {
            Some(recorded) if all.contains(&recorded) => recorded,
            _ => state.shortages.choose(&all, Timestamp::now()).cloned().ok_or_else(|| no_offering(order))?,
        };
        Ok(Ec2Request::new(order, spec, &offering, user_data::VERSION).to_json())
    }

    /// What makes the calls of an attempt one launch.
    pub(crate) fn client_token(&self, uid: &str, attempt: i64) -> String {
        client_token(self.cluster(), uid, attempt)
    }

    /// The hash of what the box would be told at its first boot.
    pub(crate) fn user_data_hash(request: &str, bootstrap_token: &str) -> Result<String, BackendError> {
        Ok(hash(&user_data(&Ec2Request::parse(request)?, bootstrap_token)?))
    }

    /// This process has written the record of this attempt.
    pub(crate) fn recorded(&self, uid: &str, attempt: i64, is_new: bool) {
        let sends = &mut self.state().sends;
        if is_new { sends.recorded(uid, attempt) } else { sends.noted(uid, attempt) }
    }

    /// What a plan has to mind about launches here.
    pub(crate) fn outlook(&self, query: &LaunchQuery<'_>, now: Timestamp) -> Outlook {
        let state = self.state();
        let LaunchQuery { uid, attempt, .. } = *query;
        let ends = state.sends.effect_until(uid, attempt, state.took_over);
        let earlier_ends = state.sends.earlier_until(uid, attempt, state.took_over);
        let all = offerings(&state.endpoint.spec, &state.zones, query.tier, query.zone);
        let short_until = state.shortages.all_until(&all, now);
        let recorder = state.sends.recorder(uid, attempt);
        outlook((ends, earlier_ends), recorder, state.known.swept(), WINDOW, short_until, now)
    }

    /// The instances of a Workspace, of any attempt.
    pub(crate) async fn boxes(
        &self,
        record: &PlacementRecord,
        query: &BoxQuery<'_>,
    ) -> Result<Vec<BoxSeen>, BackendError> {
        let expected: Vec<Expected> = query
            .expected
            .iter()
            .map(|(id, attempt)| Expected { id: id.clone(), attempt: *attempt })
            .collect();
        let (boxes, unproven) = {
            let mut state = self.state();
            Self::same_world(&state, record)?;
            if let Some(away) = &state.away {
                return Err(away.clone());
            }
            if state.known.swept().is_none() {
                let detail = "the first list of instances is on its way";
                return Err(BackendError::new(ErrorKind::Busy, detail));
            }
            state.known.boxes(query.uid, &expected, Timestamp::now())
        };
        if unproven.is_empty() {
            return Ok(boxes);
        }
        // Everything says that these are gone but their own ids, which are asked for last.
        let client = self.client()?;
        for id in unproven {
            let view = client.status(query.uid, &id, self.cluster()).await?;
            let mut state = self.state();
            if view.observed {
                state.known.answered(query.uid, Self::with_attempt(&view, query), Timestamp::now());
            } else {
                state.known.gone(&id);
            }
        }
        Ok(self.state().known.boxes(query.uid, &expected, Timestamp::now()).0)
    }

    fn with_attempt(view: &InstanceView, query: &BoxQuery<'_>) -> BoxSeen {
        let mut seen = view::seen(view);
        let recorded = query.expected.iter().find(|(id, _)| *id == seen.id).map(|(_, attempt)| *attempt);
        seen.attempt = seen.attempt.or(recorded);
        seen
    }

    pub(super) fn same_world(state: &State, record: &PlacementRecord) -> Result<(), BackendError> {
        let (Some(now), Some(recorded)) = (&state.world, &record.ec2) else { return Ok(()) };
        if now == recorded {
            return Ok(());
        }
        let detail = format!(
            "the control plane at {} answers for account {} in {}, and the instance was launched in account {} in {}",
            state.endpoint.control_plane.url,
            now.account_id,
            now.region,
            recorded.account_id,
            recorded.region,
        );
        Err(BackendError::new(ErrorKind::WrongBackend, detail))
    }

    pub(super) fn may_act(&self, during: &str) -> Result<Timestamp, BackendError> {
        let Some(until) = self.shared.leadership.acts_until() else {
            let detail =
                format!("{during}: not sent, because this process does not lead now; whoever does goes on");
            return Err(BackendError::new(ErrorKind::Busy, detail));
        };
        let left = SignedDuration::try_from(until.saturating_duration_since(Instant::now()));
        let left = left.unwrap_or(SignedDuration::ZERO) + SEND_AFTER_DEADLINE;
        Ok(Timestamp::now().saturating_add(left).unwrap_or(Timestamp::MAX))
    }

    /// Launches the instance of a frozen request, or learns which one it was that an earlier call launched.
    pub(crate) async fn create(&self, order: &LaunchOrder<'_>) -> Result<BoxSeen, BackendError> {
        let request = Ec2Request::parse(order.request)?;
        let (uid, attempt) = (request.uid().to_owned(), request.attempt());
        let user_data = user_data(&request, &order.contents.bootstrap_token)?;
        if order.user_data_hash.is_some_and(|recorded| recorded != hash(&user_data)) {
            let detail =
                "the user-data of this attempt cannot be rendered as it was recorded: its key is another";
            return Err(BackendError::new(ErrorKind::Invalid, detail));
        }
        let client = self.client()?;
        let not_after = self.may_act("launch")?;
        let provision = Provision {
            workspace_id: uid.clone(),
            platform_url: request.container.platform_url.clone(),
            idempotency_key: order.client_token.map(str::to_owned),
            attempt: Some(attempt),
            not_after: Some(not_after.to_string()),
            cluster_id: Some(self.cluster().to_owned()),
            launch: Some(self.signed(request.launch.clone())),
            user_data: Some(user_data),
            ..Provision::default()
        };
        let was_alone = {
            let mut state = self.state();
            let was_alone = state.sends.is_clear(&uid, attempt);
            state.sends.going_out(&uid, attempt, not_after);
            was_alone
        };
        // Should this future be dropped, the call counts as unanswered.
        let answer = client.provision(&provision).await;
        let now = Timestamp::now();
        let mut state = self.state();
        match answer {
            Ok(made) => {
                state.sends.answered(&uid, attempt, true);
                let view = InstanceView {
                    state: made.state,
                    instance_id: made.instance_id,
                    private_ip: made.private_ip,
                    observed: true,
                    zone: made.zone,
                    subnet_id: request.launch.subnet_id.clone(),
                    instance_type: request.launch.instance_type.clone(),
                    ami_id: request.launch.ami_id.clone(),
                    tags: request.launch.tags.clone(),
                    ..InstanceView::default()
                };
                let seen = view::seen(&view);
                state.known.answered(&uid, seen.clone(), now);
                self.soon().notify_one();
                Ok(seen)
            }
            Err(failed) => {
                if failed.is_known {
                    state.sends.answered(&uid, attempt, was_alone);
                } else {
                    state.sends.lost(&uid, attempt);
                }
                if failed.error.is_about_offering() {
                    state.shortages.note(request.offering(), now);
                }
                if failed.error.is_about_backend() {
                    // All that have instances are told as soon as the list has failed as well.
                    self.soon().notify_one();
                }
                Err(failed.error)
            }
        }
    }

    fn signed(&self, mut launch: LaunchSpec) -> LaunchSpec {
        launch.tags.insert(names::CLUSTER.into(), self.cluster().to_owned());
        launch.tags.insert(names::CONTROLLER.into(), self.controller().to_owned());
        launch
    }

    pub(crate) async fn start(&self, uid: &str, seen: &BoxSeen) -> Result<BoxSeen, BackendError> {
        self.may_act("start")?;
        let view = self.client()?.set_running(uid, &seen.id, self.cluster(), true).await?;
        Ok(self.moved(uid, seen, &view))
    }

    pub(crate) async fn stop(&self, uid: &str, seen: &BoxSeen) -> Result<(), BackendError> {
        self.may_act("stop")?;
        let view = self.client()?.set_running(uid, &seen.id, self.cluster(), false).await?;
        self.moved(uid, seen, &view);
        Ok(())
    }

    pub(crate) async fn destroy(&self, uid: &str, seen: &BoxSeen) -> Result<BoxSeen, BackendError> {
        self.may_act("termination")?;
        let deleted = self.client()?.delete(uid, &seen.id, self.cluster()).await?;
        if !deleted.observed {
            // No proof that it is gone: the rule for that goes on, and the call is made again.
            let detail = format!("EC2 does not show {} at the moment", seen.id);
            return Err(BackendError::new(ErrorKind::NotFound, detail));
        }
        let view = InstanceView { state: deleted.state, observed: true, ..InstanceView::default() };
        Ok(self.moved(uid, seen, &view))
    }

    /// What a call answered of an instance takes the place of what was seen.
    pub(super) fn moved(&self, uid: &str, seen: &BoxSeen, view: &InstanceView) -> BoxSeen {
        let answered = view::seen(view);
        let now_seen = BoxSeen {
            state: answered.state,
            started_at: answered.started_at.or(seen.started_at),
            address: answered.address,
            ..seen.clone()
        };
        self.state().known.answered(uid, now_seen.clone(), Timestamp::now());
        self.soon().notify_one();
        now_seen
    }
}

fn no_offering(order: &BoxOrder<'_>) -> BackendError {
    let detail = match order.zone {
        Some(zone) => format!(
            "the data of this Workspace is in {zone}, and no subnet of spec.ec2.subnetIDs is there for tier {:?}",
            order.tier
        ),
        None => {
            format!("spec.ec2.instanceTypes of the BackendConfig names no type for tier {:?}", order.tier)
        }
    };
    BackendError::new(ErrorKind::Invalid, detail)
}

fn user_data(request: &Ec2Request, bootstrap_token: &str) -> Result<String, BackendError> {
    let boot = Boot {
        container: &request.container,
        workspace_id: request.uid(),
        attempt: request.attempt(),
        platform_url: &request.container.platform_url,
        bootstrap_token,
        ca_bundle: request.ca_bundle.as_deref(),
    };
    user_data::render(&boot).map_err(|error| BackendError::new(ErrorKind::Invalid, error.to_string()))
}

fn hash(user_data: &str) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(user_data.as_bytes()))
}
