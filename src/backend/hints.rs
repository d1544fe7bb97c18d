//! Hints: the uids of Workspaces whose box may have changed. A hint is a reason to look, never a fact.

use futures::{Stream, stream};
use tokio::sync::broadcast;

/// So many hints may wait for a reader; the oldest are dropped first, and the periodic list makes up for them.
const WAITING: usize = 4096;

/// Where hints go. Clones share it; hints that nobody listens for are dropped.
#[derive(Clone, Debug)]
pub(super) struct Hints(broadcast::Sender<String>);

impl Default for Hints {
    fn default() -> Self {
        Self(broadcast::Sender::new(WAITING))
    }
}

impl Hints {
    pub(super) fn give(&self, uid: impl Into<String>) {
        // An error says that nobody listens.
        let _ = self.0.send(uid.into());
    }

    pub(super) fn listen(&self) -> impl Stream<Item = String> + Send + use<> {
        stream::unfold(self.0.subscribe(), |mut hints| async {
            loop {
                match hints.recv().await {
                    Ok(uid) => return Some((uid, hints)),
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return None,
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{FutureExt, StreamExt};

    #[test]
    fn a_slow_reader_loses_the_oldest_and_goes_on() {
        let hints = Hints::default();
        hints.give("nobody listens");
        let mut heard = std::pin::pin!(hints.listen());
        for n in 0..=WAITING {
            hints.give(n.to_string());
        }
        assert_eq!(heard.next().now_or_never().flatten().as_deref(), Some("1"));
        drop(hints);
        let rest = heard.collect::<Vec<_>>().now_or_never().expect("the giver is gone");
        assert_eq!(rest.len(), WAITING - 1);
    }
}
