//! kill -9 in commit mode: as many commits as the gate allowed, none doubled, none without its record.

use std::process::Command;
use std::time::Duration;

use machine_driver_tests::{Ended, Place, Running, TIME_MAX, binary, say, skip};
use serde_json::{Value, json};

const TASKS: usize = 5;

/// Tasks that each change a file, one of which needs a second attempt and one of which does not pass.
fn place() -> Place {
    let tasks: Vec<_> = (0..TASKS)
        .map(|n| json!({ "id": format!("t{n}"), "goal": "x", "reversible": true }))
        .collect();
    let place = Place::new(&json!({
        "mode": "commit", "contract": { "proposed_by": "ann", "ratified_by": "bob", "autonomy_ceiling": 1 },
        "worker_cmd": "echo \"$MACHINE_TASK_ID $MACHINE_ATTEMPT $MACHINE_SESSION\" >> ../runs.txt; \
                       echo \"$MACHINE_ATTEMPT\" > \"$MACHINE_TASK_ID\"",
        "verify_cmd": "test $MACHINE_TASK_ID != t1 || test -s \"$MACHINE_FEEDBACK_FILE\" || { echo again; exit 1; }; \
                       test $MACHINE_TASK_ID != t2",
        "max_attempts": 3, "tasks": tasks,
    }));
    place.init_git();
    place
}

fn kills() -> usize {
    std::env::var("MACHINE_DRIVER_KILLS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(40)
}

#[track_caller]
fn is_finished_well(place: &Place, what: &str) {
    // A guardian that dies just now may hold the lock for longer than a busy machine lets the driver wait.
    let ended = (0..10).map(|_| place.run(["run"])).find(|ended| ended.code != 11);
    let ended: Ended = ended.unwrap();
    assert_eq!(ended.code, 3, "{what}\n{}", ended.text());
    place.commits_hold();
    let history = place.history();
    history.asked_for(&place.text("runs.txt"));
    assert_eq!(history.count("gate_allowed"), history.count("commit"), "{what}");
    // Ten kills in a row give a task up, and on a busy machine that happens.
    let cut_off: Vec<&str> = history
        .of("quarantine")
        .filter(|given_up| given_up["cause"] == "interrupted")
        .filter_map(|given_up| given_up["task"].as_str())
        .collect();
    let passes = |task: &String| !cut_off.contains(&task.as_str());
    let tasks = [0, 1, 3, 4].map(|n| format!("t{n}"));
    let expected: Vec<String> = tasks
        .iter()
        .filter(|task| passes(task))
        .map(|task| format!("driver: {task}"))
        .collect();
    assert_eq!(place.commits(), expected, "{what}");
    assert_eq!(
        place.git(&["status", "--porcelain", "--untracked-files=no"]),
        "",
        "{what}"
    );
    place.holds();
    place.is_quiet();
}

#[test]
fn killed_at_any_moment() {
    let seed = std::time::UNIX_EPOCH.elapsed().unwrap().subsec_nanos() as usize;
    say(&format!("commits, killed at any moment: seed {seed}"));
    let (mut killed, mut goals) = (0, 0);
    while killed < kills() {
        let place = place();
        goals += 1;
        loop {
            let mixed = (seed ^ (killed + 1).wrapping_mul(0x9e37_79b9)).wrapping_mul(0x85eb_ca6b) >> 7;
            // So many records later, so that every start gets somewhere on a busy machine too, and then any moment of
            // what comes after that record.
            let enough = records(&place) + 1 + mixed % 12;
            let mut run = place.start(["run", "--quiet"]);
            while !run.has_ended() && records(&place) < enough {
                std::thread::sleep(Duration::from_micros(200));
            }
            std::thread::sleep(Duration::from_micros((mixed / 12 % 8_000) as u64));
            if run.has_ended() {
                if run.wait(TIME_MAX).code == 3 {
                    break;
                }
                continue;
            }
            run.kill();
            killed += 1;
            if killed >= kills() {
                break;
            }
        }
        is_finished_well(&place, "killed at some moment");
    }
    say(&format!("commits: {killed} kills over {goals} goals"));
}

fn records(place: &Place) -> usize {
    let log = std::fs::read(place.path("driver-log.jsonl")).unwrap_or_default();
    log.iter().filter(|byte| **byte == b'\n').count()
}

/// What git and the driver call to change the disk, in any process of the run but the workers'.
const CALLS: [&str; 14] = [
    "pwrite64",
    "fdatasync",
    "fsync",
    "sync_file_range",
    "syncfs",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "mkdir",
    "unlink",
    "write",
    "ftruncate",
];

#[test]
fn killed_at_every_call_around_a_commit() {
    let probe = Command::new("strace")
        .args([
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            "inject=?mkdir:signal=KILL:when=1",
            "true",
        ])
        .output();
    if !probe.is_ok_and(|output| output.status.success()) {
        skip(
            "kills in single system calls of a commit",
            "strace(1) is not there, or may not trace",
        );
        return;
    }
    let step = std::env::var("MACHINE_DRIVER_EVERY_CALL").map_or(3, |_| 1);
    let mut kills = 0;
    for (offset, call) in CALLS.into_iter().enumerate() {
        for nth in (1 + offset % step..).step_by(step) {
            let place = one();
            let ended = killed_at(&place, call, nth);
            if ended.code == 0 && !was_hit(&place) {
                break;
            }
            kills += 1;
            goes_on(&place, &format!("killed at {call} {nth}"));
        }
    }
    say(&format!(
        "commits: killed at {kills} system calls (every {step}th) of the driver and of git"
    ));
    assert!(kills > 20, "{kills}");
}

/// One task, whose worker and verifier make few calls of their own.
fn one() -> Place {
    let place = Place::new(&json!({
        "mode": "commit", "contract": { "proposed_by": "ann", "ratified_by": "bob", "autonomy_ceiling": 1 },
        "worker_cmd": "echo \"$MACHINE_TASK_ID $MACHINE_ATTEMPT $MACHINE_SESSION\" >> ../runs.txt; echo x > a",
        "verify_cmd": "test -e a", "max_attempts": 3, "tasks": [{ "id": "a", "goal": "x", "reversible": true }],
    }));
    place.init_git();
    place
}

/// The driver is killed when git has moved the branch and nothing has recorded that. Whatever the operator asks for before
/// the next start, the commit stands, so its record comes.
#[test]
fn killed_behind_a_commit_and_goal_json_edited() {
    let edits: [fn(&mut Value); 2] = [
        |goal| goal["mode"] = json!("propose"),
        |goal| goal["tasks"][0]["goal"] = json!("x, and well"),
    ];
    for edit in edits {
        let place = one();
        let git = Command::new("sh")
            .args(["-c", "command -v git"])
            .output()
            .unwrap();
        let git = String::from_utf8(git.stdout).unwrap();
        let script = format!(
            "#!/bin/sh\n{0} \"$@\" || exit $?\ncase \" $* \" in *' update-ref '*) kill -9 $PPID;; esac\n",
            git.trim()
        );
        std::fs::create_dir(place.path("bin")).unwrap();
        std::fs::write(place.path("bin/git"), script).unwrap();
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(place.path("bin/git"), executable).unwrap();
        let path = format!(
            "{}:{}",
            place.path("bin").display(),
            std::env::var("PATH").unwrap()
        );
        let mut command = place.command(["run"]);
        command.env("PATH", path);
        let killed = Running::start(command).wait(TIME_MAX);
        assert_ne!(killed.code, 0);
        assert_eq!((place.commits().len(), place.history().count("commit")), (1, 0));
        let mut goal = place.json();
        edit(&mut goal);
        place.write(&goal);
        place.run(["run"]).exits(0);
        assert_eq!((place.commits().len(), place.history().count("commit")), (1, 1));
        assert_eq!(place.status("a"), "done");
        place.holds();
    }
}

/// With its temporary files in the tree, what a killed driver left there is in no commit.
#[test]
fn temporary_files_in_the_tree() {
    let place = one();
    std::fs::create_dir_all(place.path("repo/tmp/machine-driver-git-killed/info")).unwrap();
    std::fs::write(place.path("repo/tmp/machine-driver-git-killed/config"), "x").unwrap();
    let mut command = place.command(["run"]);
    command.env("TMPDIR", place.path("repo/tmp"));
    Running::start(command).wait(TIME_MAX).exits(0);
    assert_eq!(place.git(&["show", "--name-only", "--format="]).trim(), "a");
}

/// The driver and every process below it are traced; whichever makes the call is killed, and then the driver too, since
/// a git that was killed alone is another test.
fn killed_at(place: &Place, call: &str, nth: usize) -> Ended {
    let mut command = Command::new("strace");
    command.args([
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        &format!("trace=?{call}"),
        "-e",
        "signal=none",
    ]);
    command.args(["-e", &format!("inject=?{call}:signal=KILL:when={nth}")]);
    command.arg(binary()).arg("run").arg("--quiet");
    command.current_dir(place.folder()).env("HOME", place.folder());
    Running::start(command).wait(TIME_MAX)
}

/// Whether any step of the run was cut off or failed: with -f strace counts the calls of each process for itself.
fn was_hit(place: &Place) -> bool {
    let history = place.history();
    history.count("dispatch") != 1 || history.count("commit") != 1 || history.count("interrupted") > 0
}

#[track_caller]
fn goes_on(place: &Place, what: &str) {
    for _ in 0..10 {
        let ended = place.run(["run"]);
        if ended.code == 0 {
            break;
        }
        // Where git alone was killed, the commit failed: it was said, and a person puts the task back.
        if ended.code == 3 {
            assert!(
                place.history().count("quarantine") > 0,
                "{what}\n{}",
                ended.text()
            );
            place.run(["retry", "a"]).exits(0);
        }
    }
    assert_eq!(place.status("a"), "done", "{what}");
    let commits = place.commits();
    let history = place.history();
    // A change that could not be read is left for review: then there is none.
    assert!(commits.len() <= 1, "{what}: {commits:?}");
    assert_eq!(commits.len(), history.count("commit"), "{what}");
    place.commits_hold();
    history.asked_for(&place.text("runs.txt"));
    place.holds();
    place.is_quiet();
}
