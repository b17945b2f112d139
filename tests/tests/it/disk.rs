//! Disks that are full or read-only, and limits on files: a clear error, and the next run goes on.

use std::fs;
use std::process::Command;

use machine_driver_tests::{Ended, Place, Running, TIME_MAX, binary, skip};
use serde_json::{Value, json};

/// Runs a script in a mount namespace of its own, so that what it mounts is gone with it. `$1` is the place's folder, `$2` the
/// binary. `None` where this system does not let us.
fn in_namespace(place: &Place, script: &str) -> Option<Ended> {
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command
            .args([
                "--user",
                "--map-root-user",
                "--mount",
                "sh",
                "-eu",
                "-c",
                script,
                "sh",
            ])
            .arg(place.folder())
            .arg(binary());
        command.current_dir(place.folder()).env("HOME", place.folder());
        command
    };
    let probe = unshare("mkdir -p probe; mount -t tmpfs tmpfs probe").output();
    if !probe.is_ok_and(|output| output.status.success()) {
        skip("a full or read-only disk", "unshare(1) cannot mount a tmpfs here");
        return None;
    }
    Some(Running::start(unshare(script)).wait(TIME_MAX))
}

fn goal(worker: &str) -> Value {
    let tasks: Vec<Value> = (0..4)
        .map(|n| json!({ "id": format!("t{n}"), "goal": "x" }))
        .collect();
    json!({ "worker_cmd": worker, "verify_cmd": "true", "tasks": tasks })
}

/// Mounts a small disk at `disk`, runs a goal on it whose second worker fills it up but for `left` KiB, makes room, and runs
/// again.
const FULL: &str = r#"
mkdir disk
mount -t tmpfs -o size=400k,mode=755 tmpfs disk
cd disk
mkdir repo
cp "$1/goal.json" .
status=0; "$2" run > "$1/first.out" 2> "$1/first.err" || status=$?
echo "$status" > "$1/first.code"
rm -f repo/ballast
status=0; "$2" log verify > "$1/verify.out" 2>&1 || status=$?
echo "$status" > "$1/verify.code"
status=0; "$2" run > "$1/second.out" 2> "$1/second.err" || status=$?
echo "$status" > "$1/second.code"
"$2" log verify
"$2" replay
cp driver-log.jsonl "$1/"
cp repo/runs.txt "$1/"
"#;

#[test]
fn a_disk_that_fills_up_in_the_middle_of_a_run() {
    for left in [0, 4, 8, 12, 16, 24, 40] {
        let fill = format!("head -c 1000000 /dev/zero > ballast 2>/dev/null; truncate -s -{left}k ballast");
        let worker = format!(
            "echo \"$MACHINE_TASK_ID $MACHINE_ATTEMPT $MACHINE_SESSION\" >> runs.txt; test {{task_id}} != t1 || test -e filled || {{ touch filled; {fill}; }}; true"
        );
        let place = Place::new(&goal(&worker));
        let Some(ended) = in_namespace(&place, FULL) else {
            return;
        };
        let told = || {
            format!(
                "{left} KiB left\n{}\n{}\n{}\n{}",
                place.text("first.out"),
                place.text("first.err"),
                place.text("second.err"),
                ended.text()
            )
        };
        assert_eq!(ended.code, 0, "{}", told());
        let first = place.text("first.code");
        assert!(
            first == "1\n" || (left > 8 && first == "0\n"),
            "exit {first}\n{}",
            told()
        );
        if first == "1\n" {
            let error = place.text("first.err").to_lowercase();
            let is_clear = error.contains("no space left on device") || error.contains("is the disk full?");
            assert!(is_clear && error.contains("next: free some space"), "{}", told());
        }
        assert_eq!(
            (
                place.text("verify.code").as_str(),
                place.text("second.code").as_str()
            ),
            ("0\n", "0\n"),
            "{}",
            told()
        );
        let history = place.history();
        history.is_consistent();
        history.asked_for(&place.text("runs.txt"));
        assert_eq!(history.names().last(), Some(&"goal_complete"));
    }
}

const READ_ONLY: &str = r#"
mount --bind "$1" "$1"
cd "$1"
mount -o remount,ro,bind "$1"
for command in run "run --json" status check "log verify" "replay" "log show" "retry t0" "task add --goal x" "log restart"; do
  status=0; "$2" $command > "$3/out" 2> "$3/err" || status=$?
  echo "== $command: $status"; cat "$3/out" "$3/err"
done
"#;

#[test]
fn a_folder_that_cannot_be_written() {
    let place = Place::new(&goal("true"));
    place.run(["run", "--once"]).exits(0);
    let outside = tempfile::TempDir::new().unwrap();
    let script = READ_ONLY.replace("$3", outside.path().to_str().unwrap());
    let Some(ended) = in_namespace(&place, &script) else {
        return;
    };
    ended.exits(0);
    let out = ended.out();
    let said = |command: &str| {
        let mark = format!("== {command}: ");
        let part = out
            .split("== ")
            .find(|part| format!("== {part}").starts_with(&mark))
            .unwrap();
        let (first, rest) = part.split_once('\n').unwrap();
        (first.rsplit_once(' ').unwrap().1.to_owned(), rest.to_owned())
    };
    let (code, text) = said("check");
    assert!(
        code == "10" && text.contains("cannot be written: Read-only"),
        "{code}: {text}"
    );
    for command in ["status", "log verify", "replay", "log show"] {
        assert_eq!(said(command).0, "0", "{command}: {}", said(command).1);
    }
    for command in [
        "run",
        "run --json",
        "retry t0",
        "task add --goal x",
        "log restart",
    ] {
        let (code, text) = said(command);
        assert_eq!(code, "1", "{command}: {text}");
        assert!(
            text.to_lowercase().contains("read-only file system") && text.contains("driver-log.jsonl"),
            "{command}: {text}"
        );
        assert!(text.contains("next"), "{command}: {text}");
    }
    place.run(["run"]).exits(0);
    place.holds();
}

#[test]
fn a_folder_without_rights() {
    if rustix::process::geteuid().is_root() {
        return skip("a folder without rights", "root may write everywhere");
    }
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new(&goal("true"));
    let mode = |bits| fs::set_permissions(place.folder(), fs::Permissions::from_mode(bits)).unwrap();
    mode(0o555);
    let ended = place.run(["run"]);
    mode(0o755);
    ended
        .exits(1)
        .says(&["driver-log.jsonl", "ermission denied", "writable"]);
    place.run(["run"]).exits(0);
    place.holds();
}

/// A run with limits of the shell's, then one without.
fn limited(limit: &str, codes: &[i32]) {
    let worker = "echo \"$MACHINE_TASK_ID $MACHINE_ATTEMPT $MACHINE_SESSION\" >> runs.txt";
    let place = Place::new(&goal(worker));
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("{limit}; exec \"$0\" run")])
        .arg(binary())
        .current_dir(place.folder());
    let ended = Running::start(command).wait(TIME_MAX);
    assert!(
        codes.contains(&ended.code),
        "{limit}: exit {}\n{}",
        ended.code,
        ended.text()
    );
    assert!(!ended.err().contains("panicked"), "{limit}: {}", ended.err());
    if ended.code == 1 {
        ended.says(&["error:", "next:"]);
    }
    let mut again = place.run(["run"]);
    if again.code == 3 {
        // What could not be started or judged under the limit was given up; the operator puts it back.
        for task in ["t0", "t1", "t2", "t3"]
            .iter()
            .filter(|task| place.status(task) == "blocked")
        {
            place.run(["retry", task]).exits(0);
        }
        again = place.run(["run"]);
    }
    again.exits(0);
    let history = place.history();
    history.asked_for(&place.text("repo/runs.txt"));
    place.holds();
    place.is_quiet();
}

#[test]
fn too_few_descriptors() {
    for count in [4, 6, 8, 10, 12, 16] {
        limited(&format!("ulimit -n {count}"), &[0, 1, 3]);
    }
}

#[test]
fn files_that_may_not_grow() {
    // The system ends a process that ignores the limit by SIGXFSZ, which is a kill like any other.
    for blocks in [1, 4, 8, 16] {
        limited(&format!("ulimit -f {blocks}"), &[0, 1, 3, 128 + 25]);
    }
}
