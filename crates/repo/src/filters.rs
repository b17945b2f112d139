//! Paths whose content a program would have to convert (`filter=`, gitattributes(5)): Git LFS, git-crypt and the like.
//! The driver runs no such program, and what it stored without would be wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use machine_driver_governor::CommitError;

use crate::changes::{Entry, Kind};
use crate::error::{RepoError, Told, name, one_line};
use crate::files;
use crate::git::{Call, Git};
use crate::index;
use crate::objects;

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
    if paths.is_empty() || !may_apply(git, &paths).told(WHAT)? {
        return Ok(());
    }
    let answer = look_up(git, &paths).told(WHAT)?;
    filtered(&answer).next().map_or(Ok(()), refused)
}

/// The same for what is tracked, before it is read: unlike what git stores, what a filter made of it may be huge, and
/// would be written to the object store for nothing.
pub(crate) fn refuse_tracked(git: &Git<'_>, tracked: &[index::Entry<'_>]) -> Result<(), CommitError> {
    let root = &git.repository.root;
    let path_of = |path: &[u8]| root.join(OsStr::from_bytes(path));
    let mention = |entry: &&index::Entry<'_>| -> Result<bool, RepoError> {
        Ok(entry.path.ends_with(b".gitattributes") && mentions(&path_of(entry.path))?)
    };
    let mut any = git.repository.settings.mention_filters;
    for entry in tracked {
        any = any || mention(&entry).told(WHAT)?;
    }
    if !any {
        return Ok(());
    }
    let files: BTreeMap<&[u8], &[u8]> = tracked.iter().map(|entry| (entry.path, entry.id)).collect();
    let paths: Vec<&[u8]> = files.keys().copied().collect();
    let answer = look_up(git, &paths).told(WHAT)?;
    for (path, filter) in filtered(&answer) {
        let (file, id) = (path_of(path), files.get(path).copied().unwrap_or_default());
        let is_file = file.symlink_metadata().is_ok_and(|metadata| metadata.is_file());
        let is_same = || objects::is_content(&file, id, git.repository.format);
        if is_file
            && !git.repository.own.holds(path)
            && !is_same().map_err(RepoError::io("read", &file)).told(WHAT)?
        {
            return refused((path, filter));
        }
    }
    Ok(())
}

/// What a failure of all this is called.
const WHAT: &str = "could not tell which files have a filter";

fn refused((path, filter): (&[u8], &[u8])) -> Result<(), CommitError> {
    let whose = if filter == b"lfs" { "Git LFS" } else { "a filter" };
    let why = format!(
        "{} is stored through {whose} (filter={}), which the driver does not run",
        name(path),
        one_line(filter)
    );
    Err(CommitError::Refused { why })
}

fn look_up(git: &Git<'_>, paths: &[&[u8]]) -> Result<Vec<u8>, RepoError> {
    let mut list = paths.join(&0);
    list.push(0);
    git.run(Call::new("look filters up", &["check-attr", "-z", "--stdin", "filter"]).fed(list))
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
        if mentions(&git.repository.root.join(folder).join(".gitattributes"))? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn mentions(file: &Path) -> Result<bool, RepoError> {
    // Git does not follow a link here either.
    if file.is_symlink() || file.is_dir() {
        return Ok(false);
    }
    let text = files::read(file, ATTRIBUTES_BYTES_MAX)?;
    Ok(text.is_some_and(|text| are_mentioned(&text)))
}

/// The paths with a filter, and the filter, in the answer: path, attribute, value and again.
fn filtered(answer: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut parts = answer.split(|&byte| byte == 0);
    let triples = std::iter::from_fn(move || {
        let (path, _, value) = (parts.next()?, parts.next()?, parts.next()?);
        Some((path, value))
    });
    // `filter` without a value names no filter.
    triples.filter(|(_, value)| !matches!(*value, b"unspecified" | b"unset" | b"set"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_found_behind_paths_without_one() {
        let answer = b"a\0filter\0unspecified\0b\0filter\0unset\0c\0filter\0lfs\0";
        assert!(filtered(answer).eq([(&b"c"[..], &b"lfs"[..])]));
        assert_eq!(filtered(b"a\0filter\0set\0").count() + filtered(b"").count(), 0);
        assert!(are_mentioned(b"*.x filter=lfs") && !are_mentioned(b"* text=auto") && !are_mentioned(b""));
    }
}
