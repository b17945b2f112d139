use machine_driver_state::alert::{AlertId, AlertKind};
use machine_driver_state::id::TaskId;
use machine_driver_state::time::Timestamp;

use super::*;
use crate::out::captured::capture;

/// What is told of all this, in words and as JSON.
fn told(notices: &[Notice<'_>]) -> (String, Vec<Value>) {
    let tell = |out: &Out| {
        let mut teller = Teller::new(Path::new("goal.json"), out);
        notices.iter().for_each(|notice| teller.tell(notice));
    };
    let ((), stdout, stderr) = capture(false, false, tell);
    let ((), json, nothing) = capture(true, false, tell);
    assert_eq!(nothing, "");
    let text = stdout + &stderr;
    assert!(
        !(text.clone() + &json).contains(['\u{1b}', '\u{202e}']),
        "{text}{json}"
    );
    let json = json.lines().map(|line| serde_json::from_str(line).unwrap());
    (text, json.collect())
}

fn alert(text: &str) -> Alert {
    Alert {
        id: AlertId::new(&"a".repeat(32)).unwrap(),
        kind: AlertKind::Tampering,
        goal: "g\u{202e}".into(),
        task: TaskId::new("t1").ok(),
        text: text.into(),
        at: Timestamp::from_millis(1_795_341_600_000),
    }
}

#[test]
fn an_alert_is_a_line_for_programs_and_told_to_people_once() {
    let alerts = [
        alert("goal.json was edited: nothing is committed until somebody has looked."),
        alert("The log was tampered with: \u{1b}[2J. The driver stopped."),
    ];
    let (text, json) = told(&alerts.each_ref().map(|alert| Notice::Alert { alert }));
    assert_eq!(
        text,
        "TAMPERING: The log was tampered with: \\e[2J. The driver stopped.\n"
    );
    let expected = json!({
        "type": "alert", "id": "a".repeat(32), "kind": "tampering", "goal": "g\u{202e}", "task": "t1",
        "text": "goal.json was edited: nothing is committed until somebody has looked.",
        "at": "2026-11-22T10:00:00.000Z",
    });
    assert_eq!((json.len(), &json[0]), (2, &expected));
}

#[test]
fn an_alert_that_fails_is_told_once_for_each_reason() {
    let failing = |sink, error| Notice::AlertFailing {
        sink,
        error,
        next_in: Duration::from_secs(90),
    };
    let offline = "could not reach api.telegram.org\u{1b}[2J";
    let all = [
        failing("telegram", offline),
        failing("telegram", offline),
        failing("webhook", "HTTP 500"),
    ];
    let (text, json) = told(&all);
    insta::assert_snapshot!("alert_failing", text);
    assert_eq!(json.len(), 2);
    assert!(json.iter().all(|line| line["type"] == "warning"), "{json:?}");
}

#[test]
fn what_is_odd_about_the_repository_is_told() {
    let hostile = "a\u{202e}b\n\u{1b}[2J";
    let (text, json) = told(&[
        Notice::NoChange { why: hostile },
        Notice::NotClean { paths: 1 },
        Notice::NotClean { paths: 12 },
        Notice::BesideCommit { note: hostile },
    ]);
    insta::assert_snapshot!("repository", text);
    assert_eq!(json.len(), 4);
}
