//! The folder that is worked on.

use std::path::{Path, PathBuf};

use machine_driver::Exit;
use machine_driver_state::goal::file::GoalFile;
use machine_driver_state::store::Paths;

use super::{Check, bad, doubtful, good};
use crate::git::{ask, git};
use crate::narrate::{counted, wants_commit};

pub(super) fn check(file: &GoalFile, paths: &Paths) -> Check {
    let repo = &file.goal().repo;
    let shown = repo.display();
    if let Err(error) = tempfile::tempfile_in(repo) {
        let fix = Some("Make it writable for this user: the worker works in it.".into());
        return bad(
            "repo",
            Exit::BadGoal,
            format!("{shown} cannot be written: {error}"),
            fix,
        );
    }
    let Some(top) = ask(repo, &["rev-parse", "--show-toplevel"]) else {
        return without_git(file, &shown.to_string());
    };
    if ask(repo, &["rev-parse", "--verify", "HEAD"]).is_none() {
        let fix = Some("Commit once, so that a change can be told from what was there before.".into());
        return doubtful("repo", format!("{shown}: a git repository without a commit"), fix);
    }
    let changed = changed(Path::new(&top), paths);
    if changed > 0 {
        let so = if wants_commit(file.goal()) {
            "they would go into the first commit"
        } else {
            "the worker's changes will lie among them"
        };
        let fix = Some(format!("Commit or stash them first: {so}."));
        return doubtful(
            "repo",
            format!(
                "{shown}: git repository, {} not committed",
                counted(changed, "path")
            ),
            fix,
        );
    }
    good("repo", format!("{shown}: git repository, clean"))
}

fn without_git(file: &GoalFile, shown: &str) -> Check {
    let has_git = git(Path::new("."), ["--version"]).is_ok();
    if !has_git && file.goal().repo.join(".git").exists() {
        return doubtful(
            "repo",
            format!("{shown}: git is not on PATH, so nothing is known of its state"),
            None,
        );
    }
    if wants_commit(file.goal()) {
        let fix = Some("`git init` and commit once, or set `mode` to `propose`.".into());
        return doubtful(
            "repo",
            format!("{shown}: a plain folder, where nothing can be committed"),
            fix,
        );
    }
    good(
        "repo",
        format!("{shown}: a plain folder; with git a change would be easier to review"),
    )
}

/// Paths with changes that are not committed, the driver's own left out.
fn changed(top: &Path, paths: &Paths) -> usize {
    let status = ask(
        top,
        &[
            "status",
            "--porcelain=v1",
            "-z",
            "--untracked-files=normal",
            "--no-renames",
        ],
    );
    let (own, prefixes) = (paths.own(), paths.own_prefixes());
    let begins = |path: &Path, with: &Path| {
        path.as_os_str()
            .as_encoded_bytes()
            .starts_with(with.as_os_str().as_encoded_bytes())
    };
    let is_own = |path: &str| {
        let path = top.join(path);
        let is_this = |own: &PathBuf| path == *own || own.canonicalize().is_ok_and(|own| path == own);
        own.iter().any(is_this) || prefixes.iter().any(|prefix| begins(&path, prefix))
    };
    let status = status.unwrap_or_default();
    status
        .split('\0')
        .filter_map(|entry| entry.get(3..))
        .filter(|path| !is_own(path.trim_end_matches('/')))
        .count()
}
