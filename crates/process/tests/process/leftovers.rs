//! What jobs leave running, and who dies when.

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use machine_driver_process::{Cancel, Ending, ProcessError, Stopped, Tier};

use crate::bench::{Bench, SOON, assert_dead, is_alive, run, try_run, wait_until};
use crate::helper;

crate::trials![
    a_daemon_that_holds_the_output_neither_delays_nor_survives,
    a_daemon_in_its_own_session_does_not_survive_a_guardian,
    a_double_fork_with_an_empty_environment_does_not_survive_a_guardian,
    a_forking_job_does_not_survive_a_limit,
    the_dead_of_a_long_job_are_buried,
    a_killed_driver_takes_everything_with_it,
    a_job_that_kills_its_driver_dies_too,
    a_job_that_kills_the_guardian_gains_nothing,
    a_job_that_stops_the_guardian_gains_nothing,
    a_guardian_that_dies_idle_is_replaced,
    a_guardian_shrugs_off_ordinary_signals,
    the_lock_is_held_while_a_guardian_lives,
    other_children_of_the_driver_survive_a_lost_guardian,
    a_container_whose_session_began_outside_changes_nothing,
    a_panic_in_the_callback_leaves_nothing,
];

/// The leader and three hiding places, each writing its process id into `pids`.
const HIDDEN: &str = "\
    echo $$ >> pids; \
    sh -c 'echo $$ >> pids; exec sleep 300' & \
    setsid sh -c 'trap \"\" TERM HUP; echo $$ >> pids; sleep 301; sleep 302' & \
    (setsid env -i /bin/sh -c '(echo $$ >> pids; exec /bin/sleep 303 >/dev/null 2>&1) & exec /bin/sleep 304' &) ; \
    while [ $(wc -l < pids) -lt 4 ]; do sleep 0.02; done; ";

fn a_daemon_that_holds_the_output_neither_delays_nor_survives() {
    let bench = Bench::new();
    for runner in bench.runners() {
        let outcome = run(
            &runner,
            &bench.sh("sleep 300 & echo $! > pids; echo done; exit 4"),
        );
        assert_eq!((outcome.ending, outcome.stopped), (Ending::Exited(4), None));
        if runner.tier() == Tier::Guardian {
            assert_eq!(outcome.swept, 1);
        }
        assert_eq!(bench.output(), b"done\n");
        assert_dead(&bench.pids("pids", 1));
    }
}

fn a_daemon_in_its_own_session_does_not_survive_a_guardian() {
    let bench = Bench::new();
    let runner = bench.guarded();
    let script = "setsid sh -c 'trap \"\" TERM; echo $$ > pids; sleep 300; sleep 300' & \
        while [ ! -s pids ]; do sleep 0.02; done";
    let outcome = run(&runner, &bench.sh(script));
    assert_eq!(outcome.ending, Ending::Exited(0));
    assert!(outcome.swept >= 1); // the shell, and its sleep if it came so far
    assert_dead(&bench.pids("pids", 1));
}

fn a_double_fork_with_an_empty_environment_does_not_survive_a_guardian() {
    let bench = Bench::new();
    let runner = bench.guarded();
    let outcome = run(&runner, &bench.sh(HIDDEN));
    assert_eq!(outcome.ending, Ending::Exited(0));
    assert!(outcome.swept >= 3, "{}", outcome.swept);
    assert_dead(&bench.pids("pids", 4));
}

/// Each process starts the next in a session of its own and ends.
fn a_forking_job_does_not_survive_a_limit() {
    let bench = Bench::new();
    let runner = bench.guarded();
    std::fs::write(
        bench.path("hop"),
        "echo $$ >> pids\ntrap '' TERM\nsetsid sh hop &\nsetsid sh hop2 &\nexit\n",
    )
    .unwrap();
    std::fs::write(bench.path("hop2"), "trap '' TERM; sleep 0.3\n").unwrap();
    let mut job = bench.sh("sh hop & sleep 300");
    job.wall = Some(Duration::from_millis(500));
    let outcome = run(&runner, &job);
    assert_eq!(outcome.stopped, Some(Stopped::Wall));
    let hops = bench.pids("pids", 2).len();
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(bench.pids("pids", 2).len(), hops, "somebody still forks");
}

fn the_dead_of_a_long_job_are_buried() {
    let bench = Bench::new();
    let script = "for i in $(seq 50); do (sleep 0.01 &); done; sleep 0.5; \
        grep -s \"^PPid:.$PPID$\" /proc/[0-9]*/status | wc -l";
    run(&bench.guarded(), &bench.sh(script));
    assert_eq!(String::from_utf8(bench.output()).unwrap().trim(), "1"); // the job itself
}

fn a_killed_driver_takes_everything_with_it() {
    let bench = Bench::new();
    drop(bench.lock.unlock());
    let script = format!("{HIDDEN} sleep 305");
    let mut driver = helper::command("driver")
        .arg(bench.folder.path())
        .arg(script)
        .spawn()
        .unwrap();
    let pids = bench.pids("pids", 4);
    assert!(pids.iter().all(|&pid| is_alive(pid)));
    let second = File::open(bench.path("lock")).unwrap();
    assert!(second.try_lock().is_err());

    driver.kill().unwrap();
    let killed = Instant::now();
    driver.wait().unwrap();
    wait_until(|| second.try_lock().is_ok());
    // No waiting here: who holds the lock has the tree's death certificate.
    assert_dead(&pids);
    assert!(killed.elapsed() < Duration::from_secs(5));
}

fn a_job_that_kills_its_driver_dies_too() {
    let bench = Bench::new();
    drop(bench.lock.unlock());
    let script = format!("{HIDDEN} kill -9 $(sed -n 's/^PPid:.//p' /proc/$PPID/status); sleep 305");
    let status = helper::command("driver")
        .arg(bench.folder.path())
        .arg(script)
        .status()
        .unwrap();
    assert_eq!(status.signal(), Some(9));
    let second = File::open(bench.path("lock")).unwrap();
    wait_until(|| second.try_lock().is_ok());
    assert_dead(&bench.pids("pids", 4));
}

fn a_job_that_kills_the_guardian_gains_nothing() {
    let bench = Bench::new();
    let runner = bench.guarded();
    let script = format!("{HIDDEN} kill -9 $PPID; sleep 305");
    let error = try_run(&runner, &bench.sh(&script)).unwrap_err();
    assert!(
        matches!(error, ProcessError::GuardianLost { swept } if swept >= 4),
        "{error:?}"
    );
    assert_dead(&bench.pids("pids", 4));
    // The next run has a new guardian.
    assert_eq!(run(&runner, &bench.sh("exit 3")).ending, Ending::Exited(3));
}

fn a_job_that_stops_the_guardian_gains_nothing() {
    let bench = Bench::new();
    let runner = bench.guarded();
    let mut job = bench.sh("kill -STOP $PPID; echo $$ > pids; trap '' TERM; sleep 300");
    job.wall = Some(Duration::from_millis(300));
    job.grace = Duration::from_millis(100);
    assert_eq!(run(&runner, &job).stopped, Some(Stopped::Wall));
    assert_dead(&bench.pids("pids", 1));

    job.wall = None;
    let cancel = Cancel::new();
    let outcome = std::thread::scope(|scope| {
        let running = scope.spawn(|| runner.run(&job, &cancel, &mut |_| ()));
        std::thread::sleep(Duration::from_millis(300));
        cancel.cancel(Duration::ZERO);
        running.join().unwrap().unwrap()
    });
    assert_eq!(outcome.stopped, Some(Stopped::Cancelled));
    assert!(outcome.elapsed < SOON);
}

fn a_guardian_that_dies_idle_is_replaced() {
    let bench = Bench::new();
    let runner = bench.guarded();
    run(&runner, &bench.sh("echo $PPID > guardian"));
    let first = bench.pids("guardian", 1)[0];
    let kill = std::process::Command::new("kill")
        .args(["-9", &first.to_string()])
        .status();
    assert!(kill.unwrap().success());
    wait_until(|| !is_alive(first));
    assert_eq!(
        run(&runner, &bench.sh("echo $PPID > guardian")).ending,
        Ending::Exited(0)
    );
    assert_ne!(bench.pids("guardian", 1)[0], first);
}

fn a_guardian_shrugs_off_ordinary_signals() {
    let bench = Bench::new();
    let script = "for s in TERM INT HUP QUIT USR1 USR2 ALRM; do kill -$s $PPID; done; sleep 0.1; exit 3";
    assert_eq!(run(&bench.guarded(), &bench.sh(script)).ending, Ending::Exited(3));
}

fn the_lock_is_held_while_a_guardian_lives() {
    let bench = Bench::new();
    let runner = bench.guarded();
    let other = File::open(bench.path("lock")).unwrap();
    let Bench { folder, lock } = bench;
    drop(lock);
    assert!(other.try_lock().is_err());
    drop(runner);
    other.try_lock().unwrap();
    drop(folder);
}

/// In a process namespace that was entered from outside, as in many a container, our own session has the number 0.
fn a_container_whose_session_began_outside_changes_nothing() {
    let unshare = |arguments: &[&str]| {
        let mut command = std::process::Command::new("unshare");
        command.args(["--pid", "--fork", "--mount-proc"]).args(arguments);
        command.output().ok().filter(|output| output.status.success())
    };
    if unshare(&["true"]).is_none() {
        println!("SKIP: no process namespace can be made");
        return;
    }
    let this = std::env::current_exe().unwrap();
    let inside = unshare(&[
        this.to_str().unwrap(),
        "--exact",
        "process::leftovers::a_job_that_kills_the_guardian_gains_nothing",
    ]);
    let said = String::from_utf8(inside.unwrap().stdout).unwrap();
    assert!(said.contains("1 passed"), "{said}");
}

fn other_children_of_the_driver_survive_a_lost_guardian() {
    let bench = Bench::new();
    let (doomed, safe) = (bench.guarded(), bench.guarded());
    let mut bystander = std::process::Command::new("sleep").arg("300").spawn().unwrap();
    let cancel = Cancel::new();
    let mut neighbour = bench.sh("sleep 300");
    neighbour.output = bench.path("out2");
    std::thread::scope(|scope| {
        let running = scope.spawn(|| safe.run(&neighbour, &cancel, &mut |_| ()));
        std::thread::sleep(Duration::from_millis(200));
        assert!(try_run(&doomed, &bench.sh("kill -9 $PPID; sleep 300")).is_err());
        assert!(!running.is_finished());
        cancel.cancel(Duration::ZERO);
        assert_eq!(running.join().unwrap().unwrap().stopped, Some(Stopped::Cancelled));
    });
    assert!(bystander.try_wait().unwrap().is_none());
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}

fn a_panic_in_the_callback_leaves_nothing() {
    let bench = Bench::new();
    for runner in bench.runners() {
        let job = bench.sh("echo $$ > pids; sleep 300");
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            runner.run(&job, &Cancel::new(), &mut |started| {
                std::panic::resume_unwind(Box::new(started.pid))
            })
        }));
        let pid = caught.unwrap_err().downcast::<u32>().unwrap();
        assert_dead(&[pid.cast_signed()]);
        assert_eq!(run(&runner, &bench.sh("exit 3")).ending, Ending::Exited(3));
    }
}
