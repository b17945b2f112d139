//! The verifier: never panics, and nothing holds that was not signed. What was signed is in the corpus of
//! tests/fixtures/aar, with which this target is to be seeded.
#![no_main]

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use machine_driver_aar::{DidDocument, Record, Verifier};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/fixtures/aar")
}

fn signed(bytes: &[u8]) -> Option<Vec<u8>> {
    let record = Record::read(bytes).ok()?;
    Some(record.signed_bytes().ok()?.as_bytes().to_vec())
}

static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| {
    let document = fs::read(fixtures().join("did/org.json")).expect("the corpus is there");
    Verifier::new(vec![DidDocument::read(&document).expect("a good document")])
});

static KNOWN: LazyLock<HashSet<Vec<u8>>> = LazyLock::new(|| {
    let folders = ["good", "chain", "attacks", "fields", "evidence"].map(|name| fixtures().join(name));
    let entries = folders.into_iter().flat_map(|folder| fs::read_dir(folder).expect("the corpus is there"));
    let files = entries.filter_map(|entry| fs::read(entry.ok()?.path()).ok());
    files.filter_map(|bytes| signed(&bytes)).collect()
});

fuzz_target!(|bytes: &[u8]| {
    let report = VERIFIER.check(bytes);
    if report.level.is_some() {
        let content = signed(bytes).expect("what holds can be read");
        assert!(KNOWN.contains(&content), "this was never signed");
    } else {
        assert!(report.first_failure().is_some_and(|finding| finding.code.is_some()), "no reason is given");
    }
});
