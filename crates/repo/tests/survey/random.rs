//! Any edits at all: what is compared is what a reader without git and without hashes says.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use machine_driver_governor::Surveyor;
use machine_driver_repo::{FolderSurveyor, SurveySettings};
use machine_driver_state::control::Control;
use machine_driver_state::survey::{Difference, How, Place};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::world::globs;

/// Files and folders get in each other's way, and some names sort differently from their paths.
const PATHS: [&str; 8] = ["a", "b", "d", "d/a", "d/b", "d/e/c", "d.z", "d0"];

#[derive(Debug, Clone)]
enum Edit {
    Write(&'static str, u8),
    Link(&'static str, u8),
    Flip(&'static str),
    Remove(&'static str),
    Rename(&'static str, &'static str),
}

fn edit() -> impl Strategy<Value = Edit> {
    let path = || prop::sample::select(&PATHS[..]);
    prop_oneof![
        4 => (path(), 0..3_u8).prop_map(|(path, content)| Edit::Write(path, content)),
        1 => (path(), 0..3_u8).prop_map(|(path, target)| Edit::Link(path, target)),
        2 => path().prop_map(Edit::Flip),
        2 => path().prop_map(Edit::Remove),
        1 => (path(), path()).prop_map(|(from, to)| Edit::Rename(from, to)),
    ]
}

/// Makes room for a file at this path.
fn clear(root: &Path, path: &str) {
    for above in Path::new(path).ancestors().skip(1) {
        let above = root.join(above);
        if above.symlink_metadata().is_ok_and(|metadata| !metadata.is_dir()) {
            fs::remove_file(above).unwrap();
        }
    }
    remove(&root.join(path));
    fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
}

fn remove(path: &Path) {
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path).unwrap(),
        Ok(_) => fs::remove_file(path).unwrap(),
        Err(_) => {}
    }
}

fn carry_out(root: &Path, edit: &Edit) {
    match edit {
        Edit::Write(path, content) => {
            clear(root, path);
            fs::write(root.join(path), [b'x' + content]).unwrap();
        }
        Edit::Link(path, target) => {
            clear(root, path);
            let target = char::from(b'x' + target).to_string();
            std::os::unix::fs::symlink(target, root.join(path)).unwrap();
        }
        Edit::Flip(path) => {
            let path = root.join(path);
            if let Ok(metadata) = path.symlink_metadata()
                && metadata.is_file()
            {
                let mode = metadata.permissions().mode() ^ 0o111;
                fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
            }
        }
        Edit::Remove(path) => remove(&root.join(path)),
        Edit::Rename(from, to) => {
            let is_file = root.join(from).symlink_metadata().is_ok_and(|it| !it.is_dir());
            if is_file && !Path::new(from).starts_with(to) && !Path::new(to).starts_with(from) {
                clear(root, to);
                fs::rename(root.join(from), root.join(to)).unwrap();
            }
        }
    }
}

/// What is at each path: whether it is a link, may be run, and its content.
type Seen = BTreeMap<PathBuf, (bool, bool, Vec<u8>)>;

fn seen(root: &Path, folder: &Path, into: &mut Seen) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let metadata = path.symlink_metadata().unwrap();
        let below = path.strip_prefix(root).unwrap().to_owned();
        if below.starts_with(".git") {
            continue;
        } else if metadata.is_dir() {
            seen(root, &path, into);
        } else if metadata.is_symlink() {
            let target = fs::read_link(&path).unwrap();
            into.insert(below, (true, false, target.into_os_string().into_encoded_bytes()));
        } else {
            let runs = metadata.permissions().mode() & 0o111 != 0;
            into.insert(below, (false, runs, fs::read(&path).unwrap()));
        }
    }
}

fn expected(before: &Seen, after: &Seen, places: &[Place]) -> Vec<Difference> {
    let mut all = Vec::new();
    let paths = before
        .keys()
        .chain(after.keys().filter(|path| !before.contains_key(*path)));
    for path in paths {
        let how = match (before.get(path), after.get(path)) {
            (Some(old), Some(new)) if old == new => continue,
            (Some(old), Some(new)) if (old.0, &old.2) == (new.0, &new.2) => How::Mode,
            (Some(_), Some(_)) => How::Changed,
            (Some(_), None) => How::Deleted,
            (None, _) => How::Added,
        };
        let path = path.clone();
        all.extend(places.iter().map(|&place| Difference {
            path: path.clone(),
            how,
            place,
        }));
    }
    all.sort_by(|a, b| (&a.path, a.place).cmp(&(&b.path, b.place)));
    all
}

#[test]
fn any_edits_are_told_as_they_are() {
    let edits = || prop::collection::vec(edit(), 0..12);
    let mut runner = TestRunner::new(Config {
        cases: 60,
        failure_persistence: None,
        ..Config::default()
    });
    runner
        .run(&(edits(), edits(), any::<bool>()), |(first, second, in_git)| {
            let folder = tempfile::tempdir().unwrap();
            let repo = folder.path().canonicalize().unwrap().join("repo");
            fs::create_dir(&repo).unwrap();
            let places: &[Place] = if in_git {
                let init = std::process::Command::new("git")
                    .args(["init", "-q", "--template="])
                    .arg(&repo)
                    .status();
                assert!(init.unwrap().success());
                &[Place::Tree, Place::Files]
            } else {
                &[Place::Files]
            };
            let settings = SurveySettings {
                kept: folder.path().join("kept"),
                repo: repo.clone(),
                ..SurveySettings::default()
            };
            let surveyor = FolderSurveyor::open(&settings).unwrap();
            let look = || {
                let mut all = Seen::new();
                seen(&repo, &repo, &mut all);
                (all, surveyor.survey(&globs(&["**"]), &Control::new()).unwrap())
            };
            first.iter().for_each(|edit| carry_out(&repo, edit));
            let (was, before) = look();
            second.iter().for_each(|edit| carry_out(&repo, edit));
            let (is, after) = look();
            prop_assert_eq!(
                surveyor.compare(&before, &after).unwrap(),
                expected(&was, &is, places)
            );
            prop_assert_eq!(
                surveyor.compare(&after, &before).unwrap(),
                expected(&is, &was, places)
            );
            Ok(())
        })
        .unwrap();
}
