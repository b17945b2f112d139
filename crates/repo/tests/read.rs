//! What a change holds, and what it is refused for.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use common::{Sandbox, not_utf8};
use machine_driver_governor::{CommitError, Committer};
use machine_driver_repo::{GitCommitter, RepoError, Settings};
use machine_driver_state::control::{Control, Cut};

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Reads the change of `sandbox` and checks what is in the tree; then commits it.
#[track_caller]
fn check(sandbox: &Sandbox, paths: u64, tree: &[&str]) {
    let committer = sandbox.committer();
    let change = sandbox.read(&committer);
    assert_eq!(sandbox.tree(&change), tree);
    assert_eq!(change.paths, paths);
    let committed = sandbox.commit(&committer, &change).unwrap();
    sandbox.check(&change, &committed);
}

#[test]
fn added_changed_removed_and_what_changed_its_kind() {
    let sandbox = Sandbox::new();
    sandbox.write("script", "#!/bin/sh\n");
    sandbox.write("becomes folder", "");
    sandbox.write("becomes file/x", "");
    sandbox.commit_by_hand("more");
    set_mode(&sandbox.path("script"), 0o755);
    sandbox.remove("becomes folder");
    sandbox.write("becomes folder/x", "");
    fs::remove_dir_all(sandbox.path("becomes file")).unwrap();
    sandbox.write("becomes file", "");
    sandbox.link("a", "folder/b");
    sandbox.link("dangling", "no/where");
    sandbox.link("outside", "/etc");
    fs::create_dir(sandbox.path("empty")).unwrap();
    check(
        &sandbox,
        8,
        &[
            "120000 a",
            "100644 becomes file",
            "100644 becomes folder/x",
            "120000 dangling",
            "100644 folder/b",
            "120000 outside",
            "100755 script",
        ],
    );
}

#[test]
fn a_folder_that_became_a_link_to_a_folder_with_the_same_names() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.outside("other")).unwrap();
    fs::write(sandbox.outside("other/b"), "stolen\n").unwrap();
    fs::remove_dir_all(sandbox.path("folder")).unwrap();
    sandbox.link("folder", "../other");
    check(&sandbox, 2, &["100644 a", "120000 folder"]);
}

#[test]
fn names_that_need_care() {
    let sandbox = Sandbox::new();
    for name in [
        "line\nbreak",
        "\"quoted\\",
        "-rf",
        ":(glob)*",
        ":!a",
        "*",
        " ",
        "tab\t",
        "ä",
        "\u{1b}[31m",
    ] {
        sandbox.write(name, name);
    }
    sandbox.write(not_utf8(), "x");
    let committer = sandbox.committer();
    let change = sandbox.read(&committer);
    assert_eq!(change.paths, 11);
    let committed = sandbox.commit(&committer, &change).unwrap();
    sandbox.check(&change, &committed);
    assert_eq!(sandbox.content(&change, "line\nbreak"), "line\nbreak");
    fs::remove_file(sandbox.path(not_utf8())).unwrap();
    sandbox.remove(":(glob)*");
    assert_eq!(sandbox.read(&committer).paths, 2);
    sandbox.commit_all();
}

#[test]
fn all_of_the_tree_counts_from_a_folder_below() {
    let mut sandbox = Sandbox::new();
    sandbox.settings.repo = sandbox.path("folder");
    sandbox.write("a", "changed\n");
    sandbox.write("new", "");
    assert_eq!(sandbox.committer().root(), sandbox.repo);
    check(&sandbox, 2, &["100644 a", "100644 folder/b", "100644 new"]);
}

#[test]
fn what_is_ignored_stays_out_and_what_is_tracked_stays_in() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.outside("global"), "*.global\n").unwrap();
    sandbox.git(&[
        "config",
        "core.excludesFile",
        sandbox.outside("global").to_str().unwrap(),
    ]);
    fs::create_dir_all(sandbox.path(".git/info")).unwrap();
    fs::write(sandbox.path(".git/info/exclude"), "*.local\n").unwrap();
    sandbox.write(".gitignore", "*.tree\n");
    sandbox.write("tracked.tree", "one");
    sandbox.git(&["add", "-f", "tracked.tree"]);
    sandbox.commit_by_hand("ignored, but tracked");
    for name in ["x.global", "x.local", "x.tree", "new"] {
        sandbox.write(name, "");
    }
    sandbox.write("tracked.tree", "two");
    let committer = sandbox.committer();
    // What a worker says about it later does not count, but in the tree itself.
    fs::write(sandbox.outside("global"), "new\n").unwrap();
    fs::write(sandbox.path(".git/info/exclude"), "new\n").unwrap();
    sandbox.git(&["config", "core.excludesFile", "/dev/null"]);
    let change = sandbox.read(&committer);
    let tree = [
        "100644 .gitignore",
        "100644 a",
        "100644 folder/b",
        "100644 new",
        "100644 tracked.tree",
    ];
    assert_eq!(sandbox.tree(&change), tree);
    assert_eq!(sandbox.content(&change, "tracked.tree"), "two");
    assert_eq!(change.paths, 2);
}

#[test]
fn the_drivers_own_files_never_enter_a_tree() {
    let mut sandbox = Sandbox::new();
    sandbox.write("md/goal.json", "of the parent");
    sandbox.write("md/evidence/kept", "of the parent");
    sandbox.commit_by_hand("a goal");
    let names = ["md/goal.json", "md/evidence", "md/log [*]", "nowhere/x"];
    sandbox.settings.own = names.iter().map(|name| sandbox.path(name)).collect();
    sandbox.settings.own.push("/elsewhere".into());
    sandbox.settings.own_prefixes = vec![sandbox.path("md/goal.json.edited-")];
    for name in [
        "md/goal.json",
        "md/log [*]",
        "md/evidence/a/b",
        "md/goal.json.edited-1",
        "md/goal.json.edited-2/x",
    ] {
        sandbox.write(name, "of the driver");
    }
    sandbox.remove("md/evidence/kept");
    // Not even where the tree asks for them.
    sandbox.write(".gitignore", "!goal.json\n!evidence/\n!*.edited-*\n");
    sandbox.write("md/log x", "not one of them");
    let committer = sandbox.committer();
    let change = sandbox.read(&committer);
    let tree = [
        "100644 .gitignore",
        "100644 a",
        "100644 folder/b",
        "100644 md/evidence/kept",
        "100644 md/goal.json",
        "100644 md/log x",
    ];
    assert_eq!(sandbox.tree(&change), tree);
    assert_eq!(sandbox.content(&change, "md/goal.json"), "of the parent");
    assert_eq!(change.paths, 2);
    sandbox.commit(&committer, &change).unwrap();
    let status = sandbox.git(&["status", "--porcelain", "-uno"]);
    assert_eq!(status, " D md/evidence/kept\n M md/goal.json");
}

#[test]
fn line_ends_are_kept_as_the_user_has_them() {
    let sandbox = Sandbox::new();
    sandbox.write(".gitattributes", "*.txt text=auto eol=crlf\n*.bin -text\n");
    sandbox.write("x.txt", "1\r\n2\r\n");
    sandbox.write("x.bin", "1\r\n");
    let committer = sandbox.committer();
    let change = sandbox.read(&committer);
    assert_eq!(sandbox.content(&change, "x.txt"), "1\n2");
    assert_eq!(sandbox.content(&change, "x.bin"), "1\r");
    let committed = sandbox.commit(&committer, &change).unwrap();
    sandbox.check(&change, &committed);

    for (autocrlf, kept) in [("true", "1\n2"), ("input", "1\n2"), ("false", "1\r\n2\r")] {
        let sandbox = Sandbox::new();
        sandbox.git(&["config", "core.autocrlf", autocrlf]);
        let committer = sandbox.committer();
        sandbox.write("x", "1\r\n2\r\n");
        // Set behind the driver's back.
        sandbox.git(&["config", "core.autocrlf", "false"]);
        assert_eq!(
            sandbox.content(&sandbox.read(&committer), "x"),
            kept,
            "{autocrlf}"
        );
    }
}

#[test]
fn modes_and_links_count_only_where_the_file_system_has_them() {
    let sandbox = Sandbox::new();
    sandbox.git(&["config", "core.fileMode", "false"]);
    set_mode(&sandbox.path("a"), 0o755);
    assert_eq!(sandbox.read(&sandbox.committer()).paths, 0);
}

#[test]
fn nothing_hides_an_edit() {
    let sandbox = Sandbox::new();
    let committer = sandbox.committer();
    let before = fs::metadata(sandbox.path("a")).unwrap();
    sandbox.git(&["update-index", "--skip-worktree", "folder/b"]);
    sandbox.git(&["update-index", "--assume-unchanged", "a"]);
    sandbox.write("a", "eno\n");
    sandbox.write("folder/b", "owt\n");
    let file = fs::File::options().write(true).open(sandbox.path("a")).unwrap();
    file.set_modified(before.modified().unwrap()).unwrap();
    assert_eq!(sandbox.git(&["status", "--porcelain"]), "");
    let change = sandbox.read(&committer);
    assert_eq!(change.paths, 2);
    let committed = sandbox.commit(&committer, &change).unwrap();
    sandbox.check(&change, &committed);
    assert!(!sandbox.git(&["ls-files", "-v"]).contains(['S', 'h']));
}

/// A repository with a submodule at `sub`.
fn with_submodule() -> Sandbox {
    let sandbox = Sandbox::new();
    let other = sandbox.outside("other");
    sandbox.git(&["clone", "-q", ".", other.to_str().unwrap()]);
    sandbox.git(&["submodule", "--quiet", "add", other.to_str().unwrap(), "sub"]);
    sandbox.commit_by_hand("a submodule");
    sandbox
}

#[test]
fn a_submodule_keeps_its_commit_and_nothing_runs_in_it() {
    let sandbox = with_submodule();
    let (config, mark) = (
        sandbox.outside("repo/.git/modules/sub/config"),
        sandbox.outside("mark"),
    );
    let text = fs::read_to_string(&config).unwrap();
    let evil = format!("[core]\n\tfsmonitor = \"touch {}\"\n", mark.display());
    fs::write(&config, text + &evil).unwrap();
    sandbox.write("sub/dirty", "");
    sandbox.write("a", "changed\n");
    let committer = sandbox.committer();
    let change = sandbox.read(&committer);
    assert_eq!(change.paths, 1);
    assert!(sandbox.tree(&change).contains(&"160000 sub".to_owned()));
    let committed = sandbox.commit(&committer, &change).unwrap();
    assert_eq!(committed.note, None);
    assert!(!mark.exists());

    // One that was never checked out.
    let clone = sandbox.outside("clone");
    sandbox.git(&["clone", "-q", ".", clone.to_str().unwrap()]);
    for name in ["user.name", "user.email"] {
        assert!(sandbox.try_git(&clone, &["config", name, "x"]).status.success());
    }
    let settings = Settings {
        repo: clone,
        ..Settings::default()
    };
    assert_eq!(sandbox.read(&GitCommitter::open(&settings).unwrap()).paths, 0);
}

#[test]
fn a_submodule_that_moved_is_refused() {
    let sandbox = with_submodule();
    let committer = sandbox.committer();
    let sub = sandbox.path("sub");
    let who = ["-c", "user.name=x", "-c", "user.email=x"];
    let moved = sandbox.try_git(
        &sub,
        &[&who[..], &["commit", "-q", "--allow-empty", "-m", "moved"]].concat(),
    );
    assert!(moved.status.success(), "{moved:?}");
    let why = sandbox.refusal(&committer);
    assert!(why.contains("submodule `sub`"), "{why}");
    fs::remove_dir_all(sub).unwrap();
    let why = sandbox.refusal(&committer);
    assert!(why.contains("submodule `sub`"), "{why}");
    sandbox.write("sub/hidden", "");
    let why = sandbox.refusal(&committer);
    assert!(why.contains("submodule `sub`"), "{why}");
}

#[test]
fn a_repository_in_the_tree_is_refused() {
    for commits in [false, true] {
        let sandbox = Sandbox::new();
        fs::create_dir_all(sandbox.path("x/nested")).unwrap();
        let nested = sandbox.path("x/nested");
        assert!(sandbox.try_git(&nested, &["init", "-q"]).status.success());
        if commits {
            let commit = [
                "-c",
                "user.name=x",
                "-c",
                "user.email=x",
                "commit",
                "-q",
                "--allow-empty",
                "-m",
                "x",
            ];
            assert!(sandbox.try_git(&nested, &commit).status.success());
        }
        let why = sandbox.refusal(&sandbox.committer());
        assert!(why.contains("x/nested"), "{why}");
        // As git itself has it, one that is ignored is nobody's.
        sandbox.write(".gitignore", "nested\n");
        assert_eq!(sandbox.read(&sandbox.committer()).paths, 1);
    }
}

#[test]
fn a_filter_is_refused_by_name_and_only_where_it_applies() {
    let sandbox = Sandbox::new();
    sandbox.write(
        ".gitattributes",
        "[attr]big filter=lfs\n*.psd big\n*.txt -filter\n",
    );
    sandbox.commit_by_hand("attributes");
    let committer = sandbox.committer();
    sandbox.write("x.txt", "");
    assert_eq!(sandbox.read(&committer).paths, 1);
    sandbox.write("deep/x.psd", "");
    let why = sandbox.refusal(&committer);
    assert!(
        why.contains("Git LFS") && why.contains("deep/x.psd") && why.contains("filter=lfs"),
        "{why}"
    );
    sandbox.remove("deep/x.psd");
    fs::create_dir_all(sandbox.path(".git/info")).unwrap();
    fs::write(sandbox.path(".git/info/attributes"), "a filter=crypt\n").unwrap();
    sandbox.write("a", "changed\n");
    assert_eq!(
        sandbox.read(&committer).paths,
        2,
        "what a worker writes there does not count"
    );
    let why = sandbox.refusal(&sandbox.committer());
    assert!(why.contains("`a`") && why.contains("filter=crypt"), "{why}");
}

#[test]
fn what_a_filter_made_is_not_even_stored() {
    let sandbox = Sandbox::new();
    sandbox.write("big.psd", "the pointer\n");
    sandbox.commit_by_hand("a pointer");
    sandbox.write(".gitattributes", "*.psd filter=lfs\n");
    sandbox.commit_by_hand("attributes");
    let committer = sandbox.committer();
    sandbox.write("a", "changed\n");
    assert_eq!(
        sandbox.read(&committer).paths,
        1,
        "a file that is as it is stored does no harm"
    );
    sandbox.write("big.psd", "what the filter makes of it\n");
    let why = sandbox.refusal(&committer);
    assert!(why.contains("Git LFS") && why.contains("big.psd"), "{why}");
    let id = sandbox.git(&["hash-object", "--no-filters", "big.psd"]);
    assert!(
        !sandbox
            .try_git(&sandbox.repo, &["cat-file", "-e", &id])
            .status
            .success()
    );
    sandbox.remove("big.psd");
    assert_eq!(sandbox.read(&committer).paths, 2);
}

#[test]
fn what_is_no_file_is_refused_and_not_waited_for() {
    for name in ["a", ".gitignore", ".gitattributes"] {
        let sandbox = Sandbox::new();
        let committer = sandbox.committer();
        let _ = fs::remove_file(sandbox.path(name));
        rustix::fs::mkfifoat(rustix::fs::CWD, sandbox.path(name), rustix::fs::Mode::RWXU).unwrap();
        let why = sandbox.refusal(&committer);
        assert!(why.contains(name), "{why}");
    }
    // Git does not see one that is new, and so nothing is left out.
    let sandbox = Sandbox::new();
    rustix::fs::mkfifoat(rustix::fs::CWD, sandbox.path("pipe"), rustix::fs::Mode::RWXU).unwrap();
    assert_eq!(sandbox.read(&sandbox.committer()).paths, 0);
}

#[test]
fn a_name_that_only_git_may_have_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.write(".GIT/config", "");
    let why = sandbox.refusal(&sandbox.committer());
    assert!(why.contains(".GIT/config"), "{why}");
}

#[test]
fn objects_borrowed_from_elsewhere_since_are_refused() {
    let sandbox = Sandbox::new();
    let committer = sandbox.committer();
    fs::create_dir_all(sandbox.path(".git/objects/info")).unwrap();
    fs::write(sandbox.path(".git/objects/info/alternates"), "/nowhere\n").unwrap();
    let why = sandbox.refusal(&committer);
    assert!(why.contains("alternates"), "{why}");
    fs::remove_file(sandbox.path(".git/objects/info/alternates")).unwrap();

    // A clone that borrows from the start is as good as any.
    let shared = sandbox.outside("shared");
    sandbox.git(&["clone", "-q", "--shared", ".", shared.to_str().unwrap()]);
    for name in ["user.name", "user.email"] {
        assert!(sandbox.try_git(&shared, &["config", name, "x"]).status.success());
    }
    fs::write(shared.join("a"), "one more\n").unwrap();
    let settings = Settings {
        repo: shared.clone(),
        ..Settings::default()
    };
    let committer = GitCommitter::open(&settings).unwrap();
    let change = sandbox.read(&committer);
    sandbox.commit(&committer, &change).unwrap();
    assert!(sandbox.try_git(&shared, &["fsck", "--strict"]).status.success());
}

#[test]
fn a_shallow_clone_commits_like_any_other() {
    let sandbox = Sandbox::new();
    sandbox.write("a", "two\n");
    sandbox.commit_by_hand("second");
    let mut clone = Sandbox::unborn(&[]);
    let (from, to) = (
        format!("file://{}", sandbox.repo.display()),
        clone.outside("shallow"),
    );
    clone.git(&["clone", "-q", "--depth=1", &from, to.to_str().unwrap()]);
    clone.repo.clone_from(&to);
    clone.settings.repo = to;
    clone.git(&["config", "user.name", "x"]);
    clone.git(&["config", "user.email", "x"]);
    clone.write("a", "three\n");
    let first = clone.commit_all();
    clone.write("a", "four\n");
    let second = clone.commit_all();
    assert_ne!(first.id, second.id);
}

#[test]
fn reading_stops_when_it_is_told_to() {
    let sandbox = Sandbox::new();
    let control = Control::new();
    control.switch().cancel(Cut::Stop);
    let read = sandbox.committer().read_change(&control);
    assert!(matches!(read, Err(CommitError::Cancelled)), "{read:?}");
}

/// Why the repository cannot be used.
#[track_caller]
fn unusable(sandbox: &Sandbox) -> RepoError {
    let error = GitCommitter::open(&sandbox.settings).unwrap_err();
    assert!(error.next_step().ends_with('.'));
    error
}

#[test]
fn a_repository_in_which_nobody_should_commit_is_not_opened() {
    let sandbox = Sandbox::new();
    type Spoil = fn(&Sandbox);
    let spoils: [(Spoil, &str); 7] = [
        (
            |s| fs::write(s.path(".git/MERGE_HEAD"), "").unwrap(),
            "a merge is under way",
        ),
        (
            |s| fs::create_dir(s.path(".git/rebase-merge")).unwrap(),
            "a rebase is under way",
        ),
        (
            |s| drop(s.git(&["config", "core.sparseCheckout", "true"])),
            "sparse",
        ),
        (
            |s| drop(s.git(&["update-index", "--skip-worktree", "a"])),
            "`a` is marked skip-worktree",
        ),
        (
            |s| drop(s.git(&["update-index", "--assume-unchanged", "folder/b"])),
            "`folder/b` is marked assume-unchanged",
        ),
        (
            |s| {
                s.git(&["checkout", "-q", "-b", "other"]);
                s.write("a", "other\n");
                s.commit_by_hand("other");
                s.git(&["checkout", "-q", "main"]);
                s.write("a", "main\n");
                s.commit_by_hand("main");
                assert!(!s.try_git(&s.repo, &["cherry-pick", "other"]).status.success());
                fs::remove_file(s.path(".git/CHERRY_PICK_HEAD")).unwrap();
            },
            "`a` is not merged",
        ),
        (
            |s| drop(s.git(&["symbolic-ref", "refs/heads/main", "refs/heads/x"])),
            "only another name",
        ),
    ];
    for (spoil, word) in spoils {
        let sandbox = Sandbox::new();
        spoil(&sandbox);
        let error = unusable(&sandbox);
        assert!(matches!(error, RepoError::Unsupported { .. }), "{error:?}");
        assert!(error.to_string().contains(word), "{error}");
    }
    sandbox.git(&["config", "user.name", ""]);
    assert!(matches!(unusable(&sandbox), RepoError::NoIdentity { .. }));
}

#[test]
fn a_merge_that_begins_later_is_refused_too() {
    let sandbox = Sandbox::new();
    let committer = sandbox.committer();
    sandbox.write("a", "changed\n");
    let change = sandbox.read(&committer);
    fs::write(sandbox.path(".git/MERGE_HEAD"), "").unwrap();
    assert!(sandbox.refusal(&committer).contains("merge"));
    assert!(sandbox.commit(&committer, &change).is_err());
    assert_eq!(sandbox.git(&["rev-list", "--count", "HEAD"]), "1");
}

#[test]
fn where_there_is_no_tree_there_is_no_committer() {
    let mut sandbox = Sandbox::new();
    sandbox.settings.repo = sandbox.outside("plain");
    assert!(matches!(unusable(&sandbox), RepoError::Io { .. }));
    fs::create_dir(&sandbox.settings.repo).unwrap();
    assert!(matches!(unusable(&sandbox), RepoError::NotARepository { .. }));
    let bare = sandbox.outside("bare.git");
    sandbox.git(&["init", "-q", "--bare", bare.to_str().unwrap()]);
    for folder in [bare, sandbox.path(".git")] {
        sandbox.settings.repo = folder;
        assert!(matches!(unusable(&sandbox), RepoError::Unsupported { .. }));
    }
}

#[test]
fn nothing_of_a_run_is_left_behind() {
    let sandbox = Sandbox::new();
    sandbox.write("a", "changed\n");
    let list = || {
        let folders = Command::new("find")
            .arg(sandbox.path(".git"))
            .output()
            .unwrap()
            .stdout;
        let lines = String::from_utf8(folders).unwrap();
        lines
            .lines()
            .filter(|line| !line.contains("/objects/"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let before = list();
    let committer = sandbox.committer();
    let change = sandbox.read(&committer);
    assert_eq!(list(), before);
    sandbox.commit(&committer, &change).unwrap();
    assert_eq!(list(), before);
}
