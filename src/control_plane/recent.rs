//! What this process launched moments ago, while EC2 may not show it yet.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Whose an instance is, and what it was launched with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launched {
    /// Its id.
    pub instance_id: String,
    /// Its cluster.
    pub cluster: String,
    /// Its workspace.
    pub workspace: String,
    /// Its token.
    pub key: String,
}

/// The launches of the last visibility window.
#[derive(Debug)]
pub struct Recent {
    window: Duration,
    launched: Mutex<HashMap<String, (Launched, Instant)>>,
}

impl Recent {
    /// Nothing was launched yet.
    pub fn new(window: Duration) -> Self {
        Self { window, launched: Mutex::default() }
    }

    /// EC2 answered a launch with this instance.
    pub fn note(&self, launched: Launched, now: Instant) {
        let mut all = self.launched.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, (_, at)| now.saturating_duration_since(*at) < self.window);
        // A replay of the same launch does not make it younger.
        all.entry(launched.instance_id.clone()).or_insert((launched, now));
    }

    /// Whether one that is still young fits.
    pub fn any(&self, now: Instant, fits: impl Fn(&Launched) -> bool) -> bool {
        let all = self.launched.lock().unwrap_or_else(PoisonError::into_inner);
        all.values().any(|(launched, at)| now.saturating_duration_since(*at) < self.window && fits(launched))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_launch_is_recent_for_one_window_however_often_it_is_replayed() {
        let recent = Recent::new(Duration::from_secs(60));
        let start = Instant::now();
        let launched = Launched {
            instance_id: "i-1".into(),
            cluster: "c".into(),
            workspace: "w".into(),
            key: "k".into(),
        };
        let after = |seconds| start + Duration::from_secs(seconds);
        recent.note(launched.clone(), start);
        recent.note(launched, after(30));
        assert!(recent.any(after(59), |l| l.instance_id == "i-1"));
        assert!(!recent.any(after(59), |l| l.instance_id == "i-2"));
        assert!(!recent.any(after(60), |_| true));
        recent.note(
            Launched {
                instance_id: "i-2".into(),
                cluster: "c".into(),
                workspace: "v".into(),
                key: "l".into(),
            },
            after(61),
        );
        assert_eq!(recent.launched.lock().unwrap().len(), 1, "what is old is forgotten");
    }
}
