//! The store on the machine's own file systems.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Barrier};

use machine_driver_state::canonical::sha256;
use machine_driver_state::event::{DriverUp, Event, GoalComplete};
use machine_driver_state::record::{Head, Record};
use machine_driver_state::store::*;
use machine_driver_state::time::Timestamp;

struct Folder {
    dir: tempfile::TempDir,
    paths: Paths,
}

fn folder() -> Folder {
    let dir = tempfile::tempdir().unwrap();
    let paths = Paths::of(&dir.path().join("goal.json"));
    fs::write(&paths.goal, "{}\n").unwrap();
    Folder { dir, paths }
}

fn event(n: u64) -> Event {
    Event::GoalComplete(GoalComplete { done: n, blocked: 0 })
}

fn at(n: u64) -> Timestamp {
    Timestamp::from_millis(1_795_341_600_000 + i64::try_from(n).unwrap())
}

fn expected(checkpoint: Option<Head>) -> Expected {
    Expected {
        deployment_id: "d".into(),
        checkpoint,
    }
}

fn open(paths: &Paths) -> Result<(FileStore, Vec<Record>, Opened), StoreError> {
    open_at(paths, None)
}

fn open_at(paths: &Paths, checkpoint: Option<Head>) -> Result<(FileStore, Vec<Record>, Opened), StoreError> {
    let mut store = FileStore::open(paths, Access::Create)?;
    let mut records = Vec::new();
    let opened = store.load(&expected(checkpoint), &mut |entry| {
        records.push(entry.record);
        Ok(())
    })?;
    Ok((store, records, opened))
}

fn filled(paths: &Paths, count: u64) -> Vec<Record> {
    let (mut store, _, _) = open(paths).unwrap();
    (0..count)
        .map(|n| store.append(at(n), event(n)).unwrap())
        .collect()
}

#[test]
fn what_was_appended_is_read_back() {
    let f = folder();
    let written = filled(&f.paths, 3000);
    let (store, read, opened) = open(&f.paths).unwrap();
    assert_eq!(read, written);
    assert_eq!(
        (opened.records, opened.torn, opened.head),
        (3000, 0, Some(written[2999].head()))
    );
    assert_eq!(
        (store.head(), store.log_bytes()),
        (opened.head, fs::metadata(&f.paths.log).unwrap().len())
    );
    let mut lines = Vec::new();
    let reader = read_log(&RealDisk, &f.paths.log, opened.head, &mut |entry| {
        lines.push((entry.line, [entry.bytes, b"\n"].concat()));
        Ok(())
    });
    assert_eq!(reader.unwrap(), opened);
    assert_eq!(
        lines.iter().map(|(n, _)| *n).collect::<Vec<_>>(),
        (1..=3000).collect::<Vec<_>>()
    );
    let bytes = lines.into_iter().flat_map(|(_, bytes)| bytes).collect::<Vec<_>>();
    assert_eq!(bytes, fs::read(&f.paths.log).unwrap());
}

#[test]
fn a_torn_last_line_is_cut_by_a_writer_and_passed_over_by_a_reader() {
    for tail in [
        &b"{\"seq\":3,"[..],
        b"\0\0\0\0",
        b"\0\0\0\0\n",
        b"{\"seq\":3,\0\0\0\0\"}\n",
        b"x",
    ] {
        let f = folder();
        let written = filled(&f.paths, 3);
        let whole = fs::read(&f.paths.log).unwrap();
        fs::write(&f.paths.log, [&whole, tail].concat()).unwrap();
        let mut count = 0;
        let opened = read_log(&RealDisk, &f.paths.log, None, &mut |_| {
            count += 1;
            Ok(())
        })
        .unwrap();
        assert_eq!((count, opened.torn), (3, tail.len() as u64), "{tail:?}");
        assert_eq!(fs::read(&f.paths.log).unwrap().len(), whole.len() + tail.len());
        let (mut store, read, opened) = open(&f.paths).unwrap();
        assert_eq!((read, opened.torn), (written, tail.len() as u64));
        assert_eq!(fs::read(&f.paths.log).unwrap(), whole);
        store.append(at(3), event(3)).unwrap();
        drop(store);
        assert_eq!(open(&f.paths).unwrap().2.torn, 0);
    }
}

#[test]
fn any_other_break_is_an_error_that_names_the_line_and_touches_nothing() {
    let f = folder();
    filled(&f.paths, 5);
    let whole = fs::read_to_string(&f.paths.log).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let joined = |lines: &[&str]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let cases = [
        (whole.replacen("\"done\":1", "\"done\":7", 1), 2, "has the hash"),
        (whole.replacen("\"done\":4", "\"done\":7", 1), 5, "has the hash"),
        (joined(&[lines[0], lines[2]]), 2, "`seq` is \"2\"; expected \"1\""),
        (
            joined(&[lines[0], lines[1], lines[1]]),
            3,
            "`seq` is \"1\"; expected \"2\"",
        ),
        (joined(&[lines[1]]), 1, "`seq` is \"1\"; expected \"0\""),
        (joined(&[lines[0], "", lines[1]]), 2, "JSON"),
        (joined(&[lines[0], "\0\0", lines[1]]), 2, "JSON"),
        (whole.clone() + "garbage\n", 6, "JSON"),
    ];
    for (content, line, why) in cases {
        fs::write(&f.paths.log, &content).unwrap();
        let error = open(&f.paths).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains(&format!("driver-log.jsonl is broken at line {line}: ")),
            "{text}"
        );
        assert!(text.contains(why), "{text}");
        assert!(error.next_step().contains("machine-driver log restart"));
        let reader = read_log(&RealDisk, &f.paths.log, None, &mut |_| Ok(())).unwrap_err();
        assert_eq!(reader.to_string(), text);
        assert_eq!(fs::read_to_string(&f.paths.log).unwrap(), content);
    }
}

#[test]
fn every_flipped_bit_is_seen() {
    let f = folder();
    filled(&f.paths, 3);
    let whole = fs::read(&f.paths.log).unwrap();
    let checkpoint = open(&f.paths).unwrap().2.head;
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        fs::write(&f.paths.log, &bytes).unwrap();
        let read = read_log(&RealDisk, &f.paths.log, checkpoint, &mut |_| Ok(()));
        assert!(read.is_err(), "byte {at}");
    }
}

#[test]
fn a_log_that_ends_before_the_checkpoint_was_cut() {
    let f = folder();
    let written = filled(&f.paths, 4);
    let head = |n: usize| Some(written[n].head());
    assert!(open_at(&f.paths, head(1)).is_ok());
    assert!(open_at(&f.paths, head(3)).is_ok());
    let whole = fs::read(&f.paths.log).unwrap();
    let third = whole
        .iter()
        .enumerate()
        .filter(|(_, b)| **b == b'\n')
        .nth(2)
        .unwrap()
        .0
        + 1;
    // Also where a torn line is left: it stays for whoever has to find out what happened.
    for length in [third, third + 10] {
        fs::write(&f.paths.log, &whole[..length]).unwrap();
        let error = open_at(&f.paths, head(3)).unwrap_err();
        assert!(matches!(error, StoreError::Cut { line: 3, .. }), "{error}");
        assert!(
            error.to_string().contains(&written[3].hash.to_string()),
            "{error}"
        );
        assert_eq!(fs::metadata(&f.paths.log).unwrap().len(), length as u64);
    }
    fs::remove_file(&f.paths.log).unwrap();
    assert!(matches!(
        read_log(&RealDisk, &f.paths.log, head(0), &mut |_| Ok(())),
        Err(StoreError::Cut { line: 0, .. })
    ));
    let other = Head {
        seq: 1,
        hash: sha256(b"other"),
    };
    fs::write(&f.paths.log, &whole).unwrap();
    assert!(matches!(
        open_at(&f.paths, Some(other)),
        Err(StoreError::OtherChain { line: 2, .. })
    ));
}

#[test]
fn what_the_reader_refuses_names_the_line() {
    let f = folder();
    filled(&f.paths, 3);
    let error = read_log(&RealDisk, &f.paths.log, None, &mut |entry| {
        if entry.line == 2 { Err("no".into()) } else { Ok(()) }
    });
    assert!(
        error
            .unwrap_err()
            .to_string()
            .ends_with("line 2 does not follow from the records before it: no")
    );
}

#[test]
fn lines_longer_than_a_block_are_read() {
    let f = folder();
    let long = |n: u64| {
        Event::Tampering(machine_driver_state::event::Tampering {
            what: "x".repeat(usize::try_from(n).unwrap()),
            kept_as: None,
        })
    };
    let (mut store, _, _) = open(&f.paths).unwrap();
    for n in [0, 3 << 20, 1, 600 << 10, 511 << 10, 512 << 10, 2] {
        store.append(at(n), long(n)).unwrap();
    }
    drop(store);
    assert_eq!(open(&f.paths).unwrap().2.records, 7);
}

#[test]
fn a_follower_gives_each_record_once() {
    let f = folder();
    let (mut store, _, _) = open(&f.paths).unwrap();
    let mut follower = Follower::open(&RealDisk, &f.paths.log).unwrap();
    for round in 0..3 {
        for n in 0..round {
            store.append(at(n), event(n)).unwrap();
        }
        let mut seen = 0;
        follower
            .poll(&mut |_| {
                seen += 1;
                Ok(())
            })
            .unwrap();
        assert_eq!(seen, round);
    }
    OpenOptions::new()
        .append(true)
        .open(&f.paths.log)
        .unwrap()
        .write_all(b"{\"seq\"")
        .unwrap();
    assert_eq!(follower.poll(&mut |_| panic!()).unwrap().torn, 6);
    fs::write(&f.paths.log, "").unwrap();
    assert!(matches!(
        follower.poll(&mut |_| Ok(())),
        Err(StoreError::Changed { .. })
    ));
    let mut follower = Follower::open(&RealDisk, &f.paths.log).unwrap();
    fs::rename(&f.paths.log, f.paths.log_kept("1")).unwrap();
    assert!(matches!(
        follower.poll(&mut |_| Ok(())),
        Err(StoreError::Replaced { .. })
    ));
}

#[test]
fn a_log_that_another_writes_to_or_replaces_takes_no_more() {
    type Deed = fn(&Path);
    let deeds: [(Deed, &str); 5] = [
        (
            |log| {
                drop(
                    OpenOptions::new()
                        .append(true)
                        .open(log)
                        .unwrap()
                        .write_all(b"x\n"),
                )
            },
            "bytes; expected",
        ),
        (
            |log| {
                OpenOptions::new()
                    .write(true)
                    .open(log)
                    .unwrap()
                    .set_len(1)
                    .unwrap()
            },
            "has 1 bytes",
        ),
        (|log| fs::remove_file(log).unwrap(), "was removed or replaced"),
        (
            |log| {
                fs::copy(log, log.with_extension("x")).unwrap();
                fs::rename(log.with_extension("x"), log).unwrap();
            },
            "was removed or replaced",
        ),
        (
            |log| {
                fs::rename(log, log.with_extension("x")).unwrap();
                symlink(log.with_extension("x"), log).unwrap();
            },
            "was removed or replaced",
        ),
    ];
    for (deed, why) in deeds {
        let f = folder();
        let (mut store, _, _) = open(&f.paths).unwrap();
        store.append(at(0), event(0)).unwrap();
        deed(&f.paths.log);
        let error = store.append(at(1), event(1)).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
        assert!(matches!(
            store.append(at(1), event(1)),
            Err(StoreError::Poisoned { seq: 1, .. })
        ));
    }
}

#[test]
fn a_log_that_is_a_link_or_a_folder_or_a_device_is_not_opened() {
    let f = folder();
    let elsewhere = f.dir.path().join("elsewhere");
    symlink(&elsewhere, &f.paths.log).unwrap();
    assert!(
        open(&f.paths)
            .unwrap_err()
            .to_string()
            .contains("not a regular file")
    );
    assert!(!elsewhere.exists(), "a dangling link must not be written through");
    fs::remove_file(&f.paths.log).unwrap();
    fs::create_dir(&f.paths.log).unwrap();
    assert!(open(&f.paths).is_err());
}

#[test]
fn no_log_is_made_unasked() {
    let f = folder();
    assert!(matches!(
        FileStore::open(&f.paths, Access::Write),
        Err(StoreError::Io { .. })
    ));
    assert!(!f.paths.log.exists());
    let mut store = FileStore::open(&f.paths, Access::Create).unwrap();
    assert!(matches!(
        store.append(at(0), event(0)),
        Err(StoreError::NotLoaded { .. })
    ));
}

#[test]
fn the_original_drivers_log_is_told_apart_and_kept() {
    let f = folder();
    let old = "{\"ts\":\"2026-01-01T00:00:00Z\",\"event\":\"driver_up\",\"prev_hash\":\"\",\"hash\":\"0123456789abcdef\"}\n";
    fs::write(&f.paths.log, old).unwrap();
    assert!(matches!(
        read_log(&RealDisk, &f.paths.log, None, &mut |_| Ok(())),
        Err(StoreError::Original { .. })
    ));
    let mut store = FileStore::open(&f.paths, Access::Write).unwrap();
    assert!(matches!(
        store.load(&expected(None), &mut |_| Ok(())),
        Err(StoreError::Original { .. })
    ));
    let kept = store.set_aside(KeptAs::Original).unwrap();
    assert_eq!(
        (kept.name.as_str(), kept.sha256),
        ("driver-log.original.jsonl", sha256(old.as_bytes()))
    );
    assert_eq!(fs::read_to_string(f.paths.folder.join(&kept.name)).unwrap(), old);
    assert!(
        matches!(
            FileStore::open(&f.paths, Access::Write),
            Err(StoreError::Locked { .. })
        ),
        "still locked"
    );
    store
        .load(&expected(None), &mut |_| panic!("it is empty"))
        .unwrap();
    store.append(at(0), event(0)).unwrap();
    // Never overwritten.
    for (number, name) in ["driver-log.1.jsonl", "driver-log.2.jsonl"]
        .into_iter()
        .enumerate()
    {
        assert_eq!(store.set_aside(KeptAs::Numbered).unwrap().name, name, "{number}");
    }
    assert_eq!(
        store.set_aside(KeptAs::Original).unwrap().name,
        "driver-log.original.2.jsonl"
    );
}

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

#[test]
fn a_folder_without_write_permission_is_named() {
    let f = folder();
    if File::create(f.dir.path().join("probe")).is_ok() && is_root() {
        println!("SKIP: root writes into read-only folders");
        return;
    }
    fs::set_permissions(f.dir.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let error = FileStore::open(&f.paths, Access::Create).unwrap_err();
    fs::set_permissions(f.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    assert!(
        error.to_string().ends_with("driver-log.jsonl: permission denied"),
        "{error}"
    );
    assert!(error.next_step().contains("writable"));
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

/// A file system of its own, where this user may mount one.
struct Mount(PathBuf);

impl Mount {
    fn tmpfs(at: &Path, options: &str) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "none"])
            .arg(at)
            .stderr(Stdio::null())
            .status();
        mount
            .is_ok_and(|status| status.success())
            .then(|| Self(at.to_owned()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_stops_the_log_and_the_next_start_goes_on() {
    let f = folder();
    let Some(mount) = Mount::tmpfs(&f.dir.path().join("small"), "size=64k") else {
        println!("SKIP: no small file system can be mounted");
        return;
    };
    let paths = Paths::of(&mount.0.join("goal.json"));
    fs::write(&paths.goal, "{}").unwrap();
    let (mut store, _, _) = open(&paths).unwrap();
    store.goal_text().unwrap();
    let mut written = 0;
    let error = loop {
        match store.append(at(written), event(written)) {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
    };
    let text = error.to_string();
    assert!(
        text.starts_with(&format!("could not append record {written} to ")),
        "{text}"
    );
    assert!(
        text.ends_with("no space left on device") || text.contains("is the disk full?"),
        "{text}"
    );
    assert!(error.next_step().starts_with("Free some space"));
    assert!(matches!(
        store.append(at(0), event(0)),
        Err(StoreError::Poisoned { .. })
    ));
    let error = store.checkpoint(&"x".repeat(9000)).unwrap_err().to_string();
    assert!(
        error.contains("could not write") && error.ends_with("no space left on device"),
        "{error}"
    );
    assert_eq!(
        fs::read_to_string(&paths.goal).unwrap(),
        "{}",
        "the old one stands"
    );
    drop(store);
    let (_, read, _) = open(&paths).unwrap();
    assert_eq!(read.len() as u64, written);
}

#[test]
fn a_read_only_file_system_is_named() {
    let f = folder();
    let Some(mount) = Mount::tmpfs(&f.dir.path().join("ro"), "size=64k,ro") else {
        println!("SKIP: no read-only file system can be mounted");
        return;
    };
    let error = FileStore::open(&Paths::of(&mount.0.join("goal.json")), Access::Create).unwrap_err();
    assert!(error.to_string().ends_with("read-only file system"), "{error}");
    assert!(error.next_step().contains("writable"));
}

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
                .args(["--exact", "child_that_takes_the_lock", "--nocapture"])
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

#[test]
fn memory_store_keeps_the_same_rules() {
    let mut store = MemoryStore::new();
    assert!(matches!(
        store.append(at(0), event(0)),
        Err(StoreError::NotLoaded { .. })
    ));
    store.load(&expected(None), &mut |_| panic!()).unwrap();
    let head = store.append(at(0), event(0)).unwrap().head();
    store.checkpoint("{}").unwrap();
    let digest = store.save_snapshot(b"x").unwrap();
    let mut seen = Vec::new();
    let opened = store
        .clone()
        .load(&expected(Some(head)), &mut |entry| {
            seen.push(entry.record);
            Ok(())
        })
        .unwrap();
    assert_eq!(
        (opened.records, opened.head, seen),
        (1, Some(head), store.records())
    );
    assert_eq!(
        (store.goal_json().as_str(), store.snapshot(&digest)),
        ("{}", Some(b"x".to_vec()))
    );
    let cut = Head { seq: 1, ..head };
    assert!(matches!(
        store.load(&expected(Some(cut)), &mut |_| Ok(())),
        Err(StoreError::Cut { .. })
    ));
    let other = Head {
        hash: sha256(b""),
        ..head
    };
    assert!(matches!(
        store.load(&expected(Some(other)), &mut |_| Ok(())),
        Err(StoreError::OtherChain { .. })
    ));
}
