//! Workers and verifiers that misbehave: steps end on time, nothing stays behind, nothing is passed that was not verified.

use std::fs;
use std::time::Duration;

use machine_driver_state::canonical::sha256;
use machine_driver_tests::{Ended, Place, TIME_MAX, fake, is_alive, say, skip, wait_until};
use serde_json::{Value, json};

/// No step of these tests lasts longer than this unless somebody waits for a daemon, all of which sleep for 300 s.
const ON_TIME: Duration = Duration::from_secs(60);

fn one(goal: &Value) -> Place {
    let mut all = json!({ "verify_cmd": "true", "max_attempts": 1, "tasks": [{ "id": "a", "goal": "x" }] });
    all.as_object_mut()
        .unwrap()
        .extend(goal.as_object().unwrap().clone());
    Place::new(&all)
}

/// Runs the goal; it ends on time, nothing of it is left, and everything holds.
#[track_caller]
fn run(place: &Place, code: i32) -> Ended {
    let ended = place.start(["run"]).wait(TIME_MAX);
    ended.exits(code);
    assert!(ended.took < ON_TIME, "it took {:?}", ended.took);
    place.is_quiet();
    place.holds();
    ended
}

fn exited(place: &Place) -> Value {
    place.history().of("worker_exited").last().unwrap().clone()
}

#[test]
fn a_daemon_that_holds_its_stdout_does_not_hold_the_run() {
    let place = one(&json!({ "worker_cmd": "sleep 300 & echo $! > child.txt; echo hello" }));
    run(&place, 0);
    assert!(!is_alive(place.text("repo/child.txt").trim().parse().unwrap()));
    assert_eq!(place.text("evidence/a/attempt-1.worker.log"), "hello\n");
    let place = one(&json!({ "worker_cmd": "true", "verify_cmd": "sleep 300 & echo $! > child.txt" }));
    run(&place, 0);
    assert!(!is_alive(place.text("repo/child.txt").trim().parse().unwrap()));
}

#[test]
fn a_daemon_in_a_session_of_its_own_is_found() {
    let has = std::process::Command::new("sh")
        .args(["-c", "command -v setsid >/dev/null"])
        .status();
    if !has.unwrap().success() || !cfg!(target_os = "linux") {
        return skip("a daemon with setsid", "no setsid(1), or no subreaper here");
    }
    let place = one(
        &json!({ "worker_cmd": "setsid sh -c 'echo $$ > child.txt; exec sleep 300' & while ! test -s child.txt; do sleep 0.01; done" }),
    );
    run(&place, 0);
    assert!(!is_alive(place.text("repo/child.txt").trim().parse().unwrap()));
}

#[test]
fn fifty_stubborn_daemons_are_gone_with_their_worker() {
    let place = one(&json!({ "worker_cmd": fake("busy.sh") }));
    run(&place, 0);
    let children = place.text("repo/children.txt");
    assert_eq!(children.lines().count(), 50);
    assert!(!children.lines().any(|id| is_alive(id.parse().unwrap())));
}

#[test]
fn a_worker_that_ignores_term_is_killed_at_its_limit() {
    let place = one(
        &json!({ "worker_cmd": "trap '' TERM INT HUP; echo busy; while :; do sleep 1; done", "worker_timeout_seconds": 0.5, "verify_cmd": "false" }),
    );
    run(&place, 3).says(&["worker stopped at its time limit"]);
    let exited = exited(&place);
    assert_eq!(
        (&exited["class"], &exited["timed_out"], &exited["signal"]),
        (&json!("timeout"), &json!(true), &json!(9))
    );
}

#[test]
fn a_worker_that_finishes_but_never_exits_is_verified_at_its_limit() {
    let place = one(
        &json!({ "worker_cmd": "echo all is done > result.txt; sleep 300", "worker_timeout_seconds": 0.5, "verify_cmd": "test -s result.txt" }),
    );
    run(&place, 0);
    assert_eq!(exited(&place)["class"], "timeout");
}

#[test]
fn a_task_has_its_own_limit() {
    let place = one(&json!({
        "worker_cmd": "sleep 300", "worker_timeout_seconds": null, "verify_cmd": "true",
        "tasks": [{ "id": "a", "goal": "x", "worker_timeout_seconds": 0.3 }],
    }));
    run(&place, 0);
    assert_eq!(exited(&place)["timed_out"], true);
}

#[test]
fn a_silent_worker_is_stopped_and_one_that_speaks_is_not() {
    let chatty = "i=0; while [ $i -lt 12 ]; do echo $i; sleep 0.2; i=$((i+1)); done; touch finished";
    let place = one(&json!({
        "worker_cmd": "echo so far; sleep 300", "worker_idle_seconds": 1.5,
        "tasks": [{ "id": "a", "goal": "x" }, { "id": "b", "goal": "y", "worker_cmd": chatty }],
    }));
    run(&place, 0);
    let history = place.history();
    let classes: Vec<&Value> = history
        .of("worker_exited")
        .map(|record| &record["class"])
        .collect();
    assert_eq!(classes, [&json!("timeout"), &json!("ok")]);
    assert!(place.path("repo/finished").exists());
}

#[test]
fn a_stopped_worker_is_ended_at_its_limit() {
    let place = one(
        &json!({ "worker_cmd": "kill -STOP $$; echo continued > on.txt", "worker_timeout_seconds": 0.5 }),
    );
    run(&place, 0);
    assert_eq!(exited(&place)["timed_out"], true);
}

#[test]
fn a_flood_of_output_is_bounded_in_memory_and_on_disk() {
    const FLOOD: u64 = 320 << 20;
    let place =
        one(&json!({ "worker_cmd": format!("yes 0123456789abcdef | head -c {FLOOD}; touch flooded") }));
    let mut running = place.start(["run"]);
    let (mut most, mut own) = (0, 0);
    while !running.has_ended() {
        most = most.max(resident(running.id(), "VmHWM:"));
        own = own.max(resident(running.id(), "RssAnon:"));
        std::thread::sleep(Duration::from_millis(5));
    }
    running.wait(ON_TIME).exits(0);
    let exited = exited(&place);
    assert_eq!(exited["output"]["bytes"], FLOOD);
    let mut whole = b"0123456789abcdef\n".repeat(usize::try_from(FLOOD / 17 + 1).unwrap());
    whole.truncate(usize::try_from(FLOOD).unwrap());
    assert_eq!(exited["output"]["sha256"], sha256(&whole).to_string());
    let kept = fs::metadata(place.path("evidence/a/attempt-1.worker.log"))
        .unwrap()
        .len();
    assert!(kept < (64 << 20) + 1000, "{kept} bytes kept");
    // The code of a debug build alone takes some 18 MB. What a flood could make grow is what is not code.
    let (bound, own_bound) = (if cfg!(debug_assertions) { 30_000 } else { 20_000 }, 6_000);
    if most == 0 {
        return skip("the driver's memory", "there is no /proc to read it from");
    }
    say(&format!(
        "a worker wrote {} MiB; the driver and its guardian needed {most} kB each at most, {own} kB without code",
        FLOOD >> 20
    ));
    assert!(
        most < bound && own < own_bound,
        "{most} kB, {own} kB without code"
    );
    place.holds();
}

/// The highest of these amounts in kB (proc_pid_status(5)), of the driver and its children that run the same program.
fn resident(driver: u32, amount: &str) -> u64 {
    let peak = |id: u32| {
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with(amount));
        line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
            .unwrap_or(0)
    };
    let tasks = fs::read_dir(format!("/proc/{driver}/task"))
        .into_iter()
        .flatten()
        .flatten();
    let children: String = tasks
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
        .collect();
    let program = |id: u32| fs::read_link(format!("/proc/{id}/exe")).ok();
    let same = children
        .split_whitespace()
        .filter_map(|id| id.parse().ok())
        .filter(|id| program(*id) == program(driver));
    same.chain([driver]).map(peak).max().unwrap_or(0)
}

#[test]
fn exit_codes_and_words_of_the_worker_decide_nothing() {
    let place = Place::new(&json!({
        "worker_cmd": "echo I have done it, all tests pass; test {task_id} = good && touch good; test {task_id} = bad", "max_attempts": 1,
        "verify_cmd": "test -e \"$MACHINE_TASK_ID\"", "tasks": [{ "id": "good", "goal": "exits 1 and has done it" }, { "id": "bad", "goal": "exits 0 and has not" }],
    }));
    run(&place, 3);
    assert_eq!(
        (place.status("good").as_str(), place.status("bad").as_str()),
        ("done", "blocked")
    );
}

#[test]
fn a_verifier_that_cannot_run_is_asked_three_times_and_never_the_workers_fault() {
    for (verify, code) in [
        ("no-such-verifier", "127"),
        ("../goal.json", "126"),
        ("exit 126", "126"),
    ] {
        let place =
            one(&json!({ "worker_cmd": "echo x >> runs.txt", "verify_cmd": verify, "max_attempts": 3 }));
        let ended = run(&place, 3);
        ended.says(&["QUARANTINED a: verify could not run 3 times", code]);
        let history = place.history();
        assert_eq!(
            (
                history.count("verify_unavailable"),
                history.count("verify_failed"),
                history.count("dispatch")
            ),
            (3, 0, 1)
        );
        assert_eq!(history.of("quarantine").next().unwrap()["cause"], "unclear");
        assert_eq!(place.text("repo/runs.txt"), "x\n");
    }
}

#[test]
fn a_verifier_that_comes_back_is_believed() {
    let place = one(
        &json!({ "worker_cmd": "echo x >> runs.txt", "verify_cmd": "echo y >> asked.txt; test $(wc -l < asked.txt) -ge 2 || exit 127" }),
    );
    run(&place, 0);
    assert_eq!(
        (
            place.text("repo/runs.txt").as_str(),
            place.history().count("verify_unavailable")
        ),
        ("x\n", 1)
    );
}

#[test]
fn a_verifier_that_hangs_or_dies_has_failed_the_attempt() {
    for (verify, says, time) in [
        ("echo looking; sleep 300", "timed out", 0.5),
        ("kill -SEGV $$; sleep 300", "killed by SIGSEGV", 60.0),
        ("exit 75", "exit 75", 60.0),
    ] {
        let place = one(
            &json!({ "worker_cmd": "cat {feedback_file} > heard.txt", "verify_cmd": verify, "verify_timeout_seconds": time, "max_attempts": 2 }),
        );
        run(&place, 3).says(&["QUARANTINED a: verify failed 2 times", says]);
        assert_eq!(place.history().dispatches("a"), 2, "{verify}");
    }
}

#[test]
fn a_rate_limited_worker_waits_and_loses_no_attempt() {
    let place = one(&json!({
        "worker_cmd": "echo x >> runs.txt; test $(wc -l < runs.txt) -ge 4 && exit 0; printf '{\"retry_after_seconds\":0.05}' > \"$MACHINE_USAGE_FILE\"; exit 75",
    }));
    run(&place, 0).says(&["worker asks to come back later"]);
    let history = place.history();
    assert_eq!(
        (
            history.dispatches("a"),
            history.count("verified"),
            history.count("verify_failed")
        ),
        (4, 1, 0)
    );
}

#[test]
fn reported_usage_counts_and_halts() {
    let usage = |text: &str| format!("printf '{text}' > \"$MACHINE_USAGE_FILE\"");
    let tasks: Vec<Value> = (0..4)
        .map(|n| json!({ "id": format!("t{n}"), "goal": "x" }))
        .collect();
    let cases = [
        (
            json!({ "max_usd": 1 }),
            usage("{\"usd\":0.4}"),
            3,
            ["max_usd", "1.200000 USD used, 1.000000 USD allowed"],
        ),
        (
            json!({ "max_tokens": 100 }),
            usage("{\"input_tokens\":30,\"output_tokens\":20}"),
            2,
            ["max_tokens", "100 tokens used"],
        ),
        (
            json!({ "max_output_bytes": 10 }),
            "echo 123456".to_owned(),
            2,
            ["max_output_bytes", "10 bytes allowed"],
        ),
        (
            json!({ "max_usd": 1 }),
            "true".to_owned(),
            1,
            ["max_usd", "unknown"],
        ),
        (
            json!({ "max_tokens": 100 }),
            usage("{\"usd\":0.1}"),
            1,
            ["max_tokens", "unknown"],
        ),
        (
            json!({ "max_usd": 1 }),
            usage("{\"usd\":-1}"),
            1,
            ["max_usd", "unknown"],
        ),
        (
            json!({ "max_usd": 1 }),
            usage("{\"usd\":0.1, \"usd\":0.2}"),
            1,
            ["max_usd", "unknown"],
        ),
        (
            json!({ "max_usd": 1 }),
            "ln -s /etc/passwd \"$MACHINE_USAGE_FILE\"".to_owned(),
            1,
            ["max_usd", "unknown"],
        ),
    ];
    for (budget, worker, runs, says) in cases {
        let place = one(&json!({ "worker_cmd": worker, "budget": budget, "tasks": tasks }));
        let ended = run(&place, 2);
        ended.says(&["BUDGET HALT"]).says(&says);
        assert_eq!(place.history().count("dispatch"), runs, "{budget} {worker}");
        let again = run(&place, 2);
        again.says(&says);
        assert_eq!(
            place.history().count("dispatch"),
            runs,
            "amounts survive a restart"
        );
    }
}

#[test]
fn the_wall_clock_acts_while_a_worker_or_a_verifier_runs() {
    for (worker, verify) in [
        ("sleep 300", "true"),
        ("true", "sleep 300"),
        ("trap '' TERM; while :; do sleep 1; done", "true"),
    ] {
        let place = one(
            &json!({ "worker_cmd": worker, "verify_cmd": verify, "budget": { "max_wall_seconds": 0.5 } }),
        );
        run(&place, 2).says(&["BUDGET HALT", "max_wall_seconds", "0.500 s allowed"]);
        run(&place, 2);
        assert_eq!(place.history().count("dispatch"), 1);
    }
}

#[test]
fn a_worker_that_kills_its_parent_harms_only_its_own_attempt() {
    let place = one(
        &json!({ "worker_cmd": "test -e once && exit; touch once; (sleep 300 & echo $! > child.txt); kill -9 $PPID; sleep 300" }),
    );
    let ended = place.run(["run"]);
    ended.exits(0);
    assert!(!is_alive(place.text("repo/child.txt").trim().parse().unwrap()));
    place.is_quiet();
    place.holds();
    // It had begun, so what it left is judged like any other attempt.
    assert_eq!(
        (place.history().dispatches("a"), place.history().count("verified")),
        (1, 1)
    );
}

#[test]
fn the_environment_is_the_drivers_less_what_is_not_the_workers() {
    let place = one(
        &json!({ "worker_cmd": "env > worker.env; cat > stdin.txt", "verify_cmd": "env > verify.env", "env_pass": ["TELEGRAM_CHAT_*"] }),
    );
    let mut command = place.command(["run"]);
    command
        .env(
            "TELEGRAM_BOT_TOKEN",
            "123456:secret-and-long-enough-to-be-a-token",
        )
        .env("TELEGRAM_CHAT_ID", "7")
        .env("CLAUDECODE", "1")
        .env("OURS", "yes")
        .env("MACHINE_OLD", "1");
    machine_driver_tests::Running::start(command)
        .wait(TIME_MAX)
        .exits(0);
    for file in ["repo/worker.env", "repo/verify.env"] {
        let env = place.text(file);
        let has = |line: &str| env.lines().any(|one| one.starts_with(line));
        assert!(
            has("TELEGRAM_CHAT_ID=7")
                && has("OURS=yes")
                && !has("CLAUDECODE")
                && !env.contains("secret")
                && !has("MACHINE_OLD"),
            "{env}"
        );
        for name in [
            "MACHINE_TASK=x",
            "MACHINE_TASK_ID=a",
            "MACHINE_ATTEMPT=1",
            "MACHINE_TASK_FILE=",
            "MACHINE_FEEDBACK_FILE=",
            "MACHINE_GOAL=",
            "MACHINE_SESSION=",
            "MACHINE_USAGE_FILE=",
        ] {
            assert!(has(name), "{name} is missing in {env}");
        }
    }
    assert_eq!(place.text("repo/stdin.txt"), "", "stdin is closed");
}

#[test]
fn no_descriptor_of_the_driver_reaches_a_worker() {
    if !fs::exists("/proc/self/fd").unwrap() {
        return skip("descriptors of a worker", "there is no /proc to see them in");
    }
    let place = one(&json!({ "worker_cmd": "ls -l /proc/$$/fd > fds.txt" }));
    run(&place, 0);
    let fds = place.text("repo/fds.txt");
    assert!(!fds.contains("driver-log") && !fds.contains("goal.json"), "{fds}");
}

#[test]
fn an_edit_of_the_goal_while_it_runs_is_kept_and_undone() {
    let place = Place::new(&json!({
        "worker_cmd": "test {task_id} = a && sed 's/\"goal\": \"second\"/\"goal\": \"hacked\"/' \"$MACHINE_GOAL\" > x && cp x \"$MACHINE_GOAL\"; true", "verify_cmd": "true",
        "tasks": [{ "id": "a", "goal": "first" }, { "id": "b", "goal": "second" }],
    }));
    run(&place, 0).says(&["TAMPERING"]);
    assert_eq!(place.of_task("b", "goal"), "second");
    let names: Vec<String> = fs::read_dir(place.folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    let kept = names
        .iter()
        .find(|name| name.starts_with("goal.json.edited-"))
        .expect("the edit is kept");
    assert!(place.text(kept).contains("hacked"));
    assert_eq!(place.history().count("tampering"), 1);
}

#[test]
fn a_goal_that_was_removed_while_it_runs_is_restored() {
    let place = one(&json!({ "worker_cmd": "rm \"$MACHINE_GOAL\"" }));
    run(&place, 0).says(&["TAMPERING"]);
    assert_eq!(place.status("a"), "done");
}

#[test]
fn a_log_that_a_worker_writes_to_or_removes_stops_the_driver() {
    for (worker, says) in [
        (
            "echo '{}' >> \"$(dirname \"$MACHINE_GOAL\")/driver-log.jsonl\"",
            "changed by someone else",
        ),
        (
            ": > \"$(dirname \"$MACHINE_GOAL\")/driver-log.jsonl\"",
            "changed by someone else",
        ),
        (
            "rm \"$(dirname \"$MACHINE_GOAL\")/driver-log.jsonl\"",
            "removed or replaced",
        ),
        (
            "cd \"$(dirname \"$MACHINE_GOAL\")\"; cp driver-log.jsonl x; mv x driver-log.jsonl",
            "removed or replaced",
        ),
    ] {
        let place = one(
            &json!({ "worker_cmd": worker, "tasks": [{ "id": "a", "goal": "x" }, { "id": "b", "goal": "y" }] }),
        );
        let ended = place.run(["run"]);
        ended.exits(1).says(&[says, "driver-log.jsonl", "next:"]);
        assert!(
            !place.path("evidence/b").exists(),
            "nothing goes on unlogged: {worker}"
        );
    }
}

#[test]
fn evidence_that_is_a_link_is_not_written_through() {
    let place = one(&json!({ "worker_cmd": "true" }));
    fs::create_dir(place.path("evidence")).unwrap();
    fs::create_dir(place.path("elsewhere")).unwrap();
    std::os::unix::fs::symlink(place.path("elsewhere"), place.path("evidence/a")).unwrap();
    place.run(["run"]).exits(1).says(&["evidence/a", "next:"]);
    assert_eq!(fs::read_dir(place.path("elsewhere")).unwrap().count(), 0);
    fs::remove_file(place.path("evidence/a")).unwrap();
    place.run(["run"]).exits(0);
    place.holds();
}

#[test]
fn a_stop_of_the_driver_itself_is_only_a_pause() {
    let place = one(&json!({ "worker_cmd": "touch begun; sleep 0.5; touch ended" }));
    let running = place.start(["run"]);
    wait_until("the worker", ON_TIME, || place.path("repo/begun").exists());
    running.signal(rustix::process::Signal::STOP);
    wait_until("the worker's end", ON_TIME, || place.path("repo/ended").exists());
    running.signal(rustix::process::Signal::CONT);
    running.wait(ON_TIME).exits(0);
    place.holds();
}
