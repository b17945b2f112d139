//! One task, one fresh process: the Worker port of machine-driver.
//!
//! [`Worker`] is the port; [`CommandWorker`] is the worker that runs a command, such as a coding agent. The command is
//! checked as a [`Template`](template::Template): a task's text reaches it as data, whatever it holds.

#[cfg(feature = "command")]
mod command;
mod error;
#[cfg(feature = "command")]
mod evidence;
mod order;
pub mod template;
#[cfg(feature = "command")]
mod usage;

#[cfg(feature = "command")]
pub use command::{CommandWorker, check_text_fits};
pub use error::WorkError;
pub use order::{Feedback, Stop, WorkOrder, WorkReport, Worker};
#[cfg(feature = "command")]
pub use usage::left_behind as usage_left_behind;

// A worker's report is in the words of the log.
pub use machine_driver_state::event::{OutputDigest, WorkerClass};
