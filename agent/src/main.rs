//! `atelier-agent`: the small static program inside a box. It registers, heartbeats and supervises.
//!
//! ```text
//! main ── arguments, runtime, exit code
//!  ├── cli         what a person can ask for
//!  ├── settings    environment and /configs, parsed once
//!  ├── registry    calls to the registry        (tls: whom it trusts)
//!  ├── link        boot stage, registration, heartbeats, for as long as the box lives
//!  │    ├── beats    what each heartbeat says     ├── backoff  when to try again
//!  ├── endpoint    the A2A echo                 (card: what it says of itself)
//!  ├── supervise   a command under the agent    (tail: its last output; signals)
//!  ├── look        `get` and `peers`
//!  ├── misbehave   faults on purpose
//!  └── log         the agent's own words
//! ```

mod backoff;
mod beats;
mod card;
mod cli;
mod endpoint;
mod error;
mod link;
mod log;
mod look;
mod misbehave;
mod registry;
mod run;
mod settings;
mod signals;
mod supervise;
mod tail;
mod tls;

use std::process::ExitCode;

use clap::Parser;

use crate::log::say;

fn main() -> ExitCode {
    let command = cli::Cli::parse().command;
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    let outcome = runtime.block_on(cli::dispatch(command));
    // A name look-up that hangs must not hold up the exit.
    runtime.shutdown_background();
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) => failed(&error),
    }
}

fn failed(error: &dyn std::error::Error) -> ExitCode {
    say(error);
    ExitCode::FAILURE
}
