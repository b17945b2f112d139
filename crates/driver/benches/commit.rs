//! What a commit through the gate costs, against the git commands that it needs, run by hand in the same measurement.
//!
//! By hand is what a careful person would type to commit exactly a tree, durably: an index of its own read from HEAD,
//! `add --all`, `write-tree`, `commit-tree`, `update-ref`, all with `core.fsync=all`.
//!
//! `cargo bench -p machine-driver --bench commit [-- COMMITS FILES]`, by default 40 commits in a repository of 200 files.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark prints"
)]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use machine_driver::Driver;
use serde_json::json;
use tempfile::TempDir;

/// Repeats for a median.
const REPEATS: usize = 5;

fn main() {
    machine_driver::init();
    let numbers: Vec<usize> = std::env::args().filter_map(|word| word.parse().ok()).collect();
    let commits = numbers.first().copied().unwrap_or(40);
    let files = numbers.get(1).copied().unwrap_or(200);
    let mut samples: Vec<[Duration; 3]> = (0..REPEATS).map(|_| sample(commits, files)).collect();
    samples.sort_by_key(|[propose, commit, hand]| {
        ((commit.as_secs_f64() - propose.as_secs_f64()) / hand.as_secs_f64() * 1e6) as u64
    });
    let [propose, commit, hand] = samples[samples.len() / 2];
    let gate = commit.saturating_sub(propose);
    println!("{commits} commits in a repository of {files} files, per task:");
    println!("  a run that proposes      {:>8.3} ms", millis(propose));
    println!("  a run that commits       {:>8.3} ms", millis(commit));
    println!("  the commit, gate and all {:>8.3} ms", millis(gate));
    println!("  git by hand              {:>8.3} ms", millis(hand));
    println!(
        "  ratio                    {:>8.2}",
        gate.as_secs_f64() / hand.as_secs_f64()
    );
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Per task: a run that proposes, one that commits, and git by hand.
fn sample(commits: usize, files: usize) -> [Duration; 3] {
    let [one, two, three] = [(); 3].map(|()| repository(files));
    let propose = run(&one, commits, "propose");
    let commit = run(&two, commits, "commit");
    let hand = by_hand(three.path(), commits);
    [propose, commit, hand].map(|time| time / u32::try_from(commits).unwrap())
}

fn repository(files: usize) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let repo = folder.path().join("repo");
    fs::create_dir(&repo).unwrap();
    for number in 0..files {
        let folder = repo.join(format!("d{}", number % 10));
        fs::create_dir_all(&folder).unwrap();
        fs::write(
            folder.join(format!("f{number}")),
            format!("{number}\n").repeat(50),
        )
        .unwrap();
    }
    git(&repo, &["init", "-q", "--template="]);
    git(&repo, &["config", "user.name", "bench"]);
    git(&repo, &["config", "user.email", "bench@example.invalid"]);
    git(&repo, &["add", "."]);
    git(&repo, &["commit", "-q", "-m", "first"]);
    assert!(Command::new("sync").status().unwrap().success());
    folder
}

fn run(folder: &TempDir, commits: usize, mode: &str) -> Duration {
    let tasks: Vec<_> = (0..commits)
        .map(|n| json!({ "id": format!("t{n}"), "goal": "x", "reversible": true }))
        .collect();
    let goal = json!({
        "repo": folder.path().join("repo"), "mode": mode, "tick_seconds": 0, "tasks": tasks,
        "worker_cmd": "echo $MACHINE_TASK_ID > changed", "verify_cmd": "true",
        "contract": { "proposed_by": "a", "ratified_by": "b", "autonomy_ceiling": 1 },
    });
    let path = folder.path().join("goal.json");
    fs::write(&path, goal.to_string()).unwrap();
    let started = Instant::now();
    let summary = Driver::builder(&path).guarded().build().unwrap().run().unwrap();
    let took = started.elapsed();
    assert_eq!(summary.done, commits);
    let made = git(&folder.path().join("repo"), &["rev-list", "--count", "HEAD"]);
    let expected = if mode == "commit" { commits + 1 } else { 1 };
    assert_eq!(made.trim(), expected.to_string());
    took
}

fn by_hand(folder: &Path, commits: usize) -> Duration {
    let repo = folder.join("repo");
    let index = folder.join("index");
    let git = |arguments: &[&str]| {
        let settings = [
            "-c",
            "core.fsync=all",
            "-c",
            "core.hooksPath=/dev/null",
            "-c",
            "gc.auto=0",
        ];
        let mut command = Command::new("git");
        command.arg("-C").arg(&repo).args(settings).args(arguments);
        let output = command.env("GIT_INDEX_FILE", &index).output().unwrap();
        assert!(output.status.success(), "{arguments:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let branch = git(&["symbolic-ref", "HEAD"]);
    let mut took = Duration::ZERO;
    for number in 0..commits {
        fs::write(repo.join("changed"), format!("t{number}\n")).unwrap();
        let started = Instant::now();
        let parent = git(&["rev-parse", "HEAD"]);
        drop(fs::remove_file(&index));
        git(&["read-tree", "HEAD"]);
        git(&["add", "--all"]);
        let tree = git(&["write-tree"]);
        let commit = git(&[
            "commit-tree",
            &tree,
            "-p",
            &parent,
            "-m",
            &format!("driver: t{number}"),
        ]);
        git(&["update-ref", &branch, &commit, &parent]);
        took += started.elapsed();
    }
    took
}

fn git(repo: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .arg("-C")
        .arg(repo)
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}
