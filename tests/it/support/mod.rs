//! What the tests stand on.

/// The trials of a module: `trials![first, second]` makes `fn trials()` of these `async fn`s.
macro_rules! trials {
    ($($test:ident),* $(,)?) => {
        /// The tests of this module.
        pub fn trials() -> Vec<libtest_mimic::Trial> {
            vec![$($crate::support::trial(module_path!(), stringify!($test), || Box::pin($test()))),*]
        }
    };
}

pub mod audit;
pub mod cloud;
pub mod cluster;
pub mod engine;
pub mod flux;
pub mod front;
pub mod kstatus;
pub mod on_ec2;
pub mod operator;
pub mod roles;
pub mod scene;
pub mod script;
pub mod wait;
pub mod world;

use libtest_mimic::Trial;
use std::pin::Pin;

/// Modules that run only when asked for.
const LONG: [&str; 4] = ["soak", "scale", "bench", "exact_long"];

/// One test of a module. A panic in it is its failure.
pub fn trial(
    module: &str,
    test: &str,
    body: impl FnOnce() -> Pin<Box<dyn Future<Output = ()>>> + Send + 'static,
) -> Trial {
    let module = module.trim_start_matches("it::");
    let long = LONG.contains(&module);
    let body = move || {
        world::runtime().block_on(body());
        Ok(())
    };
    Trial::test(format!("{module}::{test}"), body).with_ignored_flag(long)
}
