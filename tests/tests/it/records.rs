//! One record about each task that is resolved, signed, chained, and written before the commit that it speaks for.

use std::fs;
use std::path::Path;

use machine_driver_aar::{Did, DidDocument, KeyPair, Level, Record, SetOptions, Verifier, check_evidence};
use machine_driver_tests::{Place, say};
use serde_json::{Value, json};

const PRINCIPAL: &str = "did:web:example.org";

/// A goal over a git repository with one task that passes, one that needs two attempts and one that never passes, and a
/// fresh key beside it.
fn place() -> (Place, Verifier) {
    let place = Place::new(&goal());
    place.init_git();
    let verifier = key(&place.path("keys/priv.jwk"));
    (place, verifier)
}

fn goal() -> Value {
    json!({
        "mode": "commit", "contract": { "proposed_by": "ann", "ratified_by": "bob", "autonomy_ceiling": 1 },
        "worker_cmd": "echo \"$MACHINE_TASK_ID $MACHINE_ATTEMPT $MACHINE_SESSION\" >> ../runs.txt; echo $MACHINE_ATTEMPT > $MACHINE_TASK_ID",
        "verify_cmd": "echo judged; case $MACHINE_TASK_ID in again) test $MACHINE_ATTEMPT -ge 2 ;; never) exit 7 ;; esac",
        "max_attempts": 2,
        "aar_priv": "keys/priv.jwk", "principal": PRINCIPAL, "subject": "did:web:example.org:machine-driver",
        "tasks": [
            { "id": "plain", "goal": "x", "reversible": true }, { "id": "again", "goal": "y", "reversible": true },
            { "id": "never", "goal": "z", "reversible": true }, { "id": "behind", "goal": "w", "after": ["never"] },
        ],
    })
}

fn key(path: &Path) -> Verifier {
    let (pair, principal) = (KeyPair::generate().unwrap(), Did::new(PRINCIPAL).unwrap());
    pair.write_private(path).unwrap();
    Verifier::new(vec![
        DidDocument::read(pair.did_document(&principal).as_bytes()).unwrap(),
    ])
}

fn record(place: &Place, name: &str) -> Record {
    Record::read(&fs::read(place.path(&format!("aar/{name}.json"))).unwrap()).unwrap()
}

/// One record for each task, each of which holds by itself and with its evidence, in one chain that ends where the log says.
#[track_caller]
fn all_hold(place: &Place, verifier: &Verifier) {
    let history = place.history();
    let mut files = Vec::new();
    for entry in fs::read_dir(place.path("aar")).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        let report = verifier.check(&bytes);
        assert_eq!(report.level, Some(Level::L2), "{}: {report:?}", path.display());
        let record = Record::read(&bytes).unwrap();
        if record.at(&["checks"]).is_some() {
            let evidence = check_evidence(&record, &place.path("evidence"));
            assert!(evidence.holds(), "{}: {evidence:?}", path.display());
        }
        files.push((path.file_name().unwrap().to_string_lossy().into_owned(), bytes));
    }
    let names: Vec<_> = files.iter().map(|(name, _)| name).collect();
    assert_eq!(files.len(), history.count("record_signed"), "{names:?}");
    let head = history.of("record_signed").last().unwrap()["sha256"]
        .as_str()
        .unwrap()
        .to_owned();
    let options = SetOptions {
        heads: vec![machine_driver_state::id::Digest::new(&head).unwrap()],
        ..SetOptions::default()
    };
    let set = verifier.verify_set(&files, &options);
    assert_eq!(set.level(), Some(Level::L3), "{set:?}");
    let text = place.text("driver-log.jsonl");
    assert!(
        text.lines().all(|line| line.contains("\"sig\":\"")),
        "every record of the log is signed"
    );
    place.holds();
}

#[test]
fn every_task_leaves_one_from_any_folder() {
    let (place, verifier) = place();
    // A relative key is beside goal.json, wherever the command is typed.
    let mut command = place.command(["run".into(), place.goal().into_os_string()]);
    command.current_dir("/");
    let ended = machine_driver_tests::Running::start(command).wait(machine_driver_tests::TIME_MAX);
    ended.exits(3);
    all_hold(&place, &verifier);
    let verdicts = ["plain", "again", "never", "behind"].map(|name| {
        let record = record(&place, name);
        [record.text(&["verdict"]), record.text(&["ground_truth"])]
            .map(|text| text.unwrap_or_default().to_owned())
    });
    let expected = [
        ["verified", "confirmed"],
        ["verified", "confirmed"],
        ["rejected", "contradicted"],
        ["unclear", "unchecked"],
    ];
    assert_eq!(verdicts, expected.map(|pair| pair.map(str::to_owned)));
    let plain = record(&place, "plain");
    let history = place.history();
    let commit = history.of("commit").next().unwrap();
    assert_eq!(plain.at(&["evidence", "tree"]), Some(&commit["tree"]));
    assert_eq!(plain.at(&["evidence", "base_commit"]), Some(&commit["parent"]));
    let never = record(&place, "never");
    assert!(
        never
            .text(&["reason"])
            .unwrap()
            .starts_with("verify_cmd exited 7 against repo HEAD ")
    );
    assert!(never.at(&["evidence", "patch_sha256"]).is_some());
    // Before the commit that it speaks for.
    let names = history.names();
    let at = |event: &str| names.iter().position(|name| *name == event).unwrap();
    assert!(at("verified") < at("record_signed") && at("record_signed") < at("gate_allowed"));
    // sha256sum on the kept evidence shows what the record says.
    let log = fs::read(place.path("evidence/plain/attempt-1.verify.log")).unwrap();
    let digest = machine_driver_state::canonical::sha256(&log).to_string();
    assert_eq!(plain.at(&["checks"]).unwrap()[0]["response_sha256"], digest);
    assert_eq!(plain.at(&["checks"]).unwrap()[0]["excerpt"], "judged");
}

#[test]
fn a_task_that_was_put_back_keeps_its_older_record() {
    let (place, verifier) = place();
    place.run(["run"]).exits(3);
    place.run(["retry", "never"]).exits(0);
    place.run(["run"]).exits(3);
    assert!(place.path("aar/never.1.json").exists());
    all_hold(&place, &verifier);
}

#[test]
fn keyless_runs_leave_none() {
    let mut goal = goal();
    goal.as_object_mut().unwrap().remove("aar_priv");
    let place = Place::new(&goal);
    place.init_git();
    place.run(["run"]).exits(3);
    assert!(!place.path("aar").exists());
    assert_eq!(place.history().count("record_signed"), 0);
    assert!(!place.text("driver-log.jsonl").contains("\"sig\""));
    place.holds();
}

/// The work goes on, the record waits without a signature, and a person hears why.
#[track_caller]
fn is_left_unsigned(place: &Place, line: &str, mend: &str) {
    let ended = place.run(["run"]);
    ended.exits(3).says(&[line]);
    let history = place.history();
    assert_eq!(history.count("record_signed"), 4);
    let alerts: Vec<&Value> = history
        .of("alert_raised")
        .filter(|alert| alert["kind"] == "unsigned")
        .collect();
    assert_eq!(alerts.len(), 1, "told once");
    let text = alerts[0]["text"].as_str().unwrap();
    assert!(text.contains(line) && text.contains(mend), "{text}");
    assert!(!record(place, "plain").is_signed());
    assert_eq!(place.commits(), ["driver: plain", "driver: again"]);
    place.holds();
}

#[test]
fn a_missing_key_stops_nothing() {
    let place = Place::new(&goal());
    place.init_git();
    let path = place.path("keys/priv.jwk").display().to_string();
    is_left_unsigned(
        &place,
        &format!("AAR sign SKIPPED for task plain: missing {path}"),
        "keygen",
    );
}

#[test]
fn a_chain_goes_on_from_what_was_signed_by_hand() {
    let place = Place::new(&goal());
    place.init_git();
    place.run(["run"]).exits(3);
    let verifier = key(&place.path("keys/priv.jwk"));
    let files = ["plain", "again", "never", "behind"].map(|name| place.path(&format!("aar/{name}.json")));
    let mut arguments = vec!["aar".into(), "sign".into()];
    arguments.extend(files.iter().map(|file| file.clone().into_os_string()));
    arguments.extend(["--priv".into(), place.path("keys/priv.jwk").into_os_string()]);
    place.run(arguments).exits(0);
    place
        .run(["task", "add", "--goal", "more", "--id", "more"])
        .exits(0);
    place.run(["run"]).exits(3);
    let records: Vec<(String, Vec<u8>)> = fs::read_dir(place.path("aar"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            (
                path.file_name().unwrap().to_string_lossy().into_owned(),
                fs::read(path).unwrap(),
            )
        })
        .collect();
    let set = verifier.verify_set(&records, &SetOptions::default());
    assert!(set.holds() && set.chains.len() == 1, "{set:?}");
    assert_eq!(records.len(), 5);
    place.holds();
}

#[test]
fn a_key_that_others_can_read_is_not_used() {
    let (place, _) = place();
    let path = place.path("keys/priv.jwk");
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
    let mend = format!("chmod 600 {}", path.display());
    is_left_unsigned(&place, "AAR sign FAILED for task plain: ", &mend);
}

#[test]
fn a_key_that_is_none_is_not_used() {
    let (place, _) = place();
    fs::write(place.path("keys/priv.jwk"), "{}").unwrap();
    is_left_unsigned(&place, "AAR sign FAILED for task plain: ", "JWK");
}

/// Neither a record put in place of the first one's predecessor nor a usage that no record can hold.
#[test]
fn a_worker_breaks_no_chain_and_keeps_no_record_from_being_written() {
    let (other, _) = place();
    other.run(["run"]).exits(3);
    let mut goal = goal();
    let plant = "mkdir -p ../aar && cp ../foreign.json ../aar/foreign.json";
    let usage = r#"echo '{"input_tokens": 9007199254740993, "usd": 1e13}' > "$MACHINE_USAGE_FILE""#;
    goal["worker_cmd"] = format!("{plant}; {usage}; echo $MACHINE_ATTEMPT > $MACHINE_TASK_ID").into();
    let place = Place::new(&goal);
    place.init_git();
    let verifier = key(&place.path("keys/priv.jwk"));
    fs::copy(other.path("aar/never.json"), place.path("foreign.json")).unwrap();
    place.run(["run"]).exits(3);
    fs::remove_file(place.path("aar/foreign.json")).unwrap();
    all_hold(&place, &verifier);
}

#[test]
fn killed_at_any_moment_each_resolved_task_has_one() {
    let (mut killed, mut goals) = (0, 0);
    let kills = std::env::var("MACHINE_DRIVER_KILLS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(20);
    while killed < kills {
        let (place, verifier) = place();
        goals += 1;
        loop {
            let lines = |place: &Place| place.text("driver-log.jsonl").lines().count();
            let enough = lines(&place) + 1 + (killed * 5) % 14;
            let mut run = place.start(["run", "--quiet"]);
            while !run.has_ended() && lines(&place) < enough {
                std::thread::sleep(std::time::Duration::from_micros(200));
            }
            if run.has_ended() {
                match run.wait(machine_driver_tests::TIME_MAX).code {
                    3 => break,
                    _ => continue,
                }
            }
            std::thread::sleep(std::time::Duration::from_micros((killed as u64 * 7919) % 6000));
            run.kill();
            killed += 1;
        }
        let ended = (0..10).map(|_| place.run(["run"])).find(|ended| ended.code != 11);
        ended.unwrap().exits(3);
        all_hold(&place, &verifier);
        place.commits_hold();
        assert_eq!(place.history().count("record_signed"), 4);
    }
    say(&format!("records: {killed} kills over {goals} goals"));
}

#[test]
fn every_byte_of_evidence_and_every_line_of_the_log_is_bound() {
    let (place, _) = place();
    let did = place.path("did.json");
    fs::remove_dir_all(place.path("keys")).unwrap();
    let mut keygen: Vec<std::ffi::OsString> = ["aar", "keygen", "--did", PRINCIPAL, "--out-priv"]
        .map(Into::into)
        .to_vec();
    keygen.extend([place.path("keys/priv.jwk").into(), "--out-did".into(), did.into()]);
    place.run(keygen).exits(0);
    place.run(["run"]).exits(3);
    let verify = || {
        place.run([
            "aar",
            "verify",
            "aar",
            "--did-json",
            "did.json",
            "--evidence",
            "evidence",
            "--log",
            "driver-log.jsonl",
            "--require",
            "L3",
        ])
    };
    verify().exits(0);
    // Of an attempt that no record is about, too.
    for name in [
        "again/attempt-1.verify.log",
        "again/attempt-2.verify.log",
        "never/attempt-1.verify.log",
        "plain/attempt-1.patch",
    ] {
        let path = place.path("evidence").join(name);
        let whole = fs::read(&path).unwrap();
        let mut bytes = whole.clone();
        bytes[0] ^= 1;
        fs::write(&path, bytes).unwrap();
        verify().exits(5).says(&[name.rsplit('/').next().unwrap()]);
        fs::write(&path, whole).unwrap();
    }
    verify().exits(0);
    let log = place.text("driver-log.jsonl");
    let lines: Vec<&str> = log.lines().collect();
    fs::write(
        place.path("driver-log.jsonl"),
        lines[..lines.len() / 2].join("\n") + "\n",
    )
    .unwrap();
    verify().exits(5).says(&["the log was cut"]);
}

#[test]
fn a_text_that_no_record_could_hold_is_refused_before_anything_is_paid_for() {
    let (place, _) = place();
    let mut goal = goal();
    goal["worker_cmd"] = json!("cat {task_file} > copy");
    goal["tasks"] = json!([{ "id": "long", "goal": "x".repeat(300 << 10) }]);
    place.write(&goal);
    place.run(["run"]).exits(10).says(&["tasks[0].goal", "256 KiB"]);
    goal["tasks"] = json!([{ "id": "long", "goal": "x".repeat(250 << 10) }]);
    place.write(&goal);
    place.run(["run"]).exits(0);
    assert_eq!(place.history().count("record_signed"), 1);
}
