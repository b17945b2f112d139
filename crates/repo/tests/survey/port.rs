//! What the port promises besides: the same tree as the committer, records that last, and no answer where there is none.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;

use machine_driver_governor::{CommitError, Committer, Surveyor};
use machine_driver_repo::{FolderSurveyor, GitCommitter, RepoError, Settings};
use machine_driver_state::control::{Control, Cut};
use machine_driver_state::survey::{Difference, How, Place, Survey};

use crate::world::{Template, World, globs};

#[track_caller]
fn survey(surveyor: &FolderSurveyor, protected: &[&str]) -> Survey {
    surveyor.survey(&globs(protected), &Control::new()).unwrap()
}

#[track_caller]
fn refusal(surveyor: &FolderSurveyor, protected: &[&str]) -> String {
    match surveyor.survey(&globs(protected), &Control::new()) {
        Err(CommitError::Refused { why }) => why,
        other => panic!("not refused: {other:?}"),
    }
}

/// What differs, as `Tree Changed path`.
#[track_caller]
fn differences(surveyor: &FolderSurveyor, before: &Survey, after: &Survey) -> Vec<String> {
    let all = surveyor.compare(before, after).unwrap();
    let shown = |one: &Difference| format!("{:?} {:?} {}", one.place, one.how, one.path.display());
    all.iter().map(shown).collect()
}

#[test]
fn the_tree_is_the_one_that_the_committer_reads() {
    let world = Template::new().world();
    world.does("git config user.name x; git config user.email x@x.invalid");
    let surveyor = world.surveyor();
    let settings = Settings {
        repo: world.repo(),
        ..Settings::default()
    };
    let committer = GitCommitter::open(&settings).unwrap();
    for work in [
        "true",
        "echo x > README.md; echo x > new; echo x > tracked.log; echo x > build/new",
        "rm -r tests; chmod +x README.md; ln -s x src/l",
        "git add -f build/cache; git commit -qm x; echo y > build/cache; git rm -q --cached tracked.log",
        "echo '!build/' >> .gitignore; printf '\\r\\n' > crlf",
    ] {
        world.does(work);
        let change = committer.read_change(&Control::new()).unwrap();
        assert_eq!(survey(&surveyor, &[]).tree, Some(change.tree), "{work}");
    }
}

#[test]
fn nobodys_name_is_needed_and_all_of_the_tree_counts_from_a_folder_below() {
    let world = Template::new().world();
    world.does("git config user.name ''");
    let settings = Settings {
        repo: world.repo(),
        ..Settings::default()
    };
    let refused = GitCommitter::open(&settings).unwrap_err();
    assert!(matches!(refused, RepoError::NoIdentity { .. }), "{refused:?}");
    let mut settings = world.settings();
    settings.repo = world.path("tests");
    let surveyor = FolderSurveyor::open(&settings).unwrap();
    assert_eq!(surveyor.root(), world.repo());
    let before = survey(&surveyor, &["src"]);
    world.does("echo x > src/lib.rs");
    let after = survey(&surveyor, &["src"]);
    assert_eq!(
        differences(&surveyor, &before, &after),
        ["Tree Changed src/lib.rs", "Files Changed src/lib.rs"]
    );
}

#[test]
fn a_repository_of_any_sort_is_seen() {
    let world = Template::new().world();
    world.does("rm -rf .git sub vendor .gitmodules; git init -q --object-format=sha256 -b main .");
    let surveyor = world.surveyor();
    let before = survey(&surveyor, &[]);
    assert_eq!(before.tree.as_ref().unwrap().as_str().len(), 64);
    world.does("git add src; git commit -qm x; rm README.md");
    let after = survey(&surveyor, &[]);
    assert_eq!(
        differences(&surveyor, &before, &after),
        [
            "Tree Deleted README.md",
            "Index Added src/lib.rs",
            "Index Added src/util.rs"
        ]
    );
    world.does("rm -rf .git; git init -q --bare .git; git --git-dir=.git config core.bare true");
    let bare = FolderSurveyor::open(&world.settings()).unwrap_err();
    assert!(matches!(bare, RepoError::Unsupported { .. }), "{bare:?}");

    // A linked worktree has an index of its own.
    let world = Template::new().world();
    world.does("git worktree add -q \"$OUT/linked\"");
    let mut settings = world.settings();
    settings.repo = world.repo().join("../out/linked").canonicalize().unwrap();
    let surveyor = FolderSurveyor::open(&settings).unwrap();
    let before = survey(&surveyor, &["**"]);
    world
        .does("echo x > README.md; git add README.md; cd \"$OUT/linked\"; echo x > tool.sh; git add tool.sh");
    let after = survey(&surveyor, &["**"]);
    assert_eq!(
        differences(&surveyor, &before, &after),
        [
            "Tree Changed tool.sh",
            "Index Changed tool.sh",
            "Files Changed tool.sh"
        ]
    );
}

#[test]
fn two_surveys_compare_when_the_objects_of_both_are_gone() {
    let world = Template::new().world();
    let surveyor = world.surveyor();
    world.does("echo one > README.md; echo one > staged; git add staged; rm staged");
    let before = survey(&surveyor, &[]);
    world.does("echo two > README.md; git rm -q --cached staged");
    let after = survey(&surveyor, &[]);
    world.does("git checkout -q README.md; git reset -q; git reflog expire --expire=now --all; git gc -q --prune=now");
    for id in [&before.tree, &before.index, &after.tree] {
        let id = id.as_ref().unwrap();
        let there = world.try_to(&format!("git cat-file -e {id}"));
        assert!(!there.status.success(), "{id} is there");
    }
    let expected = ["Tree Changed README.md", "Index Deleted staged"];
    assert_eq!(differences(&surveyor, &before, &after), expected);
    // And without any repository, by a driver that starts again.
    let again = world.surveyor();
    world.does("rm -rf .git");
    assert_eq!(differences(&again, &before, &after), expected);
}

#[test]
fn a_record_that_was_changed_or_taken_away_is_no_answer() {
    let world = Template::new().world();
    let surveyor = world.surveyor();
    let before = survey(&surveyor, &["tests"]);
    world.does("echo x > tests/test_a.py; git add -A");
    let after = survey(&surveyor, &["tests"]);
    assert_eq!(differences(&surveyor, &before, &after).len(), 3);
    for entry in fs::read_dir(world.kept()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        let mut changed = bytes.clone();
        let last = changed.len() - 2;
        changed[last] ^= 1;
        let spoils: [&dyn Fn(); 4] = [
            &|| fs::write(&path, &changed).unwrap(),
            &|| fs::write(&path, b"").unwrap(),
            &|| fs::remove_file(&path).unwrap(),
            &|| {
                fs::remove_file(&path).unwrap();
                std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
            },
        ];
        for spoil in spoils {
            spoil();
            let answer = surveyor.compare(&before, &after);
            assert!(
                matches!(answer, Err(CommitError::Failed { .. })),
                "{path:?}: {answer:?}"
            );
            let _ = fs::remove_file(&path);
            fs::write(&path, &bytes).unwrap();
        }
        assert!(surveyor.compare(&before, &after).is_ok());
    }
    assert_eq!(fs::read_dir(world.kept()).unwrap().count(), 4);
    // Seen again, what is there is kept again.
    let path = world.kept().join(format!("{}.files", after.files.unwrap()));
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, b"changed").unwrap();
    assert_eq!(survey(&surveyor, &["tests"]), after);
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn what_was_not_seen_before_is_no_answer_either() {
    let world = Template::new().world();
    let surveyor = world.surveyor();
    let none = survey(&surveyor, &[]);
    let tests = survey(&surveyor, &["tests"]);
    let both = survey(&surveyor, &["build", "tests"]);
    let plain = Survey {
        tree: None,
        index: None,
        ..tests.clone()
    };
    for (before, after, word) in [
        (&none, &tests, "no inventory"),
        (&tests, &both, "not made for `build`"),
        (&plain, &tests, "in no git repository"),
        (&tests, &plain, "is in none"),
    ] {
        let CommitError::Failed { source, .. } = surveyor.compare(before, after).unwrap_err() else {
            panic!("another error");
        };
        assert!(source.to_string().contains(word), "{source}");
    }
    // A rule that is gone is nobody's any more.
    world.does("echo x > build/cache");
    let after = survey(&surveyor, &["tests"]);
    assert!(differences(&surveyor, &both, &after).is_empty());
    assert!(differences(&surveyor, &both, &survey(&surveyor, &[])).is_empty());
    world.does("echo x > tests/test_a.py");
    let after = survey(&surveyor, &["tests"]);
    assert_eq!(
        differences(&surveyor, &both, &after),
        ["Tree Changed tests/test_a.py", "Files Changed tests/test_a.py"]
    );
}

#[test]
fn the_drivers_own_files_are_in_no_inventory() {
    for plain in [false, true] {
        let template = Template::new();
        let world = if plain { template.plain() } else { template.world() };
        let mut settings = world.settings();
        settings.own = vec![world.path("md/goal.json"), world.path("md/log")];
        settings.own_prefixes = vec![world.path("md/goal.json.edited-")];
        settings.kept = world.path("md/kept");
        let surveyor = FolderSurveyor::open(&settings).unwrap();
        let before = survey(&surveyor, &["md/**", "src"]);
        world.does("mkdir -p md/log; for n in goal.json log/a kept/x goal.json.edited-1 other; do echo x > md/$n; done");
        let after = survey(&surveyor, &["md/**", "src"]);
        let expected: &[&str] = if plain {
            &["Files Added md/other"]
        } else {
            &["Tree Added md/other", "Files Added md/other"]
        };
        assert_eq!(differences(&surveyor, &before, &after), expected);
    }
}

#[test]
fn a_plain_folder_is_its_files_and_another_one_in_its_place_is_not_it() {
    let world = Template::new().plain();
    let surveyor = world.surveyor();
    let before = survey(&surveyor, &[]);
    assert!(before.tree.is_none() && before.index.is_none() && before.files.is_some());
    assert_eq!(survey(&surveyor, &["tests"]), before, "whatever the rules are");
    world.does("cp -a . \"$OUT/copy\"");
    let repo = world.repo();
    fs::rename(&repo, repo.with_file_name("away")).unwrap();
    fs::rename(repo.with_file_name("out").join("copy"), &repo).unwrap();
    assert!(refusal(&surveyor, &[]).contains("is not what it was"));
    fs::remove_dir_all(&repo).unwrap();
    assert!(refusal(&surveyor, &[]).contains("is not what it was"));
}

#[test]
fn a_broken_repository_is_not_a_plain_folder() {
    let world = Template::new().world();
    world.does("rm .git/HEAD");
    let broken = FolderSurveyor::open(&world.settings()).unwrap_err();
    assert!(broken.to_string().contains("is no git repository"), "{broken}");
    let mut settings = world.settings();
    settings.repo = world.path("nowhere");
    assert!(FolderSurveyor::open(&settings).is_err());
    settings.repo = world.path("README.md");
    assert!(FolderSurveyor::open(&settings).is_err());
}

#[test]
fn an_index_that_caches_another_tree_is_refused() {
    let world = Template::new().world();
    let surveyor = world.surveyor();
    let before = survey(&surveyor, &[]);
    let evil = world.does("git read-tree HEAD; printf '100644 blob %s\\tevil.py\\n' $(git rev-parse HEAD:README.md) | git mktree");
    let path = world.path(".git/index");
    let mut bytes = fs::read(&path).unwrap();
    let honest = world.does("git rev-parse HEAD^{tree}");
    let raw = |id: &str| -> Vec<u8> {
        let byte = |at: usize| u8::from_str_radix(&id[at..at + 2], 16).unwrap();
        (0..id.len()).step_by(2).map(byte).collect()
    };
    let (honest, evil_raw) = (raw(&honest), raw(&evil));
    let at = bytes.windows(20).position(|window| window == honest).unwrap();
    bytes[at..at + 20].copy_from_slice(&evil_raw);
    fs::write(&path, bytes).unwrap();
    assert_eq!(world.does("git write-tree"), evil, "git believes it");
    assert_eq!(world.does("git ls-files | grep -c evil || true"), "0");
    assert!(refusal(&surveyor, &[]).contains("caches a tree"));
    world.does("git read-tree HEAD");
    assert_eq!(survey(&surveyor, &[]), before);
}

#[test]
fn it_stops_when_it_is_told_to_and_at_its_limits() {
    let template = Template::new();
    for world in [template.world(), template.plain()] {
        let control = Control::new();
        control.switch().cancel(Cut::Stop);
        let stopped = world.surveyor().survey(&globs(&["**"]), &control);
        assert!(matches!(stopped, Err(CommitError::Cancelled)), "{stopped:?}");
        let few = world.surveyor().with_limits(5, 1 << 30);
        assert!(refusal(&few, &["**"]).contains("more than 5 files"));
        let little = world.surveyor().with_limits(1 << 20, 10);
        assert!(refusal(&little, &["**"]).contains("more than 10 bytes"));
    }
    // In the middle of a file, too.
    let world = template.plain();
    world.does("truncate -s 60G huge");
    let surveyor = world.surveyor();
    let control = Control::new();
    std::thread::scope(|scope| {
        let running = scope.spawn(|| surveyor.survey(&[], &control));
        std::thread::sleep(std::time::Duration::from_millis(300));
        control.switch().cancel(Cut::Stop);
        let stopped = running.join().unwrap();
        assert!(matches!(stopped, Err(CommitError::Cancelled)), "{stopped:?}");
    });
}

#[test]
fn what_is_compared_is_in_order_of_paths_and_places() {
    let world = Template::new().world();
    let surveyor = world.surveyor();
    let before = survey(&surveyor, &["**"]);
    world.does("echo x > b; git add b; echo x > a; chmod +x README.md; rm src/lib.rs");
    let after = survey(&surveyor, &["**"]);
    let all = surveyor.compare(&before, &after).unwrap();
    let keys: Vec<_> = all.iter().map(|one| (one.path.clone(), one.place)).collect();
    let mut sorted = keys.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(keys, sorted);
    let mode = all.iter().filter(|one| one.how == How::Mode).count();
    assert_eq!((all.len(), mode), (9, 2));
    assert!(all.iter().any(|one| one.place == Place::Index));
}

/// Where the tests run as root, who may read everything, they go on as somebody else.
#[test]
fn what_may_not_be_read_is_refused_by_name() {
    let world = Template::new().plain();
    let name = "port::unreadable_as_somebody";
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([name, "--exact", "--ignored"]);
    command.env("SURVEY_WORLD", world.repo());
    if rustix::process::geteuid().is_root() {
        world.does("chown -R 65534:65534 ../; chmod 755 ../..  ../../..");
        command.uid(65534).gid(65534);
    }
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{output:?}");
}

#[test]
#[ignore = "run by the other test"]
fn unreadable_as_somebody() {
    let Some(repo) = std::env::var_os("SURVEY_WORLD") else {
        return;
    };
    let world = World::at(repo.as_ref());
    let surveyor = world.surveyor();
    survey(&surveyor, &[]);
    world.does("chmod 000 tests/test_a.py");
    assert!(refusal(&surveyor, &[]).contains("`tests/test_a.py` may not be read"));
    world.does("chmod 644 tests/test_a.py; chmod 000 tests/data");
    assert!(refusal(&surveyor, &[]).contains("`tests/data` may not be read"));
    world.does("chmod 755 tests/data; mkdir tests/w; echo x > tests/w/x; chmod 444 tests/w");
    assert!(refusal(&surveyor, &[]).contains("`tests/w` may not be read"));
    world.does("chmod 755 tests/w; rm -r tests/w");
    survey(&surveyor, &[]);
}
