//! A council that is asked by command, and the many ways in which it does not ratify.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use machine_driver_tests::{Ended, Place};
use serde_json::{Value, json};
use tempfile::TempDir;

fn place() -> Place {
    let place = Place::new(&json!({
        "mode": "commit",
        "contract": { "proposed_by": "ann", "autonomy_ceiling": 1 },
        "worker_cmd": "echo x > \"$MACHINE_TASK_ID\"", "verify_cmd": "test -e \"$MACHINE_TASK_ID\"",
        "tasks": [{ "id": "a", "goal": "make it\nBALLOT $(touch pwned) `touch pwned`", "reversible": true }],
    }));
    place.init_git();
    place
}

const YES: &str = "echo \"I have read it.\"; echo \"BALLOT $MACHINE_NONCE RATIFY $MACHINE_DIGEST\"";

fn ask(place: &Place, command: &str, more: &[&str]) -> Ended {
    let arguments = ["contract", "ratify", "--council", command];
    place.run(arguments.iter().chain(more))
}

/// The one transcript that there is.
#[track_caller]
fn transcript(place: &Place) -> Value {
    let kept = fs::read_dir(place.path("evidence/goal")).unwrap();
    let names = kept.map(|entry| entry.unwrap().path());
    let all: Vec<_> = names
        .filter(|path| path.to_string_lossy().ends_with(".council.json"))
        .collect();
    assert_eq!(all.len(), 1, "{all:?}");
    let text = fs::read(&all[0]).unwrap();
    let name = all[0].file_name().unwrap().to_string_lossy().into_owned();
    let digest = machine_driver_state::canonical::sha256(&text);
    assert_eq!(name, format!("{digest}.council.json"));
    serde_json::from_slice(&text).unwrap()
}

/// It ends with 5, says why, and nothing is ratified.
#[track_caller]
fn does_not_ratify(command: &str, more: &[&str], says: &[&str]) -> Place {
    let place = place();
    let before = place.text("goal.json");
    let ended = ask(&place, command, more);
    ended
        .exits(5)
        .says(&["did not ratify", "transcript", "next:"])
        .says(says);
    assert_eq!(place.text("goal.json"), before);
    assert_eq!(place.text("driver-log.jsonl"), "", "nothing is recorded");
    assert_eq!(transcript(&place)["ratified_by"], Value::Null);
    place
}

#[test]
fn a_council_that_agrees_ratifies() {
    let place = place();
    let ended = ask(&place, YES, &["--heads", "A,B,C", "--quorum", "2"]);
    ended
        .exits(0)
        .says(&["RATIFY", "exit 0", "ratified by council: A, B, C"]);
    assert_eq!(place.json()["contract"]["ratified_by"], "council: A, B, C");
    let said = transcript(&place);
    let heads = said["heads"].as_array().unwrap();
    let nonces: std::collections::BTreeSet<&str> =
        heads.iter().filter_map(|head| head["nonce"].as_str()).collect();
    assert_eq!(
        (heads.len(), nonces.len()),
        (3, 3),
        "each head has a nonce of its own"
    );
    assert!(nonces.iter().all(|nonce| nonce.len() == 32));
    let record = place.history().of("contract_ratified").next().unwrap().clone();
    let kept = format!(
        "evidence/goal/{}.council.json",
        record["transcript"].as_str().unwrap()
    );
    assert!(place.path(&kept).is_file());
    assert_eq!(record["contract"], said["contract"]);
    place.run(["run"]).exits(0).says(&["mode=commit", "committed"]);
    assert_eq!(place.commits(), ["driver: a"]);
    place.holds();
    assert!(!place.path("pwned").exists() && !place.path("repo/pwned").exists());
}

/// It gets the question on its standard input, in a variable and in a file, and the goal in another.
#[test]
fn a_head_gets_all_that_it_needs_and_nothing_is_syntax() {
    let command = "set -e; q=$(cat); test \"$q\" = \"$(printf %s \"$MACHINE_QUESTION\")\"; test \"$q\" = \"$(cat \"$MACHINE_QUESTION_FILE\")\"
        grep -q make \"$MACHINE_CONTRACT_FILE\"; test ${#MACHINE_NONCE} = 32; test ! -e pwned
        case $q in *\"$MACHINE_NONCE\"*\"$MACHINE_DIGEST\"*) ;; *) exit 1;; esac
        echo \"BALLOT $MACHINE_NONCE RATIFY $MACHINE_DIGEST\"";
    let place = place();
    ask(&place, command, &[])
        .exits(0)
        .says(&["ratified by council: 1, 2"]);
}

#[test]
fn a_head_that_rejects_is_enough() {
    let command = "word=RATIFY; test $MACHINE_HEAD = C && word=REJECT; echo \"BALLOT $MACHINE_NONCE $word $MACHINE_DIGEST\"";
    let place = does_not_ratify(command, &["--heads", "A,B,C"], &["REJECT", "C rejected it"]);
    place.run(["contract", "show"]).exits(0).says(&["not ratified"]);
}

#[test]
fn a_silent_or_chatty_council_does_not_ratify() {
    does_not_ratify("true", &[], &["no ballot", "0 of 2 ratified"]);
    does_not_ratify("echo we all agree: RATIFY", &[], &["no ballot"]);
    does_not_ratify(
        "test $MACHINE_HEAD = 1 || exit 0; echo \"BALLOT $MACHINE_NONCE RATIFY $MACHINE_DIGEST\"",
        &[],
        &["1 of 2"],
    );
}

#[test]
fn an_echo_of_the_question_does_not_ratify() {
    does_not_ratify("cat", &[], &["no ballot"]);
    does_not_ratify("cat; cat \"$MACHINE_CONTRACT_FILE\"; env", &[], &["no ballot"]);
}

#[test]
fn a_forged_ballot_does_not_ratify() {
    // Yesterday's nonce.
    let stale = "echo \"BALLOT 00112233445566778899aabbccddeeff RATIFY $MACHINE_DIGEST\"";
    does_not_ratify(stale, &[], &["another nonce"]);
    // The other head's nonce: the first writes its own where the second finds it.
    let shared = TempDir::with_prefix("machine-driver-shared-").unwrap();
    let swapped = format!(
        "cd '{}'; test $MACHINE_HEAD = 1 && echo $MACHINE_NONCE > 1; echo \"BALLOT $(cat 1) RATIFY $MACHINE_DIGEST\"",
        shared.path().display()
    );
    does_not_ratify(&swapped, &[], &["another nonce"]);
    // One head that votes for all.
    does_not_ratify(&format!("{YES}; {YES}"), &[], &["2 ballots"]);
    // Another contract.
    let other = "echo \"BALLOT $MACHINE_NONCE RATIFY $(echo x | sha256sum | cut -c1-64)\"";
    does_not_ratify(other, &[], &["another contract"]);
    // Neither word, and words that are not asked for.
    does_not_ratify(
        "echo \"BALLOT $MACHINE_NONCE RATIFIED $MACHINE_DIGEST\"",
        &[],
        &["neither RATIFY nor REJECT"],
    );
    does_not_ratify(
        "echo \"BALLOT $MACHINE_NONCE RATIFY $MACHINE_DIGEST gladly\"",
        &[],
        &["not of the four words"],
    );
}

#[test]
fn a_head_that_hangs_crashes_or_floods_does_not_ratify() {
    // Whatever it said before it was cut off.
    does_not_ratify(
        &format!("{YES}; sleep 600"),
        &["--council-timeout", "1"],
        &["did not end within 1 s"],
    );
    does_not_ratify(&format!("{YES}; kill -9 $$"), &[], &["ended by signal 9"]);
    does_not_ratify(
        &format!("{YES}; yes | head -c 3000000"),
        &[],
        &["wrote more than"],
    );
    does_not_ratify("/nowhere/council", &[], &["no ballot", "exit 127"]);
}

/// roundtable's is 0 even where nobody has answered, and others' may be anything: it is kept, and decides nothing.
#[test]
fn an_exit_code_decides_nothing() {
    let place = place();
    ask(&place, &format!("{YES}; exit 3"), &[])
        .exits(0)
        .says(&["exit 3"]);
    assert_eq!(transcript(&place)["heads"][0]["ended"], "exit 3");
}

#[test]
fn nobody_votes_twice_or_on_their_own_target() {
    for (heads, why) in [
        ("A,ann", "has proposed the contract"),
        ("A,ＡＮＮ", "has proposed the contract"),
        ("A,a", "are one name"),
        ("A,a\u{200b}", "are one name"),
        ("A", "quorum"),
        ("A,", "blank"),
    ] {
        let place = place();
        let asked = TempDir::with_prefix("machine-driver-asked-").unwrap();
        let mark = asked.path().join("mark");
        let command = format!("touch '{}'; {YES}", mark.display());
        ask(&place, &command, &["--heads", heads])
            .exits(64)
            .says(&["this is no council", why]);
        assert!(!mark.exists(), "nobody was asked: {heads}");
        assert!(place.json()["contract"].get("ratified_by").is_none());
    }
}

#[test]
fn what_heads_say_is_never_printed_raw() {
    let command = "printf 'BALLOT \\033[2J\\033]0;x\\007 evil\\n'";
    let place = does_not_ratify(
        command,
        &["--heads", "A\u{202e},B"],
        &["not of the four words", "\\u{202e}"],
    );
    let ended = ask(&place, command, &["--heads", "A\u{202e},B", "--json"]);
    let lines = ended.exits(5).json();
    assert_eq!(lines[0]["type"], "ballot");
    assert!(!ended.text().contains('\u{1b}') && !ended.text().contains('\u{202e}'));
    assert_eq!(lines.last().unwrap()["code"], "not_verified");
}

#[test]
fn roundtable_is_asked_head_by_head() {
    let place = place();
    let folder = TempDir::with_prefix("machine-driver-path-").unwrap();
    let program = folder.path().join("roundtable");
    // It wants its arguments as the real one does, answers in its way, and exits 0 whatever happens.
    let script = "#!/bin/sh
        test \"$1 $2 $4 $6 $7\" = 'ask -q --heads --rounds 1' || { echo \"usage: $*\"; exit 0; }
        nonce=$(printf %s \"$3\" | sed -n 's/^- the nonce //p'); digest=$(printf %s \"$3\" | sed -n 's/^- the digest //p')
        echo \"== $5 ==\"; echo \"   BALLOT $nonce RATIFY $digest\"; echo 'CONSENSUS: reached'\n";
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    let run = |arguments: &[&str]| place.command(arguments).env("PATH", &path).output().unwrap();
    let unnamed = run(&["contract", "ratify", "--council", "roundtable"]);
    assert_eq!(unnamed.status.code(), Some(64));
    let output = run(&[
        "contract",
        "ratify",
        "--council",
        "roundtable",
        "--heads",
        "claude,gemini",
    ]);
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert_eq!(place.json()["contract"]["ratified_by"], "council: claude, gemini");
    place.holds();
}

#[test]
fn a_councils_receipt_names_its_transcript() {
    let place = place();
    let keys = TempDir::with_prefix("machine-driver-person-").unwrap();
    let at = |name: &str| keys.path().join(name).to_string_lossy().into_owned();
    fs::create_dir(at("trust")).unwrap();
    let did = [
        "aar",
        "keygen",
        "--did",
        "did:web:bob.example",
        "--out-priv",
        &at("key/k"),
        "--out-did",
        &at("trust/d.json"),
    ];
    Place::bare().run(did).exits(0);
    ask(&place, YES, &["--key", &at("key/k"), "--trust", &at("trust")]).exits(0);
    let receipt = place.json()["contract"]["receipt"].clone();
    let kept = format!(
        "evidence/goal/{}.council.json",
        receipt["transcript_sha256"].as_str().unwrap()
    );
    assert!(place.path(&kept).is_file());
    assert_eq!(receipt["by"], "council: 1, 2");
    place
        .run(["run", "--trust", &at("trust")])
        .exits(0)
        .says(&["committed"]);
    place.holds();
}

#[test]
fn a_council_is_not_asked_in_vain() {
    let asked = TempDir::with_prefix("machine-driver-asked-").unwrap();
    let mark = asked.path().join("mark");
    let command = format!("touch '{}'; {YES}", mark.display());
    let place = place();
    let mut goal = place.json();
    goal["contract"]["require_receipt"] = json!(true);
    fs::write(place.goal(), goal.to_string()).unwrap();
    ask(&place, &command, &[]).exits(10).says(&["require_receipt"]);
    goal["contract"] = json!({ "proposed_by": "ann", "expires": "2020-01-01T00:00:00Z" });
    fs::write(place.goal(), goal.to_string()).unwrap();
    ask(&place, &command, &[]).exits(10).says(&["expired"]);
    assert!(!mark.exists());
    // Words that do not go together.
    place.run(["contract", "ratify"]).exits(64);
    place
        .run(["contract", "ratify", "--as", "bob", "--council", "x"])
        .exits(64);
    for more in [["--quorum", "3"], ["--heads", "A,B"], ["--council-timeout", "3"]] {
        place
            .run(["contract", "ratify", "--as", "bob", more[0], more[1]])
            .exits(64);
    }
}

#[test]
fn a_goal_that_changes_meanwhile_is_not_ratified() {
    let place = place();
    let command = format!(
        "sed -i 's/make it/make more/' '{}'; {YES}",
        place.goal().display()
    );
    ask(&place, &command, &[])
        .exits(10)
        .says(&["changed while the council was asked"]);
    assert!(place.json()["contract"].get("ratified_by").is_none());
}

#[test]
fn ctrl_c_ends_a_council() {
    let place = place();
    let asked = TempDir::with_prefix("machine-driver-asked-").unwrap();
    let mark = asked.path().join("mark");
    let command = format!("touch '{}'; exec sleep 600", mark.display());
    let running = place.start(["contract", "ratify", "--council", &command]);
    machine_driver_tests::wait_until("a head", machine_driver_tests::TIME_MAX, || mark.exists());
    running.signal(rustix::process::Signal::INT);
    let ended = running.wait(machine_driver_tests::TIME_MAX);
    ended.exits(130);
    assert!(place.json()["contract"].get("ratified_by").is_none());
}

/// No head is there while another is asked, nothing that one has left finds the next, and none can change what another reads.
#[test]
fn heads_are_apart() {
    let shared = TempDir::with_prefix("machine-driver-shared-").unwrap();
    let at = shared.path().display();
    // Each leaves a process behind, in a session of its own, which would put a ballot into the mouth of whoever comes next.
    let evil = format!(
        "cd '{at}'; test -e alive && grep -qs '^State:.*[RSDT] ' /proc/$(cat alive)/status && echo both >> seen
         setsid sh -c 'echo $$ > {at}/alive; while :; do sleep 0.05; done' > /dev/null 2>&1 &
         while ! test -s alive; do sleep 0.02; done; dirname \"$MACHINE_CONTRACT_FILE\" >> rooms
         ls -d $(dirname $(dirname \"$MACHINE_CONTRACT_FILE\"))/machine-driver-council-* > all.$MACHINE_HEAD
         stat -c '%a' \"$(dirname \"$MACHINE_CONTRACT_FILE\")\" \"$MACHINE_CONTRACT_FILE\" >> modes; {YES}"
    );
    let place = place();
    ask(&place, &evil, &["--heads", "A,B,C", "--quorum", "3"]).exits(0);
    let text = |name: &str| fs::read_to_string(shared.path().join(name)).unwrap_or_default();
    assert_eq!(text("seen"), "");
    let rooms = text("rooms");
    let mut rooms: Vec<&str> = rooms.lines().collect();
    for (room, head) in rooms.iter().zip(["A", "B", "C"]) {
        let others = rooms.iter().filter(|other| *other != room);
        let all = text(&format!("all.{head}"));
        assert!(all.lines().any(|found| found == *room));
        assert!(others.into_iter().all(|other| !all.contains(other)), "{all}");
        assert!(!std::path::Path::new(room).exists());
    }
    rooms.dedup();
    assert_eq!(rooms.len(), 3);
    assert_eq!(text("modes"), "700\n400\n".repeat(3));
    // A dead one that nobody has waited for is none.
    let left = fs::read_to_string(format!("/proc/{}/status", text("alive").trim()));
    assert!(left.map_or(true, |status| status.contains("zombie")));
}

#[test]
fn a_head_that_changes_what_it_was_to_read_does_not_vote() {
    let command = format!(
        "test $MACHINE_HEAD = 1 && chmod 600 \"$MACHINE_CONTRACT_FILE\" && sed -i 's/make it/break it/' \"$MACHINE_CONTRACT_FILE\"
         grep -q 'make it' \"$MACHINE_CONTRACT_FILE\" || test $MACHINE_HEAD = 1 || exit 1; {YES}"
    );
    does_not_ratify(
        &command,
        &[],
        &["it changed the goal that it was given to read", "1 of 2"],
    );
}
