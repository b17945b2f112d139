//! `retry` and `task add`.

use std::path::Path;

use machine_driver::{DriverError, Exit, SystemClock, operator, read_goal};
use machine_driver_state::goal::Goal;
use machine_driver_state::id::TaskId;
use serde_json::{Map, Value, json};

use crate::app::summary;
use crate::args::{RetryArgs, TaskAddArgs};
use crate::error::Failure;
use crate::me::Me;
use crate::out::Out;

/// Puts a task back, with those that were blocked behind it.
pub(crate) fn retry(args: &RetryArgs, me: &Me, out: &Out) -> Result<Exit, Failure> {
    let path = &args.goal.path;
    let put_back = operator::retry(path, &args.task, SystemClock::new())?;
    let ids: Vec<&str> = put_back.iter().map(TaskId::as_str).collect();
    out.say(format!("put back: {}", ids.join(", ")));
    done(path, me, out, json!({"put_back": ids}));
    Ok(Exit::Done)
}

/// Adds a task.
pub(crate) fn add(args: &TaskAddArgs, me: &Me, out: &Out) -> Result<Exit, Failure> {
    let path = &args.goal.path;
    let before = read_goal(path)?;
    let id = args
        .id
        .as_ref()
        .map_or_else(|| free_id(before.goal()), ToString::to_string);
    let file = operator::add_task(path, &task(args, &id), SystemClock::new()).map_err(not_added)?;
    out.say(format!("added {id}: {} tasks now", file.goal().tasks.len()));
    done(
        path,
        me,
        out,
        json!({"task": id, "tasks": file.goal().tasks.len()}),
    );
    Ok(Exit::Done)
}

/// The goal without the task was good.
fn not_added(error: DriverError) -> Failure {
    match error {
        DriverError::Goal(error) => Failure::NewTask(error),
        error => error.into(),
    }
}

fn done(path: &Path, me: &Me, out: &Out, mut fields: Value) {
    let step = me.on("run", path);
    if let Some(fields) = fields.as_object_mut() {
        fields.insert("next".into(), json!([step]));
    }
    out.json(&summary(Exit::Done, fields));
    out.hint(&format!("`{step}`"));
}

fn task(args: &TaskAddArgs, id: &str) -> Value {
    let mut task = Map::new();
    task.insert("id".into(), id.into());
    task.insert("goal".into(), args.text.as_str().into());
    if args.reversible {
        task.insert("reversible".into(), true.into());
    }
    if !args.after.is_empty() {
        let after: Vec<&str> = args.after.iter().map(TaskId::as_str).collect();
        task.insert("after".into(), after.into());
    }
    for (key, command) in [("verify_cmd", &args.verify), ("worker_cmd", &args.worker)] {
        if let Some(command) = command {
            task.insert(key.into(), command.as_str().into());
        }
    }
    task.into()
}

/// The first of t1, t2, … behind the last that is taken.
fn free_id(goal: &Goal) -> String {
    let number = |id: &TaskId| id.as_str().strip_prefix('t')?.parse::<u32>().ok();
    let last = goal
        .tasks
        .iter()
        .filter_map(|task| number(&task.id))
        .max()
        .unwrap_or(0);
    format!("t{}", u64::from(last) + 1)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Command, TaskCommand};
    use crate::out::captured::capture;

    fn added(flags: &[&str]) -> (Option<Exit>, String, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("goal.json");
        let text = json!({"repo": folder.path().to_str().unwrap(), "worker_cmd": "true", "verify_cmd": "true",
                          "tasks": [{"id": "t1", "goal": "one"}, {"id": "x", "goal": "two"}, {"id": "t7", "goal": "three"}]});
        std::fs::write(&path, text.to_string()).unwrap();
        let command = ["machine-driver", "task", "add"].iter().chain(flags).copied();
        let parsed = Cli::try_parse_from(command.chain([path.to_str().unwrap()]))
            .unwrap()
            .command;
        let Command::Task(TaskCommand::Add(args)) = parsed else {
            panic!("{parsed:?}")
        };
        let tell = |out: &Out| {
            add(&args, &Me::plain(), out)
                .map_err(|failure| crate::error::tell(&failure, out))
                .ok()
        };
        let (exit, stdout, stderr) = capture(false, false, tell);
        let goal = read_goal(&path).unwrap();
        let ids = goal.goal().tasks.iter().map(|task| task.id.to_string()).collect();
        (
            exit,
            (stdout + &stderr).replace(folder.path().to_str().unwrap(), "/w"),
            ids,
        )
    }

    #[test]
    fn a_task_gets_the_next_free_id() {
        let (exit, text, ids) = added(&[
            "--goal",
            "-x \"$(y)\"\n",
            "--after",
            "t1",
            "--reversible",
            "--verify",
            "! true",
        ]);
        assert_eq!(
            (exit, ids),
            (
                Some(Exit::Done),
                vec!["t1".into(), "x".into(), "t7".into(), "t8".into()]
            )
        );
        assert_eq!(
            text,
            "added t8: 4 tasks now\n  next: `machine-driver run /w/goal.json`\n"
        );
    }

    #[test]
    fn a_task_that_does_not_fit_changes_nothing() {
        let (exit, text, ids) = added(&["--goal", "x", "--id", "t1"]);
        assert_eq!((exit, ids.len()), (None, 3));
        assert!(text.contains("the id `t1` is that of tasks[0] already"), "{text}");
        assert!(
            text.ends_with("next: Nothing was changed: mend the flags, then add the task again.\n"),
            "{text}"
        );
    }
}
