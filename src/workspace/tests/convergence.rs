//! From every start to the fixpoint; with a crash after every effect and write; with an error at every one.

use super::api_server::WriteFault;
use super::driver::{Driver, Passed, workspace};
use crate::api::ConditionType;
use crate::api::condition::is_true;
use crate::api::names;
use crate::backend::scripted::Fault;
use proptest::prelude::*;
use serde_json::json;

/// A way to disturb a Workspace that runs.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Start {
    New,
    Running,
    Exited,
    Vanished,
    SpecChanged,
    Restarted,
    Resumed,
    ImageMissing,
    PlatformChangedAndRestarted,
}

const STARTS: [Start; 9] = [
    Start::New,
    Start::Running,
    Start::Exited,
    Start::Vanished,
    Start::SpecChanged,
    Start::Restarted,
    Start::Resumed,
    Start::ImageMissing,
    Start::PlatformChangedAndRestarted,
];

async fn start(start: Start) -> Driver {
    let mut driver = Driver::new();
    match start {
        Start::New => return driver,
        Start::ImageMissing => {
            driver.world.forget_image("demo:1");
            for _ in 0..6 {
                driver.pass().await;
            }
            driver.world.load_image("demo:1");
            return driver;
        }
        Start::Resumed => {
            driver.settle().await;
            driver.set_spec("suspend", json!(true));
        }
        _ => {}
    }
    driver.settle().await;
    match start {
        Start::Exited => driver.world.end_all(3),
        Start::Vanished => driver.world.vanish(),
        Start::SpecChanged => driver.set_spec("role", json!("another")),
        Start::Restarted => driver.set_spec("restartedAt", json!("now")),
        Start::Resumed => driver.set_spec("suspend", json!(false)),
        Start::PlatformChangedAndRestarted => {
            driver.config.as_mut().unwrap().runtimes[0].image = "demo:2".into();
            driver.restart();
            driver.set_spec("restartedAt", json!("now"));
        }
        Start::New | Start::Running | Start::ImageMissing => {}
    }
    driver
}

#[tokio::test]
async fn from_every_start_one_box_runs_and_then_nothing_moves() {
    for s in STARTS {
        let mut driver = start(s).await;
        driver.settle().await;
        driver.assert_one_box_runs();
        assert!(
            is_true(&driver.status().conditions, ConditionType::Ready),
            "{s:?}: {:#?}",
            driver.status().conditions
        );
        let before = (driver.world.effects().len(), driver.api.writes());
        driver.settle().await;
        assert_eq!(
            before,
            (driver.world.effects().len(), driver.api.writes()),
            "{s:?}: something moves at rest"
        );
        driver.delete();
        driver.settle().await;
        driver.assert_nothing_left();
    }
}

/// How many effects and writes it takes from a start to the end of its life.
async fn length(s: Start) -> (usize, usize) {
    let mut driver = start(s).await;
    let before = (driver.world.effects().len(), driver.api.writes());
    driver.settle().await;
    driver.delete();
    driver.settle().await;
    (driver.world.effects().len() - before.0, driver.api.writes() - before.1)
}

async fn survives(s: Start, disturb: impl Fn(&Driver), what: &str) {
    let mut driver = start(s).await;
    disturb(&driver);
    driver.settle_and_check().await;
    driver.assert_one_box_runs();
    let conditions = driver.status().conditions;
    assert!(is_true(&conditions, ConditionType::Ready), "{what}: {conditions:#?}");
    driver.delete();
    driver.settle_and_check().await;
    driver.assert_nothing_left();
}

impl Driver {
    /// As `settle`, with a new process after each crash and the invariants checked after every pass.
    async fn settle_and_check(&mut self) {
        for _ in 0..100 {
            if let Passed::Crashed = self.pass().await {
                self.restart();
            }
            self.assert_safe();
            self.now = self.now.saturating_add(std::time::Duration::from_secs(1)).unwrap();
        }
        self.settle().await;
        self.assert_safe();
    }
}

#[tokio::test]
async fn a_crash_or_error_at_every_effect_leaves_one_box() {
    for s in STARTS {
        let (effects, _) = length(s).await;
        assert!(s == Start::Running || effects > 3, "{s:?}: only {effects} effects");
        for at in 0..effects {
            for fault in [Fault::CrashAfter, Fault::Error, Fault::ErrorAfter] {
                let what = format!("{s:?}, {fault:?} at effect {at}");
                survives(s, |driver| driver.world.fault_after(at, fault), &what).await;
            }
        }
    }
}

#[tokio::test]
async fn a_crash_or_error_at_every_write_leaves_one_box() {
    for s in STARTS {
        let (_, writes) = length(s).await;
        for at in 0..writes {
            for fault in [WriteFault::CrashAfter, WriteFault::Error, WriteFault::LostReply] {
                let what = format!("{s:?}, {fault:?} at write {at}");
                survives(s, |driver| driver.api.fault_after(at, fault), &what).await;
            }
        }
    }
}

#[tokio::test]
async fn deleting_with_a_crash_at_every_effect_leaves_nothing() {
    for s in STARTS {
        let mut whole = start(s).await;
        let before = whole.world.effects().len();
        whole.pass().await;
        whole.pass().await;
        whole.pass().await;
        whole.delete();
        whole.settle().await;
        let effects = whole.world.effects().len() - before;
        for at in 0..effects {
            let mut driver = start(s).await;
            driver.world.fault_after(at, Fault::CrashAfter);
            for _ in 0..3 {
                if let Passed::Crashed = driver.pass().await {
                    driver.restart();
                }
            }
            driver.delete();
            driver.settle_and_check().await;
            driver.assert_nothing_left();
        }
    }
}

/// What a lagging cache shows is older than what was done: nothing of it is done again.
#[tokio::test]
async fn a_stale_object_has_no_effect() {
    let mut driver = Driver::new();
    let mut older = Vec::new();
    for _ in 0..8 {
        older.extend(driver.stored());
        driver.pass().await;
    }
    driver.settle().await;
    let (effects, status) = (driver.world.effects(), driver.status());
    for stale in older {
        driver.restart();
        driver.pass_on(&stale).await;
        driver.assert_safe();
        assert_eq!(driver.status().launch, status.launch, "a stale object changed the launch");
    }
    // The create of a box that is there already is adopted: it makes no other.
    let made = |effects: &[String]| effects.iter().filter(|e| e.starts_with("container")).count();
    assert_eq!(made(&effects), made(&driver.world.effects()));
    driver.settle().await;
    driver.assert_one_box_runs();
}

#[tokio::test]
async fn the_happy_path_takes_four_writes_and_a_delete_two() {
    let mut driver = Driver::new();
    driver.settle().await;
    assert!(driver.api.writes() <= 4, "{} writes to Ready", driver.api.writes());
    let before = driver.api.writes();
    driver.delete();
    driver.settle().await;
    driver.assert_nothing_left();
    assert!(driver.api.writes() - before <= 2, "{} writes to delete", driver.api.writes() - before);
}

#[tokio::test]
async fn another_world_at_the_same_address_proves_nothing() {
    let mut driver = Driver::new();
    driver.settle().await;
    driver.world.set_id("two");
    driver.delete();
    driver.settle().await;
    assert!(driver.stored().is_some(), "the finalizer went by another world's word");
    driver.world.set_id("one");
    driver.settle().await;
    driver.assert_nothing_left();
}

#[tokio::test]
async fn a_box_in_a_world_that_is_gone_is_let_go_by_a_persons_word_alone() {
    let mut driver = Driver::new();
    driver.settle().await;
    let id = driver.status().instance_id.unwrap();
    driver.world.set_down(true);
    driver.delete();
    driver.settle().await;
    assert!(driver.stored().is_some());
    driver.annotate(names::FORGET_INSTANCE, "another id");
    driver.settle().await;
    assert!(driver.stored().is_some(), "another id let it go");
    driver.annotate(names::FORGET_INSTANCE, &id);
    driver.settle().await;
    assert!(driver.stored().is_none());
}

#[tokio::test]
async fn hands_off_means_hands_off() {
    let mut object = workspace();
    object["metadata"]["annotations"][names::PAUSED] = "true".into();
    let mut driver = Driver::new();
    driver.api.change(|o| *o = Some(object));
    driver.settle().await;
    assert_eq!(driver.world.effects(), Vec::<String>::new());
}

#[tokio::test]
async fn a_silent_box_is_tried_three_times_and_the_last_one_is_kept() {
    let mut driver = Driver::new();
    driver.agent_speaks = false;
    for _ in 0..1200 {
        driver.pass().await;
        driver.assert_safe();
        driver.now = driver.now.saturating_add(std::time::Duration::from_secs(1)).unwrap();
    }
    let status = driver.status();
    assert_eq!(status.launch.as_ref().unwrap().attempt, 3, "{:#?}", status.attempts);
    assert_eq!(driver.world.all().len(), 1);
    assert_eq!(driver.world.all()[0].state.word(), "running");
    assert!(is_true(&status.conditions, ConditionType::Stalled));
    driver.now = driver.now.saturating_add(std::time::Duration::from_secs(3600)).unwrap();
    driver.settle().await;
    assert_eq!(driver.world.all()[0].state.word(), "exited", "it is stopped after an hour");
    assert_eq!(driver.status().launch.unwrap().attempt, 3);
}

#[tokio::test]
async fn a_box_that_keeps_exiting_is_started_again_with_growing_pauses() {
    let mut driver = Driver::new();
    driver.agent_speaks = false;
    let mut starts = 0;
    for _ in 0..300 {
        driver.world.end_all(3);
        driver.pass().await;
        driver.now = driver.now.saturating_add(std::time::Duration::from_secs(1)).unwrap();
    }
    starts += driver.world.effects().iter().filter(|e| e.starts_with("start")).count();
    assert!((5..15).contains(&starts), "{starts} starts in 300 s");
    let status = driver.status();
    let reason =
        crate::api::condition::find(&status.conditions, ConditionType::Ready).unwrap().reason.clone();
    assert_eq!(reason, "CrashLoop");
    assert_eq!(status.launch.unwrap().attempt, 1, "the same box, not a new attempt");
}

/// What may happen at any time.
#[derive(Clone, Debug)]
enum Happening {
    Pass,
    Crash(usize, Fault),
    WriteFault(usize, WriteFault),
    Time(u32),
    Vanish,
    End,
    Suspend(bool),
    Restart(u8),
    Role(u8),
    Delete,
}

fn happening() -> impl Strategy<Value = Happening> {
    let fault = prop_oneof![Just(Fault::CrashAfter), Just(Fault::Error), Just(Fault::ErrorAfter)];
    let write =
        prop_oneof![Just(WriteFault::CrashAfter), Just(WriteFault::Error), Just(WriteFault::LostReply)];
    prop_oneof![
        12 => Just(Happening::Pass),
        3 => (0..4usize, fault).prop_map(|(at, fault)| Happening::Crash(at, fault)),
        3 => (0..3usize, write).prop_map(|(at, fault)| Happening::WriteFault(at, fault)),
        3 => (0..400u32).prop_map(Happening::Time),
        1 => Just(Happening::Vanish),
        1 => Just(Happening::End),
        1 => any::<bool>().prop_map(Happening::Suspend),
        1 => any::<u8>().prop_map(Happening::Restart),
        1 => any::<u8>().prop_map(Happening::Role),
        1 => Just(Happening::Delete),
    ]
}

async fn live_through(happenings: Vec<Happening>) {
    let mut driver = Driver::new();
    for happening in happenings {
        let alive = driver.stored().is_some();
        match happening {
            Happening::Pass => {
                if let Passed::Crashed = driver.pass().await {
                    driver.restart();
                }
            }
            Happening::Crash(at, fault) => driver.world.fault_after(at, fault),
            Happening::WriteFault(at, fault) => driver.api.fault_after(at, fault),
            Happening::Time(s) => {
                driver.now = driver.now.saturating_add(std::time::Duration::from_secs(s.into())).unwrap();
            }
            Happening::Vanish => driver.world.vanish(),
            Happening::End => driver.world.end_all(1),
            Happening::Suspend(suspend) if alive => driver.set_spec("suspend", json!(suspend)),
            Happening::Restart(n) if alive => driver.set_spec("restartedAt", json!(n.to_string())),
            Happening::Role(n) if alive => driver.set_spec("role", json!(n.to_string())),
            Happening::Delete if alive => driver.delete(),
            _ => {}
        }
        driver.assert_safe();
    }
    if let Some(ws) = driver.stored()
        && ws.metadata.deletion_timestamp.is_none()
    {
        driver.set_spec("suspend", json!(false));
        driver.settle_and_check().await;
        driver.assert_one_box_runs();
        driver.delete();
    }
    driver.settle_and_check().await;
    driver.assert_nothing_left();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn whatever_happens_there_is_never_more_than_one_box_and_nothing_is_left(
        happenings in prop::collection::vec(happening(), 1..60)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(live_through(happenings));
    }
}
