//! How jobs end, what they write, and what stops them.

use std::os::unix::ffi::OsStringExt;
use std::process::Command;
use std::time::Duration;

use machine_driver_process::{Cancel, Ending, ProcessError, Runner, Stopped, Tier};

use crate::bench::{Bench, assert_dead, run, try_run};

crate::trials![
    statuses_and_signals_are_told_apart,
    both_streams_arrive_in_order_and_byte_exact,
    started_names_the_leader_and_its_group,
    what_cannot_start_says_why,
    a_silent_job_leaves_an_empty_file,
    the_wall_limit_stops,
    silence_stops_and_output_does_not,
    too_much_output_stops,
    a_job_that_ignores_term_is_killed,
    a_stopped_job_is_stopped_for_good,
    children_of_the_leader_have_the_grace_too,
    cancel_works_from_another_thread,
    a_cancelled_job_does_not_start,
    a_shorter_grace_escalates,
    a_flood_is_counted_hashed_capped_and_bounded,
    evidence_that_cannot_be_written_is_an_error,
    one_guardian_serves_many_jobs_from_many_threads,
];

fn statuses_and_signals_are_told_apart() {
    let bench = Bench::new();
    for runner in bench.runners() {
        for (script, ending) in [
            ("exit 0", Ending::Exited(0)),
            ("exit 77", Ending::Exited(77)),
            ("no-such-command", Ending::Exited(127)),
            ("kill -TERM $$", Ending::Signaled(15)),
            ("kill -9 $$", Ending::Signaled(9)),
        ] {
            let outcome = run(&runner, &bench.sh(script));
            assert_eq!(
                (outcome.ending, outcome.stopped, outcome.swept),
                (ending, None, 0),
                "{script}"
            );
        }
    }
    assert_eq!(
        bench.runners().map(|runner| runner.tier()),
        [Tier::Group, Tier::Guardian]
    );
}

fn both_streams_arrive_in_order_and_byte_exact() {
    let bench = Bench::new();
    let expected = b"one\n\xff\xfe\x00\x1b[31mtwo\nthree";
    for runner in bench.runners() {
        let script = r"echo one; printf '\377\376\000\033[31mtwo\n' >&2; printf three";
        let output = run(&runner, &bench.sh(script)).output;
        assert_eq!(bench.output(), expected);
        assert_eq!(
            (output.head.as_slice(), output.tail.as_slice()),
            (&expected[..], &expected[..])
        );
        assert_eq!((output.bytes, output.truncated), (expected.len() as u64, false));
        assert_eq!(
            output.sha256,
            sha256sum(&format!("cat {}", bench.path("out").display()))
        );
    }
}

fn started_names_the_leader_and_its_group() {
    let bench = Bench::new();
    for runner in bench.runners() {
        let mut seen = Vec::new();
        let job = bench.sh("cat /proc/$$/stat /proc/sys/kernel/random/boot_id; sleep 0.2");
        runner
            .run(&job, &Cancel::new(), &mut |started| seen.push(started.clone()))
            .unwrap();
        let text = String::from_utf8(bench.output()).unwrap();
        let fields: Vec<&str> = text.split_whitespace().collect();
        assert_eq!(seen.len(), 1);
        assert_eq!(fields[0], seen[0].pid.to_string());
        assert_eq!(fields[4], seen[0].pgid.to_string());
        assert_eq!(fields[21], seen[0].start_time.to_string());
        assert_eq!(fields[52], seen[0].boot_id);
    }
}

fn what_cannot_start_says_why() {
    let bench = Bench::new();
    let reason = |runner: &Runner, change: &dyn Fn(&mut machine_driver_process::Job)| {
        let mut job = bench.sh("true");
        change(&mut job);
        match run(runner, &job).ending {
            Ending::CouldNotStart(reason) => reason,
            other => panic!("{other:?}"),
        }
    };
    for runner in bench.runners() {
        let missing = reason(&runner, &|job| job.argv = vec!["no-such-program".into()]);
        assert!(
            missing.contains("no-such-program") && missing.contains("PATH"),
            "{missing}"
        );
        let folder = reason(&runner, &|job| job.cwd = "/no/such/folder".into());
        assert!(folder.contains("/no/such/folder"), "{folder}");
        let folder = reason(&runner, &|job| job.argv = vec!["/etc/passwd".into()]);
        assert!(folder.contains("ermission"), "{folder}");
        reason(&runner, &|job| job.argv.clear());
        reason(&runner, &|job| job.argv.push("a\0b".into()));
        let large = reason(&runner, &|job| {
            job.env.push(("X".into(), "x".repeat(200 << 10).into()));
        });
        assert!(large.contains("too long") && large.contains("128 KiB"), "{large}");
        // And the runner is as good as before.
        assert_eq!(run(&runner, &bench.sh("exit 3")).ending, Ending::Exited(3));
    }
}

fn a_silent_job_leaves_an_empty_file() {
    let bench = Bench::new();
    for runner in bench.runners() {
        std::fs::write(bench.path("out"), "of an earlier attempt").unwrap();
        let output = run(&runner, &bench.sh("true")).output;
        assert_eq!((bench.output(), output.bytes), (Vec::new(), 0));
        assert_eq!(output.sha256, sha256sum("true"));
    }
}

fn the_wall_limit_stops() {
    let bench = Bench::new();
    for runner in bench.runners() {
        let mut job = bench.sh("echo begun; sleep 300");
        job.wall = Some(Duration::from_millis(300));
        let outcome = run(&runner, &job);
        assert_eq!(
            (outcome.ending, outcome.stopped),
            (Ending::Signaled(15), Some(Stopped::Wall))
        );
        assert_eq!(bench.output(), b"begun\n");
        assert!(outcome.elapsed >= Duration::from_millis(300));
    }
}

fn silence_stops_and_output_does_not() {
    let bench = Bench::new();
    for runner in bench.runners() {
        let mut job = bench.sh("for i in 1 2 3 4 5 6; do echo $i; sleep 0.2; done; sleep 300");
        job.idle = Some(Duration::from_millis(800));
        let outcome = run(&runner, &job);
        assert_eq!(outcome.stopped, Some(Stopped::Idle));
        assert_eq!(bench.output(), b"1\n2\n3\n4\n5\n6\n");

        let mut closed = bench.sh("exec >&- 2>&-; sleep 300");
        closed.idle = Some(Duration::from_millis(200));
        assert_eq!(run(&runner, &closed).stopped, Some(Stopped::Idle));
    }
}

fn too_much_output_stops() {
    let bench = Bench::new();
    for runner in bench.runners() {
        let mut job = bench.sh("yes");
        job.output_max = Some(1 << 20);
        job.output_cap = 1000;
        let outcome = run(&runner, &job);
        assert_eq!(outcome.stopped, Some(Stopped::Output));
        assert!(outcome.output.bytes > 1 << 20 && outcome.output.truncated);

        let mut exact = bench.sh("printf 12345");
        exact.output_max = Some(5);
        assert_eq!(run(&runner, &exact).stopped, None);
    }
}

fn a_job_that_ignores_term_is_killed() {
    let bench = Bench::new();
    for runner in bench.runners() {
        let mut job = bench.sh("trap '' TERM INT HUP; echo $$ > pids; while :; do sleep 0.1; done");
        job.wall = Some(Duration::from_millis(300));
        job.grace = Duration::from_millis(300);
        let outcome = run(&runner, &job);
        assert_eq!(
            (outcome.ending, outcome.stopped),
            (Ending::Signaled(9), Some(Stopped::Wall))
        );
        assert_dead(&bench.pids("pids", 1));
    }
}

fn a_stopped_job_is_stopped_for_good() {
    let bench = Bench::new();
    for runner in bench.runners() {
        let mut job = bench.sh("trap 'echo bye; exit 5' TERM; kill -STOP $$; sleep 300");
        job.wall = Some(Duration::from_millis(300));
        let outcome = run(&runner, &job);
        assert_eq!(
            (outcome.ending, outcome.stopped),
            (Ending::Exited(5), Some(Stopped::Wall))
        );
        assert_eq!(bench.output(), b"bye\n");
    }
}

/// The shell dies of TERM at once; the tool below it cleans up.
fn children_of_the_leader_have_the_grace_too() {
    let bench = Bench::new();
    for runner in bench.runners() {
        let tool = "trap 'sleep 0.4; echo cleaned; exit' TERM; while :; do sleep 0.05; done";
        let mut job = bench.sh(&format!("sh -c \"{tool}\" & wait"));
        job.wall = Some(Duration::from_millis(300));
        let outcome = run(&runner, &job);
        assert_eq!((outcome.ending, outcome.swept), (Ending::Signaled(15), 0));
        assert!(bench.output().ends_with(b"cleaned\n"));
    }
}

fn cancel_works_from_another_thread() {
    let bench = Bench::new();
    for runner in bench.runners() {
        let cancel = Cancel::new();
        let switch = cancel.clone();
        let job = bench.sh("trap '' TERM; sleep 300");
        let outcome = std::thread::scope(|scope| {
            let running = scope.spawn(|| runner.run(&job, &cancel, &mut |_| ()));
            std::thread::sleep(Duration::from_millis(200));
            switch.cancel(Duration::from_millis(100));
            running.join().unwrap().unwrap()
        });
        assert_eq!(
            (outcome.ending, outcome.stopped),
            (Ending::Signaled(9), Some(Stopped::Cancelled))
        );
        assert!(outcome.elapsed < Duration::from_secs(10));
    }
}

fn a_cancelled_job_does_not_start() {
    let bench = Bench::new();
    let cancel = Cancel::new();
    cancel.cancel(Duration::ZERO);
    for runner in bench.runners() {
        let job = bench.sh("touch ran");
        let outcome = runner.run(&job, &cancel, &mut |_| panic!("started")).unwrap();
        assert!(matches!(outcome.ending, Ending::CouldNotStart(_)));
        assert_eq!(outcome.stopped, Some(Stopped::Cancelled));
        assert!(!bench.path("ran").exists());
    }
}

/// A wall limit with a long grace, then a halt with none.
fn a_shorter_grace_escalates() {
    let bench = Bench::new();
    for runner in bench.runners() {
        let cancel = Cancel::new();
        let mut job = bench.sh("trap '' TERM; sleep 300");
        job.wall = Some(Duration::from_millis(100));
        job.grace = Duration::from_secs(200);
        let outcome = std::thread::scope(|scope| {
            let running = scope.spawn(|| runner.run(&job, &cancel, &mut |_| ()));
            std::thread::sleep(Duration::from_millis(400));
            cancel.cancel(Duration::ZERO);
            running.join().unwrap().unwrap()
        });
        assert_eq!(
            (outcome.ending, outcome.stopped),
            (Ending::Signaled(9), Some(Stopped::Wall))
        );
        assert!(outcome.elapsed < Duration::from_secs(20));
    }
}

fn a_flood_is_counted_hashed_capped_and_bounded() {
    const BYTES: u64 = 320_000_000;
    let flood = format!("yes 'machine driver' | head -c {BYTES}");
    let expected = sha256sum(&flood);
    let bench = Bench::new();
    let mut allowed = peak_kilobytes("/proc/self/status") + 10_000;
    for runner in bench.runners() {
        // The job's parent is whoever pumps.
        let mut job = bench.sh(&format!("{flood}; grep VmHWM /proc/$PPID/status > peak"));
        job.output_cap = 1_000_000;
        let outcome = runner.run(&job, &Cancel::new(), &mut |_| ()).unwrap();
        assert_eq!(outcome.ending, Ending::Exited(0));
        assert_eq!(
            (outcome.output.bytes, outcome.output.sha256.as_str()),
            (BYTES, expected.as_str())
        );
        assert!(outcome.output.truncated);
        assert_eq!(outcome.output.tail.len(), 256 << 10);
        assert_eq!(outcome.output.head.len(), 64 << 10);

        let kept = bench.output();
        let mark = format!("\n[machine-driver: {} bytes cut here]\n", BYTES - 1_000_000);
        assert_eq!(kept.len(), 1_000_000 + mark.len());
        assert_eq!(&kept[500_000..500_000 + mark.len()], mark.as_bytes());
        assert!(kept.ends_with(&outcome.output.tail) && kept.starts_with(&outcome.output.head));

        let peak = peak_kilobytes(bench.path("peak"));
        assert!(peak < allowed, "peak memory {peak} kB");
        allowed = 20_000; // a guardian is not a test program
    }
}

fn peak_kilobytes(path: impl AsRef<std::path::Path>) -> u64 {
    let status = std::fs::read_to_string(path).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn evidence_that_cannot_be_written_is_an_error() {
    let bench = Bench::new();
    for runner in bench.runners() {
        let mut job = bench.sh("echo $$ > pids; yes");
        job.output = "/dev/full".into();
        let error = try_run(&runner, &job).unwrap_err();
        assert!(
            matches!(&error, ProcessError::Output { source, .. } if source.raw_os_error() == Some(28)),
            "{error:?}"
        );
        assert_dead(&bench.pids("pids", 1));

        job.output = "/no/such/folder/out".into();
        let error = try_run(&runner, &job).unwrap_err();
        assert!(error.to_string().contains("/no/such/folder/out"), "{error}");
        assert_eq!(run(&runner, &bench.sh("exit 3")).ending, Ending::Exited(3));
    }
}

fn one_guardian_serves_many_jobs_from_many_threads() {
    let bench = Bench::new();
    let runner = bench.guarded();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (bench, runner) = (&bench, runner.clone());
            scope.spawn(move || {
                for round in 0..10 {
                    let mut job = bench.sh(&format!("echo {thread} {round}; exit {thread}"));
                    job.output = bench.path(&format!("out{thread}"));
                    let outcome = run(&runner, &job);
                    assert_eq!(outcome.ending, Ending::Exited(thread));
                    assert_eq!(outcome.output.tail, format!("{thread} {round}\n").into_bytes());
                }
            });
        }
    });
    // A text of every byte but NUL, in an argument and in the environment.
    let all: Vec<u8> = (1..=255).collect();
    let odd = std::ffi::OsString::from_vec(all.clone());
    let mut job = bench.sh(r#"printf %s "$1$X""#);
    job.argv.extend(["sh".into(), odd.clone()]);
    job.env.push(("X".into(), odd));
    assert_eq!(run(&runner, &job).output.tail, [all.clone(), all].concat());
}

/// What coreutils say about a script's output.
fn sha256sum(script: &str) -> String {
    let output = Command::new("sh")
        .args(["-c", &format!("({script}) | sha256sum")])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()[..64].to_owned()
}
