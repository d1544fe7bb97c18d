//! How a box is made: its files, its rights, its limits, and what is adopted.

use super::{Site, ask, contents, docker, image, of, printed, until};
use crate::api::names;
use crate::api::workspace::Tier;
use crate::backend::{BoxState, ErrorKind, ImageState};
use tokio::net::TcpStream;

#[tokio::test]
#[ignore = "needs a real engine"]
async fn a_box_comes_up_with_its_files_and_goes_without_a_trace() {
    let site = Site::new().await;
    let placement = site.place();
    let ask = ask("cd /configs; stat -c '%n %u:%g %a' .auth_token skills/a skills/a/S.md; cat .auth_token; \
         echo; echo $GREETING $HOSTNAME; while true; do nc -l -p 8000 -e /bin/cat; done");
    assert_eq!(placement.boxes(&of(&ask.uid)).await, Ok(vec![]));
    assert_eq!(placement.image(&ask.render(&placement)).await, Ok(ImageState::Present));
    let made = ask.create(&placement).await.expect("made");
    assert_eq!(made.state, BoxState::Running);
    assert_eq!((made.attempt, made.spec_hash.as_deref()), (Some(1), Some("hash-1")));
    assert_eq!(placement.boxes(&of(&ask.uid)).await, Ok(vec![made.clone()]));
    let alias = names::host(&ask.uid);
    assert!(made.addresses.contains(&alias), "{made:?}");
    let address = made.address.clone().expect("a published port");
    assert!(address.starts_with("127.0.0.1:"), "{address}");
    until("the port answers", async || TcpStream::connect(&address).await.ok()).await;
    let log = printed(&placement, &made.id, |log| log.contains("shown")).await;
    let expected =
        ".auth_token 1000:1000 600\nskills/a 1000:1000 755\nskills/a/S.md 1000:1000 644\nsecret\nhello shown";
    assert_eq!(log, expected);
    assert_eq!(site.containers(), [names::instance(&ask.uid, 1)]);
    assert_eq!(site.volumes(), [names::configs_volume(&ask.uid, 1), names::workspace_volume(&ask.uid)]);
    assert_eq!(site.networks().len(), 1);
    ask.remove(&placement).await;
    assert_eq!((site.containers(), site.volumes(), site.networks()), (vec![], vec![], vec![]));
    placement.destroy("", &made).await.expect("gone is fine");
}

#[tokio::test]
#[ignore = "needs a real engine"]
async fn a_user_by_number_owns_its_files_and_can_write_its_data() {
    let site = Site::new().await;
    let placement = site.place();
    let mut ask = ask(
        "touch /workspace/mine /configs/own && stat -c '%u:%g %a' /workspace /configs/.auth_token && cat /configs/.auth_token",
    );
    ask.image = image("1234:4321");
    ask.create(&placement).await.expect("made");
    let (seen, code, _) = ask.exit(&placement).await;
    assert_eq!(placement.log_tail("", &seen.id).await.as_deref(), Ok("1234:4321 755\n1234:4321 600\nsecret"));
    assert_eq!(code, 0);
}

#[tokio::test]
#[ignore = "needs a real engine"]
async fn rights_are_as_the_plan_says() {
    let site = Site::new().await;
    let placement = site.place();
    let mut ask =
        ask("while read -r key value; do case $key in CapEff:|NoNewPrivs:) echo $key $value;; esac; done \
         </proc/self/status; exec 2>&1; touch /root-file; touch /tmp/file && echo over");
    ask.create(&placement).await.expect("made");
    let (seen, ..) = ask.exit(&placement).await;
    // CHOWN, DAC_OVERRIDE, SETGID, SETUID. The image has no /tmp.
    let log = placement.log_tail("", &seen.id).await.expect("a log");
    assert!(log.contains("CapEff: 00000000000000c3\nNoNewPrivs: 1\n"), "{log}");
    assert!(!log.contains("root-file") && !log.contains("over"), "{log}");
    ask.remove(&placement).await;
    ask.tier = Tier::T1;
    ask.image = image("1234");
    ask.create(&placement).await.expect("made");
    let (seen, ..) = ask.exit(&placement).await;
    let log = placement.log_tail("", &seen.id).await.expect("a log");
    assert!(log.starts_with("CapEff: 0000000000000000\nNoNewPrivs: 1\n"), "{log}");
    assert!(log.contains("root-file: Read-only file system") && log.ends_with("over"), "{log}");
    let limits =
        docker(&["inspect", "--format", "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}}", &seen.id]);
    assert_eq!(limits, format!("{} 500000000", 256 * 1024 * 1024));
}

#[tokio::test]
#[ignore = "needs a real engine"]
async fn a_crash_at_any_point_of_a_create_is_mended_by_the_same_call() {
    let site = Site::new().await;
    let ask = ask("cat /configs/.auth_token; echo; sleep 1000");
    // All is done, and the process dies: the same call adopts the box as it is.
    let made = ask.create(&site.place()).await.expect("made");
    let restarted = site.restarted().await;
    let placement = restarted.place();
    assert_eq!(ask.create(&placement).await, Ok(made.clone()));
    // The container is made, and the process dies before the upload: as if for the first time.
    let network = site.networks().remove(0);
    let labels = docker(&[
        "inspect",
        "--format",
        "{{range $k, $v := .Config.Labels}}--label={{$k}}={{$v}} {{end}}",
        &made.id,
    ]);
    placement.destroy("", &made).await.expect("destroyed");
    let name = names::instance(&ask.uid, 1);
    let volume = names::configs_volume(&ask.uid, 1);
    let mut create_volume = vec!["volume", "create"];
    create_volume.extend(labels.split_whitespace());
    create_volume.push(&volume);
    docker(&create_volume);
    let mount = format!("--volume={volume}:/configs");
    let mut create = vec!["create", "--name", &name, "--network", &network, &mount];
    create.extend(labels.split_whitespace());
    create.push(&ask.image);
    create.extend(ask.command.iter().map(String::as_str));
    let id = docker(&create);
    let found = placement.boxes(&of(&ask.uid)).await.expect("the engine answers").remove(0);
    assert_eq!((found.id.as_str(), &found.state, found.started_at), (&*id, &BoxState::Created, None));
    let adopted = ask.create(&placement).await.expect("adopted");
    assert_eq!((adopted.id.as_str(), &adopted.state), (&*id, &BoxState::Running));
    printed(&placement, &id, |log| log == "secret").await;
    placement.destroy("", &adopted).await.expect("destroyed");
    // The same, found by the list and started.
    docker(&create_volume);
    let id = docker(&create);
    let found = placement.boxes(&of(&ask.uid)).await.expect("the engine answers").remove(0);
    let started = placement.start("", &found, &contents()).await.expect("started");
    assert_eq!((started.id.as_str(), &started.state), (&*id, &BoxState::Running));
    printed(&placement, &id, |log| log == "secret").await;
}

#[tokio::test]
#[ignore = "needs a real engine"]
async fn only_the_very_box_is_adopted() {
    let site = Site::new().await;
    let placement = site.place();
    let ask = ask("sleep 1000");
    let made = ask.create(&placement).await.expect("made");
    let mut other = ask.clone();
    other.spec_hash = "hash-2".into();
    let error = other.create(&placement).await.expect_err("of another spec");
    assert_eq!(error.kind, ErrorKind::Busy, "{error}");
    placement.destroy("", &made).await.expect("destroyed");
    assert_eq!(site.volumes(), [names::workspace_volume(&ask.uid)], "its files are gone with it");
    let name = names::instance(&ask.uid, 1);
    docker(&["create", "--name", &name, &ask.image, "/bin/sh"]);
    let error = ask.create(&placement).await.expect_err("a stranger's");
    docker(&["rm", &name]);
    assert_eq!(error.kind, ErrorKind::NameTaken);
    assert!(error.detail.contains(&name), "{error}");
}

#[tokio::test]
#[ignore = "needs a real engine"]
async fn a_strangers_volume_is_not_used() {
    let site = Site::new().await;
    let ask = ask("sleep 1000");
    let name = names::workspace_volume(&ask.uid);
    docker(&["volume", "create", &name]);
    let error = ask.create(&site.place()).await.expect_err("a stranger's");
    docker(&["volume", "rm", &name]);
    assert_eq!(error.kind, ErrorKind::NameTaken);
    assert!(error.detail.contains(&name), "{error}");
    assert_eq!(site.containers(), Vec::<String>::new());
}
