use machine_driver::{Driver, preflight, read_goal};

use super::*;

#[test]
fn the_site_is_a_goal_whose_tests_all_fail_at_first() {
    let folder = tempfile::tempdir().unwrap();
    for (name, way) in [("it's a demo", Way::Review), ("and one more", Way::Commit)] {
        all_fail_at_first(&Site::build(Some(&folder.path().join(name)), way, false).unwrap());
    }
}

fn all_fail_at_first(site: &Site) {
    let file = read_goal(&site.goal).unwrap();
    preflight::check(&file).unwrap();
    assert!(
        preflight::warnings(&file).is_empty(),
        "{:?}",
        preflight::warnings(&file)
    );
    for task in &file.goal().tasks {
        let mut sh = std::process::Command::new("sh");
        let passed = sh
            .args(["test.sh", task.id.as_str()])
            .current_dir(&site.repo)
            .output()
            .unwrap();
        assert!(!passed.status.success(), "{}", task.id);
    }
    let left = crate::git::ask(&site.repo, &["status", "--porcelain"]);
    assert_eq!(left.as_deref(), Some(""), "all of it is committed");
    assert_eq!(file.goal().tasks.len(), plan::tasks(site.way).count());
}

#[test]
fn it_goes_as_planned_and_a_difference_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::build(Some(&folder.path().join("demo")), Way::Review, false).unwrap();
    let alerter = Printed::with(|_| Ok(()));
    let summed = Driver::builder(&site.goal)
        .alerter(alerter)
        .build()
        .unwrap()
        .run()
        .unwrap();
    let seen = look(&site.goal).unwrap();
    assert_eq!(
        plan::compare(&seen, summed.exit, Way::Review),
        Vec::<String>::new()
    );
    let wrong_end = plan::compare(&seen, Exit::Done, Way::Review);
    assert!(
        matches!(wrong_end.as_slice(), [line] if line.starts_with("the run ended with 0")),
        "{wrong_end:?}"
    );

    let untouched = Site::build(Some(&folder.path().join("second")), Way::Review, false).unwrap();
    let differences = plan::compare(&look(&untouched.goal).unwrap(), Exit::Blocked, Way::Review);
    assert_eq!(
        differences.len(),
        plan::tasks(Way::Review).count() + 1,
        "{differences:?}"
    );
}

#[test]
fn a_folder_with_something_in_it_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("mine"), "x").unwrap();
    let failure = Site::build(Some(folder.path()), Way::Review, false).unwrap_err();
    assert_eq!(failure.exit(), Exit::Usage);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn with_commits_it_goes_as_planned_and_a_difference_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::build(Some(&folder.path().join("demo")), Way::Commit, false).unwrap();
    let untouched = look(&site.goal).unwrap();
    let before = plan::compare(&untouched, Exit::Blocked, Way::Commit);
    for id in ["add", "average", "divide"] {
        assert!(before.contains(&format!("{id} was not committed")), "{before:?}");
    }
    assert_eq!(history::compare(&site, &untouched).len(), 3);

    let alerter = Printed::with(|_| Ok(()));
    let summed = Driver::builder(&site.goal)
        .alerter(alerter)
        .build()
        .unwrap()
        .run()
        .unwrap();
    let seen = look(&site.goal).unwrap();
    assert_eq!(
        plan::compare(&seen, summed.exit, Way::Commit),
        Vec::<String>::new()
    );
    assert_eq!(history::compare(&site, &seen), Vec::<String>::new());
    let as_review = plan::compare(&seen, summed.exit, Way::Review);
    assert!(
        as_review.contains(&"add was committed".to_owned()),
        "{as_review:?}"
    );
}
