//! The worker that runs a command.

use std::env;
use std::ffi::OsString;
use std::time::Duration;

use machine_driver_process::{Cancel, Ending, Job, Outcome, Output, Runner, Started, Stopped};
use machine_driver_state::control::{Control, ProcessMark};
use machine_driver_state::environment::{self, Attempt, TEXT_MAX, Variables};
use machine_driver_state::event::{OutputDigest, WorkerClass};
use machine_driver_state::id::{ActorId, Digest};

use crate::template::{Placeholder, Template};
use crate::usage::{self, Said};
use crate::{Feedback, Stop, WorkError, WorkOrder, WorkReport, Worker, evidence};

/// Time between TERM and KILL for a worker that the driver cancels.
const CANCEL_GRACE: Duration = Duration::from_millis(1_500);

/// The exit by which a worker says that it was refused service for now: `EX_TEMPFAIL` of sysexits.h.
const EXIT_TEMPORARY: i32 = 75;

/// A shell's exits for a command that it could not execute or find (POSIX.1-2024, XCU 2.8.2).
const EXITS_NOT_STARTED: [i32; 2] = [126, 127];

/// Runs the order's command as one fresh process tree in the repository, with standard input closed.
///
/// The command gets the driver's environment less what [`environment::passed`] takes out, the variables of
/// [`Attempt`], and `MACHINE_FEEDBACK`. Beside the evidence it leaves are `task.txt`, and for each attempt
/// `attempt-N.worker.log`, `attempt-N.feedback.txt` and what the worker itself writes to `attempt-N.usage.json`.
#[derive(Debug)]
pub struct CommandWorker {
    id: ActorId,
    runner: Runner,
}

impl CommandWorker {
    /// A worker with the id `worker`.
    #[must_use]
    #[expect(
        clippy::expect_used,
        reason = "`worker` is a well-formed name: not empty, short, no control character"
    )]
    pub fn new(runner: Runner) -> Self {
        Self::with_id(ActorId::new("worker").expect("a well-formed name"), runner)
    }

    /// A worker with an id of its own.
    #[must_use]
    pub fn with_id(id: ActorId, runner: Runner) -> Self {
        Self { id, runner }
    }
}

impl Worker for CommandWorker {
    fn id(&self) -> &ActorId {
        &self.id
    }

    fn run(&self, order: &WorkOrder, control: &Control) -> Result<WorkReport, WorkError> {
        let template = Template::parse(&order.command)?;
        check_text_fits(&template, &order.text)?;
        prepare(order)?;
        let cancel = Cancel::new();
        let switch = cancel.clone();
        control.on_cancel(move || switch.cancel(CANCEL_GRACE));
        let outcome = self
            .runner
            .run(&job(order, &template), &cancel, &mut |started| {
                control.report_started(mark(started));
            })
            .map_err(|source| WorkError::Run {
                source: source.into(),
            })?;
        report(&template, &outcome, usage::read(&order.usage_file()))
    }
}

/// Whether a text can reach a command: one that names `{task}` or `MACHINE_TASK` needs a text of at most 131,000 bytes without NUL.
///
/// # Errors
/// [`WorkError::TextTooLong`], [`WorkError::TextHoldsNul`].
pub fn check_text_fits(template: &Template, text: &str) -> Result<(), WorkError> {
    if text.contains('\0') {
        return Err(WorkError::TextHoldsNul);
    }
    if text.len() > TEXT_MAX && template.uses_task_text() {
        return Err(WorkError::TextTooLong {
            bytes: text.len(),
            max: TEXT_MAX,
        });
    }
    Ok(())
}

/// Writes the files that the worker reads, and clears the names of those that it and the driver write.
fn prepare(order: &WorkOrder) -> Result<(), WorkError> {
    evidence::write(&order.task_file(), order.text.as_bytes())?;
    if let Some(feedback) = &order.feedback {
        evidence::write(&order.feedback_file(), feedback.tail_used())?;
    }
    evidence::clear(&order.usage_file())?;
    evidence::clear(&order.output_file())
}

fn job(order: &WorkOrder, template: &Template) -> Job {
    let argv = template.command(|placeholder| value(order, placeholder));
    let mut job = Job::new(argv, &order.repo, order.output_file());
    job.env = variables(order);
    job.wall = order.wall;
    job.idle = order.idle;
    job.output_max = order.output_max;
    order.session.as_str().clone_into(&mut job.session);
    job
}

fn variables(order: &WorkOrder) -> Variables {
    let attempt = Attempt {
        text: &order.text,
        task_file: &order.task_file(),
        task: &order.task,
        attempt: order.attempt,
        feedback_file: &order.feedback_file(),
        goal_file: &order.goal_file,
        session: &order.session,
        usage_file: &order.usage_file(),
    };
    let mut all = attempt.environment(env::vars_os(), &order.env_pass);
    environment::set(
        &mut all,
        Placeholder::Feedback.variable(),
        feedback_text(order).into(),
    );
    all
}

fn value(order: &WorkOrder, placeholder: Placeholder) -> OsString {
    match placeholder {
        Placeholder::Task => order.text.clone().into(),
        Placeholder::TaskId => order.task.as_str().into(),
        Placeholder::Attempt => order.attempt.to_string().into(),
        Placeholder::Feedback => feedback_text(order).into(),
        Placeholder::FeedbackFile => order.feedback_file().into(),
        Placeholder::TaskFile => order.task_file().into(),
        Placeholder::GoalFile => order.goal_file.clone().into(),
    }
}

fn feedback_text(order: &WorkOrder) -> String {
    order.feedback.as_ref().map(Feedback::text).unwrap_or_default()
}

fn mark(started: &Started) -> ProcessMark {
    ProcessMark {
        pid: started.pid,
        pgid: started.pgid,
        start_time: started.start_time,
        boot_id: started.boot_id.clone(),
    }
}

fn report(template: &Template, outcome: &Outcome, said: Said) -> Result<WorkReport, WorkError> {
    let class = class(template, outcome, &said);
    let (exit, signal) = match &outcome.ending {
        Ending::Exited(code) => (Some(*code), None),
        Ending::Signaled(signal) => (None, Some(*signal)),
        Ending::CouldNotStart(_) => (None, None),
    };
    let detail = match (class, &outcome.ending) {
        (WorkerClass::CouldNotStart, Ending::CouldNotStart(why)) => Some(why.clone()),
        (WorkerClass::CouldNotStart, _) => Some(shell_said(exit, &outcome.output)),
        _ => None,
    };
    Ok(WorkReport {
        class,
        exit,
        signal,
        stopped: outcome.stopped.map(stop),
        usage: said.usage,
        usage_note: said.note,
        retry_after: said.retry_after,
        output: digest(&outcome.output)?,
        detail,
        elapsed: outcome.elapsed,
    })
}

/// What stopped it comes first: how it then ended is a consequence. A failure of a worker that asks to come back later is
/// a report of its rate limit, whatever its exit.
fn class(template: &Template, outcome: &Outcome, said: &Said) -> WorkerClass {
    match (outcome.stopped, &outcome.ending) {
        (Some(Stopped::Wall | Stopped::Idle), _) => WorkerClass::Timeout,
        (Some(Stopped::Output | Stopped::Cancelled), _) => WorkerClass::Killed,
        (None, Ending::CouldNotStart(_)) => WorkerClass::CouldNotStart,
        (None, Ending::Signaled(_)) => WorkerClass::Killed,
        (None, Ending::Exited(0)) => WorkerClass::Ok,
        (None, Ending::Exited(EXIT_TEMPORARY)) => WorkerClass::RateLimited,
        (None, Ending::Exited(code)) if template.is_shell() && EXITS_NOT_STARTED.contains(code) => {
            WorkerClass::CouldNotStart
        }
        (None, Ending::Exited(_)) if said.retry_after.is_some() => WorkerClass::RateLimited,
        (None, Ending::Exited(_)) => WorkerClass::Error,
    }
}

fn stop(stopped: Stopped) -> Stop {
    match stopped {
        Stopped::Wall => Stop::Wall,
        Stopped::Idle => Stop::Idle,
        Stopped::Output => Stop::Output,
        Stopped::Cancelled => Stop::Cancelled,
    }
}

/// The shell's own words: the last line of the output, cut to 200 characters.
fn shell_said(exit: Option<i32>, output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.tail);
    let line = text
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or_default();
    let line: String = line.chars().filter(|c| !c.is_control()).take(200).collect();
    format!("exit {}: {line}", exit.unwrap_or_default())
}

fn digest(output: &Output) -> Result<OutputDigest, WorkError> {
    let sha256 = Digest::new(&output.sha256).map_err(|source| WorkError::Run {
        source: source.into(),
    })?;
    Ok(OutputDigest {
        bytes: output.bytes,
        sha256,
    })
}
