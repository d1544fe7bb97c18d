//! Completion and manual: made from the commands themselves.

use super::args::{CompletionArgs, ManArgs, PluginCli};
use super::terminal;
use super::{Done, End};
use clap::CommandFactory;
use std::fmt::Write;

/// The name under which kubectl asks what can follow on the command line.
pub const COMPLETER: &str = "kubectl_complete-atelier";

/// Prints the script for a shell.
pub fn completion(args: &CompletionArgs) {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut PluginCli::command(), super::NAME, &mut script);
    let _ = terminal::print(&String::from_utf8_lossy(&script));
}

/// Prints the manual, or writes a page a command into a folder.
///
/// # Errors
/// When the folder cannot be written.
pub fn man(args: &ManArgs) -> Done {
    let command = PluginCli::command().name("kubectl-atelier").bin_name("kubectl-atelier");
    let bad = |why: std::io::Error| (End::Bad, format!("the manual cannot be written: {why}"));
    if let Some(folder) = &args.output_dir {
        std::fs::create_dir_all(folder).map_err(bad)?;
        clap_mangen::generate_to(command, folder).map_err(bad)?;
        return Ok(End::Good);
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page).map_err(bad)?;
    let _ = terminal::print(&String::from_utf8_lossy(&page));
    Ok(End::Good)
}

/// What kubectl is answered when it asks what can follow these words, the last of which is being typed: a line
/// each, then a number that says that no file names are wanted.
pub fn complete(words: &[String]) -> String {
    const NO_FILES: u8 = 4;
    let mut command = PluginCli::command();
    command.build();
    let (typed, before) = words.split_last().map_or(("", words), |(last, before)| (last.as_str(), before));
    let chosen = before.iter().find_map(|word| command.find_subcommand(word));
    let mut text = String::new();
    let mut offer = |word: &str, help: Option<String>| {
        if word.starts_with(typed) {
            let help = help.unwrap_or_default();
            let _ = writeln!(text, "{word}\t{}", help.lines().next().unwrap_or_default());
        }
    };
    let of = chosen.unwrap_or(&command);
    if typed.starts_with('-') {
        for flag in of.get_arguments().filter(|flag| !flag.is_hide_set()) {
            if let Some(long) = flag.get_long() {
                offer(&format!("--{long}"), flag.get_help().map(ToString::to_string));
            }
        }
    } else if chosen.is_none() {
        for command in command.get_subcommands() {
            offer(command.get_name(), command.get_about().map(ToString::to_string));
        }
    } else {
        for argument in of.get_positionals() {
            for value in argument.get_possible_values() {
                offer(value.get_name(), value.get_help().map(ToString::to_string));
            }
        }
    }
    let _ = writeln!(text, ":{NO_FILES}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(words: &[&str]) -> Vec<String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let text = complete(&words);
        text.lines().map(|line| line.split('\t').next().unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn kubectl_is_told_what_can_follow() {
        assert_eq!(offered(&["re"]), ["restart", "resume", ":4"]);
        assert_eq!(offered(&["tree", "--w"]), ["--watch", ":4"]);
        assert_eq!(offered(&["-n", "demo", "completion", "z"]), ["zsh", ":4"]);
        assert!(offered(&[""]).contains(&"diagnose".to_owned()));
    }

    #[test]
    fn scripts_and_pages_know_every_command() {
        for shell in [clap_complete::Shell::Bash, clap_complete::Shell::Zsh, clap_complete::Shell::Fish] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut PluginCli::command(), super::super::NAME, &mut script);
            assert!(String::from_utf8(script).unwrap().contains("diagnose"), "{shell}");
        }
        let folder = std::env::temp_dir().join(format!("atelier-man-{}", std::process::id()));
        let args = ManArgs { output_dir: Some(folder.clone()) };
        assert_eq!(man(&args), Ok(End::Good));
        let page = std::fs::read_to_string(folder.join("kubectl-atelier-wait.1")).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(page.contains("timeout"), "{page}");
    }
}
