//! Promises of stop, start, terminate, and of deaths behind everybody's back.

use super::Effect;
use super::model::StateReason;
use super::settings::Settings;
use super::testing::Lab;

#[test]
fn an_instance_goes_from_state_to_state_when_it_is_due() {
    let mut lab = Lab::new();
    let id = lab.run("");
    let step = |lab: &mut Lab, call: &str, before: &str, after: &str| {
        if !call.is_empty() {
            lab.call(&format!("Action={call}&InstanceId.1={id}")).unwrap();
        }
        lab.wait(499);
        assert_eq!(lab.state(&id), before);
        lab.wait(1);
        assert_eq!(lab.state(&id), after);
    };
    step(&mut lab, "", "pending", "running");
    step(&mut lab, "StopInstances", "stopping", "stopped");
    step(&mut lab, "StartInstances", "pending", "running");
    step(&mut lab, "TerminateInstances", "shutting-down", "terminated");
    lab.wait(3_599_999);
    assert_eq!(lab.state(&id), "terminated");
    lab.wait(1);
    assert_eq!(
        lab.refused(&format!("Action=DescribeInstances&InstanceId.1={id}")),
        "InvalidInstanceID.NotFound"
    );
}

#[test]
fn stop_and_start_keep_the_address_and_renew_the_launch_time() {
    let mut lab = Lab::new();
    let id = lab.running();
    let before = lab.world.instance(&id).unwrap().clone();
    lab.call(&format!("Action=StopInstances&InstanceId.1={id}")).unwrap();
    lab.wait(60_000);
    lab.call(&format!("Action=StartInstances&InstanceId.1={id}")).unwrap();
    lab.wait(500);
    let after = lab.world.instance(&id).unwrap();
    assert_eq!((after.address, &after.devices), (before.address, &before.devices));
    assert!(after.launched_at > before.launched_at && after.created_at == before.created_at);
}

#[test]
fn user_data_is_for_the_first_boot_only() {
    let mut lab = Lab::new();
    let id = lab.running();
    lab.call(&format!("Action=StopInstances&InstanceId.1={id}")).unwrap();
    lab.wait(500);
    lab.call(&format!("Action=StartInstances&InstanceId.1={id}")).unwrap();
    lab.wait(500);
    let boots: Vec<bool> = lab
        .world
        .take_effects()
        .into_iter()
        .filter_map(|effect| if let Effect::Boot(machine) = effect { Some(machine.first) } else { None })
        .collect();
    assert_eq!(boots, [true, false]);
}

#[test]
fn one_bad_id_and_nothing_is_terminated() {
    let mut lab = Lab::new();
    let id = lab.running();
    let bad = "i-0123456789abcdef0";
    let form = format!("Action=TerminateInstances&InstanceId.1={id}&InstanceId.2={bad}");
    let error = lab.call(&form).map(|_| ()).unwrap_err();
    assert_eq!(error.code, "InvalidInstanceID.NotFound");
    assert!(error.message.contains(bad) && !error.message.contains(&id), "{error}");
    assert_eq!(lab.state(&id), "running");
}

#[test]
fn what_is_terminated_already_is_fine() {
    let mut lab = Lab::new();
    let id = lab.running();
    let form = format!("Action=TerminateInstances&InstanceId.1={id}");
    assert!(lab.call(&form).unwrap().committed);
    lab.wait(500);
    assert!(!lab.call(&form).unwrap().committed);
    assert_eq!(lab.state(&id), "terminated");
}

#[test]
fn a_protected_instance_is_not_terminated() {
    let mut lab = Lab::new();
    let id = lab.run("DisableApiTermination=true");
    assert_eq!(lab.refused(&format!("Action=TerminateInstances&InstanceId.1={id}")), "OperationNotPermitted");
}

#[test]
fn stop_and_start_are_refused_where_they_make_no_sense() {
    let mut lab = Lab::new();
    let id = lab.run("");
    let call = |lab: &mut Lab, action: &str| {
        lab.call(&format!("Action={action}&InstanceId.1={id}")).map(|_| ()).map_err(|e| e.code.into_owned())
    };
    let wrong = Err("IncorrectInstanceState".to_owned());
    assert_eq!(call(&mut lab, "StopInstances"), wrong, "pending");
    assert_eq!(call(&mut lab, "StartInstances"), Ok(()), "pending");
    lab.wait(500);
    assert_eq!(call(&mut lab, "StartInstances"), Ok(()), "running already");
    assert_eq!(call(&mut lab, "StopInstances"), Ok(()));
    assert_eq!(call(&mut lab, "StartInstances"), wrong, "stopping");
    lab.wait(500);
    assert_eq!(call(&mut lab, "StopInstances"), Ok(()), "stopped already");
    assert_eq!(call(&mut lab, "TerminateInstances"), Ok(()));
    assert_eq!(call(&mut lab, "StartInstances"), wrong, "shutting down");
    assert_eq!(call(&mut lab, "StopInstances"), wrong, "shutting down");
}

#[test]
fn a_death_behind_our_back_shows_its_reason() {
    let mut lab = Lab::new();
    let id = lab.running();
    let reason = StateReason::new("Server.SpotInstanceTermination", "Spot instance termination");
    assert!(lab.world.kill(&id, reason.clone(), lab.now));
    assert!(!lab.world.kill(&id, reason.clone(), lab.now), "it ends already");
    lab.wait(500);
    assert_eq!(lab.state(&id), "terminated");
    assert_eq!(lab.world.instance(&id).unwrap().reason, Some(reason));
}

#[test]
fn a_shutdown_from_inside_stops_or_ends_as_the_launch_said() {
    let mut lab = Lab::new();
    let stays = lab.running();
    let goes = lab.run("InstanceInitiatedShutdownBehavior=terminate");
    lab.wait(500);
    for id in [&stays, &goes] {
        lab.world.shut_down_from_inside(id, lab.now);
    }
    lab.wait(500);
    assert_eq!((lab.state(&stays), lab.state(&goes)), ("stopped", "terminated"));
    let reason = lab.world.instance(&goes).unwrap().reason.clone().unwrap();
    assert_eq!(reason.code, "Client.InstanceInitiatedShutdown");
}

#[test]
fn nothing_is_left_of_a_terminated_instance_but_itself() {
    let mut lab = Lab::new();
    let id = lab.running();
    let free = |lab: &Lab| {
        let subnet = lab.world.catalog().subnets[0].clone();
        lab.world.addresses.free(&subnet)
    };
    let before = free(&lab);
    lab.call(&format!("Action=TerminateInstances&InstanceId.1={id}")).unwrap();
    assert_eq!(lab.world.interfaces().count(), 1);
    lab.wait(500);
    assert_eq!((lab.world.interfaces().count(), lab.world.volumes().count()), (0, 0));
    assert_eq!(free(&lab), before + 1);
}

#[test]
fn a_console_is_posted_late_and_read_at_once_by_those_who_ask_for_the_latest() {
    let mut lab = Lab::with(Settings { console_delay_ms: 60_000, ..Settings::default() });
    let id = lab.running();
    lab.world.write_console(&id, "hello\n", lab.now);
    let text = |lab: &mut Lab, more: &str| {
        let done = lab.call(&format!("Action=GetConsoleOutput&InstanceId={id}{more}")).unwrap();
        if let super::reply::Reply::Console(_, text, _) = done.reply { text } else { panic!("no console") }
    };
    assert_eq!(text(&mut lab, ""), "");
    assert_eq!(text(&mut lab, "&Latest=true"), "hello\n");
    lab.wait(60_000);
    assert_eq!(text(&mut lab, ""), "hello\n");
}
