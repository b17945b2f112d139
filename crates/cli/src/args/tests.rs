use clap::error::ErrorKind;

use super::*;

fn parse(words: &str) -> Result<Cli, clap::Error> {
    let words = words.split_whitespace().map(OsString::from);
    Cli::try_parse_from(with_run(
        std::iter::once("machine-driver".into()).chain(words).collect(),
    ))
}

fn run_of(words: &str) -> (RunArgs, bool) {
    match parse(words).unwrap() {
        Cli {
            command: Command::Run(args),
            json,
            ..
        } => (args, json),
        other => panic!("{words}: {other:?}"),
    }
}

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn a_goal_alone_is_run() {
    assert_eq!(run_of("run").0.goal.path, Path::new("goal.json"));
    assert_eq!(run_of("night.json").0.goal.path, Path::new("night.json"));
    assert!(run_of("night.json --once").0.once);
    assert!(run_of("--json night.json").1);
    assert_eq!(run_of("run --max-tasks 3 night.json").0.max_tasks, Some(3));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("odd name");
    std::fs::write(&file, "").unwrap();
    let arguments = vec!["machine-driver".into(), file.clone().into_os_string()];
    assert_eq!(with_run(arguments)[1..], ["run".into(), file.into_os_string()]);
}

#[test]
fn the_goal_is_the_last_argument_of_every_command_that_works_on_one() {
    for words in [
        "run g.json",
        "check --baseline g.json",
        "status --watch g.json",
        "retry t1 g.json",
        "task add --goal text g.json",
        "halt --reason smoke --as ann g.json",
        "resume --reason settled g.json",
        "dial propose g.json",
        "approve t1 --for 30m g.json",
        "log show --last 3 g.json",
        "log verify g.json",
        "log verify --did-json d.json --did-dir dids g.json",
        "log query --task t1 --event dispatch --since 2026-11-22 g.json",
        "log restart g.json",
        "replay g.json",
    ] {
        let found = format!(
            "{:?}",
            parse(words).unwrap_or_else(|error| panic!("{words}: {error}"))
        );
        assert!(found.contains("\"g.json\""), "{words}: {found}");
    }
}

fn refused(words: &str, kind: ErrorKind) {
    assert_eq!(parse(words).unwrap_err().kind(), kind, "{words}");
}

#[test]
fn what_makes_no_sense_is_refused() {
    refused("", ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand);
    refused("ack", ErrorKind::InvalidSubcommand);
    refused("halt", ErrorKind::MissingRequiredArgument);
    refused("resume", ErrorKind::MissingRequiredArgument);
    refused("dial", ErrorKind::MissingRequiredArgument);
    refused("dial loud", ErrorKind::InvalidValue);
    refused("approve t1 --for 8", ErrorKind::ValueValidation);
    refused("no-such-file", ErrorKind::InvalidSubcommand);
    refused("run --max-tasks 0", ErrorKind::ValueValidation);
    refused("run --once --max-tasks 1", ErrorKind::ArgumentConflict);
    refused("retry ../x", ErrorKind::ValueValidation);
    refused("retry", ErrorKind::MissingRequiredArgument);
    refused("task add", ErrorKind::MissingRequiredArgument);
    refused("log query --since yesterday", ErrorKind::ValueValidation);
    refused("aar", ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand);
    refused("aar export", ErrorKind::InvalidSubcommand);
    refused(
        "aar keygen --did did:web:example.org",
        ErrorKind::MissingRequiredArgument,
    );
    refused(
        "aar keygen --did example.org --out-priv a --out-did b",
        ErrorKind::ValueValidation,
    );
    refused("aar sign t1.json", ErrorKind::MissingRequiredArgument);
    refused("aar verify --did-json d.json", ErrorKind::MissingRequiredArgument);
    refused("aar verify t1.json --require L4", ErrorKind::InvalidValue);
    refused("aar verify t1.json --head 12", ErrorKind::ValueValidation);
    refused("completions tcsh", ErrorKind::InvalidValue);
    for later in LATER {
        assert!(
            Cli::command().find_subcommand(later).is_none(),
            "{later} is here now"
        );
    }
}

#[test]
fn an_event_that_is_none_is_answered_with_the_nearest() {
    let error = parse("log query --event verify-faild").unwrap_err().to_string();
    assert!(error.contains("did you mean `verify_failed`?"), "{error}");
    assert_eq!(event_name("dispatch"), Ok("dispatch".into()));
}

#[test]
fn help_is_as_people_read_it() {
    let mut text = Cli::command().render_long_help().to_string();
    let mut command = Cli::command();
    command.build();
    for name in [
        "run",
        "init",
        "check",
        "status",
        "retry",
        "task add",
        "halt",
        "resume",
        "dial",
        "approve",
        "log show",
        "log verify",
        "log query",
        "aar keygen",
        "aar sign",
        "aar verify",
        "aar show",
        "demo",
    ] {
        let mut found = &mut command;
        for word in name.split(' ') {
            found = found.find_subcommand_mut(word).unwrap();
        }
        text += &format!("\n\n===== {name}\n{}", found.render_help());
    }
    insta::assert_snapshot!("help", text);
}
