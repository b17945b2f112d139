//! The log: read, appended to, torn, broken, set aside.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;

use machine_driver_state::event::Tampering;

use super::*;

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
        Event::Tampering(Tampering {
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
                );
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
                    .unwrap();
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
