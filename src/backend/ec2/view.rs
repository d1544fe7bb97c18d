//! An instance as the control plane shows it, as the box that the rest of the operator knows. Pure.

use crate::api::names;
use crate::backend::{A2A_PORT, BoxSeen, BoxState, Ec2Facts};
use atelier_wire::control_plane::{InstanceView, StateReason};

/// The box.
pub fn seen(instance: &InstanceView) -> BoxSeen {
    let ip = &instance.private_ip;
    let state = state(instance);
    let is_up = state == BoxState::Running;
    BoxSeen {
        id: instance.instance_id.clone(),
        attempt: instance.tags.get(names::ATTEMPT).and_then(|a| a.parse().ok()),
        spec_hash: instance.tags.get(names::SPEC_HASH).cloned(),
        state,
        started_at: instance.launched_at.as_deref().and_then(|at| at.parse().ok()),
        address: Some(format!("{ip}:{A2A_PORT}")).filter(|_| is_up && !ip.is_empty()),
        addresses: Some(ip.clone()).filter(|ip| !ip.is_empty()).into_iter().collect(),
        image: instance.ami_id.clone(),
        ec2: Some(Ec2Facts {
            instance_type: instance.instance_type.clone(),
            subnet_id: instance.subnet_id.clone(),
            zone: instance.zone.clone(),
            volume_ids: instance.volume_ids.clone(),
        }),
    }
}

/// Its state, from EC2's word: only `running` counts as running.
pub fn state(instance: &InstanceView) -> BoxState {
    let reason = || instance.state_reason.as_ref().map(reason);
    match instance.state.as_str() {
        "pending" => BoxState::Starting,
        "running" => BoxState::Running,
        "stopped" => BoxState::Stopped { reason: reason() },
        "shutting-down" => BoxState::Removing,
        "terminated" => BoxState::Terminated { reason: reason() },
        other => BoxState::Other(other.to_owned()),
    }
}

fn reason(reason: &StateReason) -> String {
    match reason.message.trim() {
        "" => reason.code.clone(),
        // EC2 repeats the code at the start of the message.
        message if message.starts_with(&reason.code) => message.to_owned(),
        message => format!("{}: {message}", reason.code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_running_counts_as_running_and_a_reason_is_said_once() {
        let mut instance = InstanceView { private_ip: "10.0.0.7".into(), ..InstanceView::default() };
        for (word, address) in [("running", Some("10.0.0.7:8000")), ("pending", None), ("stopping", None)] {
            instance.state = word.into();
            let seen = seen(&instance);
            assert_eq!((seen.address.as_deref(), seen.state.word()), (address, word));
            assert_eq!(seen.addresses, ["10.0.0.7"], "it is its own before it is up");
        }
        instance.state = "terminated".into();
        let spot = "Server.SpotInstanceTermination";
        instance.state_reason =
            Some(StateReason { code: spot.into(), message: format!("{spot}: taken back") });
        let reason = Some("Server.SpotInstanceTermination: taken back".to_owned());
        assert_eq!(state(&instance), BoxState::Terminated { reason });
    }
}
