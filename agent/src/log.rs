//! The agent's own words, on standard error.

use std::fmt::Display;
use std::io::Write;

/// Writes one line. A box whose log is gone keeps working, so a failed write is no error.
pub(crate) fn say(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "atelier-agent: {line}");
}
