//! Black-box tests: the operator as a process, against a real API server and a real Docker engine.
//!
//! ```text
//! main        what there is to run, and the end of it
//! support/    world (cluster, engine), scene (one test's share of it), operator (the process), waiting,
//!             roles of the chart, audit log, kstatus
//! the rest    one module a topic; tests are named after what is promised
//! ```
//!
//! `soak::`, `scale::`, `bench::` and `exact_long::` are left out unless asked for by `--ignored`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on must fail")]

#[macro_use]
mod support;

mod argocd;
mod backend;
mod bench;
mod chart;
mod collect;
mod crash;
mod diagnosis;
mod ec2;
mod exact;
mod exact_long;
mod gitops;
mod import;
mod input;
mod leader;
mod lifecycle;
mod live;
mod outage;
mod plugin;
mod rbac;
mod registry;
mod rollout;
mod scale;
mod soak;
mod team;
mod tools;
mod writes;

use libtest_mimic::{Arguments, Trial, run};
use std::process::ExitCode;
use support::world;

/// More at once only make each other late: the engine and the API server use two cores well.
const THREADS: usize = 3;

fn trials() -> Vec<Trial> {
    [
        argocd::trials(),
        backend::trials(),
        bench::trials(),
        chart::trials(),
        collect::trials(),
        crash::trials(),
        diagnosis::trials(),
        ec2::trials(),
        exact::trials(),
        exact_long::trials(),
        gitops::trials(),
        import::trials(),
        input::trials(),
        leader::trials(),
        lifecycle::trials(),
        live::trials(),
        outage::trials(),
        plugin::trials(),
        rbac::trials(),
        registry::trials(),
        rollout::trials(),
        scale::trials(),
        soak::trials(),
        team::trials(),
        tools::trials(),
        writes::trials(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What is said of the whole run when everything else has ended. Answers whether it failed.
fn last_word(arguments: &Arguments) -> bool {
    if world::started().is_none() {
        return false;
    }
    let all = Arguments { filter: None, skip: Vec::new(), ignored: false, ..arguments.clone() };
    let of_everything = arguments.filter.is_none() && arguments.skip.is_empty() && !arguments.ignored;
    let last = [tools::last(), argocd::last(), rbac::last(of_everything)];
    run(&all, last.into_iter().flatten().collect()).has_failed()
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    world::tear_down_on_signals();
    let conclusion = run(&arguments, trials());
    let failed = conclusion.has_failed() | last_word(&arguments);
    world::tear_down();
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
