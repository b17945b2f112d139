//! The chain of signed records, checked by a program that shares no code with ours.

use std::path::{Path, PathBuf};
use std::process::Command;

use machine_driver_aar::{Did, KeyPair};
use machine_driver_tests::{Place, fixture};
use serde_json::{Value, json};

use crate::report::Ran;

const PRINCIPAL: &str = "did:web:example.org";

pub(crate) fn run(times: usize) -> Ran {
    let what = "4 tasks, one of them rejected, with a fresh key; signatures by tests/fixtures/aar/verify.mjs (node's own crypto), the \
                chain of records and the log's by chain.mjs; then one byte of a record and one of the log are changed"
        .to_owned();
    if !Command::new("node")
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success())
    {
        return Ran {
            what,
            times: 0,
            seen: String::new(),
            not_run: Some("node is not there".into()),
        };
    }
    let (mut records, mut logged) = (0, 0);
    for _ in 0..times {
        let (place, did) = signed();
        let files = files(&place);
        assert_eq!(files.len(), 4, "{files:?}");
        for file in &files {
            assert_eq!(level(&did, file), "L2", "{}", file.display());
        }
        let said = chain(&place, &files).unwrap_or_else(|why| panic!("{why}"));
        records += said["records"].as_u64().unwrap();
        logged += said["log_records"].as_u64().unwrap();
        let whole = std::fs::read_to_string(&files[0]).unwrap();
        std::fs::write(&files[0], whole.replacen("verif", "Verif", 1)).unwrap();
        assert_ne!(level(&did, &files[0]), "L2", "a changed record was taken");
        std::fs::write(&files[0], &whole).unwrap();
        let log = place.text("driver-log.jsonl");
        std::fs::write(
            place.path("driver-log.jsonl"),
            log.replacen("\"attempt\":1", "\"attempt\":2", 1),
        )
        .unwrap();
        assert!(chain(&place, &files).is_err(), "a changed log was taken");
    }
    Ran {
        what,
        times,
        seen: format!("{records} signed records and {logged} records of logs held; every change was found"),
        not_run: None,
    }
}

fn signed() -> (Place, PathBuf) {
    let task = |id: &str| json!({ "id": id, "goal": id, "reversible": true });
    let place = Place::new(&json!({
        "mode": "commit", "contract": { "proposed_by": "ann", "ratified_by": "bob", "autonomy_ceiling": 1 },
        "worker_cmd": "echo $MACHINE_ATTEMPT > $MACHINE_TASK_ID", "verify_cmd": "test $MACHINE_TASK_ID != never",
        "max_attempts": 1, "aar_priv": "keys/priv.jwk", "principal": PRINCIPAL,
        "subject": "did:web:example.org:machine-driver",
        "tasks": [task("one"), task("two"), task("never"), task("last")],
    }));
    place.init_git();
    let (pair, principal) = (KeyPair::generate().unwrap(), Did::new(PRINCIPAL).unwrap());
    pair.write_private(&place.path("keys/priv.jwk")).unwrap();
    let did = place.path("did.json");
    std::fs::write(&did, pair.did_document(&principal)).unwrap();
    place.run(["run"]).exits(3);
    place.holds();
    (place, did)
}

fn files(place: &Place) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(place.path("aar")).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn node(script: &str) -> Command {
    let mut command = Command::new("node");
    command.arg(fixture(&format!("aar/{script}")));
    command
}

fn level(did: &Path, record: &Path) -> String {
    let output = node("verify.mjs")
        .arg("--did-json")
        .arg(did)
        .arg(record)
        .output()
        .unwrap();
    let said: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    said["level"].as_str().unwrap_or("none").to_owned()
}

fn chain(place: &Place, files: &[PathBuf]) -> Result<Value, String> {
    let log = place.path("driver-log.jsonl");
    let output = node("chain.mjs")
        .arg("--log")
        .arg(log)
        .args(files)
        .output()
        .unwrap();
    if output.status.success() {
        Ok(serde_json::from_slice(&output.stdout).unwrap())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}
