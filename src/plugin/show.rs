//! Show: the tree, once or again whenever it changes.

use super::End;
use super::args::TreeArgs;
use super::cluster::Cluster;
use super::feed::{Scope, Snapshot};
use super::lease;
use super::target::Target;
use super::terminal::{self, Paint, Terminal, screen};
use super::tree;
use k8s_openapi::jiff::Timestamp;
use std::time::Duration;
use tokio::time::Instant;

/// How often ages are drawn anew when nothing changes.
const TICK: Duration = Duration::from_secs(1);
/// How long changes are gathered before they are drawn: they come in swarms.
const GATHER: Duration = Duration::from_millis(100);

/// Shows the tree.
///
/// # Errors
/// When there is nothing to show, or it cannot be read.
pub async fn tree(cluster: &Cluster, terminal: Terminal, args: &TreeArgs) -> Result<End, String> {
    let namespace = Some(cluster.namespace.clone()).filter(|_| !args.all_namespaces);
    let scope = Scope { namespace, target: args.team.as_ref().map(Target::team) };
    let seen = scope.read(cluster).await.map_err(|why| why.to_string())?;
    if let Some(team) = &args.team
        && seen.teams.is_empty()
        && !args.watch
    {
        return Err(format!("there is no team/{team} in the namespace {}", cluster.namespace));
    }
    let draw = |seen: &Snapshot| {
        let text = tree::render(seen, Timestamp::now(), terminal.paint);
        if text.is_empty() { format!("{}\n", nothing(&scope, terminal.paint)) } else { text }
    };
    if !args.watch {
        let (text, doubt) = (draw(&seen), lease::glance(cluster, &args.controller).await);
        let doubt =
            doubt.map(|why| format!("{}\n", terminal.paint.warn(&format!("note: {why}: this may be old"))));
        let _ = terminal::print(&(text + &doubt.unwrap_or_default()));
        return Ok(End::Good);
    }
    watch(cluster, terminal, &scope, seen, draw).await;
    Ok(End::Good)
}

fn nothing(scope: &Scope, paint: Paint) -> String {
    let of =
        scope.target.as_ref().map_or_else(|| "no Team and no Workspace".to_owned(), |t| format!("no {t}"));
    let here = scope.namespace.as_ref().map_or_else(String::new, |name| format!(" in the namespace {name}"));
    paint.dim(&format!("there is {of}{here}"))
}

/// Draws until nobody reads any more.
async fn watch(
    cluster: &Cluster,
    terminal: Terminal,
    scope: &Scope,
    mut seen: Snapshot,
    draw: impl Fn(&Snapshot) -> String,
) {
    let mut feed = scope.watch(cluster);
    let mut shown = String::new();
    let mut trouble = String::new();
    loop {
        let text = draw(&seen);
        let printed = if terminal.live {
            terminal::print(&screen(&format!("{text}{trouble}")))
        } else if without_ages(&shown) == without_ages(&text) {
            Ok(())
        } else {
            terminal::print(&format!("{text}\n"))
        };
        if printed.is_err() {
            return;
        }
        shown = text;
        let tick = tokio::time::sleep(TICK);
        tokio::select! {
            change = feed.next() => match change {
                Ok(next) => {
                    seen = next;
                    trouble.clear();
                    let until = Instant::now() + GATHER;
                    while let Ok(Ok(next)) = tokio::time::timeout_at(until, feed.next()).await {
                        seen = next;
                    }
                }
                Err(error) => {
                    let words = format!("the API server cannot be watched; trying again: {error}\n");
                    if !terminal.live && words != trouble {
                        eprint!("warning: {words}");
                    }
                    trouble = words;
                }
            },
            () = tick, if terminal.live => {}
        }
    }
}

/// What is compared to know whether anything changed: ages always do.
fn without_ages(text: &str) -> String {
    let is_age = |word: &&str| {
        let word = word.trim_matches(['(', ')']);
        word.starts_with(|c: char| c.is_ascii_digit())
            && word.ends_with(['s', 'm', 'h', 'd'])
            && word.chars().all(|c| c.is_ascii_digit() || "smhd".contains(c))
    };
    text.split_whitespace().filter(|word| !is_age(word)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_more_than_an_age() {
        assert_eq!(without_ages("a Ready 12s (3m5s)\n"), "a Ready");
        assert_eq!(without_ages("3dogs 7/7 12"), "3dogs 7/7 12");
    }
}
