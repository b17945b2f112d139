//! What this program does when a test starts it as a process of its own.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use machine_driver_process::{Cancel, Runner, sweep_orphans};

use crate::bench::{self, Bench};

const MARK: &str = "--helper";

/// This program as the named helper.
pub(crate) fn command(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([MARK, name]);
    command
}

/// Runs as a helper if this process was started as one.
pub(crate) fn dispatch() -> bool {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let [mark, name, rest @ ..] = arguments.as_slice() else {
        return false;
    };
    if mark != MARK {
        return false;
    }
    match name.to_str() {
        Some("driver") => driver(Path::new(&rest[0]), rest[1].to_str().unwrap()),
        Some("list-descriptors") => list_descriptors(),
        Some("sweep-own-session") => sweep_own_session(),
        _ => panic!("no helper {name:?}"),
    }
    true
}

/// Takes the lock in a folder and runs a script there under a guardian.
fn driver(folder: &Path, script: &str) {
    let lock = std::fs::File::create(folder.join("lock")).unwrap();
    lock.try_lock().unwrap();
    let runner = Runner::guarded(&lock).unwrap();
    let argv = ["sh", "-c", script].map(Into::into).to_vec();
    let mut job = machine_driver_process::Job::new(argv, folder, folder.join("out"));
    job.env = vec![("PATH".into(), "/usr/bin:/bin".into())];
    let outcome = runner.run(&job, &Cancel::new(), &mut |_| ());
    panic!("the job should have outlived me: {outcome:?}");
}

/// Prints the descriptors that a job sees.
fn list_descriptors() {
    let bench = Bench::new();
    let mut job = bench.sh("");
    job.argv = vec!["ls".into(), "/proc/self/fd".into()];
    for runner in bench.runners() {
        bench::run(&runner, &job);
        println!(
            "{}",
            String::from_utf8(bench.output()).unwrap().replace('\n', " ")
        );
    }
}

/// Sweeps the session that it is part of itself.
fn sweep_own_session() {
    let session = std::env::var("MACHINE_SESSION").unwrap();
    println!("{}", sweep_orphans(&[session], &[]).unwrap());
}
