//! The long ones, with the real periods: storms of kills, half a minute of absence, five minutes at rest.

use crate::crash::{assert_one_box_each, frozen_and_thawed, progress};
use crate::support::engine::Container;
use crate::support::operator::Operator;
use crate::support::scene::{Scene, says};
use crate::support::wait::LATER;
use crate::team::team;
use atelier::api::ConditionType::Ready;
use atelier::api::{Team, Workspace};
use kube::ResourceExt;
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

/// Kills the operator at some time in the next two seconds, notes where each Workspace was, and starts it.
async fn kill(scene: &Scene, operator: &mut Operator, seen: &mut BTreeSet<Between>) {
    tokio::time::sleep(Duration::from_millis(rand::rng().random_range(0..2000))).await;
    operator.kill();
    let boxes: BTreeMap<_, _> =
        scene.containers().into_iter().map(|c| (c.workspace().to_owned(), c)).collect();
    for ws in scene.workspaces().await {
        seen.insert(Between::of(&ws, boxes.get(&ws.name_any())));
    }
    operator.restart();
    operator.ready().await;
}

async fn a_storm_of_kills_leaves_one_box_each() {
    let scene = Scene::new("storm").await;
    scene.apply_config(scene.config()).await;
    let mut operator = scene.operator(&[]).await;
    let (mut kills, mut seen) = (0, BTreeSet::new());
    while kills < KILLS || seen.len() < Between::ALL.len() {
        let missing: Vec<_> = Between::ALL.iter().filter(|&between| !seen.contains(between)).collect();
        assert!(kills < KILLS_MAX, "after {kills} kills none was at {missing:?}");
        scene.apply_team("studio", team(MEMBERS)).await;
        for _ in 0..4 {
            kill(&scene, &mut operator, &mut seen).await;
        }
        scene.until_team_ready("studio").await;
        assert_one_box_each(&scene, MEMBERS).await;
        scene.delete::<Team>("studio").await;
        kill(&scene, &mut operator, &mut seen).await;
        kills += 5;
        scene.until_nothing_is_left().await;
    }
    println!("{kills} kills, at least one of them at each of {:?}", Between::ALL);
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
    let mut operator = scene.unready_operator(&["--resync=2m"]);
    operator.ready().await;
    crate::writes::at_rest(&scene, &operator, Duration::from_secs(300)).await;
}
