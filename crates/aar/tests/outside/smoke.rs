//! A fuzzer of a small kind, on stable Rust and with a fixed seed: the targets of fuzz/ without their coverage.

use std::collections::HashSet;
use std::fs;

use machine_driver_aar::{DidDocument, Record, Verifier};

use crate::corpus::{cases, document};
use crate::support::{Random, fixtures, say};

const ROUNDS: usize = 200_000;

/// What JSON and records are made of, so that mutants get past the first byte.
const PIECES: [&str; 24] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "null",
    "true",
    "0",
    "-1",
    "9007199254740993",
    "1e9",
    "\"sig\":{}",
    "\"_x\":1",
    "\"verdict\":\"verified\"",
    "\\u0000",
    "\\ud800",
    "did:web:example.com",
    "__proto__",
    "$serde_json::private::Number",
    "\u{feff}",
    "é",
];

fn mutate(bytes: &mut Vec<u8>, others: &[Vec<u8>], random: &mut Random) {
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len() + 1);
        match random.below(6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 if at < bytes.len() => drop(bytes.remove(at)),
            2 => {
                let end = (at + random.below(40)).min(bytes.len());
                bytes.drain(at..end);
            }
            3 => {
                let piece = PIECES[random.below(PIECES.len())];
                bytes.splice(at..at, piece.bytes());
            }
            4 => {
                let end = (at + random.below(60)).min(bytes.len());
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            _ => {
                let other = &others[random.below(others.len())];
                let from = random.below(other.len() + 1);
                let to = (from + random.below(200)).min(other.len());
                let end = (at + random.below(200)).min(bytes.len());
                bytes.splice(at..end, other[from..to].iter().copied());
            }
        }
    }
}

#[test]
fn two_hundred_thousand_mutants() {
    let files = |filter: &dyn Fn(&str) -> bool| -> Vec<Vec<u8>> {
        let named = cases().into_iter().filter(|case| filter(&case.file));
        let bytes = named.map(|case| fs::read(fixtures().join(&case.file)).unwrap());
        bytes
            .filter(|bytes| !bytes.is_empty() && bytes.len() < 10_000)
            .collect()
    };
    let good = files(&|name| name.starts_with("good/"));
    let all = files(&|_| true);
    let documents: Vec<Vec<u8>> = fs::read_dir(fixtures().join("did"))
        .unwrap()
        .map(|entry| fs::read(entry.unwrap().path()).unwrap())
        .collect();
    let signed = |bytes: &[u8]| {
        Some(
            Record::read(bytes)
                .ok()?
                .signed_bytes()
                .unwrap()
                .as_bytes()
                .to_vec(),
        )
    };
    let known: HashSet<Vec<u8>> = all.iter().filter_map(|bytes| signed(bytes)).collect();
    let verifier = Verifier::new(["did/org.json", "did/auditor.json"].map(document).into());
    let mut random = Random(2026);
    let (mut read, mut held, mut documents_read) = (0, 0, 0);
    for round in 0..ROUNDS {
        let from = if round % 4 == 0 {
            &documents
        } else if round % 4 == 1 {
            &all
        } else {
            &good
        };
        let mut bytes = from[random.below(from.len())].clone();
        mutate(&mut bytes, from, &mut random);
        if round % 4 == 0 {
            documents_read += usize::from(DidDocument::read(&bytes).is_ok());
            continue;
        }
        let report = verifier.check(&bytes);
        read += usize::from(report.record.is_some());
        if report.level.is_some() {
            held += 1;
            let content = signed(&bytes).expect("what holds can be read");
            assert!(
                known.contains(&content),
                "never signed: {}",
                String::from_utf8_lossy(&bytes)
            );
        }
    }
    assert!(
        read > ROUNDS / 100 && documents_read > 0,
        "mutants that are never read test nothing: {read}, {documents_read}"
    );
    say(&format!(
        "aar: {ROUNDS} mutants: {read} records and {documents_read} documents could be read, {held} records held, all of them signed as they stand"
    ));
}
