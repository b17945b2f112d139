//! `aar …`: signed records about resolved tasks. What a record must be, and which reason stands for what, is in
//! `machine-driver-aar`; every text that comes out of a record, a document or a file name is foreign and escaped here.

pub(crate) mod found;
pub(crate) mod input;
mod kept;
pub(crate) mod keygen;
pub(crate) mod proof;
pub(crate) mod show;
pub(crate) mod sign;
pub(crate) mod tell;
pub(crate) mod verify;

use crate::escape;

/// Characters of a foreign text that are shown on a line.
const SHOWN_CHARS: usize = 300;

/// A foreign text, fit for a line.
fn shown(text: &str) -> String {
    escape::cut(text, SHOWN_CHARS)
}

#[cfg(test)]
mod tests;
