//! Names: from free text to DNS labels that are unique and short enough. Pure.

use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// A member's Workspace is named `<team>-<member>` and has at most 63 characters.
const MAX_TOGETHER: usize = 62;
/// What a Team's name may have, so that something is left for its members.
pub const MAX_TEAM: usize = 40;
/// The longest DNS label.
pub const MAX_LABEL: usize = 63;

/// Letters that have no form in ASCII of their own, with what they are written as.
const LATIN: &[(&str, &str)] = &[
    ("àáâãåāăą", "a"),
    ("äæ", "ae"),
    ("çćĉċč", "c"),
    ("ðďđ", "d"),
    ("èéêëēĕėęě", "e"),
    ("ĝğġģ", "g"),
    ("ĥħ", "h"),
    ("ìíîïĩīĭįı", "i"),
    ("ĵ", "j"),
    ("ķ", "k"),
    ("ĺļľŀł", "l"),
    ("ñńņňŋ", "n"),
    ("òóôõōŏő", "o"),
    ("öøœ", "oe"),
    ("ŕŗř", "r"),
    ("śŝşšș", "s"),
    ("ß", "ss"),
    ("ţťŧț", "t"),
    ("þ", "th"),
    ("ùúûũūŭůűų", "u"),
    ("ü", "ue"),
    ("ŵ", "w"),
    ("ýÿŷ", "y"),
    ("źżž", "z"),
];

/// Whether a text is a DNS label of at most so many characters.
pub fn is_label(text: &str, most: usize) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty()
        && text.len() <= most
        && text.chars().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// The name of a Team from free text.
pub fn team(text: &str) -> String {
    cut(&label(text, "team"), MAX_TEAM).to_owned()
}

/// The names of a Team's members, in the order of their free texts.
///
/// The first of a name has it without a number, so that one who joins later renames nobody.
pub fn members(team: &str, texts: &[&str]) -> Vec<String> {
    let most = MAX_TOGETHER.saturating_sub(team.len());
    let wanted: Vec<String> = texts.iter().map(|text| cut(&label(text, "member"), most).to_owned()).collect();
    let reserved: BTreeSet<&str> = wanted.iter().map(String::as_str).collect();
    let mut given: BTreeSet<String> = BTreeSet::new();
    let mut names = Vec::new();
    for base in &wanted {
        let mut name = base.clone();
        let mut number = 1;
        while given.contains(&name) || (number > 1 && reserved.contains(name.as_str())) {
            number += 1;
            let suffix = format!("-{number}");
            name = format!("{}{suffix}", cut(base, most.saturating_sub(suffix.len())));
        }
        given.insert(name.clone());
        names.push(name);
    }
    names
}

/// A DNS label of any length. A text without a letter that ASCII can stand for gets one by its hash: unlike
/// a number, that does not change when somebody else joins.
fn label(text: &str, kind: &str) -> String {
    let mut label = String::new();
    for c in text.chars().flat_map(char::to_lowercase) {
        match ascii(c) {
            Some(letters) => label.push_str(letters.as_str()),
            None if is_mark(c) => {}
            None if label.is_empty() || label.ends_with('-') => {}
            None => label.push('-'),
        }
    }
    label.truncate(label.trim_end_matches('-').len());
    if label.is_empty() {
        let hash = data_encoding::HEXLOWER.encode(&Sha256::digest(text)[..3]);
        return format!("{kind}-{hash}");
    }
    label
}

/// The ASCII letters of a lower-case letter.
fn ascii(c: char) -> Option<String> {
    if c.is_ascii_lowercase() || c.is_ascii_digit() {
        return Some(c.to_string());
    }
    LATIN.iter().find(|(letters, _)| letters.contains(c)).map(|(_, written)| (*written).to_owned())
}

/// Marks that stand over or in a word without parting it: combining accents, joiners and apostrophes.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{200b}'..='\u{200d}' | '\u{ad}' | '\'' | '\u{2019}')
}

/// The start of a label, still a label.
fn cut(label: &str, most: usize) -> &str {
    label[..label.len().min(most)].trim_end_matches('-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::names::child;
    use proptest::prelude::*;

    #[test]
    fn free_text_becomes_a_label() {
        let table = [
            ("A11y + SEO Auditor", "a11y-seo-auditor"),
            ("UX Researcher", "ux-researcher"),
            ("  (R&D)  Lead!  ", "r-d-lead"),
            ("Büro für Gestaltung", "buero-fuer-gestaltung"),
            ("Señor Façade Łódź", "senor-facade-lodz"),
            // An accent of its own, as some keyboards write it.
            ("cafe\u{301} manager", "cafe-manager"),
            ("Director's Cut", "directors-cut"),
            ("ENGINEER", "engineer"),
            ("PM 🚀", "pm"),
        ];
        for (text, name) in table {
            assert_eq!(members("t", &[text]), [name], "{text}");
        }
    }

    #[test]
    fn a_name_without_latin_letters_keeps_its_label_whoever_joins() {
        let alone = members("t", &["设计师"]);
        assert!(alone[0].starts_with("member-") && alone[0].len() == 13, "{alone:?}");
        let joined = members("t", &["工程师", "设计师", "🚀"]);
        assert_eq!(joined[1], alone[0]);
        assert!(joined[0] != joined[1] && joined[1] != joined[2], "{joined:?}");
    }

    #[test]
    fn the_same_name_again_gets_a_number_that_nobody_else_has() {
        let texts = ["Engineer", "Engineer", "Engineer 2", "engineer!", "Engineer 2"];
        let names = ["engineer", "engineer-3", "engineer-2", "engineer-4", "engineer-2-2"];
        assert_eq!(members("t", &texts), names);
    }

    #[test]
    fn long_names_are_cut_to_what_the_api_takes() {
        let long = "x".repeat(70);
        let names = members("design-studio", &[&long, &long]);
        assert_eq!(names[0], "x".repeat(49));
        assert_eq!(names[1], format!("{}-2", "x".repeat(47)));
        assert_eq!(child("design-studio", &names[1]).len(), 63);
        assert_eq!(team(&long).len(), MAX_TEAM);
        // The cut does not leave a dash at the end.
        assert_eq!(team(&format!("{} b", "x".repeat(39))), "x".repeat(39));
    }

    proptest! {
        #[test]
        fn names_are_unique_valid_and_the_same_each_time(
            team_text in "\\PC{0,60}",
            texts in proptest::collection::vec("(\\PC{0,80}|[a-b]{1,2}( [1-3])?|x{60,64})", 1..40),
        ) {
            let team = team(&team_text);
            prop_assert!(is_label(&team, MAX_TEAM), "{team}");
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let names = members(&team, &texts);
            prop_assert_eq!(names.len(), texts.len());
            for name in &names {
                prop_assert!(is_label(name, 61), "{name}");
                prop_assert!(is_label(&child(&team, name), MAX_LABEL), "{name}");
            }
            let unique: BTreeSet<&String> = names.iter().collect();
            prop_assert_eq!(unique.len(), names.len(), "{:?}", names);
            prop_assert_eq!(&names, &members(&team, &texts));
        }

        /// Who joins at the end renames nobody whose name they do not share.
        #[test]
        fn who_joins_renames_nobody(
            texts in proptest::collection::vec("[a-c]{1,3}", 1..20),
            joiner in "[d-e]{1,3}",
        ) {
            let before: Vec<&str> = texts.iter().map(String::as_str).collect();
            let mut after = before.clone();
            after.insert(0, &joiner);
            prop_assert_eq!(&members("t", &after)[1..], &members("t", &before)[..]);
        }
    }
}
