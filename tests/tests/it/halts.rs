//! `halt` in every phase of a run: everything stops, nothing is committed, nothing starts before `resume`, and then it goes on.

use std::fs::{self, File};
use std::process::Command;
use std::time::{Duration, Instant};

use machine_driver::governor::dial;
use machine_driver::state::event::{DriverUp, Event};
use machine_driver::state::record::Record;
use machine_driver::state::time::Timestamp;
use machine_driver_tests::{Answer, Bot, Ended, Place, Running, TIME_MAX, is_alive, say, wait_until};
use rustix::process::Signal;
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(30);

/// What a halt has at most to be effective.
const HALT_MAX: Duration = Duration::from_secs(5);

fn halt(place: &Place) -> Ended {
    place.run(["halt", "--reason", "smoke", "--as", "ann"])
}

fn resume(place: &Place) {
    place
        .run(["resume", "--reason", "settled", "--as", "bob"])
        .exits(0);
}

/// Halts a run, and expects it to end with 4, everything to be quiet, and nothing to start before `resume`. Returns what the
/// command said.
#[track_caller]
fn halts(place: &Place, run: Running) -> Value {
    let said = halt_json(place);
    assert_eq!(said["driver"], run.id(), "{said}");
    run.wait(TIME_MAX).exits(4);
    stands(place);
    said
}

#[track_caller]
fn halt_json(place: &Place) -> Value {
    let begun = Instant::now();
    let ended = place.run(["halt", "--reason", "smoke", "--as", "ann", "--json"]);
    ended.exits(0);
    assert!(begun.elapsed() < HALT_MAX, "it took {:?}", begun.elapsed());
    ended.json().last().unwrap().clone()
}

/// A halt stands, and all that the log says of it is in order.
#[track_caller]
fn stands(place: &Place) {
    place.is_quiet();
    place.holds();
    let records = place.history().0.len();
    place
        .run(["run"])
        .exits(4)
        .says(&["halted", "ann", "smoke", "machine-driver resume"]);
    assert_eq!(
        place.history().0.len(),
        records,
        "a run that is refused records nothing"
    );
    place
        .run(["status"])
        .exits(0)
        .says(&["halted", "by ann", "smoke"]);
    let history = place.history();
    let effective = history.of("override_effective").last().unwrap();
    assert!(effective["delay_ms"].as_u64().unwrap() < 5_000, "{effective}");
    assert_eq!(
        place.json()["checkpoint"]["seq"],
        records - 1,
        "goal.json was saved at the stop"
    );
    assert!(fs::read_dir(place.path("control")).unwrap().all(|entry| {
        let name = entry.unwrap().file_name();
        name == "wake" || name.to_str().unwrap().ends_with(".refused")
    }));
}

/// After `resume` it goes on to its end.
#[track_caller]
fn goes_on(place: &Place, code: i32) {
    resume(place);
    place.run(["run"]).exits(code).says(&["GOAL COMPLETE"]);
    place.holds();
    place.is_quiet();
}

fn two(worker: &str, verify: &str) -> Place {
    Place::new(&json!({
        "worker_cmd": format!("echo \"$MACHINE_TASK_ID $MACHINE_ATTEMPT $MACHINE_SESSION\" >> runs.txt; test -e go && exit; {worker}"),
        "verify_cmd": verify, "tasks": [{ "id": "a", "goal": "x" }, { "id": "b", "goal": "y" }],
    }))
}

fn pid(place: &Place, name: &str) -> Option<u32> {
    place.text(&format!("repo/{name}.pid")).trim().parse().ok()
}

/// A halt while a worker runs that leaves its process ids in `*.pid`.
#[track_caller]
fn in_a_worker(worker: &str, names: &[&str]) {
    let place = two(worker, "true");
    let run = place.start(["run"]);
    wait_until("the worker", SOON, || {
        names.iter().all(|name| pid(&place, name).is_some())
    });
    let said = halts(&place, run);
    assert_eq!(
        (&said["ended"], &said["recorded"]),
        (&json!(false), &json!(true)),
        "{said}"
    );
    for name in names {
        assert!(!is_alive(pid(&place, name).unwrap()), "{name} is alive");
    }
    let history = place.history();
    assert_eq!(
        history
            .names()
            .iter()
            .rev()
            .take(3)
            .rev()
            .copied()
            .collect::<Vec<_>>(),
        ["override_requested", "override_effective", "interrupted"]
    );
    let cut = history.of("interrupted").next().unwrap();
    assert_eq!((&cut["by"], &cut["stage"]), (&json!("halt"), &json!("worker")));
    fs::write(place.path("repo/go"), "").unwrap();
    goes_on(&place, 0);
    let history = place.history();
    assert_eq!((history.dispatches("a"), history.dispatches("b")), (2, 1));
    history.asked_for(&place.text("repo/runs.txt"));
}

#[test]
fn in_a_worker_that_obeys() {
    in_a_worker(
        "sleep 300 & echo $! > child.pid; echo $$ > leader.pid; wait",
        &["child", "leader"],
    );
}

#[test]
fn in_a_worker_that_ignores_term() {
    in_a_worker(
        "trap '' TERM HUP INT; sleep 300 & echo $! > child.pid; echo $$ > leader.pid; while :; do wait; sleep 1; done",
        &["child", "leader"],
    );
}

#[test]
fn in_a_worker_that_forks_away() {
    in_a_worker(
        "(setsid sh -c 'trap \"\" TERM; echo $$ > daemon.pid; while :; do sleep 1; done' >/dev/null 2>&1 &); \
         echo $$ > leader.pid; sleep 300",
        &["daemon", "leader"],
    );
}

#[test]
fn in_a_verify() {
    let place = two("true", "echo $$ > verify.pid; test -e go || sleep 300");
    let run = place.start(["run"]);
    wait_until("the verifier", SOON, || pid(&place, "verify").is_some());
    halts(&place, run);
    let cut = place.history().of("interrupted").next().unwrap().clone();
    assert_eq!((&cut["by"], &cut["stage"]), (&json!("halt"), &json!("verify")));
    fs::write(place.path("repo/go"), "").unwrap();
    goes_on(&place, 0);
    assert_eq!(
        place.history().dispatches("a"),
        1,
        "only the verify is done again"
    );
}

#[test]
fn between_two_tasks() {
    let mut goal = two("true", "true").json();
    goal["tick_seconds"] = json!(600);
    let place = Place::new(&goal);
    let run = place.start(["run"]);
    wait_until("the first task", SOON, || place.history().count("proposed") == 1);
    halts(&place, run);
    assert_eq!(place.history().count("interrupted"), 0);
    resume(&place);
    let mut goal = place.json();
    goal["tick_seconds"] = json!(0);
    place.write(&goal);
    place.run(["run"]).exits(0);
    place.holds();
}

#[test]
fn in_a_backoff() {
    let place = two("exit 75", "true");
    let run = place.start(["run"]);
    wait_until("the backoff", SOON, || place.history().count("requeue") == 1);
    halts(&place, run);
    fs::write(place.path("repo/go"), "").unwrap();
    resume(&place);
    // The wait that the worker asked for outlives the halt: this run waits too.
    let run = place.start(["run"]);
    wait_until("the next run", SOON, || place.history().count("driver_up") == 2);
    halts(&place, run);
    assert_eq!(place.history().dispatches("a"), 1);
}

#[test]
fn while_an_alert_hangs_on_the_network() {
    let bot = Bot::start(&[Answer::Silent, Answer::Silent, Answer::Silent]);
    let place = Place::new(&json!({
        "worker_cmd": "true", "verify_cmd": "false", "max_attempts": 1, "tasks": [{ "id": "never", "goal": "x" }],
    }));
    let mut command = place.command(["run"]);
    command
        .env(
            "TELEGRAM_BOT_TOKEN",
            "123456:AAnotasecretbutshapedlikeone_abcdefgh",
        )
        .env("TELEGRAM_CHAT_ID", "42")
        .env("TELEGRAM_API_URL", bot.url());
    let run = Running::start(command);
    wait_until("the request", SOON, || !bot.requests().is_empty());
    let said = halts(&place, run);
    assert_eq!(said["ended"], false, "{said}");
    let history = place.history();
    assert_eq!(
        (history.count("alert_raised"), history.count("alert_delivered")),
        (1, 0)
    );
    goes_on(&place, 3);
}

#[test]
fn a_driver_that_does_not_answer_is_killed_with_its_worker() {
    let place = two(
        "sleep 300 & echo $! > child.pid; echo $$ > leader.pid; wait",
        "true",
    );
    let run = place.start(["run"]);
    wait_until("the worker", SOON, || {
        pid(&place, "leader").is_some() && pid(&place, "child").is_some()
    });
    run.signal(Signal::STOP);
    let said = halt_json(&place);
    assert_eq!(
        (&said["ended"], &said["driver"]),
        (&json!(true), &json!(run.id())),
        "{said}"
    );
    run.wait(TIME_MAX).exits(137);
    for name in ["leader", "child"] {
        assert!(!is_alive(pid(&place, name).unwrap()), "{name} is alive");
    }
    let history = place.history();
    let effective = history.of("override_effective").last().unwrap();
    assert_eq!(
        (&effective["ended"], &effective["running"]),
        (&json!(true), &json!(false))
    );
    stands(&place);
    fs::write(place.path("repo/go"), "").unwrap();
    goes_on(&place, 0);
}

/// What holds the goal is not the driver, and a stranger has the process id that the log names.
#[test]
fn a_stranger_with_the_drivers_old_process_id_is_not_killed() {
    let place = two("true", "true");
    let stranger = Running::start({
        let mut sleep = Command::new("sleep");
        sleep.arg("300");
        sleep
    });
    let file = machine_driver::read_goal(&place.goal()).unwrap();
    let goal = file.goal();
    let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let up = Event::DriverUp(DriverUp {
        version: "0.1.0".into(),
        pid: stranger.id(),
        boot_id: boot_id.trim().into(),
        goal: goal.name.clone(),
        goal_sha256: goal.digest,
        mode_asked: dial::word(goal.mode).into(),
        mode: dial::word(goal.mode).into(),
        tier: "group".into(),
        gate: false,
        repo: None,
        sinks: vec!["printed".into()],
        records: false,
        receipt: None,
        survey: None,
        sealed: false,
        accepts_tree: false,
    });
    let at = Timestamp::from_millis(1_795_341_600_123);
    let record = Record::after(None, at, &goal.deployment_id, up).unwrap();
    let log = place.path("driver-log.jsonl");
    fs::write(&log, record.line().unwrap() + "\n").unwrap();
    fs::create_dir_all(place.path("evidence/goal")).unwrap();
    fs::write(
        place.path(&format!("evidence/goal/{}.json", goal.digest)),
        file.snapshot(),
    )
    .unwrap();
    let held = File::open(&log).unwrap();
    held.try_lock().unwrap();
    // Somebody who has the log open is not who holds it either.
    let ended = halt(&place);
    ended.exits(1).says(&[
        "was not seen to hold the log",
        &stranger.id().to_string(),
        "next:",
    ]);
    assert!(is_alive(stranger.id()));
    assert_eq!(place.history().0.len(), 1);
    drop(held);
    // The request stays: the next driver carries it out, and does not start.
    place.run(["run"]).exits(4).says(&["ann", "smoke"]);
    assert_eq!(place.history().count("override_effective"), 1);
    place.holds();
    goes_on(&place, 0);
}

#[test]
fn without_a_driver_that_ever_ran() {
    let place = two("true", "true");
    let said = halt_json(&place);
    assert_eq!(
        (&said["driver"], &said["ended"]),
        (&json!(null), &json!(false)),
        "{said}"
    );
    stands(&place);
    place.run(["log", "show"]).exits(0).says(&["override_requested"]);
    goes_on(&place, 0);
}

#[test]
fn with_progress_from_elsewhere() {
    let place = Place::new(&json!({
        "worker_cmd": "echo x >> runs.txt", "verify_cmd": "true", "runs": 3,
        "tasks": [{ "id": "a", "goal": "x", "status": "done", "attempts": 3 }, { "id": "b", "goal": "y" }],
    }));
    halt_json(&place);
    assert_eq!(place.history().names()[0], "imported");
    stands(&place);
    goes_on(&place, 0);
    assert_eq!(place.text("repo/runs.txt"), "x\n");
}

#[test]
fn on_a_finished_goal_and_twice() {
    let place = two("true", "true");
    place.run(["run"]).exits(0);
    halt_json(&place);
    stands(&place);
    let said = halt_json(&place);
    assert_eq!(said["halted_before"]["by"], "ann", "{said}");
    stands(&place);
    assert_eq!(place.history().count("override_effective"), 2);
    goes_on(&place, 0);
    place
        .run(["resume", "--reason", "again"])
        .exits(64)
        .says(&["no halt stands"]);
}

#[test]
fn with_a_goal_that_cannot_be_read_a_driver_is_stopped_all_the_same() {
    let place = two(
        "echo $$ > leader.pid; cp ../goal.json ../kept; echo nonsense > ../goal.json; touch broken; sleep 300",
        "true",
    );
    let run = place.start(["run"]);
    wait_until("the worker", SOON, || place.path("repo/broken").exists());
    halt(&place).exits(0);
    run.wait(TIME_MAX).exits(4);
    assert!(!is_alive(pid(&place, "leader").unwrap()));
    place.run(["run"]).exits(4);
    fs::write(place.path("repo/go"), "").unwrap();
    goes_on(&place, 0);
}

#[test]
fn a_halt_of_one_goal_while_another_works_on_the_tree() {
    let place = two("true", "true");
    fs::copy(place.goal(), place.path("other.json")).unwrap();
    let mut goal = place.json();
    goal["worker_cmd"] = json!("echo $$ > leader.pid; sleep 300");
    place.write(&goal);
    let run = place.start(["run"]);
    wait_until("the worker", SOON, || pid(&place, "leader").is_some());
    place.run(["halt", "--reason", "x", "other.json"]).exits(0);
    place.run(["run", "other.json"]).exits(11);
    assert!(is_alive(pid(&place, "leader").unwrap()), "the other goal goes on");
    halts(&place, run);
}

#[test]
fn what_is_prepared_while_it_is_halted() {
    let place = Place::new(&json!({
        "worker_cmd": "echo x >> runs.txt", "verify_cmd": "test -e go", "max_attempts": 1,
        "tasks": [{ "id": "a", "goal": "x" }],
    }));
    place.run(["run"]).exits(3);
    halt_json(&place);
    place.run(["retry", "a"]).exits(0);
    place.run(["task", "add", "--goal", "y", "--id", "b"]).exits(0);
    place.run(["dial", "commit"]).exits(0);
    place.run(["dial", "propose"]).exits(0);
    place.run(["run"]).exits(4);
    place.holds();
    fs::write(place.path("repo/go"), "").unwrap();
    goes_on(&place, 0);
}

/// A git that hangs in the commit keeps the driver from answering: it is killed with that, and no commit comes later.
#[test]
fn while_git_hangs_in_the_commit() {
    let place = five();
    let folder = place.folder().display();
    let command = with_git(
        &place,
        &format!(
            "case \" $* \" in *' update-ref '*) if ! test -e {folder}/go; then echo $$ > {folder}/repo.pid; \
             sleep 8; : > {folder}/late; fi;; esac"
        ),
    );
    let run = Running::start(command);
    wait_until("the commit", SOON, || place.path("repo.pid").exists());
    let said = halt_json(&place);
    assert_eq!(said["ended"], true, "{said}");
    run.wait(TIME_MAX).exits(137);
    let git = place.text("repo.pid").trim().parse().unwrap();
    assert!(!is_alive(git), "git would commit later");
    assert_eq!((place.commits().len(), place.history().count("commit")), (0, 0));
    stands(&place);
    fs::write(place.path("go"), "").unwrap();
    goes_on(&place, 0);
    assert_eq!(place.commits().len(), 5);
    place.commits_hold();
    assert!(!place.path("late").exists());
}

/// A driver whose git is a script, with this before the true one.
fn with_git(place: &Place, script: &str) -> Command {
    let git = Command::new("sh")
        .args(["-c", "command -v git"])
        .output()
        .unwrap();
    let git = String::from_utf8(git.stdout).unwrap();
    let script = format!("#!/bin/sh\n{script}\nexec {} \"$@\"\n", git.trim());
    fs::create_dir(place.path("bin")).unwrap();
    fs::write(place.path("bin/git"), script).unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(place.path("bin/git"), executable).unwrap();
    let path = format!(
        "{}:{}",
        place.path("bin").display(),
        std::env::var("PATH").unwrap()
    );
    let mut command = place.command(["run"]);
    command.env("PATH", &path);
    command
}

/// A git of many processes that obey no signal, one of them in another session: all of them are killed with the driver.
#[test]
fn while_a_git_of_many_processes_hangs_in_the_commit() {
    let place = five();
    let folder = place.folder().display();
    let command = with_git(
        &place,
        &format!(
            "case \" $* \" in *' update-ref '*) trap '' TERM; echo $$ > {folder}/repo/one.pid; \
             sh -c 'setsid sh -c \"echo \\$\\$ > {folder}/repo/two.pid; sleep 300\" & wait';; esac"
        ),
    );
    let run = Running::start(command);
    wait_until("the commit", SOON, || {
        pid(&place, "one").is_some() && pid(&place, "two").is_some()
    });
    let said = halt_json(&place);
    assert_eq!(
        (&said["ended"], &said["driver"]),
        (&json!(true), &json!(run.id())),
        "{said}"
    );
    run.wait(TIME_MAX).exits(137);
    for name in ["one", "two"] {
        assert!(!is_alive(pid(&place, name).unwrap()), "{name} is alive");
        fs::remove_file(place.path(&format!("repo/{name}.pid"))).unwrap();
    }
    fs::remove_dir_all(place.path("bin")).unwrap();
    stands(&place);
    goes_on(&place, 0);
    place.commits_hold();
}

/// Somebody kills the driver alone while its git has yet to start, or waits for its last word: nothing is committed when that
/// goes on, and no lock stays.
#[test]
fn a_git_that_outlives_its_driver_commits_nothing() {
    for before in ["sleep 2", "true"] {
        let place = five();
        let folder = place.folder().display();
        let wait = format!("while ! test -e {folder}/go; do sleep 0.05; done");
        let script = if before == "true" {
            // The true git, whose answers come late.
            format!(
                "case \" $* \" in *' update-ref '*) touch {folder}/there; git=$(PATH=/usr/bin:/bin:/usr/local/bin command -v git); \
                 \"$git\" \"$@\" | {{ {wait}; cat; }}; touch {folder}/done; exit;; esac"
            )
        } else {
            format!(
                "case \" $* \" in *' update-ref '*) touch {folder}/there; {wait}; git=$(PATH=/usr/bin:/bin:/usr/local/bin command -v git); \
                 \"$git\" \"$@\"; touch {folder}/done; exit;; esac"
            )
        };
        let run = Running::start(with_git(&place, &script));
        wait_until("the commit", SOON, || place.path("there").exists());
        run.signal(Signal::KILL);
        run.wait(TIME_MAX).exits(137);
        halt_json(&place);
        fs::write(place.path("go"), "").unwrap();
        wait_until("git", SOON, || place.path("done").exists());
        assert_eq!(
            (place.commits().len(), place.history().count("commit")),
            (0, 0),
            "{before}"
        );
        no_commit_while_halted(&place);
        assert!(!place.path("repo/.git/refs/heads/main.lock").exists());
        assert!(!place.path("repo/.git/HEAD.lock").exists());
        fs::remove_dir_all(place.path("bin")).unwrap();
        goes_on(&place, 0);
        assert_eq!(place.commits().len(), 5);
        place.commits_hold();
    }
}

/// What a worker does to the driver of its guardian, `$driver`, and the guardian, `$PPID`.
fn against_the_driver(act: &str) -> Place {
    two(
        &format!(
            "driver=$(ps -o ppid= -p $PPID | tr -d ' '); sleep 300 & echo $! > child.pid; \
             echo $$ > leader.pid; {act}; touch acted; wait"
        ),
        "true",
    )
}

/// A worker that stops the driver and its guardian does not outlive a halt.
#[test]
fn a_worker_that_stops_the_driver_and_its_guardian() {
    let place = against_the_driver("kill -STOP $driver; kill -STOP $PPID");
    let run = place.start(["run"]);
    wait_until("the worker", SOON, || place.path("repo/acted").exists());
    let said = halt_json(&place);
    assert_eq!(
        (&said["ended"], &said["driver"]),
        (&json!(true), &json!(run.id())),
        "{said}"
    );
    run.wait(TIME_MAX).exits(137);
    for name in ["leader", "child"] {
        assert!(!is_alive(pid(&place, name).unwrap()), "{name} is alive");
    }
    stands(&place);
    fs::write(place.path("repo/go"), "").unwrap();
    goes_on(&place, 0);

    // Also where the driver is dead already, and only its guardian holds the goal.
    let place = against_the_driver("kill -STOP $PPID; kill -KILL $driver");
    let run = place.start(["run"]);
    wait_until("the worker", SOON, || place.path("repo/acted").exists());
    run.wait(TIME_MAX).exits(137);
    let said = halt_json(&place);
    assert_eq!(said["ended"], true, "{said}");
    for name in ["leader", "child"] {
        assert!(!is_alive(pid(&place, name).unwrap()), "{name} is alive");
    }
    stands(&place);
}

/// A driver whose log was removed, moved or replaced is found by the log that it holds.
#[test]
fn a_worker_that_takes_the_log_away_and_stops_the_driver() {
    for act in [
        "rm ../driver-log.jsonl",
        "mv ../driver-log.jsonl ../elsewhere.jsonl",
        "cp ../driver-log.jsonl ../copy; mv ../copy ../driver-log.jsonl",
        "rm ../driver-log.jsonl; mv ../goal.json ../x.json; ln -s x.json ../goal.json",
    ] {
        let place = against_the_driver(&format!("{act}; kill -STOP $driver"));
        let run = place.start(["run"]);
        wait_until("the worker", SOON, || place.path("repo/acted").exists());
        let begun = Instant::now();
        let ended = place.run(["halt", "--reason", "smoke", "--as", "ann", "--json"]);
        assert!(begun.elapsed() < HALT_MAX, "{act}: {:?}", begun.elapsed());
        let said = ended.json().last().unwrap().clone();
        assert_eq!(
            (&said["ended"], &said["driver"]),
            (&json!(true), &json!(run.id())),
            "{act}: {said}"
        );
        assert_eq!(ended.code == 0, said["recorded"] == true, "{act}: {said}");
        run.wait(TIME_MAX).exits(137);
        for name in ["leader", "child"] {
            assert!(!is_alive(pid(&place, name).unwrap()), "{act}: {name} is alive");
        }
        assert_ne!(place.run(["run"]).code, 0, "{act}");
        assert!(!place.path("repo/go").exists());
    }
}

/// The log does not name a driver that hangs before its first record.
#[test]
fn a_driver_that_hangs_in_its_start() {
    let place = five();
    let folder = place.folder().display();
    let script = format!(
        "test -e {folder}/there || ! test -e {folder}/driver-log.jsonl || {{ touch {folder}/there; kill -STOP $PPID; }}"
    );
    let run = Running::start(with_git(&place, &script));
    wait_until("git", SOON, || place.path("there").exists());
    let said = halt_json(&place);
    assert_eq!(
        (&said["ended"], &said["driver"]),
        (&json!(true), &json!(run.id())),
        "{said}"
    );
    run.wait(TIME_MAX).exits(137);
    stands(&place);
    fs::remove_dir_all(place.path("bin")).unwrap();
    goes_on(&place, 0);
}

#[test]
fn of_what_is_no_goal() {
    let place = two("true", "true");
    fs::write(place.path("Makefile"), "all:\n").unwrap();
    place.run(["halt", "--reason", "x", "Makefile"]).exits(10);
    place.run(["halt", "--reason", "x", "nowhere.json"]).exits(10);
    let left: Vec<_> = fs::read_dir(place.folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("control"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    // One that was a goal: the request stays, so that nothing starts.
    place.run(["run"]).exits(0);
    let goal = place.text("goal.json");
    fs::write(place.goal(), "nonsense").unwrap();
    halt(&place).exits(10);
    fs::write(place.goal(), goal).unwrap();
    place.run(["run"]).exits(4);
}

/// Both names of a goal are one goal.
#[test]
fn by_the_name_of_a_link() {
    let place = two("echo $$ > leader.pid; sleep 300", "true");
    std::os::unix::fs::symlink("goal.json", place.path("link.json")).unwrap();
    let run = place.start(["run"]);
    wait_until("the worker", SOON, || pid(&place, "leader").is_some());
    place
        .run(["halt", "--reason", "smoke", "--as", "ann", "link.json"])
        .exits(0)
        .says(&["with all that it had started"]);
    run.wait(TIME_MAX).exits(4);
    assert!(!place.path("link.control").exists());
    place.run(["run", "link.json"]).exits(4);
    stands(&place);
}

#[test]
fn what_raises_is_refused_while_a_driver_runs() {
    let place = two("echo $$ > leader.pid; sleep 300", "true");
    let run = place.start(["run"]);
    wait_until("the worker", SOON, || pid(&place, "leader").is_some());
    let says = ["only be told to do less", "next:"];
    place.run(["resume", "--reason", "x"]).exits(11).says(&says);
    place.run(["dial", "commit"]).exits(11).says(&says);
    place.run(["approve", "a"]).exits(11).says(&says);
    assert!(is_alive(pid(&place, "leader").unwrap()));
    halts(&place, run);
}

/// Whatever a worker does to `control/`, an operator is heard.
#[test]
fn a_worker_that_takes_the_folder_away_keeps_nobody_from_being_heard() {
    for act in [
        "rm -rf ../control",
        "rm -rf ../control; ln -s /tmp ../control",
        "rm -rf ../control; mkfifo ../control",
        "rm -rf ../control; echo x > ../control",
        "chmod 000 ../control",
        "rm ../control/wake; mkfifo ../control/wake",
        "rm ../control/wake; mkdir -p ../control/wake/x",
        "rm ../control/wake; ln -s /dev/zero ../control/wake",
        "mv ../control ../elsewhere",
        "(while :; do rm -f ../control/*.json ../control/*.taken; done) & echo $! > eater.pid",
        "i=0; while [ $i -lt 3000 ]; do : > ../control/$i.json; i=$((i+1)); done",
    ] {
        let place = two(&format!("{act}; echo $$ > leader.pid; sleep 300"), "true");
        let run = place.start(["run"]);
        wait_until("the worker", SOON, || pid(&place, "leader").is_some());
        let begun = Instant::now();
        halt(&place).exits(0);
        assert!(begun.elapsed() < HALT_MAX, "{act}: {:?}", begun.elapsed());
        let ended = run.wait(TIME_MAX);
        assert_eq!(ended.code, 4, "{act}: {}", ended.text());
        assert!(!is_alive(pid(&place, "leader").unwrap()), "{act}");
        place.run(["run"]).exits(4);
        place.holds();
        place.is_quiet();
    }
}

/// How many halts the test over whole runs makes.
fn wanted() -> usize {
    std::env::var("MACHINE_DRIVER_HALTS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(12)
}

fn five() -> Place {
    let tasks: Vec<_> = (0..5)
        .map(|n| json!({ "id": format!("t{n}"), "goal": "x", "reversible": true }))
        .collect();
    let place = Place::new(&json!({
        "mode": "commit", "contract": { "proposed_by": "ann", "ratified_by": "bob", "autonomy_ceiling": 1 },
        "worker_cmd": "echo \"$MACHINE_TASK_ID $MACHINE_ATTEMPT $MACHINE_SESSION\" >> ../runs.txt; \
                       echo \"$MACHINE_ATTEMPT\" > \"$MACHINE_TASK_ID\"; sleep 0.02",
        "verify_cmd": "sleep 0.02; test $MACHINE_TASK_ID != t1 || test -s \"$MACHINE_FEEDBACK_FILE\" || { echo again; exit 1; }",
        "max_attempts": 3, "tasks": tasks,
    }));
    place.init_git();
    place
}

fn records(place: &Place) -> usize {
    let log = fs::read(place.path("driver-log.jsonl")).unwrap_or_default();
    log.iter().filter(|byte| **byte == b'\n').count()
}

/// No commit stands between a halt that is effective and its lifting.
#[track_caller]
fn no_commit_while_halted(place: &Place) {
    let mut halted = false;
    for record in &place.history().0 {
        match record["event"].as_str().unwrap() {
            "override_effective" => halted = true,
            "override_lifted" => halted = false,
            event => {
                let is_in_order = ["interrupted", "override_requested", "goal_edited"].contains(&event);
                assert!(!halted || is_in_order, "while halted: {record}");
            }
        }
    }
}

#[test]
fn at_any_moment_of_runs_that_commit() {
    let seed = std::time::UNIX_EPOCH.elapsed().unwrap().subsec_nanos() as usize;
    say(&format!("halts at any moment: seed {seed}"));
    let (mut halts, mut cut, mut goals) = (0, 0, 0);
    let mut took: Vec<Duration> = Vec::new();
    while halts < wanted() {
        let place = five();
        goals += 1;
        loop {
            let mixed = (seed ^ (halts + 1).wrapping_mul(0x9e37_79b9)).wrapping_mul(0x85eb_ca6b) >> 7;
            let enough = records(&place) + 1 + mixed % 12;
            let mut run = place.start(["run", "--quiet"]);
            while !run.has_ended() && records(&place) < enough {
                std::thread::sleep(Duration::from_micros(200));
            }
            std::thread::sleep(Duration::from_micros((mixed / 12 % 8_000) as u64));
            let begun = Instant::now();
            halt_json(&place);
            took.push(begun.elapsed());
            halts += 1;
            let ended = run.wait(TIME_MAX);
            assert!(
                [0, 4].contains(&ended.code),
                "exit {}: {}",
                ended.code,
                ended.text()
            );
            cut += usize::from(ended.code == 4);
            stands(&place);
            no_commit_while_halted(&place);
            place.commits_hold();
            resume(&place);
            if ended.code == 0 || halts >= wanted() {
                break;
            }
        }
        place.run(["run"]).exits(0);
        let history = place.history();
        history.asked_for(&place.text("runs.txt"));
        no_commit_while_halted(&place);
        place.commits_hold();
        assert_eq!(place.commits().len(), 5);
        place.holds();
        place.is_quiet();
    }
    took.sort();
    say(&format!(
        "{halts} halts over {goals} goals, {cut} of them in a run; the command took {:?} in the median, {:?} at most",
        took[took.len() / 2],
        took[took.len() - 1]
    ));
}
