//! What the long-running commands share: logs, signals, times in flags, and the sockets that they serve.

pub mod logs;
pub mod peers;
pub mod serving;
pub mod signals;
pub mod times;
