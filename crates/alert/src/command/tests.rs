use super::*;
use std::fs;
use std::path::Path;

use machine_driver_state::alert::{AlertId, AlertKind};
use machine_driver_state::time::Timestamp;

fn alert(text: &str) -> Alert {
    Alert {
        id: AlertId::new("0123456789abcdef0123456789abcdef").unwrap(),
        kind: AlertKind::BudgetHalt,
        goal: "shop".to_owned(),
        task: None,
        text: text.to_owned(),
        at: Timestamp::from_millis(0),
    }
}

fn shell(script: &str, arguments: &[&str]) -> CommandAlerter {
    let mut argv = vec![
        "/bin/sh".to_owned(),
        "-c".to_owned(),
        script.to_owned(),
        "sh".to_owned(),
    ];
    argv.extend(arguments.iter().map(|argument| (*argument).to_owned()));
    CommandAlerter::new(&argv).unwrap()
}

/// Nobody of a group is left, or soon so: a killed process is gone a moment after the signal.
fn assert_gone(pid_file: &Path) {
    let pid: u32 = fs::read_to_string(pid_file).unwrap().trim().parse().unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let state = stat
            .rsplit_once(") ")
            .map(|(_, rest)| rest.to_owned())
            .unwrap_or_default();
        if state.is_empty() || state.starts_with(['Z', 'X']) {
            return;
        }
        assert!(Instant::now() < deadline, "{pid} is still there: {stat}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_hanging_command_is_killed_with_all_its_group() {
    let folder = tempfile::tempdir().unwrap();
    let pid_file = folder.path().join("pid");
    // It ignores TERM, holds a background child, and never reads its input.
    let script = "trap '' TERM; sleep 600 & echo $! >\"$1\"; wait";
    let mut sink = shell(script, &[pid_file.to_str().unwrap()]);
    sink.wall_max = Duration::from_secs(1);
    let begun = Instant::now();
    let error = sink.send(&alert(&"x".repeat(100_000))).unwrap_err();
    assert!(matches!(error, AlertError::Temporary { .. }), "{error:?}");
    assert_eq!(error.to_string(), "the alert command was killed after 1 s");
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "ended well before the 600 s"
    );
    if cfg!(target_os = "linux") {
        assert_gone(&pid_file);
    }
}

#[test]
fn what_a_command_leaves_behind_is_killed_and_holds_nothing_up() {
    let folder = tempfile::tempdir().unwrap();
    let pid_file = folder.path().join("pid");
    let script = "sleep 600 & echo $! >\"$1\"; exit 0";
    let begun = Instant::now();
    shell(script, &[pid_file.to_str().unwrap()])
        .send(&alert("x"))
        .unwrap();
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "ended well before the 600 s"
    );
    if cfg!(target_os = "linux") {
        assert_gone(&pid_file);
    }
}

#[test]
fn a_slow_reader_gets_all_of_a_long_input() {
    // Longer than a pipe holds, to a child that takes its time before it reads.
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy");
    let child = Command::new("/bin/sh")
        .args(["-c", "sleep 0.2; cat >\"$1\"", "sh"])
        .arg(&copy)
        .stdin(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap();
    let input = vec![b'x'; 1_000_000];
    let sink = CommandAlerter::new(&["unused".to_owned()]).unwrap();
    let status = sink.attend(child, &input).unwrap();
    assert!(status.unwrap().success());
    assert_eq!(fs::read(&copy).unwrap(), input);
}

#[test]
fn what_runs_when_the_program_ends_is_ended_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let script = format!("echo $$ > '{}'; sleep 300 & wait", file.display());
    let argv = ["sh", "-c", &script].map(str::to_owned);
    let sink = std::sync::Arc::new(CommandAlerter::new(&argv).unwrap());
    let outbox = crate::Outbox::start(vec![sink], |_| ()).unwrap();
    outbox.submit(alert("x"), &["command".to_owned()]);
    let begun = Instant::now();
    let id = loop {
        let text = fs::read_to_string(&file).unwrap_or_default();
        if let Ok(id) = text.trim().parse::<u32>() {
            break id;
        }
        assert!(begun.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(5));
    };
    drop(outbox);
    let is_alive = || {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        !stat.is_empty() && !stat.contains(") Z ")
    };
    while Path::new("/proc/self").exists() && is_alive() {
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "it outlived the program that started it"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}
