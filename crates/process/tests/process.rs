//! Jobs of all sorts, run for real. A main of its own, because the guardian is this very program
//! re-executed, and because some tests need a driver to kill.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "tests, which the lints do not recognise without the standard harness"
)]

#[path = "process/bench.rs"]
mod bench;
#[path = "process/helper.rs"]
mod helper;
#[path = "process/jobs.rs"]
mod jobs;
#[path = "process/leftovers.rs"]
mod leftovers;
#[path = "process/surroundings.rs"]
mod surroundings;
#[path = "process/sweeps.rs"]
mod sweeps;

use libtest_mimic::{Arguments, Trial};

/// Trials named after their functions.
#[macro_export]
macro_rules! trials {
    ($($name:ident),* $(,)?) => {
        /// All tests of this module.
        pub(crate) fn trials() -> Vec<libtest_mimic::Trial> {
            vec![$(libtest_mimic::Trial::test(
                concat!(module_path!(), "::", stringify!($name)),
                || { $name(); Ok(()) },
            )),*]
        }
    };
}

fn main() {
    machine_driver_process::init();
    if helper::dispatch() {
        return;
    }
    let mut arguments = Arguments::from_args();
    // One after the other: a test that loses its guardian ends what other tests moved to sessions
    // of their own, as it should.
    arguments.test_threads = Some(1);
    let trials: Vec<Trial> = [
        jobs::trials(),
        leftovers::trials(),
        surroundings::trials(),
        sweeps::trials(),
    ]
    .into_iter()
    .flatten()
    .collect();
    libtest_mimic::run(&arguments, trials).exit();
}
