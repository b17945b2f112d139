//! `check`: everything that can be known before a run. Nothing is changed, and nothing started but git and, with
//! `--baseline`, the verifier.

mod attest;
mod baseline;
mod gate;
mod repo;
mod rules;

use std::env;
use std::path::Path;

use machine_driver::look::{Look, look};
use machine_driver::preflight;
use machine_driver::{Clock as _, DriverError, Exit, SystemClock, copies, proof, read_goal};
use machine_driver_governor::budget;
use machine_driver_state::goal::Goal;
use machine_driver_state::goal::file::GoalFile;
use machine_driver_state::store::Paths;
use serde_json::json;

use crate::app::summary;
use crate::args::CheckArgs;
use crate::error::Failure;
use crate::escape;
use crate::me::Me;
use crate::narrate::counted;
use crate::out::Out;
use crate::style::{self, paint};

/// What was looked at, and what was found.
#[derive(Debug, PartialEq)]
struct Check {
    name: &'static str,
    found: Found,
    detail: String,
    /// What to do about it.
    fix: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Good,
    /// A run would start, but perhaps not do what was meant.
    Doubtful,
    /// A run would not start; it ends like this.
    Bad(Exit),
}

/// `check`
pub(crate) fn check(args: &CheckArgs, me: &Me, out: &Out) -> Result<Exit, Failure> {
    let path = &args.goal.path;
    let mut tally = Tally {
        out,
        exit: Exit::Done,
        warnings: 0,
        checks: 0,
    };
    let file = match read_goal(path) {
        Ok(file) => file,
        Err(error) => {
            tally.take(bad("goal", error.exit(), error.to_string(), None));
            return Err(error.into());
        }
    };
    let goal = file.goal();
    let summed = format!(
        "{}: {}",
        escape::cut(&goal.name, 80),
        counted(goal.tasks.len(), "task")
    );
    tally.take(good("goal", summed));
    tally.take(shell());
    let refused = preflight::check(&file).err();
    tally.take(commands(&file, refused.as_ref()));
    preflight::warnings(&file)
        .into_iter()
        .for_each(|line| tally.take(doubtful("commands", line, None)));
    tally.take(repo::check(&file, &Paths::of(path)));
    tally.take(folder(&Paths::of(path)));
    tally.take(log(path, me));
    halt(path, me).into_iter().for_each(|line| tally.take(line));
    let now = SystemClock::new().now();
    let ahead = gate::Ahead::of(&file, args.trust.dir.as_deref());
    tally.take(gate::contract(goal, &ahead));
    gate::gate(&file, &ahead, now)
        .into_iter()
        .for_each(|line| tally.take(line));
    let (commit, no_commit) = gate::committer(&file, now);
    commit.into_iter().for_each(|line| tally.take(line));
    tally.take(gate::alerts(&file));
    sink(path).into_iter().for_each(|line| tally.take(line));
    rules::check(&file).into_iter().for_each(|line| tally.take(line));
    attest::records(&file)
        .into_iter()
        .for_each(|line| tally.take(line));
    tally.take(budget(goal, path));
    let refused = refused.or(no_commit);
    if args.baseline && refused.is_none() {
        let Some(lines) = baseline::check(&file, &Paths::of(path), out)? else {
            return Ok(Exit::Interrupted);
        };
        lines.into_iter().for_each(|line| tally.take(line));
    }
    Ok(tally.end(refused, me, path))
}

/// Where copies of governance records go, if anywhere.
fn sink(path: &Path) -> Option<Check> {
    let found = copies(path)?;
    let says = crate::copies::says(&found);
    Some(if found.is_refused {
        bad("sink", Exit::BadGoal, says, None)
    } else if crate::copies::is_behind(&found) {
        doubtful("sink", says, None)
    } else {
        good("sink", says)
    })
}

/// Tells each check as it is made.
struct Tally<'a> {
    out: &'a Out,
    /// How the first bad one ends.
    exit: Exit,
    warnings: usize,
    checks: usize,
}

impl Tally<'_> {
    fn take(&mut self, check: Check) {
        self.checks += 1;
        let (style, mark) = match check.found {
            Found::Good => (style::GOOD, "ok  "),
            Found::Doubtful => (style::WARN, "warn"),
            Found::Bad(_) => (style::BAD, "FAIL"),
        };
        match check.found {
            Found::Bad(exit) if self.exit == Exit::Done => self.exit = exit,
            Found::Doubtful => self.warnings += 1,
            _ => {}
        }
        self.out.say(format!(
            "{}  {:<9} {}",
            paint(style, mark),
            check.name,
            escape::cut(&check.detail, 400)
        ));
        if let Some(fix) = &check.fix {
            self.out.say(format!(
                "      {:<9} {} {}",
                "",
                paint(style::FAINT, "fix:"),
                escape::line(fix)
            ));
        }
        self.out.json(&json!({
            "type": "check",
            "name": check.name,
            "ok": !matches!(check.found, Found::Bad(_)),
            "warning": check.found == Found::Doubtful,
            "detail": check.detail,
            "fix": check.fix,
        }));
    }

    fn end(self, refused: Option<DriverError>, me: &Me, path: &Path) -> Exit {
        if let Some(error) = refused {
            return crate::error::tell(&error.into(), self.out);
        }
        let step = match self.exit {
            Exit::Done => me.on("run", path),
            Exit::Halted => me.on("resume --reason TEXT", path),
            _ => me.on("check", path),
        };
        let fields = json!({"checks": self.checks, "warnings": self.warnings, "next": [step]});
        self.out.json(&summary(self.exit, fields));
        self.out.hint(&format!("`{step}`"));
        self.exit
    }
}

fn good(name: &'static str, detail: impl Into<String>) -> Check {
    Check {
        name,
        found: Found::Good,
        detail: detail.into(),
        fix: None,
    }
}

fn doubtful(name: &'static str, detail: impl Into<String>, fix: Option<String>) -> Check {
    Check {
        name,
        found: Found::Doubtful,
        detail: detail.into(),
        fix,
    }
}

fn bad(name: &'static str, exit: Exit, detail: impl Into<String>, fix: Option<String>) -> Check {
    Check {
        name,
        found: Found::Bad(exit),
        detail: detail.into(),
        fix,
    }
}

fn shell() -> Check {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path)
        .map(|folder| folder.join("sh"))
        .find(|file| file.is_file());
    match found {
        Some(file) => good("shell", file.display().to_string()),
        None => bad(
            "shell",
            Exit::BadGoal,
            "there is no sh on PATH",
            Some("Put the folder of sh on PATH.".into()),
        ),
    }
}

fn commands(file: &GoalFile, refused: Option<&DriverError>) -> Check {
    match refused {
        Some(error) => bad("commands", error.exit(), error.to_string(), error.next_step()),
        None => {
            let own = |task: &&machine_driver_state::goal::Task| {
                task.worker_cmd.is_some() || task.verify_cmd.is_some()
            };
            let own = file.goal().tasks.iter().filter(own).count();
            let more = if own > 0 {
                format!("; {} with its own", counted(own, "task"))
            } else {
                String::new()
            };
            good(
                "commands",
                format!("the worker's is there, and every task's text reaches it as data{more}"),
            )
        }
    }
}

/// Log and evidence are written beside goal.json.
fn folder(paths: &Paths) -> Check {
    let shown = paths.folder.display();
    match tempfile::tempfile_in(&paths.folder) {
        Ok(_) => good(
            "folder",
            format!("{shown} can be written (log and evidence go there)"),
        ),
        Err(error) => bad(
            "folder",
            Exit::BadGoal,
            format!("{shown} cannot be written: {error}"),
            Some("Make it writable, or move goal.json: its log and evidence go beside it.".into()),
        ),
    }
}

fn log(path: &Path, me: &Me) -> Check {
    let shown = Paths::of(path).log.display().to_string();
    match look(path) {
        Ok(Look {
            driver: Some(pid), ..
        }) => {
            let fix = Some(format!(
                "Wait for it, or watch it with `{}`.",
                me.on("status --watch", path)
            ));
            doubtful(
                "log",
                format!("a driver (process {pid}) is at work on this goal now"),
                fix,
            )
        }
        Ok(Look { log: false, .. }) => good("log", format!("none with records yet: {shown}")),
        Ok(Look { torn, state, .. }) => {
            let records = state.head().map_or(0, |head| head.seq + 1);
            let records = counted(usize::try_from(records).unwrap_or(usize::MAX), "record");
            let torn = if torn > 0 {
                "; its last line is torn, the next run removes it"
            } else {
                ""
            };
            match crate::log::not_kept(path) {
                Some(missing) => doubtful(
                    "log",
                    format!("{records}, the chain holds{torn}; {missing}"),
                    None,
                ),
                None => good("log", format!("{records}, the chain holds{torn}")),
            }
        }
        Err(error) => {
            let exit = if proof::does_not_hold(&error) {
                Exit::NotVerified
            } else {
                error.exit()
            };
            bad("log", exit, error.to_string(), error.next_step())
        }
    }
}

/// The halt that stands, if one does: no run starts.
fn halt(path: &Path, me: &Me) -> Option<Check> {
    let seen = look(path).ok()?;
    let standing = crate::overrides::standing(seen.state.halt()?);
    let resume = me.on("resume --reason TEXT", path);
    let fix = format!("Lift it when what it was halted for is settled: `{resume}`.");
    Some(bad("halt", Exit::Halted, format!("halted {standing}"), Some(fix)))
}

fn budget(goal: &Goal, path: &Path) -> Check {
    let limits = &goal.budget;
    let used_up = look(path)
        .ok()
        .and_then(|seen| budget::breach(limits, &seen.state, SystemClock::new().now()));
    if let Some(halt) = used_up {
        let fix = Some(format!(
            "Raise `budget.{}`: the next run would halt at once.",
            halt.limit
        ));
        return doubtful("budget", halt.reason, fix);
    }
    if limits.worker_runs_max.is_none() && limits.wall_max.is_none() && limits.usd_micros_max.is_none() {
        let fix = "Set `budget.max_worker_runs` or `budget.max_wall_seconds`.".to_owned();
        return doubtful(
            "budget",
            "nothing limits the number of worker runs, the time or the money",
            Some(fix),
        );
    }
    let mut parts: Vec<String> = Vec::new();
    parts.extend(limits.worker_runs_max.map(|max| format!("{max} worker runs")));
    parts.extend(limits.wall_max.map(crate::when::span));
    parts.extend(limits.tokens_max.map(|max| format!("{max} tokens")));
    parts.extend(
        limits
            .usd_micros_max
            .map(|max| format!("{}.{:02} USD", max / 1_000_000, max % 1_000_000 / 10_000)),
    );
    parts.extend(
        limits
            .output_bytes_max
            .map(|max| format!("{max} bytes of output")),
    );
    good("budget", format!("at most {}", parts.join(", ")))
}

#[cfg(test)]
mod tests;
