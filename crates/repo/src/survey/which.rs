//! Which files an inventory is of. It says so at its front, so that one made for other rules is not taken for it.

use std::path::Path;

use machine_driver_state::glob::PathGlob;
use machine_driver_state::survey::{Difference, Place};

use super::inventory::path_of;
use super::listing;

/// Which files.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Which<'a> {
    /// All of them.
    All,
    /// Those that one of these fits.
    Fitting(&'a [PathGlob]),
}

impl Which<'_> {
    pub(crate) fn holds(&self, path: &[u8]) -> bool {
        match self {
            Self::All => true,
            Self::Fitting(globs) => globs.iter().any(|glob| glob.fits(path_of(path))),
        }
    }

    /// Where to look, none below another.
    pub(crate) fn roots(&self) -> Vec<&Path> {
        let Self::Fitting(globs) = self else {
            return vec![Path::new("")];
        };
        let mut roots: Vec<&Path> = globs.iter().map(PathGlob::root).collect();
        roots.sort_unstable();
        roots.dedup_by(|below, above| below.starts_with(above));
        roots
    }

    /// What an inventory begins with: `all\0`, or `globs <count>\0` and each with a NUL.
    pub(crate) fn header(&self) -> Vec<u8> {
        let Self::Fitting(globs) = self else {
            return b"all\0".to_vec();
        };
        let mut header = format!("globs {}\0", globs.len()).into_bytes();
        for glob in *globs {
            header.extend_from_slice(glob.as_str().as_bytes());
            header.push(0);
        }
        header
    }
}

/// What an inventory was made for, as it says.
#[derive(Debug, PartialEq, Eq)]
enum Made {
    All,
    For(Vec<PathGlob>),
}

/// Reads what an inventory begins with; and the list behind it.
fn read_header(inventory: &[u8]) -> Option<(Made, &[u8])> {
    let (first, mut rest) = split(inventory)?;
    if first == b"all" {
        return Some((Made::All, rest));
    }
    let count = std::str::from_utf8(first.strip_prefix(b"globs ")?).ok()?;
    let mut globs = Vec::new();
    for _ in 0..count.parse::<usize>().ok()? {
        let (glob, behind) = split(rest)?;
        globs.push(PathGlob::new(std::str::from_utf8(glob).ok()?).ok()?);
        rest = behind;
    }
    Some((Made::For(globs), rest))
}

fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (first, rest) = bytes.split_at_checked(bytes.iter().position(|&byte| byte == 0)?)?;
    Some((first, rest.get(1..)?))
}

/// What differs between two inventories, as far as what the later one was made for goes.
///
/// # Errors
/// In words, where the earlier one was not made for all of that, or one of them is malformed.
pub(crate) fn differences(before: &[u8], after: &[u8]) -> Result<Vec<Difference>, String> {
    let malformed = || "an inventory is malformed".to_owned();
    let (made_before, before) = read_header(before).ok_or_else(malformed)?;
    let (made_after, after) = read_header(after).ok_or_else(malformed)?;
    let mut before = listing::parse(before).ok_or_else(malformed)?;
    let after = listing::parse(after).ok_or_else(malformed)?;
    match (&made_before, &made_after) {
        (Made::All, Made::All) => {}
        (Made::For(_), Made::All) => return Err("the earlier inventory is not of all files".into()),
        (made, Made::For(globs)) => {
            if let Made::For(earlier) = made
                && let Some(new) = globs.iter().find(|glob| !earlier.contains(glob))
            {
                return Err(format!("the earlier inventory was not made for `{new}`"));
            }
            let which = Which::Fitting(globs);
            before.retain(|entry| which.holds(entry.path));
        }
    }
    Ok(listing::differences(&before, &after, Place::Files))
}
