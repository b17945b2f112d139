use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use machine_driver::Clock;
use machine_driver::alert::Printed;
use machine_driver_governor::{CommitError, CommitOrder, Committed, Committer, Permit};
use machine_driver_state::change::{Change, ObjectId, RefName};
use machine_driver_state::control::Control;
use machine_driver_state::time::Timestamp;

use super::*;
use crate::out::captured::capture;

/// A clock that goes on only while something waits, so that what is printed has no times in it that differ.
#[derive(Debug, Default)]
pub(crate) struct Waited(AtomicI64);

impl Clock for Waited {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_795_341_600_000 + self.0.load(Ordering::Relaxed))
    }

    fn wait(&self, time: std::time::Duration, _: &Stop) {
        self.0
            .fetch_add(i64::try_from(time.as_millis()).unwrap(), Ordering::Relaxed);
    }
}

/// A repository in which the n-th look finds as many changed paths as the n-th number says.
#[derive(Debug)]
pub(crate) struct Scripted {
    paths: Mutex<Vec<u64>>,
    head: Mutex<u8>,
}

impl Scripted {
    pub(crate) fn new(paths: &[u64]) -> Self {
        Self {
            paths: Mutex::new(paths.iter().rev().copied().collect()),
            head: Mutex::new(0),
        }
    }
}

fn object(kind: &str, number: u8) -> ObjectId {
    ObjectId::new(&format!("{kind}{number:02}").repeat(20)[..40]).unwrap()
}

impl Committer for Scripted {
    fn read_change(&self, _: &Control<'_>) -> Result<Change, CommitError> {
        let head = *self.head.lock().unwrap();
        let paths = self.paths.lock().unwrap().pop();
        let paths = paths.ok_or_else(|| CommitError::Refused {
            why: "`big.bin` is kept by a filter".into(),
        })?;
        Ok(Change {
            reference: RefName::new("refs/heads/main").unwrap(),
            parent: Some(object("c", head)),
            tree: object("e", head + u8::from(paths > 0)),
            paths,
        })
    }

    fn made(&self, _: &CommitOrder) -> Result<Option<ObjectId>, CommitError> {
        Ok(None)
    }

    fn commit(&self, _: &CommitOrder, _: Permit) -> Result<Committed, CommitError> {
        let mut head = self.head.lock().unwrap();
        *head += 1;
        let note = (*head == 2).then(|| "the index could not be refreshed".to_owned());
        Ok(Committed {
            id: object("c", *head),
            note,
        })
    }
}

/// What a run of this goal prints: to stdout, to stderr, and how it ends. Not guarded, as a test has no `main`.
fn printed(goal: &str, json: bool, quiet: bool) -> (String, String, Summary) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("goal.json");
    let repo = format!(r#""repo": {:?}"#, folder.path().to_str().unwrap());
    fs::write(&path, goal.replace(r#""repo": ".""#, &repo)).unwrap();
    let (summed, stdout, stderr) = capture(json, quiet, |out| {
        let mut teller = Teller::new(&path, out);
        // Where the goal asks for commits: 2 paths at the start, then what each task leaves.
        let driver = Driver::builder(&path)
            .clock(Waited::default())
            .committer(Scripted::new(&[2, 3, 1, 0, 4, 5]))
            // Not what the environment of whoever runs the tests names.
            .alerter(Printed::with(|_| Ok(())))
            .on_notice(move |notice| teller.tell(notice));
        let summed = driver.build().unwrap().run().unwrap();
        let hints = hints(&path, &summed, &Me::plain());
        out.json(&summary(summed.exit, summary_fields(&summed, &hints)));
        hints.iter().for_each(|hint| out.hint(hint));
        summed
    });
    let real = folder.path().canonicalize().unwrap();
    let plain = |text: String| {
        without_times(
            &text
                .replace(real.to_str().unwrap(), "/w")
                .replace(folder.path().to_str().unwrap(), "/w"),
        )
    };
    (plain(stdout), plain(stderr), summed)
}

/// How long a process took differs each time.
fn without_times(text: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in text.split_inclusive([' ', '\n']) {
        let unit = ["ms,", "s,", "ms", "s"].contains(&word.trim());
        let number = words
            .last_mut()
            .filter(|last| last.starts_with(|c: char| c.is_ascii_digit()));
        if let Some(number) = number.filter(|_| unit) {
            *number = "N ".into();
        }
        words.push(word.to_owned());
    }
    words.concat().replace("N ms", "N s")
}

const MIXED: &str = r#"{"goal": "mixed", "repo": ".", "worker_cmd": "exit $((MACHINE_ATTEMPT - 1))",
    "verify_cmd": "echo one; printf 'two \\033[31m\\n\\n'; echo three; echo four; exit 1",
    "mode": "commit", "contract": {"proposed_by": "ann"}, "max_attempts": 2, "tick_seconds": 0,
    "tasks": [
        {"id": "good", "goal": "this one passes", "verify_cmd": "true"},
        {"id": "bad", "goal": "this one \u001b[31m never does"},
        {"id": "behind", "goal": "so this one is never begun", "after": ["bad"]},
        {"id": "unclear", "goal": "its verify cannot run", "verify_cmd": "exit 127"}
    ]}"#;

#[test]
fn a_run_as_people_read_it() {
    let (stdout, stderr, summed) = printed(MIXED, false, false);
    assert_eq!(summed.exit, Exit::Blocked);
    assert!(!(stdout.clone() + &stderr).contains('\u{1b}'), "{stdout}{stderr}");
    insta::assert_snapshot!("run", format!("{stdout}----- stderr\n{stderr}"));
}

#[test]
fn quiet_keeps_what_scripts_look_for() {
    let (stdout, stderr, _) = printed(MIXED, false, true);
    insta::assert_snapshot!("run_quiet", format!("{stdout}----- stderr\n{stderr}"));
}

pub(crate) const COMMITS: &str = r#"{"goal": "commits", "repo": ".", "worker_cmd": "true {task}", "verify_cmd": "true",
    "mode": "commit", "contract": {"proposed_by": "ann", "ratified_by": "bob", "autonomy_ceiling": 1}, "tick_seconds": 0,
    "tasks": [
        {"id": "three", "goal": "changes three paths", "reversible": true},
        {"id": "one", "goal": "changes one path", "reversible": true},
        {"id": "none", "goal": "changes nothing", "reversible": true},
        {"id": "free", "goal": "nobody marked it as reversible"},
        {"id": "behind", "goal": "what free left is in the way", "reversible": true},
        {"id": "odd", "goal": "leaves something that no commit can hold", "reversible": true}
    ]}"#;

#[test]
fn commits_as_people_read_them() {
    let (stdout, stderr, summed) = printed(COMMITS, false, false);
    assert_eq!(summed.exit, Exit::Done);
    insta::assert_snapshot!("run_commits", format!("{stdout}----- stderr\n{stderr}"));
}

#[test]
fn a_contract_that_nobody_else_ratified_denies_every_commit() {
    let goal = COMMITS.replace("bob", "Ann");
    let (stdout, stderr, summed) = printed(&goal, false, true);
    assert_eq!(summed.exit, Exit::Done);
    let denied = "COMMIT DENIED three: the contract is not ratified: who proposed it has ratified it\n";
    assert!(stdout.contains(denied), "{stdout}{stderr}");
    assert!(!stdout.contains("committed as"), "{stdout}");
}

#[test]
fn a_budget_halt_names_limit_and_amount() {
    let goal = MIXED.replace(
        "\"tick_seconds\"",
        "\"budget\": {\"max_worker_runs\": 2}, \"tick_seconds\"",
    );
    let (stdout, stderr, summed) = printed(&goal, false, true);
    assert_eq!(summed.exit, Exit::BudgetHalt);
    assert!(
        stdout.contains("BUDGET HALT: max_worker_runs reached: 2 worker runs used, 2 worker runs allowed\n"),
        "{stdout}"
    );
    let (_, hints, _) = printed(&goal, false, false);
    assert!(
        hints.contains("raise `budget.max_worker_runs` in /w/goal.json"),
        "{hints}{stderr}"
    );
}

#[test]
fn json_has_a_type_on_every_line_and_ends_with_a_summary() {
    let (stdout, stderr, _) = printed(MIXED, true, false);
    assert_eq!(stderr, "");
    let lines: Vec<Value> = stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let types: Vec<&str> = lines.iter().map(|line| line["type"].as_str().unwrap()).collect();
    assert_eq!(types[..3], ["record", "up", "warning"]);
    assert_eq!(lines[0]["record"]["event"], "driver_up");
    let last = lines.last().unwrap();
    assert_eq!(
        (&last["type"], &last["code"], &last["exit"]),
        (&json!("summary"), &json!("blocked"), &json!(3))
    );
    assert_eq!(
        (&last["tasks"], &last["done"], &last["blocked"]),
        (&json!(4), &json!(1), &json!(3))
    );
}

fn hinted(exit: Exit, remaining: usize) -> Vec<String> {
    let summed = Summary {
        exit,
        tasks: 3,
        done: 1,
        committed: 0,
        blocked: 1,
        remaining,
        worker_runs: 1,
        budget_halt: None,
    };
    hints(Path::new("no such.json"), &summed, &Me::plain())
}

#[test]
fn every_end_says_what_to_type() {
    let run = "machine-driver run 'no such.json'";
    assert_eq!(
        hinted(Exit::Interrupted, 2),
        [format!("everything is saved; go on with `{run}`")]
    );
    assert_eq!(
        hinted(Exit::Done, 2),
        [format!("2 tasks to do; go on with `{run}`")]
    );
    assert_eq!(hinted(Exit::Blocked, 0).len(), 2);
    assert_eq!(hinted(Exit::Done, 0), Vec::<String>::new());
}

#[test]
fn a_task_behind_a_blocked_one_is_not_the_one_to_retry() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("goal.json");
    let goal = format!(
        r#"{{"repo": {:?}, "worker_cmd": "true", "verify_cmd": "false", "max_attempts": 1, "tick_seconds": 0,
            "tasks": [{{"id": "a", "goal": "1", "after": ["-b"]}}, {{"id": "-b", "goal": "2"}}]}}"#,
        folder.path().to_str().unwrap()
    );
    fs::write(&path, goal).unwrap();
    Driver::builder(&path)
        .clock(Waited::default())
        .alerter(Printed::with(|_| Ok(())))
        .build()
        .unwrap()
        .run()
        .unwrap();
    let seen = look(&path).unwrap();
    let first = first_blocked(seen.file.goal(), &seen.state).unwrap();
    assert_eq!(retry_word(&first), "retry -- -b");
}
