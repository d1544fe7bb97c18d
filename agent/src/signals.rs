//! The signals that a box is sent.

use std::future::poll_fn;
use std::task::Poll;

use rustix::process::Signal;
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

use crate::error::Error;

/// Signals that reached this process, those that ask it to stop and those that only a command understands.
pub(crate) struct Signals([(Stream, Signal); 6]);

impl Signals {
    /// Listens from now on. None of these signals ends the process by itself any more.
    pub(crate) fn listen() -> Result<Self, Error> {
        let open = |kind, number| signal(kind).map(|stream| (stream, number)).map_err(Error::Signals);
        Ok(Self([
            open(SignalKind::terminate(), Signal::TERM)?,
            open(SignalKind::interrupt(), Signal::INT)?,
            open(SignalKind::quit(), Signal::QUIT)?,
            open(SignalKind::hangup(), Signal::HUP)?,
            open(SignalKind::user_defined1(), Signal::USR1)?,
            open(SignalKind::user_defined2(), Signal::USR2)?,
        ]))
    }

    /// The next signal. Nothing is lost when the future is dropped.
    pub(crate) async fn next(&mut self) -> Signal {
        poll_fn(|context| {
            for (stream, number) in &mut self.0 {
                if stream.poll_recv(context).is_ready() {
                    return Poll::Ready(*number);
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Until a signal asks to stop.
    pub(crate) async fn stop(&mut self) {
        while !stops(self.next().await) {}
    }
}

/// Whether the signal asks a process to stop.
pub(crate) fn stops(signal: Signal) -> bool {
    matches!(signal, Signal::TERM | Signal::INT | Signal::QUIT)
}

/// Does `work` until a signal asks to stop. A stop is a success: it was asked for.
pub(crate) async fn until_stopped(work: impl Future<Output = Result<u8, Error>>) -> Result<u8, Error> {
    let mut signals = Signals::listen()?;
    tokio::select! {
        outcome = work => outcome,
        () = signals.stop() => Ok(0),
    }
}
