//! Log lines on standard error, as text or JSON. No line ever holds a secret.

use clap::{Args, ValueEnum};
use std::io::IsTerminal;
use tracing::{Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// What is logged.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Logs")]
pub struct LogArgs {
    /// How log lines are written to standard error
    #[arg(long, env = "ATELIER_LOG_FORMAT", value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// What is logged: error, warn, info, debug or trace, or a list such as `info,atelier::backend=debug`
    #[arg(long, env = "ATELIER_LOG_LEVEL", value_name = "FILTER", default_value = "info")]
    pub log_level: String,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Why nothing can be logged.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter cannot be read.
    #[error("--log-level {filter:?} cannot be read: {why}; use info, or a list such as info,atelier=debug")]
    Filter {
        /// What was given.
        filter: String,
        /// What is wrong with it.
        why: String,
    },
    /// Something logs already.
    #[error("logs were set up twice: {0}")]
    Twice(#[from] TryInitError),
}

/// Libraries that log what they send: with it user-data, and what credentials look like.
const SECRETIVE: [&str; 3] = ["aws_", "h2::", "hyper"];

/// Whether a line may be logged, whatever the filter says.
fn may_be_logged(target: &str, level: Level) -> bool {
    level <= Level::INFO || !SECRETIVE.iter().any(|library| target.starts_with(library))
}

/// What writes lines as the arguments say.
fn lines<W>(args: &LogArgs, ansi: bool, writer: W) -> Result<impl Subscriber + Send + Sync, LogError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let bad = |why: String| LogError::Filter { filter: args.log_level.clone(), why };
    let filter = EnvFilter::try_new(&args.log_level).map_err(|error| bad(error.to_string()))?;
    let filter = filter.and(filter_fn(|line| may_be_logged(line.target(), *line.level())));
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(ansi);
    let lines = match args.log_format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    Ok(tracing_subscriber::registry().with(lines.with_filter(filter)))
}

/// Sets up the log of this process.
///
/// # Errors
/// When the filter cannot be read.
pub fn init(args: &LogArgs) -> Result<(), LogError> {
    let ansi = args.log_format == LogFormat::Text && std::io::stderr().is_terminal();
    lines(args, ansi, std::io::stderr)?.try_init()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, filter: &str, log: impl FnOnce()) -> String {
        let kept = Kept::default();
        let writer = kept.clone();
        let args = LogArgs { log_format: format, log_level: filter.into() };
        tracing::subscriber::with_default(lines(&args, false, move || writer.clone()).unwrap(), log);
        String::from_utf8(kept.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn no_filter_makes_a_library_log_what_it_sends() {
        for filter in
            ["trace", "aws_smithy_runtime=trace", "aws_smithy_runtime::client=trace,info", "hyper=debug"]
        {
            let log = logged(LogFormat::Text, filter, || {
                tracing::trace!(target: "aws_smithy_runtime::client::orchestrator", "hush");
                tracing::debug!(target: "aws_sigv4::http_request", "hush");
                tracing::debug!(target: "hyper::proto", "hush");
                tracing::info!(target: "aws_smithy_runtime::client", "said");
                tracing::warn!(target: "hyper", "said");
            });
            assert!(!log.contains("hush") && log.contains("said"), "{filter}: {log}");
        }
    }

    #[test]
    fn lines_are_written_as_asked() {
        let log = || tracing::debug!(target: "atelier::x", workspace = "w", "done");
        assert!(logged(LogFormat::Text, "info,atelier=debug", log).contains("done workspace=\"w\""));
        let line = logged(LogFormat::Json, "debug", log);
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&line["message"], &line["workspace"]), (&"done".into(), &"w".into()));
        assert_eq!(logged(LogFormat::Text, "info", log), "");
        let wrong = LogArgs { log_format: LogFormat::Text, log_level: "a=b=c".into() };
        assert!(
            lines(&wrong, false, std::io::sink).is_err_and(|error| error.to_string().contains("--log-level"))
        );
    }
}
