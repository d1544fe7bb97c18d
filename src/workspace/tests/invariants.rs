//! The invariants that Atelier exists for, under their names. The third, one door, is the doctest of
//! `crate::backend`.

use super::driver::Driver;
use crate::api::condition::find;
use crate::api::{ConditionType, Status};
use crate::backend::scripted::World;
use serde_json::json;

/// Nothing waits for a timer to find out that there is no backend.
#[tokio::test]
async fn no_backend_immediate_failure() {
    let mut driver = Driver::new();
    driver.config = None;
    driver.pass().await;
    let status = driver.status();
    let said = find(&status.conditions, ConditionType::BackendReady).unwrap();
    assert_eq!((said.status.as_str(), said.reason.as_str()), (Status::False.as_str(), "NoBackend"));
    assert!(said.message.contains("create it"), "the message does not say the fix: {}", said.message);
    assert_eq!(driver.world.effects(), Vec::<String>::new());
}

#[tokio::test]
async fn a_backend_that_does_not_answer_is_said_in_the_first_reconcile() {
    let mut driver = Driver::new();
    driver.world.set_down(true);
    driver.pass().await;
    let status = driver.status();
    let said = find(&status.conditions, ConditionType::BackendReady).unwrap();
    assert_eq!((said.status.as_str(), said.reason.as_str()), (Status::False.as_str(), "DockerUnreachable"));
    assert_eq!(
        driver.api.object().unwrap()["metadata"]["finalizers"],
        json!(null),
        "nothing to clean up yet"
    );
}

/// Create, repair, restart, suspend, resume, replacement and delete all go where the record says, also after
/// the config has come to say something else.
#[tokio::test]
async fn the_configured_backend_is_the_one_that_is_used() {
    let mut driver = Driver::new();
    driver.settle().await;
    let recorded = driver.status().placement;
    assert_eq!(recorded, Some(driver.world.record()));
    for (field, value) in [
        ("restartedAt", json!("1")),
        ("suspend", json!(true)),
        ("suspend", json!(false)),
        ("role", json!("another")),
    ] {
        driver.set_spec(field, value);
        driver.settle().await;
        assert_eq!(driver.status().placement, recorded, "{field}");
    }
    driver.world.vanish();
    driver.settle().await;
    driver.assert_one_box_runs();

    let elsewhere = World::new("elsewhere");
    let first = std::mem::replace(&mut driver.world, elsewhere.clone());
    driver.restart();
    driver.delete();
    driver.settle().await;
    assert!(driver.stored().is_some(), "deleted by the word of a world that it was not launched on");
    assert_eq!(elsewhere.effects(), Vec::<String>::new(), "the other world was touched");
    driver.world = first;
    driver.restart();
    driver.settle().await;
    driver.assert_nothing_left();
}
