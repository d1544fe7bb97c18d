//! One network a Team.

use super::{Ask, Site, ask, contents, docker, of, printed, remains};
use crate::api::names;
use crate::backend::{BoxState, ErrorKind};
use futures::future::join_all;

fn member(team: &Ask, other: Ask) -> Ask {
    Ask { network_of: team.network_of.clone(), image: team.image.clone(), ..other }
}

#[tokio::test]
#[ignore = "needs a real engine"]
async fn seven_at_once_share_one_network_until_the_last_goes() {
    let site = Site::new().await;
    let placement = site.place();
    let first = ask("sleep 1000");
    let team: Vec<_> = (0..7).map(|_| member(&first, ask("sleep 1000"))).collect();
    let made = join_all(team.iter().map(|ask| ask.create(&placement))).await;
    assert!(made.iter().all(|m| m.as_ref().is_ok_and(|m| m.state == BoxState::Running)), "{made:?}");
    let network = site.networks();
    assert_eq!(network.len(), 1);
    // A box that does not run holds its network as well.
    for (ask, seen) in team.iter().zip(made) {
        placement.stop("", &seen.expect("made")).await.expect("stopped");
        assert_eq!(
            placement.clear(&remains(&ask.uid, &ask.network_of)).await.map_err(|e| e.kind),
            Err(ErrorKind::Busy)
        );
    }
    assert_eq!(site.networks(), network);
    for ask in &team {
        assert_eq!(site.networks(), network);
        ask.remove(&placement).await;
    }
    assert_eq!((site.volumes(), site.networks()), (vec![], vec![]));
    // What is remembered of a network that was removed does no harm.
    first.create(&placement).await.expect("made anew");
    assert_eq!(site.networks().len(), 1);
}

#[tokio::test]
#[ignore = "needs a real engine"]
async fn members_reach_each_other_by_name_and_strangers_do_not() {
    let site = Site::new().await;
    let placement = site.place();
    let server = ask("while true; do echo hello | nc -l -p 8000; done");
    server.create(&placement).await.expect("made");
    let script = format!("until nc {} 8000 </dev/null; do sleep 0.1; done", names::host(&server.uid));
    let client = member(&server, ask(&script));
    let seen = client.create(&placement).await.expect("made");
    printed(&placement, &seen.id, |log| log.contains("hello")).await;
    let script = format!("nc {} 8000 </dev/null; echo over", names::host(&server.uid));
    let seen = ask(&script).create(&placement).await.expect("made");
    let log = printed(&placement, &seen.id, |log| log.contains("over")).await;
    assert!(log.contains("bad address"), "{log}");
}

#[tokio::test]
#[ignore = "needs a real engine"]
async fn teams_at_once_get_ranges_of_their_own() {
    let site = Site::new().await;
    let placement = site.place();
    let asks: Vec<_> = (0..5).map(|_| ask("sleep 1000")).collect();
    let made = join_all(asks.iter().map(|ask| ask.create(&placement))).await;
    assert!(made.iter().all(Result::is_ok), "{made:?}");
    assert_eq!(site.networks().len(), 5);
}

#[tokio::test]
#[ignore = "needs a real engine"]
async fn a_full_pool_is_said_and_passes() {
    let mut site = Site::new().await;
    site.endpoint.network.prefix_length = 24;
    let site = site.restarted().await;
    let placement = site.place();
    let first = ask("sleep 1000");
    first.create(&placement).await.expect("made");
    let second = ask("sleep 1000");
    let error = second.create(&placement).await.expect_err("there is room for one");
    assert!(error.detail.contains(&site.endpoint.network.pool), "{error}");
    first.remove(&placement).await;
    second.create(&placement).await.expect("there is room again");
}

#[tokio::test]
#[ignore = "needs a real engine"]
async fn a_network_that_was_removed_under_a_box_is_made_anew() {
    let site = Site::new().await;
    let placement = site.place();
    let ask = ask("sleep 1000");
    let made = ask.create(&placement).await.expect("made");
    placement.stop("", &made).await.expect("stopped");
    let former = site.networks();
    docker(&["network", "rm", &former[0]]);
    let stopped = placement.boxes(&of(&ask.uid)).await.expect("the engine answers").remove(0);
    let started = placement.start("", &stopped, &contents()).await.expect("started");
    assert_eq!(started.state, BoxState::Running);
    assert!(started.addresses.contains(&names::host(&ask.uid)), "{started:?}");
    assert_eq!(site.networks().len(), 1);
    assert_ne!(site.networks(), former);
    // The same before the first start, with a process that remembers the network.
    placement.destroy("", &started).await.expect("destroyed");
    docker(&["network", "rm", &site.networks()[0]]);
    let again = ask.create(&placement).await.expect("made");
    assert_eq!(again.state, BoxState::Running);
    assert!(again.addresses.contains(&names::host(&ask.uid)), "{again:?}");
}

#[tokio::test]
#[ignore = "needs a real engine"]
async fn of_two_networks_the_older_one_is_used() {
    let site = Site::new().await;
    let ask = ask("sleep 1000");
    let labels = [
        format!("--label={}={}", names::CONTROLLER, site.maker.controller),
        format!("--label={}={}", names::CLUSTER, site.maker.cluster),
        format!("--label={}={}", names::NETWORK_OF, ask.network_of),
    ];
    let make = |name: &str| {
        let mut arguments = vec!["network", "create"];
        arguments.extend(labels.iter().map(String::as_str));
        arguments.push(name);
        docker(&arguments)
    };
    let name = names::network(&ask.network_of);
    let (older, _younger) = (make(&name), make(&format!("{name}-2")));
    let placement = site.place();
    let made = ask.create(&placement).await.expect("made");
    let on = docker(&[
        "inspect",
        "--format",
        "{{range .NetworkSettings.Networks}}{{.NetworkID}}{{end}}",
        &made.id,
    ]);
    assert_eq!(on, older);
    ask.remove(&placement).await;
    assert_eq!(site.networks(), Vec::<String>::new(), "both go with the last box");
}

#[tokio::test]
#[ignore = "needs a real engine"]
async fn a_network_with_a_strangers_container_is_left_alone() {
    let site = Site::new().await;
    let placement = site.place();
    let ask = ask("sleep 1000");
    ask.create(&placement).await.expect("made");
    let network = site.networks().remove(0);
    let stranger = docker(&["run", "--detach", "--network", &network, &ask.image, "/bin/sleep", "1000"]);
    ask.remove(&placement).await;
    let left = site.networks();
    docker(&["rm", "--force", &stranger]);
    assert_eq!(left, [network]);
}
