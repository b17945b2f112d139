//! The store on the machine's own file systems.
#![expect(
    clippy::unwrap_used,
    reason = "in a test that is how a broken assumption shows; clippy sees only the functions that carry the attribute"
)]

mod faults;
mod goal;
mod lock;
mod log;

use std::fs;

use machine_driver_state::canonical::sha256;
use machine_driver_state::event::{Event, GoalComplete};
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
