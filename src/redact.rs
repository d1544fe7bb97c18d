//! Takes what looks like a secret out of what a box printed. Pure.
//!
//! By shape, since the values are not known here: it would rather take too much than too little, and is a second
//! line of defence. The first is that nothing secret but a short-lived token is in user-data.

use atelier_wire::control_plane::CONSOLE_MAX_BYTES;
use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD};
use std::ops::Range;

const MARK: &str = "[redacted]";
/// What is in the name of a variable or field whose value is a secret.
const SECRET_NAMES: [&str; 8] =
    ["TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIAL", "COOKIE", "SIGNATURE"];
/// How the keys of well-known services begin.
const KEY_PREFIXES: [&str; 10] =
    ["sk-", "ghp_", "gho_", "ghs_", "github_pat_", "glpat-", "xoxb-", "xoxp-", "xapp-", "hf_"];
/// The shortest text that is tried as base64.
const BASE64_MIN: usize = 16;
/// A line of at least this length may have been broken by a terminal, in the middle of a word.
const BROKEN_LINE_MIN: usize = 60;

/// The last lines of a console, at most 256 KiB, without control characters and without what looks secret.
pub fn console(text: &str) -> String {
    let clean: String = text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
    let redacted = redact(&clean);
    if redacted.len() <= CONSOLE_MAX_BYTES {
        return redacted;
    }
    let cut = redacted.ceil_char_boundary(redacted.len() - CONSOLE_MAX_BYTES);
    let tail = &redacted[cut..];
    // Not from the middle of a line.
    tail.split_once('\n').map_or(tail, |(_, rest)| rest).to_owned()
}

/// A text without what looks secret.
pub fn redact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_key = false;
    let mut goes_on = false;
    for (index, line) in text.split('\n').enumerate() {
        if index > 0 {
            out.push('\n');
        }
        if line.contains("-----BEGIN") && line.contains("PRIVATE KEY") {
            in_key = true;
        }
        if in_key {
            in_key = !line.contains("-----END");
            out.push_str(MARK);
            continue;
        }
        let mut secret = secrets(line, 0);
        if goes_on && let Some(rest) = continuation(line) {
            secret.push(rest);
        }
        let (line, ends_in_secret) = without(line, secret);
        goes_on = ends_in_secret;
        out.push_str(&line);
    }
    out
}

/// The first word of a line, where the line before ended within a secret.
fn continuation(line: &str) -> Option<Range<usize>> {
    let end = line.find(|c: char| !is_token(c)).unwrap_or(line.len());
    (end >= 4).then_some(0..end)
}

/// A line with these parts replaced, and whether it may have been broken within one of them.
fn without(line: &str, mut parts: Vec<Range<usize>>) -> (String, bool) {
    parts.sort_by_key(|part| part.start);
    let mut out = String::with_capacity(line.len());
    let mut at = 0;
    for part in parts {
        if part.end <= at {
            continue;
        }
        if part.start >= at {
            out.push_str(&line[at..part.start]);
            out.push_str(MARK);
        }
        at = part.end;
    }
    out.push_str(&line[at..]);
    (out, at == line.len() && line.len() >= BROKEN_LINE_MIN)
}

fn secrets(line: &str, depth: u8) -> Vec<Range<usize>> {
    let mut found = assigned(line);
    found.extend(after_scheme(line));
    found.extend(user_info(line));
    found.extend(words(line).filter(|word| is_secret(&line[word.clone()], depth)));
    found
}

/// A character that can stand in a token.
fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '~' | '+' | '/' | '=' | '-')
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let name = name.trim_end_matches(['-', '.']);
    name.ends_with("KEY") || name.ends_with("_PASS") || SECRET_NAMES.iter().any(|word| name.contains(word))
}

/// The values of `NAME=value`, `"name": "value"` and the like, also URL-encoded and with escaped quotes.
fn assigned(line: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut done = 0;
    for (at, c) in line.char_indices() {
        // What stands in a value that is taken out is taken out with it; to look again would take for ever.
        if at < done {
            continue;
        }
        let length = match c {
            '=' | ':' => 1,
            '%' if ["%3D", "%3d", "%3A", "%3a"].iter().any(|code| line[at..].starts_with(code)) => 3,
            _ => continue,
        };
        let before = line[..at].trim_end_matches(['"', '\'', '\\', ' ']);
        let name = before
            .rfind(|c| !is_name(c))
            .map_or(before, |end| &before[end + before[end..].chars().next().map_or(1, char::len_utf8)..]);
        if !is_secret_name(name) {
            continue;
        }
        let value = &line[at + length..];
        let inner = value.trim_start_matches([' ', '\t', '\\', '=', '>']);
        let quote = inner.chars().next().filter(|c| matches!(c, '"' | '\''));
        let inner = inner.trim_start_matches(['"', '\'']);
        let start = line.len() - inner.len();
        let length = match quote {
            Some(quote) => inner.find(quote),
            None => inner.find([' ', '\t', ',', ';', '&', '"', '\'', '\\', ')', '}']),
        };
        let end = start + length.unwrap_or(inner.len());
        if end > start {
            found.push(start..end);
            done = end;
        }
    }
    found
}

/// What follows `Bearer` or `Basic`.
fn after_scheme(line: &str) -> Vec<Range<usize>> {
    let lower = line.to_ascii_lowercase();
    let mut found = Vec::new();
    for scheme in ["bearer", "basic"] {
        for (at, _) in lower.match_indices(scheme) {
            let rest = &line[at + scheme.len()..];
            let value = rest.trim_start_matches([' ', '+']);
            let value = value.strip_prefix("%20").unwrap_or(value);
            if value.len() == rest.len() {
                continue;
            }
            let start = line.len() - value.len();
            let length = value.find(|c| !is_token(c)).unwrap_or(value.len());
            if length >= 8 {
                found.push(start..start + length);
            }
        }
    }
    found
}

/// The password in `scheme://user:password@host`.
fn user_info(line: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for (at, marker) in line.match_indices("://") {
        let start = at + marker.len();
        let rest = &line[start..];
        let authority = &rest[..rest.find(['/', ' ', '"', '\'', '?', '#']).unwrap_or(rest.len())];
        if let Some((user, _)) = authority.rsplit_once('@')
            && let Some((name, _)) = user.split_once(':')
        {
            found.push(start + name.len() + 1..start + user.len());
        }
    }
    found
}

/// The runs of characters that can stand in a token.
fn words(line: &str) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + line[at..].find(is_token)?;
        let end = line[start..].find(|c| !is_token(c)).map_or(line.len(), |length| start + length);
        at = end;
        Some(start..end)
    })
}

fn is_secret(word: &str, depth: u8) -> bool {
    let bare = word.rsplit_once('=').map_or(word, |(_, value)| value);
    [word, bare].into_iter().any(|word| is_our_token(word) || is_jwt(word) || is_service_key(word))
        || is_aws_key(word)
        || (depth < 2 && is_encoded_secret(word.trim_matches(['=', '.', '/']), depth))
}

/// A token of ours: version, key id, purpose, uid, attempt, MAC; also with its end cut off.
fn is_our_token(word: &str) -> bool {
    word.find("v1.").is_some_and(|at| word[at..].matches('.').count() >= 3 && word.len() >= 40)
}

fn is_jwt(word: &str) -> bool {
    word.starts_with("eyJ") && word.matches('.').count() == 2
}

fn is_service_key(word: &str) -> bool {
    word.len() >= 16 && KEY_PREFIXES.iter().any(|prefix| word.starts_with(prefix))
}

/// An access key id, or what has the shape of a secret access key.
fn is_aws_key(word: &str) -> bool {
    let id = |part: &str| {
        part.len() == 20
            && (part.starts_with("AKIA") || part.starts_with("ASIA"))
            && part.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
    };
    let secret = |part: &str| {
        part.len() == 40
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'+'))
            && part.bytes().any(|b| b.is_ascii_uppercase())
            && part.bytes().any(|b| b.is_ascii_lowercase())
            && part.bytes().any(|b| b.is_ascii_digit())
    };
    word.split(|c: char| !c.is_ascii_alphanumeric()).any(id) || word.split(['=', '.']).any(secret)
}

/// Base64 of a text in which there is something secret.
fn is_encoded_secret(word: &str, depth: u8) -> bool {
    if word.len() < BASE64_MIN {
        return false;
    }
    // What was cut off at the end is left out: four characters are three bytes.
    let whole = &word[..word.len() / 4 * 4];
    let decoded = [word, whole].into_iter().find_map(|text| {
        let bytes = text.as_bytes();
        BASE64_NOPAD.decode(bytes).or_else(|_| BASE64URL_NOPAD.decode(bytes)).ok()
    });
    let Some(text) = decoded.and_then(|bytes| String::from_utf8(bytes).ok()) else { return false };
    text.lines().any(|line| !secrets(line, depth + 1).is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::BASE64;
    use proptest::prelude::*;

    const OURS: &str =
        "v1.k1.workspace.0f8fad5b-d9cb-469f-a165-70867728950e.3.hCoXRPr3CqyCZl04v3p7DIR24FOA9pt6tSKHlDq5JEQ";

    #[test]
    fn what_looks_secret_is_taken_out() {
        let ours64 = BASE64.encode(OURS.as_bytes());
        let env64 = BASE64.encode(b"HOME=/root\nMY_TOKEN=hunter2-hunter2\n");
        for (line, hidden) in [
            ("Authorization: Bearer abcdefgh12345678", "abcdefgh12345678"),
            ("authorization%3A%20Bearer%20abcdefgh12345678 x", "abcdefgh12345678"),
            (&format!("curl -H x {OURS} y"), OURS),
            (&format!("url?t={OURS}&x=1"), "hCoXRPr3"),
            (&format!("echo {ours64} done"), &ours64),
            (&format!("data: {env64}"), &env64),
            ("export API_KEY='it is s3cret' # note", "s3cret"),
            ("MY_TOKEN=hunter2", "hunter2"),
            ("{\"client_secret\": \"hunter2\", \"a\": 1}", "hunter2"),
            ("{\\\"client_secret\\\":\\\"hunter2\\\",\\\"a\\\":1}", "hunter2"),
            ("password: hunter2", "hunter2"),
            ("DB_PASSWORD%3Dhunter2%26x", "hunter2"),
            ("?token=hunter2&next=1", "hunter2"),
            ("AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
            ("id=ASIAIOSFODNN7EXAMPLE;", "ASIAIOSFODNN7EXAMPLE"),
            ("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKE1", "wJalrXUtnFEMI"),
            ("using sk-abcdefghijklmnop1234", "sk-abcdefghijklmnop1234"),
            ("clone https://me:hunter2@example.com/x", "hunter2"),
            ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc", "eyJhbGciOiJIUzI1NiJ9"),
        ] {
            let redacted = redact(line);
            assert!(!redacted.contains(hidden), "{line}\n{redacted}");
            assert!(redacted.contains(MARK), "{line}\n{redacted}");
        }
    }

    #[test]
    fn what_tells_what_happened_stays() {
        for line in [
            "[   12.345678] cloud-init[1234]: Cloud-init v. 23.1 running 'modules:final'",
            "Unable to find image 'example.com/agent:1.2.3@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08' locally",
            "atelier: stage engine-ready ok",
            "docker: Error response from daemon: manifest unknown.",
            "/usr/lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.34' not found",
            "commit 2fd4e1c67a2d28fced849ee1bb76e7391b93eb12",
            "uid 0f8fad5b-d9cb-469f-a165-70867728950e attempt 3",
            "http://10.0.0.1:8090/registry/bundle 403",
            "2026-01-01T00:00:00Z keyboard: none; monkeys: 3",
        ] {
            assert_eq!(redact(line), line);
        }
    }

    #[test]
    fn a_private_key_is_taken_out_with_all_its_lines() {
        let text = "a\n-----BEGIN RSA PRIVATE KEY-----\nMIIB\nAAAA\n-----END RSA PRIVATE KEY-----\nb";
        assert_eq!(redact(text), format!("a\n{MARK}\n{MARK}\n{MARK}\n{MARK}\nb"));
    }

    #[test]
    fn a_token_that_a_terminal_broke_is_taken_out_on_both_lines() {
        for at in 50..OURS.len() - 4 {
            let (one, two) = OURS.split_at(at);
            let redacted = redact(&format!("fetching with {one}\n{two} and more"));
            assert!(!redacted.contains(two) && !redacted.contains(&one[20..]), "{at}: {redacted}");
            assert!(redacted.ends_with("and more"));
        }
    }

    #[test]
    fn only_the_last_lines_are_kept_and_no_control_characters() {
        assert_eq!(console("a\x1b[31mb\r\n\0c\td"), "a[31mb\nc\td");
        let long = "a line that is long enough\n".repeat(20_000);
        let kept = console(&long);
        assert!(kept.len() <= CONSOLE_MAX_BYTES && kept.starts_with("a line that"));
        let wide = "ä".repeat(CONSOLE_MAX_BYTES);
        assert!(console(&wide).len() <= CONSOLE_MAX_BYTES);
    }

    #[test]
    fn what_a_box_writes_cannot_keep_us_busy() {
        for part in ["key=", "token: ", "bearer ", "://a:b@", "v1.", "a=\"", "eyJ.", "%3D", "KEY='"] {
            let line = part.repeat(64 * 1024 / part.len());
            assert!(console(&line).len() <= CONSOLE_MAX_BYTES);
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(?s).{0,200}") {
            console(&text);
        }

        #[test]
        fn a_token_is_found_wherever_it_stands(before in "[ -~]{0,40}", after in "[ -~]{0,40}") {
            let redacted = redact(&format!("{before} {OURS} {after}"));
            prop_assert!(!redacted.contains("hCoXRPr3CqyCZl04v3p7DIR24FOA9pt6tSKHlDq5JEQ"));
        }
    }
}
