//! Ask reality: the Verifier port of machine-driver.
//!
//! [`Verifier`] is the port; [`CommandVerifier`] is the verifier that runs a command and takes its exit code for the truth.
//! One of one's own is two methods, and has three things to say:
//!
//! ```
//! use std::io::ErrorKind;
//!
//! use machine_driver_state::control::Control;
//! use machine_driver_state::id::ActorId;
//! use machine_driver_verify::{Verdict, Verifier, VerifyError, VerifyOrder};
//!
//! /// Passes a task when the file of its name leaves nothing to do.
//! #[derive(Debug)]
//! struct Editor(ActorId);
//!
//! impl Verifier for Editor {
//!     fn id(&self) -> &ActorId {
//!         &self.0
//!     }
//!
//!     fn verify(&self, order: &VerifyOrder, _: &Control<'_>) -> Result<Verdict, VerifyError> {
//!         let started = std::time::Instant::now();
//!         let text = std::fs::read_to_string(order.repo.join(order.task.as_str()));
//!         let took = started.elapsed();
//!         Ok(match text {
//!             Ok(text) if !text.contains("TODO") => Verdict::passed(took),
//!             Ok(_) => Verdict::failed("unfinished", b"There is a TODO left.", took),
//!             Err(error) if error.kind() == ErrorKind::NotFound => Verdict::failed("no file", b"", took),
//!             Err(error) => Verdict::unavailable(error.to_string(), took),
//!         })
//!     }
//! }
//! ```

#[cfg(feature = "command")]
mod command;
mod error;
mod order;

#[cfg(feature = "command")]
pub use command::{CommandVerifier, OUTPUT_MAX};
pub use error::VerifyError;
pub use order::{Finding, Verdict, Verifier, VerifyOrder};

// A verdict is in the words of the log.
pub use machine_driver_state::event::OutputDigest;
