//! Every goal that is not acceptable: exit 10 before anything starts, with path, place and next step, and nothing on the
//! disk changed.

use std::fs;
use std::os::unix::ffi::OsStringExt;

use machine_driver_tests::{Ended, Place, Tree};
use serde_json::{Value, json};

/// A goal that would run, changed by `change`.
fn goal(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut goal = json!({
        "goal": "g", "repo": "repo", "tick_seconds": 0,
        "worker_cmd": "echo ran >> ran.txt", "verify_cmd": "true",
        "tasks": [{ "id": "t1", "goal": "one" }, { "id": "t2", "goal": "two" }],
    });
    change(&mut goal);
    serde_json::to_vec_pretty(&goal).unwrap()
}

/// One bad goal and what is to be said about it.
struct Case {
    name: &'static str,
    bytes: Vec<u8>,
    /// `line:column`, where there is a place.
    place: Option<&'static str>,
    says: &'static [&'static str],
}

fn case(
    name: &'static str,
    bytes: impl Into<Vec<u8>>,
    place: &'static str,
    says: &'static [&'static str],
) -> Case {
    Case {
        name,
        bytes: bytes.into(),
        place: (!place.is_empty()).then_some(place),
        says,
    }
}

fn set(
    name: &'static str,
    key: &'static str,
    value: Value,
    place: &'static str,
    says: &'static [&'static str],
) -> Case {
    case(name, goal(|goal| goal[key] = value), place, says)
}

fn with_id(name: &'static str, id: &str, says: &'static [&'static str]) -> Case {
    case(
        name,
        goal(|goal| goal["tasks"][1]["id"] = id.into()),
        "13:13",
        says,
    )
}

/// Runs every command that reads a goal on it; none may change anything.
fn refuses(case: &Case) {
    let place = Place::bare();
    fs::write(place.goal(), &case.bytes).unwrap();
    let before = Tree::of(place.folder());
    let run = place.run(["run"]);
    is_refusal(case, &place, &run);
    let machine = place.run(["run", "--json"]);
    is_refusal_in_json(case, &place, &machine);
    let check = place.run(["check"]);
    assert_eq!(check.code, 10, "{}: check\n{}", case.name, check.text());
    before.is_still(place.folder());
}

#[track_caller]
fn is_refusal(case: &Case, place: &Place, run: &Ended) {
    let name = case.name;
    let text = run.text();
    assert_eq!(run.code, 10, "{name}\n{text}");
    assert_eq!(run.out(), "", "{name}: stdout is the product");
    assert!(text.contains("goal.json"), "{name}: no path in\n{text}");
    if let Some(at) = case.place {
        assert!(
            text.contains(&format!("goal.json:{at}")),
            "{name}: no place {at} in\n{text}"
        );
    }
    for part in case.says {
        assert!(text.contains(part), "{name}: `{part}` is missing in\n{text}");
    }
    assert!(text.contains("next:"), "{name}: no next step in\n{text}");
    assert!(!place.path("repo/ran.txt").exists(), "{name}: the worker ran");
}

#[track_caller]
fn is_refusal_in_json(case: &Case, place: &Place, run: &Ended) {
    let name = case.name;
    assert_eq!((run.code, run.err().as_str()), (10, ""), "{name}");
    let lines = run.json();
    let last = lines.last().unwrap();
    assert_eq!(
        (&last["type"], &last["code"], &last["exit"]),
        (&json!("error"), &json!("bad_goal"), &json!(10)),
        "{name}"
    );
    let path = last["path"].as_str().unwrap_or_default();
    assert!(path.ends_with("goal.json"), "{name}: {last}");
    assert!(
        last["next_step"].as_str().is_some_and(|step| !step.is_empty()),
        "{name}: {last}"
    );
    if let Some(at) = case.place {
        assert_eq!(
            format!("{}:{}", last["line"], last["column"]),
            at,
            "{name}: {last}"
        );
    }
    assert!(!place.path("repo/ran.txt").exists(), "{name}: the worker ran");
}

#[test]
#[rustfmt::skip] // a table
fn files_that_are_no_goal() {
    let truncated = goal(|_| ())[..80].to_vec();
    let deep = format!("{{\"contract\": {}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let mut latin = goal(|_| ());
    latin.extend(b"\xff");
    let bom = [b"\xef\xbb\xbf".to_vec(), goal(|_| ())].concat();
    let cases = [
        case("empty", "", "", &["empty", "init"]),
        case("white space", " \n\t\n", "", &["empty"]),
        case("truncated", truncated, "5:24", &["ends too early"]),
        case("not UTF-8", latin, "17:2", &["not UTF-8", "byte"]),
        case("byte order mark", bom, "1:1", &["byte order mark"]),
        case("deeply nested", deep, "1:140", &["nested deeper than 127"]),
        case("a list", "[]", "1:1", &["object"]),
        case("a comment", "{\n  // hm\n}", "2:3", &["no comments"]),
        case("a second document", "{}\n{}", "2:1", &["trailing"]),
    ];
    cases.iter().for_each(refuses);
}

#[test]
fn a_file_of_65_mib_is_refused_without_being_read() {
    let place = Place::bare();
    fs::File::create(place.goal()).unwrap().set_len(65 << 20).unwrap();
    let before = Tree::of(place.folder());
    let run = place.run(["run"]);
    run.exits(10).says(&["goal.json", "67108864", "next:"]);
    before.is_still(place.folder());
}

#[test]
fn a_goal_that_is_not_there_or_no_file() {
    let place = Place::bare();
    let before = Tree::of(place.folder());
    place
        .run(["run"])
        .exits(10)
        .says(&["goal.json", "No such file", "machine-driver init"]);
    place
        .run(["run", "elsewhere/x.json"])
        .exits(10)
        .says(&["elsewhere/x.json"]);
    place.run(["run", "repo"]).exits(10).says(&["repo", "next:"]);
    place
        .run(["run", "/dev/null"])
        .exits(10)
        .says(&["/dev/null", "next:"]);
    for command in [
        &["check"][..],
        &["status"],
        &["log", "verify"],
        &["log", "show"],
        &["replay"],
        &["retry", "t1"],
    ] {
        let ended = place.run(command);
        assert_eq!(ended.code, 10, "{command:?}\n{}", ended.text());
        ended.says(&["goal.json"]);
    }
    before.is_still(place.folder());
}

#[test]
#[rustfmt::skip] // a table
fn keys_that_are_wrong() {
    let duplicate = String::from_utf8(goal(|_| ())).unwrap().replacen("\"goal\": \"g\"", "\"goal\": \"g\",\n  \"goal\": \"h\"", 1);
    let in_task = String::from_utf8(goal(|_| ())).unwrap().replacen("\"id\": \"t1\"", "\"id\": \"t1\", \"id\": \"t3\"", 1);
    let cases = [
        case("duplicate key", duplicate, "3:3", &["duplicate key", "`goal`", "2:3"]),
        case("duplicate key in a task", in_task, "9:19", &["duplicate key", "tasks[0]"]),
        set("unknown key", "budget", json!({ "max_wall_second": 5 }), "18:5", &["max_wall_second", "did you mean `max_wall_seconds`?"]),
        set("unknown key at the top", "verfy_cmd", json!("true"), "17:3", &["verfy_cmd", "did you mean `verify_cmd`?"]),
        set("a key of another object", "max_usd", json!(5), "17:3", &["max_usd", "budget"]),
        set("number for a text", "goal", json!(7), "2:11", &["goal", "expected"]),
        set("text for a number", "max_attempts", json!("3"), "17:19", &["max_attempts", "expected"]),
        set("too many attempts", "max_attempts", json!(101), "17:19", &["max_attempts", "100"]),
        set("no attempts", "max_attempts", json!(0), "17:19", &["max_attempts", "1"]),
        set("a fraction", "max_attempts", json!(1.5), "17:19", &["max_attempts"]),
        set("negative seconds", "tick_seconds", json!(-1), "4:19", &["tick_seconds"]),
        set("no time", "worker_timeout_seconds", json!(0), "17:29", &["worker_timeout_seconds"]),
        set("no such mode", "mode", json!("comit"), "17:11", &["mode", "commit"]),
        set("null for a required key", "repo", Value::Null, "3:11", &["repo"]),
        set("an empty command", "worker_cmd", json!("  "), "5:17", &["worker_cmd"]),
        set("a command of numbers", "worker_cmd", json!(["sh", 1]), "", &["worker_cmd[1]"]),
        set("tasks that are no list", "tasks", json!({}), "", &["tasks"]),
        case("a task's goal", goal(|goal| goal["tasks"][1]["goal"] = json!(["x"])), "14:15", &["tasks[1].goal", "expected"]),
        case("no tasks", goal(|goal| drop(goal.as_object_mut().unwrap().remove("tasks"))), "", &["tasks", "missing"]),
        case("no worker", goal(|goal| drop(goal.as_object_mut().unwrap().remove("worker_cmd"))), "", &["worker_cmd", "missing"]),
    ];
    cases.iter().for_each(refuses);
}

#[test]
#[rustfmt::skip] // a table
fn ids_and_an_order_that_cannot_be() {
    let long = "x".repeat(200);
    let after = |which: &[(usize, &str)]| {
        goal(|goal| which.iter().for_each(|(task, id)| { goal["tasks"][*task]["after"] = json!([id]); }))
    };
    let cases = [
        with_id("a repeated id", "t1", &["tasks[1].id", "t1"]),
        with_id("an id that leaves its folder", "../x", &["tasks[1].id", "../x"]),
        with_id("an absolute id", "/etc/passwd", &["tasks[1].id"]),
        with_id("a hidden id", ".hidden", &["tasks[1].id"]),
        with_id("an empty id", "", &["tasks[1].id"]),
        with_id("an id of 200 characters", &long, &["tasks[1].id", "128"]),
        with_id("a control character in an id", "a\u{1b}[2J", &["tasks[1].id"]),
        with_id("a line end in an id", "a\nb", &["tasks[1].id"]),
        with_id("a NUL in an id", "a\0b", &["tasks[1].id"]),
        with_id("a letter beyond ASCII in an id", "tür", &["tasks[1].id"]),
        case("a cycle", after(&[(0, "t2"), (1, "t1")]), "", &["after", "t1", "t2"]),
        case("a task after itself", after(&[(0, "t1")]), "", &["after", "t1"]),
        case("after an unknown task", after(&[(0, "t9")]), "", &["t9"]),
    ];
    cases.iter().for_each(refuses);
}

#[test]
fn budgets_of_nothing() {
    for key in [
        "max_worker_runs",
        "max_wall_seconds",
        "max_tokens",
        "max_usd",
        "max_output_bytes",
    ] {
        for amount in [json!(0), json!(-1), json!("1")] {
            let mut case = set("budget", "budget", json!({ key: amount }), "", &["budget"]);
            case.bytes = goal(|goal| goal["budget"] = json!({ key: amount }));
            let at = format!("18:{}", 8 + key.len() + 1);
            case.place = Some(at.leak());
            refuses(&case);
        }
    }
}

#[test]
#[rustfmt::skip] // a table
fn what_is_not_there_yet_is_refused_by_name() {
    let top = [
        ("isolation", json!("checkout")), ("sandbox", json!("required")), ("sandbox", json!("auto")),
        ("sandbox_write", json!(["/tmp"])), ("max_parallel", json!(2)), ("agent", json!("claude")),
        ("alerts", json!({ "ack_within_seconds": 60 })),
    ];
    let check = |key: &str, bytes: Vec<u8>| {
        let place = Place::bare();
        fs::write(place.goal(), bytes).unwrap();
        let before = Tree::of(place.folder());
        place.run(["run"]).exits(10).says(&["goal.json:", key, "this version", "next:"]);
        before.is_still(place.folder());
    };
    for (key, value) in top {
        check(key, goal(|goal| goal[key] = value));
    }
}

#[test]
#[rustfmt::skip] // a table
fn a_repository_or_a_program_that_is_not_there() {
    let missing = json!("no-such-program-anywhere {task_file}");
    let cases = [
        set("no repository", "repo", json!("nowhere"), "3:11", &["repo", "nowhere"]),
        set("a file for a repository", "repo", json!("goal.json"), "3:11", &["repo"]),
        set("no program", "worker_cmd", missing, "5:17", &["worker_cmd", "there is no program `no-such-program-anywhere`"]),
        set("no program in a list", "worker_cmd", json!(["./not-here"]), "", &["worker_cmd", "there is no program `./not-here`"]),
        set("a program that is none", "worker_cmd", json!(["../goal.json"]), "", &["worker_cmd", "goal.json"]),
        case("a task's own program", goal(|goal| goal["tasks"][1]["worker_cmd"] = json!("nope-nope x")), "15:21", &["tasks[1].worker_cmd", "nope-nope"]),
        case("a placeholder in backticks", goal(|goal| goal["worker_cmd"] = json!("echo `echo {task}`")), "5:17", &["backticks", "$MACHINE_TASK"]),
        case("a placeholder in a substitution", goal(|goal| goal["worker_cmd"] = json!("echo $(echo {task})")), "5:17", &["$(…)"]),
        case("a nested shell", goal(|goal| goal["worker_cmd"] = json!("bash -c 'echo {task}'")), "5:17", &["bash", "once more"]),
        case("a nested shell in a list", goal(|goal| goal["worker_cmd"] = json!(["sh", "-c", "echo {task}"])), "", &["worker_cmd"]),
        case("eval", goal(|goal| goal["worker_cmd"] = json!("eval \"{task}\"")), "5:17", &["eval"]),
    ];
    cases.iter().for_each(refuses);
}

#[test]
#[rustfmt::skip] // a table
fn texts_that_cannot_arrive() {
    let long = "x".repeat(200 << 10);
    let cases = [
        case("200 KiB by {task}", goal(|goal| { goal["worker_cmd"] = json!("echo {task}"); goal["tasks"][0]["goal"] = json!(long); }), "10:15", &["tasks[0].goal", "{task_file}"]),
        case("200 KiB by its variable", goal(|goal| { goal["worker_cmd"] = json!("echo \"$MACHINE_TASK\""); goal["tasks"][0]["goal"] = json!(long); }), "10:15", &["tasks[0].goal", "{task_file}"]),
        case("a NUL", goal(|goal| goal["tasks"][0]["goal"] = json!("a\0b")), "10:15", &["tasks[0].goal", "NUL"]),
        case("a blank text", goal(|goal| goal["tasks"][0]["goal"] = json!(" \n ")), "10:15", &["tasks[0].goal"]),
        case("a NUL in a command", goal(|goal| goal["worker_cmd"] = json!("echo \0")), "5:17", &["worker_cmd", "NUL"]),
    ];
    cases.iter().for_each(refuses);
}

#[test]
fn every_problem_is_told_at_once() {
    let place = Place::bare();
    fs::write(
        place.goal(),
        goal(|goal| {
            goal["max_attempts"] = json!(0);
            goal["tasks"][1]["id"] = json!("../x");
        }),
    )
    .unwrap();
    place
        .run(["run"])
        .exits(10)
        .says(&["max_attempts", "tasks[1].id"]);
    let lines = place.run(["run", "--json"]).json();
    assert_eq!(lines.last().unwrap()["problems"].as_array().unwrap().len(), 2);
}

#[test]
fn two_folders_for_one_repo_are_both_named() {
    let place = Place::new(
        &json!({ "repo": "work", "worker_cmd": "true", "verify_cmd": "true", "tasks": [{ "id": "a", "goal": "x" }] }),
    );
    fs::create_dir(place.path("work")).unwrap();
    fs::create_dir_all(place.path("other/work")).unwrap();
    let before = Tree::of(place.folder());
    let mut command = place.command(["run", "../goal.json"]);
    command.current_dir(place.path("other"));
    let ended = machine_driver_tests::Running::start(command).wait(machine_driver_tests::TIME_MAX);
    ended.exits(10).says(&[
        "`work` could be",
        "/other/work",
        "current directory",
        "../goal.json:3:11",
    ]);
    before.is_still(place.folder());
}

#[test]
fn a_log_of_another_goal_is_refused_and_left_alone() {
    let tasks = json!([{ "id": "a", "goal": "x" }]);
    let place = Place::new(&json!({ "worker_cmd": "true", "verify_cmd": "true", "tasks": tasks }));
    place.run(["run"]).exits(0);
    place.write(&json!({ "goal": "other", "worker_cmd": "true", "verify_cmd": "true", "tasks": tasks }));
    let before = Tree::of(place.folder());
    place
        .run(["run"])
        .exits(10)
        .says(&["goal.json", "`g`", "`other`", "log restart"]);
    // The last record was made durable once more, with the same bytes.
    before.holds_the_same(place.folder());
}

#[test]
fn a_goal_file_may_have_any_name() {
    let place = Place::bare();
    let name = std::ffi::OsString::from_vec(b"a b\x1b[2J\xff'$(touch pwned)\n.json".to_vec());
    let bytes = goal(|goal| goal["worker_cmd"] = json!("cat {goal_file} > seen.json"));
    fs::write(place.folder().join(&name), bytes).unwrap();
    let ended = place.run([std::ffi::OsStr::new("run"), &name]);
    ended.exits(0);
    assert!(!ended.text().contains('\u{1b}'), "{:?}", ended.text());
    assert!(
        place.path("repo/seen.json").exists()
            && !place.path("pwned").exists()
            && !place.path("repo/pwned").exists()
    );
    fs::write(place.folder().join(&name), b"{").unwrap();
    let refused = place.run([std::ffi::OsStr::new("run"), &name]);
    refused.exits(10);
    assert!(!refused.text().contains('\u{1b}'), "{:?}", refused.text());
}
