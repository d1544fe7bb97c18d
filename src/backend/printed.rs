//! What a box printed, as text that is safe to show.

use super::BackendError;
use axum::body::Bytes;
use futures::stream::BoxStream;

/// What is asked of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogQuery {
    /// So many of the last lines.
    pub tail_lines: u32,
    /// Whether to go on with what is printed from then on.
    pub follow: bool,
}

/// A log as it comes: cleaned, whole lines where they are not very long.
pub type LogStream = BoxStream<'static, Result<Bytes, BackendError>>;

/// The longest end of a line that is kept until the rest of it comes, in bytes.
const LINE_MAX_BYTES: usize = 16 * 1024;

/// Text without control characters but newlines, and without the terminal's own sequences.
pub fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            // ESC [ … up to a letter: colours and movements of the cursor.
            '\u{1b}' if chars.clone().next() == Some('[') => {
                chars.next();
                for c in chars.by_ref() {
                    if ('@'..='~').contains(&c) {
                        break;
                    }
                }
            }
            '\n' => out.push('\n'),
            '\t' => out.push(' '),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

/// The last lines of a text.
pub(super) fn last_lines(text: &str, count: u32) -> &str {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    if count == 0 {
        return "";
    }
    let mut breaks = text.trim_end_matches('\n').rmatch_indices('\n');
    breaks.nth(count - 1).map_or(text, |(at, _)| &text[at + 1..])
}

/// Cleans what comes in pieces: a sequence or a character that is cut in two must not slip through.
#[derive(Debug, Default)]
pub(super) struct Lines(Vec<u8>);

impl Lines {
    /// What can be shown, now that this came.
    pub fn take(&mut self, piece: &[u8]) -> String {
        self.0.extend_from_slice(piece);
        let whole = match self.0.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => end + 1,
            None if self.0.len() > LINE_MAX_BYTES => self.0.len(),
            None => 0,
        };
        let rest = self.0.split_off(whole);
        printable(&std::mem::replace(&mut self.0, rest))
    }

    /// What is left at the end.
    pub fn end(&mut self) -> String {
        printable(&std::mem::take(&mut self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_text_and_newlines_remain() {
        assert_eq!(printable(b"a\x1b[1;31mred\x1b[0m\r\nb\x07\tc\x1b\xff\n"), "ared\nb c\u{fffd}\n");
        assert_eq!(printable(b"cut \x1b[3"), "cut ");
    }

    #[test]
    fn what_is_cut_in_two_is_cleaned_as_one() {
        let mut lines = Lines::default();
        assert_eq!(lines.take(b"one\ntw"), "one\n");
        assert_eq!(lines.take(b"o \x1b[3"), "");
        assert_eq!(lines.take(b"1mred\xc3"), "");
        assert_eq!(lines.take(b"\xa4\nend"), "two red\u{e4}\n");
        assert_eq!((lines.end(), lines.end()), ("end".to_owned(), String::new()));
    }

    #[test]
    fn a_line_without_end_is_not_kept_for_ever() {
        let mut lines = Lines::default();
        assert_eq!(lines.take(&vec![b'x'; LINE_MAX_BYTES]), "");
        assert_eq!(lines.take(b"x").len(), LINE_MAX_BYTES + 1);
        assert_eq!(lines.take(b"y\n"), "y\n");
    }

    #[test]
    fn the_last_lines_are_counted_from_the_end() {
        let text = "one\ntwo\nthree\n";
        for (count, expected) in [(0, ""), (1, "three\n"), (2, "two\nthree\n"), (3, text), (9, text)] {
            assert_eq!(last_lines(text, count), expected, "{count}");
        }
        assert_eq!(last_lines("one\ntwo", 1), "two");
        assert_eq!(last_lines("", 1), "");
    }
}
