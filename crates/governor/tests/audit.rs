//! What the rules about paths say of what differs, and in which words.
#![expect(clippy::unwrap_used, reason = "tests")]

#[expect(dead_code, reason = "each test file uses its part")]
mod common;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use common::{digest, goal, object};
use machine_driver_governor::audit::{Findings, Rules, has_rules, protected};
use machine_driver_state::canonical::sha256;
use machine_driver_state::glob::PathGlob;
use machine_driver_state::goal::{Contract, Goal};
use machine_driver_state::survey::{Difference, How, Place, Survey};

fn globs(texts: &[&str]) -> Vec<PathGlob> {
    texts.iter().map(|text| PathGlob::new(text).unwrap()).collect()
}

fn scope(texts: Option<&[&str]>) -> Option<Vec<PathGlob>> {
    texts.map(globs)
}

/// Two tasks under a contract with these rules.
fn ruled(contract: (Option<&[&str]>, &[&str]), task: (Option<&[&str]>, &[&str])) -> Goal {
    let mut goal = goal(&[vec![], vec![]]);
    goal.contract = Some(Contract {
        scope: scope(contract.0),
        immutable: globs(contract.1),
        ..Contract::default()
    });
    let first = goal.tasks.first_mut().unwrap();
    first.scope = scope(task.0);
    first.immutable = globs(task.1);
    goal
}

fn survey() -> Survey {
    Survey {
        tree: Some(object(1)),
        index: Some(object(2)),
        files: Some(digest(3)),
    }
}

fn differ(path: &str, how: How, place: Place) -> Difference {
    let path = PathBuf::from(path);
    Difference { path, how, place }
}

fn changed(paths: &[&str]) -> Vec<Difference> {
    let one = |path: &&str| differ(path, How::Changed, Place::Tree);
    paths.iter().map(one).collect()
}

fn ask(goal: &Goal, since_start: &[Difference], since_task: &[Difference]) -> Findings {
    Rules::of(goal, 0).ask(&survey(), since_start, since_task)
}

/// Whether each rule holds, where there is one.
#[track_caller]
fn check(goal: &Goal, start: &[&str], task: &[&str], expected: (Option<bool>, Option<bool>)) {
    let findings = ask(goal, &changed(start), &changed(task));
    let said = (
        findings.scope.as_ref().map(|finding| finding.holds),
        findings.immutable.as_ref().map(|finding| finding.holds),
    );
    assert_eq!(said, expected, "{start:?} {task:?}");
    assert_eq!(
        findings.holds(),
        expected.0 != Some(false) && expected.1 != Some(false)
    );
}

#[test]
fn a_contract_is_about_the_run_and_a_task_about_itself() {
    let goal = ruled(
        (Some(&["src"]), &["src/keep"]),
        (Some(&["src/a"]), &["src/a/keep"]),
    );
    check(&goal, &[], &[], (Some(true), Some(true)));
    check(&goal, &["src/b"], &[], (Some(true), Some(true)));
    check(&goal, &["src/a/x"], &["src/a/x"], (Some(true), Some(true)));
    check(&goal, &["src/b"], &["src/b"], (Some(false), Some(true)));
    check(&goal, &["README"], &[], (Some(false), Some(true)));
    check(&goal, &["src/keep"], &[], (Some(true), Some(false)));
    check(&goal, &["src/a/keep"], &[], (Some(true), Some(true)));
    check(&goal, &["src/a/keep"], &["src/a/keep"], (Some(true), Some(false)));
    // A task's rules narrow those of the contract, and do not widen them.
    let wide = ruled((Some(&["src"]), &[]), (Some(&["**"]), &[]));
    check(&wide, &["x"], &["x"], (Some(false), None));
}

#[test]
fn without_rules_nothing_is_said() {
    let none = ruled((None, &[]), (None, &[]));
    check(&none, &["x"], &["x"], (None, None));
    assert!(!has_rules(&none) && Rules::of(&none, 0).is_empty() && protected(&none).is_empty());
    assert!(!has_rules(&goal(&[vec![]])));
    let of_task = ruled((None, &[]), (None, &["x"]));
    assert!(has_rules(&of_task) && !Rules::of(&of_task, 0).is_empty());
    assert!(Rules::of(&of_task, 1).is_empty());
    let nothing = ruled((Some(&[]), &[]), (None, &[]));
    check(&nothing, &[], &[], (Some(true), None));
    check(&nothing, &["x"], &["x"], (Some(false), None));
}

#[test]
fn ignored_files_count_for_what_protects_them_and_not_for_a_scope() {
    let goal = ruled((Some(&["src"]), &["build"]), (None, &[]));
    let file = [differ("build/x", How::Added, Place::Files)];
    let findings = ask(&goal, &file, &file);
    assert!(findings.scope.unwrap().holds && !findings.immutable.unwrap().holds);
    // A plain folder has nothing but files.
    let plain = Survey {
        tree: None,
        index: None,
        ..survey()
    };
    let findings = Rules::of(&goal, 0).ask(&plain, &file, &file);
    assert!(!findings.scope.unwrap().holds);
    // What is staged counts for both.
    let staged = [differ("build/x", How::Added, Place::Index)];
    let findings = ask(&goal, &staged, &staged);
    assert!(!findings.scope.unwrap().holds && !findings.immutable.unwrap().holds);
}

#[test]
fn each_path_is_told_once_with_what_happened_to_it() {
    let goal = ruled((Some(&["src"]), &[]), (Some(&["src"]), &[]));
    let all = [
        differ("a", How::Changed, Place::Tree),
        differ("a", How::Changed, Place::Index),
        differ("b", How::Added, Place::Index),
        differ("c", How::Deleted, Place::Index),
        differ("d", How::Mode, Place::Index),
        differ("e", How::Mode, Place::Tree),
        differ("f", How::Added, Place::Tree),
        differ("g", How::Deleted, Place::Tree),
    ];
    let findings = ask(&goal, &all, &all);
    assert_eq!(findings.paths, 7);
    let text = findings.feedback();
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("  ")).collect();
    let expected = [
        "  changed a",
        "  staged, added b",
        "  staged, deleted c",
        "  staged, changed d",
        "  mode changed e",
        "  added f",
        "  deleted g",
    ];
    assert_eq!(lines, expected);
    assert!(
        text.starts_with("scope: ") && text.contains("src, and of those src"),
        "{text}"
    );
}

#[test]
fn many_paths_are_counted_and_one_is_one() {
    let goal = ruled((None, &["t"]), (None, &[]));
    let paths: Vec<String> = (0..60).map(|n| format!("t/{n:02}")).collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    for (count, named, last) in [
        (1, 1, "  changed t/00"),
        (50, 50, "  changed t/49"),
        (60, 51, "  and 10 more"),
    ] {
        let some = changed(paths.get(..count).unwrap());
        let text = ask(&goal, &some, &[]).feedback();
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("  ")).collect();
        assert_eq!((lines.len(), lines.last()), (named, Some(&last)), "{text}");
        assert!(text.contains(&format!("\n{count} ")), "{text}");
    }
}

#[test]
fn a_name_cannot_forge_a_line_or_hide_itself() {
    let goal = ruled((Some(&["src"]), &[]), (None, &[]));
    for (name, shown) in [
        ("a\n  changed b", r"a\n  changed b"),
        ("\u{1b}[31mred", r"\u{1b}[31mred"),
        ("a\\nb", r"a\\nb"),
        ("a\u{202e}b", r"a\u{202e}b"),
        ("a\u{2028}b\u{200b}", r"a\u{2028}b\u{200b}"),
        ("sp ace \u{e4}", "sp ace \u{e4}"),
    ] {
        let text = ask(&goal, &changed(&[name]), &[]).feedback();
        assert_eq!(text.lines().last(), Some(format!("  changed {shown}").as_str()));
    }
    let raw = Difference {
        path: OsStr::from_bytes(b"caf\xe9").into(),
        how: How::Added,
        place: Place::Tree,
    };
    let text = ask(&goal, &[raw], &[]).feedback();
    assert_eq!(text.lines().last(), Some("  added caf\u{fffd}"));
}

#[test]
fn what_is_told_is_only_what_is_broken() {
    let goal = ruled((Some(&["src"]), &["keep"]), (None, &[]));
    let cases: [(&[&str], &str, usize); 4] = [
        (&["src/a"], "", 0),
        (&["x"], "the change breaks scope", 1),
        (&["src/a", "keep"], "the change breaks scope and immutable", 2),
        (
            &["src/a", "keep/x", "x"],
            "the change breaks scope and immutable",
            2,
        ),
    ];
    for (paths, reason, rules) in cases {
        let findings = ask(&goal, &changed(paths), &changed(paths));
        let text = findings.feedback();
        let told = ["scope: ", "immutable: "]
            .iter()
            .filter(|rule| text.contains(**rule));
        assert_eq!(told.count(), rules, "{text}");
        if !findings.holds() {
            assert_eq!(findings.reason(), reason);
        }
    }
    let only = ruled((None, &["keep"]), (None, &[]));
    let findings = ask(&only, &changed(&["keep"]), &[]);
    assert_eq!(findings.reason(), "the change breaks immutable");
}

#[test]
fn a_record_names_the_rules_and_the_words() {
    let goal = ruled((Some(&["src"]), &["keep"]), (None, &[]));
    let findings = ask(&goal, &changed(&["x"]), &changed(&["x"]));
    let record = findings.record(survey());
    assert_eq!((record.paths, record.survey), (1, survey()));
    assert_eq!(record.rules, Rules::of(&goal, 0).digest());
    let (scope, immutable) = (record.scope.unwrap(), record.immutable.unwrap());
    assert!(!scope.holds && immutable.holds);
    let text = findings.scope.unwrap().text;
    assert_eq!(
        (scope.output.bytes, scope.output.sha256),
        (text.len() as u64, sha256(text.as_bytes()))
    );
}

#[test]
fn other_rules_have_another_digest() {
    let all = [
        ruled((None, &[]), (None, &[])),
        ruled((Some(&[]), &[]), (None, &[])),
        ruled((None, &[]), (Some(&[]), &[])),
        ruled((Some(&["a"]), &[]), (None, &[])),
        ruled((None, &["a"]), (None, &[])),
        ruled((None, &[]), (Some(&["a"]), &[])),
        ruled((None, &[]), (None, &["a"])),
        ruled((None, &["a", "b"]), (None, &[])),
        ruled((None, &["a b"]), (None, &[])),
        ruled((None, &["b", "a"]), (None, &[])),
    ];
    let mut digests: Vec<_> = all.iter().map(|goal| Rules::of(goal, 0).digest()).collect();
    digests.sort_unstable();
    digests.dedup();
    assert_eq!(digests.len(), all.len());
}

#[test]
fn every_protected_glob_is_looked_at_once() {
    let mut goal = ruled((None, &["a", "b"]), (None, &["b", "c"]));
    goal.tasks.last_mut().unwrap().immutable = globs(&["c", "d"]);
    assert_eq!(protected(&goal), globs(&["a", "b", "c", "d"]));
}
