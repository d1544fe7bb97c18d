//! What an instance wrote to its console: the end of it, which is all that EC2 gives.

use super::Cloud;
use crate::backend::printed::last_lines;
use crate::backend::{BackendError, ErrorKind, LogQuery, LogStream, printable};
use axum::body::Bytes;
use futures::{StreamExt, future, stream};

/// The longest text that is shown as evidence.
const TAIL_BYTES: usize = 2048;

impl Cloud {
    /// The end of an instance's console, at most 2 KiB.
    pub(crate) async fn log_tail(&self, uid: &str, id: &str) -> Result<String, BackendError> {
        let output = self.console(uid, id).await?;
        Ok(output[output.floor_char_boundary(output.len().saturating_sub(TAIL_BYTES))..].to_owned())
    }

    /// The last lines of an instance's console.
    pub(crate) async fn log(&self, uid: &str, id: &str, query: LogQuery) -> Result<LogStream, BackendError> {
        if query.follow {
            let detail = "the console of an instance cannot be followed: ask again without follow";
            return Err(BackendError::new(ErrorKind::Invalid, detail));
        }
        let output = self.console(uid, id).await?;
        let text = printable(last_lines(&output, query.tail_lines).as_bytes());
        Ok(stream::once(future::ready(Ok(Bytes::from(text)))).boxed())
    }

    async fn console(&self, uid: &str, id: &str) -> Result<String, BackendError> {
        Ok(self.client()?.console(uid, id, self.cluster()).await?.output)
    }
}
