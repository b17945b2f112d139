//! Names and contents: what is seen of them, what is durable, and everything that may lie in between.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Names {
    pub(super) files: BTreeMap<PathBuf, u64>,
    pub(super) folders: BTreeSet<PathBuf>,
}

#[derive(Debug, Clone, Hash)]
pub(super) enum NameOp {
    Folder(PathBuf),
    Link(PathBuf, u64),
    Unlink(PathBuf),
    Rename(PathBuf, PathBuf, u64),
}

#[derive(Debug, Clone, Default)]
pub(super) struct Inode {
    pub(super) seen: Vec<u8>,
    pub(super) kept: Vec<u8>,
    pub(super) pending: Vec<DataOp>,
    pub(super) changed: i64,
}

#[derive(Debug, Clone, Hash)]
pub(super) enum DataOp {
    Write(usize, Vec<u8>),
    Cut(usize),
}

impl Names {
    pub(super) fn apply(&mut self, operation: &NameOp) {
        match operation {
            NameOp::Folder(path) => drop(self.folders.insert(path.clone())),
            NameOp::Link(path, inode) => drop(self.files.insert(path.clone(), *inode)),
            NameOp::Unlink(path) => drop(self.files.remove(path)),
            NameOp::Rename(from, to, inode) => {
                if self.files.get(from) == Some(inode) {
                    self.files.remove(from);
                }
                self.files.insert(to.clone(), *inode);
            }
        }
    }

    pub(super) fn drop_unreachable(&mut self) {
        let folders = self.folders.clone();
        let reachable = |path: &Path| path.ancestors().skip(1).all(|folder| folders.contains(folder));
        self.folders.retain(|path| reachable(path));
        self.files.retain(|path, _| reachable(path));
    }
}

impl DataOp {
    pub(super) fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write(_, bytes) => self.apply_part(content, bytes.len(), 0..bytes.len()),
            Self::Cut(length) => content.truncate(*length),
        }
    }

    /// A write of which `length` bytes count for the file's length and only those in `there` have arrived.
    pub(super) fn apply_part(&self, content: &mut Vec<u8>, length: usize, there: Range<usize>) {
        let Self::Write(offset, bytes) = self else { return };
        content.resize(content.len().max(offset + length), 0);
        let target = content.iter_mut().skip(*offset).zip(bytes).enumerate();
        for (_, (byte, new)) in target.filter(|(index, _)| there.contains(index)) {
            *byte = *new;
        }
    }

    /// Everything that a power cut may leave of it but all and nothing.
    pub(super) fn parts(&self) -> Vec<(usize, Range<usize>)> {
        let Self::Write(_, bytes) = self else {
            return Vec::new();
        };
        let (all, half) = (bytes.len(), bytes.len() / 2);
        let last = all.saturating_sub(1);
        let cuts = [1.min(all), half, last].map(|length| (length, 0..length));
        let holes = [0..0, 0..half, half..all, last..all, 0..last].map(|there| (all, there));
        cuts.into_iter().chain(holes).collect()
    }
}

impl Inode {
    /// What a power cut may leave of its content: nothing new first, everything last.
    pub(super) fn possible(&self) -> Vec<Vec<u8>> {
        let mut content = self.kept.clone();
        let mut found = vec![content.clone()];
        for operation in &self.pending {
            for (length, there) in operation.parts() {
                let mut part = content.clone();
                operation.apply_part(&mut part, length, there);
                found.push(part);
            }
            operation.apply(&mut content);
            found.push(content.clone());
        }
        found
    }
}

impl NameOp {
    pub(super) fn folder(&self) -> Option<&Path> {
        match self {
            Self::Folder(path) | Self::Link(path, _) | Self::Unlink(path) | Self::Rename(_, path, _) => {
                path.parent()
            }
        }
    }
}
