//! What of an agent has been shown, and whether it is time to show more: what bounds an agent's writes.

use super::agent::Hearing;
use super::{ExitSeen, Link};
use k8s_openapi::jiff::Timestamp;

/// Everything about an agent that it can change again and again, and that changes what status says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    pub link: Link,
    pub exit: Option<ExitSeen>,
    pub rejected: Option<String>,
    pub failed_stages: usize,
}

/// The news as the last look saw it.
#[derive(Clone, Debug)]
pub struct Shown {
    news: News,
    /// When the agent last made it change.
    at: Option<Timestamp>,
    /// The box's life has changed since the last look: what is shown is of another one.
    is_of_former_life: bool,
    /// A connection of this life has been shown.
    was_connected: bool,
    /// A wake was sent, and nobody has looked since.
    is_woken: bool,
}

impl Default for Shown {
    fn default() -> Self {
        let news = News { link: Link::TooEarly, exit: None, rejected: None, failed_stages: 0 };
        Self { news, at: None, is_of_former_life: false, was_connected: false, is_woken: false }
    }
}

impl Shown {
    /// The backend showed that the box was started or stopped.
    pub fn new_life(&mut self) {
        self.is_of_former_life = true;
        self.was_connected = false;
    }

    /// A look: the news if it is time for them, else what the last look saw.
    pub fn look(&mut self, live: News, hearing: Hearing) -> &News {
        if self.is_time_for(&live, hearing) {
            let is_news_of_the_box = self.is_of_former_life && !is_up(&live.link);
            self.at = Some(hearing.now).filter(|_| !is_news_of_the_box);
            self.was_connected |= is_up(&live.link);
            self.news = live;
        }
        self.is_of_former_life = false;
        self.is_woken = false;
        &self.news
    }

    /// Whether somebody should look now. Says so once until somebody did.
    pub fn wakes(&mut self, live: &News, hearing: Hearing) -> bool {
        let wakes = !self.is_woken && self.is_time_for(live, hearing);
        self.is_woken |= wakes;
        wakes
    }

    fn is_time_for(&self, live: &News, hearing: Hearing) -> bool {
        if *live == self.news {
            return false;
        }
        let is_first_connection = is_up(&live.link) && !self.was_connected;
        let is_end_of_link = !is_up(&live.link) && live.link != self.news.link;
        let is_quiet_over = self.at.is_none_or(|at| hearing.now.duration_since(at) >= hearing.quiet);
        self.is_of_former_life || is_first_connection || is_end_of_link || is_quiet_over
    }
}

fn is_up(link: &Link) -> bool {
    matches!(link, Link::Connected { .. } | Link::Wedged { .. })
}
