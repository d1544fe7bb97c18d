//! `.env` files: which files hold secrets, and the variables in one. Pure.

use super::findings::{Findings, Spot};
use std::collections::BTreeMap;
use std::path::Path;

/// Whether a file is one that people keep secrets in. Its content never stands in a ConfigMap or a Team.
pub fn is_env_file(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    matches!(&*name, ".env" | ".envrc") || name.starts_with(".env.") || name.ends_with(".env")
}

/// The variables of a `.env` file. What is no variable is warned of by its line, without a word of what it
/// says.
pub fn variables(file: &str, text: &str, findings: &Findings) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let at = Spot { file: file.into(), line: index + 1, key: String::new() };
        let line = line.strip_prefix("export ").unwrap_or(line);
        match line.split_once('=').map(|(name, value)| (name.trim(), unquoted(value.trim()))) {
            Some((name, value)) if is_variable(name) => {
                // An empty value is a place for one, as in an example.
                if !value.is_empty() {
                    variables.insert(name.to_owned(), value.to_owned());
                }
            }
            _ => findings.warn(&at, "this line sets no variable and is left out: write NAME=value"),
        }
    }
    variables
}

fn unquoted(value: &str) -> &str {
    let quoted = |quote: char| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    quoted('"').or_else(|| quoted('\'')).unwrap_or(value)
}

fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_read_and_the_rest_is_told_by_line_alone() {
        let findings = Findings::default();
        let text = "# keys\nA=1\n export B = \"two words\" \nC='#3'\nD=\nE=x=y\nsecret-value\n2F=x\n\nG=\"\n";
        let read = variables("role/.env", text, &findings);
        let expected = [("A", "1"), ("B", "two words"), ("C", "#3"), ("E", "x=y"), ("G", "\"")];
        assert_eq!(read, expected.map(|(n, v)| (n.to_owned(), v.to_owned())).into());
        let said: Vec<_> = findings.warnings().iter().map(ToString::to_string).collect();
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].starts_with("role/.env:7: ") && said[1].starts_with("role/.env:8: "), "{said:?}");
        assert!(!said[0].contains("secret-value"));
    }

    #[test]
    fn files_that_hold_secrets_are_known_by_name() {
        for name in [".env", "a/.env", ".env.local", "prod.env", ".envrc"] {
            assert!(is_env_file(Path::new(name)), "{name}");
        }
        for name in ["env", "a/environment.md", ".environment", "venv/x"] {
            assert!(!is_env_file(Path::new(name)), "{name}");
        }
    }
}
