//! What happens to a box after it was made: exits, stops, starts, replacements, removals.

use super::{Site, ask, contents, docker, of, printed};
use crate::api::names;
use crate::api::workspace::Tier;
use crate::backend::{BoxState, ErrorKind};

#[tokio::test]
#[ignore = "needs a real engine"]
async fn an_exit_is_seen_with_its_code_and_last_words() {
    let site = Site::new().await;
    let placement = site.place();
    let ask = ask("echo to stdout; printf '\\033[31mto stderr\\033[0m\\n' >&2; exit 3");
    ask.create(&placement).await.expect("made");
    let (seen, code, oom_killed) = ask.exit(&placement).await;
    assert_eq!((code, oom_killed, seen.address), (3, false, None));
    let log = placement.log_tail("", &seen.id).await.expect("a log");
    let mut lines: Vec<_> = log.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["to stderr", "to stdout"]);
}

#[tokio::test]
#[ignore = "needs a real engine"]
async fn a_box_that_takes_more_than_its_memory_is_killed_and_says_so() {
    let site = Site::new().await;
    let placement = site.place();
    let mut ask = ask("exec tail -c 900m /dev/zero");
    ask.tier = Tier::T1;
    ask.create(&placement).await.expect("made");
    let (_, code, oom_killed) = ask.exit(&placement).await;
    assert_eq!((code, oom_killed), (137, true));
}

#[tokio::test]
#[ignore = "needs a real engine"]
async fn a_box_stops_and_starts_again_with_its_data() {
    let site = Site::new().await;
    let placement = site.place();
    let ask = ask(
        "trap 'exit 7' TERM; echo start >>/workspace/log; cat /workspace/log; while true; do sleep 0.1; done",
    );
    let made = ask.create(&placement).await.expect("made");
    printed(&placement, &made.id, |log| log == "start").await;
    placement.stop("", &made).await.expect("stopped");
    placement.stop("", &made).await.expect("stopped before");
    let (seen, code, _) = ask.exit(&placement).await;
    assert_eq!(code, 7);
    let started = placement.start("", &seen, &contents()).await.expect("started");
    assert_eq!((&started.state, &started.id), (&BoxState::Running, &made.id));
    assert!(started.started_at > made.started_at);
    printed(&placement, &made.id, |log| log == "start\nstart\nstart").await;
    assert_eq!(placement.start("", &started, &contents()).await, Ok(started), "started before");
    docker(&["rm", "--force", &made.id]);
    assert_eq!(placement.stop("", &made).await.expect_err("gone").kind, ErrorKind::NotFound);
}

#[tokio::test]
#[ignore = "needs a real engine"]
async fn a_command_that_is_not_there_is_told_by_the_box() {
    let site = Site::new().await;
    let placement = site.place();
    let mut ask = ask("");
    ask.command = vec!["/no/such/program".into()];
    ask.create(&placement).await.expect("made: the box's init finds out");
    let (seen, code, _) = ask.exit(&placement).await;
    assert_eq!(code, 127);
    printed(&placement, &seen.id, |log| log.contains("/no/such/program")).await;
}

#[tokio::test]
#[ignore = "needs a real engine"]
async fn a_box_that_cannot_be_started_says_why_and_can_be_removed() {
    let mut site = Site::new().await;
    // An address of another network: nothing can be published there.
    site.endpoint.publish_address = "192.0.2.1".into();
    let site = site.restarted().await;
    let placement = site.place();
    let ask = ask("sleep 1000");
    let error = ask.create(&placement).await.expect_err("the port cannot be published");
    assert_eq!(error.kind, ErrorKind::Failed);
    assert!(error.detail.contains("192.0.2.1"), "{error}");
    let seen = placement.boxes(&of(&ask.uid)).await.expect("the engine answers").remove(0);
    let told = |words: &str| words.contains("192.0.2.1");
    assert!(matches!(&seen.state, BoxState::Exited { error: Some(words), .. } if told(words)), "{seen:?}");
    assert_eq!(seen.started_at, None);
    assert_eq!(placement.start("", &seen, &contents()).await.expect_err("still not").kind, ErrorKind::Failed);
    ask.remove(&placement).await;
    assert_eq!((site.containers(), site.volumes(), site.networks()), (vec![], vec![], vec![]));
}

#[tokio::test]
#[ignore = "needs a real engine"]
async fn the_next_attempt_keeps_the_data_and_removes_old_files() {
    let site = Site::new().await;
    let placement = site.place();
    let mut ask = ask("cat /workspace/data; echo kept >/workspace/data; sleep 1000");
    ask.retain = true;
    let first = ask.create(&placement).await.expect("made");
    printed(&placement, &first.id, |log| log.contains("No such file")).await;
    // A crash between the removal of the container and that of its files.
    docker(&["rm", "--force", &first.id]);
    ask.attempt = 2;
    let second = ask.create(&placement).await.expect("made");
    assert_eq!(second.attempt, Some(2));
    printed(&placement, &second.id, |log| log == "kept").await;
    assert_eq!(site.volumes(), [names::configs_volume(&ask.uid, 2), names::workspace_volume(&ask.uid)]);
    ask.remove(&placement).await;
    assert_eq!(site.volumes(), [names::workspace_volume(&ask.uid)], "it is to be retained");
}

#[tokio::test]
#[ignore = "needs a real engine"]
async fn a_paused_box_can_be_destroyed() {
    let site = Site::new().await;
    let placement = site.place();
    let ask = ask("sleep 1000");
    let made = ask.create(&placement).await.expect("made");
    docker(&["pause", &made.id]);
    let seen = placement.boxes(&of(&ask.uid)).await.expect("the engine answers").remove(0);
    assert_eq!(seen.state, BoxState::Other("paused".into()));
    ask.remove(&placement).await;
    assert_eq!(site.containers(), Vec::<String>::new());
}
