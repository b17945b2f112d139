//! What the model knows at a moment, and how an operation changes it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use super::Fault;
use super::parts::{DataOp, Inode, NameOp, Names};

#[derive(Debug, Clone, Default)]
pub(super) struct Machine {
    pub(super) files: BTreeMap<u64, Inode>,
    pub(super) seen: Names,
    pub(super) kept: Names,
    /// Name operations that no sync of their folder covers yet.
    pub(super) pending: Vec<NameOp>,
    pub(super) operations: Vec<String>,
    pub(super) stop_after: Option<usize>,
    pub(super) stopped: bool,
    pub(super) fault: Option<Fault>,
    pub(super) unsynced: Vec<String>,
    pub(super) clock: i64,
}

impl Machine {
    pub(super) fn holding(contents: &BTreeMap<PathBuf, Vec<u8>>, folders: BTreeSet<PathBuf>) -> Self {
        let mut names = Names {
            folders,
            ..Names::default()
        };
        let mut files = BTreeMap::new();
        for (inode, (path, bytes)) in (1..).zip(contents) {
            names.files.insert(path.clone(), inode);
            let (seen, kept) = (bytes.clone(), bytes.clone());
            files.insert(
                inode,
                Inode {
                    seen,
                    kept,
                    ..Inode::default()
                },
            );
        }
        Self {
            files,
            seen: names.clone(),
            kept: names,
            ..Self::default()
        }
    }

    pub(super) fn contents(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let content = |inode| {
            self.files
                .get(inode)
                .map(|inode| inode.seen.clone())
                .unwrap_or_default()
        };
        self.seen
            .files
            .iter()
            .map(|(path, inode)| (path.clone(), content(inode)))
            .collect()
    }

    /// Counts an operation, or refuses it after the stop. Returns its number.
    pub(super) fn step(&mut self, what: &str, path: &Path) -> io::Result<usize> {
        self.alive()?;
        let number = self.operations.len();
        if self.stop_after.is_some_and(|limit| number >= limit) {
            self.stopped = true;
            return self.alive().map(|()| number);
        }
        self.operations.push(format!("{what} {}", path.display()));
        self.clock += 1;
        Ok(number)
    }

    pub(super) fn alive(&self) -> io::Result<()> {
        if self.stopped {
            Err(io::Error::other("the model of a disk has stopped"))
        } else {
            Ok(())
        }
    }

    pub(super) fn lies_about(&self, path: &Path) -> bool {
        self.unsynced
            .iter()
            .any(|end| path.to_string_lossy().ends_with(end.as_str()))
    }

    pub(super) fn name(&mut self, operation: NameOp) {
        self.seen.apply(&operation);
        self.pending.push(operation);
    }

    pub(super) fn create(&mut self, path: &Path) -> io::Result<u64> {
        if !path
            .parent()
            .is_some_and(|folder| self.seen.folders.contains(folder))
        {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.step("create", path)?;
        let inode = self.files.keys().next_back().map_or(1, |last| last + 1);
        self.files.insert(
            inode,
            Inode {
                changed: self.clock,
                ..Inode::default()
            },
        );
        self.name(NameOp::Link(path.to_owned(), inode));
        Ok(inode)
    }

    pub(super) fn write(&mut self, path: &Path, inode: u64, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        let step = self.step("write", path)?;
        let taken = match self.fault {
            Some(Fault::Full { at }) if at == step => return Err(io::Error::from_raw_os_error(28)),
            Some(Fault::Short { at, taken }) if at == step => taken.min(bytes.len()),
            _ => bytes.len(),
        };
        let bytes = bytes.iter().copied().take(taken).collect();
        self.change(
            inode,
            DataOp::Write(usize::try_from(offset).map_err(io::Error::other)?, bytes),
        );
        Ok(taken)
    }

    pub(super) fn change(&mut self, inode: u64, operation: DataOp) {
        let now = self.clock;
        if let Some(file) = self.files.get_mut(&inode) {
            operation.apply(&mut file.seen);
            file.pending.push(operation);
            file.changed = now;
        }
    }

    pub(super) fn sync(&mut self, path: &Path, inode: u64) -> io::Result<()> {
        let step = self.step("sync", path)?;
        let lies = self.lies_about(path);
        let failed = match self.fault {
            Some(Fault::Sync { at, kept }) if at == step => Some(kept),
            _ => None,
        };
        if let Some(file) = self.files.get_mut(&inode).filter(|_| !lies) {
            for operation in file.pending.drain(..).filter(|_| failed != Some(false)) {
                operation.apply(&mut file.kept);
            }
        }
        failed.map_or(Ok(()), |_| Err(io::Error::from_raw_os_error(5)))
    }

    /// What the names may be after a power cut: any of the pending operations may have reached the disk.
    pub(super) fn possible_names(&self) -> BTreeSet<Names> {
        let count = self.pending.len();
        let subsets: Vec<u64> = if count <= 8 {
            (0..1 << count).collect()
        } else {
            let prefixes = (0..=count).map(|n| (1_u64 << n.min(63)) - 1);
            prefixes.clone().chain(prefixes.map(|set| !set)).collect()
        };
        let apply = |set: u64| {
            let mut names = self.kept.clone();
            for (index, operation) in self.pending.iter().enumerate() {
                if set >> index.min(63) & 1 == 1 {
                    names.apply(operation);
                }
            }
            names.drop_unreachable();
            names
        };
        subsets.into_iter().map(apply).collect()
    }
}
