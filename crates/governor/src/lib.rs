//! May this proceed, and what comes next: the pure rules of machine-driver.
//!
//! Every rule is a function of (goal, state, now). Nothing in this crate reads a clock, a file or a variable, starts
//! anything, or depends on the order of a hash map; its `clippy.toml` bans the means.
//!
//! * [`next_action`] says what the driver does next, in constant time however many tasks there are.
//! * [`budget`] says whether a limit is reached and when the next one will be.
//! * [`contract`] says whether the target was ratified; [`council`] what heads that were asked have voted.
//! * [`gate`] says whether verified work may be committed; [`Committer`] is the port that does it, with a [`Permit`].
//! * [`audit`] says whether a change keeps to the rules about paths; [`Surveyor`] is the port that sees it.
//! * [`dial`] says which mode is granted.
//! * [`replay`] proves that a log is what these rules ask for, byte for byte.
//!
//! The machine lives here and not beside [`State`](machine_driver_state::state::State) because it asks the budget before every dispatch,
//! and arrows between crates point down only.

pub mod alerts;
pub mod audit;
pub mod budget;
mod commit;
pub mod contract;
pub mod council;
pub mod dial;
pub mod gate;
mod next;
pub mod replay;
mod wait;

pub use audit::Surveyor;
pub use commit::{CommitError, CommitOrder, Committed, Committer, KEY_TRAILER};
pub use gate::{Denial, Permit, decide};
pub use next::{Action, Found, next_action};

/// Interruptions in a row after which a task is given up: a worker that takes the machine down must not do so for ever.
pub const INTERRUPTIONS_MAX: u32 = 10;

/// Verifies that could not judge, in a row, after which an attempt ends unclear.
pub const UNAVAILABLE_MAX: u32 = 3;
