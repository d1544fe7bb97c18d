//! The commands of the plugin, with their help and examples.

use super::cluster::ClusterFlags;
use super::target::team_name;
use clap::{Args, Parser, Subcommand};

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
    /// Show who reports to whom and how each does, and the worst first why those are not ready that are not.
    #[command(after_help = TREE)]
    Tree(TreeArgs),
}

const TREE: &str = "\
Examples:
  kubectl atelier tree                         # all Teams of the namespace
  kubectl atelier tree design-studio --watch   # one, drawn again whenever something changes
  kubectl atelier tree -A                      # of all namespaces";

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
