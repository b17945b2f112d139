//! Real commands, run by `CommandWorker`.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use machine_driver_process::Runner;
use machine_driver_state::control::{Control, Cut, Progress};
use machine_driver_state::goal::CommandLine;
use machine_driver_state::id::{SessionId, TaskId};
use machine_driver_state::usage::Usage;
use machine_driver_worker::{
    CommandWorker, Feedback, Stop, WorkError, WorkOrder, WorkReport, Worker, WorkerClass,
};
use tempfile::TempDir;

/// Longer than any of these commands takes, shorter than the sleeps that have to be cut short.
const SOON: Duration = Duration::from_secs(30);

struct Bench {
    _folder: TempDir,
    order: WorkOrder,
}

impl Bench {
    fn shell(command: &str) -> Self {
        Self::new(CommandLine::Shell(command.to_owned()))
    }

    fn new(command: CommandLine) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let [repo, evidence] = ["repo", "evidence"].map(|name| root.join(name));
        fs::create_dir(&repo).unwrap();
        fs::create_dir(&evidence).unwrap();
        let order = WorkOrder {
            task: TaskId::new("t1").unwrap(),
            text: "do it".to_owned(),
            attempt: 1,
            session: SessionId::new(&"5e".repeat(16)).unwrap(),
            feedback: None,
            repo,
            goal_file: root.join("goal.json"),
            evidence,
            command,
            wall: Some(Duration::from_secs(60)),
            idle: None,
            output_max: None,
            env_pass: Vec::new(),
        };
        Self {
            _folder: folder,
            order,
        }
    }

    fn try_run(&self) -> Result<WorkReport, WorkError> {
        CommandWorker::new(Runner::local()).run(&self.order, &Control::new())
    }

    fn run(&self) -> WorkReport {
        self.try_run().unwrap()
    }

    fn in_repo(&self, name: &str) -> Vec<u8> {
        fs::read(self.order.repo.join(name)).unwrap()
    }

    fn in_evidence(&self, name: &str) -> PathBuf {
        self.order.evidence.join(name)
    }
}

fn run(command: &str) -> WorkReport {
    Bench::shell(command).run()
}

#[test]
fn the_text_arrives_byte_for_byte_by_every_way() {
    let mut bench = Bench::shell(
        "printf %s {task} > bare; printf %s \"{task}\" > double; printf %s '{task}' > single; \
         printf %s \"$MACHINE_TASK\" > variable; cat {task_file} > file",
    );
    let text = "$(touch MARKER) `touch MARKER` '\"\\\n; touch MARKER\n# é 🦀 \\";
    for text in [text.to_owned(), text.repeat(2_000)] {
        bench.order.text = text;
        assert_eq!(bench.run().class, WorkerClass::Ok);
        for way in ["bare", "double", "single", "variable", "file"] {
            assert!(bench.in_repo(way) == bench.order.text.as_bytes(), "{way}");
        }
        assert_eq!(fs::read_dir(&bench.order.repo).unwrap().count(), 5);
    }
}

#[test]
fn an_array_runs_without_a_shell() {
    let arguments = [
        "printf",
        "%s|%s|%s|%s|$HOME",
        "{task}",
        "{task_id}",
        "{attempt}",
        "{goal_file}",
    ];
    let bench = Bench::new(CommandLine::Argv(arguments.map(str::to_owned).into()));
    assert_eq!(bench.run().class, WorkerClass::Ok);
    let output = fs::read_to_string(bench.in_evidence("attempt-1.worker.log")).unwrap();
    assert_eq!(
        output,
        format!("do it|t1|1|{}|$HOME", bench.order.goal_file.display())
    );
}

#[test]
fn the_worker_knows_its_attempt() {
    let mut bench = Bench::shell("env | grep ^MACHINE_ | sort; pwd; cat; cat \"$MACHINE_FEEDBACK_FILE\"");
    let report = bench.run();
    let evidence = bench.order.evidence.display().to_string();
    let goal = bench.order.goal_file.display().to_string();
    let repo = bench.order.repo.display().to_string();
    let session = "5e".repeat(16);
    let expected = |attempt: u32, feedback: &str, file: &str, tail: &str| {
        format!(
            "MACHINE_ATTEMPT={attempt}\nMACHINE_FEEDBACK={feedback}\nMACHINE_FEEDBACK_FILE={file}\nMACHINE_GOAL={goal}\n\
             MACHINE_SESSION={session}\nMACHINE_TASK=do it\nMACHINE_TASK_FILE={evidence}/task.txt\nMACHINE_TASK_ID=t1\n\
             MACHINE_USAGE_FILE={evidence}/attempt-{attempt}.usage.json\n{repo}\n{tail}"
        )
    };
    let output = fs::read_to_string(bench.in_evidence("attempt-1.worker.log")).unwrap();
    assert_eq!(output, expected(1, "", "/dev/null", ""));
    assert_eq!(report.output.bytes, output.len() as u64);

    bench.order.attempt = 2;
    bench.order.feedback = Some(Feedback {
        tail: b"\x1b[1m3 failed".to_vec(),
    });
    bench.run();
    let output = fs::read_to_string(bench.in_evidence("attempt-2.worker.log")).unwrap();
    let file = format!("{evidence}/attempt-2.feedback.txt");
    assert_eq!(output, expected(2, "[1m3 failed", &file, "\x1b[1m3 failed"));
}

#[test]
fn a_text_too_long_for_a_variable_goes_by_file() {
    let mut bench = Bench::shell("cp {task_file} copy; echo \"${MACHINE_TASK-unset}\" > variable");
    bench.order.text = "x".repeat(131_001);
    // It names MACHINE_TASK.
    assert!(matches!(
        bench.try_run(),
        Err(WorkError::TextTooLong {
            bytes: 131_001,
            max: 131_000
        })
    ));
    assert!(
        !bench.in_evidence("task.txt").exists(),
        "refused before anything was done"
    );

    bench.order.command = CommandLine::Shell("cp {task_file} copy; env > variables".to_owned());
    assert_eq!(bench.run().class, WorkerClass::Ok);
    assert!(bench.in_repo("copy") == bench.order.text.as_bytes());
    assert!(
        !String::from_utf8(bench.in_repo("variables"))
            .unwrap()
            .contains("MACHINE_TASK=")
    );

    bench.order.text.truncate(131_000);
    bench.order.command = CommandLine::Argv(
        ["sh", "-c", "printf %s \"$1\" > copy", "sh", "{task}"]
            .map(str::to_owned)
            .into(),
    );
    assert_eq!(bench.run().class, WorkerClass::Ok);
    assert!(bench.in_repo("copy") == bench.order.text.as_bytes());
}

#[test]
fn bad_orders_start_nothing() {
    let bench = Bench::shell("touch started; sh -c 'echo {task}'");
    assert!(matches!(bench.try_run(), Err(WorkError::Template { .. })));
    let mut bench = Bench::shell("touch started");
    bench.order.text = "a\0b".to_owned();
    assert!(matches!(bench.try_run(), Err(WorkError::TextHoldsNul)));
    assert!(!bench.order.repo.join("started").exists());
}

#[test]
fn exits_have_their_classes() {
    for (command, class, exit) in [
        ("exit 0", WorkerClass::Ok, 0),
        ("exit 1", WorkerClass::Error, 1),
        ("exit 75", WorkerClass::RateLimited, 75),
        ("exit 126", WorkerClass::CouldNotStart, 126),
        ("no-such-program-here", WorkerClass::CouldNotStart, 127),
    ] {
        let report = run(command);
        assert_eq!(
            (report.class, report.exit, report.signal),
            (class, Some(exit), None),
            "{command}"
        );
        assert_eq!(
            (report.stopped, report.usage, report.usage_note),
            (None, None, None),
            "{command}"
        );
    }
    let detail = run("no-such-program-here").detail.unwrap();
    assert!(
        detail.starts_with("exit 127: ") && detail.contains("no-such-program-here"),
        "{detail}"
    );
    let report = run("kill -SEGV $$");
    assert_eq!(
        (report.class, report.exit, report.signal),
        (WorkerClass::Killed, None, Some(11))
    );
}

#[test]
fn a_program_that_is_not_there_could_not_start() {
    let argv = |arguments: &[&str]| CommandLine::Argv(arguments.iter().map(|a| (*a).to_owned()).collect());
    let report = Bench::new(argv(&["/no/such/program", "{task}"])).run();
    assert_eq!((report.class, report.exit), (WorkerClass::CouldNotStart, None));
    assert!(report.detail.is_some());
    // From a program that was started, 127 is an exit like another.
    let report = Bench::new(argv(&["sh", "-c", "exit 127"])).run();
    assert_eq!((report.class, report.exit), (WorkerClass::Error, Some(127)));
}

#[test]
fn limits_stop_a_worker() {
    let mut bench = Bench::shell("sleep 300");
    bench.order.wall = Some(Duration::from_millis(200));
    let report = bench.run();
    assert_eq!(
        (report.class, report.stopped),
        (WorkerClass::Timeout, Some(Stop::Wall))
    );
    assert!(report.timed_out() && report.elapsed < SOON);

    let mut bench = Bench::shell("echo begun; sleep 300");
    bench.order.idle = Some(Duration::from_secs(2));
    let report = bench.run();
    assert_eq!(
        (report.class, report.stopped, report.output.bytes),
        (WorkerClass::Timeout, Some(Stop::Idle), 6)
    );
    assert!(report.elapsed < SOON);

    let mut bench = Bench::shell("yes; sleep 300");
    bench.order.output_max = Some(100_000);
    let report = bench.run();
    assert_eq!(
        (report.class, report.stopped),
        (WorkerClass::Killed, Some(Stop::Output))
    );
    assert!(!report.timed_out() && report.output.bytes > 100_000 && report.elapsed < SOON);
}

#[test]
fn the_driver_hears_of_the_start_and_can_cancel() {
    let bench = Bench::shell("trap '' TERM; sleep 300");
    let (sender, started) = mpsc::channel();
    let listener = move |progress| sender.send(progress).unwrap();
    let control = Control::with_listener(&listener);
    let canceller = {
        let control = control.switch().clone();
        std::thread::spawn(move || {
            let Progress::Started(mark) = started.recv_timeout(SOON).unwrap() else {
                panic!("not a start")
            };
            assert!(mark.pid > 1 && mark.pgid == mark.pid);
            control.cancel(Cut::Sigterm);
        })
    };
    let report = CommandWorker::new(Runner::local())
        .run(&bench.order, &control)
        .unwrap();
    canceller.join().unwrap();
    assert_eq!(
        (report.class, report.stopped),
        (WorkerClass::Killed, Some(Stop::Cancelled))
    );
    assert!(report.elapsed < SOON);

    // An order that comes too late starts nothing.
    let bench = Bench::shell("touch started");
    let report = CommandWorker::new(Runner::local())
        .run(&bench.order, &control)
        .unwrap();
    assert_eq!(
        (report.class, report.stopped),
        (WorkerClass::Killed, Some(Stop::Cancelled))
    );
    assert!(!bench.order.repo.join("started").exists());
}

#[test]
fn usage_is_what_this_attempt_reports() {
    let report =
        run("printf '{\"input_tokens\":10,\"output_tokens\":5,\"usd\":0.1}' > \"$MACHINE_USAGE_FILE\"");
    assert_eq!(
        report.usage,
        Some(Usage {
            tokens: Some(15),
            usd_micros: Some(100_000)
        })
    );
    assert_eq!((report.class, report.usage_note), (WorkerClass::Ok, None));

    let report = run("echo '{\"retry_after_seconds\": 90}' > \"$MACHINE_USAGE_FILE\"; exit 1");
    assert_eq!(
        (report.class, report.retry_after),
        (WorkerClass::RateLimited, Some(Duration::from_secs(90)))
    );

    for command in [
        "echo nonsense > \"$MACHINE_USAGE_FILE\"",
        "ln -s /etc/passwd \"$MACHINE_USAGE_FILE\"",
        "mkdir \"$MACHINE_USAGE_FILE\"",
        "mkfifo \"$MACHINE_USAGE_FILE\"",
        "head -c 70000 /dev/zero > \"$MACHINE_USAGE_FILE\"",
    ] {
        let report = run(command);
        assert_eq!((report.class, report.usage), (WorkerClass::Ok, None), "{command}");
        assert!(report.usage_note.is_some(), "{command}");
    }
}

#[test]
fn what_an_earlier_worker_left_in_the_evidence_is_neither_used_nor_followed() {
    let bench = Bench::shell("echo out");
    let stranger = bench.order.repo.join("stranger");
    fs::write(&stranger, "keep").unwrap();
    fs::write(bench.in_evidence("attempt-1.usage.json"), r#"{"usd": 1}"#).unwrap();
    symlink(&stranger, bench.in_evidence("attempt-1.worker.log")).unwrap();
    symlink(&stranger, bench.in_evidence("task.txt")).unwrap();
    let report = bench.run();
    assert_eq!(
        (report.class, report.usage, report.usage_note),
        (WorkerClass::Ok, None, None)
    );
    assert_eq!(fs::read(&stranger).unwrap(), b"keep");
    assert_eq!(
        fs::read(bench.in_evidence("attempt-1.worker.log")).unwrap(),
        b"out\n"
    );
    assert_eq!(fs::read(bench.in_evidence("task.txt")).unwrap(), b"do it");
}

/// This test runs itself once more with the environment that it is about.
#[test]
fn the_drivers_credentials_do_not_reach_the_worker() {
    const NAME: &str = "the_drivers_credentials_do_not_reach_the_worker";
    if std::env::var_os("TELEGRAM_BOT_TOKEN").is_none() {
        let again = Command::new(std::env::current_exe().unwrap())
            .args([NAME, "--exact"])
            .env("TELEGRAM_BOT_TOKEN", "secret")
            .env("TELEGRAM_CHAT", "passed")
            .env("CLAUDECODE", "1")
            .env("MACHINE_SESSION", "stale")
            .env("MACHINE_STRANGER", "stale")
            .output()
            .unwrap();
        assert!(
            again.status.success(),
            "{}",
            String::from_utf8_lossy(&again.stdout)
        );
        return;
    }
    let mut bench = Bench::shell("env");
    bench.order.env_pass = vec!["TELEGRAM_CH*".to_owned()];
    bench.run();
    let output = fs::read_to_string(bench.in_evidence("attempt-1.worker.log")).unwrap();
    for absent in ["secret", "CLAUDECODE", "stale"] {
        assert!(!output.contains(absent), "{absent}: {output}");
    }
    assert!(output.contains("TELEGRAM_CHAT=passed") && output.contains("PATH="));
}
