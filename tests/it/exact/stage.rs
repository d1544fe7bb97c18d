//! Where plans are carried out: a simulator, a control plane and a controller with an address in front of it.

use super::plan::{Blow, Deed, How, LONGEST_DELAY, Moment, Plan, SHORT_OF, Size, Step, Victim};
use crate::support::cloud::{ControlPlane, SECRET, Simulator};
use crate::support::front::Front;
use crate::support::on_ec2::{cluster_id, config, make_secret, registry};
use crate::support::operator::{Operator, QUICK, SHORT_LEASE};
use crate::support::scene::{Scene, is_true};
use crate::support::wait::poll;
use crate::support::world::free_port;
use crate::team::team;
use atelier::api::{ConditionType, Team, Workspace, names};
use kube::ResourceExt;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How soon after a call was answered the blow at it comes, at most.
const AT_ONCE: Duration = Duration::from_millis(3);
/// How long a blow waits for its call. Not every deed comes to make it.
const AIM: Duration = Duration::from_secs(10);
/// What stands in a call's fault, by which it is known again.
const MARK: &str = "aimed";

/// What a plan was not to come to.
#[derive(Debug)]
pub enum Failure {
    /// Two instances lived at once.
    Doubled(String),
    /// Something is left.
    Leaked(String),
    /// It did not come to rest as it should.
    Stuck(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Doubled(what) => write!(f, "doubled: {what}"),
            Self::Leaked(what) => write!(f, "leaked: {what}"),
            Self::Stuck(what) => write!(f, "stuck: {what}"),
        }
    }
}

/// Where plans are carried out, one after the other.
pub struct Stage {
    scene: Scene,
    simulator: Simulator,
    control_plane: ControlPlane,
    front: Front,
    operator: Operator,
    size: Size,
    /// The blows that came where they were aimed.
    pub struck: Vec<String>,
}

/// What the Team is to be.
#[derive(Default)]
struct Wanted {
    members: usize,
    revision: u32,
    suspend: bool,
}

impl Wanted {
    fn spec(&self) -> Value {
        let mut spec = team(self.members);
        spec["suspend"] = json!(self.suspend);
        let revision = json!({"name": "REVISION", "value": self.revision_text()});
        spec["defaults"]["env"].as_array_mut().unwrap().push(revision);
        spec
    }

    fn revision_text(&self) -> String {
        format!("revision-{}", self.revision)
    }
}

impl Stage {
    /// A stage of its own for each lane of plans.
    pub async fn start(size: Size) -> Self {
        let scene = Scene::new("exact").await;
        let arguments = ["--boot", "scripted", "--stage-ms", "20", "--heartbeat-ms", "1000"];
        let simulator = Simulator::start(scene.dir(), &arguments);
        // Shorter than calls are delayed by at most.
        let periods = json!({"callDeadline": "4s", "launchDeadline": "4s"});
        let control_plane =
            ControlPlane::start_with(scene.dir(), &simulator, &cluster_id(&scene).await, &periods);
        control_plane.ready().await;
        make_secret(&scene, SECRET).await;
        scene.apply_config(config(&scene, &simulator, &control_plane)).await;
        let (mut operator, at) = an_operator(&scene);
        let front = Front::start(registry(&scene), at).await;
        operator.ready().await;
        Self { scene, simulator, control_plane, front, operator, size, struck: Vec::new() }
    }

    /// Carries out a plan.
    pub async fn run(&mut self, plan: &Plan) -> Result<(), Failure> {
        let name = format!("plan-{}", plan.seed);
        let mut wanted = Wanted { members: plan.members, ..Wanted::default() };
        self.simulator.post("lag", json!({"ms": u64::try_from(plan.lag.as_millis()).unwrap()})).await;
        for step in &plan.steps {
            self.step(&name, step, &mut wanted).await?;
        }
        // What lies around takes effect after all.
        tokio::time::sleep(LONGEST_DELAY).await;
        self.nothing_is_left().await.map_err(|left| Failure::Leaked(self.said(&left)))?;
        self.never_two().await
    }

    async fn step(&mut self, name: &str, step: &Step, wanted: &mut Wanted) -> Result<(), Failure> {
        let line = self.last_line().await;
        if let Some(blow) = &step.blow {
            self.aim(blow).await;
        }
        for fault in &step.faults {
            let mut fault = fault.clone();
            if fault["code"] == SHORT_OF {
                fault["target"] = json!({"subnet": self.simulator.ids("subnets")[0]});
            }
            self.simulator.post("faults", fault).await;
        }
        match step.deed {
            Deed::Create => {}
            Deed::Edit => wanted.revision += 1,
            Deed::Suspend => wanted.suspend = true,
            Deed::Resume => wanted.suspend = false,
            Deed::Delete => self.scene.delete::<Team>(name).await,
        }
        if step.deed != Deed::Delete {
            self.scene.apply_team(name, wanted.spec()).await;
        }
        if let Some(blow) = &step.blow
            && self.comes(blow, line).await
        {
            self.strike(blow).await;
            self.struck.push(blow.to_string());
        }
        if step.deed == Deed::Delete {
            self.simulator.clear_faults().await;
            self.simulator.post("lag", json!({"ms": 0})).await;
            return self.until_gone(name).await;
        }
        if step.settles { self.until_at_rest(name, wanted).await } else { Ok(()) }
    }

    async fn last_line(&self) -> u64 {
        let log = self.simulator.get("calls").await;
        log.as_array().and_then(|lines| lines.last()?["seq"].as_u64()).unwrap_or_default()
    }

    /// Holds the call at which a blow comes, where it has to be held for that.
    async fn aim(&self, blow: &Blow) {
        let hold = match blow.moment {
            Moment::Before => json!({"effect": "delay", "delayMs": 1500}),
            Moment::Committed => json!({"effect": "commit-then-hang", "hangMs": 3000}),
            Moment::Answered => return,
        };
        let mut fault = json!({"action": blow.action, "nth": blow.nth, "message": MARK});
        fault.as_object_mut().unwrap().extend(hold.as_object().unwrap().clone());
        self.simulator.clear_faults().await;
        self.simulator.post("faults", fault).await;
    }

    /// Waits until the moment of a blow; false where it does not come.
    async fn comes(&self, blow: &Blow, line: u64) -> bool {
        let end = Instant::now() + AIM;
        while Instant::now() < end {
            let has_come = if blow.moment == Moment::Answered {
                let calls = self.simulator.calls_after(line, blow.action).await;
                let done = calls.iter().filter(|call| call["committed"] == true).count();
                u64::try_from(done).unwrap() >= blow.nth
            } else {
                let faults = self.simulator.get("faults").await;
                faults.as_array().unwrap().iter().any(|f| f["message"] == MARK && f["hit"] == 1)
            };
            if has_come {
                return true;
            }
            tokio::time::sleep(AT_ONCE).await;
        }
        false
    }

    async fn strike(&mut self, blow: &Blow) {
        match (blow.victim, blow.how) {
            (Victim::Controller, How::Kill) => self.operator.restart(),
            (Victim::ControlPlane, How::Kill) => self.control_plane.restart(),
            (Victim::ControlPlane, How::Freeze(time)) => {
                self.control_plane.signal("STOP");
                tokio::time::sleep(time).await;
                self.control_plane.signal("CONT");
            }
            (Victim::Controller, How::Freeze(time)) => {
                let thaw_at = Instant::now() + time;
                self.operator.signal("STOP");
                let (mut successor, at) = an_operator(&self.scene);
                self.front.point_at(at);
                successor.ready().await;
                successor.until_it_leads().await;
                tokio::time::sleep_until(thaw_at.into()).await;
                self.operator.signal("CONT");
                self.operator.ended().await;
                self.operator = successor;
            }
        }
    }

    /// A controller that lost its lease ends, and is started again, as Kubernetes does.
    fn supervise(&mut self) {
        if !self.operator.is_running() {
            self.operator.restart();
        }
    }

    fn patience(&self) -> Duration {
        match self.size {
            Size::Short => Duration::from_secs(75),
            // A fence, a visibility window and the time that an offering is remembered as short.
            Size::Long => Duration::from_secs(420),
        }
    }

    async fn until_at_rest(&mut self, name: &str, wanted: &Wanted) -> Result<(), Failure> {
        let patience = self.patience();
        let rest = poll(patience, async || {
            self.supervise();
            self.at_rest(name, wanted).await
        });
        let rest = rest.await;
        match rest {
            Ok(()) => self.never_two().await,
            Err(seen) => Err(Failure::Stuck(self.told(&seen).await)),
        }
    }

    /// Every Workspace is as the Team says, and what lives is what they record.
    async fn at_rest(&self, name: &str, wanted: &Wanted) -> Result<(), String> {
        let workspaces = self.scene.workspaces().await;
        if workspaces.len() != wanted.members {
            return Err(format!("{} Workspaces", workspaces.len()));
        }
        let done = if wanted.suspend { ConditionType::Suspended } else { ConditionType::Ready };
        let mut recorded = BTreeSet::new();
        for ws in &workspaces {
            let status = ws.status.clone().unwrap_or_default();
            let has = |type_| is_true(&status.conditions, type_);
            let spec = serde_json::to_string(&ws.spec).unwrap();
            let is_current = Some(status.observed_generation) == ws.metadata.generation
                && ws.spec.suspend == wanted.suspend
                && spec.contains(&wanted.revision_text());
            if !is_current || !has(done) {
                return Err(format!("{name}: {} is not {done} in {}", ws.name_any(), wanted.revision_text()));
            }
            let attempt = status.launch.as_ref().map_or(0, |launch| launch.attempt);
            recorded.extend(status.instance_id.clone().map(|id| (id, uid(ws), attempt.to_string())));
        }
        let state = if wanted.suspend { "stopped" } else { "running" };
        let live = self.simulator.live().await;
        let tag = |one: &Value, key: &str| one["tags"][key].as_str().unwrap_or_default().to_owned();
        let text = |one: &Value| one["instanceId"].as_str().unwrap_or_default().to_owned();
        let lives: BTreeSet<_> =
            live.iter().map(|one| (text(one), tag(one, names::UID), tag(one, names::ATTEMPT))).collect();
        if lives != recorded || live.iter().any(|one| one["state"] != state) {
            return Err(format!("{state} are to be {recorded:?}, and there are {live:#?}"));
        }
        if !wanted.suspend && recorded.len() != wanted.members {
            return Err(format!("only {recorded:?} are recorded"));
        }
        Ok(())
    }

    async fn until_gone(&mut self, name: &str) -> Result<(), Failure> {
        let patience = self.patience();
        let gone = poll(patience, async || {
            self.supervise();
            let team = self.scene.api::<Team>().get_opt(name).await.map_err(|error| error.to_string())?;
            let left: Vec<_> = self.scene.workspaces().await.iter().map(ResourceExt::name_any).collect();
            if team.is_none() && left.is_empty() { Ok(()) } else { Err(format!("{left:?} are left")) }
        });
        match gone.await {
            Ok(()) => Ok(()),
            Err(seen) => Err(Failure::Stuck(self.told(&seen).await)),
        }
    }

    /// Nothing of any plan is left at EC2.
    async fn nothing_is_left(&self) -> Result<(), String> {
        poll(LONGEST_DELAY, async || {
            let instances = self.simulator.live().await;
            let volumes = self.simulator.get("volumes").await;
            let interfaces = self.simulator.get("network-interfaces").await;
            let is_empty = |list: &Value| list.as_array().unwrap().is_empty();
            if instances.is_empty() && is_empty(&volumes) && is_empty(&interfaces) {
                return Ok(());
            }
            Err(format!("instances {instances:#?}, volumes {volumes:#}, interfaces {interfaces:#}"))
        })
        .await
    }

    /// At no instant did two instances live for one attempt, nor for one Workspace: no call lies around for as
    /// long as the fence is, so no plan has a reason to go past one.
    async fn never_two(&self) -> Result<(), Failure> {
        let audit = self.simulator.get("audit").await;
        let most = |what: &str| audit[what].as_u64().unwrap();
        if most("maxPerAttempt") <= 1 && most("maxPerUid") <= 1 && most("untagged") == 0 {
            return Ok(());
        }
        let twice: Vec<_> =
            audit["uids"].as_object().unwrap().iter().filter(|(_, o)| o["max"] != 1).collect();
        Err(Failure::Doubled(self.said(&format!("{twice:#?}"))))
    }

    fn said(&self, what: &str) -> String {
        format!("{what}\n{}", self.operator.log_tail())
    }

    async fn told(&self, what: &str) -> String {
        format!("{what}\n{}", self.scene.describe().await)
    }
}

fn uid(ws: &Workspace) -> String {
    ws.uid().unwrap_or_default()
}

/// An operator at an address of its own, and that address.
fn an_operator(scene: &Scene) -> (Operator, SocketAddr) {
    let at = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let url = format!("http://{at}");
    let own = ["--registry-url", &url];
    (scene.operator_at(at, &[&QUICK[..], &SHORT_LEASE, &own].concat()), at)
}
