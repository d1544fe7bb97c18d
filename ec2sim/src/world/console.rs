//! What an instance wrote to its console, and what of it was posted.

use jiff::Timestamp;
use std::collections::VecDeque;

/// Longest output that is kept and answered, in bytes.
///
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetConsoleOutput.html>
const MAX: usize = 64 * 1024;

/// The end of a console's text.
#[derive(Clone, Debug, Default)]
pub struct Console {
    lines: VecDeque<(Timestamp, String)>,
    bytes: usize,
}

impl Console {
    /// Adds text as it came.
    pub fn write(&mut self, text: &str, now: Timestamp) {
        self.bytes += text.len();
        self.lines.push_back((now, text.to_owned()));
        while self.bytes > MAX {
            let Some((at, line)) = self.lines.pop_front() else { break };
            self.bytes -= line.len();
            let over = (self.bytes + line.len()).saturating_sub(MAX);
            let cut = (over..=line.len()).find(|i| line.is_char_boundary(*i)).unwrap_or(line.len());
            if cut < line.len() {
                self.bytes += line.len() - cut;
                self.lines.push_front((at, line[cut..].to_owned()));
                break;
            }
        }
    }

    /// What was written until then, and when the last of it was.
    pub fn read(&self, until: Timestamp) -> (String, Option<Timestamp>) {
        let mut seen = self.lines.iter().take_while(|(at, _)| *at <= until);
        let mut text = String::new();
        let last = seen.by_ref().fold(None, |_, (at, line)| {
            text.push_str(line);
            Some(*at)
        });
        (text, last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::settings::later;

    #[test]
    fn only_the_last_64_kilobytes_are_kept() {
        let (mut console, now) = (Console::default(), Timestamp::UNIX_EPOCH);
        console.write(&"a".repeat(40_000), now);
        console.write(&"b".repeat(40_000), now);
        let (text, _) = console.read(now);
        assert_eq!(text.len(), MAX);
        assert!(text.starts_with('a') && text.ends_with('b'));
        console.write(&"ä".repeat(40_000), now);
        let (text, _) = console.read(now);
        assert!(text.len() <= MAX && text.len() > MAX - 2 && text.starts_with('ä'));
    }

    #[test]
    fn what_is_not_posted_is_not_shown() {
        let (mut console, start) = (Console::default(), Timestamp::UNIX_EPOCH);
        console.write("early\n", start);
        console.write("late\n", later(start, 5_000));
        assert_eq!(console.read(later(start, 4_999)), ("early\n".to_owned(), Some(start)));
        assert_eq!(console.read(later(start, 5_000)).0, "early\nlate\n");
    }
}
