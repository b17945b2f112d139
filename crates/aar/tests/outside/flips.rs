//! Nothing that is changed in a signed record still verifies as the same.

use std::fs;

use machine_driver_aar::{Record, Verifier};

use crate::corpus::{cases, verifier};
use crate::support::{Random, fixtures, say};

fn good(name: &str) -> (Verifier, Vec<u8>) {
    let bytes = fs::read(fixtures().join(name)).unwrap();
    (verifier(&["did/org.json".to_owned()]), bytes)
}

/// A changed file may only pass if it is the same record laid out in another way.
fn is_harmless(original: &Record, changed: &[u8]) -> bool {
    Record::read(changed).is_ok_and(|record| record == *original)
}

/// Every bit of every byte of a record in its canonical form, which has no white space to hide a change in.
#[test]
fn every_bit_flipped() {
    let (verifier, bytes) = good("good/canonical.json");
    assert!(verifier.check(&bytes).level.is_some());
    let mut changed = bytes.clone();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            changed[at] ^= 1 << bit;
            let report = verifier.check(&changed);
            assert_eq!(
                report.level,
                None,
                "byte {at}, bit {bit}: {}",
                String::from_utf8_lossy(&changed)
            );
            changed[at] ^= 1 << bit;
        }
    }
    say(&format!("aar: {} bits flipped, none held", bytes.len() * 8));
}

/// All other values of a byte, at every place, of the records in other layouts: what still holds is the same record.
#[test]
fn bytes_exchanged_in_every_layout() {
    let (mut tried, mut harmless) = (0, 0);
    let mut random = Random(1);
    for name in [
        "verified",
        "escaped",
        "spaced",
        "annotated",
        "unicode",
        "control-characters",
        "integers",
    ] {
        let (verifier, bytes) = good(&format!("good/{name}.json"));
        let original = Record::read(&bytes).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= u8::try_from(1 + random.below(255)).unwrap();
            tried += 1;
            if verifier.check(&changed).level.is_some() {
                let signed = Record::read(&changed).unwrap().signed_bytes().unwrap();
                assert_eq!(signed, original.signed_bytes().unwrap(), "{name}, byte {at}");
                harmless += 1;
            } else {
                assert!(
                    !is_harmless(&original, &changed),
                    "{name}, byte {at}: the same record, yet refused"
                );
            }
        }
    }
    assert!(harmless > 0, "white space can be exchanged for other white space");
    say(&format!(
        "aar: {tried} bytes exchanged, {harmless} of them white space, escapes or notes, none changed a record"
    ));
}

/// Records cut at every place, and with every byte doubled.
#[test]
fn cut_and_doubled_at_every_byte() {
    let (verifier, bytes) = good("good/canonical.json");
    for at in 0..bytes.len() {
        assert_eq!(verifier.check(&bytes[..at]).level, None, "cut at {at}");
        let doubled = [&bytes[..=at], &bytes[at..]].concat();
        assert_eq!(verifier.check(&doubled).level, None, "doubled at {at}");
    }
    say(&format!(
        "aar: {} cuts and {} doubled bytes refused",
        bytes.len(),
        bytes.len()
    ));
}

/// Every signed record with the signature of every other one.
#[test]
fn no_signature_holds_for_another_record() {
    let mut records: Vec<Record> = cases()
        .iter()
        .filter(|case| {
            case.level.is_some() && case.documents == ["did/org.json"] && !case.file.starts_with("fields")
        })
        .map(|case| Record::read(&fs::read(fixtures().join(&case.file)).unwrap()).unwrap())
        .collect();
    records.sort_by_key(|record| record.signed_bytes().unwrap().as_bytes().to_vec());
    records.dedup_by_key(|record| record.signed_bytes().unwrap().as_bytes().to_vec());
    let verifier = verifier(&["did/org.json".to_owned()]);
    let mut pairs = 0;
    for (i, record) in records.iter().enumerate() {
        let text = record.to_json();
        let value = |record: &Record| record.sig().unwrap()["value"].as_str().unwrap().to_owned();
        for (j, other) in records.iter().enumerate() {
            let swapped = text.replace(&value(record), &value(other));
            assert_eq!(verifier.check(swapped.as_bytes()).level.is_some(), i == j);
            pairs += 1;
        }
    }
    say(&format!("aar: {pairs} pairs of record and signature"));
}
