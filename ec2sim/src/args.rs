//! The command line.

use crate::world::catalog::Cidr;
use clap::{Parser, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;

/// An EC2 endpoint for development and tests.
///
/// Speaks the EC2 Query protocol on loopback, for two dozen actions, with the rules of EC2 that a controller
/// must get right: client tokens, eventual consistency, rate limits, states. It can be told to fail in many
/// ways, and keeps a log that tests read as the truth.
///
/// When it listens, it prints one line of JSON with its address and what can be launched. Nothing is checked of
/// credentials and signatures. Never let it be reached by others than yourself.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Args {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    pub bind: SocketAddr,

    /// What instances do once they run.
    #[arg(long, value_name = "KIND", value_enum, default_value_t = Boot::None)]
    pub boot: Boot,

    /// A YAML file with the world, settings and faults at the start.
    #[arg(long, value_name = "FILE")]
    pub scenario: Option<PathBuf>,

    /// Append the call log to this file as well.
    #[arg(long, value_name = "FILE")]
    pub call_log: Option<PathBuf>,

    /// Addresses of the network; for real boots a range that the Docker engine can use, and required.
    #[arg(long, value_name = "CIDR")]
    pub vpc_cidr: Option<Cidr>,

    /// The account's id.
    #[arg(long, value_name = "ID")]
    pub account: Option<String>,

    /// The region.
    #[arg(long, value_name = "NAME")]
    pub region: Option<String>,

    /// How long a new resource is seen by nobody, in milliseconds.
    #[arg(long, value_name = "MS")]
    pub lag_ms: Option<u64>,

    /// From pending to running, in milliseconds.
    #[arg(long, value_name = "MS")]
    pub pending_ms: Option<u64>,

    /// No rate limits.
    #[arg(long)]
    pub no_limits: bool,

    /// Makes the same ids again.
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,

    /// Scripted boots: from one stage to the next, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 100)]
    pub stage_ms: u64,

    /// Scripted boots: from one heartbeat to the next, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 30_000)]
    pub heartbeat_ms: u64,

    /// Scripted boots: trust this authority (PEM) where the registry speaks TLS.
    #[arg(long, value_name = "FILE")]
    pub registry_ca: Option<PathBuf>,

    /// Real boots: a container image that every machine has, as `docker save` writes it. Can be repeated.
    #[arg(long, value_name = "FILE")]
    pub image_archive: Vec<PathBuf>,

    /// What to log on stderr, such as `info` or `ec2sim=debug`.
    #[arg(long, value_name = "FILTER", default_value = "info")]
    pub log_level: String,
}

/// What instances do once they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Boot {
    /// Nothing.
    None,
    /// The simulator plays the box: it posts stages, fetches the bundle, registers and heartbeats, from the
    /// instance's own loopback address.
    Scripted,
    /// Each instance is a container of the Docker engine at `DOCKER_HOST`, with an engine of its own, that runs
    /// its user-data.
    Real,
}
