//! `kubectl atelier`: what people ask of Teams and Workspaces, with nothing but a kubeconfig.
//!
//! ```text
//! args       the commands and their help
//! cluster, feed           the way to the API server; what is there, and how it changes
//! standing                how an object does, in one word              pure
//! tree                    objects in, text out                         pure
//! terminal                colours, ages, what is drawn again in its place
//! ```
//!
//! The same binary under the name `kubectl-atelier`, and `atelier plugin`.

pub mod args;
pub mod cluster;
mod feed;
#[cfg(test)]
mod fixtures;
mod show;
mod standing;
mod target;
mod terminal;
mod tree;

use args::{Command, PluginArgs};
use cluster::Cluster;
use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitCode;
use terminal::Terminal;

/// The name under which kubectl finds the binary.
pub const NAME: &str = "kubectl-atelier";

/// Whether a process of this name is the plugin.
pub fn is_called(name: Option<&OsStr>) -> bool {
    name.and_then(|name| Path::new(name).file_name()).is_some_and(|file| file == NAME)
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
    let cluster = Cluster::open(&args.cluster).await.map_err(|why| bad(why.to_string()))?;
    match args.command {
        Command::Tree(args) => show::tree(&cluster, terminal, &args).await.map_err(bad),
    }
}
