//! What a worker may change: `scope` and `path:` rules, over the real change, before verify and at the gate.

use std::fs;
use std::time::Duration;

use machine_driver_aar::{Did, DidDocument, KeyPair, Level, Record, Verifier, check_evidence};
use machine_driver_tests::{Place, TIME_MAX, wait_until};
use rustix::process::Signal;
use serde_json::{Value, json};

const PRINCIPAL: &str = "did:web:example.org";

/// A goal in commit mode over a repository with a test that decides, in which only `src` may be changed.
fn place(worker: &str, more: &Value) -> Place {
    let mut goal = json!({
        "mode": "commit",
        "contract": {
            "proposed_by": "ann", "ratified_by": "bob", "autonomy_ceiling": 1,
            "scope": ["src"], "immutable": ["path:tests/**"],
        },
        "worker_cmd": worker, "verify_cmd": "sh tests/check.sh", "max_attempts": 2,
        "tasks": [{ "id": "a", "goal": "x", "reversible": true }],
    });
    goal.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let place = Place::new(&goal);
    fs::create_dir_all(place.path("repo/tests")).unwrap();
    fs::create_dir_all(place.path("repo/src")).unwrap();
    fs::write(place.path("repo/tests/check.sh"), "grep -q right src/*\n").unwrap();
    fs::write(place.path("repo/src/start"), "wrong\n").unwrap();
    place.init_git();
    place
}

/// Edits the tests first, and does the work once it was told.
const LIAR_ONCE: &str = "if test -s \"$MACHINE_FEEDBACK_FILE\"; then git checkout -q -- tests; echo right > src/$MACHINE_TASK_ID; \
                         else echo true > tests/check.sh; fi";

#[test]
fn a_worker_that_edits_its_grader_is_caught_told_and_passes_when_it_is_honest() {
    let place = place(LIAR_ONCE, &json!({}));
    let ended = place.run(["run"]);
    ended
        .exits(0)
        .says(&["the change breaks scope and immutable", "changed tests/check.sh"]);
    let feedback = place.text("evidence/a/attempt-2.feedback.txt");
    assert!(
        feedback.contains("immutable: these paths may not be changed, added or deleted: tests/**")
            && feedback.contains("1 of them was changed; put it back as it was:\n  changed tests/check.sh"),
        "{feedback}"
    );
    let history = place.history();
    let failed = history.of("verify_failed").next().unwrap();
    assert_eq!(failed["verifier_id"], "audit");
    assert_eq!(
        (&failed["exit"], &failed["audit"]["scope"]["holds"]),
        (&Value::Null, &json!(false))
    );
    let verified = history.of("verified").next().unwrap();
    assert_eq!(verified["audit"]["survey"]["tree"], verified["change"]["tree"]);
    assert_eq!(place.commits(), ["driver: a"]);
    assert_eq!(
        place.git(&["show", "--format=", "--name-only", "HEAD"]).trim(),
        "src/a"
    );
    place.commits_hold();
    place.holds();
}

#[test]
fn proposals_are_audited_too() {
    let place = place(LIAR_ONCE, &json!({ "mode": "propose" }));
    place.run(["run"]).exits(0).says(&["changed tests/check.sh"]);
    assert_eq!(
        place
            .history()
            .names()
            .iter()
            .filter(|name| **name == "proposed")
            .count(),
        1
    );
    place.holds();
}

#[test]
fn a_plain_folder_is_audited_too() {
    let goal = |worker: &str| {
        json!({
            "contract": { "scope": ["src"], "immutable": ["path:tests/**"] },
            "worker_cmd": worker, "verify_cmd": "test -e src/done", "max_attempts": 1,
            "tasks": [{ "id": "a", "goal": "x" }],
        })
    };
    for (worker, code, named) in [
        ("mkdir -p src; echo > src/done", 0, ""),
        ("mkdir -p src; echo > src/done; echo > beside", 3, "added beside"),
        (
            "mkdir -p src; echo > src/done; rm tests/one",
            3,
            "deleted tests/one",
        ),
    ] {
        let place = Place::new(&goal(worker));
        fs::create_dir(place.path("repo/tests")).unwrap();
        fs::write(place.path("repo/tests/one"), "1").unwrap();
        place.run(["run"]).exits(code);
        assert!(
            place.text("evidence/a/attempt-1.verify.log").contains(named),
            "{worker}"
        );
        place.holds();
    }
}

/// Neither a kill of the driver nor a start in order makes what a worker left look as if it had always been there.
#[test]
fn what_a_worker_left_is_found_after_a_kill_and_after_a_stop() {
    for signal in [Signal::KILL, Signal::TERM] {
        let place = place(
            "if test $MACHINE_ATTEMPT = 1; then echo true > tests/check.sh; touch ../edited; sleep 60; fi",
            &json!({}),
        );
        let run = place.start(["run"]);
        wait_until("the edit", TIME_MAX, || place.path("edited").exists());
        run.signal(signal);
        let _ = run.wait(TIME_MAX);
        let ended = (0..100).map(|_| {
            std::thread::sleep(Duration::from_millis(10));
            place.run(["run"])
        });
        let ended = ended.into_iter().find(|ended| ended.code != 11).unwrap();
        assert_eq!(ended.code, 3, "{signal:?}\n{}", ended.text());
        ended.says(&["changed tests/check.sh"]);
        assert_eq!(place.commits(), [] as [&str; 0]);
        place.holds();
    }
}

/// What a task that was given up has left does not get into the next task's commit: not by a start, not by an edit of the goal,
/// not by putting the task back.
#[test]
fn one_tasks_edit_is_not_laundered_through_the_next() {
    let task = |id: &str| json!({ "id": id, "goal": "x", "reversible": true });
    let place = place(
        "if test $MACHINE_TASK_ID = a; then echo true > tests/check.sh; else echo right > src/b; fi",
        &json!({ "tasks": [task("a"), task("b")] }),
    );
    place.run(["run"]).exits(3);
    assert_eq!(
        (place.status("a"), place.status("b")),
        ("blocked".into(), "blocked".into())
    );
    let expect_none = |ended: machine_driver_tests::Ended| {
        ended
            .exits(3)
            .says(&["what a worker left breaks the rules", "changed tests/check.sh"]);
        assert_eq!(place.commits(), [] as [&str; 0]);
    };
    expect_none(place.run(["run"]));
    place
        .run(["task", "add", "--goal", "y", "--id", "c", "--reversible"])
        .exits(0);
    expect_none(place.run(["run"]));
    let mut goal = place.json();
    goal["tasks"].as_array_mut().unwrap().push(task("d"));
    fs::write(place.goal(), goal.to_string()).unwrap();
    expect_none(place.run(["run"]));
    place.run(["retry", "b"]).exits(0);
    expect_none(place.run(["run"]));
    // Once the operator has put the tests back, the honest one passes.
    place.git(&["checkout", "-q", "--", "tests"]);
    place.run(["retry", "b"]).exits(0);
    place.run(["run"]).exits(3);
    assert_eq!(place.commits(), ["driver: b"]);
    place.holds();
}

/// What is verified is the worker's code: what that writes while it is verified is seen too, across a start.
#[test]
fn what_a_verify_writes_is_not_laundered_by_a_start() {
    let tasks = json!([{ "id": "a", "goal": "x", "reversible": true }, { "id": "b", "goal": "y", "reversible": true }]);
    let place = place(
        "echo '#right' > src/$MACHINE_TASK_ID; if test $MACHINE_TASK_ID = a; then echo 'echo true > tests/check.sh' > src/code; \
         else echo 'exit 1' > src/code; fi",
        &json!({ "tasks": tasks, "verify_cmd": "sh src/code && sh tests/check.sh" }),
    );
    place.run(["run", "--once"]).exits(0);
    assert_eq!(
        place.text("repo/tests/check.sh"),
        "true\n",
        "the verify did not write"
    );
    let committed = place.commits();
    place.run(["run"]).exits(10).says(&["changed tests/check.sh"]);
    assert_eq!(place.commits(), committed);
    place.git(&["checkout", "-q", "--", "tests"]);
    place.run(["run"]).exits(3);
    assert_eq!(place.commits(), committed);
    place.holds();
}

#[test]
fn an_edit_of_the_operators_is_accepted_by_their_word_alone() {
    let place = place(
        "echo right > src/$MACHINE_TASK_ID",
        &json!({ "tasks": [
        { "id": "a", "goal": "x", "reversible": true }, { "id": "b", "goal": "x", "reversible": true, "after": ["a"] },
    ] }),
    );
    place.run(["run", "--max-tasks", "1"]).exits(0);
    // Between two runs the operator betters the tests, and commits that.
    fs::write(
        place.path("repo/tests/check.sh"),
        "grep -q right src/* # for good\n",
    )
    .unwrap();
    place.git(&["commit", "-qam", "better tests"]);
    // Nobody is told to put that back.
    let records = place.history().0.len();
    place.run(["run"]).exits(10).says(&[
        "--accept-tree",
        "changed tests/check.sh",
        "since the driver last looked",
    ]);
    assert_eq!(place.history().0.len(), records);
    place.run(["run", "--accept-tree"]).exits(0);
    assert_eq!(place.commits(), ["driver: a", "better tests", "driver: b"]);
    let history = place.history();
    let accepted: Vec<&Value> = history.of("driver_up").map(|up| &up["accepts_tree"]).collect();
    assert_eq!(accepted, [&Value::Null, &json!(true)]);
    place.holds();
}

/// A rule that was added since asks about files that nobody saw before: then a person has to look first.
#[test]
fn a_rule_that_is_added_between_runs_needs_a_look() {
    let place = place(
        "echo right > src/$MACHINE_TASK_ID",
        &json!({ "tasks": [
        { "id": "a", "goal": "x", "reversible": true }, { "id": "b", "goal": "x", "reversible": true },
    ] }),
    );
    place.run(["run", "--max-tasks", "1"]).exits(0);
    let mut goal = place.json();
    goal["contract"]["immutable"] = json!(["path:tests/**", "path:**/secret"]);
    fs::write(place.goal(), goal.to_string()).unwrap();
    place.run(["run"]).exits(10).says(&["--accept-tree"]);
    place.run(["run", "--accept-tree"]).exits(0);
    assert_eq!(place.commits(), ["driver: a", "driver: b"]);
    place.holds();
}

#[test]
fn a_task_can_narrow_the_scope_and_protect_more() {
    let tasks = json!([
        { "id": "a", "goal": "x", "reversible": true, "scope": ["src/a", "beside"] },
        { "id": "b", "goal": "x", "reversible": true, "immutable": ["path:src/start"] },
        { "id": "c", "goal": "x", "reversible": true },
    ]);
    let worker = "echo right > src/$MACHINE_TASK_ID; case $MACHINE_ATTEMPT$MACHINE_TASK_ID in \
                  1a) echo > src/x ;; 2a) rm src/x ;; 1b) echo > src/start ;; 2b) git checkout -q -- src/start ;; esac";
    let place = place(worker, &json!({ "tasks": tasks }));
    let ended = place.run(["run"]);
    ended.exits(0).says(&["added src/x", "changed src/start"]);
    assert_eq!(place.commits(), ["driver: a", "driver: b", "driver: c"]);
    // What the contract's scope leaves out stays out, whatever a task says.
    let text = place.text("evidence/a/attempt-1.scope.log");
    assert!(text.contains("src, and of those src/a beside"), "{text}");
    place.holds();
}

#[test]
fn the_record_has_a_check_for_each_rule() {
    let place = place(
        LIAR_ONCE,
        &json!({
            "aar_priv": "keys/priv.jwk", "principal": PRINCIPAL, "subject": "did:web:example.org:machine-driver",
            "tasks": [{ "id": "a", "goal": "x", "reversible": true }, { "id": "liar", "goal": "y", "max_attempts": 1 }],
        }),
    );
    let (pair, principal) = (KeyPair::generate().unwrap(), Did::new(PRINCIPAL).unwrap());
    pair.write_private(&place.path("keys/priv.jwk")).unwrap();
    let verifier = Verifier::new(vec![
        DidDocument::read(pair.did_document(&principal).as_bytes()).unwrap(),
    ]);
    place.run(["run"]).exits(3);
    for (task, queries) in [
        ("a", ["sh tests/check.sh", "scope", "immutable"]),
        ("liar", ["the audit of the change", "scope", "immutable"]),
    ] {
        let bytes = fs::read(place.path(&format!("aar/{task}.json"))).unwrap();
        assert_eq!(verifier.check(&bytes).level, Some(Level::L2));
        let record = Record::read(&bytes).unwrap();
        let checks = record.at(&["checks"]).unwrap().as_array().unwrap();
        let asked: Vec<&Value> = checks.iter().map(|check| &check["query"]).collect();
        assert_eq!(asked, queries, "{task}");
        let evidence = check_evidence(&record, &place.path("evidence"));
        assert!(evidence.holds(), "{evidence:?}");
        fs::write(
            place.path(&format!(
                "evidence/{task}/attempt-{}.scope.log",
                if task == "a" { 2 } else { 1 }
            )),
            "forged",
        )
        .unwrap();
        assert!(
            !check_evidence(&record, &place.path("evidence")).holds(),
            "{task}"
        );
    }
    let liar: Value = serde_json::from_str(&place.text("aar/liar.json")).unwrap();
    assert_eq!(liar["verdict"], "rejected");
    place.holds();
}

/// A rule that the operator narrows between verify and commit holds for that commit too.
#[test]
fn rules_that_cannot_be_asked_are_refused_before_anything_starts() {
    for (rules, says) in [
        (json!({ "scope": ["../x"] }), "contract.scope[0]"),
        (json!({ "scope": "src" }), "contract.scope"),
        (json!({ "immutable": ["path:"] }), "contract.immutable[0]"),
        (json!({ "immutable": ["path:[a"] }), "contract.immutable[0]"),
        (json!({ "scope": ["path:src"] }), "without `path:`"),
    ] {
        let place = place("true", &json!({ "contract": rules }));
        place.run(["run"]).exits(10).says(&[says]);
        assert!(!place.path("driver-log.jsonl").exists(), "{rules}");
    }
}
