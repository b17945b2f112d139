//! Run one child tree to a deadline and leave nothing behind.
//!
//! ```no_run
//! use machine_driver_process::{Cancel, Job, Runner, init};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     init(); // first of all: this process may be the guardian
//!     let lock = std::fs::File::create("goal.lock")?;
//!     lock.try_lock()?;
//!     let runner = Runner::guarded(&lock)?;
//!     let mut job = Job::new(vec!["sh".into(), "-c".into(), "make test".into()], ".", "make.log");
//!     job.env = vec![("PATH".into(), "/usr/bin:/bin".into())];
//!     job.wall = Some(std::time::Duration::from_secs(600));
//!     let outcome = runner.run(&job, &Cancel::new(), &mut |_| ())?;
//!     println!("{:?}, {} bytes", outcome.ending, outcome.output.bytes);
//!     Ok(())
//! }
//! ```
//!
//! A job is a process group whose output goes through one pipe to a capped file. It is stopped (TERM,
//! grace, KILL) when it exceeds a limit or is cancelled, and swept when it ends by itself. The group
//! is killed while its leader is an unreaped zombie, so its id cannot have become another's.
//!
//! Three layers see to what is left:
//!
//! | layer | reaches | needs |
//! |---|---|---|
//! | group | what stays in the job's process group, while the driver lives | nothing |
//! | guardian | every descendant, also when the driver is killed | [`init`]; Linux |
//! | [`sweep_orphans`] | marked by their environment or recorded, when both were killed | `/proc` |
//!
//! On macOS there are no pidfds (a leader's end is noticed within 20 ms), no subreapers and no `/proc`:
//! the guardian still kills the group when the driver dies, and a daemon in its own session escapes.

mod cancel;
mod capture;
mod error;
mod foreign;
mod guardian;
mod init;
mod job;
mod leader;
mod lookup;
mod output;
mod proc;
mod pump;
mod reaper;
mod run;
mod runner;
mod sweep;
mod tree;

pub use cancel::Cancel;
pub use capture::{Capture, Captured, Sink, capture, capture_then, capture_with};
pub use error::ProcessError;
pub use foreign::{end_tree, guardians_of};
pub use init::init;
pub use job::{Ending, GRACE, Job, OUTPUT_CAP, Outcome, Output, SESSION_VARIABLE, Started, Stopped};
pub use lookup::find_program;
pub use runner::{Runner, Tier};
pub use sweep::sweep_orphans;

pub(crate) use init::is_initialised;
