use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;
use crate::draft::Draft;
use crate::testing::{at, draft, key, principal, sign};

fn folder() -> (TempDir, RecordFolder) {
    let folder = TempDir::new().unwrap();
    let records = RecordFolder::create(&folder.path().join("aar")).unwrap();
    (folder, records)
}

fn later(task: &str, millis: i64) -> Draft {
    Draft {
        issued: at(millis),
        ..draft(task)
    }
}

fn names(folder: &RecordFolder) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn what_is_replaced_is_kept_and_nothing_is_written_twice() {
    let (_temporary, folder) = folder();
    let records = [1, 2, 3].map(|millis| sign(later("t1", millis), None));
    for (index, record) in records.iter().enumerate() {
        let written = folder.write(record.record()).unwrap();
        assert_eq!(written.path, folder.path().join("t1.json"));
        let kept = (index > 0).then(|| folder.path().join(format!("t1.{index}.json")));
        assert_eq!((written.kept, written.unchanged), (kept, false));
        assert!(folder.write(record.record()).unwrap().unchanged);
    }
    assert_eq!(names(&folder), ["t1.1.json", "t1.2.json", "t1.json"]);
    for (name, record) in ["t1.1.json", "t1.2.json", "t1.json"].iter().zip(&records) {
        assert_eq!(folder.read(name).unwrap(), *record.record());
    }
    let task = TaskId::new("t1").unwrap();
    assert_eq!(folder.current(&task).unwrap().as_ref(), Some(records[2].record()));
    assert_eq!(folder.current(&TaskId::new("t2").unwrap()).unwrap(), None);
    assert_eq!(folder.current(&TaskId::new("t1.1").unwrap()).unwrap(), None);
}

#[test]
fn tasks_whose_names_look_like_kept_records_lose_nothing() {
    let (_temporary, folder) = folder();
    for (task, millis) in [("t1", 1), ("t1", 2), ("t1.1", 3), ("t1", 4)] {
        folder.write(sign(later(task, millis), None).record()).unwrap();
    }
    assert_eq!(
        names(&folder),
        ["t1.1.1.json", "t1.1.json", "t1.2.json", "t1.json"]
    );
    let task = TaskId::new("t1.1").unwrap();
    assert_eq!(folder.current(&task).unwrap().unwrap().task_id(), Some("t1.1"));
}

#[test]
fn the_head_is_what_no_other_record_names() {
    let (_temporary, folder) = folder();
    let subject = draft("t1").subject;
    assert_eq!(folder.head(&subject).unwrap(), None);
    let mut prior = None;
    for task in ["t3", "t1", "t2"] {
        folder.write(draft("u").build().unwrap().record()).unwrap();
        let signed = sign(draft(task), prior);
        folder.write(signed.record()).unwrap();
        prior = Some(signed.digest());
        assert_eq!(folder.head(&subject).unwrap(), prior);
    }
    assert_eq!(folder.head(&principal()).unwrap(), None);
    folder.write(sign(draft("t4"), None).record()).unwrap();
    assert!(matches!(
        folder.head(&subject),
        Err(FolderError::Fork { ends: 2, .. })
    ));
}

#[test]
fn signing_later_replaces_the_same_record_alone() {
    let (_temporary, folder) = folder();
    let unsigned = draft("t1").build().unwrap();
    folder.write(unsigned.record()).unwrap();
    assert!(!folder.read("t1.json").unwrap().is_signed());
    let digest = Digest::from_bytes([1; 32]);
    let signed = unsigned.sign(&key().signer(principal()), Some(digest)).unwrap();
    let other = sign(later("t1", 9), None);
    assert!(matches!(
        folder.replace("t1.json", other.record()),
        Err(FolderError::Another { .. })
    ));
    folder.replace("t1.json", signed.record()).unwrap();
    assert_eq!(folder.read("t1.json").unwrap(), *signed.record());
    assert_eq!(names(&folder), ["t1.json"]);
    assert!(matches!(
        folder.replace("t1.json", signed.record()),
        Err(FolderError::Another { .. })
    ));
}

#[test]
fn links_are_never_followed() {
    let (temporary, folder) = folder();
    let outside = temporary.path().join("outside.json");
    fs::write(&outside, "{}").unwrap();
    symlink(&outside, folder.path().join("t1.json")).unwrap();
    assert!(matches!(folder.read("t1.json"), Err(FolderError::Io { .. })));
    let entries = folder.entries().unwrap();
    assert!(entries.len() == 1 && entries[0].bytes.is_err());
    // The link is moved aside, and what it leads to stays as it was.
    let written = folder.write(sign(draft("t1"), None).record()).unwrap();
    assert!(written.kept.is_some());
    assert_eq!(fs::read(&outside).unwrap(), b"{}");
    assert!(folder.read("t1.json").unwrap().is_signed());
    // Also where a temporary file would be.
    let name = format!(".t2.json.{}.tmp", std::process::id());
    symlink(&outside, folder.path().join(name)).unwrap();
    folder.write(sign(draft("t2"), None).record()).unwrap();
    assert_eq!(fs::read(&outside).unwrap(), b"{}");
    let link = temporary.path().join("link");
    symlink(folder.path(), &link).unwrap();
    assert!(RecordFolder::open(&link).is_err());
    for name in ["", "../outside.json", "a/b", "\0"] {
        assert!(folder.read(name).is_err(), "{name:?}");
    }
}

#[test]
fn a_record_without_a_good_task_id_is_not_written() {
    let (_temporary, folder) = folder();
    let mut record = sign(draft("t1"), None).record().clone();
    record.fields["task"]["id"] = "../t1".into();
    assert!(matches!(folder.write(&record), Err(FolderError::Task { .. })));
    assert_eq!(names(&folder), [""; 0]);
}

#[test]
fn entries_are_the_records_in_order() {
    let (_temporary, folder) = folder();
    for name in ["b.json", "a.json", ".c.json.1.tmp", ".d.json", "log", "e.txt"] {
        fs::write(folder.path().join(name), name).unwrap();
    }
    fs::create_dir(folder.path().join("f.json")).unwrap();
    fs::write(folder.path().join("g.json"), vec![b' '; SIZE_MAX + 1]).unwrap();
    let entries = folder.entries().unwrap();
    let found: Vec<(&str, bool)> = entries
        .iter()
        .map(|e| (e.name.as_str(), e.bytes.is_ok()))
        .collect();
    assert_eq!(
        found,
        [
            ("a.json", true),
            ("b.json", true),
            ("f.json", false),
            ("g.json", false)
        ]
    );
}

/// After a crash between signing and what follows, with or without the key.
#[test]
fn the_same_record_is_signed_once_and_stays_signed() {
    let (_temporary, folder) = folder();
    let unsigned = draft("t1").build().unwrap();
    let signed = sign(draft("t1"), None);
    folder.write(unsigned.record()).unwrap();
    let written = folder.write(signed.record()).unwrap();
    assert_eq!((written.kept, written.unchanged), (None, false));
    assert!(folder.write(unsigned.record()).unwrap().unchanged);
    assert!(folder.read("t1.json").unwrap().is_signed());
    assert_eq!(names(&folder), ["t1.json"]);
}

#[test]
fn only_what_the_dead_left_half_written_is_swept_away() {
    let (_temporary, folder) = folder();
    let mine = format!(".t1.json.{}.tmp", std::process::id());
    for name in [&mine, ".t1.json.2147483647.tmp", ".t1.json.x.tmp", "t1.json"] {
        fs::write(folder.path().join(name), "").unwrap();
    }
    folder.sweep();
    let left = names(&folder);
    assert!(left.len() == 3 && left.contains(&mine), "{left:?}");
}
