//! A model of a disk for tests: it keeps what a program sees apart from what is durable, can stop after any operation,
//! and then gives every state that a kill or a power cut may legally leave.
//!
//! It allows more than a file system does. Without a sync of the file, a write may be lost, cut at any byte, or be there with
//! holes of zeros; without a sync of the folder, a name may or may not be created, moved or removed, each independently of
//! the others and of the content. A rename is atomic. What is synced stays.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::disk::{Access, Disk, DiskFile, Stat};
use machine::Machine;
use parts::{DataOp, Inode, NameOp};

mod machine;
mod parts;

/// A disk in memory. Clones are one and the same; [`ModelDisk::killed`] and [`ModelDisk::power_cuts`] give others.
#[derive(Debug, Clone, Default)]
pub struct ModelDisk {
    machine: Arc<Mutex<Machine>>,
}

/// Something that goes wrong at an operation, counted from 0. An operation of another kind is not touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A write takes nothing: ENOSPC.
    Full {
        /// At which operation.
        at: usize,
    },
    /// A write takes this many bytes only.
    Short {
        /// At which operation.
        at: usize,
        /// Bytes taken.
        taken: usize,
    },
    /// A sync fails with EIO, and what is not on the disk by then never gets there: the system takes it for written.
    Sync {
        /// At which operation.
        at: usize,
        /// Whether it is on the disk.
        kept: bool,
    },
}

impl ModelDisk {
    /// A disk with these files, all durable, and the folders that hold them.
    #[must_use]
    pub fn new<'a>(files: impl IntoIterator<Item = (&'a Path, &'a [u8])>) -> Self {
        let contents = files
            .into_iter()
            .map(|(path, bytes)| (path.to_owned(), bytes.to_owned()));
        let contents: BTreeMap<_, _> = contents.collect();
        let folders = contents
            .keys()
            .flat_map(|path| path.ancestors().skip(1).map(Path::to_owned));
        Self::of(Machine::holding(&contents, folders.collect()))
    }

    fn of(machine: Machine) -> Self {
        Self {
            machine: Arc::new(Mutex::new(machine)),
        }
    }

    /// Stops after so many operations: every later call fails and changes nothing.
    pub fn stop_after(&self, operations: usize) {
        self.lock().stop_after = Some(operations);
    }

    /// Lets one operation fail.
    pub fn set_fault(&self, fault: Fault) {
        self.lock().fault = Some(fault);
    }

    /// Lies about every sync of files and folders whose path ends so: it succeeds and does nothing. For tests that prove
    /// that a missing sync is found.
    pub fn ignore_syncs_of(&self, path_end: &str) {
        self.lock().unsynced.push(path_end.to_owned());
    }

    /// Every operation so far that changed something or made it durable.
    #[must_use]
    pub fn operations(&self) -> Vec<String> {
        self.lock().operations.clone()
    }

    /// Whether a call came after the stop.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.lock().stopped
    }

    /// All files that a program sees.
    #[must_use]
    pub fn contents(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        self.lock().contents()
    }

    /// Two disks with the same one behave the same from here on, as far as the store goes.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let machine = self.lock();
        let mut hasher = DefaultHasher::new();
        (&machine.seen, &machine.kept, &machine.pending).hash(&mut hasher);
        for (inode, file) in &machine.files {
            (inode, &file.seen, &file.kept, &file.pending).hash(&mut hasher);
        }
        hasher.finish()
    }

    /// The disk as the next process finds it after a kill: all is there, and what was not durable still is not.
    #[must_use]
    pub fn killed(&self) -> Self {
        let machine = self.lock().clone();
        Self::of(Machine {
            operations: Vec::new(),
            stop_after: None,
            stopped: false,
            fault: None,
            ..machine
        })
    }

    /// Every disk that a power cut now may leave, each once.
    ///
    /// Where more than 4,096 combinations are possible, those are left out in which more than two things are neither
    /// wholly lost nor wholly there.
    #[must_use]
    pub fn power_cuts(&self) -> Vec<Self> {
        let machine = self.lock();
        let mut found = BTreeSet::new();
        for names in machine.possible_names() {
            let inodes: Vec<u64> = names.files.values().copied().collect();
            let choices: Vec<Vec<Vec<u8>>> = inodes
                .iter()
                .map(|inode| machine.files.get(inode).map(Inode::possible).unwrap_or_default())
                .collect();
            for contents in combinations(&choices) {
                let files = names
                    .files
                    .keys()
                    .cloned()
                    .zip(contents)
                    .collect::<BTreeMap<_, _>>();
                found.insert((files, names.folders.clone()));
            }
        }
        let disk = |(files, folders): (BTreeMap<_, _>, _)| {
            let unsynced = machine.unsynced.clone();
            Self::of(Machine {
                unsynced,
                ..Machine::holding(&files, folders)
            })
        };
        found.into_iter().map(disk).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of each, in all combinations; a reduced set where those are too many.
fn combinations(choices: &[Vec<Vec<u8>>]) -> Vec<Vec<Vec<u8>>> {
    let count = choices.iter().map(Vec::len).fold(1_usize, usize::saturating_mul);
    let mut all: Vec<Vec<(bool, Vec<u8>)>> = vec![Vec::new()];
    for options in choices {
        let last = options.len().saturating_sub(1);
        let longer = all.iter().flat_map(|begun| {
            options.iter().enumerate().map(move |(index, option)| {
                let mut longer = begun.clone();
                longer.push((index != 0 && index != last, option.clone()));
                longer
            })
        });
        all = longer
            .filter(|one| count <= 4096 || one.iter().filter(|(odd, _)| *odd).count() <= 2)
            .collect();
    }
    all.into_iter()
        .map(|one| one.into_iter().map(|(_, content)| content).collect())
        .collect()
}

impl Disk for ModelDisk {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let mut machine = self.lock();
        machine.alive()?;
        let inode = match machine.seen.files.get(path) {
            Some(inode) => *inode,
            None if access == Access::Create => machine.create(path)?,
            None => return Err(io::ErrorKind::NotFound.into()),
        };
        Ok(Arc::new(ModelFile {
            disk: self.clone(),
            path: path.to_owned(),
            inode,
        }))
    }

    fn stat(&self, path: &Path) -> io::Result<Option<Stat>> {
        let machine = self.lock();
        machine.alive()?;
        let Some(id) = machine.seen.files.get(path) else {
            return Ok(None);
        };
        let inode = machine.files.get(id).cloned().unwrap_or_default();
        let changed = (inode.changed, 0);
        Ok(Some(Stat {
            is_file: true,
            len: inode.seen.len() as u64,
            id: (0, *id),
            modified: changed,
            changed,
        }))
    }

    fn write_new(&self, path: &Path, bytes: &[u8], _like: Option<&Path>) -> io::Result<()> {
        let mut machine = self.lock();
        if machine.seen.files.contains_key(path) {
            machine.step("remove", path)?;
            machine.name(NameOp::Unlink(path.to_owned()));
        }
        let inode = machine.create(path)?;
        if machine.write(path, inode, 0, bytes)? < bytes.len() {
            return Err(io::Error::from_raw_os_error(28)); // the rest is asked for, as `write_all` does
        }
        machine.sync(path, inode)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut machine = self.lock();
        let inode = *machine.seen.files.get(from).ok_or(io::ErrorKind::NotFound)?;
        machine.step("rename", to)?;
        machine.name(NameOp::Rename(from.to_owned(), to.to_owned(), inode));
        Ok(())
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        let mut machine = self.lock();
        if !machine.seen.folders.contains(path) {
            machine.step("create folder", path)?;
            machine.name(NameOp::Folder(path.to_owned()));
        }
        machine.alive()
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let mut machine = self.lock();
        let step = machine.step("sync folder", path)?;
        if machine
            .fault
            .is_some_and(|fault| matches!(fault, Fault::Sync { at, .. } if at == step))
        {
            return Err(io::Error::from_raw_os_error(5));
        }
        if machine.lies_about(path) {
            return Ok(());
        }
        let pending = std::mem::take(&mut machine.pending);
        let (durable, left) = pending
            .into_iter()
            .partition::<Vec<_>, _>(|operation| operation.folder() == Some(path));
        machine.pending = left;
        durable.iter().for_each(|operation| machine.kept.apply(operation));
        Ok(())
    }
}

#[derive(Debug)]
struct ModelFile {
    disk: ModelDisk,
    path: PathBuf,
    inode: u64,
}

impl ModelFile {
    fn content(&self) -> io::Result<Vec<u8>> {
        let machine = self.disk.lock();
        machine.alive()?;
        Ok(machine
            .files
            .get(&self.inode)
            .map(|inode| inode.seen.clone())
            .unwrap_or_default())
    }
}

impl DiskFile for ModelFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.content()?.len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let content = self.content()?;
        let from = content
            .iter()
            .skip(usize::try_from(offset).map_err(io::Error::other)?);
        Ok(buffer.iter_mut().zip(from).map(|(to, from)| *to = *from).count())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        self.disk.lock().write(&self.path, self.inode, offset, bytes)
    }

    fn cut(&self, length: u64) -> io::Result<()> {
        let mut machine = self.disk.lock();
        machine.step("cut", &self.path)?;
        machine.change(
            self.inode,
            DataOp::Cut(usize::try_from(length).map_err(io::Error::other)?),
        );
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.lock().sync(&self.path, self.inode)
    }

    fn is_in_place(&self) -> io::Result<bool> {
        let machine = self.disk.lock();
        machine.alive()?;
        Ok(machine.seen.files.get(&self.path) == Some(&self.inode))
    }
}
