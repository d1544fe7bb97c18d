//! The last bytes of a stream of output.

use std::collections::VecDeque;

/// Keeps the last `limit` bytes of what was pushed.
#[derive(Debug)]
pub(crate) struct Tail {
    limit: usize,
    bytes: VecDeque<u8>,
}

impl Tail {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, bytes: VecDeque::with_capacity(limit) }
    }

    pub(crate) fn push(&mut self, chunk: &[u8]) {
        let chunk = &chunk[chunk.len().saturating_sub(self.limit)..];
        let excess = (self.bytes.len() + chunk.len()).saturating_sub(self.limit);
        self.bytes.drain(..excess);
        self.bytes.extend(chunk);
    }

    /// What is kept, as text of at most `limit` bytes. Invalid bytes show as U+FFFD; since that is
    /// longer than what it stands for, the text is cut once more at the front.
    pub(crate) fn text(&self) -> String {
        let (front, back) = self.bytes.as_slices();
        let bytes = [front, back].concat();
        // A cut may have left the rest of a character, which is at most three bytes.
        let rest = bytes.iter().take(3).take_while(|byte| (0x80..0xC0).contains(*byte)).count();
        let text = String::from_utf8_lossy(&bytes[rest..]);
        let excess = text.len().saturating_sub(self.limit);
        let start = (excess..=text.len()).find(|index| text.is_char_boundary(*index));
        start.map_or_else(String::new, |start| text[start..].to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(limit: usize, chunks: &[&[u8]]) -> String {
        let mut tail = Tail::new(limit);
        for chunk in chunks {
            tail.push(chunk);
        }
        tail.text()
    }

    #[test]
    fn short_output_is_kept_whole() {
        assert_eq!(tail(8, &[]), "");
        assert_eq!(tail(8, &[b"abc", b"", b"de"]), "abcde");
        assert_eq!(tail(8, &[b"12345678"]), "12345678");
    }

    #[test]
    fn of_long_output_the_end_is_kept() {
        assert_eq!(tail(8, &[b"0123456789"]), "23456789");
        assert_eq!(tail(8, &[b"012345", b"6789"]), "23456789");
        assert_eq!(tail(4, &[b"a", b"b", b"c", b"d", b"e", b"f"]), "cdef");
    }

    #[test]
    fn a_character_cut_in_two_is_left_out() {
        assert_eq!(tail(4, &["é12345".as_bytes()]), "2345");
        assert_eq!(tail(3, &["aé1".as_bytes()]), "é1");
        assert_eq!(tail(2, &["aé1".as_bytes()]), "1");
        assert_eq!(tail(4, &["𝄞x".as_bytes()]), "x");
    }

    #[test]
    fn invalid_bytes_never_make_it_longer_than_the_limit() {
        let text = tail(16, &[&[0xFF; 64], b"end"]);
        assert!(text.len() <= 16 && text.ends_with("\u{FFFD}end"), "{text:?}");
    }
}
