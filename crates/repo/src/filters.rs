//! Paths whose content a program would have to convert (`filter=`, gitattributes(5)): Git LFS, git-crypt and the like.
//! The driver runs no such program, and what it stored without would be wrong.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use machine_driver_governor::CommitError;

use crate::changes::{Entry, Kind};
use crate::error::{RepoError, Told, name, one_line};
use crate::files;
use crate::git::{Call, Git};

/// Bytes of a `.gitattributes` at most: git reads no longer one.
const ATTRIBUTES_BYTES_MAX: u64 = 100 << 20;

/// Whether an attribute file says anything about filters.
pub(crate) fn are_mentioned(text: &[u8]) -> bool {
    text.windows(6).any(|word| word == b"filter")
}

/// Refuses changed files that a filter applies to, by name.
pub(crate) fn refuse(git: &Git<'_>, changed: &[Entry]) -> Result<(), CommitError> {
    let files = changed.iter().filter(|entry| entry.new == Kind::File);
    let paths: Vec<&[u8]> = files.map(|entry| entry.path.as_slice()).collect();
    let what = "could not tell which files have a filter";
    if paths.is_empty() || !may_apply(git, &paths).told(what)? {
        return Ok(());
    }
    let mut list = paths.join(&0);
    list.push(0);
    let call = Call::new("look filters up", &["check-attr", "-z", "--stdin", "filter"]).fed(list);
    let answer = git.run(call).told(what)?;
    match filtered(&answer) {
        None => Ok(()),
        Some((path, filter)) => {
            let whose = if filter == b"lfs" { "Git LFS" } else { "a filter" };
            let why = format!(
                "{} is stored through {whose} (filter={}), which the driver does not run",
                name(path),
                one_line(filter)
            );
            Err(CommitError::Refused { why })
        }
    }
}

/// Whether any attribute file that holds for these paths mentions filters: saves a call where none does.
fn may_apply(git: &Git<'_>, paths: &[&[u8]]) -> Result<bool, RepoError> {
    if git.repository.settings.mention_filters {
        return Ok(true);
    }
    let above = |path: &&[u8]| -> Vec<PathBuf> {
        let path = Path::new(OsStr::from_bytes(path));
        path.ancestors().skip(1).map(Path::to_owned).collect()
    };
    let folders: BTreeSet<PathBuf> = paths.iter().flat_map(above).collect();
    for folder in folders {
        let file = git.repository.root.join(folder).join(".gitattributes");
        // Git does not follow a link here either.
        if file.is_symlink() || file.is_dir() {
            continue;
        }
        if files::read(&file, ATTRIBUTES_BYTES_MAX)?.is_some_and(|text| are_mentioned(&text)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The first path with a filter, and the filter, in the answer: path, attribute, value and again.
fn filtered(answer: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut parts = answer.split(|&byte| byte == 0);
    while let (Some(path), Some(_), Some(value)) = (parts.next(), parts.next(), parts.next()) {
        // `filter` without a value names no filter.
        if !matches!(value, b"unspecified" | b"unset" | b"set" | b"") {
            return Some((path, value));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_found_behind_paths_without_one() {
        let answer = b"a\0filter\0unspecified\0b\0filter\0unset\0c\0filter\0lfs\0";
        assert_eq!(filtered(answer), Some((&b"c"[..], &b"lfs"[..])));
        assert_eq!(filtered(b"a\0filter\0set\0"), None);
        assert_eq!(filtered(b""), None);
        assert!(are_mentioned(b"*.x filter=lfs") && !are_mentioned(b"* text=auto") && !are_mentioned(b""));
    }
}
