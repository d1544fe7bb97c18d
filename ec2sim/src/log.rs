//! The call log: append-only, what tests read as the truth.

use crate::request::Logged;
use crate::request::tags::Tags;
use crate::world::Change;
use crate::world::model::{State, StateReason};
use jiff::Timestamp;
use serde::Serialize;
use std::fs::File;
use std::io::Write;

/// One line of the log.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Counts from 1, without a gap.
    pub seq: u64,
    /// When it took effect.
    pub time: Timestamp,
    /// What it is about.
    #[serde(flatten)]
    pub what: What,
}

/// What a line is about.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum What {
    /// A call to the API.
    Call(Box<CallRecord>),
    /// An instance went into another state.
    State {
        /// Which.
        instance: String,
        /// Into which.
        state: State,
        /// Why.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<StateReason>,
    },
    /// Somebody used the admin interface.
    Admin {
        /// What for.
        action: &'static str,
        /// On what.
        #[serde(skip_serializing_if = "Option::is_none")]
        target: Option<String>,
    },
}

/// A call to the API.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CallRecord {
    /// Its id, which the answer carries too.
    pub request_id: String,
    /// The action's name, as it was sent.
    pub action: String,
    /// The parameters; of user-data only length and SHA-256.
    pub params: Logged,
    /// The ids of what it was about, where it was done.
    pub results: Vec<String>,
    /// Why it was not done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<LoggedError>,
    /// Whether it changed anything.
    pub committed: bool,
    /// Whether its token had been used before, so that it answered an older result.
    pub replayed: bool,
    /// The fault that was injected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// The tags of the instance, where the call made one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub launched_with: Option<Tags>,
}

/// Why a call was not done.
#[derive(Clone, Debug, Serialize)]
pub struct LoggedError {
    /// EC2's code.
    pub code: String,
    /// The HTTP status.
    pub status: u16,
}

/// All lines, and the file that they are copied to.
#[derive(Default)]
pub struct Log {
    entries: Vec<Entry>,
    file: Option<File>,
}

impl Log {
    /// A log that is also written to this file.
    pub fn new(file: Option<File>) -> Self {
        Self { entries: Vec::new(), file }
    }

    /// Adds a line.
    pub fn add(&mut self, time: Timestamp, what: What) {
        let entry = Entry { seq: self.entries.len() as u64 + 1, time, what };
        if let Some(file) = &mut self.file
            && let Err(error) = writeln!(file, "{}", line(&entry))
        {
            tracing::error!(%error, "the call log's file cannot be written and is given up");
            self.file = None;
        }
        self.entries.push(entry);
    }

    /// Adds a change of state.
    pub fn add_change(&mut self, change: Change) {
        let Change { at, instance, state, reason } = change;
        self.add(at, What::State { instance, state, reason });
    }

    /// All lines so far.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Forgets all lines. The file keeps them.
    pub fn clear(&mut self) {
        self.entries.clear();
    }
}

/// A line as JSON.
pub fn line(entry: &Entry) -> String {
    serde_json::to_string(entry).unwrap_or_else(|error| format!("{{\"unwritable\":\"{error}\"}}"))
}
