//! The dumb, tireless loop of machine-driver.
//!
//! It takes a goal.json, gives each task to a fresh worker, asks a verifier whether it is done, tries again with what the
//! verifier said, and gives up on what never passes. It spends no judgment of its own: the rules are in
//! `machine-driver-governor`, and this crate carries them out. Killed at any instant it goes on where it was.
//!
//! # Driving tasks from a program of your own
//!
//! Without anything but a goal.json a driver does what the command line's `run` does: the commands in it work and judge,
//! git commits what the gate allows, and alerts go where goal.json and the environment say.
//!
//! ```no_run
//! use machine_driver::{Driver, Exit, Notice};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     machine_driver::init(); // first of all: this process may be the guardian of another
//!     let driver = Driver::builder("goal.json")
//!         .guarded() // whatever a worker starts ends with it, also when this program is killed
//!         .on_notice(|notice| {
//!             if let Notice::Recorded { record, .. } = notice {
//!                 println!("{} {}", record.event.name(), record.event.scope());
//!             }
//!         })
//!         .build()?;
//!     let summary = driver.run()?;
//!     println!("{} of {} tasks done, {} blocked", summary.done, summary.tasks, summary.blocked);
//!     assert_eq!(summary.exit, Exit::Done);
//!     Ok(())
//! }
//! ```
//!
//! Each part can be replaced by one of your own, a type that implements one trait:
//!
//! | port | trait | in its place |
//! |---|---|---|
//! | who does a task | [`worker::Worker`] | [`Builder::worker`] |
//! | who judges it | [`verify::Verifier`] | [`Builder::verifier`] |
//! | who commits it | [`governor::Committer`] | [`Builder::committer`] |
//! | who sees what changed, for rules about paths | [`governor::Surveyor`] | [`Builder::surveyor`] |
//! | who tells a person | [`alert::Alerter`] | [`Builder::alerter`] |
//! | where the run is kept | [`state::store::Store`] | [`Builder::store`] |
//! | where time comes from | [`Clock`] | [`Builder::clock`] |
//!
//! ```
//! use machine_driver::state::control::Control;
//! use machine_driver::state::id::ActorId;
//! use machine_driver::worker::{WorkError, WorkOrder, WorkReport, Worker};
//! use machine_driver::{Driver, Stop};
//!
//! /// Does a task without any process: writes its text into a file of its name.
//! #[derive(Debug)]
//! struct Scribe(ActorId);
//!
//! impl Worker for Scribe {
//!     fn id(&self) -> &ActorId {
//!         &self.0
//!     }
//!
//!     fn run(&self, order: &WorkOrder, _: &Control<'_>) -> Result<WorkReport, WorkError> {
//!         let started = std::time::Instant::now();
//!         // An error is a worker that could not be run. What it did, the verifier says.
//!         std::fs::write(order.repo.join(order.task.as_str()), &order.text).map_err(WorkError::other)?;
//!         Ok(WorkReport::ok(started.elapsed()))
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let goal = folder.path().join("goal.json");
//! # std::fs::create_dir(folder.path().join("desk"))?;
//! std::fs::write(&goal, r#"{
//!     "repo": "desk", "worker_cmd": "not used", "verify_cmd": "grep -q fox a", "tick_seconds": 0,
//!     "tasks": [{ "id": "a", "goal": "the quick brown fox" }]
//! }"#)?;
//! let stop = Stop::new(); // `stop.ask(..)` from another thread ends the run, resumable
//! let driver = Driver::builder(&goal).worker(Scribe(ActorId::new("scribe")?)).stop(&stop).build()?;
//! assert_eq!(driver.run()?.done, 1);
//! # Ok(())
//! # }
//! ```
//!
//! More to start from, each a program under 60 lines in the repository's `examples`: `embed` (progress, a stop switch and a
//! look afterwards), `custom_worker`, `custom_verifier`, `custom_alerter` and `custom_committer`.
//!
//! # goal.json
//!
//! Its JSON Schema is [`state::goal::schema`]; what its keys come to is [`state::goal::Goal`]. `worker_cmd` must be there
//! also with a worker of one's own, which may use it as it likes ([`worker::WorkOrder::command`]), and so must `verify_cmd`:
//! a task without one ends blocked, whoever judges. A `repo` that is not absolute is taken from the folder of goal.json; one
//! that would also fit the current folder is refused. For commits the operator says so, and somebody has ratified it:
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let goal = folder.path().join("goal.json");
//! # std::fs::create_dir(folder.path().join("desk"))?;
//! std::fs::write(&goal, r#"{
//!     "repo": "desk", "worker_cmd": "my-agent {task_file}", "verify_cmd": "make check",
//!     "mode": "commit",
//!     "contract": { "autonomy_ceiling": 1, "proposed_by": "planner", "ratified_by": "ann" },
//!     "tasks": [{ "id": "a", "goal": "Mend the lock.", "reversible": true }]
//! }"#)?;
//! let file = machine_driver::read_goal(&goal)?; // or what is wrong with it, and where
//! assert_eq!(file.goal().tasks.len(), 1);
//! # Ok(())
//! # }
//! ```
//!
//! Without `reversible`, and for the first commit of a repository, which nothing can go back from, the contract needs
//! `irreversible_min_trust`, at most its `autonomy_ceiling`. A change that the gate does not allow is left in the folder, and
//! its task is done too: [`TaskState::commit`](state::state::TaskState::commit) tells the two apart.
//!
//! # What comes back
//!
//! [`Driver::run`] returns a [`Summary`]: how it ended in the terms of an exit code ([`Exit`]), and counts. Everything on
//! the way comes as a [`Notice`], each record of the log among them, when it is on disk. A [`DriverError`] is a failure of
//! the driver itself; it names the path, and [`DriverError::next_step`] says what to do. Whatever happened, the next run
//! goes on from what is on disk: [`look`](look::look) shows it without a lock.
//!
//! A driver catches no signals. A program that is to end with its state saved on Ctrl-C catches them itself and asks the
//! [`Stop`]; killed without that, it loses no more than the attempt under way.
//!
//! An operator's `machine-driver halt`, or [`operator::halt`], is heard by every driver: its run ends with [`Exit::Halted`], and
//! [`Builder::build`] refuses ([`DriverError::Halted`]) until somebody says [`operator::resume`]. A program whose driver does
//! not answer within 3 s, since a worker of its own does not heed its [`state::control::Control`], is killed.
//!
//! # Features
//!
//! All are on by default; without them the crate compiles neither duct nor ureq nor anything that calls git.
//!
//! | feature | brings |
//! |---|---|
//! | `command` | workers, verifiers and alerts that run commands, the guardian, `init`, `preflight` |
//! | `git` | commits in the goal's repository |
//! | `telegram`, `webhook` | alerts through the network |
//!
//! # Where the rest is
//!
//! | part | where |
//! |---|---|
//! | what comes next, and whether it may | [`governor`] |
//! | what is on disk | [`state`] |
//! | the loop | [`Driver::run`] |
//! | looking without touching | [`mod@look`] |
//! | what an operator does between runs | [`operator`], [`mod@contract`] |
//! | whether a log holds | [`proof`] |

mod attempt;
mod attend;
mod attest;
mod audit;
mod builder;
mod carried;
mod carry_out;
mod clock;
pub mod contract;
mod control;
#[cfg(feature = "command")]
pub mod council;
mod cut;
pub mod default_ports;
mod driver;
mod error;
mod exit;
mod gate;
mod hold;
mod keep;
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
mod sink;
mod stop;
mod summary;
mod watch;

pub use builder::Builder;
pub use clock::{Clock, SystemClock};
pub use driver::{Driver, Until};
pub use error::DriverError;
pub use exit::{EXIT_CODES, Exit};

pub use look::{Look, look};
pub use machine_driver_aar as aar;
pub use machine_driver_alert as alert;
pub use machine_driver_governor as governor;
#[cfg(feature = "command")]
pub use machine_driver_process::init;
pub use machine_driver_state as state;
pub use machine_driver_verify as verify;
pub use machine_driver_worker as worker;
pub use notice::Notice;
pub use read::{kept_goal, read_goal};
pub use sink::{Copies, copies};
pub use stop::Stop;
pub use summary::Summary;
