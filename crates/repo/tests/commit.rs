//! Commits as they are ordered, once, whatever happens in between.
#![expect(clippy::panic, reason = "tests")]

#[expect(dead_code, reason = "each test file uses its part")]
mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use common::Sandbox;
use machine_driver_governor::{CommitError, Committer};
use machine_driver_state::change::Change;

/// A repository with something to commit.
fn changed() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("a", "changed\n");
    sandbox.write("new/file", "new\n");
    sandbox.remove("folder/b");
    sandbox
}

#[test]
fn a_commit_is_the_tree_that_was_read_by_the_user_at_the_time_of_the_order() {
    let sandbox = changed();
    let committer = sandbox.committer();
    let change = sandbox.read(&committer);
    assert_eq!(change.paths, 3);
    // What is written after the read is not in it.
    sandbox.write("late", "late\n");
    let committed = sandbox.commit(&committer, &change).unwrap();
    assert_eq!(sandbox.git(&["status", "--porcelain"]), "?? late");
    sandbox.remove("late");
    sandbox.check(&change, &committed);
    let form = "--format=%an|%ae|%cn|%ce|%ad|%cd";
    let shown = sandbox.git(&["log", "-1", "--date=raw", form]);
    // As git itself cleans the name.
    let who = sandbox.git(&["log", "-1", "--format=%an|%ae", "HEAD^"]);
    assert_eq!(shown, format!("{who}|{who}|1795341600 +0000|1795341600 +0000"));
    let log = sandbox.git(&["reflog", "-1", "--format=%gs", "main"]);
    assert_eq!(log, "driver: t1");
    assert_eq!(
        sandbox.git(&["reflog", "-1", "--format=%gs", "HEAD"]),
        "driver: t1"
    );
}

#[test]
fn the_first_commit_of_a_branch() {
    for format in ["sha1", "sha256"] {
        let sandbox = Sandbox::unborn(&["--object-format", format]);
        let committer = sandbox.committer();
        let empty = sandbox.read(&committer);
        assert_eq!((empty.paths, &empty.parent), (0, &None));
        sandbox.write("a", "one\n");
        sandbox.commit_all();
        sandbox.write("a", "two\n");
        let second = sandbox.commit_all();
        let length = if format == "sha1" { 40 } else { 64 };
        assert_eq!(second.id.as_str().len(), length);
    }
}

#[test]
fn a_detached_head_moves_itself_and_no_branch() {
    let sandbox = Sandbox::new();
    sandbox.git(&["checkout", "-q", "--detach"]);
    let before = sandbox.git(&["rev-parse", "main"]);
    sandbox.write("a", "changed\n");
    sandbox.commit_all();
    assert_eq!(sandbox.git(&["rev-parse", "main"]), before);
    assert_eq!(sandbox.git(&["rev-parse", "HEAD^"]), before);
    assert!(
        !sandbox
            .try_git(&sandbox.repo, &["symbolic-ref", "-q", "HEAD"])
            .status
            .success()
    );
}

#[test]
fn a_linked_worktree_has_a_head_and_an_index_of_its_own() {
    let mut sandbox = Sandbox::new();
    let main = sandbox.git(&["rev-parse", "HEAD"]);
    let tree = sandbox.outside("linked");
    sandbox.git(&["worktree", "add", "-q", "-b", "other", tree.to_str().unwrap()]);
    for detached in [false, true] {
        sandbox.repo.clone_from(&tree);
        sandbox.settings.repo.clone_from(&tree);
        if detached {
            sandbox.git(&["checkout", "-q", "--detach"]);
        }
        sandbox.write("a", format!("{detached}\n"));
        sandbox.commit_all();
        sandbox.repo = sandbox.outside("repo");
        assert_eq!(sandbox.git(&["rev-parse", "HEAD"]), main);
        assert_eq!(sandbox.git(&["status", "--porcelain"]), "");
    }
}

#[test]
fn a_branch_that_is_packed_or_has_folders_in_its_name() {
    let sandbox = Sandbox::new();
    sandbox.git(&["checkout", "-q", "-b", "feature/deep/x"]);
    sandbox.git(&["pack-refs", "--all"]);
    sandbox.git(&["gc", "-q"]);
    for text in ["changed\n", "again\n"] {
        sandbox.write("a", text);
        sandbox.commit_all();
    }
    assert_eq!(sandbox.git(&["rev-list", "--count", "HEAD"]), "3");
    assert_eq!(
        sandbox.git(&["symbolic-ref", "HEAD"]),
        "refs/heads/feature/deep/x"
    );
}

#[test]
fn an_order_is_carried_out_once_however_often_it_is_given() {
    let sandbox = changed();
    let committer = sandbox.committer();
    let change = sandbox.read(&committer);
    let order = sandbox.order(&change);
    assert_eq!(committer.made(&order).unwrap(), None);
    let first = committer.commit(&order, sandbox.permit(&order)).unwrap();
    // By the same driver, and by one that knows nothing of the first.
    for committer in [committer, sandbox.committer()] {
        assert_eq!(committer.made(&order).unwrap().as_ref(), Some(&first.id));
        let again = committer.commit(&order, sandbox.permit(&order)).unwrap();
        assert_eq!(again, first);
        sandbox.check(&change, &again);
    }
    // Also where others went on from there.
    sandbox.write("a", "more\n");
    sandbox.commit_by_hand("more");
    let again = sandbox
        .committer()
        .commit(&order, sandbox.permit(&order))
        .unwrap();
    assert_eq!(again.id, first.id);
    assert_eq!(sandbox.git(&["rev-list", "--count", "HEAD"]), "3");
    assert_eq!(sandbox.git(&["status", "--porcelain"]), "");
}

#[test]
fn a_crash_after_each_step_ends_in_the_same_commit() {
    let whole = changed();
    let expected = whole.commit_all();
    // Only the tree was written; the commit too, but nobody's yet; the reference moved, but not the index.
    for step in 0..3 {
        let sandbox = changed();
        let change = sandbox.read(&sandbox.committer());
        let order = sandbox.order(&change);
        let first = sandbox.git(&["rev-parse", "HEAD"]);
        let alone = sandbox
            .committer()
            .commit(&order, sandbox.permit(&order))
            .unwrap();
        if step < 2 {
            sandbox.git(&["update-ref", "refs/heads/main", &first]);
        }
        if step < 1 {
            sandbox.git(&["reflog", "expire", "--expire=now", "--all"]);
            sandbox.git(&["prune", "--expire=now", alone.id.as_str(), change.tree.as_str()]);
        }
        sandbox.git(&["read-tree", &first]);
        let again = sandbox
            .committer()
            .commit(&order, sandbox.permit(&order))
            .unwrap();
        assert_eq!(again.id, alone.id, "step {step}");
        sandbox.check(&change, &again);
        assert_eq!(sandbox.git(&["rev-list", "--count", "HEAD"]), "2");
    }
    assert_eq!(expected.note, None);
}

#[test]
fn a_reference_that_somebody_moved_stays_where_it_is() {
    let sandbox = changed();
    let committer = sandbox.committer();
    let change = sandbox.read(&committer);
    sandbox.git(&["commit", "-q", "--allow-empty", "-m", "of somebody else"]);
    let found = sandbox.git(&["rev-parse", "HEAD"]);
    match sandbox.commit(&committer, &change) {
        Err(CommitError::Moved {
            expected, found: at, ..
        }) => {
            assert_eq!((expected, at.unwrap().as_str()), (change.parent, found.as_str()));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(sandbox.git(&["rev-parse", "HEAD"]), found);

    // A branch that is gone.
    let change = sandbox.read(&committer);
    sandbox.git(&["update-ref", "-d", "refs/heads/main"]);
    let gone = sandbox.commit(&committer, &change);
    assert!(
        matches!(gone, Err(CommitError::Moved { found: None, .. })),
        "{gone:?}"
    );
}

#[test]
fn another_branch_that_was_checked_out_gets_nothing() {
    let sandbox = changed();
    let committer = sandbox.committer();
    let change = sandbox.read(&committer);
    let before = sandbox.git(&["rev-parse", "HEAD"]);
    for other in [
        ["checkout", "-q", "-b", "other"],
        ["checkout", "-q", "--detach", "other"],
    ] {
        sandbox.git(&other);
        let refused = sandbox.commit(&committer, &change);
        assert!(matches!(refused, Err(CommitError::Refused { .. })), "{refused:?}");
    }
    for name in ["main", "other", "HEAD"] {
        assert_eq!(sandbox.git(&["rev-parse", name]), before);
    }
}

#[test]
fn a_permit_is_for_one_change() {
    let sandbox = changed();
    let committer = sandbox.committer();
    let first = sandbox.read(&committer);
    let permit = sandbox.permit(&sandbox.order(&first));
    sandbox.write("a", "more\n");
    let second = sandbox.order(&sandbox.read(&committer));
    assert!(matches!(
        committer.commit(&second, permit),
        Err(CommitError::NotPermitted)
    ));
    assert_eq!(sandbox.git(&["rev-list", "--count", "HEAD"]), "1");
}

#[test]
fn nothing_to_commit_is_no_commit() {
    let sandbox = Sandbox::new();
    let committer = sandbox.committer();
    let change = sandbox.read(&committer);
    assert_eq!(change.paths, 0);
    assert_eq!(change.tree.as_str(), sandbox.git(&["rev-parse", "HEAD^{tree}"]));
    let claimed = Change { paths: 1, ..change };
    for committer in [committer, sandbox.committer()] {
        let refused = sandbox.commit(&committer, &claimed);
        assert!(matches!(refused, Err(CommitError::Failed { .. })), "{refused:?}");
    }
    assert_eq!(sandbox.git(&["rev-list", "--count", "HEAD"]), "1");
}

#[test]
fn a_lock_on_the_reference_is_named_and_one_that_goes_away_is_waited_for() {
    for name in ["refs/heads/main.lock", "HEAD.lock"] {
        let sandbox = changed();
        let committer = sandbox.committer();
        let change = sandbox.read(&committer);
        let lock = sandbox.repo.join(".git").join(name);
        fs::write(&lock, "").unwrap();
        match sandbox.commit(&committer, &change) {
            Err(CommitError::Failed { what, .. }) => assert!(what.contains(name), "{what}"),
            other => panic!("{name}: {other:?}"),
        }
        assert_eq!(sandbox.git(&["rev-list", "--count", "HEAD"]), "1");
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(200));
            fs::remove_file(lock).unwrap();
        });
        let committed = sandbox.commit(&committer, &change).unwrap();
        thread.join().unwrap();
        sandbox.check(&change, &committed);
    }
}

#[test]
fn a_lock_on_the_index_costs_a_note_and_no_commit() {
    let sandbox = changed();
    let committer = sandbox.committer();
    let change = sandbox.read(&committer);
    let lock = sandbox.repo.join(".git/index.lock");
    fs::write(&lock, "somebody's").unwrap();
    let committed = sandbox.commit(&committer, &change).unwrap();
    let note = committed.note.clone().unwrap();
    assert!(note.contains("index.lock"), "{note}");
    assert_eq!(fs::read(&lock).unwrap(), b"somebody's");
    assert_eq!(sandbox.git(&["rev-parse", "HEAD"]), committed.id.as_str());
    fs::remove_file(&lock).unwrap();
    // The next time the index catches up.
    let again = sandbox.commit(&sandbox.committer(), &change).unwrap();
    sandbox.check(&change, &again);
}

#[test]
fn links_in_the_git_folder_lead_nowhere() {
    for name in ["logs/HEAD", "logs/refs/heads/main", "logs", "refs/heads", "index"] {
        let sandbox = changed();
        let committer = sandbox.committer();
        let change = sandbox.read(&committer);
        let (path, target) = (sandbox.repo.join(".git").join(name), sandbox.outside("moved"));
        fs::rename(&path, &target).unwrap();
        symlink(&target, &path).unwrap();
        match sandbox.commit(&committer, &change) {
            Err(_) => assert_eq!(sandbox.git(&["rev-list", "--count", "HEAD"]), "1"),
            Ok(committed) => assert!(name == "index" && committed.note.is_some(), "{name}"),
        }
    }
}

#[test]
fn a_pipe_in_place_of_head_keeps_nobody_waiting() {
    for name in [
        "HEAD",
        "refs/heads/main",
        "packed-refs",
        "shallow",
        "objects/info/alternates",
    ] {
        let sandbox = changed();
        let committer = sandbox.committer().with_wall(Duration::from_secs(2));
        let change = sandbox.read(&committer);
        let path = sandbox.repo.join(".git").join(name);
        let _ = fs::remove_file(&path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RWXU).unwrap();
        let begun = Instant::now();
        assert!(sandbox.commit(&committer, &change).is_err(), "{name}");
        assert!(begun.elapsed() < Duration::from_secs(30), "{name}");
    }
}

#[test]
fn an_object_that_is_not_what_it_is_called_is_never_committed() {
    let sandbox = Sandbox::new();
    let committer = sandbox.committer();
    sandbox.write("a", "right\n");
    // Somebody knows what will be written, and plants another content under its id.
    let id = sandbox.git(&["hash-object", "a"]);
    let other = sandbox.git(&["rev-parse", "HEAD:folder/b"]);
    let loose = |id: &str| sandbox.repo.join(".git/objects").join(&id[..2]).join(&id[2..]);
    fs::create_dir_all(loose(&id).parent().unwrap()).unwrap();
    fs::copy(loose(&other), loose(&id)).unwrap();
    let change = sandbox.read(&committer);
    for committer in [&committer, &sandbox.committer()] {
        match sandbox.commit(committer, &change) {
            Err(CommitError::Failed { source, .. }) => assert!(source.to_string().contains(&id), "{source}"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(sandbox.git(&["rev-list", "--count", "HEAD"]), "1");
    fs::remove_file(loose(&id)).unwrap();
    sandbox.commit_all();
    assert_eq!(sandbox.git(&["show", "HEAD:a"]), "right");
}

#[test]
fn two_thousand_files() {
    let sandbox = Sandbox::new();
    for index in 0..2000 {
        sandbox.write(format!("many/{}/{index}", index % 40), format!("{index}\n"));
    }
    let committer = sandbox.committer();
    let change = sandbox.read(&committer);
    assert_eq!(change.paths, 2000);
    let committed = sandbox.commit(&committer, &change).unwrap();
    sandbox.check(&change, &committed);
}
