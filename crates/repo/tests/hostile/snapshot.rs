//! What lay where before, and what is different now.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Everything below a folder by path. Links are not followed, and nothing but plain files is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot(BTreeMap<PathBuf, String>);

impl Snapshot {
    /// Below `root`, without what `leave_out` names by its path from there.
    pub(crate) fn of(root: &Path, leave_out: &[&str]) -> Self {
        let mut found = BTreeMap::new();
        let mut open = vec![root.to_owned()];
        while let Some(path) = open.pop() {
            let below = path.strip_prefix(root).unwrap();
            if leave_out.iter().any(|name| below == Path::new(name)) {
                continue;
            }
            let Ok(meta) = fs::symlink_metadata(&path) else {
                continue;
            };
            if meta.is_dir() {
                open.extend(
                    fs::read_dir(&path)
                        .into_iter()
                        .flatten()
                        .flatten()
                        .map(|entry| entry.path()),
                );
            }
            found.insert(below.to_owned(), print(&path, &meta));
        }
        Self(found)
    }

    /// Paths that are there in one only, or differ.
    pub(crate) fn differs(&self, later: &Self) -> Vec<String> {
        let paths = self
            .0
            .keys()
            .chain(later.0.keys().filter(|path| !self.0.contains_key(*path)));
        paths
            .filter(|path| self.0.get(*path) != later.0.get(*path))
            .map(|path| format!("{path:?}"))
            .collect()
    }
}

fn print(path: &Path, meta: &fs::Metadata) -> String {
    let kind = meta.file_type();
    let said = if kind.is_file() && meta.len() < 1 << 20 {
        let mut hasher = DefaultHasher::new();
        fs::read(path).unwrap_or_default().hash(&mut hasher);
        format!("file {} {:x}", meta.len(), hasher.finish())
    } else if kind.is_file() {
        format!("file {} {}", meta.len(), meta.mtime_nsec())
    } else if kind.is_symlink() {
        format!("link {:?}", fs::read_link(path).unwrap_or_default())
    } else if kind.is_dir() {
        "folder".into()
    } else {
        format!("other {}", kind.is_fifo())
    };
    format!("{said} {:o}", meta.mode())
}

/// Copies a tree as a clean reader would see it: without anything of git's, links as links, and nothing that is neither.
pub(crate) fn copy_tree(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if entry.file_name() == ".git" {
            continue;
        } else if kind.is_dir() {
            copy_tree(&source, &target)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&source)?, &target)?;
        } else if kind.is_file() && entry.metadata()?.len() < 1 << 30 {
            fs::copy(&source, &target)?;
        }
    }
    Ok(())
}
