//! What can be known about a goal's commands before anything starts.

use std::env;
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use machine_driver_state::goal::file::GoalFile;
use machine_driver_state::goal::{CommandLine, Goal, Task};
use machine_driver_worker::check_text_fits;
use machine_driver_worker::template::{Placeholder, Template};

use crate::error::DriverError;

/// The longest text of a task that a signed record takes, in bytes: half of what a record may have.
const CLAIM_MAX: usize = 256 << 10;

/// Refuses a goal whose commands cannot work: a placeholder where its value could be run, a text that cannot reach its
/// command, a program that does not exist.
///
/// # Errors
/// [`DriverError::Goal`] with the place of the command or the task's text.
pub fn check(file: &GoalFile) -> Result<(), DriverError> {
    let goal = file.goal();
    let common = template(file, None, &goal.worker_cmd)?;
    let is_recorded = goal.attest.as_ref().is_some_and(|attest| attest.key.is_some());
    for (index, task) in goal.tasks.iter().enumerate() {
        if is_recorded && task.goal.len() > CLAIM_MAX {
            let message = format!(
                "a record about it could not hold its text: {} bytes",
                task.goal.len()
            );
            let help = "shorten it to 256 KiB, or put it into a file that it names";
            return Err(file
                .refuse(Some(index), "goal", message, Some(help.into()))
                .into());
        }
        let own = task
            .worker_cmd
            .as_ref()
            .map(|command| template(file, Some(index), command))
            .transpose()?;
        let template = own.as_ref().unwrap_or(&common);
        check_text_fits(template, &task.goal).map_err(|error| {
            let help = "shorten it, or let worker_cmd read `{task_file}`";
            file.refuse(Some(index), "goal", error.to_string(), Some(help.into()))
        })?;
    }
    Ok(())
}

fn template(file: &GoalFile, task: Option<usize>, command: &CommandLine) -> Result<Template, DriverError> {
    let refuse = |message: String, help: String| file.refuse(task, "worker_cmd", message, Some(help));
    let template = Template::parse(command).map_err(|error| refuse(error.to_string(), error.help()))?;
    match template.program() {
        Some(program) if !exists(program, &file.goal().repo) => {
            let help = "install it, or name it by its full path".to_owned();
            Err(refuse(format!("there is no program `{}`", program.escape_debug()), help).into())
        }
        _ => Ok(template),
    }
}

/// What a person should look at before a run, a line each.
#[must_use]
pub fn warnings(file: &GoalFile) -> Vec<String> {
    let goal = file.goal();
    let own = |(index, task): (usize, &Task)| {
        let name = format!("tasks[{index}].worker_cmd");
        task.worker_cmd
            .as_ref()
            .map(|command| about_worker(&name, command))
            .unwrap_or_default()
    };
    let mut lines = about_worker("worker_cmd", &goal.worker_cmd);
    lines.extend(goal.tasks.iter().enumerate().flat_map(own));
    lines.extend(about_verifiers(goal));
    lines
}

fn about_worker(name: &str, command: &CommandLine) -> Vec<String> {
    let text = match command {
        CommandLine::Shell(text) => text.clone(),
        CommandLine::Argv(arguments) => arguments.join(" "),
    };
    let mut lines: Vec<String> = misspelt(&text);
    if !["{task}", "{task_file}", "{task_id}", "MACHINE_TASK"]
        .iter()
        .any(|way| text.contains(way))
    {
        lines.push("it names neither `{task}` nor `{task_file}`: it learns its task from MACHINE_TASK, or not at all".into());
    }
    let template = Template::parse(command).ok();
    lines.extend(
        template
            .iter()
            .flat_map(|template| template.warns().iter())
            .map(ToString::to_string),
    );
    lines.iter().map(|line| format!("{name}: {line}")).collect()
}

/// Words in braces that are left as they are, but look like a placeholder.
fn misspelt(text: &str) -> Vec<String> {
    let words = text
        .split('{')
        .skip(1)
        .filter_map(|rest| rest.split_once('}'))
        .map(|(word, _)| word);
    let names = || Placeholder::ALL.into_iter().map(Placeholder::name);
    let nearest = |word: &str| {
        let near = names().filter(|name| strsim::damerau_levenshtein(name, &word.to_lowercase()) <= 2);
        near.min_by_key(|name| strsim::damerau_levenshtein(name, word))
    };
    let is_other = |word: &&str| word.len() > 2 && !names().any(|name| name == *word);
    let told = |word: &str| {
        let name = nearest(word)?;
        Some(format!(
            "`{{{}}}` is left as it is; did you mean `{{{name}}}`?",
            word.escape_debug()
        ))
    };
    words.filter(is_other).filter_map(told).collect()
}

fn about_verifiers(goal: &Goal) -> Vec<String> {
    let Some(command) = &goal.verify_cmd else {
        let without = goal.tasks.iter().filter(|task| task.verify_cmd.is_none());
        let ids: Vec<&str> = without.map(|task| task.id.as_str()).collect();
        let line = format!(
            "there is no verify_cmd for {}: nothing can say that it is done, so it ends blocked",
            few(&ids)
        );
        return if ids.is_empty() { Vec::new() } else { vec![line] };
    };
    let program = match command {
        CommandLine::Argv(arguments) => arguments.first().cloned(),
        CommandLine::Shell(_) => Template::parse(command)
            .ok()
            .and_then(|template| template.program().map(str::to_owned)),
    };
    match program {
        Some(program) if !exists(&program, &goal.repo) => {
            vec![format!(
                "verify_cmd: there is no program `{}`: no task could pass",
                program.escape_debug()
            )]
        }
        _ => Vec::new(),
    }
}

/// The first of these names, and how many more there are.
fn few(names: &[&str]) -> String {
    let shown: Vec<String> = names.iter().take(3).map(|name| format!("`{name}`")).collect();
    match names.len().saturating_sub(shown.len()) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Whether a command can be started by this name from `folder`.
fn exists(program: &str, folder: &Path) -> bool {
    if program.contains('/') {
        return is_executable(&folder.join(program));
    }
    let path = env::var_os("PATH").unwrap_or_else(|| OsStr::new("/usr/bin:/bin").to_owned());
    env::split_paths(&path).any(|place| is_executable(&folder.join(place).join(program)))
}

fn is_executable(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_placeholder_is_told_and_other_braces_are_not() {
        let check = |text: &str, told: &[&str]| assert_eq!(misspelt(text), told, "{text}");
        check(
            "agent \"{taks}\"",
            &["`{taks}` is left as it is; did you mean `{task}`?"],
        );
        check(
            "agent {feedbak} {Task_id}",
            &[
                "`{feedbak}` is left as it is; did you mean `{feedback}`?",
                "`{Task_id}` is left as it is; did you mean `{task_id}`?",
            ],
        );
        check("awk '{print $1}' {task} {attempt} ${HOME} {}", &[]);
    }

    #[test]
    fn a_worker_that_is_told_nothing_is_told() {
        let about = |text: &str| about_worker("worker_cmd", &CommandLine::Shell(text.into()));
        assert!(
            about("make it so")
                .iter()
                .any(|line| line.contains("or not at all"))
        );
        for fine in [
            "agent {task}",
            "agent {task_file}",
            "agent {task_id}",
            "agent \"$MACHINE_TASK\"",
        ] {
            assert!(
                !about(fine).iter().any(|line| line.contains("or not at all")),
                "{fine}"
            );
        }
    }
}
