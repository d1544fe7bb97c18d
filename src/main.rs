//! The command line: the TLS provider, the arguments, and dispatch; nothing else.

use atelier::api::crds;
use atelier::control_plane::{self, args::ControlPlaneArgs};
use atelier::controller::{self, args::ControllerArgs};
use atelier::import::{self, ImportArgs};
use atelier::plugin;
use atelier::plugin::args::PluginArgs;
use atelier::reference;
use clap::{CommandFactory, Parser, Subcommand};
use std::fmt::Display;
use std::path::PathBuf;
use std::process::ExitCode;

/// A Kubernetes operator that gives every AI agent of a team a machine of its own.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the operator: keep every Workspace on a machine of its own, and answer the agents.
    Controller(Box<ControllerArgs>),
    /// Run the control plane: launch and end EC2 instances for the controllers of clusters.
    ControlPlane(ControlPlaneArgs),
    /// Make a Team with its ConfigMaps from an org template: YAML for `kubectl apply -f -`.
    #[command(after_help = import::EXAMPLES)]
    Import(ImportArgs),
    /// What people ask of Teams and Workspaces; the same as `kubectl atelier`.
    Plugin(Box<PluginArgs>),
    /// Print the custom resource definitions.
    Crds {
        /// Write one file a kind into this folder instead.
        #[arg(long, value_name = "DIR")]
        output_dir: Option<PathBuf>,
    },
    /// Write the reference pages of the documentation.
    #[command(hide = true)]
    Reference {
        /// The folder of the pages.
        #[arg(long, value_name = "DIR")]
        output_dir: PathBuf,
    },
}

fn main() -> ExitCode {
    // Only a second provider could be in the way, and then kube would say so.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    if let Some(end) = plugin::run_as(std::env::args_os().next().as_deref()) {
        return end;
    }
    let done = match Cli::parse().command {
        Command::Controller(args) => block_on(controller::run(*args)),
        Command::ControlPlane(args) => block_on(control_plane::run(args)),
        Command::Import(args) => import::run(&args, &mut std::io::stderr()),
        Command::Plugin(args) => return plugin::run(*args),
        Command::Crds { output_dir } => crds::write(output_dir.as_deref()).map_err(|error| error.to_string()),
        Command::Reference { output_dir } => {
            reference::write(Cli::command(), &output_dir).map_err(|error| error.to_string())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn block_on<E: Display>(command: impl Future<Output = Result<(), E>>) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("no threads can be started: {error}"))?;
    let result = runtime.block_on(command).map_err(|error| error.to_string());
    // What was not done in time must not keep the process.
    runtime.shutdown_background();
    result
}
