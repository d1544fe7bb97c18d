//! The fence around launch calls: until when one that got no answer may still take effect. Pure.

use crate::backend::{Outlook, Recorder};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

/// A launch call is not sent on to EC2 after this long since the sender's last lease renewal.
const SEND_WITHIN: SignedDuration = SignedDuration::from_secs(60);
/// How long after that its effect may show, at most.
const IN_FLIGHT: SignedDuration = SignedDuration::from_secs(60);

/// The launch calls of this process, by Workspace.
#[derive(Clone, Debug, Default)]
pub struct Sends(BTreeMap<String, Sent>);

#[derive(Clone, Debug)]
struct Sent {
    attempt: i64,
    /// Calls that were sent and not answered yet.
    open: u32,
    /// The latest time until which a call without an answer may be sent on to EC2.
    unanswered_until: Option<Timestamp>,
    /// No process before this one can have sent a call of this attempt: this one recorded it.
    is_own: bool,
    /// This process has written the record of this attempt at least once.
    is_noted: bool,
    /// The same as `unanswered_until` for the attempts before.
    earlier_until: Option<Timestamp>,
    /// Another process may have sent calls of the attempts before.
    after_others: bool,
}

impl Sent {
    /// The first word of an attempt, after what is known of those before.
    fn new(attempt: i64, is_own: bool, before: Option<&Self>) -> Self {
        Self {
            attempt,
            open: 0,
            unanswered_until: None,
            is_own,
            is_noted: is_own,
            earlier_until: before.and_then(|before| before.unanswered_until.max(before.earlier_until)),
            after_others: before.map_or(attempt > 1, |before| !before.is_own || before.after_others),
        }
    }
}

impl Sends {
    /// This process has recorded this attempt: nobody else can have sent a call of it.
    pub fn recorded(&mut self, uid: &str, attempt: i64) {
        let sent = Sent::new(attempt, true, self.0.get(uid));
        self.0.insert(uid.to_owned(), sent);
    }

    /// This process has written the record of this attempt, which another one had made.
    pub fn noted(&mut self, uid: &str, attempt: i64) {
        self.entry(uid, attempt).is_noted = true;
    }

    /// Whose record of this attempt it is.
    pub fn recorder(&self, uid: &str, attempt: i64) -> Recorder {
        match self.0.get(uid) {
            Some(sent) if sent.attempt == attempt && sent.is_noted => Recorder::This,
            _ => Recorder::Another,
        }
    }

    fn entry(&mut self, uid: &str, attempt: i64) -> &mut Sent {
        let first = || Sent::new(attempt, false, None);
        let sent = self.0.entry(uid.to_owned()).or_insert_with(first);
        if sent.attempt != attempt {
            *sent = Sent::new(attempt, false, Some(sent));
        }
        sent
    }

    /// A call goes out that may be sent on until `not_after`. Nothing is known of it until it is answered.
    pub fn going_out(&mut self, uid: &str, attempt: i64, not_after: Timestamp) {
        let sent = self.entry(uid, attempt);
        sent.open += 1;
        sent.unanswered_until = sent.unanswered_until.max(Some(not_after));
    }

    /// A call was answered, so that its effect is known. Where it was the only one, nothing is open any more.
    pub fn answered(&mut self, uid: &str, attempt: i64, was_alone: bool) {
        let Some(sent) = self.0.get_mut(uid).filter(|sent| sent.attempt == attempt) else { return };
        sent.open = sent.open.saturating_sub(1);
        if was_alone && sent.open == 0 {
            sent.unanswered_until = None;
        }
    }

    /// A call ended without an answer.
    pub fn lost(&mut self, uid: &str, attempt: i64) {
        if let Some(sent) = self.0.get_mut(uid).filter(|sent| sent.attempt == attempt) {
            sent.open = sent.open.saturating_sub(1);
        }
    }

    /// Whether every call of this attempt so far has a known answer, so that one more would be alone.
    pub fn is_clear(&self, uid: &str, attempt: i64) -> bool {
        self.0.get(uid).is_none_or(|sent| sent.attempt != attempt || sent.unanswered_until.is_none())
    }

    /// Until when a call of this attempt may still take effect; `None` where every one was answered. `took_over`
    /// is when this process came to lead: an earlier one may have sent calls until then.
    pub fn effect_until(&self, uid: &str, attempt: i64, took_over: Timestamp) -> Option<Timestamp> {
        let sent = self.0.get(uid).filter(|sent| sent.attempt == attempt);
        let of_others = match sent {
            Some(sent) if sent.is_own => None,
            _ => Some(over_for_others(took_over)),
        };
        of_others.max(sent.and_then(|sent| sent.unanswered_until).map(over))
    }

    /// The same for the attempts before this one.
    pub fn earlier_until(&self, uid: &str, attempt: i64, took_over: Timestamp) -> Option<Timestamp> {
        let (after_others, of_ours) = match self.0.get(uid) {
            Some(sent) if sent.attempt == attempt => (sent.after_others, sent.earlier_until),
            Some(sent) => (true, sent.unanswered_until.max(sent.earlier_until)),
            None => (attempt > 1, None),
        };
        Some(over_for_others(took_over)).filter(|_| after_others).max(of_ours.map(over))
    }
}

/// When the effect of a call that may be sent on until then is over.
fn over(sent_until: Timestamp) -> Timestamp {
    sent_until.saturating_add(IN_FLIGHT).unwrap_or(Timestamp::MAX)
}

/// When the effect is over of whatever was sent before this process took over.
fn over_for_others(took_over: Timestamp) -> Timestamp {
    over(took_over.saturating_add(SEND_WITHIN).unwrap_or(Timestamp::MAX))
}

/// What a plan has to mind about a launch: until when its calls may take effect (`ends`) and those of the attempts
/// before it (`earlier_ends`), who recorded it, when the last complete list was asked for, how long lists may be
/// behind, and until when everything is short of capacity.
pub fn outlook(
    (ends, earlier_ends): (Option<Timestamp>, Option<Timestamp>),
    recorder: Recorder,
    swept: Option<Timestamp>,
    window: SignedDuration,
    short_until: Option<Timestamp>,
    now: Timestamp,
) -> Outlook {
    let is_unlisted = |ends: Option<Timestamp>| {
        let listed_from = ends.map(|ends| ends.saturating_add(window).unwrap_or(Timestamp::MAX));
        listed_from.is_some_and(|from| swept.is_none_or(|swept| swept <= from))
    };
    Outlook {
        absence_proves: false,
        fence: ends.filter(|ends| *ends > now),
        short_until,
        unsettled: is_unlisted(ends),
        earlier_unsettled: is_unlisted(earlier_ends),
        recorder,
    }
}

#[cfg(test)]
impl Sends {
    /// As if all of it had happened so much earlier, but no earlier than `oldest`. For a model whose clock stands.
    pub(crate) fn age(&mut self, by: SignedDuration, oldest: Timestamp) {
        for sent in self.0.values_mut() {
            let earlier = |at: Timestamp| at.saturating_sub(by).unwrap_or(Timestamp::MIN).max(oldest);
            sent.unanswered_until = sent.unanswered_until.map(earlier);
            sent.earlier_until = sent.earlier_until.map(earlier);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn an_attempt_of_this_process_whose_calls_are_answered_has_no_fence() {
        let mut sends = Sends::default();
        sends.recorded("u", 1);
        assert_eq!(sends.effect_until("u", 1, at(0)), None, "nothing was sent");
        sends.going_out("u", 1, at(60));
        assert_eq!(sends.effect_until("u", 1, at(0)), Some(at(120)), "it is on its way");
        sends.answered("u", 1, true);
        assert_eq!(sends.effect_until("u", 1, at(0)), None);
    }

    #[test]
    fn a_call_without_an_answer_fences_until_it_can_have_no_effect() {
        let mut sends = Sends::default();
        sends.recorded("u", 1);
        sends.going_out("u", 1, at(60));
        sends.lost("u", 1);
        let alone = sends.is_clear("u", 1);
        assert!(!alone);
        sends.going_out("u", 1, at(70));
        sends.answered("u", 1, alone);
        assert_eq!(sends.effect_until("u", 1, at(0)), Some(at(130)), "the first may still be on its way");
    }

    #[test]
    fn what_an_earlier_process_may_have_sent_counts_from_the_take_over() {
        let mut sends = Sends::default();
        assert_eq!(sends.effect_until("u", 1, at(10)), Some(at(130)));
        sends.going_out("u", 1, at(20));
        sends.answered("u", 1, true);
        assert_eq!(sends.effect_until("u", 1, at(10)), Some(at(130)));
        sends.recorded("u", 2);
        assert_eq!(sends.effect_until("u", 2, at(10)), None);
        assert_eq!(sends.effect_until("u", 1, at(10)), Some(at(130)), "of another attempt nothing is known");
        assert_eq!(sends.earlier_until("u", 2, at(10)), Some(at(130)), "the one before was not its own");
        sends.recorded("u", 3);
        assert_eq!(sends.earlier_until("u", 3, at(10)), Some(at(130)), "nor is it the one before the last");
    }

    #[test]
    fn a_record_is_this_process_s_once_it_has_written_it() {
        let mut sends = Sends::default();
        sends.recorded("u", 1);
        assert_eq!(sends.recorder("u", 1), Recorder::This);
        assert_eq!(sends.recorder("u", 2), Recorder::Another, "an ex-leader wrote the next one");
        sends.going_out("u", 2, at(60));
        assert_eq!(sends.recorder("u", 2), Recorder::Another, "a call is no record");
        sends.noted("u", 2);
        assert_eq!(sends.recorder("u", 2), Recorder::This);
        assert_eq!(sends.effect_until("u", 2, at(0)), Some(at(120)), "another may have sent calls of it");
    }

    #[test]
    fn a_call_without_an_answer_outlives_its_attempt() {
        let mut sends = Sends::default();
        sends.recorded("u", 1);
        sends.going_out("u", 1, at(60));
        sends.lost("u", 1);
        assert_eq!(sends.earlier_until("u", 1, at(0)), None, "there is none before the first");
        for attempt in [2, 3] {
            sends.recorded("u", attempt);
            assert_eq!(sends.effect_until("u", attempt, at(0)), None);
            assert_eq!(sends.earlier_until("u", attempt, at(0)), Some(at(120)));
            sends.going_out("u", attempt, at(30));
            sends.answered("u", attempt, true);
            assert_eq!(
                sends.earlier_until("u", attempt, at(0)),
                Some(at(120)),
                "that answer was not its own"
            );
        }
        assert_eq!(sends.earlier_until("u", 4, at(-60)), Some(at(120)), "whoever recorded the next one");
    }
}
