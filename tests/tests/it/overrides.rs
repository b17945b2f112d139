//! The dial and approvals, and what a worker gains by forging them: nothing.

use std::fmt;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use machine_driver::governor::{CommitError, CommitOrder, Committed, Committer, Permit};
use machine_driver::state::change::{Change, ObjectId};
use machine_driver::state::control::Control;
use machine_driver::{Clock as _, Driver, Exit, SystemClock, default_ports};
use machine_driver_tests::{Ended, Place, Running, TIME_MAX, wait_until};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(30);

fn goal(worker: &str, reversible: bool) -> Value {
    json!({
        "mode": "commit", "contract": { "proposed_by": "ann", "ratified_by": "bob", "autonomy_ceiling": 1 },
        "worker_cmd": worker, "verify_cmd": "test -e a",
        "tasks": [{ "id": "a", "goal": "x", "reversible": reversible }],
    })
}

fn place(worker: &str, reversible: bool) -> Place {
    let place = Place::new(&goal(worker, reversible));
    place.init_git();
    place
}

#[test]
fn turned_down_while_a_worker_runs_nothing_is_committed() {
    let place = place(
        "touch ready; while ! test -e ../go; do sleep 0.02; done; echo x > a",
        true,
    );
    let run = place.start(["run"]);
    wait_until("the worker", SOON, || place.path("repo/ready").exists());
    let ended = place.run(["dial", "propose", "--reason", "careful", "--as", "ann", "--json"]);
    ended.exits(0);
    assert_eq!(ended.json().last().unwrap()["turned"], "noted");
    fs::write(place.path("go"), "").unwrap();
    let ended = run.wait(TIME_MAX);
    ended
        .exits(0)
        .says(&["mode=propose, turned by ann: careful", "the mode is propose"]);
    assert_eq!(place.commits().len(), 0);
    let history = place.history();
    let turned = history.of("dial_changed").next().unwrap();
    assert_eq!(
        (&turned["from"], &turned["to"], &turned["running"], &turned["by"]),
        (&json!("commit"), &json!("propose"), &json!(true), &json!("ann"))
    );
    assert_eq!(history.of("override_effective").next().unwrap()["kind"], "dial");
    assert_eq!((history.count("tampering"), history.count("proposed")), (0, 1));
    assert_eq!(place.json()["mode"], "propose");
    place.holds();

    // And up again, between two runs.
    place
        .run(["dial", "commit", "--as", "ann"])
        .exits(0)
        .says(&["mode=commit"]);
    assert_eq!(place.json()["mode"], "commit");
    place
        .run(["dial", "commit", "--as", "ann"])
        .exits(0)
        .says(&["already"]);
    place.holds();
    place.git(&["add", "."]);
    place.git(&["commit", "-q", "-m", "by hand"]);
    place
        .run([
            "task",
            "add",
            "--goal",
            "y",
            "--id",
            "b",
            "--reversible",
            "--worker",
            "echo y > b",
        ])
        .exits(0);
    place.run(["run"]).exits(0).says(&["mode=commit"]);
    assert_eq!(place.commits(), ["by hand", "driver: b"]);
    place.holds();
}

/// A worker that removes the request keeps nobody from being heard, and nobody is told that it was when it was not.
#[test]
fn turned_down_while_a_worker_eats_the_request() {
    let place = place(
        "touch ready; i=0; while [ $i -lt 40000 ]; do rm -f ../control/*.json ../control/wake 2>/dev/null; \
         test -e ../go && break; i=$((i+1)); done; echo x > a",
        true,
    );
    let run = place.start(["run"]);
    wait_until("the worker", SOON, || place.path("repo/ready").exists());
    let ended = place.run(["dial", "propose", "--reason", "careful", "--as", "ann", "--json"]);
    fs::write(place.path("go"), "").unwrap();
    run.wait(TIME_MAX).exits(0);
    let heard = ended.code == 0;
    assert!(heard || ended.code == 1, "{}", ended.text());
    let commits = usize::from(!heard && place.history().count("dial_changed") == 0);
    assert_eq!(place.commits().len(), commits, "{}", ended.text());
    place.holds();
}

#[test]
fn turned_down_in_a_wait_it_is_written_down_at_once() {
    let mut goal = goal("echo x > a; echo x >> b", true);
    goal["tick_seconds"] = json!(600);
    goal["tasks"] = json!([{ "id": "a", "goal": "x", "reversible": true }, { "id": "b", "goal": "y", "reversible": true }]);
    let place = Place::new(&goal);
    place.init_git();
    let run = place.start(["run"]);
    wait_until("the first commit", SOON, || place.history().count("commit") == 1);
    place.run(["dial", "propose"]).exits(0);
    wait_until("the record", SOON, || {
        place.history().count("override_effective") == 1 && place.json()["mode"] == "propose"
    });
    place.run(["halt", "--reason", "x"]).exits(0);
    run.wait(TIME_MAX).exits(4);
    place.holds();
}

#[test]
fn a_goal_that_never_ran_can_be_turned() {
    let place = place("echo x > a", true);
    place.run(["dial", "propose", "--reason", "first look"]).exits(0);
    place.holds();
    place.run(["run"]).exits(0);
    assert_eq!(place.commits().len(), 0);
    assert_eq!(place.history().names()[0], "dial_changed");
    place.holds();
}

/// Git, but that something happens once when the gate has allowed a commit and nothing has been done about it.
struct Interrupting {
    git: Arc<dyn Committer>,
    act: Box<dyn Fn() + Send + Sync>,
    acted: AtomicBool,
}

impl fmt::Debug for Interrupting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interrupting").finish_non_exhaustive()
    }
}

impl Committer for Interrupting {
    fn read_change(&self, control: &Control<'_>) -> Result<Change, CommitError> {
        self.git.read_change(control)
    }

    fn made(&self, order: &CommitOrder) -> Result<Option<ObjectId>, CommitError> {
        let made = self.git.made(order);
        if !self.acted.swap(true, Ordering::Relaxed) {
            (self.act)();
        }
        made
    }

    fn commit(&self, order: &CommitOrder, permit: Permit) -> Result<Committed, CommitError> {
        self.git.commit(order, permit)
    }
}

/// Runs the goal as an embedding program does; the command is given when the gate has allowed the commit, and has been
/// noted before the driver goes on.
fn with_command_at_the_commit(place: &Place, arguments: &'static [&'static str]) -> (Exit, Ended) {
    let path = place.goal();
    let file = machine_driver::read_goal(&path).unwrap();
    let git = default_ports::committer(&file, SystemClock::new().now())
        .unwrap()
        .unwrap();
    let given: Arc<Mutex<Option<Running>>> = Arc::default();
    let (giving, control) = (Arc::clone(&given), place.path("control"));
    let command = Mutex::new(place.command(arguments));
    let act = Box::new(move || {
        let mut command = command.lock().unwrap();
        let command = std::mem::replace(&mut *command, std::process::Command::new("true"));
        *giving.lock().unwrap() = Some(Running::start(command));
        wait_until("the request", SOON, || {
            fs::read_dir(&control).unwrap().any(|entry| {
                let name = entry.unwrap().file_name().into_string().unwrap();
                name.len() > 32 && !name.starts_with('.')
            })
        });
    });
    let acted = AtomicBool::new(false);
    let committer = Interrupting { git, act, acted };
    let exit = Driver::builder(&path)
        .committer(committer)
        .build()
        .unwrap()
        .run()
        .unwrap()
        .exit;
    let given = given.lock().unwrap().take().unwrap();
    (exit, given.wait(TIME_MAX))
}

#[test]
fn a_halt_between_the_gate_and_the_commit() {
    let place = place("echo x > a", true);
    let (exit, ended) =
        with_command_at_the_commit(&place, &["halt", "--reason", "smoke", "--as", "ann", "--json"]);
    ended.exits(0);
    assert_eq!(
        (exit, &ended.json().last().unwrap()["ended"]),
        (Exit::Halted, &json!(false))
    );
    let history = place.history();
    assert_eq!(
        (
            history.count("gate_allowed"),
            history.count("commit"),
            place.commits().len()
        ),
        (1, 0, 0)
    );
    let cut = history.of("interrupted").next().unwrap();
    assert_eq!((&cut["by"], &cut["stage"]), (&json!("halt"), &json!("verify")));
    place.holds();
    place.run(["run"]).exits(4);
    place.run(["resume", "--reason", "settled"]).exits(0);
    place.run(["run"]).exits(0);
    assert_eq!(place.commits(), ["driver: a"]);
    assert_eq!(place.history().dispatches("a"), 1, "no work is done again");
    place.commits_hold();
    place.holds();
}

#[test]
fn a_dial_that_is_turned_down_between_the_gate_and_the_commit() {
    let place = place("echo x > a", true);
    let (exit, ended) = with_command_at_the_commit(&place, &["dial", "propose", "--as", "ann"]);
    ended.exits(0);
    assert_eq!(exit, Exit::Done);
    let history = place.history();
    let denied = history.of("gate_denied").next().unwrap();
    assert_eq!(
        (&denied["at_mutation"], &denied["code"]),
        (&json!(true), &json!("not_asked"))
    );
    assert_eq!(
        (
            history.count("commit"),
            history.count("proposed"),
            place.commits().len()
        ),
        (0, 1, 0)
    );
    place.holds();
}

#[test]
fn a_person_approves_one_commit_that_cannot_be_undone() {
    let place = place("echo $MACHINE_ATTEMPT > a", false);
    place.run(["approve", "nobody"]).exits(64).says(&["has no task"]);
    place
        .run(["approve", "a", "--for", "8d"])
        .exits(64)
        .says(&["at most 7 days"]);
    let ended = place.run([
        "approve",
        "a",
        "--for",
        "2h",
        "--reason",
        "looked at it",
        "--as",
        "bob",
        "--json",
    ]);
    ended.exits(0);
    assert_eq!(ended.json().last().unwrap()["still_denied"], json!(null));
    place
        .run(["status"])
        .exits(0)
        .says(&["approved", "a until", "by bob"]);
    place.holds();
    place.run(["run"]).exits(0);
    assert_eq!(place.commits(), ["driver: a"]);
    assert_eq!(
        place.history().of("gate_allowed").next().unwrap()["approved_by"],
        "bob"
    );
    place.run(["approve", "a"]).exits(64).says(&["is done"]);
    place.holds();
}

/// A record says who and why; and who proposed the contract is not who may allow more than it does.
#[test]
fn nobody_says_nothing_and_the_proposer_approves_nothing() {
    let place = place("echo x > a", false);
    let blank: [&[&str]; 7] = [
        &["halt", "--reason", ""],
        &["halt", "--reason", "x", "--as", " "],
        &["resume", "--reason", "\u{200b}"],
        &["dial", "propose", "--reason", ""],
        &["dial", "commit", "--as", ""],
        &["approve", "a", "--reason", ""],
        &["approve", "a", "--as", "", "--reason", ""],
    ];
    for arguments in blank {
        place.run(arguments).exits(64).says(&["who and why", "next:"]);
    }
    let proposer = ["approve", "a", "--as", " ANN", "--reason", "mine"];
    let ended = place.run(proposer);
    assert_ne!(ended.code, 0);
    ended.says(&["proposed the contract", "next:"]);
    assert_eq!(
        (
            place.history().count("approved"),
            place.history().count("override_requested")
        ),
        (0, 0)
    );
    place.run(["approve", "a", "--as", "bob"]).exits(0);
    assert_eq!(
        place.history().of("approved").next().unwrap()["reason"],
        "no reason given"
    );
    place.holds();
}

/// What is said about one goal waits for no other goal on the tree; and who has to wait is told what can be said at once.
#[test]
fn a_contract_is_revoked_while_another_goal_works_on_the_tree() {
    let place = place("touch ready; sleep 300", true);
    fs::copy(place.goal(), place.path("other.json")).unwrap();
    let run = place.start(["run"]);
    wait_until("the worker", SOON, || place.path("repo/ready").exists());
    let revoke = ["contract", "revoke", "--as", "cid", "--reason", "smoke"];
    place
        .run(revoke)
        .exits(11)
        .says(&["machine-driver halt --reason TEXT", "machine-driver dial propose"]);
    place.run([&revoke[..], &["other.json"]].concat()).exits(0);
    place
        .run(["task", "add", "--goal", "y", "--id", "b", "other.json"])
        .exits(0);
    place.run(["run", "other.json"]).exits(11);
    place.run(["halt", "--reason", "x"]).exits(0);
    run.wait(TIME_MAX).exits(4);
    place.holds();
}

#[test]
fn while_a_halt_stands_nothing_says_run() {
    let place = place("echo x > a", false);
    place
        .run(["check"])
        .exits(0)
        .says(&["machine-driver approve TASK"]);
    place.run(["halt", "--reason", "smoke", "--as", "ann"]).exits(0);
    place
        .run(["check"])
        .exits(4)
        .says(&["halted by ann", "smoke", "resume --reason TEXT"]);
    for arguments in [
        &["check", "--json"][..],
        &["approve", "a", "--as", "bob", "--json"],
        &["dial", "propose", "--json"],
    ] {
        let ended = place.run(arguments);
        let next = ended.json().last().unwrap()["next"].to_string();
        assert!(next.contains("resume --reason TEXT"), "{arguments:?}: {next}");
    }
    place.run(["resume", "--reason", "settled"]).exits(0);
    place.run(["check"]).exits(0);
}

#[test]
fn an_approval_is_for_this_text_and_says_what_else_is_in_the_way() {
    let place = place("echo x > a", false);
    place.run(["approve", "a"]).exits(0);
    let mut goal = place.json();
    goal["tasks"][0]["goal"] = json!("something else");
    place.write(&goal);
    place.run(["run"]).exits(0);
    assert_eq!(place.commits().len(), 0);
    place.holds();

    let mut goal = self::goal("echo x > a", false);
    goal["contract"]["ratified_by"] = json!("ann");
    let place = Place::new(&goal);
    place.init_git();
    place
        .run(["approve", "a"])
        .exits(0)
        .says(&["would not allow it all the same", "not ratified"]);
    place.run(["run"]).exits(0);
    assert_eq!(place.commits().len(), 0);
    place.holds();
}

const ID: &str = "0123456789abcdef0123456789abcdef";

/// What stands in a request, with other fields in place of some of its own.
fn forged(fields: &Value) -> String {
    let mut request = json!({
        "id": ID, "kind": "halt", "by": "ann", "reason": "x", "asked_at": "2026-11-22T10:00:00.000Z",
    });
    let request_fields = request.as_object_mut().unwrap();
    request_fields.extend(fields.as_object().unwrap().clone());
    request.to_string()
}

/// A worker that leaves something in `control/` gains nothing: no commit, and the log says what lay there.
#[track_caller]
fn gains_nothing(lay: &str, reversible: bool, says: &str) -> Place {
    let place = place(&format!("{lay}; echo x > a"), reversible);
    place.run(["run"]).exits(0).says(&["TAMPERING"]);
    let history = place.history();
    let told = history.of("tampering").next().unwrap();
    let what = told["what"].as_str().unwrap();
    assert!(
        what.contains("only an operator may make") && what.contains(says),
        "{told}"
    );
    assert!(told["kept_as"].as_str().unwrap().ends_with(".refused"), "{told}");
    assert_eq!(history.count("tampering"), 1);
    assert_eq!((place.commits().len(), history.count("commit")), (0, 0));
    for event in [
        "override_lifted",
        "approved",
        "dial_changed",
        "task_added",
        "override_requested",
    ] {
        assert_eq!(history.count(event), 0, "{event}");
    }
    assert_eq!(place.json()["tasks"].as_array().unwrap().len(), 1);
    place.holds();
    place
}

fn leaves(text: &str) -> String {
    format!("echo '{text}' > ../control/{ID}.json")
}

#[test]
fn a_forged_resume() {
    let lay = leaves(&forged(&json!({ "kind": "resume" })));
    gains_nothing(&lay, true, "it asks for `resume`");

    // Also one that lies there before the halt that it is to lift.
    let place = place(&format!("{lay}; touch ready; sleep 300"), true);
    let run = place.start(["run"]);
    wait_until("the worker", SOON, || place.path("repo/ready").exists());
    place.run(["halt", "--reason", "x"]).exits(0);
    run.wait(TIME_MAX).exits(4);
    place.run(["run"]).exits(4);
    place.holds();
}

#[test]
fn a_forged_approval() {
    let request = forged(&json!({ "kind": "approve", "task": "a", "until": "2099-01-01T00:00:00.000Z" }));
    gains_nothing(&leaves(&request), false, "it asks for `approve`");
}

#[test]
fn a_dial_that_a_worker_turns_up() {
    let request = forged(&json!({ "kind": "dial", "mode": "commit" }));
    let place = gains_nothing(&leaves(&request), true, "it turns the dial to `commit`");
    assert_eq!(place.json()["mode"], "commit", "as the operator left it");
}

#[test]
fn a_forged_task_with_a_verify_of_its_own() {
    let request =
        forged(&json!({ "kind": "task_add", "task": { "id": "b", "goal": "y", "verify_cmd": "true" } }));
    gains_nothing(&leaves(&request), true, "it asks for `task_add`");
}

#[test]
fn garbage_pipes_links_and_folders() {
    gains_nothing(&leaves("garbage"), true, "not one JSON object");
    gains_nothing(
        "echo x > ../control/halt",
        true,
        "its name is not that of a request",
    );
    gains_nothing(&format!("mkfifo ../control/{ID}.json"), true, "not a file");
    gains_nothing(
        &format!("ln -s /etc/passwd ../control/{ID}.json"),
        true,
        "it is a link",
    );
    gains_nothing(&format!("mkdir ../control/{ID}.json"), true, "not a file");
    gains_nothing(
        &format!("head -c 70000 /dev/zero > ../control/{ID}.json"),
        true,
        "more than 65536 bytes",
    );
    let other = forged(&json!({ "id": "f".repeat(32) }));
    gains_nothing(&leaves(&other), true, "its id is not its name");
}

/// A worker may stop its own run: that is less, and the log says who is said to have asked.
#[test]
fn a_halt_that_a_worker_leaves_stops_the_run_and_nothing_more() {
    let place = place(&format!("{}; sleep 300", leaves(&forged(&json!({})))), true);
    place.run(["run"]).exits(4);
    assert_eq!(place.commits().len(), 0);
    place.holds();
    place.run(["resume", "--reason", "it was the worker"]).exits(0);
}
