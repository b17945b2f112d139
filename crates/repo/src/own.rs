//! Paths that never enter a tree, because they are the driver's own.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::error::RepoError;

/// The driver's own files and folders, relative to the root of the tree.
#[derive(Debug, Clone, Default)]
pub(crate) struct Own {
    paths: Vec<PathBuf>,
    prefixes: Vec<PathBuf>,
}

impl Own {
    /// What lies below `root` of these absolute paths and beginnings of paths.
    pub(crate) fn new(root: &Path, paths: &[PathBuf], prefixes: &[PathBuf]) -> Result<Self, RepoError> {
        let below = |all: &[PathBuf]| -> Result<Vec<PathBuf>, RepoError> {
            let mut found = Vec::new();
            for path in all {
                let path = resolved(path);
                if root.starts_with(&path) {
                    let what = format!("all of it is the driver's own: {}", path.display());
                    return Err(RepoError::unsupported(root, what));
                }
                found.extend(path.strip_prefix(root).ok().map(Path::to_owned));
            }
            Ok(found)
        };
        Ok(Self {
            paths: below(paths)?,
            prefixes: below(prefixes)?,
        })
    }

    /// Whether a path, relative to the root, is one of them or below one.
    pub(crate) fn holds(&self, path: &[u8]) -> bool {
        let begins = |own: &PathBuf| path.strip_prefix(own.as_os_str().as_bytes());
        let is_or_below = |rest: &[u8]| matches!(rest.first(), None | Some(b'/'));
        self.paths.iter().filter_map(begins).any(is_or_below)
            || self.prefixes.iter().any(|own| begins(own).is_some())
    }

    /// Pathspecs that keep them out, tracked or not (gitglossary(7), magic `exclude`). They outweigh everything that
    /// a `.gitignore` in the tree says, which `info/exclude` does not.
    pub(crate) fn pathspecs(&self) -> impl Iterator<Item = OsString> {
        let paths = self.paths.iter().map(|path| exclude(path));
        let prefixes = self.prefixes.iter().map(|prefix| {
            let mut spec = b":(exclude,top)".to_vec();
            for &byte in prefix.as_os_str().as_bytes() {
                if b"*?[]\\".contains(&byte) {
                    spec.push(b'\\');
                }
                spec.push(byte);
            }
            spec.push(b'*');
            OsString::from_vec(spec)
        });
        paths.chain(prefixes)
    }
}

/// The pathspec that leaves out this one path and all below it.
pub(crate) fn exclude(path: &Path) -> OsString {
    let mut spec = OsString::from(":(exclude,top,literal)");
    spec.push(path);
    spec
}

/// The path with links above its last part followed, as far as there is something.
fn resolved(path: &Path) -> PathBuf {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return path.to_owned();
    };
    match fs::canonicalize(parent) {
        Ok(parent) => parent.join(name),
        Err(_) => resolved(parent).join(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(paths: &[&str], prefixes: &[&str]) -> Result<Own, RepoError> {
        let owned = |all: &[&str]| all.iter().map(PathBuf::from).collect::<Vec<_>>();
        Own::new(Path::new("/no/such"), &owned(paths), &owned(prefixes))
    }

    #[test]
    fn a_path_holds_what_is_below_it_and_a_prefix_what_begins_so() {
        let own = own(
            &["/no/such/md/goal.json", "/elsewhere/x"],
            &["/no/such/md/goal.json.edited-"],
        )
        .unwrap();
        for held in [
            "md/goal.json",
            "md/goal.json/x",
            "md/goal.json.edited-1",
            "md/goal.json.edited-/y",
        ] {
            assert!(own.holds(held.as_bytes()), "{held}");
        }
        for free in ["md/goal.jsonx", "md", "goal.json", "x", "md/goal.json.edited"] {
            assert!(!own.holds(free.as_bytes()), "{free}");
        }
        assert_eq!(own.pathspecs().count(), 2);
    }

    #[test]
    fn a_tree_that_is_all_the_drivers_is_refused() {
        assert!(own(&["/no/such"], &[]).is_err());
        assert!(own(&["/no"], &[]).is_err());
    }

    #[test]
    fn a_pattern_of_a_prefix_is_only_a_beginning() {
        let own = own(&[], &["/no/such/a*[b]?"]).unwrap();
        let spec = own.pathspecs().next().unwrap();
        assert_eq!(spec, r":(exclude,top)a\*\[b\]\?*");
    }
}
