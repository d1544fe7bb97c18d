//! Wait: until a Team or a Workspace is Ready, with its progress in view.

use super::args::WaitArgs;
use super::cluster::Cluster;
use super::diagnose;
use super::feed::Scope;
use super::lease::{self, Controller};
use super::progress::{Course, Progress};
use super::terminal::{self, Block, Terminal};
use super::{Done, End};
use k8s_openapi::jiff::Timestamp;
use std::time::Duration;
use tokio::time::Instant;

/// How often the time is drawn anew when nothing changes.
const TICK: Duration = Duration::from_secs(1);
/// How long after one was missed it is looked for a controller again.
const PAUSE: Duration = Duration::from_secs(5);

/// Waits.
///
/// # Errors
/// When there is no such object, or it cannot be read.
pub async fn wait(cluster: &Cluster, terminal: Terminal, args: &WaitArgs) -> Done {
    let target = &args.target;
    let scope = Scope { namespace: Some(cluster.namespace.clone()), target: Some(target.clone()) };
    let began = Instant::now();
    let seen = scope.read(cluster).await.map_err(|why| (End::Bad, why.to_string()))?;
    let Some(mut progress) = Progress::of(target, &seen) else {
        return Err((End::Bad, diagnose::missing(cluster, target).await));
    };
    let mut feed = scope.watch(cluster);
    let mut view = View { terminal, block: Block::default(), shown: None, began, timeout: args.timeout };
    let look = async |pause| {
        tokio::time::sleep(pause).await;
        lease::look(cluster, &args.controller).await
    };
    let mut looking = Box::pin(look(Duration::ZERO));
    let mut controller: Option<Controller> = None;
    let course = loop {
        view.show(&progress);
        let course = progress.course();
        if course != Course::Going {
            break course;
        }
        tokio::select! {
            change = feed.next() => match change {
                Ok(seen) => match Progress::of(target, &seen) {
                    Some(next) => progress = next,
                    None => break Course::Gone,
                },
                Err(error) if terminal.live => drop(error),
                Err(error) => eprintln!("warning: the API server cannot be watched; trying again: {error}"),
            },
            found = &mut looking, if controller.as_ref().is_none_or(Controller::is_down) => {
                if found.is_down() {
                    if !terminal.live && controller.is_none() {
                        eprintln!("warning: {found}");
                    }
                    looking = Box::pin(look(PAUSE));
                }
                controller = Some(found);
            }
            () = tokio::time::sleep(TICK), if terminal.live => {}
            () = tokio::time::sleep_until(began + args.timeout) => {
                let timeout = words(args.timeout);
                let down = controller.filter(Controller::is_down).map(|why| format!("{why}\n"));
                let why = progress.why();
                let here = &cluster.namespace;
                return Err((End::Unknown, format!(
                    "{target} is not Ready within {timeout}: {why}\n{}to see why: kubectl atelier diagnose {target} -n {here}",
                    down.unwrap_or_default(),
                )));
            }
        }
    };
    match course {
        Course::Ready | Course::Going => {
            let _ = terminal::print(&format!("{target} is Ready after {}\n", words(began.elapsed())));
            Ok(End::Good)
        }
        Course::Suspended => {
            let (here, whom) = (&cluster.namespace, diagnose::to_resume(cluster, target).await);
            Err((
                End::Bad,
                format!("{target} is suspended: `kubectl atelier resume {whom} -n {here}` starts it"),
            ))
        }
        Course::Gone => Err((End::Bad, format!("{target} is deleted"))),
        Course::Stalled => {
            let report = diagnose::one(cluster, target, &args.controller).await?;
            let text = diagnose::text::render(&report, Timestamp::now(), terminal.paint);
            let _ = terminal::print(&format!("\n{text}"));
            Ok(End::Bad)
        }
    }
}

struct View {
    terminal: Terminal,
    block: Block,
    shown: Option<Progress>,
    began: Instant,
    timeout: Duration,
}

impl View {
    fn show(&mut self, progress: &Progress) {
        let elapsed = words(self.began.elapsed());
        // Whoever does not read any more may still want to know the end.
        if self.terminal.live {
            let text = progress.block(&elapsed, &words(self.timeout), self.terminal.paint);
            let _ = terminal::print(&self.block.again(&text));
        } else {
            for line in progress.news(self.shown.as_ref()) {
                let _ = terminal::print(&format!("{elapsed}  {line}\n"));
            }
        }
        self.shown = Some(progress.clone());
    }
}

/// A length of time as ages are said.
fn words(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("{seconds}s"),
        (minutes, 0) => format!("{minutes}m"),
        (minutes, seconds) => format!("{minutes}m{seconds}s"),
    }
}
