//! Whether this process leads, and until when it may act on it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::sync::watch;

/// Where this process stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Another process leads, or none that is known yet.
    Following {
        /// Where the leader's registry is reached, if it said so.
        leader_url: Option<String>,
    },
    /// This process holds the lease.
    Leading,
    /// Another process took the lease over: this one must end.
    Lost,
}

/// A view of the election. Cheap to clone; clones see the same.
#[derive(Clone, Debug)]
pub struct Leadership {
    standing: watch::Receiver<Standing>,
    deadline: Arc<Mutex<Deadline>>,
}

#[derive(Clone, Copy, Debug)]
enum Deadline {
    None,
    At(Instant),
    Never,
}

/// The other end: what the election loop says.
#[derive(Debug)]
pub struct Announcer {
    standing: watch::Sender<Standing>,
    deadline: Arc<Mutex<Deadline>>,
}

impl Leadership {
    /// A process that does not lead yet, and the end that announces what becomes of it.
    pub fn undecided() -> (Announcer, Self) {
        let (standing, seen) = watch::channel(Standing::Following { leader_url: None });
        let deadline = Arc::new(Mutex::new(Deadline::None));
        (Announcer { standing, deadline: deadline.clone() }, Self { standing: seen, deadline })
    }

    /// A process that leads for as long as it lives: without an election, there is no other.
    pub fn always() -> Self {
        let (_, standing) = watch::channel(Standing::Leading);
        Self { standing, deadline: Arc::new(Mutex::new(Deadline::Never)) }
    }

    /// Whether an effect may be started now. False past the renew deadline, which is shorter than the lease:
    /// from then on another process may lead.
    pub fn may_act(&self) -> bool {
        match *self.deadline.lock().unwrap_or_else(PoisonError::into_inner) {
            Deadline::None => false,
            Deadline::At(deadline) => Instant::now() < deadline,
            Deadline::Never => true,
        }
    }

    /// Until when this process may act, as far as it knows; `None` where it may not now. Where there is no
    /// election, that is now: a process that is its own leader was so a moment ago.
    pub fn acts_until(&self) -> Option<Instant> {
        let now = Instant::now();
        match *self.deadline.lock().unwrap_or_else(PoisonError::into_inner) {
            Deadline::None => None,
            Deadline::At(deadline) => Some(deadline).filter(|deadline| now < *deadline),
            Deadline::Never => Some(now),
        }
    }

    /// Where this process stands now.
    pub fn standing(&self) -> Standing {
        self.standing.borrow().clone()
    }

    /// Waits until this process leads; false if it never will.
    pub async fn leads(&self) -> bool {
        self.reaches(|standing| *standing == Standing::Leading).await
    }

    /// Waits until another process took over.
    pub async fn lost(&self) {
        if !self.reaches(|standing| *standing == Standing::Lost).await {
            std::future::pending::<()>().await;
        }
    }

    async fn reaches(&self, there: impl FnMut(&Standing) -> bool) -> bool {
        self.standing.clone().wait_for(there).await.is_ok()
    }
}

impl Announcer {
    /// This process holds the lease, and may act until then.
    pub fn leading_until(&self, deadline: Instant) {
        self.set_deadline(Deadline::At(deadline));
        self.say(Standing::Leading);
    }

    /// Another process leads, or none.
    pub fn following(&self, leader_url: Option<String>) {
        self.set_deadline(Deadline::None);
        self.say(Standing::Following { leader_url });
    }

    /// Another process took over.
    pub fn lost(&self) {
        self.set_deadline(Deadline::None);
        self.say(Standing::Lost);
    }

    fn set_deadline(&self, deadline: Deadline) {
        *self.deadline.lock().unwrap_or_else(PoisonError::into_inner) = deadline;
    }

    fn say(&self, standing: Standing) {
        self.standing.send_if_modified(|before| {
            let differs = *before != standing;
            *before = standing;
            differs
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn nobody_acts_past_the_deadline() {
        let (announcer, leadership) = Leadership::undecided();
        assert!(!leadership.may_act());
        announcer.leading_until(Instant::now() + Duration::from_secs(3600));
        assert!(leadership.leads().await && leadership.may_act());
        announcer.leading_until(Instant::now());
        assert!(!leadership.may_act(), "the deadline has passed");
        assert_eq!(leadership.standing(), Standing::Leading, "though nobody else leads yet");
        announcer.lost();
        leadership.lost().await;
        assert!(!leadership.may_act());
    }

    #[tokio::test]
    async fn without_an_election_a_process_always_leads() {
        let leadership = Leadership::always();
        assert!(leadership.leads().await && leadership.may_act());
    }

    #[tokio::test]
    async fn a_follower_knows_where_the_leader_is() {
        let (announcer, leadership) = Leadership::undecided();
        announcer.following(Some("https://other:8090".into()));
        assert_eq!(
            leadership.standing(),
            Standing::Following { leader_url: Some("https://other:8090".into()) }
        );
        drop(announcer);
        assert!(!leadership.leads().await, "who announces nothing more never makes a leader");
    }
}
