//! What a person can ask the agent to do, and who does it.

use std::ffi::OsString;

use clap::{Parser, Subcommand};

use crate::error::Error;
use crate::misbehave::Misbehaviour;
use crate::{look, misbehave, run};

const EXAMPLES: &str = "\
Examples:
  atelier-agent run                             serve the A2A echo endpoint on port 8000
  atelier-agent run -- python -m my_agent       supervise a command that serves port 8000 itself
  atelier-agent peers                           who is around, as the registry sees it
  atelier-agent get http://ws-1:8000/healthz    is that address reachable from here?

Environment:
  WORKSPACE_ID               the Workspace's uid
  PLATFORM_URL               base URL of the registry
  HOSTNAME                   name or address under which peers reach this box
  WORKSPACE_CONFIG_PATH      folder of the files below [default: /configs]
  ATELIER_HEARTBEAT_SECONDS  seconds between two heartbeats; fractions are fine [default: 30]

Files in the configuration folder:
  .auth_token    the workspace token
  config.yaml    name, description, version and a2a.port (all optional)
  ca.crt         a certificate authority to trust besides the web's (optional)";

const FAULTS: &str = "\
Examples:
  atelier-agent misbehave exit --code 3 --print \"no model key\"    shows as ContainerExited
  atelier-agent misbehave allocate --mebibytes 1024                shows as OOMKilled in a smaller box
  atelier-agent misbehave silent                                   shows as BootTimeout
  atelier-agent misbehave boot-only                                shows as NeverRegistered
  atelier-agent misbehave stop-heartbeat --after 2                 shows as HeartbeatLost
  atelier-agent misbehave waver --wedged                           shows as AgentWedged";

/// The small program inside a box: registers it, sends heartbeats, supervises its command.
#[derive(Debug, Parser)]
#[command(name = "atelier-agent", version, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Connect this box to its team, and supervise COMMAND or serve the A2A echo endpoint.
    ///
    /// With a COMMAND its output is passed through, signals are forwarded to it, and when it ends by
    /// itself its exit code and the last 2 KiB of its output are reported; the agent then ends with
    /// the same code. The heartbeats of a supervised command say that it runs, not how well.
    Run {
        /// The command to supervise, after `--`.
        #[arg(last = true, value_name = "COMMAND")]
        command: Vec<OsString>,
    },
    /// Fetch URL and print the body; exit 0 on a 2xx answer, 1 otherwise. Sends no token.
    Get {
        /// An http or https URL.
        url: String,
    },
    /// Print the peers of this workspace as the registry sees them: name, status, url, id.
    Peers,
    /// Show a fault on purpose, to see it diagnosed. For tests and for trying Atelier out.
    #[command(subcommand, after_help = FAULTS)]
    Misbehave(Misbehaviour),
}

/// Does what was asked for. The number is the exit code.
pub(crate) async fn dispatch(command: Command) -> Result<u8, Error> {
    match command {
        Command::Run { command } => run::run(&command).await,
        Command::Get { url } => look::get(&url).await,
        Command::Peers => look::peers().await,
        Command::Misbehave(misbehaviour) => misbehave::misbehave(misbehaviour).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn everything_after_the_dashes_is_the_command() {
        let cli = Cli::parse_from(["atelier-agent", "run", "--", "sh", "-c", "exit 3"]);
        let Command::Run { command } = cli.command else { panic!("not run: {cli:?}") };
        assert_eq!(command, ["sh", "-c", "exit 3"]);
    }
}
