//! `retry` and `task add`.

use std::path::Path;

use machine_driver::{Exit, SystemClock, operator, read_goal};
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
    let id = match &args.id {
        Some(id) => id.to_string(),
        None => free_id(read_goal(path)?.goal()),
    };
    let file = operator::add_task(path, &task(args, &id), SystemClock::new())?;
    out.say(format!("added {id}: {} tasks now", file.goal().tasks.len()));
    done(
        path,
        me,
        out,
        json!({"task": id, "tasks": file.goal().tasks.len()}),
    );
    Ok(Exit::Done)
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
