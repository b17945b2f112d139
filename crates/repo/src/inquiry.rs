//! Asking git about a repository with the user's own environment, once, before any worker runs. An earlier run's worker
//! may have been there, so only what runs nothing is asked.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use machine_driver_process::{Cancel, Capture, Captured, capture, find_program};

use crate::error::{RepoError, name, one_line};
use crate::files;
use crate::git::{ANSWER_BYTES_MAX, complaint, outcome};
use crate::repository::environment;
use crate::settings::{self, Said};

/// The oldest git that knows `core.fsync`.
const GIT_OLDEST: (u32, u32) = (2, 36);

/// Where a repository's parts are.
pub(crate) struct Places {
    pub(crate) root: PathBuf,
    pub(crate) git_dir: PathBuf,
    pub(crate) common_dir: PathBuf,
}

/// Questions about the repository around one folder.
pub(crate) struct Inquiry {
    pub(crate) git: PathBuf,
    folder: PathBuf,
    env: Vec<(OsString, OsString)>,
}

impl Inquiry {
    pub(crate) fn new(folder: &Path) -> Result<Self, RepoError> {
        let git = find_program(OsStr::new("git")).ok_or(RepoError::NoGit)?;
        let folder = folder.canonicalize().map_err(RepoError::io("find", folder))?;
        let inquiry = Self {
            git,
            folder,
            env: environment(std::env::vars_os()).into_iter().collect(),
        };
        inquiry.refuse_version()?;
        Ok(inquiry)
    }

    /// The same questions about another folder.
    pub(crate) fn at(&self, folder: &Path) -> Self {
        Self {
            git: self.git.clone(),
            folder: folder.to_owned(),
            env: self.env.clone(),
        }
    }

    fn refuse_version(&self) -> Result<(), RepoError> {
        let answer = self.ask("say its version", &["version"])?;
        let text = String::from_utf8_lossy(&answer);
        let number = text.trim().strip_prefix("git version ").unwrap_or_default();
        let mut parts = number.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        let version = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
        if version >= GIT_OLDEST {
            return Ok(());
        }
        let what = format!("git is `{}`, and 2.36 is needed", one_line(&answer));
        Err(RepoError::unsupported(&self.folder, what))
    }

    pub(crate) fn places(&self) -> Result<Places, RepoError> {
        let place = |question: &'static str, argument: &str| -> Result<PathBuf, RepoError> {
            let answer = self.ask(question, &["rev-parse", "--path-format=absolute", argument])?;
            Ok(PathBuf::from(OsString::from_vec(without_newline(answer))))
        };
        // Each by itself: a path may hold a line break.
        let git_dir = self.git_dir()?;
        let bare = self.ask("look at the repository", &["rev-parse", "--is-inside-work-tree"])?;
        if without_newline(bare) != b"true" {
            let what = "it has no tree here: it is bare, or the folder is inside of .git";
            return Err(RepoError::unsupported(&self.folder, what));
        }
        Ok(Places {
            root: place("find the root of the tree", "--show-toplevel")?,
            git_dir,
            common_dir: place("find the git folder", "--git-common-dir")?,
        })
    }

    fn git_dir(&self) -> Result<PathBuf, RepoError> {
        let operation = "find the git folder";
        let captured = self.call(operation, &["rev-parse", "--absolute-git-dir"])?;
        if captured.succeeded() {
            return Ok(PathBuf::from(OsString::from_vec(without_newline(
                captured.stdout,
            ))));
        }
        let said = String::from_utf8_lossy(&captured.stderr);
        if said.contains("not a git repository") {
            return Err(RepoError::NotARepository {
                path: self.folder.clone(),
            });
        }
        Err(complaint(operation, &self.folder, &captured))
    }

    pub(crate) fn configuration(&self) -> Result<Said, RepoError> {
        let answer = self.ask("list its configuration", &["config", "--list", "-z"])?;
        Ok(settings::said(&answer))
    }

    /// The value of a setting that is a path, with `~` replaced.
    pub(crate) fn path_setting(&self, name: &str) -> Result<Option<PathBuf>, RepoError> {
        let answer = self.ask(
            "read its configuration",
            &["config", "--type=path", "-z", "--get", name],
        )?;
        let path = answer.split(|&byte| byte == 0).next().unwrap_or_default();
        Ok((!path.is_empty()).then(|| self.folder.join(OsStr::from_bytes(path))))
    }

    /// A file of the user's git configuration folder (git-config(1), FILES).
    pub(crate) fn user_file(&self, name: &str) -> Option<PathBuf> {
        let set = |variable: &str| {
            let found = self.env.iter().find(|(name, _)| name == variable);
            found
                .map(|(_, value)| PathBuf::from(value))
                .filter(|value| value.is_absolute())
        };
        let folder = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")))?;
        Some(folder.join("git").join(name))
    }

    /// Content of the attributes that hold for the whole machine; a git before 2.42 does not say where they are.
    pub(crate) fn system_attributes(&self) -> Result<Vec<u8>, RepoError> {
        let captured = self.call("find the system's attributes", &["var", "GIT_ATTR_SYSTEM"])?;
        let path = match captured.succeeded() {
            true => OsString::from_vec(without_newline(captured.stdout)),
            false => "/etc/gitattributes".into(),
        };
        Ok(files::read(Path::new(&path), 16 << 20)?.unwrap_or_default())
    }

    /// The variables by which git is told who commits.
    pub(crate) fn identity(&self) -> Result<Vec<(OsString, OsString)>, RepoError> {
        let mut all = Vec::new();
        for who in ["AUTHOR", "COMMITTER"] {
            // What git would make up from the name of the machine is nobody's identity.
            let asked = [
                "-c",
                "user.useConfigOnly=true",
                "var",
                &format!("GIT_{who}_IDENT"),
            ];
            let captured = self.call("say who commits", &asked)?;
            let no_identity = || RepoError::NoIdentity {
                path: self.folder.clone(),
            };
            if !captured.succeeded() {
                return Err(no_identity());
            }
            let (person, mail) = identity(&captured.stdout).ok_or_else(no_identity)?;
            all.push((format!("GIT_{who}_NAME").into(), OsString::from_vec(person)));
            all.push((format!("GIT_{who}_EMAIL").into(), OsString::from_vec(mail)));
        }
        Ok(all)
    }

    /// Asked at the root, else part of it is left out.
    ///
    /// Refuses an index that hides files from git: the user's intent would be lost, or a worker's change with it.
    pub(crate) fn refuse_bits(&self) -> Result<(), RepoError> {
        let answer = self.ask("list its index", &["ls-files", "-v", "-z"])?;
        for entry in answer.split(|&byte| byte == 0) {
            let what = match entry.first() {
                None | Some(b'H') => continue,
                Some(b'M') => "is not merged",
                Some(b'S' | b's') => "is marked skip-worktree",
                Some(byte) if byte.is_ascii_lowercase() => "is marked assume-unchanged",
                Some(_) => continue,
            };
            let what = format!("{} {what} in the index", name(entry.get(2..).unwrap_or_default()));
            return Err(RepoError::unsupported(&self.folder, what));
        }
        Ok(())
    }

    fn ask(&self, operation: &'static str, arguments: &[&str]) -> Result<Vec<u8>, RepoError> {
        let captured = self.call(operation, arguments)?;
        match captured.succeeded() {
            true => Ok(captured.stdout),
            false => Err(complaint(operation, &self.folder, &captured)),
        }
    }

    fn call(&self, operation: &'static str, arguments: &[&str]) -> Result<Captured, RepoError> {
        // Listing the index asks the file system monitor, which is a command.
        const HARDENED: [&str; 4] = ["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"];
        let mut argv = vec![self.git.clone().into_os_string()];
        argv.extend(HARDENED.iter().chain(arguments).map(Into::into));
        let command = Capture {
            argv,
            env: self.env.clone(),
            cwd: self.folder.clone(),
            stdin: Vec::new(),
            wall: Duration::from_secs(30),
            stdout_max: ANSWER_BYTES_MAX,
            stderr_max: 64 << 10,
        };
        outcome(operation, &self.folder, capture(&command, &Cancel::new()))
    }
}

fn without_newline(mut answer: Vec<u8>) -> Vec<u8> {
    if answer.last() == Some(&b'\n') {
        answer.pop();
    }
    answer
}

/// Name and mail address in `Name <mail> seconds zone`.
fn identity(line: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let open = line.windows(2).position(|pair| pair == b" <")?;
    let close = line.iter().rposition(|&byte| byte == b'>')?;
    let person = line.get(..open)?.to_vec();
    let mail = line.get(open + 2..close)?.to_vec();
    (!person.is_empty()).then_some((person, mail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_split_as_git_writes_it() {
        let split = |line: &[u8]| identity(line);
        assert_eq!(
            split(b"J\xc3\xb6 Doe <j@x.org> 1 +0000\n"),
            Some((b"J\xc3\xb6 Doe".to_vec(), b"j@x.org".to_vec()))
        );
        assert_eq!(split(b"A <> 1 +0000"), Some((b"A".to_vec(), Vec::new())));
        assert_eq!(split(b" <a@b> 1 +0000"), None);
        assert_eq!(split(b"nonsense"), None);
    }
}
