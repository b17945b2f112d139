//! Whom an operator trusts, and what that makes of a contract's receipt.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use machine_driver_aar::Trusted;
use machine_driver_state::canonical::digest_of;
use machine_driver_state::event::ReceiptSeen;
use machine_driver_state::goal::file::GoalFile;
use machine_driver_state::store::Paths;

use crate::look::Look;
use crate::opening::thawed_since;
use crate::outcome::chain;
use crate::read::kept_goal;

/// The most characters that are recorded of why a receipt does not count.
const WHY_CHARS: usize = 1000;

/// Where the DID documents of those lie whom the user trusts: `$XDG_CONFIG_HOME/machine-driver/trust`, or `~/.config/…` where
/// that variable is not set or not absolute (XDG Base Directory Specification 0.8; on macOS too). None without a home.
#[must_use]
pub fn trust_folder() -> Option<PathBuf> {
    let absolute = |name| {
        let path = PathBuf::from(std::env::var_os(name)?);
        path.is_absolute().then_some(path)
    };
    let config = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")));
    Some(config?.join("machine-driver").join("trust"))
}

/// What there is to say of the contract's receipt now, where it has one. `trust` takes the place of [`trust_folder`].
#[must_use]
pub fn receipt_seen(file: &GoalFile, trust: Option<&Path>) -> Option<ReceiptSeen> {
    let receipt = file.goal().contract.as_ref()?.receipt.as_ref()?;
    let sha256 = digest_of(receipt).ok()?;
    let checked =
        trusted(file, trust).and_then(|trusted| trusted.check(receipt).map_err(|error| chain(&error)));
    let why = checked.err().map(|why| why.chars().take(WHY_CHARS).collect());
    Some(ReceiptSeen { sha256, why })
}

/// Puts into a look what the next driver would find of the contract: whether its receipt counts, and whether a frozen field
/// was changed since the last one. While a driver runs, what that one has found stands.
pub fn foresee(seen: &mut Look, trust: Option<&Path>) {
    if seen.driver.is_some() {
        return;
    }
    let goal = seen.file.goal();
    let known = seen.state.goal_digest().filter(|known| *known != goal.digest);
    let thawed = known.map(|known| {
        let before = kept_goal(&Paths::of(seen.file.path()), known).ok();
        thawed_since(before.as_ref(), goal)
    });
    let receipt = receipt_seen(&seen.file, trust);
    seen.state.foresee(receipt, &thawed.unwrap_or_default());
}

/// The folder of those who are trusted, and the documents in it, where a receipt is or has to be there: nobody may change
/// them while a driver runs.
pub(crate) fn watched(file: &GoalFile, trust: Option<&Path>) -> Option<(PathBuf, Vec<PathBuf>)> {
    let contract = file.goal().contract.as_ref()?;
    if contract.receipt.is_none() && !contract.require_receipt {
        return None;
    }
    let folder = trust.map(Path::to_owned).or_else(trust_folder)?;
    let files = trusted(file, trust).map(|trusted| {
        let files = trusted.documents().map(|(path, _)| path.to_owned());
        files.collect()
    });
    Some((folder, files.unwrap_or_default()))
}

/// Those whom the operator trusts, or why nobody is.
pub(super) fn trusted(file: &GoalFile, trust: Option<&Path>) -> Result<Trusted, String> {
    let folder = trust.map(Path::to_owned).or_else(trust_folder);
    let folder = folder.ok_or_else(|| {
        "nobody is trusted: neither XDG_CONFIG_HOME nor HOME says where their documents are".to_owned()
    })?;
    match reached(file, &folder) {
        Some(by) => Err(format!(
            "{} is not trusted: it lies in {}, where a worker writes",
            folder.display(),
            by.display()
        )),
        None => Trusted::read(&folder).map_err(|error| chain(&error)),
    }
}

/// The folder where a worker works that a path lies in, as it is named or behind its links.
pub(super) fn reached(file: &GoalFile, path: &Path) -> Option<PathBuf> {
    let named = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let real = fs::canonicalize(path).unwrap_or_else(|_| named.clone());
    let places = [file.goal().repo.clone(), Paths::of(file.path()).folder];
    let is_in = |place: &PathBuf| {
        let really = fs::canonicalize(place).unwrap_or_else(|_| place.clone());
        [&named, &real]
            .into_iter()
            .any(|path| path.starts_with(place) || path.starts_with(&really))
    };
    places.into_iter().find(is_in)
}

/// The names of the documents in a folder of those who are trusted.
pub(crate) fn names(folder: &Path) -> Option<Vec<OsString>> {
    let entries = fs::read_dir(folder).ok()?;
    let names = entries.filter_map(|entry| Some(entry.ok()?.file_name()));
    let mut names: Vec<OsString> = names
        .filter(|name| name.as_encoded_bytes().ends_with(b".json"))
        .collect();
    names.sort();
    Some(names)
}
