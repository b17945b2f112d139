//! goal.json as a checkpoint, edits of it, and snapshots.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use super::*;

#[test]
fn a_checkpoint_replaces_and_keeps_mode_and_link() {
    let f = folder();
    fs::set_permissions(&f.paths.goal, fs::Permissions::from_mode(0o640)).unwrap();
    let linked = Paths::of(&f.dir.path().join("link/night.json"));
    fs::create_dir(&linked.folder).unwrap();
    symlink("../goal.json", &linked.goal).unwrap();
    let (mut store, _, _) = open(&linked).unwrap();
    assert_eq!(store.goal_text().unwrap(), "{}\n");
    store.checkpoint("{\"a\":1}\n").unwrap();
    assert_eq!(fs::read_to_string(&f.paths.goal).unwrap(), "{\"a\":1}\n");
    assert_eq!(fs::metadata(&f.paths.goal).unwrap().mode() & 0o777, 0o640);
    assert!(fs::symlink_metadata(&linked.goal).unwrap().is_symlink());
    assert_eq!(store.goal_changed_outside().unwrap(), None);
    fs::remove_file(&linked.goal).unwrap();
    fs::write(&linked.goal, "{\"a\":1}\n").unwrap();
    assert_eq!(store.goal_changed_outside().unwrap(), Some(GoalEdit::NotTheFile));
    let left: Vec<_> = fs::read_dir(f.dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(
        !left.iter().any(|name| name.to_string_lossy().ends_with(".tmp")),
        "{left:?}"
    );
}

#[test]
fn a_planted_temporary_is_not_written_through() {
    let f = folder();
    let victim = f.dir.path().join("victim");
    fs::write(&victim, "mine").unwrap();
    symlink(&victim, f.dir.path().join(".goal.json.machine-driver.tmp")).unwrap();
    let (mut store, _, _) = open(&f.paths).unwrap();
    store.goal_text().unwrap();
    store.checkpoint("{}").unwrap();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");
    assert!(fs::symlink_metadata(&f.paths.goal).unwrap().is_file());
}

#[test]
fn an_edit_behind_the_driver_is_seen_kept_and_undone() {
    type Deed = fn(&Path);
    let cases: [(Deed, GoalEdit, Option<&str>); 6] = [
        (
            |goal| fs::write(goal, "[2]").unwrap(),
            GoalEdit::Edited,
            Some("[2]"),
        ),
        (
            |goal| fs::write(goal, "[2, 3]").unwrap(),
            GoalEdit::Edited,
            Some("[2, 3]"),
        ),
        (
            |goal| {
                fs::write(goal.with_extension("x"), "[4]").unwrap();
                fs::rename(goal.with_extension("x"), goal).unwrap();
            },
            GoalEdit::Edited,
            Some("[4]"),
        ),
        (|goal| fs::remove_file(goal).unwrap(), GoalEdit::Removed, None),
        (
            |goal| {
                fs::remove_file(goal).unwrap();
                symlink("/etc/passwd", goal).unwrap();
            },
            GoalEdit::NotTheFile,
            Some(""),
        ),
        (
            |goal| {
                fs::remove_file(goal).unwrap();
                fs::create_dir(goal).unwrap();
            },
            GoalEdit::NotTheFile,
            Some(""),
        ),
    ];
    let settle: [fn(&mut FileStore); 2] = [
        |_| (),
        |store| assert_eq!(store.goal_changed_outside().unwrap(), None),
    ];
    for ((deed, edit, content), settle) in cases.into_iter().zip(settle.into_iter().cycle()) {
        let f = folder();
        let (mut store, _, _) = open(&f.paths).unwrap();
        store.goal_text().unwrap();
        store.checkpoint("[1]").unwrap();
        settle(&mut store);
        deed(&f.paths.goal);
        assert_eq!(store.goal_changed_outside().unwrap(), Some(edit));
        assert!(matches!(
            store.checkpoint("[9]"),
            Err(StoreError::GoalEdited { .. })
        ));
        let kept = store.keep_edit_and_restore("[1]", "t").unwrap();
        assert_eq!(kept.is_some(), content.is_some(), "{edit}");
        if let (Some(kept), Some(content)) = (kept, content) {
            assert_eq!(kept, f.paths.goal_edited("t"));
            let is_file = fs::symlink_metadata(&kept).unwrap().is_file();
            assert!(!is_file || fs::read_to_string(&kept).unwrap() == content);
        }
        assert_eq!(store.goal_changed_outside().unwrap(), None);
        assert_eq!(fs::read_to_string(&f.paths.goal).unwrap(), "[1]");
        store.checkpoint("[9]").unwrap();
    }
}

#[test]
fn two_edits_in_one_millisecond_are_both_kept_and_a_touch_is_no_edit() {
    let f = folder();
    let (mut store, _, _) = open(&f.paths).unwrap();
    store.goal_text().unwrap();
    let kept: Vec<_> = (0..2)
        .map(|n| {
            fs::write(&f.paths.goal, format!("{n}")).unwrap();
            store.keep_edit_and_restore("{}", "t").unwrap().unwrap()
        })
        .collect();
    assert_ne!(kept[0], kept[1]);
    fs::write(&f.paths.goal, "{}").unwrap();
    assert_eq!(store.goal_changed_outside().unwrap(), None);
}

#[test]
fn a_goal_that_is_too_large_or_no_text_is_refused() {
    let f = folder();
    let (mut store, _, _) = open(&f.paths).unwrap();
    fs::write(&f.paths.goal, b"{\xff}").unwrap();
    assert!(
        store
            .goal_text()
            .unwrap_err()
            .to_string()
            .ends_with("it is not UTF-8 from byte 1 on")
    );
    File::create(&f.paths.goal)
        .unwrap()
        .set_len((64 << 20) + 1)
        .unwrap();
    assert!(matches!(store.goal_text(), Err(StoreError::TooLarge { .. })));
}

#[test]
fn snapshots_are_content_addressed_and_mended() {
    let f = folder();
    let (mut store, _, _) = open(&f.paths).unwrap();
    let digest = store.save_snapshot(b"{}").unwrap();
    assert_eq!(digest, sha256(b"{}"));
    let path = f.paths.snapshot(&digest);
    let inode = fs::metadata(&path).unwrap().ino();
    assert_eq!(store.save_snapshot(b"{}").unwrap(), digest);
    assert_eq!(fs::metadata(&path).unwrap().ino(), inode, "it was there");
    fs::write(&path, "[]").unwrap();
    store.save_snapshot(b"{}").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"{}");
    assert_eq!(fs::read_dir(f.paths.snapshots()).unwrap().count(), 1);
}
