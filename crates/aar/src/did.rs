//! Who is named: part of the vocabulary, since goal.json names them too.

pub use machine_driver_state::did::{Did, DidError};
pub(crate) use machine_driver_state::did::{check, extends};
