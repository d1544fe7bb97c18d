//! One suite for every EC2: what our calls rely on, checked at the simulator and at moto alike.
//!
//! `hack/conformance.sh` starts both and runs this. What moto does otherwise stands in [`MOTO_DIFFERS`] with the
//! reason; a case that stands there and passes after all is an error too, so that the list stays true.

use crate::control_plane::ec2::{Ec2, Filter, Found};
use crate::control_plane::faults::Fault;
use crate::control_plane::launch::{Image, RunOrder};
use crate::control_plane::testing;
use atelier_wire::control_plane::{NetworkInterfaceView, VolumeSpec, VolumeView};
use futures::future::LocalBoxFuture;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// `name,endpoint,ami` of each EC2, separated by spaces.
const TARGETS: &str = "ATELIER_TEST_EC2";
/// How long a state may take to come.
const DEADLINE: Duration = Duration::from_secs(30);
/// The volumes of these tests.
const VOLUME: VolumeSpec = VolumeSpec { size_gib: 1, volume_type: String::new(), kms_key_id: None };

/// The cases in which moto is not like EC2, and why that is moto's doing.
const MOTO_DIFFERS: &[(&str, &str)] = &[
    ("the_same_token_is_the_same_instance", "it keeps no client tokens of launches"),
    ("the_same_token_with_other_user_data_is_refused", "it keeps no client tokens of launches"),
    ("a_token_whose_instance_is_gone_is_refused", "it keeps no client tokens of launches"),
    ("a_list_by_token_finds_the_instance", "it has no filter client-token, and answers 500"),
    ("tags_are_on_the_instance_its_volume_and_its_interface", "it leaves out the tags of interfaces"),
    ("an_unknown_image_is_refused", "it launches images that it does not know, with a warning"),
    ("a_terminated_instance_cannot_be_started", "it starts whatever it remembers"),
    ("a_volume_of_the_same_token_is_the_same_volume", "it keeps no client tokens of volumes"),
    ("a_volume_of_the_same_token_and_another_size_is_refused", "it keeps no client tokens of volumes"),
    ("the_interface_of_an_instance_cannot_be_deleted", "it deletes interfaces that are in use"),
];

type Outcome = Result<(), String>;
type Case = (&'static str, for<'a> fn(&'a Lab) -> LocalBoxFuture<'a, Outcome>);

macro_rules! cases {
    ($($name:ident),* $(,)?) => { &[$((stringify!($name), |lab| Box::pin($name(lab)))),*] };
}

const CASES: &[Case] = cases![
    a_launch_answers_id_account_and_what_was_asked,
    the_same_token_is_the_same_instance,
    the_same_token_with_other_user_data_is_refused,
    a_token_whose_instance_is_gone_is_refused,
    a_list_by_token_finds_the_instance,
    a_list_by_tag_finds_only_what_carries_it,
    a_list_by_an_unknown_id_is_empty,
    tags_are_on_the_instance_its_volume_and_its_interface,
    a_dry_run_launches_nothing,
    an_unknown_image_is_refused,
    an_unknown_subnet_is_refused,
    an_unknown_image_is_not_described,
    stop_and_start_keep_the_instance,
    an_unknown_instance_cannot_be_stopped,
    terminate_ends_all_that_are_named,
    terminate_with_an_unknown_id_ends_none,
    a_terminated_instance_cannot_be_started,
    a_volume_of_the_same_token_is_the_same_volume,
    a_volume_of_the_same_token_and_another_size_is_refused,
    a_volume_is_attached_detached_by_the_end_and_deleted,
    an_attached_volume_cannot_be_deleted,
    an_unknown_volume_cannot_be_deleted,
    the_interface_of_an_instance_cannot_be_deleted,
    tags_are_put_over_those_there_are,
    a_console_is_text,
];

/// One EC2, and a name of its own for all that one case makes.
struct Lab {
    ec2: Ec2,
    ami: String,
    image: Image,
    subnet: String,
    zone: String,
    account: String,
    mark: String,
}

impl Lab {
    async fn new(endpoint: &str, ami: &str) -> Self {
        let ec2 = testing::ec2(endpoint).await;
        let (subnets, account) = ec2.subnets(Vec::new()).await.unwrap();
        let (subnet, zone) = subnets.into_iter().next().expect("there is a subnet");
        let image = ec2.image(ami).await.unwrap().expect("the image is known");
        let mark = format!("{:016x}", rand::random::<u64>());
        Self { ec2, ami: ami.into(), image, subnet, zone, account, mark }
    }

    fn token(&self, name: &str) -> String {
        format!("{}-{name}", self.mark)
    }

    fn order(&self, name: &str) -> RunOrder {
        RunOrder {
            client_token: self.token(name),
            ami_id: self.ami.clone(),
            image: self.image.clone(),
            instance_type: "t3.small".into(),
            subnet_id: self.subnet.clone(),
            security_group_ids: Vec::new(),
            instance_profile_name: None,
            root_volume: (30, "gp3".into(), None),
            tags: vec![("conformance".into(), self.mark.clone()), ("name".into(), name.into())],
            user_data: "#!/bin/sh\ntrue\n".into(),
        }
    }

    async fn launched(&self, name: &str) -> Result<Found, String> {
        self.ec2.run(&self.order(name), None).await.map_err(|fault| fault.code)
    }

    fn mine(&self) -> Vec<Filter> {
        vec![Filter::tag("conformance", &self.mark)]
    }

    async fn instances(&self) -> Vec<Found> {
        self.ec2.all_instances(self.mine()).await.unwrap()
    }

    async fn volumes(&self) -> Vec<VolumeView> {
        self.ec2.volumes(self.mine()).await.unwrap()
    }

    async fn interfaces(&self) -> Vec<NetworkInterfaceView> {
        self.ec2.network_interfaces(self.mine()).await.unwrap()
    }

    async fn state(&self, id: &str) -> String {
        let found =
            self.ec2.all_instances(vec![Filter::one_of("instance-id", vec![id.into()])]).await.unwrap();
        found.into_iter().next().map(|found| found.view.state).unwrap_or_default()
    }

    async fn until_state(&self, id: &str, state: &str) -> Outcome {
        until(&format!("{id} is {state}"), async || self.state(id).await == state).await
    }

    async fn volume(&self, name: &str, size_gib: i32) -> Result<String, Fault> {
        let spec = VolumeSpec { size_gib, volume_type: "gp3".into(), ..VOLUME };
        let tags = BTreeMap::from([("conformance".to_owned(), self.mark.clone())]);
        self.ec2.create_volume(&self.token(name), &self.zone, &spec, &tags).await.map(|(id, _)| id)
    }

    async fn until_volume(&self, id: &str, state: &str) -> Outcome {
        until(&format!("{id} is {state}"), async || {
            self.volumes().await.iter().any(|volume| volume.volume_id == id && volume.state == state)
        })
        .await
    }

    /// Ends all that the case made, so that the next EC2 of the same name begins as empty.
    async fn tidy(&self) {
        let live = |found: &Found| !["shutting-down", "terminated"].contains(&found.view.state.as_str());
        let ids: Vec<_> =
            self.instances().await.into_iter().filter(live).map(|found| found.view.instance_id).collect();
        if !ids.is_empty() {
            let _ = self.ec2.terminate(ids).await;
        }
    }
}

async fn until(what: &str, is_so: impl AsyncFn() -> bool) -> Outcome {
    let end = Instant::now() + DEADLINE;
    while !is_so().await {
        if Instant::now() >= end {
            return Err(format!("not within {DEADLINE:?}: {what}"));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

fn check(is_so: bool, what: impl Into<String>) -> Outcome {
    if is_so { Ok(()) } else { Err(what.into()) }
}

/// The call was refused with this code.
fn refused<T>(result: Result<T, Fault>, code: &str) -> Outcome {
    match result {
        Ok(_) => Err(format!("it was taken, and not refused with {code}")),
        Err(fault) => {
            check(fault.is(code), format!("it was refused with {}, and not with {code}", fault.code))
        }
    }
}

async fn a_launch_answers_id_account_and_what_was_asked(lab: &Lab) -> Outcome {
    let Found { view, account_id } = lab.launched("a").await?;
    check(view.instance_id.starts_with("i-"), &view.instance_id)?;
    check(account_id == lab.account, format!("account {account_id}, and its subnets are {}'s", lab.account))?;
    check(view.client_token == lab.token("a"), format!("token {:?}", view.client_token))?;
    check(
        view.subnet_id == lab.subnet && view.zone == lab.zone,
        format!("{} {}", view.subnet_id, view.zone),
    )?;
    check(view.instance_type == "t3.small" && view.ami_id == lab.ami, &view.instance_type)?;
    check(!view.private_ip.is_empty() && view.launched_at.is_some(), format!("{view:?}"))?;
    lab.until_state(&view.instance_id, "running").await
}

async fn the_same_token_is_the_same_instance(lab: &Lab) -> Outcome {
    let (one, two) = (lab.launched("a").await?, lab.launched("a").await?);
    check(one.view.instance_id == two.view.instance_id, "two instances")?;
    check(lab.instances().await.len() == 1, "two are listed")
}

async fn the_same_token_with_other_user_data_is_refused(lab: &Lab) -> Outcome {
    lab.launched("a").await?;
    let order = RunOrder { user_data: "#!/bin/sh\nfalse\n".into(), ..lab.order("a") };
    refused(lab.ec2.run(&order, None).await, "IdempotentParameterMismatch")
}

async fn a_token_whose_instance_is_gone_is_refused(lab: &Lab) -> Outcome {
    let id = lab.launched("a").await?.view.instance_id;
    lab.ec2.terminate(vec![id.clone()]).await.map_err(|fault| fault.code)?;
    lab.until_state(&id, "terminated").await?;
    refused(lab.ec2.run(&lab.order("a"), None).await, "IdempotentInstanceTerminated")
}

async fn a_list_by_token_finds_the_instance(lab: &Lab) -> Outcome {
    let id = lab.launched("a").await?.view.instance_id;
    lab.launched("b").await?;
    let found = lab.ec2.all_instances(vec![Filter::one_of("client-token", vec![lab.token("a")])]).await;
    let ids: Vec<_> =
        found.map_err(|fault| fault.code)?.into_iter().map(|found| found.view.instance_id).collect();
    check(ids == [id], format!("{ids:?}"))
}

async fn a_list_by_tag_finds_only_what_carries_it(lab: &Lab) -> Outcome {
    let id = lab.launched("a").await?.view.instance_id;
    lab.launched("b").await?;
    check(lab.instances().await.len() == 2, "not two are listed")?;
    let filters = [lab.mine(), vec![Filter::tag("name", "a")]].concat();
    let found = lab.ec2.all_instances(filters).await.map_err(|fault| fault.code)?;
    check(found.len() == 1 && found[0].view.instance_id == id, format!("{found:?}"))
}

async fn a_list_by_an_unknown_id_is_empty(lab: &Lab) -> Outcome {
    check(lab.state("i-00000000000000bad").await.is_empty(), "it is known")
}

async fn tags_are_on_the_instance_its_volume_and_its_interface(lab: &Lab) -> Outcome {
    let id = lab.launched("a").await?.view.instance_id;
    let instances = lab.instances().await;
    check(instances.iter().all(|found| found.view.tags["name"] == "a"), format!("{instances:?}"))?;
    let (volumes, interfaces) = (lab.volumes().await, lab.interfaces().await);
    check(volumes.len() == 1 && volumes[0].instance_id == id, format!("volumes {volumes:?}"))?;
    check(interfaces.len() == 1 && interfaces[0].instance_id == id, format!("interfaces {interfaces:?}"))
}

async fn a_dry_run_launches_nothing(lab: &Lab) -> Outcome {
    lab.ec2.dry_run(&lab.order("a")).await.map_err(|fault| fault.code)?;
    check(lab.instances().await.is_empty(), "it launched")
}

async fn an_unknown_image_is_refused(lab: &Lab) -> Outcome {
    let order = RunOrder { ami_id: "ami-00000000000000bad".into(), ..lab.order("a") };
    refused(lab.ec2.run(&order, None).await, "InvalidAMIID.NotFound")
}

async fn an_unknown_subnet_is_refused(lab: &Lab) -> Outcome {
    let order = RunOrder { subnet_id: "subnet-00000000000000bad".into(), ..lab.order("a") };
    refused(lab.ec2.run(&order, None).await, "InvalidSubnetID.NotFound")
}

async fn an_unknown_image_is_not_described(lab: &Lab) -> Outcome {
    let known = lab.ec2.image(&lab.ami).await.map_err(|fault| fault.code)?;
    check(known.is_some_and(|image| image.root_device.starts_with("/dev/")), "the image has no root device")?;
    let unknown = lab.ec2.image("ami-00000000000000bad").await.map_err(|fault| fault.code)?;
    check(unknown.is_none(), "it is known")
}

async fn stop_and_start_keep_the_instance(lab: &Lab) -> Outcome {
    let id = lab.launched("a").await?.view.instance_id;
    lab.until_state(&id, "running").await?;
    lab.ec2.stop(&id).await.map_err(|fault| fault.code)?;
    lab.until_state(&id, "stopped").await?;
    lab.ec2.start(&id).await.map_err(|fault| fault.code)?;
    lab.until_state(&id, "running").await?;
    check(lab.instances().await.len() == 1, "another instance")
}

async fn an_unknown_instance_cannot_be_stopped(lab: &Lab) -> Outcome {
    refused(lab.ec2.stop("i-00000000000000bad").await, "InvalidInstanceID.NotFound")
}

async fn terminate_ends_all_that_are_named(lab: &Lab) -> Outcome {
    let ids = vec![lab.launched("a").await?.view.instance_id, lab.launched("b").await?.view.instance_id];
    let states = lab.ec2.terminate(ids.clone()).await.map_err(|fault| fault.code)?;
    check(ids.iter().all(|id| states.contains_key(id)), format!("{states:?}"))?;
    for id in &ids {
        lab.until_state(id, "terminated").await?;
    }
    until("the root volumes are gone", async || lab.volumes().await.is_empty()).await
}

async fn terminate_with_an_unknown_id_ends_none(lab: &Lab) -> Outcome {
    let id = lab.launched("a").await?.view.instance_id;
    let ids = vec![id.clone(), "i-00000000000000bad".into()];
    refused(lab.ec2.terminate(ids).await, "InvalidInstanceID.NotFound")?;
    let state = lab.state(&id).await;
    check(["pending", "running"].contains(&state.as_str()), format!("it is {state}"))
}

async fn a_terminated_instance_cannot_be_started(lab: &Lab) -> Outcome {
    let id = lab.launched("a").await?.view.instance_id;
    lab.ec2.terminate(vec![id.clone()]).await.map_err(|fault| fault.code)?;
    lab.until_state(&id, "terminated").await?;
    refused(lab.ec2.start(&id).await, "IncorrectInstanceState")
}

async fn a_volume_of_the_same_token_is_the_same_volume(lab: &Lab) -> Outcome {
    let one = lab.volume("v", 1).await.map_err(|fault| fault.code)?;
    let two = lab.volume("v", 1).await.map_err(|fault| fault.code)?;
    let ids: Vec<_> = lab.volumes().await.into_iter().map(|volume| volume.volume_id).collect();
    check(one == two && ids == [one], format!("{ids:?}"))
}

async fn a_volume_of_the_same_token_and_another_size_is_refused(lab: &Lab) -> Outcome {
    lab.volume("v", 1).await.map_err(|fault| fault.code)?;
    refused(lab.volume("v", 2).await, "IdempotentParameterMismatch")
}

async fn a_volume_is_attached_detached_by_the_end_and_deleted(lab: &Lab) -> Outcome {
    let id = lab.launched("a").await?.view.instance_id;
    lab.until_state(&id, "running").await?;
    let volume = lab.volume("v", 1).await.map_err(|fault| fault.code)?;
    lab.until_volume(&volume, "available").await?;
    lab.ec2.attach_volume(&volume, &id, "/dev/sdf").await.map_err(|fault| fault.code)?;
    lab.until_volume(&volume, "in-use").await?;
    lab.ec2.terminate(vec![id]).await.map_err(|fault| fault.code)?;
    lab.until_volume(&volume, "available").await?;
    lab.ec2.delete_volume(&volume).await.map_err(|fault| fault.code)?;
    until("it is not listed", async || lab.volumes().await.iter().all(|one| one.volume_id != volume)).await
}

async fn an_attached_volume_cannot_be_deleted(lab: &Lab) -> Outcome {
    let id = lab.launched("a").await?.view.instance_id;
    lab.until_state(&id, "running").await?;
    let volume = lab.volume("v", 1).await.map_err(|fault| fault.code)?;
    lab.until_volume(&volume, "available").await?;
    lab.ec2.attach_volume(&volume, &id, "/dev/sdf").await.map_err(|fault| fault.code)?;
    lab.until_volume(&volume, "in-use").await?;
    refused(lab.ec2.delete_volume(&volume).await, "VolumeInUse")
}

async fn an_unknown_volume_cannot_be_deleted(lab: &Lab) -> Outcome {
    refused(lab.ec2.delete_volume("vol-00000000000000bad").await, "InvalidVolume.NotFound")
}

async fn the_interface_of_an_instance_cannot_be_deleted(lab: &Lab) -> Outcome {
    let id = lab.launched("a").await?.view.instance_id;
    let all = lab.ec2.network_interfaces(vec![Filter::one_of("attachment.instance-id", vec![id])]).await;
    let all = all.map_err(|fault| fault.code)?;
    let interface = all.first().ok_or("it has none")?;
    let refusal = lab.ec2.delete_network_interface(&interface.network_interface_id).await;
    refused(refusal, "InvalidParameterValue").or(check(
        lab.ec2.network_interfaces(lab.mine()).await.is_ok_and(|left| !left.is_empty()),
        "it was deleted",
    ))
}

async fn tags_are_put_over_those_there_are(lab: &Lab) -> Outcome {
    let volume = lab.volume("v", 1).await.map_err(|fault| fault.code)?;
    let tags = BTreeMap::from([("more".to_owned(), "yes".to_owned())]);
    lab.ec2.create_tags(&volume, &tags).await.map_err(|fault| fault.code)?;
    let volumes = lab.volumes().await;
    let is_so = volumes.iter().any(|v| v.tags.get("more").is_some_and(|more| more == "yes"));
    check(is_so, format!("{volumes:?}"))
}

async fn a_console_is_text(lab: &Lab) -> Outcome {
    let id = lab.launched("a").await?.view.instance_id;
    lab.until_state(&id, "running").await?;
    lab.ec2.console(&id).await.map(drop).map_err(|fault| fault.code)
}

#[tokio::test]
#[ignore = "hack/conformance.sh starts what it is about"]
async fn our_calls_find_what_they_rely_on() {
    let targets = std::env::var(TARGETS).expect("run it through hack/conformance.sh");
    let mut wrong = Vec::new();
    for target in targets.split_whitespace() {
        let [name, endpoint, ami] = target.split(',').collect::<Vec<_>>().try_into().expect("three words");
        let differs = if name == "moto" { MOTO_DIFFERS } else { &[] };
        for (case, run) in CASES {
            let lab = Lab::new(endpoint, ami).await;
            let outcome = run(&lab).await;
            lab.tidy().await;
            let known = differs.iter().find(|(known, _)| known == case).map(|(_, reason)| reason);
            match (outcome, known) {
                (Ok(()), None) => println!("{name}: {case}: ok"),
                (Err(seen), Some(reason)) => println!("{name}: {case}: DIFFERS: {reason} ({seen})"),
                (Ok(()), Some(_)) => wrong.push(format!("{name}: {case}: is said to differ, and does not")),
                (Err(seen), None) => wrong.push(format!("{name}: {case}: {seen}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
