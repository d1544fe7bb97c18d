//! `ec2sim`: an EC2 endpoint for development and tests.
//!
//! ```text
//! main ── arguments, wiring
//!  ├── server         the socket                      (connection: can be cut without an answer)
//!  │    ├── admin       faults, settings, deaths, logs  (truth: what there really is)
//!  │    └── sim         one call from form to answer; lock and clock
//!  │         ├── request   form → typed parameters      (query, action, ids)
//!  │         ├── faults    what goes wrong with a call
//!  │         ├── world     the simulated EC2, pure
//!  │         ├── answers   reply → XML                  (xml, error)
//!  │         └── log       what happened                (audit: who lived at the same instant)
//!  ├── boot           what machines do: none, scripted, real
//!  └── scenario       the start, from a file
//! ```

mod action;
mod admin;
mod answers;
mod args;
mod audit;
mod boot;
mod connection;
mod error;
mod faults;
mod ids;
mod log;
mod query;
mod request;
mod scenario;
mod server;
mod sim;
mod truth;
mod world;
mod xml;

use crate::args::{Args, Boot};
use crate::boot::Boots;
use crate::boot::real::Real;
use crate::boot::scripted::{Pace, Scripted};
use crate::scenario::Scenario;
use crate::sim::Sim;
use clap::Parser;
use std::io::Write;
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let args = Args::parse();
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(&args.log_level))
        .with_writer(std::io::stderr)
        .init();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.to_string()),
    };
    match runtime.block_on(run(args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn failed(error: &str) -> ExitCode {
    tracing::error!("{error}");
    ExitCode::FAILURE
}

async fn run(args: Args) -> Result<(), String> {
    let scenario = scenario(&args)?;
    let boots = match args.boot {
        Boot::None => Boots::None,
        Boot::Scripted => {
            if !scenario.world.vpc_cidr.base.is_loopback() {
                return Err(
                    "scripted boots call from addresses of 127.0.0.0/8: --vpc-cidr must lie in it".into()
                );
            }
            let pace = Pace {
                stage: Duration::from_millis(args.stage_ms),
                heartbeat: Duration::from_millis(args.heartbeat_ms.max(1)),
            };
            Boots::Scripted(Scripted::new(pace, boot::http(args.registry_ca.as_deref())?))
        }
        Boot::Real if scenario.world.vpc_cidr.base.is_loopback() => {
            return Err("real boots need a network: --vpc-cidr must name a private range that is free".into());
        }
        Boot::Real => Boots::Real(real_boots(&args, &scenario).await?),
    };
    let log = args.call_log.as_ref().map(|path| {
        std::fs::File::options()
            .create(true)
            .append(true)
            .open(path)
            .map_err(|error| format!("{}: {error}", path.display()))
    });
    let (sim, effects) = Sim::new(scenario, args.seed.unwrap_or_else(rand::random), log.transpose()?);
    let listener = TcpListener::bind(args.bind)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", args.bind))?;
    announce(&listener, &sim, args.boot)?;
    let clock = sim.clone();
    tokio::spawn(async move { clock.run_clock().await });
    let (end, ended) = oneshot::channel();
    let machines = tokio::spawn(boots.run(sim.clone(), effects, ended));
    let served = server::serve(listener, sim, stopped()).await.map_err(|error| error.to_string());
    // It waits for that, or has ended already.
    let _ = end.send(());
    machines.await.map_err(|error| error.to_string())?;
    served
}

async fn real_boots(args: &Args, scenario: &Scenario) -> Result<Real, String> {
    let mut archives = Vec::new();
    for path in &args.image_archive {
        // The engine wants the whole path.
        archives.push(path.canonicalize().map_err(|error| format!("{}: {error}", path.display()))?);
    }
    Real::prepare(scenario.world.vpc_cidr, archives).await
}

fn scenario(args: &Args) -> Result<Scenario, String> {
    let mut scenario = match &args.scenario {
        None => Scenario::default(),
        Some(path) => {
            let text =
                std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
            Scenario::parse(&text).map_err(|error| format!("{}: {error}", path.display()))?
        }
    };
    let world = &mut scenario.world;
    world.vpc_cidr = args.vpc_cidr.unwrap_or(world.vpc_cidr);
    world.account = args.account.clone().unwrap_or_else(|| world.account.clone());
    world.region = args.region.clone().unwrap_or_else(|| world.region.clone());
    scenario.world = scenario.world.complete()?;
    let settings = &mut scenario.settings;
    settings.lag_ms = args.lag_ms.unwrap_or(settings.lag_ms);
    settings.pending_ms = args.pending_ms.unwrap_or(settings.pending_ms);
    settings.limits &= !args.no_limits;
    Ok(scenario)
}

/// One line that scripts can read.
fn announce(listener: &TcpListener, sim: &Sim, boot: Boot) -> Result<(), String> {
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let mut line = serde_json::json!(sim.catalog());
    line["endpoint"] = format!("http://{address}").into();
    // Where machines find what listens on this host.
    let host = if boot == Boot::Real { sim.catalog().vpc_cidr.at(1) } else { Ipv4Addr::LOCALHOST };
    line["hostAddress"] = host.to_string().into();
    let mut out = std::io::stdout();
    writeln!(out, "{line}").and_then(|()| out.flush()).map_err(|error| error.to_string())
}

async fn stopped() {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
