use std::fs;

use machine_driver::Driver;
use machine_driver::alert::{Alert, AlertError, Alerter};

use super::*;
use crate::out::captured::capture;
use crate::run::tests::{COMMITS, Scripted, Waited};

const DAY: i64 = 1_795_341_600_000;

/// The goal with the whole path of its `repo`: `.` means another folder to the original driver.
fn in_folder(goal: &str, folder: &Path) -> String {
    goal.replace(
        r#""repo": ".""#,
        &format!(r#""repo": {:?}"#, folder.to_str().unwrap()),
    )
}

fn seen(goal: &str) -> Look {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("goal.json");
    fs::write(&file, in_folder(goal, folder.path())).unwrap();
    look(&file).unwrap()
}

/// An original's folder: progress, and no log of ours yet.
const USED: &str = r#"{"goal": "night shift", "repo": ".", "worker_cmd": "true", "verify_cmd": "true",
    "runs": 7, "wall_seconds_used": 3723, "last_success_at": "2026-11-22T10:00:00.000Z",
    "budget": {"max_worker_runs": 60, "max_wall_seconds": 36000, "max_usd": 5, "max_tokens": 1000, "max_output_bytes": 9},
    "tasks": [
        {"id": "t1", "goal": "a", "status": "done", "attempts": 1, "done": "2026-11-22T09:59:00.000Z"},
        {"id": "a-rather-long-id-for-a-task", "goal": "b", "status": "blocked", "attempts": 3,
         "reason": "verify failed 3x \u001b[2J\u202e and then some more words that make the reason too long to be shown as a whole on a line"},
        {"id": "t3", "goal": "c", "after": ["t1"]}
    ]}"#;

#[test]
fn the_table() {
    let seen = seen(USED);
    let text = table::text(&seen, &rows(&seen), Timestamp::from_millis(DAY + 3_600_000));
    let text = anstream::adapter::strip_str(&text).to_string();
    assert!(!text.contains(['\u{1b}', '\u{202e}']));
    insta::assert_snapshot!("status", text);
}

#[test]
fn the_json() {
    let seen = seen(USED);
    let rows = rows(&seen);
    let value = status_json(
        &seen,
        &rows,
        Path::new("goal.json"),
        "x",
        Timestamp::from_millis(DAY),
    );
    assert_eq!(value["type"], "status");
    assert_eq!(value["tasks"][1]["status"], "blocked");
    assert_eq!(value["budget"]["worker_runs"], json!({"used": 7, "max": 60}));
    assert_eq!(
        value["budget"]["usd"],
        json!({"used": 0.0, "max": 5.0, "unknown_runs": 0})
    );
    assert_eq!(
        counts(&rows, "x"),
        json!({"tasks": 3, "done": 1, "blocked": 1, "remaining": 1, "next": ["x"]})
    );
}

#[derive(Debug)]
struct Offline;

impl Alerter for Offline {
    fn name(&self) -> &str {
        "tele\u{1b}gram"
    }

    fn send(&self, _: &Alert) -> Result<(), AlertError> {
        Err(AlertError::temporary("there is no network"))
    }
}

/// A run with commits, of which one task is given up, while nobody can be told.
fn after_commits() -> Look {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("goal.json");
    let goal = COMMITS.replace(
        r#""id": "odd","#,
        r#""id": "odd", "verify_cmd": "false", "max_attempts": 1,"#,
    );
    fs::write(&file, in_folder(&goal, folder.path())).unwrap();
    let driver = Driver::builder(&file)
        .clock(Waited::default())
        .committer(Scripted::new(&[0, 3, 1, 0, 4, 5, 6]))
        .alerter(Offline);
    driver.build().unwrap().run().unwrap();
    look(&file).unwrap()
}

#[test]
fn commits_and_what_nobody_was_told_yet() {
    let seen = after_commits();
    let rows = rows(&seen);
    let text = table::text(&seen, &rows, Timestamp::from_millis(DAY + 3_600_000));
    let text = anstream::adapter::strip_str(&text).to_string();
    assert!(!text.contains('\u{1b}'), "{text}");
    insta::assert_snapshot!("status_commits", text);

    let now = Timestamp::from_millis(DAY);
    let value = status_json(&seen, &rows, Path::new("goal.json"), "x", now);
    assert_eq!(
        value["tasks"][0]["commit"],
        "c01c01c01c01c01c01c01c01c01c01c01c01c01c"
    );
    assert_eq!(value["tasks"][2]["commit"], json!(null));
    let because = value["because"].as_str().unwrap();
    assert!(because.contains("`behind`"), "{because}");
    let waiting = value["alerts_waiting"].as_array().unwrap();
    assert_eq!(waiting.len(), 1);
    assert_eq!(
        (&waiting[0]["kind"], &waiting[0]["task"], &waiting[0]["sinks"]),
        (&json!("quarantine"), &json!("odd"), &json!(["tele\u{1b}gram"]))
    );
}

#[test]
fn the_next_command_fits_the_state() {
    let mut seen = seen(USED);
    let next = |seen: &Look| next_command(seen, &rows(seen), Path::new("g.json"), &Me::plain());
    assert_eq!(next(&seen), "`machine-driver run g.json`");
    seen.driver = Some(7);
    assert_eq!(
        next(&seen),
        "a driver is at work; watch it with `machine-driver status --watch g.json`"
    );
}

#[test]
fn json_ends_with_a_summary() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("goal.json");
    fs::write(&path, in_folder(USED, folder.path())).unwrap();
    let args = StatusArgs {
        trust: crate::args::TrustArgs { dir: None },
        watch: false,
        goal: crate::args::GoalArgs { path },
    };
    let (exit, stdout, stderr) = capture(true, false, |out| status(&args, &Me::plain(), out).unwrap());
    let lines: Vec<Value> = stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let types: Vec<&str> = lines.iter().map(|line| line["type"].as_str().unwrap()).collect();
    assert_eq!(
        (exit, types, stderr.as_str()),
        (Exit::Done, vec!["status", "summary"], "")
    );
}
