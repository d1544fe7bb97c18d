//! `kubectl atelier`: what people ask of Teams and Workspaces, with nothing but a kubeconfig.
//!
//! ```text
//! args                    the commands and their help
//! show, wait, act, live   what they do; diagnose, doctor likewise
//! tree, progress, change, diagnose::judge, doctor::checks      objects in, words out: pure
//! standing                how an object does, in one word: pure
//! cluster, feed, lease    the API server; what is there, and how it changes; whether a controller runs
//! terminal                colours, ages, what is drawn again in its place
//! ```
//!
//! The same binary under the name `kubectl-atelier`, and `atelier plugin`.

mod act;
pub mod args;
mod change;
pub mod cluster;
mod completion;
mod diagnose;
mod doctor;
mod feed;
#[cfg(test)]
mod fixtures;
pub mod lease;
mod live;
mod progress;
mod show;
mod standing;
pub mod target;
mod terminal;
mod tree;
mod wait;

use args::{Command, PluginArgs, PluginCli};
use change::Verb;
use clap::Parser;
use cluster::Cluster;
use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitCode;
use terminal::Terminal;

/// The name under which kubectl finds the binary.
pub const NAME: &str = "kubectl-atelier";

/// Does what a process of this name is for, if that is the plugin.
pub fn run_as(name: Option<&OsStr>) -> Option<ExitCode> {
    let name = name.and_then(|name| Path::new(name).file_name())?;
    if name == NAME {
        return Some(run(PluginCli::parse().args));
    }
    if name == completion::COMPLETER {
        let words: Vec<String> = std::env::args().skip(1).collect();
        let _ = terminal::print(&completion::complete(&words));
        return Some(ExitCode::SUCCESS);
    }
    None
}

/// How a command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// As it should; what was asked about is well.
    Good = 0,
    /// Something is not well, or could not be done.
    Bad = 1,
    /// It could not be told, or not in time.
    Unknown = 2,
}

/// Runs a command to its end.
pub fn run(args: PluginArgs) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let done = match runtime {
        Ok(runtime) => {
            let done = runtime.block_on(dispatch(args));
            runtime.shutdown_background();
            done
        }
        Err(error) => Err((End::Bad, format!("no threads can be started: {error}"))),
    };
    let end = done.unwrap_or_else(|(end, words)| {
        eprintln!("error: {words}");
        end
    });
    ExitCode::from(end as u8)
}

type Done = Result<End, (End, String)>;

async fn dispatch(args: PluginArgs) -> Done {
    let terminal = Terminal::stdout();
    let bad = |words: String| (End::Bad, words);
    let unknown = if matches!(args.command, Command::Diagnose(_)) { End::Unknown } else { End::Bad };
    match &args.command {
        Command::Completion(args) => {
            completion::completion(args);
            return Ok(End::Good);
        }
        Command::Man(args) => return completion::man(args),
        _ => {}
    }
    let cluster = Cluster::open(&args.cluster).await.map_err(|why| (unknown, why.to_string()))?;
    match &args.command {
        Command::Tree(args) => show::tree(&cluster, terminal, args).await.map_err(bad),
        Command::Diagnose(args) => diagnose::diagnose(&cluster, terminal, args).await,
        Command::Wait(args) => wait::wait(&cluster, terminal, args).await,
        Command::Restart(args) => act::act(&cluster, Verb::Restart, args).await,
        Command::Suspend(args) => act::act(&cluster, Verb::Suspend, args).await,
        Command::Resume(args) => act::act(&cluster, Verb::Resume, args).await,
        Command::Doctor(args) => doctor::doctor(&cluster, terminal, args).await,
        Command::Logs(args) => live::logs(&cluster, terminal, args).await,
        Command::Send(args) => live::send(&cluster, terminal, args).await,
        Command::Orphans => live::orphans(&cluster, terminal).await,
        Command::Completion(_) | Command::Man(_) => Ok(End::Good),
    }
}
