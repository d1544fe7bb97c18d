//! What every reconciler shares: backoff, events, status writes.
