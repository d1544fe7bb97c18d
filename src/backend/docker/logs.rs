//! The end of what a box printed, as text that is safe to show.

use super::engine::{CALL, Engine};
use crate::backend::BackendError;
use bollard::query_parameters::LogsOptions;
use futures::TryStreamExt;

/// The longest log tail, in bytes.
const TAIL: usize = atelier_wire::LOG_TAIL_MAX_BYTES;

impl Engine {
    /// The last lines that a box printed to either stream, in the order in which the engine has them.
    pub(crate) async fn log_tail(&self, id: &str) -> Result<String, BackendError> {
        let options =
            LogsOptions { stdout: true, stderr: true, tail: "100".into(), ..LogsOptions::default() };
        let client = self.client()?;
        let read = client.logs(id, Some(options)).try_fold(Vec::new(), async |mut bytes, piece| {
            bytes.extend_from_slice(&piece.into_bytes());
            // Control characters are dropped below: keep enough for a tail of what remains.
            let surplus = bytes.len().saturating_sub(8 * TAIL);
            bytes.drain(..surplus);
            Ok(bytes)
        });
        let bytes = self.call(&format!("read the log of container {id}"), CALL, read).await?;
        Ok(tail(&printable(&bytes)).to_owned())
    }
}

/// Text without control characters but newlines, and without the terminal's own sequences.
fn printable(bytes: &[u8]) -> String {
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

/// The last bytes of a text, from a line's beginning where one is near.
fn tail(text: &str) -> &str {
    let text = text.trim_end_matches('\n');
    let Some(mut from) = text.len().checked_sub(TAIL).filter(|from| *from > 0) else { return text };
    while !text.is_char_boundary(from) {
        from += 1;
    }
    let end = &text[from..];
    end.split_once('\n').filter(|(cut, _)| cut.len() < TAIL / 4).map_or(end, |(_, whole)| whole)
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
    fn the_end_is_kept() {
        assert_eq!(tail("one\ntwo\n"), "one\ntwo");
        let lines = (0..1000).map(|n| format!("line {n}")).collect::<Vec<_>>().join("\n");
        let end = tail(&lines);
        assert!(end.len() <= TAIL && end.len() > TAIL / 2);
        assert!(end.starts_with("line ") && end.ends_with("line 999"));
    }

    #[test]
    fn one_long_line_is_cut_between_characters() {
        let long = "é".repeat(TAIL);
        let end = tail(&long);
        assert!(end.len() <= TAIL && end.len() > TAIL - 2);
    }
}
