//! What can be typed.

mod aar;
pub(crate) mod contract;
pub(crate) mod overrides;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;
use machine_driver::EXIT_CODES;
use machine_driver_state::event::Event;
use machine_driver_state::id::TaskId;
use machine_driver_state::time::Timestamp;

pub(crate) use self::aar::{AarCommand, DidArgs, KeygenArgs, ShowArgs, SignArgs, VerifyArgs};
pub(crate) use self::contract::{ContractCommand, TrustArgs};
pub(crate) use self::overrides::{ApproveArgs, DialArgs, HaltArgs};
use crate::{style, when};

/// Works the tasks of a goal.json off: a fresh worker each, verified by a command's exit code, tried again with what
/// it said, given up and surfaced when nothing helps. Killed at any moment, it goes on where it was.
#[derive(Debug, Parser)]
#[command(
    name = "machine-driver", version, styles = style::HELP, after_help = exit_table(), max_term_width = 100,
    arg_required_else_help = true, subcommand_required = true, disable_help_subcommand = true,
    override_usage = "machine-driver <COMMAND> [OPTIONS]\n       machine-driver [OPTIONS] GOAL      (the same as `run GOAL`)"
)]
pub(crate) struct Cli {
    /// What to do
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Write JSON lines to stdout, each with a `type`; the last is a `summary` or an `error`
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// No progress, no hints: only what came of it
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Work the goal off; goes on where an earlier run ended, however it ended
    Run(RunArgs),
    /// Write a goal.json for a repository: finds its tests and a coding agent
    Init(InitArgs),
    /// Say everything that can be known before a run, and start nothing
    Check(CheckArgs),
    /// Show the tasks, why some are blocked, the budget used, and what to type next
    Status(StatusArgs),
    /// Put a blocked task back; its attempts stay in the log
    Retry(RetryArgs),
    /// Change the list of tasks
    #[command(subcommand)]
    Task(TaskCommand),
    /// Box 0: look at the contract, ratify it, take that back
    #[command(subcommand)]
    Contract(ContractCommand),
    /// Stop everything: worker, verify, commits; nothing starts again before `resume`
    Halt(HaltArgs),
    /// Lift a halt
    Resume(HaltArgs),
    /// Turn the dial: what becomes of verified work. While a driver runs only to `propose`
    Dial(DialArgs),
    /// Approve one commit that cannot be undone
    Approve(ApproveArgs),
    /// Look at the log, check it, or begin a new one
    #[command(subcommand)]
    Log(LogCommand),
    /// Prove the log: ask the rules again at every record and compare byte for byte
    Replay(GoalArgs),
    /// Signed records about resolved tasks: make a key, sign, check, look
    #[command(subcommand)]
    Aar(AarCommand),
    /// See it work: a real goal in a throw-away repository, offline, in a few seconds
    Demo(DemoArgs),
    /// Print the JSON Schema of goal.json
    Schema,
    /// Print completions for a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Print the manual page, or write those of all commands into a folder
    Man {
        /// The folder
        #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
        dir: Option<PathBuf>,
    },
}

/// Which goal.
#[derive(Debug, Clone, Args)]
pub(crate) struct GoalArgs {
    /// The goal file
    #[arg(value_name = "GOAL", default_value = "goal.json", value_hint = ValueHint::FilePath)]
    pub(crate) path: PathBuf,
}

/// `run`
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// End after this many tasks were done or blocked
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "once")]
    pub(crate) max_tasks: Option<u64>,
    /// End after one attempt
    #[arg(long)]
    pub(crate) once: bool,
    /// Rules about paths: take the tree, as it stands now, for what was there before any worker. Look at it first
    #[arg(long)]
    pub(crate) accept_tree: bool,
    #[command(flatten)]
    pub(crate) trust: TrustArgs,
    #[command(flatten)]
    pub(crate) goal: GoalArgs,
}

/// `init`
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// A task, in your words; may be given again
    #[arg(long = "task", value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) tasks: Vec<String>,
    /// The command that does a task, with {task} for its text [default: a coding agent on PATH]
    #[arg(long, value_name = "CMD")]
    pub(crate) worker: Option<String>,
    /// The command whose exit code decides [default: the repository's tests]
    #[arg(long, value_name = "CMD")]
    pub(crate) verify: Option<String>,
    /// The folder to work on
    #[arg(long, value_name = "DIR", default_value = ".", value_hint = ValueHint::DirPath)]
    pub(crate) repo: PathBuf,
    /// The goal's name [default: the folder's]
    #[arg(long, value_name = "TEXT")]
    pub(crate) name: Option<String>,
    /// What to do with verified work
    #[arg(long, value_enum, default_value_t = ModeWord::Propose)]
    pub(crate) mode: ModeWord,
    /// Most workers ever started for this goal [default: 3 for each task and 3 more]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=9_007_199_254_740_991))]
    pub(crate) max_worker_runs: Option<u64>,
    /// The file to write
    #[arg(long, value_name = "GOAL", default_value = "goal.json", value_hint = ValueHint::FilePath)]
    pub(crate) out: PathBuf,
    /// Replace the file
    #[arg(long)]
    pub(crate) force: bool,
}

/// The operator's dial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ModeWord {
    /// Leave it for review
    Propose,
    /// Commit what the gate allows; that needs a contract, which is for you to write
    Commit,
}

/// `check`
#[derive(Debug, Args)]
#[command(after_help = "Exits 0 if a run would start, 10 if not, 5 if the log does not hold.")]
pub(crate) struct CheckArgs {
    /// Also run verify_cmd once, on the tree as it is
    #[arg(long)]
    pub(crate) baseline: bool,
    #[command(flatten)]
    pub(crate) trust: TrustArgs,
    #[command(flatten)]
    pub(crate) goal: GoalArgs,
}

/// `status`
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Show it again every 2 seconds until the goal is complete
    #[arg(short, long)]
    pub(crate) watch: bool,
    #[command(flatten)]
    pub(crate) trust: TrustArgs,
    #[command(flatten)]
    pub(crate) goal: GoalArgs,
}

/// `retry`
#[derive(Debug, Args)]
pub(crate) struct RetryArgs {
    /// The task's id
    #[arg(value_name = "TASK", value_parser = task_id)]
    pub(crate) task: TaskId,
    #[command(flatten)]
    pub(crate) goal: GoalArgs,
}

/// `task`
#[derive(Debug, Subcommand)]
pub(crate) enum TaskCommand {
    /// Add a task at the end
    Add(TaskAddArgs),
}

/// `task add`
#[derive(Debug, Args)]
pub(crate) struct TaskAddArgs {
    /// What to do, in your words
    #[arg(long = "goal", value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) text: String,
    /// Its id [default: the next free tN]
    #[arg(long, value_name = "ID", value_parser = task_id)]
    pub(crate) id: Option<TaskId>,
    /// A task that must be done before; may be given again
    #[arg(long, value_name = "ID", value_parser = task_id)]
    pub(crate) after: Vec<TaskId>,
    /// It can be undone
    #[arg(long)]
    pub(crate) reversible: bool,
    /// Its own verify_cmd
    #[arg(long, value_name = "CMD")]
    pub(crate) verify: Option<String>,
    /// Its own worker_cmd
    #[arg(long, value_name = "CMD")]
    pub(crate) worker: Option<String>,
    #[command(flatten)]
    pub(crate) goal: GoalArgs,
}

/// `log`
#[derive(Debug, Subcommand)]
pub(crate) enum LogCommand {
    /// Print what happened, a line each
    Show(LogShowArgs),
    /// Check every record's hash and what it follows; with DID documents also the signatures
    Verify(LogVerifyArgs),
    /// Print the records that fit
    Query(LogQueryArgs),
    /// Keep the log under another name and begin a new one with the progress in goal.json
    Restart(GoalArgs),
}

/// `log show`
#[derive(Debug, Args)]
pub(crate) struct LogShowArgs {
    /// Only the last N
    #[arg(long, value_name = "N")]
    pub(crate) last: Option<usize>,
    /// Go on with what is added, until ^C
    #[arg(short, long)]
    pub(crate) follow: bool,
    #[command(flatten)]
    pub(crate) goal: GoalArgs,
}

/// `log verify`
#[derive(Debug, Args)]
#[command(
    after_help = "With DID documents every record of a run that had a key needs a signature that holds."
)]
pub(crate) struct LogVerifyArgs {
    #[command(flatten)]
    pub(crate) dids: DidArgs,
    #[command(flatten)]
    pub(crate) goal: GoalArgs,
}

/// `log query`
#[derive(Debug, Args)]
pub(crate) struct LogQueryArgs {
    /// About this task
    #[arg(long, value_name = "TASK", value_parser = task_id)]
    pub(crate) task: Option<TaskId>,
    /// Of this kind, for example `verify_failed`; may be given again
    #[arg(long, value_name = "EVENT", value_parser = event_name)]
    pub(crate) event: Vec<String>,
    /// Not before: a date, or an RFC 3339 time
    #[arg(long, value_name = "TIME", value_parser = when::read)]
    pub(crate) since: Option<Timestamp>,
    /// Before: a date, or an RFC 3339 time
    #[arg(long, value_name = "TIME", value_parser = when::read)]
    pub(crate) until: Option<Timestamp>,
    #[command(flatten)]
    pub(crate) goal: GoalArgs,
}

/// `demo`
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// A new or empty folder for it [default: one in the system's folder for temporary files]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) dir: Option<PathBuf>,
    /// Commit what passes and may be committed, instead of leaving it for review
    #[arg(long)]
    pub(crate) commit: bool,
    /// Sign a record about each task with a throw-away key, and check them at the end
    #[arg(long)]
    pub(crate) signed: bool,
    /// Remove the folder at the end if all went as planned
    #[arg(long)]
    pub(crate) remove: bool,
}

/// The arguments as clap should see them: `machine-driver GOAL` means `machine-driver run GOAL`.
pub(crate) fn with_run(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let is_flag = |argument: &OsString| argument.as_encoded_bytes().starts_with(b"-");
    let Some(at) = (1..arguments.len()).find(|at| arguments.get(*at).is_some_and(|a| !is_flag(a))) else {
        return arguments;
    };
    if arguments
        .get(at)
        .is_some_and(|argument| is_goal(Path::new(argument)))
    {
        arguments.insert(at, "run".into());
    }
    arguments
}

fn is_goal(path: &Path) -> bool {
    let is_command = path
        .to_str()
        .is_some_and(|name| Cli::command().find_subcommand(name).is_some());
    !is_command && (path.extension().is_some_and(|extension| extension == "json") || path.is_file())
}

/// Commands that the specification has and this version has not.
pub(crate) const LATER: [&str; 2] = ["ack", "monitor"];

/// The exit codes, for the end of the help.
fn exit_table() -> String {
    let rows = EXIT_CODES
        .iter()
        .map(|(_, code, _, meaning)| format!("  {code:>3}  {meaning}\n"));
    format!(
        "{0}Exit codes:{0:#}\n{1}",
        style::STRONG,
        rows.collect::<String>()
    )
}

fn task_id(text: &str) -> Result<TaskId, String> {
    TaskId::new(text).map_err(|error| error.to_string())
}

fn event_name(text: &str) -> Result<String, String> {
    if Event::NAMES.contains(&text) {
        return Ok(text.to_owned());
    }
    let nearest = Event::NAMES
        .iter()
        .max_by(|one, other| strsim::jaro_winkler(text, one).total_cmp(&strsim::jaro_winkler(text, other)));
    let near = nearest.filter(|name| strsim::jaro_winkler(text, name) > 0.7);
    let hint = near
        .map(|name| format!("did you mean `{name}`? "))
        .unwrap_or_default();
    Err(format!("{hint}the events are {}", Event::NAMES.join(", ")))
}

#[cfg(test)]
mod tests;
