//! The command sink as an operator uses it.

use std::fs;

use crate::common::{alert, all_of};
use machine_driver_alert::{Alert, AlertError, Alerter, CommandAlerter, Settings, sinks};

fn command(argv: &[&str]) -> CommandAlerter {
    let argv: Vec<String> = argv.iter().map(|argument| (*argument).to_owned()).collect();
    CommandAlerter::new(&argv).unwrap()
}

fn shell(script: &str) -> CommandAlerter {
    command(&["/bin/sh", "-c", script])
}

#[test]
fn arguments_are_data_and_the_alert_comes_on_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    let odd = [
        "",
        " a b ",
        "$(touch /x)",
        "`id`",
        "'\"\\",
        "*",
        "-n",
        "é\u{1f600}\n;&|<>",
    ];
    let script = "cat >\"$1/in\"; shift; printf '%s\\0' \"$@\" >\"$0\"";
    let out = format!("{folder}/arguments");
    let argv = [&["/bin/sh", "-c", script, &out, folder][..], &odd].concat();
    let sent = alert(1, "one\n\"two\" \\ é");
    command(&argv).send(&sent).unwrap();

    let arguments = fs::read_to_string(&out).unwrap();
    assert_eq!(arguments.split_terminator('\0').collect::<Vec<_>>(), odd);
    let input = fs::read_to_string(format!("{folder}/in")).unwrap();
    assert_eq!(
        input,
        r#"{"id":"00000000000000000000000000000001","kind":"quarantine","goal":"shop","task":"t1","text":"one\n\"two\" \\ é","at":"2026-11-22T10:00:00.123Z"}"#
    );
    assert_eq!(serde_json::from_str::<Alert>(&input).unwrap(), sent);
}

#[test]
fn reading_the_input_is_not_asked_of_it() {
    let long = alert(1, &"\u{202e}x".repeat(1_000_000));
    shell("exit 0").send(&long).unwrap();
    shell("exec <&-; sleep 0.3; exit 0").send(&long).unwrap();
    command(&["true"]).send(&long).unwrap();
}

#[test]
fn a_flood_of_output_goes_nowhere() {
    shell("head -c 50000000 /dev/zero; head -c 50000000 /dev/zero >&2")
        .send(&alert(1, "text"))
        .unwrap();
}

#[test]
fn the_exit_decides() {
    for (script, told) in [
        ("exit 3", "exit status: 3"),
        ("kill -9 $$", "signal: 9"),
        ("exit 75", "75"),
    ] {
        let error = shell(script).send(&alert(1, "text")).unwrap_err();
        assert!(matches!(error, AlertError::Temporary { .. }), "{error:?}");
        assert!(error.to_string().contains(told), "{error}");
    }
    let error = shell("echo hush >&2; exit 1")
        .send(&alert(1, "text"))
        .unwrap_err();
    assert!(!all_of(&error).contains("hush"));
    for program in ["/nowhere/at/all", "/etc/passwd"] {
        let sink = command(&[program, "hush"]);
        let error = sink.send(&alert(1, "text")).unwrap_err();
        assert!(matches!(error, AlertError::Permanent { .. }), "{error:?}");
        assert!(!format!("{} {sink:?}", all_of(&error)).contains("hush"));
    }
}

#[test]
fn settings() {
    let set_up = |argv: &[&str]| {
        let command = Some(argv.iter().map(|argument| (*argument).to_owned()).collect());
        let settings = Settings {
            command,
            ..Settings::default()
        };
        sinks(&settings, &|_| None)
    };
    assert_eq!(set_up(&["true"]).unwrap()[0].name(), "command");
    for bad in [&[][..], &[" "], &["a", "b\0c"]] {
        let error = set_up(bad).unwrap_err();
        assert!(error.to_string().starts_with("alerts.command: "), "{error}");
    }
}
