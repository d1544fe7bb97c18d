//! A world for tests: calls as forms, and a clock that moves when it is told to.

use super::catalog::Catalog;
use super::reply::Reply;
use super::settings::{Settings, later};
use super::{Done, Gate, World};
use crate::error::ApiError;
use crate::query::Query;
use crate::request::{self, Request};
use jiff::Timestamp;
use std::sync::Arc;

/// A launch that needs no more.
pub const RUN: &str = "Action=RunInstances&ImageId=ami-0a7e11e7000000001&MinCount=1&MaxCount=1&\
                       InstanceType=t3.medium&SubnetId=subnet-0a7e11e7000000001";

/// A world and its clock.
pub struct Lab {
    pub world: World,
    pub now: Timestamp,
}

impl Lab {
    /// With the default delays: 500 ms from state to state, 200 ms for volumes.
    pub fn new() -> Self {
        Self::with(Settings::default())
    }

    pub fn with(settings: Settings) -> Self {
        let catalog = Catalog::default().complete().unwrap();
        Self { world: World::new(Arc::new(catalog), settings, 1), now: Timestamp::UNIX_EPOCH }
    }

    /// Lets time pass.
    pub fn wait(&mut self, ms: u64) {
        self.now = later(self.now, ms);
        self.world.settle(self.now);
    }

    /// One call.
    pub fn call(&mut self, form: &str) -> Result<Done, ApiError> {
        self.gated(form, Gate::default())
    }

    /// One call with something in its way.
    pub fn gated(&mut self, form: &str, gate: Gate) -> Result<Done, ApiError> {
        let version = if form.starts_with("Action=GetCaller") { "2011-06-15" } else { "2016-11-15" };
        let mut query = Query::parse(format!("{form}&Version={version}").as_bytes());
        let action = request::action_of(&mut query)?;
        let request = Request::parse(action, query)?;
        self.world.execute(&request, gate, self.now)
    }

    /// The code of a call that must be refused.
    pub fn refused(&mut self, form: &str) -> String {
        match self.call(form) {
            Ok(_) => panic!("{form} was not refused"),
            Err(error) => error.code.into_owned(),
        }
    }

    /// Launches; the id.
    pub fn run(&mut self, more: &str) -> String {
        self.call(&format!("{RUN}&{more}")).unwrap().results.remove(0)
    }

    /// Launches and waits until it runs; the id.
    pub fn running(&mut self) -> String {
        let id = self.run("");
        self.wait(500);
        id
    }

    /// The word for the state of an instance, as a caller sees it.
    pub fn state(&mut self, id: &str) -> &'static str {
        match self.call(&format!("Action=DescribeInstances&InstanceId.1={id}")).unwrap().reply {
            Reply::Instances(views, _) => views[0].instance.state.word(),
            _ => panic!("not a list of instances"),
        }
    }

    /// The ids that a list shows.
    pub fn listed(&mut self, more: &str) -> Vec<String> {
        match self.call(&format!("Action=DescribeInstances&{more}")).unwrap().reply {
            Reply::Instances(views, _) => views.into_iter().map(|view| view.instance.id).collect(),
            _ => panic!("not a list of instances"),
        }
    }

    /// A new volume that is available; the id.
    pub fn volume(&mut self, zone: &str) -> String {
        let id = self.call(&format!("Action=CreateVolume&Size=1&AvailabilityZone={zone}"));
        let id = id.unwrap().results.remove(0);
        self.wait(200);
        id
    }

    /// The word for the state of a volume, and of its attachment.
    pub fn volume_state(&mut self, id: &str) -> (&'static str, Option<&'static str>) {
        match self.call(&format!("Action=DescribeVolumes&VolumeId.1={id}")).unwrap().reply {
            Reply::Volumes(volumes, _) => {
                (volumes[0].state.word(), volumes[0].attachment.as_ref().map(|held| held.state))
            }
            _ => panic!("not a list of volumes"),
        }
    }
}
