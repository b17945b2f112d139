//! Real commands, run by `CommandVerifier`.

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
use machine_driver_state::id::{Digest, SessionId, TaskId};
use machine_driver_verify::{CommandVerifier, Finding, Verdict, Verifier, VerifyError, VerifyOrder};
use tempfile::TempDir;

/// Longer than any of these commands takes, shorter than the sleeps that have to be cut short.
const SOON: Duration = Duration::from_secs(30);

struct Bench {
    _folder: TempDir,
    order: VerifyOrder,
}

impl Bench {
    fn shell(command: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let [repo, evidence] = ["repo", "evidence"].map(|name| root.join(name));
        fs::create_dir(&repo).unwrap();
        fs::create_dir(&evidence).unwrap();
        let order = VerifyOrder {
            task: TaskId::new("t1").unwrap(),
            text: "do it".to_owned(),
            attempt: 2,
            session: SessionId::new(&"5e".repeat(16)).unwrap(),
            repo,
            goal_file: root.join("goal.json"),
            task_file: evidence.join("task.txt"),
            feedback_file: PathBuf::from("/dev/null"),
            usage_file: evidence.join("attempt-2.usage.json"),
            evidence,
            command: CommandLine::Shell(command.to_owned()),
            wall: Some(Duration::from_secs(300)),
            env_pass: Vec::new(),
        };
        Self {
            _folder: folder,
            order,
        }
    }

    fn argv(arguments: &[&str]) -> Self {
        let mut bench = Self::shell("");
        bench.order.command = CommandLine::Argv(arguments.iter().map(|a| (*a).to_owned()).collect());
        bench
    }

    fn verify_with(&self, control: &Control) -> Result<Verdict, VerifyError> {
        CommandVerifier::new(Runner::local()).verify(&self.order, control)
    }

    fn verify(&self) -> Verdict {
        self.verify_with(&Control::new()).unwrap()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.order.evidence.join("attempt-2.verify.log")).unwrap()
    }
}

fn failed(reason: &str) -> Finding {
    Finding::Failed {
        reason: reason.to_owned(),
    }
}

fn unavailable(verdict: &Verdict) -> &str {
    match &verdict.finding {
        Finding::Unavailable { reason } => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn exit_0_passes_and_nothing_else_does() {
    for (command, finding, exit, signal) in [
        ("true", Finding::Passed, Some(0), None),
        ("! false", Finding::Passed, Some(0), None),
        ("exit 1", failed("exit 1"), Some(1), None),
        ("exit 75", failed("exit 75"), Some(75), None),
        ("exit 255", failed("exit 255"), Some(255), None),
        ("kill -SEGV $$", failed("killed by SIGSEGV"), None, Some(11)),
        ("kill -KILL $$", failed("killed by SIGKILL"), None, Some(9)),
    ] {
        let verdict = Bench::shell(command).verify();
        assert_eq!(
            (verdict.finding, verdict.exit, verdict.signal),
            (finding, exit, signal),
            "{command}"
        );
        assert!(!verdict.timed_out);
    }
}

#[test]
fn a_verifier_that_cannot_start_is_unavailable() {
    let verdict = Bench::shell("no-such-program-here").verify();
    let reason = unavailable(&verdict);
    assert!(
        reason.starts_with("it could not start: exit 127: ") && reason.contains("no-such-program-here"),
        "{reason}"
    );
    assert_eq!(verdict.exit, Some(127));
    unavailable(&Bench::shell("exit 126").verify());
    unavailable(&Bench::argv(&["sh", "-c", "exit 127"]).verify());
    let verdict = Bench::argv(&["/no/such/program"]).verify();
    unavailable(&verdict);
    assert_eq!((verdict.exit, verdict.signal), (None, None));
    let mut bench = Bench::shell("true");
    bench.order.repo.push("gone");
    unavailable(&bench.verify());
}

#[test]
fn a_verifier_that_hangs_fails() {
    let mut bench = Bench::shell("trap 'exit 0' TERM; while :; do sleep 0.1; done");
    bench.order.wall = Some(Duration::from_millis(1500));
    let verdict = bench.verify();
    // It even exits with 0, because it was stopped.
    assert_eq!(verdict.finding, failed("timed out after 1.5 s"));
    assert!(verdict.timed_out && verdict.elapsed < SOON);
}

#[test]
fn braces_and_all_else_reach_the_shell_as_written() {
    let bench = Bench::shell("echo 'x y' | awk '{{print $1}}'; echo {task} '{{task}}' {a}");
    assert_eq!(bench.verify().finding, Finding::Passed);
    assert_eq!(bench.log(), "x\n{task} {{task}} {a}\n");
}

#[test]
fn the_verifier_knows_its_attempt() {
    let bench = Bench::shell("env | grep ^MACHINE_ | sort; pwd; cat");
    let verdict = bench.verify();
    let order = &bench.order;
    let (evidence, goal, repo) = (
        order.evidence.display(),
        order.goal_file.display(),
        order.repo.display(),
    );
    let expected = format!(
        "MACHINE_ATTEMPT=2\nMACHINE_FEEDBACK_FILE=/dev/null\nMACHINE_GOAL={goal}\nMACHINE_SESSION={}\nMACHINE_TASK=do it\n\
         MACHINE_TASK_FILE={evidence}/task.txt\nMACHINE_TASK_ID=t1\nMACHINE_USAGE_FILE={evidence}/attempt-2.usage.json\n{repo}\n",
        order.session,
    );
    assert_eq!(bench.log(), expected);
    assert_eq!(verdict.tail, expected.as_bytes());
    assert_eq!(verdict.output.bytes, expected.len() as u64);
}

#[test]
fn the_evidence_is_complete_and_the_tail_is_its_end() {
    let bench = Bench::shell("head -c 300000 /dev/zero; printf end");
    let verdict = bench.verify();
    assert_eq!(verdict.output.bytes, 300_003);
    assert_eq!(fs::metadata(bench.order.output_file()).unwrap().len(), 300_003);
    assert_eq!(verdict.tail.len(), Verdict::TAIL_MAX);
    assert!(verdict.tail.ends_with(b"\0end"));
    let sum = Command::new("sha256sum")
        .arg(bench.order.output_file())
        .output()
        .unwrap();
    let sum = String::from_utf8(sum.stdout).unwrap();
    assert_eq!(verdict.output.sha256, Digest::new(&sum[..64]).unwrap());
}

#[test]
fn there_is_no_partial_evidence() {
    let verify = |command: &str| {
        let bench = Bench::shell(command);
        let verifier = CommandVerifier::new(Runner::local()).with_output_max(1_000_000);
        let verdict = verifier.verify(&bench.order, &Control::new()).unwrap();
        (verdict, fs::metadata(bench.order.output_file()).unwrap().len())
    };
    let (verdict, kept) = verify("head -c 1000000 /dev/zero");
    assert_eq!(
        (verdict.finding, verdict.output.bytes, kept),
        (Finding::Passed, 1_000_000, 1_000_000)
    );
    let (verdict, _) = verify("head -c 1000001 /dev/zero; sleep 300");
    assert_eq!(
        unavailable(&verdict),
        "it wrote more than 1000000 bytes, and there is no partial evidence"
    );
    assert!(!verdict.timed_out && verdict.elapsed < SOON);
}

#[test]
fn a_cancelled_verify_is_no_verdict() {
    let bench = Bench::shell("sleep 300");
    let (sender, started) = mpsc::channel();
    let listener = move |progress| sender.send(progress).unwrap();
    let control = Control::with_listener(&listener);
    let canceller = {
        let control = control.switch().clone();
        std::thread::spawn(move || {
            let Progress::Started(mark) = started.recv_timeout(SOON).unwrap() else {
                panic!("not a start")
            };
            assert!(mark.pid > 1);
            control.cancel(Cut::Sigterm);
        })
    };
    assert!(matches!(bench.verify_with(&control), Err(VerifyError::Cancelled)));
    canceller.join().unwrap();

    let bench = Bench::shell("touch started");
    assert!(matches!(bench.verify_with(&control), Err(VerifyError::Cancelled)));
    assert!(!bench.order.repo.join("started").exists());
}

#[test]
fn a_text_too_long_for_a_variable_is_only_an_error_where_it_is_named() {
    let mut bench = Bench::shell("env");
    bench.order.text = "x".repeat(131_001);
    assert_eq!(bench.verify().finding, Finding::Passed);
    assert!(!bench.log().contains("MACHINE_TASK="));
    bench.order.command = CommandLine::Shell("test -n \"$MACHINE_TASK\"".to_owned());
    let found = bench.verify_with(&Control::new());
    assert!(
        matches!(
            found,
            Err(VerifyError::TextTooLong {
                bytes: 131_001,
                max: 131_000
            })
        ),
        "{found:?}"
    );
    bench.order.text = "a\0".to_owned();
    assert!(matches!(
        bench.verify_with(&Control::new()),
        Err(VerifyError::TextHoldsNul)
    ));
}

#[test]
fn a_link_in_the_place_of_the_output_is_not_followed() {
    for in_the_way in ["link", "folder"] {
        let bench = Bench::shell("echo out");
        let stranger = bench.order.repo.join("stranger");
        fs::write(&stranger, "keep").unwrap();
        match in_the_way {
            "link" => symlink(&stranger, bench.order.output_file()).unwrap(),
            _ => fs::create_dir_all(bench.order.output_file().join("x")).unwrap(),
        }
        assert_eq!(bench.verify().finding, Finding::Passed);
        assert_eq!(
            (bench.log().as_str(), fs::read(&stranger).unwrap().as_slice()),
            ("out\n", b"keep".as_slice())
        );
    }
}
