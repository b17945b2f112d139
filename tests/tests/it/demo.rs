//! The README's first command, on machines that are not as one would like them.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use machine_driver_tests::{Place, Running, TIME_MAX, Tree};

fn demo(
    place: &Place,
    arguments: &[&str],
    environment: &[(&str, Option<String>)],
) -> machine_driver_tests::Ended {
    let mut command = place.command([&["demo"], arguments].concat());
    for (name, value) in environment {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    Running::start(command).wait(TIME_MAX)
}

#[test]
fn it_goes_as_planned_without_a_home_or_a_git_identity() {
    let place = Place::bare();
    let none = |name| (name, None);
    let bare = [
        none("HOME"),
        none("USER"),
        none("LOGNAME"),
        none("EMAIL"),
        none("XDG_CONFIG_HOME"),
        none("TERM"),
        ("TMPDIR", Some(place.path("repo").display().to_string())),
    ];
    let ended = demo(&place, &[], &bare);
    ended.exits(0).says(&[
        "It went as planned",
        "QUARANTINED",
        "GOAL COMPLETE",
        "the log holds",
        "Try next",
    ]);
    let made: Vec<_> = fs::read_dir(place.path("repo")).unwrap().collect();
    assert_eq!(
        made.len(),
        1,
        "one folder, in the system's folder for temporary files"
    );
}

#[test]
fn it_runs_at_least_four_tasks_with_feedback_order_and_a_quarantine() {
    let place = Place::bare();
    demo(&place, &["--dir", "there"], &[]).exits(0);
    let log = fs::read_dir(place.path("there"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.to_string_lossy().ends_with("driver-log.jsonl"));
    let history = machine_driver_tests::History::read(&log.unwrap());
    history.is_consistent();
    assert!(
        history.count("proposed") >= 3
            && history.count("quarantine") >= 1
            && history.count("verify_failed") >= 2
    );
    // What it leaves is a goal like any other.
    let in_there = |arguments: &[&str]| {
        let mut command = place.command(arguments);
        command.current_dir(place.path("there"));
        Running::start(command).wait(TIME_MAX)
    };
    in_there(&["log", "verify"]).exits(0);
    in_there(&["replay"]).exits(0);
    in_there(&["status"]).exits(0).says(&["blocked"]);
    in_there(&["run"]).exits(3);
}

#[test]
fn a_hostile_git_environment_neither_breaks_it_nor_runs() {
    let place = Place::bare();
    fs::create_dir_all(place.path("evil/hooks")).unwrap();
    let script = format!(
        "#!/bin/sh\necho ran >> '{}'\nexit 1\n",
        place.path("pwned").display()
    );
    for hook in [
        "pre-commit",
        "commit-msg",
        "post-commit",
        "prepare-commit-msg",
        "post-checkout",
        "reference-transaction",
        "post-index-change",
    ] {
        let path = place.path(&format!("evil/hooks/{hook}"));
        fs::write(&path, &script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let hooks = place.path("evil/hooks");
    let config = format!(
        "[core]\n\thooksPath = {0}\n\tfsmonitor = {0}/pre-commit\n[commit]\n\tgpgSign = true\n[gpg]\n\tprogram = {0}/pre-commit\n[init]\n\ttemplateDir = {1}\n\tdefaultBranch = odd\n",
        hooks.display(),
        place.path("evil").display()
    );
    fs::write(place.path(".gitconfig"), &config).unwrap();
    fs::write(place.path("system"), &config).unwrap();
    let path = |name: &str| Some(place.path(name).display().to_string());
    let hostile = [
        ("GIT_DIR", path("nowhere.git")),
        ("GIT_WORK_TREE", path("evil")),
        ("GIT_INDEX_FILE", path("evil/index")),
        ("GIT_OBJECT_DIRECTORY", path("evil/objects")),
        ("GIT_CONFIG_GLOBAL", path(".gitconfig")),
        ("GIT_CONFIG_SYSTEM", path("system")),
        ("GIT_TEMPLATE_DIR", path("evil")),
        ("GIT_CONFIG_COUNT", Some("1".into())),
        ("GIT_CONFIG_KEY_0", Some("core.hooksPath".into())),
        ("GIT_CONFIG_VALUE_0", path("evil/hooks")),
        ("GIT_EXTERNAL_DIFF", path("evil/hooks/pre-commit")),
        ("GIT_PAGER", path("evil/hooks/pre-commit")),
    ];
    let evil = Tree::of(&place.path("evil"));
    demo(&place, &["--dir", "there"], &hostile)
        .exits(0)
        .says(&["It went as planned"]);
    assert_eq!(place.text("pwned"), "", "somebody's hook ran");
    evil.is_still(&place.path("evil"));
    assert!(!place.path("nowhere.git").exists());
}

#[test]
fn a_date_of_the_users_does_not_reach_the_demos_git() {
    let place = Place::bare();
    let dates = [
        ("GIT_AUTHOR_DATE", Some("never".into())),
        ("GIT_COMMITTER_DATE", Some("never".into())),
    ];
    demo(&place, &["--dir", "there"], &dates).exits(0);
}

#[test]
fn it_can_clean_up_and_leaves_other_folders_alone() {
    let place = Place::bare();
    demo(&place, &["--dir", "gone", "--remove"], &[]).exits(0);
    assert!(!place.path("gone").exists());
    fs::create_dir(place.path("full")).unwrap();
    fs::write(place.path("full/mine.txt"), "mine").unwrap();
    let before = Tree::of(place.folder());
    let ended = demo(&place, &["--dir", "full"], &[]);
    assert_ne!(ended.code, 0);
    ended.says(&["full", "next:"]);
    before.is_still(place.folder());
}

#[test]
fn with_json_every_line_is_an_object() {
    let place = Place::bare();
    let ended = demo(&place, &["--dir", "there", "--json"], &[]);
    let last = ended.exits(0).json().pop().unwrap();
    assert_eq!(
        (&last["type"], &last["as_planned"], ended.err().as_str()),
        (&"summary".into(), &true.into(), "")
    );
}
