//! The dumb, tireless loop of machine-driver.
//!
//! It takes a goal.json, gives each task to a fresh worker, asks a verifier whether it is done, tries again with what the
//! verifier said, and gives up on what never passes. It spends no judgment of its own: the rules are in
//! `machine-driver-governor`, and this crate carries them out. Killed at any instant it goes on where it was.
//!
//! ```no_run
//! use machine_driver::{Driver, Until};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     machine_driver::init(); // first of all: this process may be the guardian of another
//!     let driver = Driver::builder("goal.json").guarded().until(Until::Finished).build()?;
//!     let summary = driver.run()?;
//!     println!("{} of {} tasks done", summary.done, summary.tasks);
//!     Ok(())
//! }
//! ```
//!
//! | part | where |
//! |---|---|
//! | what comes next | [`machine_driver_governor::next_action`] |
//! | what is on disk | [`machine_driver_state`] |
//! | the loop | [`Driver::run`] |
//! | looking without touching | [`look`] |
//! | what an operator does between runs | [`operator`] |
//! | whether a log holds | [`proof`] |

mod attempt;
mod attend;
mod builder;
mod clock;
pub mod default_ports;
mod driver;
mod error;
mod exit;
mod gate;
mod hold;
pub mod look;
mod mail;
mod notice;
mod opening;
pub mod operator;
mod outcome;
#[cfg(feature = "command")]
pub mod preflight;
mod processes;
mod progress;
pub mod proof;
mod read;
mod show;
mod stop;
mod watch;

pub use builder::Builder;
pub use clock::{Clock, SystemClock};
pub use driver::{Driver, Summary, Until};
pub use error::DriverError;
pub use exit::{EXIT_CODES, Exit};

pub use machine_driver_alert as alert;
pub use machine_driver_governor as governor;
#[cfg(feature = "command")]
pub use machine_driver_process::init;
pub use machine_driver_state as state;
pub use machine_driver_verify as verify;
pub use machine_driver_worker as worker;
pub use notice::Notice;
pub use read::{kept_goal, read_goal};
pub use stop::Stop;
