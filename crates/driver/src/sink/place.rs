//! Where copies may go, and how far a command has come with them.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use machine_driver_state::canonical::sha256;
use machine_driver_state::goal::AuditSink;
use machine_driver_state::goal::file::GoalFile;
use machine_driver_state::id::Digest;
use machine_driver_state::store::Paths;

use crate::default_ports::secrets;
use crate::error::DriverError;
use crate::outcome::chain;

/// Refuses a sink that copies cannot go to, or where they would be none.
///
/// # Errors
/// [`DriverError::Goal`].
pub(crate) fn check(file: &GoalFile) -> Result<(), DriverError> {
    let refused = |(what, help): (String, &str)| {
        let help = Some(help.to_owned());
        file.refuse(None, "audit_sink", what, help).into()
    };
    match &file.goal().audit_sink {
        None => Ok(()),
        Some(AuditSink::File(path)) => usable(file, path).map_err(refused),
        Some(AuditSink::Command(argv)) => can_start(argv).map_err(refused),
    }
}

/// The reason alone, on one line.
pub(super) fn why(error: &DriverError) -> String {
    match error {
        DriverError::Goal(error) => error
            .problems()
            .next()
            .map_or_else(|| error.to_string(), |problem| problem.message().to_owned()),
        error => chain(error),
    }
}

#[cfg(feature = "command")]
fn can_start(argv: &[String]) -> Result<(), (String, &'static str)> {
    let name = argv.first().map(String::as_str).unwrap_or_default();
    match machine_driver_process::find_program(name.as_ref()) {
        Some(_) => Ok(()),
        None => Err((
            format!("there is no program `{name}`"),
            "install it, or name it by its whole path",
        )),
    }
}

#[cfg(not(feature = "command"))]
fn can_start(_argv: &[String]) -> Result<(), (String, &'static str)> {
    Err(("this build starts no commands".to_owned(), "name a file"))
}

/// A copy that a worker can change is none, and one in a file that the driver writes would be the end of that file.
fn usable(file: &GoalFile, path: &Path) -> Result<(), (String, &'static str)> {
    let shown = path.display();
    let really = |path: &Path| fs::canonicalize(path).ok();
    let Some(folder) = path.parent().and_then(really) else {
        return Err((format!("there is no folder for {shown}"), "make the folder"));
    };
    let repo = really(&file.goal().repo).unwrap_or_else(|| file.goal().repo.clone());
    if folder.starts_with(&repo) {
        let what = format!("{shown} lies in the folder that is worked on");
        return Err((what, "put it where no worker has business"));
    }
    let real = path
        .file_name()
        .map_or_else(|| folder.clone(), |name| folder.join(name));
    if is_the_drivers(file, path, &real) {
        let what = format!("{shown} is one of the driver's own files");
        return Err((what, "name a file that nothing else writes"));
    }
    if fs::symlink_metadata(path).is_ok_and(|meta| !meta.is_file()) {
        return Err((format!("{shown} is not a file"), "name a file"));
    }
    Ok(())
}

/// Whether it is a file of the run's or lies in a folder of it, or is a key: by its name, behind links, or as another name
/// of the same file.
fn is_the_drivers(file: &GoalFile, named: &Path, real: &Path) -> bool {
    let paths = Paths::of(file.path());
    let behind_links = |path: &PathBuf| {
        let folder = fs::canonicalize(path.parent()?).ok()?;
        Some(folder.join(path.file_name()?))
    };
    let both = |paths: Vec<PathBuf>| {
        let real: Vec<PathBuf> = paths.iter().filter_map(behind_links).collect();
        let found = paths.iter().filter_map(|path| fs::canonicalize(path).ok());
        let found: Vec<PathBuf> = found.collect();
        [paths, real, found].concat()
    };
    let mut own = paths.own();
    own.extend(secrets(file.goal()));
    let id = |path: &Path| fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()));
    let is_same = |own: &PathBuf| id(own).is_some_and(|own| id(named) == Some(own));
    let is_within = |own: &PathBuf| named.starts_with(own) || real.starts_with(own);
    let begins = |prefix: &PathBuf| {
        let prefix = prefix.as_os_str().as_encoded_bytes();
        [named, real]
            .into_iter()
            .any(|path| path.as_os_str().as_encoded_bytes().starts_with(prefix))
    };
    let prefixes: Vec<PathBuf> = paths.own_prefixes();
    let real_prefixes: Vec<PathBuf> = prefixes.iter().filter_map(behind_links).collect();
    own.iter().any(is_same)
        || both(own).iter().any(is_within)
        || prefixes.iter().chain(&real_prefixes).any(begins)
}

/// The last record that a command has got, kept beside the log: `RECORD COMMAND`, both as SHA-256 in hex. Where that is lost,
/// the command gets everything again.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    path: PathBuf,
    command: Digest,
}

impl Kept {
    pub(super) fn of(paths: &Paths, argv: &[String]) -> Self {
        Self {
            path: paths.log_copied(),
            command: sha256(argv.join("\0").as_bytes()),
        }
    }

    /// None where another command has got something, or nobody has.
    pub(super) fn read(&self) -> Option<Digest> {
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(NO_LINK)
            .open(&self.path)
            .ok()?;
        if !file.metadata().ok()?.is_file() {
            return None;
        }
        let mut text = String::new();
        file.take(256).read_to_string(&mut text).ok()?;
        let (record, command) = text.trim_end().split_once(' ')?;
        (Digest::new(command).ok()? == self.command).then(|| Digest::new(record).ok())?
    }

    /// Not synced: where a crash takes it back, a record comes twice.
    #[cfg_attr(not(feature = "command"), expect(dead_code, reason = "only commands"))]
    pub(super) fn write(&self, record: Digest) -> io::Result<()> {
        let mut temp = self.path.clone().into_os_string();
        temp.push(".tmp");
        let temp = PathBuf::from(temp);
        match fs::remove_file(&temp) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temp)?;
        file.write_all(format!("{record} {}\n", self.command).as_bytes())?;
        fs::rename(&temp, &self.path)
    }
}

/// A link is none of the driver's, and a pipe is not waited for.
#[expect(clippy::cast_possible_wrap, reason = "flags of open(2)")]
const NO_LINK: i32 = rustix::fs::OFlags::NOFOLLOW
    .union(rustix::fs::OFlags::NONBLOCK)
    .bits() as i32;
