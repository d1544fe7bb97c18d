//! What a box printed: the end of it, or from there on.

use super::engine::{CALL, Engine};
use super::error::refusal;
use crate::backend::printed::{Lines, printable};
use crate::backend::{BackendError, LogQuery, LogStream};
use crate::redact::redact;
use axum::body::Bytes;
use bollard::query_parameters::LogsOptions;
use futures::{StreamExt, TryStreamExt, future, stream};

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
        // It goes into a status: whoever may read logs gets the whole of it.
        Ok(tail(&redact(&printable(&bytes))).to_owned())
    }

    /// The last lines that a box printed to either stream, and what it prints from then on where that is asked.
    pub(crate) async fn log(&self, id: &str, query: LogQuery) -> Result<LogStream, BackendError> {
        // A log that is not there is told at once, and not in the middle of an answer.
        self.inspect(id).await?;
        let options = LogsOptions {
            stdout: true,
            stderr: true,
            tail: query.tail_lines.to_string(),
            follow: query.follow,
            ..LogsOptions::default()
        };
        let what = format!("read the log of container {id}");
        let address = self.endpoint().address.clone();
        let pieces = self.client()?.logs(id, Some(options)).map(Some);
        let cleaned =
            pieces.chain(stream::once(future::ready(None))).scan(Lines::default(), |lines, piece| {
                let text = match piece {
                    Some(piece) => piece.map(|piece| lines.take(&piece.into_bytes())),
                    None => Ok(lines.end()),
                };
                future::ready(Some(text))
            });
        let told = cleaned.filter(|text| future::ready(!matches!(text, Ok(text) if text.is_empty())));
        let told = told.map(move |text| match text {
            Ok(text) => Ok(Bytes::from(text)),
            Err(error) => Err(refusal(&address, &what, &error).into()),
        });
        Ok(told.boxed())
    }
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
