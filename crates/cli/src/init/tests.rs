use clap::Parser;
use machine_driver::preflight;

use super::*;
use crate::args::{Cli, Command};
use crate::out::captured::capture;

fn run(flags: &[&str]) -> (Result<Exit, Failure>, String, String) {
    let arguments = ["machine-driver", "init"].iter().chain(flags);
    let Command::Init(args) = Cli::try_parse_from(arguments).unwrap().command else {
        panic!("not init")
    };
    capture(false, false, |out| init(&args, &Me::plain(), out))
}

#[test]
fn what_is_written_passes_check() {
    let folder = tempfile::tempdir().unwrap();
    let (repo, file) = (folder.path().join("shop"), folder.path().join("goal.json"));
    fs::create_dir(&repo).unwrap();
    fs::write(repo.join("Makefile"), "test:\n\ttrue\n").unwrap();
    let (repo, out) = (repo.to_str().unwrap(), file.to_str().unwrap());
    let flags = [
        "--repo",
        repo,
        "--out",
        out,
        "--worker",
        "true {task}",
        "--task",
        "say \"hi\"\n\u{1b}",
        "--task",
        "-x",
    ];
    let (result, stdout, stderr) = run(&flags);
    result.unwrap();
    let goal = read_goal(&file).unwrap();
    preflight::check(&goal).unwrap();
    assert_eq!(goal.goal().name, "shop");
    assert_eq!(
        goal.goal()
            .tasks
            .iter()
            .map(|task| task.goal.as_str())
            .collect::<Vec<_>>(),
        ["say \"hi\"\n\u{1b}", "-x"]
    );
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(goal.goal().repo, Path::new(repo).canonicalize().unwrap());
    let hidden = folder.path().to_str().unwrap();
    insta::assert_snapshot!("init", format!("{stdout}{stderr}").replace(hidden, "/w"));
    insta::assert_snapshot!("init_goal", text.replace(hidden, "/w"));
}

#[test]
fn a_file_that_is_there_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("goal.json");
    fs::write(&file, "mine").unwrap();
    let (repo, out) = (folder.path().to_str().unwrap(), file.to_str().unwrap());
    let flags = [
        "--repo", repo, "--out", out, "--worker", "true", "--verify", "true", "--task", "x",
    ];
    let (result, ..) = run(&flags);
    assert_eq!(result.unwrap_err().exit(), Exit::Usage);
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    let (result, ..) = run(&[flags.as_slice(), &["--force"]].concat());
    result.unwrap();
    assert_eq!(
        read_goal(&file).unwrap().goal().repo,
        folder.path().canonicalize().unwrap()
    );
}

#[test]
fn nothing_is_written_without_something_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("goal.json");
    let (repo, out) = (folder.path().to_str().unwrap(), file.to_str().unwrap());
    let (result, ..) = run(&["--repo", repo, "--out", out, "--worker", "true"]);
    let failure = result.unwrap_err();
    assert_eq!(failure.exit(), Exit::Usage);
    assert!(failure.to_string().contains("nothing to do"), "{failure}");
    assert!(!file.exists());
}
