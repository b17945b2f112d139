//! What a folder holds, to see whether a command left it as it was.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Every file and folder below one: kind, permissions, length, times and content.
#[derive(Debug, PartialEq, Eq)]
pub struct Tree(BTreeMap<PathBuf, Entry>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    mode: u32,
    len: u64,
    inode: u64,
    modified: (i64, i64),
    content: Option<Vec<u8>>,
    link: Option<OsString>,
}

/// Content is compared up to this size; for larger files the times have to do.
const CONTENT_MAX: u64 = 1 << 20;

impl Tree {
    /// Looks at a folder.
    ///
    /// # Panics
    /// Where it cannot be read.
    #[must_use]
    pub fn of(folder: &Path) -> Self {
        let mut all = BTreeMap::new();
        collect(folder, &mut all);
        Self(all)
    }

    /// Expects the folder to be as it was.
    ///
    /// # Panics
    /// Naming what was created, changed or removed.
    #[track_caller]
    pub fn is_still(&self, folder: &Path) {
        self.compare(&Self::of(folder));
    }

    /// The same, whatever the times say.
    ///
    /// # Panics
    /// As [`Tree::is_still`].
    #[track_caller]
    pub fn holds_the_same(&self, folder: &Path) {
        let timeless = |tree: &Self| {
            let entries = tree.0.iter().map(|(path, entry)| {
                (
                    path.clone(),
                    Entry {
                        modified: (0, 0),
                        ..entry.clone()
                    },
                )
            });
            Self(entries.collect())
        };
        timeless(self).compare(&timeless(&Self::of(folder)));
    }

    #[track_caller]
    fn compare(&self, now: &Self) {
        let differs = |path: &&PathBuf| self.0.get(*path) != now.0.get(*path);
        let changed: BTreeSet<&PathBuf> = self.0.keys().chain(now.0.keys()).filter(differs).collect();
        assert!(changed.is_empty(), "changed on disk: {changed:?}");
    }
}

fn collect(path: &Path, all: &mut BTreeMap<PathBuf, Entry>) {
    let meta = fs::symlink_metadata(path).unwrap();
    let content = (meta.is_file() && meta.len() <= CONTENT_MAX).then(|| fs::read(path).unwrap());
    let link = meta
        .is_symlink()
        .then(|| fs::read_link(path).unwrap().into_os_string());
    let entry = Entry {
        mode: meta.mode(),
        len: meta.len(),
        inode: meta.ino(),
        modified: (meta.mtime(), meta.mtime_nsec()),
        content,
        link,
    };
    all.insert(path.to_owned(), entry);
    if meta.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            collect(&entry.unwrap().path(), all);
        }
    }
}
