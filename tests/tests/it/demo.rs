//! The README's first command, on machines that are not as one would like them.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use machine_driver_tests::{History, Place, Running, TIME_MAX, Tree, git};
use serde_json::Value;

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
    let history = History::read(&log.unwrap());
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

/// Hooks and programs that a user's or a system's git would run, each of which leaves a trace and fails.
struct Evil {
    place: Place,
    tree: Tree,
}

impl Evil {
    fn new() -> Self {
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
        let tree = Tree::of(&place.path("evil"));
        Self { place, tree }
    }

    fn environment(&self) -> Vec<(&'static str, Option<String>)> {
        let path = |name: &str| Some(self.place.path(name).display().to_string());
        vec![
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
        ]
    }

    /// Expects that nothing of it ran or was touched.
    #[track_caller]
    fn did_nothing(&self) {
        assert_eq!(self.place.text("pwned"), "", "somebody's hook ran");
        self.tree.is_still(&self.place.path("evil"));
        assert!(!self.place.path("nowhere.git").exists());
    }
}

#[test]
fn a_hostile_git_environment_neither_breaks_it_nor_runs() {
    for flags in [&["--dir", "there"][..], &["--commit", "--dir", "there"]] {
        let evil = Evil::new();
        demo(&evil.place, flags, &evil.environment())
            .exits(0)
            .says(&["It went as planned"]);
        evil.did_nothing();
    }
}

#[test]
fn with_commits_it_goes_as_planned_without_a_home_or_a_git_identity() {
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
    let ended = demo(&place, &["--commit"], &bare);
    ended.exits(0).says(&[
        "mode=commit",
        "done: committed as ",
        "release  not committed: the task is not marked reversible",
        "QUARANTINED root",
        "driver: average",
        "Machine-Driver-Task: average",
        "?? lib/release.sh",
        "the log holds",
        "It went as planned",
        "revert --no-edit HEAD",
    ]);
}

#[test]
fn each_commit_is_one_task_that_passes_its_own_test_and_is_in_the_log() {
    let place = Place::bare();
    demo(&place, &["--commit", "--dir", "there"], &[]).exits(0);
    let repo = place.path("there/repo");
    let git = |arguments: &[&str]| git(&repo, place.folder(), arguments);
    let history = History::read(&place.path("there/driver-log.jsonl"));
    history.is_consistent();
    let commits: Vec<(&str, &str)> = history
        .of("commit")
        .map(|record| {
            (
                record["task"].as_str().unwrap(),
                record["commit"].as_str().unwrap(),
            )
        })
        .collect();
    let tasks: Vec<&str> = commits.iter().map(|(task, _)| *task).collect();
    assert_eq!(tasks, ["add", "divide", "average"]);
    assert_eq!(
        (history.count("gate_allowed"), history.count("gate_escalated")),
        (3, 1)
    );
    assert_eq!(
        git(&["rev-list", "--reverse", "HEAD"])
            .lines()
            .skip(1)
            .collect::<Vec<_>>(),
        ids(&commits)
    );
    git(&["fsck", "--strict"]);
    for (task, commit) in &commits {
        let alone = place.path(&format!("alone-{task}"));
        git(&[
            "worktree",
            "add",
            "-q",
            "--detach",
            alone.to_str().unwrap(),
            commit,
        ]);
        let mut test = std::process::Command::new("sh");
        let passed = test.args(["test.sh", task]).current_dir(&alone).output().unwrap();
        assert!(
            passed.status.success(),
            "{task}: {}",
            String::from_utf8_lossy(&passed.stdout)
        );
        assert!(
            git(&["show", "-s", "--format=%B", commit]).contains(&format!("Machine-Driver-Task: {task}"))
        );
    }
}

fn ids<'a>(commits: &[(&'a str, &'a str)]) -> Vec<&'a str> {
    commits.iter().map(|(_, id)| *id).collect()
}

#[test]
fn what_it_says_to_try_next_works() {
    let place = Place::bare();
    demo(&place, &["--commit", "--dir", "there"], &[]).exits(0);
    let run = || {
        let mut command = place.command(["run"]);
        command.current_dir(place.path("there"));
        Running::start(command).wait(TIME_MAX)
    };
    let edit = |ratifier: &str| {
        let mut goal: Value = serde_json::from_str(&place.text("there/goal.json")).unwrap();
        goal["contract"]["ratified_by"] = ratifier.into();
        let tasks = goal["tasks"].as_array_mut().unwrap();
        let release = tasks.iter_mut().find(|task| task["id"] == "release").unwrap();
        release["reversible"] = true.into();
        release["status"] = "pending".into();
        fs::write(place.path("there/goal.json"), goal.to_string()).unwrap();
    };
    edit("Ada");
    run()
        .exits(3)
        .says(&["COMMIT DENIED release: the contract is not ratified: who proposed it has ratified it"]);
    edit("grace");
    run().exits(3).says(&["release  done: committed as "]);
    let message = git(
        &place.path("there/repo"),
        place.folder(),
        &["show", "-s", "--format=%B"],
    );
    assert!(
        message.starts_with("driver: release\n") && message.contains("\nroot\n"),
        "what root left is named: {message}"
    );
    let repo = place.path("there/repo");
    git(&repo, place.folder(), &["revert", "--no-edit", "HEAD"]);
    assert_eq!(git(&repo, place.folder(), &["status", "--short"]), "");
    assert!(!repo.join("lib/release.sh").exists());
}

#[test]
fn signed_it_ends_at_l3_with_a_record_of_what_was_not_done() {
    for flags in [&["--signed"][..], &["--signed", "--commit"]] {
        let place = Place::bare();
        demo(&place, &[flags, &["--dir", "there"]].concat(), &[])
            .exits(0)
            .says(&[
                "record root.json signed",
                "root.json  rejected",
                "ends where the signed log that you named does",
                "conformance: L3",
                "It went as planned",
            ]);
        let mode = |name: &str| fs::metadata(place.path(name)).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode("there/keys"), mode("there/keys/priv.jwk")), (0o700, 0o600));
        let in_there = |arguments: &[&str]| {
            let mut command = place.command(arguments);
            command.current_dir(place.path("there"));
            Running::start(command).wait(TIME_MAX)
        };
        in_there(&["log", "verify", "--did-json", "did.json"]).exits(0);
        in_there(&["replay"]).exits(0);
        // What it says to try: change what was kept.
        let kept = place.path("there/evidence/root/attempt-2.verify.log");
        fs::write(&kept, fs::read_to_string(&kept).unwrap() + "x\n").unwrap();
        let verify = [
            "aar",
            "verify",
            "aar",
            "--did-json",
            "did.json",
            "--evidence",
            "evidence",
        ];
        in_there(&verify)
            .exits(5)
            .says(&["root.json", "evidence-mismatch"]);
    }
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
    for flags in [
        &["--dir", "there", "--json"][..],
        &["--commit", "--dir", "here", "--json"],
        &["--signed", "--dir", "elsewhere", "--json"],
    ] {
        let ended = demo(&place, flags, &[]);
        let last = ended.exits(0).json().pop().unwrap();
        assert_eq!(
            (&last["type"], &last["as_planned"], ended.err().as_str()),
            (&"summary".into(), &true.into(), "")
        );
    }
}

#[test]
fn nobody_is_told_of_it_whatever_the_environment_names() {
    let place = Place::bare();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let telegram = [
        (
            "TELEGRAM_BOT_TOKEN",
            Some("123456:abcdefghijklmnopqrstuvwxyz-0123456789".into()),
        ),
        ("TELEGRAM_CHAT_ID", Some("1".into())),
        ("TELEGRAM_API_URL", Some(url)),
    ];
    demo(&place, &["--commit", "--dir", "there"], &telegram).exits(0);
    assert!(listener.accept().is_err(), "somebody was told");
}
