//! Faults on purpose, so that a person or a test can watch them being diagnosed.

use std::future::pending;

use clap::Subcommand;

use crate::beats::Beats;
use crate::error::Error;
use crate::log::say;
use crate::look;
use crate::run::serve;
use crate::signals::until_stopped;

const MEBIBYTE: usize = 1024 * 1024;

#[derive(Debug, Clone, PartialEq, Subcommand)]
pub(crate) enum Misbehaviour {
    /// Print a line and exit with a code, without a word to the registry.
    Exit {
        /// The exit code.
        #[arg(long, default_value_t = 1)]
        code: u8,
        /// The line to print to standard output.
        #[arg(long, value_name = "TEXT")]
        print: Option<String>,
    },
    /// Fill memory, then hold it until killed or stopped.
    Allocate {
        /// How much memory to fill.
        #[arg(long)]
        mebibytes: usize,
    },
    /// Never call anything; wait to be stopped.
    Silent,
    /// Post the boot stage, serve, but never register and never send a heartbeat.
    BootOnly,
    /// Post the boot stage, serve and send heartbeats, but never register.
    HeartbeatOnly,
    /// Register, send a number of heartbeats, then go quiet but keep serving.
    StopHeartbeat {
        /// How many heartbeats to send.
        #[arg(long, value_name = "N")]
        after: u64,
    },
    /// Register and send heartbeats whose error rate alternates, high first.
    Waver {
        /// The lower error rate, from 0 to 1.
        #[arg(long, default_value_t = 0.4)]
        low: f64,
        /// The higher error rate, from 0 to 1.
        #[arg(long, default_value_t = 0.6)]
        high: f64,
        /// Call oneself wedged in the first heartbeat.
        #[arg(long)]
        wedged: bool,
    },
}

/// Misbehaves as asked. The number is the exit code.
pub(crate) async fn misbehave(how: Misbehaviour) -> Result<u8, Error> {
    match how {
        Misbehaviour::Exit { code, print } => {
            if let Some(line) = print {
                look::print(format!("{line}\n").as_bytes())?;
            }
            Ok(code)
        }
        Misbehaviour::Allocate { mebibytes } => until_stopped(allocate(mebibytes)).await,
        Misbehaviour::Silent => until_stopped(pending()).await,
        Misbehaviour::BootOnly => serve(false, Beats::Stopping(0)).await,
        Misbehaviour::HeartbeatOnly => serve(false, Beats::Healthy).await,
        Misbehaviour::StopHeartbeat { after } => serve(true, Beats::Stopping(after)).await,
        Misbehaviour::Waver { low, high, wedged } => serve(true, Beats::Wavering { low, high, wedged }).await,
    }
}

/// Writes to every page, or the kernel would only promise the memory.
async fn allocate(mebibytes: usize) -> Result<u8, Error> {
    let mut held = Vec::new();
    while held.len() < mebibytes {
        held.push(vec![1_u8; MEBIBYTE]);
        if held.len() % 64 == 0 || held.len() == mebibytes {
            say(format!("holding {} MiB", held.len()));
        }
        tokio::task::yield_now().await;
    }
    pending().await
}
