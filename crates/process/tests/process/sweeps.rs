//! The last layer: what two killed processes left.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use machine_driver_process::{Cancel, Runner, Started, sweep_orphans};

use crate::bench::{Bench, is_alive, wait_until};
use crate::helper;

crate::trials![
    a_session_is_swept_and_another_is_not,
    a_recorded_group_is_swept_if_it_is_the_same,
    a_sweep_spares_itself_and_its_ancestors,
    what_escapes_the_local_runner_is_found_by_its_mark,
];

/// A process that sleeps until it is killed, at the end of the test at the latest.
struct Sleeper(Child);

impl Sleeper {
    fn new(session: &str) -> Self {
        let mut command = Command::new("sleep");
        command
            .arg("300")
            .env_clear()
            .env("MACHINE_SESSION", session)
            .process_group(0);
        Self(command.spawn().unwrap())
    }

    fn is_alive(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    fn record(&self) -> Started {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
        let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        Started {
            pid: self.0.id(),
            pgid: self.0.id(),
            start_time: stat.split_whitespace().nth(21).unwrap().parse().unwrap(),
            boot_id: boot_id.trim().to_owned(),
        }
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn name(text: &str) -> String {
    format!("{text}-{}", std::process::id())
}

fn a_session_is_swept_and_another_is_not() {
    let mut ours = [Sleeper::new(&name("a")), Sleeper::new(&name("b"))];
    let mut others = [
        Sleeper::new(&name("c")),
        Sleeper::new(&name("aa")),
        Sleeper::new(""),
    ];
    assert_eq!(
        sweep_orphans(&[name("a"), name("b"), String::new()], &[]).unwrap(),
        2
    );
    assert!(ours.iter_mut().all(|sleeper| !sleeper.is_alive()));
    assert!(others.iter_mut().all(Sleeper::is_alive));
    assert_eq!(sweep_orphans(&[name("a")], &[]).unwrap(), 0);
}

fn a_recorded_group_is_swept_if_it_is_the_same() {
    let mut sleeper = Sleeper::new("");
    let record = sleeper.record();
    let strangers = [
        Started {
            start_time: record.start_time + 1,
            ..record.clone()
        },
        Started {
            start_time: 0,
            ..record.clone()
        },
        Started {
            boot_id: "of yesterday".to_owned(),
            ..record.clone()
        },
        Started {
            boot_id: String::new(),
            ..record.clone()
        },
        Started {
            pgid: record.pgid + 1,
            ..record.clone()
        },
    ];
    assert_eq!(sweep_orphans(&[], &strangers).unwrap(), 0);
    assert!(sleeper.is_alive());
    assert_eq!(sweep_orphans(&[], &[record]).unwrap(), 1);
    assert!(!sleeper.is_alive());
}

fn a_sweep_spares_itself_and_its_ancestors() {
    let session = name("nested");
    let program = helper::command("sweep-own-session");
    let arguments: Vec<_> = program.get_args().collect();
    // The shell above and the sleeper beside the helper are marked too; only the latter is swept.
    let output = Command::new("sh")
        .args(["-c", "sleep 300 & \"$@\"; echo alive", "sh"])
        .arg(program.get_program())
        .args(arguments)
        .env("MACHINE_SESSION", &session)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "1\nalive\n");
}

fn what_escapes_the_local_runner_is_found_by_its_mark() {
    let bench = Bench::new();
    let session = name("escaped");
    let mut job =
        bench.sh("setsid sh -c 'echo $$ > pids; exec sleep 300' & while [ ! -s pids ]; do sleep 0.02; done");
    job.env.push(("MACHINE_SESSION".into(), session.clone().into()));
    job.session = session.clone();
    Runner::local().run(&job, &Cancel::new(), &mut |_| ()).unwrap();
    let pid = bench.pids("pids", 1)[0];
    assert!(is_alive(pid), "if this fails, the tier is better than documented");
    assert_eq!(sweep_orphans(&[session], &[]).unwrap(), 1);
    wait_until(|| !is_alive(pid));
}
