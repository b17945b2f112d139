//! Box 0 by command: who can ratify, what a receipt covers, and whose counts.

use std::fs;
use std::path::PathBuf;

use machine_driver_tests::{Ended, Place};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A goal in commit mode that ann has proposed and nobody has ratified: each worker makes a file of its task's name.
fn goal() -> Value {
    json!({
        "mode": "commit", "max_attempts": 2, "budget": { "max_worker_runs": 9 },
        "contract": { "proposed_by": "ann", "autonomy_ceiling": 1, "definition_of_done": "the file is there" },
        "worker_cmd": "echo x > \"$MACHINE_TASK_ID\"", "verify_cmd": "test -e \"$MACHINE_TASK_ID\"",
        "tasks": [{ "id": "a", "goal": "make it", "reversible": true }],
    })
}

fn place(change: impl FnOnce(&mut Value)) -> Place {
    let mut goal = goal();
    change(&mut goal);
    let place = Place::new(&goal);
    place.init_git();
    place
}

/// Changes goal.json as an editor would.
fn edit(place: &Place, change: impl FnOnce(&mut Value)) {
    let mut goal = place.json();
    change(&mut goal);
    fs::write(place.goal(), serde_json::to_string_pretty(&goal).unwrap()).unwrap();
}

/// Somebody with a key, and a folder that trusts them; both far from any worker.
struct Person {
    folder: TempDir,
}

impl Person {
    fn new(name: &str) -> Self {
        let person = Self {
            folder: TempDir::with_prefix("machine-driver-person-").unwrap(),
        };
        fs::create_dir(person.trust()).unwrap();
        let did = format!("did:web:{name}.example");
        let made = Place::bare().run([
            "aar",
            "keygen",
            "--did",
            &did,
            "--out-priv",
            &person.key(),
            "--out-did",
            &person.document().to_string_lossy(),
        ]);
        made.exits(0);
        person
    }

    fn key(&self) -> String {
        self.folder
            .path()
            .join("key/key.jwk")
            .to_string_lossy()
            .into_owned()
    }

    fn trust(&self) -> String {
        self.folder.path().join("trust").to_string_lossy().into_owned()
    }

    fn document(&self) -> PathBuf {
        self.folder.path().join("trust/did.json")
    }

    /// Ratifies with their key.
    #[track_caller]
    fn ratifies(&self, place: &Place) -> Ended {
        let arguments = [
            "contract",
            "ratify",
            "--as",
            "bob",
            "--key",
            &self.key(),
            "--trust",
            &self.trust(),
        ];
        let ended = place.run(arguments);
        ended
            .exits(0)
            .says(&["ratified by bob", "receipt signed with the key of did:web:"]);
        ended
    }

    fn runs(&self, place: &Place) -> Ended {
        place.run(["run", "--trust", &self.trust()])
    }
}

/// The run went well, and committed nothing, for a reason of the contract's that a person is told of.
#[track_caller]
fn is_denied(place: &Place, ended: &Ended, why: &str) {
    ended.exits(0).says(&["mode=propose", "COMMIT DENIED", why]);
    assert_eq!(place.commits(), [""; 0]);
    let history = place.history();
    assert!(history.count("commit_denied") >= 1, "{:?}", history.names());
    let is_told = |alert: &Value| alert["kind"] == "commit_denied";
    assert!(history.of("alert_raised").any(is_told));
    place.holds();
}

#[track_caller]
fn is_committed(place: &Place, ended: &Ended) {
    ended.exits(0).says(&["mode=commit", "committed"]);
    assert_eq!(place.commits(), ["driver: a"]);
    place.commits_hold();
    place.holds();
}

#[test]
fn ratified_by_another_name_commits() {
    let place = place(|_| ());
    let digest = place.run(["contract", "digest"]).exits(0).out();
    let ratified = place.run(["contract", "ratify", "--as", "bob"]);
    ratified.exits(0).says(&["ratified by bob", digest.trim()]);
    assert_eq!(place.json()["contract"]["ratified_by"], "bob");
    assert_eq!(place.history().names(), ["contract_ratified"]);
    // The log begins with it, and everything can be asked about it before a driver has ever run.
    place.holds();
    place.run(["status"]).exits(0).says(&["mode=commit"]);
    place
        .run(["check"])
        .exits(0)
        .says(&["ratified by somebody else", "a: commit"]);
    place
        .run(["contract", "show"])
        .exits(0)
        .says(&["ratified", digest.trim()]);
    is_committed(&place, &place.run(["run"]));
}

#[test]
fn who_proposed_it_cannot_ratify_it_under_any_spelling() {
    let place = place(|_| ());
    let before = place.text("goal.json");
    for name in [
        "ann",
        "ANN",
        " a n n ",
        "a\u{200b}nn",
        "ａｎｎ",
        "",
        "\u{200b}",
        "b\nob",
        "council: A, B",
    ] {
        let ended = place.run(["contract", "ratify", "--as", name]);
        ended.exits(64).says(&["next:"]);
        assert!(!ended.text().contains('\u{200b}'), "{name:?}: {}", ended.text());
        assert_eq!(place.text("goal.json"), before, "{name:?}");
    }
    is_denied(&place, &place.run(["run"]), "`ratified_by` is missing");
}

#[test]
fn a_contract_that_nobody_can_ratify_is_refused() {
    type Change = fn(&mut Value);
    let cases: [(&str, Change); 4] = [
        ("there is no contract", |goal| goal["contract"] = Value::Null),
        ("proposed_by", |goal| {
            goal["contract"]["proposed_by"] = Value::Null;
        }),
        ("proposed_by", |goal| {
            goal["contract"]["proposed_by"] = json!(" \u{200b}");
        }),
        ("expired", |goal| {
            goal["contract"]["expires"] = json!("2020-01-01T00:00:00Z");
        }),
    ];
    for (why, change) in cases {
        let place = place(change);
        let before = place.text("goal.json");
        place
            .run(["contract", "ratify", "--as", "bob"])
            .exits(10)
            .says(&[why, "next:", "goal.json"]);
        place.run(["contract", "show"]).exits(0).says(&["not ratified"]);
        assert_eq!(place.text("goal.json"), before);
    }
    let place = place(|goal| goal["contract"] = Value::Null);
    place
        .run(["contract", "revoke", "--as", "bob", "--reason", "x"])
        .exits(10)
        .says(&["there is no contract"]);
}

#[test]
fn an_expired_contract_does_not_count() {
    let place = place(|goal| {
        goal["contract"]["ratified_by"] = json!("bob");
        goal["contract"]["expires"] = json!("2020-01-01T00:00:00Z");
    });
    is_denied(&place, &place.run(["run"]), "it has expired");
}

#[test]
fn a_revoked_contract_counts_again_when_it_is_ratified_again() {
    let place = place(|_| ());
    place.run(["contract", "ratify", "--as", "bob"]).exits(0);
    let reason = "not like \u{1b}[2Jthis";
    place
        .run(["contract", "revoke", "--as", "carl", "--reason", reason])
        .exits(0)
        .says(&["revoked by carl"]);
    assert_eq!(place.json()["contract"]["revoked"]["reason"], reason);
    let shown = place.run(["contract", "show"]);
    shown
        .exits(0)
        .says(&["not ratified: it was revoked", "by carl", "not like \\e[2Jthis"]);
    place
        .run(["contract", "revoke", "--as", "carl", "--reason", "x"])
        .exits(10)
        .says(&["revoked already"]);
    place
        .run(["contract", "revoke", "--as", "carl", "--reason", " "])
        .exits(64);
    is_denied(&place, &place.run(["run"]), "it was revoked");
    let again = place.run(["contract", "ratify", "--as", "bob"]);
    again.exits(0).says(&["it had been revoked, and counts again"]);
    assert!(place.json()["contract"].get("revoked").is_none());
    let names = ["contract_ratified", "contract_revoked", "contract_ratified"];
    let history = place.history();
    let found: Vec<&str> = history
        .names()
        .into_iter()
        .filter(|name| name.starts_with("contract"))
        .collect();
    assert_eq!(found, names);
    place.holds();
}

#[test]
fn a_receipt_of_somebody_trusted_commits() {
    let (place, bob) = (
        place(|goal| goal["contract"]["require_receipt"] = json!(true)),
        Person::new("bob"),
    );
    place
        .run(["contract", "ratify", "--as", "bob"])
        .exits(10)
        .says(&["require_receipt", "--key"]);
    let ratified = bob.ratifies(&place);
    assert!(!ratified.text().contains("no key was given"));
    let receipt = place.json()["contract"]["receipt"].clone();
    assert_eq!(receipt["signer"], "did:web:bob.example");
    assert_eq!(receipt["kind"], "machine-driver-receipt-1");
    let shown = place.run(["contract", "show", "--trust", &bob.trust()]);
    shown
        .exits(0)
        .says(&["contract     ratified", "the signature holds"]);
    place
        .run(["check", "--trust", &bob.trust()])
        .exits(0)
        .says(&["ratified by somebody else", "a: commit"]);
    place
        .run(["status", "--trust", &bob.trust()])
        .exits(0)
        .says(&["mode=commit"]);
    // Without the folder nobody is trusted: the default one lies in the goal's own folder here.
    place
        .run(["check"])
        .exits(0)
        .says(&["not ratified", "where a worker writes"]);
    place.run(["status"]).exits(0).says(&["mode=propose"]);
    is_committed(&place, &bob.runs(&place));
    let up = place.history().of("driver_up").next().unwrap().clone();
    assert_eq!(
        (up["mode"].as_str(), &up["receipt"]["why"]),
        (Some("commit"), &Value::Null)
    );
}

#[test]
fn the_users_own_folder_of_trust_is_the_default() {
    let (place, bob) = (place(|_| ()), Person::new("bob"));
    let config = TempDir::with_prefix("machine-driver-config-").unwrap();
    let folder = config.path().join("machine-driver/trust");
    fs::create_dir_all(&folder).unwrap();
    fs::copy(bob.document(), folder.join("bob.json")).unwrap();
    let run = |arguments: &[&str]| {
        let output = place
            .command(arguments)
            .env("XDG_CONFIG_HOME", config.path())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    run(&["contract", "ratify", "--as", "bob", "--key", &bob.key()]);
    run(&["run"]);
    assert_eq!(place.commits(), ["driver: a"]);
    place.holds();
}

#[test]
fn a_key_of_somebody_who_is_not_trusted_does_not_count() {
    let (place, bob, eve) = (place(|_| ()), Person::new("bob"), Person::new("eve"));
    let refused = place.run([
        "contract",
        "ratify",
        "--as",
        "bob",
        "--key",
        &eve.key(),
        "--trust",
        &bob.trust(),
    ]);
    refused.exits(64).says(&["belongs to the key", "--trust DIR"]);
    assert!(place.json()["contract"].get("ratified_by").is_none());
    // Signed by eve, who trusts herself.
    eve.ratifies(&place);
    let ended = bob.runs(&place);
    is_denied(&place, &ended, "signed by nobody whom the operator trusts");
    ended.says(&["did:web:eve.example"]);
}

#[test]
fn a_key_that_goal_json_brings_along_does_not_count() {
    let (place, bob) = (place(|_| ()), Person::new("bob"));
    bob.ratifies(&place);
    for inside in ["trust", "repo/trust"] {
        fs::create_dir(place.path(inside)).unwrap();
        fs::copy(bob.document(), place.path(inside).join("did.json")).unwrap();
    }
    // A link that a worker could turn, too.
    std::os::unix::fs::symlink(bob.trust(), place.path("linked")).unwrap();
    for inside in ["trust", "repo/trust", "linked"] {
        let shown = place.run(["contract", "show", "--trust", inside]);
        shown.exits(0).says(&["not ratified", "where a worker writes"]);
    }
    fs::remove_dir_all(place.path("repo/trust")).unwrap();
    let ended = place.run(["run", "--trust", "trust"]);
    is_denied(&place, &ended, "signed by nobody whom the operator trusts");
    let up = place.history().of("driver_up").next().unwrap().clone();
    assert!(
        up["receipt"]["why"]
            .as_str()
            .unwrap()
            .contains("where a worker writes"),
        "{up}"
    );
    // Nor can the key itself lie there.
    fs::copy(bob.key(), place.path("key.jwk")).unwrap();
    let near = place.run([
        "contract",
        "ratify",
        "--as",
        "bob",
        "--key",
        "key.jwk",
        "--trust",
        &bob.trust(),
    ]);
    near.exits(64).says(&["where a worker could read it"]);
}

#[test]
fn documents_that_others_may_write_do_not_count() {
    use std::os::unix::fs::PermissionsExt as _;
    let (place, bob) = (place(|_| ()), Person::new("bob"));
    bob.ratifies(&place);
    fs::set_permissions(bob.document(), fs::Permissions::from_mode(0o666)).unwrap();
    let shown = place.run(["contract", "show", "--trust", &bob.trust()]);
    shown.exits(0).says(&[
        "not ratified",
        "did.json does not count: it can be written to by others",
    ]);
    fs::set_permissions(bob.document(), fs::Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(bob.trust(), fs::Permissions::from_mode(0o777)).unwrap();
    is_denied(
        &place,
        &bob.runs(&place),
        "signed by nobody whom the operator trusts",
    );
}

#[test]
fn a_receipt_copied_from_another_goal_does_not_count() {
    let bob = Person::new("bob");
    let (one, other) = (
        place(|_| ()),
        place(|goal| goal["tasks"][0]["goal"] = json!("something else")),
    );
    bob.ratifies(&one);
    let contract = one.json()["contract"].clone();
    edit(&other, |goal| goal["contract"] = contract);
    is_denied(
        &other,
        &bob.runs(&other),
        "it was changed since its receipt was signed",
    );
}

#[test]
fn any_edit_of_what_a_receipt_covers_takes_it_away() {
    type Change = fn(&mut Value);
    let cases: [(&str, Change); 6] = [
        ("task text", |goal| {
            goal["tasks"][0]["goal"] = json!("make it and more");
        }),
        ("verify_cmd", |goal| goal["verify_cmd"] = json!("true")),
        ("budget", |goal| goal["budget"]["max_worker_runs"] = json!(10)),
        ("scope", |goal| goal["contract"]["scope"] = json!(["a", "b"])),
        ("ceiling", |goal| goal["contract"]["autonomy_ceiling"] = json!(5)),
        ("receipt", |goal| {
            goal["contract"]["receipt"]["at"] = json!("2026-01-01T00:00:00Z");
        }),
    ];
    let bob = Person::new("bob");
    for (what, change) in cases {
        let place = place(|_| ());
        bob.ratifies(&place);
        edit(&place, change);
        let why = if what == "receipt" {
            "signed by nobody whom the operator trusts"
        } else {
            "it was changed since its receipt was signed"
        };
        is_denied(&place, &bob.runs(&place), why);
    }
    let place = place(|_| ());
    bob.ratifies(&place);
    edit(&place, |goal| goal["contract"]["ratified_by"] = json!("mallory"));
    is_denied(&place, &bob.runs(&place), "names somebody else");
}

#[test]
fn dial_alerts_and_notes_are_not_what_is_ratified() {
    let (place, bob) = (place(|goal| goal["mode"] = json!("propose")), Person::new("bob"));
    bob.ratifies(&place);
    edit(&place, |goal| {
        goal["mode"] = json!("commit");
        goal["alerts"] = json!({ "command": ["true"] });
        goal["_note"] = json!("mine");
    });
    is_committed(&place, &bob.runs(&place));
}

#[test]
fn a_receipt_that_is_asked_for_and_not_there_is_missed() {
    let place = place(|goal| {
        goal["contract"]["require_receipt"] = json!(true);
        goal["contract"]["ratified_by"] = json!("bob");
    });
    is_denied(&place, &place.run(["run"]), "it asks for a signed receipt");
}

#[test]
fn names_alone_take_an_older_receipt_away() {
    let (place, bob) = (place(|_| ()), Person::new("bob"));
    bob.ratifies(&place);
    let ended = place.run(["contract", "ratify", "--as", "carl"]);
    ended
        .exits(0)
        .says(&["its older receipt was removed", "no key was given"]);
    assert!(place.json()["contract"].get("receipt").is_none());
    is_committed(&place, &place.run(["run"]));
}

#[test]
fn a_frozen_field_can_be_changed_only_with_a_ratification() {
    let place = place(|goal| {
        goal["contract"]["immutable"] = json!(["definition_of_done"]);
        goal["tasks"] = json!([
            { "id": "a", "goal": "make it", "reversible": true }, { "id": "b", "goal": "make it", "reversible": true },
        ]);
    });
    place.run(["contract", "ratify", "--as", "bob"]).exits(0);
    place.run(["run", "--max-tasks", "1"]).exits(0);
    assert_eq!(place.commits(), ["driver: a"]);
    edit(&place, |goal| {
        goal["contract"]["definition_of_done"] = json!("whatever");
    });
    // It is seen before a run, by a run, and the same name written once more does not heal it.
    place
        .run(["check"])
        .exits(0)
        .says(&["a field that `immutable` freezes was changed"]);
    place
        .run(["contract", "show"])
        .exits(0)
        .says(&["not ratified", "definition_of_done"]);
    place.run(["retry", "b"]).exits(64);
    edit(&place, |goal| goal["contract"]["ratified_by"] = json!("carl"));
    place.run(["check"]).exits(0).says(&["not ratified"]);
    let again = place.run(["contract", "ratify", "--as", "bob"]);
    again
        .exits(0)
        .says(&["with what was changed of its frozen fields: definition_of_done"]);
    place.run(["run"]).exits(0).says(&["mode=commit"]);
    assert_eq!(place.commits(), ["driver: a", "driver: b"]);
    place.holds();
}

#[test]
fn a_frozen_field_that_was_changed_commits_nothing() {
    let place = place(|goal| goal["contract"]["immutable"] = json!(["definition_of_done"]));
    place.run(["contract", "ratify", "--as", "bob"]).exits(0);
    edit(&place, |goal| {
        goal["contract"]["definition_of_done"] = json!("whatever");
    });
    is_denied(
        &place,
        &place.run(["run"]),
        "a field that `immutable` freezes was changed since",
    );
    let edited = place.history().of("goal_edited").next().unwrap().clone();
    assert_eq!(edited["thawed"], json!(["definition_of_done"]));
}

/// What the goal was cannot be compared with: nobody can say that nothing frozen was changed.
#[test]
fn a_goal_that_was_not_kept_cannot_be_compared_with() {
    let place = place(|goal| goal["contract"]["immutable"] = json!(["definition_of_done"]));
    place.run(["contract", "ratify", "--as", "bob"]).exits(0);
    let unkept = "not kept as it was under evidence/goal/";
    assert!(!place.run(["check"]).exits(0).text().contains(unkept));
    fs::remove_dir_all(place.path("evidence/goal")).unwrap();
    place.run(["log", "verify"]).exits(0).says(&[unkept]);
    place.run(["check"]).exits(0).says(&[unkept]);
    place
        .run(["contract", "show"])
        .exits(0)
        .says(&["contract     ratified"]);
    edit(&place, |goal| {
        goal["contract"]["definition_of_done"] = json!("whatever");
    });
    place.run(["contract", "show"]).exits(0).says(&["not ratified"]);
    let ended = place.run(["run"]);
    ended
        .exits(0)
        .says(&["COMMIT DENIED", "a field that `immutable` freezes"]);
    assert_eq!(place.commits(), [""; 0]);
    place
        .run(["contract", "ratify", "--as", "bob"])
        .exits(0)
        .says(&["ratified by bob"]);
}

/// The record is on disk, goal.json is still the old one: as a kill in between leaves it.
#[test]
fn a_command_that_was_killed_half_way_is_finished() {
    let (place, bob) = (place(|_| ()), Person::new("bob"));
    let before = place.text("goal.json");
    bob.ratifies(&place);
    let ratified = place.json();
    fs::write(place.goal(), &before).unwrap();
    is_committed(&place, &bob.runs(&place));
    assert_eq!(place.json()["contract"], ratified["contract"]);

    let place = self::place(|_| ());
    place.run(["contract", "ratify", "--as", "bob"]).exits(0);
    let before = place.text("goal.json");
    place
        .run(["contract", "revoke", "--as", "carl", "--reason", "x"])
        .exits(0);
    fs::write(place.goal(), &before).unwrap();
    // Another command comes before the next run: it does not hide the one that was killed.
    place.run(["task", "add", "--goal", "more", "--id", "b"]).exits(0);
    assert_eq!(place.json()["contract"]["revoked"]["by"], "carl");
    is_denied(&place, &place.run(["run"]), "it was revoked");
}

#[test]
fn progress_that_goal_json_has_is_taken_over_first() {
    let place = place(|goal| {
        goal["runs"] = json!(4);
        goal["tasks"] = json!([
            { "id": "z", "goal": "done", "status": "done", "attempts": 2 },
            { "id": "a", "goal": "make it", "reversible": true },
        ]);
    });
    place.run(["contract", "ratify", "--as", "bob"]).exits(0);
    assert_eq!(place.history().names(), ["imported", "contract_ratified"]);
    assert_eq!(
        (place.status("z").as_str(), place.json()["runs"].as_u64()),
        ("done", Some(4))
    );
    is_committed(&place, &place.run(["run"]));
}

#[test]
fn who_is_trusted_cannot_be_changed_while_a_driver_runs() {
    for (what, script) in [
        ("a document changed", "echo >> \"$DOCUMENT\""),
        ("a document added", "cp \"$DOCUMENT\" \"$DOCUMENT.json\""),
    ] {
        let bob = Person::new("bob");
        let document = bob.document().to_string_lossy().into_owned();
        let place = place(|goal| {
            let script = script.replace("$DOCUMENT", &document);
            goal["worker_cmd"] = json!(format!("{script}; echo x > \"$MACHINE_TASK_ID\""));
        });
        bob.ratifies(&place);
        let ended = bob.runs(&place);
        ended.exits(0).says(&["TAMPERING", &bob.trust()]);
        assert_eq!(place.commits(), [""; 0], "{what}");
        assert_eq!(place.history().count("tampering"), 1, "{what}");
        place.holds();
    }
}

#[test]
fn nothing_is_ratified_while_a_driver_runs() {
    let place = place(|goal| goal["worker_cmd"] = json!("touch started; sleep 60"));
    let running = place.start(["run"]);
    machine_driver_tests::wait_until("the worker", machine_driver_tests::TIME_MAX, || {
        place.path("repo/started").exists()
    });
    place.run(["contract", "ratify", "--as", "bob"]).exits(11);
    place.run(["contract", "show"]).exits(0).says(&["not ratified"]);
    running.signal(rustix::process::Signal::TERM);
    assert_eq!(running.wait(machine_driver_tests::TIME_MAX).code, 143);
    assert_eq!(place.history().count("contract_ratified"), 0);
}

#[test]
fn programs_can_read_all_of_it() {
    let (place, bob) = (place(|_| ()), Person::new("bob"));
    let last = |ended: &Ended| ended.json().last().unwrap().clone();
    let digest = last(&place.run(["contract", "digest", "--json"]))["contract"].clone();
    assert_eq!(digest.as_str().unwrap().len(), 64);
    let arguments = [
        "contract",
        "ratify",
        "--json",
        "--as",
        "bob",
        "--key",
        &bob.key(),
        "--trust",
        &bob.trust(),
    ];
    let ratified = last(&place.run(arguments));
    assert_eq!(
        (&ratified["code"], &ratified["contract"]),
        (&json!("done"), &digest)
    );
    assert_eq!(ratified["signer"], "did:web:bob.example");
    let shown = place
        .run(["contract", "show", "--json", "--trust", &bob.trust()])
        .json();
    assert_eq!(
        (&shown[0]["type"], &shown[0]["ratified"]),
        (&json!("contract"), &json!(true))
    );
    assert_eq!(shown[0]["receipt"]["counts"], true);
    assert_eq!(shown[1]["type"], "summary");
    let bare = place.run(["contract", "show", "--json"]).json();
    assert_eq!(
        (&bare[0]["ratified"], &bare[0]["receipt"]["counts"]),
        (&json!(false), &json!(false))
    );
    assert!(
        bare[0]["why_not"]
            .as_str()
            .unwrap()
            .contains("where a worker writes")
    );
    let revoked = last(&place.run(["contract", "revoke", "--json", "--as", "carl", "--reason", "x"]));
    assert_eq!(
        (&revoked["revoked_by"], &revoked["reason"]),
        (&json!("carl"), &json!("x"))
    );
    let refused = last(&place.run(["contract", "ratify", "--json", "--as", "ANN"]));
    assert_eq!(
        (&refused["type"], &refused["code"]),
        (&json!("error"), &json!("usage"))
    );
    assert!(refused["next_step"].is_string());
}

/// What a command revoked, an editor does not put back, signed or not.
#[test]
fn a_revocation_that_is_deleted_from_goal_json_stands() {
    let bob = Person::new("bob");
    for signed in [true, false] {
        let place = place(|goal| goal["contract"]["require_receipt"] = json!(signed));
        if signed {
            bob.ratifies(&place);
        } else {
            place.run(["contract", "ratify", "--as", "bob"]).exits(0);
        }
        place
            .run(["contract", "revoke", "--as", "carl", "--reason", "x"])
            .exits(0);
        edit(&place, |goal| {
            goal["contract"].as_object_mut().unwrap().remove("revoked");
        });
        let shown = place.run(["contract", "show", "--trust", &bob.trust()]);
        shown.exits(0).says(&["not ratified: it was revoked"]);
        is_denied(&place, &bob.runs(&place), "it was revoked");
        // Nor does a new chain.
        place.run(["log", "restart"]).exits(0);
        let ended = bob.runs(&place);
        ended.says(&["mode=propose"]);
        assert_eq!(place.commits(), [""; 0]);
        place
            .run(["contract", "show", "--trust", &bob.trust()])
            .says(&["not ratified: it was revoked"]);
        if signed {
            let ratified = bob.ratifies(&place);
            ratified.says(&["it had been revoked, and counts again"]);
        } else {
            let ratified = place.run(["contract", "ratify", "--as", "bob"]);
            ratified.exits(0).says(&["it had been revoked, and counts again"]);
        }
        place
            .run(["contract", "show", "--trust", &bob.trust()])
            .exits(0)
            .says(&["contract", "ratified"]);
        place.holds();
    }
}

/// `log restart` is no way around what stands.
#[test]
fn a_new_chain_forgets_neither_a_halt_nor_a_frozen_field() {
    let place = place(|goal| {
        goal["contract"]["immutable"] = json!(["definition_of_done"]);
        goal["audit_sink"] = json!("audit.jsonl");
    });
    place.run(["contract", "ratify", "--as", "bob"]).exits(0);
    place.run(["halt", "--reason", "look"]).exits(0);
    let before = place.text("driver-log.jsonl");
    place
        .run(["log", "restart"])
        .exits(4)
        .says(&["halted", "look", "resume"]);
    assert_eq!(place.text("driver-log.jsonl"), before);
    place.run(["resume", "--reason", "fine"]).exits(0);
    // Frozen fields: changed before the new chain, in the log or not yet.
    edit(&place, |goal| {
        goal["contract"]["definition_of_done"] = json!("anything");
    });
    place.run(["log", "restart"]).exits(0);
    let first = place.history().0[0].clone();
    assert_eq!(first["rule"]["thawed"], json!(["definition_of_done"]));
    assert!(place.text("audit.jsonl").contains("\"imported\""));
    place.run(["log", "restart"]).exits(0);
    is_denied(&place, &place.run(["run"]), "`immutable` freezes");
}

/// Nor is one that was killed when it had set the log aside.
#[test]
fn a_new_chain_that_was_killed_before_its_first_record_forgets_nothing() {
    let place = place(|_| ());
    place.run(["contract", "ratify", "--as", "bob"]).exits(0);
    place.run(["run"]).exits(0);
    place
        .run(["contract", "revoke", "--as", "carl", "--reason", "x"])
        .exits(0);
    place.run(["halt", "--reason", "look"]).exits(0);
    edit(&place, |goal| {
        goal["contract"].as_object_mut().unwrap().remove("revoked");
    });
    fs::rename(place.path("driver-log.jsonl"), place.path("driver-log.1.jsonl")).unwrap();
    place.run(["run"]).exits(1).says(&["log restart"]);
    place.run(["log", "restart"]).exits(0);
    place.run(["run"]).exits(4).says(&["halted", "look"]);
    place.run(["resume", "--reason", "fine"]).exits(0);
    place
        .run(["contract", "show"])
        .exits(0)
        .says(&["not ratified: it was revoked"]);
    let before = place.history().0[0].clone();
    assert_eq!(before["rule"]["revoked"], json!(true));
}

/// A log that does not hold together says more against going on than for it.
#[test]
fn a_broken_log_does_not_lift_a_halt() {
    for broken in [false, true] {
        let place = place(|goal| goal["contract"]["ratified_by"] = json!("bob"));
        place.run(["halt", "--reason", "look"]).exits(0);
        let log = place.text("driver-log.jsonl");
        let log = if broken {
            format!("garbage\n{log}")
        } else {
            format!("{log}garbage\n")
        };
        fs::write(place.path("driver-log.jsonl"), log).unwrap();
        place.run(["log", "restart"]).exits(0);
        place.run(["run"]).exits(4).says(&["halted", "look", "resume"]);
        place.run(["resume", "--reason", "fine"]).exits(0);
        // What it said of the contract, nobody knows any more.
        is_denied(&place, &place.run(["run"]), "`immutable` freezes");
    }
}
