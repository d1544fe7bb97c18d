//! A command under the agent: output passed through and remembered, signals forwarded, exit reported.

use std::cell::RefCell;
use std::ffi::{OsStr, OsString};
use std::future::pending;
use std::io::ErrorKind;
use std::os::unix::process::ExitStatusExt;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use atelier_wire::{Exit, LOG_TAIL_MAX_BYTES};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::error::Error;
use crate::link::report_exit;
use crate::log::say;
use crate::registry::Registry;
use crate::signals::{Signals, stops};
use crate::tail::Tail;

/// How long output may still arrive after the command ended; a grandchild can hold the pipe open.
const DRAIN: Duration = Duration::from_millis(500);

/// Runs `program` until it ends, doing `meanwhile` besides. The number is its exit code, or 128 plus the
/// signal that ended it. An exit that nobody asked for is reported to the registry.
pub(crate) async fn supervise(
    program: &OsStr,
    arguments: &[OsString],
    registry: &Registry,
    meanwhile: impl Future<Output = ()>,
) -> Result<u8, Error> {
    let mut signals = Signals::listen()?;
    let mut command = Command::new(program);
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(cause) => {
            let exit = not_started(program, &cause);
            say(&exit.log_tail);
            report(registry, &exit, &mut signals).await;
            return Ok(code(&exit));
        }
    };

    let tail = RefCell::new(Tail::new(LOG_TAIL_MAX_BYTES));
    let (status, asked_to_stop) = watch(&mut child, &mut signals, &tail, meanwhile).await?;
    let exit = ended(status, tail.into_inner().text());
    if !asked_to_stop {
        report(registry, &exit, &mut signals).await;
    }
    Ok(code(&exit))
}

/// Waits for the end of the command, passing output and signals through. Answers how it ended and whether
/// it had been asked to. `meanwhile` is dropped with its calls then, so that none lies half open.
async fn watch(
    child: &mut Child,
    signals: &mut Signals,
    tail: &RefCell<Tail>,
    meanwhile: impl Future<Output = ()>,
) -> Result<(ExitStatus, bool), Error> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let mut output = pin!(async {
        tokio::join!(
            pass_through(stdout, tokio::io::stdout(), tail),
            pass_through(stderr, tokio::io::stderr(), tail)
        )
    });
    let mut meanwhile = pin!(async {
        meanwhile.await;
        pending::<()>().await;
    });
    let mut drained = false;
    let mut asked_to_stop = false;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status.map_err(Error::Wait)?,
            signal = signals.next() => {
                asked_to_stop |= stops(signal);
                forward(child, signal);
            }
            _ = &mut output, if !drained => drained = true,
            () = &mut meanwhile => {}
        }
    };
    if !drained && timeout(DRAIN, output).await.is_err() {
        say("something that the command started still holds its output open");
    }
    Ok((status, asked_to_stop))
}

/// Reports the exit, unless the box is to stop before the registry answers.
async fn report(registry: &Registry, exit: &Exit, signals: &mut Signals) {
    tokio::select! {
        () = report_exit(registry, exit) => {}
        () = signals.stop() => {}
    }
}

/// Copies output to where it would have gone, and keeps its end. Goes on reading where nobody takes the
/// output any more, so that the command does not die of it.
async fn pass_through(
    from: Option<impl AsyncRead + Unpin>,
    mut to: impl AsyncWrite + Unpin,
    tail: &RefCell<Tail>,
) {
    let Some(mut from) = from else { return };
    let mut buffer = vec![0; 4096];
    let mut writable = true;
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let chunk = &buffer[..length];
        tail.borrow_mut().push(chunk);
        writable = writable && to.write_all(chunk).await.is_ok() && to.flush().await.is_ok();
    }
}

fn forward(child: &Child, signal: Signal) {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    // Without an id the command has just ended, and the next turn of the loop sees that.
    if let Some(pid) = pid
        && let Err(error) = kill_process(pid, signal)
    {
        say(format!("cannot forward signal {}: {error}", signal.as_raw()));
    }
}

/// The exit of a command that could not be started, with the codes that shells use.
fn not_started(program: &OsStr, cause: &std::io::Error) -> Exit {
    let exit_code = if cause.kind() == ErrorKind::NotFound { 127 } else { 126 };
    let log_tail = format!("cannot start {}: {cause}", program.to_string_lossy());
    Exit { exit_code, signal: None, log_tail }
}

fn ended(status: ExitStatus, log_tail: String) -> Exit {
    let signal = status.signal();
    let exit_code = status.code().unwrap_or_else(|| 128 + signal.unwrap_or_default());
    Exit { exit_code, signal, log_tail }
}

/// The agent's own exit code: an exit code has eight bits.
fn code(exit: &Exit) -> u8 {
    u8::try_from(exit.exit_code).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_code_and_a_signal_are_told_apart() {
        let exited = ended(ExitStatus::from_raw(3 << 8), "out".into());
        assert_eq!(exited, Exit { exit_code: 3, signal: None, log_tail: "out".into() });
        let killed = ended(ExitStatus::from_raw(9), String::new());
        assert_eq!((killed.exit_code, killed.signal, code(&killed)), (137, Some(9), 137));
    }

    #[test]
    fn a_command_that_cannot_start_has_the_codes_of_a_shell() {
        let exit = not_started(OsStr::new("gone"), &ErrorKind::NotFound.into());
        assert_eq!(exit.exit_code, 127);
        assert!(exit.log_tail.starts_with("cannot start gone: "), "{}", exit.log_tail);
        assert_eq!(not_started(OsStr::new("x"), &ErrorKind::PermissionDenied.into()).exit_code, 126);
    }
}
