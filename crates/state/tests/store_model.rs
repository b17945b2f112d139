//! The store on a model of a disk, crashed after each of its operations, and in the recovery again.
//!
//! A recovery is crashed at each of its first [`RECOVERY`] operations, which reach beyond its own into the first new record and
//! its checkpoint. `STORE_MODEL_FULL=1` crashes it at every one up to the script's end.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "in a test that is how a broken assumption shows; clippy sees only the functions that carry the attribute"
)]

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use machine_driver_state::canonical::sha256;
use machine_driver_state::event::{Event, Tampering};
use machine_driver_state::id::Digest;
use machine_driver_state::record::{Head, Record};
use machine_driver_state::store::model::{Fault, ModelDisk};
use machine_driver_state::store::*;
use machine_driver_state::time::Timestamp;

const GOAL: &str = "/w/goal.json";
const RECORDS: usize = 6;
const RECOVERY: usize = 12;

fn paths() -> Paths {
    Paths::of(Path::new(GOAL))
}

fn event(n: usize) -> (Timestamp, Event) {
    let what = format!("number {n} {}", "x".repeat(n * 7 % 40));
    (
        Timestamp::from_millis(1_795_341_600_000 + n as i64),
        Event::Tampering(Tampering { what, kept_as: None }),
    )
}

/// The records that the script writes: they are determined, whatever happens in between.
fn script() -> &'static [Record] {
    static SCRIPT: OnceLock<Vec<Record>> = OnceLock::new();
    SCRIPT.get_or_init(|| {
        let mut head = None;
        let records = (0..RECORDS).map(|n| {
            let (at, event) = event(n);
            let record = Record::after(head, at, "d", event).unwrap();
            head = Some(record.head());
            record
        });
        records.collect()
    })
}

fn goal_text(head: Option<Head>) -> String {
    format!("{{\"checkpoint\":{}}}\n", serde_json::to_string(&head).unwrap())
}

fn checkpoint_of(text: &str) -> Result<Option<Head>, String> {
    let goal: serde_json::Value =
        serde_json::from_str(text).map_err(|error| format!("torn goal.json {text:?}: {error}"))?;
    serde_json::from_value(goal["checkpoint"].clone()).map_err(|error| error.to_string())
}

/// What the store has promised so far, and what it was asked for beyond that.
#[derive(Debug, Clone, Hash)]
struct Promises {
    /// Records that must be there.
    kept: usize,
    /// Records that may be.
    tried: usize,
    /// What goal.json may hold: the last that was promised, and those tried since.
    goals: Vec<String>,
    snapshots: BTreeSet<Digest>,
}

/// How the script goes about it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Order {
    Right,
    CheckpointFirst,
}

/// Starts, reads what is there and carries the script on from that. What `load` gave is promised from then on.
fn run(disk: &ModelDisk, order: Order, promises: &mut Promises) -> Result<(), StoreError> {
    let mut store = FileStore::open_on(Arc::new(disk.clone()), &paths(), Access::Create)?;
    let text = store.goal_text()?;
    let expected = Expected {
        deployment_id: "d".into(),
        checkpoint: checkpoint_of(&text).unwrap(),
    };
    let mut found = 0;
    store.load(&expected, &mut |_| {
        found += 1;
        Ok(())
    })?;
    promises.kept = promises.kept.max(found);
    for (n, record) in script().iter().enumerate().skip(found) {
        if n % 3 == 0 {
            let snapshot = store.save_snapshot(format!("goal {n}").as_bytes())?;
            promises.snapshots.insert(snapshot);
        }
        promises.tried = promises.tried.max(n + 1);
        let text = goal_text(Some(record.head()));
        if order == Order::CheckpointFirst {
            promises.goals.push(text.clone());
            store.checkpoint(&text)?;
        }
        let (at, event) = event(n);
        assert_eq!(&store.append(at, event)?, record);
        promises.kept = n + 1;
        if order == Order::Right && n % 2 == 0 {
            promises.goals.push(text.clone());
            store.checkpoint(&text)?;
            promises.goals = vec![text];
        }
    }
    Ok(())
}

/// Whether what is on this disk keeps the promises.
fn check(disk: &ModelDisk, promises: &Promises) -> Result<(), String> {
    let contents = disk.contents();
    let goal = contents.get(Path::new(GOAL)).ok_or("goal.json is gone")?;
    let goal = String::from_utf8_lossy(goal).into_owned();
    let checkpoint = checkpoint_of(&goal)?;
    if !promises.goals.contains(&goal) {
        return Err(format!("goal.json is neither the old nor the new one: {goal}"));
    }
    let records = recover(disk, checkpoint).map_err(|error| error.to_string())?;
    if records[..] != script()[..records.len()] {
        return Err("a record was invented".into());
    }
    if records.len() < promises.kept || records.len() > promises.tried {
        return Err(format!(
            "{} records; promised {}, tried {}",
            records.len(),
            promises.kept,
            promises.tried
        ));
    }
    for digest in &promises.snapshots {
        let content = contents.get(&paths().snapshot(digest)).map(|bytes| sha256(bytes));
        if content != Some(*digest) {
            return Err(format!("the snapshot {digest} is lost"));
        }
    }
    // Recovery is done when it returns: neither a kill nor a power cut brings anything back.
    let log = |disk: &ModelDisk| disk.contents().get(&paths().log).cloned();
    let recovered = log(disk);
    if disk.power_cuts().iter().any(|cut| log(cut) != recovered) {
        return Err("a power cut after the recovery changes the log".into());
    }
    match recover(disk, checkpoint) {
        Ok(again) if again == records && log(disk) == recovered => Ok(()),
        other => Err(format!("the second recovery differs: {other:?}")),
    }
}

fn recover(disk: &ModelDisk, checkpoint: Option<Head>) -> Result<Vec<Record>, StoreError> {
    let mut store = FileStore::open_on(Arc::new(disk.clone()), &paths(), Access::Create)?;
    let mut records = Vec::new();
    store.load(
        &Expected {
            deployment_id: "d".into(),
            checkpoint,
        },
        &mut |entry| {
            records.push(entry.record);
            Ok(())
        },
    )?;
    Ok(records)
}

struct Exploration {
    order: Order,
    unsynced: &'static [&'static str],
    states: usize,
    seen: BTreeSet<u64>,
    /// Up to which operation a recovery is crashed.
    recovery: usize,
}

impl Exploration {
    fn new(order: Order, unsynced: &'static [&'static str]) -> Self {
        let full = std::env::var_os("STORE_MODEL_FULL").is_some();
        let recovery = if full { usize::MAX } else { RECOVERY };
        Self {
            order,
            unsynced,
            states: 0,
            seen: BTreeSet::new(),
            recovery,
        }
    }

    fn begin(&self) -> (ModelDisk, Promises) {
        let text = goal_text(None);
        let disk = ModelDisk::new([(Path::new(GOAL), text.as_bytes())]);
        self.unsynced.iter().for_each(|path| disk.ignore_syncs_of(path));
        (
            disk,
            Promises {
                kept: 0,
                tried: 0,
                goals: vec![text],
                snapshots: BTreeSet::new(),
            },
        )
    }

    /// Runs the script on a disk like `disk`, crashes it after each operation up to `last`, and goes into what is left
    /// `deeper` times.
    fn crash_up_to(
        &mut self,
        last: usize,
        disk: &ModelDisk,
        promises: &Promises,
        deeper: usize,
    ) -> Result<(), String> {
        for stop in 0..=last {
            let (disk, mut promises) = (disk.killed(), promises.clone());
            disk.stop_after(stop);
            let end = run(&disk, self.order, &mut promises);
            self.after_crash(&disk, &promises, deeper)?;
            if !disk.is_stopped() {
                return end.map_err(|error| error.to_string());
            }
        }
        Ok(())
    }

    /// Every state that a kill or a power cut leaves now must keep the promises.
    fn after_crash(&mut self, disk: &ModelDisk, promises: &Promises, deeper: usize) -> Result<(), String> {
        let mut after = disk.power_cuts();
        after.push(disk.killed());
        for state in after {
            let mut hasher = DefaultHasher::new();
            (state.fingerprint(), promises, deeper).hash(&mut hasher);
            if !self.seen.insert(hasher.finish()) {
                continue;
            }
            self.states += 1;
            check(&state.killed(), promises)?;
            if deeper > 0 {
                self.crash_up_to(self.recovery, &state, promises, deeper - 1)?;
            }
        }
        Ok(())
    }
}

#[test]
fn no_crash_and_no_crash_in_the_recovery_loses_or_invents_anything() {
    let mut exploration = Exploration::new(Order::Right, &[]);
    let (disk, promises) = exploration.begin();
    exploration.crash_up_to(usize::MAX, &disk, &promises, 2).unwrap();
    println!("{} crash states", exploration.states);
    assert!(exploration.states > 10_000, "{}", exploration.states);
}

#[test]
fn no_failed_write_or_sync_loses_or_invents_anything() {
    let mut exploration = Exploration::new(Order::Right, &[]);
    let (disk, promises) = exploration.begin();
    run(&disk, Order::Right, &mut promises.clone()).unwrap();
    let (mut hit, steps) = (0, disk.operations().len());
    for at in 0..steps {
        let short = |taken| Fault::Short { at, taken };
        let sync = |kept| Fault::Sync { at, kept };
        for fault in [
            Fault::Full { at },
            short(0),
            short(1),
            short(100),
            sync(true),
            sync(false),
        ] {
            let (disk, mut promises) = exploration.begin();
            disk.set_fault(fault);
            let end = run(&disk, Order::Right, &mut promises);
            hit += usize::from(end.is_err());
            assert_eq!(
                end.is_err(),
                disk.operations().len() < steps || at + 1 == steps && end.is_err()
            );
            exploration
                .after_crash(&disk, &promises, 1)
                .unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        }
    }
    println!(
        "{} crash states after {hit} failed operations",
        exploration.states
    );
    assert!(hit > steps, "{hit} of {steps} operations failed in some way");
}

/// The model is worth something only when it sees what is wrong.
fn finds(order: Order, unsynced: &'static [&'static str], violation: &str) {
    let mut exploration = Exploration::new(order, unsynced);
    let (disk, promises) = exploration.begin();
    let found = exploration
        .crash_up_to(usize::MAX, &disk, &promises, 0)
        .expect_err("the model sees nothing wrong");
    assert!(found.contains(violation), "{found}");
}

#[test]
fn a_missing_sync_before_the_rename_is_found() {
    finds(Order::Right, &[".goal.json.machine-driver.tmp"], "torn goal.json");
}

#[test]
fn a_missing_sync_of_the_log_is_found() {
    finds(
        Order::Right,
        &["driver-log.jsonl"],
        "a power cut after the recovery changes the log",
    );
    // The one above is found on the way; this is the one that would cost an acknowledged record.
    let exploration = Exploration::new(Order::Right, &["driver-log.jsonl"]);
    let (disk, mut promises) = exploration.begin();
    promises.goals = (0..RECORDS)
        .map(|n| goal_text(Some(script()[n].head())))
        .collect();
    run(&disk, Order::Right, &mut promises).unwrap();
    let found: Vec<String> = disk
        .power_cuts()
        .iter()
        .filter_map(|state| check(state, &promises).err())
        .collect();
    assert!(
        found
            .iter()
            .any(|text| text.contains("was cut") || text.contains("promised")),
        "{found:?}"
    );
}

#[test]
fn a_missing_sync_of_the_logs_folder_is_found() {
    finds(
        Order::Right,
        &["/w"],
        "a power cut after the recovery changes the log",
    );
}

#[test]
fn a_missing_sync_of_a_snapshot_is_found() {
    finds(Order::Right, &[".snapshot.machine-driver.tmp"], "the snapshot");
    finds(Order::Right, &["/w/evidence/goal"], "the snapshot");
    finds(Order::Right, &["/w/evidence"], "the snapshot");
}

#[test]
fn a_checkpoint_before_its_record_is_found() {
    finds(Order::CheckpointFirst, &[], "was cut");
}

#[test]
fn a_log_set_aside_is_there_under_its_old_or_its_new_name() {
    let mut states = 0;
    for stop in 0.. {
        let text = goal_text(None);
        let disk = ModelDisk::new([(Path::new(GOAL), text.as_bytes())]);
        let mut promises = Promises {
            kept: 0,
            tried: 0,
            goals: vec![text],
            snapshots: BTreeSet::new(),
        };
        run(&disk, Order::Right, &mut promises).unwrap();
        let before = disk.contents()[&paths().log].clone();
        disk.stop_after(disk.operations().len() + stop);
        let mut store = FileStore::open_on(Arc::new(disk.clone()), &paths(), Access::Create).unwrap();
        let kept = store.set_aside(KeptAs::Numbered);
        for state in disk.power_cuts() {
            let contents = state.contents();
            let (old, new) = (contents.get(&paths().log), contents.get(&paths().log_kept("1")));
            assert!(old == Some(&before) || new == Some(&before));
            assert!(kept.is_err() || new == Some(&before));
            states += 1;
        }
        if !disk.is_stopped() {
            assert_eq!(kept.unwrap().sha256, sha256(&before));
            break;
        }
    }
    assert!(states > 4, "{states}");
}
