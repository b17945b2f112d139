//! Where the files of a run lie: all of them beside its goal.json.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::id::{Digest, TaskId};

/// The files and folders that belong to one goal file.
///
/// Beside `goal.json` they are `driver-log.jsonl`, `evidence/`, `control/` and `aar/`; beside `NAME.json` they are
/// `NAME.driver-log.jsonl`, `NAME.evidence/` and so on, so that two goals in one folder never share a log. A file that
/// does not end in `.json` is its own NAME: `x` and `x.json` in one folder would share, and the log's binding to the
/// goal's name tells them apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// The goal file, made absolute; links on the way to it are kept.
    pub goal: PathBuf,
    /// The folder that holds it.
    pub folder: PathBuf,
    /// The journal.
    pub log: PathBuf,
    /// Output of workers and verifiers, and the goals as they were.
    pub evidence: PathBuf,
    /// What commands leave for a driver that runs.
    pub control: PathBuf,
    /// Signed records.
    pub aar: PathBuf,
}

impl Paths {
    /// The paths for this goal file. A link to one is another name of the same goal, whose files lie beside the file itself; but
    /// where a log lies beside the link, that is its own: nobody loses a run's files by putting a link in the place of its goal.
    #[must_use]
    pub fn of(goal_json: &Path) -> Self {
        let named = Self::as_named(goal_json);
        if !named.goal.is_symlink() || named.log.exists() {
            return named;
        }
        match named.goal.canonicalize() {
            Ok(goal) => Self::as_named(&goal),
            Err(_) => named, // Whoever opens it gets the system's own error.
        }
    }

    /// The paths beside this very name, be it a link or not. Nothing is looked up on the disk, but for the current folder where
    /// the path is relative.
    #[must_use]
    pub fn as_named(goal_json: &Path) -> Self {
        // Without a current folder the path stays relative, and whoever opens it gets the system's own error.
        let goal = std::path::absolute(goal_json).unwrap_or_else(|_| goal_json.to_owned());
        let folder = goal.parent().unwrap_or(&goal).to_owned();
        let file_name = goal.file_name().unwrap_or_default();
        let beside = |what: &str| folder.join(prefixed(file_name, what));
        Self {
            log: beside("driver-log.jsonl"),
            evidence: beside("evidence"),
            control: beside("control"),
            aar: beside("aar"),
            goal,
            folder,
        }
    }

    /// The folder with the evidence of a task's attempts (`attempt-N.*`).
    ///
    /// A task may be called `goal` and then shares [`Paths::snapshots`]; the names in there cannot meet, since a
    /// snapshot's is 64 hex digits and `.json`.
    #[must_use]
    pub fn task_evidence(&self, task: &TaskId) -> PathBuf {
        self.evidence.join(task.as_str())
    }

    /// The folder with the goals as they were.
    #[must_use]
    pub fn snapshots(&self) -> PathBuf {
        self.evidence.join("goal")
    }

    /// The goal with this digest, as it was.
    #[must_use]
    pub fn snapshot(&self, digest: &Digest) -> PathBuf {
        self.snapshots().join(format!("{digest}.json"))
    }

    /// The name of a log that was set aside: `driver-log.WHICH.jsonl`.
    #[must_use]
    pub fn log_kept(&self, which: &str) -> PathBuf {
        let mut name = self.log.file_stem().unwrap_or_default().to_owned();
        name.push(format!(".{which}.jsonl"));
        self.folder.join(name)
    }

    /// The last record of the log that a command of `audit_sink` has got: `driver-log.sink`.
    #[must_use]
    pub fn log_copied(&self) -> PathBuf {
        let mut name = self.log.file_stem().unwrap_or_default().to_owned();
        name.push(".sink");
        self.folder.join(name)
    }

    /// The files and folders of the run, which belong to no change of the repository even where they lie inside it.
    #[must_use]
    pub fn own(&self) -> Vec<PathBuf> {
        let mut own = vec![
            self.goal.clone(),
            super::file::temp_of(&self.goal),
            self.log.clone(),
            self.evidence.clone(),
            self.control.clone(),
            self.aar.clone(),
        ];
        // Where goal.json is a link, the file that it leads to is written.
        own.extend(
            std::fs::canonicalize(&self.goal)
                .ok()
                .filter(|goal| *goal != self.goal),
        );
        own
    }

    /// What the names of further files of the run begin with: logs that were set aside, edits that were kept.
    #[must_use]
    pub fn own_prefixes(&self) -> Vec<PathBuf> {
        let mut log = self.log.file_stem().unwrap_or_default().to_owned();
        log.push(".");
        vec![
            self.goal_edited(""),
            self.folder.join(log),
            self.control_beside("refused-"),
        ]
    }

    /// Where something is moved to that stood in place of [`Paths::control`]: `control.refused-NUMBER`.
    #[must_use]
    pub fn control_refused(&self, number: u32) -> PathBuf {
        self.control_beside(&format!("refused-{number}"))
    }

    fn control_beside(&self, what: &str) -> PathBuf {
        let mut name = self.control.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{what}"));
        self.folder.join(name)
    }

    /// Where an edit of goal.json is kept: `goal.json.edited-WHEN`.
    #[must_use]
    pub fn goal_edited(&self, when: &str) -> PathBuf {
        let mut name = self.goal.file_name().unwrap_or_default().to_owned();
        name.push(format!(".edited-{when}"));
        self.folder.join(name)
    }
}

/// `what` for `goal.json`, `NAME.what` for any other.
fn prefixed(file_name: &OsStr, what: &str) -> OsString {
    let path = Path::new(file_name);
    let name = match path.extension() {
        Some(extension) if extension == "json" => path.file_stem().unwrap_or(file_name),
        _ => file_name,
    };
    if file_name == "goal.json" {
        return what.into();
    }
    let mut prefixed = name.to_owned();
    prefixed.push(".");
    prefixed.push(what);
    prefixed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(goal: &str, log: &str, evidence: &str) {
        let paths = Paths::of(Path::new(goal));
        assert_eq!(paths.log, Path::new(log));
        assert_eq!(paths.evidence, Path::new(evidence));
    }

    #[test]
    fn two_goals_of_one_folder_never_share() {
        check("/w/goal.json", "/w/driver-log.jsonl", "/w/evidence");
        check("/w/night.json", "/w/night.driver-log.jsonl", "/w/night.evidence");
        check("/w/a.b.json", "/w/a.b.driver-log.jsonl", "/w/a.b.evidence");
        check("/w/goal", "/w/goal.driver-log.jsonl", "/w/goal.evidence");
        check("/w/x.yaml", "/w/x.yaml.driver-log.jsonl", "/w/x.yaml.evidence");
        check("/w/.json", "/w/.json.driver-log.jsonl", "/w/.json.evidence");
    }

    #[test]
    fn relative_paths_become_absolute() {
        let paths = Paths::of(Path::new("goal.json"));
        assert!(paths.goal.is_absolute() && paths.log.is_absolute());
        assert_eq!(paths.folder, std::env::current_dir().unwrap());
    }

    #[test]
    fn names_inside_the_folders() {
        let paths = Paths::of(Path::new("/w/n.json"));
        let digest = crate::canonical::sha256(b"abc");
        assert_eq!(
            paths.snapshot(&digest),
            Path::new(&format!("/w/n.evidence/goal/{digest}.json"))
        );
        let task = TaskId::new("goal").unwrap();
        assert_eq!(paths.task_evidence(&task), paths.snapshots());
        assert_eq!(paths.log_kept("1"), Path::new("/w/n.driver-log.1.jsonl"));
        assert_eq!(
            Paths::of(Path::new("/w/goal.json")).log_kept("original"),
            Path::new("/w/driver-log.original.jsonl")
        );
        assert_eq!(paths.goal_edited("t"), Path::new("/w/n.json.edited-t"));
        let own = paths.own();
        for file in [
            "n.json",
            ".n.json.machine-driver.tmp",
            "n.driver-log.jsonl",
            "n.evidence",
            "n.control",
            "n.aar",
        ] {
            assert!(own.contains(&Path::new("/w").join(file)), "{file}");
        }
        assert_eq!(paths.control_refused(2), Path::new("/w/n.control.refused-2"));
        let prefixes = ["/w/n.json.edited-", "/w/n.driver-log.", "/w/n.control.refused-"];
        assert_eq!(paths.own_prefixes(), prefixes.map(PathBuf::from));
    }
}
