use machine_driver::aar::{Did, Ed25519Signer, KeyPair, Signer as _};
use machine_driver_state::canonical::sha256;
use machine_driver_state::event::{AlertDelivered, DriverUp, GoalEdited, Retried};
use machine_driver_state::id::TaskId;
use machine_driver_state::record::Seal;
use machine_driver_state::time::Timestamp;
use serde_json::{Map, Value};

use super::*;

#[derive(Debug)]
struct Key(Ed25519Signer);

impl Key {
    fn new() -> (Self, DidDocument) {
        let (pair, did) = (
            KeyPair::generate().unwrap(),
            Did::new("did:web:example.org").unwrap(),
        );
        let document = DidDocument::read(pair.did_document(&did).as_bytes()).unwrap();
        (Self(pair.signer(did)), document)
    }
}

impl Seal for Key {
    fn seal(&self, record: &Map<String, Value>) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
        Ok(self.0.sign(&CanonicalBytes::of(record)?)?.to_base64url())
    }
}

fn up(sealed: bool) -> Event {
    Event::DriverUp(DriverUp {
        version: "1".into(),
        pid: 1,
        boot_id: String::new(),
        goal: "g".into(),
        goal_sha256: sha256(b"g"),
        mode_asked: "propose".into(),
        mode: "propose".into(),
        tier: "group".into(),
        gate: false,
        repo: None,
        sinks: Vec::new(),
        records: sealed,
        sealed,
        receipt: None,
        survey: None,
        accepts_tree: false,
    })
}

fn work() -> Event {
    let id = machine_driver_state::alert::AlertId::new(&"c".repeat(32)).unwrap();
    Event::AlertDelivered(AlertDelivered {
        id,
        sink: "x".into(),
        tries: 1,
    })
}

fn edited() -> Event {
    let (before, after) = (sha256(b"a"), sha256(b"b"));
    let (budget_changed, retried) = (false, Vec::new());
    Event::GoalEdited(GoalEdited {
        before,
        after,
        budget_changed,
        retried,
        thawed: Vec::new(),
    })
}

fn retried() -> Event {
    let (task, with) = (TaskId::new("t1").unwrap(), Vec::new());
    Event::Retried(Retried { task, with })
}

/// Records, those with `true` signed.
fn chain(key: &Key, events: Vec<(Event, bool)>) -> Vec<Record> {
    let mut records: Vec<Record> = Vec::new();
    for (event, signed) in events {
        let head = records.last().map(Record::head);
        let mut record = Record::after(head, Timestamp::from_millis(1_795_341_600_000), "d", event).unwrap();
        if signed {
            record.seal(key).unwrap();
        }
        records.push(record);
    }
    records
}

fn read(records: &[Record], document: &DidDocument) -> Result<Counted, SealError> {
    let mut seals = Seals::new(std::slice::from_ref(document));
    for (record, line) in records.iter().zip(1..) {
        seals.take(line, record)?;
    }
    seals.end()
}

#[track_caller]
fn check(events: Vec<(Event, bool)>, expected: Result<(u64, u64), SealError>) {
    let (key, document) = Key::new();
    let found = read(&chain(&key, events), &document);
    assert_eq!(found.map(|counted| (counted.signed, counted.unsigned)), expected);
}

#[test]
fn a_run_with_a_key_signs_all_of_it() {
    check(vec![(up(true), true), (work(), true), (work(), true)], Ok((3, 0)));
    check(vec![(up(true), false)], Err(SealError::Missing { line: 1 }));
    check(
        vec![(up(true), true), (work(), false), (work(), true)],
        Err(SealError::Missing { line: 2 }),
    );
    check(vec![(up(false), false), (work(), false)], Ok((0, 2)));
    check(
        vec![
            (work(), false),
            (up(true), true),
            (work(), true),
            (up(false), false),
            (work(), false),
        ],
        Ok((2, 3)),
    );
}

#[test]
fn what_happens_between_runs_is_judged_by_the_next_one() {
    for between in [edited(), retried()] {
        let begin = |sealed: bool, signed: bool| {
            vec![(up(true), true), (between.clone(), sealed), (up(signed), signed)]
        };
        check(begin(true, true), Ok((3, 0)));
        check(begin(false, false), Ok((1, 2)));
        check(begin(false, true), Err(SealError::Missing { line: 2 }));
        check(
            begin(false, true)[..2].to_vec(),
            Err(SealError::Missing { line: 2 }),
        );
    }
    let many = vec![
        (up(true), true),
        (edited(), false),
        (retried(), false),
        (up(false), false),
    ];
    check(many, Ok((1, 3)));
}

#[test]
fn a_signature_is_of_this_record_and_of_this_key() {
    let (key, document) = Key::new();
    let good = chain(&key, vec![(up(true), true), (work(), true), (work(), true)]);
    assert!(read(&good, &document).is_ok());
    let (_, other) = Key::new();
    assert_eq!(read(&good, &other), Err(SealError::Invalid { line: 1 }));
    let mut swapped = good.clone();
    swapped[2].sig = swapped[1].sig.clone();
    assert_eq!(read(&swapped, &document), Err(SealError::Invalid { line: 3 }));
    let mut flipped = good;
    let sig = flipped[1].sig.take().unwrap();
    let first = if sig.starts_with('A') { "B" } else { "A" };
    flipped[1].sig = Some(format!("{first}{}", &sig[1..]));
    assert_eq!(read(&flipped, &document), Err(SealError::Invalid { line: 2 }));
    // Also where none is asked for.
    let (key, document) = Key::new();
    let mut unasked = chain(&key, vec![(up(false), true)]);
    assert!(read(&unasked, &document).is_ok());
    unasked[0].sig = Some("A".repeat(86));
    assert_eq!(read(&unasked, &document), Err(SealError::Invalid { line: 1 }));
}
