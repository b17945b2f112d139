//! Measures what a job costs beyond its processes: `sh -c true` spawned plainly and through both
//! runners, alternating, median of each. Run with `--release`.

use std::fs::File;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use machine_driver_process::{Cancel, Job, ProcessError, Runner, init};

const ROUNDS: usize = 1000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    init();
    let folder = tempfile::tempdir()?;
    let lock = File::create(folder.path().join("lock"))?;
    let begun = Instant::now();
    let guarded = Runner::guarded(&lock)?;
    say("start of a guardian", begun.elapsed());

    let local = Runner::local();
    let job = |script: &str| {
        let argv = ["sh", "-c", script].map(Into::into).to_vec();
        let mut job = Job::new(argv, folder.path(), folder.path().join("out"));
        job.env = vec![("PATH".into(), "/usr/bin:/bin".into())];
        job
    };
    let (silent, speaking) = (job("true"), job("echo x"));

    let mut times: [Vec<Duration>; 5] = Default::default();
    for _ in 0..ROUNDS {
        let sample = [
            timed(plain)?,
            timed(|| run(&local, &silent))?,
            timed(|| run(&guarded, &silent))?,
            timed(|| run(&local, &speaking))?,
            timed(|| run(&guarded, &speaking))?,
        ];
        times.iter_mut().zip(sample).for_each(|(all, one)| all.push(one));
    }
    let names = [
        "plain spawn",
        "local",
        "guarded",
        "local, output synced",
        "guarded, output synced",
    ];
    for (name, mut all) in names.into_iter().zip(times) {
        all.sort();
        say(name, all.get(ROUNDS / 2).copied().unwrap_or_default());
    }
    Ok(())
}

fn plain() -> Result<(), Box<dyn std::error::Error>> {
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", "true"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status()?;
    Ok(())
}

fn run(runner: &Runner, job: &Job) -> Result<(), ProcessError> {
    runner.run(job, &Cancel::new(), &mut |_| ()).map(drop)
}

fn timed<E>(mut f: impl FnMut() -> Result<(), E>) -> Result<Duration, E> {
    let begun = Instant::now();
    f()?;
    Ok(begun.elapsed())
}

#[expect(clippy::print_stdout, reason = "the purpose of this program")]
fn say(what: &str, time: Duration) {
    println!("{what:24} {:7.1} microseconds", time.as_secs_f64() * 1e6);
}
