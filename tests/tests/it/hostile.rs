//! Texts that would like to be more than data: tasks, names, and what workers print.

use std::fs;

use machine_driver_tests::{Ended, Place};
use serde_json::{Value, json};

const TEXTS: [&str; 16] = [
    "it's \"quoted\"",
    "$(touch pwned)",
    "`touch pwned`",
    "'; touch pwned; '",
    "\"; touch pwned; \"",
    "$PATH ${HOME} $$ $0",
    "one\ntwo\n\nthree\n",
    "\r\n\ttabs",
    "--help",
    "-rf /",
    "{task_id} {{task}} {",
    "back\\slash\\",
    "* ? [a-z] ~ # !",
    "ünï 世界 👍🏽 \u{202e}rtl",
    "\u{1b}[2J\u{1b}]0;title\u{7}",
    "%s%n%d",
];

/// Every way in which a text can reach a worker; each writes it to `MACHINE_TASK_ID.NUMBER`.
fn ways() -> Vec<Value> {
    vec![
        json!("printf %s {task} > \"$MACHINE_TASK_ID\".0"),
        json!("printf %s \"{task}\" > {task_id}.0"),
        json!("printf %s '{task}' > {task_id}.0"),
        json!("printf %s \"$MACHINE_TASK\" > {task_id}.0"),
        json!("cat {task_file} > {task_id}.0"),
        json!([
            "sh",
            "-c",
            "printf %s \"$1\" > \"$MACHINE_TASK_ID\".0",
            "sh",
            "{task}"
        ]),
        json!(["cp", "{task_file}", "copied"]),
    ]
}

#[test]
fn texts_arrive_byte_for_byte_and_are_never_run() {
    for way in ways() {
        let verify = "test ! -e copied || mv copied \"$MACHINE_TASK_ID\".0; cmp \"$MACHINE_TASK_FILE\" \"$MACHINE_TASK_ID\".0";
        let tasks: Vec<Value> = TEXTS
            .iter()
            .enumerate()
            .map(|(n, text)| json!({ "id": format!("t{n}"), "goal": text }))
            .collect();
        let place = Place::new(
            &json!({ "worker_cmd": way, "verify_cmd": verify, "max_attempts": 1, "tasks": tasks }),
        );
        let ended = place.run(["run"]);
        ended.exits(0);
        is_tame(&ended);
        for (n, text) in TEXTS.iter().enumerate() {
            let arrived = fs::read(place.path(&format!("repo/t{n}.0"))).unwrap();
            assert_eq!(String::from_utf8_lossy(&arrived), *text, "{way}");
        }
        assert!(
            !place.path("repo/pwned").exists() && !place.path("pwned").exists(),
            "{way} ran a text"
        );
        place.holds();
    }
}

#[test]
fn long_texts_arrive_through_the_file() {
    let long: String = "0123456789abcde\n".repeat((200 << 10) / 16);
    let place = Place::new(&json!({
        "worker_cmd": "cat {task_file} > got.txt; echo \"${MACHINE_TASK-unset}\" > variable.txt", "verify_cmd": "cmp \"$MACHINE_TASK_FILE\" got.txt",
        "tasks": [{ "id": "a", "goal": long }],
    }));
    // The command names the variable, which cannot be set for such a text.
    place
        .run(["run"])
        .exits(10)
        .says(&["tasks[0].goal", "{task_file}"]);
    let mut goal = place.json();
    goal["worker_cmd"] = json!("cat {task_file} > got.txt");
    fs::write(place.goal(), goal.to_string()).unwrap();
    place.run(["run"]).exits(0);
    assert_eq!(fs::read(place.path("repo/got.txt")).unwrap(), long.as_bytes());
    place.holds();
}

#[test]
fn feedback_is_data_too() {
    let place = Place::new(&json!({
        "worker_cmd": "printf %s \"{feedback}\" > heard.0; printf %s {feedback} > heard.1; printf %s '{feedback}' > heard.2",
        "verify_cmd": "printf '%s' \"\\$(touch pwned) \\`touch pwned\\`'; touch pwned;' \\\"x\\\"\"; test -s heard.0",
        "tasks": [{ "id": "a", "goal": "x" }],
    }));
    place.run(["run"]).exits(0);
    for n in 0..3 {
        assert_eq!(
            place.text(&format!("repo/heard.{n}")),
            "$(touch pwned) `touch pwned`'; touch pwned;' \"x\""
        );
    }
    assert!(!place.path("repo/pwned").exists());
}

/// Escape codes, a title, a bell, C1 codes, invalid UTF-8, a NUL, a line that rewrites itself.
const NOISE: &str = r"\033[2J\033]0;owned\007\302\233 31m \377\376 \000 over\rwritten \342\200\256 end";

#[test]
fn output_is_kept_raw_and_shown_escaped() {
    let place = Place::new(&json!({
        "worker_cmd": format!("printf '{NOISE}'; printf '{NOISE}' >&2"), "verify_cmd": format!("printf '{NOISE}'; exit 1"), "max_attempts": 2,
        "tasks": [{ "id": "a", "goal": "x" }],
    }));
    let run = place.run(["run"]);
    run.exits(3);
    is_tame(&run);
    let raw = fs::read(place.path("evidence/a/attempt-1.worker.log")).unwrap();
    let once = b"\x1b[2J\x1b]0;owned\x07\xc2\x9b 31m \xff\xfe \x00 over\rwritten \xe2\x80\xae end";
    assert_eq!(raw, [&once[..], once].concat());
    assert_eq!(
        fs::read(place.path("evidence/a/attempt-2.verify.log")).unwrap(),
        once
    );
    everything_is_tame(&place);
    place.holds();
}

#[test]
fn names_are_shown_escaped() {
    let control = json!({ "goal": "\u{1b}[31mgo\u{9b}al\n", "worker_cmd": "true", "verify_cmd": "true", "tasks": [{ "id": "a", "goal": "x" }] });
    let refused = Place::new(&control).run(["run"]);
    refused.exits(10).says(&["goal: it holds a control character"]);
    is_tame(&refused);

    let name = "go\u{202e}al\u{2066}\u{200b} $(touch pwned) 'x' \"y\" \\ ";
    let place = Place::new(&json!({
        "goal": name, "worker_cmd": "true", "verify_cmd": "false", "max_attempts": 1,
        "tasks": [{ "id": "a", "goal": "\u{1b}[2Jhello\u{7}\u{9b}" }],
    }));
    let run = place.run(["run"]);
    run.exits(3).says(&["driver up: go\\u{202e}al"]);
    is_tame(&run);
    everything_is_tame(&place);
    place.holds();
    let mut other = place.json();
    other["goal"] = json!("other\u{202e}");
    fs::write(place.goal(), other.to_string()).unwrap();
    let refused = place.run(["run"]);
    refused.exits(10);
    is_tame(&refused);
}

#[test]
fn errors_about_hostile_keys_are_shown_escaped() {
    let place = Place::bare();
    for goal in [
        "{\"\\u001b[2Jkey\": 1}",
        "{\"goal\": \"\\u001b]0;x\\u0007\", \"mode\": \"\\u001b[2J\\u009b\"}",
        "{\"goal\": \"\u{9b}2J\u{202e}\", \"repo\": 1}",
        "\u{1b}[2J",
        "{\"x\u{1b}\": 1}",
    ] {
        fs::write(place.goal(), goal).unwrap();
        let ended = place.run(["run"]);
        ended.exits(10);
        is_tame(&ended);
        is_tame(&place.run(["check"]));
    }
    is_tame(&place.run(["retry", "\u{1b}[2J"]));
    is_tame(&place.run(["run", "\u{1b}[2J.json"]));
    is_tame(&place.run(["\u{1b}[2J"]));
    is_tame(&place.run(["log", "query", "--event", "\u{1b}[2J"]));
}

#[track_caller]
fn everything_is_tame(place: &Place) {
    for command in [
        &["status"][..],
        &["status", "--json"],
        &["log", "show"],
        &["log", "show", "--json"],
        &["log", "query", "--task", "a"],
        &["check"],
        &["log", "verify"],
        &["replay"],
        &["run", "--json"],
        &["check", "--json"],
    ] {
        let ended = place.run(command);
        assert!(
            ended.code == 0 || ended.code == 3,
            "{command:?}: {}",
            ended.text()
        );
        let text = tame(&ended);
        assert!(text.is_ok(), "{command:?} prints {:?}", text);
    }
}

#[track_caller]
fn is_tame(ended: &Ended) {
    let text = tame(ended);
    assert!(text.is_ok(), "it prints {text:?}");
}

/// Whether nothing in the output moves a cursor, changes a colour or, but for JSON, reorders text.
fn tame(ended: &Ended) -> Result<(), String> {
    let is_json = ended.stdout.starts_with(b"{\"type\"");
    for stream in [&ended.stdout, &ended.stderr] {
        let text = std::str::from_utf8(stream)
            .map_err(|error| format!("{error}: {}", String::from_utf8_lossy(stream)))?;
        let reorders =
            |c: char| ('\u{202a}'..='\u{202e}').contains(&c) || ('\u{2066}'..='\u{2069}').contains(&c);
        let is_wild = |c: char| (c.is_control() && c != '\n') || (!is_json && reorders(c));
        if let Some(c) = text.chars().find(|c| is_wild(*c)) {
            return Err(format!("{c:?} in {text:?}"));
        }
    }
    Ok(())
}
