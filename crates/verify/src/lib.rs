//! Ask reality: the Verifier port of machine-driver.
//!
//! [`Verifier`] is the port; [`CommandVerifier`] is the verifier that runs a command and takes its exit code for the truth.

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
