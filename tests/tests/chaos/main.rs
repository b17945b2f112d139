//! The six chaos checks, run for real, and a dated report of them:
//!
//! ```text
//! cargo test -p machine-driver-tests --test chaos                          # a few of each, as in every test run
//! cargo test -p machine-driver-tests --test chaos -- --times 50 --out DIR  # more of each; report.md and report.json in DIR
//! ```
//!
//! Nothing stands in the report that was not run: a check that cannot run on a machine says so, and holds nothing.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "in a test a broken assumption is to end it"
)]

mod budget;
mod chain;
mod halts;
mod keys;
mod kills;
mod lies;
mod report;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use machine_driver_tests::say;
use report::{Check, Report};

/// The six, in the order of The Machine's own list.
const CHECKS: [Check; 6] = [
    Check {
        name: "kill and resume the same task",
        run: kills::run,
    },
    Check {
        name: "lying worker caught",
        run: lies::run,
    },
    Check {
        name: "override not bypassable",
        run: halts::run,
    },
    Check {
        name: "duplicate key, single effect",
        run: keys::run,
    },
    Check {
        name: "budget breach halts and alerts",
        run: budget::run,
    },
    Check {
        name: "signed record chain verified by an independent program",
        run: chain::run,
    },
];

/// What was asked for on the command line. What cargo adds for other harnesses is passed over.
struct Asked {
    times: usize,
    out: Option<PathBuf>,
}

fn asked() -> Asked {
    let mut asked = Asked { times: 3, out: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--times" => {
                let times = words.next().and_then(|n| n.parse().ok());
                asked.times = times.unwrap_or(asked.times).max(1);
            }
            "--out" => asked.out = words.next().map(PathBuf::from),
            _ => {}
        }
    }
    asked
}

fn main() -> ExitCode {
    let asked = asked();
    let report = Report::of(&CHECKS, asked.times);
    // A stdout that is closed has nobody to tell.
    let _ = writeln!(std::io::stdout().lock(), "{}", report.markdown());
    if let Some(out) = asked.out {
        std::fs::create_dir_all(&out).unwrap();
        std::fs::write(out.join("report.md"), report.markdown()).unwrap();
        std::fs::write(out.join("report.json"), format!("{:#}\n", report.json())).unwrap();
        say(&format!("written to {}", out.display()));
    }
    if report.holds() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
