//! What the end-to-end tests stand on: the real binary, folders with a goal, processes that are always ended, and the
//! promises that every log has to keep.
//!
//! Nothing here signals a process that it did not start, needs a network, a git identity or root. A test that cannot run
//! on a machine says so with [`skip`].
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "in a test a broken assumption is to end it"
)]

mod binary;
mod bot;
mod git;
mod history;
mod place;
mod processes;
mod running;
mod tree;

pub use binary::binary;
pub use bot::{Answer, Bot, Request};
pub use git::git;
pub use history::History;
pub use place::{Place, TIME_MAX, fake, fixture, repository};
pub use processes::{is_alive, session_processes};
pub use running::{Ended, Running};
pub use tree::Tree;

use std::io::Write as _;
use std::time::{Duration, Instant};

/// Tells on the test run's own stderr, past the harness that captures output, why a test or a part of it did not run.
pub fn skip(what: &str, why: &str) {
    say(&format!("SKIP: {what}: {why}"));
}

/// A line on the test run's own stderr.
pub fn say(line: &str) {
    // `eprintln!` is captured in a passing test; this is not. With stderr gone there is nobody to tell.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Asks until it is so.
///
/// # Panics
/// After `most`, naming `what` was waited for.
pub fn wait_until(what: &str, most: Duration, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + most;
    while !is_so() {
        assert!(Instant::now() < end, "waited {most:?} for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
