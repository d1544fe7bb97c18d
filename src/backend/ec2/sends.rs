//! The fence around launch calls: until when one that got no answer may still take effect. Pure.

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;

/// A launch call is not sent on to EC2 after this long since the sender's last lease renewal.
const SEND_WITHIN: SignedDuration = SignedDuration::from_secs(60);
/// How long after that its effect may show, at most.
const IN_FLIGHT: SignedDuration = SignedDuration::from_secs(60);

/// The launch calls of this process, by Workspace.
#[derive(Debug, Default)]
pub struct Sends(HashMap<String, Sent>);

#[derive(Debug)]
struct Sent {
    attempt: i64,
    /// Calls that were sent and not answered yet.
    open: u32,
    /// The latest time until which a call without an answer may be sent on to EC2.
    unanswered_until: Option<Timestamp>,
    /// No process before this one can have sent a call of this attempt: this one recorded it.
    is_own: bool,
}

impl Sends {
    /// This process is about to record this attempt: nobody else can have sent a call of it.
    pub fn recorded(&mut self, uid: &str, attempt: i64) {
        let sent = Sent { attempt, open: 0, unanswered_until: None, is_own: true };
        self.0.insert(uid.to_owned(), sent);
    }

    /// A call goes out that may be sent on until `not_after`. Nothing is known of it until it is answered.
    pub fn going_out(&mut self, uid: &str, attempt: i64, not_after: Timestamp) {
        let sent = self.0.entry(uid.to_owned()).or_insert(Sent {
            attempt,
            open: 0,
            unanswered_until: None,
            is_own: false,
        });
        if sent.attempt != attempt {
            *sent = Sent { attempt, open: 0, unanswered_until: None, is_own: false };
        }
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
            _ => Some(took_over.saturating_add(SEND_WITHIN + IN_FLIGHT).unwrap_or(Timestamp::MAX)),
        };
        let of_ours = sent.and_then(|sent| sent.unanswered_until);
        let of_ours = of_ours.map(|until| until.saturating_add(IN_FLIGHT).unwrap_or(Timestamp::MAX));
        of_others.max(of_ours)
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
    }
}
