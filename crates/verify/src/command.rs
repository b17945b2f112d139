//! The verifier that runs a command.

use std::ffi::OsString;
use std::time::Duration;
use std::{env, fs, io};

use machine_driver_process::{Cancel, Ending, Job, Outcome, Output, Runner, Started, Stopped};
use machine_driver_state::control::{Control, ProcessMark};
use machine_driver_state::environment::{Attempt, TEXT_MAX, names_task};
use machine_driver_state::event::OutputDigest;
use machine_driver_state::goal::CommandLine;
use machine_driver_state::id::{ActorId, Digest};
use rustix::process::Signal;

use crate::{Finding, Verdict, Verifier, VerifyError, VerifyOrder};

/// A verifier that writes more than this cannot judge: there is no partial evidence. 1 GiB.
pub const OUTPUT_MAX: u64 = 1 << 30;

/// Time between TERM and KILL for a verifier that the driver cancels.
const CANCEL_GRACE: Duration = Duration::from_millis(1_500);

/// A shell's exits for a command that it could not execute or find (POSIX.1-2024, XCU 2.8.2); `env`, `nice` and their like
/// use them too.
const EXITS_NOT_STARTED: [i32; 2] = [126, 127];

/// Runs the order's command in the repository, with standard input closed. Exit 0 passes, and nothing else does.
///
/// The command is run as it was written: it has no placeholders. It gets the environment that the worker got, but for
/// `MACHINE_FEEDBACK`. All that it writes goes to `attempt-N.verify.log`.
#[derive(Debug)]
pub struct CommandVerifier {
    id: ActorId,
    runner: Runner,
    output_max: u64,
}

impl CommandVerifier {
    /// A verifier with the id `verifier`.
    #[must_use]
    #[expect(
        clippy::expect_used,
        reason = "`verifier` is a well-formed name: not empty, short, no control character"
    )]
    pub fn new(runner: Runner) -> Self {
        Self::with_id(ActorId::new("verifier").expect("a well-formed name"), runner)
    }

    /// A verifier with an id of its own.
    #[must_use]
    pub fn with_id(id: ActorId, runner: Runner) -> Self {
        Self {
            id,
            runner,
            output_max: OUTPUT_MAX,
        }
    }

    /// The same with another limit than [`OUTPUT_MAX`], in bytes.
    #[must_use]
    pub fn with_output_max(self, output_max: u64) -> Self {
        Self { output_max, ..self }
    }

    fn job(&self, order: &VerifyOrder) -> Job {
        let mut job = job(order);
        // The first half of the cap is written straight to the file: nothing that a verdict can stand on is ever cut.
        job.output_cap = self.output_max.saturating_mul(2);
        job.output_max = Some(self.output_max);
        job
    }
}

impl Verifier for CommandVerifier {
    fn id(&self) -> &ActorId {
        &self.id
    }

    fn verify(&self, order: &VerifyOrder, control: &Control) -> Result<Verdict, VerifyError> {
        check_text_fits(order)?;
        clear_output(order)?;
        let cancel = Cancel::new();
        let switch = cancel.clone();
        control.on_cancel(move || switch.cancel(CANCEL_GRACE));
        let outcome = self
            .runner
            .run(&self.job(order), &cancel, &mut |started| {
                control.report_started(mark(started));
            })
            .map_err(|source| VerifyError::Run {
                source: source.into(),
            })?;
        verdict(order, self.output_max, &outcome)
    }
}

fn check_text_fits(order: &VerifyOrder) -> Result<(), VerifyError> {
    if order.text.contains('\0') {
        return Err(VerifyError::TextHoldsNul);
    }
    let uses_text = match &order.command {
        CommandLine::Shell(text) => names_task(text),
        CommandLine::Argv(arguments) => arguments.iter().any(|argument| names_task(argument)),
    };
    if order.text.len() > TEXT_MAX && uses_text {
        return Err(VerifyError::TextTooLong {
            bytes: order.text.len(),
            max: TEXT_MAX,
        });
    }
    Ok(())
}

/// A worker may have put a link in the place of the output, which must not be followed.
fn clear_output(order: &VerifyOrder) -> Result<(), VerifyError> {
    let path = order.output_file();
    let removed = match fs::symlink_metadata(&path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(&path),
        Ok(_) => fs::remove_file(&path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    };
    removed.map_err(|source| VerifyError::Evidence {
        operation: "remove",
        path,
        source,
    })
}

fn job(order: &VerifyOrder) -> Job {
    let argv: Vec<OsString> = match &order.command {
        CommandLine::Shell(text) => vec!["sh".into(), "-c".into(), text.into()],
        CommandLine::Argv(arguments) => arguments.iter().map(Into::into).collect(),
    };
    let attempt = Attempt {
        text: &order.text,
        task_file: &order.task_file,
        task: &order.task,
        attempt: order.attempt,
        feedback_file: &order.feedback_file,
        goal_file: &order.goal_file,
        session: &order.session,
        usage_file: &order.usage_file,
    };
    let mut job = Job::new(argv, &order.repo, order.output_file());
    job.env = attempt.environment(env::vars_os(), &order.env_pass);
    job.wall = order.wall;
    order.session.as_str().clone_into(&mut job.session);
    job
}

fn mark(started: &Started) -> ProcessMark {
    ProcessMark {
        pid: started.pid,
        pgid: started.pgid,
        start_time: started.start_time,
        boot_id: started.boot_id.clone(),
    }
}

fn verdict(order: &VerifyOrder, output_max: u64, outcome: &Outcome) -> Result<Verdict, VerifyError> {
    let (exit, signal) = match &outcome.ending {
        Ending::Exited(code) => (Some(*code), None),
        Ending::Signaled(signal) => (None, Some(*signal)),
        Ending::CouldNotStart(_) => (None, None),
    };
    let tail = &outcome.output.tail;
    Ok(Verdict {
        finding: finding(order, output_max, outcome)?,
        exit,
        signal,
        timed_out: timed_out(outcome),
        output: digest(&outcome.output)?,
        tail: tail
            .get(tail.len().saturating_sub(Verdict::TAIL_MAX)..)
            .unwrap_or_default()
            .to_vec(),
        elapsed: outcome.elapsed,
    })
}

fn timed_out(outcome: &Outcome) -> bool {
    matches!(outcome.stopped, Some(Stopped::Wall | Stopped::Idle))
}

/// What stopped it comes first: how it then ended is a consequence, and an exit 0 after it is worth nothing.
fn finding(order: &VerifyOrder, output_max: u64, outcome: &Outcome) -> Result<Finding, VerifyError> {
    let failed = |reason| Finding::Failed { reason };
    let unavailable = |reason| Finding::Unavailable { reason };
    Ok(match (outcome.stopped, &outcome.ending) {
        (Some(Stopped::Cancelled), _) => return Err(VerifyError::Cancelled),
        _ if outcome.output.bytes > output_max => unavailable(format!(
            "it wrote more than {output_max} bytes, and there is no partial evidence"
        )),
        (Some(Stopped::Output), _) => unavailable("it was stopped for its output".to_owned()),
        (Some(Stopped::Wall | Stopped::Idle), _) => failed(format!(
            "timed out after {}",
            seconds(order.wall.unwrap_or(outcome.elapsed))
        )),
        (None, Ending::CouldNotStart(why)) => unavailable(format!("it could not start: {why}")),
        (None, Ending::Signaled(signal)) => failed(format!("killed by {}", signal_name(*signal))),
        (None, Ending::Exited(0)) => Finding::Passed,
        (None, Ending::Exited(code)) if EXITS_NOT_STARTED.contains(code) => {
            unavailable(match last_line(&outcome.output) {
                line if line.is_empty() => format!("it could not start: exit {code}"),
                line => format!("it could not start: exit {code}: {line}"),
            })
        }
        (None, Ending::Exited(code)) => failed(format!("exit {code}")),
    })
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}

fn signal_name(signal: i32) -> String {
    const NAMES: [(Signal, &str); 15] = [
        (Signal::HUP, "SIGHUP"),
        (Signal::INT, "SIGINT"),
        (Signal::QUIT, "SIGQUIT"),
        (Signal::ILL, "SIGILL"),
        (Signal::TRAP, "SIGTRAP"),
        (Signal::ABORT, "SIGABRT"),
        (Signal::BUS, "SIGBUS"),
        (Signal::FPE, "SIGFPE"),
        (Signal::KILL, "SIGKILL"),
        (Signal::SEGV, "SIGSEGV"),
        (Signal::PIPE, "SIGPIPE"),
        (Signal::ALARM, "SIGALRM"),
        (Signal::TERM, "SIGTERM"),
        (Signal::XCPU, "SIGXCPU"),
        (Signal::XFSZ, "SIGXFSZ"),
    ];
    let known = NAMES.iter().find(|(known, _)| known.as_raw() == signal);
    known.map_or_else(|| format!("signal {signal}"), |(_, name)| (*name).to_owned())
}

/// The shell's own words: the last line of the output, cut to 200 characters.
fn last_line(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.tail);
    let line = text
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or_default();
    line.chars().filter(|c| !c.is_control()).take(200).collect()
}

fn digest(output: &Output) -> Result<OutputDigest, VerifyError> {
    let sha256 = Digest::new(&output.sha256).map_err(|source| VerifyError::Run {
        source: source.into(),
    })?;
    Ok(OutputDigest {
        bytes: output.bytes,
        sha256,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_and_signals_read_well() {
        assert_eq!(seconds(Duration::from_secs(20)), "20 s");
        assert_eq!(seconds(Duration::from_millis(1500)), "1.5 s");
        assert_eq!(signal_name(9), "SIGKILL");
        assert_eq!(signal_name(63), "signal 63");
    }
}
