//! Evidence beside records: whole, edited after the fact, exchanged, absent, and named by a hostile task id.

use std::fs;
use std::path::Path;

use machine_driver_aar::{Reason, Record, check_evidence};

use crate::corpus::cases;
use crate::support::{fixtures, say};

fn record(name: &str) -> Record {
    Record::read(&fs::read(fixtures().join(name)).unwrap()).unwrap()
}

/// The words for what does not hold, in the record's order.
fn faults(record: &Record, folder: &Path) -> Vec<&'static str> {
    let report = check_evidence(record, folder);
    let faults: Vec<_> = report
        .findings
        .iter()
        .filter_map(|finding| finding.code)
        .map(Reason::as_str)
        .collect();
    assert_eq!(report.holds(), faults.is_empty());
    assert!(!report.findings.is_empty(), "nothing was looked at");
    faults
}

#[test]
fn evidence_is_what_was_committed_to_or_is_said_not_to_be() {
    let mismatch = "evidence-mismatch";
    let table: [(&str, &str, &[&str]); 14] = [
        ("good/verified.json", "whole", &[]),
        ("good/rejected.json", "whole", &[]),
        ("good/unclear.json", "whole", &[]),
        ("good/standard-not-verified.json", "whole", &[]),
        ("good/verified.json", "edited", &[mismatch]),
        ("good/rejected.json", "edited", &[]),
        ("good/standard-not-verified.json", "edited", &[mismatch]),
        ("good/verified.json", "swapped", &[mismatch]),
        ("good/rejected.json", "swapped", &[mismatch]),
        ("good/standard-verified.json", "whole", &[mismatch]),
        ("good/verified.json", "nothing-here", &["evidence-missing"]),
        ("chain/c1.json", "whole", &["evidence-missing"]),
        ("good/terminal-escapes.json", "whole", &["evidence-task-id"]),
        ("good/several-checks.json", "whole", &[]),
    ];
    for (name, folder, expected) in table {
        let found = faults(&record(name), &fixtures().join("evidence").join(folder));
        assert_eq!(found, expected, "{name} with {folder}");
    }
    say(&format!("aar: {} pairs of record and evidence", table.len()));
}

/// No byte of the evidence can be changed, added or taken away.
#[test]
fn every_byte_of_the_evidence_counts() {
    let mut count = 0;
    for (name, task) in [
        ("good/verified.json", "t1"),
        ("good/standard-not-verified.json", "task-2026-06-05-0042"),
    ] {
        let record = record(name);
        let kept = fs::read(
            fixtures()
                .join("evidence/whole")
                .join(task)
                .join("attempt-1.verify.log"),
        )
        .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let task = folder.path().join(task);
        fs::create_dir(&task).unwrap();
        fs::write(task.join("attempt-1.patch"), "patch").unwrap();
        let file = task.join("attempt-1.verify.log");
        let mut check = |bytes: &[u8], expected: &[&str]| {
            fs::write(&file, bytes).unwrap();
            assert_eq!(
                faults(&record, folder.path()),
                expected,
                "{}",
                String::from_utf8_lossy(bytes)
            );
            count += 1;
        };
        check(&kept, &[]);
        for at in 0..kept.len() {
            let mut changed = kept.clone();
            changed[at] ^= 1 << (at % 8);
            check(&changed, &["evidence-mismatch"]);
            changed.remove(at);
            check(&changed, &["evidence-mismatch"]);
            let more = [&kept[..at], b"x", &kept[at..]].concat();
            check(&more, &["evidence-mismatch"]);
        }
        check(&[&kept[..], b"\n"].concat(), &["evidence-mismatch"]);
    }
    say(&format!("aar: {count} versions of evidence"));
}

/// A record may be a stranger's: its task id leads nowhere, whatever lies there.
#[test]
fn a_hostile_task_id_opens_nothing() {
    let root = tempfile::tempdir().unwrap();
    let evidence = root.path().join("evidence");
    let output = fs::read(fixtures().join("evidence/whole/t1/attempt-1.verify.log")).unwrap();
    // What a path would find if one were made from `../t1`, `.` or `t1/`: the very bytes that the record commits to.
    for folder in [root.path().join("t1"), evidence.clone(), evidence.join("t1")] {
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("attempt-1.verify.log"), &output).unwrap();
        fs::write(folder.join("attempt-1.patch"), "patch").unwrap();
    }
    assert_eq!(faults(&record("good/verified.json"), &evidence), [""; 0]);
    let mut count = 0;
    for case in cases()
        .iter()
        .filter(|case| case.file.starts_with("evidence/hostile-"))
    {
        assert_eq!(
            faults(&record(&case.file), &evidence),
            ["evidence-task-id"],
            "{}",
            case.file
        );
        count += 1;
    }
    assert_eq!(count, 11);
    say(&format!("aar: {count} hostile task ids"));
}

/// Links and pipes in place of evidence are not followed and not waited for.
#[test]
fn only_plain_files_are_evidence() {
    let root = tempfile::tempdir().unwrap();
    let task = root.path().join("t1");
    fs::create_dir(&task).unwrap();
    fs::write(task.join("attempt-1.patch"), "patch").unwrap();
    let file = task.join("attempt-1.verify.log");
    let whole = fixtures().join("evidence/whole/t1/attempt-1.verify.log");
    std::os::unix::fs::symlink(fs::canonicalize(whole).unwrap(), &file).unwrap();
    let record = record("good/verified.json");
    assert_eq!(faults(&record, root.path()), ["evidence-unreadable"]);
    fs::remove_file(&file).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &file,
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )
    .unwrap();
    assert_eq!(faults(&record, root.path()), ["evidence-unreadable"]);
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    assert_eq!(faults(&record, root.path()), ["evidence-unreadable"]);
}
