//! From the command line to an exit code.

use std::env;
use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use machine_driver::Exit;
use serde_json::{Value, json};

use crate::args::{self, AarCommand, Cli, Command, LogCommand, TaskCommand};
use crate::error::{self, Failure};
use crate::me::Me;
use crate::out::Out;
use crate::{aar, check, contract, copies, demo, generate, init, log, overrides, run, status, task};

/// The whole program.
pub(crate) fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().collect();
    let exit = match Cli::try_parse_from(args::with_run(arguments.clone())) {
        Ok(cli) => obey(&cli),
        Err(error) => explain(&error, arguments.iter().any(|argument| argument == "--json")),
    };
    ExitCode::from(exit.code())
}

fn obey(cli: &Cli) -> Exit {
    let out = Out::new(cli.json, cli.quiet);
    copies::warn_at_the_end(&cli.command, &out);
    let result = dispatch(&cli.command, &Me::new(), &out);
    let exit = result.unwrap_or_else(|failure| error::tell(&failure, &out));
    out.end();
    out.idle();
    exit
}

fn dispatch(command: &Command, me: &Me, out: &Out) -> Result<Exit, Failure> {
    match command {
        Command::Run(args) => run::run(args, me, out),
        Command::Init(args) => init::init(args, me, out),
        Command::Check(args) => check::check(args, me, out),
        Command::Status(args) => status::status(args, me, out),
        Command::Retry(args) => task::retry(args, me, out),
        Command::Task(TaskCommand::Add(args)) => task::add(args, me, out),
        Command::Contract(command) => contract::obey(command, me, out),
        Command::Halt(args) => overrides::halt(args, me, out),
        Command::Resume(args) => overrides::resume(args, me, out),
        Command::Dial(args) => overrides::dial(args, me, out),
        Command::Approve(args) => overrides::approve(args, me, out),
        Command::Log(LogCommand::Show(args)) => log::show(args, out),
        Command::Log(LogCommand::Verify(args)) => log::verify(args, out),
        Command::Log(LogCommand::Query(args)) => log::query(args, out),
        Command::Log(LogCommand::Restart(args)) => log::restart(&args.path, me, out),
        Command::Replay(args) => log::replay(&args.path, out),
        Command::Aar(AarCommand::Keygen(args)) => aar::keygen::keygen(args, me, out),
        Command::Aar(AarCommand::Sign(args)) => aar::sign::sign(args, me, out),
        Command::Aar(AarCommand::Verify(args)) => aar::verify::verify(args, out),
        Command::Aar(AarCommand::Show(args)) => aar::show::show(args, me, out),
        Command::Demo(args) => demo::demo(args, me, out),
        Command::Schema => generate::schema(out),
        Command::Completions { shell } => generate::completions(*shell, out),
        Command::Man { dir } => generate::man(dir.as_deref(), out),
    }
}

/// The last line of a command with `--json` that went well, with `fields` beside what every one has.
pub(crate) fn summary(exit: Exit, fields: Value) -> Value {
    let mut summary = json!({"type": "summary", "code": exit.word(), "exit": exit.code()});
    if let (Value::Object(summary), Value::Object(fields)) = (&mut summary, fields) {
        summary.extend(fields);
    }
    summary
}

/// Help, the version, or what is wrong with the command line.
fn explain(error: &clap::Error, json: bool) -> Exit {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        // Whoever asked for help and closed the pipe has read enough.
        let _ = error.print();
        return Exit::Done;
    }
    if let Some(command) = later(error) {
        let what = format!("this version does not have `{command}`; a later one will");
        let help =
            "Stop a run with ^C or SIGTERM; the commands that there are: `machine-driver --help`.".into();
        return error::tell(&Failure::Usage { what, help }, &Out::new(json, true));
    }
    if !json {
        let _ = error.print();
        return Exit::Usage;
    }
    let text = error.render().to_string();
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let message = lines
        .next()
        .unwrap_or_default()
        .trim_start_matches("error: ")
        .to_owned();
    let usage = Failure::Usage {
        what: message,
        help: "Type `machine-driver --help`.".into(),
    };
    error::tell(&usage, &Out::new(true, true))
}

fn later(error: &clap::Error) -> Option<&'static str> {
    match (error.kind(), error.get(ContextKind::InvalidSubcommand)) {
        (ErrorKind::InvalidSubcommand, Some(ContextValue::String(typed))) => {
            args::LATER.into_iter().find(|later| later == typed)
        }
        _ => None,
    }
}
