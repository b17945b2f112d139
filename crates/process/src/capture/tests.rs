use super::*;

fn sh(script: &str) -> Capture {
    Capture {
        argv: vec!["/bin/sh".into(), "-c".into(), script.into()],
        env: vec![("PATH".into(), "/usr/bin:/bin".into())],
        cwd: "/".into(),
        stdin: Vec::new(),
        wall: Duration::from_secs(60),
        stdout_max: 1 << 20,
        stderr_max: 8,
    }
}

fn run(command: &Capture) -> Captured {
    capture(command, &Cancel::new()).unwrap()
}

#[test]
fn both_outputs_and_the_exit_are_told_apart() {
    let captured = run(&sh("echo out; echo 0123456789 >&2; exit 3"));
    assert_eq!(captured.stdout, b"out\n");
    assert_eq!(captured.stderr, b"01234567");
    assert_eq!((captured.ending, captured.stopped), (Ending::Exited(3), None));
    assert!(run(&sh("env")).stdout.starts_with(b"P"), "nothing is inherited");
}

#[test]
fn what_is_fed_comes_back_while_it_is_still_fed() {
    let mut command = sh("cat");
    command.stdin = (0..900_000_u32).map(|i| (i % 251) as u8).collect();
    let captured = run(&command);
    assert!(captured.succeeded());
    assert!(captured.stdout == command.stdin);
    // Who does not read has no need to.
    command.argv[2] = "exec <&-; echo done".into();
    assert_eq!(run(&command).stdout, b"done\n");
    assert_eq!(run(&sh("cat")).stdout, b"", "stdin is empty");
}

#[test]
fn an_answer_that_is_too_long_is_no_answer() {
    let mut command = sh("while :; do echo 0123456789; done");
    command.stdout_max = 100;
    let captured = run(&command);
    assert_eq!(
        (captured.stdout.len(), captured.stopped),
        (100, Some(Stopped::Output))
    );
    // Also where all of it is written before the first byte is read.
    let mut command = sh("printf 01234567890");
    command.stdout_max = 10;
    assert!(!run(&command).succeeded());
    command.stdout_max = 11;
    assert!(run(&command).succeeded());
}

#[test]
fn the_wall_limit_ends_the_whole_group_even_one_that_ignores_term() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = sh("trap '' TERM; mkfifo f; sleep 100 & cat f");
    command.cwd = folder.path().to_owned();
    command.wall = Duration::from_millis(100);
    let begun = Instant::now();
    let captured = run(&command);
    assert_eq!(captured.stopped, Some(Stopped::Wall));
    assert_eq!(captured.ending, Ending::Signaled(9));
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[test]
fn one_who_escapes_with_the_pipe_keeps_nobody() {
    let begun = Instant::now();
    // In a session of its own; it ends by itself soon after.
    let captured = run(&sh("setsid sleep 20 & echo here"));
    assert_eq!(captured.stdout, b"here\n");
    assert!(captured.succeeded());
    assert!(begun.elapsed() < Duration::from_secs(15));
}

#[test]
fn a_switch_stops_it_before_and_during() {
    let cancel = Cancel::new();
    let other = cancel.clone();
    let thread = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        other.cancel(Duration::from_millis(10));
    });
    let captured = capture(&sh("sleep 100"), &cancel).unwrap();
    thread.join().unwrap();
    assert_eq!(captured.stopped, Some(Stopped::Cancelled));
    let again = capture(&sh("echo x"), &cancel).unwrap();
    assert_eq!(again.stopped, Some(Stopped::Cancelled));
    assert!(again.stdout.is_empty());
}

#[test]
fn what_cannot_start_says_why() {
    for argv in [vec![], vec!["/nonexistent/program".into()]] {
        let captured = run(&Capture { argv, ..sh("") });
        assert!(
            matches!(captured.ending, Ending::CouldNotStart(_)),
            "{captured:?}"
        );
    }
}

#[test]
fn the_last_word_comes_only_behind_the_answer() {
    let mut command = sh("read a; echo \"got $a\"; echo so; echo -; read b; echo \"$b\"; cat");
    command.stdin = b"one\n".to_vec();
    let captured = capture_then(&command, &Cancel::new(), b"so", b"two\nthree\n").unwrap();
    assert_eq!(captured.stdout, b"got one\nso\n-\ntwo\nthree\n");
    // Who never answers is never told, nor that nothing more comes.
    command.argv[2] = "read a; echo so-so; printf so; read b; echo \"told: $b\"".into();
    command.wall = Duration::from_millis(300);
    let captured = capture_then(&command, &Cancel::new(), b"so", b"two\n").unwrap();
    assert_eq!(
        (captured.stdout, captured.stopped),
        (b"so-so\nso".to_vec(), Some(Stopped::Wall))
    );
    command.argv[2] = "exec <&-; echo so; exit 3".into();
    let captured = capture_then(&command, &Cancel::new(), b"so", b"two\n").unwrap();
    assert_eq!(captured.ending, Ending::Exited(3));
}
