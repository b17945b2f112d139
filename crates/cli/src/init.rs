//! `init`: a goal.json to begin with.

mod detect;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use machine_driver::{Exit, read_goal};
use serde_json::{Map, Value, json};

use crate::app::summary;
use crate::args::{InitArgs, ModeWord};
use crate::error::Failure;
use crate::escape;
use crate::me::Me;
use crate::out::Out;
use detect::{Found, agent, tests};

/// Seconds that a worker and a verify may take: what long-running users of such loops settled on.
const WORKER_SECONDS: u64 = 45 * 60;
const VERIFY_SECONDS: u64 = 20 * 60;

/// Seconds of the whole goal: a night.
const WALL_SECONDS: u64 = 8 * 3600;

/// `init`
pub(crate) fn init(args: &InitArgs, me: &Me, out: &Out) -> Result<Exit, Failure> {
    let repo = args
        .repo
        .canonicalize()
        .map_err(Failure::io("find", &args.repo))?;
    let (worker, verify) = (worker(args)?, verifier(args, &repo));
    let tasks = tasks(args, verify.as_ref())?;
    let goal = goal(args, &repo, &worker.command, verify.as_ref(), &tasks);
    write(&args.out, args.force, &format!("{goal:#}\n"))?;
    read_goal(&args.out)?;
    tell(args, &worker, verify.as_ref(), me, out);
    let verify_cmd = verify.as_ref().map(|found| found.command.as_str());
    let fields = json!({"path": args.out.to_string_lossy(), "worker_cmd": worker.command, "verify_cmd": verify_cmd,
                        "tasks": tasks.len(), "next": [me.on("check", &args.out), me.on("run", &args.out)]});
    out.json(&summary(Exit::Done, fields));
    Ok(Exit::Done)
}

fn tell(args: &InitArgs, worker: &Found, verify: Option<&Found>, me: &Me, out: &Out) {
    out.say(format!("wrote {}", escape::line(&args.out.to_string_lossy())));
    out.say(format!(
        "  worker_cmd  {}  ({})",
        escape::line(&worker.command),
        worker.why
    ));
    match verify {
        Some(found) => out.say(format!(
            "  verify_cmd  {}  ({})",
            escape::line(&found.command),
            found.why
        )),
        None => out.warn(
            "no tests were found, so there is no verify_cmd and nothing can pass; give one with --verify CMD",
        ),
    }
    if args.tasks.is_empty() {
        out.note("  no --task was given, so the one task is to make the tests pass; add yours, small ones, each provable");
    }
    if args.mode == ModeWord::Commit {
        out.note(
            "  nothing is committed before you add a `contract` with an `autonomy_ceiling` of 1, ratified by somebody else \
             than its proposer, and mark the tasks `\"reversible\": true` that are",
        );
    }
    out.hint(&format!(
        "`{}`, then `{}`",
        me.on("check", &args.out),
        me.on("run", &args.out)
    ));
}

fn worker(args: &InitArgs) -> Result<Found, Failure> {
    if let Some(command) = &args.worker {
        return Ok(Found::given(command));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    agent(&path).ok_or_else(|| Failure::Usage {
        what: format!(
            "no coding agent was found on PATH (looked for {})",
            detect::names()
        ),
        help: "Install one, or say what does a task, for example --worker 'my-agent \"{task}\"'.".into(),
    })
}

fn verifier(args: &InitArgs, repo: &Path) -> Option<Found> {
    args.verify.as_deref().map(Found::given).or_else(|| tests(repo))
}

fn tasks(args: &InitArgs, verify: Option<&Found>) -> Result<Vec<String>, Failure> {
    match verify {
        _ if !args.tasks.is_empty() => Ok(args.tasks.clone()),
        Some(found) => Ok(vec![format!(
            "Make the tests of this repository pass: {}",
            found.command
        )]),
        None => Err(Failure::Usage {
            what: "there is nothing to do: no --task was given, and no tests were found".into(),
            help: "Say what is to be done with --task TEXT, and what proves it with --verify CMD.".into(),
        }),
    }
}

fn goal(args: &InitArgs, repo: &Path, worker: &str, verify: Option<&Found>, tasks: &[String]) -> Value {
    let folder_name = repo.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = args.name.clone().or(folder_name).unwrap_or_else(|| "goal".into());
    let runs = args.max_worker_runs.unwrap_or(3 * tasks.len() as u64 + 3);
    let mode = if args.mode == ModeWord::Commit {
        "commit"
    } else {
        "propose"
    };
    let mut goal = Map::new();
    goal.insert("goal".into(), name.into());
    // In full: a relative path would be refused from another folder, where the original driver meant that folder's.
    goal.insert("repo".into(), repo.to_string_lossy().into());
    goal.insert("worker_cmd".into(), worker.into());
    if let Some(verify) = verify {
        goal.insert("verify_cmd".into(), verify.command.as_str().into());
    }
    goal.insert("mode".into(), mode.into());
    goal.insert("max_attempts".into(), 3.into());
    goal.insert("worker_timeout_seconds".into(), WORKER_SECONDS.into());
    goal.insert("verify_timeout_seconds".into(), VERIFY_SECONDS.into());
    goal.insert(
        "budget".into(),
        json!({"max_worker_runs": runs, "max_wall_seconds": WALL_SECONDS}),
    );
    let task = |(index, text): (usize, &String)| json!({"id": format!("t{}", index + 1), "goal": text});
    goal.insert("tasks".into(), tasks.iter().enumerate().map(task).collect());
    goal.into()
}

/// Never over a file that is there, unless that was asked for.
fn write(path: &Path, force: bool, text: &str) -> Result<(), Failure> {
    let opened = match force {
        true => File::create(path),
        false => OpenOptions::new().write(true).create_new(true).open(path),
    };
    let mut file = match opened {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(Failure::Usage {
                what: format!("{} is there already", path.display()),
                help: "Write to another file with --out GOAL, or replace it with --force.".into(),
            });
        }
        opened => opened.map_err(Failure::io("write", path))?,
    };
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(Failure::io("write", path))
}

/// Whether a folder has a file.
fn has(folder: &Path, name: &str) -> bool {
    fs::metadata(folder.join(name)).is_ok_and(|meta| meta.is_file())
}

#[cfg(test)]
mod tests;
