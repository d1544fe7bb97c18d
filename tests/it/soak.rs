//! The long ones, with the real periods: storms of kills, half a minute of absence, five minutes at rest.

use crate::crash::{assert_one_box_each, frozen_and_thawed, progress};
use crate::support::engine::Container;
use crate::support::operator::Operator;
use crate::support::scene::{Scene, says};
use crate::support::wait::LATER;
use crate::team::team;
use atelier::api::ConditionType::Ready;
use atelier::api::{Team, Workspace};
use futures::TryStreamExt;
use kube::ResourceExt;
use kube::runtime::watcher::{self, Event, watcher};
use rand::RngExt;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

trials![
    a_storm_of_kills_leaves_one_box_each,
    a_leader_frozen_for_half_a_minute_doubles_nothing,
    an_engine_away_for_half_a_minute_costs_no_box,
    five_minutes_at_rest_without_a_write,
];

const MEMBERS: usize = 21;
/// At least so many kills, and more until there was one between all effects.
const KILLS: usize = 20;
const KILLS_MAX: usize = 120;
const HALF_A_MINUTE: Duration = Duration::from_secs(30);

/// Between which effects a Workspace was when its operator was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Between {
    BirthAndFinalizer,
    FinalizerAndIntent,
    IntentAndBox,
    BoxAndStart,
    StartAndItsReport,
    ReportAndReady,
    ReadyAndEnd,
    DeletionAndBoxGone,
    BoxGoneAndRelease,
}

impl Between {
    const ALL: [Self; 9] = [
        Self::BirthAndFinalizer,
        Self::FinalizerAndIntent,
        Self::IntentAndBox,
        Self::BoxAndStart,
        Self::StartAndItsReport,
        Self::ReportAndReady,
        Self::ReadyAndEnd,
        Self::DeletionAndBoxGone,
        Self::BoxGoneAndRelease,
    ];

    fn of(ws: &Workspace, container: Option<&Container>) -> Self {
        let status = ws.status.as_ref();
        if ws.metadata.deletion_timestamp.is_some() {
            return if container.is_some() { Self::DeletionAndBoxGone } else { Self::BoxGoneAndRelease };
        }
        if ws.finalizers().is_empty() {
            return Self::BirthAndFinalizer;
        }
        if status.is_none_or(|status| status.launch.is_none()) {
            return Self::FinalizerAndIntent;
        }
        match container {
            None => Self::IntentAndBox,
            Some(container) if container.state == "created" => Self::BoxAndStart,
            Some(_) if status.is_none_or(|status| status.instance_id.is_none()) => Self::StartAndItsReport,
            Some(_) if says(ws, Ready, "True", "Ready") => Self::ReadyAndEnd,
            Some(_) => Self::ReportAndReady,
        }
    }
}

impl Between {
    /// What a watch shows of a Workspace that is there, or about to be: of boxes, it shows nothing.
    fn is_near(self, ws: &Workspace) -> bool {
        let has_launch = ws.status.as_ref().is_some_and(|status| status.launch.is_some());
        let has_id = ws.status.as_ref().is_some_and(|status| status.instance_id.is_some());
        match self {
            Self::BirthAndFinalizer => ws.finalizers().is_empty(),
            Self::FinalizerAndIntent => !ws.finalizers().is_empty() && !has_launch,
            Self::IntentAndBox | Self::BoxAndStart | Self::StartAndItsReport => has_launch && !has_id,
            Self::ReportAndReady => has_id && !says(ws, Ready, "True", "Ready"),
            Self::ReadyAndEnd => says(ws, Ready, "True", "Ready"),
            Self::DeletionAndBoxGone | Self::BoxGoneAndRelease => ws.metadata.deletion_timestamp.is_some(),
        }
    }

    /// How long after that, at most, it is worth waiting.
    fn delay_millis(self) -> u64 {
        match self {
            Self::BirthAndFinalizer | Self::FinalizerAndIntent => 1,
            Self::IntentAndBox | Self::ReportAndReady => 50,
            Self::BoxGoneAndRelease => 3000,
            _ => 500,
        }
    }
}

/// One storm: where kills have hit, and where the next is to.
#[derive(Default)]
struct Storm {
    kills: usize,
    hit: BTreeSet<Between>,
}

impl Storm {
    fn missing(&self) -> Vec<Between> {
        Between::ALL.into_iter().filter(|between| !self.hit.contains(between)).collect()
    }

    /// Kills the operator near one of these, the first that was not hit yet, else at any time; notes where each
    /// Workspace was, and starts the operator again.
    async fn kill(&mut self, scene: &Scene, operator: &mut Operator, targets: &[Between]) {
        let target = targets.iter().find(|target| !self.hit.contains(target));
        let delay = target.map_or(2000, |target| target.delay_millis());
        if let Some(target) = target {
            // Where it does not come near, any time is as good.
            let _ = tokio::time::timeout(Duration::from_secs(3), near(scene, *target)).await;
        }
        tokio::time::sleep(Duration::from_millis(rand::rng().random_range(0..=delay))).await;
        operator.kill();
        self.kills += 1;
        let boxes: BTreeMap<_, _> =
            scene.containers().into_iter().map(|c| (c.workspace().to_owned(), c)).collect();
        for ws in scene.workspaces().await {
            self.hit.insert(Between::of(&ws, boxes.get(&ws.name_any())));
        }
        operator.restart();
        operator.ready().await;
        // With the real lease that takes seconds, in which a kill would hit nothing.
        operator.until_it_leads().await;
    }
}

/// Waits until a watch shows a Workspace near there.
async fn near(scene: &Scene, target: Between) {
    let mut events = std::pin::pin!(watcher(scene.api::<Workspace>(), watcher::Config::default()));
    while let Ok(Some(event)) = events.try_next().await {
        if let Event::Apply(ws) | Event::InitApply(ws) = event
            && target.is_near(&ws)
        {
            return;
        }
    }
}

async fn a_storm_of_kills_leaves_one_box_each() {
    let scene = Scene::new("storm").await;
    scene.apply_config(scene.config()).await;
    let mut operator = scene.unready_operator(&[]);
    operator.ready().await;
    operator.until_it_leads().await;
    let mut storm = Storm::default();
    while storm.kills < KILLS || !storm.missing().is_empty() {
        println!("after {} kills, none was yet at {:?}", storm.kills, storm.missing());
        assert!(storm.kills < KILLS_MAX, "after {} kills none was at {:?}", storm.kills, storm.missing());
        scene.apply_team("studio", team(MEMBERS)).await;
        for _ in 0..4 {
            storm.kill(&scene, &mut operator, &Between::ALL[..7]).await;
        }
        scene.until_team_ready("studio").await;
        assert_one_box_each(&scene, MEMBERS).await;
        scene.delete::<Team>("studio").await;
        for _ in 0..2 {
            storm.kill(&scene, &mut operator, &Between::ALL[7..]).await;
        }
        scene.until_nothing_is_left().await;
    }
    println!("{} kills, at least one of them at each of {:?}", storm.kills, Between::ALL);
}

async fn a_leader_frozen_for_half_a_minute_doubles_nothing() {
    let scene = Scene::new("soak-frozen").await;
    scene.apply_config(scene.config()).await;
    let (mut first, second, front) = scene.two_operators(&[]).await;
    frozen_and_thawed(&scene, &mut first, &second, &front, MEMBERS, HALF_A_MINUTE).await;
    scene.apply_team("other", team(7)).await;
    scene
        .within(LATER, "a box of the other Team", async || {
            let seen = progress(&scene).await;
            if seen.containers > MEMBERS { Ok(()) } else { Err(format!("{seen:?}")) }
        })
        .await;
    scene.delete::<Team>("other").await;
    scene.delete::<Team>("studio").await;
    scene.until_nothing_is_left().await;
}

async fn an_engine_away_for_half_a_minute_costs_no_box() {
    let scene = Scene::with_own_engine("soak-outage").await;
    scene.apply_config(scene.config()).await;
    let mut operator = scene.unready_operator(&[]);
    operator.ready().await;
    crate::outage::outage(&scene, &operator, 7, HALF_A_MINUTE).await;
}

async fn five_minutes_at_rest_without_a_write() {
    let scene = Scene::new("soak-rest").await;
    scene.apply_config(scene.config()).await;
    // The one period that is shorter than it is by default: five minutes are to hold two of them.
    let mut operator = scene.unready_operator(&["--resync=2m"]);
    operator.ready().await;
    crate::writes::at_rest(&scene, &operator, Duration::from_secs(300)).await;
}
