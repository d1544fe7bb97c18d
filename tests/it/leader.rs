//! Two operators: one leads, and when it goes the other takes over in time.

use crate::crash::assert_one_box_each;
use crate::support::operator::QUICK;
use crate::support::scene::Scene;
use crate::team::{team, traces};
use std::time::{Duration, Instant};

trials![another_leads_within_seconds];

/// After a kill -9; the promise of the documents.
const AFTER_KILL: Duration = Duration::from_secs(10);
/// After a SIGTERM.
const AFTER_STOP: Duration = Duration::from_secs(2);
/// How long a SIGTERM may take to end a process.
const TO_END: Duration = Duration::from_secs(10);

async fn another_leads_within_seconds() {
    let scene = Scene::new("two").await;
    scene.apply_config(scene.config()).await;
    // The lease has its real periods: they are what is promised.
    let (mut first, mut second, front) = scene.two_operators(&QUICK).await;
    scene.apply_team("studio", team(3)).await;
    scene.until_team_ready("studio").await;
    assert!(!second.leads().await, "both lead");
    let before = traces(&scene).await;

    first.kill();
    front.point_at(second.registry());
    let took = second.until_it_leads().await;
    assert!(took <= AFTER_KILL, "after a kill -9, the other led after {took:?}");
    scene.apply_team("studio", team(4)).await;
    scene
        .until_team("studio", "4/4", |team| {
            team.status.as_ref().and_then(|status| status.ready_summary.as_deref()) == Some("4/4")
        })
        .await;
    assert_one_box_each(&scene, 4).await;

    first.restart();
    first.ready().await;
    assert!(!first.leads().await, "it took a lease that is held");
    let began = Instant::now();
    second.signal("TERM");
    first.until_it_leads().await;
    let took = began.elapsed();
    assert!(took <= AFTER_STOP, "after a SIGTERM, the other led after {took:?}");
    let status = second.ended().await;
    assert!(status.success(), "SIGTERM ended it with {status}");
    assert!(began.elapsed() <= TO_END, "SIGTERM ended it after {:?}", began.elapsed());

    front.point_at(first.registry());
    scene.until_team_ready("studio").await;
    assert_one_box_each(&scene, 4).await;
    for (name, trace) in before.into_iter().filter(|(name, _)| !name.starts_with("studio-")) {
        assert_eq!(traces(&scene).await.get(&name), Some(&trace), "a box was started again or replaced");
    }
}
