//! What each heartbeat of an agent says.

use std::time::Duration;

use atelier_wire::Heartbeat;

/// How an agent's heartbeats go.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Beats {
    /// All is well.
    Healthy,
    /// The box is alive; the agent cannot say how its command fares.
    Alive,
    /// All is well this many times, then silence.
    Stopping(u64),
    /// The error rate alternates, high first; with `wedged` the first heartbeat calls itself wedged.
    Wavering { low: f64, high: f64, wedged: bool },
}

impl Beats {
    /// The heartbeat number `count` (from 0), or `None` for silence from here on.
    pub(crate) fn beat(self, workspace_id: &str, count: u64, uptime: Duration) -> Option<Heartbeat> {
        // Uptime 0 means "nothing said of health", so the first health heartbeat claims a second.
        let mut beat = Heartbeat::healthy(workspace_id, uptime.as_secs().max(1));
        match self {
            // A supervised agent may send its own heartbeats, and say there that it is wedged: ours
            // must not clear that.
            Self::Alive => beat.uptime_seconds = 0,
            Self::Stopping(after) if count >= after => return None,
            Self::Healthy | Self::Stopping(_) => {}
            Self::Wavering { low, high, wedged } => {
                beat.error_rate = if count.is_multiple_of(2) { high } else { low };
                beat.sample_error.push_str("this agent misbehaves on purpose");
                beat.runtime_state = (wedged && count == 0).then(|| Heartbeat::WEDGED.to_owned());
            }
        }
        Some(beat)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beat(beats: Beats, count: u64) -> Option<Heartbeat> {
        beats.beat("u-1", count, Duration::from_millis(900))
    }

    #[test]
    fn the_first_healthy_beat_speaks_of_health() {
        assert_eq!(beat(Beats::Healthy, 0), Some(Heartbeat::healthy("u-1", 1)));
        assert_eq!(Beats::Healthy.beat("u-1", 3, Duration::from_secs(90)).unwrap().uptime_seconds, 90);
    }

    #[test]
    fn a_supervisor_says_nothing_of_health() {
        let beat = Beats::Alive.beat("u-1", 3, Duration::from_secs(90)).unwrap();
        assert!(beat.is_task_note());
    }

    #[test]
    fn stopping_stops() {
        assert!(beat(Beats::Stopping(2), 1).is_some());
        assert!(beat(Beats::Stopping(2), 2).is_none());
        assert!(beat(Beats::Stopping(0), 0).is_none());
    }

    #[test]
    fn wavering_alternates_and_is_wedged_once() {
        let beats = Beats::Wavering { low: 0.4, high: 0.6, wedged: true };
        let said: Vec<_> = (0..4).filter_map(|count| beat(beats, count)).collect();
        let rates: Vec<_> = said.iter().map(|beat| beat.error_rate).collect();
        assert_eq!(rates, [0.6, 0.4, 0.6, 0.4]);
        let wedged: Vec<_> = said.iter().map(Heartbeat::is_wedged).collect();
        assert_eq!(wedged, [true, false, false, false]);
        assert!(!beat(Beats::Wavering { low: 0.4, high: 0.6, wedged: false }, 0).unwrap().is_wedged());
    }
}
