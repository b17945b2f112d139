//! `log …` and `replay`: what happened, whether the log holds, and a new one.

mod line;
pub(crate) mod seals;

use std::collections::VecDeque;
use std::path::Path;
use std::thread;
use std::time::Duration;

use machine_driver::aar::DidDocument;
use machine_driver::{DriverError, Exit, SystemClock, operator, proof, read_goal};
use machine_driver_state::event::Event;
use machine_driver_state::id::TaskId;
use machine_driver_state::record::Record;
use machine_driver_state::store::{BoxError, Entry, Follower, Opened, Paths, RealDisk, StoreError, read_log};
use serde_json::json;

use self::seals::{Counted, Seals};
use crate::aar::input::documents;
use crate::aar::proof::{does_not_hold, of_log};
use crate::app::summary;
use crate::args::{LogQueryArgs, LogShowArgs, LogVerifyArgs};
use crate::error::Failure;
use crate::escape;
use crate::me::Me;
use crate::narrate::counted;
use crate::out::Out;
use crate::style::{self, paint};

/// How often a log that is followed is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// What `log verify` and `replay` say when there is nothing to say.
pub(crate) const LOG_HOLDS: &str = "the log holds";
pub(crate) const REPLAY_HOLDS: &str = "the rules ask for every record, byte for byte";

/// Nobody reads stdout any more, so there is nothing left to do.
#[derive(Debug, thiserror::Error)]
#[error("nobody reads the output any more")]
struct Gone;

/// `log show`
pub(crate) fn show(args: &LogShowArgs, out: &Out) -> Result<Exit, Failure> {
    let path = log_of(&args.goal.path)?;
    let mut follower = Follower::open(&RealDisk, &path).map_err(|error| no_log(error, &args.goal.path))?;
    let mut last: VecDeque<(u64, String)> = VecDeque::new();
    let mut shown = 0_u64;
    let found = follower.poll(&mut |entry| {
        match args.last {
            None => print(&entry, out)?,
            Some(0) => {}
            Some(most) => {
                if last.len() == most {
                    last.pop_front();
                }
                last.push_back((entry.line, text(&entry, out)));
            }
        }
        shown += 1;
        Ok(())
    });
    let found = unless_gone(found)?;
    for (_, text) in last.into_iter().take_while(|_| !out.is_gone()) {
        out.raw(&text);
    }
    if args.follow {
        follow(&mut follower, out)?;
    }
    let records = found.map_or(shown, |found| found.records);
    out.json(&summary(Exit::Done, json!({"records": records})));
    Ok(Exit::Done)
}

/// Until ^C, or until nobody reads it.
fn follow(follower: &mut Follower, out: &Out) -> Result<(), Failure> {
    while !out.is_gone() {
        thread::sleep(LOOK);
        unless_gone(follower.poll(&mut |entry| print(&entry, out)))?;
    }
    Ok(())
}

/// `log query`
pub(crate) fn query(args: &LogQueryArgs, out: &Out) -> Result<Exit, Failure> {
    let path = log_of(&args.goal.path)?;
    let mut matched = 0_u64;
    let found = read_log(&RealDisk, &path, None, &mut |entry| {
        if matches(args, &entry.record) {
            matched += 1;
            print(&entry, out)?;
        }
        Ok(())
    });
    unless_gone(found)?;
    if matched == 0 {
        out.note("no record fits");
    }
    out.json(&summary(Exit::Done, json!({"records": matched})));
    Ok(Exit::Done)
}

/// `--until` is the first instant that is left out, so that two neighbouring days share no record.
fn matches(args: &LogQueryArgs, record: &Record) -> bool {
    args.task.as_ref().is_none_or(|task| is_about(record, task))
        && (args.event.is_empty() || args.event.iter().any(|name| name == record.event.name()))
        && args.since.is_none_or(|since| record.at >= since)
        && args.until.is_none_or(|until| record.at < until)
}

/// Not by the record's scope: a task may be called `goal`, which is also the scope of records about the whole goal.
fn is_about(record: &Record, task: &TaskId) -> bool {
    match &record.event {
        Event::TaskAdded(added) => added.task == *task,
        Event::Retried(retried) => retried.task == *task || retried.with.contains(task),
        Event::AlertRaised(raised) => raised.about.as_ref() == Some(task),
        other => other.attempt().is_some_and(|attempt| attempt.task == *task),
    }
}

/// `log verify`
pub(crate) fn verify(args: &LogVerifyArgs, out: &Out) -> Result<Exit, Failure> {
    let goal = &args.goal.path;
    let found = proof::verify_log(goal).map_err(held)?;
    let counted = if args.dids.is_empty() {
        None
    } else {
        Some(signatures(&Paths::of(goal).log, &documents(&args.dids, out)?)?)
    };
    if let Some(missing) = not_kept(goal) {
        out.warn(missing);
    }
    report(&found, LOG_HOLDS, counted, goal, out);
    Ok(Exit::Done)
}

/// What is to be said of goals of the log that are not kept.
pub(crate) fn not_kept(goal: &Path) -> Option<String> {
    let missing = proof::goals_not_kept(goal).ok()?;
    let (_, first) = missing.first()?;
    Some(format!(
        "{} of the log {} not kept as {} under evidence/goal/: no replay can be made, and nobody can say what has become of fields \
         that `immutable` freezes ({})",
        counted(missing.len(), "goal"),
        if missing.len() == 1 { "is" } else { "are" },
        if missing.len() == 1 { "it was" } else { "they were" },
        escape::line(first)
    ))
}

/// Checks every signature of a log whose chain holds.
fn signatures(log: &Path, documents: &[DidDocument]) -> Result<Counted, Failure> {
    let mut seals = Seals::new(documents);
    read_log(&RealDisk, log, None, &mut |entry| {
        Ok(seals.take(entry.line, &entry.record)?)
    })
    .map_err(|error| of_log(log, error))?;
    let counted = seals.end().map_err(|error| does_not_hold(log, &error))?;
    if counted.signed == 0 {
        return Err(Failure::NotVerified {
            what: format!(
                "{} has no signature at all: no run of it had a key, or all were taken out",
                log.display()
            ),
            help: "Leave the documents out to check the chain alone.".into(),
        });
    }
    Ok(counted)
}

/// `replay`
pub(crate) fn replay(goal: &Path, out: &Out) -> Result<Exit, Failure> {
    let found = proof::replay(goal).map_err(held)?;
    report(&found, REPLAY_HOLDS, None, goal, out);
    Ok(Exit::Done)
}

fn report(found: &Opened, what: &str, signatures: Option<Counted>, goal: &Path, out: &Out) {
    let head = found.head.map(|head| head.hash.to_string());
    let path = Paths::of(goal).log;
    out.say(format!("{}  {}", paint(style::GOOD, "ok"), holds(what, found)));
    if let Some(Counted { signed, unsigned }) = signatures {
        let rest = match unsigned {
            0 => String::new(),
            one => format!("; {one} without, of runs that had no key"),
        };
        out.say(format!(
            "{}  every signature holds: {signed} signed{rest}",
            paint(style::GOOD, "ok")
        ));
    }
    if found.torn > 0 {
        out.warn(format!(
            "the last line is torn ({} bytes): a driver writes it just now, or a crash cut it off; the next run removes it",
            found.torn
        ));
    }
    let path = path.to_string_lossy();
    let mut fields = json!({"path": path, "records": found.records, "head": head, "torn_bytes": found.torn});
    if let (Some(Counted { signed, unsigned }), Some(fields)) = (signatures, fields.as_object_mut()) {
        fields.extend([
            ("signed".into(), signed.into()),
            ("unsigned".into(), unsigned.into()),
        ]);
    }
    out.json(&summary(Exit::Done, fields));
}

/// `WHAT: 31 records, head 0123…`
pub(crate) fn holds(what: &str, found: &Opened) -> String {
    let records = counted(usize::try_from(found.records).unwrap_or(usize::MAX), "record");
    let head = found
        .head
        .map_or_else(|| "none".to_owned(), |head| head.hash.to_string());
    format!("{what}: {records}, head {head}")
}

/// `log restart`
pub(crate) fn restart(goal: &Path, me: &Me, out: &Out) -> Result<Exit, Failure> {
    let kept = operator::restart_log(goal, SystemClock::new())?;
    out.say(format!(
        "the log is kept as {}; a new one begins with the progress in goal.json",
        kept.name
    ));
    out.say(format!("sha256 {}", kept.sha256));
    let step = me.on("run", goal);
    out.json(&summary(
        Exit::Done,
        json!({"kept_as": kept.name, "sha256": kept.sha256.to_string(), "next": [step]}),
    ));
    out.hint(&format!("`{step}`"));
    Ok(Exit::Done)
}

/// A log that does not hold is one thing, one that cannot be read another.
fn held(error: DriverError) -> Failure {
    if proof::does_not_hold(&error) {
        Failure::DoesNotHold(error)
    } else {
        error.into()
    }
}

/// The log of a goal file that is there. The goal itself need not be acceptable to look at its past.
fn log_of(goal: &Path) -> Result<std::path::PathBuf, Failure> {
    let log = Paths::of(goal).log;
    if !log.exists() {
        read_goal(goal)?;
    }
    Ok(log)
}

fn no_log(error: StoreError, goal: &Path) -> Failure {
    match error {
        StoreError::Io { path, source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            Failure::Outside {
                what: format!("there is no log yet at {}", path.display()),
                help: format!("Start with `machine-driver run {}`.", goal.display()),
            }
        }
        other => of_store(other),
    }
}

fn of_store(error: StoreError) -> Failure {
    held(DriverError::from(error))
}

/// A reader that went away ends the reading, and is no failure.
fn unless_gone(found: Result<Opened, StoreError>) -> Result<Option<Opened>, Failure> {
    match found {
        Err(StoreError::Fold { source, .. }) if source.is::<Gone>() => Ok(None),
        other => other.map(Some).map_err(of_store),
    }
}

fn print(entry: &Entry<'_>, out: &Out) -> Result<(), BoxError> {
    out.raw(&text(entry, out));
    if out.is_gone() {
        Err(Box::new(Gone))
    } else {
        Ok(())
    }
}

/// A record as its line has it for a program, in words for a person.
fn text(entry: &Entry<'_>, out: &Out) -> String {
    if !out.is_json() {
        return line::text(&entry.record) + "\n";
    }
    // It was read as JSON, so it is UTF-8; what is valid inside one object is valid inside another.
    let raw = escape::json(&String::from_utf8_lossy(entry.bytes));
    format!(
        "{{\"type\":\"record\",\"line\":{},\"record\":{raw}}}\n",
        entry.line
    )
}

/// A record as JSON.
#[cfg(test)]
fn value(record: &Record) -> serde_json::Value {
    serde_json::from_str(&record.line().unwrap()).unwrap()
}

#[cfg(test)]
mod tests;
