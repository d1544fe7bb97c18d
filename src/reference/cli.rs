//! The command line as a page: every command that its help shows, with every flag.

use super::text::{cell, code, table};
use clap::{Arg, Command};
use std::fmt::Write;

/// The page.
pub fn page(mut command: Command) -> String {
    command.build();
    let mut out = String::from("# Commands\n\n");
    for shown in command.get_subcommands().filter(|c| is_shown(c)) {
        section(shown, &mut out);
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

/// What its help shows, less `help` itself.
fn is_shown(command: &Command) -> bool {
    !command.is_hide_set() && command.get_name() != "help"
}

fn section(command: &Command, out: &mut String) {
    let name = command.get_bin_name().unwrap_or(command.get_name());
    let _ = writeln!(out, "## {name}\n");
    if let Some(about) = command.get_long_about().or(command.get_about()) {
        let _ = writeln!(out, "{about}\n");
    }
    let usage = command.clone().render_usage().to_string();
    let _ = writeln!(out, "```text\n{}\n```\n", usage.trim_start_matches("Usage:").trim());
    for (heading, arguments) in by_heading(command) {
        if let Some(heading) = heading {
            let _ = writeln!(out, "**{heading}**\n");
        }
        let rows: Vec<_> = arguments.iter().map(|argument| row(argument)).collect();
        out.push_str(&table(["Argument", "Default", "Variable", "Meaning"], &rows));
    }
    if let Some(after) = command.get_after_long_help().or(command.get_after_help()) {
        let _ = writeln!(out, "```text\n{}\n```\n", after.to_string().trim());
    }
    for below in command.get_subcommands().filter(|c| is_shown(c)) {
        section(below, out);
    }
}

/// The arguments in their own order, those of one heading together.
fn by_heading(command: &Command) -> Vec<(Option<&str>, Vec<&Arg>)> {
    let mut groups: Vec<(Option<&str>, Vec<&Arg>)> = Vec::new();
    let shown = |a: &&Arg| !a.is_hide_set() && !matches!(a.get_id().as_str(), "help" | "version");
    for argument in command.get_arguments().filter(shown) {
        let heading = argument.get_help_heading();
        match groups.iter_mut().find(|(of, _)| *of == heading) {
            Some((_, group)) => group.push(argument),
            None => groups.push((heading, vec![argument])),
        }
    }
    groups
}

fn row(argument: &Arg) -> [String; 4] {
    let default: Vec<_> =
        argument.get_default_values().iter().map(|value| code(&value.to_string_lossy())).collect();
    let variable = argument.get_env().map(|name| code(&name.to_string_lossy())).unwrap_or_default();
    [code(&spelled(argument)), shown_default(argument, default.join(" ")), variable, meaning(argument)]
}

/// `-n, --namespace NAME`, or the name of what has no dashes.
fn spelled(argument: &Arg) -> String {
    let mut names = Vec::new();
    names.extend(argument.get_short().map(|short| format!("-{short}")));
    names.extend(argument.get_long().map(|long| format!("--{long}")));
    let values = argument.get_value_names().unwrap_or_default().join(" ");
    let values = if argument.get_action().takes_values() { values } else { String::new() };
    let required = argument.is_required_set();
    if names.is_empty() {
        return if required { values } else { format!("[{values}]") };
    }
    [names.join(", "), values].join(" ").trim().to_owned()
}

/// A switch is off unless it is given, which needs no words.
fn shown_default(argument: &Arg, default: String) -> String {
    match () {
        () if argument.is_required_set() => "needed".into(),
        () if !argument.get_action().takes_values() => String::new(),
        () => default,
    }
}

fn meaning(argument: &Arg) -> String {
    let help = argument.get_long_help().or(argument.get_help()).map(ToString::to_string).unwrap_or_default();
    let mut text = cell(&help);
    let values = argument.get_possible_values();
    let words: Vec<_> = values.iter().filter(|v| !v.is_hide_set()).map(|v| code(v.get_name())).collect();
    if argument.get_action().takes_values() && !words.is_empty() && words != ["`true`", "`false`"] {
        let stop = if text.ends_with(['.', ')', ']']) || text.is_empty() { "" } else { "." };
        let _ = write!(text, "{stop} One of {}.", words.join(", "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Parser, Subcommand, ValueEnum};

    #[derive(Parser)]
    #[command(name = "tool")]
    struct Tool {
        #[command(subcommand)]
        command: Of,
    }

    #[derive(Subcommand)]
    enum Of {
        /// Looks at what there is.
        #[command(after_help = "Examples:\n  tool look x")]
        Look {
            /// What to look at
            what: String,
            /// How
            #[arg(long, short, env = "TOOL_FORMAT", default_value = "text", value_name = "FORMAT")]
            format: Format,
            #[arg(long, hide = true)]
            secretly: bool,
        },
        /// One that has commands of its own.
        #[command(subcommand)]
        Deep(Deep),
        #[command(hide = true)]
        Internal,
    }

    #[derive(Subcommand)]
    enum Deep {
        /// Down here.
        Down,
    }

    #[derive(Clone, ValueEnum)]
    enum Format {
        Text,
        Json,
    }

    #[test]
    fn commands_and_flags_are_told_and_hidden_ones_are_not() {
        let page = page(<Tool as clap::CommandFactory>::command());
        assert!(page.contains("## tool look\n\nLooks at what there is\n"), "{page}");
        assert!(page.contains("```text\ntool look [OPTIONS] <WHAT>\n```"), "{page}");
        assert!(page.contains("| `WHAT` | needed |  | What to look at |"), "{page}");
        let row = "| `-f, --format FORMAT` | `text` | `TOOL_FORMAT` | How. One of `text`, `json`. |";
        assert!(page.contains(row), "{page}");
        assert!(page.contains("```text\nExamples:\n  tool look x\n```"), "{page}");
        assert!(page.contains("## tool deep down\n"), "{page}");
        for hidden in ["secretly", "internal", "--help", "tool help"] {
            assert!(!page.contains(hidden), "{hidden} stands in {page}");
        }
    }
}
