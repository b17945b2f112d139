//! `aar keygen / sign / verify / show` and `log verify --did-json` as people type them.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use machine_driver::aar::REASONS;
use machine_driver_tests::{Ended, Place, fixture, repository, say, skip};
use serde_json::{Value, json};

const DID: &str = "did:web:example.org";

/// A goal with a task that passes and one that never does, and a key made with `keygen`.
fn signed_run() -> Place {
    let place = with_key();
    place
        .run(["run"])
        .exits(3)
        .says(&["record pass.json signed", "QUARANTINED fail"]);
    place
}

fn with_key() -> Place {
    let place = Place::new(&json!({
        "worker_cmd": "echo x > $MACHINE_TASK_ID", "verify_cmd": "echo judged $MACHINE_TASK_ID; test $MACHINE_TASK_ID != fail",
        "max_attempts": 1, "aar_priv": "keys/priv.jwk", "principal": DID, "subject": format!("{DID}:machine-driver"),
        "tasks": [{ "id": "pass", "goal": "be good" }, { "id": "fail", "goal": "be better" }],
    }));
    keygen(&place, "keys/priv.jwk", "did.json").exits(0);
    place
}

fn keygen(place: &Place, key: &str, did: &str) -> Ended {
    place.run(["aar", "keygen", "--did", DID, "--out-priv", key, "--out-did", did])
}

fn verify(place: &Place, more: &[&str]) -> Ended {
    place.run([&["aar", "verify", "--did-json", "did.json"], more].concat())
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn keygen_makes_a_key_for_its_owner_alone_and_never_overwrites() {
    let place = Place::bare();
    let ended = keygen(&place, "a/b/priv.jwk", "did.json");
    ended.exits(0).says(&[
        "https://example.org/.well-known/did.json",
        "\"aar_priv\": ",
        "\"principal\": \"did:web:example.org\"",
    ]);
    assert_eq!(
        [
            mode(&place.path("a/b/priv.jwk")),
            mode(&place.path("a/b")),
            mode(&place.path("a"))
        ],
        [0o600, 0o700, 0o700]
    );
    let key: Value = serde_json::from_str(&place.text("a/b/priv.jwk")).unwrap();
    let secret = key["d"].as_str().unwrap();
    assert!(!ended.text().contains(secret), "the private key is printed");
    let before = [place.text("a/b/priv.jwk"), place.text("did.json")];
    let said = keygen(&place, "a/b/priv.jwk", "other.json");
    said.exits(64)
        .says(&["priv.jwk is there already", "never overwritten"]);
    assert!(!place.path("other.json").exists(), "a document without its key");
    keygen(&place, "other.jwk", "did.json")
        .exits(64)
        .says(&["did.json is there already"]);
    assert!(!place.path("other.jwk").exists(), "a key without its document");
    symlink("nowhere", place.path("link")).unwrap();
    keygen(&place, "link", "other.json").exits(64);
    keygen(&place, "one", "./one")
        .exits(64)
        .says(&["cannot hold both"]);
    fs::create_dir(place.path("open")).unwrap();
    fs::set_permissions(place.path("open"), fs::Permissions::from_mode(0o777)).unwrap();
    keygen(&place, "open/priv.jwk", "other.json")
        .exits(1)
        .says(&["can be written to by others", "chmod 700"]);
    assert_eq!([place.text("a/b/priv.jwk"), place.text("did.json")], before);
    for did in ["did:web:127.0.0.1", "did:web:example.org:..", "example.org"] {
        let words = ["aar", "keygen", "--did", did, "--out-priv", "x", "--out-did", "y"];
        place.run(words).exits(64);
        assert!(!place.path("x").exists() && !place.path("y").exists());
    }
    let words = [
        "aar",
        "keygen",
        "--json",
        "--did",
        "did:key:zAbc",
        "--out-priv",
        "x",
        "--out-did",
        "y",
    ];
    let last = place.run(words).exits(0).json().pop().unwrap();
    assert!(
        last["publish_at"].is_null() && last["goal"]["principal"] == "did:key:zAbc",
        "{last}"
    );
}

#[test]
fn a_signed_run_is_at_l3_with_its_evidence_and_its_log() {
    let place = signed_run();
    let all = [
        "aar",
        "--evidence",
        "evidence",
        "--log",
        "driver-log.jsonl",
        "--require",
        "L3",
    ];
    verify(&place, &all).exits(0).says(&[
        "ends where the signed log that you named does",
        "same-principal",
        "conformance: L3",
    ]);
    verify(&place, &["aar"]).exits(0).says(&["end not proven"]);
    verify(&place, &["aar/pass.json"])
        .exits(0)
        .says(&["conformance: L2", "chain-not-shown"]);
    verify(&place, &["aar/pass.json", "--require", "L3", "aar/fail.json"])
        .exits(0)
        .says(&["conformance: L3"]);
    let lines = verify(&place, &[&all[..], &["--json"]].concat()).exits(0).json();
    let records: Vec<&Value> = lines.iter().filter(|line| line["type"] == "record").collect();
    assert_eq!(records.len(), 2);
    assert!(
        records
            .iter()
            .any(|record| record["verdict"] == "rejected" && record["level"] == "L3")
    );
    let last = lines.last().unwrap();
    assert_eq!(
        (&last["conformance"], &last["end_proven"]),
        (&json!("L3"), &json!(true))
    );
    let head = lines.iter().find(|line| line["type"] == "chain").unwrap()["head"]
        .as_str()
        .unwrap()
        .to_owned();
    verify(&place, &["aar", "--head", &head])
        .exits(0)
        .says(&["you named is its end"]);
    place.run(["aar", "show", "aar/fail.json"]).exits(0).says(&[
        "rejected",
        "be better",
        "nothing was checked",
    ]);
    place.run(["log", "show"]).exits(0).says(&["record_signed"]);
}

#[test]
fn what_was_changed_is_named_with_file_and_reason() {
    let place = signed_run();
    let original = place.text("aar/pass.json");
    let not = |what: &[&str], says: &[&str]| drop(verify(&place, what).exits(5).says(says).clone());
    fs::write(place.path("aar/pass.json"), original.replace("be good", "be bad")).unwrap();
    not(
        &["aar"],
        &["aar/pass.json", "signature-invalid", "conformance: FAIL"],
    );
    fs::write(place.path("aar/pass.json"), &original).unwrap();
    keygen(&place, "keys/other.jwk", "other.json").exits(0);
    let other = place.run(["aar", "verify", "aar/pass.json", "--did-json", "other.json"]);
    other.exits(5).says(&["signature-invalid"]);
    fs::create_dir(place.path("dids")).unwrap();
    for name in ["other.json", "did.json"] {
        fs::copy(place.path(name), place.path("dids").join(name)).unwrap();
    }
    fs::write(place.path("dids/notes.json"), "[]").unwrap();
    let both = place.run(["aar", "verify", "aar", "--did-dir", "dids"]);
    both.exits(0).says(&["notes.json is passed over"]);
    // Kept output, exchanged.
    let kept = place.path("evidence/fail/attempt-1.verify.log");
    fs::write(&kept, "judged fail, and liked it\n").unwrap();
    not(
        &["aar", "--evidence", "evidence"],
        &["aar/fail.json", "evidence-mismatch"],
    );
    fs::remove_file(&kept).unwrap();
    not(&["aar", "--evidence", "evidence"], &["evidence-missing"]);
    verify(&place, &["aar"]).exits(0);
    // Taken out, exchanged, cut.
    let swap = place.text("aar/fail.json");
    fs::remove_file(place.path("aar/fail.json")).unwrap();
    not(&["aar", "--log", "driver-log.jsonl"], &["chain-tail-cut"]);
    fs::write(place.path("aar/third.json"), &swap).unwrap();
    not(&["aar"], &["aar/third.json", "chain-swap"]);
    fs::rename(place.path("aar/third.json"), place.path("aar/fail.json")).unwrap();
    fs::remove_file(place.path("aar/pass.json")).unwrap();
    not(&["aar"], &["aar/fail.json", "chain-head-cut"]);
    fs::write(place.path("aar/pass.json"), &original).unwrap();
    let log = place.text("driver-log.jsonl");
    fs::write(place.path("driver-log.jsonl"), "").unwrap();
    let empty = verify(&place, &["aar", "--log", "driver-log.jsonl"]);
    empty.exits(5).says(&["aar/fail.json", "the log was cut"]);
    fs::write(place.path("driver-log.jsonl"), log.trim_end()).unwrap();
    let torn = verify(&place, &["aar", "--log", "driver-log.jsonl"]);
    torn.exits(0).says(&["driver-log.jsonl: the last line is torn"]);
    symlink("fail.json", place.path("aar/link.json")).unwrap();
    not(&["aar"], &["aar/link.json", "unreadable"]);
}

/// `aar verify - …` with a file as its standard input.
fn from_stdin(place: &Place, file: &Path) -> (Option<i32>, String) {
    let mut command = place.command(["aar", "verify", "-", "--did-json", "did.json"]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(&fs::read(file).unwrap())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stdout).into_owned(),
    )
}

#[test]
fn standard_input_is_a_record_like_any_other() {
    let place = signed_run();
    let (code, text) = from_stdin(&place, &place.path("aar/fail.json"));
    assert!(code == Some(0) && text.contains("conformance: L2"), "{text}");
    let (code, text) = from_stdin(&place, &place.path("did.json"));
    assert!(code == Some(5) && text.contains("member-missing"), "{text}");
}

#[test]
fn usage_is_told_from_what_does_not_hold() {
    let place = signed_run();
    place
        .run(["aar", "verify", "aar"])
        .exits(64)
        .says(&["--did-json"]);
    place.run(["aar", "verify", "--did-json", "did.json"]).exits(64);
    verify(&place, &["aar", "--require", "L9"]).exits(64);
    verify(&place, &["aar", "--head", "abc"]).exits(64);
    verify(&place, &["aar", "--evidence", "nowhere"]).exits(64);
    place
        .run(["aar", "verify", "aar", "--did-json", "aar/pass.json"])
        .exits(64)
        .says(&["not a DID document"]);
    verify(&place, &["nowhere.json"]).exits(1).says(&["nowhere.json"]);
    verify(&place, &["aar", "--log", "nowhere"])
        .exits(1)
        .says(&["nowhere"]);
    fs::write(place.path("large.json"), vec![b' '; (1 << 20) + 1]).unwrap();
    verify(&place, &["large.json"]).exits(5).says(&["too-large"]);
    place
        .run(["aar", "show", "driver-log.jsonl"])
        .exits(5)
        .says(&["not a record"]);
}

/// A record that was left unsigned is signed later, and the run's log knows it all the same.
#[test]
fn what_was_left_unsigned_is_signed_later() {
    let place = with_key();
    fs::rename(place.path("keys/priv.jwk"), place.path("keys/away")).unwrap();
    let key = place.folder().canonicalize().unwrap().join("keys/priv.jwk");
    let line = format!("AAR sign SKIPPED for task pass: missing {}", key.display());
    let ended = place.run(["run", "--quiet"]);
    ended.exits(3);
    assert!(
        ended.out().contains(&line),
        "on stdout, also with --quiet: {}",
        ended.out()
    );
    place
        .run(["check"])
        .exits(0)
        .says(&["AAR sign SKIPPED", "keys/priv.jwk"]);
    verify(&place, &["aar"])
        .exits(5)
        .says(&["aar/pass.json", "unsigned"]);
    fs::rename(place.path("keys/away"), place.path("keys/priv.jwk")).unwrap();
    let sign = |more: &[&str]| place.run([&["aar", "sign", "aar", "--priv", "keys/priv.jwk"], more].concat());
    let before = place.text("aar/pass.json");
    sign(&["--did", "did:web:example.com"])
        .exits(64)
        .says(&["did:web:example.com"]);
    fs::set_permissions(place.path("keys/priv.jwk"), fs::Permissions::from_mode(0o644)).unwrap();
    sign(&[]).exits(1).says(&["0644", "chmod 600"]);
    assert_eq!(place.text("aar/pass.json"), before);
    fs::set_permissions(place.path("keys/priv.jwk"), fs::Permissions::from_mode(0o600)).unwrap();
    sign(&[]).exits(0).says(&[
        "pass.json signed by did:web:example.org, the first",
        "fail.json signed",
    ]);
    let all = [
        "aar",
        "--evidence",
        "evidence",
        "--log",
        "driver-log.jsonl",
        "--require",
        "L3",
    ];
    verify(&place, &all)
        .exits(0)
        .says(&["end proven by the log, which nobody signed"]);
    sign(&[]).exits(0).says(&["pass.json is signed already"]);
    // One that the log tells of was taken away behind the last one.
    let signed = place.text("aar/fail.json");
    fs::remove_file(place.path("aar/fail.json")).unwrap();
    verify(&place, &["aar"]).exits(0);
    verify(&place, &all)
        .exits(5)
        .says(&["fail.json, which is not here"]);
    fs::write(place.path("aar/fail.json"), signed).unwrap();
    // The run goes on behind them.
    place.run(["retry", "fail"]).exits(0);
    place.run(["run"]).exits(3);
    assert!(place.path("aar/fail.1.json").exists());
    verify(&place, &all)
        .exits(0)
        .says(&["ends where the signed log that you named does", "3 records"]);
    place
        .run(["log", "verify", "--did-json", "did.json"])
        .exits(0)
        .says(&["every signature holds"]);
}

#[test]
fn a_log_with_a_signature_changed_taken_out_or_of_another_key_does_not_hold() {
    let place = signed_run();
    let log = place.path("driver-log.jsonl");
    let good = place.text("driver-log.jsonl");
    let check = || place.run(["log", "verify", "--did-json", "did.json"]);
    let lines = good.lines().count();
    check()
        .exits(0)
        .says(&[&format!("every signature holds: {lines} signed")]);
    let with = |number: usize, change: &dyn Fn(&str) -> String| {
        let lines = good.lines().enumerate().map(|(at, line)| {
            if at + 1 == number {
                change(line)
            } else {
                line.to_owned()
            }
        });
        fs::write(&log, lines.map(|line| line + "\n").collect::<String>()).unwrap();
    };
    let flipped = |line: &str| {
        let at = line.find("\"sig\":\"").unwrap() + 7;
        let other = if line[at..].starts_with('A') { "B" } else { "A" };
        format!("{}{other}{}", &line[..at], &line[at + 1..])
    };
    let stripped = |line: &str| {
        let mut record: Value = serde_json::from_str(line).unwrap();
        record.as_object_mut().unwrap().shift_remove("sig").unwrap();
        record.to_string()
    };
    for number in [1, 2, lines / 2, lines] {
        with(number, &flipped);
        place.run(["log", "verify"]).exits(0);
        check()
            .exits(5)
            .says(&[&format!("line {number} has a signature that holds for none")]);
        verify(&place, &["aar", "--log", "driver-log.jsonl"])
            .exits(5)
            .says(&[&format!("line {number} ")]);
    }
    for number in [3, lines / 2, lines] {
        with(number, &stripped);
        check()
            .exits(5)
            .says(&[&format!("line {number} has no signature")]);
    }
    with(lines, &|line| line.replace("\"ts\"", "\"st\""));
    check().exits(5);
    fs::write(&log, &good).unwrap();
    keygen(&place, "keys/other.jwk", "other.json").exits(0);
    let other = place.run(["log", "verify", "--did-json", "other.json"]);
    other
        .exits(5)
        .says(&["line 1 has a signature that holds for none"]);
    let json = place
        .run(["log", "verify", "--json", "--did-json", "did.json"])
        .exits(0)
        .json();
    assert_eq!(json.last().unwrap()["signed"], lines);
    // Without any, there is nothing that could hold.
    let keyless = Place::new(
        &json!({ "worker_cmd": "true", "verify_cmd": "true", "tasks": [{ "id": "a", "goal": "x" }] }),
    );
    keyless.run(["run"]).exits(0);
    fs::copy(place.path("did.json"), keyless.path("did.json")).unwrap();
    keyless
        .run(["log", "verify", "--did-json", "did.json"])
        .exits(5)
        .says(&["no signature at all"]);
}

#[test]
fn a_hostile_task_id_looks_into_no_other_folder() {
    let place = Place::bare();
    fs::create_dir_all(place.path("evidence/inside")).unwrap();
    let corpus = fixture("aar");
    let manifest: Value = serde_json::from_slice(&fs::read(corpus.join("manifest.json")).unwrap()).unwrap();
    let did = corpus.join("did/org.json").display().to_string();
    let mut refused = 0;
    for entry in fs::read_dir(corpus.join("evidence")).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let words = [
            "aar",
            "verify",
            path.to_str().unwrap(),
            "--did-json",
            &did,
            "--evidence",
            "evidence/inside",
        ];
        let ended = place.run(words);
        ended.exits(5).says(&["evidence-task-id"]);
        assert!(
            ended.text().chars().all(|c| c == '\n' || !c.is_control()),
            "{}",
            ended.text()
        );
        refused += 1;
    }
    assert!(refused >= 8, "{refused} records with hostile task ids");
    say(&format!(
        "aar: {refused} hostile task ids, {} records in the corpus",
        manifest["files"].as_array().unwrap().len()
    ));
}

#[test]
fn the_documented_reason_codes_are_those_that_there_are() {
    let text = fs::read_to_string(repository().join("docs/proof.md")).unwrap();
    let (_, table) = text.split_once("## Reason codes").unwrap();
    let documented: Vec<Vec<&str>> = table
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            line.split('|')
                .skip(1)
                .take(3)
                .map(|cell| cell.trim().trim_matches('`'))
                .collect()
        })
        .collect();
    let there: Vec<Vec<String>> = REASONS
        .iter()
        .map(|(reason, step)| vec![reason.to_string(), step.to_string(), step.level().to_string()])
        .collect();
    assert_eq!(documented, there);
}

/// The steps in docs/proof.md, typed in the demo's folder, with none of ours but the demo.
#[test]
fn the_documented_steps_check_a_record_without_this_tool() {
    for (program, word) in [
        ("openssl", "version"),
        ("python3", "--version"),
        ("node", "--version"),
    ] {
        let answer = Command::new(program).arg(word).output();
        if !answer.is_ok_and(|output| output.status.success()) {
            return skip(
                "the steps of docs/proof.md",
                &format!("there is no {program} that works"),
            );
        }
    }
    let place = Place::bare();
    place
        .run(["demo", "--signed", "--dir", "there"])
        .exits(0)
        .says(&["conformance: L3"]);
    let there = place.path("there");
    let text = fs::read_to_string(repository().join("docs/proof.md")).unwrap();
    let (_, steps) = text.split_once("## Checking a record without this tool").unwrap();
    let (steps, _) = steps.split_once("\n## ").unwrap();
    let script: String = steps
        .split("```sh\n")
        .skip(1)
        .map(|block| block.split("```").next().unwrap())
        .collect();
    let typed = |script: &str| {
        let mut sh = Command::new("sh");
        sh.args(["-ec", script])
            .current_dir(&there)
            .env_remove("PYTHONPATH");
        sh.output().unwrap()
    };
    let output = typed(&script);
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    for text in ["Signature Verified Successfully", "the signature holds"] {
        assert!(said.contains(text), "{text}: {said}");
    }
    for hash in ["response_sha256", "\"prior\""] {
        let line = said.lines().find(|line| line.contains(hash)).unwrap();
        let digest = line.split('"').nth(3).unwrap();
        assert_eq!(
            said.matches(digest).count(),
            2,
            "{hash} is what sha256sum prints: {said}"
        );
    }
    // And they would tell.
    let record = there.join("aar/root.json");
    let forged = fs::read_to_string(&record)
        .unwrap()
        .replace("\"rejected\"", "\"verified\"");
    fs::write(&record, forged).unwrap();
    assert!(!typed(&script).status.success());
    let (_, node) = script.split_once("cat > check.mjs").unwrap();
    let output = typed(&format!("record=aar/root.json\ncat > check.mjs{node}"));
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "THE SIGNATURE DOES NOT HOLD\n"
    );
}
