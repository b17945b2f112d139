//! One driver for each goal, one goal for each tree.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Barrier};

use machine_driver_state::event::DriverUp;

use super::*;

#[test]
fn of_twenty_simultaneous_opens_one_wins() {
    let f = folder();
    let barrier = Arc::new(Barrier::new(20));
    let starts: Vec<_> = (0..20)
        .map(|_| {
            let (paths, barrier) = (f.paths.clone(), Arc::clone(&barrier));
            std::thread::spawn(move || {
                barrier.wait();
                let store = FileStore::open(&paths, Access::Create);
                barrier.wait(); // the winner holds it until all have tried
                store.map(drop).map_err(|error| error.to_string())
            })
        })
        .collect();
    let ends: Vec<_> = starts.into_iter().map(|start| start.join().unwrap()).collect();
    assert_eq!(ends.iter().filter(|end| end.is_ok()).count(), 1);
    assert!(
        ends.iter()
            .flat_map(|end| end.as_ref().err())
            .all(|text| text.ends_with("is in use")),
        "{ends:?}"
    );
    assert!(FileStore::open(&f.paths, Access::Write).is_ok(), "free again");
}

/// Not a test of its own: what [`of_twenty_simultaneous_processes_one_wins`] starts twenty times.
#[test]
fn child_that_takes_the_lock() {
    let Some(goal) = std::env::var_os("STORE_TEST_GOAL") else {
        return;
    };
    let store = FileStore::open(&Paths::of(Path::new(&goal)), Access::Create);
    println!("\nLOCK {}", if store.is_ok() { "won" } else { "lost" });
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

#[test]
fn of_twenty_simultaneous_processes_one_wins_and_a_kill_frees_it() {
    use std::io::{BufRead as _, BufReader};
    let f = folder();
    let mut children: Vec<_> = (0..20)
        .map(|_| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "lock::child_that_takes_the_lock", "--nocapture"])
                .env("STORE_TEST_GOAL", &f.paths.goal)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let won: Vec<bool> = children
        .iter_mut()
        .map(|child| {
            let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
            lines
                .find_map(|line| line.unwrap().strip_prefix("LOCK ").map(|end| end == "won"))
                .unwrap()
        })
        .collect();
    assert_eq!(won.iter().filter(|won| **won).count(), 1);
    for mut child in children {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(FileStore::open(&f.paths, Access::Write).is_ok());
}

#[test]
fn the_holder_is_named_from_however_far_back() {
    let f = folder();
    let (mut store, _, _) = open(&f.paths).unwrap();
    for pid in [1, 4711] {
        let up = DriverUp {
            version: "0".into(),
            pid,
            boot_id: String::new(),
            goal: "g".into(),
            goal_sha256: sha256(b""),
            mode_asked: "propose".into(),
            mode: "propose".into(),
            tier: "group".into(),
            gate: false,
            repo: None,
            sinks: Vec::new(),
            records: false,
            sealed: false,
            receipt: None,
            survey: None,
            accepts_tree: false,
        };
        store.append(at(0), Event::DriverUp(up)).unwrap();
    }
    for n in 0..600 {
        if [0, 1, 100, 599].contains(&n) {
            let error = FileStore::open(&f.paths, Access::Write).unwrap_err();
            assert!(
                matches!(
                    error,
                    StoreError::Locked {
                        holder: Some(4711),
                        ..
                    }
                ),
                "{error}"
            );
        }
        store.append(at(n), event(n)).unwrap();
    }
}

#[test]
fn a_lock_file_deleted_while_held_stops_the_first_and_the_checkpoint_stops_the_second() {
    let f = folder();
    let (mut store, _, _) = open(&f.paths).unwrap();
    let head = store.append(at(0), event(0)).unwrap().head();
    fs::remove_file(&f.paths.log).unwrap();
    assert!(matches!(
        open_at(&f.paths, Some(head)),
        Err(StoreError::Cut { .. })
    ));
    assert!(matches!(
        store.append(at(1), event(1)),
        Err(StoreError::Replaced { .. })
    ));
}

#[test]
fn a_tree_has_one_goal_and_the_lock_outlives_its_label() {
    let f = folder();
    let repo = f.dir.path().join("repo");
    fs::create_dir_all(repo.join(".git")).unwrap();
    let lock = lock_tree(&repo, &f.paths.goal).unwrap();
    let error = lock_tree(&repo, Path::new("/other.json"))
        .unwrap_err()
        .to_string();
    let holder = format!("({} {})", std::process::id(), f.paths.goal.display());
    assert!(
        error.ends_with(&format!("is in use by another goal {holder}")),
        "{error}"
    );
    fs::remove_file(repo.join(".git/machine-driver.lock")).unwrap();
    assert!(matches!(
        lock_tree(&repo, &f.paths.goal),
        Err(StoreError::TreeLocked { holder: None, .. })
    ));
    drop(lock);
    assert!(lock_tree(&repo, &f.paths.goal).is_ok());
}

#[test]
fn a_worktree_is_its_own_tree_and_a_plain_folder_gets_no_file() {
    let f = folder();
    let (main, tree, plain) = (
        f.dir.path().join("main"),
        f.dir.path().join("tree"),
        f.dir.path().join("plain"),
    );
    for folder in [&main.join(".git/worktrees/tree"), &tree, &plain] {
        fs::create_dir_all(folder).unwrap();
    }
    fs::write(tree.join(".git"), "gitdir: ../main/.git/worktrees/tree\n").unwrap();
    let locks: Vec<_> = [&main, &tree, &plain]
        .map(|repo| lock_tree(repo, &f.paths.goal).unwrap())
        .into();
    assert!(main.join(".git/worktrees/tree/machine-driver.lock").exists());
    assert_eq!(fs::read_dir(&plain).unwrap().count(), 0);
    for repo in [&main, &tree, &plain] {
        assert!(matches!(
            lock_tree(repo, &f.paths.goal),
            Err(StoreError::TreeLocked { .. })
        ));
    }
    drop(locks);
    fs::write(tree.join(".git"), "nonsense").unwrap();
    assert!(
        lock_tree(&tree, &f.paths.goal)
            .unwrap_err()
            .to_string()
            .ends_with("it does not say `gitdir: FOLDER`")
    );
}
