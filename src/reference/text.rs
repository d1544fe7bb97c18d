//! Markdown: what stands in a cell of a table.

use std::fmt::Write;

/// A text as the content of a cell: on one line, and with nothing in it that would end the cell or begin a tag.
pub fn cell(text: &str) -> String {
    let one_line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut out = String::new();
    let mut in_code = false;
    for c in one_line.chars() {
        in_code ^= c == '`';
        match c {
            '|' => out.push_str("\\|"),
            '<' if !in_code => out.push_str("&lt;"),
            '*' | '_' if !in_code => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out
}

/// A value as code in a cell.
pub fn code(value: &str) -> String {
    format!("`{}`", value.replace('|', "\\|"))
}

/// A table with these titles; nothing if it has no rows.
pub fn table<const N: usize>(titles: [&str; N], rows: &[[String; N]]) -> String {
    let mut out = String::new();
    if rows.is_empty() {
        return out;
    }
    let _ = writeln!(out, "| {} |\n|{}", titles.join(" | "), " --- |".repeat(N));
    for row in rows {
        let _ = writeln!(out, "| {} |", row.join(" | "));
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_a_cell_or_begins_a_tag() {
        assert_eq!(cell("a | b\n  c"), "a \\| b c");
        assert_eq!(cell("<team>-<member>, or `<team>`"), "&lt;team>-&lt;member>, or `<team>`");
        assert_eq!(cell("skills/*/x_y"), "skills/\\*/x\\_y");
        assert_eq!(code("a|b"), "`a\\|b`");
    }

    #[test]
    fn a_table_without_rows_is_none() {
        assert_eq!(table(["a"], &[]), "");
        assert_eq!(table(["a", "b"], &[["1".into(), "2".into()]]), "| a | b |\n| --- | --- |\n| 1 | 2 |\n\n");
    }
}
