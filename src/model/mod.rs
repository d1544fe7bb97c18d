//! A model check of the launch protocol on EC2: the production code against every order of faults, up to a bound.
//!
//! Every state that can be reached within the bound is visited, nearest first, so that a violation is shown with its
//! shortest path. In each of them it is asked whether anything is there that must never be ([`state::Wrong`]), and
//! whether all comes to rest if nothing goes wrong from there on.
//!
//! What is decided, said and remembered comes from production: `plan`, `describe`, `recorded`, `expected`, `Sends`,
//! `Known`, `outlook`, `Shortages`, and the collector's `judge`. The model is what is around them:
//! - an API server with one object, which refuses a write that was made from an older version, and an attempt that
//!   falls; caches that are behind for as long as they like; replies to writes that are lost;
//! - the leader, and the one before it, which is frozen anywhere in a pass and goes on whenever it likes with what it
//!   had decided. Each may die between any two steps;
//! - EC2, where a token has one instance in its life; where lists and looks by id show what is new or has ended late;
//!   where capacity is short, instances die, replies are lost, and a launch call lies around before it is carried out;
//! - a user who edits the spec and deletes the object at any time; a collector of orphans, a step at a time.
//!
//! What is left out, and why that hides nothing:
//! - Time goes in minutes. A call is sent on for one (`not_after`), has its effect before two are over (the fence),
//!   and lists are behind by less than one more. All else may happen any number of times within a minute, or not at
//!   all. The clock stands and everything grows older instead; what is so old that nothing depends on it any more
//!   grows no older. Clocks are right, and pauses after failures are none but those of the fence and of capacity.
//! - A look at the instances, and the call to EC2 that it leads to, are one step, since a call that is late is the
//!   same as one that lies around; and a list comes in between two passes, never within one.
//! - A call that ends an instance has its effect at once or never: it is about an instance that nothing goes back to.
//! - A cache that is behind shows the version that it had; it catches up with the newest at once.
//! - Nothing depends on the agent, which is connected, or on how often a launch failed. Suspending and restarting,
//!   the volume of the data, and a launch that is older than 12 hours are left to other tests.

mod bounds;
mod collector;
mod hashing;
mod memo;
mod mutants;
mod object;
mod process;
mod rules;
mod search;
mod state;
mod steps;
mod tables;
mod world;
