//! What agents talk to.
