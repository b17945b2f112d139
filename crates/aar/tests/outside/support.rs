//! What these tests share: the corpus, a way to say counts past the harness, and Node where it is installed.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Writes a line on stderr that the harness does not swallow: counts, and what was skipped.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// The folder of the corpus.
pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/aar")
}

pub(crate) fn json(path: &Path) -> Value {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Vectors of the RFCs and of "Taming the many EdDSAs".
pub(crate) fn vectors() -> Value {
    json(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors.json"))
}

pub(crate) fn bytes_of_hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

/// What a script of the corpus prints, or `None`, with a line on stderr, where there is no Node.
pub(crate) fn node(script: &str, args: &[&str]) -> Option<String> {
    match Command::new("node")
        .arg(fixtures().join(script))
        .args(args)
        .output()
    {
        Ok(done) => {
            assert!(
                done.status.success(),
                "{script}: {}",
                String::from_utf8_lossy(&done.stderr)
            );
            Some(String::from_utf8(done.stdout).unwrap())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            say(&format!("SKIP: {script} needs node, which is not installed"));
            None
        }
        Err(error) => panic!("could not run node: {error}"),
    }
}

/// A small generator (splitmix64), the same one as in numbers.mjs, so that every run draws the same.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap()).unwrap()
    }
}

/// Lets the second verifier look at records of ours: all of them must reach L2. How many it saw; none without Node.
pub(crate) fn node_verifies(document: &Path, files: &[PathBuf]) -> usize {
    let names: Vec<&str> = files.iter().map(|file| file.to_str().unwrap()).collect();
    let args = [&["--did-json", document.to_str().unwrap()], &names[..]].concat();
    let Some(said) = node("verify.mjs", &args) else {
        return 0;
    };
    for line in said.lines() {
        assert!(line.contains(r#""level":"L2""#), "{line}");
    }
    assert_eq!(said.lines().count(), files.len());
    files.len()
}
