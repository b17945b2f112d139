//! What is said of the goal's `audit_sink`: after each command that records something, and by `check` and `status`.

use std::path::Path;

use machine_driver::look::look;
use machine_driver::{Copies, copies};

use crate::args::{Command, ContractCommand, LogCommand, TaskCommand};
use crate::escape;
use crate::narrate::counted;
use crate::out::Out;

/// Warns, when a command is over, where what it has recorded is not copied. What a driver that runs has recorded, it copies itself.
pub(crate) fn warn_at_the_end(command: &Command, out: &Out) {
    let Some(goal) = records_in(command).map(Path::to_owned) else {
        return;
    };
    out.at_the_end(move |out| {
        let Some(copies) = copies(&goal).filter(is_behind) else {
            return;
        };
        if look(&goal).is_ok_and(|seen| seen.driver.is_none()) {
            out.warn(format!(
                "audit_sink: {}; whatever is recorded next sends them again",
                escape::line(&says(&copies))
            ));
        }
    });
}

/// Whether something is to be said of it.
pub(crate) fn is_behind(copies: &Copies) -> bool {
    copies.missing > 0 || copies.why.is_some()
}

/// How far the copies have come.
pub(crate) fn says(copies: &Copies) -> String {
    let missing = usize::try_from(copies.missing).unwrap_or(usize::MAX);
    let mut text = match missing {
        0 => format!("{} has every governance record", copies.to),
        1 => format!("{} does not have 1 governance record", copies.to),
        _ => format!(
            "{} does not have {}",
            copies.to,
            counted(missing, "governance record")
        ),
    };
    if let Some(why) = &copies.why {
        text.push_str(": ");
        text.push_str(why);
    }
    text
}

/// The goal of a command that may record something.
fn records_in(command: &Command) -> Option<&Path> {
    let path = match command {
        Command::Run(args) => &args.goal.path,
        Command::Retry(args) => &args.goal.path,
        Command::Task(TaskCommand::Add(args)) => &args.goal.path,
        Command::Contract(ContractCommand::Ratify(args)) => &args.goal.path,
        Command::Contract(ContractCommand::Revoke(args)) => &args.goal.path,
        Command::Halt(args) => &args.goal.path,
        Command::Resume(args) => &args.goal.path,
        Command::Dial(args) => &args.goal.path,
        Command::Approve(args) => &args.goal.path,
        Command::Log(LogCommand::Restart(args)) => &args.path,
        _ => return None,
    };
    Some(path)
}
