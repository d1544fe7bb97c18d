//! The control plane and EC2: what a launch call does there, and what a list shows.

use super::state::{Instance, LAG, Life, Message, Request, Role, State, Wrong};
use super::tables::Listing;

/// What EC2 answers a launch call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Answer {
    /// The instance of the token.
    Instance(u8),
    /// The instance of the token has ended.
    Ended,
    /// There is no capacity for what was asked.
    Short,
}

impl State {
    /// EC2 carries out a launch call of an attempt. The token is the attempt's, and has one instance in its life.
    pub(super) fn launch(&mut self, attempt: u8, request: Request, is_short: bool) -> Answer {
        let known = self.all().find(|(_, instance)| instance.attempt == attempt);
        if let Some((n, instance)) = known {
            if instance.request != request {
                self.wrong = Some(Wrong::Mismatched);
            }
            return if instance.is_live() { Answer::Instance(n) } else { Answer::Ended };
        }
        if is_short {
            self.left.shortages -= 1;
            return Answer::Short;
        }
        if self.object.is_none() {
            self.wrong = Some(Wrong::Orphaned);
        } else if self.live().next().is_some() {
            self.wrong = Some(Wrong::Doubled);
        }
        let free = self.instances.iter().position(Option::is_none).expect("a bound on attempts keeps it");
        self.instances[free] = Some(Instance { attempt, request, life: Life::Running, made: 0, changed: 0 });
        let live = |state: &Self| state.live().filter(|(_, i)| i.attempt == attempt).count();
        if live(self) > 1 {
            self.wrong = Some(Wrong::DoubledAttempt);
        }
        Answer::Instance(u8::try_from(free).unwrap())
    }

    /// Whether EC2 might refuse this launch for want of capacity.
    pub(super) fn may_be_short(&self, attempt: u8) -> bool {
        self.left.shortages > 0 && !self.all().any(|(_, instance)| instance.attempt == attempt)
    }

    /// Takes a call off the way.
    pub(super) fn take_message(&mut self, n: usize) -> Message {
        let message = self.messages[n].take().expect("one that is there");
        self.tidy();
        message
    }

    /// Nobody waits any more for the answer to this process.
    pub(super) fn abandon(&mut self, role: Role) {
        for message in self.messages.iter_mut().flatten().filter(|m| m.from == Some(role)) {
            message.from = None;
        }
        self.tidy();
    }

    pub(super) fn end(&mut self, n: u8, life: Life) {
        if let Some(instance) = &mut self.instances[usize::from(n)] {
            instance.life = life;
            instance.changed = 0;
            // That it may not be listed yet is told by an instance that runs.
            instance.made = LAG + 1;
        }
    }

    /// Every list that EC2 may show now.
    pub(super) fn listings(&self) -> Vec<Listing> {
        let mut listings = vec![Listing::default()];
        for (n, instance) in self.all() {
            let shown = instance.shown();
            listings = listings
                .iter()
                .flat_map(|listing| {
                    shown.iter().map(move |life| {
                        let mut listing = *listing;
                        listing[usize::from(n)] = life.map(|life| (instance.attempt, life));
                        listing
                    })
                })
                .collect();
        }
        listings
    }

    /// The list that is up to date.
    pub(super) fn listing(&self) -> Listing {
        let mut listing = Listing::default();
        for (n, instance) in self.all().filter(|(_, i)| i.life != Life::Forgotten) {
            listing[usize::from(n)] = Some((instance.attempt, instance.life));
        }
        listing
    }
}

impl Instance {
    /// How it may be shown: lists are behind by a while.
    pub(super) fn shown(self) -> Vec<Option<Life>> {
        if self.life == Life::Forgotten {
            return vec![None];
        }
        let mut shown = vec![Some(self.life)];
        if self.made <= LAG {
            shown.push(None);
        }
        if self.life != Life::Running && self.changed <= LAG {
            shown.push(Some(Life::Running));
        }
        shown
    }
}
