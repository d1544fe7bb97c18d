//! `run`: settings in, then either the echo endpoint or a supervised command, linked to the registry.

use std::convert::Infallible;
use std::ffi::OsString;
use std::future::pending;
use std::net::Ipv4Addr;

use tokio::net::TcpListener;

use crate::beats::Beats;
use crate::card::{echo_skill, registration};
use crate::endpoint;
use crate::error::Error;
use crate::link::{Conduct, report_boot, stay_connected};
use crate::registry::Registry;
use crate::settings::Settings;
use crate::signals::until_stopped;
use crate::supervise::supervise;

/// Connects the box for as long as it lives. The number is the exit code.
pub(crate) async fn run(command: &[OsString]) -> Result<u8, Error> {
    match command.split_first() {
        Some((program, arguments)) => supervised(program, arguments).await,
        None => serve(true, Beats::Healthy).await,
    }
}

async fn supervised(program: &OsString, arguments: &[OsString]) -> Result<u8, Error> {
    let settings = Settings::read()?;
    let registry = Registry::new(&settings)?;
    let conduct = Conduct {
        register: Some(registration(&settings, settings.config.a2a.port, Vec::new())),
        beats: Beats::Alive,
        period: settings.heartbeat,
    };
    supervise(program, arguments, &registry, link(&registry, &conduct)).await
}

/// Serves the echo endpoint until asked to stop, registered or not, with heartbeats as given.
pub(crate) async fn serve(registers: bool, beats: Beats) -> Result<u8, Error> {
    until_stopped(async {
        let settings = Settings::read()?;
        let registry = Registry::new(&settings)?;
        let wanted = settings.config.a2a.port;
        let bound = |cause| Error::Bind { port: wanted, cause };
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, wanted)).await.map_err(bound)?;
        // Whoever is registered can be called, so the endpoint listens first.
        let port = listener.local_addr().map_err(bound)?.port();
        let register = registration(&settings, port, vec![echo_skill()]);
        let routes = endpoint::router(register.agent_card.clone());
        let conduct = Conduct { register: registers.then_some(register), beats, period: settings.heartbeat };
        let linked = async {
            link(&registry, &conduct).await;
            pending::<Infallible>().await
        };
        tokio::select! {
            served = axum::serve(listener, routes) => served.map(|()| 0).map_err(Error::Serve),
            never = linked => match never {},
        }
    })
    .await
}

async fn link(registry: &Registry, conduct: &Conduct) {
    report_boot(registry).await;
    stay_connected(registry, conduct).await;
}
