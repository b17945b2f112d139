use std::fs;
use std::path::PathBuf;

use super::*;
use crate::args::GoalArgs;
use crate::git::git;
use crate::out::captured::capture;

/// `.` means another folder to the original driver, so the whole path is written.
fn folder(goal: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("goal.json");
    let repo = format!(r#""repo": {:?}"#, folder.path().to_str().unwrap());
    fs::write(&path, goal.replace(r#""repo": ".""#, &repo)).unwrap();
    (folder, path)
}

/// What `check` prints, the folder's name hidden.
fn text(goal: &str, baseline: bool) -> (Exit, String) {
    let (folder, path) = folder(goal);
    text_in(&folder, &path, baseline)
}

fn text_in(folder: &tempfile::TempDir, path: &Path, baseline: bool) -> (Exit, String) {
    let path = path.to_owned();
    let args = CheckArgs {
        trust: crate::args::TrustArgs { dir: None },
        baseline,
        goal: GoalArgs { path },
    };
    let run = |out: &Out| {
        check(&args, &Me::plain(), out).unwrap_or_else(|failure| crate::error::tell(&failure, out))
    };
    let (exit, stdout, stderr) = capture(false, false, run);
    let sh = shell().detail;
    let text = format!("{stdout}{stderr}exit {}", exit.code());
    let real = folder.path().canonicalize().unwrap();
    let text = text
        .replace(real.to_str().unwrap(), "/w")
        .replace(folder.path().to_str().unwrap(), "/w");
    (exit, without_chance(&text.replace(&sh, "/bin/sh")))
}

/// The digest depends on the folder's name, and who is told on the environment of whoever runs the tests.
fn without_chance(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.contains("  alerts  "));
    let line = |line: &str| match line.split_once("its digest is ") {
        Some((before, digest)) if digest.len() == 64 => format!("{before}its digest is DIGEST\n"),
        _ => format!("{line}\n"),
    };
    lines.map(line).collect::<String>().trim_end().to_owned()
}

const FINE: &str = r#"{"goal": "fine", "repo": ".", "worker_cmd": "true {task}", "verify_cmd": "true",
    "budget": {"max_worker_runs": 9, "max_wall_seconds": 3600, "max_usd": 2.5},
    "tasks": [{"id": "t1", "goal": "one"}, {"id": "t2", "goal": "two", "after": ["t1"]}]}"#;

#[test]
fn a_goal_with_nothing_wrong() {
    let (exit, text) = text(FINE, false);
    assert_eq!(exit, Exit::Done);
    insta::assert_snapshot!("check_fine", text);
}

#[test]
fn a_goal_with_much_to_say_about() {
    let goal = r#"{"goal": "odd", "repo": ".", "worker_cmd": "true \"{task}\"", "mode": "commit",
        "contract": {"proposed_by": "ann", "ratified_by": "Ann"},
        "tasks": [{"id": "t1", "goal": "one", "verify_cmd": "true"}, {"id": "t2", "goal": "two"}]}"#;
    let (exit, text) = text(goal, false);
    assert_eq!(exit, Exit::Done);
    insta::assert_snapshot!("check_odd", text);
}

const RATIFIED: &str = r#"{"goal": "ready", "repo": ".", "worker_cmd": "true {task}", "verify_cmd": "true",
    "mode": "commit", "contract": {"proposed_by": "ann", "ratified_by": "bob", "autonomy_ceiling": 1},
    "budget": {"max_worker_runs": 9},
    "tasks": [{"id": "t1", "goal": "one", "reversible": true}, {"id": "t2", "goal": "two"},
              {"id": "t3", "goal": "three", "reversible": true}, {"id": "t4", "goal": "four", "status": "done"}]}"#;

#[test]
fn what_may_be_committed_and_what_not() {
    let (folder, path) = folder(RATIFIED);
    in_git(folder.path(), &["init", "-q", "-b", "main"]);
    in_git(folder.path(), &["config", "user.name", "x"]);
    in_git(folder.path(), &["config", "user.email", "x@example.invalid"]);
    in_git(folder.path(), &["commit", "-q", "--allow-empty", "-m", "a"]);
    let (exit, text) = text_in(&folder, &path, false);
    assert_eq!(exit, Exit::Done, "{text}");
    insta::assert_snapshot!("check_ready", text);
    let left = crate::git::ask(folder.path(), &["status", "--porcelain"]);
    assert_eq!(
        left.as_deref(),
        Some("?? goal.json"),
        "check leaves nothing behind"
    );
}

#[test]
fn commits_that_could_be_allowed_need_git() {
    let (exit, text) = text(RATIFIED, true);
    assert_eq!(exit, Exit::BadGoal, "{text}");
    insta::assert_snapshot!("check_no_git", text);
}

fn in_git(folder: &Path, arguments: &[&str]) {
    let output = git(folder, arguments).unwrap();
    assert!(output.status.success(), "{arguments:?}");
}

#[test]
fn an_alert_that_nobody_would_get_is_bad() {
    let alerts = r#""alerts": {"webhook": {"url": "https://example.invalid", "secret_file": "no-such-file"}}, "tasks""#;
    let (_folder, path) = folder(&FINE.replace("\"tasks\"", alerts));
    let check = gate::alerts(&read_goal(&path).unwrap());
    assert_eq!(check.found, Found::Bad(Exit::BadGoal), "{check:?}");
    assert!(
        check.detail.contains("alerts could not be sent") && check.fix.is_some(),
        "{check:?}"
    );

    let alerts = r#""alerts": {"command": ["true"]}, "tasks""#;
    let (_folder, path) = folder(&FINE.replace("\"tasks\"", alerts));
    let check = gate::alerts(&read_goal(&path).unwrap());
    assert!(
        check.found == Found::Good && check.detail.contains("command"),
        "{check:?}"
    );
}

/// What is said of records, when the goal also has these keys.
fn records(keys: &str, prepare: impl Fn(&Path)) -> (Found, String) {
    let (folder, path) = folder(&FINE.replace("\"tasks\"", &format!("{keys}, \"tasks\"")));
    prepare(folder.path());
    let lines = attest::records(&read_goal(&path).unwrap());
    let line = lines.last().unwrap();
    let text = format!("{}{}", line.detail, line.fix.as_deref().unwrap_or_default());
    (line.found, text)
}

#[test]
fn a_key_that_cannot_sign_is_named_and_stops_nothing() {
    use std::os::unix::fs::PermissionsExt as _;
    let names = r#""principal": "did:web:example.org", "subject": "did:web:example.org:machine-driver""#;
    let all = format!(r#"{names}, "aar_priv": "keys/priv.jwk""#);
    let key = |folder: &Path| {
        machine_driver::aar::KeyPair::generate()
            .unwrap()
            .write_private(&folder.join("keys/priv.jwk"))
            .unwrap();
    };
    let check = |keys: &str, prepare: &dyn Fn(&Path), found: Found, says: &[&str]| {
        let (is, text) = records(keys, prepare);
        assert_eq!(is, found, "{keys}: {text}");
        says.iter()
            .for_each(|word| assert!(text.contains(word), "{word} is not in {text}"));
    };
    check(
        &all,
        &key,
        Found::Good,
        &[
            "signed by did:web:example.org with",
            "did:web:example.org:verifier",
        ],
    );
    check(
        &all,
        &|_| (),
        Found::Doubtful,
        &["AAR sign SKIPPED", "missing", "keys/priv.jwk"],
    );
    let open = |folder: &Path| {
        key(folder);
        fs::set_permissions(folder.join("keys/priv.jwk"), fs::Permissions::from_mode(0o640)).unwrap();
    };
    check(
        &all,
        &open,
        Found::Doubtful,
        &["AAR sign FAILED", "0640", "chmod 600"],
    );
    let broken = |folder: &Path| {
        key(folder);
        fs::write(folder.join("keys/priv.jwk"), "{}").unwrap();
    };
    check(&all, &broken, Found::Doubtful, &["AAR sign FAILED", "kty"]);
    let tool = format!(r#"{all}, "aar_tool": "no-such-tool.mjs""#);
    check(
        &tool,
        &key,
        Found::Doubtful,
        &["AAR sign SKIPPED", "no-such-tool.mjs"],
    );
    let link = |folder: &Path| {
        key(folder);
        std::os::unix::fs::symlink("/", folder.join("aar")).unwrap();
    };
    check(
        &all,
        &link,
        Found::Doubtful,
        &["aar", "a folder that you can write to"],
    );
    check(names, &|_| (), Found::Doubtful, &["no aar_priv", "keygen"]);
    check(
        r#""aar_priv": "x""#,
        &|_| (),
        Found::Doubtful,
        &["aar_priv alone does nothing"],
    );
}

#[test]
fn a_worker_that_is_not_there() {
    let goal = r#"{"goal": "x", "repo": ".", "worker_cmd": "no-such-agent {task}", "tasks": [{"id": "t1", "goal": "one"}]}"#;
    let (exit, text) = text(goal, true);
    assert_eq!(exit, Exit::BadGoal);
    insta::assert_snapshot!("check_no_worker", text);
}

#[test]
fn a_file_that_is_no_goal() {
    let (exit, text) = text("{\"repo\": 7}", false);
    assert_eq!(exit, Exit::BadGoal);
    insta::assert_snapshot!("check_no_goal", text);
}

#[test]
fn a_log_that_does_not_hold_is_5() {
    let (_folder, path) = folder(FINE);
    fs::write(Paths::of(&path).log, "{\"seq\":0}\n").unwrap();
    let check = log(&path, &Me::plain());
    assert_eq!(check.found, Found::Bad(Exit::NotVerified), "{check:?}");
    assert!(
        check.detail.contains("broken at line 1") && check.fix.is_some(),
        "{check:?}"
    );
}

fn baseline_of(command: &str, status: &str) -> Check {
    let goal = format!(
        r#"{{"repo": ".", "worker_cmd": "true", "verify_cmd": "{command}",
            "tasks": [{{"id": "t1", "goal": "one", "status": "{status}"}}]}}"#
    );
    let (_folder, path) = folder(&goal);
    let file = read_goal(&path).unwrap();
    let (lines, ..) = capture(false, false, |out| baseline::check(&file, &Paths::of(&path), out));
    lines.unwrap().unwrap().remove(0)
}

#[test]
fn a_baseline_should_fail_before_the_work() {
    let fails = baseline_of("exit 3", "pending");
    assert_eq!(fails.found, Found::Good);
    assert!(
        fails.detail.starts_with("verify for t1 fails (exit 3)"),
        "{fails:?}"
    );
    assert_eq!(baseline_of("true", "pending").found, Found::Doubtful);
    assert_eq!(baseline_of("true", "done").found, Found::Good);
    let cannot = baseline_of("./no-such-test", "pending");
    assert_eq!(cannot.found, Found::Doubtful);
    assert!(cannot.detail.contains("could not run"), "{cannot:?}");
}

#[test]
fn a_repository_with_changes_is_told_and_the_drivers_own_files_are_not() {
    let (folder, path) = folder(FINE);
    let run = |arguments: &[&str]| in_git(folder.path(), arguments);
    let file = read_goal(&path).unwrap();
    let found = || repo::check(&file, &Paths::of(&path));
    assert!(found().detail.contains("a plain folder"), "{:?}", found());
    run(&["init", "-q"]);
    assert!(found().detail.contains("without a commit"), "{:?}", found());
    fs::write(folder.path().join("a"), "1").unwrap();
    run(&["add", "a"]);
    run(&[
        "-c",
        "user.name=x",
        "-c",
        "user.email=x@example.invalid",
        "commit",
        "-qm",
        "a",
    ]);
    fs::create_dir(folder.path().join("evidence")).unwrap();
    fs::write(folder.path().join("evidence/x"), "1").unwrap();
    assert!(found().detail.ends_with("git repository, clean"), "{:?}", found());
    fs::write(folder.path().join("a"), "22").unwrap();
    fs::write(folder.path().join("b c"), "2").unwrap();
    assert!(
        found().detail.ends_with("git repository, 2 paths not committed"),
        "{:?}",
        found()
    );
}

/// The first is a whole goal, the others are keys to be added to it.
#[test]
fn what_the_readme_says_to_write_is_acceptable() {
    let readme = include_str!("../../../../README.md");
    let blocks = readme.split("```json\n").skip(1);
    let mut objects = blocks.map(|block| {
        let text = block.split("```").next().unwrap();
        serde_json::from_str::<serde_json::Value>(text).unwrap()
    });
    let mut goal = objects.next().unwrap();
    for object in objects {
        for (key, value) in object.as_object().unwrap() {
            goal[key] = value.clone();
        }
    }
    let place = machine_driver_state::goal::file::Place::unseen("/w/goal.json".into(), "/w".into(), None);
    let file = GoalFile::parse(goal.to_string().as_bytes(), &place).unwrap();
    let goal = file.goal();
    assert!(goal.contract.is_some() && goal.alerts.telegram.is_some() && goal.alerts.webhook.is_some());
    assert_eq!(goal.mode, machine_driver_state::goal::Mode::Commit);
}
