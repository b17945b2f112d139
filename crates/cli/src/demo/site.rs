//! The demo's folder: repository, goal and stand-in.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::{Way, is_free, plan, signed};
use crate::error::Failure;
use crate::git::git;

/// What the repository holds at first.
const REPOSITORY: [(&str, &str); 6] = [
    ("calc.sh", include_str!("files/calc.sh")),
    ("test.sh", include_str!("files/test.sh")),
    ("lib/add.sh", include_str!("files/add.before.sh")),
    ("lib/divide.sh", include_str!("files/todo.before.sh")),
    ("lib/average.sh", include_str!("files/todo.before.sh")),
    ("lib/root.sh", include_str!("files/todo.before.sh")),
];

/// What lies beside it: the stand-in and its edits.
const STAND_IN: [(&str, &str); 7] = [
    ("fake-agent.sh", include_str!("files/fake-agent.sh")),
    ("edits/add.sh", include_str!("files/add.sh")),
    ("edits/divide.first.sh", include_str!("files/divide.first.sh")),
    ("edits/divide.second.sh", include_str!("files/divide.second.sh")),
    ("edits/average.sh", include_str!("files/average.sh")),
    ("edits/root.sh", include_str!("files/root.sh")),
    ("edits/release.sh", include_str!("files/release.sh")),
];

/// What the first commit says.
pub(super) const FIRST: &str = "A small calculator with failing tests";

/// Who commits: nobody's own git configuration is asked.
const IDENTITY: [(&str, &str); 2] = [
    ("user.name", "machine-driver demo"),
    ("user.email", "demo@example.invalid"),
];

/// Who the demo's contract names.
pub(super) const PROPOSER: &str = "ada";
pub(super) const RATIFIER: &str = "grace";

/// Where the demo lies.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) folder: PathBuf,
    pub(super) repo: PathBuf,
    pub(super) goal: PathBuf,
    pub(super) way: Way,
    /// Whether records are signed.
    pub(super) signed: bool,
}

impl Site {
    /// Makes folder, repository and goal. Where that fails, nothing is left of a folder with a name of its own.
    pub(super) fn build(folder: Option<&Path>, way: Way, signed: bool) -> Result<Self, Failure> {
        if let Some(folder) = folder {
            return Self::fill(&make_folder(folder)?, way, signed);
        }
        let made = tempfile::Builder::new().prefix("machine-driver-demo-").tempdir();
        let made = made.map_err(Failure::io("make a folder in", std::env::temp_dir()))?;
        let folder = made
            .path()
            .canonicalize()
            .map_err(Failure::io("find", made.path()))?;
        let site = Self::fill(&folder, way, signed)?;
        let _kept = made.keep();
        Ok(site)
    }

    fn fill(folder: &Path, way: Way, signed: bool) -> Result<Self, Failure> {
        let folder = folder.to_owned();
        let site = Self {
            repo: folder.join("repo"),
            goal: folder.join("goal.json"),
            folder,
            way,
            signed,
        };
        write_all(&site.repo, &REPOSITORY)?;
        write_all(&site.folder, &STAND_IN)?;
        commit(&site.repo)?;
        if signed {
            signed::make_key(&site)?;
        }
        write(&site.goal, &format!("{:#}\n", goal(&site)))?;
        Ok(site)
    }
}

fn make_folder(folder: &Path) -> Result<PathBuf, Failure> {
    if !is_free(folder) {
        return Err(Failure::Usage {
            what: format!(
                "{} is there already, and is not an empty folder",
                folder.display()
            ),
            help: "Name a new or empty folder, or leave --dir out.".into(),
        });
    }
    fs::create_dir_all(folder).map_err(Failure::io("make", folder))?;
    folder.canonicalize().map_err(Failure::io("find", folder))
}

fn write_all(folder: &Path, files: &[(&str, &str)]) -> Result<(), Failure> {
    files
        .iter()
        .try_for_each(|(name, text)| write(&folder.join(name), text))
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(Failure::io("make", folder))?;
    fs::write(path, text).map_err(Failure::io("write", path))
}

fn commit(repo: &Path) -> Result<(), Failure> {
    ask(
        repo,
        &["-c", "init.defaultBranch=main", "init", "-q", "--template="],
    )?;
    for (name, value) in IDENTITY {
        ask(repo, &["config", "--local", name, value])?;
    }
    ask(repo, &["add", "--all"])?;
    ask(repo, &["commit", "-q", "--no-verify", "-m", FIRST])
}

fn ask(repo: &Path, arguments: &[&str]) -> Result<(), Failure> {
    let failed = |why: String| Failure::Outside {
        what: format!(
            "git could not make the demo's repository in {}: {why}",
            repo.display()
        ),
        help: "The demo needs git (and sh) on PATH: install it, then start again.".into(),
    };
    let output = git(repo, arguments).map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

fn goal(site: &Site) -> Value {
    let is_commit = site.way == Way::Commit;
    let tasks = plan::tasks(site.way).map(|planned| task(planned, is_commit));
    let mut goal = json!({
        "goal": "demo",
        "repo": site.repo.to_string_lossy(),
        "worker_cmd": "sh ../fake-agent.sh {task_id} {feedback_file}",
        "verify_cmd": "sh test.sh \"$MACHINE_TASK_ID\"",
        "mode": if is_commit { "commit" } else { "propose" },
        "max_attempts": 2,
        "tick_seconds": 0.1,
        "budget": {"max_worker_runs": 20, "max_wall_seconds": 300},
        "tasks": tasks.collect::<Vec<_>>(),
    });
    if let (true, Some(goal)) = (is_commit, goal.as_object_mut()) {
        goal.insert("contract".into(), contract());
    }
    if let (true, Some(goal)) = (site.signed, goal.as_object_mut()) {
        goal.insert("aar_priv".into(), signed::KEY.into());
        goal.insert("principal".into(), signed::PRINCIPAL.into());
        goal.insert("subject".into(), signed::SUBJECT.into());
    }
    goal
}

fn task(planned: &plan::Planned, is_commit: bool) -> Value {
    let mut task = Map::new();
    task.insert("id".into(), json!(planned.id));
    task.insert("goal".into(), json!(planned.goal));
    if !planned.after.is_empty() {
        task.insert("after".into(), json!(planned.after));
    }
    if is_commit && planned.reversible {
        task.insert("reversible".into(), json!(true));
    }
    task.into()
}

fn contract() -> Value {
    json!({
        "definition_of_done": "every operation of calc.sh passes its tests",
        "proposed_by": PROPOSER,
        "ratified_by": RATIFIER,
        "autonomy_ceiling": 1,
    })
}
