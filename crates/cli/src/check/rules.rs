//! Rules about paths: whether they can be asked, and whether they protect anything.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};

use machine_driver::default_ports;
use machine_driver_governor::audit;
use machine_driver_state::glob::PathGlob;
use machine_driver_state::goal::Goal;
use machine_driver_state::goal::file::GoalFile;

use super::{Check, bad, doubtful, good};
use crate::git::ask;
use crate::narrate::counted;

/// Files and folders that are looked at; of a larger tree nothing is claimed.
const LOOKED_AT: usize = 200_000;

pub(super) fn check(file: &GoalFile) -> Vec<Check> {
    let goal = file.goal();
    if !audit::has_rules(goal) {
        return Vec::new();
    }
    if let Err(error) = default_ports::surveyor(file) {
        return vec![bad("rules", error.exit(), error.to_string(), error.next_step())];
    }
    let all = audit::protected(goal);
    let top = ask(&goal.repo, &["rev-parse", "--show-toplevel"]);
    let root = top.map_or_else(|| goal.repo.clone(), PathBuf::from);
    let idle = idle(&root, &all).unwrap_or_default();
    let fix = "Paths begin at the root of the repository; `*` stays within one folder, `**` does not.";
    let warnings = idle.iter().map(|glob| {
        let what = format!("`path:{glob}` fits no file, so it protects only against new ones");
        doubtful("rules", what, Some(fix.to_owned()))
    });
    std::iter::once(good("rules", summed(goal, all.len())))
        .chain(warnings)
        .collect()
}

fn summed(goal: &Goal, protected: usize) -> String {
    let contract = goal.contract.as_ref();
    let scope = contract.and_then(|contract| contract.scope.as_ref());
    let scope = scope.map(|globs| {
        let globs: Vec<&str> = globs.iter().map(PathGlob::as_str).collect();
        format!(
            "only {} may be changed",
            if globs.is_empty() {
                "nothing".to_owned()
            } else {
                globs.join(" ")
            }
        )
    });
    let own = goal.tasks.iter().filter(|task| task.scope.is_some()).count();
    let own = (own > 0).then(|| format!("{} a scope of its own", said_of(own)));
    let protected =
        (protected > 0).then(|| format!("{} may not be changed", counted(protected, "path glob")));
    let parts: Vec<String> = [scope, own, protected].into_iter().flatten().collect();
    format!("every change is audited before its verify: {}", parts.join("; "))
}

/// `1 task has`, `2 tasks have`
fn said_of(tasks: usize) -> String {
    format!(
        "{} {}",
        counted(tasks, "task"),
        if tasks == 1 { "has" } else { "have" }
    )
}

/// The globs that fit nothing below `root`; none where the tree is too large to say.
fn idle<'g>(root: &Path, globs: &'g [PathGlob]) -> Option<Vec<&'g PathGlob>> {
    let mut idle: Vec<&PathGlob> = globs.iter().collect();
    let mut folders = VecDeque::from([PathBuf::new()]);
    let mut seen = 0;
    while let Some(folder) = folders.pop_front() {
        for entry in fs::read_dir(root.join(&folder)).into_iter().flatten().flatten() {
            seen += 1;
            if idle.is_empty() {
                return Some(idle);
            }
            if seen > LOOKED_AT {
                return None;
            }
            let path = folder.join(entry.file_name());
            if path == Path::new(".git") {
                continue;
            }
            idle.retain(|glob| !glob.fits(&path));
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push_back(path);
            }
        }
    }
    Some(idle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_that_fits_nothing_is_found() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("tests/deep")).unwrap();
        fs::write(folder.path().join("tests/deep/one.rs"), "").unwrap();
        let globs = ["tests", "**/*.rs", "test/**", "tests/*.rs"].map(|text| PathGlob::new(text).unwrap());
        let idle = idle(folder.path(), &globs).unwrap();
        let idle: Vec<&str> = idle.into_iter().map(PathGlob::as_str).collect();
        assert_eq!(idle, ["test/**", "tests/*.rs"]);
    }
}
