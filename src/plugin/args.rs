//! The commands of the plugin, with their help and examples.

use super::cluster::ClusterFlags;
use super::lease::ControllerFlags;
use super::target::{Target, team_name, workspace_name};
use crate::process::times::duration;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// Teams and Workspaces of Atelier: who does what, what is wrong, and what to do about it.
#[derive(Debug, Parser)]
#[command(name = super::NAME, bin_name = "kubectl atelier", version)]
pub struct PluginCli {
    /// What is asked.
    #[command(flatten)]
    pub args: PluginArgs,
}

/// What is asked of which cluster.
#[derive(Args, Clone, Debug)]
pub struct PluginArgs {
    /// What is asked.
    #[command(subcommand)]
    pub command: Command,
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterFlags,
}

/// What is asked.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Show who reports to whom, how each does, and why those are not ready that are not, the worst first.
    #[command(after_help = TREE)]
    Tree(TreeArgs),
    /// Say what works, the first thing that does not, since when, the evidence, and what to do.
    #[command(after_help = DIAGNOSE)]
    Diagnose(DiagnoseArgs),
    /// Wait until a Team or a Workspace is Ready, with its progress in view.
    #[command(after_help = WAIT)]
    Wait(WaitArgs),
    /// Restart the box of a Workspace, or those of a Team; what is in /workspace is kept.
    #[command(after_help = RESTART)]
    Restart(TargetArgs),
    /// Stop the box of a Workspace, or those of a Team, and keep the volumes.
    #[command(after_help = SUSPEND)]
    Suspend(TargetArgs),
    /// Start again what was suspended.
    #[command(after_help = RESUME)]
    Resume(TargetArgs),
    /// Check that all is there that Atelier needs: each line is ok or says what to do.
    #[command(after_help = DOCTOR)]
    Doctor(DoctorArgs),
    /// Print the log of a Workspace's box.
    #[command(after_help = LOGS)]
    Logs(LogsArgs),
    /// Send a message to an agent, and print its answer.
    #[command(after_help = SEND)]
    Send(SendArgs),
    /// List what runs or is kept outside Kubernetes without an owner: what the collector would remove now.
    #[command(after_help = ORPHANS)]
    Orphans,
    /// Print the completion script for a shell.
    #[command(after_help = COMPLETION)]
    Completion(CompletionArgs),
    /// Print the manual, or write its pages into a folder.
    #[command(after_help = MAN)]
    Man(ManArgs),
}

const TREE: &str = "\
Examples:
  kubectl atelier tree                         # all Teams of the namespace
  kubectl atelier tree design-studio --watch   # one, drawn again whenever something changes
  kubectl atelier tree -A                      # of all namespaces";

const DIAGNOSE: &str = "\
Examples:
  kubectl atelier diagnose team/design-studio
  kubectl atelier diagnose ws/design-studio-copywriter -o json
  kubectl atelier diagnose --all -A            # everything, the worst first

Ends with 0 if all is healthy, 1 if something is not (also: suspended, on its way, not there), 2 if it could not be told.";

const WAIT: &str = "\
Examples:
  kubectl apply -f team.yaml && kubectl atelier wait team/design-studio
  kubectl atelier wait ws/design-studio-copywriter --timeout 3m

Ends with 0 when it is Ready; with 1, and the diagnosis, when a person is needed; with 2 at the timeout.";

const RESTART: &str = "\
Examples:
  kubectl atelier restart ws/design-studio-copywriter
  kubectl atelier restart team/design-studio   # all of its members";

const SUSPEND: &str = "\
Examples:
  kubectl atelier suspend team/design-studio
  kubectl atelier suspend ws/design-studio-copywriter";

const RESUME: &str = "\
Examples:
  kubectl atelier resume team/design-studio
  kubectl atelier resume ws/design-studio-copywriter";

const DOCTOR: &str = "\
Examples:
  kubectl atelier doctor
  kubectl atelier doctor -n agents --operator-namespace atelier-system

Ends with 0 if nothing is in the way, else with 1.";

const LOGS: &str = "\
Examples:
  kubectl atelier logs ws/design-studio-copywriter --tail 50
  kubectl atelier logs ws/design-studio-copywriter -f";

const SEND: &str = "\
Examples:
  kubectl atelier send ws/design-studio-design-director Make three landing pages for a bakery
  kubectl atelier send ws/design-studio-design-director - < brief.md

Ends with 0 and the answer; with 1 if the message was not sent; with 2 if no answer came in time: the agent may have it.";

const ORPHANS: &str = "\
Examples:
  kubectl atelier orphans

Ends with 0; with 2 if not everything could be searched.";

const COMPLETION: &str = "\
Examples:
  source <(kubectl atelier completion bash)    # for kubectl-atelier; kubectl itself asks kubectl_complete-atelier
  kubectl atelier completion fish > ~/.config/fish/completions/kubectl-atelier.fish";

const MAN: &str = "\
Examples:
  kubectl atelier man | man -l -
  kubectl atelier man --output-dir ~/.local/share/man/man1";

/// What of the tree is shown.
#[derive(Args, Clone, Debug)]
pub struct TreeArgs {
    /// One Team [default: all, and the Workspaces without one]
    #[arg(value_name = "TEAM", value_parser = team_name)]
    pub team: Option<String>,
    /// Those of all namespaces
    #[arg(long, short = 'A', conflicts_with_all = ["namespace", "team"])]
    pub all_namespaces: bool,
    /// Show it again whenever something changes, until Ctrl-C
    #[arg(long, short)]
    pub watch: bool,
    /// Which controller.
    #[command(flatten)]
    pub controller: ControllerFlags,
}

/// What is diagnosed.
#[derive(Args, Clone, Debug)]
pub struct DiagnoseArgs {
    /// team/NAME or ws/NAME
    #[arg(value_name = "OBJECT", required_unless_present = "all")]
    pub target: Option<Target>,
    /// All Teams, and the Workspaces without one
    #[arg(long, conflicts_with = "target")]
    pub all: bool,
    /// Those of all namespaces
    #[arg(long, short = 'A', requires = "all", conflicts_with = "namespace")]
    pub all_namespaces: bool,
    /// Print it for machines instead
    #[arg(long, short, value_name = "FORMAT")]
    pub output: Option<Output>,
    /// Which controller.
    #[command(flatten)]
    pub controller: ControllerFlags,
}

/// A form for machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// JSON
    Json,
    /// YAML
    Yaml,
}

/// What is waited for.
#[derive(Args, Clone, Debug)]
pub struct WaitArgs {
    /// team/NAME or ws/NAME
    #[arg(value_name = "OBJECT")]
    pub target: Target,
    /// How long to wait at most: a number with s, m or h
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = duration)]
    pub timeout: Duration,
    /// Which controller.
    #[command(flatten)]
    pub controller: ControllerFlags,
}

/// What is changed.
#[derive(Args, Clone, Debug)]
pub struct TargetArgs {
    /// team/NAME or ws/NAME
    #[arg(value_name = "OBJECT")]
    pub target: Target,
    /// Which controller.
    #[command(flatten)]
    pub controller: ControllerFlags,
}

/// What is checked.
#[derive(Args, Clone, Debug)]
pub struct DoctorArgs {
    /// The BackendConfig that counts [default: all that there are]
    #[arg(long, value_name = "NAME", env = "ATELIER_BACKEND_CONFIG")]
    pub backend_config: Option<String>,
    /// Which controller.
    #[command(flatten)]
    pub controller: ControllerFlags,
}

/// Whose log is printed.
#[derive(Args, Clone, Debug)]
pub struct LogsArgs {
    /// ws/NAME
    #[arg(value_name = "WORKSPACE", value_parser = workspace_name)]
    pub workspace: String,
    /// Go on with what comes, until Ctrl-C
    #[arg(long, short)]
    pub follow: bool,
    /// So many of the last lines first
    #[arg(long, value_name = "LINES", default_value_t = 100)]
    pub tail: u32,
}

/// What is sent to whom.
#[derive(Args, Clone, Debug)]
pub struct SendArgs {
    /// ws/NAME
    #[arg(value_name = "WORKSPACE", value_parser = workspace_name)]
    pub workspace: String,
    /// The message; - reads it from the standard input
    #[arg(value_name = "TEXT", required = true)]
    pub text: Vec<String>,
    /// How long to wait for the answer: a number with s, m or h
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = duration)]
    pub timeout: Duration,
}

/// For which shell.
#[derive(Args, Clone, Debug)]
pub struct CompletionArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: clap_complete::Shell,
}

/// Where the manual goes.
#[derive(Args, Clone, Debug)]
pub struct ManArgs {
    /// Write a page a command into this folder instead
    #[arg(long, value_name = "DIR")]
    pub output_dir: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<PluginArgs, clap::Error> {
        PluginCli::try_parse_from(line.split(' ')).map(|cli| cli.args)
    }

    #[test]
    fn the_commands_hold_together() {
        PluginCli::command().debug_assert();
        assert!(parse("kubectl-atelier tree -n x studio --watch").is_ok());
        assert!(parse("kubectl-atelier tree -A -n x").is_err());
        assert!(parse("kubectl-atelier").is_err());
        assert!(parse("kubectl-atelier diagnose").is_err(), "of what?");
        assert!(parse("kubectl-atelier diagnose --all -A -o yaml").is_ok());
        assert!(parse("kubectl-atelier wait pod/x").is_err());
        assert!(parse("kubectl-atelier send ws/x two words --timeout 1m").is_ok());
    }

    #[test]
    fn every_command_and_flag_has_help_and_every_command_examples() {
        for command in PluginCli::command().get_subcommands() {
            let name = command.get_name();
            assert!(command.get_about().is_some(), "{name} has no help");
            let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(examples.contains(&format!("kubectl atelier {name}")), "{name} has no example");
            for flag in command.get_arguments() {
                assert!(flag.get_help().is_some(), "{name} {} has no help", flag.get_id());
            }
        }
    }
}
