//! Whether an agent is wedged, by its own heartbeats: quick to say, slow to take back.

use super::text;
use atelier_wire::Heartbeat;
use k8s_openapi::jiff::Timestamp;

/// From this share of failed calls on, an agent is wedged.
const BAD: f64 = 0.5;
/// Below this share, a heartbeat is a good one. Between the two, nothing changes.
const GOOD: f64 = 0.1;
/// So many good heartbeats in a row take a wedge back.
const GOOD_IN_A_ROW: u8 = 2;

/// What an agent's heartbeats say of its health.
#[derive(Clone, Debug, Default)]
pub struct Health {
    wedged: Option<Wedge>,
    good_in_a_row: u8,
}

/// Since when an agent is wedged, and what it said then. It stands until the wedge is over: what an agent says
/// of its trouble wavers with every beat.
#[derive(Clone, Debug)]
pub struct Wedge {
    pub since: Timestamp,
    pub why: String,
}

impl Health {
    /// The wedge, while it lasts.
    pub fn wedge(&self) -> Option<&Wedge> {
        self.wedged.as_ref()
    }

    /// Takes a heartbeat into account. A task note says nothing of health.
    pub fn judge(&mut self, beat: &Heartbeat, now: Timestamp) {
        if beat.is_task_note() {
            return;
        }
        let judged_rate = if beat.manages_own_status() { 0.0 } else { beat.error_rate };
        let runtime_is_fine = beat.runtime_state.as_deref().unwrap_or_default().is_empty();
        if beat.is_wedged() || judged_rate >= BAD {
            self.good_in_a_row = 0;
            self.wedged.get_or_insert_with(|| Wedge { since: now, why: why(beat) });
        } else if judged_rate < GOOD && runtime_is_fine {
            self.good_in_a_row = self.good_in_a_row.saturating_add(1);
            if self.good_in_a_row >= GOOD_IN_A_ROW {
                self.wedged = None;
            }
        } else {
            self.good_in_a_row = 0;
        }
    }

    /// It was recorded as wedged by a process before this one. What was heard since is worth more.
    pub fn was_wedged(&mut self, now: Timestamp) {
        if self.good_in_a_row < GOOD_IN_A_ROW {
            let why = "it was wedged before this controller took over".to_owned();
            self.wedged.get_or_insert(Wedge { since: now, why });
        }
    }
}

fn why(beat: &Heartbeat) -> String {
    let what = if beat.is_wedged() {
        "its runtime is wedged".to_owned()
    } else {
        format!("{:.0} % of its calls fail", beat.error_rate * 100.0)
    };
    let sample = text::line(&beat.sample_error, text::SENTENCE_MAX_BYTES);
    if sample.is_empty() { what } else { format!("{what}; one of the errors: {sample}") }
}
