//! Exactly one instance for an attempt, whatever happens: plans made from seeds, with EC2's own log as the judge.
//!
//! A plan that fails prints its seed; `ATELIER_SEED=…` carries out that one alone.

mod plan;
mod stage;

pub use plan::{Size, crash_points};
pub use stage::Failure;

use futures::FutureExt;
use futures::future::join_all;
use plan::Plan;
use stage::Stage;
use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::time::Instant;

trials![a_handful_of_plans_is_exact];

/// The seeds of the short run.
const SEEDS: [u64; 6] = [1, 2, 3, 4, 5, 6];
/// How many plans are carried out side by side: most of their time they wait.
const LANES: usize = 2;

/// What plans came to.
#[derive(Debug, Default)]
pub struct Tally {
    /// How many were carried out.
    pub plans: usize,
    /// Every blow that came where it was aimed.
    pub struck: Vec<String>,
    /// The seeds of those that failed, and how.
    pub failed: Vec<(u64, Failure)>,
}

impl Tally {
    fn add(&mut self, seed: u64, struck: &mut Vec<String>, failure: Option<Failure>) {
        self.plans += 1;
        self.struck.append(struck);
        self.failed.extend(failure.map(|failure| (seed, failure)));
    }
}

/// Carries out plans side by side, until there are no more seeds or it is too late to begin another.
pub async fn carry_out(size: Size, seeds: Vec<u64>, lanes: usize, until: Option<Instant>) -> Tally {
    let seeds = match std::env::var("ATELIER_SEED") {
        Ok(seed) => vec![seed.parse().expect("ATELIER_SEED is a number")],
        Err(_) => seeds,
    };
    let lanes = lanes.min(seeds.len());
    let seeds = Mutex::new(seeds.into_iter());
    let tally = Mutex::new(Tally::default());
    let lane = || {
        let (seeds, tally) = (&seeds, &tally);
        async move {
            let mut stage = Stage::start(size).await;
            loop {
                let late = until.is_some_and(|until| Instant::now() >= until);
                let next = if late { None } else { seeds.lock().unwrap().next() };
                let Some(seed) = next else { break };
                let failure = one(&mut stage, seed, size).await;
                let fails = failure.is_some();
                tally.lock().unwrap().add(seed, &mut stage.struck, failure);
                if fails {
                    // What it left is not to be the next one's.
                    stage = Stage::start(size).await;
                }
            }
        }
    };
    join_all((0..lanes).map(|_| lane())).await;
    tally.into_inner().unwrap()
}

/// Carries out the plan of one seed, and tells what came of it.
async fn one(stage: &mut Stage, seed: u64, size: Size) -> Option<Failure> {
    let plan = Plan::new(seed, size);
    let began = Instant::now();
    let result = AssertUnwindSafe(stage.run(&plan)).catch_unwind().await;
    let result = result.unwrap_or_else(|_| Err(Failure::Stuck("it panicked, as told above".into())));
    let seconds = began.elapsed().as_secs();
    match result {
        Ok(()) => {
            println!("seed {seed}: exact after {seconds} s");
            None
        }
        Err(failure) => {
            println!("ATELIER_SEED={seed} ({size:?}) fails after {seconds} s: {plan:#?}\n{failure}");
            Some(failure)
        }
    }
}

async fn a_handful_of_plans_is_exact() {
    let tally = carry_out(Size::Short, SEEDS.to_vec(), LANES, None).await;
    let seeds: Vec<_> = tally.failed.iter().map(|(seed, _)| seed).collect();
    assert!(tally.plans > 0 && seeds.is_empty(), "these fail, as told above: {seeds:?}");
    let replays = std::env::var_os("ATELIER_SEED").is_some();
    assert!(replays || !tally.struck.is_empty(), "no blow came where it was aimed");
}
