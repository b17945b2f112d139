//! `--baseline`: what does verify say before anybody has worked?

use machine_driver::{Clock as _, SystemClock};
use machine_driver_process::Runner;
use machine_driver_state::canonical::sha256;
use machine_driver_state::control::Control;
use machine_driver_state::goal::file::GoalFile;
use machine_driver_state::goal::{CommandLine, Goal, Status, Task};
use machine_driver_state::id::SessionId;
use machine_driver_state::store::Paths;
use machine_driver_verify::{CommandVerifier, Finding, Verdict, Verifier, VerifyOrder};

use super::{Check, doubtful, good};
use crate::error::Failure;
use crate::escape;
use crate::out::Out;
use crate::{signals, when};

/// Runs each verify_cmd once, for the first task that it judges. `None`: a signal ended it.
pub(super) fn check(file: &GoalFile, paths: &Paths, out: &Out) -> Result<Option<Vec<Check>>, Failure> {
    let goal = file.goal();
    let control = Control::new();
    let cancelled = control.switch().clone();
    let _listening = signals::listen(out, move |cut| cancelled.cancel(cut))?;
    let is_begun = file
        .progress()
        .tasks
        .iter()
        .any(|task| task.status == Status::Done);
    let mut lines = Vec::new();
    for (task, command) in commands(goal) {
        out.busy(format!("verify for {}", task.id));
        let verdict = verdict(goal, task, command, paths, &control)?;
        out.idle();
        if control.cancelled().is_some() {
            return Ok(None);
        }
        lines.push(judged(task, verdict, is_begun));
    }
    Ok(Some(lines))
}

/// Every different verify_cmd, with the first task that it judges.
fn commands(goal: &Goal) -> Vec<(&Task, &CommandLine)> {
    let mut all: Vec<(&Task, &CommandLine)> = Vec::new();
    for task in &goal.tasks {
        let command = task.verify_cmd.as_ref().or(goal.verify_cmd.as_ref());
        if let Some(command) = command.filter(|command| all.iter().all(|(_, known)| known != command)) {
            all.push((task, command));
        }
    }
    all
}

fn verdict(
    goal: &Goal,
    task: &Task,
    command: &CommandLine,
    paths: &Paths,
    control: &Control,
) -> Result<Result<Verdict, String>, Failure> {
    let folder = tempfile::tempdir().map_err(Failure::io("make a folder in", std::env::temp_dir()))?;
    let evidence = folder.path().to_owned();
    let task_file = evidence.join("task.txt");
    std::fs::write(&task_file, &task.goal).map_err(Failure::io("write", &task_file))?;
    let moment = format!("{} {}", std::process::id(), SystemClock::new().now());
    let digest = sha256(moment.as_bytes()).to_string();
    let session = SessionId::new(digest.get(..SessionId::LENGTH).unwrap_or_default());
    let Ok(session) = session else {
        return Ok(Err("no id for it".into()));
    };
    let order = VerifyOrder {
        task: task.id.clone(),
        text: task.goal.clone(),
        attempt: 1,
        session,
        repo: goal.repo.clone(),
        goal_file: paths.goal.clone(),
        task_file,
        feedback_file: "/dev/null".into(),
        usage_file: evidence.join("usage.json"),
        evidence,
        command: command.clone(),
        wall: goal.verify_timeout,
        env_pass: goal.env_pass.clone(),
    };
    Ok(CommandVerifier::new(Runner::local())
        .verify(&order, control)
        .map_err(|error| error.to_string()))
}

fn judged(task: &Task, verdict: Result<Verdict, String>, is_begun: bool) -> Check {
    let verdict = match verdict {
        Ok(verdict) => verdict,
        Err(why) => {
            return doubtful(
                "baseline",
                format!("verify for {} could not run: {why}", task.id),
                None,
            );
        }
    };
    let after = when::span(verdict.elapsed);
    let says = |what: &str| format!("verify for {} {what} after {after}", task.id);
    match verdict.finding {
        Finding::Passed if is_begun => good("baseline", says("passes")),
        Finding::Passed => doubtful(
            "baseline",
            says("passes already, before any work,"),
            Some("It cannot tell whether a task was done: write a test that fails until it is.".into()),
        ),
        Finding::Failed { reason } => good(
            "baseline",
            says(&format!(
                "fails ({}), as it should before the work,",
                escape::line(&reason)
            )),
        ),
        Finding::Unavailable { reason } => doubtful(
            "baseline",
            says(&format!("could not run ({})", escape::line(&reason))),
            Some("Mend the command: a verifier that cannot run lets nothing pass.".into()),
        ),
    }
}
