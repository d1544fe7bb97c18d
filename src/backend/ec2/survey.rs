//! Everything of this controller on EC2, and the removal of what has no owner.

use super::cloud::Cloud;
use crate::api::workspace::{Backend, Ec2World, PlacementRecord};
use crate::backend::survey::no_such;
use crate::backend::{BackendError, ErrorKind, Found, Maker, Survey};
use crate::metrics::Thing;
use atelier_wire::control_plane::{InstanceView, NetworkInterfaceView, VolumeView};
use k8s_openapi::jiff::Timestamp;

impl Cloud {
    /// Lists all instances, volumes and network interfaces.
    pub(crate) async fn everything(&self) -> Result<Survey, BackendError> {
        let (sweep, world) = self.sweep().await?;
        let resources = self.client()?.resources(self.cluster()).await?;
        let failed = |detail: String| BackendError::new(ErrorKind::Failed, detail);
        let also = Ec2World { account_id: resources.account_id, region: resources.region };
        if world != also {
            return Err(failed(format!(
                "one list is of account {}, the next of {}",
                world.account_id, also.account_id
            )));
        }
        let now = resources.observed_at.parse();
        let now =
            now.map_err(|error| failed(format!("the control plane does not tell the time: {error}")))?;
        let maker = self.maker();
        let found = (sweep.instances.iter().filter_map(|one| instance(maker, one)))
            .chain(resources.volumes.iter().filter_map(|one| volume(maker, one)))
            .chain(resources.network_interfaces.iter().filter_map(|one| interface(maker, one)))
            .collect();
        let record = PlacementRecord { backend: Backend::Ec2, docker: None, ec2: Some(world) };
        Ok(Survey { record, now, found })
    }

    /// Removes one thing of such a list.
    pub(crate) async fn remove_found(
        &self,
        record: &PlacementRecord,
        found: &Found,
    ) -> Result<(), BackendError> {
        Self::same_world(&self.state(), record)?;
        self.may_act("removal of what has no owner")?;
        let (client, cluster, id) = (self.client()?, self.cluster(), &found.id);
        match found.thing {
            Thing::Box => {
                let deleted = client.delete(&found.uid, id, cluster).await?;
                // Its Workspace, if one lives, hears of it by the next list.
                self.soon().notify_one();
                if !deleted.observed {
                    let detail = format!("EC2 does not show {id} at the moment");
                    return Err(BackendError::new(ErrorKind::NotFound, detail));
                }
            }
            Thing::Volume => drop(client.delete_volume(id, cluster).await?),
            Thing::NetworkInterface => drop(client.delete_interface(id, cluster).await?),
            Thing::Network => return Err(no_such(found)),
        }
        Ok(())
    }
}

fn time(text: Option<&str>) -> Option<Timestamp> {
    text.and_then(|text| text.parse().ok())
}

fn instance(maker: &Maker, seen: &InstanceView) -> Option<Found> {
    let found = Found::read(maker, Thing::Box, &seen.instance_id, &seen.tags)?;
    let is_ending = matches!(&*seen.state, "shutting-down" | "terminated");
    Some(Found { made_at: time(seen.launched_at.as_deref()), is_ending, ..found })
}

fn volume(maker: &Maker, seen: &VolumeView) -> Option<Found> {
    let found = Found::read(maker, Thing::Volume, &seen.volume_id, &seen.tags)?;
    Some(Found {
        made_at: time(seen.created_at.as_deref()),
        is_ending: matches!(&*seen.state, "deleting" | "deleted"),
        is_in_use: !seen.instance_id.is_empty() || matches!(&*seen.state, "in-use" | "creating"),
        ..found
    })
}

fn interface(maker: &Maker, seen: &NetworkInterfaceView) -> Option<Found> {
    let found = Found::read(maker, Thing::NetworkInterface, &seen.network_interface_id, &seen.tags)?;
    Some(Found { is_in_use: !seen.instance_id.is_empty() || seen.state != "available", ..found })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::names;
    use std::collections::BTreeMap;

    fn maker() -> Maker {
        Maker { cluster: "c".into(), controller: "atelier".into() }
    }

    fn tags() -> BTreeMap<String, String> {
        let pairs = [(names::CLUSTER, "c"), (names::CONTROLLER, "atelier"), (names::UID, "u")];
        pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
    }

    #[test]
    fn what_has_ended_or_is_held_is_known_by_its_state() {
        for (state, is_ending) in
            [("pending", false), ("stopped", false), ("shutting-down", true), ("terminated", true)]
        {
            let seen = InstanceView { state: state.into(), tags: tags(), ..InstanceView::default() };
            assert_eq!(instance(&maker(), &seen).map(|found| found.is_ending), Some(is_ending), "{state}");
        }
        for (state, holder, is_ending, is_in_use) in [
            ("available", "", false, false),
            ("available", "i-1", false, true),
            ("in-use", "", false, true),
            ("creating", "", false, true),
            ("deleting", "", true, false),
        ] {
            let seen = VolumeView {
                state: state.into(),
                instance_id: holder.into(),
                tags: tags(),
                ..VolumeView::default()
            };
            let found = volume(&maker(), &seen).expect("ours");
            assert_eq!((found.is_ending, found.is_in_use), (is_ending, is_in_use), "{state} {holder}");
        }
        for (state, holder, is_in_use) in
            [("available", "", false), ("available", "i-1", true), ("in-use", "", true), ("", "", true)]
        {
            let seen = NetworkInterfaceView {
                state: state.into(),
                instance_id: holder.into(),
                tags: tags(),
                ..NetworkInterfaceView::default()
            };
            assert_eq!(interface(&maker(), &seen).map(|f| f.is_in_use), Some(is_in_use), "{state} {holder}");
        }
    }
}
