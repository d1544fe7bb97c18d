//! What agents say, made fit to be kept and shown: no control characters, and never longer than its cap.

use crate::api::condition::truncate;
use crate::redact::redact;
use atelier_wire::{AgentCard, AgentSkill, CARD_MAX_BYTES, LOG_TAIL_MAX_BYTES};
use serde::Serialize;

/// The longest sentence of an agent that is kept, in bytes.
pub const SENTENCE_MAX_BYTES: usize = 512;
/// The longest name, version or url.
const NAME_MAX_BYTES: usize = 253;
/// The longest description.
const DESCRIPTION_MAX_BYTES: usize = 1_024;
/// How many tags of a skill are kept.
const TAGS_MAX: usize = 16;

/// One line of text: what is no printable character becomes a space.
pub fn line(text: &str, max_bytes: usize) -> String {
    let cleaned: String = text.chars().map(|c| if is_control(c) { ' ' } else { c }).collect();
    truncate(cleaned.trim().to_owned(), max_bytes)
}

/// The end of a log: lines stay lines; everything else that is not printable goes, and what looks like a secret.
pub fn tail(text: &str) -> String {
    const MARK: &str = "…";
    let cleaned: String = text.chars().filter(|c| matches!(c, '\n' | '\t') || !is_control(*c)).collect();
    let cleaned = redact(cleaned.trim_end());
    if cleaned.len() <= LOG_TAIL_MAX_BYTES {
        return cleaned;
    }
    let mut from = cleaned.len() - (LOG_TAIL_MAX_BYTES - MARK.len());
    while !cleaned.is_char_boundary(from) {
        from += 1;
    }
    format!("{MARK}{}", &cleaned[from..])
}

/// A card of an agent that listens at `url`. One that is too long loses skills from its end: an agent
/// registers once and does not read the answer, so refusing it would lose the agent.
pub fn card(card: &AgentCard, url: &str) -> AgentCard {
    let mut kept = AgentCard {
        name: line(&card.name, NAME_MAX_BYTES),
        description: line(&card.description, DESCRIPTION_MAX_BYTES),
        version: line(&card.version, NAME_MAX_BYTES),
        url: url.to_owned(),
        skills: Vec::new(),
        capabilities: card.capabilities,
    };
    let mut left = CARD_MAX_BYTES.saturating_sub(json_bytes(&kept));
    for skill in card.skills.iter().map(skill) {
        // One more for the comma.
        let Some(rest) = left.checked_sub(json_bytes(&skill) + 1) else { break };
        left = rest;
        kept.skills.push(skill);
    }
    kept
}

fn json_bytes(value: &impl Serialize) -> usize {
    serde_json::to_string(value).map_or(usize::MAX / 2, |json| json.len())
}

fn skill(skill: &AgentSkill) -> AgentSkill {
    AgentSkill {
        id: line(&skill.id, NAME_MAX_BYTES),
        name: line(&skill.name, NAME_MAX_BYTES),
        description: line(&skill.description, DESCRIPTION_MAX_BYTES),
        tags: skill.tags.iter().take(TAGS_MAX).map(|tag| line(tag, NAME_MAX_BYTES)).collect(),
    }
}

/// Control characters, and those that turn the direction of a text or break its lines: a terminal must show
/// what stands there.
fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_stays_one_line() {
        assert_eq!(line("\u{1b}[31mred\r\nalert\u{202e}\0 ", 100), "[31mred  alert");
        assert_eq!(line("äöü", 5), "ä…");
    }

    #[test]
    fn a_tail_keeps_the_end() {
        assert_eq!(tail("one\n\ttwo\u{7}\r\n\n"), "one\n\ttwo");
        assert_eq!(tail("no answer\nMODEL_API_TOKEN=hush-hush\n"), "no answer\nMODEL_API_TOKEN=[redacted]");
        let long = format!("{}end", "ä".repeat(LOG_TAIL_MAX_BYTES));
        let kept = tail(&long);
        assert!(kept.starts_with("…ä") && kept.ends_with("äend"), "{kept}");
        assert!(kept.len() <= LOG_TAIL_MAX_BYTES && kept.len() > LOG_TAIL_MAX_BYTES - 4, "{}", kept.len());
    }

    #[test]
    fn a_card_that_is_too_long_loses_skills_and_keeps_its_name() {
        let skill = AgentSkill { id: "s".into(), description: "d".repeat(5_000), ..AgentSkill::default() };
        let long = AgentCard {
            name: "N".into(),
            url: "http://elsewhere".into(),
            skills: vec![skill; 50],
            ..AgentCard::default()
        };
        let kept = card(&long, "http://here:8000");
        assert_eq!((kept.name.as_str(), kept.url.as_str()), ("N", "http://here:8000"));
        assert!(!kept.skills.is_empty());
        assert!(serde_json::to_string(&kept).unwrap().len() <= CARD_MAX_BYTES);
    }

    proptest! {
        #[test]
        fn whatever_is_said_is_clean_and_short(said in "\\PC*|[\u{0}-\u{2100}]*", max in 3usize..300) {
            let kept = line(&said, max);
            prop_assert!(kept.len() <= max && !kept.chars().any(is_control));
            let kept = tail(&said);
            prop_assert!(kept.len() <= LOG_TAIL_MAX_BYTES);
            prop_assert!(!kept.chars().any(|c| is_control(c) && c != '\n' && c != '\t'));
        }

        #[test]
        fn every_card_is_kept_within_its_cap(name in "\\PC{0,300}", text in "[\"\\\\\u{1}äz]{0,1200}", skills in 0usize..40) {
            let skill = AgentSkill {
                id: text.clone(), name: text.clone(), description: text.clone(), tags: vec![text.clone(); 30],
            };
            let said = AgentCard { name, description: text.clone(), version: text, skills: vec![skill; skills], ..AgentCard::default() };
            let kept = card(&said, "http://here:8000");
            prop_assert!(serde_json::to_string(&kept).unwrap().len() <= CARD_MAX_BYTES);
        }
    }
}
