//! Terminal: colours, ages, tables, and what is drawn again in its place.

use super::standing::State;
use k8s_openapi::jiff::Timestamp;
use std::io::{self, IsTerminal, Write};

/// Where the answers go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terminal {
    /// Whether a person looks on: what moves is drawn in its place.
    pub live: bool,
    /// Whether colours may be used.
    pub paint: Paint,
}

impl Terminal {
    /// The standard output as it is.
    pub fn stdout() -> Self {
        let live = io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        // https://no-color.org: any value that is not empty.
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { live, paint: if live && !unwanted { Paint::Colour } else { Paint::Plain } }
    }
}

/// Writes to the standard output.
///
/// # Errors
/// When nobody reads any more.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Whether colours are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Paint {
    /// None.
    #[default]
    Plain,
    /// The terminal's own.
    Colour,
}

impl Paint {
    fn code(self, code: &str, text: &str) -> String {
        match self {
            _ if text.trim().is_empty() => text.to_owned(),
            Self::Plain => text.to_owned(),
            Self::Colour => format!("\x1b[{code}m{text}\x1b[0m"),
        }
    }

    /// A heading.
    pub fn bold(self, text: &str) -> String {
        self.code("1", text)
    }

    /// What matters less.
    pub fn dim(self, text: &str) -> String {
        self.code("2", text)
    }

    /// What is well.
    pub fn good(self, text: &str) -> String {
        self.code("32", text)
    }

    /// What is to be looked at.
    pub fn warn(self, text: &str) -> String {
        self.code("33", text)
    }

    /// What is wrong.
    pub fn bad(self, text: &str) -> String {
        self.code("31", text)
    }

    /// A text in the colour of a state.
    pub fn state(self, state: State, text: &str) -> String {
        match state {
            State::Ready => self.good(text),
            State::Stalled => self.bad(text),
            State::NotSeen | State::Repairing => self.warn(text),
            State::Starting => self.code("36", text),
            State::Deleting | State::Suspended => self.dim(text),
        }
    }
}

/// A text filled up with spaces.
pub fn pad(text: &str, width: usize) -> String {
    let missing = width.saturating_sub(text.chars().count());
    format!("{text}{}", " ".repeat(missing))
}

/// The widest of some texts.
pub fn widest<'a>(texts: impl Iterator<Item = &'a str>) -> usize {
    texts.map(|text| text.chars().count()).max().unwrap_or_default()
}

/// How long ago something was, as `kubectl get` says it.
pub fn age(since: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(since).as_secs().max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |large: i64, name: &str, small: i64, unit: &str| match small {
        0 => format!("{large}{name}"),
        small => format!("{large}{name}{small}{unit}"),
    };
    match () {
        () if seconds < 120 => format!("{seconds}s"),
        () if minutes < 10 => two(minutes, "m", seconds % 60, "s"),
        () if hours < 3 => format!("{minutes}m"),
        () if hours < 8 => two(hours, "h", minutes % 60, "m"),
        () if days < 2 => format!("{hours}h"),
        () => format!("{days}d"),
    }
}

/// A block that is drawn again over itself. Lines that are too long are cut by the terminal, so that they can be
/// counted.
#[derive(Debug, Default)]
pub struct Block {
    lines: usize,
}

impl Block {
    /// What to write so that `text` stands where the last one stood.
    pub fn again(&mut self, text: &str) -> String {
        let up = if self.lines == 0 { String::new() } else { format!("\x1b[{}A", self.lines) };
        self.lines = text.lines().count();
        // Wrapping off, from the first column, clear to the end, the text, wrapping on.
        format!("\x1b[?7l{up}\r\x1b[J{text}\x1b[?7h")
    }
}

/// What to write so that `text` has the whole screen.
pub fn screen(text: &str) -> String {
    format!("\x1b[?7l\x1b[H\x1b[2J{text}\x1b[?7h")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_those_of_kubectl() {
        let now = Timestamp::from_second(1_000_000_000).unwrap();
        let ago = |seconds: i64| age(Timestamp::from_second(1_000_000_000 - seconds).unwrap(), now);
        let table = [
            (-5, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (185, "3m5s"),
            (600, "10m"),
            (3 * 3600, "3h"),
            (3 * 3600 + 300, "3h5m"),
            (30 * 3600, "30h"),
            (50 * 3600, "2d"),
        ];
        for (seconds, text) in table {
            assert_eq!(ago(seconds), text);
        }
    }

    #[test]
    fn a_block_is_drawn_over_itself() {
        let mut block = Block::default();
        assert_eq!(block.again("a\nb\n"), "\x1b[?7l\r\x1b[Ja\nb\n\x1b[?7h");
        assert_eq!(block.again("c\n"), "\x1b[?7l\x1b[2A\r\x1b[Jc\n\x1b[?7h");
        assert!(block.again("").contains("\x1b[1A"));
    }

    #[test]
    fn plain_is_plain() {
        assert_eq!(Paint::Plain.bad("x"), "x");
        assert_eq!(Paint::Colour.bad("x"), "\x1b[31mx\x1b[0m");
        assert_eq!(pad("ä", 3), "ä  ");
    }
}
